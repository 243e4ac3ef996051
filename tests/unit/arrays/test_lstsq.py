"""Least squares of arrays."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sumwise as sw
from tests.oracles.least_squares import rounded, rounded_root, solve
from tests.reference import load

H = [20, 25, 30, 35, 40, 45, 50]
DEATHS = [101, 115, 92, 64, 60, 50, 49]
LINE = np.column_stack([np.ones(7), H])

HOUSES = [[1, 2104, 5, 1, 45], [1, 1416, 3, 2, 40], [1, 1534, 3, 2, 30], [1, 852, 2, 1, 36]]
PRICES = [460, 232, 315, 178]

RNG = np.random.default_rng(20)
X = RNG.normal(size=(40, 3)) * [1, 1e3, 1e-3]
Y = RNG.normal(size=(40, 2))
W = RNG.integers(0, 4, size=40) / 4


def test_the_hormone_line_is_exact() -> None:
    """seed_examples.json, hormone_line: fractions; standard errors to 30 digits."""
    known = load("seed_examples")["hormone_line"]
    fit = sw.lstsq(LINE, DEATHS)
    assert fit.exact() == [Fraction(v) for v in known["x_fraction"]]
    assert fit.coef.tolist() == [float(v) for v in known["x"]]
    assert fit.se.tolist() == [float(v) for v in known["se"]]
    assert fit.rss == float(known["rss"])
    assert fit.predict([[1, 22]]).tolist() == [rounded(Fraction(2175, 14) - 22 * Fraction(159, 70))]


@pytest.mark.parametrize("name", ["housing_4x5_min_norm", "housing_5x5", "hormone_deg6_interpolation"])
def test_the_seeds_examples_are_exact(name: str) -> None:
    """seed_examples.json: solutions as fractions."""
    known = load("seed_examples")[name]
    fit = sw.lstsq(known["A"], known["b"])
    assert fit.exact() == [Fraction(v) for v in known["x_fraction"]]
    assert fit.rank == known["rank"]
    assert fit.rss == 0
    assert fit.df_resid == len(known["b"]) - known["rank"]


@pytest.mark.parametrize("m", [100, 101])
def test_trefethen_and_bau_agree_with_the_exact_answer_of_the_float64_design(m: int) -> None:
    """seed_examples.json: x_exact_of_float64_design, 30 digits.  The book's constant belongs to m = 100."""
    known = load("seed_examples")[f"trefethen_bau_{m}x15"]
    A = [[float.fromhex(v) for v in row] for row in known["design_hex"]]
    b = [float.fromhex(v) for v in known["b_float64_hex"]]
    assert sw.lstsq(A, b).coef.tolist() == [float(v) for v in known["x_exact_of_float64_design"]]


@pytest.mark.parametrize("kind", ["exact", "rounded"])
def test_nearly_collinear_pairs_are_solved(kind: str) -> None:
    """seed_examples.json, near_collinear_10x2: condition number 2e16."""
    known = load("seed_examples")[f"near_collinear_10x2_{kind}"]
    A = [[float.fromhex(v) for v in row] for row in known["A_hex"]]
    fit = sw.lstsq(A, [float.fromhex(v) for v in known["y_hex"]])
    expected = known["x"] if kind == "exact" else known["x_exact_of_float64_data"]
    assert fit.coef.tolist() == [float(v) for v in expected]


@pytest.mark.parametrize("name", ["Longley", "NoInt1"])
def test_texts_give_the_published_digits(name: str) -> None:
    """NIST StRD, certified to 15 digits (nist_strd.json); `exact` to 40, from the decimal data."""
    raw = load("nist_strd")[name]
    columns = raw["x"] if raw["model"] == "noint" else [["1"] * raw["n"], *raw["x"]]
    fit = sw.lstsq(np.array(columns).T, raw["y"])
    exact = raw["exact"]["decimal"]
    assert fit.coef.tolist() == [float(v) for v in exact["coef"]]
    assert fit.se.tolist() == [float(v) for v in exact["se"]]
    assert (fit.sigma, fit.r2) == (float(exact["resid_sd"]), float(exact["r2"]))
    assert [float(f"{v:.14e}") for v in fit.coef] == [float(v) for v in raw["certified"]["coef"]]


