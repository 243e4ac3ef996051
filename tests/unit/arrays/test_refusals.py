"""Calls and data that arrays refuse, in words; printed results that never fail."""

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import sumwise as sw
from sumwise.arrays import checks

x = np.arange(7.0)
y = np.array([1, 3, 2, 5, 4, 6, 8.0])
X = np.column_stack([np.ones(7), x])
LSTSQ = sw.lstsq(X, y)
PARABOLA = sw.polyfit(x, y, 2)


@pytest.mark.parametrize("threads", ["2", 0, -1, np.nan, 2.0, True])
def test_threads_are_a_whole_number_for_arrays_and_for_formulas(threads: Any) -> None:
    frame = pd.DataFrame({"x": x, "y": y})
    for call in (
        lambda: sw.lstsq(X, y, threads=threads),
        lambda: sw.lstsq([(X, y)], threads=threads),
        lambda: sw.fit("y ~ x", frame, threads=threads),
    ):
        with pytest.raises(sw.UsageError, match="a whole number from 1"):
            call()
    assert sw.lstsq(X, y, threads=np.int64(2)).coef.tolist() == LSTSQ.coef.tolist()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LSTSQ.digits(samples=-1), sw.UsageError, "samples=-1: a whole number from 0"),
        (lambda: LSTSQ.digits(samples=2.5), sw.UsageError, "samples=2.5"),  # type: ignore[arg-type]
        (lambda: LSTSQ.digits(samples="3"), sw.UsageError, "samples='3'"),  # type: ignore[arg-type]
        (lambda: LSTSQ.digits(samples=2, seed=-1), sw.UsageError, "seed=-1"),
        (lambda: LSTSQ.digits(None), sw.UsageError, "inputs is .*not None"),  # type: ignore[arg-type]
        (lambda: LSTSQ.digits(("a", 0)), sw.UsageError, "dX='a' is no error"),
        (lambda: LSTSQ.digits((0, [-1] * 7)), sw.UsageError, "dy holds negative errors, -1 the least"),
        (lambda: PARABOLA.digits(None), sw.UsageError, "inputs is .*not None"),  # type: ignore[arg-type]
        (lambda: PARABOLA.digits(("a", 0)), sw.UsageError, "dx='a' is no error"),
        (lambda: PARABOLA.digits((-1, 0)), sw.UsageError, "dx holds negative errors"),
        (lambda: sw.polyfit(x, y, 2, domain=5), sw.UsageError, "domain=5: it is a pair"),  # type: ignore[arg-type]
        (lambda: sw.polyfit(x, y, 2, domain="ab"), sw.UsageError, "domain='ab'"),  # type: ignore[arg-type]
        (lambda: PARABOLA.derivative([0, 1]), sw.UsageError, "whole number from 0"),  # type: ignore[arg-type]
        (lambda: PARABOLA.derivative(True), sw.UsageError, "order=True"),
        (lambda: sw.lstsq(X, y, decimal="yes"), sw.UsageError, "decimal='yes'"),  # type: ignore[arg-type]
        (
            lambda: sw.lstsq(np.array([[b"\xff"], [b"1"]]), [1, 2]),
            sw.DataError,
            "row 1 .*is no number .1 of 2 values is",
        ),
        (lambda: sw.lstsq([[b"1"], [b"\xff"]], [1, 2]), sw.DataError, "row 2 .*is no number"),
        (lambda: sw.lstsq(3, y), sw.UsageError, "X is of type int"),
        (lambda: sw.lstsq([(X[:, :1], y), (X, y)]), sw.DataError, r"in chunk 1 it has 1 \(x1\)"),
        (lambda: sw.lstsq([(X, y), (X[:, :1], y)]), sw.DataError, r"Chunk 2: X has 1 column \(x1\)"),
        (lambda: sw.lstsq(X[:, :1], y).predict(X), sw.UsageError, "the fit has 1 coefficient:"),
        (lambda: sw.lstsq([[1.0]], [1.0], [0]), sw.DataError, "weights: the only one is zero"),
        (lambda: sw.lstsq(X, y, [-1, 0, 0, 0, 0, 0, 1]), sw.DataError, "weights: 1 of 7 is negative"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_integers_of_128_bits_are_exact() -> None:
    """2^70 + 1 has 71 bits."""
    column = pl.Series("a", [1, 2**70 + 1], dtype=pl.Int128)
    assert checks.matrix(pl.DataFrame({"a": column})).fractions() == [[1], [2**70 + 1]]


def test_masked_values_are_found_wherever_they_hide() -> None:
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    for rows in ([masked, [1, 2]], [masked, np.array([1.0, 2.0])]):
        with pytest.raises(sw.DataError, match=r"X, row 1: 1 of 2 values is masked, the first in column 2"):
            sw.lstsq(rows, [1, 2])
    with pytest.raises(sw.DataError, match="y: 1 of 2 values is masked, the first in row 2 "):
        sw.lstsq([[1], [2]], masked)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="long double is float64 here")
