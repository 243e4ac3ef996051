"""python -m bench.crossed [--fits N]: the crossed linear mixed model, Sumwise against glmm (PyPI), in turn.

Sumwise: from the columns of the table to the estimate (codes of levels included, no formula); glmm: from the data
frame.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.insteval import simulate
from sumwise.models.lmm_checks import Term
from sumwise.models.lmm_crossed import CrossedMixed
from sumwise.models.lmm_crossed_site import CrossedSite
from sumwise.threads import processors

Floats = NDArray[np.float64]
FIXED = ("studage", "lectage", "service")


@dataclass(frozen=True)
class _Term:
    z: list[Floats]
    code: NDArray[np.int64]
    labels: tuple[object, ...]
    columns: tuple[str, ...]
    group: str


@dataclass(frozen=True)
class _Rows:
    x: list[Floats]
    columns: tuple[str, ...]
    y: Floats
    random: list[_Term]
    offset: None = None
    weights: None = None


def _sumwise(data: pd.DataFrame, groups: tuple[str, ...], threads: Executor, workers: int) -> float:
    ones = np.ones(len(data))
    random = []
    for group in groups:
        code, labels = pd.factorize(data[group], sort=True)
        random.append(_Term([ones], code.astype(np.int64), tuple(labels), ("(Intercept)",), group))
    x = [ones, *(data[name].to_numpy(np.float64) for name in FIXED)]
    rows = _Rows(x, ("(Intercept)", *FIXED), data["y"].to_numpy(np.float64), random)
    model = CrossedMixed(rows.columns, tuple(Term(term.group, term.columns) for term in random))
    site, state = CrossedSite(rows), model.start()
    while (question := model.ask(state)) is not None:
        state = model.step(state, site.answer(question, threads, workers))
    return model.finish(state).loglik


def _glmm(data: pd.DataFrame, groups: tuple[str, ...]) -> float:
    import glmm

    bars = " + ".join(f"(1 | {group})" for group in groups)
    return float(glmm.fit(data, f"y ~ {' + '.join(FIXED)} + {bars}", family="gaussian").loglik)


def _timed(fit: Callable[[], float]) -> tuple[float, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    loglik = fit()
    return time.perf_counter() - wall, time.process_time() - cpu, loglik


@click.command()
@click.option("--fits", default=5, help="Fits of each, of which the median counts.")
def main(fits: int) -> None:
    """Prints seconds, seconds of all processors, log-likelihoods and ratios."""
    data, workers = simulate(), processors()
    with ThreadPoolExecutor(workers) as threads:
        for groups in (("s", "d"), ("s", "d", "dept")):
            ours, theirs = [], []
            for _ in range(fits + 1):  # in turn, so that whatever else runs here slows both
                ours.append(_timed(lambda: _sumwise(data, groups, threads, workers)))  # noqa: B023
                theirs.append(_timed(lambda: _glmm(data, groups)))  # noqa: B023
            a, b = ([statistics.median(column) for column in zip(*found[1:], strict=True)] for found in (ours, theirs))
            click.echo(f"{' + '.join(groups)}: sumwise {a[0]:.3f} s (processors {a[1]:.3f} s), loglik {a[2]:.9f}")
            click.echo(f"{' + '.join(groups)}: glmm    {b[0]:.3f} s (processors {b[1]:.3f} s), loglik {b[2]:.9f}")
            click.echo(f"ratio {a[0] / b[0]:.2f} (processors {a[1] / b[1]:.2f})")


if __name__ == "__main__":
    main()
