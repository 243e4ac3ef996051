"""Generalized linear mixed models with several grouping factors or many effects a group, by Laplace's approximation.

    eta_j = x_j'beta + o_j + sum over terms of z_tj'Lambda_t u_t,g(j)      u ~ N(0, I)

The parameters are those of glmm_vectors.py; Lambda has a block for each term, whatever its grouping factor.  The atom
is a component: the levels that a chain of rows joins.

A fit is a conversation.  Round 1 asks for moments.  Every later round evaluates log-likelihood and exact gradient at a
point, and the metric of beta: minus the second derivative of the penalised log-likelihood.  What the second derivative
is beyond that comes from differences of gradients for theta and log aux, at points nearby which the same question asks
for, while steps are long; then from what gradients at two points of the ascent say of it [symmetric rank one: Nocedal &
Wright 2006, section 6.2].  A last round asks for gradients around the maximum, whose differences are the second
derivative that gives standard errors; where it says that this is no maximum yet, the ascent goes on with it.  What a
site answers stands in glmm_crossed_site.py and maths/laplace.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import UsageError
from sumwise.kernels.vectors import MOST_EFFECTS
from sumwise.maths import ascent, covariance, gradient_differences
from sumwise.maths.ascent import Outcome, Point, Trial
from sumwise.maths.boundary import columns_of
from sumwise.maths.newton import dot
from sumwise.models import glmm_crossed_refusals as refusals
from sumwise.models.glmm_crossed_messages import (
    CrossedMoments,
    CrossedMomentsQuestion,
    CrossedQuestion,
    CrossedSummand,
)
from sumwise.models.glmm_vectors import MOVE_TOLERANCE, VectorModel, VectorState
from sumwise.models.glmm_vectors_messages import VectorMoments, VectorSummand
from sumwise.models.glmm_vectors_refusals import bounded_aux
from sumwise.models.glmm_vectors_units import starting_point
from sumwise.models.lmm_checks import Term

Floats = NDArray[np.float64]

SPACING = 2.0**-14
"""How far points lie from the first one, relative to the starting value of a theta, and in log aux."""

HALF_WIDTH = 2.0**-11
"""How far points lie on both sides of the maximum, in standard errors."""

THETA_WIDTH = 2.0**-12
"""The same at most for a theta, relative to itself: the log-likelihood is even in the columns of Lambda, and curved."""

NEAR = 0.3
"""Move in standard errors below which the metric follows from the points of the ascent alone."""

CHANGED = 0.05
"""Share of a column of Lambda that may change before points nearby are asked for all the same."""

LARGEST_SECANT = 0.5
"""Largest correction of the metric, in units of its diagonal, that two gradients may ask for: others are wild."""

FAR = 4
"""Times the tolerance that estimates may still move by, as the second derivative says, before the ascent goes on."""

MOST_TURNS = 3
"""How often it may go on so."""


def needs_laplace(groups: set[str], effects: int) -> bool:
    """Whether there are too many grouping factors, or effects a group, for quadrature."""
    return len(groups) > 1 or effects > MOST_EFFECTS


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedState(VectorState):
    """Where the conversation stands.

    units (P,): sizes of the parameters beyond beta, inner order; steps (P,): how far the open question's points lie
    from its first one, zero where there is none; beyond (P, P): what the second derivative is beyond the metric of
    beta, with the sign of an information; way (c, P): points that were accepted, as questions have them; turns: how
    often the second derivative has sent the ascent on; around: where the points lie that the second derivative comes
    from.
    """

    units: Floats
    steps: Floats
    beyond: Floats
    way: Floats
    turns: int = 0
    around: gradient_differences.Directions | None = None


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

    def start(self) -> VectorState:
        """Before round 1."""
        return VectorState(CrossedMomentsQuestion(len(self.columns), len(self.effects), factors=len(self.factors)))

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
                beyond=np.zeros((len(phi), len(phi))),
                way=np.zeros((0, len(phi))),
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
            self._units(state.moments).centre,
            places[:, self._order()],
            (1,),
            np.inf,
            -1,
            columns=len(self.columns),
            near=state.way if isinstance(state, CrossedState) else places[:0],
            metric=True,
            rough=True,
        )

    def _ask(self, state: CrossedState, steps: Floats) -> CrossedState:
        """At the ascent's trial, and one of the steps (P,) from it in each parameter that has one."""
        assert state.ascent is not None
        phi = state.ascent.trial
        points = phi + np.diag(steps)[steps != 0]
        return replace(state, question=self.question_at(state, phi, points), steps=steps)

    def _onward(self, state: CrossedState) -> CrossedState:
        """At the ascent's trial, with points nearby while steps are long, and for columns that are zero, or on the way
        there or back: no other point says how the log-likelihood bends in them.
        """
        at = state.ascent
        assert at is not None
        wanted = ~ascent.free_parameters(at.trial, self.blocks) | (at.move > NEAR)
        for column in columns_of(at.trial, self.blocks):
            there, here = at.trial[column], at.trial[column] if at.best is None else at.best.phi[column]
            wanted[column] |= np.max(np.abs(there - here)) > CHANGED * np.max(np.abs(here))
        return self._ask(state, np.where(wanted, SPACING * state.units, 0.0))

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
        at, p = state.ascent, len(self.columns)
        point, correction, state = self._measured(state, total)
        if at.best is None:
            refusals.refuse_start(point, total, self.columns, self.terms)
        else:
            at = replace(at, best=replace(at.best, information=at.best.information + correction))
        value = point.value if at.best is None else at.best.value
        at = ascent.advance(at, point, tolerance=MOVE_TOLERANCE, slack=1e-12 * (1 + abs(value)))
        if at.best is point:
            state = replace(state, way=np.concatenate([state.way, point.phi[None, self._order()]]))
        if self._aux:
            at = bounded_aux(at, p, self.family)
        if at.outcome is Outcome.DIVERGING:
            refusals.refuse_divergence(at, self.columns, self.terms, self.family, self.blocks)
        state = replace(state, ascent=at, evaluations=state.evaluations + 1)
        if state.evaluations >= self.max_evaluations:
            return replace(state, question=None)
        return self._onward(state) if at.outcome is Outcome.RUNNING else self._ask_curvature(state)

    def _measured(self, state: CrossedState, total: CrossedSummand) -> tuple[Point, Floats, CrossedState]:
        """The point at the ascent's trial, what it adds to the metric so far, and the state with the metric since."""
        assert state.ascent is not None
        at, phi, steps = state.ascent, state.ascent.trial, state.steps
        value, gradients = self._read(total)
        metric, beyond, correction = self._metric(total), state.beyond, np.zeros_like(state.beyond)
        if at.best is not None and at.kind is Trial.STEP and at.move < NEAR and np.isfinite(value):
            correction = _secant(phi - at.best.phi, at.best.gradient - gradients[0], metric + beyond)
            beyond = beyond + correction
        probed = np.flatnonzero(steps if np.isfinite(value) else np.zeros_like(steps))
        for k, there in zip(probed, gradients[1:], strict=False):
            row = -(there - gradients[0]) / steps[k] - metric[k]
            # where two rows say it, their mean
            both = np.isin(np.arange(len(phi)), probed) & (np.arange(len(phi)) < k)
            row = np.where(both, (row + beyond[k]) / 2, row)
            beyond = beyond.copy()
            beyond[k], beyond[:, k] = row, row
        return Point(phi, value, gradients[0], metric + beyond), correction, replace(state, beyond=beyond)

    def _metric(self, total: CrossedSummand) -> Floats:
        """(P, P): that of beta, zeros elsewhere."""
        P, lower = total.values.shape[1] - 1, np.tril_indices(len(self.columns))
        out = np.zeros((P, P))
        out[lower] = total.metric.round()
        out.T[lower] = out[lower]
        return out

    def _read(self, total: CrossedSummand) -> tuple[float, Floats]:
        """Value at the first point, and gradients (k, P) at all, in the inner order."""
        values = total.values.round()
        back = np.argsort(self._order(), kind="stable")
        return (-np.inf if any(total.failed) else float(values[0, 0])), values[:, 1:][:, back]

    # -- the second derivative at the maximum --

    def _ask_curvature(self, state: CrossedState) -> CrossedState:
        assert state.ascent is not None
        best = state.ascent.best
        assert best is not None
        free = ascent.free_parameters(best.phi, self.blocks)
        around = gradient_differences.directions(best, free, HALF_WIDTH)
        if around is None:  # there is no maximum, and nothing to differentiate
            return replace(state, question=None)
        for column in columns_of(best.phi, self.blocks):
            largest, reach = float(np.max(np.abs(best.phi[column]))), np.max(np.abs(around.rows[:, column]), axis=1)
            if largest > 0:
                around = around.scaled(np.minimum(1.0, THETA_WIDTH * largest / np.where(reach > 0, reach, 1e-300)))
        both = gradient_differences.places(best.phi, around)
        question = replace(self.question_at(state, best.phi, both), rough=False)
        return replace(state, question=question, around=around, at_maximum=True)

    def _curved(self, state: CrossedState, total: CrossedSummand) -> CrossedState:
        at = state.ascent
        assert at is not None
        assert at.best is not None
        assert state.around is not None
        if any(total.failed):
            return replace(state, question=None)
        H = gradient_differences.information(self._read(total)[1][1:], state.around)
        state = replace(state, curvature=H, beyond=H - self._metric(total), at_maximum=False)
        move = ascent.move_in_standard_errors(replace(at.best, information=H), self.blocks)
        if move <= FAR * MOVE_TOLERANCE or at.outcome is not Outcome.CONVERGED or state.turns == MOST_TURNS:
            return replace(state, question=None)
        return self._onward(replace(state, ascent=ascent.start(at.best.phi, self.blocks), turns=state.turns + 1))


def _secant(step: Floats, fall: Floats, information: Floats) -> Floats:
    """What symmetric rank one adds to the information (P, P), so that times the step (P,) it is the gradient's fall."""
    rest = fall - np.array([dot(row, step) for row in information])
    size = np.abs(np.diag(information))
    size = np.where(size > 0, size, 1.0)
    along = dot(rest, step)
    if not dot(rest / size, rest) < LARGEST_SECANT * abs(along):
        return np.zeros_like(information)
    added: Floats = np.multiply.outer(rest, rest) / along
    return added
