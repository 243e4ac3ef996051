"""The Moore-Penrose inverse of a matrix, its projections and its four fundamental subspaces, rounded once.

Everything rests on exact cross-products of the shorter side: A+ = (A'A)+ A' = A'(AA')+.  Rank is exact: two columns
that differ in one last bit are independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from flint import arb, arb_mat, fmpq, fmpq_mat, fmpz_mat
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.maths.bases import column_space, null_space
from sumwise.maths.exact_matrices import identity, matrix, solve
from sumwise.maths.gram import Gram
from sumwise.maths.normal_equations import NormalEquations
from sumwise.maths.rounding import nearest, nearest_in, precision, rational
from sumwise.maths.settling import Ladder, Place, decide
from sumwise.maths.solutions import Balls, Rationals

Floats = NDArray[np.float64]


class Subspaces:
    """Orthonormal bases, in columns, of the subspaces of a matrix A (n, p) of rank r, each worked out when asked for.

    Gram-Schmidt on the first independent columns (rows); for a null space on the vectors e_d less the combination of
    columns that column d is.  Each entry is sign * sqrt(rational), rounded once.
    """

    def __init__(self, A: Floats) -> None:
        self.A = A

    @cached_property
    def rank(self) -> int:
        """r"""
        return rank(self.A)

    @cached_property
    def column_space(self) -> Floats:
        """(n, r); with left_null_space it spans R^n"""
        return column_space(self.A)

    @cached_property
    def left_null_space(self) -> Floats:
        """(n, n - r)"""
        return null_space(self.A.T)

    @cached_property
    def row_space(self) -> Floats:
        """(p, r); with null_space it spans R^p"""
        return column_space(self.A.T)

    @cached_property
    def null_space(self) -> Floats:
        """(p, p - r)"""
        return null_space(self.A)


def rank(A: Floats) -> int:
    """The exact rank of A (n, p)."""
    return 0 if not A.size else _Tall(_tall(A)).equations.rank


def pinv(A: Floats) -> Floats:
    """A+ (p, n) of A (n, p): A A+ A = A, A+ A A+ = A+, and A A+ and A+ A are symmetric.

    Raises DataError if an entry lies beyond the largest float64.
    """
    if not A.size:
        return np.zeros(A.shape[::-1])
    return _Tall(A).inverse() if A.shape[0] >= A.shape[1] else _Tall(A.T).inverse().T


def column_projection(A: Floats) -> Floats:
    """A A+ (n, n): the orthogonal projection onto the columns of A (n, p)."""
    if not A.size:
        return np.zeros((A.shape[0],) * 2)
    return _Tall(A).onto_columns() if A.shape[0] >= A.shape[1] else _Tall(A.T).onto_rows()


def row_projection(A: Floats) -> Floats:
    """A+ A (p, p): the orthogonal projection onto the rows of A (n, p)."""
    return column_projection(A.T)


@dataclass(frozen=True, slots=True)
class _Product:
    """A product of matrices with the inverse, in balls."""

    balls: Balls
    value: arb_mat

    @property
    def bits(self) -> int:
        return self.balls.bits

    @property
    def accuracy(self) -> int:
        return self.balls.accuracy


class _Tall:
    """A matrix X (n, p), n >= p, by the cross-products of its columns."""

    def __init__(self, X: Floats) -> None:
        self.X = X
        self.equations = NormalEquations(Gram.of(_columns(X)), range(X.shape[1]))
        self.rationals = Rationals(self.equations, ())
        self._solved: dict[int, fmpq_mat] = {}

    @cached_property
    def _kept(self) -> list[list[float]]:
        """X_P (n, r)"""
        return [[float(row[j]) for j in self.equations.independent] for row in self.X]

    @cached_property
    def _touches(self) -> NDArray[np.bool_]:
        """(n, p): has row i an entry in the block of column j?  Where not, A+_ji is zero."""
        block = np.array(self.equations.block)
        return np.column_stack([np.any(self.X[:, block == b] != 0, axis=1) for b in block])

    def inverse(self) -> Floats:
        """X+ (p, n) = L G^-1 X_P'"""

        def product(balls: Balls, X: arb_mat) -> arb_mat:
            return balls.half * X.transpose()

        places = [(int(j), int(i)) for i, j in np.argwhere(self._touches)]
        name = "entry ({0}, {1}) of the pseudo-inverse"
        return self._rounded(self.X.shape[::-1], name, places, product, lambda at: self._exact(at[1])[at[0]])

    def onto_columns(self) -> Floats:
        """X X+ (n, n) = X_P G^-1 X_P'"""

        def product(balls: Balls, X: arb_mat) -> arb_mat:
            return X * balls.kept_inverse * X.transpose()

        n = len(self.X)
        meets = self._touches.astype(np.int64)
        places = [(int(i), int(j)) for i, j in np.argwhere(meets @ meets.T) if j <= i]
        low = self._rounded((n, n), "entry ({0}, {1}) of the projection", places, product, self._exact_projection)
        return np.tril(low) + np.tril(low, -1).T

    def onto_rows(self) -> Floats:
        """X+ X (p, p) = L T, rational"""
        e = self.equations
        if e.full or not e.rank:
            return np.eye(e.p) * e.full
        T = e.lift(e.combination, identity(fmpq_mat, e.rank)).transpose()
        return np.array([[nearest(value) for value in row] for row in (self.rationals.lift * T).tolist()])

    def _rounded(
        self,
        shape: tuple[int, int],
        name: str,
        places: Sequence[Place],
        product: Callable[[Balls, arb_mat], arb_mat],
        exact: Callable[[Place], fmpq],
    ) -> Floats:
        """The entries of a product at some places, zero elsewhere."""

        def at_precision(bits: int) -> _Product:
            with precision(bits):
                balls = Balls(self.equations, (), bits)
                X = matrix(arb_mat, [list(map(arb, row)) for row in self._kept], self.equations.rank)
                return _Product(balls, product(balls, X))

        out = np.zeros(shape)
        found = decide(
            Ladder(at_precision), places, lambda s, at: nearest_in(s.value[at[0], at[1]]), lambda at: nearest(exact(at))
        )
        for at, value in found.items():
            if math.isinf(value):
                raise DataError(f"{name.format(*at)} is larger than the largest float64 (1.8e308): rescale the matrix")
            out[at] = value
        return out

    def _solution(self, i: int) -> fmpq_mat:
        """G^-1 X_P' e_i (r, 1)"""
        if i not in self._solved:
            e = self.equations
            right = [int(rational(Fraction(v)) / unit) for v, unit in zip(self._kept[i], e.kept_unit, strict=True)]
            z = solve(e.kept, fmpz_mat(e.rank, 1, right))
            self._solved[i] = matrix(fmpq_mat, [[z[q, 0] / unit] for q, unit in enumerate(e.kept_unit)], 1)
        return self._solved[i]

    def _exact(self, i: int) -> list[fmpq]:
        """Column i of X+."""
        z = self._solution(i)
        return [row[0] for row in (z if self.equations.full else self.rationals.lift * z).tolist()]

    def _exact_projection(self, at: Place) -> fmpq:
        z = self._solution(at[1])
        return sum((rational(Fraction(v)) * z[q, 0] for q, v in enumerate(self._kept[at[0]])), fmpq(0))


def _tall(A: Floats) -> Floats:
    return A if A.shape[0] >= A.shape[1] else A.T


def _columns(X: Floats) -> list[Floats]:
    return [np.ascontiguousarray(column) for column in X.T]
