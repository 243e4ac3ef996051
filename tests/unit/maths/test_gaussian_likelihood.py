"""The log-likelihood of a linear mixed model at any parameters."""

import numpy as np
import pytest
from scipy import stats

from sumwise.maths import gaussian_likelihood
from sumwise.maths.newton import Point
from sumwise.maths.profiled import Expansion, profile

RNG = np.random.default_rng(11)
GROUP = np.repeat(np.arange(5), 4)
X = np.column_stack([np.ones(20), RNG.normal(size=20)])
Y = RNG.normal(size=20) + RNG.normal(size=5)[GROUP]
SHARED = (GROUP[:, None] == GROUP[None, :]).astype(float)
THETA = 0.8


def at_theta(theta: float) -> tuple[Expansion, Expansion]:
    """Of a random intercept, dense: V = I + theta^2 J."""
    V = np.eye(20) + theta**2 * SHARED
    inverse, A = np.linalg.inv(V), np.column_stack([X, Y])
    first, second = 2 * theta * SHARED, 2 * SHARED
    log_det = Expansion(
        np.linalg.slogdet(V)[1],
        np.array([np.trace(inverse @ first)]),
        np.array([[np.trace(inverse @ second) - np.trace(inverse @ first @ inverse @ first)]]),
    )
    B = inverse @ first @ inverse
    bend = 2 * B @ V @ B - inverse @ second @ inverse
    return log_det, Expansion(A.T @ inverse @ A, np.array([-A.T @ B @ A]), np.array([[A.T @ bend @ A]]))


def at(phi: np.ndarray) -> Point:
    return gaussian_likelihood.at(phi, *at_theta(float(phi[3])), 20, 0.0)


PHI = np.array([0.3, -0.2, 0.1, THETA])


def test_the_value_is_that_of_the_normal_distribution() -> None:
    """scipy.stats.multivariate_normal."""
    sigma2 = np.exp(2 * PHI[2])
    expected = stats.multivariate_normal(X @ PHI[:2], sigma2 * (np.eye(20) + THETA**2 * SHARED)).logpdf(Y)
    assert at(PHI).value == pytest.approx(expected, rel=1e-13)


def test_derivatives_are_those_of_the_value() -> None:
    """Central differences."""
    point, step = at(PHI), 1e-5
    for k in range(4):
        move = step * np.eye(4)[k]
        up, down = at(PHI + move), at(PHI - move)
        assert (up.value - down.value) / (2 * step) == pytest.approx(point.gradient[k], rel=1e-6, abs=1e-7)
        np.testing.assert_allclose(
            (down.gradient - up.gradient) / (2 * step), point.information[k], rtol=1e-6, atol=1e-6
        )


def test_at_the_best_coefficients_and_variance_it_is_the_profiled_one() -> None:
    log_det, Q = at_theta(THETA)
    found = profile(log_det, Q, 20, 0.0, restricted=False)
    assert found is not None
    phi = np.concatenate([found.beta, [np.log(found.sigma), THETA]])
    point = at(phi)
    assert point.value == pytest.approx(found.loglik, rel=1e-13)
    np.testing.assert_allclose(point.gradient[:3], 0, atol=1e-11)
    assert point.gradient[3] == pytest.approx(found.gradient[0], rel=1e-10)
