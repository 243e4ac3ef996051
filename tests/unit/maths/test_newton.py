"""The ascent, step by step, on functions whose maximum is known by hand."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from sumwise.maths import newton
from sumwise.maths.newton import Outcome, Point, State

Function = Callable[[np.ndarray], tuple[float, list, list]]  # phi -> value, gradient, Hessian


def climb(function: Function, start, *, slack=1e-13, limit=60) -> list[State]:
    """All states from `start` until the ascent stops."""
    states = [newton.start(np.array(start, dtype=float))]
    for _ in range(limit):
        value, gradient, hessian = function(states[-1].trial)
        point = Point(states[-1].trial, value, np.array(gradient, float), -np.array(hessian, float))
        states.append(newton.advance(states[-1], point, tolerance=1e-8, slack=slack))
        if states[-1].outcome is not Outcome.RUNNING:
            break
    return states


def best_of(states: list[State]) -> Point:
    best = states[-1].best
    assert best is not None
    return best


def values_of(states: list[State]) -> list[float]:
    return [state.best.value for state in states if state.best is not None]


def log_normal(phi: np.ndarray) -> tuple[float, list, list]:
    """-(b - 3)^2 / 2 - (log t)^2 / 2: a parabola in (b, log t), maximum at (3, 1)."""
    b, t = phi
    x = np.log(t)
    return (
        -((b - 3) ** 2) / 2 - x**2 / 2,
        [-(b - 3), -x / t],
        [[-1, 0], [0, -(1 - x) / t**2]],
    )


def bump(phi: np.ndarray) -> tuple[float, list, list]:
    """-(b - 1)^2 / 2 + t^2 / 2 - t^4 / 4: a saddle at t = 0, the maximum at (1, 1)."""
    b, t = phi
    return -((b - 1) ** 2) / 2 + t**2 / 2 - t**4 / 4, [1 - b, t - t**3], [[-1, 0], [0, 1 - 3 * t**2]]


def test_a_parabola_in_log_theta_is_climbed_in_one_step():
    """Two evaluations: the start, and the maximum, where the test for the end is passed."""
    states = climb(log_normal, [0.0, np.exp(1.0)])
    assert states[-1].outcome is Outcome.CONVERGED
    assert len(states) - 1 == 2
    assert best_of(states).phi == pytest.approx([3, 1], abs=1e-14)


def test_theta_grows_by_a_bounded_factor_in_one_step():
    """The maximum lies 4 units of log theta away: three steps of 1.2 and one of 0.4."""
    states = climb(log_normal, [3.0, np.exp(-4.0)])
    assert states[-1].outcome is Outcome.CONVERGED
    steps = np.diff([np.log(state.trial[-1]) for state in states[:-1]])
    assert steps == pytest.approx([newton.LARGEST_LOG_STEP] * 3 + [4 - 3 * newton.LARGEST_LOG_STEP])


def test_a_start_with_an_indefinite_hessian_still_climbs():
    """At theta = 0.1 `bump` curves upwards, in theta and in log theta."""
    states = climb(bump, [0.0, 0.1])
    first = states[1]
    assert first.move == np.inf
    assert states[-1].outcome is Outcome.CONVERGED
    assert best_of(states).phi == pytest.approx([1, 1], abs=1e-8)
    assert all(a <= b + 1e-13 for a, b in pairwise(values_of(states)))


def test_a_saddle_at_theta_zero_is_left():
    states = climb(bump, [1.0, 0.0])
    assert states[1].outcome is Outcome.RUNNING
    assert states[1].trial[-1] > 0
    assert states[-1].outcome is Outcome.CONVERGED
    assert best_of(states).phi == pytest.approx([1, 1], abs=1e-8)


def test_a_saddle_is_left_by_shorter_and_shorter_steps_until_the_value_rises():
    """With curvature a at 0 the first try is 1 / sqrt(a) = 1; t^2 / 2 - 100 t^4 is positive below t = 0.0707: four
    quarterings of 1 are needed to come to 1 / 64 or to 1 / 16 = 0.0625 after two.
    """

    def narrow(phi):
        b, t = phi
        return -(b**2) / 2 + t**2 / 2 - 100 * t**4, [-b, t - 400 * t**3], [[-1, 0], [0, 1 - 1200 * t**2]]

    states = climb(narrow, [0.0, 0.0])
    assert [float(s.trial[-1]) for s in states[1:4]] == [1.0, 0.25, 0.0625]
    assert states[-1].outcome is Outcome.CONVERGED
    assert best_of(states).phi == pytest.approx([0, 0.05], abs=1e-9)  # t^2 = 1 / 400


def test_leaving_zero_gives_up_where_nothing_near_is_higher():
    """A curvature at zero that promises a rise which never comes."""

    def liar(phi):
        return (0.0 if phi[-1] == 0 else -1.0), [0, 0], [[-1, 0], [0, 1]]

    states = climb(liar, [0.0, 0.0])
    assert states[-1].outcome is Outcome.STALLED
    assert best_of(states).phi.tolist() == [0, 0]
    assert min(s.trial[-1] for s in states[1:]) < 1e-7


def test_steps_that_lower_the_value_are_halved():
    """-sqrt(1 + (b - 5)^2): Newton's step from b = 5 + d goes to 5 - d^3, so d = 1.5 needs halving."""

    def cone(phi):
        d, t = phi[0] - 5, phi[1]
        root = np.sqrt(1 + d**2)
        x = np.log(t)
        return -root - x**2 / 2, [-d / root, -x / t], [[-(root**-3), 0], [0, -(1 - x) / t**2]]

    states = climb(cone, [6.5, 1.0])
    assert states[2].damping == 0.5
    assert states[2].trial[0] == pytest.approx(6.5 + 0.5 * (-1.5 - 1.5**3), abs=1e-12)
    assert states[-1].outcome is Outcome.CONVERGED
    assert best_of(states).phi == pytest.approx([5, 1], abs=1e-8)
    assert all(a <= b for a, b in pairwise(values_of(states)))


