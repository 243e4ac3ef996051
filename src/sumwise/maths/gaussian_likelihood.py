"""The log-likelihood of a linear mixed model at any coefficients and residual variance, with exact derivatives.

    -2 l = log det V + n log(2 pi sigma^2) + r'Q r / sigma^2,   r = (-beta, 1)             [Bates et al. 2015, eq. 28]

with Q(theta) and V as in profiled.py, which gives the same with beta and sigma at their maximum.
"""

from __future__ import annotations

from math import fsum, pi

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import exp, log
from sumwise.maths.cholesky import times
from sumwise.maths.newton import Point, dot
from sumwise.maths.profiled import Expansion

Floats = NDArray[np.float64]


def at(phi: Floats, log_det: Expansion, Q: Expansion, rows: int, log_weight: float) -> Point:
    """The point at phi = (beta (p,), log sigma, theta (m,)).

    log_det: of V W; Q (p + 1, p + 1), the response last, both with second derivatives; log_weight: sum of log w.
    """
    assert Q.second is not None
    assert log_det.second is not None
    p, m = len(Q.value) - 1, len(Q.first)
    r, s, weight = np.append(-phi[:p], 1.0), float(phi[p]), float(exp(-2 * phi[p]))
    left = times(Q.value, r)
    moved = [times(D, r) for D in Q.first]
    rss, slopes = dot(r, left), np.array([dot(r, v) for v in moved])
    value = -fsum([float(log_det.value), -log_weight, rows * float(log(2 * pi)), 2 * rows * s, weight * rss]) / 2
    theta = slice(p + 1, p + 1 + m)
    gradient = np.concatenate([weight * left[:p], [weight * rss - rows], -(log_det.first + weight * slopes) / 2])
    A = np.zeros((p + 1 + m, p + 1 + m))
    A[:p, :p] = weight * Q.value[:p, :p]
    A[p, :p] = A[:p, p] = 2 * weight * left[:p]
    A[p, p] = 2 * weight * rss
    A[p, theta] = A[theta, p] = -weight * slopes
    for i, v in enumerate(moved):
        A[p + 1 + i, :p] = A[:p, p + 1 + i] = -weight * v[:p]
        for j in range(i + 1):
            bend = (log_det.second[i, j] + weight * dot(r, times(Q.second[i, j], r))) / 2
            A[p + 1 + i, p + 1 + j] = A[p + 1 + j, p + 1 + i] = bend
    return Point(phi, value, gradient, A)
