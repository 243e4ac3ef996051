"""Least squares in plain Fractions: Gauss-Jordan elimination on the normal equations, no tricks.

All inputs are taken at their exact value.  Every result is exact; `rounded` and `rounded_root` round it once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

Matrix = list[list[Fraction]]


@dataclass(frozen=True)
class Solution:
    """independent: the first columns kept; coef (p,): least norm; inverse (p, p): Moore-Penrose inverse of X'WX."""

    rank: int
    independent: tuple[int, ...]
    coef: list[Fraction]
    inverse: Matrix
    rss: Fraction


def solve(X: Sequence[Sequence[float]], y: Sequence[float], w: Sequence[float] | None = None) -> Solution:
    """X (n, p), y (n,), w (n,)"""
    A = exact(X)
    b = [Fraction(v) for v in y]
    weight = [Fraction(v) for v in w] if w is not None else [Fraction(1)] * len(b)
    G = times(transposed(A), [[c * v for v in row] for c, row in zip(weight, A, strict=True)])
    inverse, kept = pseudo_inverse(G)
    right = [sum((c * row[j] * v for c, row, v in zip(weight, A, b, strict=True)), Fraction(0)) for j in range(len(G))]
    coef = [sum((g * r for g, r in zip(row, right, strict=True)), Fraction(0)) for row in inverse]
    residual = [
        v - sum((a * c for a, c in zip(row, coef, strict=True)), Fraction(0)) for v, row in zip(b, A, strict=True)
    ]
    rss = sum((c * r * r for c, r in zip(weight, residual, strict=True)), Fraction(0))
    return Solution(len(kept), kept, coef, inverse, rss)


def pinv(A: Sequence[Sequence[float]]) -> Matrix:
    """A+ = (A'A)+ A' (p, n)"""
    B = exact(A)
    return times(pseudo_inverse(times(transposed(B), B))[0], transposed(B))


def pseudo_inverse(G: Matrix) -> tuple[Matrix, tuple[int, ...]]:
    """G+ of a symmetric matrix G (p, p) and its pivot columns.

    G = B C with B the pivot columns (p, r) and C the nonzero rows of the echelon form (r, p), both of full rank:
    G+ = C'(CC')^-1 (B'B)^-1 B'   [MacDuffee; Ben-Israel & Greville 2003, theorem 1.5]
    """
    reduced, pivots = echelon(G)
    if not pivots:
        return [[Fraction(0)] * len(G) for _ in G], ()
    C, B = reduced[: len(pivots)], [[row[j] for j in pivots] for row in G]
    left = times(transposed(C), inverse(times(C, transposed(C))))
    right = times(inverse(times(transposed(B), B)), transposed(B))
    return times(left, right), pivots


def echelon(M: Matrix) -> tuple[Matrix, tuple[int, ...]]:
    """Reduced row echelon form and its pivot columns."""
    A = [list(row) for row in M]
    pivots: list[int] = []
    for j in range(len(A[0]) if A else 0):
        top = len(pivots)
        at = next((i for i in range(top, len(A)) if A[i][j]), None)
        if at is None:
            continue
        A[top], A[at] = A[at], A[top]
        A[top] = [v / A[top][j] for v in A[top]]
        for i in range(len(A)):
            if i != top and A[i][j]:
                A[i] = [v - A[i][j] * u for v, u in zip(A[i], A[top], strict=True)]
        pivots.append(j)
    return A, tuple(pivots)


def inverse(M: Matrix) -> Matrix:
    """The inverse of a nonsingular matrix."""
    n = len(M)
    joined, pivots = echelon([[*row, *(Fraction(int(i == j)) for j in range(n))] for i, row in enumerate(M)])
    assert pivots == tuple(range(n))
    return [row[n:] for row in joined]


def times(A: Matrix, B: Matrix) -> Matrix:
    """A B"""
    columns = transposed(B)
    return [[sum((a * b for a, b in zip(row, column, strict=True)), Fraction(0)) for column in columns] for row in A]


def transposed(A: Matrix) -> Matrix:
    """A'"""
    return [list(column) for column in zip(*A, strict=True)]


def exact(A: Sequence[Sequence[float]]) -> Matrix:
    """The matrix in Fractions."""
    return [[Fraction(v) for v in row] for row in A]


def rounded(value: Fraction) -> float:
    """The nearest float64.  Fraction to float divides two integers, which CPython rounds correctly."""
    return value.numerator / value.denominator


def rounded_root(value: Fraction) -> float:
    """The float64 nearest to sqrt(value): the candidate whose neighbours' midpoints, squared, enclose value.

    Starts at the root cut to 200 bits and compares exactly.
    """
    if value == 0:
        return 0.0
    scale = 1 << max(0, 400 - 2 * ((value.numerator.bit_length() - value.denominator.bit_length()) // 2))
    below = Fraction(isqrt(value.numerator * scale * scale // value.denominator), scale)
    low, high = rounded(below), rounded(below + Fraction(1, scale))
    if low == high:
        return low
    middle = (Fraction(low) + Fraction(high)) / 2
    if value == middle * middle:
        return low if Fraction(low) / Fraction(high - low) % 2 == 0 else high
    return low if value < middle * middle else high
