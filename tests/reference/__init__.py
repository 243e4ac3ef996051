"""Reference answers and how to read them; README.md in this folder says where each comes from."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent


def load(name: str) -> dict[str, Any]:
    """The JSON file `name` of this folder, e.g. "cbpp", "laplace_toenail" or "two_sites"."""
    return json.loads((FOLDER / f"{name}.json").read_text())


@dataclass(frozen=True, slots=True)
class Answer:
    """A quadrature value and its derivatives in (beta, theta): gradient (p + 1,), hessian (p + 1, p + 1)."""

    loglik: float
    gradient: np.ndarray
    hessian: np.ndarray


@dataclass(frozen=True, slots=True)
class Point:
    """One case of aghq_points.json in float64: data and parameters exact, answers rounded from 25 digits.

    X (n, p), y (n,), trials (n,), offset (n,), group (n,) labels 0 ... groups - 1 in order; beta (p,), theta.
    mode, scale (groups,): u_hat and s.  by_nodes {node count: Answer}, without the binomial coefficients;
    log_choose is the sum of their logarithms.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    trials: np.ndarray
    offset: np.ndarray
    group: np.ndarray
    beta: np.ndarray
    theta: float
    mode: np.ndarray
    scale: np.ndarray
    log_choose: float
    by_nodes: dict[int, Answer]


def aghq_points() -> list[Point]:
    """Every case of aghq_points.json.  Absent trials are ones, an absent offset zeros."""
    return [_point(raw) for raw in load("aghq_points")["points"]]


def _point(raw: dict[str, Any]) -> Point:
    n = len(raw["y"])
    floats = {key: _from_hex(raw[key]) for key in ("X", "beta", "theta")}
    return Point(
        name=raw["name"],
        **floats,
        y=np.array(raw["y"], dtype=float),
        trials=np.ones(n) if raw["trials"] is None else np.array(raw["trials"], dtype=float),
        offset=np.zeros(n) if raw["offset"] is None else _from_hex(raw["offset"]),
        group=np.array(raw["group"]),
        mode=np.array(raw["mode"], dtype=float),
        scale=np.array(raw["scale"], dtype=float),
        log_choose=float(raw["log_choose"]),
        by_nodes={int(k): _answer(answer) for k, answer in raw["by_nodes"].items()},
    )


def _from_hex(values: Any) -> Any:
    """A hexadecimal string as a float, nested lists of them as an array."""
    return float.fromhex(values) if isinstance(values, str) else np.array([_from_hex(v) for v in values])


def _answer(raw: dict[str, Any]) -> Answer:
    return Answer(float(raw["loglik"]), np.array(raw["gradient"], dtype=float), np.array(raw["hessian"], dtype=float))


def cases(name: str) -> dict[str, dict[str, Any]]:
    """The cases of glm.json or lmm.json by name.  `frame` makes the table of one, `floats` numbers of its answers."""
    return {case["name"]: case for case in load(name)["cases"]}


def frame(case: dict[str, Any]) -> pd.DataFrame:
    """The data of a case of glm.json or lmm.json; factors are categorical with their reference level first."""
    table = pd.DataFrame(case["data"])
    for column, levels in case["levels"].items():
        table[column] = pd.Categorical(table[column].astype(str), categories=levels)
    return table


def floats(value: Any) -> Any:
    """Decimal strings as the nearest floats, in lists and dictionaries too; all else as it is."""
    if isinstance(value, dict):
        return {key: floats(v) for key, v in value.items()}
    if isinstance(value, list):
        return [floats(v) for v in value]
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


@dataclass(frozen=True, slots=True)
class LinkPoint:
    """One row's log-likelihood term at one eta, from links.json: inputs exact, answers rounded from 25 digits.

    derivatives (5,): l and its derivatives in eta; magnitude (5,): the same with absolute values of the terms, to scale
    a tolerance by.  mu: mean (of one trial); weight: expected information in eta.  trials, size: None where the family
    has none; of_size: for the negative binomial constant, d_log_size, d2_log_size, d_eta_log_size.
    """

    family: str
    link: str
    eta: float
    y: float
    trials: float | None
    size: float | None
    derivatives: np.ndarray
    magnitude: np.ndarray
    mu: float
    weight: float
    of_size: dict[str, float]


def link_points() -> list[LinkPoint]:
    """Every point of links.json."""
    return [_link_point(raw) for raw in load("links")["points"]]


def _link_point(raw: dict[str, Any]) -> LinkPoint:
    given = {key: _from_hex(raw[key]) if key in raw else None for key in ("eta", "y", "trials", "size")}
    of_size = ("constant", "d_log_size", "d2_log_size", "d_eta_log_size")
    return LinkPoint(
        family=raw["family"],
        link=raw["link"],
        **given,
        derivatives=np.array(raw["derivatives"], dtype=float),
        magnitude=np.array(raw["magnitude"], dtype=float),
        mu=float(raw["mu"]),
        weight=float(raw["weight"]),
        of_size={key: float(raw[key]) for key in of_size if key in raw},
    )


@dataclass(frozen=True, slots=True)
class GlmmPoint:
    """One case of glmm_points.json in float64: data and parameters exact, answers rounded from 25 digits.

    X (n, p), Z (n, q), y (n,), trials (n,), offset (n,), group (n,) labels 0 ... groups - 1 in order; beta (p,),
    theta (q (q + 1) / 2,): lower triangle of Lambda, column by column; extra: dispersion of Gamma, size of the negative
    binomial, else None.  constant: the sum of what is free of eta, part of every loglik.  mode (groups, q): u_hat.
    by_nodes {nodes a dimension: (loglik, gradient)} and exact: gradients in (beta, theta, log extra).
    exact_error: 0 where 25 digits stand, else how far two node counts differ in loglik.
    """

    name: str
    family: str
    link: str
    X: np.ndarray
    Z: np.ndarray
    y: np.ndarray
    trials: np.ndarray
    offset: np.ndarray
    group: np.ndarray
    beta: np.ndarray
    theta: np.ndarray
    extra: float | None
    constant: float
    mode: np.ndarray
    by_nodes: dict[int, tuple[float, np.ndarray]]
    exact: tuple[float, np.ndarray]
    exact_error: float


def glmm_points() -> list[GlmmPoint]:
    """Every case of glmm_points.json."""
    return [_glmm_point(raw) for raw in load("glmm_points")["points"]]


def _glmm_point(raw: dict[str, Any]) -> GlmmPoint:
    def both(answer: dict[str, Any]) -> tuple[float, np.ndarray]:
        return float(answer["loglik"]), np.array(answer["gradient"], dtype=float)

    hexed = ("X", "Z", "y", "trials", "offset", "beta", "theta")
    return GlmmPoint(
        **{key: raw[key] for key in ("name", "family", "link")},
        **{key: _from_hex(raw[key]) for key in hexed},
        group=np.array(raw["group"]),
        extra=None if raw["extra"] is None else _from_hex(raw["extra"]),
        constant=float(raw["constant"]),
        mode=np.array(raw["mode"], dtype=float),
        by_nodes={int(k): both(answer) for k, answer in raw["by_nodes"].items()},
        exact=both(raw["exact"]),
        exact_error=float(raw["exact"].get("agree", 0.0)),
    )
