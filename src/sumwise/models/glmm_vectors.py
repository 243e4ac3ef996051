"""Generalized linear models with a vector of random effects per group, by adaptive Gauss-Hermite quadrature.

    eta_ij = x_ij' beta + o_ij + z_ij' Lambda u_i,   u_i ~ N(0, I_q),   q <= 3

Lambda is lower triangular and block diagonal; theta holds the lower triangles of its blocks (maths/covariance.py).  The
negative binomial's size and the gamma's shape are estimated as log aux.  The atom is the group.

A fit is a conversation.  Round 1 asks for moments.  Every later round evaluates log-likelihood, gradient and Louis'
information at one point, for the ascent's next step; the information is the exact second derivative up to the error
of the quadrature.  Where the caller has fixed the number of nodes that error is not small: the information then comes
from a rule of its own, serves as a metric only, and a last round asks for gradients around the maximum, whose
differences are the second derivative.  What a site answers stands in glmm_vectors_site.py, docs/method-vectors.md
derives it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import UsageError
from sumwise.kernels.library import exp
from sumwise.kernels.vectors import MOST_EFFECTS, WITH_AUX
from sumwise.maths import ascent, covariance, gradient_differences
from sumwise.maths.ascent import Outcome, Point
from sumwise.maths.cholesky import cholesky
from sumwise.maths.exact import ExactSum
from sumwise.maths.newton import length_in_standard_errors
from sumwise.maths.quadrature import product_ladder
from sumwise.models import glmm_vectors_refusals as refusals
from sumwise.models.glmm_vectors_messages import VectorMoments, VectorMomentsQuestion, VectorQuestion, VectorSummand
from sumwise.models.glmm_vectors_units import Units, starting_point

Floats = NDArray[np.float64]

QUADRATURE_BOUND = 2e-9
"""Largest measured quadrature error of the total log-likelihood under nodes="auto", for up to 100 groups.  It is the
difference of two rules, of which the better one is taken: the error itself is some hundred times smaller."""

MANY_GROUPS = 100
"""From here on the bound on each group's error stays what it is."""

COARSE_BOUND = 1e-2
"""The bound at the start."""

BOUND_SHARE = 1e-3
"""While steps promise more, the bound is this share of what the last one promised."""

MOVE_TOLERANCE = 1e-8
"""The fit ends when no estimate could move by more than this many standard errors."""

RULES_AT_ONCE = 7
"""Orders in one question, unless groups need more."""

DIFFERENCES_BELOW = 0.3
"""Move in standard errors below which, with fixed nodes, differences take the place of Louis' information."""

STEPS_PER_CURVATURE = 8
"""Evaluations that may use differences taken elsewhere; steps that need more need them anew, from nearer by."""

METRIC_NODES = 5
"""Nodes a dimension for the metric, at least, where the caller has fixed fewer."""

MOST_NODES = (0, 1000, 61, 15)
"""Largest number of nodes a dimension that a caller may fix, by number of effects."""


@dataclass(frozen=True, slots=True)
class VectorState:
    """Where the conversation stands.

    question: the open one, None at the end; bound: on the measured quadrature error, that it asks for; moments:
    totals of round 1; ascent: the ascent's state, which holds the best point, in the order (beta, log aux, theta);
    error, nodes: measured quadrature error and {nodes a dimension: groups} at the best point; first_order, reach:
    where the next question's orders begin, and how many there are; curvature: minus the second derivative by
    differences, the metric from then on; at_maximum: the differences asked for are the last ones; evaluations: so
    far; measured: how many there were when differences came last; closing: the question is the last one, which asks at
    the best point with as many nodes as the accuracy needs, where the caller has fixed their number; shift: what came
    of it, as in VectorEstimate.
    """

    question: VectorMomentsQuestion | VectorQuestion | None
    bound: float = COARSE_BOUND
    moments: VectorMoments | None = None
    ascent: ascent.State | None = None
    error: float = np.inf
    nodes: dict[int, int] = field(default_factory=dict)
    first_order: int = 0
    reach: int = RULES_AT_ONCE
    curvature: Floats | None = None
    at_maximum: bool = False
    evaluations: int = 0
    measured: int = 0
    closing: bool = False
    shift: float = np.nan