@pytest.mark.parametrize("weights", [None, W], ids=["plain", "weighted"])
def test_every_result_equals_the_oracle(weights: Any) -> None:
    fit = sw.lstsq(X, Y, weights)
    for k in range(2):
        known = solve(X.tolist(), Y[:, k].tolist(), None if weights is None else weights.tolist())
        rows = 40 if weights is None else int(np.count_nonzero(weights))
        assert fit.nobs == rows
        assert fit.df_resid == rows - 3
        assert fit.coef[:, k].tolist() == [rounded(b) for b in known.coef]
        assert fit.rss[k] == rounded(known.rss)
        assert fit.sigma[k] == rounded_root(known.rss / fit.df_resid)
        assert fit.se[:, k].tolist() == [rounded_root(known.inverse[j][j] * known.rss / fit.df_resid) for j in range(3)]
        assert fit.vcov[0, 1, k] == rounded(known.inverse[0][1] * known.rss / fit.df_resid)


def test_p_values_are_students() -> None:
    """scipy.stats.t"""
    fit = sw.lstsq(LINE, DEATHS)
    np.testing.assert_allclose(fit.pvalues, 2 * stats.t.sf(np.abs(fit.t), 5), rtol=1e-12)


def test_fitted_values_and_residuals_are_those_of_the_exact_solution() -> None:
    fit = sw.lstsq(X, Y[:, 0])
    known = solve(X.tolist(), Y[:, 0].tolist()).coef
    exact = [sum(Fraction(v) * b for v, b in zip(row, known, strict=True)) for row in X.tolist()]
    assert fit.fitted.tolist() == [rounded(v) for v in exact]
    assert fit.residuals().tolist() == [rounded(Fraction(y) - v) for y, v in zip(Y[:, 0].tolist(), exact, strict=True)]


def test_decimal_columns_are_fitted_and_predicted_as_decimals() -> None:
    """y = x / 10 exactly, in decimals: no residual is left."""
    x = [["0.1"], ["0.2"], ["0.7"]]
    fit = sw.lstsq(x, ["0.01", "0.02", "0.07"])
    assert fit.exact() == [Fraction(1, 10)]
    assert fit.residuals().tolist() == [0, 0, 0]
    assert fit.predict([["0.3"]]).tolist() == [0.03]


def test_integers_beyond_float64_are_fitted_exactly() -> None:
    x = np.array([[2**60 + 1, 1], [2**60 + 3, 1], [2**60 + 5, 1]])
    fit = sw.lstsq(x, [1, 3, 5])
    assert fit.exact() == [1, -(2**60)]
    assert fit.residuals().tolist() == [0, 0, 0]


def test_r2_is_about_the_mean_where_a_constant_lies_in_the_span() -> None:
    y = np.array([1.0, 2, 4, 7])
    switch = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    assert sw.lstsq(switch, y).r2 == 1 - 5 / 21  # rss 1/2 + 9/2, tss about 3.5: 21
    assert sw.lstsq(switch[:, :1], y).r2 == rounded(1 - Fraction(131, 2) / 70)  # rss 1/2 + 65, about zero: 70


def test_dependent_columns_are_named_with_their_combination() -> None:
    frame = pd.DataFrame({"one": [1, 1, 1, 1], "years": [1, 2, 4, 7], "months": [12, 24, 48, 84], "none": [0, 0, 0, 0]})
    fit = sw.lstsq(frame, [1, 2, 3, 5])
    assert fit.rank == 2
    assert fit.dependent == {"months": "12 * years", "none": "0"}
    assert fit.estimable.tolist() == [True, False, False, False]
    assert "months = 12 * years; none is zero in every row" in " ".join(str(fit).split())
    assert "Unique: 'one', and fitted values." in " ".join(str(fit).split())


def test_an_underdetermined_fit_says_so() -> None:
    text = " ".join(str(sw.lstsq(HOUSES, PRICES)).split())
    assert "4 rows, 5 columns, rank 4" in text
    assert "Infinitely many solutions fit equally well; this is the one of least norm" in text
    assert "No residual degrees of freedom" in text


def test_another_response_gives_what_a_new_fit_gives() -> None:
    for weights in (None, W):
        fit, new = sw.lstsq(X, Y[:, 0], weights).solve(Y), sw.lstsq(X, Y, weights)
        assert fit.gram == new.gram
        assert fit.coef.tolist() == new.coef.tolist()
    first = sw.lstsq([["0.1"], ["0.7"]], [1, 2])
    assert first.solve(["0.05", "0.35"]).exact() == [Fraction(1, 2)]


