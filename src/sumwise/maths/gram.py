"""Exact cross-products of columns: X'X, X'y, y'y as integers, added without rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ZERO = 1024
"""The unit's exponent of a column of zeros: above that of any other, so that it gives way in a sum."""


@dataclass(frozen=True, slots=True)
class Gram:
    """The cross-products of m columns over some rows, exactly.

    rows: how many rows are in it.
    low (m,): column c is a whole multiple of its unit 2^low[c] 10^-decimals[c]; weight_low: weights are whole
    multiples of 2^weight_low (0 without weights).
    entries (m (m + 1) / 2,): the lower triangle, row by row: sum_r w_r x_ri x_rj is
        entry(i, j) * unit(i) * unit(j) * 2^weight_low.

    `+` joins the rows of two Grams: associative and commutative, exact.  low is the lowest place that any row
    uses, so equal rows in any split give equal Grams.
    """

    rows: int
    low: tuple[int, ...]
    entries: tuple[int, ...]
    decimals: tuple[int, ...]
    weight_low: int = 0

    @property
    def columns(self) -> int:
        """m"""
        return len(self.low)

    def entry(self, i: int, j: int) -> int:
        """The integer of columns i and j, in any order."""
        i, j = max(i, j), min(i, j)
        return self.entries[i * (i + 1) // 2 + j]

    def unit(self, c: int) -> Fraction:
        """What column c counts in."""
        return Fraction(2) ** self.low[c] / Fraction(10) ** self.decimals[c]

    def fraction(self, i: int, j: int) -> Fraction:
        """sum_r w_r x_ri x_rj"""
        return self.entry(i, j) * self.unit(i) * self.unit(j) * Fraction(2) ** self.weight_low

    def __add__(self, other: Gram) -> Gram:
        low = tuple(map(min, self.low, other.low))
        decimals = tuple(map(max, self.decimals, other.decimals))
        weight_low = min(self.weight_low, other.weight_low)
        one, two = (g._entries_in(low, decimals, weight_low) for g in (self, other))
        return Gram(self.rows + other.rows, low, tuple(map(int.__add__, one, two)), decimals, weight_low)

    def _entries_in(self, low: Sequence[int], decimals: Sequence[int], weight_low: int) -> Sequence[int]:
        """The entries in finer units."""
        if (tuple(low), tuple(decimals), weight_low) == (self.low, self.decimals, self.weight_low):
            return self.entries
        up = [(1 << (a - b)) * 10 ** (d - e) for a, b, d, e in zip(self.low, low, decimals, self.decimals, strict=True)]
        whole = 1 << (self.weight_low - weight_low)
        factors = (up[i] * up[j] * whole for i in range(self.columns) for j in range(i + 1))
        return [entry * factor for entry, factor in zip(self.entries, factors, strict=True)]

    def minus(self, i: int, j: int) -> Gram:
        """The Gram with column i replaced by column i - column j, and column j taken away."""
        low, decimals = list(self.low), list(self.decimals)
        low[i] = low[j] = min(low[i], low[j])
        decimals[i] = decimals[j] = max(decimals[i], decimals[j])
        fine = replace(
            self,
            low=tuple(low),
            decimals=tuple(decimals),
            entries=tuple(self._entries_in(low, decimals, self.weight_low)),
        )

        def entry(a: int, b: int) -> int:
            value = fine.entry(a, b)
            if a == i:
                value -= fine.entry(j, b)
            if b == i:
                value -= fine.entry(a, j)
            return value + fine.entry(j, j) if a == b == i else value

        return fine._chosen([c for c in range(self.columns) if c != j], entry)

    def chosen(self, columns: Sequence[int]) -> Gram:
        """The Gram of these columns, in this order."""
        return self._chosen(columns, self.entry)

    def _chosen(self, columns: Sequence[int], entry: Any) -> Gram:
        return replace(
            self,
            low=tuple(self.low[c] for c in columns),
            decimals=tuple(self.decimals[c] for c in columns),
            entries=tuple(entry(a, b) for i, a in enumerate(columns) for b in columns[: i + 1]),
        )

    @classmethod
    def of(cls, columns: Sequence[Floats], weights: Floats | None = None) -> Gram:
        """The Gram of m columns (n,) float64, with weights (n,) or without."""
        exact = [[Fraction(float(v)) for v in column] for column in columns]
        w = None if weights is None else [Fraction(float(v)) for v in weights]
        low = tuple(_lowest(column) for column in exact)
        weight_low = 0 if w is None else _lowest(w)
        whole = [[int(v / Fraction(2) ** a) for v in column] for column, a in zip(exact, low, strict=True)]
        times = [1] * len(columns[0]) if w is None else [int(v / Fraction(2) ** weight_low) for v in w]
        entries = tuple(
            sum(t * a * b for t, a, b in zip(times, whole[i], whole[j], strict=True))
            for i in range(len(columns))
            for j in range(i + 1)
        )
        return cls(len(columns[0]), low, entries, (0,) * len(columns), weight_low)


def _lowest(values: Sequence[Fraction]) -> int:
    """The exponent of the lowest bit that any value uses; ZERO if all are zero."""
    return min((_exponent(v) for v in values if v), default=ZERO)


def _exponent(value: Fraction) -> int:
    n = value.numerator
    return (n & -n).bit_length() - value.denominator.bit_length()
