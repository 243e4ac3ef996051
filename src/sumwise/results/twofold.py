"""Rows times coefficients in twice the precision, for columns of floats and of exact decimals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sumwise.data import Decimals
from sumwise.kernels.products import combine

Floats = NDArray[np.float64]

MOST_DECIMALS = 200
"""Beyond it integers in units of 10^-decimals may leave float64, and the nearest floats are taken instead."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """m columns of n numbers: column c is the sum of the parts whose place is c, times 10^-decimals[c].

    parts: arrays (n,) float64; place: the column of each.
    """

    parts: tuple[Floats, ...]
    place: tuple[int, ...]
    decimals: tuple[int, ...]

    @classmethod
    def of(cls, floats: Sequence[Floats], exact: Sequence[Decimals | None]) -> Columns:
        """From the columns of a design block."""
        parts: list[Floats] = []
        place: list[int] = []
        decimals: list[int] = []
        for c, (column, decimal) in enumerate(zip(floats, exact, strict=True)):
            split = [column] if decimal is None or decimal.decimals > MOST_DECIMALS else _split(decimal)
            parts += split
            place += [c] * len(split)
            decimals.append(0 if decimal is None or decimal.decimals > MOST_DECIMALS else decimal.decimals)
        return cls(tuple(parts), tuple(place), tuple(decimals))

    @property
    def width(self) -> int:
        """m"""
        return len(self.decimals)

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.parts[0])

    def __add__(self, other: Columns) -> Columns:
        """More columns of the same rows."""
        place = tuple(len(self.decimals) + c for c in other.place)
        return Columns(self.parts + other.parts, self.place + place, self.decimals + other.decimals)

    def rows(self, some: slice) -> Columns:
        """Some of the rows."""
        return Columns(tuple(part[some] for part in self.parts), self.place, self.decimals)

    def times(self, high: Floats, low: Floats) -> Floats:
        """X (high + low), coefficients (m, q): (n, q), each sum rounded once at the end."""
        if not any(self.decimals):
            return combine(self.parts, high[list(self.place)], low[list(self.place)])
        pairs = [_scaled(high[c], low[c], self.decimals[c]) for c in self.place]
        return combine(self.parts, np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs]))


def _split(exact: Decimals) -> list[Floats]:
    """The integers as one float64 each, or two where they have more than 53 bits."""
    first = exact.values.astype(np.float64)
    if exact.largest() <= 2**53:
        return [first]
    rest = [value - int(part) for value, part in zip(exact.values.tolist(), first.tolist(), strict=True)]
    return [first, np.array(rest, dtype=np.float64)]


def _scaled(high: Floats, low: Floats, decimals: int) -> tuple[Floats, Floats]:
    """(high + low) 10^-decimals as pairs, (q,) each."""
    if not decimals:
        return high, low
    exact = [(Fraction(a) + Fraction(b)) / 10**decimals for a, b in zip(high.tolist(), low.tolist(), strict=True)]
    first = [float(value) for value in exact]
    second = [float(value - Fraction(part)) for value, part in zip(exact, first, strict=True)]
    return np.array(first), np.array(second)
