"""Polynomials that are orthogonal over the data: their least squares needs no solve."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat
from numpy.typing import NDArray

from sumwise.maths.gram import Gram
from sumwise.maths.polynomials import Polynomial, rational_gram, to_unit
from sumwise.maths.rounding import fraction, nearest, nearest_root

Floats = NDArray[np.float64]


class Orthogonal:
    """Least squares in the basis Q_0, ..., Q_d: Q_k = t^k + ..., orthogonal to all before it over the points.

    In powers of x, Q_k is slope^k (x^k less its projection onto the powers before it), t = slope x + shift.  Where
    the points are fewer than the powers, the Q_k beyond are zero at all of them, and so are their coefficients, as
    in the solution of least norm.
    gram: of 1, x, ..., x^d, y.   rss, df: exact residual sum of squares and its degrees of freedom.
    """

    def __init__(self, gram: Gram, domain: tuple[Fraction, Fraction], rank: int, rss: fmpq, df: int) -> None:
        self.size = gram.columns - 1
        self.rank, self.df = rank, df
        self._moments = rational_gram(gram)
        self._slope = to_unit(domain)[0]
        self._variance = rss / df if df else None

    @cached_property
    def matrix(self) -> Any:
        """B (d + 1, d + 1), rational: Q_k is sum_j B[k, j] x^j."""
        G, B = self._moments, fmpq_mat(self.size, self.size)
        for k in range(self.size):
            m = min(k, self.rank)
            scale = self._slope**k
            B[k, k] = scale
            if m:
                inner = fmpq_mat(m, m, [G[i, j] for i in range(m) for j in range(m)])
                z = inner.solve(fmpq_mat(m, 1, [G[i, k] for i in range(m)]))
                for j in range(m):
                    B[k, j] = -z[j, 0] * scale
        return B

    @cached_property
    def norms(self) -> list[fmpq]:
        """sum_r w_r Q_k(x_r)^2 = slope^k sum_r w_r Q_k(x_r) x_r^k, 0 beyond the rank."""
        return [self._slope**k * self._product(k, k) if k < self.rank else fmpq(0) for k in range(self.size)]

    def _product(self, k: int, place: int) -> fmpq:
        """sum_r w_r Q_k(x_r) times the column at a place of the Gram."""
        return sum((self.matrix[k, j] * self._moments[j, place] for j in range(k + 1)), fmpq(0))

    @cached_property
    def _exact(self) -> list[fmpq]:
        return [self._product(k, self.size) / n if n else fmpq(0) for k, n in enumerate(self.norms)]

    def coef_exact(self) -> list[list[Fraction]]:
        """(d + 1, 1), rationals: <y, Q_k> / <Q_k, Q_k>"""
        return [[fraction(c)] for c in self._exact]

    @cached_property
    def coef(self) -> Floats:
        """(d + 1, 1)"""
        return np.array([[nearest(c)] for c in self._exact])

    @cached_property
    def se(self) -> Floats:
        """(d + 1, 1): sigma / sqrt(norm); nan beyond the rank and where df = 0"""
        return np.array([[math.nan if v is None else nearest_root(v)] for v in self._variances])

    @cached_property
    def t(self) -> Floats:
        """(d + 1, 1): coef / se"""
        return np.array([[_ratio(c, v)] for c, v in zip(self._exact, self._variances, strict=True)])

    def vcov(self) -> Floats:
        """(d + 1, d + 1), diagonal"""
        out = np.zeros((self.size, self.size)) if self.df else np.full((self.size, self.size), np.nan)
        np.fill_diagonal(out, [math.nan if v is None else nearest(v) for v in self._variances])
        return out

    @property
    def _variances(self) -> list[fmpq | None]:
        return [None if self._variance is None or not n else self._variance / n for n in self.norms]

    @property
    def kappa(self) -> float:
        """Condition number of the matrix of the Q_k at the points; with its columns scaled to length 1 it is 1."""
        if self.rank < self.size:
            return math.inf
        return nearest_root(max(self.norms) / min(self.norms))

    def influence(self) -> list[Polynomial]:
        """The polynomials P_k with d coef_k / d y_r = w_r P_k(x_r).  Raises ZeroDivisionError below full rank."""
        rows = [Polynomial(tuple(self.matrix[k, j] for j in range(self.size))) for k in range(self.size)]
        return [Q.times(1 / n) for Q, n in zip(rows, self.norms, strict=True)]


def _ratio(c: fmpq, variance: fmpq | None) -> float:
    if variance is None:
        return math.nan
    if not variance:
        return math.nan if not c else math.copysign(math.inf, nearest(c))
    return nearest_root(c * abs(c) / variance)
