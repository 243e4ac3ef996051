"""What a user passes, as exact columns: the one place where arrays are checked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.arrays import reading
from sumwise.arrays.words import counted
from sumwise.errors import DataError, UsageError
from sumwise.maths.columns import Column, places_shown
from sumwise.threads import WORTHWHILE, processors

FEW = 1000
"""Up to this many unknowns always fit."""

HIGHEST = 300
"""Degree of a polynomial."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Checked columns of equal length.

    names: the frame's, or x1, x2, ...   flat: whether a single column was passed as a vector (n,).
    """

    columns: tuple[Column, ...]
    names: tuple[str, ...]
    flat: bool = False

    @property
    def rows(self) -> int:
        return len(self.columns[0])

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, len(self.columns)

    def rounded(self) -> NDArray[np.float64]:
        """(n, p) the nearest float64 of each number."""
        return np.column_stack([column.rounded() for column in self.columns])

    def fractions(self) -> list[list[Fraction]]:
        """The rows, exactly."""
        return [list(row) for row in zip(*(column.fractions() for column in self.columns), strict=True)]


def matrix(values: Any, name: str = "X", decimal: bool | None = None) -> Table:
    """A matrix (n, p) of numbers: array, nested lists or a pandas, polars or Arrow table.

    Raises DataError for values that are missing, infinite or no numbers, and for no rows or columns; UsageError for
    other types and shapes.
    """
    table = _read(values, name, decimal)
    if table.flat:
        raise UsageError(
            f"{name} has one dimension, shape ({table.rows},). A matrix has two: for one column pass {name}[:, None], "
            f"for one row {name}[None, :]."
        )
    return table


def responses(values: Any, name: str = "y", decimal: bool | None = None) -> Table:
    """One response (n,) or several (n, k)."""
    return _read(values, name, decimal)


def vector(values: Any, name: str, decimal: bool | None = None) -> Table:
    """A vector (n,), or a matrix of one column."""
    table = _read(values, name, decimal)
    if len(table.columns) > 1:
        raise UsageError(f"{name} has shape {table.shape}; one value a row is expected, shape ({table.rows},).")
    return table


def weights(values: Any, decimal: bool | None = None, some: bool = True) -> Column:
    """Weights (n,), none negative and, with `some`, not all zero."""
    column = vector(values, "weights", decimal).columns[0]
    size = column.rounded()
    if (size < 0).any():
        bad = size < 0
        first, many = int(np.argmax(bad)), int(bad.sum())
        raise DataError(
            f"weights: {many} of {len(bad)} {'is' if many == 1 else 'are'} negative, the first in row {first + 1} "
            f"(counted from 1) with value {size[first]:g}. A weight is zero or more; zero leaves the row out."
        )
    if some and not size.any():
        all_ = f"all {len(size)} are" if len(size) > 1 else "the only one is"
        raise DataError(f"weights: {all_} zero, which leaves no row to fit. Give some row a weight.")
    return column


def check_rows(lengths: dict[str, tuple[int, ...]]) -> None:
    """Raises DataError unless all have equally many rows.  lengths: {what it is: its shape}."""
    if len({shape[0] for shape in lengths.values()}) > 1:
        said = ", ".join(f"{name} has shape {shape}" for name, shape in lengths.items())
        raise DataError(f"Rows do not match: {said}. Pass the same rows to each, in the same order.")


def check_memory(unknowns: int, available: int | None = None) -> None:
    """Raises DataError where the exact equations of so many unknowns would not fit into memory.

    They are p (p + 1) / 2 exact integers of about 100 bytes, and their solution takes p^2 integers of as many digits
    again, twice.  available: bytes, by default what the machine has free.
    """
    if unknowns <= FEW:
        return
    need = 250 * unknowns**2
    free = _free_memory() if available is None else available
    if need > free:
        raise DataError(
            f"X has {unknowns} columns: their exact equations need about {need / 2**30:.0f} GiB of memory and "
            f"{free / 2**30:.0f} GiB are free. Fit fewer columns (about {int((free / 250) ** 0.5)} fit)."
        )


def check_square(shape: tuple[int, ...], available: int | None = None) -> None:
    """Raises DataError where the projections of a matrix (n, p), n x n and p x p, would not fit into memory.

    Each of their numbers takes about 400 bytes while it is worked out.
    """
    side = max(shape)
    need, free = 400 * side**2, _free_memory() if available is None else available
    if side > FEW and need > free:
        raise DataError(
            f"A has shape {shape}: its projection would have {side:,} x {side:,} numbers, which takes about "
            f"{need / 2**30:.0f} GiB of memory; {free / 2**30:.0f} GiB are free. Its product with a vector b is A x, x "
            "the least-squares solution: see lstsq(A, b).fitted."
        )


def check_polynomial(degree: Any, basis: str, bases: Sequence[str]) -> None:
    """Raises UsageError for a degree or a basis that there is not."""
    if isinstance(degree, bool) or not isinstance(degree, int | np.integer) or degree < 0:
        raise UsageError(f"degree={degree!r}: a degree is a whole number, 0 or more.")
    if degree > HIGHEST:
        raise UsageError(
            f"degree={degree}: sums of powers up to x^{2 * degree} would be needed; at most {HIGHEST} goes."
        )
    if basis not in bases:
        raise UsageError(f"basis={basis!r}: known are {', '.join(bases)}.")


def _free_memory() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def has_no_rows(values: Any) -> bool:
    """Whether an array, a list or a table is empty."""
    return hasattr(values, "__len__") and not isinstance(values, str | bytes) and len(values) == 0


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """Names that occur more than once numbered: c, c.2, c.3."""
    taken, out = set(names), []
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        new = name
        while seen[name] > 1 and new in taken:
            new = f"{name}.{seen[name]}"
            seen[name] += new in taken
        taken.add(new)
        out.append(new)
    return tuple(out)


def _read(values: Any, name: str, decimal: bool | None) -> Table:
    if decimal is not None and not isinstance(decimal, bool | np.bool_):
        raise UsageError(f"decimal={decimal!r}: True, False or None.")
    parts = _frame_columns(values)
    if parts is not None:
        names, arrays, flat = parts
        names = unique(names)
        _check_some(name, (len(arrays[0]) if arrays else 0, len(arrays)))
        columns = [reading.column(a, f"{name}, column {n!r}", decimal) for n, a in zip(names, arrays, strict=True)]
        return Table(tuple(columns), names, flat)
    array = _array(values, name)
    if array.ndim not in (1, 2):
        raise UsageError(f"{name} has {array.ndim} dimensions, shape {array.shape}. It must have one or two.")
    _check_some(name, array.shape if array.ndim == 2 else (len(array), 1))
    flat = array.ndim == 1
    table = array.reshape(len(array), -1) if flat else array
    names = _names(name, table.shape[1], flat)
    where = [name if flat else f"{name}, column {c + 1} of {table.shape[1]}" for c in range(table.shape[1])]
    floats = table.dtype.kind == "f"
    places: Sequence[int | None] = [None] * table.shape[1]
    if decimal and table.dtype == np.float64:
        places = _places(table)
    if floats and None in places:  # what is no number has no places either
        reading.check_finite(table, lambda c: where[c])
    columns = [reading.column(table[:, c], at, decimal, floats, places[c]) for c, at in enumerate(where)]
    return Table(tuple(columns), names, flat)


def _places(table: NDArray[np.float64]) -> Sequence[int | None]:
    """Decimals of each column as printed.  All columns at once: they share cache lines."""
    workers = min(processors(), len(table) // WORTHWHILE + 1)
    with np.errstate(invalid="ignore"), ThreadPoolExecutor(workers) as pool:
        return places_shown(list(table.T), pool.map, workers)


def _names(name: str, count: int, flat: bool) -> tuple[str, ...]:
    return (name,) if flat else tuple(f"{name.lower()}{c + 1}" for c in range(count))


def _check_some(name: str, shape: tuple[int, ...]) -> None:
    for size, what in zip(reversed(shape), ("columns", "rows"), strict=True):
        if size == 0:
            raise DataError(f"{name} has no {what}, shape {tuple(shape)}. Nothing can be fitted to it.")


def _frame_columns(values: Any) -> tuple[tuple[str, ...], list[NDArray[Any]], bool] | None:
    """(names, columns, flat) of a pandas, polars or Arrow table or series; None for anything else."""
    room = type(values).__module__.split(".")[0]
    kind = type(values).__name__
    if room in ("pandas", "polars") and kind == "Series":
        return (str(values.name or "y"),), [_to_numpy(values)], True
    if room == "pandas" and kind == "DataFrame":
        names = tuple(str(name) for name in values.columns)
        return names, [_to_numpy(values.iloc[:, c]) for c in range(len(names))], False
    if room == "polars" and kind == "DataFrame":
        return tuple(values.columns), [_to_numpy(series) for series in values.get_columns()], False
    if room == "pyarrow" and kind in ("Table", "RecordBatch"):
        return tuple(values.column_names), [_arrow(column) for column in values.columns], False
    return None


def _to_numpy(series: Any) -> NDArray[Any]:
    """A pandas or polars series as numpy, without turning integers with gaps into floats."""
    if str(series.dtype) in ("Int128", "UInt128"):  # numpy has no such type
        return np.array(series.to_list(), dtype=object)
    array = series.to_numpy()
    if array.dtype.kind == "f" and not str(series.dtype).lower().startswith("float"):
        return np.array(list(series), dtype=object)  # integers with missing values: keep them exact
    return np.asarray(array)


def _arrow(column: Any) -> NDArray[Any]:
    if column.null_count:
        return np.array(column.to_pylist(), dtype=object)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _array(values: Any, name: str) -> NDArray[Any]:
    """An array of whatever was passed; nested lists keep their Python numbers, so that none is rounded."""
    if isinstance(values, np.ma.MaskedArray):
        _check_mask(values, name, ("row", "column"))
        return np.asarray(values.data)
    if isinstance(values, np.ndarray):
        return np.asarray(values)
    if hasattr(values, "toarray"):
        raise UsageError(f"{name} is a sparse matrix ({type(values).__name__}). Pass {name}.toarray().")
    if isinstance(values, Sequence) and not isinstance(values, str | bytes):
        return _nested(values, name)
    if hasattr(values, "__array__"):
        return np.asarray(values)
    raise UsageError(f"{name} is of type {type(values).__name__}. Pass an array, nested lists or a table of numbers.")


def _check_mask(values: np.ma.MaskedArray[Any, Any], name: str, axes: Sequence[str]) -> None:
    """Raises DataError for masked values.   axes: what the places along each dimension are."""
    hidden = np.ma.getmaskarray(values)
    many = int(hidden.sum())
    if many:
        first = np.argwhere(hidden)[0]
        where = ", ".join(f"{axis} {place + 1}" for axis, place in zip(axes, first, strict=False))
        raise DataError(
            f"{name}: {many} of {counted(values.size, 'value')} {'is' if many == 1 else 'are'} masked, the first in "
            f"{where} (counted from 1). Fill or drop such rows."
        )


def _nested(values: Sequence[Any], name: str) -> NDArray[Any]:
    for row, value in enumerate(values):
        if isinstance(value, np.ma.MaskedArray):
            _check_mask(value, f"{name}, row {row + 1}", ("column",))
    if any(isinstance(v, np.ndarray) for v in values):
        return _stacked(values, name)
    lengths = [len(v) if isinstance(v, Sequence) and not isinstance(v, str | bytes) else -1 for v in values]
    if len(set(lengths)) > 1:
        r = next(r for r, n in enumerate(lengths) if n != lengths[0])
        say = [counted(n, "value") if n >= 0 else "a single value" for n in (lengths[0], lengths[r])]
        raise UsageError(f"{name}: row 1 has {say[0]} and row {r + 1} has {say[1]}. All rows need equally many.")
    return np.array(values, dtype=object)


def _stacked(values: Sequence[Any], name: str) -> NDArray[Any]:
    shapes = [np.shape(v) for v in values]
    if len(set(shapes)) > 1:
        r = next(r for r, shape in enumerate(shapes) if shape != shapes[0])
        raise UsageError(f"{name}: row 1 has shape {shapes[0]} and row {r + 1} has {shapes[r]}. All must be equal.")
    return np.array(values, dtype=object) if len({v.dtype for v in values}) > 1 else np.array(values)
