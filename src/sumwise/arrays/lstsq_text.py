"""A least-squares fit of arrays as text and as HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from sumwise.arrays.digits import errors_of
from sumwise.errors import DataError
from sumwise.maths.least_squares import Dependence
from sumwise.printing import align, combination, digits_text, paragraph, table

if TYPE_CHECKING:
    from sumwise.arrays.lstsq import LstsqResult

WORTHWHILE = 1_000_000
"""Largest n p^2 for which the printed fit works out the digits that the inputs support."""

LONG = 160
"""Letters of a combination of columns that is left to `.dependent`."""


def text(fit: LstsqResult) -> str:
    """The printed fit."""
    head, *body = _cells(fit)
    lines = [_title(fit), "", *align([head, *body], gap="  "), "", _criteria(fit)]
    lines += [paragraph(note) for note in _notes(fit)]
    return "\n".join(line.rstrip() for line in lines)


def html(fit: LstsqResult) -> str:
    """The same as a table; digits that the inputs do not support in weak type."""
    head, *body = _cells(fit)
    limits = fit.printed_limits
    strong_to = {1: limits.tolist()} if limits is not None and fit.flat else None
    notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in _notes(fit))
    return (
        f"<div><p><b>{escape(_title(fit))}</b></p>{table(head, body, strong_to)}"
        f"<p>{escape(_criteria(fit))}</p>{notes}</div>"
    )


def dependences(found: Sequence[Dependence], names: Sequence[str]) -> dict[str, str]:
    """{dependent column: how it follows from the others, in words}"""
    return {names[d.column]: combination(d.coefficients, names) for d in found}


def told(name: str, how: str) -> str:
    """One dependence as part of a sentence."""
    return f"{name} is zero in every row" if how == "0" else f"{name} = {how}"


def _title(fit: LstsqResult) -> str:
    shape = f"{counted(fit.nobs, 'row')}, {counted(len(fit.names), 'column')}, rank {fit.rank}"
    weighted = "Weighted e" if fit.rows is not None and fit.rows.weights is not None else "E"
    return f"{weighted}xact least squares: {shape}"


def _cells(fit: LstsqResult) -> list[list[str]]:
    """Head and rows: one row a coefficient; with several responses one column of estimates each."""
    if not fit.flat:
        return [["", *fit.responses]] + [
            [name, *(f"{v:.10g}" for v in row)] for name, row in zip(fit.names, fit.coef, strict=True)
        ]
    limits = fit.printed_limits
    head = ["", "Estimate", "Std. Error", "t value", "Pr(>|t|)"] + (["digits"] if limits is not None else [])
    rows = []
    for i, name in enumerate(fit.names):
        cells = [name, f"{fit.coef[i]:.10g}", number(fit.se[i]), number(fit.t[i], 4), number(fit.p_value[i], 3)]
        rows.append(cells + ([digits_text(limits[i])] if limits is not None else []))
    return [head, *rows]


def counted(n: int, noun: str) -> str:
    """1 row, 2 rows"""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def freedom(df: int) -> str:
    """1 degree of freedom, 2 degrees of freedom"""
    return f"{counted(df, 'degree')} of freedom"


def number(value: float, digits: int = 6) -> str:
    """A number for the eye; NA for nan."""
    return "NA" if np.isnan(value) else f"{value:.{digits}g}"


def _shown(value: Callable[[], float]) -> str:
    try:
        return number(value())
    except DataError:  # the result itself can be read; this part of it is beyond float64
        return "> 1.8e308"


def limits(fit: LstsqResult) -> np.ndarray | None:
    """(p,) digits that the printed inputs support; None where they are exact, and where that
    is unknown, undefined or dear."""
    n, p = fit.nobs, len(fit.names)
    if fit.rows is None or not fit.flat or fit.rank < p or n * p * p > WORTHWHILE:
        return None
    if not any(error.any() for error in errors_of(fit.rows, "printed")):
        return None
    return fit.digits()["data_limited"].to_numpy()


def _criteria(fit: LstsqResult) -> str:
    about = "about the mean" if fit.system.centred else "about zero"
    if fit.flat:
        return (
            f"Residual sum of squares {_shown(lambda: fit.rss)}, residual sd {_shown(lambda: fit.sigma)} on "
            f"{freedom(fit.df)}, R2 {number(fit.r2)} {about}"
        )
    parts = [
        f"{name}: residual sum of squares {number(s)}, R2 {number(r)}"
        for name, s, r in zip(fit.responses[:10], fit.rss, fit.r2, strict=False)
    ]
    return "; ".join(parts) + f"; R2 {about}, {freedom(fit.df)}"


def _notes(fit: LstsqResult) -> list[str]:
    notes = []
    found = list(fit.dependent.items())
    if found:
        how = "; ".join(told(name, combined) for name, combined in found[:5] if len(combined) < LONG)
        how = how or "each of them is a combination of many"
        listed = sum(1 for _, combined in found[:5] if len(combined) < LONG)
        more = f"; and {len(found) - listed} more" if 0 < listed < len(found) else ""
        plural = "columns depend" if len(found) > 1 else "column depends"
        notes.append(
            f"Rank {fit.rank}: {len(found)} {plural} exactly on earlier ones: {how}{more}. Infinitely many solutions "
            f"fit equally well; this is the one of least norm. {_unique(fit)}"
        )
    if fit.df == 0:
        notes.append(
            "No residual degrees of freedom: the fit passes through every row, so there are no standard errors."
        )
    notes.append("Every number is the exact result for these inputs, rounded once.")
    if fit.printed_limits is not None:
        notes[-1] += (
            " digits: how many would survive if every input were good only to half a unit of its last printed decimal "
            "(whole numbers and constant columns count as exact)."
        )
    return notes


def _unique(fit: LstsqResult) -> str:
    known = [name for name, sure in zip(fit.names, fit.estimable, strict=True) if sure]
    if not known:
        return "No coefficient is unique; fitted values are."
    listed = ", ".join(f"'{name}'" for name in known[:8]) + (", ..." if len(known) > 8 else "")
    return f"Unique: {listed}, and fitted values."
