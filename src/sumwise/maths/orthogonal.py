"""Polynomials that are orthogonal over the data: their least squares needs no solve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.maths.least_squares import LeastSquares
from sumwise.maths.polynomials import rational_gram, to_unit
from sumwise.maths.rounding import fraction, nearest, nearest_in, nearest_root, nearest_root_in, precision
from sumwise.maths.settling import ENOUGH, Place, decide
from sumwise.maths.solutions import Balls

Floats = NDArray[np.float64]


class Orthogonal:
    """Least squares in the basis Q_0, ..., Q_d: Q_k = t^k + ..., orthogonal to all before it over the points.

    In powers of x, Q_k is s^k (x^k less its projection onto the powers before it), t = s x + shift.  With W the lower
    triangular root of the inverse of the moments G, W'W = G^-1, Q_k is row k of W times s^k / W_kk, and its square
    sum is (s^k / W_kk)^2.  Where the points are fewer than the powers, the Q_k beyond are zero at all of them, and so
    are their coefficients, as in the solution of least norm.
    fit: of the powers 1, x, ..., x^d, which are the first columns of its Gram, y the next.
    """

    def __init__(self, fit: LeastSquares, domain: tuple[Fraction, Fraction]) -> None:
        self.fit = fit
        self.size, self.rank, self.df = fit.p, fit.rank, fit.df
        self._slope = to_unit(domain)[0]

    @cached_property
    def _moments(self) -> Any:
        return rational_gram(self.fit.equations.gram)

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

    def norm(self, k: int) -> fmpq:
        """sum_r w_r Q_k(x_r)^2 = s^k sum_r w_r Q_k(x_r) x_r^k"""
        return self._slope**k * self._product(k, k)

    def _product(self, k: int, place: int) -> fmpq:
        """sum_r w_r Q_k(x_r) times the column at a place of the Gram."""
        return sum((self.matrix[k, j] * self._moments[j, place] for j in range(k + 1)), fmpq(0))

    def _coef_exact(self, k: int) -> fmpq:
        return self._product(k, self.size) / self.norm(k) if k < self.rank else fmpq(0)

    def coef_exact(self) -> list[list[Fraction]]:
        """(d + 1, 1), rationals: <y, Q_k> / <Q_k, Q_k>"""
        return [[fraction(self._coef_exact(k))] for k in range(self.size)]

    def _factor(self, balls: Balls, k: int) -> Any:
        """1 / |Q_k| = W_kk / s^k, in balls."""
        assert balls.root is not None
        return balls.root[k][k] / self._slope**k

    def _coef(self, balls: Balls, k: int) -> Any:
        assert balls.root is not None
        right = balls.equations.products(self.size)
        return sum(w * c for w, c in zip(balls.root[k], right, strict=True)) * self._factor(balls, k)

    def _rounded(self, places: Sequence[int], in_balls: Any, exact: Any, root: bool = False) -> dict[int, float]:
        """Rounded numbers at places k below the rank."""
        how, whole = (nearest_root_in, nearest_root) if root else (nearest_in, nearest)

        def settle(balls: Balls, at: Place) -> float | None:
            return None if balls.root is None else how(in_balls(balls, at[0]))

        found = decide(self.fit.ladder, [(k,) for k in places], settle, lambda at: whole(exact(at[0])))
        return {k: value for (k,), value in found.items()}

    def _column(self, name: str, found: dict[int, float], beyond: float, refuse: bool) -> Floats:
        """(d + 1, 1); beyond: what stands for the places beyond the rank."""
        if refuse and any(map(math.isinf, found.values())):
            k = next(k for k, value in found.items() if math.isinf(value))
            raise DataError(
                f"{name} of Q{k}(t) is larger than the largest float64 (1.8e308). The solution itself is exact; "
                "rescale x, y or the weights to read it."
            )
        return np.array([[found.get(k, beyond)] for k in range(self.size)])

    @cached_property
    def _coefficients(self) -> dict[int, float]:
        return self._rounded(range(self.rank), self._coef, self._coef_exact)

    @property
    def coef(self) -> Floats:
        """(d + 1, 1)"""
        return self._column("the coefficient", self._coefficients, 0.0, self.fit.refuses)

    def _variance(self, balls: Balls, k: int) -> Any:
        return balls.rss(0) / self.df * self._factor(balls, k) ** 2

    def _variance_exact(self, k: int) -> fmpq:
        return self.fit.rationals.rss(0) / self.df / self.norm(k)

    @cached_property
    def _errors(self) -> dict[int, float]:
        tested = range(self.rank if self.df else 0)
        return self._rounded(tested, self._variance, self._variance_exact, root=True)

    @property
    def se(self) -> Floats:
        """(d + 1, 1): sigma / |Q_k|; nan beyond the rank and where df = 0"""
        return self._column("the standard error", self._errors, math.nan, self.fit.refuses)

    @cached_property
    def _ratios(self) -> dict[int, float]:
        if not self.df or self.fit.fits_exactly(0):
            signs = {k: float(np.sign(c)) for k, c in self._coefficients.items()} if self.df else {}
            return {k: sign * math.inf if sign else math.nan for k, sign in signs.items()}

        def square(balls: Balls, k: int) -> Any:
            c = self._coef(balls, k)
            return c * abs(c) / self._variance(balls, k)

        def exact(k: int) -> fmpq:
            c = self._coef_exact(k)
            return c * abs(c) / self._variance_exact(k)

        return self._rounded(range(self.rank), square, exact, root=True)

    @property
    def t(self) -> Floats:
        """(d + 1, 1): coef / se; in an exact fit infinite, or nan for a coefficient of zero"""
        refuse = self.fit.refuses and not self.fit.fits_exactly(0)
        return self._column("the t statistic", self._ratios, math.nan, refuse)

    def vcov(self) -> Floats:
        """(d + 1, d + 1), diagonal"""
        out = np.zeros((self.size, self.size)) if self.df else np.full((self.size, self.size), np.nan)
        found = self._rounded(range(self.rank if self.df else 0), self._variance, self._variance_exact)
        np.fill_diagonal(out, self._column("the variance", found, math.nan, self.fit.refuses)[:, 0])
        return out

    def lenient(self) -> Orthogonal:
        """The same, with infinite numbers in place of those beyond float64."""
        other = copy(self)
        other.fit = self.fit.lenient()
        return other

    @cached_property
    def kappa(self) -> float:
        """Condition number of the matrix of the Q_k at the points; with its columns scaled to length 1 it is 1."""
        if self.rank < self.size:
            return math.inf
        for balls in self.fit.ladder.up_to(math.inf):
            with precision(balls.bits):
                if balls.root is not None and balls.accuracy >= ENOUGH:
                    factors = [abs(self._factor(balls, k)) for k in range(self.size)]
                    return float((max(factors) / min(factors)).mid())
        raise AssertionError("precision rises without end")
