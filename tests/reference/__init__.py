"""Reference answers and how to read them; README.md in this folder says where each comes from."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
