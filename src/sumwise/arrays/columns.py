"""Columns of exact numbers, held as float64 arrays, and their cross-products."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.maths.gram import Gram
from sumwise.maths.polynomials import Points

Floats = NDArray[np.float64]

WORTHWHILE = 50_000
"""Rows that are worth a thread."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """n exact numbers: (parts[0] - parts[1] - ...) 10^-decimals.

    parts: float64 arrays (n,), perhaps views of the caller's data and so never written to.  One part for floats and
    for integers and decimals below 2^53; more where a number has more digits than one float64 holds.
    printed: digits after the decimal point that the input shows, None for binary floats.
    """

    parts: tuple[Floats, ...]
    decimals: int = 0
    printed: int | None = None

    def __len__(self) -> int:
        return len(self.parts[0])

    def rounded(self) -> Floats:
        """(n,) the nearest float64 of each number (a view where the column is one)."""
        if len(self.parts) == 1 and self.decimals <= 22:  # 10^22 is the last power of ten that float64 holds exactly
            return self.parts[0] / float(10**self.decimals) if self.decimals else self.parts[0]
        return np.array([float(v) for v in self.fractions()])

    def whole(self) -> list[Fraction]:
        """The n numbers times 10^decimals."""
        first, *rest = self.parts
        values = [Fraction(v) for v in first.tolist()]
        for part in rest:
            values = [a - Fraction(b) for a, b in zip(values, part.tolist(), strict=True)]
        return values

    def fractions(self) -> list[Fraction]:
        """The n numbers."""
        scale = 10**self.decimals
        return [v / scale for v in self.whole()] if scale > 1 else self.whole()

    def points(self) -> Points:
        """The numbers as integers in one unit."""
        ratios = [
            value.as_integer_ratio() for value in (self.whole() if len(self.parts) > 1 else self.parts[0].tolist())
        ]
        finest = max(denominator for _, denominator in ratios)
        values = tuple(numerator * (finest // denominator) for numerator, denominator in ratios)
        return Points(values, 1 - finest.bit_length(), self.decimals)

    def is_switch(self) -> bool:
        """Whether the column is constant or holds only 0 and 1: numbers that are chosen, not measured."""
        if len(self.parts) > 1:
            return False
        values = self.parts[0]
        constant = bool(values[0] == values[-1]) and bool((values == values[0]).all())
        return constant or (not self.decimals and bool(((values == 0) | (values == 1)).all()))


def of_integers(values: Sequence[int], decimals: int, printed: int | None = None) -> Column:
    """The column of values[r] 10^-decimals, any size.  Raises OverflowError beyond 1.8e308 in units of 10^-decimals."""
    rest = list(values)
    parts: list[Floats] = []
    while any(rest) or not parts:
        sign = -1 if parts else 1
        part = np.array([float(sign * v) for v in rest])
        parts.append(part)
        rest = [v - sign * int(p) for v, p in zip(rest, part.tolist(), strict=True)]
    return Column(tuple(parts), decimals, printed)


def ones(n: int) -> Column:
    """A column of ones, in the memory of one."""
    return Column((np.broadcast_to(np.float64(1), (n,)),))


def cross_products(columns: Sequence[Column], weights: Column | None = None, threads: int | None = 1) -> Gram:
    """The Gram of the columns, weighted or not.  Rows of weight zero do not count as rows.

    threads: at most so many (None: the processors this process may use); their number changes no bit.
    """
    if weights is not None and len(weights.parts) > 1:
        raise DataError("weights have more digits than a float64 holds. Round them to 15 digits.")
    parts = [part for column in columns for part in column.parts]
    workers = min(_processors() if threads is None else threads, len(parts[0]) // WORTHWHILE + 1)
    if workers > 1:
        with ThreadPoolExecutor(workers) as pool:
            gram = Gram.of(parts, None if weights is None else weights.parts[0], pool.map, workers)
    else:
        gram = Gram.of(parts, None if weights is None else weights.parts[0])
    if weights is not None:
        counted = int(np.count_nonzero(weights.parts[0]))
        gram = replace(gram, rows=counted, weight_decimals=weights.decimals)
    for i, column in enumerate(columns):
        for _ in column.parts[1:]:
            gram = gram.minus(i, i + 1)
    return replace(gram, decimals=tuple(column.decimals for column in columns))


def _processors() -> int:
    """How many this process may use; where the system does not tell, how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
