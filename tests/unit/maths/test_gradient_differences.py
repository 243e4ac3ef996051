"""Second derivatives by differences of a gradient."""

import numpy as np
import pytest

from sumwise.maths import gradient_differences
from sumwise.maths.newton import Point

ALL = np.ones(3, dtype=bool)


def gradient(x, A, b):
    return -A @ x - x**3 + b


def test_a_cubic_gradient_is_differentiated_to_the_square_of_the_width():
    """Central differences leave out a sixth of the square of the width times the third derivative of the gradient."""
    rng = np.random.default_rng(1)
    A, b = rng.standard_normal((3, 3)), rng.standard_normal(3)
    A = A @ A.T + np.eye(3)
    x = np.array([0.3, -1.0, 2.0])
    truth = A + np.diag(3 * x**2)
    for width, rounding in ((1e-2, 1e-11), (gradient_differences.WIDTH, 1e-9)):
        around = gradient_differences.directions(Point(x, 0.0, gradient(x, A, b), truth), ALL, width)
        np.testing.assert_allclose(around.rows @ truth @ around.rows.T, width**2 * np.eye(3), atol=1e-14 * width)
        np.testing.assert_allclose(around.rows @ around.inverse, np.eye(3), atol=1e-14)
        places = gradient_differences.places(x, around)
        found = gradient_differences.information(np.array([gradient(v, A, b) for v in places]), around)
        left_out = around.inverse @ around.rows**3
        assert np.max(np.abs(found - truth - (left_out + left_out.T) / 2)) < 10 * width**2
        assert np.max(np.abs(found - truth)) < 3 * width**2 + rounding


@pytest.mark.parametrize("distance", [1e-2, 1e-4])
def test_estimates_that_hang_together_are_told_apart(distance):
    """Two columns that differ by little: the standard errors are those of the exact second derivative."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal(50)
    X = np.column_stack([np.ones(50), x, x + distance * rng.standard_normal(50)])
    beta = np.array([0.2, 0.5, -0.3])

    def slopes(b):
        return X.T @ (1 - np.exp(X @ b))

    truth = X.T @ (np.exp(X @ beta)[:, None] * X)
    around = gradient_differences.directions(Point(beta, 0.0, slopes(beta), 1.1 * truth), ALL)
    gradients = np.array([slopes(v) for v in gradient_differences.places(beta, around)])
    found = np.linalg.inv(gradient_differences.information(gradients, around))
    np.testing.assert_allclose(np.diag(found), np.diag(np.linalg.inv(truth)), rtol=1e-6)


def test_without_a_maximum_there_are_no_directions():
    point = Point(np.zeros(2), 0.0, np.zeros(2), np.diag([1.0, -1.0]))
    assert gradient_differences.directions(point, np.array([True, True])) is None
    around = gradient_differences.directions(point, np.array([True, False]), 1.0)
    assert np.array_equal(around.rows, np.eye(2))


def test_scaled_directions_give_the_same_second_derivative():
    rng = np.random.default_rng(3)
    A = rng.standard_normal((3, 3))
    A = A @ A.T + np.eye(3)
    around = gradient_differences.directions(Point(np.zeros(3), 0.0, np.zeros(3), A), ALL, 1e-2)
    for factor in (np.ones(3), np.array([1.0, 0.1, 1e-3])):
        scaled = around.scaled(factor)
        places = gradient_differences.places(np.zeros(3), scaled)
        np.testing.assert_allclose(gradient_differences.information(-places @ A, scaled), A, rtol=1e-12)
