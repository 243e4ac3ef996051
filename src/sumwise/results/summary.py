"""Pieces that the summaries of all models share: numbers as R prints them, aligned and HTML tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sumwise.results.fit import Fit

_STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."))
LEGEND = "Signif. codes:  0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1"


def paragraph(text: str) -> str:
    """One line of a summary, broken where it is long."""
    return fill(text, width=100, subsequent_indent="  ", break_on_hyphens=False)


def sites(fit: Fit) -> str:
    """How many sites are in the sum."""
    n = len(fit.site_records)
    return f"{n} sites" if n > 1 else "1 site"


def dropped(fit: Fit) -> str:
    """Rows left out because of missing values, "" if none."""
    n = sum(site.dropped for site in fit.site_records)
    return f", {n} row{'s' if n > 1 else ''} with missing values dropped" if n else ""


def decimals(values: np.ndarray) -> int:
    """Decimals that give the smallest number of the column four significant digits, at least 4 and at most
    10.
    """
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    return int(np.clip(3 - np.floor(np.log10(sizes.min())), 4, 10)) if len(sizes) else 4


def numbers(values: np.ndarray) -> list[str]:
    """A column of numbers with as many decimals as `decimals` says; in powers of ten where that would not do."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    wide = len(sizes) and (sizes.max() >= 1e10 or sizes.min() < 1e-8)
    form = ".4e" if wide else f".{decimals(values)}f"
    return ["NA" if np.isnan(v) else f"{v:{form}}" for v in values]


def p_value(p: float) -> str:
    if np.isnan(p):
        return "NA"
    return "<2e-16" if p < 2e-16 else f"{p:.3g}" if p < 1e-4 else f"{p:.5f}"


def stars(p: float) -> str:
    return next((stars for limit, stars in _STARS if p <= limit), "")


def align(rows: list[list[str]], left: tuple[int, ...], indent: str = "") -> list[str]:
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    return [
        indent
        + " ".join(
            cell.ljust(w) if c in left else cell.rjust(w) for c, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def table(head: list[str], rows: list[list[str]], strong_to: Mapping[int, Sequence[float]] | None = None) -> str:
    """An HTML table.  strong_to: column -> how many digits of each number are shown in strong type."""
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = ""
    for r, row in enumerate(rows):
        shown = [escape(cell) for cell in row]
        for c, digits in (strong_to or {}).items():
            shown[c] = strong(row[c], digits[r])
        body += "<tr>" + "".join(f"<td>{cell}</td>" for cell in shown) + "</tr>"
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def strong(number: str, digits: float) -> str:
    """HTML of a number: its first `digits` significant digits strong, the others grey.  A text as it is."""
    found = re.fullmatch(r"([+-]?)([0-9.]+)(e[+-]?[0-9]+)?", number)
    if found is None or np.isnan(digits):
        return escape(number)
    sign, mantissa, power = found[1], found[2], found[3] or ""
    places = [place for place, character in enumerate(mantissa) if character != "."]
    first = next((k for k, place in enumerate(places) if mantissa[place] != "0"), len(places))
    end = first + int(digits)
    cut = len(mantissa) if end >= len(places) else places[end - 1] + 1
    cut = 0 if int(digits) == 0 else cut
    strong_part = f"<b>{sign}{mantissa[:cut]}</b>" if cut else sign
    rest = f'<span style="color:grey">{mantissa[cut:]}</span>' if cut < len(mantissa) else ""
    return strong_part + rest + power
