"""Second derivatives by differences of a gradient."""

import numpy as np

from sumwise.maths import gradient_differences
from sumwise.maths.newton import Point


def test_a_cubic_gradient_is_differentiated_to_the_square_of_the_width():
    """Central differences leave out a sixth of the square of the width times the third derivative of the gradient."""
    rng = np.random.default_rng(1)
    A, b = rng.standard_normal((3, 3)), rng.standard_normal(3)
    A = A @ A.T + np.eye(3)

    def gradient(x):
        return -A @ x - x**3 + b

    x = np.array([0.3, -1.0, 2.0])
    truth = A + np.diag(3 * x**2)
    errors = gradient_differences.standard_errors(Point(x, 0.0, gradient(x), truth), np.ones(3, dtype=bool))
    np.testing.assert_allclose(errors, np.sqrt(np.diag(np.linalg.inv(truth))), rtol=1e-14)
    for width, rounding in ((1e-2, 1e-12), (gradient_differences.WIDTH, 1e-9)):
        widths = width * errors
        places = gradient_differences.places(x, widths)
        found = gradient_differences.information(np.array([gradient(v) for v in places]), widths)
        assert np.max(np.abs(found - truth - np.diag(widths**2))) < rounding


def test_without_a_maximum_there_are_no_standard_errors():
    point = Point(np.zeros(2), 0.0, np.zeros(2), np.diag([1.0, -1.0]))
    assert gradient_differences.standard_errors(point, np.array([True, True])) is None
    assert gradient_differences.standard_errors(point, np.array([True, False])) is not None
