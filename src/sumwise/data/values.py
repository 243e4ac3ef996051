"""The values of one column at one site, as numpy arrays, whatever table they came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sumwise.data.decimal_text import from_decimal_objects, from_floats, from_text
from sumwise.data.decimals import Decimals

BLOCK = 8192
"""Rows handled at a time: columns may be views of a row-wise table, where one cache line holds several."""

TEXTS = ("text", "factor")
"""Kinds whose values are codes into labels."""


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """One column.

    kind: number, boolean, text, factor (declared categories), empty (nulls only) or unsupported.
    type: as the table calls it, for messages.
    values (n,): the numbers, of any numpy type, perhaps a view of the caller's table and so never written to;
    or the booleans; or int codes into `labels`, -1 where missing.
    labels: the texts or categories, each once.
    missing (n,) bool, or None where a missing value is NaN or code -1.
    exact: the numbers as decimals, where those are kept; `values` then holds the nearest float64, or integers.
    """

    kind: str
    type: str
    values: np.ndarray
    labels: tuple[Any, ...] = ()
    missing: np.ndarray | None = None
    exact: Decimals | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, keep: np.ndarray) -> Values:
        """The rows where keep (n,) bool is true."""
        missing = None if self.missing is None else self.missing[keep]
        exact = None if self.exact is None else self.exact.take(keep)
        return Values(self.kind, self.type, self.values[keep], self.labels, missing, exact)

    def absent(self) -> np.ndarray | None:
        """(n,) bool, true where the value is missing; None where none is."""
        if self.kind == "empty":
            mask = np.ones(len(self), dtype=bool)
        elif self.missing is not None:
            mask = self.missing
        elif self.kind in TEXTS:
            mask = self.values < 0
        elif self.values.dtype.kind == "f" and not all_finite(self.values):
            mask = np.isnan(self.values)
        else:
            return None
        return mask if mask.any() else None


def as_kind(values: Values, kind: str) -> Values:
    """Numbers as categories, or categories that are numbers as numbers, where `kind` asks for it; else as they are.

    A CSV file cannot declare categories, so one site's numbers may be another's.
    """
    if kind == "number" and values.kind == "factor" and _are_numbers(values.labels):
        numbers = np.array([*values.labels, np.nan], dtype=np.float64)[values.values]  # code -1 picks the nan
        return Values("number", values.type, numbers)
    if kind == "factor" and values.kind == "number":
        absent = values.absent()
        codes, labels = pd.factorize(values.values, sort=True)
        if absent is not None:
            codes = np.where(absent, -1, codes)
        return _labelled("factor", values.type, codes, tuple(labels.tolist()))
    return values


def with_decimals(values: Values) -> Values:
    """Floating-point numbers with the shortest decimals that read back to them; anything else as it is."""
    if values.kind != "number" or values.exact is not None or values.values.dtype.kind != "f":
        return values
    exact = from_floats(values.values)
    if values.values.dtype == np.float64:
        return replace(values, exact=exact)
    # the decimal 0.1 that a float32 prints is nearer to another float64 than the float32 itself
    finite = np.isfinite(values.values)
    return replace(values, exact=exact, values=np.where(finite, exact.nearest(), values.values.astype(np.float64)))


def number_from_text(values: Values) -> Values | None:
    """A column of texts that are all numbers, as exact decimals; None for any other."""
    if values.kind != "text" or not values.labels:
        return None
    read = from_text(pa.array([*values.labels, None], pa.string()))  # code -1 picks the null
    if read is None:
        return None
    exact, nearest = read
    return Values("number", values.type, nearest[values.values], exact=exact.take(values.values))


def decimal_from_arrow(array: pa.ChunkedArray, type_: str) -> Values | None:
    """A column of texts or decimal numbers, as exact decimals; None if some text is no number."""
    read = from_text(array.cast(pa.string()))
    return None if read is None else Values("number", type_, read[1], exact=read[0])


def _are_numbers(labels: tuple[Any, ...]) -> bool:
    return all(isinstance(label, (int, float)) and not isinstance(label, bool) for label in labels)


def all_finite(values: np.ndarray) -> bool:
    """Whether no value is nan or infinite."""
    return all(bool(np.isfinite(values[i : i + BLOCK]).all()) for i in range(0, len(values), BLOCK))


def from_pandas(series: pd.Series[Any]) -> Values:
    """A column of a pandas frame.  Numbers are not copied.

    Raises pyarrow.ArrowException, OverflowError, TypeError or ValueError for values without a type that they share.
    """
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        labels = tuple(dtype.categories.tolist())
        return _labelled("factor", "categorical", series.cat.codes.to_numpy(), labels)
    if isinstance(dtype, np.dtype) and dtype.kind in "iuf":
        return Values("number", str(dtype), series.to_numpy())
    if isinstance(dtype, np.dtype) and dtype.kind == "b":
        return Values("boolean", "bool", series.to_numpy())
    if isinstance(dtype, pd.SparseDtype):
        return from_pandas(pd.Series(series.to_numpy(), index=series.index, dtype=dtype.subtype))
    if isinstance(dtype, np.dtype) and dtype.kind == "O" and (read := from_decimal_objects(series)):
        return Values("number", "decimal", read[1], exact=read[0])
    array = pa.array(series, from_pandas=True)
    return from_arrow(array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array]))


def from_arrow(array: pa.ChunkedArray, *, declared: bool = True) -> Values:
    """A column of an Arrow table.  declared: whether a dictionary's order was chosen by the table's maker."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _from_dictionary(array, declared=declared)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        encoded = array.dictionary_encode().unify_dictionaries()
        labels = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
        return _labelled("text", str(kind), _codes(encoded), tuple(labels))
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        missing = array.is_null().to_numpy() if array.null_count else None
        filled = array if missing is None else array.fill_null(pa.scalar(0).cast(kind))
        return Values("boolean" if pa.types.is_boolean(kind) else "number", str(kind), filled.to_numpy(), (), missing)
    if pa.types.is_floating(kind):
        return Values("number", str(kind), array.to_numpy())
    if pa.types.is_decimal(kind) and (decimal := decimal_from_arrow(array, str(kind))):
        return decimal
    nothing = np.full(len(array), np.nan)
    return Values("empty" if pa.types.is_null(kind) else "unsupported", str(kind), nothing)


