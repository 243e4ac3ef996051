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
    means = [_rounded(gram.fraction(j, intercept) / total) if j != intercept else 0.0 for j in range(c)]
    return np.array(means)


def _rounded(value: Fraction) -> float:
    return _quotient(value.numerator, value.denominator)


def products(gram: Gram, centre: Floats, intercept: int | None, less: ExactSum | None = None) -> Floats:
    """Cross-products (p + 1, p + 1) of the columns less their centres, less the sums `less` (lower triangle row by
    row): exact, then rounded.   The gram holds no decimals, so that everything is an integer times a power of two.
    """
    c = gram.columns
    ratios = [m.as_integer_ratio() for m in centre.tolist()]
    fine: int = max(below.bit_length() - 1 for _, below in ratios)
    unit = min(min(gram.low, default=0) * 2 + gram.weight_low - 2 * fine, -1074)  # 2^unit counts everything

    def entry(i: int, j: int) -> int:
        return gram.entry(i, j) << (gram.low[i] + gram.low[j] + gram.weight_low - unit - 2 * fine)

    means = [above << (fine - below.bit_length() + 1) for above, below in ratios]
    sums = [0] * c if intercept is None else [entry(j, intercept) for j in range(c)]
    total = 0 if intercept is None else sums[intercept]
    taken = iter([0] * (c * (c + 1) // 2) if less is None else _integers(less))
    out = np.empty((c, c))
    for i in range(c):
        for j in range(i + 1):
            moved = ((means[i] * sums[j] + means[j] * sums[i]) << fine) - means[i] * means[j] * total
            value = (entry(i, j) << 2 * fine) - moved - (next(taken) << (-1074 - unit))
            out[i, j] = out[j, i] = _quotient(value, 1 << -unit)
    return out


def _integers(sums: ExactSum) -> list[int]:
    """Sums in units of 2^-1074."""
    rows = sums.digits.reshape(-1, sums.digits.shape[-1]).tolist()
    return [sum(int(digit) << (32 * k) for k, digit in enumerate(row) if digit) for row in rows]


def _quotient(above: int, below: int) -> float:
    try:
        return float(above / below)
    except OverflowError as error:
        raise DataError(
            "a sum of squares is larger than the largest float64 (1.8e308): rescale columns or response"
        ) from error
