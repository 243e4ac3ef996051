"""The ascent over Cholesky factors, on functions whose maximum is known by hand."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from sumwise.maths import ascent, covariance
from sumwise.maths.ascent import Outcome, Point, State

Function = Callable[[np.ndarray], float]


def differences(function: Function, phi: np.ndarray) -> Point:
    """Value, gradient and information by central differences, good to about 1e-9 and 1e-6 for functions of order 1."""
    n, h = len(phi), 1e-4
    unit = h * np.eye(n)
    slopes = [
        (8 * (function(phi + e) - function(phi - e)) - function(phi + 2 * e) + function(phi - 2 * e)) / (12 * h)
        for e in unit
    ]
    second = np.array(
        [
            [
                function(phi + a + b) - function(phi + a - b) - function(phi - a + b) + function(phi - a - b)
                for a in unit
            ]
            for b in unit
        ]
    )
    return Point(phi, function(phi), np.array(slopes), -second / (4 * h * h))


def climb(
    function: Function, start, blocks, *, limit=80, tolerance=1e-5, slack=1e-11, evaluate=differences
) -> list[State]:
    """All states until the ascent stops."""
    states = [ascent.start(np.array(start, dtype=float), blocks)]
    for _ in range(limit):
        point = evaluate(function, states[-1].trial)
        states.append(ascent.advance(states[-1], point, tolerance=tolerance, slack=slack))
        if states[-1].outcome is not Outcome.RUNNING:
            break
    return states


def best_of(states: list[State]) -> Point:
    best = states[-1].best
    assert best is not None
    return best


def wishart(S, n=20.0, unit=None):
    """phi -> n / 2 [ -log det(I + Sigma) - tr((I + Sigma)^-1 S) ]: the log-likelihood of n vectors with covariance
    I + Sigma and sample covariance S.  Its maximum: eigenvalues max(eigenvalues of S - 1, 0), the vectors of S.
    """
    S = np.asarray(S, dtype=float)
    unit = np.ones(len(S)) if unit is None else np.asarray(unit)

    def value(phi):
        V = np.eye(len(S)) + covariance.relative(phi, (len(S),)) * np.multiply.outer(unit, unit)
        return n / 2 * float(-np.linalg.slogdet(V)[1] - np.trace(np.linalg.solve(V, S)))

    return value


def maximum_of_wishart(S) -> np.ndarray:
    values, vectors = np.linalg.eigh(S)
    return vectors @ np.diag(np.maximum(values - 1, 0)) @ vectors.T


# ---- inside


def test_a_parabola_is_climbed_in_one_step():
    """(b, t) with both gradients pointing down at the start: plain coordinates, so the first step is the last."""
    states = climb(lambda p: -((p[0] - 3) ** 2) / 2 - 2 * (p[1] - 1) ** 2, [0.0, 1.5], (1,))
    assert states[-1].outcome is Outcome.CONVERGED
    assert best_of(states).phi == pytest.approx([3, 1], abs=1e-6)
    assert len(states) - 1 <= 3


def test_random_parabolas_are_climbed():
    rng = np.random.default_rng(2)
    for _ in range(50):
        n = int(rng.integers(1, 5))
        half = rng.standard_normal((n + 1, n + 1))
        A, top = half @ half.T + 0.1 * np.eye(n + 1), rng.standard_normal(n + 1)
        top[-1] = rng.uniform(0.5, 3)

        def exact(_, phi, A=A, top=top):
            return Point(phi, -(phi - top) @ A @ (phi - top) / 2, -A @ (phi - top), A)

        states = climb(None, np.append(rng.standard_normal(n), 1.0), (1,), evaluate=exact, tolerance=1e-8)
        assert states[-1].outcome is Outcome.CONVERGED
        assert best_of(states).phi == pytest.approx(top, abs=1e-6)


def test_a_bent_ridge_is_followed_to_its_end():
    """Rosenbrock's function in two free parameters, beside a standard deviation whose maximum is 1."""

    def ridge(p):
        return -100 * (p[1] - p[0] ** 2) ** 2 - (1 - p[0]) ** 2 - (p[2] - 1) ** 2

    states = climb(ridge, [-1.2, 1.0, 0.3], (1,), slack=1e-12)
    assert states[-1].outcome is Outcome.CONVERGED
    assert best_of(states).phi == pytest.approx([1, 1, 1], abs=1e-4)
    values = [s.best.value for s in states if s.best is not None]
    assert all(a <= b + 1e-11 for a, b in pairwise(values))


