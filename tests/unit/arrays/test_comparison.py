"""Solvers side by side."""

import warnings
from fractions import Fraction

import numpy as np
import pytest

import sumwise as sw
from sumwise.arrays.comparison import right_digits
from sumwise.maths.conditioning import MOST_DIGITS
from tests.reference import load

NAMES = ["normal equations", "QR", "SVD", "pinv", "pinv of X'X", "exact (Sumwise)"]


def lauchli(eps: float) -> np.ndarray:
    return np.vstack([np.ones(3), eps * np.eye(3)])


def test_digits_count_from_the_exact_answer() -> None:
    exact = [Fraction(1, 3), Fraction(1, 3), Fraction(0), Fraction(0), Fraction(100)]
    digits = right_digits(np.array([1 / 3, 0.3333, 0.0, 1e-3, np.nan]), exact)
    np.testing.assert_allclose(digits, [MOST_DIGITS, 4, MOST_DIGITS, 5, np.nan], atol=1e-9)
    assert right_digits(np.array([5.0]), [Fraction(-1)]).tolist() == [0]


def test_every_solver_has_a_row_and_the_exact_one_is_right() -> None:
    x = np.array([20, 25, 30, 35, 40, 45, 50])
    table = sw.compare_solvers(np.column_stack([np.ones(7), x]), [101, 115, 92, 64, 60, 50, 49])
    assert list(table.frame.index) == NAMES
    assert (table.digits.loc["exact (Sumwise)"] == MOST_DIGITS).all()
    assert (table.summary["worst"] > 12).all()
    assert {"x1", "digits x1", "worst", "residual_norm", "recipe", "remark"} <= set(table.frame.columns)
    assert table.summary["residual_norm"].to_numpy() == pytest.approx(595.2857142857143**0.5)


def test_filip_leaves_the_usual_solvers_without_a_digit() -> None:
    """lsq-results: pinv and lstsq cut the rank at 10 and have 0.0 digits, QR has about 8."""
    filip = load("nist_strd")["Filip"]
    X = np.vander(np.array(filip["x"][0], dtype=float), 11, increasing=True)
    table = sw.compare_solvers(X, np.array(filip["y"], dtype=float))
    assert table.summary.loc["SVD", "worst"] == 0
    assert table.summary.loc["SVD", "remark"] == "takes rank for 10, it is 11"
    assert 5 < table.summary.loc["QR", "worst"] < 10


def test_solvers_that_fail_get_a_remark_and_nothing_is_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = sw.compare_solvers(lauchli(1e-9), [1, 2, 3, 4])
        wide = sw.compare_solvers([[1, 2104, 5], [1, 1416, 3]], [460, 232])
        huge = sw.compare_solvers([[1e200, 1], [1, 1e200]], [1, 1])
    assert table.summary.loc["normal equations", "remark"].startswith("fails: ")
    assert np.isnan(table.coef.loc["normal equations"]).all()
    assert "failed" in str(table)
    assert wide.summary.loc["QR", "remark"].startswith("fails: ")
    assert not wide.unique
    assert "not unique: the one of least norm" in str(wide)
    assert huge.digits.loc["normal equations"].tolist() == [0, 0]  # X'X overflows


def test_one_response_at_a_time() -> None:
    with pytest.raises(sw.UsageError, match=r"y has shape \(3, 2\)"):
        sw.compare_solvers([[1], [2], [3]], np.ones((3, 2)))


def test_the_table_is_html_too() -> None:
    html = sw.compare_solvers([[1], [2]], [1, 2])._repr_html_()
    assert "<td>pinv of X&#x27;X</td>" in html
