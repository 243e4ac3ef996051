"""Profile likelihood intervals of a linear model, in closed form.

With q the normal quantile, n rows, se^2 = s_bb rss / df and t = log(sigma^2 n / rss):

    coefficients   n log(rss(b) / rss) = q^2,   rss(b) = rss + (b - beta)^2 / s_bb
    sigma          n (t + exp(-t) - 1) = q^2
"""

from __future__ import annotations

from math import exp, expm1, sqrt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sumwise.results.inference import normal_quantile

if TYPE_CHECKING:
    from sumwise.results.linear import LinearFit

PERFECT = "not defined: all residuals are zero"


def profile(fit: LinearFit, level: float) -> pd.DataFrame:
    """See Fit.confint: columns lower, upper, note."""
    n, q = fit.nobs, normal_quantile(level)
    index = [*fit.terms, "sigma"]
    if fit.perfect:
        return pd.DataFrame({"lower": np.nan, "upper": np.nan, "note": PERFECT}, index=index)
    half = fit.se.to_numpy() * sqrt(fit.df_resid * expm1(q * q / n))
    root = fit.sigma * sqrt(fit.df_resid / n)  # sigma where the likelihood is highest
    ends = [root * exp(_crossing(q * q / n, side) / 2) for side in (-1, 1)]
    beta = fit.coef.to_numpy()
    table = {"lower": [*(beta - half), ends[0]], "upper": [*(beta + half), ends[1]]}
    lost = ["its column is explained by others" if np.isnan(b) else "" for b in beta]
    return pd.DataFrame({**table, "note": [*lost, ""]}, index=index)


def _crossing(goal: float, side: int) -> float:
    """t with t + exp(-t) - 1 = goal on one side of zero, by Newton's method: the function is convex."""
    t = side * sqrt(2 * goal) if side < 0 else goal + 1
    for _ in range(100):
        step = (t + exp(-t) - 1 - goal) / -expm1(-t)
        t -= step
        if abs(step) <= 1e-16 * abs(t):
            break
    return t