def test_a_large_standard_deviation_is_reached_by_factors():
    """-(log t - 6)^2: twelve evaluations are far less than the 400 units of t would ask for one by one."""
    states = climb(lambda p: -((np.log(abs(p[0])) - 6) ** 2), [1.0], (1,), slack=1e-9)
    assert states[-1].outcome is Outcome.CONVERGED
    assert best_of(states).phi[0] == pytest.approx(np.exp(6), rel=1e-4)
    assert len(states) <= 12


@pytest.mark.parametrize("seed", range(12))
def test_a_covariance_of_full_rank_is_found(seed):
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((3, 3))
    S = half @ half.T + 1.5 * np.eye(3)
    states = climb(wishart(S), covariance.canonical(np.array([1.0, 0, 0, 1, 0, 1]), (3,)), (3,))
    assert states[-1].outcome is Outcome.CONVERGED
    assert covariance.relative(best_of(states).phi, (3,)) == pytest.approx(maximum_of_wishart(S), abs=1e-4)
    assert len(states) < 25


# ---- the boundary


@pytest.mark.parametrize("start", [0.01, 0.3, 1.0, 5.0])
def test_a_maximum_at_zero_is_reached_exactly_and_soon(start):
    states = climb(lambda p: -((p[0] - 1) ** 2) / 2 - p[1] ** 2, [0.0, start], (1,))
    assert states[-1].outcome is Outcome.CONVERGED
    assert best_of(states).phi[1] == 0
    assert best_of(states).phi[0] == pytest.approx(1, abs=1e-6)
    assert len(states) < 9


def test_a_saddle_at_zero_is_left():
    states = climb(lambda p: -((p[0] - 1) ** 2) / 2 + p[1] ** 2 / 2 - p[1] ** 4 / 4, [1.0, 0.0], (1,))
    assert states[1].kind is ascent.Trial.LEAVE
    assert states[-1].outcome is Outcome.CONVERGED
    assert best_of(states).phi == pytest.approx([1, 1], abs=1e-5)


def test_a_narrow_saddle_is_left_by_shorter_and_shorter_steps():
    """t^2 / 2 - 100 t^4 is positive below 0.0707: tries at 1, 1/4, 1/16; its maximum is at 1 / 20."""
    states = climb(lambda p: -(p[0] ** 2) / 2 + p[1] ** 2 / 2 - 100 * p[1] ** 4, [0.0, 0.0], (1,))
    assert [float(s.trial[1]) for s in states[1:4]] == pytest.approx([1, 0.25, 0.0625], rel=1e-4)
    assert best_of(states).phi[1] == pytest.approx(0.05, abs=1e-5)


def test_a_rise_that_never_comes_is_given_up():
    def liar(_, phi):
        return Point(phi, 0.0 if phi[-1] == 0 else -1.0, np.zeros(2), np.diag([1.0, -1.0]))

    states = climb(None, [0.0, 0.0], (1,), evaluate=liar)
    assert states[-1].outcome is Outcome.CONVERGED
    assert best_of(states).phi.tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_singular_covariance_is_found_exactly(seed, rank):
    """Eigenvalues of S below 1 give zero columns; the others range freely over matrices of that rank."""
    rng = np.random.default_rng(100 * rank + seed)
    vectors = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    S = vectors @ np.diag(np.append(rng.uniform(2, 6, rank), rng.uniform(0.2, 0.8, 3 - rank))) @ vectors.T
    states = climb(wishart(S), [1.0, 0, 0, 1, 0, 1], (3,))
    assert states[-1].outcome is Outcome.CONVERGED
    phi = best_of(states).phi
    assert covariance.relative(phi, (3,)) == pytest.approx(maximum_of_wishart(S), abs=1e-4)
    zero = [not np.any(phi[column]) for column in covariance.columns((3,))[0]]
    assert zero == [False] * rank + [True] * (3 - rank)
    assert len(states) < 40


