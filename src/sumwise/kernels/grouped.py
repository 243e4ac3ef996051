"""Sums of products by group, exact, whatever the order of the rows (see grouped.hpp)."""

from __future__ import annotations

import ctypes
import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.kernels.library import library

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_WINDOW = 8
_CARRIES = 64
"""Digits of a group's sum (base 2^32), and the bits of them that are room for carries."""


class _StridedStruct(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("stride", ctypes.c_int64))


def sums(a: Floats | None, b: Floats, code: Ints, groups: int) -> Floats:
    """(2, groups): sum of a b over the rows of each group, exact, as an unevaluated sum of two float64.

    a (rows,) or None for ones; b (rows,); code (rows,) int64, contiguous, in 0 .. groups - 1.
    Raises DataError for a value that is not finite, or a sum beyond the largest float64.
    """
    top = _top(b) + (0 if a is None else _top(a))
    low = -(-(top + _CARRIES - 32 * _WINDOW) // 32) * 32  # a product is below 2^top
    digits, out = np.zeros((groups, _WINDOW), dtype=np.int64), np.empty((2, groups))
    factors = (_StridedStruct * 2)(_strided(a), _strided(b))
    if top > 1000 or library.sw_group_add(factors, code.ctypes.data, len(code), low, digits.ctypes.data):
        return _rational(a, b, code, groups)
    library.sw_group_round(digits.ctypes.data, groups, low, out[0].ctypes.data, out[1].ctypes.data)
    return out


def _strided(x: Floats | None) -> _StridedStruct:
    return _StridedStruct(None, 0) if x is None else _StridedStruct(x.ctypes.data, x.strides[0])


def _top(x: Floats) -> int:
    """The exponent e with all |x| < 2^e."""
    size = max(float(x.max(initial=0)), -float(x.min(initial=0)))
    if not math.isfinite(size):
        raise DataError("nan or infinity among the columns, the response, the offset, the weights or the effects")
    return math.frexp(size)[1]


def _rational(a: Floats | None, b: Floats, code: Ints, groups: int) -> Floats:
    """The same for numbers of such different sizes that no window holds them."""
    total = [Fraction(0)] * groups
    for g, x, y in zip(code.tolist(), (np.ones(len(b)) if a is None else a).tolist(), b.tolist(), strict=True):
        total[g] += Fraction(x) * Fraction(y)
    try:
        high = [float(v) for v in total]
        return np.array([high, [float(v - Fraction(h)) for v, h in zip(total, high, strict=True)]])
    except OverflowError as error:
        raise DataError(
            "a sum of products within a group is larger than the largest float64 (1.8e308): rescale the columns"
        ) from error
