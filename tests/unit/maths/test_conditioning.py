"""Condition numbers, perturbation bounds and data-limited digits."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from sumwise.errors import DataError
from sumwise.maths.conditioning import (
    condition,
    data_limits,
    matrix_condition,
    relative_data_limits,
    spectral_norm,
    surviving,
)
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares
from sumwise.maths.perturbation import perturbation, perturbation_bound
from tests.oracles.singular_values import scaled_to_unit_columns, singular_values
from tests.reference import load
from tests.unit.maths.lsq_sets import example, nearest_float, nist_design64

SEEDS = load("seed_examples")


def of(X: np.ndarray, y: np.ndarray) -> LeastSquares:
    return LeastSquares(Gram.of([*X.T.copy(), y]), range(X.shape[1]), [X.shape[1]])


@pytest.mark.parametrize("name", [name for name, raw in SEEDS.items() if "kappa2" in raw and raw.get("unique", True)])
def test_the_condition_of_the_examples(name):
    """tests/reference/seed_examples.json, kappa2, as many digits as it has."""
    text = str(SEEDS[name]["kappa2"])
    digits = len(text.lower().partition("e")[0].replace(".", ""))
    A, _ = example(name)
    assert matrix_condition(A).kappa == pytest.approx(float(text), rel=max(10.0 ** (1 - digits), 1e-13))


@pytest.mark.parametrize("eps", [1e-3, 1e-20, 1e-40])
def test_lauchli_by_formula(eps):
    """A = [1 1 1; eps I]: singular values sqrt(3 + eps^2), eps, eps."""
    A = np.vstack([np.ones(3), eps * np.eye(3)])
    c = matrix_condition(A)
    assert c.kappa == pytest.approx(math.sqrt(3 + eps**2) / eps, rel=1e-14)
    assert c.norm == pytest.approx(math.sqrt(3 + eps**2), rel=1e-14)
    assert c.distance == pytest.approx(eps, rel=1e-14)
    assert c.norm_inverse == pytest.approx(1 / eps, rel=1e-14)
    assert c.kappa_normal == pytest.approx((3 + eps**2) / eps**2, rel=1e-14)
    assert c.relative_distance == pytest.approx(eps / math.sqrt(3 + eps**2), rel=1e-14)
    assert matrix_condition(A.T).kappa == c.kappa


@pytest.mark.parametrize("name", ["Norris", "Filip", "Longley", "Wampler1"])
def test_nist_designs_against_singular_values_of_100_digits(name):
    """tests/oracles/singular_values.py, mpmath's SVD."""
    X, _ = nist_design64(load("nist_strd")[name])
    c, s = matrix_condition(X), singular_values(X.tolist())
    assert c.norm == pytest.approx(float(s[0]), rel=1e-13)
    assert c.kappa == pytest.approx(float(s[0] / s[-1]), rel=1e-13)
    assert c.distance == pytest.approx(float(s[-1]), rel=1e-13)
    unit = singular_values(scaled_to_unit_columns(X.tolist()))
    assert c.kappa_scaled == pytest.approx(float(unit[0] / unit[-1]), rel=1e-12)


def test_scaling_columns_changes_kappa_but_not_the_scaled_one():
    A = np.random.default_rng(1).standard_normal((6, 3))
    scale = np.array([1e-150, 1.0, 1e150])
    plain, wild = matrix_condition(A), matrix_condition(A * scale)
    assert wild.kappa_scaled == pytest.approx(plain.kappa_scaled, rel=1e-13)
    with mpmath.workdps(700):
        s = singular_values((A * scale).tolist(), 700)
        assert wild.kappa == pytest.approx(float(s[0] / s[-1]), rel=1e-13)


def test_a_condition_beyond_float64_is_infinite_but_the_scaled_one_is_not():
    c = matrix_condition(np.diag([1e-200, 1e200]))
    assert (c.kappa, c.kappa_scaled, c.rank) == (math.inf, 1, 2)
    assert c.distance == pytest.approx(1e-200, rel=1e-14)


def test_a_rank_deficient_matrix_has_an_effective_condition_only():
    """diag(3, 2, 0)"""
    c = matrix_condition(np.diag([3.0, 2, 0]))
    assert (c.rank, c.kappa, c.kappa_scaled, c.distance, c.relative_distance) == (2, math.inf, math.inf, 0, 0)
    assert c.kappa_effective == pytest.approx(1.5, rel=1e-15)
    zero = matrix_condition(np.zeros((2, 2)))
    assert (zero.rank, zero.norm, zero.norm_inverse, zero.kappa) == (0, 0, 0, math.inf)
    with pytest.raises(DataError, match=r"empty matrix \(3 x 0\)"):
        matrix_condition(np.zeros((3, 0)))


