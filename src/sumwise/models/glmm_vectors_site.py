"""What a site does in the fit of a model with vectors of random effects: it answers with sums over its groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.kernels import aghq, vectors
from sumwise.kernels.library import DIGITS
from sumwise.maths import covariance
from sumwise.maths.binomial import log_choose
from sumwise.maths.elementary import exp, log
from sumwise.maths.exact import ExactSum
from sumwise.maths.gamma import digamma, log_gamma, log_rising, trigamma
from sumwise.maths.quadrature import product_rule
from sumwise.models.glmm_vectors_messages import VectorMoments, VectorMomentsQuestion, VectorQuestion, VectorSummand

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


MODE_WORK = 30
"""What the search of a mode costs, in nodes."""

LEAST_WORK = 100_000
"""Vectors times nodes that are worth a thread: some milliseconds."""


FAMILIES = vectors.FAMILIES
"""Families and links that there are, the first link of a family its default."""


class Rows(Protocol):
    """What a site knows: x, the p columns (n,) of the design matrix, named `columns`; y (n,) response; size (n,) trials
    of a binomial response, else weights; offset (n,) or None; z, the q columns (n,) of the random effects; group (n,)
    numbers into `groups`.
    """

    @property
    def x(self) -> Sequence[Floats]: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def y(self) -> Floats: ...
    @property
    def size(self) -> Floats: ...
    @property
    def offset(self) -> Floats | None: ...
    @property
    def z(self) -> Sequence[Floats]: ...
    @property
    def group(self) -> Ints: ...
    @property
    def groups(self) -> tuple[object, ...]: ...


class Site:
    """One site's answers.  family: name and link, one of vectors.FAMILIES; blocks: sizes of the independent terms,
    whose effects the columns of z are.  What a site answers depends on the rows and the question alone.
    """

    def __init__(self, rows: Rows, family: tuple[str, str], blocks: tuple[int, ...]) -> None:
        self.rows = rows
        self.family = family
        self.blocks = blocks
        self._packed: tuple[bytes, aghq.Packed] | None = None
        self._different: tuple[Floats, Floats, Ints] | None = None

    def answer(
        self, question: VectorMomentsQuestion | VectorQuestion, threads: Executor | None = None, workers: int = 1
    ) -> VectorMoments | VectorSummand:
        """The summand that the question asks for, computed by up to `workers` threads; their number changes no bit."""
        if isinstance(question, VectorMomentsQuestion):
            return self.moments()
        data = self._pack(question.centre, map if threads is None else threads.map)
        each, pieces = self._shares(question, data, threads, workers)
        edges = _edges(data, pieces)
        queries = [self._query(question, point) for point in question.points]

        def piece(job: tuple[vectors.Query, tuple[int, int]]) -> vectors.Evaluation:
            return vectors.evaluate(data, len(self.rows.z), self.family, job[0], *job[1])

        # the largest groups stand in the last bundles: they come first, so that no thread ends long after the others
        jobs = [(query, bounds) for bounds in reversed(list(pairwise(edges))) for query in queries]
        done, count = list(each(piece, jobs)), len(queries)
        totals = [reduce(_plus, done[k::count]) for k in range(count)]
        return VectorSummand(
            ExactSum(np.stack([total.digits for total in totals])),
            self.constants([query.aux for query in queries]),
            tuple(tuple(total.used.tolist()) for total in totals),
            tuple(total.failed for total in totals),
        )

    def modes(
        self, question: VectorQuestion, threads: Executor | None = None, workers: int = 1
    ) -> tuple[Floats, Floats]:
        """Conditional modes of u (groups, q) at the question's first point, and their conditional covariance (groups,
        q, q), the inverse of -f'' there; the effects are Lambda u.  They stay at the site: they are no sums.
        """
        data, q, groups = self._pack(question.centre, map), len(self.rows.z), len(self.rows.groups)
        each, pieces = self._shares(question, data, threads, workers)
        mode, spread = np.empty((groups, q)), np.empty((groups, q, q))
        query = self._query(question, question.points[0])

        def piece(bounds: tuple[int, int]) -> None:
            vectors.modes(data, q, self.family, query, *bounds, mode, spread)

        list(each(piece, pairwise(_edges(data, pieces))))
        return mode, spread

    def _shares(
        self, question: VectorQuestion, data: aghq.Packed, threads: Executor | None, workers: int
    ) -> tuple[Callable[..., Iterable[Any]], int]:
        """The map to use over pieces of work, and how many pieces each point makes: threads, and pieces, where they
        save more than they cost.
        """
        q, points, vectors_ = len(self.rows.z), len(question.points), int(data.start[-1])
        nodes = sum(order**q for order in (*question.orders[:4], max(question.information, 0)))
        work = vectors_ * (MODE_WORK + nodes)
        if threads is None or workers == 1 or work * points < LEAST_WORK:
            return map, 1
        share = 1 if points >= 4 * workers else min(8 * workers, -(-work // LEAST_WORK) * workers)
        return threads.map, share

    def _pack(self, centre: Floats, each: Callable[..., Iterable[Any]]) -> aghq.Packed:
        key = centre.tobytes()
        if self._packed is None or self._packed[0] != key:
            rows = self.rows
            columns, groups = [*rows.x, *rows.z], len(rows.groups)
            packed = aghq.pack(columns, rows.y, rows.size, rows.offset, rows.group, groups, centre, each)
            self._packed = (key, packed)
        return self._packed[1]

    def _query(self, question: VectorQuestion, point: Floats) -> vectors.Query:
        q, p = len(self.rows.z), len(self.rows.x)
        m = covariance.size(self.blocks)
        own: vectors.Nodes | tuple[()] | None = None if question.information < 0 else ()
        return vectors.Query(
            beta=point[:p],
            Lambda=covariance.factor(point[p : p + m], self.blocks),
            entries=np.array(covariance.entries(self.blocks), dtype=np.int64),
            aux=float(exp(point[p + m])) if len(point) > p + m else 1.0,
            rules=tuple(_nodes(order, q) for order in question.orders),
            tolerance=question.tolerance,
            information=_nodes(question.information, q) if question.information > 0 else own,
        )

    # -- sums over rows --

    def moments(self) -> VectorMoments:
        """The answer of round 1."""
        rows, groups = self.rows, len(self.rows.groups)
        counts = np.bincount(rows.group, minlength=groups)
        binomial = self.family[0] == "binomial"
        total = rows.y if binomial else rows.y * rows.size
        alike = single = 0
        if binomial:  # whole numbers, whose sums are exact in any order
            Y = np.bincount(rows.group, rows.y, minlength=groups)
            N = np.bincount(rows.group, rows.size, minlength=groups)
            alike, single = int(np.sum((N > 1) & ((Y == 0) | (Y == N)))), int(np.sum(N == 1))
        by_row = ExactSum.of(np.column_stack([total, rows.size, self._exposure(), self._free_part()]))
        return VectorMoments(
            len(rows.y),
            groups,
            int(np.sum(counts >= len(rows.z))),
            alike,
            single,
            _column_sums(rows.x),
            ExactSum(np.stack([_column_sums(rows.z).digits, _column_sums([z * z for z in rows.z]).digits])),
            by_row,
        )

    def _exposure(self) -> Floats:
        """(n,) weight times exp(offset); the trials of a binomial response, whose offset is no logarithm."""
        rows = self.rows
        if rows.offset is None or self.family[0] == "binomial":
            return rows.size
        scale = exp(rows.offset)
        if not np.all(np.isfinite(scale)):
            raise DataError(
                f"the offset reaches {float(np.max(rows.offset)):.6g}: exp of it is larger than the largest number "
                f"(beyond 709); an offset is a logarithm here: give log(exposure)"
            )
        return rows.size * scale

    def _free_part(self) -> Floats:
        """(n,) what of each row's log-likelihood holds no parameter."""
        rows = self.rows
        if self.family[0] == "binomial":
            return log_choose(rows.size, rows.y)
        if self.family[0] == "gamma":
            return np.where(rows.size > 0, -log(rows.y), 0.0)
        return -rows.size * log_gamma(rows.y + 1)

    def constants(self, sizes: Sequence[float]) -> ExactSum:
        """Sums over rows (k, 3) of the part of the log-likelihood that depends on aux and y alone, and of its first two
        derivatives in log aux.
        """
        if self.family[0] not in vectors.WITH_AUX:
            return ExactSum.zeros((len(sizes), 0))
        if self._different is None:  # rows with the same y and weight have the same terms
            pairs = np.stack([self.rows.y, self.rows.size])
            found, where = np.unique(pairs, axis=1, return_inverse=True)
            self._different = found[0], found[1], where.ravel()
        y, n, where = self._different
        sums = []
        for aux in sizes:
            values = n * log_rising(y, aux) if self.family[0] == "negbinomial" else _gamma_part(y, n * aux)
            sums.append(ExactSum.of(values[:, where].T).digits)
        return ExactSum(np.stack(sums))


