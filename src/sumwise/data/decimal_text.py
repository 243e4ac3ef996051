"""Where exact decimals come from: texts, and the shortest decimals of floating-point numbers."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sumwise.data.decimals import Decimals
from sumwise.maths.columns import places_of, places_shown

_NUMBER = r"^(?P<sign>[+-]?)(?P<whole>[0-9]*)\.?(?P<part>[0-9]*)(?:[eE](?P<power>[+-]?[0-9]{1,6}))?$"
_MOST_PLACES = 2000
"""Numbers with more digits, or larger exponents, are left to floating point: 10^-2000 is far below any float64, and
10^999999 would fill the memory."""

_LONGEST = 2**63 - 1
"""The largest int64."""

_PLACES = 18
"""Digits that always fit an int64."""


def from_text(texts: pa.Array | pa.ChunkedArray) -> tuple[Decimals, NDArray[np.float64]] | None:
    """The numbers (n,) that the texts spell, exactly, and their nearest float64: nan for null, with integer 0.

    "0.1", "-6.860120914", "1e-3", "+5", ".5" are numbers, spaces around them aside; decimals are as many as the
    longest has, so "0.50" has two.  "inf" and "nan" are floats without decimals, integer 0.
    None if any text is something else.
    """
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    texts = pc.utf8_trim_whitespace(texts.cast(pa.string()))
    absent = texts.is_null().to_numpy(zero_copy_only=False)
    matched = pc.extract_regex(texts, _NUMBER)
    digits = pc.binary_join_element_wise(matched.field("whole"), matched.field("part"), "")
    strange = np.flatnonzero(~absent & (_lengths(digits) == 0))
    special = _not_finite(texts.take(pa.array(strange)).to_pylist())
    if special is None:
        return None
    power = _powers(matched.field("power"))
    if max(np.abs(power).max(initial=0), _lengths(digits).max(initial=0)) > _MOST_PLACES:
        return None
    minus = pc.fill_null(pc.equal(matched.field("sign"), "-"), False).to_numpy(zero_copy_only=False)
    exact = _joined(digits, minus, _lengths(matched.field("part")) - power)
    nearest = exact.nearest()
    nearest[absent] = np.nan
    nearest[strange] = special
    return exact, nearest


def from_decimal_objects(values: pd.Series[Any]) -> tuple[Decimals, NDArray[np.float64]] | None:
    """As `from_text`, for a column of Python's decimal.Decimal, ints among them or not, or of ints of which some are
    beyond 64 bits; None for any other.
    """
    absent = values.isna().to_numpy()
    present = values[~absent]
    if not all(isinstance(v, (decimal.Decimal, int)) and not isinstance(v, bool) for v in present):
        return None
    if not any(isinstance(v, decimal.Decimal) or abs(v) > _LONGEST for v in present):
        return None
    return from_text(pa.array([None if gone else str(v) for v, gone in zip(values, absent, strict=True)], pa.string()))


def from_floats(x: NDArray[Any]) -> Decimals:
    """For each number the shortest decimal that reads back to the same float, as numpy prints it; 0 for nan and inf.

    x (n,) of any floating type.
    """
    finite = np.isfinite(x)
    if not finite.all():
        x = np.where(finite, x, x.dtype.type(0))
    found = few_decimals(x)
    if found is None:
        spelt = pa.array(x).cast(pa.string()) if x.dtype in (np.float32, np.float64) else pa.array(x.astype(str))
        read = from_text(spelt)
        assert read is not None, "a finite float is spelt as a number"
        found = read[0]
    return found


def few_decimals(x: NDArray[Any]) -> Decimals | None:
    """The column in as few decimals as all its numbers (n,) have; None if some have more than a float is sure of.

    x: finite, of any floating type.
    """
    places = few_places(x)
    if places is None:
        return None
    return Decimals(np.rint(x.astype(np.float64, copy=False) * float(10**places)).astype(np.int64), places)


def few_places(x: NDArray[Any]) -> int | None:
    """How many decimals those of `few_decimals` have, without making them."""
    if x.dtype not in (np.float32, np.float64):
        return None
    return places_of(x) if x.dtype == np.float32 else places_shown([x])[0]


def _lengths(texts: pa.Array) -> NDArray[np.int64]:
    """(n,) characters; 0 for null."""
    return _integers(pc.binary_length(texts))


def _powers(texts: pa.Array) -> NDArray[np.int64]:
    """(n,) written exponents; 0 where none is."""
    # Arrow reads no sign but the minus
    plain = pc.utf8_ltrim(texts, "+")
    written = pc.if_else(pc.equal(plain, ""), None, plain)
    return _integers(written.cast(pa.int64()))


def _integers(array: pa.Array) -> NDArray[np.int64]:
    """(n,), 0 for null."""
    filled: NDArray[np.int64] = pc.fill_null(array, 0).to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    return filled


def _not_finite(texts: list[str]) -> list[float] | None:
    """The values of texts such as "inf" and "nan"; None if one is anything else."""
    try:
        values = [float(text) for text in texts]
    except ValueError:
        return None
    return None if np.isfinite(values).any() else values


def _joined(digits: pa.Array, minus: NDArray[np.bool_], shift: NDArray[np.int64]) -> Decimals:
    """The numbers +-digits * 10^-shift as multiples of one unit."""
    decimals = max(int(shift.max()), 0) if len(shift) else 0
    up = decimals - shift
    if (_lengths(digits) + up).max(initial=0) <= _PLACES:
        spelt = pc.if_else(pc.equal(digits, ""), None, digits)
        tens = np.array([10**k for k in range(_PLACES + 1)], dtype=np.int64)
        whole = _integers(spelt.cast(pa.int64())) * tens[up]
        return Decimals(np.where(minus, -whole, whole), decimals)
    rows = zip(digits.to_pylist(), minus.tolist(), up.tolist(), strict=True)
    exact = [(-1 if negative else 1) * int(text or 0) * 10**k for text, negative, k in rows]
    return Decimals.of(_objects(exact), decimals)


def _objects(values: list[int]) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
