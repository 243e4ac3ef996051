"""Solutions refined against exact residuals: the true one lies where they say, in the usual cases and in hard ones."""

from fractions import Fraction

import numpy as np
import pytest
from flint import fmpz_mat
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.maths import least_squares
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares
from sumwise.maths.refinement import Refinement


def check(X: np.ndarray, y: np.ndarray) -> int:
    """How many components are known to float64; every one must hold the exact value (flint's rational solution)."""
    G, c = fmpz_mat((X.T @ X).tolist()), [int(v) for v in X.T @ y]
    found = Refinement(G).solve(c)
    if found is None:
        return -1
    exact = [Fraction(int(v.p), int(v.q)) for (v,) in G.solve(fmpz_mat(len(c), 1, c)).tolist()]
    settled = 0
    for (middle, radius, exponent), value in zip(found, exact, strict=True):
        low, high = ((middle + side) * Fraction(2) ** exponent for side in (-radius, radius))
        assert low <= value <= high
        settled += float(low) == float(high)
    return settled


@pytest.mark.parametrize("p", [1, 2, 7, 60])
def test_the_solution_lies_in_the_balls_and_they_are_narrow(p: int) -> None:
    rng = np.random.default_rng(p)
    X = rng.integers(-(2**30), 2**30, (2 * p + 2, p)).astype(object)
    assert check(X, rng.integers(-(2**30), 2**30, 2 * p + 2).astype(object)) == p


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_wild_scales_and_near_collinear_columns_are_held_or_given_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(6, 20)), int(rng.integers(1, 6))
    X = rng.integers(-(2**20), 2**20, (n, p)).astype(object) * 2 ** rng.integers(0, 400, p).astype(object)
    if p > 1 and rng.random() < 0.5:
        X[:, 1] = X[:, 0] * 2 ** int(rng.integers(1, 60)) + rng.integers(-1, 2, n)
    if fmpz_mat((X.T @ X).tolist()).rank() == p:
        check(X, rng.integers(-(2**20), 2**20, n).astype(object))


def test_a_matrix_that_is_singular_for_float64_is_given_up() -> None:
    """Two columns that differ by one in 2^40: the Gram's determinant is below what float64 can tell from zero."""
    X = np.array([[2**40, 2**40 + 1], [2**40, 2**40], [2**40, 2**40 - 1]], dtype=object)
    assert check(X, np.array([1, 2, 4], dtype=object)) == -1


def test_many_columns_have_the_bits_of_the_inverse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coefficients with and without the shortcut, two responses, one of them with a coefficient of zero."""
    rng = np.random.default_rng(8)
    X = rng.standard_normal((90, 41))
    y = X @ np.where(np.arange(41) == 3, 0.0, rng.integers(1, 9, 41))
    gram = Gram.of([*X.T.copy(), y, rng.standard_normal(90)])
    fast = LeastSquares(gram, range(41), [41, 42]).coef
    monkeypatch.setattr(least_squares, "MANY", 1000)
    assert fast.tobytes() == LeastSquares(gram, range(41), [41, 42]).coef.tobytes()
