"""Digits by refits: every number moved at random within its error, through the data room."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sumwise as sw
from sumwise.errors import DataError, UsageError

TABLE = pd.DataFrame(
    {
        "x": [0.1, 0.5, 1.3, 2.2, 3.1, 4.4, 5.2],
        "y": [1.1, 3.2, 2.1, 5.0, 4.5, 6.1, 8.9],
        "g": list("abababa"),
        "w": [1, 2, 1, 1, 3, 1, 1],
    }
)
FULL = TABLE.assign(x=TABLE["x"] / 3, y=range(7))


@pytest.mark.parametrize("decimal", [None, True])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("inputs", ["printed", 1e-6, 1e-15, {"x": 0.01}])
def test_sampled_digits_lie_above_the_bound_and_repeat(inputs: object, weights: str | None, decimal: bool) -> None:
    fit = sw.fit("y ~ x + I(x * x):g", TABLE, weights=weights, decimal=decimal)
    table = fit.digits(TABLE, inputs, samples=60, seed=3)  # type: ignore[arg-type]
    assert (table["sampled_worst"] >= table["data_limited"] - 1e-6).all()
    assert (table["sampled_95"] >= table["sampled_worst"]).all()
    assert (table["sampled_worst"] <= table["data_limited"] + 2.5).all()
    pd.testing.assert_frame_equal(table, fit.digits(TABLE, inputs, samples=60, seed=3))  # type: ignore[arg-type]


def test_derived_columns_move_together_with_their_column() -> None:
    """2 x is twice x wherever x moves to; the bound lets response and column move apart."""
    table = TABLE.assign(y=2 * TABLE["x"])
    sampled = sw.fit("I(2 * x) ~ x", table, decimal=True).digits(table, 1e-3, samples=20)
    assert sampled["sampled_worst"]["x"] == pytest.approx(15.95)
    assert sampled["data_limited"]["x"] < 4


def test_errors_below_the_last_bit_are_sampled() -> None:
    """Numbers in full are good to half a unit of their last place: rounded to floats, no move would be left of it."""
    sampled = sw.fit("y ~ x", FULL).digits(FULL, samples=40)
    assert ((sampled["sampled_worst"] > 14.5) & (sampled["sampled_worst"] < 15.95)).all()


def test_exact_inputs_keep_all_digits() -> None:
    table = TABLE.assign(x=range(7), y=[1, 3, 2, 5, 4, 6, 8])
    assert (sw.fit("y ~ x", table).digits(table, samples=5).to_numpy()[:, 1:] == 15.95).all()


def test_a_split_over_sites_is_sampled_and_dropped_rows_stay_dropped(tmp_path: Path) -> None:
    a, b = TABLE[:3], TABLE[3:].assign(x=[np.nan, *TABLE["x"][4:]])
    a.to_csv(tmp_path / "a.csv", index=False)
    sites = {"a": str(tmp_path / "a.csv"), "b": b}
    fit = sw.fit("y ~ x", sites, missing="drop")
    table = fit.digits(sites, samples=30)
    assert ((table["sampled_worst"] > 0) & (table["sampled_worst"] < 4)).all()


def test_columns_that_were_left_out_have_no_digits() -> None:
    table = TABLE.assign(z=2 * TABLE["x"])
    sampled = sw.fit("y ~ x + z", table).digits(table, samples=3)
    assert sampled.loc["z"].isna().all()
    assert sampled["sampled_worst"]["x"] < 4


def test_moves_out_of_the_formula_s_domain_leave_no_digit() -> None:
    assert (sw.fit("y ~ log(x)", TABLE).digits(TABLE, {"x": 0.5}, samples=20)["sampled_worst"] == 0).all()


def test_another_table_is_refused() -> None:
    fit = sw.fit("y ~ x", TABLE)
    for inputs in ("printed", 1e-6):
        with pytest.raises(DataError, match="this is not the table that was fitted"):
            fit.digits(TABLE.assign(x=TABLE["x"] + 1), inputs)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None, "printed", 5), "give the table"),
        ((TABLE, "printed", -1), "samples=-1: how many refits"),
        ((TABLE, "printed", True), "samples=True"),
        ((TABLE, [1e-6]), "a relative error such as 1e-6"),
        ((TABLE, {"x": "a"}), "The error stated for column 'x' is 'a'"),
        ((TABLE, {"x": None}), "The error stated for column 'x' is None"),
    ],
)
def test_what_is_no_error_is_refused(arguments: tuple[object, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        sw.fit("y ~ x", TABLE).digits(*arguments)  # type: ignore[arg-type]
