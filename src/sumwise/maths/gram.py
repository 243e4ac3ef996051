"""Exact cross-products of columns: X'X, X'y, y'y as integers, added without rounding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpz_mat
from numpy.typing import NDArray

from sumwise.kernels import products

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
        low = tuple(map(min, self.low, other.low))
        decimals = tuple(map(max, self.decimals, other.decimals))
        weight = min(self.weight_low, other.weight_low), max(self.weight_decimals, other.weight_decimals)
        one, two = (g._in_units(low, decimals, *weight) for g in (self, other))
        return replace(one, rows=self.rows + other.rows, entries=tuple(map(int.__add__, one.entries, two.entries)))

    def _in_units(self, low: tuple[int, ...], decimals: tuple[int, ...], weight_low: int, weight_decimals: int) -> Gram:
        """The same Gram in units that are as fine or finer."""
        if (low, decimals, weight_low, weight_decimals) == (
            self.low,
            self.decimals,
            self.weight_low,
            self.weight_decimals,
        ):
            return self
        up = [(1 << (a - b)) * 10 ** (d - e) for a, b, d, e in zip(self.low, low, decimals, self.decimals, strict=True)]
        whole = (1 << (self.weight_low - weight_low)) * 10 ** (weight_decimals - self.weight_decimals)
        factors = (up[i] * up[j] * whole for i in range(self.columns) for j in range(i + 1))
        entries = tuple(entry * factor for entry, factor in zip(self.entries, factors, strict=True))
        return Gram(self.rows, low, entries, decimals, weight_low, weight_decimals)

    def minus(self, i: int, j: int) -> Gram:
        """The Gram with column i replaced by column i - column j, and column j taken away."""
        low, decimals = list(self.low), list(self.decimals)
        low[i] = low[j] = min(low[i], low[j])
        decimals[i] = decimals[j] = max(decimals[i], decimals[j])
        fine = self._in_units(tuple(low), tuple(decimals), self.weight_low, self.weight_decimals)

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

    @classmethod
    def of_integers(
        cls,
        columns: Sequence[Sequence[int]],
        decimals: Sequence[int],
        weights: Sequence[int] | None = None,
        weight_decimals: int = 0,
    ) -> Gram:
        """The Gram of m columns of integers: column c is columns[c] 10^-decimals[c], weights likewise."""
        X = fmpz_mat(len(columns), len(columns[0]), [v for column in columns for v in map(int, column)])
        W = X
        if weights is not None:
            times = list(map(int, weights))
            W = fmpz_mat(
                X.nrows(), X.ncols(), [t * int(v) for column in columns for t, v in zip(times, column, strict=True)]
            )
        G = X * W.transpose()
        entries = tuple(int(G[i, j]) for i in range(len(columns)) for j in range(i + 1))
        low = (0,) * len(columns)
        return cls(len(columns[0]), low, entries, tuple(decimals), 0, weight_decimals)
