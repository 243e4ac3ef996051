"""Logistic regression with a random intercept, maximised by adaptive Gauss-Hermite quadrature, with exact sums.

    y_ij ~ Binomial(n_ij, p_ij),   logit p_ij = x_ij' beta + o_ij + theta u_i,   u_i ~ N(0, 1)

theta is the standard deviation of the intercepts (lme4's relative Cholesky factor: the binomial family has no
scale of its own).  The atom is the group: a group's rows lie at one site, and only sums over groups leave it.

A fit is a conversation.  Round 1 asks for moments: counts, column sums and sums of squares of group totals; they
centre the columns and give the start.  Every later round evaluates log-likelihood, gradient and Hessian at one
point, for Newton's next step.  What a site answers stands in glmm_site.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError, UsageError
from sumwise.kernels.library import log
from sumwise.maths import newton
from sumwise.maths.cholesky import cholesky, first_dependence
from sumwise.maths.newton import Outcome, Point
from sumwise.maths.quadrature import ladder
from sumwise.models.centring import uncentred, uncentred_covariance
from sumwise.models.glmm_messages import Moments, MomentsQuestion, Question, Summand
from sumwise.models.refusals import refuse_collinear, refuse_separation

Floats = NDArray[np.float64]

QUADRATURE_BOUND = 1e-10
"""Largest measured quadrature error of the total log-likelihood under nodes="auto"."""

COARSE_BOUND = 1e-5
"""The same while steps promise more than FINE_BELOW."""

FINE_BELOW = 0.05
"""Gain in log-likelihood below which the quadrature is taken in full."""

MOVE_TOLERANCE = 1e-8
"""The fit ends when no estimate could move by more than this many standard errors."""

MOST_NODES = 1000
"""Largest number of quadrature nodes that a caller may fix."""

LEAST_PIVOT = 1e-12
"""A column is collinear when the columns before it explain all but this share of its sum of squares."""


@dataclass(frozen=True, slots=True)
class State:
    """Where the conversation stands.

    question: the open one, None at the end; fine: it asks for the full quadrature and its error; moments: totals of
    round 1; ascent: Newton's state, which holds the best point; error, nodes: measured quadrature error and
    {order: groups} at the best point; evaluations: so far; closing: the question is the last one, which asks at the
    best point with as many nodes as the accuracy needs, where the caller has fixed their number; shift: what came of
    it, as in Estimate.
    """

    question: MomentsQuestion | Question | None
    fine: bool = False
    moments: Moments | None = None
    ascent: newton.State | None = None
    error: float = np.inf
    nodes: dict[int, int] = field(default_factory=dict)
    evaluations: int = 0
    closing: bool = False
    shift: float = np.nan


@dataclass(frozen=True, slots=True)
class Estimate:
    """The maximum.

    beta (p,): coefficients of the user's own columns; theta; vcov: covariance of (beta, theta), (p+1, p+1), of beta
    alone, (p, p), where theta is zero; loglik: binomial coefficients included; rows, groups: counts; outcome, move:
    why the ascent ended, and how far the estimates could still go in standard errors; error, nodes: as in State;
    question: evaluates at the estimate, for whoever needs the conditional modes.   shift: where the caller has fixed
    the number of nodes, how far Newton's next step with as many nodes as the accuracy needs would move beta, in
    standard errors; nan under nodes="auto".
    """

    beta: Floats
    theta: float
    vcov: Floats
    loglik: float
    rows: int
    groups: int
    outcome: Outcome
    move: float
    error: float
    nodes: dict[int, int]
    question: Question
    shift: float


@dataclass(frozen=True, slots=True)
class RandomIntercept:
    """The model as `start / ask / step / finish`, pure.

    columns: names of the p columns of X, "(Intercept)" among them or not; group: name of the grouping factor; nodes:
    "auto" or a number; max_evaluations: give up after so many.
    """

    columns: tuple[str, ...]
    group: str
    nodes: int | str = "auto"
    max_evaluations: int = 100

    def __post_init__(self) -> None:
        whole = isinstance(self.nodes, (int, np.integer)) and not isinstance(self.nodes, bool)
        if self.nodes != "auto" and not (whole and 1 <= int(self.nodes) <= MOST_NODES):
            raise UsageError(f'nodes={self.nodes!r}: give "auto", or a whole number from 1 to {MOST_NODES}')

    def start(self) -> State:
        """Before round 1."""
        return State(MomentsQuestion())

    def ask(self, state: State) -> MomentsQuestion | Question | None:
        """The next question, or None when the fit is over."""
        return state.question

    def step(self, state: State, total: Moments | Summand) -> State:
        """The state after a total.  Raises DataError where the rows cannot identify the model."""
        if isinstance(total, Moments):
            return self._begin(total)
        return self._closed(state, total) if state.closing else self._evaluated(state, total)

    def finish(self, state: State) -> Estimate:
        """The estimate at the best point, in the user's own columns."""
        moments, ascent = _known(state)
        assert ascent.best is not None
        best, p, centre = ascent.best, len(self.columns), self._centre(moments)
        theta = float(best.phi[-1])
        free = p + 1 if theta > 0 else p
        factor = cholesky(best.information[:free, :free])
        vcov = np.full((free, free), np.nan) if factor is None else factor.inverse()
        beta, vcov = self._uncentre(best.phi[:-1], vcov, centre)
        return Estimate(
            beta=beta,
            theta=theta,
            vcov=vcov,
            loglik=best.value + moments.log_choose,
            rows=moments.rows,
            groups=moments.groups,
            outcome=ascent.outcome,
            move=newton.move_in_standard_errors(best),
            error=state.error,
            nodes=state.nodes,
            question=self.question_at(moments, best.phi, fine=False),
            shift=state.shift,
        )

    # -- the start --

    def _begin(self, moments: Moments) -> State:
        y, n = moments.successes, moments.trials
        if moments.groups < 2:
            raise DataError(
                f"the grouping factor '{self.group}' has a single group: the variance between groups cannot be "
                f"estimated; leave out (1 | {self.group}), or give more groups"
            )
        if y in (0, n):
            every = "a failure (0)" if y == 0 else "a success (1)"
            raise DataError(
                f"every response is {every} in all {moments.rows} rows: the intercept would be infinite; "
                f"check the response, or take rows where it varies"
            )
        if moments.alike == moments.groups:
            raise DataError(
                f"within each of the {moments.groups} groups of '{self.group}' all responses are alike: the variance "
                f"between groups would be infinite; group the rows differently, or fit one row a group without "
                f"(1 | {self.group})"
            )
        phi = np.zeros(len(self.columns) + 1)
        phi[-1] = _starting_theta(moments)
        if "(Intercept)" in self.columns:
            phi[self.columns.index("(Intercept)")] = log(y / (n - y))
        return State(self.question_at(moments, phi, fine=False), False, moments, newton.start(phi))

    def _centre(self, moments: Moments) -> Floats:
        """(p,) means of the columns, zero for the intercept; zeros where there is no intercept to take them up."""
        if "(Intercept)" not in self.columns:
            return np.zeros(len(self.columns))
        centre = moments.columns.round() / moments.rows
        centre[self.columns.index("(Intercept)")] = 0.0
        return centre

    def question_at(self, moments: Moments, phi: Floats, *, fine: bool) -> Question:
        """Evaluate at phi = (beta, theta).  fine: with the quadrature in full and its error; coarse is enough, and
        cheaper, while steps are long.
        """
        bound = QUADRATURE_BOUND if fine else COARSE_BOUND
        if self.nodes == "auto":
            orders = ladder(float(phi[-1]))
        else:
            order = int(self.nodes)
            orders = (order, max(order + order // 2, 15)) if fine else (order,)  # the second measures the first's error
            bound = np.inf
        return Question(self._centre(moments), phi[:-1], float(phi[-1]), orders, bound / moments.groups)

    # -- the ascent --

    def _evaluated(self, state: State, total: Summand) -> State:
        moments, ascent = _known(state)
        assert isinstance(state.question, Question)
        point = point_of(ascent.trial, total)
        if ascent.best is None:
            self._check_start(point, total)
        error = 0.0 if self.nodes != "auto" else QUADRATURE_BOUND if state.fine else COARSE_BOUND
        slack = 1e-13 * abs(point.value) + 2 * error
        ascent = newton.advance(ascent, point, tolerance=MOVE_TOLERANCE, slack=slack)
        if ascent.outcome is Outcome.DIVERGING:
            refuse_separation(ascent, self.columns, self.group)
        if ascent.best is point:
            nodes = {k: n for k, n in zip(state.question.orders, total.used, strict=False) if n}
            state = replace(state, nodes=nodes, error=total.quadrature_error)
        state = replace(state, ascent=ascent, evaluations=state.evaluations + 1)
        if moments.single and (point.phi[-1] > 10 or state.evaluations > 30):
            raise DataError(
                f"each group of '{self.group}' has a single trial, and the log-likelihood is flat, or rises for ever "
                f"as the variance between groups grows: the rows cannot tell it; leave out (1 | {self.group})"
            )
        if state.evaluations >= self.max_evaluations:
            return replace(state, question=None)
        if ascent.outcome is not Outcome.RUNNING:
            if state.fine:
                return self._close(state)
            ascent = newton.start(point.phi)  # the maximum of a coarser function: go on from there on the fine one
        fine = ascent.best is None or ascent.gain < FINE_BELOW
        question = self.question_at(moments, ascent.trial, fine=fine)
        return replace(state, question=question, fine=fine, ascent=ascent)

    def _close(self, state: State) -> State:
        """The end, or, where the caller has fixed the nodes, one more question: what more of them would change."""
        moments, ascent = _known(state)
        if self.nodes == "auto" or ascent.best is None:
            return replace(state, question=None)
        finer = replace(self, nodes="auto").question_at(moments, ascent.best.phi, fine=False)
        return replace(state, question=finer, closing=True)

    def _closed(self, state: State, total: Summand) -> State:
        _, ascent = _known(state)
        assert ascent.best is not None
        shift = newton.move_in_standard_errors(point_of(ascent.best.phi, total), len(self.columns))
        return replace(state, question=None, shift=shift)

    def _check_start(self, point: Point, total: Summand) -> None:
        if total.failed:
            raise DataError(
                f"at the starting values the log-likelihood of {total.failed} group(s) of '{self.group}', or a "
                f"derivative of it, is not a finite number: look for huge values in columns or offset, and rescale them"
            )
        p = len(self.columns)
        found = first_dependence(point.information[:p, :p], LEAST_PIVOT)
        if found is not None:
            refuse_collinear(found, self.columns)

    # -- the end --

    def _uncentre(self, beta: Floats, vcov: Floats, centre: Floats) -> tuple[Floats, Floats]:
        """Back to the user's columns: x'beta = intercept - centre'beta + x'beta."""
        if "(Intercept)" not in self.columns:
            return beta, vcov
        where = self.columns.index("(Intercept)")
        return uncentred(beta, centre, where), uncentred_covariance(vcov, centre, where)


def _known(state: State) -> tuple[Moments, newton.State]:
    assert state.moments is not None, "round 1 comes first"
    assert state.ascent is not None
    return state.moments, state.ascent


def _starting_theta(moments: Moments) -> float:
    """Standard deviation to start from, by moments of group totals Y_i of N_i trials.

    With m = sum Y / sum N,  E sum (Y_i - m N_i)^2 = m (1 - m) [ sum N_i + rho (sum N_i^2 - sum N_i) ].  rho, the
    correlation within groups, is about pi/2 times larger on the logistic scale (exactly so at m = 1/2 for the probit
    link [Dempster & Lerner 1950]), where theta^2 = rho / (1 - rho) pi^2 / 3.
    """
    y, n, yy, yn, nn = moments.totals.round()[:5]
    m = y / n
    if moments.single:
        return 0.5
    excess = (yy - 2 * m * yn + m * m * nn) / (m * (1 - m)) - n
    rho = min(max(excess / (nn - n) * (np.pi / 2), 0.07), 0.9)
    return float(np.sqrt(np.pi**2 / 3 * rho / (1 - rho)))


def point_of(phi: Floats, total: Summand) -> Point:
    values = total.values.round()
    q = len(phi)
    information = np.zeros((q, q))
    lower = np.tril_indices(q)
    information[lower] = -values[1 + q : -1]
    information.T[lower] = information[lower]
    return Point(phi, total.loglik, values[1 : 1 + q], information)
