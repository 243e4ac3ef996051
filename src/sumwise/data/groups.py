"""Groups: from the values of a grouping column to codes and sorted labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sumwise.data.values import Values
from sumwise.errors import DataError

Label = int | str


def factorise(site: str, columns: Mapping[str, Values]) -> tuple[np.ndarray, tuple[Label, ...]]:
    """Codes (n,) int64 and the labels they stand for, sorted, each in use.

    columns: one column, or several for an interaction, whose labels are joined by ':'.   No missing values.
    Raises DataError for labels that are not whole numbers, texts or booleans.
    """
    codes, labels = np.zeros(0, dtype=np.int64), tuple[Label, ...]()
    for i, (name, values) in enumerate(columns.items()):
        more, names = _of_column(site, name, values)
        if i == 0:
            codes, labels = more, names
            continue
        # pairs in use only: two columns of 100,000 groups have 10^10 pairs
        codes, pairs = _of_integers(codes * len(names) + more)
        labels = tuple(f"{labels[pair // len(names)]}:{names[pair % len(names)]}" for pair in pairs)
    return codes, labels


def _of_column(site: str, name: str, values: Values) -> tuple[np.ndarray, tuple[Label, ...]]:
    if values.kind in ("text", "factor"):
        return _of_labels(values)
    numbers = values.values
    if numbers.dtype.kind == "f":
        measured = numbers[numbers != np.rint(numbers)]
        if len(measured):
            fault = f"Site '{site}', group column '{name}': {len(measured)} labels such as {float(measured[0])!r}"
            raise DataError(f"{fault} are no whole numbers. A measured number makes no groups.")
        if np.abs(numbers).max(initial=0) > 2**53:
            fault = f"Site '{site}', group column '{name}': labels up to {float(np.abs(numbers).max()):.3g} are held as"
            raise DataError(f"{fault} floating-point numbers, which cannot tell them apart. Make them texts.")
        numbers = numbers.astype(np.int64)
    codes, labels = _of_integers(numbers)
    return codes, tuple(bool(label) for label in labels) if values.kind == "boolean" else labels


def _of_labels(values: Values) -> tuple[np.ndarray, tuple[Label, ...]]:
    used = np.flatnonzero(np.bincount(values.values, minlength=len(values.labels)))
    order = sorted(used.tolist(), key=lambda code: values.labels[code])
    place = np.zeros(len(values.labels), dtype=np.int64)
    place[order] = np.arange(len(order))
    return place[values.values], tuple(values.labels[code] for code in order)


def _of_integers(numbers: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Sorted labels; by a table of all numbers in the range where that is short, by hashing otherwise."""
    low, high = int(numbers.min()), int(numbers.max())
    if high - low > 4 * len(numbers) + 1024:
        codes, labels = pd.factorize(numbers, sort=True)
        return codes.astype(np.int64, copy=False), tuple(labels.tolist())
    shifted = np.subtract(numbers, low, dtype=np.int64, casting="unsafe")
    used = np.zeros(high - low + 1, dtype=bool)
    used[shifted] = True
    place = np.cumsum(used, dtype=np.int64) - 1
    return place[shifted], tuple((np.flatnonzero(used) + low).tolist())
