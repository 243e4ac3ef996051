"""Inference from estimates and standard errors: normal for mixed models, t and F for linear ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc, fdtrc, ndtri, stdtrit

from sumwise.errors import UsageError

Floats = NDArray[np.float64]


class FStatistic(NamedTuple):
    """value: F; df1, df2: its degrees of freedom; p: P(F' > value) for F' ~ F(df1, df2).  nan where not defined."""

    value: float
    df1: int
    df2: int
    p: float


def two_sided_p(z: Floats) -> Floats:
    """P(|Z| > |z|) for Z ~ N(0, 1), accurate in the tail."""
    return np.asarray(erfc(np.abs(z) / np.sqrt(2)))


def f_test(value: float, df1: int, df2: int) -> FStatistic:
    """The statistic with its upper tail."""
    defined = df1 > 0 and df2 > 0
    return FStatistic(value if defined else np.nan, df1, df2, float(fdtrc(df1, df2, value)) if defined else np.nan)


def normal_quantile(level: float) -> float:
    """z with P(|Z| < z) = level.  Raises UsageError unless 0 < level < 1."""
    return float(ndtri((1 + _checked(level)) / 2))


def t_quantile(level: float, df: int) -> float:
    """t with P(|T| < t) = level, T ~ t(df); nan for df = 0.  Raises UsageError unless 0 < level < 1."""
    upper = (1 + _checked(level)) / 2
    return float(stdtrit(df, upper)) if df else float("nan")


def _checked(level: float) -> float:
    if isinstance(level, bool) or not isinstance(level, (int, float, np.number)) or not 0 < level < 1:
        raise UsageError(f"level={level!r}: a confidence level lies between 0 and 1, for instance 0.95")
    return level
