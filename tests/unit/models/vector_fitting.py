"""Rows with vectors of random effects for a site, and a fit over sites, without formula or tables."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sumwise import datasets
from sumwise.engines.local import LocalEngine
from sumwise.loop import Round, run
from sumwise.models.glmm_vectors import VectorEstimate, VectorModel
from sumwise.models.glmm_vectors_site import Site


@dataclass(frozen=True, slots=True)
class Rows:
    """What a site knows.  X (n, p), Z (n, q), y, size (n,), offset (n,) or None, group (n,) numbers into `groups`."""

    X: np.ndarray
    columns: tuple[str, ...]
    Z: np.ndarray
    effects: tuple[str, ...]
    y: np.ndarray
    size: np.ndarray
    offset: np.ndarray | None
    group: np.ndarray
    groups: tuple

    @property
    def x(self) -> tuple[np.ndarray, ...]:
        """The columns of X, as a site holds them."""
        return tuple(self.X.T)

    @property
    def z(self) -> tuple[np.ndarray, ...]:
        """The columns of Z."""
        return tuple(self.Z.T)

    def take(self, index: Sequence[int]) -> "Rows":
        """These rows, in this order; groups that are left without rows are left out."""
        index = np.asarray(index)
        numbers, code = np.unique(self.group[index], return_inverse=True)
        offset = None if self.offset is None else self.offset[index]
        parts = {"X": self.X[index], "Z": self.Z[index], "y": self.y[index], "size": self.size[index]}
        return replace(self, **parts, offset=offset, group=code, groups=tuple(self.groups[g] for g in numbers))

    def of(self, chosen: Sequence[int]) -> "Rows":
        """The rows of the groups with these numbers, in the order of the table."""
        return self.take(np.flatnonzero(np.isin(self.group, chosen)))


def make_rows(X, Z, y, labels, *, size=None, offset=None, columns=None, effects=None) -> Rows:
    """Rows from arrays; columns are called (Intercept), x1, x2, ... and effects alike unless named."""
    groups, code = np.unique(labels, return_inverse=True)
    X, Z = np.asarray(X, dtype=float), np.asarray(Z, dtype=float)
    names = columns or ("(Intercept)", *(f"x{j}" for j in range(1, X.shape[1])))
    terms = effects or ("(Intercept)", *(f"x{j}" for j in range(1, Z.shape[1])))
    n = np.ones(len(X)) if size is None else np.asarray(size, dtype=float)
    return Rows(X, tuple(names), Z, tuple(terms), np.asarray(y, dtype=float), n, offset, code, tuple(groups.tolist()))


def contraception() -> Rows:
    """use ~ age + age^2 + urban + livch + (1 + urban | district)"""
    frame = datasets.load("contraception")
    one, urban = np.ones(len(frame)), frame["urban"] == "Y"
    livch = [frame["livch"] == level for level in ("1", "2", "3plus")]
    X = np.column_stack([one, frame["age"], frame["age"] ** 2, urban, *livch])
    return make_rows(
        X, np.column_stack([one, urban]), frame["use"], frame["district"], effects=("(Intercept)", "urbanY")
    )


def simulated(
    family: str, groups: int, size: int, Lambda, *, columns=3, seed=0, intercept=0.3, trials=1, slopes=0.4, aux=2.0
) -> Rows:
    """Standard normal covariates with equal slopes; random effects of the intercept and the first covariates."""
    rng = np.random.default_rng([20261124, seed])
    n, q = groups * size, len(Lambda)
    X = np.column_stack([np.ones(n), rng.standard_normal((n, max(columns, q) - 1))])
    label = np.repeat(np.arange(groups), size)
    u = rng.standard_normal((groups, q)) @ np.asarray(Lambda, dtype=float).T
    eta = intercept + X[:, 1:].sum(axis=1) * slopes + np.sum(X[:, :q] * u[label], axis=1)
    weight = np.ones(n)
    if family == "binomial":
        weight = rng.integers(1, trials, n, endpoint=True).astype(float)
        y = rng.binomial(weight.astype(int), 1 / (1 + np.exp(-eta)))
    elif family == "poisson":
        y = rng.poisson(np.exp(eta))
    elif family == "negbinomial":
        y = rng.poisson(np.exp(eta) * rng.gamma(aux, 1 / aux, n))
    else:
        y = np.exp(eta) * rng.gamma(aux, 1 / aux, n)
    return make_rows(X, X[:, :q], y, label, size=weight)


def vector_model(rows: Rows, family="binomial", link="logit", blocks=None, nodes: int | str = "auto") -> VectorModel:
    """The model of these rows."""
    return VectorModel(rows.columns, "g", rows.effects, blocks or (len(rows.effects),), family, link, nodes)


@dataclass(frozen=True, slots=True)
class Fitted:
    """estimate; rounds."""

    estimate: VectorEstimate
    rounds: tuple[Round, ...]


def fit(
    *sites: Rows, family="binomial", link="logit", blocks=None, nodes: int | str = "auto", threads: int = 1
) -> Fitted:
    """Fit over the sites."""
    model = vector_model(sites[0], family, link, blocks, nodes)
    places = {f"site {i}": Site(rows, (family, link), model.blocks) for i, rows in enumerate(sites)}
    with LocalEngine(places, threads) as engine:
        state, rounds = run(model, engine)
    return Fitted(model.finish(state), rounds)
