"""Least squares against published and exact answers, and what it does at the edges."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from flint import fmpz_mat

from sumwise.errors import DataError
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import Dependence, LeastSquares
from tests.reference import load
from tests.unit.maths.lsq_sets import (
    decimal_gram,
    example,
    nearest_float,
    nist_columns,
    nist_design64,
)

NIST = load("nist_strd")
SEEDS = load("seed_examples")


def of(X: np.ndarray, y: np.ndarray, weights=None, constant=None) -> LeastSquares:
    p = X.shape[1]
    return LeastSquares(Gram.of([*X.T.copy(), y], weights), range(p), [p], constant)


def assert_rounded(fit: LeastSquares, exact: dict) -> None:
    """Every result is the 40-digit answer of the file, rounded to float64."""
    assert fit.df == exact["df"]
    assert fit.coef[:, 0].tolist() == [nearest_float(v) for v in exact["coef"]]
    assert fit.se[:, 0].tolist() == [nearest_float(v) for v in exact["se"]]
    assert fit.sigma.tolist() == [nearest_float(exact["resid_sd"])]
    assert fit.rss.tolist() == [nearest_float(exact["rss"])]
    assert fit.r2.tolist() == [nearest_float(exact["r2"])]


def constant_of(raw: dict) -> int | None:
    return None if raw["model"] == "noint" else 0


@pytest.mark.parametrize("name", NIST)
def test_nist_float64_designs_come_out_correctly_rounded(name):
    """tests/reference/nist_strd.json, exact.design64: the exact answer of the float64 design, 40 digits."""
    X, y = nist_design64(NIST[name])
    assert_rounded(of(X, y, constant=constant_of(NIST[name])), NIST[name]["exact"]["design64"])


@pytest.mark.parametrize("name", NIST)
def test_nist_decimals_come_out_correctly_rounded(name):
    """tests/reference/nist_strd.json, exact.decimal: the exact answer of the printed data, 40 digits."""
    columns, y = nist_columns(NIST[name])
    fit = LeastSquares(decimal_gram([*columns, y]), range(len(columns)), [len(columns)], constant_of(NIST[name]))
    assert_rounded(fit, NIST[name]["exact"]["decimal"])


def as_printed(value: float, text: str) -> bool:
    """Whether a printed number is a number that rounds to this float64, rounded to the digits of the text.

    Not the float64 itself: Norris' 0.232818234301152 is 0.2328..15249564, whose nearest float64 lies above ..1525.
    """
    last = Decimal((0, (1,), Decimal(text).as_tuple().exponent))
    half = Decimal(float(np.spacing(abs(value)))) / 2
    lower, upper = ((Decimal(value) + side * half).quantize(last) for side in (-1, 1))
    return lower <= Decimal(text) <= upper


@pytest.mark.parametrize("name", NIST)
def test_nist_certified_values_come_out_to_every_printed_digit(name):
    """NIST StRD certified values as printed: coefficients, standard errors, residual sd, R2."""
    columns, y = nist_columns(NIST[name])
    fit = LeastSquares(decimal_gram([*columns, y]), range(len(columns)), [len(columns)], constant_of(NIST[name]))
    certified = NIST[name]["certified"]
    texts = [*certified["coef"], *certified["se"], certified["resid_sd"], certified["r2"]]
    values = [*fit.coef[:, 0], *fit.se[:, 0], fit.sigma[0], fit.r2[0]]
    assert [t for v, t in zip(values, texts, strict=True) if not as_printed(v, t)] == []


@pytest.mark.parametrize("name", [name for name, raw in SEEDS.items() if "x_fraction" in raw])
def test_examples_with_a_rational_answer_come_out_exactly(name):
    """tests/reference/seed_examples.json, x_fraction, including minimum-norm solutions."""
    raw = SEEDS[name]
    fit = of(*example(name))
    expected = [Fraction(v) for v in raw["x_fraction"]]
    assert [row[0] for row in fit.coef_exact()] == expected
    assert fit.coef[:, 0].tolist() == [v.numerator / v.denominator for v in expected]
    assert fit.rank == raw["rank"]
    assert fit.estimable.all() == raw["unique"]
    assert fit.rss.tolist() == [nearest_float(raw["rss"])] if isinstance(raw["rss"], str) else [raw["rss"]]


@pytest.mark.parametrize("name", ["trefethen_bau_100x15", "trefethen_bau_101x15"])
def test_the_polynomial_of_trefethen_and_bau(name):
    """30 digits of the exact answer of the float64 design; x15 would be 1 for exact data at m = 100."""
    X, b = example(name)
    expected = SEEDS[name]["x_exact_of_float64_design"]
    assert of(X, b).coef[:, 0].tolist() == [nearest_float(v) for v in expected]


def test_near_collinear_columns_at_condition_2e16():
    """seed_examples.json: x and se to 30 digits; rss = 2.4e-32."""
    X, y = example("near_collinear_10x2_rounded")
    fit, raw = of(X, y), SEEDS["near_collinear_10x2_rounded"]
    assert fit.coef[:, 0].tolist() == [nearest_float(v) for v in raw["x_exact_of_float64_data"]]
    assert fit.se[:, 0].tolist() == [nearest_float(v) for v in raw["se"]]
    assert fit.rss[0] == nearest_float(raw["rss"])
    X, y = example("near_collinear_10x2_exact")
    fit = of(X, y)
    assert [row[0] for row in fit.coef_exact()] == [Fraction(1, 10), Fraction(1, 10)]
    assert fit.rss[0] == 0
    assert fit.se.ravel().tolist() == [0, 0]


def test_a_line_by_hand():
    """y = 1, 2, 4 at x = 0, 1, 2: b = (5/6, 3/2), rss = 1/6, tss = 14/3, R2 = 27/28; se of the slope sqrt(1/12)."""
    fit = of(np.column_stack([np.ones(3), [0.0, 1, 2]]), np.array([1.0, 2, 4]), constant=0)
    assert fit.coef_exact() == [[Fraction(5, 6)], [Fraction(3, 2)]]
    assert (fit.rss[0], fit.tss[0], fit.r2[0], fit.adjusted_r2[0]) == (1 / 6, 14 / 3, 27 / 28, 13 / 14)
    assert (fit.se[1, 0], fit.sigma[0], fit.fstat[0]) == ((1 / 12) ** 0.5, (1 / 6) ** 0.5, 27)
    assert fit.inverse.tolist() == [[5 / 6, -1 / 2], [-1 / 2, 1 / 2]]
    assert fit.vcov().tolist() == [[5 / 36, -1 / 12], [-1 / 12, 1 / 12]]
    assert (fit.df, fit.rank, fit.centred) == (1, 2, True)


def test_the_constant_is_found_in_the_span_of_dummies():
    dummies = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    gram = Gram.of([*dummies.T.copy(), np.array([1.0, 2, 3, 5]), np.ones(4)])
    fit = LeastSquares(gram, [0, 1], [2], constant=3)
    assert fit.centred
    assert fit.tss[0] == 8.75  # 1 + 4 + 9 + 25 - 11^2/4
    assert not LeastSquares(gram, [0], [2], constant=3).centred
    assert LeastSquares(gram, [0], [2], constant=3).tss[0] == 39
    assert not LeastSquares(gram, [0, 1], [2]).centred


def test_an_exact_fit_has_no_residual_and_infinite_t():
    x = np.arange(5.0)
    fit = of(np.column_stack([np.ones(5), x, x**2]), 2 * x - 1, constant=0)
    assert fit.coef[:, 0].tolist() == [-1, 2, 0]
    assert fit.se[:, 0].tolist() == [0, 0, 0]
    assert fit.t[:2, 0].tolist() == [-np.inf, np.inf]
    assert np.isnan(fit.t[2, 0])
    assert (fit.rss[0], fit.r2[0], fit.adjusted_r2[0], fit.fstat[0]) == (0, 1, 1, np.inf)


def test_no_degrees_of_freedom_leave_no_standard_errors():
    fit = of(np.array([[1.0, 2], [3, 4]]), np.array([5.0, 6]))
    assert fit.coef[:, 0].tolist() == [-4, 4.5]
    assert fit.rss[0] == 0
    for value in (fit.sigma, fit.se, fit.t, fit.fstat, fit.adjusted_r2, fit.vcov()):
        assert np.isnan(value).all()
    assert fit.r2[0] == 1


def test_a_dependent_column_is_named_with_its_combination():
    X = np.array([[1.0, 2, 0, 5], [1, 0, 0, 1], [1, 3, 0, 7], [1, 1, 0, 3.0]])  # last = first + 2 second
    fit = of(X, np.array([1.0, 2, 3, 4]))
    assert fit.rank == 2
    assert fit.independent == (0, 1)
    assert fit.dependences == (Dependence(2, {}), Dependence(3, {0: Fraction(1), 1: Fraction(2)}))
    assert not fit.estimable.any()
    assert np.isnan(fit.se).all()


def test_all_zero_columns_and_no_columns_have_rank_zero():
    fit = of(np.zeros((3, 2)), np.array([1.0, 2, 3]))
    assert (fit.rank, fit.df, fit.rss[0]) == (0, 3, 14)
    assert not fit.coef.any()
    assert not fit.inverse.any()
    assert fit.dependences == (Dependence(0, {}), Dependence(1, {}))
    empty = LeastSquares(Gram.of([np.ones(3)]), [], [0])
    assert (empty.rank, empty.coef.shape, empty.rss[0]) == (0, (0, 1), 3)
    assert empty.inverse.shape == (0, 0)


def test_rows_of_weight_zero_count_but_do_not_weigh():
    X, y = np.array([[1.0], [1], [1]]), np.array([1.0, 2, 9])
    fit = of(X, y, np.array([1.0, 1, 0]), constant=0)
    assert fit.coef[0, 0] == 1.5
    assert (fit.rows, fit.df, fit.rss[0], fit.tss[0]) == (3, 2, 0.5, 0.5)


def test_a_result_beyond_float64_is_refused_by_name_and_the_others_stand():
    fit = of(np.array([[1e-200], [1e-200]]), np.array([1.0, 3]))
    assert fit.coef[0, 0] == nearest_float(str(2 / Fraction(1e-200)))
    with pytest.raises(DataError, match=r"entry \(1, 1\) of the inverse of X'WX is larger than the largest float64"):
        _ = fit.inverse
    fit = of(np.array([[1e-200], [1e-200]]), np.array([1e200, 3e200]))
    with pytest.raises(DataError, match="coefficient of column 1, response 1, is larger"):
        _ = fit.coef
    with pytest.raises(DataError, match="residual sum of squares of response 1 is larger"):
        _ = fit.rss


def test_results_that_underflow_are_rounded_to_subnormals_and_zero():
    fit = of(np.array([[1e200], [1e200]]), np.array([3e-120, 1e-120]))
    assert fit.coef[0, 0] == nearest_float(str(Fraction(4e-120) / 2 / Fraction(1e200)))
    assert fit.coef[0, 0] > 0
    assert fit.coef[0, 0] < 1e-308
    assert fit.inverse[0, 0] == 0


def test_two_hundred_dense_columns_agree_with_lapack_to_its_digits():
    rng, n, p = np.random.default_rng(0), 400, 200
    whole = np.rint(np.ldexp(rng.standard_normal((n, p + 1)), 52))
    M = fmpz_mat([[int(v) for v in row] for row in whole])
    G = (M.transpose() * M).tolist()
    entries = tuple(int(v) for i, row in enumerate(G) for v in row[: i + 1])
    gram = Gram(rows=n, low=(-52,) * (p + 1), entries=entries, decimals=(0,) * (p + 1))
    fit = LeastSquares(gram, range(p), [p])
    rough = np.linalg.lstsq(whole[:, :p], whole[:, p], rcond=None)[0]
    assert np.allclose(fit.coef[:, 0], rough, rtol=1e-9)
