"""Newton ascent in a trust region, for a log-likelihood with Cholesky factors among its parameters.

Parameters are phi = (free parameters, theta), theta as in covariance.py.  The log-likelihood is even in every column of
a factor: a column of zeros is an ordinary stationary point, with gradient zero there and a curvature that says whether
the log-likelihood rises when the column is let in.  So the boundary needs no constraint:

  - a step that would shrink a column to a tenth jumps to zero, exactly, and stays if the value is not lower;
  - zero columns take no part in the steps; one is let in again, in its steepest direction, where the curvature says so;
  - a factor is kept canonical: rotating its columns changes no value, and puts zero columns last.  The others then
    range freely over all matrices of that rank, so that a correlation of one needs no constraint either;
  - where steps creep, columns that grow parallel are merged: a valley without a floor leads to lower rank.

The Hessian need only be a good metric; it may be indefinite: it is shifted until it is positive definite and the step
stays within the trust region, whose radius follows the ratio of what was gained to what was promised.  A diagonal
entry that wants to grow is stepped in its logarithm.  All functions are pure:

    state = start(phi, blocks)
    while state.outcome is Outcome.RUNNING:
        state = advance(state, evaluate(state.trial), tolerance=..., slack=...)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import exp
from sumwise.maths import covariance
from sumwise.maths.boundary import (
    JUMP_BELOW,
    LEAST_RISE,
    canonical,
    columns_of,
    free_parameters,
    lowest,
    merged,
    shrinks,
    steepest,
)
from sumwise.maths.cholesky import Factor, cholesky, equilibrate, times
from sumwise.maths.newton import LARGEST_LOG_STEP, Outcome, Point, dot, fading, length_in_standard_errors

__all__ = ["Outcome", "Point", "State", "advance", "free_parameters", "move_in_standard_errors", "start"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LARGEST_SHRINK = 0.2
"""Any other step leaves at least this share of a diagonal entry."""

JUMP_GAIN = 1.0
"""Largest gain in log-likelihood that a step may promise and still count as near the maximum."""

NEAR = 0.1
"""A zero column is let in when the other estimates are this many standard errors from their maximum, or nearer."""

LARGEST_DOUBT = 100.0
"""A value lower by more than so many times the slack is lower, whatever the slopes say."""

MOST_REJECTED = 24
"""Trials that may fail from one point; each shortens the step to a quarter."""


class Trial(Enum):
    """What the next evaluation tries."""

    STEP = "step"
    JUMP = "jump"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class State:
    """Where the ascent stands.

    trial (n,): evaluate here next.  blocks: sizes of theta's blocks; best: highest point so far.  kind: of the trial;
    step (n,): from best, in working coordinates; length: of the step in the metric of its point; previous: gain that
    the step before promised; radius: of the trust
    region; jumps: first places in phi of columns that the trial sets to zero; tried (n,): diagonal entries at which a
    jump failed; rise (n,): column that the trial lets in; promise: gain that its curvature promises; settled: letting
    in a column failed here; rejected: trials that failed from best.  move: how far the estimates could still go, in
    standard errors (inf where the information is not positive definite); gain: what the last step promised; metric
    (n,): sizes that make steps comparable; lengths, gains: of the last steps; accepted: points so far that were
    higher; merged: how many these were when a column was last merged with the others.
    """

    trial: Floats
    blocks: tuple[int, ...]
    outcome: Outcome = Outcome.RUNNING
    best: Point | None = None
    kind: Trial = Trial.STEP
    step: Floats | None = None
    length: float = 0.0
    previous: float = 0.0
    radius: float = np.inf
    jumps: tuple[int, ...] = ()
    tried: Floats | None = None
    rise: Floats | None = None
    promise: float = 0.0
    settled: bool = False
    rejected: int = 0
    move: float = np.inf
    gain: float = np.inf
    metric: Floats | None = None
    lengths: tuple[float, ...] = ()
    gains: tuple[float, ...] = ()
    accepted: int = 0
    merged: int = 0


def start(phi: Floats, blocks: tuple[int, ...]) -> State:
    """Begin at phi (n,), whose last entries are theta."""
    return State(canonical(phi, blocks), blocks)


def advance(state: State, point: Point, *, tolerance: float, slack: float) -> State:
    """The state after the evaluation at state.trial.

    tolerance: stop when no estimate would move by more than this many standard errors; slack: how much lower a value
    may be and still count as not lower (rounding and quadrature error).  It is an estimate: two rules of quadrature
    may differ by more.  Where a step promises less than that, the slopes at its two ends say what it gained, by the
    trapezoid rule, as in Hager & Zhang's approximate Wolfe condition (2005).
    """
    best = state.best
    if best is None:
        tried = np.full(len(point.phi), np.inf)
        state = replace(state, metric=1 / equilibrate(point.information), tried=tried)
    elif not np.isfinite(point.value):
        return _retreat(state, best, tolerance, slack)
    else:
        rise = point.value - best.value
        if faint := state.kind is Trial.STEP and state.gain <= slack:
            by_slopes = dot(best.gradient + point.gradient, point.phi - best.phi) / 2
        if rise < -slack and not (faint and by_slopes > 0 and rise >= -LARGEST_DOUBT * slack):
            return _retreat(state, best, tolerance, slack)
        if state.kind is Trial.STEP and state.gain > 0:
            state = replace(state, radius=_radius(state, (by_slopes if faint else rise) / state.gain))
    state = replace(state, best=point, accepted=state.accepted + 1, rejected=0, settled=False)
    return _propose(state, point, tolerance)


def move_in_standard_errors(point: Point, blocks: tuple[int, ...]) -> float:
    """Length of Newton's step in standard errors, over the parameters that are not held at zero."""
    free = free_parameters(point.phi, blocks)
    return length_in_standard_errors(point.gradient[free], point.information[np.ix_(free, free)])


