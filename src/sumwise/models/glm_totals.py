"""What totals of a generalized linear model say: score, information, log-likelihood, the user's coefficients."""

from __future__ import annotations

from math import fsum

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import log
from sumwise.maths.exact import ExactSum
from sumwise.maths.gamma import log_gamma_gap
from sumwise.models.glm_messages import GlmMoments, GlmSummand

Floats = NDArray[np.float64]


def within_range(total: GlmSummand) -> GlmSummand:
    """The total; or, where a sum lies beyond the largest float64, one that counts as failed."""
    try:
        total.values.round()
    except OverflowError:
        return GlmSummand(ExactSum.zeros(total.values.shape), max(total.failed, 1))
    return total


def score(values: Floats, p: int) -> Floats:
    """(p,); values: of a GlmSummand, rounded."""
    return values[2 : 2 + p]


def matrix(values: Floats, p: int) -> Floats:
    """(p, p): the information that was asked for; values: of a GlmSummand, rounded."""
    lower, out = values[2 + p : 2 + p + p * (p + 1) // 2], np.zeros((p, p))
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


def uncentre(beta: Floats, vcov: Floats, centre: Floats, intercept: int | None) -> tuple[Floats, Floats]:
    """Back to the user's columns: x'beta = intercept - centre'beta + x'beta."""
    if intercept is None:
        return beta, vcov
    back = np.eye(len(vcov))
    back[intercept] -= centre
    beta = beta.copy()
    beta[intercept] -= fsum(centre * beta)
    return beta, _sandwich(back, vcov)


def _sandwich(T: Floats, V: Floats) -> Floats:
    """T V T', in a fixed order of operations."""
    left, out = np.zeros_like(V), np.zeros_like(V)
    for k in range(len(V)):
        left += np.multiply.outer(T[:, k], V[k])
    for k in range(len(V)):
        out += np.multiply.outer(left[:, k], T[:, k])
    return (out + out.T) / 2
