"""Columns of exact numbers, held as float64 arrays: their cross-products, and their combinations row by row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from operator import add
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.kernels.products import combine, decimals_hold
from sumwise.maths.gram import Gram

Floats = NDArray[np.float64]

EXACT = 2**53
"""Whole numbers up to this size are float64 numbers."""

CERTAIN, CERTAIN_SINGLE = 1e15, 1e6
"""Decimals of at most 15 digits are told apart by float64, of at most 6 by float32."""

MOST_PLACES = 22
"""10^22 is the last power of ten that a float64 holds exactly."""

LOST = 2.0**-50
"""Sums this much smaller than their terms need more than twice the precision."""

BLOCK = 1 << 14
"""Rows looked at together."""

_SAMPLE = 1000


class Decimals(Protocol):
    """Exact decimal numbers: row r is values[r] 10^-decimals, values (n,) integers."""

    @property
    def values(self) -> NDArray[Any]: ...
    @property
    def decimals(self) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """n exact numbers: (parts[0] + parts[1] + ...) 10^-decimals.

    parts: float64 arrays (n,), perhaps views of the caller's data and so never written to.  One part for floats, and
    for integers and decimals below 2^53; more where a number has more digits than one float64 holds.
    shown: the one part holds float64 numbers that stand for the decimals of so many places that they are nearest to.
    """

    parts: tuple[Floats, ...]
    decimals: int = 0
    shown: bool = False

    @classmethod
    def of(cls, values: Floats, exact: Decimals | None) -> Column:
        """The decimals `exact` where they are known, else the float64 numbers themselves.

        Raises OverflowError for decimals of more than 308 digits.
        """
        return cls((values,)) if exact is None else cls.of_integers(exact.values, exact.decimals)

    @classmethod
    def of_integers(cls, values: Sequence[int] | NDArray[Any], decimals: int = 0) -> Column:
        """The column of values[r] 10^-decimals, of any size.  Raises OverflowError beyond 1.8e308 in that unit."""
        if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
            if not len(values) or max(int(values.max()), -int(values.min())) <= EXACT:
                return cls((values.astype(np.float64),), decimals)
            values = values.tolist()
        rest = [int(v) for v in values]
        parts: list[Floats] = []
        while any(rest) or not parts:
            parts.append(np.array([float(v) for v in rest]))
            rest = [v - int(p) for v, p in zip(rest, parts[-1].tolist(), strict=True)]
        return cls(tuple(parts), decimals)

    def __len__(self) -> int:
        return len(self.parts[0])

    def rows(self, some: slice | NDArray[Any]) -> Column:
        """Some of the rows."""
        return replace(self, parts=tuple(part[some] for part in self.parts))

    def integers(self) -> tuple[Floats, ...]:
        """The parts in units of 10^-decimals, also where they are shown."""
        return (np.rint(self.parts[0] * float(10**self.decimals)),) if self.shown else self.parts

    def moved(self, by: Floats) -> Column:
        """The column with `by` (n,) added, exactly but for the rounding of by 10^decimals."""
        return Column((*self.integers(), by * 10.0**self.decimals), self.decimals)

    def rounded(self) -> Floats:
        """(n,) the nearest float64 of each number (a view where the column is one)."""
        if self.shown or (len(self.parts) == 1 and not self.decimals):
            return self.parts[0]
        if len(self.parts) == 1 and self.decimals <= MOST_PLACES and np.abs(self.parts[0]).max(initial=0) <= EXACT:
            return self.parts[0] / float(10**self.decimals)
        return np.array([float(v) for v in self.fractions()])

    def whole(self) -> list[Fraction]:
        """The n numbers times 10^decimals."""
        columns = (part.tolist() for part in self.integers())
        return [sum(map(Fraction, parts), Fraction(0)) for parts in zip(*columns, strict=True)]

    def fractions(self) -> list[Fraction]:
        """The n numbers."""
        scale = 10**self.decimals
        return [v / scale for v in self.whole()] if scale > 1 else self.whole()


def ones(n: int) -> Column:
    """A column of ones, in the memory of one."""
    return Column((np.broadcast_to(np.float64(1), (n,)),))


def places_shown(
    columns: Sequence[Floats], each: Callable[..., Iterable[Any]] = map, pieces: int = 1
) -> list[int | None]:
    """For m float64 columns (n,), finite: how many decimals their numbers have as they are printed (the shortest text
    that reads back); None where some number has more than 15 digits.

    A sample of the rows finds how many, then all rows must confirm it.
    """
    found: list[int | None] = [places_of(column[:: max(1, len(column) // _SAMPLE)]) for column in columns]
    open_ = [c for c, places in enumerate(found) if places is not None]
    while open_:
        held = decimals_hold([columns[c] for c in open_], [found[c] or 0 for c in open_], each, pieces)
        open_ = [c for c, holds in zip(open_, held, strict=True) if not holds]
        for c in open_:  # the sample was not enough: more places, until all rows or none are decimals
            found[c] = None if found[c] == MOST_PLACES else (found[c] or 0) + 1
        open_ = [c for c in open_ if found[c] is not None]
    return found


def places_of(values: NDArray[Any]) -> int | None:
    """The same for one array (n,) of float64 or float32, finite."""
    certain = CERTAIN if values.dtype == np.float64 else CERTAIN_SINGLE
    for places in range(MOST_PLACES + 1):
        unit = float(10**places)
        with np.errstate(over="ignore"):
            whole = np.rint(values.astype(np.float64, copy=False) * unit)
        if not (np.abs(whole) < certain).all():
            return None
        if bool(((whole / unit).astype(values.dtype, copy=False) == values).all()):
            return places
    return None


def cross_products(
    columns: Sequence[Column],
    weights: Column | None = None,
    each: Callable[..., Iterable[Any]] = map,
    pieces: int = 1,
) -> Gram:
    """The Gram of m columns, weighted or not.  Rows of weight zero do not count as rows.

    each: the map to use over so many pieces of the rows; their number changes no bit.
    Raises DataError for a value that is not finite.
    """
    parts = [part for column in columns for part in column.parts]
    shown = [column.decimals if column.shown else 0 for column in columns for _ in column.parts]
    if weights is None:
        gram = Gram.of(parts, None, each, pieces, shown)
    else:
        gram = reduce(add, (Gram.of(parts, part, each, pieces, shown) for part in weights.integers()))
        counted = int(np.count_nonzero(weights.parts[0]))
        gram = replace(gram, rows=counted, weight_decimals=weights.decimals)
    gram = replace(gram, decimals=tuple(column.decimals for column in columns for _ in column.parts))
    if len(parts) == len(columns):
        return gram
    places = iter(range(len(parts)))
    return gram.combined([[(next(places), 1) for _ in column.parts] for column in columns])


def times(
    columns: Sequence[Column],
    high: Floats,
    low: Floats,
    exact: Callable[[], Sequence[Sequence[Fraction]]] | None = None,
) -> Floats:
    """X (high + low) for m columns (n,) and coefficients (m, q): (n, q), each sum in about 106 bits, rounded once.

    exact: the coefficients (m, q) themselves.  With them sums whose terms cancel to less than 2^-50 of their size, or
    leave the range of float64 on the way, are worked out as rationals and rounded once.
    Raises DataError for a sum beyond the largest float64.
    """
    out = combine(*_parted(columns, high, low))
    if exact is None:
        return out
    for first in range(0, len(out), BLOCK):
        some = slice(first, first + BLOCK)
        with np.errstate(over="ignore", invalid="ignore"):
            sizes = np.abs(np.column_stack([column.rows(some).rounded() for column in columns])) @ np.abs(high)
            lost = np.flatnonzero(
                ~(np.abs(out[some]) >= LOST * len(columns) * sizes).all(axis=1) | ~np.isfinite(sizes).all(axis=1)
            )
        if len(lost):
            out[first + lost] = _rational_times(
                [column.rows(first + lost) for column in columns], exact(), first + lost
            )
    return out


def _parted(columns: Sequence[Column], high: Floats, low: Floats) -> tuple[list[Floats], Floats, Floats]:
    """The parts of the columns, each with the coefficients of its column in units of its decimals."""
    if all(len(column.parts) == 1 and not column.decimals for column in columns):
        return [column.parts[0] for column in columns], high, low
    parts, highs, lows = [], [], []
    for column, upper, lower in zip(columns, high, low, strict=True):
        scaled = [_scaled(a, b, column.decimals) for a, b in zip(upper.tolist(), lower.tolist(), strict=True)]
        for part in column.integers():
            parts.append(part)
            highs.append([a for a, _ in scaled])
            lows.append([b for _, b in scaled])
    return parts, np.array(highs), np.array(lows)


def _rational_times(
    columns: Sequence[Column], coefficients: Sequence[Sequence[Fraction]], rows: NDArray[np.int64]
) -> Floats:
    """(n, q) sums over m columns, in integers over one denominator."""
    units, tables = [], []
    for column in columns:
        whole = column.whole()
        finest = max(value.denominator for value in whole)
        tables.append([int(value * finest) for value in whole])
        units.append(Fraction(1, finest * 10**column.decimals))
    out = np.empty((len(rows), len(coefficients[0])))
    for k, of_response in enumerate(zip(*coefficients, strict=True)):
        scaled = [c * unit for c, unit in zip(of_response, units, strict=True)]
        over = math.lcm(*(c.denominator for c in scaled))
        factors = [int(c * over) for c in scaled]
        for r, values in enumerate(zip(*tables, strict=True)):
            try:
                out[r, k] = sum(x * f for x, f in zip(values, factors, strict=True)) / over
            except OverflowError as error:
                raise DataError(
                    f"the value of row {int(rows[r]) + 1} (counted from 1) is larger than the largest float64 "
                    "(1.8e308). Rescale the columns or the response."
                ) from error
    return out


def _scaled(high: float, low: float, decimals: int) -> tuple[float, float]:
    """(high + low) 10^-decimals as a pair."""
    if not decimals or not np.isfinite(high):
        return high, low
    value = (Fraction(high) + Fraction(low)) / 10**decimals
    first = float(value)
    return first, float(value - Fraction(first))
