"""How a fit is timed and its memory measured; the same for every program that runs in Python."""

from __future__ import annotations

import ctypes
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import formulaic
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.problems import WARM_UP, Problem

Nodes = int | str
REPEATS = 3
SLOW = 2.0
"""Seconds: a first fit that takes longer is not repeated."""


@dataclass(frozen=True, slots=True)
class Answer:
    """loglik; beta (p,) in the order of the formula; sigma: standard deviation of the random intercept; se (p+1,):
    standard errors of beta and sigma, wanted of Sumwise only; note: what a reader must know."""

    loglik: float
    beta: list[float]
    sigma: float
    se: list[float] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """seconds: median of warm fits, or the first where there was no other; growth: bytes by which the process grew,
    at its peak, over what it held with the data loaded (None where the system does not tell)."""

    seconds: float
    growth: int | None
    answer: Answer


@dataclass(frozen=True, slots=True)
class Rival:
    """name; version(): None where it is not installed; nodes: what it can fit, () for any; measure: one problem."""

    name: str
    version: Callable[[], str | None]
    nodes: tuple[Nodes, ...]
    measure: Callable[[Problem, Nodes], Measurement]


def package_version(package: str) -> Callable[[], str | None]:
    def version() -> str | None:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return None

    return version


def timed(fit: Callable[[Problem, pd.DataFrame, Nodes], Answer]) -> Callable[[Problem, Nodes], Measurement]:
    """Measures `fit` from data frame to answer."""

    def measure(problem: Problem, nodes: Nodes) -> Measurement:
        warnings.simplefilter("ignore")  # rivals warn at length; their answers are checked instead
        fit(WARM_UP, WARM_UP.make(), nodes)
        data = problem.make()
        rest = resident_from_now_on()
        began = time.perf_counter()
        answer = fit(problem, data, nodes)
        seconds = [time.perf_counter() - began]
        peak = kilobytes("VmHWM")
        growth = None if rest is None or peak is None else 1024 * (peak - rest)
        if not problem.large and seconds[0] < SLOW:
            for _ in range(REPEATS):
                began = time.perf_counter()
                fit(problem, data, nodes)
                seconds.append(time.perf_counter() - began)
            del seconds[0]
        return Measurement(statistics.median(seconds), growth, answer)

    return measure


def resident_from_now_on() -> int | None:
    """Kilobytes resident now; the kernel's record of the peak starts afresh."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # else memory freed while the data was made would hide the fit's own
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    return kilobytes("VmRSS")


def kilobytes(field: str) -> int | None:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), None)


def design(problem: Problem, data: pd.DataFrame) -> NDArray[np.float64]:
    """X (n, p) for programs that take no formula."""
    return np.asarray(formulaic.model_matrix(problem.fixed, data), dtype=np.float64)
