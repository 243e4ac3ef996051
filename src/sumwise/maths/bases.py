"""Orthonormal bases by Gram-Schmidt in exact numbers: each entry is sign * sqrt(rational), rounded once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from flint import arb_mat, fmpq, fmpz_mat, nmod_mat
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.maths.exact_matrices import matrix, part, solve
from sumwise.maths.gram import Gram
from sumwise.maths.normal_equations import LARGEST_PRIME, NormalEquations, pivots, prime_below
from sumwise.maths.rounding import fraction, nearest_in, nearest_root, precision
from sumwise.maths.settling import Ladder, Place, decide
from sumwise.maths.solutions import Balls

Floats = NDArray[np.float64]

MOST = 250_000
"""Numbers of a null space's basis."""


def column_space(A: Floats) -> Floats:
    """An orthonormal basis (n, r) of the columns of A (n, p): Gram-Schmidt on the first independent ones.

    Basis vector k has a positive product with the k-th of these columns.
    """
    whole, _, kept = _integers(A)
    return orthonormal(part(whole, range(A.shape[0]), kept))


def null_space(A: Floats) -> Floats:
    """An orthonormal basis (p, p - r) of the x with A x = 0.

    Raises DataError for a basis of so many numbers that it would take minutes or more: each of its columns is
    orthogonal to all before it, exactly.
    """
    whole, unit, kept = _integers(A)
    p = A.shape[1]
    size = p * (p - len(kept))
    if size > MOST:
        raise DataError(
            f"the basis of this null space would have {size:,} numbers ({p:,} x {p - len(kept):,}); at most "
            f"{MOST:,} are worked out. The projection onto it is I less the one onto its complement: see "
            "projections."
        )
    others = [j for j in range(p) if j not in set(kept)]
    X, Z = part(whole, range(A.shape[0]), kept), part(whole, range(A.shape[0]), others)
    combination = solve(X.transpose() * X, X.transpose() * Z)
    columns = []
    for c, d in enumerate(others):
        x = [Fraction(0)] * p
        x[d] = Fraction(1)
        for q, j in enumerate(kept):
            x[j] = -fraction(combination[q, c]) * unit[d] / unit[j]
        columns.append(_cleared(x))
    return orthonormal(matrix(fmpz_mat, [[x[j] for x in columns] for j in range(p)], len(others)))


def orthonormal(C: fmpz_mat) -> Floats:
    """Q (m, q) of C = Q R with R upper triangular, its diagonal positive.  The columns of C (m, q) are independent."""
    m, q = C.nrows(), C.ncols()
    G = C.transpose() * C
    entries = tuple(int(value) for i, row in enumerate(G.tolist()) for value in row[: i + 1])
    gram = Gram(rows=m, low=(0,) * q, entries=entries, decimals=(0,) * q)
    basis = _GramSchmidt(C, G, NormalEquations(gram, range(q)))
    places = [(i, k) for i in range(m) for k in range(q)]
    out = np.zeros((m, q))
    for at, value in decide(Ladder(basis.at), places, lambda s, at: nearest_in(s.Q[at[0], at[1]]), basis.exact).items():
        out[at] = value
    return out


class _InBalls:
    """Q = C W', where W'W = G^-1 with W lower triangular, so that W' = R^-1."""

    def __init__(self, C: fmpz_mat, balls: Balls) -> None:
        self.bits, self.accuracy = balls.bits, balls.accuracy
        if balls.root is None:
            raise ZeroDivisionError("too few bits for a Cholesky factor")
        with precision(self.bits):
            self.Q = arb_mat(C) * matrix(arb_mat, balls.root, C.ncols()).transpose()


class _GramSchmidt:
    """Q of C (m, q) with G = C'C, in balls and exactly."""

    def __init__(self, C: fmpz_mat, G: fmpz_mat, equations: NormalEquations) -> None:
        self.C, self.G, self.equations = C, G, equations
        self._steps: dict[int, tuple[list[fmpq], fmpq]] = {}

    def at(self, bits: int) -> _InBalls:
        """In balls."""
        return _InBalls(self.C, Balls(self.equations, (), bits))

    def exact(self, at: Place) -> float:
        """Entry (i, k): v_i / |v| of v = c_k less its projection onto the columns before it."""
        i, k = at
        combination, square = self._step(k)
        v = fmpq(self.C[i, k]) - sum((z * self.C[i, j] for j, z in enumerate(combination)), fmpq(0))
        return nearest_root(v * abs(v) / square)

    def _step(self, k: int) -> tuple[list[fmpq], fmpq]:
        """The projection's coefficients and |v|^2."""
        if k not in self._steps:
            z = solve(part(self.G, range(k), range(k)), part(self.G, range(k), [k]))
            combination = [z[j, 0] for j in range(k)]
            square = self.G[k, k] - sum((c * self.G[j, k] for j, c in enumerate(combination)), fmpq(0))
            self._steps[k] = combination, square
        return self._steps[k]


def _integers(A: Floats) -> tuple[fmpz_mat, list[Fraction], tuple[int, ...]]:
    """A (n, p) as integers in units of its columns, the units (p,), and r independent columns.

    Columns independent modulo a prime are independent; the rank of the cross-products says whether they are all.
    """
    n, p = A.shape
    exact = [[Fraction(float(v)) for v in column] for column in A.T]
    unit = [Fraction(1, max((v.denominator for v in column), default=1)) for column in exact]
    whole = matrix(fmpz_mat, [[int(column[i] / u) for column, u in zip(exact, unit, strict=True)] for i in range(n)], p)
    short = A if n >= p else A.T
    columns = [np.ascontiguousarray(column) for column in short.T]
    rank = NormalEquations(Gram.of(columns), range(len(columns))).rank if A.size else 0
    prime = LARGEST_PRIME
    while rank:
        kept = pivots(nmod_mat(whole, prime))
        if len(kept) == rank:
            return whole, unit, kept
        prime = prime_below(prime)
    return whole, unit, ()


def _cleared(x: Sequence[Fraction]) -> list[int]:
    """A multiple of x in integers."""
    common = math.lcm(*(value.denominator for value in x))
    return [int(value * common) for value in x]
