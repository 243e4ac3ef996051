"""The families and links of generalized linear models, by name."""

from __future__ import annotations

import numpy as np

from sumwise.kernels.families import terms
from sumwise.kernels.library import log

LINKS = {
    "binomial": ("logit", "probit", "cloglog"),
    "poisson": ("log",),
    "gamma": ("inverse", "log"),
    "inverse.gaussian": ("1/mu^2", "log"),
    "negbinomial": ("log",),
}
"""family -> its links, R's default first."""

CANONICAL = {("binomial", "logit"), ("poisson", "log"), ("gamma", "inverse"), ("inverse.gaussian", "1/mu^2")}
"""Where expected and observed information are the same."""

DISPERSED = ("gamma", "inverse.gaussian")
"""Families whose dispersion is estimated."""


def link_of_mean(link: str, mean: float) -> float:
    """g(mean), for a start: good to a few digits where that is enough."""
    if link == "logit":
        return float(log(mean / (1 - mean)))
    if link == "cloglog":
        return float(log(-log(1 - mean)))
    if link == "probit":
        return _probit(mean)
    if link == "log":
        return float(log(mean))
    return 1 / mean if link == "inverse" else 1 / (mean * mean)


def _probit(mean: float) -> float:
    """Where the log-likelihood of one row with this share of successes has its maximum, by Newton's method."""
    eta = float(log(mean / (1 - mean))) / 1.7
    for _ in range(50):
        _, score, information, *_ = terms("binomial", "probit", np.array([eta]), np.array([mean]))[:, 0].tolist()
        step = score / information
        eta += step
        if abs(step) < 1e-9:
            break
    return eta