def _from_dictionary(array: pa.ChunkedArray, *, declared: bool) -> Values:
    """Declared categories keep their order; where chunks declare different ones, only the texts count."""
    same = all(chunk.dictionary.equals(array.chunk(0).dictionary) for chunk in array.chunks)
    unified = array if same else array.unify_dictionaries()
    labels = unified.chunk(0).dictionary.to_pylist() if unified.num_chunks else []
    kind = "factor" if declared and same else "text"
    if kind == "text" and any(not isinstance(label, (str, type(None))) for label in labels):
        return from_arrow(array.cast(array.type.value_type))
    return _labelled(kind, "categorical", _codes(unified), tuple(labels))


def _codes(encoded: pa.ChunkedArray) -> np.ndarray:
    """Codes of a dictionary-encoded column, -1 for null."""
    codes = [pc.fill_null(chunk.indices.cast(pa.int32()), -1).to_numpy() for chunk in encoded.chunks]
    return np.concatenate(codes) if codes else np.empty(0, dtype=np.int32)


def _labelled(kind: str, type_: str, codes: np.ndarray, labels: tuple[Any, ...]) -> Values:
    """A column of codes.  A null among the labels counts as missing; whole floats are the ints they equal."""
    if not all(isinstance(label, (str, int, float, type(None))) for label in labels):
        return Values("unsupported", f"{type_} of {type(labels[0]).__name__}", np.full(len(codes), np.nan))
    if None in labels:
        codes = np.where(codes == labels.index(None), -1, codes)
    whole = (int(label) if isinstance(label, float) and label.is_integer() else label for label in labels)
    return Values(kind, type_, codes, tuple(whole))
