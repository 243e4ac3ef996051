"""What a site does in the fit of a generalized model with several grouping factors: it answers with sums.

An atom is a component: levels that a chain of rows joins lie at one site.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.schur import SHARED, Spaces
from sumwise.kernels.vectors import WITH_AUX
from sumwise.maths.elementary import exp
from sumwise.maths.exact import ExactSum
from sumwise.maths.laplace import Answer, Laplace
from sumwise.maths.laplace_modes import DECREMENT, ROUGH, Modes, Place, Rows, Search
from sumwise.models import glmm_vectors_site
from sumwise.models.crossed_terms import RandomTerm, Terms
from sumwise.models.glmm_crossed_messages import CrossedMoments, CrossedQuestion, CrossedSummand
from sumwise.models.glmm_vectors_messages import VectorMomentsQuestion

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_WORK = 4_000
"""Rows from which points are worth a thread each."""


class CrossedRows(glmm_vectors_site.Rows, Protocol):
    """Rows of a model with vectors of effects, whose z are the columns of all terms, and whose group and groups are
    those of the first factor.   random: the terms in the order of the formula.
    """

    @property
    def random(self) -> Sequence[RandomTerm]: ...


class CrossedSite:
    """One site's answers; they depend on the rows and the question alone.  family: name and link."""

    def __init__(self, rows: CrossedRows, family: tuple[str, str]) -> None:
        self.rows = rows
        self.family = family
        self.terms = Terms(rows.random)
        self._by_row = glmm_vectors_site.Site(rows, family, self.terms.blocks)
        self._crossing = self.terms.cross(lambda term: np.ascontiguousarray(term.group, dtype=np.int64))
        self._at_centre: tuple[bytes, Laplace] | None = None
        self._known: dict[bytes, list[Floats]] = {}

    def answer(
        self, question: VectorMomentsQuestion | CrossedQuestion, threads: Executor | None = None, workers: int = 1
    ) -> CrossedMoments | CrossedSummand:
        """The summand that the question asks for, computed by up to `workers` threads; their number changes no bit."""
        if isinstance(question, VectorMomentsQuestion):
            return self._moments()
        laplace, spaces = self._laplace(question.centre), self._spaces()
        places = [self._place(point) for point in question.points]
        entries = self.terms.places()
        base = self._base(question, spaces, threads, workers)
        found = [laplace.answer(places[0], base, entries, spaces, threads, workers, metric=question.metric)]
        start, decrement = (None if base.failed.any() else base.u), (ROUGH if question.rough else DECREMENT)

        def near(place: Place) -> Answer:
            own = spaces if alone else self._spaces()
            inside = (threads, workers) if alone else (None, 1)
            modes = laplace.search.modes(place, start, own, *inside, decrement=decrement)
            return laplace.answer(place, modes, entries, own, *inside, metric=False)

        # large components use all threads for each point
        alone = threads is None or workers == 1 or len(self.rows.y) < LEAST_WORK or self._has_large()
        each = map if alone or threads is None else threads.map
        found += each(near, places[1:])
        values = ExactSum(np.stack([one.values.digits for one in found]))
        if self.family[0] in WITH_AUX:
            known = self._by_row.constants([place.aux for place in places]).digits
            constants = np.zeros_like(values.digits)
            constants[:, [0, -1]] = known[:, :2]  # of the value, and of its derivative in log aux
            values += ExactSum(constants)
        return CrossedSummand(values, found[0].metric, tuple(one.failed for one in found))

    def modes(
        self, question: CrossedQuestion, threads: Executor | None = None, workers: int = 1
    ) -> tuple[list[Floats], list[Floats]]:
        """Per factor the conditional modes of its effects (levels, q) at the question's first point, and their
        conditional covariance there (levels, q, q).  They stay at the site: they are no sums.
        """
        laplace, spaces, place = self._laplace(question.centre), self._spaces(), self._place(question.points[0])
        found: Modes = laplace.search.modes(place, None, spaces, threads, workers)
        return laplace.effects(place, found, spaces, threads, workers)

    def _base(
        self, question: CrossedQuestion, spaces: Sequence[Spaces], threads: Executor | None, workers: int
    ) -> Modes:
        """At the question's first point.  Those of points on the way are remembered, or searched again."""
        search, start = self._laplace(question.centre).search, None
        keys = [question.centre.tobytes() + question.near[:k].tobytes() for k in range(len(question.near) + 1)]
        for k, key in enumerate(keys[1:]):
            known = self._known.get(key)
            if known is None and not any(later in self._known for later in keys[k + 2 :]):
                found = search.modes(self._place(question.near[k]), start, spaces, threads, workers)
                known = None if found.failed.any() else found.u
            start = known
        base = search.modes(self._place(question.points[0]), start, spaces, threads, workers)
        self._known = {} if start is None else {keys[-1]: start}
        if not base.failed.any():
            self._known[keys[-1] + question.points[0].tobytes()] = base.u
        return base

    # -- the rows --

    def _place(self, point: Floats) -> Place:
        p, m = len(self.rows.x), len(self.terms.places())
        aux = float(exp(point[p + m])) if len(point) > p + m else 1.0
        return Place(point[:p], self.terms.factors(point[p : p + m]), aux)

    def _laplace(self, centre: Floats) -> Laplace:
        """centre (p + q,): of the columns of X and of Z, those of all terms in their order."""
        key = centre.tobytes()
        if self._at_centre is None or self._at_centre[0] != key:
            rows, p = self.rows, len(self.rows.x)
            shifts = iter(centre[p:].tolist())
            by_term = [[_column(z, next(shifts)) for z in term.z] for term in rows.random]
            z = [[column for t in terms for column in by_term[t]] for terms in self.terms.of_factor]
            x = [column if c == 0 else column - c for column, c in zip(rows.x, centre[:p].tolist(), strict=True)]
            all_rows = Rows(x, z, rows.y, rows.size, rows.offset, self.family)
            self._at_centre = (key, Laplace(Search(self._crossing, all_rows)))
        return self._at_centre[1]

    def _spaces(self) -> list[Spaces]:
        return [Spaces() for _ in self._crossing.parts]

    def _has_large(self) -> bool:
        return any(int(np.diff(part.pattern.component).max(initial=0)) > SHARED for part in self._crossing.parts)

    def _moments(self) -> CrossedMoments:
        both, rows, binomial = self._by_row.moments(), self.rows, self.family[0] == "binomial"
        counts = []
        for terms, factor in zip(self.terms.of_factor, self._crossing.factors, strict=True):
            several = np.bincount(factor.code, minlength=factor.levels)
            used, effects = several > 0, sum(self.terms.blocks[t] for t in terms)
            alike = single = 0
            if binomial:  # whole numbers, whose sums are exact in any order
                Y = np.bincount(factor.code, rows.y, minlength=factor.levels)
                N = np.bincount(factor.code, rows.size, minlength=factor.levels)
                alike, single = int(np.sum(used & (N > 1) & ((Y == 0) | (Y == N)))), int(np.sum(N == 1))
            counts.append((int(used.sum()), int(np.sum(several >= effects)), alike, single))
        meeting = tuple(len(pair) for pair in self._crossing.pairs.values())
        return CrossedMoments.of(both, tuple(counts), meeting)


def _column(z: Floats, shift: float) -> Floats | None:
    """z - shift; None for ones."""
    column = z if shift == 0 else z - shift
    return None if bool(np.all(column == 1)) else column