def test_a_value_that_is_not_a_number_counts_as_lower():
    def cliff(phi):
        value, gradient, hessian = log_normal(phi)
        return (np.nan if 2 < phi[0] < 2.9 or phi[0] > 4 else value), gradient, [[-0.5, 0], [0, hessian[1][1]]]

    states = climb(cliff, [0.0, 1.0])  # the curvature is understated: the first step goes to 6
    assert states[2].damping == 0.5
    assert states[-1].outcome is Outcome.CONVERGED
    assert best_of(states).phi[0] == pytest.approx(3, abs=1e-7)


def test_an_ascent_that_can_go_nowhere_is_stalled():
    """A gradient that contradicts the values: every trial is lower."""

    def trap(phi):
        return (0.0 if phi[0] == 0 else -1.0), [1.0, 0.0], [[-1, 0], [0, -1]]

    states = climb(trap, [0.0, 1.0])
    assert states[-1].outcome is Outcome.STALLED
    assert best_of(states).phi.tolist() == [0, 1]


def test_an_exponential_tail_is_divergence():
    """-exp(-b) has its supremum at infinity: every Newton step is 1 and gains 1 / e of the one before."""

    def tail(phi):
        e, x, t = np.exp(-phi[0]), np.log(phi[1]), phi[1]
        return -e - x**2 / 2, [e, -x / t], [[-e, 0], [0, -(1 - x) / t**2]]

    states = climb(tail, [0.0, 1.0])
    assert states[-1].outcome is Outcome.DIVERGING
    assert len(states) < 12
    assert states[-1].gain < 0.01


