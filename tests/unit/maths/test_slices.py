"""What is left of a log-likelihood when one quantity is held: values and derivatives."""

from math import sin

import numpy as np
import pytest

from sumwise.maths import covariance, slices
from sumwise.maths.newton import Point
from sumwise.maths.slices import Slice

BLOCKS = (1, 3, 2)
FREE = 3  # two coefficients and log sigma
N = FREE + covariance.size(BLOCKS)
PHI = np.random.default_rng(5).normal(size=N) * 0.4 + 1.0

HELD = {
    "coordinate": slices.coordinate(N, BLOCKS, 1),
    "intercept": slices.intercept(N, BLOCKS, 0, np.array([0.0, 2.5]), 0.7),
    "deviation": slices.deviation(N, BLOCKS, 1, None),
    "relative deviation": slices.deviation(N, BLOCKS, 1, 2),
    "relative deviation, last": slices.deviation(N, BLOCKS, 2, 2),
    "single deviation": slices.deviation(N, BLOCKS, 0, 2),
    "correlation": slices.correlation(N, BLOCKS, 1),
    "correlation, last": slices.correlation(N, BLOCKS, 2),
}


def smooth(phi: np.ndarray) -> Point:
    """sum sin(a phi) + (sum phi^2)^2 / 50, its gradient and minus its second derivative."""
    a, square = np.linspace(0.5, 1.5, N), phi @ phi
    gradient = a * np.cos(a * phi) + 4 * square * phi / 50
    second = np.diag(-(a**2) * np.sin(a * phi) + 4 * square / 50) + 8 * np.outer(phi, phi) / 50
    return Point(phi, float(np.sum(np.sin(a * phi)) + square**2 / 50), gradient, -second)


def at(held: Slice, x: np.ndarray) -> Point:
    return held.point(x[0], x[1:], smooth(held.phi(x[0], x[1:])))


@pytest.mark.parametrize("name", HELD)
def test_derivatives_are_those_of_the_value(name: str) -> None:
    """Central differences."""
    held = HELD[name]
    v, z = held.begin(PHI)
    x, step = np.append(v, z), 1e-5
    point = at(held, x)
    for k in range(len(x)):
        move = np.zeros(len(x))
        move[k] = step
        up, down = at(held, x + move), at(held, x - move)
        assert (up.value - down.value) / (2 * step) == pytest.approx(point.gradient[k], rel=1e-7, abs=1e-7)
        np.testing.assert_allclose((down.gradient - up.gradient) / (2 * step), point.information[k], atol=1e-6)


@pytest.mark.parametrize("name", HELD)
def test_the_slice_goes_through_the_point_it_begins_at(name: str) -> None:
    held = HELD[name]
    np.testing.assert_allclose(held.phi(*held.begin(PHI)), PHI, rtol=1e-13)
    assert len(held.places) == N - 1
    assert len(held.places) - covariance.size(held.blocks) >= FREE - 1


def variances(phi: np.ndarray) -> np.ndarray:
    """(q, q), relative to sigma."""
    return covariance.relative(phi[FREE:], BLOCKS)


def test_held_quantities_are_what_their_names_say() -> None:
    for block, row in ((0, 0), (1, 1), (2, 4)):
        held = slices.deviation(N, BLOCKS, block, 2)
        v, z = held.begin(PHI)
        phi = held.phi(1.2 * v, z)
        assert np.sqrt(variances(phi)[row, row]) * np.exp(phi[2]) == pytest.approx(1.2 * v, rel=1e-14)
    for block, row in ((1, 1), (2, 4)):
        held = slices.correlation(N, BLOCKS, block)
        _, z = held.begin(PHI)
        V = variances(held.phi(-0.3, z))
        assert V[row, row + 1] / np.sqrt(V[row, row] * V[row + 1, row + 1]) == pytest.approx(sin(-0.3), rel=1e-13)
    held = slices.intercept(N, BLOCKS, 0, np.array([0.0, 2.5]), 0.7)
    v, z = held.begin(PHI)
    assert v == pytest.approx(PHI[0] + 0.7 - 2.5 * PHI[1], rel=1e-14)


def test_a_deviation_of_zero_begins_with_the_covariance_of_the_others() -> None:
    phi = PHI.copy()
    L = np.array([[0.0, 0.0, 0.0], [0.8, 0.0, 0.0], [0.3, 0.6, 0.0]])  # canonical: zero columns last
    phi[FREE + 1 : FREE + 7] = [L[i, j] for i, j in covariance.entries((3,))]
    held = slices.deviation(N, BLOCKS, 1, 2)
    v, z = held.begin(phi)
    assert v == 0
    np.testing.assert_allclose(variances(held.phi(0.0, z)), variances(phi), atol=1e-15)


def test_at_zero_nothing_of_the_effect_is_left() -> None:
    held = slices.deviation(N, BLOCKS, 1, 2)
    edge = held.end(0.0)
    assert set(held.places) - set(edge.places) == {FREE + 2, FREE + 3}
    V = variances(edge.phi(0.0, held.phi(0.5, held.begin(PHI)[1])[edge.places]))
    assert not V[1].any()
