"""Logistic regression with a random intercept, maximised exactly by adaptive Gauss-Hermite quadrature.

    y_ij ~ Binomial(n_ij, p_ij),   logit p_ij = x_ij' beta + o_ij + theta u_i,   u_i ~ N(0, 1)

theta is the standard deviation of the intercepts (lme4's relative Cholesky factor: the binomial family has no scale of its own).
The atom is the group: a group's rows lie at one site, and only sums over groups leave it.

A fit is a conversation.  Round 1 asks for moments: counts, column sums, and sums of squares of group totals; they centre the columns and
give the start.  Every later round evaluates log-likelihood, gradient and Hessian at one point, for Newton's next step.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError, UsageError
from sumwise.kernels import aghq
from sumwise.kernels.library import log
from sumwise.maths import newton
from sumwise.maths.binomial import log_choose
from sumwise.maths.cholesky import cholesky, first_dependence
from sumwise.maths.exact import ExactSum
from sumwise.maths.newton import Outcome, Point
from sumwise.maths.quadrature import LADDER, gauss_hermite

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

QUADRATURE_BOUND = 1e-10
"""Largest measured quadrature error of the total log-likelihood under nodes="auto"."""

MOVE_TOLERANCE = 1e-8
"""The fit ends when no estimate could move by more than this many standard errors."""

LEAST_PIVOT = 1e-13
"""A column is collinear when the columns before it explain all but this share of its sum of squares."""


class Rows(Protocol):
    """What a site knows: X (n, p) with columns named `columns`, y and size (n,) successes and trials, offset (n,) or None, group (n,)
    numbers into `groups`."""

    @property
    def X(self) -> Floats: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def y(self) -> Floats: ...
    @property
    def size(self) -> Floats: ...
    @property
    def offset(self) -> Floats | None: ...
    @property
    def group(self) -> Ints: ...
    @property
    def groups(self) -> tuple[object, ...]: ...


# ---- questions and summands -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MomentsQuestion:
    """Round 1: counts and column sums.  Carries nothing."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over rows and groups.  rows, groups: counts; columns (p,): sums of the columns of X; totals (6,): sum y, sum n, sum over groups of
    Y^2, Y N and N^2 for the group's totals Y, N, and sum of log binomial coefficients."""

    rows: int
    groups: int
    columns: ExactSum
    totals: ExactSum

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.rows + other.rows, self.groups + other.groups, self.columns + other.columns, self.totals + other.totals
        )


@dataclass(frozen=True, slots=True)
class Question:
    """Evaluate at one point.  centre (p,): subtracted from the columns; beta (p,), theta: parameters on the centred columns; orders: numbers of
    nodes to try in turn, a group takes the first whose measured error is at most `tolerance`."""

    centre: Floats
    beta: Floats
    theta: float
    orders: tuple[int, ...]
    tolerance: float


@dataclass(frozen=True, slots=True)
class Summand:
    """Sums over groups.  values (2 + q + q (q+1) / 2,) for q = p + 1: log-likelihood without binomial coefficients, gradient, lower triangle of the
    Hessian in (beta, theta), sum of measured quadrature errors; used: groups that took each order."""

    values: ExactSum
    used: tuple[int, ...]

    def __add__(self, other: Summand) -> Summand:
        return Summand(self.values + other.values, tuple(a + b for a, b in zip(self.used, other.used, strict=True)))


# ---- at a site ------------------------------------------------------------------------------------------------------


