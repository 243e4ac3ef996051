"""Rows for a site, and a fit over sites, without formula or tables."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sumwise import datasets
from sumwise.engines.local import LocalEngine
from sumwise.loop import Round, run
from sumwise.maths.newton import State as Ascent
from sumwise.models.glmm import Estimate, RandomIntercept
from sumwise.models.glmm_site import Site


@dataclass(frozen=True, slots=True)
class Rows:
    """What a site knows.  X (n, p), y, size (n,), offset (n,) or None, group (n,) numbers into `groups`."""

    X: np.ndarray
    columns: tuple[str, ...]
    y: np.ndarray
    size: np.ndarray
    offset: np.ndarray | None
    group: np.ndarray
    groups: tuple

    @property
    def x(self) -> tuple[np.ndarray, ...]:
        """The columns of X, as a site holds them."""
        return tuple(self.X.T)

    def of(self, chosen: Sequence[int]) -> "Rows":
        """The rows of the groups with these numbers, in the order of the table."""
        keep = np.isin(self.group, chosen)
        numbers, code = np.unique(self.group[keep], return_inverse=True)
        offset = None if self.offset is None else self.offset[keep]
        return replace(
            self,
            X=self.X[keep],
            y=self.y[keep],
            size=self.size[keep],
            offset=offset,
            group=code,
            groups=tuple(self.groups[g] for g in numbers),
        )


def make_rows(X, y, labels, *, size=None, offset=None, columns=None) -> Rows:
    """Rows from arrays; columns are called (Intercept), x1, x2, ... unless named."""
    groups, code = np.unique(labels, return_inverse=True)
    names = columns or ("(Intercept)", *(f"x{j}" for j in range(1, X.shape[1])))
    return Rows(
        np.asarray(X, dtype=float),
        tuple(names),
        np.asarray(y, dtype=float),
        np.ones(len(y)) if size is None else np.asarray(size, dtype=float),
        offset,
        code,
        tuple(groups.tolist()),
    )


def shipped(name: str) -> Rows:
    """A shipped data set in the columns of its reference answer (tests/reference)."""
    frame = datasets.load(name)
    one = np.ones(len(frame))
    if name == "cbpp":
        X = np.column_stack([one, *(frame["period"] == level for level in (2, 3, 4))])
        return make_rows(X, frame["incidence"], frame["herd"], size=frame["size"])
    if name == "contraception":
        livch = [frame["livch"] == level for level in ("1", "2", "3plus")]
        X = np.column_stack([one, frame["age"], frame["age"] ** 2, frame["urban"] == "Y", *livch])
        return make_rows(X, frame["use"], frame["district"])
    drug = frame["treatment"] == "terbinafine"
    X = np.column_stack([one, drug, frame["time"], drug * frame["time"]])
    return make_rows(X, frame["outcome"], frame["patientID"])


def simulated(groups: int, size: int, *, columns=3, theta=1.0, trials=1, seed=0, intercept=-0.3) -> Rows:
    """A logistic random-intercept model with standard normal covariates and slopes 0.5."""
    rng = np.random.default_rng([20261123, seed])
    n = groups * size
    X = np.column_stack([np.ones(n), rng.standard_normal((n, columns - 1))])
    label = np.repeat(np.arange(groups), size)
    eta = intercept + X[:, 1:].sum(axis=1) * 0.5 + theta * rng.standard_normal(groups)[label]
    sizes = rng.integers(1, trials, n, endpoint=True)
    return make_rows(X, rng.binomial(sizes, 1 / (1 + np.exp(-eta))), label, size=sizes)


@dataclass(frozen=True, slots=True)
class Fitted:
    """estimate; rounds; ascents: Newton's state after each evaluation."""

    estimate: Estimate
    rounds: tuple[Round, ...]
    ascents: tuple[Ascent, ...]

    @property
    def logliks(self) -> list[float]:
        """Log-likelihood (without binomial coefficients) of the best point after each evaluation."""
        return [ascent.best.value for ascent in self.ascents if ascent.best is not None]


class EndlessError(AssertionError):
    """A fit that asked more often than any fit should."""


def fit(*sites: Rows, nodes: int | str = "auto", threads: int = 1) -> Fitted:
    """Fit over the sites.  Raises EndlessError after 120 rounds: the model itself gives up after 100."""
    ascents: list[Ascent] = []

    def watch(round_: Round, state) -> None:
        if round_.number > 120:
            raise EndlessError(f"round {round_.number}")
        if round_.number > 1:
            ascents.append(state.ascent)

    model = RandomIntercept(sites[0].columns, "g", nodes)
    with LocalEngine({f"site {i}": Site(rows) for i, rows in enumerate(sites)}, threads) as engine:
        state, rounds = run(model, engine, watch)
    return Fitted(model.finish(state), rounds, tuple(ascents))
