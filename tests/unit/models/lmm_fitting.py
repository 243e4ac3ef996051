"""Rows for a site of a linear mixed model, and a fit over sites, without formula or tables."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from sumwise.engines.local import LocalEngine
from sumwise.loop import Round, run
from sumwise.models.lmm import Estimate, LinearMixed, Term
from sumwise.models.lmm_site import Site


@dataclass(frozen=True, slots=True)
class Rows:
    """What a site knows, as in lmm_site.Rows.  X (n, p), Z (n, q)."""

    X: np.ndarray
    columns: tuple[str, ...]
    y: np.ndarray
    Z: np.ndarray
    group: np.ndarray
    groups: tuple
    offset: np.ndarray | None = None
    weights: np.ndarray | None = None

    @property
    def x(self) -> tuple[np.ndarray, ...]:
        return tuple(self.X.T)

    @property
    def z(self) -> tuple[np.ndarray, ...]:
        return tuple(self.Z.T)

    def at(self, rows: np.ndarray) -> "Rows":
        """These rows, in this order; groups without rows are dropped."""
        numbers, code = np.unique(self.group[rows], return_inverse=True)
        return replace(
            self,
            X=self.X[rows],
            y=self.y[rows],
            Z=self.Z[rows],
            group=code.astype(np.int64),
            groups=tuple(self.groups[g] for g in numbers),
            offset=None if self.offset is None else self.offset[rows],
            weights=None if self.weights is None else self.weights[rows],
        )


def make_rows(X, y, labels, Z=None, *, columns=None, offset=None, weights=None) -> Rows:
    """Rows from arrays; columns are called (Intercept), x1, x2, ... unless named; Z: ones unless given."""
    groups, code = np.unique(labels, return_inverse=True)
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    names = columns or ("(Intercept)", *(f"x{j}" for j in range(1, X.shape[1])))
    Z = np.ones((len(y), 1)) if Z is None else np.asarray(Z, dtype=float)
    return Rows(X, tuple(names), y, Z, code.astype(np.int64), tuple(groups.tolist()), offset, weights)


@dataclass(frozen=True, slots=True)
class Fitted:
    """estimate; rounds; modes (groups, q) and their covariance (groups, q, q) at the first site."""

    model: LinearMixed
    estimate: Estimate
    rounds: tuple[Round, ...]
    modes: np.ndarray
    spread: np.ndarray


def fit(
    rows: Rows | Sequence[Rows],
    effects: Sequence[Sequence[str]] = (("(Intercept)",),),
    *,
    group: str = "g",
    threads: int = 1,
    **options,
) -> Fitted:
    """The fit to rows at one site or several; effects: names by term."""
    sites = [rows] if isinstance(rows, Rows) else list(rows)
    model = LinearMixed(sites[0].columns, tuple(Term(group, tuple(names)) for names in effects), **options)
    asked = {str(k): Site(site, model.blocks) for k, site in enumerate(sites)}
    with LocalEngine(asked, threads) as engine:
        state, rounds = run(model, engine)
    estimate = model.finish(state)
    with ThreadPoolExecutor(1) as pool:
        modes, spread = asked["0"].modes(estimate.question, estimate.centred, pool, 1)
    return Fitted(model, estimate, rounds, modes, spread)


def simulated(groups: int, size: int, *, columns=2, slope=False, theta=1.0, seed=0) -> Rows:
    """y = 0.5 (x1 + x2 + ...) + intercepts (and slopes of x1) of standard deviation theta + standard normal errors."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(groups), size)
    X = np.column_stack([np.ones(len(label)), rng.standard_normal((len(label), columns - 1))])
    Z = X[:, : 2 if slope else 1]
    u = theta * rng.standard_normal((groups, Z.shape[1]))
    y = X[:, 1:].sum(axis=1) / 2 + (Z * u[label]).sum(axis=1) + rng.standard_normal(len(label))
    return make_rows(X, y, label, Z)
