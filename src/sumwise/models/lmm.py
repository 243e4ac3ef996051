"""Linear mixed models by maximum likelihood, restricted (REML) or not, from exact sums.

    y = X beta + o + Z u + e,   u ~ N(0, sigma^2 Lambda Lambda'),   e ~ N(0, sigma^2 / w)

Lambda is block diagonal, a block for each term in brackets; theta holds the lower triangles of the blocks
(maths/covariance.py).  Nothing here depends on how a site works out its sums, so the terms may share one grouping
factor or have several.

Round 1 asks for cross-products of the columns and counts.  Every later round evaluates Q(theta) and log det V with
their derivatives (lmm_messages.py); the likelihood profiled over beta and sigma follows (maths/profiled.py), and
Newton's next step.  What a site answers stands in lmm_site.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError, UsageError
from sumwise.maths import ascent, covariance
from sumwise.maths.ascent import Outcome, Point
from sumwise.maths.cholesky import cholesky
from sumwise.maths.profiled import Expansion, Profile, profile
from sumwise.models.centring import uncentred, uncentred_covariance
from sumwise.models.lmm_checks import Term, check_columns, check_counts, check_residual, refuse_runaway
from sumwise.models.lmm_messages import Moments, MomentsQuestion, Question, Summand
from sumwise.models.lmm_products import centre_of, products
from sumwise.models.lmm_turned import Turned, turn

__all__ = ["METHODS", "Estimate", "LinearMixed", "State", "Term"]

Floats = NDArray[np.float64]

METHODS = ("REML", "ML")

MOVE_TOLERANCE = 1e-9
"""The fit ends when no covariance parameter could move by more than this many standard errors."""

PATIENCE, ENOUGH = 40, 1e-5
"""After so many evaluations this is enough: what effects with an origin far away (1e5 standard deviations) leave."""

SLACK = 1e-14
"""Rounding error of the log-likelihood, relative to its size and the number of rows."""

DIFFERENCE = 2.0**-12
"""Distance of the points that second derivatives are taken from, relative to the size of theta."""


@dataclass(frozen=True, slots=True)
class State:
    """Where the conversation stands.

    question: the open one, None at the end; moments: totals of round 1; within (p + 1, p + 1): what no theta changes;
    ascent: Newton's state; best: profile at its best point; evaluations: so far.
    """

    question: MomentsQuestion | Question | None
    moments: Moments | None = None
    within: Floats | None = None
    turned: Turned | None = None
    ascent: ascent.State | None = None
    best: Profile | None = None
    evaluations: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """The maximum.

    beta (p,), vcov (p, p): on the user's columns; theta (m,); sigma; relative (q, q): Lambda Lambda', the covariance of
    the effects in units of sigma^2.   loglik: as lme4's logLik, restricted for REML; criterion: -2 loglik.
    free (m,): False for entries of theta in columns that are zero; parameters (r + 1, r + 1): covariance of (free
    theta, log sigma), None where it is not positive definite; slopes (r + 1, p, p): derivatives of vcov in them.
    rows, groups: counts, groups one a term; outcome, move: why the ascent ended, and how far theta could still go in
    standard errors; singular: terms whose covariance has not full rank.
    question, centred (p,): for whoever needs the conditional modes (Site.modes).
    """

    beta: Floats
    vcov: Floats
    theta: Floats
    sigma: float
    relative: Floats
    loglik: float
    criterion: float
    free: NDArray[np.bool_]
    parameters: Floats | None
    slopes: Floats
    rows: int
    groups: tuple[int, ...]
    outcome: Outcome
    move: float
    singular: tuple[int, ...]
    question: Question
    centred: Floats


@dataclass(frozen=True, slots=True)
class LinearMixed:
    """The model as `start / ask / step / finish`, pure.

    columns: names of the p columns of X, "(Intercept)" among them or not; terms: the terms in brackets; second: sites
    answer with second derivatives, else these are taken from first ones at more points; weights: as written, for
    messages; max_evaluations: give up after so many.
    """

    columns: tuple[str, ...]
    terms: tuple[Term, ...]
    method: str = "REML"
    second: bool = True
    weights: str | None = None
    max_evaluations: int = 100

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f'method={self.method!r}: "REML" (restricted maximum likelihood) or "ML"')

    @property
    def blocks(self) -> tuple[int, ...]:
        """How many effects each term has."""
        return tuple(len(term.effects) for term in self.terms)

    @property
    def intercept(self) -> int | None:
        """Place of the column of ones."""
        return self.columns.index("(Intercept)") if "(Intercept)" in self.columns else None

    def start(self) -> State:
        """Before round 1."""
        return State(MomentsQuestion(len(self.columns) + 1, self.blocks, self.weights is not None))

    def ask(self, state: State) -> MomentsQuestion | Question | None:
        """The next question, or None when the fit is over."""
        return state.question

    def step(self, state: State, total: Moments | Summand) -> State:
        """The state after a total.  Raises DataError where the rows cannot identify the model."""
        return self._begin(total) if isinstance(total, Moments) else self._evaluated(state, total)

    # -- the start --

    def _begin(self, moments: Moments) -> State:
        check_counts(moments, self)
        centre = centre_of(moments.gram, self.intercept)
        check_columns(moments, self, centre)
        turned = turn(moments, self)
        state = State(None, moments, turned=turned, ascent=ascent.start(turned.start, self.blocks))
        return replace(state, question=self._question(state, centre, explained=True))

    def _question(self, state: State, centre: Floats, *, explained: bool = False) -> Question:
        assert state.ascent is not None
        assert state.turned is not None
        at, turned = state.ascent.trial, state.turned
        around = [] if self.second else [at + s * step for step in np.diag(self._distances(at)) for s in (1, -1)]
        return Question(centre, tuple(turned.theta(t) for t in (at, *around)), self.second, explained)

    def _distances(self, turned: Floats) -> Floats:
        """(m,) how far to go for second derivatives, in the turned effects."""
        places = covariance.entries(self.blocks)
        rows = np.full(sum(self.blocks), 0.1)
        for value, (i, _) in zip(turned, places, strict=True):
            rows[i] = max(rows[i], abs(value))
        return np.array([DIFFERENCE * rows[i] for i, _ in places])

    # -- the ascent --

    def _evaluated(self, state: State, total: Summand) -> State:
        moments, climb = state.moments, state.ascent
        assert moments is not None
        assert climb is not None
        assert isinstance(state.question, Question)
        centre = state.question.centre
        if total.failed:
            raise DataError(
                f"the cross-products of {total.failed} group(s) are not finite numbers: look for huge values in "
                f"columns, response or effects, and rescale them"
            )
        if state.within is None:
            assert total.explained is not None
            within = products(moments.gram, centre, self.intercept, total.explained)
            check_residual(within, moments, self, centre)
            state = replace(state, within=within)
        found, point = self._profiled(state, total)
        if found is None and climb.best is None:
            refuse_runaway(self)
        size = abs((climb.best or point).value)
        tolerance = MOVE_TOLERANCE if state.evaluations < PATIENCE else ENOUGH
        climb = ascent.advance(climb, point, tolerance=tolerance, slack=SLACK * (size + moments.rows))
        best = found if climb.best is point else state.best
        state = replace(state, ascent=climb, best=best, evaluations=state.evaluations + 1)
        if climb.outcome is Outcome.DIVERGING:
            refuse_runaway(self)
        if climb.outcome is not Outcome.RUNNING or state.evaluations >= self.max_evaluations:
            return replace(state, question=None)
        return replace(state, question=self._question(state, centre))

    def _profiled(self, state: State, total: Summand) -> tuple[Profile | None, Point]:
        """The profile at the trial, and the point for the ascent: -inf where there is none."""
        moments, within, turned, climb = state.moments, state.within, state.turned, state.ascent
        assert moments is not None
        assert within is not None
        assert turned is not None
        assert climb is not None
        trial, m = climb.trial, len(climb.trial)
        found = [self._profile(moments, within, point) for point in total.values.round()]
        at, *around = found
        if at is None or None in around:
            return None, Point(trial, -np.inf, np.zeros(m), np.eye(m))
        gradient = turned.gradient(at.gradient)
        if self.second:
            assert at.information is not None
            return at, Point(trial, at.loglik, gradient, turned.information(at.information))
        slopes = [turned.gradient(p.gradient) for p in around if p is not None]
        h = self._distances(trial)
        A = np.array([(slopes[2 * i + 1] - slopes[2 * i]) / (2 * h[i]) for i in range(m)])
        A = (A + A.T) / 2
        return at.with_information(turned.back(A)), Point(trial, at.loglik, gradient, A)

    def _profile(self, moments: Moments, within: Floats, values: Floats) -> Profile | None:
        """values (D, 1 + P) of one point."""
        log_det, Q = self.expansions(within, values)
        return profile(log_det, Q, moments.rows, moments.log_weight, restricted=self.method == "REML")

    def expansions(self, within: Floats, values: Floats) -> tuple[Expansion, Expansion]:
        """log det V W and Q at a point; values (D, 1 + P): of a summand."""
        c, m = len(within), covariance.size(self.blocks)
        lower = np.tril_indices(c)
        Q = np.zeros((len(values), c, c))
        Q[:, lower[0], lower[1]] = values[:, 1:]
        Q[:, lower[1], lower[0]] = values[:, 1:]
        order = np.zeros((m, m), dtype=np.int64)
        below = np.tril_indices(m)
        order[below] = np.arange(len(below[0]))
        order.T[below] = order[below]
        second = (values[1 + m :, 0][order], Q[1 + m :][order]) if self.second else (None, None)
        log_det = Expansion(values[0, 0], values[1 : 1 + m, 0], second[0])
        return log_det, Expansion(within + Q[0], Q[1 : 1 + m], second[1])

    # -- the end --

    def finish(self, state: State) -> Estimate:
        """The estimate at the best point, in the user's own columns."""
        moments, climb, best = state.moments, state.ascent, state.best
        assert moments is not None
        assert climb is not None
        assert climb.best is not None
        assert best is not None
        assert state.turned is not None
        theta, variance = state.turned.theta(climb.best.phi), best.rss / best.nu
        free = ascent.free_parameters(theta, self.blocks)
        centre = centre_of(moments.gram, self.intercept)
        p = len(self.columns)
        beta = uncentred(best.beta, centre[:p], self.intercept)
        if self.intercept is not None:
            beta[self.intercept] += centre[p]

        def back(V: Floats) -> Floats:
            return uncentred_covariance(V, centre[:p], self.intercept)

        assert best.joint is not None
        kept = np.append(free, True)
        factor = cholesky(best.joint[np.ix_(kept, kept)])
        vcov = back(variance * best.inverse)
        slopes = [back(variance * slope) for slope, is_free in zip(best.slopes, free, strict=True) if is_free]
        zero = [any(not free[column].any() for column in block) for block in covariance.columns(self.blocks)]
        return Estimate(
            beta=beta,
            vcov=vcov,
            theta=theta,
            sigma=sqrt(variance),
            relative=covariance.relative(theta, self.blocks),
            loglik=best.loglik,
            criterion=-2 * best.loglik,
            free=free,
            parameters=None if factor is None else factor.inverse(),
            slopes=np.array([*slopes, 2 * vcov]),
            rows=moments.rows,
            groups=moments.groups,
            outcome=climb.outcome,
            move=ascent.move_in_standard_errors(climb.best, self.blocks),
            singular=tuple(t for t, found in enumerate(zero) if found),
            question=Question(centre, (theta,), False, False),
            centred=best.beta,
        )
