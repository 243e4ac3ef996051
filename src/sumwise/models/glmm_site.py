"""What a site does in the fit of a random-intercept model: it answers questions with sums over its groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels import aghq
from sumwise.maths.binomial import log_choose
from sumwise.maths.exact import ExactSum
from sumwise.maths.quadrature import gauss_hermite
from sumwise.models.glmm_messages import Moments, MomentsQuestion, Question, Summand

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Rows(Protocol):
    """What a site knows: x, the p columns (n,) of the design matrix, named `columns`; y and size (n,) successes and
    trials; offset (n,) or None; group (n,) numbers into `groups`.
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
    def group(self) -> Ints: ...
    @property
    def groups(self) -> tuple[object, ...]: ...


class Site:
    """One site's answers.  Keeps the rows packed for the kernel; what it answers depends on the rows and
    the question alone.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._packed: tuple[bytes, aghq.Packed] | None = None

    def answer(
        self, question: MomentsQuestion | Question, threads: Executor | None = None, workers: int = 1
    ) -> Moments | Summand:
        """The summand that the question asks for, computed by up to `workers` threads; their number changes no bit."""
        if isinstance(question, MomentsQuestion):
            return self._moments(self._each(threads, workers))
        pieces = self._evaluate(question, threads, workers)
        return reduce(add, (Summand(ExactSum(p.digits), tuple(p.used.tolist()), p.failed) for p in pieces))

    def modes(self, question: Question, threads: Executor | None = None, workers: int = 1) -> tuple[Floats, Floats]:
        """Conditional mode u^ and scale s of each group, both (groups,).  They stay at the site: they are no sums."""
        mode, scale = np.empty(len(self.rows.groups)), np.empty(len(self.rows.groups))
        self._evaluate(replace(question, orders=(1,)), threads, workers, (mode, scale))
        return mode, scale

    def _each(self, threads: Executor | None, workers: int) -> Callable[..., Iterable[Any]]:
        """The map to use over pieces of work: that of the threads, where they save more than they cost."""
        small = len(self.rows.y) * (len(self.rows.x) + 1) < 20_000
        return map if threads is None or workers == 1 or small else threads.map

    def _moments(self, each: Callable[..., Iterable[Any]]) -> Moments:
        rows = self.rows
        Y = np.bincount(rows.group, rows.y, minlength=len(rows.groups))
        N = np.bincount(rows.group, rows.size, minlength=len(rows.groups))
        by_group = ExactSum.of(np.column_stack([Y, N, Y * Y, Y * N, N * N]))
        constant = ExactSum.of(log_choose(rows.size, rows.y))
        totals = ExactSum(np.concatenate([by_group.digits, constant.digits[None]]))
        columns = [total.digits for total in each(ExactSum.of, rows.x)]
        shape = (len(columns), *constant.digits.shape)
        alike = int(np.sum((N > 1) & ((Y == 0) | (Y == N))))
        return Moments(len(rows.y), len(rows.groups), alike, ExactSum(np.reshape(columns, shape)), totals)

    def _evaluate(
        self,
        question: Question,
        threads: Executor | None,
        workers: int,
        modes: tuple[Floats, Floats] | None = None,
    ) -> list[aghq.Evaluation]:
        each = self._each(threads, workers)
        data = self._pack(question.centre, each)
        rules = tuple((rule.z, rule.scaled) for rule in map(gauss_hermite, question.orders))

        def piece(bounds: tuple[int, int]) -> aghq.Evaluation:
            return aghq.evaluate(data, question.beta, question.theta, rules, question.tolerance, *bounds, modes)

        if each is map:
            return [piece((0, data.bundles))]
        cuts = np.searchsorted(data.start, np.linspace(0, data.start[-1], 8 * workers + 1)[1:-1])
        edges = [0, *(int(c) for c in cuts), data.bundles]
        return list(each(piece, pairwise(edges)))

    def _pack(self, centre: Floats, each: Callable[..., Iterable[Any]]) -> aghq.Packed:
        key = centre.tobytes()
        if self._packed is None or self._packed[0] != key:
            rows = self.rows
            packed = aghq.pack(rows.x, rows.y, rows.size, rows.offset, rows.group, len(rows.groups), centre, each)
            self._packed = (key, packed)
        return self._packed[1]
