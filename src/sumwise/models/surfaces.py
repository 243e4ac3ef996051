"""The log-likelihood of a fitted model at any parameters: which question to ask, and how to read the total.

The models ask for points on the way to their maximum; here anyone may, with phi in one order for all of them:

    phi = (beta (p,), log scale (0 or 1,), theta (m,))

beta belongs to centred columns.  The scale is sigma, which theta is then relative to; or the size of a negative
binomial or the shape of a gamma.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.glm import OBSERVED
from sumwise.kernels.library import log
from sumwise.maths import gaussian_likelihood, gradient_differences
from sumwise.maths.ascent import free_parameters
from sumwise.maths.cholesky import times
from sumwise.maths.newton import Point
from sumwise.models.glm import GeneralizedLinearModel
from sumwise.models.glm import State as GlmState
from sumwise.models.glmm import QUADRATURE_BOUND as INTERCEPT_BOUND
from sumwise.models.glmm import RandomIntercept, point_of
from sumwise.models.glmm import State as InterceptState
from sumwise.models.glmm_vectors import QUADRATURE_BOUND, VectorModel, VectorState
from sumwise.models.lmm import SLACK, LinearMixed
from sumwise.models.lmm import State as LinearState
from sumwise.models.lmm_messages import Question
from sumwise.models.lmm_products import centre_of
from sumwise.models.lmm_turned import Turned

Floats = NDArray[np.float64]

ROUNDING = 1e-13
"""Of a log-likelihood, relative to its size."""

ROUGH = 1e-6
"""Quadrature error of the log-likelihood from which on information is not its second derivative."""

ALL_RULES = 100
"""More orders of quadrature than there are."""


@dataclass(frozen=True, slots=True)
class Surface:
    """ask(phi): the question; read(phi, total): the point.

    phi (n,): at the maximum; blocks: of theta; intercept: its place, None without; centre (p,), shift: what was taken
    from the columns and the response; relative: whether theta is in units of sigma; slack: error of the
    log-likelihood.
    """

    ask: Callable[[Floats], Any]
    read: Callable[[Floats, Any], Point]
    phi: Floats
    blocks: tuple[int, ...]
    intercept: int | None
    centre: Floats
    shift: float
    relative: bool
    slack: float


def surface(model: Any, state: Any, dispersion: float = 1.0, *, inner: bool = False) -> Surface:
    """Of a model in its last state.  dispersion: what the log-likelihood of rows alone is divided by; inner: theta
    is of the effects as the model turns or centres them for its ascent, else of the user's.
    """
    match model:
        case GeneralizedLinearModel():
            return _generalized(model, state, dispersion)
        case LinearMixed():
            return _linear_mixed(model, state, inner)
        case RandomIntercept():
            return _random_intercept(model, state)
        case VectorModel():
            return _vectors(model, state, inner)
        case _:
            raise TypeError(f"no surface of {model!r:.50}")


def _generalized(model: GeneralizedLinearModel, state: GlmState, dispersion: float) -> Surface:
    moments, climb = state.moments, state.ascent
    kept = state.kept or state
    if model.estimates_size:  # the null model of the size found came last
        moments, climb = kept.moments, kept.ascent
    assert moments is not None
    assert climb is not None
    assert climb.best is not None
    held, size = moments, model.estimates_size

    def ask(phi: Floats) -> Any:
        return model.question_at(held, phi, OBSERVED)

    def read(phi: Floats, total: Any) -> Point:
        point = model.point_of(phi, total, size=size)
        value, gradient = point.value / dispersion, point.gradient / dispersion
        return Point(phi, value, gradient, point.information / dispersion)

    slack = ROUNDING * max(abs(climb.best.value), 1.0) / dispersion
    centre = model.question_at(moments, climb.best.phi, OBSERVED).centre
    return Surface(ask, read, climb.best.phi, (), model.intercept, centre, 0.0, False, slack)


def _linear_mixed(model: LinearMixed, state: LinearState, inner: bool) -> Surface:
    moments, within, best, climb = state.moments, state.within, state.best, state.ascent
    assert moments is not None
    assert within is not None
    assert best is not None
    assert climb is not None
    assert climb.best is not None
    assert state.turned is not None
    p, centre, held, left = len(model.columns), centre_of(moments.gram, model.intercept), moments, within

    turned = state.turned

    def ask(phi: Floats) -> Question:
        theta = turned.theta(phi[p + 1 :]) if inner else phi[p + 1 :]
        return Question(centre, (theta,), True, False)

    def read(phi: Floats, total: Any) -> Point:
        if total.failed:
            return Point(phi, -np.inf, np.zeros(len(phi)), np.eye(len(phi)))
        log_det, Q = replace(model, second=True).expansions(left, total.values.round()[0])
        point = gaussian_likelihood.at(phi, log_det, Q, held.rows, held.log_weight)
        return _turned(point, turned, p + 1) if inner else point

    theta = climb.best.phi if inner else turned.theta(climb.best.phi)
    phi = np.concatenate([best.beta, [log(best.sigma)], theta])
    slack = SLACK * (abs(best.loglik) + moments.rows)
    return Surface(ask, read, phi, model.blocks, model.intercept, centre[:p], float(centre[p]), True, slack)


def _turned(point: Point, turned: Turned, first: int) -> Point:
    """Derivatives in theta_turned, from those in theta, which begins at place `first`."""
    J = np.eye(len(point.phi))
    J[first:, first:] = turned.J
    A = times(J.T, times(point.information, J))
    return Point(point.phi, point.value, times(J.T, point.gradient), (A + A.T) / 2)


def _random_intercept(model: RandomIntercept, state: InterceptState) -> Surface:
    moments, climb = state.moments, state.ascent
    assert moments is not None
    assert climb is not None
    assert climb.best is not None
    held, best = moments, climb.best
    error = INTERCEPT_BOUND if model.nodes == "auto" else 0.0
    slack = ROUNDING * abs(best.value) + 2 * error
    centre = model.question_at(moments, best.phi, fine=True).centre
    where = model.columns.index("(Intercept)") if "(Intercept)" in model.columns else None

    def ask(phi: Floats) -> Any:
        return model.question_at(held, phi, fine=True)

    return Surface(ask, point_of, best.phi, (1,), where, centre, 0.0, False, slack)


def _vectors(model: VectorModel, state: VectorState, inner: bool) -> Surface:
    """Only with `inner` are the columns of Z centred: the standard deviation of an intercept is that of the user's.

    Where the caller has fixed too few nodes, Louis' information is not the second derivative, and away from the maximum
    may even have another sign: there the gradient's differences are asked for at every point.
    """
    assert state.ascent is not None
    assert state.ascent.best is not None
    estimate, best = model.finish(state), state.ascent.best
    p = len(model.columns)
    fine = replace(state, bound=QUADRATURE_BOUND, curvature=None, reach=ALL_RULES)
    around = None
    if model.nodes != "auto" and not state.error <= ROUGH:
        known = best if state.curvature is None else replace(best, information=state.curvature)
        around = gradient_differences.directions(known, free_parameters(best.phi, model.blocks))

    def ask(phi: Floats) -> Any:
        points = None
        if around is not None:
            points = np.concatenate([phi[None], gradient_differences.places(phi, around)])
        asked = model.question_at(fine, phi, points)
        return asked if inner else replace(asked, centre=estimate.question.centre)

    def read(phi: Floats, total: Any) -> Point:
        point = model.point_of(phi, total, 0)
        if around is None:
            return point
        if any(total.failed):
            return replace(point, value=-np.inf)
        gradients = np.array([model.point_of(phi, total, k).gradient for k in range(1, len(total.failed))])
        return replace(point, information=gradient_differences.information(gradients, around))

    phi = best.phi.copy()
    if not inner:
        phi[len(phi) - len(estimate.theta) :] = estimate.theta
    slack = ROUNDING * abs(best.value) + 2 * (state.error if model.nodes == "auto" else 0.0)
    where = model.columns.index("(Intercept)") if "(Intercept)" in model.columns else None
    return Surface(ask, read, phi, model.blocks, where, estimate.question.centre[:p], 0.0, False, slack)
