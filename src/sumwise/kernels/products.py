"""Calls the kernels that multiply columns: exact cross-products, and combinations in twice the precision.

Both are described in products.hpp.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.kernels.library import library

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NOTHING = 1024
"""Lowest place of a column of zeros: above that of any other."""

_LOWEST_OF_PRODUCT, _DIGITS_OF_PRODUCT = -2176, 136
_LOWEST_OF_TRIPLE, _DIGITS_OF_TRIPLE = -3264, 204
"""Place of the lowest digit (base 2^32), and digits, that hold any sum of 2^60 products of two or three float64."""

PIECE = 1 << 15
"""Rows below which a piece of work is not worth a thread's while."""


class _Columns(ctypes.Structure):
    _fields_ = (
        ("start", ctypes.c_void_p),
        ("stride", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("weight", ctypes.c_void_p),
        ("weight_stride", ctypes.c_int64),
        ("scale", ctypes.c_void_p),
    )


class _Products(ctypes.Structure):
    _fields_ = (
        ("digits", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("pairs", "low", "first", "last")),
        ("lowest", ctypes.c_void_p),
    )


class NotDecimalError(ValueError):
    """A column holds a number that is no decimal of so few places.  column: its place."""

    def __init__(self, column: int) -> None:
        super().__init__(f"column {column} is no column of decimals")
        self.column = column


@dataclass(frozen=True, slots=True)
class Digits:
    """Sums of products.  planes (digits, pairs): digit k of each sum weighs 2^(32 k + low); all but the last lie in
    [0, 2^32), the last carries the sign.  lowest (m + 1,): lowest place in use by each column and by the weights.
    """

    planes: Ints
    low: int
    lowest: Ints

    def __add__(self, other: Digits) -> Digits:
        low = min(self.low, other.low)
        ends = [d.low + 32 * len(d.planes) for d in (self, other)]
        planes = np.zeros(((max(ends) - low) // 32 + 1, self.planes.shape[1]), dtype=np.int64)
        for d in (self, other):
            first = (d.low - low) // 32
            planes[first : first + len(d.planes)] += d.planes
        for k in range(len(planes) - 1):
            planes[k + 1] += planes[k] >> 32
            planes[k] &= 0xFFFFFFFF
        return Digits(planes, low, np.minimum(self.lowest, other.lowest))

    def integers(self) -> list[int]:
        """The sums as multiples of 2^low."""
        width = 4 * (len(self.planes) - 1)
        bytes_ = np.ascontiguousarray(self.planes[:-1].T.astype("<u4")).tobytes()
        tops = self.planes[-1].tolist()
        return [
            (top << (8 * width)) | int.from_bytes(bytes_[k * width : (k + 1) * width], "little")
            for k, top in enumerate(tops)
        ]


def _described(
    columns: Sequence[Floats], weights: Floats | None = None, decimals: Sequence[int] | None = None
) -> tuple[_Columns, tuple[NDArray[Any], ...]]:
    """The columns for the kernel, and the arrays that must outlive it."""
    start = np.array([column.ctypes.data for column in columns], dtype=np.int64)
    stride = np.array([column.strides[0] for column in columns], dtype=np.int64)
    weight, step = (None, 0) if weights is None else (weights.ctypes.data, weights.strides[0])
    scale = np.array([float(10**places) for places in decimals or ()])
    scales = scale.ctypes.data if decimals else None
    return _Columns(start.ctypes.data, stride.ctypes.data, len(columns), weight, step, scales), (start, stride, scale)


def _pieces(rows: int, most: int) -> list[tuple[int, int]]:
    """Bounds of about equal pieces, at most so many."""
    count = max(min(most, rows // PIECE), 1)
    return list(pairwise(rows * k // count for k in range(count + 1)))


def gram(
    columns: Sequence[Floats],
    weights: Floats | None = None,
    each: Callable[..., Iterable[Any]] = map,
    pieces: int = 1,
    decimals: Sequence[int] | None = None,
) -> Digits:
    """sum_r w_r x_ri x_rj for i = 0 .. m - 1, j = 0 .. i, row by row, exactly.

    columns: m arrays (n,) float64 with any strides; weights (n,) float64 or None; each: the map to use over the
    pieces of the rows, whose number changes no bit.
    decimals (m,): column c stands for the integers x 10^decimals[c], 22 places at most: each x is the float64 nearest
    to a decimal of so many places and at most 15 digits.
    Raises DataError for a value that is not finite, NotDecimalError, MemoryError.
    """
    m, n = len(columns), len(columns[0])
    described, keep = _described(columns, weights, decimals)
    low, width = (_LOWEST_OF_PRODUCT, _DIGITS_OF_PRODUCT) if weights is None else (_LOWEST_OF_TRIPLE, _DIGITS_OF_TRIPLE)
    pairs = m * (m + 1) // 2

    def piece(bounds: tuple[int, int]) -> Digits:
        digits = np.zeros((width, pairs), dtype=np.int64)  # pages that nobody writes to are never there
        lowest = np.full(m + 1, NOTHING, dtype=np.int64)
        sums = _Products(digits.ctypes.data, pairs, low, width, -1, lowest.ctypes.data)
        code = library.sw_gram(ctypes.byref(described), *bounds, ctypes.byref(sums))
        if code == 1:
            raise MemoryError(f"no memory for the cross-products of {m} columns")
        if code < -1 - m:
            raise NotDecimalError(-2 - m - code)
        if code < 0:
            raise DataError(f"nan or infinity in {'the weights' if code == -1 - m else f'column {-1 - code}'}")
        first, last = (sums.first, sums.last) if sums.last >= 0 else (0, 0)
        return Digits(digits[first : last + 1].copy(), low + 32 * first, lowest)

    total: Digits = reduce(Digits.__add__, each(piece, _pieces(n, pieces)))
    del keep
    return total


def decimals_hold(
    columns: Sequence[Floats],
    decimals: Sequence[int],
    each: Callable[..., Iterable[Any]] = map,
    pieces: int = 1,
) -> NDArray[np.bool_]:
    """(m,): does column c hold only float64 nearest to decimals of decimals[c] places and at most 15 digits?"""
    described, keep = _described(columns, None, decimals)

    def piece(bounds: tuple[int, int]) -> Ints:
        holds = np.ones(len(columns), dtype=np.int64)
        if library.sw_decimals_hold(ctypes.byref(described), *bounds, holds.ctypes.data):
            raise MemoryError(f"no memory for the decimals of {len(columns)} columns")
        return holds

    held = np.min(list(each(piece, _pieces(len(columns[0]), pieces))), axis=0)
    del keep
    return np.asarray(held > 0)


def combine(columns: Sequence[Floats], high: Floats, low: Floats) -> Floats:
    """sum_j x_rj (high + low)_jq for every row r, in twice the precision, rounded once at the end.

    columns: m arrays (n,) float64; high, low (m, q) -> (n, q).
    """
    rows = len(columns[0])
    high, low = (np.ascontiguousarray(a, dtype=np.float64) for a in (high, low))
    out = np.empty((high.shape[1], rows))
    described, keep = _described(columns)
    library.sw_combine(
        ctypes.byref(described), high.ctypes.data, low.ctypes.data, len(out), 0, rows, out.ctypes.data, rows
    )
    del keep
    return out.T
