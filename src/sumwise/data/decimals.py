"""Columns of exact decimal numbers, and the arithmetic that keeps them exact.

A float64 cannot hold 0.1.  Here it is the integer 1 with one decimal; sums, differences and products are
integer arithmetic, first in 64 bits, in Python's integers as soon as a bound says that 64 are too few.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST = 2**63 - 1
_EXACT_POWERS = 22
"""10^22 is the largest power of ten that a float64 holds exactly."""


@dataclass(frozen=True, slots=True, eq=False)
class Decimals:
    """A column of decimal numbers: row r is worth values[r] * 10^-decimals.

    values (n,): int64 where all of them fit, else an object array of Python's ints.   decimals >= 0.
    """

    values: NDArray[Any]
    decimals: int

    @classmethod
    def of(cls, values: NDArray[Any], decimals: int = 0) -> Decimals:
        """From integers or booleans of any type, in the narrower of the two representations."""
        small = values.dtype.kind == "u" and values.dtype.itemsize < 8
        # -2^63 is an int64 whose negative is none
        if small or values.dtype.kind == "b" or (values.dtype.kind == "i" and _largest(values) <= _MOST):
            return cls(values.astype(np.int64, copy=False), decimals)
        whole = values.astype(object)
        return cls(whole.astype(np.int64) if _largest(whole) <= _MOST else whole, decimals)

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: NDArray[Any]) -> Decimals:
        """The rows where a mask is true, or at these places."""
        return Decimals(self.values[rows], self.decimals)

    def repeated(self, n: int) -> Decimals:
        """A constant, held as one row, as n rows; any other column as it is."""
        return self if len(self) == n else Decimals(np.repeat(self.values, n), self.decimals)

    def fractions(self) -> list[Fraction]:
        """The numbers as rationals."""
        return [Fraction(value, 10**self.decimals) for value in self.values.tolist()]

    def nearest(self) -> NDArray[np.float64]:
        """(n,) the nearest float64 of each number, ties to even; infinite beyond the largest."""
        if self.values.dtype != object and self.decimals <= _EXACT_POWERS and self.largest() <= 2**53:
            # both sides are float64 numbers, so that the division's is the only rounding
            floats: NDArray[np.float64] = np.divide(self.values, float(10**self.decimals))
            return floats
        unit = 10**self.decimals
        return np.array([_quotient(value, unit) for value in self.values.tolist()], dtype=np.float64)

    def largest(self) -> int:
        """The largest size of an integer in `values`; 0 for no rows."""
        return _largest(self.values)

    def __neg__(self) -> Decimals:
        return Decimals(-self.values, self.decimals)

    def __abs__(self) -> Decimals:
        return Decimals(np.abs(self.values), self.decimals)

    def __add__(self, other: Decimals) -> Decimals:
        a, b, decimals = _aligned(self, other)
        if a.dtype != object and b.dtype != object and _largest(a) + _largest(b) > _MOST:
            a, b = a.astype(object), b.astype(object)
        return Decimals.of(a + b, decimals)

    def __sub__(self, other: Decimals) -> Decimals:
        return self + -other

    def __mul__(self, other: Decimals) -> Decimals:
        a, b = self.values, other.values
        if a.dtype != object and b.dtype != object and _largest(a) * _largest(b) > _MOST:
            a, b = a.astype(object), b.astype(object)
        return Decimals.of(a * b, self.decimals + other.decimals)

    def power(self, exponent: int) -> Decimals:
        """The whole power, exponent >= 0."""
        result = Decimals(np.ones(len(self), dtype=np.int64), 0)
        for bit in bin(exponent)[2:]:
            result = result * result
            if bit == "1":
                result = result * self
        return result

    def divided_by(self, divisor: Fraction) -> Decimals | None:
        """The quotient; None if it is no decimal number: for 0, and for divisors of other primes than 2 and 5."""
        over, places = abs(divisor.numerator), 0
        while over > 1 and 10**places % over:
            places += 1
            if places > over.bit_length():
                return None
        if not over:
            return None
        # 1 / divisor = denominator * (10^places / over) / 10^places
        factor = divisor.denominator * (10**places // over) * (1 if divisor > 0 else -1)
        return self * Decimals.of(np.array([factor], dtype=object), places)

    def compare(self, other: Decimals, operator: Any) -> Decimals:
        """1 where operator(self, other) holds and 0 where not; operator: a comparison of numpy, np.less say."""
        a, b, _ = _aligned(self, other)
        return Decimals.of(np.asarray(operator(a, b)).astype(bool))


def _largest(values: NDArray[Any]) -> int:
    return max(int(values.max()), -int(values.min())) if len(values) else 0


def _aligned(one: Decimals, two: Decimals) -> tuple[NDArray[Any], NDArray[Any], int]:
    """The integers of both, counted in the finer of their units."""
    decimals = max(one.decimals, two.decimals)
    return _in_unit(one, decimals), _in_unit(two, decimals), decimals


def _in_unit(number: Decimals, decimals: int) -> NDArray[Any]:
    if number.decimals == decimals:
        return number.values
    factor = 10 ** (decimals - number.decimals)
    fits = number.values.dtype != object and max(number.largest(), 1) * factor <= _MOST
    finer: NDArray[Any] = (number.values if fits else number.values.astype(object)) * factor
    return finer


def _quotient(value: int, unit: int) -> float:
    """value / unit, correctly rounded: Python divides integers of any length with one rounding."""
    try:
        return value / unit
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
