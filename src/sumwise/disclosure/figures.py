"""Figures of columns of numbers: on how many rows they rest, and how far one row stands out.

The effective count of numbers a_1..a_n is (sum |a|)^2 / sum a^2: n where all are alike, k where k of them are alike
and the rest vanish, and near 1 where a single one outweighs all others, however many others there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.columns import Column, cross_products, times
from sumwise.maths.least_squares import LeastSquares

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK = 1 << 14
"""Rows handled at a time where each needs as many numbers as there are columns."""

PIECE = 512
"""Rows added up at once on the way to a median."""

MOST_GAPS = 100
"""Gaps between digits are looked for among so many rows of finest digits."""


def effective_count(values: Floats) -> float:
    """(sum |a|)^2 / sum a^2; inf where all are zero, 0 where one is no finite number."""
    size = np.abs(values)
    largest = float(size.max(initial=0.0))
    if not math.isfinite(largest):
        return 0.0
    if largest == 0:
        return math.inf
    size /= largest  # squares neither overflow nor vanish
    return float(np.sum(size)) ** 2 / float(np.sum(np.square(size, out=size)))


def effective(x: Floats, weights: Floats, order: Ints | None = None) -> float:
    """Effective count of the terms w (x - c) of a column's sum, c its weighted median.

    Why the median.  A column whose sums single out k rows equals some c in all rows but those k, or nearly so: 0 and
    1e-9 for 499 rows each, and 1 for one, is such a column, and so is one of random numbers below 1e-9 with a single
    1.  More than half of the weight then lies at c, or next to it, so that is where the median lies.  The most
    frequent value misses the second (no number is frequent, or the rare one is, when it comes twice) and sees 998
    rows that differ; the mean lies off c, where the 998 rows count again: four times as many as there are.   For a
    column of two values the count is that of the rarer one.   inf for a constant column.   order: argsort of x.
    """
    total = float(np.sum(weights))
    if not (0 < total < math.inf):
        return 0.0
    away = np.abs(x - _median(x, weights, np.argsort(x) if order is None else order))
    largest = float(away.max())
    if largest > 0:
        away /= largest
        away *= weights
    return effective_count(away)


def _median(x: Floats, weights: Floats, order: Ints) -> float:
    """The first x, by size, at which half of the weight is reached.  Of pieces of rows first, then within one: a
    running sum over all rows takes longer than all else.
    """
    by_size = weights[order]
    first = np.arange(0, len(x), PIECE)
    below = np.cumsum(np.add.reduceat(by_size, first))
    half = below[-1] / 2
    piece = min(int(np.searchsorted(below, half)), len(first) - 1)
    some = slice(int(first[piece]), int(first[piece]) + PIECE)
    within = np.cumsum(by_size[some]) + (below[piece - 1] if piece else 0.0)
    at = min(int(np.searchsorted(within, half)), len(within) - 1)
    return float(x[order[some][at]])


def leverage(columns: Sequence[Column], weights: Floats | None) -> float:
    """The largest share that one row has in the sum of squares of any combination of columns:

        max_i max_v  w_i (x_i'v)^2 / sum_j w_j (x_j'v)^2   =   max_i w_i x_i' (X'WX)^-1 x_i

    1 where some combination is zero but in one row.  From exact cross-products and a root of their inverse in twice
    the precision, so that columns which differ in the last bit of one row are told apart, as an attacker can.
    """
    if not columns or not len(columns[0]):
        return 0.0
    high, low = whitening(columns, weights)
    if not high.shape[1]:
        return 0.0
    most = 0.0
    for first in range(0, len(columns[0]), BLOCK):
        some = slice(first, first + BLOCK)
        with np.errstate(over="ignore", invalid="ignore"):
            rooted = times([column.rows(some) for column in columns], high, low)
            if weights is not None:
                rooted = rooted * np.sqrt(weights[some, None])
            most = float(np.maximum(most, np.square(rooted).sum(axis=1).max()))  # a nan stays, and is refused
    return most


def whitening(columns: Sequence[Column], weights: Floats | None) -> tuple[Floats, Floats]:
    """R (columns, rank) with R'X'WXR = I, as high and low parts, from exact cross-products."""
    gram = cross_products(columns, None if weights is None else Column((weights,)))
    high, low = (part.T for part in LeastSquares(gram, range(len(columns)), ()).root_pair)
    return high, low


def told(share: float, others: int) -> float:
    """The share of one in the squares of a sum; 0 where so many others hide it.

    They add at most sqrt(others (1 - share) / share) times what the one adds, and hide it from a tenth of it on.
    """
    return 0.0 if others * (1 - share) > 0.01 * share else share


def digit_gaps(x: Floats) -> tuple[float, ...]:
    """How much finer, in bits, the last digits of the k rows with the finest ones are than those of all other rows,
    for k = 1, 2, ...

    Sums are exact.  Where one value is 1e-9 and all others are whole numbers, the digits of sum x z below the point
    are those of this row's z alone: a near-dummy upside down.
    """
    fraction, exponent = np.frexp(x[x != 0])
    whole = np.abs(np.ldexp(fraction, 53)).astype(np.int64)
    last = exponent - 53 + np.log2((whole & -whole).astype(np.float64))
    few = np.sort(last if len(last) <= MOST_GAPS else np.partition(last, MOST_GAPS)[: MOST_GAPS + 1])
    return tuple(np.diff(few).tolist())


def by_name(names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """A figure for each name."""
    return dict(zip(names, values, strict=True))


def widest(gaps: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """The largest of several lists, place by place."""
    longest = max(map(len, gaps), default=0)
    return tuple(max(g[k] for g in gaps if len(g) > k) for k in range(longest))


def levels(x: Floats) -> list[Floats]:
    """For a column of two values, two indicators (n,); else nothing: it has no cells."""
    low, high = (float(x.min()), float(x.max())) if len(x) else (0.0, 0.0)
    if low == high or not np.all((x == low) | (x == high)):
        return []
    return [(x == low).astype(np.float64), (x == high).astype(np.float64)]


def cells(parts: Sequence[tuple[str, list[Floats]]], counted: NDArray[np.bool_]) -> dict[tuple[str, str], float]:
    """The least effective count over the cells of each two columns; empty cells do not count, as they hold nobody."""
    return {
        (one, two): min(effective_count((a * b)[counted]) for a in first for b in second)
        for (one, first), (two, second) in combinations(parts, 2)
        if first and second
    }


def orders_of(columns: Sequence[Floats]) -> list[Ints]:
    """The rows (n,) of each column by size of the number."""
    return [np.argsort(x) for x in columns]
