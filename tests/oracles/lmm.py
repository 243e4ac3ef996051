"""Linear mixed models from the dense covariance matrix of the response, in mpmath: a plain twin that shares no step
with the sums over groups.
"""

import mpmath
import numpy as np
from mpmath import mp, mpf


def numbers(values) -> mpmath.matrix:
    return mpmath.matrix(np.asarray(values, dtype=float).tolist())


def covariance(Z, group, Lambda, weights=None) -> mpmath.matrix:
    """V = Z Lambda Lambda' Z' + W^-1 (n, n), rows of different groups uncorrelated."""
    n = len(group)
    ZL = numbers(Z) * Lambda
    V = mpmath.matrix(n, n)
    for i in range(n):
        for j in range(n):
            if group[i] == group[j]:
                V[i, j] = mp.fsum(ZL[i, k] * ZL[j, k] for k in range(ZL.cols))
        V[i, i] += 1 if weights is None else 1 / mpf(float(weights[i]))
    return V


def quadratic(columns, V) -> mpmath.matrix:
    """C' V^-1 C for the columns C (n, c)."""
    C = numbers(columns)
    return C.T * mpmath.lu_solve(V, C) if C.cols == 1 else C.T * mpmath.inverse(V) * C


def log_det(V) -> mpf:
    return mp.log(mpmath.det(V))


def loglik(X, y, Z, group, Lambda, *, restricted, weights=None, sigma=None) -> mpf:
    """Log-likelihood profiled over beta (and sigma, unless given), of n rows, dense."""
    X = np.asarray(X, dtype=float)
    n, p = X.shape
    V = covariance(Z, group, Lambda, weights)
    Q = quadratic(np.column_stack([X, y]), V)
    A, b = Q[:p, :p], Q[:p, p]
    beta = mpmath.lu_solve(A, b)
    rss = Q[p, p] - (b.T * beta)[0]
    nu = n - p if restricted else n
    s2 = rss / nu if sigma is None else mpf(sigma) ** 2
    two = log_det(V) + nu * mp.log(2 * mp.pi * s2) + rss / s2
    if restricted:
        two += mp.log(mpmath.det(A))
    return -two / 2


def lower(theta, blocks) -> mpmath.matrix:
    """Lambda from theta, block by block, column by column."""
    q, at = sum(blocks), iter(theta)
    L, first = mpmath.matrix(q, q), 0
    for s in blocks:
        for column in range(s):
            for row in range(column, s):
                L[first + row, first + column] = mpf(next(at))
        first += s
    return L
