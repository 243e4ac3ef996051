"""Rows of crossed models, from plain arrays, and a fit of them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.models.lmm import Estimate
from sumwise.models.lmm_checks import Term
from sumwise.models.lmm_crossed import CrossedMixed
from sumwise.models.lmm_crossed_site import CrossedSite

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RandomTerm:
    """Satisfies lmm_crossed_site.RandomTerm."""

    z: Sequence[Floats]
    group: NDArray[np.int64]
    groups: Sequence[object]
    columns: tuple[str, ...]
    factor: str


@dataclass(frozen=True)
class Rows:
    """Satisfies lmm_crossed_site.Rows."""

    x: Sequence[Floats]
    columns: tuple[str, ...]
    y: Floats
    random: Sequence[RandomTerm]
    offset: Floats | None = None
    weights: Floats | None = None

    def some(self, which: NDArray[np.int64]) -> Rows:
        """Some of the rows, in the order given; levels that are left keep their labels."""

        def of(term: RandomTerm) -> RandomTerm:
            used, code = np.unique(term.group[which], return_inverse=True)
            labels = tuple(term.groups[u] for u in used)
            return RandomTerm([z[which] for z in term.z], code.astype(np.int64), labels, term.columns, term.factor)

        return Rows(
            [x[which] for x in self.x],
            self.columns,
            self.y[which],
            [of(term) for term in self.random],
            None if self.offset is None else self.offset[which],
            None if self.weights is None else self.weights[which],
        )


def term(group: str, labels: Sequence[object], **z: Floats) -> RandomTerm:
    """(1 + z | group), or with intercept=None first among z, (0 + z | group)."""
    names, code = np.unique(np.asarray(labels), return_inverse=True)
    effects = {"(Intercept)": np.ones(len(code)), **z}
    if "intercept" in effects:
        del effects["(Intercept)"], effects["intercept"]
    return RandomTerm(list(effects.values()), code.astype(np.int64), tuple(names.tolist()), tuple(effects), group)


def model_of(rows: Rows, method: str = "REML", **more: Any) -> CrossedMixed:
    """The model of these rows."""
    return CrossedMixed(rows.columns, tuple(Term(t.factor, t.columns) for t in rows.random), method, **more)


def fit(
    *sites: Rows, method: str = "REML", threads: Executor | None = None, exact: bool = False, **more: Any
) -> tuple[Estimate, list[CrossedSite]]:
    """The estimate from the rows of one site or several."""
    model = model_of(sites[0], method, **more)
    answering = [CrossedSite(rows, exact=exact) for rows in sites]
    state = model.start()
    while (question := model.ask(state)) is not None:
        answers = [site.answer(question, threads, 1 if threads is None else 2) for site in answering]
        state = model.step(state, reduce(add, answers))
    return model.finish(state), answering
