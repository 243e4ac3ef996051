"""Exact sums of float64 numbers: fixed-point integers that never round until they are read.

A sum holds its value as an integer multiple of 2^-1074 (68 digits in base 2^32), so every finite float64
goes in without loss and `+` is integer addition: associative and commutative, bit for bit, whatever the
order, the split or the number of threads.  Only `round` rounds, once, to the nearest float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sumwise.errors import DataError
from sumwise.kernels.library import DIGITS, library


@dataclass(frozen=True, slots=True, eq=False)
class ExactSum:
    """An array of exact sums.  digits (*shape, 68) int64: digit k weighs 2^(32 k - 1074); normal form, so
    that equal sums have equal digits: all but the last lie in [0, 2^32), the last carries the sign.
    """

    digits: NDArray[np.int64]

    @classmethod
    def zeros(cls, shape: int | tuple[int, ...] = ()) -> ExactSum:
        """Sums of nothing, one for each element of `shape`."""
        shape = (shape,) if isinstance(shape, int) else shape
        return cls(np.zeros((*shape, DIGITS), dtype=np.int64))

    @classmethod
    def of(cls, values: ArrayLike) -> ExactSum:
        """Sums over axis 0.  values (n, *shape) float64 -> sums of shape `shape`.

        Raises DataError if a value is nan or infinite (the index of its sum is named)."""
        x = np.asarray(values, dtype=np.float64)
        if x.ndim == 0:
            raise ValueError("ExactSum.of sums over axis 0; a scalar has no axis: pass [x]")
        flat = x.reshape(x.shape[0], math.prod(x.shape[1:]))
        if any(stride % 8 for stride in flat.strides):  # a field of packed records, say
            flat = np.ascontiguousarray(flat)
        total = cls.zeros(x.shape[1:])
        sum_stride, term_stride = (stride // 8 for stride in flat.strides[::-1])
        code = library.sw_sum_add(
            total.digits.ctypes.data, flat.ctypes.data, flat.shape[1], flat.shape[0], sum_stride, term_stride
        )
        if code < 0:
            raise DataError(f"cannot add nan or infinity: found in column {-1 - code} of {flat.shape[1]}")
        return total

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array of sums."""
        return self.digits.shape[:-1]

    def __add__(self, other: ExactSum) -> ExactSum:
        """The exact sum of both.  Raises ValueError if the shapes differ, OverflowError beyond 2^77 largest
        doubles.
        """
        if self.shape != other.shape:
            raise ValueError(f"sums of shapes {self.shape} and {other.shape} cannot be added")
        digits, more = self.digits.copy(), np.ascontiguousarray(other.digits)
        if library.sw_sum_merge(digits.ctypes.data, more.ctypes.data, digits.size // DIGITS):
            raise OverflowError(
                "an exact sum left the range of its digits (more than 2^77 terms of the largest float64)"
            )
        return ExactSum(digits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExactSum) and np.array_equal(self.digits, other.digits)

    __hash__ = None  # type: ignore[assignment]  # holds an array

    def round(self) -> NDArray[np.float64]:
        """The sums as float64, rounded once, to nearest, ties to even.

        Raises OverflowError if a sum lies beyond the largest float64; the sum itself stays exact."""
        out = np.empty(self.shape)
        digits = np.ascontiguousarray(self.digits)
        code = library.sw_sum_round(digits.ctypes.data, out.ctypes.data, out.size)
        if code:
            raise OverflowError(f"exact sum number {code - 1} is larger than the largest float64")
        return out

    def fractions(self) -> list[Fraction]:
        """The sums as exact rationals, in C order."""
        rows = self.digits.reshape(-1, DIGITS)
        return [Fraction(sum(int(d) << (32 * k) for k, d in enumerate(row)), 1 << 1074) for row in rows]
