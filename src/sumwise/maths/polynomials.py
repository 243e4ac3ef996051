"""Polynomials in exact rationals: bases, least squares from power sums, evaluation rounded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from flint import fmpq_mat
from numpy.typing import NDArray

from sumwise.maths.gram import Gram
from sumwise.maths.rounding import fraction, rational

Floats = NDArray[np.float64]

BITS = 180
"""Bits to which values are first worked out; where these do not settle the rounding, all of them are."""

BASES = ("monomial", "chebyshev", "legendre", "orthogonal")
"""t^j; Chebyshev T_j(t); Legendre P_j(t); orthogonal over the data, leading coefficient 1 in t."""


@dataclass(frozen=True, slots=True)
class Points:
    """n numbers as integers times a unit 2^low 10^-decimals, exactly."""

    values: tuple[int, ...]
    low: int = 0
    decimals: int = 0

    @property
    def unit(self) -> Fraction:
        return Fraction(2) ** self.low * Fraction(1, 10**self.decimals)


@dataclass(frozen=True, slots=True)
class Polynomial:
    """sum_j coefficients[j] x^j, exact rationals."""

    coefficients: tuple[Fraction, ...]

    @property
    def degree(self) -> int:
        """Highest power with a coefficient that is not zero; 0 for a constant."""
        return max((j for j, c in enumerate(self.coefficients) if c), default=0)

    def derivative(self, order: int = 1) -> Polynomial:
        """d^order / dx^order"""
        coefficients = self.coefficients
        for _ in range(order):
            coefficients = tuple(j * c for j, c in enumerate(coefficients))[1:] or (Fraction(0),)
        return Polynomial(coefficients)

    def at(self, points: Points) -> Floats:
        """(n,) the values at n points, each correctly rounded; infinite beyond the largest float64."""
        return self._rounded(points, Points((0,) * len(points.values)), 1)

    def misses(self, points: Points, y: Points) -> Floats:
        """(n,) y - p(x), each correctly rounded."""
        return self._rounded(points, y, -1)

    def _rounded(self, points: Points, y: Points, sign: int) -> Floats:
        """y + sign p(x).  In the points' integers X, p is sum_j e_j X^j with e_j = c_j unit^j.  The e_j go to fixed
        point, so that all is integer; where the error that this leaves could change a rounding, the value is worked
        out in full.
        """
        scaled = [sign * c * points.unit**j for j, c in enumerate(self.coefficients)]
        common = lcm(y.unit.denominator, *(e.denominator for e in scaled))
        full, full_unit = [int(e * common) for e in scaled], int(y.unit * common)
        bits, slack = _precision(scaled, max((abs(v) for v in points.values), default=0))
        pairs = zip(points.values, y.values, strict=True)
        if common.bit_length() <= max(bits, BITS):
            return np.array([quotient(_horner(full, v) + full_unit * t, common) for v, t in pairs])
        one = 1 << max(bits, 0)
        fixed = [round(e * one) for e in scaled]
        values = []
        for v, t in pairs:
            total = _horner(fixed, v) + round(t * y.unit * one)
            below, above = quotient(total - slack, one), quotient(total + slack, one)
            settled = below == above and below != 0
            values.append(below if settled else quotient(_horner(full, v) + full_unit * t, common))
        return np.array(values)


def _precision(scaled: Sequence[Fraction], largest: int) -> tuple[int, int]:
    """(K, slack): with e_j rounded to multiples of 2^-K, values are off by at most slack 2^-K."""
    reach = sum(largest**j for j in range(len(scaled)))
    size = max(abs(e) * largest**j for j, e in enumerate(scaled)) or Fraction(1)
    bits = BITS + reach.bit_length() - (size.numerator.bit_length() - size.denominator.bit_length())
    return bits, reach // 2 + 2


def _horner(coefficients: Sequence[int], value: int) -> int:
    total = 0
    for c in reversed(coefficients):
        total = total * value + c
    return total


def quotient(numerator: int, denominator: int) -> float:
    """The nearest float64 of a fraction, denominator > 0; infinite where it is larger than any."""
    try:
        return numerator / denominator
    except OverflowError:
        return float("inf") if numerator > 0 else float("-inf")


def power_gram(x: Points, y: Points, degree: int, weights: Points | None = None) -> Gram:
    """The Gram of 1, x, ..., x^degree and y.

    Power sums sum_r w_r x_r^k up to k = 2 degree hold all of it.  Rows of weight zero do not count.
    """
    powers = [1] * len(x.values) if weights is None else list(weights.values)
    rows = len(x.values) if weights is None else sum(1 for w in weights.values if w)
    square = sum(w * b * b for w, b in zip(powers, y.values, strict=True))
    sums, mixed = [], []
    for k in range(2 * degree + 1):
        sums.append(sum(powers))
        if k <= degree:
            mixed.append(sum(map(int.__mul__, powers, y.values)))
        powers = list(map(int.__mul__, powers, x.values))
    entries = [sums[i + j] for i in range(degree + 1) for j in range(i + 1)]
    return Gram(
        rows,
        (*(x.low * j for j in range(degree + 1)), y.low),
        (*entries, *mixed, square),
        (*(x.decimals * j for j in range(degree + 1)), y.decimals),
        *((0, 0) if weights is None else (weights.low, weights.decimals)),
    )


def basis_matrix(basis: str, degree: int, domain: tuple[Fraction, Fraction], gram: Gram) -> Any:
    """B (degree + 1, degree + 1), rational: basis polynomial i is sum_j B[i, j] x^j.

    t = (2 x - a - b) / (b - a) runs over [-1, 1] where x runs over the domain [a, b].   gram: of the powers of x.
    """
    a, b = domain
    t = Polynomial((-(a + b) / (b - a), 2 / (b - a)))
    rows: list[list[Fraction]] = [[Fraction(1)]]
    for k in range(degree):
        rows.append(_next(basis, k, t, rows, gram))
    size = degree + 1
    return fmpq_mat(size, size, [rational(row[j]) if j < len(row) else 0 for row in rows for j in range(size)])


def _next(basis: str, k: int, t: Polynomial, rows: Sequence[Sequence[Fraction]], gram: Gram) -> list[Fraction]:
    """Polynomial k + 1 from the two before it, by the recurrence of the basis."""
    ahead = _times(rows[k], t.coefficients)
    back = list(rows[k - 1]) if k else []
    if basis == "monomial":
        return ahead
    if basis == "chebyshev":  # T_{k+1} = 2 t T_k - T_{k-1}
        return _combined([(Fraction(2 if k else 1), ahead), (Fraction(-1), back)])
    if basis == "legendre":  # (k + 1) P_{k+1} = (2k + 1) t P_k - k P_{k-1}
        return _combined([(Fraction(2 * k + 1, k + 1), ahead), (Fraction(-k, k + 1), back)])
    # pi_{k+1} = (t - alpha_k) pi_k - beta_k pi_{k-1}   [Forsythe 1957]
    norm = _inner(rows[k], rows[k], gram)
    if norm == 0:  # beyond the distinct points every polynomial of the basis is zero at the data
        return ahead
    alpha = _inner(ahead, rows[k], gram) / norm
    beta = norm / _inner(back, back, gram) if k else Fraction(0)
    return _combined([(Fraction(1), ahead), (-alpha, list(rows[k])), (-beta, back)])


def _inner(p: Sequence[Fraction], q: Sequence[Fraction], gram: Gram) -> Fraction:
    """sum_r w_r p(x_r) q(x_r)

    Moments of order i + j stand at (i, j); in the last step of a basis both orders stay within the Gram.
    """
    total = Fraction(0)
    n = gram.columns - 2
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            if a and b:
                high = min(i + j, n)
                total += a * b * gram.fraction(high, i + j - high)
    return total


def _times(p: Sequence[Fraction], q: Sequence[Fraction]) -> list[Fraction]:
    product = [Fraction(0)] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            product[i + j] += a * b
    return product


def _combined(terms: Sequence[tuple[Fraction, Sequence[Fraction]]]) -> list[Fraction]:
    total = [Fraction(0)] * max(len(p) for _, p in terms)
    for factor, p in terms:
        for j, c in enumerate(p):
            total[j] += factor * c
    return total


def rational_gram(gram: Gram) -> Any:
    """The Gram's values as a rational matrix."""
    m = gram.columns
    return fmpq_mat(m, m, [rational(gram.fraction(i, j)) for i in range(m) for j in range(m)])


