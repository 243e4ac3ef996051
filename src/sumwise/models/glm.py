"""Generalized linear models by maximum likelihood, with exact sums over rows.

    g(E y_i) = eta_i = x_i' beta + o_i,   Var y_i = phi V(mu_i) / w_i            [McCullagh & Nelder 1989]

A fit is a conversation.  Round 1 asks for counts and sums: they centre the columns and give the null model.  The
rounds after it evaluate deviance, score and information: first at the null model, which is the start, then wherever
scoring or Newton's method leads.  The size of a negative binomial is estimated along with beta.  The atom is the row;
what a site answers stands in glm_site.py, where an ascent starts in glm_start.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.glm import EXPECTED, NONE, OBSERVED
from sumwise.kernels.library import exp, log
from sumwise.maths import scoring
from sumwise.maths.cholesky import cholesky, first_dependence
from sumwise.maths.newton import Outcome
from sumwise.maths.scoring import Point
from sumwise.models import glm_refusals as refusals
from sumwise.models.glm_links import CANONICAL, link_of_mean
from sumwise.models.glm_messages import GlmMoments, GlmMomentsQuestion, GlmQuestion, GlmSummand
from sumwise.models.glm_start import LARGEST_MOVE, moderate, plane, plane_question, starting_log_size, unit_of
from sumwise.models.glm_totals import loglik, matrix, score, uncentre, within_range
from sumwise.models.refusals import refuse_collinear

Floats = NDArray[np.float64]

MOVE_TOLERANCE = 1e-10
"""The fit ends when no parameter could move by more than this many standard errors."""

NEWTON_BELOW = 1.0
"""Gain in log-likelihood below which the observed information replaces the expected one."""

MUCH_TOO_LONG = 0.5
"""Share of a step below which Newton's steps replace scoring's, which are far too long where y is large beside mu."""

LEAST_PIVOT = 1e-12
"""A column is collinear when the columns before it explain all but this share of its sum of squares."""

LARGEST_SIZE = 1e7
"""Size, relative to the mean, from which a negative binomial counts as Poisson."""

LARGEST_LOG_STEP = 1.5
"""The size changes by at most a factor exp(1.5) in one step."""


@dataclass(frozen=True, slots=True)
class State:
    """Where the conversation stands.

    question: the open one, None at the end.  phase: "moments"; "null", the null model of rows with an offset; "zero",
    the null model without intercept; "plane", cross-products for a start; "ascent"; "expected", the information for
    the standard errors; "final null", the null model at the size found.   moments: totals of round 1; ascent: of all
    parameters, or of the intercept in a null phase; best: the total at its best point; spread: see glm_start.moderate;
    null: deviance of the null model; evaluations: so far.
    """

    question: GlmMomentsQuestion | GlmQuestion | None
    phase: str = "moments"
    moments: GlmMoments | None = None
    ascent: scoring.State | None = None
    best: GlmSummand | None = None
    spread: Floats | None = None
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

    @np.errstate(all="ignore")  # what leaves the range of numbers is no progress: see glm_totals.within_range
    def step(self, state: State, total: GlmMoments | GlmSummand) -> State:
        """The state after a total.  Raises DataError where the rows cannot identify the model."""
        return self._begin(total) if isinstance(total, GlmMoments) else self._next(state, within_range(total))

    def _next(self, state: State, total: GlmSummand) -> State:
        state = replace(state, evaluations=state.evaluations + 1)
        if state.phase == "zero":
            null = np.inf if total.failed else float(total.values.round()[0])
            return replace(state, phase="plane", null=null, question=plane_question(len(self.columns), self.link))
        if state.phase == "plane":
            return self._on_plane(state, total)
        if state.phase in ("null", "final null"):
            return self._null(state, total)
        if state.phase == "expected":
            return self._finished(replace(state, best=total))
        return self._ascend(state, total)

    @np.errstate(all="ignore")
    def finish(self, state: State) -> Estimate:
        """The estimate at the best point; nan or inf where it leaves the range of numbers."""
        moments, ascent, best = state.moments, state.ascent, state.best
        assert moments is not None
        assert ascent is not None
        assert ascent.best is not None
        assert best is not None
        assert state.null is not None
        p, phi = len(self.columns), ascent.best.phi
        size, size_se = self._size_of(phi), float("nan")
        if self.estimates_size:
            curvature = float(ascent.best.information[p, p])  # not positive where the ascent did not converge
            size_se = size / float(np.sqrt(curvature)) if curvature > 0 else float("nan")
        factor = cholesky(matrix(best.values.round(), p))
        unscaled = np.full((p, p), np.nan) if factor is None else factor.inverse()
        beta, unscaled = uncentre(phi[:p], unscaled, self._centre(moments), self.intercept)
        deviance, pearson = best.values.round()[:2].tolist()
        return Estimate(
            beta=beta,
            unscaled=unscaled,
            deviance=deviance,
            null_deviance=state.null,
            pearson=pearson,
            loglik=loglik(self.family, len(self.columns), moments, best, deviance),
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
            phi[-1] = starting_log_size(moments)
        if self.intercept is None:
            if self.link in ("inverse", "1/mu^2"):
                return replace(state, phase="plane", question=plane_question(len(self.columns), self.link), null=np.inf)
            if self._many_maxima:  # the null model is no start
                return replace(state, phase="zero", question=self.question_at(moments, phi, NONE))
            return self._from(state, phi)
        if self._many_maxima and moments.shifted:
            return replace(state, phase="plane", question=plane_question(len(self.columns), self.link))
        phi[self.intercept] = link_of_mean(self.link, moments.response / moments.trials)
        if moments.shifted:  # the null model is an ascent of its own
            return self._to_null(replace(state, phase="null"), phi)
        return self._from(state, phi)

    def _on_plane(self, state: State, total: GlmSummand) -> State:
        """Start from the coefficients whose predictor is nearest to a constant: all columns at once."""
        assert state.moments is not None
        if self._many_maxima or not total.values.digits.any():
            self._check_start(total)
        p, values = len(self.columns), total.values.round()
        products = matrix(values, p)
        self._check_columns(products)
        phi = plane(self.link, state.moments, products, score(values, p), self.intercept)
        if self.intercept is not None:
            return self._to_null(replace(state, phase="null"), phi)
        spread = products / state.moments.weight if self._many_maxima else None
        return self._from(replace(state, phase="ascent", spread=spread), phi)

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
        whole = self._in_unit(state, self.point_of(state.question.beta, total, size=False))
        if state.ascent.best is None:
            self._check_start(total)
        point = Point(state.ascent.trial, whole.value, whole.gradient[[i]], whole.information[i : i + 1, i : i + 1])
        slack = 1e-13 * abs(point.value)
        limit = np.array([LARGEST_MOVE]) if self._many_maxima else None
        ascent = scoring.advance(state.ascent, point, tolerance=MOVE_TOLERANCE, slack=slack, limit=limit)
        phi = np.zeros(p + self.estimates_size)
        if self.estimates_size:
            phi[-1] = log(state.question.aux)
        if ascent.outcome is Outcome.RUNNING and state.evaluations < self.max_evaluations:
            phi[i] = ascent.trial[0]
            assert state.moments is not None
            question = self.question_at(state.moments, phi, self._information(ascent))
            return replace(state, ascent=ascent, question=question)
        assert ascent.best is not None
        null = float(total.values.round()[0]) if ascent.best is point else self._deviance(state, ascent.best)
        if state.phase == "final null":
            assert state.kept is not None
            return replace(state.kept, question=None, null=null, evaluations=state.evaluations)
        phi[i] = ascent.best.phi[0]
        return self._from(replace(state, phase="ascent", null=null), phi)

    # -- the ascent --

    def _ascend(self, state: State, total: GlmSummand) -> State:
        assert state.ascent is not None
        assert isinstance(state.question, GlmQuestion)
        before, information = state.ascent, state.question.information
        point = self._in_unit(state, self.point_of(state.ascent.trial, total, size=self.estimates_size))
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
        if ascent.outcome is Outcome.CONVERGED and information == EXPECTED and not self._concave:
            # the expected information is positive in flat tails too: only the observed one tells a maximum
            return self._asking(replace(state, ascent=before), OBSERVED)
        if self._many_maxima and ascent.best is point and ascent.outcome is Outcome.RUNNING:
            if state.spread is None and self.intercept is not None:
                state = replace(state, spread=point.information / point.information[self.intercept, self.intercept])
            assert state.spread is not None
            ascent = moderate(ascent, state.spread)
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
        if self._many_maxima and (information == OBSERVED or ascent.damping < MUCH_TOO_LONG):
            return self._asking(state, OBSERVED)
        return self._asking(state, self._information(ascent))

    def _information(self, ascent: scoring.State) -> int:
        """Which one steps are to follow: expected information leads from afar, observed converges quadratically."""
        return OBSERVED if not self._canonical and ascent.gain < NEWTON_BELOW else EXPECTED

    @property
    def _canonical(self) -> bool:
        return (self.family, self.link) in CANONICAL

    @property
    def _many_maxima(self) -> bool:
        """Whether the log-likelihood can have several maxima in beta, and tails where it is flat."""
        return (self.family, self.link) == ("inverse.gaussian", "log")

    @property
    def _concave(self) -> bool:
        """Whether the log-likelihood is concave in all parameters: a stationary point is then the maximum."""
        return not (self._many_maxima or self.estimates_size)

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
        gradient, information, value = score(values, p), matrix(values, p), -values[0] / 2
        if size:
            c, d1, d2 = values[2 + p + triangle : 5 + p + triangle]
            cross = values[5 + p + triangle :]
            gradient = np.append(gradient, d1)
            information = np.block([[information, -cross[:, None]], [-cross[None, :], np.array([[-d2]])]])
            value += c
        return Point(phi, -np.inf if total.failed else value, gradient, information)

    def _in_unit(self, state: State, point: Point) -> Point:
        """An inverse Gaussian's log-likelihood at dispersion 1 / unit instead of one: its variance is phi mu^3."""
        assert state.moments is not None
        if self.family != "inverse.gaussian":
            return point
        unit = unit_of(state.moments)
        return Point(point.phi, point.value * unit, point.gradient * unit, point.information * unit)

    def _deviance(self, state: State, point: Point) -> float:
        assert state.moments is not None
        return -2 * point.value / (unit_of(state.moments) if self.family == "inverse.gaussian" else 1.0)

    def _check_start(self, total: GlmSummand) -> None:
        if total.failed:
            refusals.refuse_start(total.failed, self.link)

    def _check_columns(self, information: Floats) -> None:
        found = first_dependence(information, LEAST_PIVOT)
        if found is not None:
            refuse_collinear(found, self.columns)
