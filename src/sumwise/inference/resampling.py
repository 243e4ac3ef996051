"""Parametric bootstrap: responses are drawn from the fit, and fitted again."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
from numpy.typing import NDArray

from sumwise.data import DesignBlock
from sumwise.errors import SumwiseError, UsageError
from sumwise.fitting.watch import PROGRESS_AFTER
from sumwise.inference import refit
from sumwise.results import simulation
from sumwise.results.fit import Fit
from sumwise.threads import check_threads, processors

Floats = NDArray[np.float64]

FEWEST = 2
"""Refits that intervals need."""


def bootstrap(
    fit: Fit,
    blocks: Mapping[str, DesignBlock],
    statistics: Callable[[Fit], Floats],
    *,
    samples: int,
    seed: int,
    threads: int | None,
    progress: bool | None,
) -> tuple[Floats, Counter[str]]:
    """(values (refits, k), failures): statistics (k,) of the refits that converged, and why others did not.

    Each sample has a random generator of its own, so that neither threads nor their order change a number.
    Raises UsageError where samples are no whole number, DataError where the rows give another fit or all refits fail.
    """
    simulation.check_samples(samples)
    check_threads(threads)
    made = refit.again(fit, blocks)
    refit.check_same(fit, made.fit())
    means = [simulation.prepared(fit, block) for block in blocks.values()]
    shown = _shower(samples, progress)

    def one(k: int) -> Floats | str:
        generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k,)))
        try:
            found = made.fit(simulation.draw(fit, means, generator))
        except SumwiseError as error:
            return str(error).partition(":")[0]
        shown()
        if found.verdict.code == "not_converged":
            return "not converged"
        return statistics(found)

    with ThreadPoolExecutor(threads or processors()) as pool:
        results = list(pool.map(one, range(samples)))
    failures = Counter(result for result in results if isinstance(result, str))
    values = [result for result in results if not isinstance(result, str)]
    if len(values) < FEWEST:
        why = "; ".join(f"{text} ({count})" for text, count in failures.most_common(3))
        raise UsageError(f"{len(values)} of {samples} samples could be fitted again, too few for an interval: {why}")
    return np.array(values), failures


def _shower(samples: int, progress: bool | None) -> Callable[[], None]:
    """What counts refits, and shows on standard error how many there are, as the rounds of a fit are shown."""
    began, done = time.perf_counter(), count(1)
    last = began

    def show() -> None:
        nonlocal last
        number, now = next(done), time.perf_counter()
        wanted = progress or (progress is None and sys.stderr.isatty() and now - began > PROGRESS_AFTER)
        if wanted and (now - last > 1 or number == samples):
            last = now
            print(f"bootstrap: {number} of {samples} refits", file=sys.stderr, flush=True)

    return show
