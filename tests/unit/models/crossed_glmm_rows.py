"""Rows of generalized crossed models, from plain arrays, and a fit of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.engines.local import LocalEngine
from sumwise.loop import run
from sumwise.models.glmm_crossed import CrossedModel
from sumwise.models.glmm_crossed_messages import CrossedQuestion
from sumwise.models.glmm_crossed_site import CrossedSite
from sumwise.models.glmm_vectors import VectorEstimate
from tests.unit.models import crossed_rows
from tests.unit.models.crossed_rows import RandomTerm

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows(crossed_rows.Rows):
    """Satisfies glmm_crossed_site.CrossedRows."""

    size: Floats = field(kw_only=True)

    @property
    def z(self) -> list[Floats]:
        """The columns of all terms."""
        return [column for term in self.random for column in term.z]

    @property
    def group(self) -> NDArray[np.int64]:
        """Of the first factor."""
        return self.random[0].group

    @property
    def groups(self) -> tuple[object, ...]:
        """Of the first factor."""
        return tuple(self.random[0].groups)

    def some(self, which: NDArray[np.int64]) -> Rows:
        """Some of the rows, in the order given."""
        part = crossed_rows.Rows.some(self, which)
        return Rows(part.x, part.columns, part.y, part.random, part.offset, size=self.size[which])


def model_of(rows: Rows, family: tuple[str, str], **more: Any) -> CrossedModel:
    """The model of these rows."""
    groups = tuple(term.factor for term in rows.random)
    effects = tuple(name for term in rows.random for name in term.columns)
    return CrossedModel(
        rows.columns,
        " and ".join(groups),
        effects,
        tuple(len(t.z) for t in rows.random),
        *family,
        groups=groups,
        **more,
    )


def question(centre: Floats, points: Floats, *, near: Floats | None = None, metric: bool = False) -> CrossedQuestion:
    """At the points (k, P); near: none unless given."""
    way = points[:0] if near is None else near
    return CrossedQuestion(centre, points, (1,), np.inf, -1, columns=0, near=way, metric=metric, rough=metric)


def fit(*sites: Rows, family: tuple[str, str], threads: int = 1, **more: Any) -> VectorEstimate:
    """The estimate from the rows of one site or several."""
    model = model_of(sites[0], family, **more)
    with LocalEngine({str(k): CrossedSite(rows, family) for k, rows in enumerate(sites)}, threads) as engine:
        return model.finish(run(model, engine)[0])


def term(group: str, code: Sequence[int] | NDArray[np.int64], **z: Floats) -> RandomTerm:
    """(0 + z | group)."""
    labels, numbers = np.unique(code, return_inverse=True)
    return RandomTerm(list(z.values()), numbers.astype(np.int64), tuple(labels.tolist()), tuple(z), group)


def response(family: str, eta: Floats, rng: np.random.Generator, trials: int = 4) -> tuple[Floats, Floats]:
    """y and size."""
    n = len(eta)
    size = rng.integers(1, trials + 1, n).astype(float)
    if family == "binomial":
        return rng.binomial(size.astype(int), 1 / (1 + np.exp(-eta))).astype(float), size
    if family == "poisson":
        return rng.poisson(np.exp(eta)).astype(float), np.ones(n)
    if family == "negbinomial":
        return rng.poisson(np.exp(eta) * rng.gamma(2.0, 0.5, n)).astype(float), size
    return np.exp(eta) * rng.gamma(2.0, 0.5, n) + 1e-3, size


def simulated(
    family: str, seed: int, islands: int, *, rows: int = 30, slope: bool = False, offset: bool = False
) -> Rows:
    """Levels of an island meet only each other: five of a, three of b."""
    rng = np.random.default_rng(seed)
    n = rows * islands
    island = np.repeat(np.arange(islands), rows)
    a, b = island * 5 + rng.integers(0, 5, n), island * 3 + rng.integers(0, 3, n)
    x, ones = rng.normal(size=n), np.ones(n)
    random = [term("a", a, **{"(Intercept)": ones}), term("b", b, **{"(Intercept)": ones})]
    if slope:
        random.insert(1, term("b", b, x=x))  # two terms of one factor, apart
    eta = 0.3 + 0.4 * x + 0.6 * rng.normal(size=5 * islands)[a] + 0.5 * rng.normal(size=3 * islands)[b]
    y, size = response(family, eta, rng)
    more = 0.1 * rng.normal(size=n) if offset else None
    return Rows([ones, x], ("(Intercept)", "x"), y, random, more, size=size)
