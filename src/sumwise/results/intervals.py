"""Confidence intervals: by Wald, by profile likelihood, by parametric bootstrap.

The last two go back to the rows and fit again, which is the work of sumwise.inference.  Fits are below it, and reach it
through the package itself, which knows where everything lives and loads it when asked (docs/adr/015).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import sumwise
from sumwise.data import DesignBlock
from sumwise.errors import UsageError
from sumwise.results import linear_profile, mixed_rows
from sumwise.results.inference import normal_quantile
from sumwise.results.parameters import parameters
from sumwise.results.rows import fitted

if TYPE_CHECKING:
    from sumwise.results.fit import Fit

Floats = NDArray[np.float64]

METHODS = ("wald", "profile", "bootstrap")


def confint(
    fit: Fit,
    level: float,
    method: str,
    data: Any,
    samples: int,
    seed: int,
    threads: int | None,
    progress: bool | None,
) -> pd.DataFrame:
    """See Fit.confint."""
    if method not in METHODS:
        raise UsageError(f"method={method!r}: one of {', '.join(map(repr, METHODS))}")
    normal_quantile(level)  # refuses what is no level
    if method == "wald":
        return fit.wald_intervals(level)
    if method == "profile" and fit.model == "linear":
        return linear_profile.profile(fit, level)  # type: ignore[arg-type]
    if data is None:
        raise UsageError(
            f'a fit does not keep its rows, and method="{method}" goes back to them: confint(method="{method}", '
            f"data=the table that was fitted)"
        )
    blocks = blocks_of(fit, data)
    if method == "profile":
        table: pd.DataFrame = sumwise.inference.profile(fit, blocks, level, threads, progress)
        return table
    estimate = parameters(fit)
    values, failures = resampled(
        fit, blocks, lambda found: parameters(found).to_numpy(), samples, seed, threads, progress
    )
    table = percentiles(values, level, estimate.index)
    table["note"] = said(failures, samples)
    return table


def blocks_of(fit: Fit, data: Any) -> dict[str, DesignBlock]:
    """The rows that were fitted, by site."""
    return (mixed_rows.fitted_blocks(fit, data) if fit.model == "mixed" else fitted(fit, data))[0]  # type: ignore[arg-type]


def resampled(
    fit: Fit,
    blocks: dict[str, DesignBlock],
    statistics: Callable[[Fit], Floats],
    samples: int,
    seed: int,
    threads: int | None,
    progress: bool | None,
) -> tuple[Floats, Counter[str]]:
    """(values (refits, k), failures) as inference.bootstrap gives them."""
    found: tuple[Floats, Counter[str]] = sumwise.inference.bootstrap(
        fit, blocks, statistics, samples=samples, seed=seed, threads=threads, progress=progress
    )
    return found


def percentiles(values: Floats, level: float, index: pd.Index) -> pd.DataFrame:
    """lower, upper: quantiles of values (refits, k) [Efron & Tibshirani 1993, 13.3]; those that are not defined in a
    refit, as a correlation with a variance of zero, are left out.
    """
    tails = (1 - level) / 2, (1 + level) / 2
    rows = []
    for column in values.T:
        defined = column[~np.isnan(column)]
        rows.append(np.quantile(defined, tails) if len(defined) else np.full(2, np.nan))
    return pd.DataFrame(rows, index=index, columns=["lower", "upper"])


def said(failures: Counter[str], samples: int) -> str:
    """What became of the samples that could not be fitted."""
    if not failures:
        return ""
    why = "; ".join(f"{text} ({count})" for text, count in failures.most_common(3))
    return f"{failures.total()} of {samples} samples are left out: {why}"
