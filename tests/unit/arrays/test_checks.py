"""What arrays are taken for, and what is refused."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import sumwise as sw
from sumwise.arrays import checks
from sumwise.maths.columns import cross_products

BIG = 2**60 + 1


def exact(values: Any, decimal: bool | None = None) -> list[list[Fraction]]:
    return checks.matrix(values, "X", decimal).fractions()


FRAMES = [
    pd.DataFrame({"a": [1, 2], "b": [0.5, 0.25]}),
    pl.DataFrame({"a": [1, 2], "b": [0.5, 0.25]}),
    pa.table({"a": [1, 2], "b": [0.5, 0.25]}),
]


@pytest.mark.parametrize("frame", FRAMES, ids=["pandas", "polars", "arrow"])
def test_tables_keep_their_names_and_numbers(frame: Any) -> None:
    table = checks.matrix(frame)
    assert table.names == ("a", "b")
    assert table.fractions() == [[1, Fraction(1, 2)], [2, Fraction(1, 4)]]


def test_float64_columns_are_views_of_the_callers_array() -> None:
    X = np.arange(24.0).reshape(4, 6)[:, ::2]
    assert all(np.shares_memory(column.parts[0], X) for column in checks.matrix(X).columns)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[BIG, -BIG]]), [BIG, -BIG]),
        (np.array([[2**64 - 1, 3]], dtype=np.uint64), [2**64 - 1, 3]),
        ([[BIG, 0.5]], [BIG, Fraction(1, 2)]),
        ([[10**40 + 1, -(10**25) - 1]], [10**40 + 1, -(10**25) - 1]),
        (np.array([[0.1, 3.0]], dtype=np.float32), [Fraction(float(np.float32(0.1))), 3]),
        (np.array([[0.1]], dtype=np.float16), [Fraction(float(np.float16(0.1)))]),
        (np.array([[True, False]]), [1, 0]),
        (np.array([["0.2", " 4.29E-04 ", "-7"]]), [Fraction(1, 5), Fraction(429, 10**6), -7]),
        (np.array([[b"0.2"]]), [Fraction(1, 5)]),
        ([[Decimal("0.1"), Fraction(3, 40)]], [Fraction(1, 10), Fraction(3, 40)]),
        (np.array([[0.1]], dtype=">f8"), [Fraction(0.1)]),
        ([["1e300", "1e-300"]], [10**300, Fraction(1, 10**300)]),
    ],
)
def test_every_number_is_taken_exactly(values: Any, expected: list[Fraction]) -> None:
    assert exact(values) == [expected]


def test_long_doubles_keep_their_extra_bits() -> None:
    value = np.longdouble(1) + np.longdouble(2) ** -60
    if np.finfo(np.longdouble).nmant < 60:
        pytest.skip("long double is float64 here")
    assert exact(np.array([[value]])) == [[1 + Fraction(1, 2**60)]]


def test_texts_are_decimals_unless_decimal_is_off() -> None:
    assert exact([["0.1"]]) == [[Fraction(1, 10)]]
    assert exact([["0.1"]], decimal=False) == [[Fraction(0.1)]]


@pytest.mark.parametrize("values", [[0.1, -2.5, 1e3], [1e-7, 123456.789], [0.1 + 0.2, 1 / 3], [5e-324, 0.0], [1e22]])
def test_decimal_takes_a_float_for_the_shortest_decimal_that_reads_back(values: list[float]) -> None:
    expected = [Fraction(repr(v)) for v in values]
    assert [row[0] for row in exact(np.array(values)[:, None], decimal=True)] == expected


def test_decimal_takes_a_float32_for_its_own_shortest_decimal() -> None:
    assert exact(np.array([[0.1]], dtype=np.float32), decimal=True) == [[Fraction(1, 10)]]


def test_a_large_column_of_decimals_stays_one_part() -> None:
    column = checks.matrix(np.round(np.random.default_rng(1).normal(size=(1000, 1)), 4), decimal=True).columns[0]
    assert (len(column.parts), column.decimals) == (1, 4)


def test_cross_products_of_numbers_with_many_digits_are_exact() -> None:
    """By hand: sums of products of Python integers and fractions."""
    table = checks.matrix([[BIG, "0.1", 0.5], [-3, "2.25", 0.125], [10**30, "-4", 3.0]])
    gram = cross_products(table.columns)
    rows = table.fractions()
    for i in range(3):
        for j in range(3):
            assert gram.fraction(i, j) == sum(row[i] * row[j] for row in rows)


def test_decimal_weights_are_exact_and_zero_weights_leave_rows_out() -> None:
    table = checks.matrix([[1, 2], [3, 4], [5, 6]])
    gram = cross_products(table.columns, checks.weights(["0.1", "0", "0.25"]))
    assert gram.rows == 2
    assert gram.fraction(0, 1) == Fraction(1, 10) * 2 + Fraction(1, 4) * 30


def test_texts_beyond_float64_are_refused_where_they_stand_for_float64() -> None:
    with pytest.raises(sw.DataError, match="X, column 1 of 1: 1 of 1 values is infinite"):
        checks.matrix([["1e400"]], decimal=False)


REFUSED = [
    ([[1.0, np.nan], [2, np.nan]], sw.DataError, "X, column 2 of 2: 2 of 2 values are NaN, the first in row 1"),
    ([[1.0], [np.inf]], sw.DataError, "X, column 1 of 1: 1 of 2 values is infinite, the first in row 2"),
    (np.array([[1, np.nan]]), sw.DataError, "X, column 2 of 2: 1 of 1 values is NaN, the first in row 1"),
    ([["1"], ["two"]], sw.DataError, "row 2 (counted from 1): 'two' is no number (1 of 2 values is not)"),
    ([[1], [None]], sw.DataError, "1 of 2 values is missing, the first in row 2"),
    (pd.DataFrame({"age": pd.array([1, None], dtype="Int64")}), sw.DataError, "X, column 'age': 1 of 2 values is"),
    (pl.DataFrame({"age": [BIG, None]}), sw.DataError, "X, column 'age': 1 of 2 values is missing"),
    (
        np.ma.array([[1.0, 2.0]], mask=[[True, False]]),
        sw.DataError,
        "X: 1 of 2 values is masked, the first in row 1, column 1 (counted from 1)",
    ),
    (np.array([[1j]]), sw.UsageError, "complex128 cannot be fitted. Complex numbers are not supported"),
    ([[1j]], sw.UsageError, "an object of type complex is no number. Complex"),
    (np.array([["2020-01-01"]], dtype="M8[D]"), sw.UsageError, "Turn dates into numbers"),
    ([[{}]], sw.UsageError, "an object of type dict is no number"),
    ([[Fraction(1, 3)]], sw.DataError, "1/3 is neither a binary nor a decimal fraction"),
    (np.empty((0, 3)), sw.DataError, "X has no rows, shape (0, 3)"),
    (np.empty((3, 0)), sw.DataError, "X has no columns, shape (3, 0)"),
    (pd.DataFrame(), sw.DataError, "X has no columns"),
    ([], sw.DataError, "X has no rows"),
    ([1.0, 2.0], sw.UsageError, "X has one dimension, shape (2,). A matrix has two"),
    (np.zeros((2, 2, 2)), sw.UsageError, "X has 3 dimensions, shape (2, 2, 2)"),
    ([[1, 2], [3]], sw.UsageError, "row 1 has 2 values and row 2 has 1 value."),
    ("text", sw.UsageError, "X is of type str"),
    ([["1e999999999"]], sw.DataError, "values reach 1e999999999, outside"),
    ([["1e300"], ["1e-200"]], sw.DataError, "more than 308 digits. Rescale"),
]


@pytest.mark.parametrize(("values", "error", "message"), REFUSED, ids=[m[:40] for _, _, m in REFUSED])
def test_what_cannot_be_fitted_is_refused_in_words(values: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        checks.matrix(values)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, -2, -3], "2 of 3 are negative, the first in row 2 (counted from 1) with value -2"),
        ([0, 0, 0], "all 3 are zero"),
        ([1, np.nan, 1], "weights: 1 of 3 values is NaN, the first in row 2"),
    ],
)
def test_weights_are_checked(weights: list[float], message: str) -> None:
    with pytest.raises(sw.DataError) as raised:
        checks.weights(weights)
    assert message in str(raised.value)


def test_more_unknowns_than_memory_are_refused() -> None:
    checks.check_memory(1000, available=0)
    checks.check_memory(2000, available=2**30)
    with pytest.raises(sw.DataError, match=r"X has 10000 columns: .* about 23 GiB .* 1 GiB are free.*about 2072 fit"):
        checks.check_memory(10_000, available=2**30)