# -- the next trial --


def _propose(state: State, point: Point, tolerance: float) -> State:
    """Test for the end, else let in a column, else a step."""
    state = replace(state, move=move_in_standard_errors(point, state.blocks))
    found = None if state.settled or not state.move <= max(tolerance, NEAR) else steepest(point, state.blocks)
    if found is not None:
        rise, promise = found
        trial = canonical(point.phi + rise, state.blocks)
        return replace(state, kind=Trial.LEAVE, trial=trial, rise=rise, promise=promise)
    if state.move <= tolerance:
        return replace(state, outcome=Outcome.CONVERGED)
    state = _stepped(state, point)
    if _diverges(state):
        return replace(state, outcome=Outcome.DIVERGING)
    jumps = _jumps(state, point)
    if jumps and state.gain <= JUMP_GAIN:
        return _jumped(state, point, jumps)
    if _creeps(state) and (fewer := merged(point, state.blocks)) is not None:
        return replace(state, kind=Trial.JUMP, trial=fewer, jumps=(), merged=state.accepted)
    return _tried(state, point)


def _stepped(state: State, point: Point) -> State:
    """The state with the step from `point` and what belongs to it."""
    step, length, gain, definite = _step(point, state)
    size = step * (np.ones(len(step)) if state.metric is None else state.metric)
    size = np.where(_growing(point, state.blocks), size * point.phi, size)
    if not definite:
        state = replace(state, lengths=(), gains=())
    elif state.rejected == 0:
        lengths, gains = (*state.lengths, sqrt(dot(size, size)))[-4:], (*state.gains, gain)[-4:]
        state = replace(state, lengths=lengths, gains=gains)
    previous = state.gain if state.rejected == 0 and np.isfinite(state.gain) else state.previous
    return replace(state, step=step, length=length, gain=gain, previous=previous)


def _tried(state: State, point: Point) -> State:
    """The state that tries the step.  A diagonal entry comes near zero by and by, unless zero was tried and is lower:
    then it is on its way to the other side, where the column has its sign changed.
    """
    assert state.tried is not None
    trial, growing = _moved(state, point), _growing(point, state.blocks)
    for column in columns_of(point.phi, state.blocks):
        at = column.start
        least = LARGEST_SHRINK * point.phi[at]
        if growing[at] or not np.isinf(state.tried[at]):
            continue
        if point.phi[at] > 0 and trial[at] < least and shrinks(point, trial, column, state.blocks):
            trial[at] = least
    return replace(state, kind=Trial.STEP, trial=canonical(trial, state.blocks))


