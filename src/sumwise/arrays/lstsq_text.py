"""A least-squares fit of arrays as text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from sumwise.arrays.digits import errors_of
from sumwise.arrays.words import counted, freedom, number, within
from sumwise.errors import DataError
from sumwise.maths.least_squares import Dependence
from sumwise.maths.student import two_sided
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
    seen = fit.system.lenient()
    if not fit.flat:
        return [["", *fit.responses]] + [
            [name, *(within(v, 10) for v in row)] for name, row in zip(fit.names, seen.coef, strict=True)
        ]
    limits = fit.printed_limits
    head = ["", "Estimate", "Std. Error", "t value", "Pr(>|t|)"] + (["digits"] if limits is not None else [])
    show_t = number if fit.system.fits_exactly(0) else within  # the t of an exact fit is infinite indeed
    coef, se, t = seen.coef[:, 0], seen.se[:, 0], seen.t[:, 0]
    rows = []
    for i, p in enumerate(two_sided(t, fit.df_resid)):
        cells = [fit.names[i], within(coef[i], 10), within(se[i]), show_t(t[i], 4), number(p, 3)]
        rows.append(cells + ([digits_text(limits[i])] if limits is not None else []))
    return [head, *rows]


def limits(fit: LstsqResult) -> np.ndarray | None:
    """(p,) digits that the printed inputs support; None where they are exact, and where that
    is unknown, undefined or dear."""
    if fit.rows is None or not fit.flat or fit.rank < len(fit.names) or _dear(fit) or not _off(fit):
        return None
    try:
        return fit.digits()["data_limited"].to_numpy()
    except DataError:  # beyond float64, or the rows were changed
        return None


def _dear(fit: LstsqResult) -> bool:
    return fit.nobs * len(fit.names) ** 2 > WORTHWHILE


def _off(fit: LstsqResult) -> bool:
    """Whether any input may be off."""
    return fit.rows is not None and any(error.any() for error in errors_of(fit.rows, "printed"))


def _criteria(fit: LstsqResult) -> str:
    about = "about the mean" if fit.system.centred else "about zero"
    seen = fit.system.lenient()
    if fit.flat:
        return (
            f"Residual sum of squares {within(seen.rss[0])}, residual sd {within(seen.sigma[0])} on "
            f"{freedom(fit.df_resid)}, R2 {number(seen.r2[0])} {about}"
        )
    parts = [
        f"{name}: residual sum of squares {within(s)}, R2 {number(r)}"
        for name, s, r in zip(fit.responses[:10], seen.rss, seen.r2, strict=False)
    ]
    return "; ".join(parts) + f"; R2 {about}, {freedom(fit.df_resid)}"


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
    if fit.df_resid == 0:
        notes.append(
            "No residual degrees of freedom: the fit passes through every row, so there are no standard errors."
        )
    notes.append("Every number is the exact result for these inputs, rounded once.")
    if fit.printed_limits is not None:
        notes[-1] += (
            " digits: how many would survive if every input were good only to half a unit of its last printed decimal "
            "(whole numbers and constant columns count as exact)."
        )
    elif fit.flat and fit.rows is not None and fit.rank == len(fit.names) and _dear(fit):
        notes[-1] += " How many digits of them the inputs support takes longer: .digits() says it."
    return notes


def _unique(fit: LstsqResult) -> str:
    known = [name for name, sure in zip(fit.names, fit.estimable, strict=True) if sure]
    if not known:
        return "No coefficient is unique; fitted values are."
    listed = ", ".join(f"'{name}'" for name in known[:8]) + (", ..." if len(known) > 8 else "")
    return f"Unique: {listed}, and fitted values."
