"""python -m bench.models [--quick] [--write]: whole fits of the kinds of mixed models, from a data frame to the answer,
against the programs that can fit them.

Everything runs in this one process: each program fits a small set first, so that imports are paid; then they take
turns, and the median counts.  Groups are whole numbers in the frame, which all programs take.
"""

from __future__ import annotations

import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from bench import insteval
from bench.report import machine
from sumwise import datasets
from sumwise.printing import align

COVARIATES = [f"x{j}" for j in range(1, 11)]
TEN = " + ".join(COVARIATES)


@dataclass(frozen=True, slots=True)
class Task:
    """name; make(small): the rows, few of them to warm up; formula, family: as all programs read them; nodes: 0 where
    nothing is integrated; goal: the most that Sumwise's time may be, as a share of the fastest other program's, or,
    where `seconds`, in seconds; rivals: their names; repeats: fits of which the median counts.
    """

    name: str
    make: Callable[[bool], pd.DataFrame]
    formula: str
    family: str
    nodes: int
    goal: float
    rivals: tuple[str, ...]
    repeats: int = 3
    seconds: bool = False


def linear(small: bool) -> pd.DataFrame:
    """10,000 groups of 100 rows; y has variances between and within groups of 1."""
    groups, size = (50, 10) if small else (10_000, 100)
    rng = np.random.default_rng(1)
    g = rng.permutation(np.repeat(np.arange(groups), size))
    X = rng.standard_normal((groups * size, len(COVARIATES)))
    y = 0.3 + X @ np.linspace(-0.4, 0.4, len(COVARIATES)) + rng.standard_normal(groups)[g]
    return pd.DataFrame(X, columns=COVARIATES).assign(g=g, y=y + rng.standard_normal(len(g)))


def sloped(family: str, small: bool) -> pd.DataFrame:
    """1,000 groups of 100 rows with intercepts and slopes of standard deviations 0.8 and 0.4."""
    groups, size = (30, 10) if small else (1_000, 100)
    rng = np.random.default_rng(2)
    g = rng.permutation(np.repeat(np.arange(groups), size))
    x, z = rng.standard_normal((2, len(g)))
    u = rng.standard_normal((groups, 2)) * (0.8, 0.4)
    eta = 0.3 + 0.5 * x - 0.3 * z + u[g, 0] + u[g, 1] * x
    y = rng.random(len(g)) < 1 / (1 + np.exp(-eta)) if family == "binomial" else rng.poisson(np.exp(eta))
    return pd.DataFrame({"x": x, "z": z, "g": g, "y": y.astype(float)})


def ratings(small: bool) -> pd.DataFrame:
    """The simulated InstEval."""
    data = insteval.simulate()
    return data.head(2_000).copy() if small else data


def contraception(small: bool) -> pd.DataFrame:
    """All of it, also to warm up."""
    del small
    return datasets.load("contraception")


SLOPE = "y ~ x + z + (1 + x | g)"
CROSSED = "y ~ studage + lectage + service + (1 | s) + (1 | d)"
TASKS = (
    Task("LMM, 1e6 rows, 10,000 groups", linear, f"y ~ {TEN} + (1 | g)", "gaussian", 0, 1 / 3, ("glmm", "lme-python")),
    # lme-python does not come back from these within minutes
    Task("LMM, crossed, InstEval-like", ratings, CROSSED, "gaussian", 0, 1 / 2, ("glmm",)),
    Task("LMM, crossed, three factors", ratings, f"{CROSSED} + (1 | dept)", "gaussian", 0, 1 / 2, ("glmm",)),
    Task("logistic slope, 1e5 rows, 9 nodes", lambda s: sloped("binomial", s), SLOPE, "binomial", 9, 1, ("glmm",), 1),
    Task("Poisson slope, 1e5 rows, 9 nodes", lambda s: sloped("poisson", s), SLOPE, "poisson", 9, 1, ("glmm",), 1),
    Task("logistic slope, 1e5 rows, Laplace", lambda s: sloped("binomial", s), SLOPE, "binomial", 1, 1, ("glmm",), 1),
    Task("Poisson slope, 1e5 rows, Laplace", lambda s: sloped("poisson", s), SLOPE, "poisson", 1, 1, ("glmm",), 1),
    Task(
        "contraception with slope, 9 nodes",
        contraception,
        "use ~ age + age2 + urban + livch + (1 + urban | district)",
        "binomial",
        9,
        0.050,
        ("glmm",),
        9,
        seconds=True,
    ),
)
QUICK = tuple(task for task in TASKS if "1e6" not in task.name and "1e5" not in task.name)


