"""Bounds that must hold for any matrix, and condition numbers against singular values of many digits."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.maths.conditioning import condition, data_limits, matrix_condition
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares
from sumwise.maths.perturbation import perturbation
from tests.oracles.singular_values import scaled_to_unit_columns, singular_values

seeds = st.integers(0, 2**32 - 1)
ROUNDING = 1 + 1e-12  # the bounds are products of norms good to 1e-13


def of(X: np.ndarray, y: np.ndarray) -> LeastSquares:
    return LeastSquares(Gram.of([*X.T.copy(), y]), range(X.shape[1]), [X.shape[1]])


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_condition_numbers_are_ratios_of_singular_values(seed):
    rng = np.random.default_rng(seed)
    p = int(rng.integers(1, 5))
    A = rng.standard_normal((p + rng.integers(0, 3), p)) * 10.0 ** rng.uniform(-20, 20, p)
    A[:, -1] = A[:, 0] + A[:, -1] * 10.0 ** -rng.uniform(0, 15)
    c, s = matrix_condition(A), singular_values(A.tolist(), 150)
    if c.rank == p:
        assert c.norm == pytest.approx(float(s[0]), rel=1e-13)
        assert c.kappa == pytest.approx(float(s[0] / s[-1]), rel=1e-13)
        unit = singular_values(scaled_to_unit_columns(A.tolist(), 150), 150)
        assert c.kappa_scaled == pytest.approx(float(unit[0] / unit[-1]), rel=1e-12)


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_no_perturbation_exceeds_its_bound(seed):
    rng = np.random.default_rng(seed)
    p = int(rng.integers(1, 5))
    n = p + int(rng.integers(0, 4))
    A, b = rng.standard_normal((n, p)), rng.standard_normal(n)
    A[:, -1] = A[:, 0] + A[:, -1] * 10.0 ** -rng.uniform(0, 8)
    dA = rng.standard_normal((n, p)) * 10.0 ** rng.uniform(-12, 1)
    db = rng.standard_normal(n) * 10.0 ** rng.uniform(-12, 1)
    if matrix_condition(A).rank < p:
        return
    found = perturbation(A, b, dA, db)
    assert found.actual <= found.bound * ROUNDING
    assert found.actual_to_x <= found.bound_to_x * ROUNDING


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_no_small_data_error_exceeds_its_first_order_limit(seed):
    rng = np.random.default_rng(seed)
    n, p = 7, int(rng.integers(1, 5))
    X, y = rng.standard_normal((n, p)), rng.standard_normal(n)
    fit = of(X, y)
    size = 1e-7 / matrix_condition(X).kappa ** 2  # second-order terms are far below first-order ones
    dX = rng.standard_normal((n, p)) * size * 10.0 ** rng.uniform(-4, 0, p)
    dy = rng.standard_normal(n) * size
    changed = of(X + dX, y + dy)
    errors = np.linalg.norm(X + dX - X, axis=0)
    limit = data_limits(fit, errors, float(np.linalg.norm(y + dy - y)))
    for k, (before, after) in enumerate(zip(fit.coef_exact(), changed.coef_exact(), strict=True)):
        assert abs(float(after[0] - before[0])) <= limit[k] * (1 + 1e-5)


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_eta_lies_between_one_and_kappa_and_the_angle_is_that_of_the_residual(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((6, 3)), rng.standard_normal(6)
    fit = of(X, y)
    c = condition(fit, 0)
    assert 1 / ROUNDING <= c.eta <= c.kappa * ROUNDING
    square = sum((Fraction(v) ** 2 for v in y.tolist()), Fraction(0))
    assert np.sin(c.theta) ** 2 == pytest.approx(fit.rss[0] / float(square), rel=1e-13)
    assert c.y_to_rhs == pytest.approx(1 / np.cos(c.theta), rel=1e-12)
    assert c.x_to_matrix == pytest.approx(c.kappa + c.kappa**2 * np.tan(c.theta) / c.eta, rel=1e-12)
