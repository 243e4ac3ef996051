"""Digits that the inputs support."""

import numpy as np
import pytest

import sumwise as sw
from sumwise.arrays import checks
from sumwise.arrays.digits import column_error
from sumwise.maths.conditioning import MOST_DIGITS

X = np.column_stack([np.ones(7), [20, 25, 30, 35, 40, 45, 50]])
Y = np.array([101, 115, 92, 64, 60, 50, 49])


def test_a_printed_number_is_good_to_half_a_unit_of_its_last_place() -> None:
    table = checks.matrix([["0.25", "3", 0.5, "1", 1], ["1.0", "4.10", 12.25, "1", 0]])
    errors = [column_error(column, "printed")[0] for column in table.columns]
    assert errors == [0.005, 0.005, 0.005, 0, 0]  # a constant column and a 0/1 column are exact
    whole = [column_error(column, "printed")[0] for column in checks.matrix([[2, 3.0, "7"], [4, 1e20, "9"]]).columns]
    assert whole == [0, 0, 0]
    # a float that needs all its digits is good to half a unit of its last place: 1/3 lies in [1/4, 1/2), spacing 2^-54
    assert column_error(checks.matrix([[1 / 3], [2.0]]).columns[0], "printed")[0] == 2.0**-55
    assert column_error(checks.matrix(np.float32([[0.1], [0.3]])).columns[0], "printed")[0] == 0.05


def test_a_relative_error_counts_from_each_number() -> None:
    column = checks.matrix([[2.0], [-4.0]]).columns[0]
    assert column_error(column, 1e-3).tolist() == [2e-3, 4e-3]


def test_the_first_order_bound_is_the_change_under_the_worst_errors() -> None:
    """Checked by making them: y moves by dy with the signs of the slope's row of (X'X)^-1 X'."""
    dy = 1e-3
    row = np.linalg.pinv(X)[1]
    moved = sw.lstsq(X, Y + dy * np.sign(row)).coef[1] - sw.lstsq(X, Y).coef[1]
    table = sw.lstsq(X, Y).digits((0, dy))
    assert table["data_limited"].iloc[1] == pytest.approx(-np.log10(abs(moved / sw.lstsq(X, Y).coef[1])), abs=1e-9)


def test_the_bound_holds_for_errors_in_x() -> None:
    """Every corner of the errors of two x, by exact refits; the change is linear up to the error's square."""
    dX = np.zeros((7, 2))
    dX[[1, 6], 1] = 1e-6
    moves = []
    for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        shift = np.zeros((7, 2))
        shift[[1, 6], 1] = 1e-6 * np.array(signs)
        moves.append(np.abs(sw.lstsq(X + shift, Y).coef - sw.lstsq(X, Y).coef))
    worst = -np.log10(np.max(moves, axis=0) / np.abs(sw.lstsq(X, Y).coef))
    np.testing.assert_allclose(sw.lstsq(X, Y).digits((dX, 0))["data_limited"], worst, atol=1e-6)


def test_sampled_digits_lie_above_the_bound_and_repeat() -> None:
    fit = sw.lstsq(X, Y.astype(float))
    table = fit.digits(1e-9, samples=40, seed=5)
    assert (table["sampled_worst"] >= table["data_limited"] - 1e-6).all()
    assert (table["sampled_95"] >= table["sampled_worst"]).all()
    assert (table["sampled_worst"] < table["data_limited"] + 1.5).all()
    assert table.equals(fit.digits(1e-9, samples=40, seed=5))
    assert (table["computed"] == MOST_DIGITS).all()


def test_errors_below_the_last_bit_are_sampled_too() -> None:
    fit = sw.lstsq(np.array([[1.0], [3.0]]), [3.0, 10.0])
    assert 17 >= fit.digits(1e-15, samples=20)["sampled_worst"].iloc[0] > 14


def test_weighted_digits_equal_those_of_repeated_rows() -> None:
    """Twice a row with one common error: its weight 2."""
    fit = sw.lstsq(X, Y, [1, 2, 1, 1, 1, 1, 1]).digits((0, [[0], [1]] + [[0]] * 5))
    doubled = sw.lstsq(np.vstack([X, X[1]]), np.append(Y, Y[1])).digits((0, [0, 1, 0, 0, 0, 0, 0, 1]))
    np.testing.assert_allclose(fit["data_limited"], doubled["data_limited"], atol=1e-12)


def test_dependent_columns_have_no_digits_to_state() -> None:
    fit = sw.lstsq(np.column_stack([X, X[:, 1]]), Y)
    assert fit.digits()["data_limited"].isna().all()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [("exact", "inputs is"), (2.0, "relative error"), ((np.ones(3), 0), "dX has shape"), ((0, np.nan), "dy holds NaN")],
)
def test_other_inputs_are_refused(inputs: object, message: str) -> None:
    with pytest.raises(sw.UsageError, match=message):
        sw.lstsq(X, Y).digits(inputs)  # type: ignore[arg-type]
