"""How results look on paper and in a notebook: aligned and HTML tables, trusted digits, combinations of columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from html import escape
from textwrap import fill

import numpy as np

from sumwise.maths.conditioning import MOST_DIGITS

_LONGEST = 12
"""Characters of a fraction that is written out; a longer one is shown rounded."""


def paragraph(text: str) -> str:
    """One line of a summary, broken where it is long."""
    return fill(text, width=100, subsequent_indent="  ", break_on_hyphens=False)


def align(rows: Sequence[Sequence[str]], left: tuple[int, ...] = (0,), indent: str = "", gap: str = " ") -> list[str]:
    """Rows of cells as lines, columns as wide as their widest cell; columns in `left` start at the left."""
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    return [
        indent
        + gap.join(
            cell.ljust(w) if c in left else cell.rjust(w) for c, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], strong_to: Mapping[int, Sequence[float]] | None = None
) -> str:
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


def digits_text(digits: float) -> str:
    """How many digits, for a table."""
    return "NA" if np.isnan(digits) else "all" if digits >= MOST_DIGITS else f"{digits:.1f}"


def combination(coefficients: Mapping[int, Fraction], names: Sequence[str]) -> str:
    """A sum of columns, "2 * x - 3 * z + 5": the constant last, "0" for none."""
    places = sorted((c for c in coefficients if coefficients[c]), key=lambda c: (names[c] == "(Intercept)", c))
    terms = [_term(names[c], coefficients[c]) for c in places]
    more = f" and {len(terms) - 8} more terms" if len(terms) > 8 else ""
    text = " ".join(terms[:8]) + more
    return text.removeprefix("+ ").replace("- ", "-", text.startswith("- ")) or "0"


def _term(name: str, coefficient: Fraction) -> str:
    sign, size = "-" if coefficient < 0 else "+", _size(abs(coefficient))
    if name == "(Intercept)":
        return f"{sign} {size}"
    return f"{sign} {name}" if size == "1" else f"{sign} {size} * {name}"


def _size(value: Fraction) -> str:
    text = str(value)
    if len(text) <= _LONGEST:
        return text
    rounded = float(value)
    return repr(rounded) if Fraction(rounded) == value else f"{rounded:.6g} (rounded)"
