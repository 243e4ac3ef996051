"""Pieces that the summaries of all models share: numbers as R prints them, who is in the sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sumwise.results.fit import Fit

_STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."))
LEGEND = "Signif. codes:  0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1"


def sites(fit: Fit) -> str:
    """How many sites are in the sum."""
    n = len(fit.site_records)
    return f"{n} sites" if n > 1 else "1 site"


def dropped(fit: Fit) -> str:
    """Rows left out because of missing values, "" if none."""
    n = sum(site.dropped or 0 for site in fit.site_records)
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
