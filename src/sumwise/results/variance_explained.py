"""How much of the variance the groups and the fixed effects explain: ICC and R2 [Nakagawa, Johnson & Schielzeth 2017].

    V_f variance of the fixed part of the linear predictor over the rows;  V_r mean over the rows of var z'b
    [Johnson 2014];  V_e of an observation, on the scale of the link

    ICC adjusted V_r / (V_r + V_e), unadjusted V_r / (V_f + V_r + V_e)
    R2 marginal V_f / (V_f + V_r + V_e), conditional (V_f + V_r) / (V_f + V_r + V_e)

V_e is sigma^2 (gaussian); pi^2 / 3 (logit), 1 (probit), pi^2 / 6 (cloglog); log(1 + 1 / m) (Poisson), log(1 + 1 / m +
1 / size) (negative binomial), m the mean response over rows and groups; trigamma(shape) (Gamma, log link).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import fsum, log, pi
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import polygamma

from sumwise.data import DesignBlock
from sumwise.errors import UsageError
from sumwise.results import intervals, mixed_rows
from sumwise.results.responses import averaged

if TYPE_CHECKING:
    from sumwise.results.mixed import MixedFit

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parts:
    """V_f, V_r and V_e."""

    fixed: float
    random: float
    observation: float

    def icc(self) -> Floats:
        """(2,) adjusted, unadjusted."""
        inner = self.random + self.observation
        return np.array([self.random / inner, self.random / (self.fixed + inner)])

    def r2(self) -> Floats:
        """(2,) marginal, conditional."""
        total = self.fixed + self.random + self.observation
        return np.array([self.fixed / total, (self.fixed + self.random) / total])


def icc(fit: MixedFit, data: Any, **resampling: Any) -> pd.DataFrame:
    """See MixedFit.icc."""
    return _table(fit, data, ("adjusted", "unadjusted"), Parts.icc, **resampling)


def r2(fit: MixedFit, data: Any, **resampling: Any) -> pd.DataFrame:
    """See MixedFit.r2."""
    return _table(fit, data, ("marginal", "conditional"), Parts.r2, **resampling)


def _table(
    fit: MixedFit,
    data: Any,
    names: tuple[str, ...],
    ratio: Callable[[Parts], Floats],
    *,
    level: float,
    samples: int,
    seed: int,
    threads: int | None,
    progress: bool | None,
) -> pd.DataFrame:
    blocks = intervals.blocks_of(fit, data)
    table = pd.DataFrame({"estimate": ratio(parts(fit, blocks))}, index=list(names))
    if not samples:
        return table

    def statistics(found: Any) -> Floats:
        return ratio(parts(found, blocks))

    values, failures = intervals.resampled(fit, blocks, statistics, samples, seed, threads, progress)
    table = table.join(intervals.percentiles(values, level, table.index))
    table["note"] = intervals.said(failures, samples)
    return table


def parts(fit: MixedFit, blocks: Mapping[str, DesignBlock]) -> Parts:
    """Of the rows that were fitted, by site.  Raises UsageError for families whose observations have no variance on the
    scale of the link.
    """
    eta = np.concatenate([mixed_rows.predictor(fit, block, random=False) for block in blocks.values()])
    offset = [np.zeros(len(b.y)) if b.offset is None else b.offset for b in blocks.values()]
    explained = eta - np.concatenate(offset)
    spread = np.concatenate([mixed_rows.spread(fit, block) for block in blocks.values()])
    n = len(eta)
    middle = fsum(explained) / n
    fixed = fsum((explained - middle) ** 2) / (n - 1)
    return Parts(fixed, fsum(spread) / n, _observation(fit, eta, spread))


def _observation(fit: MixedFit, eta: Floats, spread: Floats) -> float:
    """V_e.   eta (n,): fixed part and offset; spread (n,): variance of z'b."""
    scale = 1.0 if fit.scale is None else fit.scale
    match fit.family, fit.link:
        case "gaussian", _:
            return scale**2
        case "binomial", "logit":
            return pi**2 / 3
        case "binomial", "probit":
            return 1.0
        case "binomial", "cloglog":
            return pi**2 / 6
        case (("poisson" | "negbinomial"), "log"):
            mean = fsum(averaged("log", eta, spread)) / len(eta)
            return log(1 + 1 / mean + (1 / scale if fit.family == "negbinomial" else 0.0))
        case "gamma", "log":
            return float(polygamma(1, scale))
        case _:
            raise UsageError(f"icc and r2 are not defined here for family={fit.family!r} with link={fit.link!r}")
