"""Exact columns, and sums over them that cancel or leave the range of float64."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sumwise as sw
from sumwise.errors import DataError
from sumwise.maths.columns import Column, places_shown, times
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares


def exact_residuals(X: np.ndarray, y: np.ndarray) -> list[float]:
    """y - X b in Fractions, each rounded once."""
    p = X.shape[1]
    b = [row[0] for row in LeastSquares(Gram.of([*X.T.copy(), y]), range(p), [p]).coef_exact()]
    rows = zip(X.tolist(), y.tolist(), strict=True)
    return [float(Fraction(v) - sum(Fraction(x) * c for x, c in zip(row, b, strict=True))) for row, v in rows]


@pytest.mark.parametrize("degree", [5, 20, 34])
def test_residuals_are_correctly_rounded_at_any_condition_number(degree: int) -> None:
    """Vandermonde matrices of condition 1e4, 1e16 and 1e23: 106 bits are not enough for the last."""
    X = np.vander(np.linspace(0, 1, degree + 6), degree + 1, increasing=True)
    y = np.random.default_rng(degree).standard_normal(len(X))
    found = sw.lstsq(X, y).residuals()
    np.testing.assert_allclose(found, exact_residuals(X, y), rtol=4e-16 if degree > 5 else 1e-15, atol=0)


def test_residuals_of_numbers_a_hundred_orders_apart() -> None:
    x, y = np.arange(6.0), np.array([1e-100, 1, 2, 3, 4, 5])
    X = np.column_stack([np.ones(6), x])
    assert sw.lstsq(X, y).residuals().tolist() == exact_residuals(X, y)


def test_sums_may_leave_the_range_of_float64_on_the_way() -> None:
    X, y = np.array([[1e308, 1e308], [1e308, 0.9e308], [1e307, 1e307]]), np.array([1e308, -1e308, 5])
    fitted = sw.lstsq(X, y).fitted
    assert fitted.tolist() == [float(Fraction(a) - Fraction(r)) for a, r in zip(y, exact_residuals(X, y), strict=True)]
    with pytest.raises(DataError, match=r"row 1 \(counted from 1\) is larger than the largest float64"):
        times([Column((np.array([1e308]),))], np.array([[10.0]]), np.zeros((1, 1)), lambda: [[Fraction(10)]])


@given(st.lists(st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 9)), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_places_shown_are_those_of_the_shortest_text(numbers: list[tuple[int, int]]) -> None:
    """Python's repr is the shortest text that reads back."""
    values = np.array([v / 10**d for v, d in numbers])
    most = max(max(-int(Decimal(repr(v)).normalize().as_tuple().exponent), 0) for v in values.tolist())
    (found,) = places_shown([values])
    assert found == most or (found is None and max(abs(v) * 10.0**most for v in values) >= 1e15)


def test_a_sample_that_misleads_is_found_out() -> None:
    """5000 numbers, of which every fifth is looked at first: the one with more places is not among them."""
    values = np.full(5000, 0.5)
    values[1] = 0.125
    assert places_shown([values, np.ones(5000)]) == [3, 0]
    values[1] = 1 / 3
    assert places_shown([values]) == [None]