def gram_in_basis(gram: Gram, B: Any) -> Gram:
    """The Gram of the basis polynomials and y, times a positive integer.

    Coefficients, their standard errors, rank and condition numbers do not see the factor; sums of squares do.
    """
    size = B.nrows()
    outer = fmpq_mat(size + 1, size + 1)
    for i in range(size):
        for j in range(size):
            outer[i, j] = B[i, j]
    outer[size, size] = 1
    numerator, _ = (outer * rational_gram(gram) * outer.transpose()).numer_denom()
    entries = tuple(int(numerator[i, j]) for i in range(size + 1) for j in range(i + 1))
    return Gram(gram.rows, (0,) * (size + 1), entries, (0,) * (size + 1))


def in_powers(coefficients: Sequence[Fraction], B: Any) -> Polynomial:
    """The polynomial with these coefficients in the basis B."""
    row = fmpq_mat(1, B.nrows(), [rational(c) for c in coefficients]) * B
    return Polynomial(tuple(fraction(row[0, j]) for j in range(B.ncols())))


def influence(gram: Gram, B: Any) -> list[Polynomial] | None:
    """The polynomials P_j with d coef_j / d y_r = w_r P_j(x_r), for the coefficients in the basis B; None where the
    coefficients are not unique.

    In powers of x the derivative is (X'WX)^-1 X'W, and coefficients in B are B^-T times those in powers.
    """
    size = B.nrows()
    moments = rational_gram(gram.chosen(range(size)))
    if moments.rank() < size:
        return None
    rows = B.transpose().inv() * moments.inv()
    return [Polynomial(tuple(fraction(rows[i, j]) for j in range(size))) for i in range(size)]


def variance_shape(gram: Gram) -> Polynomial | None:
    """h with var(p(x)) = sigma^2 h(x), of degree 2 (m - 1); None where p is not unique."""
    size = gram.columns - 1
    moments = rational_gram(gram.chosen(range(size)))
    if moments.rank() < size:
        return None
    inverse = moments.inv()
    total = [Fraction(0)] * (2 * size - 1)
    for i in range(size):
        for j in range(size):
            total[i + j] += fraction(inverse[i, j])
    return Polynomial(tuple(total))


def distinct(x: Points, weights: Points | None = None) -> int:
    """How many different points carry weight."""
    used = x.values if weights is None else [v for v, w in zip(x.values, weights.values, strict=True) if w]
    return len(set(used))
