"""Back from centred columns to the user's own."""

from __future__ import annotations

from math import fsum

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.cholesky import times

Floats = NDArray[np.float64]


def uncentred(beta: Floats, centre: Floats, intercept: int | None) -> Floats:
    """beta (p,) on the user's columns: x'beta = intercept - centre'beta + x'beta."""
    beta = beta.copy()
    if intercept is not None:
        beta[intercept] -= fsum(centre * beta)
    return beta


def uncentred_covariance(vcov: Floats, centre: Floats, intercept: int | None) -> Floats:
    """The covariance (n, n) of estimates of which the first are beta (p,), on the user's columns."""
    if intercept is None:
        return vcov
    back = np.eye(len(vcov))
    back[intercept, : len(centre)] -= centre
    return sandwich(back, vcov)


def sandwich(T: Floats, V: Floats) -> Floats:
    """T V T', in a fixed order of operations."""
    out = times(times(T, V), T.T)
    return (out + out.T) / 2
