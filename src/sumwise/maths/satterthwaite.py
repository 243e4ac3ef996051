"""Degrees of freedom of contrasts of coefficients whose covariance is estimated [Satterthwaite 1946].

A contrast l'beta has variance v = l' V l, which depends on covariance parameters with estimated covariance A.  Its
t-statistic has about as many degrees of freedom as the chi-squared variable whose mean and variance are those of v:

    2 v^2 / (g' A g),   g = dv / d(parameters) = l' (dV) l                 [Giesbrecht & Burns 1985]

Several contrasts together follow Fai & Cornelius [1996], as R's lmerTest does.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_SHARE = 1e-10
"""A direction in which a hypothesis has less than this share of its largest variance is no hypothesis of its own."""


def degrees_of_freedom(contrasts: Floats, vcov: Floats, slopes: Floats, parameters: Floats) -> Floats:
    """(k,) for each of the contrasts (k, p).

    vcov (p, p): of the coefficients; slopes (r, p, p): its derivatives in the covariance parameters; parameters (r, r):
    their covariance.   inf where a variance depends on none of them, nan for a contrast of variance zero.
    """
    out = np.empty(len(contrasts))
    for k, contrast in enumerate(contrasts):
        variance = _form(contrast, vcov)
        gradient = np.array([_form(contrast, slope) for slope in slopes])
        spread = _form(gradient, parameters)
        out[k] = 2 * variance * variance / spread if spread > 0 else np.inf
        out[k] = np.nan if variance == 0 else out[k]
    return out


@dataclass(frozen=True, slots=True)
class JointTest:
    """F statistic of a hypothesis, with the numbers of its degrees of freedom."""

    F: float
    numerator: int
    denominator: float


def joint_test(contrasts: Floats, beta: Floats, vcov: Floats, slopes: Floats, parameters: Floats) -> JointTest:
    """That all the contrasts (k, p) of beta (p,) are zero; the others as above.

    The contrasts are turned until they are uncorrelated, each with t and degrees of freedom nu; F is the mean of t^2,
    and the mean of F gives its denominator: 2 E / (E - q) for E = sum nu / (nu - 2) over nu > 2.
    The denominator depends on the units of the contrasts, if they have different ones, and F does not: give contrasts
    of comparable size.
    """
    values, vectors = eigen(_between(contrasts, vcov, contrasts))
    kept = [k for k in range(len(values)) if values[k] > LEAST_SHARE * max(values)]
    turned = np.array([[fsum(vectors[:, k] * column) for column in contrasts.T] for k in kept])
    t_squared = [fsum(row * beta) ** 2 / values[k] for row, k in zip(turned, kept, strict=True)]
    nu = degrees_of_freedom(turned, vcov, slopes, parameters)
    q = len(kept)
    return JointTest(fsum(t_squared) / q, q, _denominator(nu.tolist()))


def _denominator(nu: list[float]) -> float:
    if max(nu) - min(nu) < 1e-8 * max(nu) or len(nu) == 1:
        return fsum(nu) / len(nu)
    if min(nu) <= 2:
        return 2.0
    E = fsum(v / (v - 2) if np.isfinite(v) else 1.0 for v in nu)
    return 2 * E / (E - len(nu)) if len(nu) < E else np.inf


def eigen(A: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues (n,) and eigenvectors (n, n), by column, of A symmetric, by Jacobi's rotations in a fixed order."""
    A, V, n = A.copy(), np.eye(len(A)), len(A)
    for _ in range(60):
        size = max((abs(float(A[i, j])) for i in range(n) for j in range(i)), default=0.0)
        if size <= 1e-17 * float(np.max(np.abs(np.diag(A)), initial=0.0)):
            break
        for i in range(n):
            for j in range(i):
                if A[i, j] == 0:
                    continue
                slope = (A[i, i] - A[j, j]) / (2 * A[i, j])
                t = (1.0 if slope >= 0 else -1.0) / (abs(slope) + sqrt(slope * slope + 1))
                c = 1 / sqrt(t * t + 1)
                s = t * c
                A[:, [i, j]] = np.column_stack([c * A[:, i] + s * A[:, j], c * A[:, j] - s * A[:, i]])
                A[[i, j]] = np.array([c * A[i] + s * A[j], c * A[j] - s * A[i]])
                V[:, [i, j]] = np.column_stack([c * V[:, i] + s * V[:, j], c * V[:, j] - s * V[:, i]])
    return np.diag(A).copy(), V


def _form(x: Floats, A: Floats) -> float:
    return fsum(fsum(row * x) * value for row, value in zip(A, x, strict=True))


def _between(X: Floats, A: Floats, Y: Floats) -> Floats:
    """X A Y'"""
    left = np.array([[fsum(x * column) for column in A.T] for x in X])
    return np.array([[fsum(row * y) for y in Y] for row in left])