@dataclass(frozen=True, slots=True)
class VectorEstimate:
    """The maximum.

    beta (p,): coefficients of the user's own columns; theta (m,); aux: size of the negative binomial or shape of the
    gamma, None for the others; vcov (P, P): covariance of (beta, theta, log aux), nan where a parameter is held at
    zero; loglik: all constants included; rows, groups: counts; outcome, move: why the ascent ended, and how far the
    estimates could still go in standard errors; error, nodes: as in VectorState; zero: names of the effects whose
    variance is zero; dependent: for each block that has them, the names of the effects whose correlation is one or
    minus one, or of which one is a combination of the others; question: evaluates at the estimate, for whoever needs
    the modes; shift: where the caller has fixed the number of nodes, how far Newton's next step with as many nodes as
    the accuracy needs would move beta, in standard errors; nan under nodes="auto".
    """

    beta: Floats
    theta: Floats
    aux: float | None
    vcov: Floats
    loglik: float
    rows: int
    groups: int
    outcome: Outcome
    move: float
    error: float
    nodes: dict[int, int]
    zero: tuple[str, ...]
    dependent: tuple[tuple[str, ...], ...]
    question: VectorQuestion
    shift: float


@dataclass(frozen=True, slots=True)
class VectorModel:
    """The model as `start / ask / step / finish`, pure.

    columns: names of the p columns of X, "(Intercept)" among them or not; group: name of the grouping factor; effects:
    names of the q columns of Z; blocks: sizes of the independent terms; family, link: one of vectors.FAMILIES; nodes:
    "auto", or a number of nodes a dimension; max_evaluations: give up after so many.
    """

    columns: tuple[str, ...]
    group: str
    effects: tuple[str, ...]
    blocks: tuple[int, ...]
    family: str
    link: str
    nodes: int | str = "auto"
    max_evaluations: int = 100

    def __post_init__(self) -> None:
        q = len(self.effects)
        if q != sum(self.blocks):
            raise ValueError(f"{q} effects in blocks of {self.blocks}")
        if q > MOST_EFFECTS:
            raise UsageError(
                f"{q} effects for each group of '{self.group}' ({', '.join(self.effects)}): quadrature takes up to "
                f"{MOST_EFFECTS}; leave out some"
            )
        whole = isinstance(self.nodes, (int, np.integer)) and not isinstance(self.nodes, bool)
        if self.nodes != "auto" and not (whole and 1 <= int(self.nodes) <= MOST_NODES[q]):
            raise UsageError(
                f'nodes={self.nodes!r}: give "auto", or a whole number from 1 to {MOST_NODES[q]} '
                f"(nodes a dimension; there are {q})"
            )

    @property
    def bar(self) -> str:
        """The random part as a user wrote it, or could have."""
        names, terms = iter(self.effects), []
        for size in self.blocks:
            own = [next(names) for _ in range(size)]
            inner = ["1" if name == "(Intercept)" else name for name in own]
            terms.append(f"({' + '.join(inner if '1' in inner else ['0', *inner])} | {self.group})")
        return " + ".join(terms)

    def start(self) -> VectorState:
        """Before round 1."""
        return VectorState(VectorMomentsQuestion(len(self.columns), len(self.effects)))

    def ask(self, state: VectorState) -> VectorMomentsQuestion | VectorQuestion | None:
        """The next question, or None when the fit is over."""
        return state.question

    def step(self, state: VectorState, total: VectorMoments | VectorSummand) -> VectorState:
        """The state after a total.  Raises DataError where the rows cannot identify the model."""
        if isinstance(total, VectorMoments):
            refusals.refuse_moments(total, self.family, self.group, self.effects, self.bar)
            phi = starting_point(total, self.columns, self.effects, self.blocks, self.family, self.link)
            at = ascent.start(phi, self.blocks)
            begun = VectorState(None, moments=total, ascent=at)
            return replace(begun, question=self.question_at(begun, at.trial))
        assert isinstance(state.question, VectorQuestion)
        if state.closing:
            return self._closed(state, total)
        if len(state.question.points) > 1:
            return self._differenced(state, total)
        return self._evaluated(state, total)

    def finish(self, state: VectorState) -> VectorEstimate:
        """The estimate at the best point, in the user's own columns."""
        moments, at = _known(state)
        assert at.best is not None
        best, p, m = at.best, len(self.columns), covariance.size(self.blocks)
        free = ascent.free_parameters(best.phi, self.blocks)
        information = best.information if state.curvature is None else state.curvature
        factor = cholesky(information[np.ix_(free, free)])
        inner = np.full((len(best.phi),) * 2, np.nan)
        if factor is not None:
            inner[np.ix_(free, free)] = factor.inverse()
        order = self._order()
        phi, units = best.phi[order], self._units(moments)
        outer, vcov = units.uncentre(phi, inner[np.ix_(order, order)])
        beta, theta = outer[:p], outer[p : p + m]
        zero, dependent = self._boundary(theta)
        return VectorEstimate(
            beta=beta,
            theta=theta,
            aux=self._query_aux(phi),
            vcov=vcov,
            loglik=best.value + float(moments.totals.round()[3]),
            rows=moments.rows,
            groups=moments.groups,
            outcome=at.outcome,
            move=ascent.move_in_standard_errors(replace(best, information=information), self.blocks),
            error=state.error,
            nodes=state.nodes,
            zero=zero,
            dependent=dependent,
            question=replace(
                self.question_at(state, best.phi),
                centre=np.append(units.centre[:p], np.zeros(len(self.effects))),
                points=np.concatenate([phi[:p], outer[p:]])[None],
            ),
            shift=state.shift,
        )

    # -- parameters: (beta, theta, log aux) outside, theta last inside --

    @property
    def _aux(self) -> int:
        return int(self.family in WITH_AUX)

    def _order(self) -> list[int]:
        """Where each outer parameter stands inside."""
        p, m = len(self.columns), covariance.size(self.blocks)
        return [*range(p), *range(p + self._aux, p + self._aux + m), *range(p, p + self._aux)]

    def _query_aux(self, phi: Floats) -> float | None:
        return float(exp(phi[-1])) if self._aux else None

    def _units(self, moments: VectorMoments) -> Units:
        return Units.of(self.columns, self.effects, self.blocks, moments)

    def _boundary(self, theta: Floats) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """Names of effects without variance, and of those that depend on each other."""
        Lambda, at = covariance.factor(theta, self.blocks), 0
        zero: list[str] = []
        dependent: list[tuple[str, ...]] = []
        for size in self.blocks:
            own = Lambda[at : at + size, at : at + size]
            alive = [k for k in range(size) if np.any(own[k] != 0)]
            zero += [self.effects[at + k] for k in range(size) if k not in alive]
            if len(alive) > sum(bool(np.any(own[:, k] != 0)) for k in range(size)):
                dependent.append(tuple(self.effects[at + k] for k in alive))
            at += size
        return tuple(zero), tuple(dependent)

    # -- questions --

    def question_at(self, state: VectorState, phi: Floats, points: Floats | None = None) -> VectorQuestion:
        """Evaluate at phi, or at the points (k, P), both in the inner order.  A rough value is enough, and cheaper,
        while steps are long: state.bound.
        """
        moments = _known(state)[0]
        q, information = len(self.effects), 0 if points is None and state.curvature is None else -1
        tolerance = state.bound / min(moments.groups, MANY_GROUPS)
        if self.nodes == "auto":
            orders = tuple(k for k in product_ladder(q) if k >= state.first_order)[: state.reach]
        else:
            order, tolerance = int(self.nodes), np.inf
            orders = (order,)
            if information == 0 and order < METRIC_NODES:
                information = METRIC_NODES
            if state.bound == QUADRATURE_BOUND and points is None:  # the second measures the first's error
                orders = (order, min(max(order + order // 2, order + 4), MOST_NODES[q] + 10))
        places = (phi[None] if points is None else points)[:, self._order()]
        return VectorQuestion(self._units(moments).centre, places, orders, tolerance, information, bool(self._aux))

    def _directions(self, at: ascent.State) -> gradient_differences.Directions | None:
        """Where points lie for differences about the best point; None where it is no maximum."""
        assert at.best is not None
        return gradient_differences.directions(at.best, ascent.free_parameters(at.best.phi, self.blocks))

    def _differences(self, state: VectorState, total: VectorSummand) -> Floats:
        """Minus the second derivative (P, P), inner order."""
        at = _known(state)[1]
        around = self._directions(at)
        assert around is not None
        gradients = np.array([self.point_of(at.trial, total, k).gradient for k in range(len(total.failed))])
        return gradient_differences.information(gradients, around)

    # -- the ascent --

    def _evaluated(self, state: VectorState, total: VectorSummand) -> VectorState:
        moments, at = _known(state)
        assert isinstance(state.question, VectorQuestion)
        point = self.point_of(at.trial, total, 0)
        if state.curvature is not None:
            point = replace(point, information=state.curvature)
        if at.best is None:
            refusals.refuse_start(point, total, self.columns, self.group)
        measured = float(total.values.round()[0, -1])
        error = measured + (0.0 if at.best is None else state.error) if self.nodes == "auto" else 0.0
        slack = 1e-13 * abs(point.value) + error
        at = ascent.advance(at, point, tolerance=MOVE_TOLERANCE, slack=slack)
        refusals.refuse_flat(moments, at, state.evaluations, self.group, self.bar)
        if self._aux:
            at = refusals.bounded_aux(at, len(self.columns), self.family)
        if at.outcome is Outcome.DIVERGING:
            refusals.refuse_divergence(at, self.columns, self.group, self.family)
        orders = state.question.orders
        if at.best is point:
            nodes = {k: n for k, n in zip(orders, total.used[0], strict=True) if n}
            first = _first_order(orders, total.used[0], state.bound) if self.nodes == "auto" else 0
            state = replace(state, nodes=nodes, error=measured, first_order=first)
        state = replace(state, ascent=at, evaluations=state.evaluations + 1)
        if state.evaluations >= self.max_evaluations:
            return replace(state, question=None)
        if at.outcome is not Outcome.RUNNING:
            cut = self._cut_short(state, total)
            if state.bound == QUADRATURE_BOUND and not cut:
                # the second derivative by differences, where the information is a metric only
                return replace(state, question=None) if self.nodes == "auto" else self._ask_differences(state, True)
            state = replace(state, bound=QUADRATURE_BOUND, reach=state.reach + (3 if cut else 0))
            return self._anew(state)  # the maximum of a coarser function: go on from there
        rough = self.nodes != "auto" and int(self.nodes) < METRIC_NODES
        stale = not state.measured or state.evaluations >= state.measured + STEPS_PER_CURVATURE
        if rough and stale and at.move < DIFFERENCES_BELOW:
            return self._ask_differences(state)
        if state.curvature is not None and not np.isfinite(at.move):  # of where a variance was zero: no metric here
            return self._anew(replace(state, curvature=None))
        state = replace(state, bound=min(max(BOUND_SHARE * at.gain, QUADRATURE_BOUND), COARSE_BOUND, state.bound))
        return replace(state, question=self.question_at(state, at.trial))

    def _anew(self, state: VectorState) -> VectorState:
        """The ascent begins again at its best point."""
        _, at = _known(state)
        assert at.best is not None
        at = ascent.start(at.best.phi, self.blocks)
        return replace(state, ascent=at, question=self.question_at(state, at.trial))

    def _cut_short(self, state: VectorState, total: VectorSummand) -> bool:
        """Whether groups took the question's last order while there are larger ones."""
        assert isinstance(state.question, VectorQuestion)
        more = self.nodes == "auto" and state.question.orders[-1] < product_ladder(len(self.effects))[-1]
        return bool(more and total.used[0][-1])

    # -- second derivatives by differences, where the caller has fixed the number of nodes --

    def _ask_differences(self, state: VectorState, at_maximum: bool = False) -> VectorState:
        at = _known(state)[1]
        assert at.best is not None
        around, question = self._directions(at), None
        if around is not None:  # else there is nothing to differentiate
            question = self.question_at(state, at.best.phi, gradient_differences.places(at.best.phi, around))
        return replace(state, question=question, at_maximum=at_maximum)

    def _differenced(self, state: VectorState, total: VectorSummand) -> VectorState:
        state = replace(state, curvature=self._differences(state, total), measured=state.evaluations)
        return self._close(state) if state.at_maximum else self._anew(state)

    def _close(self, state: VectorState) -> VectorState:
        """One more question: what as many nodes as the accuracy needs would change."""
        best = _known(state)[1].best
        assert best is not None
        finer = replace(self, nodes="auto").question_at(replace(state, bound=COARSE_BOUND, curvature=None), best.phi)
        return replace(state, question=finer, closing=True)

    def _closed(self, state: VectorState, total: VectorSummand) -> VectorState:
        best = _known(state)[1].best
        assert best is not None
        point = self.point_of(best.phi, total, 0)
        free = ascent.free_parameters(point.phi, self.blocks)
        shift = length_in_standard_errors(
            point.gradient[free], point.information[np.ix_(free, free)], len(self.columns)
        )
        return replace(state, question=None, shift=shift)

    def point_of(self, phi: Floats, total: VectorSummand, k: int) -> Point:
        """The answer at point k, in the inner order; phi: what is held to be its place."""
        P = len(phi)
        values = ExactSum(total.values.digits[k]).round()
        value, gradient = float(values[0]), values[1 : 1 + P]
        information = np.zeros((P, P))
        if len(values) > 2 + P:
            lower = np.tril_indices(P)
            information[lower] = values[1 + P : -1]
            information.T[lower] = information[lower]
        if self._aux:
            level, slope, bend = ExactSum(total.constants.digits[k]).round()
            value, gradient = value + float(level), gradient + np.append(np.zeros(P - 1), slope)
            information[-1, -1] -= bend
        if total.failed[k]:
            value = -np.inf
        back = np.argsort(self._order(), kind="stable")
        return Point(phi, value, gradient[back], information[np.ix_(back, back)])


def _first_order(orders: tuple[int, ...], used: tuple[int, ...], bound: float) -> int:
    """The order to begin with next: one before that which a quarter of the groups were content with, the second of its
    pair; while bounds fall fast, that of three quarters, unless they took the first pair.
    """
    fast = QUADRATURE_BOUND < bound < COARSE_BOUND
    taken = next((k for k in range(len(used)) if 4 * sum(used[: k + 1]) >= (1 + 2 * fast) * sum(used)), 0)
    return orders[max(taken - (not fast or taken < 2), 0)]


def _known(state: VectorState) -> tuple[VectorMoments, ascent.State]:
    assert state.moments is not None, "round 1 comes first"
    assert state.ascent is not None
    return state.moments, state.ascent