class Site:
    """One site's answers.  Keeps the rows packed for the kernel; what it answers depends on the rows and the question alone."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._packed: tuple[bytes, aghq.Packed] | None = None

    def answer(self, question: MomentsQuestion | Question, threads: Executor | None = None, workers: int = 1) -> Moments | Summand:
        """The summand that the question asks for, computed by up to `workers` threads; their number changes no bit."""
        if isinstance(question, MomentsQuestion):
            return self._moments()
        pieces = self._evaluate(question, threads, workers)
        values = ExactSum(pieces[0].digits)
        for piece in pieces[1:]:
            values = values + ExactSum(piece.digits)
        return Summand(values, tuple(int(n) for n in np.sum([piece.used for piece in pieces], axis=0)))

    def modes(self, question: Question) -> tuple[Floats, Floats]:
        """Conditional mode u^ and its scale s for each group, both (groups,).  Stays at the site: nothing here is a sum."""
        mode, scale = np.empty(len(self.rows.groups)), np.empty(len(self.rows.groups))
        self._evaluate(replace(question, orders=(1,)), None, 1, (mode, scale))
        return mode, scale

    def _moments(self) -> Moments:
        rows = self.rows
        Y = np.bincount(rows.group, rows.y, minlength=len(rows.groups))
        N = np.bincount(rows.group, rows.size, minlength=len(rows.groups))
        by_group = ExactSum.of(np.column_stack([Y, N, Y * Y, Y * N, N * N]))
        constant = ExactSum.of(log_choose(rows.size, rows.y)[:, None])
        totals = ExactSum(np.concatenate([by_group.digits, constant.digits]))
        return Moments(len(rows.y), len(rows.groups), ExactSum.of(rows.X), totals)

    def _evaluate(
        self, question: Question, threads: Executor | None, workers: int, modes: tuple[Floats, Floats] | None = None
    ) -> list[aghq.Evaluation]:
        data = self._pack(question.centre)
        rules = tuple((rule.z, rule.scaled) for rule in map(gauss_hermite, question.orders))

        def piece(bounds: tuple[int, int]) -> aghq.Evaluation:
            return aghq.evaluate(data, question.beta, question.theta, rules, question.tolerance, *bounds, modes)

        if threads is None or workers == 1 or data.X.size < 20_000:  # a thread costs more than it saves
            return [piece((0, data.bundles))]
        cuts = np.searchsorted(data.start, np.linspace(0, data.start[-1], 8 * workers + 1)[1:-1])
        edges = [0, *(int(c) for c in cuts), data.bundles]
        return list(threads.map(piece, zip(edges[:-1], edges[1:], strict=True)))

    def _pack(self, centre: Floats) -> aghq.Packed:
        key = centre.tobytes()
        if self._packed is None or self._packed[0] != key:
            rows = self.rows
            packed = aghq.pack(rows.X, rows.y, rows.size, rows.offset, rows.group, len(rows.groups), centre)
            self._packed = (key, packed)
        return self._packed[1]


# ---- at the centre --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class State:
    """Where the conversation stands.  moments: totals of round 1, once known; centre (p,); ascent: Newton's state; question: the one that is
    open; log_likelihood etc. of the best point live in `ascent.best`; error, used: measured quadrature error and orders at the best point."""

    question: MomentsQuestion | Question | None
    moments: Moments | None = None
    ascent: newton.State | None = None
    error: float = np.inf
    used: dict[int, int] = field(default_factory=dict)
    evaluations: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """The maximum.  beta (p,) and vcov (p+1, p+1) of (beta, theta) in the user's columns (p, p at theta = 0); theta; loglik with binomial
    coefficients; gradient_move: how far estimates could still move, in standard errors; question: the last evaluation, to ask sites for modes."""

    beta: Floats
    theta: float
    vcov: Floats
    loglik: float
    rows: int
    groups: int
    outcome: Outcome
    move: float
    quadrature_error: float
    nodes: dict[int, int]
    question: Question


@dataclass(frozen=True, slots=True)
class RandomIntercept:
    """The model as `start / ask / step / finish`.  columns: names of the p columns of X, "(Intercept)" among them or not; group: name of the
    grouping factor; nodes: "auto" or a number; max_evaluations: give up after so many."""

    columns: tuple[str, ...]
    group: str
    nodes: int | str = "auto"
    max_evaluations: int = 100

    def __post_init__(self) -> None:
        if self.nodes != "auto":
            if isinstance(self.nodes, bool) or not isinstance(self.nodes, int):
                raise UsageError(f'nodes={self.nodes!r}: give a whole number, or "auto"')
            gauss_hermite(self.nodes)

    def start(self) -> State:
        return State(MomentsQuestion())

    def ask(self, state: State) -> MomentsQuestion | Question | None:
        """The next question, or None when the fit is over."""
        return state.question

    def step(self, state: State, total: Moments | Summand) -> State:
        """The state after a total.  Raises DataError where the rows cannot identify the model."""
        if isinstance(total, Moments):
            return self._begin(total)
        assert isinstance(state.question, Question) and state.moments is not None and state.ascent is not None
        return self._advance(state, state.question, state.moments, state.ascent, total)

    def _begin(self, moments: Moments) -> State:
        y, n, yy, yn, nn, _ = moments.totals.round()
        if moments.groups < 2:
            raise DataError(
                f"the grouping factor '{self.group}' has a single group: the variance between groups cannot be estimated; "
                f"leave out (1 | {self.group}) or give more groups"
            )
        if y in (0, n):
            every = "a failure (0)" if y == 0 else "a success (1)"
            raise DataError(f"every response is {every} ({moments.rows} rows): the intercept would be infinite")
        share = y / n
        beta, centre = np.zeros(len(self.columns)), np.zeros(len(self.columns))
        if "(Intercept)" in self.columns:
            where = self.columns.index("(Intercept)")
            centre = moments.columns.round() / moments.rows
            centre[where] = 0.0
            beta[where] = float(log(y / (n - y)))
        spread = yy - 2 * share * yn + share * share * nn
        theta = _starting_theta(spread, n, nn, share)
        ascent = newton.start(np.append(beta, theta))
        question = self._question(centre, ascent, moments.groups, 1e-3)
        return State(question, moments, ascent)

    def _question(self, centre: Floats, ascent: newton.State, groups: int, tolerance: float) -> Question:
        if self.nodes == "auto":
            orders: tuple[int, ...] = LADDER
        else:
            k = int(self.nodes)
            orders, tolerance = (k, 2 * k + 1), np.inf  # the second rule only measures the error of the first
        return Question(centre, ascent.trial[:-1], float(ascent.trial[-1]), orders, tolerance / groups)

    def _advance(self, state: State, asked: Question, moments: Moments, ascent: newton.State, total: Summand) -> State:
        point, error = _point(ascent.trial, total)
        if ascent.best is None:
            self._refuse_collinear(point)
        slack = 1e-13 * abs(point.value) + 2 * (0.0 if np.isinf(asked.tolerance) else asked.tolerance * moments.groups)
        after = newton.advance(ascent, point, tolerance=MOVE_TOLERANCE, slack=slack)
        accepted = after.best is point
        used = {k: n for k, n in zip(asked.orders, total.used, strict=True) if n} if accepted else state.used
        state = replace(
            state, ascent=after, error=error if accepted else state.error, used=used, evaluations=state.evaluations + 1
        )
        if after.outcome is Outcome.DIVERGING:
            self._refuse_separation(after)
        coarse = asked.tolerance * moments.groups > QUADRATURE_BOUND and self.nodes == "auto"
        if after.outcome is Outcome.CONVERGED and coarse:  # converged on the loose bound: once more on the tight one
            after = replace(after, trial=point.phi, outcome=Outcome.RUNNING, best=None)
            question = self._question(asked.centre, after, moments.groups, QUADRATURE_BOUND)
            return replace(state, question=question, ascent=after)
        if after.outcome is not Outcome.RUNNING or state.evaluations >= self.max_evaluations:
            return replace(state, question=None)
        bound = min(1e-3, max(QUADRATURE_BOUND, 1e-4 * after.gain))
        if bound < 1e-6:
            bound = QUADRATURE_BOUND
        return replace(state, question=self._question(asked.centre, after, moments.groups, bound))

    def finish(self, state: State) -> Estimate:
        """The estimate at the best point, in the user's own columns."""
        assert state.ascent is not None and state.ascent.best is not None and state.moments is not None
        best = state.ascent.best
        p = len(self.columns)
        centre, theta = self._centre(state.moments), float(best.phi[-1])
        free = p + 1 if theta > 0 else p
        factor = cholesky(best.information[:free, :free])
        vcov = np.full((free, free), np.nan) if factor is None else factor.inverse()
        beta = best.phi[:-1].copy()
        if "(Intercept)" in self.columns:  # x'beta = intercept + (x - centre)'slope
            where = self.columns.index("(Intercept)")
            back = np.eye(free)
            back[where, :p] -= centre
            beta[where] -= float(np.add.reduce(centre * beta))
            vcov = _sandwich(back, vcov)
        question = self._question(centre, replace(state.ascent, trial=best.phi), state.moments.groups, QUADRATURE_BOUND)
        constant = float(state.moments.totals.round()[5])
        return Estimate(
            beta=beta,
            theta=theta,
            vcov=vcov,
            loglik=best.value + constant,
            rows=state.moments.rows,
            groups=state.moments.groups,
            outcome=state.ascent.outcome,
            move=newton.move_in_standard_errors(best),
            quadrature_error=state.error,
            nodes=state.used,
            question=question,
        )

    def _centre(self, moments: Moments) -> Floats:
        if "(Intercept)" not in self.columns:
            return np.zeros(len(self.columns))
        centre = moments.columns.round() / moments.rows
        centre[self.columns.index("(Intercept)")] = 0.0
        return centre

    # -- refusals --

    def _refuse_collinear(self, point: Point) -> None:
        p = len(self.columns)
        found = first_dependence(point.information[:p, :p], LEAST_PIVOT)
        if found is None:
            return
        name, used = self.columns[found.column], []
        weight = np.abs(found.coefficient)
        for c, coefficient in enumerate(found.coefficient):
            if weight[c] > 1e-9 * weight.max() and self.columns[c] != "(Intercept)":
                used.append(f"{coefficient:.6g} * {self.columns[c]}")
        if not used:
            raise DataError(
                f"column '{name}' is constant: it carries the same information as the intercept; leave it out of the formula"
                if "(Intercept)" in self.columns
                else f"column '{name}' is zero in every row: its coefficient cannot be estimated; leave it out"
            )
        constant = " + a constant" if "(Intercept)" in self.columns else ""
        raise DataError(
            f"columns are collinear: {name} = {' + '.join(used)}{constant}, up to a relative distance of {found.distance:.1g}; "
            f"their coefficients cannot be told apart: leave out one of them"
        )

    def _refuse_separation(self, ascent: newton.State) -> None:
        assert ascent.step is not None and ascent.metric is not None
        size = np.abs(ascent.step) * ascent.metric[: len(ascent.step)]
        names = (*self.columns, self.group)
        involved = [names[i] for i in np.argsort(-size) if size[i] > 0.3 * size.max()]
        if self.group in involved[:1]:
            raise DataError(
                f"the variance of '{self.group}' grows without bound: within (almost) every group all responses are alike, so the "
                f"maximum lies at infinity"
            )
        columns = ", ".join(f"'{name}'" for name in involved if name != self.group)
        raise DataError(
            f"separation: {columns} predict{'s' if ',' not in columns else ''} the response perfectly in some direction, so the maximum lies at "
            f"infinity and no finite coefficient exists (after {len(ascent.gains)} steps of undiminished length the log-likelihood gains only "
            f"{ascent.gain:.1g}); leave the column out, merge factor levels, or collect rows that overlap"
        )


