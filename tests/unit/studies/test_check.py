"""The contract against a site's data: every difference is named before anything is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sumwise.data import open_sites
from sumwise.studies.check import Finding, compare
from tests.unit.studies.hospitals import study

ROWS = pd.DataFrame(
    {
        "y": np.arange(8.0),
        "age": [20.5, 30, 40, 50, 25, 35, 45, 55],
        "ward": ["a", "b", "c", "a", "b", "c", "a", "b"],
        "smokes": [True, False] * 4,
    }
)


def findings(rows: pd.DataFrame, units: dict[str, str] | None = None, allowed=None, **options) -> list[Finding]:
    agreed = study("y ~ age + ward + smokes", ROWS, units={"age": "years"}, ranges={"age": (18, 60)}, **options)
    (source,) = open_sites(rows).values()
    return compare(agreed, source, {"age": "years"} if units is None else units, allowed)


def wrong(*arguments, **options) -> list[tuple[str, str, str]]:
    return [(f.column, f.agreed, f.here) for f in findings(*arguments, **options) if f.wrong]


def test_data_as_agreed_have_no_differences() -> None:
    assert wrong(ROWS) == []
    assert [(f.column, f.here) for f in findings(ROWS)] == [
        ("y", "number"),
        ("age", "number"),
        ("age", "in years"),
        ("age", "all values within"),
        ("ward", "text"),
        ("ward", "all of them"),
        ("smokes", "boolean"),
    ]


def test_levels_that_are_not_here_are_no_difference() -> None:
    assert wrong(ROWS[ROWS["ward"] != "c"]) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ward": ["a", "b", "new", "other"] * 2}, ("ward", "3 levels: a, b, c", "2 more: new, other")),
        ({"age": [17.9, 61] + [30] * 6}, ("age", "from 18 to 60", "2 of 8 values outside")),
        ({"age": ["old"] * 8}, ("age", "number", "text (")),
        ({"y": [1.0, np.nan] * 4}, ("y", "no value missing", "missing in 4 of 8 rows")),
        ({"smokes": [0, 1] * 4}, ("smokes", "boolean", "number (int64)")),
        ({"age": [np.inf] + [30.0] * 7}, ("age", "from 18 to 60", "1 of 8 values outside")),
    ],
)
def test_a_difference_is_named_with_column_and_size(change: dict[str, list], expected: tuple[str, str, str]) -> None:
    (found,) = wrong(ROWS.assign(**change))
    assert found[:2] == expected[:2]
    assert found[2].startswith(expected[2])


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    ((column, _, here),) = wrong(ROWS.drop(columns="age"))
    assert column == "age"
    assert "no column named 'age'" in here
    assert "smokes" in here


def test_missing_values_are_no_difference_where_rows_are_dropped() -> None:
    assert wrong(ROWS.assign(y=[1.0, np.nan] * 4), missing="drop") == []


@pytest.mark.parametrize(("units", "here"), [({}, "no unit in the site file"), ({"age": "months"}, "in months")])
def test_units_are_those_of_the_site_file(units: dict[str, str], here: str) -> None:
    assert wrong(ROWS, units) == [("age", "in years", here)]


def test_columns_that_the_site_file_does_not_release_are_refused() -> None:
    found = wrong(ROWS, allowed=("y", "ward", "smokes"))
    assert found == [("age", "number", "not among the columns of the site file")]


def test_digits_of_a_csv_file_are_texts_where_the_contract_says_text(tmp_path: Path) -> None:
    agreed = study("y ~ ward", ROWS.assign(ward=["1", "2", "x"] * 2 + ["1", "2"]))
    path = tmp_path / "rows.csv"
    ROWS.assign(ward=["1", "2"] * 4).to_csv(path, index=False)
    (source,) = open_sites(str(path)).values()
    assert not any(f.wrong for f in compare(agreed, source, {}))
