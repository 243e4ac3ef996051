"""The ascent on functions whose maximum is known."""

import numpy as np
import pytest

from sumwise.maths.newton import Outcome
from sumwise.maths.scoring import Point, State, advance, start


def climb(evaluate, phi, **more) -> State:
    state = start(np.array(phi, dtype=float))
    for _ in range(200):
        if state.outcome is not Outcome.RUNNING:
            break
        state = advance(state, evaluate(state.trial), tolerance=1e-10, slack=1e-14, **more)
    return state


def poisson(phi) -> Point:
    """sum of y (a + b x) - exp(a + b x) at x = -1, 0, 1 for y = exp(0.5 x): the maximum is (0, 0.5)."""
    x = np.array([-1.0, 0.0, 1.0])
    y, mu = np.exp(0.5 * x), np.exp(phi[0] + phi[1] * x)
    X = np.stack([np.ones(3), x])
    value = float(np.sum(y * np.log(mu) - mu)) if np.isfinite(mu).all() else -np.inf
    return Point(phi, value, X @ (y - mu), (X * mu) @ X.T)


@pytest.mark.parametrize("phi", [(0.0, 0.0), (-3.0, 0.0), (2.0, 2.0)])
def test_the_maximum_is_found_from_near_and_far(phi) -> None:
    state = climb(poisson, phi)
    assert state.outcome is Outcome.CONVERGED
    assert state.best is not None
    assert state.move <= 1e-10
    assert state.best.phi == pytest.approx([0.0, 0.5], abs=1e-10)  # standard errors are below one


def test_no_accepted_point_is_lower_than_the_one_before() -> None:
    state, values = start(np.array([-3.0, 0.0])), []
    while state.outcome is Outcome.RUNNING:
        before = state.best
        state = advance(state, poisson(state.trial), tolerance=1e-10, slack=1e-14)
        if state.best is not before and state.best is not None and state.move > 1e-3:
            values.append(state.best.value)
    assert values == sorted(values)


def test_a_maximum_at_infinity_is_told() -> None:
    def one_sided(phi) -> Point:
        e = np.exp(-phi)
        return Point(phi, -float(np.log1p(e)[0]), e / (1 + e), np.diag(e / (1 + e) ** 2))

    assert climb(one_sided, [0.0]).outcome is Outcome.DIVERGING


def test_a_step_is_limited() -> None:
    state = advance(
        start(np.array([-3.0, 0.0])),
        poisson(np.array([-3.0, 0.0])),
        tolerance=1e-10,
        slack=0.0,
        limit=np.array([0.5, np.inf]),
    )
    assert state.step is not None
    assert abs(state.step[0]) == pytest.approx(0.5)


def test_a_value_that_is_not_finite_is_no_progress() -> None:
    state = advance(start(np.zeros(2)), poisson(np.zeros(2)), tolerance=1e-10, slack=0.0)
    worse = advance(state, Point(state.trial, -np.inf, np.zeros(2), np.eye(2)), tolerance=1e-10, slack=0.0)
    assert worse.damping == 0.5
    assert worse.best is state.best
