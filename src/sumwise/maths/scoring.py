"""Newton's method and Fisher scoring for a log-likelihood without bounds on its parameters, with step-halving.

    state = start(phi)
    while state.outcome is Outcome.RUNNING:
        state = advance(state, evaluate(state.trial), tolerance=..., slack=...)

A step is information^-1 gradient; one that lowers the log-likelihood is halved until it does not.  Where information is
not positive definite, no short step is a sign of a maximum: flat tails and saddles end as STALLED.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.cholesky import Factor, cholesky, equilibrate
from sumwise.maths.newton import Outcome

Floats = NDArray[np.float64]

LEAST_DAMPING = 1e-12
"""Share of a step below which no shorter one is tried."""

ENDLESS_GAIN = 1e-8
"""Steps that keep their length while they promise less than this lead to infinity."""

ENOUGH = 1e-6
"""Standard errors by which an ascent that ends at the limit of its gradient may still move."""

NEAR = 1e-3
"""Below so many standard errors a step promises less than 1e-6, which may drown in the rounding of the log-likelihood:
there the gradient leads, and the ascent ends when steps no longer shrink.
"""

DROWNED = 1e-8
"""Share of the log-likelihood that counts as rounding there."""


@dataclass(frozen=True, slots=True)
class Point:
    """One evaluation.  phi (q,); value: log-likelihood, -inf where there is none; gradient (q,); information (q, q)."""

    phi: Floats
    value: float
    gradient: Floats
    information: Floats


@dataclass(frozen=True, slots=True)
class State:
    """Where the ascent stands.

    trial (q,): evaluate here next; best: highest point so far; step (q,): from best to the trial, undamped; damping:
    share of it in use; move: largest step in standard errors; gain: log-likelihood that the step promises; metric (q,):
    sizes that make steps comparable; lengths, gains: of the last steps; accepted: points so far that were higher.
    """

    trial: Floats
    outcome: Outcome = Outcome.RUNNING
    best: Point | None = None
    step: Floats | None = None
    damping: float = 1.0
    move: float = np.inf
    gain: float = np.inf
    metric: Floats | None = None
    lengths: tuple[float, ...] = ()
    gains: tuple[float, ...] = ()
    accepted: int = 0


def start(phi: Floats) -> State:
    """Begin at phi (q,)."""
    return State(trial=phi)


def advance(state: State, point: Point, *, tolerance: float, slack: float, limit: Floats | None = None) -> State:
    """The state after the evaluation at state.trial.

    tolerance: end when no parameter would move by more than this many standard errors; slack: how much lower a value
    may be and still count as not lower; limit (q,): largest size of each part of a step.
    """
    best, near = state.best, state.move < NEAR and state.damping == 1
    if near:
        slack = max(slack, DROWNED * max(abs(point.value), 1.0))
    if best is not None and not (np.isfinite(point.value) and point.value >= best.value - slack):
        return _retreat(state, best)
    metric = 1 / equilibrate(point.information) if state.metric is None else state.metric
    factor = cholesky(point.information)
    definite = factor is not None
    factor = factor or positive_factor(point.information)
    step = factor.solve(point.gradient)
    if not np.isfinite(step * point.gradient).all():  # beyond the range of numbers
        return replace(state, outcome=Outcome.STALLED, best=best or point, move=np.inf)
    gain = fsum(step * point.gradient) / 2
    move = float(np.max(np.abs(step) / np.sqrt(np.diag(factor.inverse())), initial=0.0))
    if near and move > 0.9 * state.move:  # as exact as the gradient is
        return _settled(state, definite=definite) if state.move < ENOUGH else replace(state, outcome=Outcome.STALLED)
    length = sqrt(fsum((step * metric) ** 2))
    if limit is not None:
        step = step * float(np.min(np.where(np.abs(step) > limit, limit / np.maximum(np.abs(step), 1e-300), 1.0)))
    state = replace(
        state,
        best=point,
        metric=metric,
        step=step,
        damping=1.0,
        move=move,
        gain=gain,
        lengths=(*state.lengths, length)[-4:],
        gains=(*state.gains, gain)[-4:],
        accepted=state.accepted + 1,
    )
    if move <= tolerance:
        return _settled(state, definite=definite)
    if _diverges(state):
        return replace(state, outcome=Outcome.DIVERGING)
    return replace(state, trial=point.phi + step)


def positive_factor(A: Floats) -> Factor:
    """Factor of A, or of A with the smallest of a ladder of diagonal shifts that makes it positive definite."""
    factor, shift = cholesky(A), 1e-3
    while factor is None:
        factor = cholesky(A, shift=shift)
        shift *= 4
    return factor


def _settled(state: State, *, definite: bool) -> State:
    """The gradient is next to nothing: at a maximum, or where standard errors mean nothing."""
    return (
        replace(state, outcome=Outcome.CONVERGED) if definite else replace(state, outcome=Outcome.STALLED, move=np.inf)
    )


def _retreat(state: State, best: Point) -> State:
    """The trial was lower: halve the step."""
    assert state.step is not None
    damping = state.damping / 2
    if damping < LEAST_DAMPING:
        return replace(state, outcome=Outcome.STALLED)
    return replace(state, damping=damping, trial=best.phi + damping * state.step)


def _diverges(state: State) -> bool:
    """Steps of undiminished length that promise less and less: an exponential tail, not a maximum."""
    if len(state.gains) < 4 or state.gain > ENDLESS_GAIN:
        return False
    steady = all(b > 0.8 * a for a, b in zip(state.lengths, state.lengths[1:], strict=False))
    fading = all(b < 0.7 * a for a, b in zip(state.gains, state.gains[1:], strict=False))
    return steady and fading
