"""Lower-triangular factors of covariance matrices of random effects, and their parameters theta.

    u ~ N(0, sigma^2 Lambda Lambda'),   Lambda block diagonal, each block lower triangular

theta holds the lower triangles of the blocks one after the other, column by column [Bates et al. 2015, eq. 4].
`blocks` are their sizes: (2,) for (1 + x | g), (1, 1) for (1 + x || g).

Lambda Lambda' does not change when a column changes its sign, nor when columns are rotated among each other.  The
canonical factor has columns whose first entry that is not zero is positive, and where the rank falls short, its zero
columns are the last ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def size(blocks: Sequence[int]) -> int:
    """How many parameters theta has."""
    return sum(s * (s + 1) // 2 for s in blocks)


def columns(blocks: Sequence[int], first: int = 0) -> tuple[tuple[slice, ...], ...]:
    """Where the columns of each block stand, diagonal entry first, in a vector that holds theta from place `first`."""
    found = []
    for s in blocks:
        own = []
        for length in range(s, 0, -1):
            own.append(slice(first, first + length))
            first += length
        found.append(tuple(own))
    return tuple(found)


def entries(blocks: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """(row, column) of each theta in Lambda (q, q)."""
    places: list[tuple[int, int]] = []
    at = 0
    for s in blocks:
        places += [(at + row, at + column) for column in range(s) for row in range(column, s)]
        at += s
    return tuple(places)


def factor(theta: Floats, blocks: Sequence[int]) -> Floats:
    """Lambda (q, q)"""
    L = np.zeros((sum(blocks), sum(blocks)))
    for value, place in zip(theta, entries(blocks), strict=True):
        L[place] = value
    return L


def relative(theta: Floats, blocks: Sequence[int]) -> Floats:
    """Lambda Lambda' (q, q), products added column by column."""
    L = factor(theta, blocks)
    out = np.zeros_like(L)
    for k in range(len(L)):
        out += np.multiply.outer(L[:, k], L[:, k])
    return out


def turning(T: Floats, blocks: Sequence[int]) -> Floats:
    """J (m, m) with J theta the parameters of T Lambda, for T (q, q) with the same lower-triangular blocks."""
    places = entries(blocks)
    return np.array([[T[i, k] if j == column else 0.0 for k, column in places] for i, j in places])


def canonical(theta: Floats, blocks: Sequence[int]) -> Floats:
    """theta of the canonical factor with the same Lambda Lambda'."""
    out = np.array(theta, dtype=np.float64)
    at = 0
    for s in blocks:
        own = slice(at, at + s * (s + 1) // 2)
        out[own] = triangular(factor(out[own], (s,)))
        at = own.stop
    return out


def triangular(F: Floats) -> Floats:
    """theta of the canonical factor L of a single block with L L' = F F', for any F (s, s)."""
    L = F.copy()
    _pack(L)
    _sign(L)
    return np.concatenate([L[c:, c] for c in range(len(L))])


def _pack(L: Floats) -> None:
    """Rotates columns of L (s, s) until it is lower triangular with its columns of zeros last.  Nothing happens to a
    triangle whose diagonal has no zero.
    """
    pivot = 0
    for row in range(len(L)):
        for other in range(pivot + 1, len(L)):
            if L[row, other] == 0:
                continue
            length = sqrt(L[row, pivot] * L[row, pivot] + L[row, other] * L[row, other])
            c, s = L[row, pivot] / length, L[row, other] / length
            L[row:, pivot], L[row:, other] = (
                c * L[row:, pivot] + s * L[row:, other],
                c * L[row:, other] - s * L[row:, pivot],
            )
            L[row, pivot], L[row, other] = length, 0.0
        pivot += 1 if pivot < len(L) and L[row, pivot] != 0 else 0


def _sign(L: Floats) -> None:
    """Makes the first entry of each column of L (s, s) that is not zero positive."""
    for c in range(len(L)):
        leading = next((value for value in L[c:, c] if value != 0), 0.0)
        if leading < 0:
            L[:, c] = -L[:, c]
        L[:, c] += 0.0  # no negative zeros