def test_the_four_numbers_of_trefethen_and_bau():
    """Theorem 18.1 on the polynomial of lecture 19 (m = 100, n = 15); the book prints kappa 2.27e10, theta 3.75e-6,
    eta 2.10e5 and, for x over b, 1.08e5; all digits against mpmath's QR and SVD.
    """
    A, b = example("trefethen_bau_100x15")
    c = condition(of(A, b), 0)
    with mpmath.workdps(60):
        M, rhs = mpmath.matrix(A.tolist()), mpmath.matrix(b.tolist())
        x, residual = mpmath.qr_solve(M, rhs)
        s = singular_values(A.tolist(), 60)
        kappa, sine = s[0] / s[-1], residual / mpmath.norm(rhs)
        cosine, eta = mpmath.sqrt(1 - sine**2), s[0] * mpmath.norm(x) / mpmath.norm(M * x)
    assert (f"{c.kappa:.2e}", f"{c.theta:.2e}", f"{c.eta:.2e}", f"{c.x_to_rhs:.2e}") == (
        "2.27e+10",
        "3.75e-06",
        "2.10e+05",
        "1.08e+05",
    )
    assert c.kappa == pytest.approx(float(kappa), rel=1e-13)
    assert c.theta == pytest.approx(float(mpmath.asin(sine)), rel=1e-13)
    assert c.eta == pytest.approx(float(eta), rel=1e-13)
    assert c.y_to_rhs == pytest.approx(float(1 / cosine), rel=1e-13)
    assert c.x_to_rhs == pytest.approx(float(kappa / (eta * cosine)), rel=1e-13)
    assert c.y_to_matrix == pytest.approx(float(kappa / cosine), rel=1e-13)
    assert c.x_to_matrix == pytest.approx(float(kappa + kappa**2 * sine / cosine / eta), rel=1e-13)


def test_the_angle_at_its_ends():
    A = np.array([[1.0], [0], [0]])
    assert condition(of(A, np.array([2.0, 0, 0])), 0).theta == 0
    square = condition(of(A, np.array([0.0, 3, 4])), 0)
    assert square.theta == math.pi / 2
    assert square.y_to_rhs == math.inf
    assert condition(of(A, np.array([1.0, 1, 0])), 0).theta == pytest.approx(math.pi / 4)
    assert math.isnan(condition(of(A, np.zeros(3)), 0).theta)
    small = condition(of(A, np.array([1.0, 1e-200, 0])), 0)  # tan, not cos, keeps small angles
    assert small.theta == pytest.approx(1e-200, rel=1e-14)


def test_the_spectral_norm_of_a_change():
    assert spectral_norm(np.array([[0.0, 0], [-(2.0**-11), 0]])) == 2.0**-11
    assert spectral_norm(np.array([[3.0, 4]])) == 5
    assert spectral_norm(np.zeros((2, 2))) == 0


@pytest.mark.parametrize("rhs", ["(1, 0)", "(0, 1)", "(1, 1)", "(1000, 1)"])
def test_the_perturbed_pair_of_the_seed(rhs):
    """tests/reference/seed_examples.json, perturbation_2x2.  kappa |dA|/|A| = 1.05: relative to the old solution there
    is no bound (x moves by a factor of 20.8), relative to the new one it holds, and nearly with equality.
    """
    raw = SEEDS["perturbation_2x2"]
    A, dA = (np.array([[nearest_float(v) for v in row] for row in raw[name]]) for name in ("A", "dA"))
    b = np.array([float(v) for v in rhs.strip("()").split(",")])
    p = perturbation(A, b, dA, np.zeros(2))
    solutions = raw["solutions"][rhs]
    assert p.x.tolist() == [nearest_float(v) for v in solutions["x_A"]]
    assert p.x_changed.tolist() == [nearest_float(v) for v in solutions["x_A_plus_dA"]]
    assert p.kappa == pytest.approx(float(raw["kappa2_A"]), rel=1e-14)
    assert p.relative_matrix == pytest.approx(float(raw["rel_dA_2"]), rel=1e-14)
    assert p.bound == pytest.approx(float(raw["kappa_times_rel_dA"]), rel=1e-14)
    assert p.bound_to_x == math.inf
    assert p.actual <= p.bound
    if rhs == "(1000, 1)":  # dA x = 0
        assert (p.actual, p.actual_to_x) == (0, 0)
    else:
        assert p.actual_to_x > 20 > p.first_order
    if rhs == "(0, 1)":
        assert p.actual == pytest.approx(float(raw["rel_change_vs_perturbed_inverse"]), rel=1e-14)
        assert p.actual_to_x == pytest.approx(float(raw["rel_change_inverse"]), rel=1e-9)


