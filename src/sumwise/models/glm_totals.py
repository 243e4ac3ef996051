"""What the totals of a generalized linear model say: score, information, log-likelihood."""

from __future__ import annotations

from math import fsum

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import log
from sumwise.maths.gamma import log_gamma_gap
from sumwise.models.glm_messages import GlmMoments, GlmSummand

Floats = NDArray[np.float64]


def score(total: GlmSummand, p: int) -> Floats:
    """(p,)"""
    return total.values.round()[2 : 2 + p]


def matrix(total: GlmSummand, p: int) -> Floats:
    """(p, p): the information that was asked for."""
    lower, out = total.values.round()[2 + p : 2 + p + p * (p + 1) // 2], np.zeros((p, p))
    out[np.tril_indices(p)] = lower
    return out + np.tril(out, -1).T


def loglik(family: str, p: int, moments: GlmMoments, best: GlmSummand, deviance: float) -> float:
    """R's logLik: constants included, for gamma and inverse gaussian at dispersion deviance / sum w."""
    n = moments.weight
    if family == "gamma":
        if deviance <= 0:
            return np.inf
        return n * log_gamma_gap(n / deviance) - n / 2 - moments.logs
    if family == "inverse.gaussian":
        if deviance <= 0:
            return np.inf
        return -(n * (float(log(2 * np.pi * deviance / n)) + 1) + 3 * moments.logs) / 2
    share = 0.0
    if family == "negbinomial":
        share = float(best.values.round()[2 + p + p * (p + 1) // 2])
    return fsum([moments.saturated, share, -deviance / 2])
