"""What a linear mixed model cannot be fitted to, in words: which term, column or response, how large, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import fsum, log10
from typing import NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.maths.cholesky import cholesky, first_dependence
from sumwise.models.lmm_messages import Moments
from sumwise.models.lmm_products import products
from sumwise.models.refusals import refuse_collinear

Floats = NDArray[np.float64]

LEAST_PIVOT = 1e-12
"""A column is collinear when the columns before it explain all but this share of its sum of squares."""

SMALLEST_SQUARE = Fraction(1, 2**960)
"""Sums of squares below this lose digits in products, or vanish."""

LEAST_RESIDUAL = 1e-20
"""The fit is perfect when columns and groups explain all but this share of the response's sum of squares."""


@dataclass(frozen=True, slots=True)
class Term:
    """A term in brackets.  group: name of its grouping factor; effects: names of its effects."""

    group: str
    effects: tuple[str, ...]

    @property
    def text(self) -> str:
        """As it is written."""
        names = ["1" if name == "(Intercept)" else name for name in self.effects]
        return f"({' + '.join(names if '1' in names else ['0', *names])} | {self.group})"


class Model(Protocol):
    """What the messages need of the model."""

    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def terms(self) -> tuple[Term, ...]: ...
    @property
    def weights(self) -> str | None: ...
    @property
    def intercept(self) -> int | None: ...


def check_counts(moments: Moments, model: Model) -> None:
    """Raises DataError where there are not rows or groups enough."""
    p, n = len(model.columns), moments.rows
    if not n:
        raise DataError(f"the weights '{model.weights}' are zero in all {moments.ignored} rows: no row is left to fit")
    for term, groups, alone in zip(model.terms, moments.groups, moments.alone, strict=True):
        _check_term(term, groups, alone, n)
    if n <= p:
        raise DataError(f"{n} rows cannot tell {p} coefficients and a residual variance: more than {p} rows are needed")
    names = [(term, effect) for term in model.terms for effect in term.effects]
    for (term, effect), square in zip(names, moments.squares.round(), strict=True):
        if square == 0:
            raise DataError(
                f"'{effect}' is zero in every row: its variance in {term.text} cannot be estimated; leave it out"
            )


def check_columns(moments: Moments, model: Model, centre: Floats) -> None:
    """Raises DataError where columns or response cannot identify the model."""
    p, n = len(model.columns), moments.rows
    for j, name in enumerate((*model.columns, "the response")):
        square = moments.gram.fraction(j, j)
        if 0 < square < SMALLEST_SQUARE:
            raise DataError(
                f"{name if j == p else f'column {name!r}'}: values are so small that squares of them leave the range "
                f"of floating point (their sum of squares is {_power_of_ten(square)}); change the unit"
            )
    gram = products(moments.gram, centre, model.intercept)
    X = gram[:p, :p].copy()
    if model.intercept is not None:  # centred, it stands apart from the other columns
        X[model.intercept, model.intercept] = float(moments.gram.fraction(model.intercept, model.intercept))
        for j in range(p):
            if j != model.intercept and _nothing(X[j, j], moments, j, centre):
                X[j, :] = X[:, j] = 0.0
    found = first_dependence(X, LEAST_PIVOT) if p else None
    if found is not None:
        refuse_collinear(found, model.columns)
    if _nothing(gram[p, p], moments, p, centre):
        value = f" ({centre[p]:.6g})" if model.intercept is not None else " (zero)"
        raise DataError(
            f"the response is the same in all {n} rows{value}: there is nothing to explain; check the response"
        )


def _nothing(square: float, moments: Moments, j: int, centre: Floats) -> bool:
    """Whether what is left of a column about its mean is the rounding of that mean."""
    whole = float(moments.gram.fraction(j, j))
    return square <= 1e-30 * whole if centre[j] != 0 else square == 0


def _power_of_ten(value: Fraction) -> str:
    """About how large, where no float64 is."""
    return f"about 1e{round((value.numerator.bit_length() - value.denominator.bit_length()) * log10(2))}"


def _check_term(term: Term, groups: int, alone: int, rows: int) -> None:
    effects = len(term.effects)
    if groups < 2:
        raise DataError(
            f"the grouping factor '{term.group}' has a single group: the variance between groups cannot be estimated; "
            f"leave out {term.text}, or give more groups"
        )
    if alone == groups:
        raise DataError(
            f"each of the {groups} groups of '{term.group}' is a single row: the variance between groups cannot be "
            f"told from the residual variance; leave out {term.text}, or give groups of several rows"
        )
    if groups < effects:
        raise DataError(
            f"{term.text} has {effects} effects but '{term.group}' only {groups} groups: their covariance cannot be "
            f"estimated; leave out effects, or give at least {effects} groups"
        )
    if groups * effects >= rows:
        raise DataError(
            f"{term.text} has {effects} effects in each of {groups} groups, {groups * effects} in all, for {rows} "
            f"rows: their variance cannot be told from the residual variance; leave out effects"
        )


def check_residual(within: Floats, moments: Moments, model: Model, centre: Floats) -> None:
    """Raises DataError where columns and groups together explain the response exactly.

    within (p + 1, p + 1): cross-products of columns and response less what each group's own effects explain.
    """
    p = len(model.columns)
    effects = sum(g * len(t.effects) for g, t in zip(moments.groups, model.terms, strict=True))
    if effects + p >= moments.rows:
        return  # nothing is left to judge by
    total = products(moments.gram, centre, model.intercept)
    kept = [j for j in range(p) if within[j, j] > LEAST_PIVOT * total[j, j]]
    left = within[p, p]
    factor = cholesky(within[np.ix_(kept, kept)], least_pivot=LEAST_PIVOT) if kept else None
    if factor is not None:
        left = fsum([left, *(-within[kept, p] * factor.solve(within[kept, p]))])
    # beyond 2^-53 of what was subtracted, a residual is rounding
    noise = max(LEAST_RESIDUAL * total[p, p], 2.0**-48 * within[p, p] if factor is not None else 0.0)
    if left <= noise:
        named = " and ".join(dict.fromkeys(term.text for term in model.terms))
        raise DataError(
            f"the fit is perfect: columns and {named} explain the response exactly in all {moments.rows} rows, so that "
            f"the residual variance is zero and the likelihood has no maximum; check the response, or fit fewer terms"
        )


def refuse_runaway(model: Model) -> NoReturn:
    """Raises DataError: variances grow without bound."""
    named = " and ".join(dict.fromkeys(term.text for term in model.terms))
    raise DataError(
        f"the variance of {named} grows without bound beside the residual variance: within groups (almost) nothing is "
        f"left to explain; check the response, or leave out effects"
    )
