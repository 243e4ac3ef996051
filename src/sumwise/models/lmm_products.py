"""Centred cross-products from exact ones, rounded once."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.maths.exact import ExactSum
from sumwise.maths.gram import Gram

Floats = NDArray[np.float64]


def centre_of(gram: Gram, intercept: int | None) -> Floats:
    """(p + 1,) weighted means of columns and response, rounded; zero for the intercept, all zero without one."""
    c = gram.columns
    if intercept is None:
        return np.zeros(c)
    total = gram.fraction(intercept, intercept)
    means = [_float(gram.fraction(j, intercept) / total) if j != intercept else 0.0 for j in range(c)]
    return np.array(means)


def products(gram: Gram, centre: Floats, intercept: int | None, less: ExactSum | None = None) -> Floats:
    """Cross-products (p + 1, p + 1) of the columns less their centres, less the sums `less` (lower triangle row by
    row): exact, then rounded.
    """
    c = gram.columns
    means = [Fraction(m) for m in centre.tolist()]
    sums = [Fraction(0)] * c if intercept is None else [gram.fraction(j, intercept) for j in range(c)]
    total = Fraction(0) if intercept is None else sums[intercept]
    taken = iter([Fraction(0)] * (c * (c + 1) // 2) if less is None else less.fractions())
    out = np.empty((c, c))
    for i in range(c):
        for j in range(i + 1):
            moved = means[i] * sums[j] + means[j] * sums[i] - means[i] * means[j] * total
            out[i, j] = out[j, i] = _float(gram.fraction(i, j) - moved - next(taken))
    return out


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise DataError(
            "a sum of squares is larger than the largest float64 (1.8e308): rescale columns or response"
        ) from error
