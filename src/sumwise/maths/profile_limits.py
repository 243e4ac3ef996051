"""Limits of profile likelihood intervals: where the log-likelihood, highest for its value, has fallen far enough.

    zeta(v) = sqrt(2 (l_max - max_z l(v, z))) = q        [Cox & Snell 1989; Venzon & Moolgavkar 1988]

zeta is nearly straight, and its slope - (dl/dv) / zeta is known from the gradient [envelope theorem]: Newton's method
within a bracket.  The other parameters start from where the tangent at the last point leads, so that the ascent
(ascent.py) takes a step or two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
from numpy.typing import NDArray

from sumwise.maths import ascent
from sumwise.maths.cholesky import cholesky
from sumwise.maths.newton import Outcome, Point
from sumwise.maths.scoring import positive_factor
from sumwise.maths.slices import Slice

Floats = NDArray[np.float64]

MOVE_TOLERANCE = 1e-6
"""The others have followed when they could move by no more than this many standard errors: l is then right to 1e-12."""

PRECISION = 1e-9
"""Of a limit, relative to its distance from the estimate."""

MOST_EVALUATIONS = 200
"""Of the log-likelihood at one value."""

MOST_VALUES = 80

FARTHEST = 1e4
"""Standard errors from the estimate at which the search for a limit ends."""

HIGHER = 1e-6
"""A log-likelihood so much above that of the fit is another maximum."""

BOUND, FLAT, ELSEWHERE, LOST = (
    "the end of its range: the likelihood does not exclude it",
    "no limit: the likelihood falls no further",
    "not known: the log-likelihood is higher there than at the fit, which is not its maximum",
    "not known: the other parameters found no maximum there",
)


@dataclass(frozen=True, slots=True)
class Limit:
    """value: of the quantity, infinite where there is no limit, nan where it is not known; note: why, else empty."""

    value: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the others are best, given a value.  point: in (v, z); zeta."""

    point: Point
    zeta: float

    @property
    def v(self) -> float:
        return float(self.point.phi[0])


def highest(evaluate: Callable[[Floats], Point], held: Slice, v: float, z: Floats, slack: float) -> Point | None:
    """The point in (v, z) with the highest log-likelihood over z, from a start; None where there is none.

    evaluate: the log-likelihood at phi.
    """
    last: Point | None = None

    def within(free: Floats) -> Point:
        nonlocal last
        with np.errstate(over="ignore", invalid="ignore"):
            found = held.point(v, free, evaluate(held.phi(v, free)))
        value = found.value
        if not (np.isfinite(found.gradient).all() and np.isfinite(found.information).all()):
            value = -np.inf  # beyond the range of numbers: no place to go to
        last = found
        return Point(free, value, found.gradient[1:], found.information[1:, 1:])

    state, full = ascent.start(z, held.blocks), None
    for _ in range(MOST_EVALUATIONS):
        point = within(state.trial)
        if state.best is None and not isfinite(point.value):
            return None
        state = ascent.advance(state, point, tolerance=MOVE_TOLERANCE, slack=slack)
        if state.best is point:
            full = last
        if state.outcome is not Outcome.RUNNING:
            break
    # where it creeps away, as a variance to zero, the value is what it tends to
    reached = state.outcome in (Outcome.CONVERGED, Outcome.DIVERGING) or state.move < 100 * MOVE_TOLERANCE
    return full if reached else None


def limit(
    evaluate: Callable[[Floats], Point], held: Slice, top: Point, side: int, quantile: float, slack: float
) -> Limit:
    """The limit of the held quantity below (side -1) or above (side 1) its estimate.

    top: the maximum, in the parameters of the log-likelihood; quantile: value of zeta at the limit; slack: rounding
    error of the log-likelihood.
    """
    v, z = held.begin(top.phi)
    start = Place(held.point(v, z, top), 0.0)
    edge = held.low if side < 0 else held.high
    if v == edge:
        return Limit(v, BOUND)
    spread = _spread(start.point)
    step = side * quantile * (spread if isfinite(spread) else 1.0)
    near, far, at = start, None, start  # zeta below and above the quantile, and the last of both
    trial = _within(v + step, edge, side)
    for _ in range(MOST_VALUES):
        slice_here = held.end(trial) if trial == edge else held
        found = _follow(evaluate, held, slice_here, at, trial, slack)
        if found is None:
            if abs(trial - near.v) < 1e-6 * max(abs(near.v - v), abs(step)):
                return Limit(np.nan, LOST)
            trial = (trial + near.v) / 2
            continue
        rise = top.value - found.value
        if rise < -HIGHER:
            return Limit(np.nan, ELSEWHERE)
        zeta = sqrt(2 * max(rise, 0.0))
        place = Place(found, zeta)
        if trial == edge and zeta < quantile:
            return Limit(edge, BOUND)
        if zeta < quantile:
            near = place
        else:
            far = place
        if slice_here is held:
            at = place
        slope = -side * float(found.gradient[0]) / zeta if zeta > 0 else 0.0
        following = trial + side * (quantile - zeta) / slope if slope > 0 and slice_here is held else np.nan
        if far is None and not abs(trial - v) < FARTHEST * abs(step):
            return Limit(side * np.inf, FLAT)
        following = _bracketed(following, v, near, far, edge, side, abs(step))
        if abs(following - trial) <= PRECISION * abs(following - v):
            return Limit(following)
        trial = following
    return Limit(np.nan, LOST)


def _bracketed(wanted: float, v: float, near: Place, far: Place | None, edge: float, side: int, step: float) -> float:
    """`wanted` where it lies between the places that bracket the limit, else a place that does."""
    if far is None:
        reach = near.v + side * max(3 * abs(near.v - v), step)
        ahead = isfinite(wanted) and side * (wanted - near.v) > 0
        return _within(wanted if ahead and side * (reach - wanted) > 0 else reach, edge, side)
    if isfinite(wanted) and min(near.v, far.v) < wanted < max(near.v, far.v):
        return wanted
    if isfinite(wanted) and abs(wanted - far.v) <= PRECISION * abs(far.v - v):
        return wanted
    return (near.v + far.v) / 2


def _within(value: float, edge: float, side: int) -> float:
    return edge if side * (value - edge) > 0 else value


def _follow(
    evaluate: Callable[[Floats], Point], held: Slice, here: Slice, at: Place, v: float, slack: float
) -> Point | None:
    """The highest point at v, from where the tangent at the last one leads; from that one itself, should there be none
    there.
    """
    z = at.point.phi[1:]
    A = at.point.information
    free = ascent.free_parameters(z, held.blocks)
    moved = z.copy()
    if free.any() and isfinite(v - at.v):
        factor = positive_factor(A[1:, 1:][np.ix_(free, free)])
        moved[free] -= factor.solve(A[1:, 0][free]) * (v - at.v)
    for start in (moved, z):
        if here is not held:  # fewer are free
            start = held.phi(v, start)[here.places]
        found = highest(evaluate, here, v, start, slack)
        if found is not None:
            return found
    return None


def _spread(point: Point) -> float:
    """Standard error of the quantity, from the information at the estimate; infinite where it says nothing."""
    A = point.information
    free = np.append(True, np.any(A[1:, 1:] != 0, axis=1))
    factor = cholesky(A[np.ix_(free, free)])
    if factor is not None:
        return sqrt(float(factor.inverse()[0, 0]))
    return 1 / sqrt(float(A[0, 0])) if A[0, 0] > 0 else np.inf
