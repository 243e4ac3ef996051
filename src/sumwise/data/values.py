"""The values of one column at one site, as numpy arrays, whatever table they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

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
    """

    kind: str
    type: str
    values: np.ndarray
    labels: tuple[Any, ...] = ()
    missing: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, keep: np.ndarray) -> Values:
        """The rows where keep (n,) bool is true."""
        missing = None if self.missing is None else self.missing[keep]
        return Values(self.kind, self.type, self.values[keep], self.labels, missing)

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


def _are_numbers(labels: tuple[Any, ...]) -> bool:
    return all(isinstance(label, (int, float)) and not isinstance(label, bool) for label in labels)


def all_finite(values: np.ndarray) -> bool:
    """Whether no value is nan or infinite."""
    return all(bool(np.isfinite(values[i : i + BLOCK]).all()) for i in range(0, len(values), BLOCK))


def from_pandas(series: pd.Series[Any]) -> Values:
    """A column of a pandas frame.  Numbers are not copied.

    Raises pyarrow.ArrowException for an object column whose values have no common type.
    """
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        labels = tuple(dtype.categories.tolist())
        return _labelled("factor", "categorical", series.cat.codes.to_numpy(), labels)
    if isinstance(dtype, np.dtype) and dtype.kind in "iuf":
        return Values("number", str(dtype), series.to_numpy())
    if isinstance(dtype, np.dtype) and dtype.kind == "b":
        return Values("boolean", "bool", series.to_numpy())
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