def test_long_doubles_beyond_float64_are_refused_without_a_warning() -> None:
    with pytest.raises(sw.DataError, match=r"exceed 1\.8e308"):
        sw.lstsq(np.array([[np.longdouble("1e400")]]), [1])
    with pytest.raises(sw.DataError, match=r"row 1 .*1e-400 has digits below 4.9e-324"):
        sw.lstsq(np.array([[np.longdouble("1e-400")]]), [1])


def test_columns_of_one_name_are_numbered() -> None:
    frame = pd.DataFrame(X, columns=["c", "c"])
    assert sw.compare_solvers(frame, y).coef.columns.tolist() == ["c", "c.2"]
    four = pd.DataFrame(np.column_stack([X, X]), columns=["c", "c", "c.2", "c"])
    fit = sw.lstsq(four, y)
    assert fit.names == ("c", "c.3", "c.2", "c.4")
    assert fit.dependent == {"c.2": "c", "c.4": "c.3"}
    assert fit.predict(four).shape == (7,)


def test_chunks_without_rows_or_weight_add_nothing() -> None:
    none = (X[:0], y[:0], y[:0])
    fit = sw.lstsq([none, (X, y, np.zeros(7)), (X[:4], y[:4], np.ones(4)), none, (X[4:], y[4:], np.ones(3))])
    assert fit.gram == sw.lstsq(X, y, np.ones(7)).gram
    with pytest.raises(sw.DataError, match="2 chunks without rows"):
        sw.lstsq([none[:2], none[:2]])
    with pytest.raises(sw.DataError, match="1 chunk without a positive weight"):
        sw.lstsq([(X, y, np.zeros(7))])
    with pytest.raises(sw.DataError, match="Chunk 2: X has no rows"):
        sw.lstsq([(X, y), (X[:0], y)])


def test_values_beyond_float64_are_refused_and_the_point_is_named() -> None:
    """x^2 at 1e200 is 1e400.  A line there, and the error of its value, are about 1e199."""
    for call in (PARABOLA, PARABOLA.predict, PARABOLA.derivative(0)):
        with pytest.raises(sw.DataError, match=r"value at point 2 \(counted from 1\), x = 1e\+200, is larger"):
            call([1, 1e200])  # type: ignore[operator]
    line = sw.polyfit(x, y, 1).predict([1e200], interval="confidence")
    assert line["std_error"].iloc[0] == pytest.approx(1e200 * sw.polyfit(x, y, 1).se[1], rel=1e-12)
    with pytest.raises(sw.DataError, match=r"lower at point 1"):
        sw.polyfit([0, 1, 2], [0, 1e308, -1e308], 1).predict([5e-1], interval="prediction")
    with pytest.raises(sw.DataError, match="row 1"):
        sw.lstsq([[1.0, 0], [0, 1]], [1, -1]).predict([[1.7e308, -1.7e308]])


def test_printed_results_show_what_lies_beyond_float64() -> None:
    """Points of 1e-320: slopes of 1e320 and more.  1e300 / 1e-320 = 1e620."""
    tiny = sw.polyfit(x * 1e-320, y, 2)
    lines = [line.split()[:3] for line in str(tiny).splitlines()[3:6]]
    assert lines[1:] == [["x", ">", "1.8e308"], ["x^2", ">", "1.8e308"]]
    assert "1.8e308" in tiny._repr_html_()
    with pytest.raises(sw.DataError, match="the coefficient of column 2"):
        tiny.coef.tolist()
    table = tiny.bases()
    assert np.isinf(table.loc["monomial", "kappa"])
    assert table.drop(index="monomial").notna().all(axis=None)
    np.testing.assert_allclose(table.loc["chebyshev"], PARABOLA.bases().loc["chebyshev"], rtol=1e-9)
    for responses in ([-1e300, 1, 1], [[-1e300, 1], [1, 2], [1, 2]]):
        fit = sw.lstsq([[1e-320, 0], [0, 1], [0, 2.0]], responses)
        assert "< -1.8e308" in str(fit)
        assert "1.8e308" in fit._repr_html_()
    with pytest.raises(sw.DataError, match="covariance of coefficients 1 and 1, response 1,"):
        np.asarray(fit.vcov)
    rows = str(sw.polyfit(x * 1e-320, y * 1e300, 2, basis="orthogonal"))
    assert rows.count("1.8e308") == 1  # the sum of squares, 4e600
    with pytest.raises(sw.DataError, match=r"the variance of Q0\(t\)"):
        np.asarray(sw.polyfit(x, y * 1e300, 2, basis="orthogonal").vcov)


