"""Exact polynomials."""

from fractions import Fraction

import numpy as np
import pytest
from flint import fmpq

from sumwise.maths.influence import influence
from sumwise.maths.least_squares import LeastSquares
from sumwise.maths.orthogonal import Orthogonal
from sumwise.maths.polynomials import (
    Points,
    Polynomial,
    basis_matrix,
    power_gram,
    quotient,
    variance_shape,
)
from sumwise.maths.rounding import fraction, rational
from tests.oracles.least_squares import inverse, rounded, times, transposed

X = Points((20, 25, 30, 45), -1)  # 10, 12.5, 15, 22.5
Y = Points((11, 5, 9, -4), 0, 1)


def polynomial(*coefficients: Fraction | int) -> Polynomial:
    return Polynomial(tuple(rational(Fraction(c)) for c in coefficients))


VALUES = [Fraction(v, 2) for v in X.values]


def test_power_sums_are_those_of_fractions() -> None:
    gram = power_gram(X, Y, 2, Points((1, 2, 0, 5), 0, 1))
    columns = [[v**j for v in VALUES] for j in range(3)] + [[Fraction(v, 10) for v in Y.values]]
    weights = [Fraction(v, 10) for v in (1, 2, 0, 5)]
    for i, a in enumerate(columns):
        for j, b in enumerate(columns):
            assert gram.fraction(i, j) == sum(w * u * v for w, u, v in zip(weights, a, b, strict=True))
    assert gram.rows == 3


@pytest.mark.parametrize(
    ("basis", "fourth"),
    [
        ("monomial", [0, 0, 0, 0, 1]),
        ("chebyshev", [1, 0, -8, 0, 8]),  # T4 = 8 t^4 - 8 t^2 + 1
        ("legendre", [Fraction(3, 8), 0, Fraction(-30, 8), 0, Fraction(35, 8)]),  # P4 = (35 t^4 - 30 t^2 + 3) / 8
    ],
)
def test_bases_are_the_textbooks(basis: str, fourth: list[Fraction]) -> None:
    B = basis_matrix(basis, 4, (Fraction(-1), Fraction(1)))
    assert [Fraction(int(B[4, j].p), int(B[4, j].q)) for j in range(5)] == fourth


def test_a_domain_maps_to_minus_one_and_one() -> None:
    B = basis_matrix("chebyshev", 3, (Fraction(10), Fraction(25)))
    row = Polynomial(tuple(B[3, j] for j in range(4)))
    assert row.at(Points((10, 25))).tolist() == [-1, 1]


def test_orthogonal_polynomials_are_orthogonal_over_the_data() -> None:
    gram = power_gram(X, Y, 3)
    basis = Orthogonal(LeastSquares(gram, range(4), [4], constant=0), (Fraction(-1), Fraction(1)))
    B = basis.matrix
    rows = [[Fraction(int(B[i, j].p), int(B[i, j].q)) for j in range(4)] for i in range(4)]
    values = [[sum(c * v**j for j, c in enumerate(row)) for v in VALUES] for row in rows]
    products = times(values, transposed(values))
    assert all(products[i][j] == 0 for i in range(4) for j in range(i))
    assert [rows[i][i] for i in range(4)] == [1, 1, 1, 1]
    assert [fraction(basis.norm(k)) for k in range(4)] == [products[i][i] for i in range(4)]
    assert basis.kappa == pytest.approx(np.linalg.cond(np.array(values, dtype=float)), rel=1e-9)


def test_values_are_rounded_once_whatever_the_cancellation() -> None:
    """(x - 1)^9 near 1, expanded: 9 powers that cancel to 1e-45; and a value that is exactly zero."""
    expanded = [Fraction(v) for v in (-1, 9, -36, 84, -126, 126, -84, 36, -9, 1)]
    tilted = polynomial(*(c + (Fraction(1, 3**40) if j == 0 else 0) for j, c in enumerate(expanded)))
    x = 1 + np.arange(-4, 5) * 2.0**-17
    points = Points(tuple(int(v * 2**40) for v in x), -40)
    exact = [(Fraction(v) - 1) ** 9 + Fraction(1, 3**40) for v in x.tolist()]
    assert tilted.at(points).tolist() == [rounded(v) for v in exact]
    third = polynomial(Fraction(-1, 3), Fraction(1, 3**200), Fraction(1, 3) - Fraction(1, 3**200))
    assert third.at(Points((1,))).tolist() == [0]


def test_misses_are_rounded_once() -> None:
    p = polynomial(Fraction(1, 3**150), Fraction(1, 7))
    y = [Fraction(v, 10) for v in Y.values]
    exact = [t - Fraction(1, 3**150) - v / 7 for t, v in zip(y, VALUES, strict=True)]
    assert p.misses(X, Y).tolist() == [rounded(v) for v in exact]


def test_derivatives() -> None:
    p = polynomial(5, 1, 3)
    assert p.derivative().coefficients == (1, 6)
    assert p.derivative(3).coefficients == (0,)
    assert (p.degree, p.derivative(2).degree) == (2, 0)


def test_quotients_beyond_float64_are_infinite() -> None:
    assert quotient(-(10**400), 1) == -np.inf


def test_influence_and_variance_are_those_of_the_normal_equations() -> None:
    gram = power_gram(X, Y, 1)
    V = [[Fraction(1), v] for v in VALUES]
    inner = inverse(times(transposed(V), V))
    pseudo = times(inner, transposed(V))
    fit = LeastSquares(gram, range(2), [2], constant=0)
    values, slopes = influence(fit, X, basis_matrix("monomial", 1, (Fraction(-1), Fraction(1))), fmpq(1))
    np.testing.assert_allclose(values.T, np.array(pseudo, dtype=float), rtol=1e-12)
    np.testing.assert_allclose(slopes, [[float(inner[1][j]) for j in range(2)]] * 4, rtol=1e-12)
    shape = variance_shape(gram)
    hat = times(V, pseudo)
    assert shape.at(X).tolist() == [rounded(hat[r][r]) for r in range(4)]
    flat = power_gram(Points((3, 3)), Points((1, 2)), 1)
    with pytest.raises(ZeroDivisionError):
        variance_shape(flat)