def test_a_jump_to_zero_that_fails_falls_back_to_the_step_it_replaced():
    """From theta = 1 both parabolas point far below zero, but the value at zero is lower: the bounded step in log
    theta is taken instead, and zero is not tried again at once.
    """

    def moat(phi):
        b, t = phi
        if t == 0:
            return -10.0, [-b, 0.0], [[-1, 0], [0, -1]]
        return -(b**2) / 2 - t, [-b, -1.0], [[-1, 0], [0, 0.5]]

    states = climb(moat, [0.0, 1.0], limit=3)
    assert states[1].jump
    assert states[1].trial[-1] == 0
    assert not states[2].jump
    assert states[2].trial[-1] == pytest.approx(np.exp(-newton.LARGEST_LOG_STEP))
    assert best_of(states[:3]).phi[-1] == 1.0
    assert states[3].trial[-1] > 0


def test_within_the_slack_a_lower_value_is_accepted():
    def noisy(phi):
        value, gradient, hessian = log_normal(phi)
        return value - 1e-6 * (phi[0] == 3), gradient, hessian

    def start_at(slack):
        return climb(noisy, [3.0 - 1e-4, 1.0], slack=slack)

    assert start_at(1e-5)[-1].outcome is Outcome.CONVERGED
    assert start_at(1e-5)[2].best.phi[0] == 3
    assert start_at(1e-13)[2].damping == 0.5


def test_the_move_is_newtons_step_in_standard_errors():
    """Information diag(4, 100), gradient (2, 5): steps 0.5 and 0.05, standard errors 0.5 and 0.1."""
    point = Point(np.array([0.0, 1.0]), 0.0, np.array([2.0, 5.0]), np.diag([4.0, 100.0]))
    assert newton.move_in_standard_errors(point) == pytest.approx(1.0)
    at_zero = Point(np.array([0.0, 0.0]), 0.0, np.array([1.0, 0.0]), np.diag([4.0, -1.0]))
    assert newton.move_in_standard_errors(at_zero) == pytest.approx(0.5)
    saddle = Point(np.array([0.0, 1.0]), 0.0, np.array([1.0, 0.0]), np.diag([4.0, -1.0]))
    assert newton.move_in_standard_errors(saddle) == np.inf


def test_an_ascent_does_not_depend_on_the_units_of_its_parameters():
    """beta in other units by 2^20: the same trials, in those units, to the last bit."""

    def rescaled(phi):
        value, gradient, hessian = bump(np.array([phi[0] * 2.0**20, phi[1]]))
        return value, [gradient[0] * 2.0**20, gradient[1]], [[hessian[0][0] * 2.0**40, 0], [0, hessian[1][1]]]

    plain, other = climb(bump, [0.0, 0.3]), climb(rescaled, [0.0, 0.3])
    assert [s.trial.tolist() for s in plain] == [[s.trial[0] * 2.0**20, s.trial[1]] for s in other]


def test_theta_creeping_to_zero_is_not_called_divergence():
    """The log-likelihood gains less and less while log theta goes down by the same: that is the way to zero."""

    def flat(phi):
        b, t = phi
        return -((b - 1) ** 2) / 2 - 0.05 * t**2, [1 - b, -0.1 * t], [[-1, 0], [0, -0.1]]

    assert climb(flat, [0.0, 0.25])[-1].outcome is Outcome.CONVERGED


def test_a_maximum_at_theta_zero_is_reached_exactly_and_soon():
    """-b^2 / 2 - t^2: the log-likelihood is even in theta; a Newton step in log theta is -1/2 for ever."""

    def even(phi):
        b, t = phi
        return -((b - 1) ** 2) / 2 - t**2, [1 - b, -2 * t], [[-1, 0], [0, -2]]

    for start in (0.01, 0.3, 1.0, 5.0):
        states = climb(even, [0.0, start])
        assert states[-1].outcome is Outcome.CONVERGED
        assert best_of(states).phi == pytest.approx([1, 0], abs=1e-8)
        assert best_of(states).phi[-1] == 0
        assert len(states) < 9
