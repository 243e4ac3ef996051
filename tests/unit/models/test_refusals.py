"""Rows that cannot identify the model: one readable message each."""

from dataclasses import replace

import numpy as np
import pytest

from sumwise.errors import DataError
from tests.unit.models.fitting import Rows, fit, make_rows, simulated


def refusal(rows: Rows, nodes="auto") -> str:
    with pytest.raises(DataError) as caught:
        fit(rows, nodes=nodes)
    return str(caught.value)


def with_column(rows: Rows, column: np.ndarray, name: str) -> Rows:
    return replace(rows, X=np.column_stack([rows.X, column]), columns=(*rows.columns, name))


def test_a_single_group_is_refused():
    message = refusal(simulated(1, 30))
    assert "'g' has a single group" in message
    assert "leave out (1 | g)" in message


@pytest.mark.parametrize(("value", "word"), [(0.0, "failure"), (1.0, "success")])
def test_a_response_that_never_varies_is_refused(value, word):
    rows = simulated(6, 10)
    message = refusal(replace(rows, y=np.full(60, value)))
    assert word in message
    assert "60 rows" in message


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -3e9, 1e-12])
def test_a_constant_column_is_named(value):
    """Also where the mean of n equal numbers is not that number in float64."""
    rows = with_column(simulated(7, 11), np.full(77, value), "height")
    assert "'height' is constant" in refusal(rows)


def test_a_zero_column_without_an_intercept_is_named():
    rows = simulated(8, 10)
    X = np.column_stack([rows.X[:, 1], np.zeros(80)])
    assert "'empty'" in refusal(make_rows(X, rows.y, rows.group, columns=("x", "empty")))


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_collinear_columns_are_named_with_their_combination(scale):
    rows = simulated(8, 20)
    total = 2 * rows.X[:, 1] - 3 * rows.X[:, 2] + 7
    message = refusal(with_column(rows, total * scale, "total"))
    assert "total = " in message
    for part in (f"{2 * scale:.6g} * x1", f"{3 * scale:.6g} * x2", "a constant"):
        assert part in message
    assert "leave out one" in message


def test_a_copy_of_a_column_is_collinear():
    rows = simulated(8, 20)
    message = refusal(with_column(rows, rows.X[:, 2], "again"))
    assert "again = 1 * x2" in message
    assert "x1" not in message


def test_nearly_collinear_columns_are_still_told_apart():
    """A relative distance of 1e-4 is far above the threshold of 3e-7."""
    rows = simulated(8, 20)
    near = rows.X[:, 2] + 1e-4 * np.random.default_rng(0).standard_normal(160)
    assert np.all(np.isfinite(fit(with_column(rows, near, "near")).estimate.beta))


@pytest.mark.parametrize("nodes", ["auto", 1, 9])
def test_complete_separation_by_a_column_is_named(nodes):
    """Success exactly where `dose` is positive."""
    rows = simulated(12, 20)
    dose = np.random.default_rng(1).standard_normal(240)
    rows = with_column(replace(rows, y=(dose > 0).astype(float)), dose, "dose")
    message = refusal(rows, nodes)
    assert "'dose'" in message
    assert "separate" in message
    assert "infinity" in message


@pytest.mark.parametrize("nodes", ["auto", 1])
def test_quasi_complete_separation_by_a_level_is_named(nodes):
    """Every row of level `b` fails, the other rows vary."""
    rows = simulated(12, 20)
    level = (np.arange(240) % 5 == 0).astype(float)
    rows = with_column(replace(rows, y=np.where(level == 1, 0.0, rows.y)), level, "levelb")
    message = refusal(rows, nodes)
    assert "'levelb'" in message
    assert "separate" in message


def test_groups_within_which_all_responses_are_alike_are_refused():
    """The variance between groups has no finite maximum."""
    rows = simulated(16, 30)
    message = refusal(replace(rows, y=(rows.group % 2).astype(float)))
    assert "'g'" in message
    assert "alike" in message
