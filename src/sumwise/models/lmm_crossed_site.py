"""What a site does in the fit of a linear mixed model with crossed or nested grouping factors.

One pass over the rows brings Z'WZ and Z'W[X y], exact whatever the order of the rows; everything later comes from those
(maths/crossed.py).  An atom is a component: levels that a chain of rows joins lie at one site.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels import grouped
from sumwise.kernels.library import log
from sumwise.maths.columns import Column, cross_products
from sumwise.maths.crossed import Crossed, products
from sumwise.maths.crossing import Crossing
from sumwise.maths.exact import ExactSum
from sumwise.models.crossed_terms import RandomTerm, Terms
from sumwise.models.lmm_crossed import CrossedMoments
from sumwise.models.lmm_messages import Moments, MomentsQuestion, Question, Summand

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Rows(Protocol):
    """What a site knows of n rows.

    x: the p columns (n,) of the design matrix, named `columns`; y (n,); offset, weights (n,) or None; random: the terms
    in brackets, in the order of the formula, several of which may have the same factor.
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
    def random(self) -> Sequence[RandomTerm]: ...


class CrossedSite:
    """One site's answers; they depend on the rows and the question alone.

    exact: traces of second derivatives are worked out exactly also in large components, where estimates steer well
    enough.
    """

    def __init__(self, rows: Rows, *, exact: bool = False) -> None:
        self.rows = rows
        self.exact = exact
        self._terms = Terms(rows.random)
        self._kept = None if rows.weights is None or (rows.weights > 0).all() else np.flatnonzero(rows.weights > 0)
        self._crossing: Crossing | None = None
        self._crossed: tuple[bytes, Crossed] | None = None

    @property
    def blocks(self) -> tuple[int, ...]:
        """How many effects each term has."""
        return tuple(len(term.z) for term in self.rows.random)

    def answer(
        self, question: MomentsQuestion | Question, threads: Executor | None = None, workers: int = 1
    ) -> CrossedMoments | Summand:
        """The summand that the question asks for, computed by up to `workers` threads; their number changes no bit."""
        if isinstance(question, MomentsQuestion):
            return self._moments(self._each(threads, workers), workers)
        crossed = self._at_centre(question.centre, threads, workers)
        found = [
            crossed.sums(
                self._terms.factors(theta),
                self._terms.places(),
                threads,
                workers,
                second=question.second,
                exact=self.exact,
            )
            for theta in question.points
        ]
        digits = np.stack([sums.values.digits for sums in found])
        digits[:, :, 1:] = -digits[:, :, 1:]
        values = ExactSum.zeros(digits.shape[:-1]) + ExactSum(digits)  # carries
        explained = ExactSum.zeros(digits.shape[2] - 1) if question.explained else None
        return Summand(values, explained, sum(sums.failed for sums in found))

    def modes(
        self, question: Question, beta: Floats, threads: Executor | None = None, workers: int = 1
    ) -> tuple[list[Floats], list[Floats]]:
        """For each term the conditional modes of its effects (levels, q), and their conditional covariance in units of
        sigma^2, given beta and theta (levels, q, q).  They stay at the site: they are no sums.

        question: at the estimate; beta (p,): on the centred columns.
        """
        crossed = self._at_centre(question.centre, threads, workers)
        mode, spread = crossed.modes(self._terms.factors(question.points[0]), beta, threads, workers)
        return self._terms.by_term(mode), self._terms.by_term(spread)

    # -- the rows --

    def _each(self, threads: Executor | None, workers: int) -> Callable[..., Iterable[Any]]:
        small = len(self.rows.y) * len(self.rows.x) < 50_000
        return map if threads is None or workers == 1 or small else threads.map

    def _some(self, column: Floats) -> Floats:
        """Rows of positive weight."""
        return column if self._kept is None else column[self._kept]

    def _moments(self, each: Callable[..., Iterable[Any]], workers: int) -> CrossedMoments:
        rows, p = self.rows, len(self.rows.x)
        columns = [Column((column,)) for column in (*rows.x, rows.y)]
        if rows.offset is not None:
            columns.append(Column((rows.offset,)))
        weights = None if rows.weights is None else Column((rows.weights,))
        gram = cross_products(columns, weights, each, 1 if each is map else workers)
        crossing = self._cross()
        counts = {
            name: np.bincount(factor.code, minlength=factor.levels)
            for name, factor in zip(self._terms.names, crossing.factors, strict=True)
        }
        w = None if rows.weights is None else self._some(rows.weights)
        squares = [self._product(term, z, z, w) for term in rows.random for z in term.z]
        mixed = [
            self._product(term, one, other, w)
            for term in rows.random
            for i, one in enumerate(term.z)
            for other in term.z[:i]
        ]
        moments = Moments(
            gram if rows.offset is None else gram.minus(p, p + 1),
            len(rows.y) - gram.rows,
            None if w is None else ExactSum.of(log(w)),
            tuple(int(np.count_nonzero(counts[term.factor])) for term in rows.random),
            tuple(int(np.count_nonzero(counts[term.factor] == 1)) for term in rows.random),
            ExactSum(np.stack(squares)),
            ExactSum(np.stack(mixed)) if mixed else ExactSum.zeros(0),
        )
        return CrossedMoments.of(moments, tuple(len(pair) for pair in crossing.pairs.values()), self._between(w))

    def _product(self, term: RandomTerm, one: Floats, other: Floats, w: Floats | None) -> Ints:
        """Digits of the sum of w z_i z_j."""
        one, other = self._some(one), self._some(other)
        by_level = grouped.sums(one if w is None else w * one, other, self._code(term), len(term.groups))[0]
        return ExactSum.of(by_level).digits

    def _between(self, w: Floats | None) -> ExactSum:
        """`between` of the moments."""
        rows, sums = self.rows, []
        y = self._some(rows.y if rows.offset is None else rows.y - rows.offset)
        for term in rows.random:
            if "(Intercept)" not in term.columns:
                sums.append(ExactSum.zeros(2).digits)
                continue
            code, levels = self._code(term), len(term.groups)
            total = grouped.sums(w, y, code, levels)[0]
            weight = np.bincount(code, minlength=levels) * 1.0 if w is None else grouped.sums(None, w, code, levels)[0]
            used = weight > 0
            sums.append(ExactSum.of(np.column_stack([total[used] ** 2 / weight[used], weight[used] ** 2])).digits)
        return ExactSum(np.stack(sums))

    def _code(self, term: RandomTerm) -> Ints:
        code = term.group if self._kept is None else term.group[self._kept]
        return np.ascontiguousarray(code, dtype=np.int64)

    def _cross(self) -> Crossing:
        if self._crossing is None:
            self._crossing = self._terms.cross(self._code)
        return self._crossing

    def _at_centre(self, centre: Floats, threads: Executor | None, workers: int) -> Crossed:
        key = centre.tobytes()
        if self._crossed is None or self._crossed[0] != key:
            rows, each = self.rows, self._each(threads, workers)
            response = rows.y if rows.offset is None else rows.y - rows.offset
            columns = [
                self._some(column) if c == 0 else self._some(column) - c
                for column, c in zip((*rows.x, response), centre.tolist(), strict=True)
            ]
            z = [[self._some(column) for t in terms for column in rows.random[t].z] for terms in self._terms.of_factor]
            weights = None if rows.weights is None else self._some(rows.weights)
            values = products(self._cross(), z, columns, weights, each)
            self._crossed = (key, Crossed(self._cross(), values))
        return self._crossed[1]
