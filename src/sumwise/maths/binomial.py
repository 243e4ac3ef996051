"""log of binomial coefficients, with the same bits on every machine."""

from __future__ import annotations

from math import comb, factorial

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.elementary import log, log1p

Floats = NDArray[np.float64]

_EXACT_UP_TO = 1000  # comb(1000, 500) is below 1e300, so it has a nearest float64


def log_choose(n: Floats, k: Floats) -> Floats:
    """log(n choose k), elementwise; n, k (rows,) whole numbers, 0 <= k <= n.

    Up to n = 1000 the logarithm of the correctly rounded integer.  Above, the saddle-point form [Loader 2000], whose
    terms do not cancel: with d(m) = log m! - log( sqrt(2 pi m) (m / e)^m ),

        log C = -k log(k/n) - (n-k) log((n-k)/n) + log( n / (2 pi k (n-k)) ) / 2 + d(n) - d(k) - d(n-k).
    """
    out = np.zeros(len(n))
    several = np.flatnonzero((k > 0) & (k < n))
    if not len(several):
        return out
    pairs, where = np.unique(np.stack([n[several], k[several]]), axis=1, return_inverse=True)
    small = pairs[0] <= _EXACT_UP_TO
    values = np.empty(pairs.shape[1])
    values[small] = log([float(comb(int(a), int(b))) for a, b in pairs[:, small].T])
    a, b = pairs[:, ~small]
    c = a - b
    saddle = -b * _log_share(b, c, a) - c * _log_share(c, b, a) + log(a / (2 * np.pi * b * c)) / 2
    values[~small] = saddle + _stirling_error(a) - _stirling_error(b) - _stirling_error(c)
    out[several] = values[where.ravel()]
    return out


def log_saturated(n: Floats, k: Floats) -> Floats:
    """log of the probability of k successes in n trials where k / n is the chance of one, elementwise; n, k whole,
    0 <= k <= n.   log( n / (2 pi k (n-k)) ) / 2 + d(n) - d(k) - d(n-k) [Loader 2000]; 0 at k = 0 and k = n.
    """
    out = np.zeros(len(n))
    both = np.flatnonzero((k > 0) & (k < n))
    if len(both):
        a, b = n[both], k[both]
        c = a - b
        errors = _stirling_error(a) - _stirling_error(b) - _stirling_error(c)
        out[both] = log(a / (2 * np.pi * b * c)) / 2 + errors
    return out


def _log_share(part: Floats, rest: Floats, whole: Floats) -> Floats:
    """log(part / whole), part + rest = whole, without loss where the part is nearly the whole."""
    value: Floats = np.where(rest < part, log1p(-rest / whole), log(part / whole))
    return value


def _stirling_error(m: Floats) -> Floats:
    """d(m) = log m! - log( sqrt(2 pi m) (m / e)^m ), m >= 1: from factorials up to 15, else Stirling's series."""
    few = np.arange(1.0, 16.0)
    exact = log([float(factorial(k)) for k in range(1, 16)]) - (log(2 * np.pi * few) / 2 + few * log(few) - few)
    x = np.maximum(m, 16.0)
    square = x * x
    series = (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / square) / square) / square) / x
    few_or_many: Floats = np.where(m < 16, exact[np.minimum(m, 15).astype(int) - 1], series)
    return few_or_many
