"""Cholesky factor, solutions and inverse of small symmetric matrices, in a fixed order of operations.

BLAS and LAPACK order their sums by processor, so their last bits differ between machines.  Here every
element goes through the same multiplications and subtractions everywhere, each rounded once (kernels/small.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import library

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Factor:
    """L (n, n) lower triangular with S A S = L L', where S = diag(scale) makes the diagonal of A one (or
    minus one).
    """

    L: Floats
    scale: Floats

    def solve(self, b: Floats) -> Floats:
        """x (n, ...) with A x = b (n, ...)."""
        return (self.scale * self._backward(self._forward((self.scale * b.T).T)).T).T

    def inverse(self) -> Floats:
        """The inverse of A (n, n), symmetric to the last bit."""
        half = self.whitening()
        return times(half.T, half)

    def whitening(self) -> Floats:
        """W (n, n) lower triangular with W A W' = I, and so W'W the inverse of A."""
        return self._forward(np.diag(self.scale))

    def _forward(self, b: Floats) -> Floats:
        return _solved(self.L, b, back=False)

    def _backward(self, b: Floats) -> Floats:
        return _solved(self.L, b, back=True)


def equilibrate(A: Floats) -> Floats:
    """scale (n,) = 1 / sqrt |A_ii|, and 1 where A_ii = 0."""
    size = np.abs(np.diag(A))
    return 1 / np.sqrt(np.where(size > 0, size, 1.0))


def cholesky(A: Floats, *, shift: float = 0.0, least_pivot: float = 1e-15) -> Factor | None:
    """Factor of A + shift * diag|A|, or None if a pivot of the scaled matrix falls below `least_pivot`.  A (n, n)
    symmetric.

    With A scaled to a unit diagonal, pivot k is the share of column k that the columns before it do not explain.
    """
    scale = equilibrate(A)
    M = A * np.multiply.outer(scale, scale)
    M[np.diag_indices_from(M)] += shift
    L, done = _eliminate(M, least_pivot)
    return Factor(L, scale) if done == len(M) else None


def _eliminate(M: Floats, least_pivot: float) -> tuple[Floats, int]:
    """Columns of the Cholesky factor of M (n, n), and how many there are before a pivot falls short, or is nan."""
    work = np.array(M, dtype=np.float64, order="C")
    L = np.zeros_like(work)
    return L, library.sw_eliminate(work.ctypes.data, len(work), least_pivot, L.ctypes.data)


def _solved(L: Floats, b: Floats, *, back: bool) -> Floats:
    """L^-1 b, or L^-T b, for b (n, ...)."""
    factor, x = np.ascontiguousarray(L), np.array(b, dtype=np.float64, order="C")
    library.sw_solve_lower(factor.ctypes.data, len(x), x.ctypes.data, x.size // max(len(x), 1), back)
    return x


def times(A: Floats, B: Floats) -> Floats:
    """A B for A (k, n) and B (n, ...), the products added in order."""
    left, right = (np.ascontiguousarray(M, dtype=np.float64) for M in (A, B))
    out = np.empty(A.shape[:1] + B.shape[1:])
    columns = out.size // max(len(out), 1) if len(out) else 0
    library.sw_times(left.ctypes.data, right.ctypes.data, *left.shape, columns, out.ctypes.data)
    return out


@dataclass(frozen=True, slots=True)
class Dependence:
    """Column `column` of a matrix is a combination of earlier ones.

    coefficient (column,): of columns 0 .. column - 1; weight (column,): the size of each of these terms relative to the
    column; distance: how far off the combination is, relative to the column.
    """

    column: int
    coefficient: Floats
    weight: Floats
    distance: float


def first_dependence(A: Floats, least_pivot: float) -> Dependence | None:
    """The first column of a cross-product matrix A = X'WX (n, n) that earlier columns explain to within
    sqrt(least_pivot).
    """
    scale = equilibrate(A)
    M = A * np.multiply.outer(scale, scale)
    L, k = _eliminate(M, least_pivot)
    if k == len(M):
        return None
    before = Factor(L[:k, :k], np.ones(k)).solve(M[:k, k])
    left = M[k, k] - fsum(before * M[:k, k])
    return Dependence(k, before * scale[:k] / scale[k], np.abs(before), float(np.sqrt(max(left, 0.0))))