def test_perturbation_refuses_what_has_no_unique_solution():
    with pytest.raises(DataError, match=r"not independent \(rank 1 of 2\)"):
        perturbation(np.ones((2, 2)), np.ones(2), np.zeros((2, 2)), np.zeros(2))
    with pytest.raises(DataError, match="at least as many rows as columns, not 1 x 2"):
        perturbation(np.ones((1, 2)), np.ones(1), np.zeros((1, 2)), np.zeros(1))
    assert perturbation_bound(100.0, 1e-6, 1e-4) == pytest.approx(0.0101)


def test_data_limits_by_hand():
    """Mean of two numbers 1, 3 with column of ones: b = 2, H = 1/2, |r| = sqrt 2.  Errors e_x = 0.01, e_y = 0.1:
    sqrt(1/2) (0.1 + 0.01 * 2) + sqrt(2) / 2 * 0.01 = 0.0919...
    """
    fit = of(np.ones((2, 1)), np.array([1.0, 3]))
    limits = data_limits(fit, [0.01], 0.1)
    assert limits[0] == pytest.approx((0.12 + 0.01) / math.sqrt(2), rel=1e-15)
    assert surviving(limits, fit.coef[:, 0])[0] == pytest.approx(-math.log10(0.13 / math.sqrt(2) / 2), rel=1e-15)


def test_digits_are_floored_capped_and_missing_where_they_mean_nothing():
    x = np.array([0.0, 1, 2, 3])
    fit = of(np.column_stack([np.ones(4), x, x]), np.array([1.0, 3, 5, 8]))
    b = fit.coef[:, 0]
    assert surviving(data_limits(fit, [0, 0, 0], 1e-30), b)[0] == 15.95
    assert np.isnan(surviving(data_limits(fit, [0, 0, 0], 1e-30), b)[1:]).all()  # not estimable
    assert surviving(data_limits(fit, [0, 0, 0], 0), b)[0] == 15.95
    assert surviving(data_limits(fit, [0, 0, 0], 1e30), b)[0] == 0
    through_zero = of(np.ones((2, 1)), np.array([1.0, -1]))
    assert surviving(data_limits(through_zero, [0], 0.1), through_zero.coef[:, 0])[0] == 0


def test_relative_limits_of_wild_columns_do_not_depend_on_their_units():
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((8, 3)), rng.standard_normal(8)
    fits = of(X, y), of(X * 2.0 ** np.array([-600, 0, 500]), y)
    plain, wild = (surviving(relative_data_limits(fit, 1e-6), fit.coef[:, 0]) for fit in fits)
    assert np.allclose(plain, wild, rtol=1e-12)
    assert np.all((plain > 3) & (plain < 6))


def test_the_limit_of_the_response_error_is_attained():
    """dy along X H e_k moves coefficient k by exactly sqrt(H_kk) |dy|."""
    rng = np.random.default_rng(4)
    X, y = rng.standard_normal((8, 3)), rng.standard_normal(8)
    fit = of(X, y)
    for k in range(3):
        worst = X @ fit.inverse[:, k]
        dy = 1e-3 * worst / np.linalg.norm(worst)
        change = of(X, y + dy).coef[k, 0] - fit.coef[k, 0]
        assert change == pytest.approx(data_limits(fit, [0] * 3, 1e-3)[k], rel=1e-9)


def test_weights_enter_the_norms():
    X, y, w = np.ones((2, 1)), np.array([1.0, 4]), np.array([2.0, 1])
    fit = LeastSquares(Gram.of([X[:, 0].copy(), y], w), [0], [1])
    assert fit.coef_exact() == [[Fraction(2)]]
    assert condition(fit, 0).norm == pytest.approx(math.sqrt(3), rel=1e-15)
    assert relative_data_limits(fit, 1e-3)[0] == pytest.approx(
        1e-3 * (math.sqrt(1 / 3) * (math.sqrt(18) + math.sqrt(3) * 2) + math.sqrt(6) / 3 * math.sqrt(3)), rel=1e-14
    )
