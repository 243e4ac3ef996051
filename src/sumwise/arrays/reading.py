"""One array of numbers, of any type, as a column of exact numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError, UsageError
from sumwise.maths.columns import EXACT, Column, places_shown

Number = Decimal | Fraction | int | float

LARGEST = 400
"""Decimal places before and after the point that a text may use."""

SMALL = 2.0**-900
"""Numbers below this do not fit into two float64 for lack of smaller ones."""

BLOCK = 8192
"""Rows looked at together: strided columns share cache lines."""


def column(
    values: NDArray[Any], where: str, decimal: bool | None, finite: bool = False, places: int | None = None
) -> Column:
    """The exact numbers of an array (n,), n > 0.

    float64 stays where it lies, whatever its stride; float32, float16, long double, integers of any width and
    booleans are taken exactly.  Texts are decimals ("0.2" is a fifth) unless decimal=False, which takes the nearest
    float64.  decimal=True takes a float for the shortest decimal that reads back as it.  Object arrays may hold
    Python integers, floats, texts, Decimal and Fraction, mixed.
    where: for messages, as "X, column 'age'".   finite: whether floats have been checked for it.   places: decimals of
    float64 numbers as they are printed, where that is known.
    Raises DataError for NaN, infinite and missing values and for texts that are no number; UsageError for other types.
    """
    kind = values.dtype.kind
    if kind == "f":
        if not finite:
            check_finite(values, lambda _: where)
        return _of_floats(values, where, decimal, places)
    if kind == "b":
        return Column((values.astype(np.float64),))
    if kind in "iu":
        return _of_machine_integers(values)
    if kind in "US":
        return _of_objects(values.tolist(), where, decimal)
    if kind == "O":
        return _of_objects(values.tolist(), where, decimal)
    raise UsageError(f"{where}: values of type {values.dtype} cannot be fitted. {_advice(kind)}")


def _advice(kind: str) -> str:
    return {
        "c": "Complex numbers are not supported: fit real and imaginary parts as two responses.",
        "M": "Turn dates into numbers first, for instance days since the first.",
        "m": "Turn durations into numbers first, for instance .total_seconds().",
    }.get(kind, "Pass numbers.")


def check_finite(values: NDArray[Any], where: Callable[[int], str]) -> None:
    """Raises DataError if an array (n,) or (n, p) of floats holds NaN or an infinite value.

    where(c): what the message calls column c.
    """
    if all(bool(np.isfinite(values[i : i + BLOCK]).all()) for i in range(0, len(values), BLOCK)):
        return
    table = values.reshape(len(values), -1)
    for c in range(table.shape[1]):
        for bad, what in ((np.isnan(table[:, c]), "NaN"), (np.isinf(table[:, c]), "infinite")):
            if bad.any():
                raise DataError(_bad(bad, where(c), f"is {what}", f"are {what}"))


def _bad(bad: NDArray[np.bool_], where: str, one: str, many: str) -> str:
    n, first = int(bad.sum()), int(np.argmax(bad)) + 1
    counted = f"{n} of {len(bad)} values {many if n > 1 else one}"
    return f"{where}: {counted}, the first in row {first} (counted from 1). Fill or drop such rows."


def _of_floats(values: NDArray[Any], where: str, decimal: bool | None, places: int | None) -> Column:
    if decimal and values.dtype.itemsize <= 8:
        return _shortest(values, places)
    if values.dtype == np.float64:
        return Column((values.astype(np.float64, copy=False),))
    with np.errstate(over="ignore", under="ignore"):
        first = values.astype(np.float64)  # exact for narrower floats
        if values.dtype.itemsize <= 8:
            return Column((first,))
        if not np.isfinite(first).all():
            raise DataError(
                f"{where}: values of type {values.dtype} exceed 1.8e308, the largest float64. Rescale them."
            )
        second = (values - first).astype(np.float64)
        lost = first + second.astype(values.dtype) != values
    if lost.any():
        row = int(np.argmax(lost))
        if abs(values[row]) < SMALL:
            raise DataError(
                f"{where}, row {row + 1} (counted from 1): {values[row]!s} has digits below 4.9e-324, the "
                "smallest float64. Rescale the column."
            )
        raise DataError(f"{where}: values of type {values.dtype} need more digits than two float64. Round them.")
    return Column((first, second)) if second.any() else Column((first,))


def _shortest(values: NDArray[Any], places: int | None) -> Column:
    """Floats as the shortest decimals that read back as them."""
    if values.dtype == np.float64:
        (places,) = places_shown([values]) if places is None else (places,)
        if places is not None:
            return Column((values.astype(np.float64, copy=False),), places, shown=True)
    return _of_decimals([Decimal(text) for text in _texts(values)])


def _texts(values: NDArray[Any]) -> list[str]:
    """The shortest text of each float that reads back as it."""
    if values.dtype.itemsize == 8:
        return [repr(v) for v in values.tolist()]
    return [np.format_float_scientific(v, unique=True) for v in values]


def _of_machine_integers(values: NDArray[Any]) -> Column:
    if values.dtype.itemsize < 8 or (int(values.max()) <= EXACT and int(values.min()) >= -EXACT):
        return Column((values.astype(np.float64),))
    high, low = values >> 32, values & np.asarray(0xFFFFFFFF, dtype=values.dtype)
    return Column((high.astype(np.float64) * 2.0**32, low.astype(np.float64)))


def _of_objects(values: Sequence[Any], where: str, decimal: bool | None) -> Column:
    """Python objects: integers, floats, texts, Decimal, Fraction."""
    for test, one, many in ((_is_missing, "is missing", "are missing"), (_is_nan, "is NaN", "are NaN")):
        bad = np.array([test(v) for v in values])
        if bad.any():
            raise DataError(_bad(bad, where, one, many))
    if all(type(v) is float for v in values):
        return column(np.array(values, dtype=np.float64), where, decimal)
    exact: list[Number] = []
    for row, value in enumerate(values):
        place = f"{where}, row {row + 1} (counted from 1)"
        exact.append(_number(value, place, decimal, lambda bad: sum(1 for v in values if bad(v)), len(values)))
    if all(isinstance(v, float) or (isinstance(v, int) and abs(v) <= EXACT) for v in exact):
        floats = np.array(exact, dtype=np.float64)
        check_finite(floats, lambda _: where)  # a text may stand for more than float64 holds
        return Column((floats,))
    if all(isinstance(v, Decimal) for v in exact):
        return _of_decimals([v for v in exact if isinstance(v, Decimal)], where)
    return _of_fractions([Fraction(v) for v in exact], where)


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType", "MaskedConstant")


def _is_nan(value: Any) -> bool:
    return value.is_nan() if isinstance(value, Decimal) else isinstance(value, float | np.floating) and value != value


def _number(
    value: Any, place: str, decimal: bool | None, count: Callable[[Callable[[Any], bool]], int], n: int
) -> Number:
    """One Python object as an exact number."""
    if isinstance(value, str | bytes):
        number = _read(value)
        if number is None:
            bad = count(lambda v: isinstance(v, str | bytes) and _read(v) is None)
            counted = f"{bad} of {n} values {'are' if bad > 1 else 'is'} not"
            raise DataError(f"{place}: {value!r} is no number ({counted}). Fill or drop such rows.")
        return number if decimal is None or decimal else float(number)
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        if not np.isfinite(value):
            raise DataError(f"{place}: {value!r} cannot be fitted. Fill or drop such rows.")
        return Decimal(_texts(np.array([value]))[0]) if decimal else _as_float(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise DataError(f"{place}: {value} cannot be fitted. Fill or drop such rows.")
        return value
    if isinstance(value, Fraction):
        return value
    raise UsageError(f"{place}: an object of type {type(value).__name__} is no number. {_advice(_kind(value))}")


def _as_float(value: Any) -> float | Fraction:
    """A Python or numpy float, also one of more than 53 bits."""
    same = float(value)
    return same if same == value else Fraction(*value.as_integer_ratio())


def _kind(value: Any) -> str:
    return "c" if isinstance(value, complex | np.complexfloating) else "O"


def _read(text: str | bytes) -> Decimal | None:
    """The decimal a text stands for, None if it stands for none."""
    try:
        number = Decimal((text.decode() if isinstance(text, bytes) else text).strip())
    except (InvalidOperation, UnicodeDecodeError):
        return None
    return number if number.is_finite() else None


def _of_decimals(values: Sequence[Decimal], where: str = "X") -> Column:
    """Decimals, exactly; as many places as the longest has, trailing zeros included."""
    lowest = min(int(v.as_tuple().exponent) for v in values)
    highest = max(v.adjusted() for v in values)
    if highest > LARGEST or lowest < -LARGEST:
        size = f"1e{highest if highest > LARGEST else lowest}"
        raise DataError(f"{where}: values reach {size}, outside 1e-{LARGEST} to 1e{LARGEST}. Rescale the column.")
    return _scaled([Fraction(v) for v in values], max(0, -lowest), where)


def _of_fractions(values: Sequence[Fraction], where: str) -> Column:
    """Fractions whose denominators have no prime factors but 2 and 5: as decimals, exactly."""
    decimals = 0
    for row, value in enumerate(values):
        rest, twos, fives = value.denominator, 0, 0
        twos = (rest & -rest).bit_length() - 1
        rest >>= twos
        while rest % 5 == 0:
            rest, fives = rest // 5, fives + 1
        if rest != 1:
            raise DataError(
                f"{where}, row {row + 1} (counted from 1): {value} is neither a binary nor a decimal fraction, so no "
                f"float64 and no decimal equals it. Multiply the column by {rest}, or pass float({value})."
            )
        decimals = max(decimals, twos, fives)
    return _scaled(values, decimals, where)


def _scaled(values: Sequence[Fraction], decimals: int, where: str) -> Column:
    scale = 10**decimals
    try:
        return Column.of_integers([int(v * scale) for v in values], decimals)
    except OverflowError:
        raise DataError(
            f"{where}: values run from beyond 1e{308 - decimals} down to the {decimals}th decimal place, more than 308 "
            "digits. Rescale the column."
        ) from None
