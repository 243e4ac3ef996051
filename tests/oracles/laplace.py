"""Laplace's approximation with effects of any pattern, in mpmath: the plain twin of maths/laplace.py.

    f(u) = sum_j l_j(eta_j) - |u|^2 / 2,   eta = fixed + A u,   A = Z Lambda,   value = f(u^) - log det(-f''(u^)) / 2

with dense matrices.  Everything works at the caller's mp.dps.
"""

from collections.abc import Sequence

from mpmath import mp, mpf

from tests.oracles.vectors import Row, derivatives


def value(fixed: Sequence, A: Sequence[Sequence], y: Sequence, size: Sequence, aux: mpf, row: Row) -> mpf:
    """fixed, y, size (n,); A (n, Q): rows of Z Lambda."""
    u, H = mode(fixed, A, y, size, aux, row)
    return log_joint(fixed, A, y, size, aux, row, u) - mp.log(mp.det(H)) / 2


def log_joint(fixed, A, y, size, aux, row: Row, u: Sequence) -> mpf:
    """f(u)."""
    etas = [e + mp.fdot(a, u) for e, a in zip(fixed, A, strict=True)]
    rows = zip(etas, y, size, strict=True)
    return mp.fsum(row(eta, mpf(v), mpf(n), aux) for eta, v, n in rows) - mp.fsum(v * v for v in u) / 2


def mode(fixed, A, y, size, aux, row: Row) -> tuple[list, mp.matrix]:
    """u^ and H = -f''(u^), by Newton's method with halved steps."""
    Q = len(A[0])
    u = [mpf(0)] * Q
    for _ in range(200):
        g, H = mp.matrix([-v for v in u]), mp.eye(Q)
        for e, a, v, n in zip(fixed, A, y, size, strict=True):
            first, second = derivatives(lambda t, v=v, n=n: row(t, mpf(v), mpf(n), aux), e + mp.fdot(a, u))
            used = [k for k in range(Q) if a[k]]
            for i in used:
                g[i] += a[i] * first
                for j in used:
                    H[i, j] -= a[i] * a[j] * second
        step, share = mp.lu_solve(H, g), mpf(1)
        if mp.norm(step) <= mpf(10) ** (6 - mp.dps):
            return u, H
        here = log_joint(fixed, A, y, size, aux, row, u)
        while True:
            trial = [a + share * s for a, s in zip(u, step, strict=True)]
            if mp.norm(step) < 1e-6 or log_joint(fixed, A, y, size, aux, row, trial) > here:
                break
            share /= 2
        u = trial
    raise ArithmeticError("no mode after 200 steps")
