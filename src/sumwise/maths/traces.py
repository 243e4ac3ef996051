"""Traces tr K^-1 K_k K^-1 K_l for the second derivatives of log det K, K_k = E_k'Z'WZ Lambda + its transpose.

With N = K^-1 and x over the columns of a unit matrix, the trace is the sum of (N x)' K_k N K_l x.  Components do not
meet, so one unit matrix serves them all.  Where a component has many effects, two other ways keep the columns few:

  - when the factor of Lambda_k has few levels, 2 tr E_k'Z'WZ Lambda N K_l N needs columns for its own effects only:
  exact; - when both have many, vectors of random signs stand in for the unit matrix: their mean is an estimate whose
  error comes
    from the elements off the diagonal alone [Hutchinson 1990].  It is enough to steer by.  The signs follow from the
    place of an effect in its component and from nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.crossing import FEW, FEW_OF_FACTOR, Part
from sumwise.maths.effects import Effects, Place, minus, picked, placed, plus, rotated, scaled, side_by_side, zeros
from sumwise.maths.elimination import Elimination, PartProducts
from sumwise.maths.exact import ExactSum

Floats = NDArray[np.float64]
Pair = tuple[int, int]

SIGNS = 16
"""Vectors of random signs: a power of two, so that their mean rounds nothing."""

AT_ONCE = 64
"""Columns of the unit matrix that are taken together."""


def traces(
    values: PartProducts, at: Elimination, Lambda: Sequence[Floats], places: Sequence[Place], *, exact: bool
) -> dict[Pair, ExactSum]:
    """Minus the traces, for places i and j with j <= i.  exact: by unit matrices, whatever they cost."""
    part, k = values.part, len(places)
    total = {(i, j): ExactSum.zeros() for i in range(k) for j in range(i + 1)}
    left = set(total)
    if part.size > FEW and not exact:
        for f in range(len(values.factors)):
            wanted = {(i, j) for i, j in left if f in (places[i][0], places[j][0])}
            if wanted and part.of_factor[f] <= FEW_OF_FACTOR:
                total |= _by_factor(values, at, Lambda, places, f, wanted)
                left -= wanted
    if left:
        for x, weight in _probes(part, exact=exact):
            for pair, found in _by_probes(values, at, Lambda, places, x, weight, left).items():
                total[pair] += found
    return total


def _by_probes(
    values: PartProducts,
    at: Elimination,
    Lambda: Sequence[Floats],
    places: Sequence[Place],
    x: Effects,
    weight: float,
    wanted: set[Pair],
) -> dict[Pair, ExactSum]:
    """Minus the sums of (N x)' K_k N K_l x, the mean over both orders of k and l, times the weight."""
    count, through = x[0].shape[2], minus(values.subtract(zeros(x), scaled(Lambda, x)))
    right = [x]
    for place in places:
        A = minus(values.subtract(zeros(x), placed(x, place)))
        right.append(plus(picked(through, place), rotated(Lambda, A)))  # K_l x
    solved = at.solve(side_by_side(right))
    after = minus(values.subtract(zeros(solved), scaled(Lambda, solved)))
    first = slice(0, count)

    def half(i: int, j: int) -> ExactSum:
        f, a, b = places[i]
        some = slice((j + 1) * count, (j + 2) * count)
        one = solved[f][:, b, first] * after[f][:, a, some] + after[f][:, a, first] * solved[f][:, b, some]
        return ExactSum.of((-0.5 * weight * one).reshape(-1))

    return {(i, j): half(i, j) + half(j, i) for i, j in sorted(wanted)}


def _by_factor(
    values: PartProducts,
    at: Elimination,
    Lambda: Sequence[Floats],
    places: Sequence[Place],
    f: int,
    wanted: set[Pair],
) -> dict[Pair, ExactSum]:
    """Minus 2 tr E_k'Z'WZ Lambda N K_l N for places k of factor f: sums of v'K_l w over its levels, with columns
    v = N Lambda'Z'WZ e_a and w = N e_b.
    """
    q, width = values.factors[f].effects, values.part.of_factor[f]
    count = -(-width // 8) * 8
    x = [np.zeros((*index.shape, count)) for index in values.part.own_index]
    x[f][:] = values.part.own_index[f][:, :, None] == np.arange(count)
    right = [rotated(Lambda, minus(values.subtract(zeros(x), x))), x]
    solved = at.solve(side_by_side(right))
    after = minus(values.subtract(zeros(solved), scaled(Lambda, solved)))
    out = {}
    for i, j in sorted(wanted):
        (_, a, b), (g, c, d) = (places[i], places[j]) if places[i][0] == f else (places[j], places[i])
        v, w = slice(a, width, q), slice(count + b, count + width, q)
        both = solved[g][:, d, v] * after[g][:, c, w] + after[g][:, c, v] * solved[g][:, d, w]
        out[i, j] = ExactSum.of((-2 * both).reshape(-1))
    return out


def _probes(part: Part, *, exact: bool) -> Iterator[tuple[Effects, float]]:
    """Sets of vectors, per factor (levels, q, count), and the weight of each product."""
    if part.size > FEW and not exact:
        yield [_signs(index) for index in part.index], 1 / SIGNS
        return
    for first in range(0, part.size, AT_ONCE):
        count = min(AT_ONCE, -(-(part.size - first) // 8) * 8)
        yield [1.0 * (index[:, :, None] == first + np.arange(count)) for index in part.index], 1.0


def _signs(index: NDArray[np.int64]) -> Floats:
    """(levels, q, SIGNS) of 1 and -1: bits mixed from the index [SplitMix64's finaliser; Steele, Lea & Flood 2014]."""
    x = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    bits = (x[:, :, None] >> np.arange(SIGNS, dtype=np.uint64)) & np.uint64(1)
    return 1.0 - 2.0 * bits.astype(np.float64)