@pytest.mark.parametrize("degree", [12, 30])
def test_printing_a_polynomial_costs_about_as_much_as_its_coefficients(degree: int) -> None:
    points = np.random.default_rng(1).normal(size=(2, 100))
    fit = sw.polyfit(*points, degree)
    assert (fit.printed_limits is None) == (degree == 30)
    assert (".digits() says it" in " ".join(str(fit).split())) == (degree == 30)


@pytest.mark.parametrize(
    "result",
    [LSTSQ, sw.lstsq([(X, y)]), PARABOLA, PARABOLA.derivative(), sw.polyfit(x, y, 2, basis="orthogonal")],
    ids=["lstsq", "chunks", "polyfit", "derivative", "orthogonal"],
)
def test_results_can_be_pickled_and_copied(result: Any) -> None:
    str(result)
    for again in (pickle.loads(pickle.dumps(result)), copy.copy(result), copy.deepcopy(result)):
        assert again.coef.tolist() == result.coef.tolist()
        if not isinstance(result, type(PARABOLA.derivative())):
            assert str(again) == str(result)


@pytest.mark.parametrize("weights", [None, np.ones(7)], ids=["plain", "weighted"])
@pytest.mark.parametrize("what", ["X", "y", "weights"])
def test_rows_that_changed_since_the_fit_are_noticed(what: str, weights: Any) -> None:
    arrays = {"X": X.copy(), "y": y.copy(), "weights": None if weights is None else weights.copy()}
    fit = sw.lstsq(**arrays)
    before, text = fit.residuals(), str(fit)
    changed = arrays[what]
    if changed is None:
        return
    changed.flat[-1] += 1
    for call in (fit.residuals, fit.digits, lambda: fit.fitted):
        with pytest.raises(sw.DataError, match="changed since the fit"):
            call()
    if what != "y":
        with pytest.raises(sw.DataError, match="changed since the fit"):
            fit.solve(y)
    assert str(fit) == text
    changed.flat[-1] -= 1
    assert fit.residuals().tolist() == before.tolist()


@pytest.mark.parametrize("value", [np.pi, np.nan])
def test_decimals_that_changed_to_other_numbers_are_noticed(value: float) -> None:
    changed = X / 10
    fit = sw.lstsq(changed, y, decimal=True)
    changed[2, 1] = value
    with pytest.raises(sw.DataError, match="X or y changed since the fit"):
        fit.residuals()
    assert "7 rows" in str(fit)


def test_condition_beyond_float64_is_no_dependence() -> None:
    """1e308 / 1e-308 = 1e616"""
    text = str(sw.condition([[1e308, 0], [0, 1e-308]]))
    assert "the columns are independent, but kappa exceeds 1.8e308" in text
    assert "depend on each other" not in text
    assert "depend on each other" in str(sw.condition([[1, 2], [2, 4]]))
    assert "depend on each other" not in str(sw.condition([[1, 2, 3], [4, 5, 7]]))
    assert "depend on each other" in str(sw.condition([[1, 2, 3], [4, 5, 7]], [1, 2]))


def test_a_frame_without_left_inverse_has_its_columns_named() -> None:
    with pytest.raises(sw.DataError, match=r"needs 2 independent columns, but old = 2 [*] age"):
        sw.left_inverse(pd.DataFrame({"age": [1, 2.0], "old": [2, 4.0]}))


def test_one_of_anything_is_singular() -> None:
    assert "2 points (1 distinct x) determine 1 coefficient;" in sw.polyfit([1, 1], [1, 2], 0).verdict.text
    assert "1 distinct x determines only 1 of them" in sw.polyfit([1, 1], [1, 2], 2).verdict.text
    assert str(sw.compare_solvers([[1.0], [2]], [1, 2])).startswith("1 coefficient, rank 1")


def test_subspaces_of_a_tall_matrix_are_worked_out_when_asked_for() -> None:
    tall = np.random.default_rng(0).normal(size=(1000, 20))
    four = sw.subspaces(tall)
    text = str(four)
    assert "left_null_space: dimension 980" in text
    assert ".left_null_space works it out" in text
    np.testing.assert_allclose(four.row_space.T @ four.row_space, np.eye(20), atol=1e-14)
    with pytest.raises(sw.DataError, match=r"would have 980,000 numbers \(1,000 x 980\)"):
        np.asarray(four.left_null_space)


def test_projections_beyond_memory_are_refused() -> None:
    checks.check_square((1000, 3), available=0)
    with pytest.raises(sw.DataError, match=r"10,000 x 10,000 numbers, which takes about 37 GiB of memory; 1 GiB"):
        checks.check_square((10_000, 3), available=2**30)
