"""What a site does in the fit of a linear mixed model with one grouping factor: sums over its groups.

The rows are passed over once, for the cross-products of each group, exact whatever the order of its rows.  Everything
later comes from those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels import grouped, lmm
from sumwise.kernels.library import log
from sumwise.maths import covariance
from sumwise.maths.columns import Column, cross_products
from sumwise.maths.exact import ExactSum
from sumwise.models.lmm_messages import Moments, MomentsQuestion, Question, Summand

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Rows(Protocol):
    """What a site knows of n rows.

    x: the p columns (n,) of the design matrix, named `columns`; y (n,); offset, weights (n,) or None; z: the columns
    (n,) of the effects, block by block; group (n,) numbers into `groups`.
    """

    @property
    def x(self) -> Sequence[Floats]: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def y(self) -> Floats: ...
    @property
    def offset(self) -> Floats | None: ...
    @property
    def weights(self) -> Floats | None: ...
    @property
    def z(self) -> Sequence[Floats]: ...
    @property
    def group(self) -> Ints: ...
    @property
    def groups(self) -> Sequence[object]: ...


@dataclass(frozen=True, slots=True)
class _Products:
    """By group, in twice the precision.  G (q (q + 1) / 2, 2, groups), B (q, p + 1, 2, groups) as in lmm.squeeze."""

    G: Floats
    B: Floats


class Site:
    """One site's answers; they depend on the rows and the question alone.

    rows: as above; blocks: how many effects each term has.
    """

    def __init__(self, rows: Rows, blocks: tuple[int, ...]) -> None:
        self.rows = rows
        self.blocks = blocks
        self._products: _Products | None = None
        self._squeezed: tuple[bytes, lmm.Squeezed] | None = None

    def answer(
        self, question: MomentsQuestion | Question, threads: Executor | None = None, workers: int = 1
    ) -> Moments | Summand:
        """The summand that the question asks for, computed by up to `workers` threads; their number changes no bit."""
        if isinstance(question, MomentsQuestion):
            return self._moments(threads, workers)
        data = self._squeeze(question.centre, threads, workers)
        each, pieces = self._each(len(self.rows.groups) * 50, threads, workers)
        digits, failed = lmm.shrink(
            data,
            [covariance.factor(theta, self.blocks) for theta in question.points],
            covariance.entries(self.blocks),
            second=question.second,
            each=each,
            pieces=pieces,
        )
        explained = ExactSum(data.digits) if question.explained else None
        return Summand(ExactSum(digits), explained, data.failed + failed)

    def modes(
        self, question: Question, beta: Floats, threads: Executor | None = None, workers: int = 1
    ) -> tuple[Floats, Floats]:
        """Conditional modes of the effects (groups, q), and their conditional covariance in units of sigma^2, given
        beta and theta (groups, q, q).  They stay at the site: they are no sums.

        question: at the estimate; beta (p,): on the centred columns.
        """
        data = self._squeeze(question.centre, threads, workers)
        S = covariance.relative(question.points[0], self.blocks)
        return _modes(_by_group(data.L, data.groups), _by_group(data.c, data.groups), S, beta)

    def _each(self, work: int, threads: Executor | None, workers: int) -> tuple[Callable[..., Iterable[Any]], int]:
        """The map to use, and over how many pieces: threads where they save more than they cost."""
        return (map, 1) if threads is None or workers == 1 or work < 100_000 else (threads.map, 2 * workers)

    def _moments(self, threads: Executor | None, workers: int) -> Moments:
        rows, p = self.rows, len(self.rows.x)
        each, pieces = self._each(len(rows.y) * (p + 1), threads, workers)
        columns = [Column((column,)) for column in (*rows.x, rows.y)]
        weights = None if rows.weights is None else Column((rows.weights,))
        if rows.offset is not None:
            columns.append(Column((rows.offset,)))
        gram = cross_products(columns, weights, each, pieces)
        counted = rows.group if rows.weights is None else rows.group[rows.weights > 0]
        counts = np.bincount(counted, minlength=len(rows.groups))
        logs = None if rows.weights is None else ExactSum.of(log(rows.weights[rows.weights > 0]))
        G, terms = self._cross_products(threads, workers).G, len(self.blocks)
        ends = np.cumsum([0, *self.blocks])
        inside = [(i, j) for a, b in pairwise(ends.tolist()) for i in range(a, b) for j in range(a, i)]

        def total(pairs: Iterable[tuple[int, int]]) -> ExactSum:
            return ExactSum.of(np.ascontiguousarray(G[[i * (i + 1) // 2 + j for i, j in pairs], 0].T))

        return Moments(
            gram if rows.offset is None else gram.minus(p, p + 1),
            len(rows.y) - gram.rows,
            logs,
            (int(np.count_nonzero(counts)),) * terms,
            (int(np.count_nonzero(counts == 1)),) * terms,
            total((i, i) for i in range(len(rows.z))),
            total(inside),
        )

    def _cross_products(self, threads: Executor | None, workers: int) -> _Products:
        if self._products is None:
            self._products = _products(self.rows, self._each(len(self.rows.y) * 10, threads, workers)[0])
        return self._products

    def _squeeze(self, centre: Floats, threads: Executor | None, workers: int) -> lmm.Squeezed:
        key = centre.tobytes()
        if self._squeezed is None or self._squeezed[0] != key:
            products, columns = self._cross_products(threads, workers), self.rows.columns
            intercept = columns.index("(Intercept)") if "(Intercept)" in columns else None
            each, pieces = self._each(len(self.rows.groups) * 50, threads, workers)
            self._squeezed = (key, lmm.squeeze(products.G, products.B, centre, intercept, each, pieces))
        return self._squeezed[1]


def _products(rows: Rows, each: Callable[..., Iterable[Any]]) -> _Products:
    """One pass over the rows."""
    code, groups = np.ascontiguousarray(rows.group, dtype=np.int64), len(rows.groups)
    left: list[Floats | None] = []
    for z in rows.z:
        weighted = z if rows.weights is None else z * rows.weights
        left.append(None if bool((weighted == 1).all()) else weighted)
    right = [*rows.x, rows.y, *([] if rows.offset is None else [rows.offset]), *rows.z]
    place: dict[tuple[int, int, int], int] = {}  # an effect is often a column too
    tasks: list[tuple[Floats | None, Floats]] = []

    def wanted(k: int, column: Floats) -> int:
        key = (k, column.ctypes.data, column.strides[0])
        if key not in place:
            place[key] = len(tasks)
            tasks.append((left[k], column))
        return place[key]

    at = [[wanted(k, column) for column in right] for k in range(len(left))]
    found = list(each(lambda task: grouped.sums(task[0], task[1], code, groups), tasks))
    q, p = len(left), len(rows.x)
    effects = len(right) - q
    B = np.array([[found[at[k][j]] for j in range(p + 1)] for k in range(q)])
    if rows.offset is not None:
        for k in range(q):
            B[k, p] = _less(B[k, p], found[at[k][p + 1]])
    G = np.array([found[at[k][effects + j]] for k in range(q) for j in range(k + 1)])
    return _Products(np.ascontiguousarray(G), np.ascontiguousarray(B))


def _less(a: Floats, b: Floats) -> Floats:
    """a - b, each (2, n) in twice the precision."""
    total = a[0] - b[0]
    back = total - a[0]
    rest = (a[0] - (total - back)) + (-b[0] - back) + (a[1] - b[1])
    return np.array([total + rest, rest - ((total + rest) - total)])


def _by_group(packed: Floats, groups: int) -> Floats:
    """(..., groups) from bundles (bundles, ..., 8)."""
    moved = np.moveaxis(packed, 0, -2)
    return moved.reshape((*moved.shape[:-2], -1))[..., :groups]


def _modes(L: Floats, c: Floats, S: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """L (q (q + 1) / 2, n), c (q, p + 1, n) by group; S = Lambda Lambda' (q, q) -> S L H^-1 c (-beta, 1) (n, q), and
    S - S L H^-1 L' S (n, q, q).  Elementwise, the sums in order.
    """
    q, n = len(S), L.shape[-1]
    lower = np.zeros((q, q, n))
    lower[np.tril_indices(q)] = L
    SL = np.zeros((q, q, n))
    for k in range(q):
        SL += S[:, k, None, None] * lower[k]
    F = np.zeros((q, q, n))  # F F' = H
    for i in range(q):
        for j in range(i + 1):
            x = np.full(n, 1.0 if i == j else 0.0)
            for k in range(q):
                x = x + lower[k, i] * SL[k, j]
            for k in range(j):
                x = x - F[i, k] * F[j, k]
            F[i, j] = np.sqrt(x) if i == j else x / F[j, j]
    rest = c[:, -1].copy()
    for j, b in enumerate(beta):
        rest -= c[:, j] * b
    half = np.concatenate([rest[:, None], np.moveaxis(SL, 1, 0)], axis=1)  # columns: c (-beta, 1), then L' S
    for i in range(q):
        for k in range(i):
            half[i] = half[i] - F[i, k] * half[k]
        half[i] = half[i] / F[i, i]
    mode, taken = np.zeros((q, n)), np.zeros((q, q, n))
    for k in range(q):
        mode += half[k, 1:] * half[k, 0]
        taken += half[k, 1:, None] * half[k, None, 1:]
    return np.ascontiguousarray(mode.T), np.ascontiguousarray(np.moveaxis(S[:, :, None] - taken, -1, 0))
