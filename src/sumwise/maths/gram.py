"""Exact cross-products of columns: X'X, X'y, y'y as integers, added without rounding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels import products
from sumwise.kernels.products import NOTHING

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gram:
    """The cross-products of m columns over some rows, exactly.

    rows: how many rows are in it.
    low, decimals (m,): column c is a whole multiple of its unit 2^low[c] 10^-decimals[c]; weight_low,
    weight_decimals: the same for the weights (0 without weights).
    entries (m (m + 1) / 2,): the lower triangle, row by row: sum_r w_r x_ri x_rj is
        entry(i, j) * unit(i) * unit(j) * weight_unit.

    `+` joins the rows of two Grams: associative and commutative, exact.  low is the lowest place that any row
    uses, so equal rows in any split give equal Grams.
    """

    rows: int
    low: tuple[int, ...]
    entries: tuple[int, ...]
    decimals: tuple[int, ...]
    weight_low: int = 0
    weight_decimals: int = 0

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

    @property
    def weight_unit(self) -> Fraction:
        """What the weights count in; 1 without weights."""
        return Fraction(2) ** self.weight_low / Fraction(10) ** self.weight_decimals

    def fraction(self, i: int, j: int) -> Fraction:
        """sum_r w_r x_ri x_rj"""
        return self.entry(i, j) * self.unit(i) * self.unit(j) * self.weight_unit

    def __add__(self, other: Gram) -> Gram:
        decimals = tuple(map(max, self.decimals, other.decimals))
        weight_decimals = max(self.weight_decimals, other.weight_decimals)
        one, two = (g._in_decimals(decimals, weight_decimals) for g in (self, other))
        low, weight_low = tuple(map(min, one.low, two.low)), min(one.weight_low, two.weight_low)
        one, two = (g._in_bits(low, weight_low) for g in (one, two))
        return replace(one, rows=self.rows + other.rows, entries=tuple(map(int.__add__, one.entries, two.entries)))

    def _in_decimals(self, decimals: tuple[int, ...], weight_decimals: int) -> Gram:
        """The same Gram in units of as many or more decimals: k 2^low becomes k 5^d 2^(low + d) for d decimals more."""
        if (decimals, weight_decimals) == (self.decimals, self.weight_decimals):
            return self
        more = [new - old for new, old in zip(decimals, self.decimals, strict=True)]
        more_weight = weight_decimals - self.weight_decimals
        low = tuple(min(place + d, NOTHING) for place, d in zip(self.low, more, strict=True))
        entries = self._times([5**d for d in more], 5**more_weight)
        weight_low = min(self.weight_low + more_weight, NOTHING)
        return Gram(self.rows, low, entries, decimals, weight_low, weight_decimals)

    def _in_bits(self, low: tuple[int, ...], weight_low: int) -> Gram:
        """The same Gram in units that are as fine or finer."""
        if (low, weight_low) == (self.low, self.weight_low):
            return self
        up = [1 << (old - new) for old, new in zip(self.low, low, strict=True)]
        return replace(
            self, low=low, weight_low=weight_low, entries=self._times(up, 1 << (self.weight_low - weight_low))
        )

    def _times(self, up: Sequence[int], whole: int) -> tuple[int, ...]:
        """Entry (i, j) times up[i] up[j] whole."""
        factors = (up[i] * up[j] * whole for i in range(self.columns) for j in range(i + 1))
        return tuple(entry * factor for entry, factor in zip(self.entries, factors, strict=True))

    def combined(self, sums: Sequence[Sequence[tuple[int, int]]]) -> Gram:
        """The Gram of sums of columns.  sums: for each new column the (column, sign) it adds up, sign 1 or -1."""
        low, decimals = list(self.low), list(self.decimals)
        for members in ([c for c, _ in added] for added in sums if len(added) > 1):
            finest = max(decimals[c] for c in members)
            place = min(min(low[c] + finest - decimals[c], NOTHING) for c in members)
            for c in members:
                low[c], decimals[c] = place, finest
        fine = self._in_decimals(tuple(decimals), self.weight_decimals)._in_bits(tuple(low), self.weight_low)
        firsts = [added[0][0] for added in sums]
        return replace(
            fine,
            low=tuple(low[c] for c in firsts),
            decimals=tuple(decimals[c] for c in firsts),
            entries=tuple(
                sum(s * t * fine.entry(a, b) for a, s in sums[i] for b, t in sums[j])
                for i in range(len(sums))
                for j in range(i + 1)
            ),
        )

    def minus(self, i: int, j: int) -> Gram:
        """The Gram with column i replaced by column i - column j, and column j taken away."""
        return self.combined([[(i, 1), (j, -1)] if c == i else [(c, 1)] for c in range(self.columns) if c != j])

    def chosen(self, columns: Sequence[int]) -> Gram:
        """The Gram of these columns, in this order."""
        return self.combined([[(c, 1)] for c in columns])

    @classmethod
    def of(
        cls,
        columns: Sequence[Floats],
        weights: Floats | None = None,
        each: Callable[..., Iterable[Any]] = map,
        pieces: int = 1,
        decimals: Sequence[int] | None = None,
    ) -> Gram:
        """The Gram of m columns (n,) float64, with weights (n,) or without.

        each: the map to use over the pieces of the rows, whose number changes no bit.   decimals (m,): read column c as
        decimals of so many places; 0 takes the float64 numbers as they are.
        Raises DataError for a value that is not finite, NotDecimalError for one that is no such decimal.
        """
        found = products.gram(columns, weights, each, pieces, decimals)
        *low, weight_low = found.lowest.tolist()
        weight_low = 0 if weights is None else weight_low
        pairs = ((i, j) for i in range(len(columns)) for j in range(i + 1))
        shifts = (low[i] + low[j] + weight_low - found.low for i, j in pairs)
        entries = tuple(v >> s if s > 0 else v << -s for v, s in zip(found.integers(), shifts, strict=True))
        places = tuple(decimals) if decimals else (0,) * len(columns)
        return cls(len(columns[0]), tuple(low), entries, places, weight_low)
