"""Cholesky factors against rational arithmetic and numpy."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sumwise.maths.cholesky import cholesky, equilibrate, first_dependence, times

RNG = np.random.default_rng(20261123)


def positive(n: int, condition: float = 10.0) -> np.ndarray:
    """Symmetric (n, n) with eigenvalues from 1 to `condition`."""
    Q = np.linalg.qr(RNG.standard_normal((n, n)))[0]
    A = Q * np.geomspace(1, condition, n) @ Q.T
    return (A + A.T) / 2


def rational_inverse(A: np.ndarray) -> list[list[Fraction]]:
    """Gauss-Jordan elimination in fractions."""
    n = len(A)
    rows = [[Fraction(float(v)) for v in row] + [Fraction(int(i == j)) for j in range(n)] for i, row in enumerate(A)]
    for k in range(n):
        pivot = next(i for i in range(k, n) if rows[i][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [v / rows[k][k] for v in rows[k]]
        for i in range(n):
            if i != k:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k], strict=True)]
    return [row[n:] for row in rows]


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_inverse_and_solution_agree_with_rational_arithmetic(n):
    """Integer matrices B'B + I, inverted exactly."""
    B = RNG.integers(-4, 5, (n, n)).astype(float)
    A = B.T @ B + np.eye(n)
    truth = np.array([[float(v) for v in row] for row in rational_inverse(A)])
    factor = cholesky(A)
    assert factor is not None
    assert np.abs(factor.inverse() - truth).max() <= 1e-14 * np.linalg.cond(A) * np.abs(truth).max()
    b = RNG.standard_normal(n)
    assert factor.solve(b) == pytest.approx(truth @ b, rel=1e-13, abs=1e-14 * np.linalg.cond(A))


@pytest.mark.parametrize("n", [1, 3, 20, 60])
def test_the_factor_is_numpys_factor_of_the_scaled_matrix(n):
    A = positive(n)
    factor = cholesky(A)
    assert factor is not None
    scaled = A * np.outer(factor.scale, factor.scale)
    assert np.allclose(np.diag(scaled), 1, rtol=1e-15)
    assert np.allclose(factor.L, np.linalg.cholesky(scaled), rtol=1e-12, atol=1e-13)
    assert np.array_equal(factor.L, np.tril(factor.L))


def test_many_right_hand_sides_are_the_same_as_one_by_one():
    factor = cholesky(positive(6))
    assert factor is not None
    b = RNG.standard_normal((6, 4))
    assert np.array_equal(factor.solve(b), np.stack([factor.solve(b[:, j]) for j in range(4)], axis=1))


def test_the_inverse_is_symmetric_to_the_last_bit():
    factor = cholesky(positive(30, condition=1e8))
    assert factor is not None
    inverse = factor.inverse()
    assert np.array_equal(inverse, inverse.T)


def test_units_of_the_columns_do_not_matter():
    """Powers of four scale by powers of two under the root: not a bit may change but the exponents."""
    A, units = positive(5), 4.0 ** np.array([-40, -7, 0, 13, 50])
    plain, scaled = cholesky(A), cholesky(A * np.outer(units, units))
    assert plain is not None
    assert scaled is not None
    assert np.array_equal(plain.L, scaled.L)
    assert np.array_equal(plain.inverse(), scaled.inverse() * np.outer(units, units))


@pytest.mark.parametrize(
    "A", [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]], [[-1.0]], [[0.0]], [[np.nan]], [[1, 0], [0, -2]]]
)
def test_what_is_not_positive_definite_has_no_factor(A):
    assert cholesky(np.array(A, dtype=float)) is None


def test_a_shift_of_the_diagonal_makes_an_indefinite_matrix_positive():
    """[[1, 2], [2, 1]] has eigenvalues 3 and -1: a shift above 1 is needed."""
    A = np.array([[1.0, 2.0], [2.0, 1.0]])
    assert cholesky(A, shift=0.9) is None
    factor = cholesky(A, shift=1.5)
    assert factor is not None
    assert factor.solve(np.array([4.5, 4.5])) == pytest.approx([1, 1], rel=1e-14)


