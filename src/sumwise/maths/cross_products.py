"""From rows to the Gram of a regression: the columns of X, then the response less its offset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.products import NOTHING
from sumwise.maths.gram import Gram

Floats = NDArray[np.float64]

LARGEST = 2**53
"""Up to here every integer is a float64."""


class Decimals(Protocol):
    """Exact decimal numbers: row r is values[r] 10^-decimals, values (n,) integers."""

    @property
    def values(self) -> NDArray[Any]: ...
    @property
    def decimals(self) -> int: ...


class Rows(Protocol):
    """What a regression needs of n rows.

    x: p columns (n,); y (n,); offset, weights (n,) or None.   exact, y_exact, offset_exact, weights_exact: the same
    columns as decimals, None for one that is just what its float64 numbers say.
    """

    @property
    def x(self) -> Sequence[Floats]: ...
    @property
    def y(self) -> Floats: ...
    @property
    def offset(self) -> Floats | None: ...
    @property
    def weights(self) -> Floats | None: ...
    @property
    def exact(self) -> Sequence[Decimals | None]: ...
    @property
    def y_exact(self) -> Decimals | None: ...
    @property
    def offset_exact(self) -> Decimals | None: ...
    @property
    def weights_exact(self) -> Decimals | None: ...


def cross_products(rows: Rows, each: Callable[..., Iterable[Any]] = map, pieces: int = 1) -> Gram:
    """The Gram of the p columns of X and the response less its offset: p + 1 columns.

    Rows of weight zero are left out, as R leaves them out: they are not counted either.
    each: the map to use over so many pieces of the rows; the sum is exact, so their number changes no bit.
    """
    columns = [*rows.x, rows.y] + ([] if rows.offset is None else [rows.offset])
    exact = [*rows.exact, rows.y_exact] + ([] if rows.offset is None else [rows.offset_exact])
    weights, exact_weights = rows.weights, rows.weights_exact
    keep = slice(None) if weights is None or weights.all() else weights != 0
    numbers = [_Column.of(*pair, keep) for pair in zip(columns, exact, strict=True)]
    times = None if weights is None else _Column.of(weights, exact_weights, keep)
    used = numbers if times is None else [*numbers, times]
    short = all(isinstance(column.values, np.ndarray) for column in used)
    gram = _of_floats(numbers, times, each, pieces) if short else _of_integers(numbers, times)
    return gram if rows.offset is None else gram.minus(len(rows.x), len(rows.x) + 1)


@dataclass(frozen=True, slots=True)
class _Column:
    """values[r] 10^-decimals.  values (n,): float64, or Python's integers where they need more than 53 bits.
    whole: whether they are integers because they are decimals.
    """

    values: Floats | list[int]
    decimals: int
    whole: bool

    @classmethod
    def of(cls, column: Floats, exact: Decimals | None, keep: Any) -> _Column:
        if exact is None:
            return cls(column[keep], 0, whole=False)
        values = exact.values[keep]
        if values.dtype != object and (not len(values) or max(int(values.max()), -int(values.min())) <= LARGEST):
            return cls(values.astype(np.float64), exact.decimals, whole=True)
        return cls([int(value) for value in values.tolist()], exact.decimals, whole=True)

    def integers(self) -> tuple[list[int], int]:
        """(k, low): the values are k 2^low; low is 0 for decimals, else the lowest bit that any of them uses."""
        if isinstance(self.values, list):
            return self.values, 0
        if self.whole:
            return [int(value) for value in self.values.tolist()], 0
        ratios = [value.as_integer_ratio() for value in self.values.tolist()]
        finest = max((denominator for _, denominator in ratios), default=1)
        whole = [n * (finest // denominator) for n, denominator in ratios]
        zeros = min(((n & -n).bit_length() - 1 for n in whole if n), default=None)
        if zeros is None:
            return whole, NOTHING
        return [n >> zeros for n in whole], zeros - (finest.bit_length() - 1)


def _of_floats(
    columns: Sequence[_Column], times: _Column | None, each: Callable[..., Iterable[Any]], pieces: int
) -> Gram:
    weights = None if times is None else times.values
    gram = Gram.of([column.values for column in columns], weights, each, pieces)  # type: ignore[arg-type, misc]
    decimals = tuple(column.decimals for column in columns)
    gram = replace(gram, decimals=decimals, weight_decimals=0 if times is None else times.decimals)
    # Decimals count in 10^-decimals, whatever the lowest bit of a site's integers: then any split gives equal Grams.
    low = tuple(0 if column.whole else NOTHING for column in columns)
    weight_low = 0 if times is not None and times.whole else gram.weight_low
    nothing = replace(gram, rows=0, low=low, entries=(0,) * len(gram.entries), weight_low=weight_low)
    return gram + nothing if any(column.whole for column in columns) or weight_low != gram.weight_low else gram


def _of_integers(columns: Sequence[_Column], times: _Column | None) -> Gram:
    """The same for numbers of any length."""
    whole = [column.integers() for column in columns]
    weights, weight_low = (None, 0) if times is None else times.integers()
    decimals = [column.decimals for column in columns]
    gram = Gram.of_integers([k for k, _ in whole], decimals, weights, 0 if times is None else times.decimals)
    return replace(gram, low=tuple(low for _, low in whole), weight_low=weight_low)
