"""Many small matrices at once, in a fixed order of operations: arrays (n, rows, columns), one matrix for each of n
levels.

Elementwise arithmetic of numpy rounds each operation once, so these answers have the same bits everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def product(A: Floats, B: Floats) -> Floats:
    """A B.  A (n or 1, q, k), B (n or 1, k, r) -> (n, q, r).  Columns of A and rows of B that are zero cost little."""
    out = np.zeros((max(len(A), len(B)), A.shape[1], B.shape[2]))
    for a in range(A.shape[1]):
        for k in range(A.shape[2]):
            if len(A) > 1 or A[0, a, k] != 0:
                out[:, a, :] += A[:, a, k, None] * B[:, k, :]
    return out


def transposed(A: Floats) -> Floats:
    """A'."""
    return np.swapaxes(A, 1, 2)


def cholesky(A: Floats) -> tuple[Floats, Floats]:
    """L (n, q, q) lower with A = L L', and the squares of its diagonal (n, q).  nan from the first square that is not
    positive on.
    """
    q = A.shape[1]
    L, square = np.zeros_like(A), np.empty(A.shape[:2])
    for j in range(q):
        for i in range(j, q):
            x = A[:, i, j].copy()
            for k in range(j):
                x -= L[:, i, k] * L[:, j, k]
            if i == j:
                square[:, j] = x
                L[:, j, j] = np.sqrt(np.where(x > 0, x, np.nan))
            else:
                L[:, i, j] = x / L[:, j, j]
    return L, square


def forward(L: Floats, B: Floats) -> Floats:
    """L^-1 B.  L (n, q, q) lower, B (n, q, r)."""
    x = np.array(B, dtype=np.float64)
    for i in range(L.shape[1]):
        for k in range(i):
            x[:, i, :] -= L[:, i, k, None] * x[:, k, :]
        x[:, i, :] /= L[:, i, i, None]
    return x


def backward(L: Floats, B: Floats) -> Floats:
    """L'^-1 B.  L (n, q, q) lower, B (n, q, r)."""
    x = np.array(B, dtype=np.float64)
    for i in range(L.shape[1] - 1, -1, -1):
        for k in range(i + 1, L.shape[1]):
            x[:, i, :] -= L[:, k, i, None] * x[:, k, :]
        x[:, i, :] /= L[:, i, i, None]
    return x
