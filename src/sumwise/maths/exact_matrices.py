"""Matrices of integers, rationals and balls: what flint leaves to its users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from flint import arb, arb_mat, fmpq_mat, fmpz_mat

M = TypeVar("M", arb_mat, fmpq_mat, fmpz_mat)


def solve(G: fmpz_mat, right: fmpz_mat) -> fmpq_mat:
    """G^-1 right"""
    if not G.nrows() or not right.ncols():
        return fmpq_mat(G.nrows(), right.ncols())
    solution = G.solve(right)
    assert isinstance(solution, fmpq_mat)
    return solution


def part(G: fmpz_mat, rows: Sequence[int], columns: Sequence[int]) -> fmpz_mat:
    """Some rows and columns of a matrix."""
    table = G.tolist()
    return matrix(fmpz_mat, [[table[i][j] for j in columns] for i in rows], len(columns))


def matrix(kind: Callable[..., M], rows: Sequence[Sequence[Any]], columns: int) -> M:
    """A flint matrix; the number of columns is said, because there may be no row to count them in."""
    return kind(len(rows), columns, [value for row in rows for value in row])


def identity(kind: Callable[..., M], n: int) -> M:
    """I (n, n)"""
    return kind(n, n, [int(i == j) for i in range(n) for j in range(n)])


def inverse(A: arb_mat) -> arb_mat:
    """The inverse of a symmetric positive definite matrix.  Rows and columns are first scaled by powers of two to a
    diagonal between 1/2 and 2, so that units cost no precision.
    """
    if not A.nrows():
        return A
    size = [half_exponent(A[i, i]) for i in range(A.nrows())]
    scale = [arb((1, -e)) for e in size]
    return scaled(scaled(A, scale, scale).inv(), scale, scale)


def scaled(A: arb_mat, left: Sequence[arb], right: Sequence[arb]) -> arb_mat:
    """diag(left) A diag(right)"""
    rows = [[x * a * b for x, b in zip(row, right, strict=True)] for a, row in zip(left, A.tolist(), strict=True)]
    return matrix(arb_mat, rows, len(right))


def half_exponent(value: arb) -> int:
    """About log2 sqrt(value), whole."""
    digits, exponent = value.mid().man_exp()
    return (digits.bit_length() + int(exponent)) // 2
