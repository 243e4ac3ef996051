"""Generalized linear mixed models with several grouping factors or many effects a group, by Laplace's approximation.

    eta_j = x_j'beta + o_j + sum over terms of z_tj'Lambda_t u_t,g(j)      u ~ N(0, I)

The parameters are those of glmm_vectors.py; Lambda has a block for each term, whatever its grouping factor.  The atom
is a component: the levels that a chain of rows joins.

A fit is a conversation.  Round 1 asks for moments.  Every later round evaluates log-likelihood and exact gradient at a
point and, for the ascent's next step, a metric: for beta minus the second derivative of the penalised log-likelihood,
for the other parameters differences of gradients at points nearby, which are asked for in the same question.  Where
steps are short, one round has points nearby for beta as well: what they say beyond the metric is added to it from then
on.  A last round asks for gradients around the maximum, whose differences are the second derivative that gives standard
errors.  What a site answers stands in glmm_crossed_site.py and maths/laplace.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import UsageError
from sumwise.kernels.vectors import MOST_EFFECTS
from sumwise.maths import ascent, covariance, gradient_differences
from sumwise.maths.ascent import Outcome, Point
from sumwise.maths.boundary import columns_of
from sumwise.maths.cholesky import cholesky
from sumwise.models import glmm_crossed_refusals as refusals
from sumwise.models.glmm_crossed_messages import CrossedMoments, CrossedQuestion, CrossedSummand
from sumwise.models.glmm_vectors import MOVE_TOLERANCE, VectorModel, VectorState
from sumwise.models.glmm_vectors_messages import VectorMoments, VectorSummand
from sumwise.models.glmm_vectors_refusals import bounded_aux
from sumwise.models.glmm_vectors_units import starting_point
from sumwise.models.lmm_checks import Term

Floats = NDArray[np.float64]

SPACING = 2.0**-14
"""How far points lie from the first one, relative to the starting value of a theta, and in log aux."""

BETA_SPACING = 2.0**-10
"""The same for beta, in standard errors."""

HALF_WIDTH = 2.0**-11
"""How far points lie on both sides of the maximum, in standard errors."""

THETA_WIDTH = 2.0**-12
"""The same at most for a theta, relative to itself: the log-likelihood is even in the columns of Lambda, and curved."""

NEAR = 0.3
"""Move in standard errors below which points nearby are asked for in beta as well, once."""


def needs_laplace(groups: set[str], effects: int) -> bool:
    """Whether there are too many grouping factors, or effects a group, for quadrature."""
    return len(groups) > 1 or effects > MOST_EFFECTS


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedState(VectorState):
    """Where the conversation stands.

    units (P,): sizes of the parameters beyond beta, inner order; steps (P,): how far the open question's points lie
    from its first one, zero where there is none; correction (p, p): what the metric of beta lacks, once it is known.
    """

    units: Floats
    steps: Floats
    correction: Floats | None = None


@dataclass(frozen=True, slots=True)
class CrossedModel(VectorModel):
    """The model as `start / ask / step / finish`, pure.  Arguments as in VectorModel, and groups: the grouping factor
    of each block; nodes: "auto" or 1.
    """

    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.groups) != len(self.blocks) or len(self.effects) != sum(self.blocks):
            raise ValueError(f"{len(self.effects)} effects and {len(self.groups)} factors in blocks of {self.blocks}")
        if self.nodes != "auto" and not (self.nodes == 1 and not isinstance(self.nodes, bool)):
            several = len(set(self.groups)) > 1
            why = "with several grouping factors" if several else f"with {len(self.effects)} effects a group"
            raise UsageError(
                f'nodes={self.nodes!r}: {why} Laplace\'s approximation is what there is (nodes=1, or "auto"); '
                f"quadrature with more nodes takes one grouping factor and up to 3 effects"
            )

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms in brackets."""
        names = iter(self.effects)
        return tuple(
            Term(group, tuple(next(names) for _ in range(size)))
            for group, size in zip(self.groups, self.blocks, strict=True)
        )

    @property
    def factors(self) -> tuple[str, ...]:
        """The grouping factors, each once."""
        return tuple(dict.fromkeys(self.groups))

    @property
    def bar(self) -> str:
        """The random part as a user wrote it, or could have."""
        return " + ".join(term.text for term in self.terms)

    def step(self, state: VectorState, total: VectorMoments | VectorSummand | CrossedSummand) -> VectorState:
        """The state after a total.  Raises DataError where the rows cannot identify the model."""
        if isinstance(total, CrossedMoments):
            refusals.refuse_moments(total, self.family, self.terms)
            phi = starting_point(total, self.columns, self.effects, self.blocks, self.family, self.link)
            begun = CrossedState(
                question=None,
                moments=total,
                ascent=ascent.start(phi, self.blocks),
                error=0.0,
                units=self._sizes(phi),
                steps=np.zeros(len(phi)),
            )
            return self._ask(begun, SPACING * begun.units)
        assert isinstance(state, CrossedState)
        assert isinstance(total, CrossedSummand)
        return self._curved(state, total) if state.at_maximum else self._stepped(state, total)

    def boundaries(self, theta: Floats) -> list[tuple[Term, tuple[str, ...], tuple[str, ...]]]:
        """For each term the names of its effects without variance, and of the others where these are dependent."""
        found, at = [], 0
        for term, size in zip(self.terms, self.blocks, strict=True):
            own = covariance.factor(theta[at : at + covariance.size((size,))], (size,))
            at += covariance.size((size,))
            alive = [name for name, row in zip(term.effects, own, strict=True) if np.any(row != 0)]
            rank = sum(bool(np.any(column != 0)) for column in own.T)
            zero = tuple(name for name in term.effects if name not in alive)
            found.append((term, zero, tuple(alive) if len(alive) > rank else ()))
        return found

    # -- questions --

    def question_at(self, state: VectorState, phi: Floats, points: Floats | None = None) -> CrossedQuestion:
        """Evaluate at phi, and at the points (k, P), both in the inner order."""
        assert state.moments is not None
        places = phi[None] if points is None else np.concatenate([phi[None], points])
        return CrossedQuestion(
            self._units(state.moments).centre, places[:, self._order()], (1,), np.inf, -1, metric=points is not None
        )

    def _ask(self, state: CrossedState, steps: Floats) -> CrossedState:
        """At the ascent's trial, and one of the steps (P,) from it in each parameter that has one."""
        assert state.ascent is not None
        phi = state.ascent.trial
        points = phi + np.diag(steps)[steps != 0]
        return replace(state, question=self.question_at(state, phi, points), steps=steps)

    def _sizes(self, phi: Floats) -> Floats:
        """(P,) of the parameters beyond beta: theta's start, by the row it stands in; one for log aux."""
        m = covariance.size(self.blocks)
        theta, places = phi[len(phi) - m :], covariance.entries(self.blocks)
        diagonal = {row: value for (row, column), value in zip(places, theta, strict=True) if row == column}
        sizes = [diagonal[row] for row, _ in places]
        return np.concatenate([np.zeros(len(self.columns)), np.ones(self._aux), sizes])

    # -- the ascent --

    def _stepped(self, state: CrossedState, total: CrossedSummand) -> CrossedState:
        assert state.ascent is not None
        at = state.ascent
        point, state = self._measured(state, total)
        if at.best is None:
            refusals.refuse_start(point, total, self.columns, self.terms)
        best = point if at.best is None else at.best
        at = ascent.advance(at, point, tolerance=MOVE_TOLERANCE, slack=1e-12 * (1 + abs(best.value)))
        p = len(self.columns)
        if self._aux:
            at = bounded_aux(at, p, self.family)
        if at.outcome is Outcome.DIVERGING:
            refusals.refuse_divergence(at, self.columns, self.terms, self.family, self.blocks)
        state = replace(state, ascent=at, evaluations=state.evaluations + 1)
        if state.evaluations >= self.max_evaluations:
            return replace(state, question=None)
        if at.outcome is not Outcome.RUNNING:
            return self._ask_curvature(state)
        if state.correction is None and at.move < NEAR and (beta := self._standard_errors(at)) is not None:
            assert at.best is not None  # from there again, with points nearby in beta as well
            steps = SPACING * state.units
            steps[:p] = BETA_SPACING * beta
            return self._ask(replace(state, ascent=ascent.start(at.best.phi, self.blocks)), steps)
        return self._ask(state, SPACING * state.units)

    def _measured(self, state: CrossedState, total: CrossedSummand) -> tuple[Point, CrossedState]:
        """The point at the ascent's trial, and the state with the correction where all parameters have points."""
        assert state.ascent is not None
        phi, p, steps = state.ascent.trial, len(self.columns), state.steps
        value, gradients = self._read(total)
        information = np.zeros((len(phi), len(phi)))
        lower = np.tril_indices(p)
        information[lower] = total.metric.round()
        information.T[lower] = information[lower]
        metric = information[:p, :p].copy()
        if state.correction is not None:
            information[:p, :p] += state.correction
        probed = np.flatnonzero(steps)
        for k, there in zip(probed, gradients[1:], strict=True):
            information[k] = -(there - gradients[0]) / steps[k]
        between = np.ix_(probed, probed)
        information[between] = (information[between] + information[between].T) / 2
        rest = np.setdiff1d(np.arange(len(phi)), probed)
        information[np.ix_(rest, probed)] = information[np.ix_(probed, rest)].T
        if len(rest) == 0 and not any(total.failed):
            state = replace(state, correction=information[:p, :p] - metric)
        return Point(phi, value, gradients[0], information), state

    def _read(self, total: CrossedSummand) -> tuple[float, Floats]:
        """Value at the first point, and gradients (k, P) at all, in the inner order."""
        values = total.values.round()
        back = np.argsort(self._order(), kind="stable")
        return (-np.inf if any(total.failed) else float(values[0, 0])), values[:, 1:][:, back]

    def _standard_errors(self, at: ascent.State) -> Floats | None:
        """Of beta (p,), by the metric; None where it is not positive definite."""
        assert at.best is not None
        p = len(self.columns)
        factor = cholesky(at.best.information[:p, :p])
        return None if factor is None else np.sqrt(np.diag(factor.inverse()))

    # -- the second derivative at the maximum --

    def _ask_curvature(self, state: CrossedState) -> CrossedState:
        assert state.ascent is not None
        best = state.ascent.best
        assert best is not None
        spacing = gradient_differences.spacings(best, ascent.free_parameters(best.phi, self.blocks))
        if spacing is None:  # there is no maximum, and nothing to differentiate
            return replace(state, question=None)
        steps = HALF_WIDTH / gradient_differences.SPACING * spacing
        for column in columns_of(best.phi, self.blocks):
            largest = float(np.max(np.abs(best.phi[column])))
            steps[column] = np.minimum(steps[column], THETA_WIDTH * largest) if largest > 0 else steps[column]
        both = np.concatenate([best.phi + np.diag(steps), best.phi - np.diag(steps)])
        question = replace(self.question_at(state, best.phi, both), metric=False)
        return replace(state, question=question, steps=steps, at_maximum=True)

    def _curved(self, state: CrossedState, total: CrossedSummand) -> CrossedState:
        if any(total.failed):
            return replace(state, question=None)
        above, below = np.split(self._read(total)[1][1:], 2)
        H = -(above - below) / (2 * state.steps[:, None])
        return replace(state, question=None, curvature=(H + H.T) / 2)
