"""log of binomial coefficients, with the same bits on every machine."""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import log

Floats = NDArray[np.float64]

_EXACT_UP_TO = 1000  # comb(1000, 500) is below 1e300, so it has a nearest float64


def log_choose(n: Floats, k: Floats) -> Floats:
    """log(n choose k), elementwise; n, k (rows,) whole numbers, 0 <= k <= n.

    Up to n = 1000 the logarithm of the correctly rounded integer; above, from Stirling's series of log n!
    (absolute error about 1e-16 n log n).
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
    values[~small] = _log_factorial(a) - _log_factorial(b) - _log_factorial(a - b)
    out[several] = values[where.ravel()]
    return out


def _log_factorial(n: Floats) -> Floats:
    """log n! by Stirling's series [Abramowitz & Stegun 6.1.41], carried up from n + 16 where n is small."""
    x = n + 17.0
    shift = np.zeros(len(n))
    for j in range(1, 17):
        shift += log(n + j)
    series = 1 / (12 * x) - 1 / (360 * x**3) + 1 / (1260 * (x * x * x) * (x * x))
    half_log_two_pi = 0.9189385332046727
    return (x - 0.5) * log(x) - x + half_log_two_pi + series - shift
