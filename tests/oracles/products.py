"""Cross-products and combinations of columns in exact rational arithmetic."""

from collections.abc import Sequence
from fractions import Fraction


def cross_products(columns: Sequence[Sequence[float]], weights: Sequence[float] | None = None) -> list[Fraction]:
    """sum_r w_r x_ri x_rj for i = 0 .. m - 1, j = 0 .. i, row by row.  Every finite float is a Fraction."""
    X = [[Fraction(float(v)) for v in column] for column in columns]
    w = [Fraction(1)] * len(X[0]) if weights is None else [Fraction(float(v)) for v in weights]
    return [
        sum((t * a * b for t, a, b in zip(w, X[i], X[j], strict=True)), Fraction(0))
        for i in range(len(X))
        for j in range(i + 1)
    ]


def combination(row: Sequence[float], coefficients: Sequence[Fraction]) -> Fraction:
    """sum_j x_j c_j"""
    return sum((Fraction(float(x)) * c for x, c in zip(row, coefficients, strict=True)), Fraction(0))