@pytest.mark.parametrize("seed", range(20))
def test_all_starts_lead_to_the_same_maximum(seed):
    """From zero, from each single column, from far out; the true rank is 1 or 2."""
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((2, 2))
    S = half @ half.T + rng.uniform(0.3, 1.5) * np.eye(2)
    if (np.abs(np.linalg.eigvalsh(S) - 1) < 0.02).any():
        pytest.skip("an eigenvalue at the boundary: the maximum is flat")
    for start in ([0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [30, 10, 30], [1e-3, 0, 1e-3]):
        states = climb(wishart(S), start, (2,))
        assert states[-1].outcome is Outcome.CONVERGED
        assert covariance.relative(best_of(states).phi, (2,)) == pytest.approx(maximum_of_wishart(S), abs=1e-3)


def test_one_effect_of_zero_variance_beside_another():
    """S diagonal: the first effect has none, exactly; the factor then holds the second in its first column."""
    states = climb(wishart(np.diag([0.5, 4.0])), [1.0, 0.0, 1.0], (2,))
    assert states[-1].outcome is Outcome.CONVERGED
    assert covariance.relative(best_of(states).phi, (2,)) == pytest.approx(np.diag([0.0, 3.0]), abs=1e-5)


def test_a_first_effect_of_hardly_any_variance_beside_one_that_it_is_proportional_to():
    """Rank 1, l = (1e-3, 2): all (t1, t2, t3) with t2^2 + t3^2 = 4 are nearly as good, in a valley without a floor."""
    S = np.eye(2) - 0.2 * np.multiply.outer([2, -1e-3], [2, -1e-3]) / 4 + np.multiply.outer([1e-3, 2], [1e-3, 2])
    states = climb(wishart(S), [1.0, 0.0, 1.0], (2,))
    assert states[-1].outcome is Outcome.CONVERGED
    assert best_of(states).phi == pytest.approx([1e-3, 2, 0], abs=1e-4)
    assert best_of(states).phi[2] == 0
    assert len(states) < 40


def test_independent_terms_reach_zero_one_by_one():
    def two(p):
        return wishart([[0.5]])(p[:1]) + wishart([[3.0]])(p[1:])

    states = climb(two, [1.0, 1.0], (1, 1))
    assert states[-1].outcome is Outcome.CONVERGED
    assert best_of(states).phi == pytest.approx([0, np.sqrt(2)], abs=1e-5)
    assert best_of(states).phi[0] == 0


def test_units_of_an_effect_change_nothing():
    """The second effect in units of 2^-30: its entries scale, and the number of evaluations stays."""
    S = np.array([[3.0, 1.0], [1.0, 2.5]])
    unit = 2.0**30

    def evaluate(function, phi):
        scale = np.array([1.0, unit, unit])
        point = differences(function, phi * scale)
        return Point(phi, point.value, point.gradient * scale, point.information * np.multiply.outer(scale, scale))

    plain = climb(wishart(S), [1.0, 0.0, 1.0], (2,))
    other = climb(wishart(S), [1.0, 0.0, 1.0 / unit], (2,), evaluate=evaluate)
    assert [s.trial.tolist() for s in plain] == [(s.trial * [1, unit, unit]).tolist() for s in other]


# ---- what cannot be climbed


def test_a_poor_metric_still_leads_to_the_maximum():
    """The information is three times too small in one direction and has the wrong sign in another."""

    def poor(function, phi):
        point = differences(function, phi)
        return Point(
            phi, point.value, point.gradient, np.diag([1 / 3, -1.0]) if phi[1] > 1.2 else np.diag([1 / 3, 1.0])
        )

    states = climb(lambda p: -(p[0] ** 2) / 2 - (p[1] - 1) ** 2 / 2, [3.0, 4.0], (1,), evaluate=poor)
    assert states[-1].outcome is Outcome.CONVERGED
    assert best_of(states).phi == pytest.approx([0, 1], abs=1e-4)


def test_a_value_that_is_not_a_number_counts_as_lower():
    states = climb(lambda p: np.nan if p[0] > 3.5 else -((p[0] - 3) ** 4) - (p[1] - 1) ** 2, [-5.0, 1.0], (1,))
    assert best_of(states).phi[0] == pytest.approx(3, abs=0.05)


def test_an_ascent_that_can_go_nowhere_is_stalled():
    def trap(_, phi):
        return Point(phi, 0.0 if phi[0] == 0 else -1.0, np.array([1.0, 0.0]), np.eye(2))

    states = climb(None, [0.0, 1.0], (1,), evaluate=trap)
    assert states[-1].outcome is Outcome.STALLED
    assert best_of(states).phi.tolist() == [0, 1]


def test_an_exponential_tail_is_divergence():
    def tail(_, phi):
        e = float(np.exp(-phi[0]))
        return Point(phi, -e - (phi[1] - 1) ** 2, np.array([e, -2 * (phi[1] - 1)]), np.diag([e, 2.0]))

    states = climb(None, [0.0, 1.0], (1,), evaluate=tail, tolerance=1e-8)
    assert states[-1].outcome is Outcome.DIVERGING
    assert len(states) < 14


def test_the_move_leaves_out_what_is_held_at_zero():
    point = Point(np.array([0.0, 0.0]), 0.0, np.array([1.0, 0.0]), np.diag([4.0, -1.0]))
    assert ascent.move_in_standard_errors(point, (1,)) == pytest.approx(0.5)
    assert ascent.free_parameters(np.array([1.0, 0, 2, 0]), (2,)).tolist() == [True, True, True, False]
