"""Damped Newton ascent for a log-likelihood with a parameter that cannot be negative (a standard deviation).

Parameters are phi = (beta, theta), theta >= 0 last.  While theta is positive a step is taken in (beta, log theta),
where the log-likelihood is closer to a parabola; theta = 0 is an ordinary point, reached in one jump when the parabola
says so, and left again when the curvature there says that the log-likelihood rises.  A step that lowers the
log-likelihood is halved.
All functions are pure:

    state = start(phi)
    while state.outcome is Outcome.RUNNING:
        state = advance(state, evaluate(state.trial), tolerance=..., slack=...)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise
from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import exp
from sumwise.maths.cholesky import Factor, cholesky, equilibrate

Floats = NDArray[np.float64]

LARGEST_LOG_STEP = 1.2
"""theta changes by at most a factor exp(1.2) in one step."""


class Outcome(Enum):
    """Why an ascent stopped.  RUNNING: it has not."""

    RUNNING = "running"
    CONVERGED = "converged"
    STALLED = "stalled"  # no step, however short, raises the log-likelihood
    DIVERGING = "diverging"  # the maximum lies at infinity: steps keep their length while the gain vanishes


@dataclass(frozen=True, slots=True)
class Point:
    """One evaluation.  phi (q,); value: log-likelihood; gradient (q,); information (q, q) = minus the Hessian."""

    phi: Floats
    value: float
    gradient: Floats
    information: Floats


@dataclass(frozen=True, slots=True)
class State:
    """Where the ascent stands.

    trial (q,): evaluate here next.  best: highest point so far.  step: from best to the trial, undamped, in working
    coordinates; damping: share of it in use; jump: the trial is at theta = 0 instead, or leaves it.  move: how far the
    estimates could still go, in standard errors (inf where the information is not positive definite); gain:
    log-likelihood that the last full step promised.  metric (q,): sizes that make steps comparable; lengths, gains: of
    the last steps; zero_tried: theta at which a jump to zero failed; accepted: points so far that were higher.
    """

    trial: Floats
    outcome: Outcome = Outcome.RUNNING
    best: Point | None = None
    step: Floats | None = None
    damping: float = 1.0
    jump: bool = False
    move: float = np.inf
    gain: float = np.inf
    metric: Floats | None = None
    lengths: tuple[float, ...] = ()
    gains: tuple[float, ...] = ()
    zero_tried: float = np.inf
    accepted: int = 0


def start(phi: Floats) -> State:
    """Begin at phi (q,), theta = phi[-1] > 0."""
    return State(trial=phi)


def advance(state: State, point: Point, *, tolerance: float, slack: float) -> State:
    """The state after the evaluation at state.trial.

    tolerance: stop when no estimate would move by more than this many standard errors; slack: how much lower a value
    may be and still count as not lower (rounding and quadrature error).
    """
    best = state.best
    if best is not None and not (np.isfinite(point.value) and point.value >= best.value - slack):
        return _retreat(state, best)
    metric = 1 / equilibrate(point.information) if state.metric is None else state.metric
    state = replace(state, best=point, metric=metric, accepted=state.accepted + 1)
    return _propose(state, point, tolerance)


def move_in_standard_errors(point: Point, of: int | None = None) -> float:
    """max_i |(A^-1 g)_i| / sqrt((A^-1)_ii), A the information: the length of Newton's step in standard errors.

    of: how many of the first parameters count, all if left out.   inf if A is not positive definite.  At theta = 0 only
    beta counts: there the gradient in theta is zero by symmetry.
    """
    free = _free(point)
    return length_in_standard_errors(point.gradient[:free], point.information[:free, :free], of)


def length_in_standard_errors(gradient: Floats, information: Floats, of: int | None = None) -> float:
    """max_i |(A^-1 g)_i| / sqrt((A^-1)_ii) for g (n,) and A (n, n), over the first `of` parameters, all if left out;
    inf if A is not positive definite, 0 of none.
    """
    if len(gradient[:of]) == 0:
        return 0.0
    factor = cholesky(information)
    if factor is None:
        return np.inf
    se = np.sqrt(np.diag(factor.inverse()))
    return float(np.max((np.abs(factor.solve(gradient)) / se)[:of]))


def _free(point: Point) -> int:
    return len(point.phi) - (1 if point.phi[-1] == 0 else 0)


def _rises_from_zero(point: Point) -> bool:
    return bool(point.phi[-1] == 0 and point.information[-1, -1] < 0)


def _propose(state: State, point: Point, tolerance: float) -> State:
    """Test for the end, else the next Newton step."""
    move = move_in_standard_errors(point)
    if move <= tolerance and not _rises_from_zero(point):
        return replace(state, outcome=Outcome.CONVERGED, move=move)
    if _rises_from_zero(point):  # a saddle: leave it, to where the parabola with this curvature has its unit
        theta = min(1.0, 1 / float(np.sqrt(-point.information[-1, -1])))
        trial = np.append(point.phi[:-1], theta)
        return replace(state, trial=trial, move=move, step=None, jump=True, zero_tried=theta)
    gradient, information = _working(point)
    step = _step(gradient, information, bounded=point.phi[-1] > 0)
    gain = dot(gradient, step) - dot(step, np.array([dot(row, step) for row in information])) / 2
    sized = step * _working_metric(state, point)
    length = sqrt(dot(sized, sized))
    state = replace(
        state,
        move=move,
        gain=gain,
        lengths=(*state.lengths, length)[-4:],
        gains=(*state.gains, gain)[-4:],
        damping=1.0,
        step=step,
    )
    if _diverges(state):
        return replace(state, outcome=Outcome.DIVERGING)
    if _should_jump_to_zero(state, point, step):
        return replace(state, jump=True, trial=np.append(_plain_step(point)[:-1] + point.phi[:-1], 0.0))
    return replace(state, jump=False, trial=_apply(point, step, 1.0))


def _retreat(state: State, best: Point) -> State:
    """The trial was lower: shorten the step, or take the step that a jump replaced."""
    if state.jump and state.step is not None:
        trial = _apply(best, state.step, 1.0)
        return replace(state, jump=False, trial=trial, zero_tried=best.phi[-1])
    if state.step is None:  # left zero too far: come closer to it
        theta = state.trial[-1] / 4
        outcome = Outcome.RUNNING if theta > 1e-8 else Outcome.STALLED
        return replace(state, trial=np.append(best.phi[:-1], theta), outcome=outcome)
    damping = state.damping / 2
    if damping < 1e-9:
        return replace(state, outcome=Outcome.STALLED)
    return replace(state, damping=damping, trial=_apply(best, state.step, damping))


def _working(point: Point) -> tuple[Floats, Floats]:
    """Gradient and information in (beta, log theta); in beta alone at theta = 0."""
    free, theta = _free(point), point.phi[-1]
    g, A = point.gradient[:free].copy(), point.information[:free, :free].copy()
    if theta > 0:
        g[-1] *= theta
        A[-1, :] *= theta
        A[:, -1] *= theta
        A[-1, -1] -= g[-1]
    return g, A


def _working_metric(state: State, point: Point) -> Floats:
    metric = np.ones(len(point.phi)) if state.metric is None else state.metric.copy()
    if point.phi[-1] > 0:
        metric[-1] *= point.phi[-1]
    return metric[: _free(point)]


def _step(g: Floats, A: Floats, *, bounded: bool) -> Floats:
    """Newton's step A^-1 g, made to lead uphill.

    bounded: the last coordinate is log theta.  Its step is taken first, from what is left of gradient and curvature
    when beta follows (the size of the curvature, should it have the wrong sign), and limited; beta then goes to its
    maximum given that step.
    """
    if not bounded:
        return _positive_factor(A).solve(g)
    factor, cross = _positive_factor(A[:-1, :-1]), A[:-1, -1]
    follow = factor.solve(cross)
    slope = g[-1] - dot(follow, g[:-1])
    curvature = abs(A[-1, -1] - dot(follow, cross))
    limit = LARGEST_LOG_STEP
    last = float(np.clip(slope / curvature, -limit, limit)) if curvature > 0 else limit * float(np.sign(slope))
    return np.append(factor.solve(g[:-1] - cross * last), last)


def dot(a: Floats, b: Floats) -> float:
    """a'b, the products added without rounding: numpy's order of addition is no part of its interface."""
    return fsum(a * b)


def _positive_factor(A: Floats) -> Factor:
    """Factor of A, or of A with the smallest of a ladder of diagonal shifts that makes it positive definite."""
    factor, shift = cholesky(A), 1e-3
    while factor is None:
        factor = cholesky(A, shift=shift)
        shift *= 4
    return factor


def _apply(point: Point, step: Floats, damping: float) -> Floats:
    theta = point.phi[-1]
    if theta == 0:
        return np.append(point.phi[:-1] + damping * step, 0.0)
    return np.append(point.phi[:-1] + damping * step[:-1], theta * float(exp(damping * step[-1])))


def _plain_step(point: Point) -> Floats:
    return _positive_factor(point.information).solve(point.gradient)


def _should_jump_to_zero(state: State, point: Point, step: Floats) -> bool:
    """Zero is worth a try when both parabolas, in theta and in log theta, point far down."""
    theta = point.phi[-1]
    if theta == 0 or theta > state.zero_tried / 10:
        return False
    # near a maximum at zero the log-likelihood falls with theta^2, and every step in log theta is -1/2
    if step[-1] > -0.4 or state.gain > 1:
        return False
    return bool(theta + _plain_step(point)[-1] <= 0.1 * theta)


def _diverges(state: State) -> bool:
    """Three steps of undiminished length, promising less and less: an exponential tail, not a maximum."""
    if len(state.gains) < 4 or state.gain > 0.01 or state.step is None or state.best is None:
        return False
    if state.best.phi[-1] > 0 and state.step[-1] < 0:  # on its way to theta = 0
        size = np.abs(state.step) * _working_metric(state, state.best)
        if size[-1] == size.max():
            return False
    return fading(state.lengths, state.gains)


def fading(lengths: tuple[float, ...], gains: tuple[float, ...]) -> bool:
    """Whether steps keep their lengths while each promises a good deal less than the one before."""
    steady = all(b > 0.8 * a for a, b in pairwise(lengths))
    return steady and all(b < 0.7 * a for a, b in pairwise(gains))