def _starting_theta(spread: float, n: float, nn: float, share: float) -> float:
    """Standard deviation to start from, by moments of group totals.

    spread = sum_i (Y_i - share N_i)^2 = share (1 - share) [ n + rho (nn - n) ] in the mean; rho, the correlation within groups, is pi/2 times
    smaller than on the logistic scale [Dempster & Lerner 1950, at share = 1/2], where theta^2 = rho / (1 - rho) pi^2 / 3."""
    noise = share * (1 - share)
    if nn == n:  # every group is a single trial
        return 0.5
    rho = min(max((spread / noise - n) / (nn - n) * 1.5707963267948966, 0.02), 0.9)
    return float(np.sqrt(3.289868133696453 * rho / (1 - rho)))


def _point(phi: Floats, total: Summand) -> tuple[Point, float]:
    values = total.values.round()
    q = len(phi)
    information = np.zeros((q, q))
    lower = np.tril_indices(q)
    information[lower] = -values[1 + q : -1]
    information.T[lower] = information[lower]
    return Point(phi, float(values[0]), values[1 : 1 + q], information), float(values[-1])


def _sandwich(T: Floats, V: Floats) -> Floats:
    """T V T' in a fixed order of operations."""
    left = np.zeros_like(V)
    for k in range(len(V)):
        left += np.multiply.outer(T[:, k], V[k])
    out = np.zeros_like(V)
    for k in range(len(V)):
        out += np.multiply.outer(left[:, k], T[:, k])
    return (out + out.T) / 2
