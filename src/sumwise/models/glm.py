"""Generalized linear models by maximum likelihood, with exact sums over rows.

    g(E y_i) = eta_i = x_i' beta + o_i,   Var y_i = phi V(mu_i) / w_i            [McCullagh & Nelder 1989]

A fit is a conversation.  Round 1 asks for counts and sums: they centre the columns and give the null model.  The
rounds after it evaluate deviance, score and information: first at the null model, which is the start, then wherever
scoring or Newton's method leads.  The size of a negative binomial is estimated along with beta.  The atom is the row;
what a site answers stands in glm_site.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.glm import EXPECTED, OBSERVED
from sumwise.kernels.library import exp, log
from sumwise.maths import scoring
from sumwise.maths.cholesky import cholesky, first_dependence
from sumwise.maths.gamma import log_gamma_gap
from sumwise.maths.newton import Outcome
from sumwise.maths.scoring import Point
from sumwise.models import glm_refusals as refusals
from sumwise.models.glm_links import CANONICAL, link_of_mean
from sumwise.models.glm_messages import GlmMoments, GlmMomentsQuestion, GlmQuestion, GlmSummand
from sumwise.models.refusals import refuse_collinear

Floats = NDArray[np.float64]

MOVE_TOLERANCE = 1e-10
"""The fit ends when no parameter could move by more than this many standard errors."""

NEWTON_BELOW = 1.0
"""Gain in log-likelihood below which the observed information replaces the expected one."""

LEAST_PIVOT = 1e-12
"""A column is collinear when the columns before it explain all but this share of its sum of squares."""

LARGEST_SIZE = 1e7
"""Size, relative to the mean, from which a negative binomial counts as Poisson."""

LARGEST_LOG_STEP = 1.5
"""The size changes by at most a factor exp(1.5) in one step."""


@dataclass(frozen=True, slots=True)
class State:
    """Where the conversation stands.

    question: the open one, None at the end.  phase: "moments"; "null", the null model of rows with an offset; "plane",
    cross-products for a start without intercept; "ascent"; "expected", the information for the standard errors;
    "final null", the null model at the size found.   moments: totals of round 1; ascent: of all parameters, or of the
    intercept in a null phase; best: the total at its best point; null: deviance of the null model; evaluations: so far.
    """

    question: GlmMomentsQuestion | GlmQuestion | None
    phase: str = "moments"
    moments: GlmMoments | None = None
    ascent: scoring.State | None = None
    best: GlmSummand | None = None
    null: float | None = None
    kept: State | None = None
    evaluations: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """The maximum, in the user's own columns.

    beta (p,); unscaled (p, p): inverse of the expected information at dispersion one; deviance, null_deviance,
    pearson: chi^2; loglik: as R defines it; size, size_se: of the negative binomial, nan elsewhere; moments: totals of
    round 1; outcome, move: why the ascent ended, and how far it could still go, in standard errors.
    """

    beta: Floats
    unscaled: Floats
    deviance: float
    null_deviance: float
    pearson: float
    loglik: float
    size: float
    size_se: float
    moments: GlmMoments
    outcome: Outcome
    move: float


@dataclass(frozen=True, slots=True)
class GeneralizedLinearModel:
    """The model as `start / ask / step / finish`, pure.

    columns: names of the p columns of X, "(Intercept)" among them or not; family, link: see glm_links.py; size: that of
    the negative binomial, None to estimate it; response: as written, for messages.
    """

    columns: tuple[str, ...]
    family: str
    link: str
    size: float | None = None
    response: str = "the response"
    max_evaluations: int = 200

    @property
    def estimates_size(self) -> bool:
        """Whether the size is a parameter."""
        return self.family == "negbinomial" and self.size is None

    @property
    def intercept(self) -> int | None:
        """Its place, None without."""
        return self.columns.index("(Intercept)") if "(Intercept)" in self.columns else None

    def start(self) -> State:
        """Before round 1."""
        return State(GlmMomentsQuestion(self.family))

    def ask(self, state: State) -> GlmMomentsQuestion | GlmQuestion | None:
        """The next question, or None when the fit is over."""
        return state.question

    def step(self, state: State, total: GlmMoments | GlmSummand) -> State:
        """The state after a total.  Raises DataError where the rows cannot identify the model."""
        if isinstance(total, GlmMoments):
            return self._begin(total)
        state = replace(state, evaluations=state.evaluations + 1)
        if state.phase == "plane":
            return self._on_plane(state, total)
        if state.phase in ("null", "final null"):
            return self._null(state, total)
        if state.phase == "expected":
            return self._finished(replace(state, best=total))
        return self._ascend(state, total)

    def finish(self, state: State) -> Estimate:
        """The estimate at the best point."""
        moments, ascent, best = state.moments, state.ascent, state.best
        assert moments is not None
        assert ascent is not None
        assert ascent.best is not None
        assert best is not None
        assert state.null is not None
        p, phi = len(self.columns), ascent.best.phi
        size, size_se = self._size_of(phi), float("nan")
        if self.estimates_size:
            size_se = size / sqrt(ascent.best.information[p, p])
        factor = cholesky(self._matrix(best))
        unscaled = np.full((p, p), np.nan) if factor is None else factor.inverse()
        beta, unscaled = self._uncentre(phi[:p], unscaled, self._centre(moments))
        deviance, pearson = best.values.round()[:2].tolist()
        return Estimate(
            beta=beta,
            unscaled=unscaled,
            deviance=deviance,
            null_deviance=state.null,
            pearson=pearson,
            loglik=self._loglik(moments, best, deviance),
            size=size,
            size_se=size_se,
            moments=moments,
            outcome=ascent.outcome,
            move=ascent.move,
        )

    # -- the start --

    def _begin(self, moments: GlmMoments) -> State:
        refusals.refuse_moments(moments, self.family, self.response, len(self.columns))
        state = State(None, "ascent", moments)
        phi = np.zeros(len(self.columns) + self.estimates_size)
        if self.estimates_size:
            phi[-1] = _starting_log_size(moments)
        if self.intercept is None:
            if self.link in ("inverse", "1/mu^2"):
                zero = np.zeros(len(self.columns))
                question = GlmQuestion("poisson", "log", zero, zero, 1.0, EXPECTED, False)
                return replace(state, phase="plane", question=question, null=np.inf)
            return self._from(state, phi)
        phi[self.intercept] = link_of_mean(self.link, moments.response / moments.trials)
        if moments.shifted:  # the null model is an ascent of its own
            return self._to_null(replace(state, phase="null"), phi)
        return self._from(state, phi)

    def _on_plane(self, state: State, total: GlmSummand) -> State:
        """Start from the coefficients whose predictor is nearest to the constant g(mean): all columns at once."""
        assert state.moments is not None
        values, p = total.values.round(), len(self.columns)
        products = _symmetric(values[2 + p : 2 + p + p * (p + 1) // 2], p)
        self._check_columns(products)
        goal = link_of_mean(self.link, state.moments.response / state.moments.trials)
        factor = scoring.positive_factor(products)
        return self._from(replace(state, phase="ascent"), factor.solve(state.moments.columns.round() * goal))

    def _from(self, state: State, phi: Floats) -> State:
        return self._asking(replace(state, ascent=scoring.start(phi)), EXPECTED)

    def _asking(self, state: State, information: int) -> State:
        """With the question at the trial of the ascent."""
        assert state.moments is not None
        assert state.ascent is not None
        return replace(state, question=self.question_at(state.moments, state.ascent.trial, information))

    def question_at(self, moments: GlmMoments, phi: Floats, information: int) -> GlmQuestion:
        p = len(self.columns)
        aux = self._size_of(phi) if self.family == "negbinomial" else 1.0
        size = self.family == "negbinomial"
        return GlmQuestion(self.family, self.link, self._centre(moments), phi[:p], aux, information, size)

    def _centre(self, moments: GlmMoments) -> Floats:
        """(p,) weighted means of the columns, zero for the intercept; zeros without an intercept to take them up."""
        if self.intercept is None:
            return np.zeros(len(self.columns))
        centre = moments.columns.round() / moments.trials
        centre[self.intercept] = 0.0
        return centre

    def _size_of(self, phi: Floats) -> float:
        if self.family != "negbinomial":
            return float("nan")
        return float(exp(phi[-1])) if self.size is None else float(self.size)

    # -- the null model --

    def _to_null(self, state: State, phi: Floats) -> State:
        """Ask for the null model, from the intercept of phi."""
        assert self.intercept is not None
        assert state.moments is not None
        start = np.zeros_like(phi)
        start[self.intercept] = phi[self.intercept]
        if self.estimates_size:
            start[-1] = phi[-1]
        ascent = scoring.start(np.array([start[self.intercept]]))
        return replace(state, ascent=ascent, question=self.question_at(state.moments, start, EXPECTED))

    def _null(self, state: State, total: GlmSummand) -> State:
        """One step of the intercept alone; the other coefficients stay zero, and the size what it is."""
        assert self.intercept is not None
        assert state.ascent is not None
        assert isinstance(state.question, GlmQuestion)
        i, p = self.intercept, len(self.columns)
        whole = self.point_of(state.question.beta, total, size=False)
        if state.ascent.best is None:
            self._check_start(total)
        point = Point(state.ascent.trial, whole.value, whole.gradient[[i]], whole.information[i : i + 1, i : i + 1])
        slack = 1e-13 * abs(point.value)
        ascent = scoring.advance(state.ascent, point, tolerance=MOVE_TOLERANCE, slack=slack)
        phi = np.zeros(p + self.estimates_size)
        if self.estimates_size:
            phi[-1] = log(state.question.aux)
        if ascent.outcome is Outcome.RUNNING and state.evaluations < self.max_evaluations:
            phi[i] = ascent.trial[0]
            assert state.moments is not None
            question = self.question_at(state.moments, phi, self._information(ascent))
            return replace(state, ascent=ascent, question=question)
        assert ascent.best is not None
        if state.phase == "final null":
            assert state.kept is not None
            null = total if ascent.best is point else None
            deviance = float(null.values.round()[0]) if null else -2 * ascent.best.value
            return replace(state.kept, question=None, null=deviance, evaluations=state.evaluations)
        phi[i] = ascent.best.phi[0]
        null_deviance = float(total.values.round()[0]) if ascent.best is point else -2 * ascent.best.value
        return self._from(replace(state, phase="ascent", null=null_deviance), phi)

    # -- the ascent --

    def _ascend(self, state: State, total: GlmSummand) -> State:
        assert state.ascent is not None
        assert isinstance(state.question, GlmQuestion)
        before, information = state.ascent, state.question.information
        point = self.point_of(state.ascent.trial, total, size=self.estimates_size)
        if state.ascent.best is None:
            self._check_start(total)
            self._check_columns(point.information[: len(self.columns), : len(self.columns)])
            if state.null is None:
                state = replace(state, null=float(total.values.round()[0]))
        limit = None
        if self.estimates_size:
            limit = np.full(len(point.phi), np.inf)
            limit[-1] = LARGEST_LOG_STEP
        slack = 1e-13 * max(abs(point.value), 1.0) if np.isfinite(point.value) else 0.0
        ascent = scoring.advance(before, point, tolerance=MOVE_TOLERANCE, slack=slack, limit=limit)
        if ascent.best is point:
            state = replace(state, best=total)
        if ascent.outcome is Outcome.DIVERGING:
            refusals.refuse_endless(ascent, self.columns, self.family)
        if self.estimates_size and state.moments is not None:
            mean = state.moments.response / state.moments.trials
            if ascent.trial[-1] > float(log(LARGEST_SIZE * max(mean, 1.0))):
                refusals.refuse_poisson(self.response)
        state = replace(state, ascent=ascent)
        if ascent.outcome is not Outcome.RUNNING or state.evaluations >= self.max_evaluations:
            return self._ended(state, information)
        return self._asking(state, self._information(ascent))

    def _information(self, ascent: scoring.State) -> int:
        """Which one steps are to follow: expected information leads from afar, observed converges quadratically."""
        return OBSERVED if not self._canonical and ascent.gain < NEWTON_BELOW else EXPECTED

    @property
    def _canonical(self) -> bool:
        return (self.family, self.link) in CANONICAL

    def _ended(self, state: State, information: int) -> State:
        """Standard errors come from the expected information, which may be another question."""
        assert state.ascent is not None
        assert state.ascent.best is not None
        assert state.moments is not None
        if information == EXPECTED and state.ascent.best.phi is state.ascent.trial:
            return self._finished(state)
        if self._canonical:
            return self._finished(state)
        question = self.question_at(state.moments, state.ascent.best.phi, EXPECTED)
        return replace(state, phase="expected", question=question)

    def _finished(self, state: State) -> State:
        """The null deviance of a negative binomial belongs to the size found."""
        if not self.estimates_size:
            return replace(state, question=None)
        assert state.moments is not None
        assert state.ascent is not None
        assert state.ascent.best is not None
        if self.intercept is None:
            return replace(state, question=None)
        phi = state.ascent.best.phi.copy()
        phi[self.intercept] = link_of_mean(self.link, state.moments.response / state.moments.trials)
        return self._to_null(replace(state, phase="final null", kept=state), phi)

    # -- reading totals --

    def point_of(self, phi: Floats, total: GlmSummand, *, size: bool) -> Point:
        """phi (p,), or (p + 1,) with the logarithm of the size."""
        p, values = len(self.columns), total.values.round()
        triangle = p * (p + 1) // 2
        gradient, information = values[2 : 2 + p], _symmetric(values[2 + p : 2 + p + triangle], p)
        value = -values[0] / 2
        if size:
            c, d1, d2 = values[2 + p + triangle : 5 + p + triangle]
            cross = values[5 + p + triangle :]
            gradient = np.append(gradient, d1)
            information = np.block([[information, -cross[:, None]], [-cross[None, :], np.array([[-d2]])]])
            value += c
        return Point(phi, -np.inf if total.failed else value, gradient, information)

    def _matrix(self, total: GlmSummand) -> Floats:
        p = len(self.columns)
        return _symmetric(total.values.round()[2 + p : 2 + p + p * (p + 1) // 2], p)

    def _check_start(self, total: GlmSummand) -> None:
        if total.failed:
            refusals.refuse_start(total.failed, self.link)

    def _check_columns(self, information: Floats) -> None:
        found = first_dependence(information, LEAST_PIVOT)
        if found is not None:
            refuse_collinear(found, self.columns)

    # -- the end --

    def _loglik(self, moments: GlmMoments, best: GlmSummand, deviance: float) -> float:
        """R's logLik: constants included, for gamma and inverse gaussian at dispersion deviance / sum w."""
        n = moments.weight
        if self.family == "gamma":
            if deviance <= 0:
                return np.inf
            return n * log_gamma_gap(n / deviance) - n / 2 - moments.logs
        if self.family == "inverse.gaussian":
            if deviance <= 0:
                return np.inf
            return -(n * (float(log(2 * np.pi * deviance / n)) + 1) + 3 * moments.logs) / 2
        share = 0.0
        if self.family == "negbinomial":
            p = len(self.columns)
            share = float(best.values.round()[2 + p + p * (p + 1) // 2])
        return fsum([moments.saturated, share, -deviance / 2])

    def _uncentre(self, beta: Floats, vcov: Floats, centre: Floats) -> tuple[Floats, Floats]:
        """Back to the user's columns: x'beta = intercept - centre'beta + x'beta."""
        if self.intercept is None:
            return beta, vcov
        back = np.eye(len(vcov))
        back[self.intercept] -= centre
        beta = beta.copy()
        beta[self.intercept] -= fsum(centre * beta)
        return beta, _sandwich(back, vcov)


def _starting_log_size(moments: GlmMoments) -> float:
    """By moments of the response alone: variance = mean + mean^2 / size."""
    mean = moments.response / moments.weight
    variance = max(moments.squares / moments.weight - mean * mean, 0.0)
    excess = max(variance - mean, 0.01 * mean)
    return float(log(max(mean * mean / excess, 1e-2)))


def _symmetric(lower: Floats, p: int) -> Floats:
    out = np.zeros((p, p))
    out[np.tril_indices(p)] = lower
    return out + np.tril(out, -1).T


def _sandwich(T: Floats, V: Floats) -> Floats:
    """T V T', in a fixed order of operations."""
    left, out = np.zeros_like(V), np.zeros_like(V)
    for k in range(len(V)):
        left += np.multiply.outer(T[:, k], V[k])
    for k in range(len(V)):
        out += np.multiply.outer(left[:, k], T[:, k])
    return (out + out.T) / 2
