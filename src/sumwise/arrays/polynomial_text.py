"""A polynomial fit in words, as text and as HTML."""

from __future__ import annotations

from fractions import Fraction
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from sumwise.arrays.words import counted, freedom, number, within
from sumwise.errors import DataError
from sumwise.maths.student import two_sided
from sumwise.printing import align, digits_text, paragraph, table

if TYPE_CHECKING:
    from sumwise.arrays.polynomial import PolynomialFit

WORTHWHILE = 20_000
"""Largest number of points times coefficients for which the printed fit works out digits,"""
BITS, OVERHEAD = 150_000_000, 400
"""and of bits multiplied on the way."""


def names(basis: str, degree: int, mapped: bool) -> list[str]:
    """Of the coefficients: 1, x, x^2, ...; T0(t), ... (Chebyshev); P0(t), ... (Legendre); Q0(t), ... (orthogonal)."""
    if basis == "monomial":
        variable = "t" if mapped else "x"
        return ["1", variable, *(f"{variable}^{j}" for j in range(2, degree + 1))][: degree + 1]
    letter = {"chebyshev": "T", "legendre": "P", "orthogonal": "Q"}[basis]
    return [f"{letter}{j}(t)" for j in range(degree + 1)]


def verdict(fit: PolynomialFit, distinct: int) -> tuple[str, str]:
    """(code, text)"""
    wanted = fit.degree + 1
    same = f" ({fit.nobs} points, {distinct} distinct x)" if distinct < fit.nobs else ""
    if fit.rank < wanted:
        only = "determines only" if distinct == 1 else "determine only"
        through = "pass through every point" if distinct == fit.nobs else "fit equally well"
        return "underdetermined", (
            f"Degree {fit.degree} has {wanted} coefficients, but {distinct} distinct x {only} {distinct} of "
            f"them{same}: rank {fit.rank}. Infinitely many polynomials of this degree {through}. This is the one whose "
            f"coefficients in the {fit.basis} basis have the least sum of squares; another basis or domain gives "
            "another polynomial, which agrees at the points and nowhere else. Values between and beyond the points "
            f"mean nothing. Use degree {distinct - 1} for the only one of lowest degree, less to average noise out."
        )
    if wanted == distinct == fit.nobs:
        return "interpolates", (
            f"Degree {fit.degree} through {counted(distinct, 'point')}: the polynomial passes through every one, noise "
            "included. No residual is left to judge it by, and no standard error. Use a lower degree to see its fit."
        )
    determine = "determines" if fit.nobs == 1 else "determine"
    return "determined", (
        f"{counted(fit.nobs, 'point')}{f' ({distinct} distinct x)' if same else ''} {determine} "
        f"{counted(wanted, 'coefficient')}; {freedom(fit.df_resid)} {'is' if fit.df_resid == 1 else 'are'} left."
    )


def _end(value: Fraction) -> str:
    try:
        return f"{float(value):.6g}"
    except OverflowError:
        return "beyond 1.8e308"


def text(fit: PolynomialFit) -> str:
    """The printed fit."""
    lines = [_title(fit), "", *align(_cells(fit), gap="  "), "", _criteria(fit)]
    lines += [paragraph(note) for note in _notes(fit)]
    return "\n".join(line.rstrip() for line in lines)


def html(fit: PolynomialFit) -> str:
    """The same as a table; digits that the inputs do not support in weak type."""
    head, *body = _cells(fit)
    limits = fit.printed_limits
    strong_to = None if limits is None else {1: limits.tolist()}
    notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in _notes(fit))
    return (
        f"<div><p><b>{escape(_title(fit))}</b></p>{table(head, body, strong_to)}"
        f"<p>{escape(_criteria(fit))}</p>{notes}</div>"
    )


def _title(fit: PolynomialFit) -> str:
    points = counted(fit.nobs, "point")
    return f"Exact least-squares polynomial of degree {fit.degree}, {fit.basis} basis: {points}, rank {fit.rank}"


def _cells(fit: PolynomialFit) -> list[list[str]]:
    limits = fit.printed_limits
    head = ["", "Estimate", "Std. Error", "t value", "Pr(>|t|)"] + (["digits"] if limits is not None else [])
    seen = fit.system.lenient()
    t = seen.t[:, 0]
    show_t = number if fit.powers.fits_exactly(0) else within
    rows = [
        [name, within(b, 10), within(s), show_t(t, 4), number(p, 3)]
        for name, b, s, t, p in zip(
            fit.names, seen.coef[:, 0], seen.se[:, 0], t, two_sided(t, fit.df_resid), strict=True
        )
    ]
    if limits is not None:
        rows = [[*row, digits_text(limit)] for row, limit in zip(rows, limits, strict=True)]
    return [head, *rows]


def dear(fit: PolynomialFit) -> bool:
    """Whether digits cost too much to be printed unasked."""
    size = fit.degree + 1
    bits = max(abs(v) for v in fit.x.values).bit_length()
    return fit.nobs * size > WORTHWHILE or fit.nobs * size**2 * (size * bits + OVERHEAD) > BITS


def limits(fit: PolynomialFit) -> np.ndarray | None:
    """(degree + 1,) digits that the printed inputs support; None where they are exact, and where
    that is undefined, dear or beyond float64."""
    if fit.rank <= fit.degree or dear(fit) or not _off(fit):
        return None
    try:
        return fit.digits()["data_limited"].to_numpy()
    except DataError:
        return None


def _off(fit: PolynomialFit) -> bool:
    """Whether any point may be off."""
    return any(error.any() for error in fit.errors("printed"))


def _criteria(fit: PolynomialFit) -> str:
    seen = fit.powers.lenient()
    return (
        f"Residual sum of squares {within(seen.rss[0])}, residual sd {within(seen.sigma[0])} on "
        f"{freedom(fit.df_resid)}, R2 {number(seen.r2[0])} about the mean"
    )


def _notes(fit: PolynomialFit) -> list[str]:
    notes = [f"Verdict: {fit.verdict.text}"]
    if fit.basis != "monomial" or fit.domain is not None:
        low, high = fit.domain_of(fit.basis)
        notes.append(f"t = (2x - a - b) / (b - a) with a = {_end(low)}, b = {_end(high)}.")
    last = "Every number is the exact result for these points, rounded once."
    if fit.printed_limits is not None:
        last += (
            " digits: how many would survive if every x and y were good only to half a unit of its last printed "
            "decimal (whole numbers count as exact)."
        )
    elif fit.rank > fit.degree and dear(fit) and _off(fit):
        last += " How many digits of them the points support takes longer: .digits() says it."
    return [*notes, last]
