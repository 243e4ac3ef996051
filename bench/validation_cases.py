"""The models of the validation: simulated, small, with fixed seeds; families by bars by shapes, and the hard cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd

SHAPES: dict[str, list[int]] = {
    "balanced": [10] * 20,
    "few": [30] * 3,
    "unbalanced": [150, *([1, 2, 3] * 10)],
    "tiny": [3] * 60,
}
"""Sizes of the groups."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is simulated.  shape: one of SHAPES; intercept, slope: of x1; sd: of the effects of "1", "x1", "x2"; rho:
    correlation of the first two; trials: of a row, 1 for 0/1; moved: x1 is multiplied by moved[0] and shifted by
    moved[1]; noise: residual standard deviation (gaussian), shape (gamma, inverse gaussian), size (negbinomial).
    """

    shape: str = "balanced"
    intercept: float = 0.3
    slope: float = 0.5
    sd: tuple[float, float, float] = (0.8, 0.5, 0.4)
    rho: float = 0.3
    trials: int = 1
    moved: tuple[float, float] = (1.0, 0.0)
    noise: float = 2.0


@dataclass(frozen=True, slots=True)
class Case:
    """A model to fit.  kind: "glm", "lmm" or "glmm"; formula: as R and Sumwise read it; nodes: 0 where nothing is
    integrated; weights, offset: the name of a column, or ""; table: given for real data.
    """

    name: str
    kind: str
    formula: str
    family: str
    link: str
    truth: Truth = field(default_factory=Truth)
    method: str = "ML"
    nodes: int = 0
    weights: str = ""
    table: Any = None

    @property
    def data(self) -> pd.DataFrame:
        """The rows: of a simulated case they depend on family, link and truth alone."""
        return simulate(self.family, self.link, self.truth) if self.table is None else self.table

    @property
    def offset(self) -> str:
        """The column in offset(), or ""."""
        return "o" if "offset(o)" in self.formula else ""


def _mean(link: str, eta: np.ndarray) -> np.ndarray:
    from scipy.special import expit, ndtr

    return {
        "identity": lambda: eta,
        "logit": lambda: expit(eta),
        "probit": lambda: ndtr(eta),
        "cloglog": lambda: -np.expm1(-np.exp(eta)),
        "log": lambda: np.exp(eta),
        "inverse": lambda: 1 / (3 + np.abs(eta)),
        "1/mu^2": lambda: 1 / np.sqrt(3 + np.abs(eta)),
    }[link]()


def simulate(family: str, link: str, truth: Truth) -> pd.DataFrame:
    """Columns y, failures (of cbind), x1, x2, f (three levels), g, h (crossed with g), k (within g), o (offset), w."""
    rng = np.random.default_rng(crc32(repr((family, link, truth)).encode()))
    sizes = SHAPES[truth.shape]
    group = np.repeat(np.arange(len(sizes)), sizes)
    n, m = len(group), len(sizes)
    x1, x2 = rng.standard_normal((2, n))
    f = rng.integers(0, 3, n)
    h, k = rng.integers(0, 8, n), rng.integers(0, 3, n)
    o = rng.uniform(-0.7, 0.7, n)
    w = rng.integers(1, 5, n).astype(float)
    u = rng.standard_normal((m, 3)) * truth.sd
    if truth.sd[0]:
        u[:, 1] = truth.rho * truth.sd[1] / truth.sd[0] * u[:, 0] + np.sqrt(1 - truth.rho**2) * u[:, 1]
    eta = truth.intercept + truth.slope * x1 - 0.3 * x2 + np.array([0.0, 0.2, -0.2])[f] + o / 2
    eta = eta + u[group, 0] + u[group, 1] * x1 + u[group, 2] * x2
    eta = eta + 0.4 * rng.standard_normal(8)[h] * bool(truth.sd[0])
    mu = _mean(link, eta)
    y = {
        "gaussian": lambda: mu + truth.noise * rng.standard_normal(n) / np.sqrt(w),
        "binomial": lambda: rng.binomial(truth.trials, mu).astype(float),
        "poisson": lambda: rng.poisson(mu).astype(float),
        "negbinomial": lambda: rng.negative_binomial(truth.noise, truth.noise / (truth.noise + mu)).astype(float),
        "gamma": lambda: mu * rng.gamma(truth.noise, 1 / truth.noise, n),
        "inverse.gaussian": lambda: rng.wald(mu, truth.noise),
    }[family]()
    columns = {"y": y, "failures": truth.trials - y, "x1": truth.moved[1] + truth.moved[0] * x1, "x2": x2}
    labels = {"f": np.array(list("abc"))[f], "g": [f"g{i:02d}" for i in group], "h": [f"h{i}" for i in h]}
    return pd.DataFrame(columns | labels | {"k": [f"k{i}" for i in k], "o": o, "w": w})


GLM_FAMILIES = (
    ("binomial", "logit"),
    ("binomial", "probit"),
    ("binomial", "cloglog"),
    ("poisson", "log"),
    ("gamma", "inverse"),
    ("gamma", "log"),
    ("inverse.gaussian", "1/mu^2"),
    ("inverse.gaussian", "log"),
    ("negbinomial", "log"),
)
NO_EFFECTS = (0.0, 0.0, 0.0)


def _glms() -> Iterator[Case]:
    for family, link in GLM_FAMILIES:
        bounded = link in ("inverse", "1/mu^2")  # the mean must stay positive: moderate coefficients
        base = Truth(sd=NO_EFFECTS, slope=0.0 if bounded else 0.5)
        plain = [
            ("base", "y ~ x1 + x2", base, ""),
            ("factor and interaction", "y ~ x1 * f + x2", base, ""),
            ("overdispersed", "y ~ x1 + x2 + f", Truth(sd=(0.5, 0, 0), slope=base.slope), ""),
            ("n = 90", "y ~ x1 + f", Truth(shape="few", sd=NO_EFFECTS, slope=base.slope), ""),
            ("x1 * 1e-6 + 1e3", "y ~ x1 + x2", Truth(sd=NO_EFFECTS, slope=base.slope, moved=(1e-6, 1e3)), ""),
            ("x1 * 1e6", "y ~ x1 + x2", Truth(sd=NO_EFFECTS, slope=base.slope, moved=(1e6, 0)), ""),
        ]
        if family != "binomial":
            plain.append(("weights", "y ~ x1 + x2", base, "w"))
        if not bounded:
            plain.append(("offset", "y ~ x1 + x2 + offset(o)", base, ""))
        if family == "binomial":
            plain.append(
                ("rare", "y ~ x1 + x2", Truth(sd=NO_EFFECTS, intercept=-2.2 if link == "probit" else -4.0), "")
            )
            plain.append(("trials", "cbind(y, failures) ~ x1 + x2", Truth(sd=NO_EFFECTS, trials=12), ""))
            plain.append(("near-separation", "y ~ x1 + x2", Truth(sd=NO_EFFECTS, slope=8), ""))
        if family in ("poisson", "negbinomial"):
            plain.append(("counts of 3000", "y ~ x1 + x2", Truth(sd=NO_EFFECTS, intercept=8), ""))
            plain.append(("mostly zero", "y ~ x1 + x2", Truth(sd=NO_EFFECTS, intercept=-3), ""))
        for name, formula, truth, weights in plain:
            yield Case(f"{name}", "glm", formula, family, link, truth, weights=weights)


def _lmms() -> Iterator[Case]:
    one = Truth(noise=1.0)
    cases = [
        ("balanced", "(1 | g)", one, ""),
        ("balanced", "(1 + x1 | g)", one, ""),
        ("balanced", "(x1 || g)", one, ""),
        ("balanced", "(0 + x1 | g)", one, ""),
        ("balanced", "(1 + x1 + x2 | g)", one, ""),
        ("nested", "(1 | g) + (1 | g:k)", one, ""),
        ("nested", "(1 | g/k)", Truth(shape="few", noise=1.0), ""),
        ("crossed", "(1 | g) + (1 | h)", one, ""),
        ("crossed", "(1 + x1 | g) + (1 | h)", one, ""),
        ("crossed, unbalanced", "(1 | g) + (1 | h)", Truth(shape="unbalanced", noise=1.0), ""),
        ("crossed and nested", "(1 | g) + (1 | g:k) + (1 | h)", one, ""),
        ("unbalanced", "(1 | g)", Truth(shape="unbalanced", noise=1.0), ""),
        ("unbalanced", "(1 + x1 | g)", Truth(shape="unbalanced", noise=1.0), ""),
        ("three groups", "(1 | g)", Truth(shape="few", noise=1.0), ""),
        ("three groups", "(1 + x1 | g)", Truth(shape="few", noise=1.0), ""),
        ("groups of 3", "(1 | g)", Truth(shape="tiny", noise=1.0), ""),
        ("groups of 3", "(1 + x1 | g)", Truth(shape="tiny", noise=1.0), ""),
        ("zero variance", "(1 | g)", Truth(sd=NO_EFFECTS, noise=1.0), ""),
        ("zero variance", "(1 + x1 | g)", Truth(sd=NO_EFFECTS, noise=1.0), ""),
        ("zero variance", "(1 | g) + (1 | h)", Truth(sd=NO_EFFECTS, noise=1.0), ""),
        ("no slope variance", "(1 + x1 | g)", Truth(sd=(0.8, 0, 0), noise=1.0), ""),
        ("correlation 1", "(1 + x1 | g)", Truth(rho=1.0, sd=(0.8, 0.5, 0), noise=1.0), ""),
        ("correlation -1", "(1 + x1 | g)", Truth(rho=-1.0, sd=(0.8, 0.5, 0), noise=1.0), ""),
        ("small residual", "(1 + x1 | g)", Truth(noise=0.01), ""),
        ("large residual", "(1 | g)", Truth(noise=30.0), ""),
        ("weights", "(1 | g)", one, "w"),
        ("weights", "(1 + x1 | g)", one, "w"),
        ("offset", "(1 | g) + offset(o)", one, ""),
        ("x1 * 1e-6", "(1 + x1 | g)", Truth(noise=1.0, moved=(1e-6, 0)), ""),
        ("x1 * 1e4", "(1 + x1 | g)", Truth(noise=1.0, moved=(1e4, 0)), ""),
        ("x1 + 100", "(1 + x1 | g)", Truth(noise=1.0, moved=(1, 100)), ""),
    ]
    for name, bars, truth, weights in cases:
        for method in ("REML", "ML"):
            formula = f"y ~ x1 + x2 + {bars}"
            yield Case(name, "lmm", formula, "gaussian", "identity", truth, method, weights=weights)


GLMM_FAMILIES = (*GLM_FAMILIES[:4], ("negbinomial", "log"), ("gamma", "log"))
SLOPE_NODES = 25
"""Nodes a dimension for two effects.  A product of rules depends on how its axes lie, which programs choose
differently: with 9 nodes that is up to 1e-5 of a log-likelihood, with 25 it is nothing."""

BARS = ("(1 | g)", "(1 + x1 | g)", "(x1 || g)", "(0 + x1 | g)")


def _glmms() -> Iterator[Case]:
    for nodes in (1, 9):
        for family, link in GLMM_FAMILIES:
            for bar in BARS if nodes == 1 else (BARS[0], BARS[1], BARS[3]):
                yield _glmm("balanced", bar, family, link, Truth(), nodes)
            yield _glmm("zero variance", BARS[0], family, link, Truth(sd=NO_EFFECTS), nodes)
            yield _glmm("unbalanced", BARS[0], family, link, Truth(shape="unbalanced"), nodes)
            yield _glmm("offset", f"{BARS[0]} + offset(o)", family, link, Truth(), nodes)
        for family, link in (GLMM_FAMILIES[0], GLMM_FAMILIES[3]):
            for bar in BARS[:2]:
                yield _glmm("three groups", bar, family, link, Truth(shape="few"), nodes)
                yield _glmm("groups of 3", bar, family, link, Truth(shape="tiny"), nodes)
                yield _glmm("large effects", bar, family, link, Truth(sd=(2, 1, 0)), nodes)
                yield _glmm("x1 * 1e4", bar, family, link, Truth(moved=(1e4, 0)), nodes)
                yield _glmm("x1 + 100", bar, family, link, Truth(moved=(1, 100)), nodes)
            yield _glmm("correlation 1", BARS[1], family, link, Truth(rho=1.0, sd=(0.8, 0.5, 0)), nodes)
            yield _glmm("correlation -1", BARS[1], family, link, Truth(rho=-1.0, sd=(0.8, 0.5, 0)), nodes)
            yield _glmm("no slope variance", BARS[1], family, link, Truth(sd=(0.8, 0, 0)), nodes)
            yield _glmm("zero variance", BARS[1], family, link, Truth(sd=NO_EFFECTS), nodes)
            yield _glmm("unbalanced", BARS[1], family, link, Truth(shape="unbalanced"), nodes)
        for bar in BARS[:2]:
            yield _glmm("rare", bar, "binomial", "logit", Truth(intercept=-3.5), nodes)
            yield _glmm("near-separation", bar, "binomial", "logit", Truth(slope=6, sd=(0.8, 0.5, 0)), nodes)
            yield _glmm("trials", bar, "binomial", "logit", Truth(trials=12), nodes)
            yield _glmm("counts of 1000", bar, "poisson", "log", Truth(intercept=7), nodes)
            yield _glmm("mostly zero", bar, "poisson", "log", Truth(intercept=-2), nodes)
        yield _glmm("weights", BARS[0], "poisson", "log", Truth(), nodes, weights="w")
    for family, link in (GLMM_FAMILIES[0], GLMM_FAMILIES[3]):
        for nodes in (1, 15):
            yield _glmm("three effects", "(1 + x1 + x2 | g)", family, link, Truth(), nodes)


def _glmm(name: str, bars: str, family: str, link: str, truth: Truth, nodes: int, *, weights: str = "") -> Case:
    left = "cbind(y, failures)" if truth.trials > 1 else "y"
    nodes = SLOPE_NODES if nodes == 9 and "1 + x1" in bars else nodes
    return Case(name, "glmm", f"{left} ~ x1 + x2 + {bars}", family, link, truth, nodes=nodes, weights=weights)


def cases() -> list[Case]:
    """All simulated models, in the order of the table."""
    return [*_glms(), *_lmms(), *_glmms()]