def test_rows_in_chunks_are_the_same_fit() -> None:
    def chunks() -> Iterator[tuple[Any, ...]]:
        for start in range(0, 40, 7):
            part = slice(start, start + 7)
            yield X[part], Y[part], W[part] + 0.25

    whole = sw.lstsq(X, Y, W + 0.25)
    fit = sw.lstsq(chunks())
    assert fit.gram == whole.gram
    assert fit.se.tolist() == whole.se.tolist()
    for call in (fit.residuals, fit.digits, lambda: fit.fitted, lambda: fit.solve(Y)):
        with pytest.raises(sw.UsageError, match="came in chunks and were not kept"):
            call()
    assert fit.predict(X[:2]).tolist() == whole.predict(X[:2]).tolist()
    assert "40 rows" in str(fit)


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        (iter([]), "There are no chunks"),
        ([(X, Y), (X[:, :2], Y)], r"Chunk 2: X has 2 columns \(x1, x2\), but in chunk 1 it has 3"),
        ([(X, Y, W), (X, Y)], "Chunk 1 has weights, chunk 2 has none"),
        ([(X, Y), (X[:3], Y)], r"Chunk 2: Rows do not match: X has shape \(3, 3\), y has shape \(40, 2\)"),
        ([X], "Chunk 1 is of type ndarray: pass tuples"),
    ],
)
def test_chunks_that_do_not_fit_together_are_refused(chunks: Any, message: str) -> None:
    with pytest.raises((sw.DataError, sw.UsageError), match=message):
        sw.lstsq(chunks)


def test_calls_that_make_no_sense_are_refused() -> None:
    with pytest.raises(sw.UsageError, match="y is missing"):
        sw.lstsq(X)
    with pytest.raises(sw.DataError, match=r"X has shape \(40, 3\), y has shape \(7,\)"):
        sw.lstsq(X, DEATHS)
    with pytest.raises(sw.DataError, match=r"weights has shape \(7,\)"):
        sw.lstsq(X, Y, np.ones(7))
    with pytest.raises(sw.UsageError, match="the fit has 2 coefficients"):
        sw.lstsq(LINE, DEATHS).predict(X)
    frame = pd.DataFrame(LINE, columns=["one", "dose"])
    with pytest.raises(sw.UsageError, match="X has columns dose, one; the fit's are one, dose"):
        sw.lstsq(frame, DEATHS).predict(frame[["dose", "one"]])


def test_the_printed_fit() -> None:
    assert str(sw.lstsq(LINE, DEATHS)).splitlines()[:6] == [
        "Exact least squares: 7 rows, 2 columns, rank 2",
        "",
        "        Estimate  Std. Error  t value  Pr(>|t|)",
        "x1   155.3571429     15.0119    10.35  0.000145",
        "x2  -2.271428571     0.41241   -5.508    0.0027",
        "",
    ]
    several = sw.lstsq(X, Y, W)
    assert str(several).startswith("Weighted exact least squares")
    assert several.table.shape == (6, 4)
    assert several.table.index[0] == ("y1", "x1")


def test_digits_that_the_inputs_do_not_support_are_weak() -> None:
    """Heights to a tenth: half of that moves the slope by up to about a hundredth of itself."""
    fit = sw.lstsq([[1, "1.5"], [1, "2.5"], [1, "4.0"], [1, "4.5"]], ["1.1", "2.3", "3.7", "4.6"])
    assert str(fit).splitlines()[2].endswith("digits")
    assert "half a unit of its last printed decimal" in " ".join(str(fit).split())
    limit = fit.digits()["data_limited"].iloc[1]
    assert 1 < limit < 2
    slope = f"{fit.coef[1]:.10g}"
    assert f'<b>{slope[0]}</b><span style="color:grey">{slope[1:]}</span>' in fit._repr_html_()


def test_threads_change_no_bit() -> None:
    big = np.random.default_rng(3).normal(size=(120_000, 2))
    assert sw.lstsq(big, big[:, 0] ** 2, threads=1).gram == sw.lstsq(big, big[:, 0] ** 2, threads=2).gram


def test_results_at_the_ends_of_float64() -> None:
    """By hand: 1e200 x 1e-200 and sums beyond 1.8e308 stay exact; what no float64 holds is refused when read."""
    fit = sw.lstsq([[1e200, 0], [0, 1e-200]], [1e300, 1e-100])
    assert fit.coef.tolist() == [
        rounded(Fraction(1e300) / Fraction(1e200)),
        rounded(Fraction(1e-100) / Fraction(1e-200)),
    ]
    assert sw.lstsq([[5e-324], [5e-324]], [5e-324, 1e-323]).coef.tolist() == [1.5]
    with pytest.raises(sw.DataError, match="larger than the largest float64"):
        sw.lstsq([[1e-200]], [1e200]).coef.tolist()


def test_many_terms_of_a_combination_are_left_to_dependent() -> None:
    wide = np.random.default_rng(2).normal(size=(12, 14))
    fit = sw.lstsq(wide, wide[:, 0])
    assert "2 columns depend exactly on earlier ones: each of them is a combination of many." in " ".join(
        str(fit).split()
    )
    assert "and 4 more terms" in fit.dependent["x13"]
