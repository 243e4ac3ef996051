"""Numbers for the effects of several factors: a list of arrays, one a factor, (levels, q, pitch)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.small_matrices import product, transposed

Floats = NDArray[np.float64]
Effects = list[Floats]
Place = tuple[int, int, int]
"""An element of theta: factor, row and column in its Lambda."""


def zeros(effects: Effects) -> Effects:
    """Of the same shapes."""
    return [np.zeros_like(x) for x in effects]


def plus(x: Effects, y: Effects) -> Effects:
    """x + y."""
    return [a + b for a, b in zip(x, y, strict=True)]


def minus(x: Effects) -> Effects:
    """-x."""
    return [-a for a in x]


def placed(x: Effects, place: Place) -> Effects:
    """E x, where E has a one at `place` in Lambda and zeros elsewhere."""
    f, a, b = place
    out = zeros(x)
    out[f][:, a] = x[f][:, b]
    return out


def picked(x: Effects, place: Place) -> Effects:
    """E'x."""
    return placed(x, (place[0], place[2], place[1]))


def scaled(Lambda: Sequence[Floats], x: Effects) -> Effects:
    """Lambda x."""
    return [product(block[None], a) for block, a in zip(Lambda, x, strict=True)]


def rotated(Lambda: Sequence[Floats], x: Effects) -> Effects:
    """Lambda'x."""
    return [product(transposed(block[None]), a) for block, a in zip(Lambda, x, strict=True)]


def side_by_side(sets: Sequence[Effects]) -> Effects:
    """Columns of one set after those of another."""
    return [np.concatenate(arrays, axis=2) for arrays in zip(*sets, strict=True)]