def _gamma_part(y: Floats, shape: Floats) -> Floats:
    """(3, rows): s log(s y) - log Gamma(s) for the shape s of each row, and its derivatives in log s; zeros for a row
    of no weight, whose shape is zero.
    """
    some = shape > 0
    shape = np.where(some, shape, 1.0)
    near = log(shape) + log(y)
    first = shape * (near + 1 - digamma(shape))
    parts = np.stack([shape * near - log_gamma(shape), first, first + shape * (1 - shape * trigamma(shape))])
    return np.where(some, parts, 0.0)


def _edges(data: aghq.Packed, pieces: int) -> list[int]:
    """Bundles where pieces of work begin and end."""
    cuts = np.searchsorted(data.start, np.linspace(0, data.start[-1], pieces + 1)[1:-1])
    return [0, *(int(c) for c in cuts), data.bundles]


def _nodes(order: int, q: int) -> vectors.Nodes:
    rule = product_rule(order, q)
    return vectors.Nodes(rule.z, rule.scaled)


def _column_sums(columns: Sequence[Floats]) -> ExactSum:
    return ExactSum(np.reshape([ExactSum.of(column).digits for column in columns], (len(columns), DIGITS)))


def _plus(a: vectors.Evaluation, b: vectors.Evaluation) -> vectors.Evaluation:
    digits = add(ExactSum(a.digits), ExactSum(b.digits)).digits
    return vectors.Evaluation(digits, a.used + b.used, a.failed + b.failed)
