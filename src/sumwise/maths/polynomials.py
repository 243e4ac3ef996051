"""Polynomials in exact rationals: bases, power sums, evaluation rounded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat, fmpz, fmpz_mat
from numpy.typing import NDArray

from sumwise.maths.columns import Column
from sumwise.maths.gram import Gram
from sumwise.maths.rounding import fraction, nearest_root, rational

Floats = NDArray[np.float64]

BITS = 180
"""Bits to which values are first worked out; where these do not settle the rounding, all of them are."""


@dataclass(frozen=True, slots=True)
class Points:
    """n numbers as integers times a unit 2^low 10^-decimals, exactly."""

    values: tuple[int, ...]
    low: int = 0
    decimals: int = 0

    @classmethod
    def of(cls, column: Column) -> Points:
        """The numbers of a column in one unit."""
        ratios = [value.as_integer_ratio() for value in column.whole()]
        finest = max(denominator for _, denominator in ratios)
        values = tuple(numerator * (finest // denominator) for numerator, denominator in ratios)
        return cls(values, 1 - finest.bit_length(), column.decimals)

    @property
    def unit(self) -> Fraction:
        """What the integers count in."""
        return Fraction(2) ** self.low * Fraction(1, 10**self.decimals)


@dataclass(frozen=True, slots=True, eq=False)
class Polynomial:
    """sum_j values[j] x^j, exact rationals (flint's, whose arithmetic stays fast where they are long)."""

    values: tuple[fmpq, ...]

    @property
    def coefficients(self) -> tuple[Fraction, ...]:
        """The same for Python."""
        return tuple(map(fraction, self.values))

    @property
    def degree(self) -> int:
        """Highest power with a coefficient that is not zero; 0 for a constant."""
        return max((j for j, c in enumerate(self.values) if c != 0), default=0)

    def __reduce__(self) -> tuple[Any, ...]:
        """Flint's numbers cannot be pickled."""
        return _of_fractions, (self.coefficients,)

    def derivative(self, order: int = 1) -> Polynomial:
        """d^order / dx^order"""
        values = self.values
        for _ in range(order):
            values = tuple(j * c for j, c in enumerate(values))[1:] or (fmpq(0),)
        return Polynomial(values)

    def times(self, factor: fmpq) -> Polynomial:
        """The polynomial times a number."""
        return Polynomial(tuple(c * factor for c in self.values))

    def at(self, points: Points) -> Floats:
        """(n,) the values at n points, each correctly rounded; infinite beyond the largest float64."""
        return self._rounded(points, Points((0,) * len(points.values)), 1)

    def misses(self, points: Points, y: Points) -> Floats:
        """(n,) y - p(x), each correctly rounded."""
        return self._rounded(points, y, -1)

    def root_at(self, points: Points, r: int) -> float:
        """sqrt(p(x_r)), rounded once, also where p(x_r) itself leaves the range of float64; inf beyond it."""
        x = points.values[r] * rational(points.unit)
        total = fmpq(0)
        for c in reversed(self.values):
            total = total * x + c
        try:
            return nearest_root(total)
        except OverflowError:
            return float("inf")

    def _rounded(self, points: Points, y: Points, sign: int) -> Floats:
        """y + sign p(x).  In the points' integers X, p is sum_j e_j X^j with e_j = c_j unit^j.  The e_j go to fixed
        point, so that all is integer; where the error that this leaves could change a rounding, the value is worked
        out in full.
        """
        unit, y_unit = rational(points.unit), rational(y.unit)
        scaled = [sign * c * unit**j for j, c in enumerate(self.values)]
        bits, slack = _precision(scaled, max((abs(v) for v in points.values), default=0))
        pairs = list(zip(points.values, y.values, strict=True))
        full = _Whole(scaled, y_unit)
        if all(int(e.q).bit_length() <= BITS for e in (*scaled, y_unit)) and full.bits <= max(bits, BITS):
            return np.array([full.at(v, t) for v, t in pairs])
        one = 1 << max(bits, 0)
        fixed, places = [_nearest_whole(e * one) for e in scaled], y_unit * one
        values = []
        for v, t in pairs:
            total = horner(fixed, v) + (_nearest_whole(places * t) if t else 0)
            below, above = quotient(total - slack, one), quotient(total + slack, one)
            values.append(below if below == above and below != 0 else full.at(v, t))
        return np.array(values)


def _of_fractions(coefficients: Sequence[Fraction]) -> Polynomial:
    return Polynomial(tuple(map(rational, coefficients)))


class _Whole:
    """sum_j e_j X^j + unit t over one denominator, made when first needed."""

    def __init__(self, scaled: Sequence[fmpq], unit: fmpq) -> None:
        self._parts = (*scaled, unit)
        self._ready: tuple[int, list[int]] | None = None

    def _made(self) -> tuple[int, list[int]]:
        if self._ready is None:
            common = fmpz(1)
            for e in self._parts:
                common = common.lcm(e.q)
            self._ready = int(common), [int((e * common).p) for e in self._parts]
        return self._ready

    @property
    def bits(self) -> int:
        """Of the denominator."""
        return self._made()[0].bit_length()

    def at(self, X: int, t: int) -> float:
        """Rounded once."""
        common, (*whole, unit) = self._made()
        return quotient(horner(whole, X) + unit * t, common)


def _precision(scaled: Sequence[fmpq], largest: int) -> tuple[int, int]:
    """(K, slack): with e_j rounded to multiples of 2^-K, values are off by at most slack 2^-K."""
    reach = sum(largest**j for j in range(len(scaled)))
    sizes = [
        int(e.p).bit_length() - int(e.q).bit_length() + j * largest.bit_length() for j, e in enumerate(scaled) if e
    ]
    return BITS + reach.bit_length() - max(sizes, default=0), reach // 2 + 2


def _nearest_whole(value: fmpq) -> int:
    return int((2 * value.p + value.q) // (2 * value.q))


def horner(coefficients: Sequence[int], value: int) -> int:
    """sum_j coefficients[j] value^j"""
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


def basis_matrix(basis: str, degree: int, domain: tuple[Fraction, Fraction]) -> Any:
    """B (degree + 1, degree + 1), rational: basis polynomial i is sum_j B[i, j] x^j.

    basis: "monomial", "chebyshev" or "legendre", in t = (2 x - a - b) / (b - a), which runs over [-1, 1] where x runs
    over the domain [a, b].
    """
    slope, shift = to_unit(domain)
    rows: list[list[fmpq]] = [[fmpq(1)]]
    for k in range(degree):
        ahead = [shift * c for c in (*rows[k], fmpq(0))]  # t times polynomial k
        for j, c in enumerate(rows[k]):
            ahead[j + 1] += slope * c
        one, two = _RECURRENCES[basis](k)
        back = [*rows[k - 1], fmpq(0), fmpq(0)] if k else [fmpq(0)] * len(ahead)
        rows.append([one * a - two * b for a, b in zip(ahead, back, strict=True)])
    size = degree + 1
    return fmpq_mat(size, size, [row[j] if j < len(row) else fmpq(0) for row in rows for j in range(size)])


_RECURRENCES = {
    "monomial": lambda k: (fmpq(1), fmpq(0)),  # noqa: ARG005
    "chebyshev": lambda k: (fmpq(2 if k else 1), fmpq(1)),  # T_{k+1} = 2 t T_k - T_{k-1}
    "legendre": lambda k: (fmpq(2 * k + 1, k + 1), fmpq(k, k + 1)),  # (k+1) P_{k+1} = (2k+1) t P_k - k P_{k-1}
}
"""Polynomial k + 1 is the first times t times polynomial k, less the second times polynomial k - 1."""


def to_unit(domain: tuple[Fraction, Fraction]) -> tuple[fmpq, fmpq]:
    """(slope, shift) of t = slope x + shift, which maps [a, b] to [-1, 1]."""
    a, b = domain
    return rational(2 / (b - a)), rational(-(a + b) / (b - a))


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
    return Polynomial(tuple(row[0, j] for j in range(B.ncols())))


def _inverse_moments(gram: Gram) -> tuple[Any, fmpq, list[fmpq]]:
    """(N, c, v) with (X'WX)^-1_ij = N_ij c v_i v_j for the powers of x, N integers: no long fraction is reduced.

    Raises ZeroDivisionError where the powers depend on each other.
    """
    size = gram.columns - 1
    beside = [gram.entry(i, j) if j < size else int(j - size == i) for i in range(size) for j in range(2 * size)]
    reduced, denominator, _ = fmpz_mat(size, 2 * size, beside).rref()  # ten times faster here than flint's inverse
    if reduced[size - 1, size - 1] == 0:
        raise ZeroDivisionError("the powers of x depend on each other")
    numerator = fmpz_mat(size, size, [reduced[i, size + j] for i in range(size) for j in range(size)])
    return numerator, 1 / (denominator * rational(gram.weight_unit)), [1 / rational(gram.unit(i)) for i in range(size)]


def variance_shape(gram: Gram) -> Polynomial:
    """h with var(p(x)) = sigma^2 h(x), of degree 2 (m - 1).  Raises ZeroDivisionError where p is not unique."""
    numerator, factor, unit = _inverse_moments(gram)
    size = numerator.nrows()
    total = [fmpz(0)] * (2 * size - 1)
    for i in range(size):
        for j in range(size):
            total[i + j] += numerator[i, j]
    # the unit of x^k is that of x to the k-th
    scale = [unit[k // 2] * unit[k - k // 2] for k in range(2 * size - 1)]
    return Polynomial(tuple(t * (factor * s) for t, s in zip(total, scale, strict=True)))


def distinct(x: Points, weights: Points | None = None) -> int:
    """How many different points carry weight."""
    used = x.values if weights is None else [v for v, w in zip(x.values, weights.values, strict=True) if w]
    return len(set(used))
