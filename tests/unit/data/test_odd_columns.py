"""Columns that are not what they seem: numbers spoilt by a text, names of rows, rare types, files of other kinds."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import sumwise as sw
from sumwise.errors import DataError, SiteError, UsageError

Y = [1.0, 3, 2, 5, 4, 6, 8]


def spoilt(odd: str, n: int = 30) -> pd.DataFrame:
    """A column of n numbers in text, one of them odd."""
    return pd.DataFrame({"x": [*(f"{k / 4}" for k in range(n - 1)), odd], "y": [k * k % 7 for k in range(n)]})


@pytest.mark.parametrize("odd", ["none", "missing", "<0.1", "12 kg", "1,5", "1_000", "Ask Bob", "1.2.3"])
def test_one_odd_text_does_not_turn_numbers_into_a_factor(odd: str) -> None:
    with pytest.raises(DataError) as caught:
        sw.fit("y ~ x", spoilt(odd))
    assert f"all its values are numbers except {odd!r}" in str(caught.value)
    assert "factor(x)" in str(caught.value)
    assert ("decimal comma" in str(caught.value)) == (odd == "1,5")
    assert len(sw.fit("y ~ factor(x)", spoilt(odd)).coef) == 30


def test_decimal_commas_are_named_also_where_all_numbers_have_them() -> None:
    table = pd.DataFrame({"x": [f"{k},5" for k in range(7)], "y": Y})
    with pytest.raises(DataError, match=r"A decimal comma is no decimal point: write 0.5, or read it with"):
        sw.fit("y ~ x", table)
    with pytest.raises(UsageError, match="A decimal comma is no decimal point"):
        sw.fit("x ~ y", table)


def test_codes_of_digits_and_letters_stay_a_factor() -> None:
    """As in the contraception data, where the number of children is 0, 1, 2 or 3plus."""
    table = pd.DataFrame({"x": ["0", "1", "2", "3plus"] * 3, "y": range(12)})
    assert list(sw.fit("y ~ x", table).coef.index) == ["(Intercept)", "x1", "x2", "x3plus"]


def test_names_of_rows_are_no_factor_unless_declared() -> None:
    table = pd.DataFrame({"id": [f"p{k:03}" for k in range(60)] * 2, "y": np.arange(120.0) ** 2})
    assert len(sw.fit("y ~ id", table).coef) == 60  # two rows each: pairs
    with pytest.raises(DataError, match="60 levels in 100 rows, one coefficient for each: it looks like a name of the"):
        sw.fit("y ~ id", table[:100])
    assert len(sw.fit("y ~ factor(id)", table[:100]).coef) == 60


def test_two_columns_of_one_name_are_refused() -> None:
    table = pd.DataFrame({"x": list("0101010"), "x1": range(7), "y": Y})
    with pytest.raises(UsageError, match="Two columns of the design are called 'x1'"):
        sw.fit("y ~ x + x1", table)


def test_whole_numbers_of_any_length_are_taken_exactly() -> None:
    """y = 3 + 2 x holds for the integers, and no float64 tells these x apart."""
    x = [10**30 + k for k in (0, 1, 2, 4)]
    table = pd.DataFrame({"x": pd.Series(x, dtype=object), "y": pd.Series([3 + 2 * v for v in x], dtype=object)})
    assert sw.fit("y ~ x", table).coef.tolist() == [3.0, 2.0]


def test_sparse_columns_are_read() -> None:
    table = pd.DataFrame({"x": pd.arrays.SparseArray([0.0, 0, 1, 0, 2, 0, 3]), "y": Y})
    dense = table.assign(x=[0.0, 0, 1, 0, 2, 0, 3])
    assert sw.fit("y ~ x", table).coef.tolist() == sw.fit("y ~ x", dense).coef.tolist()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1 + 2j, 2, 3], "are of type complex, which has no place in a model"),
        ([Fraction(1, 3), Fraction(2), Fraction(1)], "are of type Fraction, which has no place in a model"),
        ([Fraction(1, 3), 2, 3], r"have no common type \(Fraction, int\)"),
        (["a", 1, 2.5], r"have no common type \(str, int, float\)"),
    ],
)
def test_columns_of_rare_types_are_named_by_type(values: list[object], words: str) -> None:
    with pytest.raises(DataError, match=f"Site 'data': the values of column 'x' {words}. Make them all numbers"):
        sw.fit("y ~ x", pd.DataFrame({"x": values, "y": [1.0, 2, 4]}))


def test_a_table_that_arrow_cannot_read_is_still_called_a_table() -> None:
    table = pl.DataFrame({"x": pl.Series([1, 2, 4], dtype=pl.Int128), "y": [1.0, 3, 2]})
    with pytest.raises(UsageError, match=r"Arrow cannot read this DataFrame.*128-bit integers"):
        sw.fit("y ~ x", table)


def test_files_of_other_kinds_are_refused_with_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x;y\n1;2\n2;3\n")
    with pytest.raises(UsageError, match=r"the file seems to be separated by ';'.*pandas.read_csv\(path, sep=';'\)"):
        sw.fit("y ~ x", str(path))
    path.write_text("x,y\n1,2\n2\n3,4\n")
    with pytest.raises(SiteError, match=r"Row #3: Expected 2 columns, got 1: 2 \(rows counted from 1"):
        sw.fit("y ~ x", str(path))
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        path.write_text("x,y\n1,2\n2,3\n", encoding=encoding)
        with pytest.raises(SiteError, match="is in UTF-16, not in UTF-8"):
            sw.fit("y ~ x", str(path))
    path.write_text("größe,y\n1,2\n2,3\n", encoding="latin-1")
    with pytest.raises(SiteError, match="is not in UTF-8"):
        sw.fit("y ~ x", str(path))


def test_missing_values_of_new_rows_are_not_dropped_by_an_option_that_predict_lacks() -> None:
    fit = sw.fit("y ~ x", pd.DataFrame({"x": range(7), "y": Y}))
    with pytest.raises(DataError, match="a row with a missing value has no prediction") as caught:
        fit.predict(pd.DataFrame({"x": [1, None]}))
    assert "missing=" not in str(caught.value)
