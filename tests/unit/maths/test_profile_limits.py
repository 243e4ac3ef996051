"""Limits of profiles whose shape is known."""

from math import pi

import numpy as np
import pytest

from sumwise.maths import slices
from sumwise.maths.newton import Point
from sumwise.maths.profile_limits import BOUND, ELSEWHERE, FLAT, LOST, limit

QUANTILE = 1.959963984540054


def point(phi: np.ndarray, value: float, gradient: list[float], hessian: list[list[float]]) -> Point:
    return Point(phi, value, np.array(gradient), -np.array(hessian))


def curved(phi: np.ndarray) -> Point:
    """Highest at (1, exp(1)); the second follows exp of the first, so that the profile is -(a - 1)^2 / 2."""
    a, b = phi
    e = np.exp(a)
    return point(
        phi,
        -((a - 1) ** 2) / 2 - (b - e) ** 2,
        [-(a - 1) + 2 * (b - e) * e, -2 * (b - e)],
        [[-1 + 2 * (b - e) * e - 2 * e * e, 2 * e], [2 * e, -2.0]],
    )


@pytest.mark.parametrize("side", [-1, 1])
def test_the_others_follow_along_a_curved_ridge(side: int) -> None:
    held = slices.coordinate(2, (), 0)
    found = limit(curved, held, curved(np.array([1.0, np.e])), side, QUANTILE, 1e-14)
    assert found.value == pytest.approx(1 + side * QUANTILE, rel=1e-9)
    assert found.note == ""


def test_a_likelihood_that_stops_falling_has_no_limit() -> None:
    """-(1 - exp(-a^2 / 2)) falls by less than one; the quantile asks for 1.92."""

    def flat(phi: np.ndarray) -> Point:
        a, b = phi
        e = np.exp(-a * a / 2)
        return point(phi, e - 1 - b * b, [-a * e, -2 * b], [[(a * a - 1) * e, 0.0], [0.0, -2.0]])

    found = limit(flat, slices.coordinate(2, (), 0), flat(np.zeros(2)), 1, QUANTILE, 1e-14)
    assert (found.value, found.note) == (np.inf, FLAT)


def deviation(phi: np.ndarray) -> Point:
    """(mean, theta), theta >= 0: highest at theta^2 = 0.5, in which it is a parabola."""
    m, t = phi
    d = t * t - 0.5
    return point(phi, -d * d - m * m, [-2 * m, -4 * d * t], [[-2.0, 0.0], [0.0, -4 * d - 8 * t * t]])


def test_zero_is_the_limit_of_a_deviation_that_the_likelihood_does_not_exclude() -> None:
    held, top = slices.deviation(2, (1,), 0, None), deviation(np.array([0.0, np.sqrt(0.5)]))
    assert limit(deviation, held, top, -1, QUANTILE, 1e-14) == type(limit(deviation, held, top, -1, 1.0, 1e-14))(
        0.0, BOUND
    )
    above = limit(deviation, held, top, 1, QUANTILE, 1e-14)
    assert above.value == pytest.approx(np.sqrt(0.5 + QUANTILE / np.sqrt(2)), rel=1e-9)
    inside = limit(deviation, held, top, -1, 0.5, 1e-14)  # d^2 = 0.125
    assert inside.value == pytest.approx(np.sqrt(0.5 - 0.5 / np.sqrt(2)), rel=1e-9)


def test_a_higher_maximum_elsewhere_is_said() -> None:
    """A parabola and, around 2, a hill that is higher."""

    def hills(phi: np.ndarray) -> Point:
        a, b = phi
        hill = 4 * np.exp(-((a - 2) ** 2) * 8)
        slope = -16 * (a - 2) * hill
        bend = (256 * (a - 2) ** 2 - 16) * hill
        return point(phi, -a * a / 2 - b * b + hill, [-a + slope, -2 * b], [[-1 + bend, 0.0], [0.0, -2.0]])

    found = limit(hills, slices.coordinate(2, (), 0), hills(np.zeros(2)), 1, QUANTILE, 1e-14)
    assert np.isnan(found.value)
    assert found.note == ELSEWHERE


def test_a_limit_that_is_never_evaluated_is_not_known() -> None:
    """No log-likelihood beyond 0.5, as with the inverse link."""

    def cut(phi: np.ndarray) -> Point:
        found = point(phi, -phi @ phi / 2, list(-phi), [[-1.0, 0.0], [0.0, -1.0]])
        return found if phi[0] < 0.5 else Point(phi, -np.inf, found.gradient, found.information)

    found = limit(cut, slices.coordinate(2, (), 0), cut(np.zeros(2)), 1, QUANTILE, 1e-14)
    assert np.isnan(found.value)
    assert found.note == LOST


def test_correlations_end_at_one() -> None:
    """(r11, r21, r22) of one block: the log-likelihood hardly cares."""

    def flat(phi: np.ndarray) -> Point:
        d = phi - np.array([1.0, 0.2, 0.9])
        return point(phi, -0.01 * d @ d, list(-0.02 * d), (-0.02 * np.eye(3)).tolist())

    held, top = slices.correlation(3, (2,), 0), flat(np.array([1.0, 0.2, 0.9]))
    for side in (-1, 1):
        found = limit(flat, held, top, side, QUANTILE, 1e-14)
        assert (found.value, found.note) == (side * pi / 2, BOUND)