def test_equilibrate_leaves_zero_diagonals_alone():
    assert equilibrate(np.diag([4.0, 0.0, -9.0])).tolist() == [0.5, 1.0, 1 / 3]


def test_a_dependent_column_is_found_and_its_combination_named():
    """Column 3 = 2 column 0 - 5 column 2, exactly in small integers."""
    X = RNG.integers(-9, 10, (50, 5)).astype(float)
    X[:, 3] = 2 * X[:, 0] - 5 * X[:, 2]
    found = first_dependence(X.T @ X, 1e-13)
    assert found is not None
    assert found.column == 3
    assert found.coefficient == pytest.approx([2, 0, -5], abs=1e-12)
    assert found.distance < 1e-6


def test_a_zero_column_and_a_first_column_are_dependences_too():
    X = RNG.standard_normal((20, 3))
    X[:, 1] = 0
    found = first_dependence(X.T @ X, 1e-13)
    assert found is not None
    assert (found.column, found.coefficient.tolist(), found.distance) == (1, [0.0], 0.0)


def test_independent_columns_have_no_dependence_however_different_their_units():
    X = RNG.standard_normal((50, 6)) * 10.0 ** np.array([-12, 9, 0, 3, -5, 12])
    assert first_dependence(X.T @ X, 1e-13) is None


def test_the_threshold_is_the_share_that_is_left():
    """Column 1 = column 0 + d times an orthogonal one of equal length: the share left is d^2 / (1 + d^2)."""
    a, b = np.ones(4), np.array([1.0, -1.0, 1.0, -1.0])
    for d in (1e-2, 1e-4):
        X = np.stack([a, a + d * b], axis=1)
        A = X.T @ X
        assert first_dependence(A, 0.5 * d**2) is None
        found = first_dependence(A, 2 * d**2)
        assert found is not None
        assert found.distance == pytest.approx(d, rel=1e-3)


# -- bit for bit what numpy's elementwise arithmetic gives, each operation rounded once --


def twin_of_eliminate(M: np.ndarray) -> tuple[np.ndarray, int]:
    M, L = M.copy(), np.zeros_like(M)
    for k in range(len(M)):
        if not M[k, k] > 1e-15:
            return L, k
        L[k, k] = np.sqrt(M[k, k])
        L[k + 1 :, k] = M[k + 1 :, k] / L[k, k]
        M[k + 1 :, k + 1 :] -= np.multiply.outer(L[k + 1 :, k], L[k + 1 :, k])
    return L, len(M)


def twin_of_solve(L: np.ndarray, b: np.ndarray) -> np.ndarray:
    x = b.copy()
    for k in range(len(L)):
        x[k] = x[k] / L[k, k]
        x[k + 1 :] -= np.multiply.outer(L[k + 1 :, k], x[k])
    for k in range(len(L) - 1, -1, -1):
        x[k] = x[k] / L[k, k]
        x[:k] -= np.multiply.outer(L[k, :k], x[k])
    return x


def twin_of_times(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    out = np.zeros(A.shape[:1] + B.shape[1:])
    for k in range(A.shape[1]):
        out += np.multiply.outer(A[:, k], B[k])
    return out


@given(st.integers(0, 12), st.integers(0, 2**32 - 1), st.sampled_from(["sound", "nan", "indefinite"]))
def test_the_kernel_gives_the_bits_of_its_twin(n: int, seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    B = rng.standard_normal((n, n)) * 10.0 ** rng.integers(-8, 8, n)
    A = twin_of_times(B, B.T.copy())
    if n and kind != "sound":
        A[-1, -1] = np.nan if kind == "nan" else -A[-1, -1]
    factor = cholesky(A)
    scale = equilibrate(A)
    L, done = twin_of_eliminate(A * np.multiply.outer(scale, scale))
    assert (factor is None) == (done < n)
    for b in (rng.standard_normal(n), rng.standard_normal((n, 3))):
        assert times(A, b).tobytes() == twin_of_times(A, b).tobytes()
        if factor is not None:
            assert factor.L.tobytes() == L.tobytes()
            scaled = (scale * b.T).T
            assert factor.solve(b).tobytes() == (scale * twin_of_solve(L, scaled).T).T.tobytes()