def by_sumwise(task: Task, data: pd.DataFrame, nodes: int | str | None = None) -> float:
    """Log-likelihood."""
    import sumwise

    options: dict[str, Any] = {"nodes": nodes or task.nodes} if task.nodes else {}
    return sumwise.fit(task.formula, data, family=task.family, **options).loglik


def by_glmm(task: Task, data: pd.DataFrame) -> float:
    """Log-likelihood."""
    import glmm

    return float(glmm.fit(data, task.formula, family=task.family, nagq=max(task.nodes, 1)).loglik)


def by_lme_python(task: Task, data: pd.DataFrame) -> float:
    """Log-likelihood."""
    import lme_python

    return float(lme_python.lmer(task.formula, data).log_likelihood)


PROGRAMS: dict[str, Callable[[Task, pd.DataFrame], float]] = {
    "sumwise": by_sumwise,
    "glmm": by_glmm,
    "lme-python": by_lme_python,
}


def measure(task: Task) -> dict[str, Any]:
    """Median seconds and log-likelihood of each program; Sumwise with nodes="auto" too."""
    warnings.simplefilter("ignore")  # rivals warn at length; their answers are shown instead
    programs: dict[str, Callable[[Task, pd.DataFrame], float]] = {"sumwise": by_sumwise}
    if task.nodes > 1:
        programs["sumwise, nodes auto"] = lambda t, d: by_sumwise(t, d, "auto")
    programs |= {name: PROGRAMS[name] for name in task.rivals}
    small, data = task.make(True), task.make(False)
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    loglik: dict[str, float | str] = {}
    for fit in programs.values():
        try:
            fit(task, small)
        except Exception as error:  # a rival that cannot: it says so again below
            del error
    for _ in range(task.repeats):
        for name, fit in programs.items():
            began = time.perf_counter()
            try:
                loglik[name] = fit(task, data)
                seconds[name].append(time.perf_counter() - began)
            except Exception as error:
                loglik[name] = f"{type(error).__name__}: {error}"[:80]
    medians = {name: statistics.median(values) for name, values in seconds.items() if values}
    return {"task": task.name, "seconds": medians, "loglik": loglik}


def rows(task: Task, found: dict[str, Any]) -> list[list[str]]:
    """A row a program."""
    ours, lines = found["loglik"]["sumwise"], []
    for name, value in found["loglik"].items():
        if name in found["seconds"]:
            own = found["seconds"][name]
            share = f"{own / found['seconds']['sumwise']:.2f}"
            lines.append([task.name, name, f"{own:.3f} s", share, f"{value - ours:+.1e}", ""])
        else:
            lines.append([task.name, name, "-", "-", "-", str(value)])
    for line in lines:
        if line[1] == "sumwise" or (task.seconds and line[1].startswith("sumwise")):
            line[-1] = verdict(task, found["seconds"], line[1])
    return lines


def verdict(task: Task, seconds: dict[str, float], ours: str) -> str:
    """The goal, and whether it is met by `ours`."""
    if task.seconds:
        met = seconds[ours] <= task.goal
        return f"at most {1000 * task.goal:.0f} ms: {'met' if met else 'missed'}"
    others = [value for name, value in seconds.items() if not name.startswith("sumwise")]
    if not others:
        return "nobody else fits it"
    share = seconds[ours] / min(others)
    return f"at most {task.goal:.2f} of the fastest: {share:.2f}, {'met' if share <= task.goal else 'missed'}"


@click.command()
@click.option("--quick/--full", default=False, help="Without the sets of 1e5 rows and more.")
@click.option("--only", default="", help="Tasks whose name holds this text.")
@click.option("--write", is_flag=True, help="Write MODELS.md and MODELS.json beside this file.")
def main(quick: bool, only: str, write: bool) -> None:
    """Print the table."""
    head, body, kept = ["model", "program", "time", "/ sumwise", "log-likelihood", "goal"], [], []
    for task in QUICK if quick else TASKS:
        if only in task.name:
            kept.append(measure(task))
            body += rows(task, kept[-1])
    print(*align([head, *body], left=(0, 1, 5), gap="  "), sep="\n")
    if write:
        info, here = machine(), Path(__file__).parent
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *body))
        place = f"{info['date']}. {info['processor']}. {info['system']}. Load average {os.getloadavg()[0]:.1f}."
        about = f"{place} Whole fits from a data frame, by `python -m bench.models`."
        (here / "MODELS.md").write_text(f"# Kinds of mixed models\n\n{about}\n\n{table}\n", encoding="utf-8")
        (here / "MODELS.json").write_text(
            json.dumps({"machine": info, "fits": kept}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
