"""Second derivatives by differences of a gradient."""

import numpy as np

from sumwise.maths import gradient_differences
from sumwise.maths.newton import Point


def test_a_polynomial_of_fourth_degree_is_differentiated_exactly():
    """Differences of fourth order are exact for cubic gradients, up to rounding."""
    rng = np.random.default_rng(1)
    A, b = rng.standard_normal((3, 3)), rng.standard_normal(3)
    A = A @ A.T + np.eye(3)

    def gradient(x):
        return -A @ x - x**3 + b

    x = np.array([0.3, -1.0, 2.0])
    truth = A + np.diag(3 * x**2)
    spacing = gradient_differences.spacings(Point(x, 0.0, gradient(x), truth), np.ones(3, dtype=bool))
    places = gradient_differences.places(x, spacing)
    found = gradient_differences.information(np.array([gradient(v) for v in places]), spacing)
    assert np.max(np.abs(found - truth)) < 1e-10


def test_without_a_maximum_there_is_no_spacing():
    point = Point(np.zeros(2), 0.0, np.zeros(2), np.diag([1.0, -1.0]))
    assert gradient_differences.spacings(point, np.array([True, True])) is None
    assert gradient_differences.spacings(point, np.array([True, False])) is not None