def _jumped(state: State, point: Point, jumps: tuple[int, ...]) -> State:
    trial = _moved(state, point)
    for column in columns_of(point.phi, state.blocks):
        if column.start in jumps:
            trial[column] = 0.0
    return replace(state, kind=Trial.JUMP, trial=canonical(trial, state.blocks), jumps=jumps)


def _moved(state: State, point: Point) -> Floats:
    """point.phi after the step, with no regard to zero."""
    assert state.step is not None
    growing = _growing(point, state.blocks)
    limited = np.clip(np.where(growing, state.step, 0.0), -LARGEST_LOG_STEP, LARGEST_LOG_STEP)
    return np.where(growing, point.phi * exp(limited), point.phi + state.step)


def _growing(point: Point, blocks: tuple[int, ...]) -> Bools:
    """(n,) True for diagonal entries that are stepped in their logarithm: those that want to grow, ever more slowly."""
    out = np.zeros(len(point.phi), dtype=bool)
    for column in columns_of(point.phi, blocks):
        at = column.start
        out[at] = point.phi[at] > 0 and point.gradient[at] > 0 and point.information[at, at] > 0
    return out


def _step(point: Point, state: State) -> tuple[Floats, float, float, bool]:
    """Step (n,) in working coordinates, its length in the metric D of curvature sizes, the gain that it promises, and
    whether the information is positive definite.

    (A + shift D)^-1 g: without a shift where that is possible and short enough; else with one that makes the matrix
    positive definite and the step about as long as the trust region allows.  D is that of independent combinations of
    what is no theta: along the axes of columns that hang together every useful step would be long.
    """
    free, growing = free_parameters(point.phi, state.blocks), _growing(point, state.blocks)
    scale = np.where(growing, point.phi, 1.0)
    g = point.gradient * scale
    A = point.information * np.multiply.outer(scale, scale)
    A[np.diag_indices_from(A)] -= np.where(growing, g, 0.0)
    D = np.abs(np.diag(A))
    D = np.where(growing, np.maximum(D, np.abs(g) / LARGEST_LOG_STEP), D)
    D = np.where(D > 0, D, 1.0)
    g, A, D, logarithmic = g[free], A[np.ix_(free, free)], D[free], growing[free]
    turn = _turn(A, len(point.phi) - covariance.size(state.blocks))
    g, A = times(turn, g), times(times(turn, A), turn.T)
    A, D = (A + A.T) / 2, np.where(np.any(turn != np.eye(len(turn)), axis=1), 1.0, D)
    factor, radius = cholesky(A), state.radius
    definite = factor is not None
    if not definite:  # nothing in the parabola says how far to go: as far as its slopes and sizes do, or as last time
        radius = min(radius, max(1.0, sqrt(dot(g / D, g)), 4 * state.length))
    step = _within(g, A, D, radius, logarithmic, factor)
    if not definite and dot(step * step, D) < (radius / 4) ** 2:  # a slope that does not point down from the saddle
        root = np.sqrt(D)
        direction, curvature = lowest(A / np.multiply.outer(root, root))
        if curvature < -LEAST_RISE:
            step += radius / 2 * np.copysign(1.0, dot(direction, g / root)) * direction / root
    gain = dot(g, step) - dot(step, np.array([dot(row, step) for row in A])) / 2
    out = np.zeros(len(point.phi))
    out[free] = times(turn.T, step)
    return out, sqrt(dot(step * step, D)), gain, definite


def _turn(A: Floats, count: int) -> Floats:
    """(n, n): W with W A W' = I in the first `count` parameters, which are free, and the identity in the others."""
    turn, factor = np.eye(len(A)), cholesky(A[:count, :count])
    if factor is not None:
        turn[:count, :count] = factor.whitening()
    return turn


def _within(g: Floats, A: Floats, D: Floats, radius: float, logarithmic: Bools, unshifted: Factor | None) -> Floats:
    """(A + shift D)^-1 g for the smallest shift, up to a factor, that leads into the trust region; unshifted: A's
    factor, None where it has none.
    """

    def shifted(shift: float) -> tuple[Floats | None, bool]:
        factor = unshifted
        if shift > 0:
            M = A.copy()
            M[np.diag_indices_from(M)] += shift * D
            factor = cholesky(M)
        if factor is None:
            return None, False
        step = factor.solve(g)
        length = sqrt(dot(step * step, D))
        limited = length <= radius and not np.any(np.abs(step[logarithmic]) > LARGEST_LOG_STEP)
        return (step if limited else None), length >= radius / 2

    step, _ = shifted(0.0)
    if step is not None:
        return step
    low, high = 0.0, 1e-2
    while (found := shifted(high))[0] is None:
        low, high = high, 8 * high
    step, enough = found
    for _ in range(8):  # towards the smallest shift
        middle = (low + high) / 2
        if enough or high - low < 1e-3 * high:
            break
        nearer, reaches = shifted(middle)
        if nearer is None:
            low = middle
        else:
            high, step, enough = middle, nearer, reaches
    assert step is not None
    return step


def _radius(state: State, ratio: float) -> float:
    """Of the trust region after a step that gained `ratio` of what it promised."""
    if ratio < 0.25:
        return state.length / 2
    return state.radius if ratio < 0.75 else max(state.radius, 4 * state.length)


# -- the boundary --


def _jumps(state: State, point: Point) -> tuple[int, ...]:
    """Columns for which zero is worth a try, by their first places."""
    assert state.tried is not None
    trial, found = _moved(state, point), []
    for column in columns_of(point.phi, state.blocks):
        at, curvature = column.start, point.information[column.start, column.start]
        alone = point.phi[at] + point.gradient[at] / curvature if curvature > 0 else np.inf  # where its parabola ends
        small = min(trial[at], alone if trial[at] < point.phi[at] else np.inf) <= JUMP_BELOW * point.phi[at]
        vanishes = small and point.phi[at] > 0 and shrinks(point, trial, column, state.blocks)
        if point.phi[at] == 0:  # its first entry stands lower
            before, after = (float(np.max(np.abs(v[column]))) for v in (point.phi, trial))
            vanishes = before > 0 and after <= JUMP_BELOW * before
        if vanishes and point.phi[at] <= state.tried[at] * JUMP_BELOW:
            found.append(at)
    return tuple(found)


def _creeps(state: State) -> bool:
    """Whether the last steps promised little, and hardly less than the ones before them."""
    if state.gain > JUMP_GAIN or state.accepted < state.merged + 4 or state.previous == 0:
        return False
    return state.gain > 0.1 * state.previous


# -- after a trial that failed --


def _retreat(state: State, best: Point, tolerance: float, slack: float) -> State:
    """The trial was lower: come nearer, or take the step that a jump replaced."""
    assert state.tried is not None
    state = replace(state, rejected=state.rejected + 1)
    if state.kind is Trial.LEAVE:
        assert state.rise is not None
        rise, promise = state.rise / 4, state.promise / 16
        if promise > max(slack, 1e-15 * abs(best.value)):
            trial = canonical(best.phi + rise, state.blocks)
            return replace(state, trial=trial, rise=rise, promise=promise)
        return _propose(replace(state, settled=True, rejected=0), best, tolerance)
    if state.kind is Trial.JUMP:
        assert state.tried is not None
        tried = state.tried.copy()
        tried[list(state.jumps)] = best.phi[list(state.jumps)]
        state = replace(state, tried=tried)
        if len(state.jumps) > 1:
            return _jumped(state, best, state.jumps[-1:])
        return _tried(state, best)
    if state.rejected > MOST_REJECTED:
        return replace(state, outcome=Outcome.STALLED)
    return _tried(_stepped(replace(state, radius=state.length / 4), best), best)


def _diverges(state: State) -> bool:
    """Three steps of undiminished length, promising less and less: an exponential tail, not a maximum."""
    if len(state.gains) < 4 or state.gain > 0.01 or state.step is None or state.best is None:
        return False
    for column in columns_of(state.best.phi, state.blocks):
        if state.best.phi[column.start] > 0 and state.step[column.start] < 0:  # on its way to zero
            size = np.abs(state.step) * (1.0 if state.metric is None else state.metric)
            if size[column.start] == size.max():
                return False
    return fading(state.lengths, state.gains)
