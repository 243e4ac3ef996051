"""The kernels that eliminate blocks and solve dense systems, against numpy; same bits at every level."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import pytest

from sumwise.kernels import schur
from sumwise.kernels.schur import Pattern, Solved, Spaces
from tests.unit.kernels.levels import LEVELS, at_level

SIZES = (1, 3, 8, 71, 72, 73, 145, 300)


def dense_pattern(n: int) -> Pattern:
    """No blocks; n scalars that all meet."""
    none, starts = np.zeros(0, dtype=np.int64), np.zeros(n + 1, dtype=np.int64)
    rows = np.append(0, np.cumsum(np.arange(n, 0, -1)))
    columns = np.triu_indices(n)[1].astype(np.int64)
    return Pattern(1, np.array([0, n]), np.zeros(1, dtype=np.int64), none, none, starts, none, rows, columns)


def system(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    X = rng.normal(size=(n + 5, n))
    return np.eye(n) + X.T @ X, rng.normal(size=(n, 8))


def solve(n: int, threads: Executor | None = None, *, inverse: bool = True) -> tuple[Solved, Spaces]:
    A, y = system(n)
    spaces, i = Spaces(), np.triu_indices(n)
    none = np.zeros((0, 1))
    workers = 1 if threads is None else 2
    return schur.solve(
        dense_pattern(n), none, A[i], none[:, None], y, spaces, threads, workers, inverse=inverse
    ), spaces


@pytest.mark.parametrize("n", SIZES)
def test_a_dense_system_is_factored_solved_and_inverted(n: int) -> None:
    A, y = system(n)
    found, spaces = solve(n)
    L = np.linalg.cholesky(A)
    assert found.pivot == pytest.approx(np.diag(L) ** 2, rel=1e-12)
    assert found.y == pytest.approx(np.linalg.solve(L, y), rel=1e-10, abs=1e-12)
    assert found.u == pytest.approx(np.linalg.solve(A, y), rel=1e-10, abs=1e-12)
    assert found.M is not None
    assert pytest.approx(np.linalg.inv(A)[np.triu_indices(n)], rel=1e-10, abs=1e-13) == found.M
    if n > schur.SHARED:
        x = np.random.default_rng(0).normal(size=(n, 24))
        assert schur.apply(dense_pattern(n), x, spaces) == pytest.approx(np.linalg.solve(A, x), rel=1e-10, abs=1e-12)


def test_without_the_inverse_the_rest_has_the_same_bits() -> None:
    whole, part = solve(145)[0], solve(145, inverse=False)[0]
    assert np.array_equal(whole.pivot, part.pivot)
    assert np.array_equal(whole.y, part.y)
    assert part.u is None


@pytest.mark.parametrize("n", [145, 300])
def test_threads_and_levels_change_no_bit(n: int) -> None:
    expected = solve(n)[0]
    with ThreadPoolExecutor(3) as threads:
        shared = solve(n, threads)[0]
    others = [shared]
    for level in LEVELS if n < 200 else LEVELS[-1:]:
        with at_level(level):
            others.append(solve(n)[0])
    for found in others:
        for name in ("pivot", "y", "u", "M"):
            assert np.array_equal(getattr(found, name), getattr(expected, name)), name


def test_a_matrix_that_is_not_positive_definite_shows_in_its_pivots() -> None:
    n, A = 10, np.eye(10)
    A[4, 4] = -1.0
    none = np.zeros((0, 1))
    found = schur.solve(dense_pattern(n), none, A[np.triu_indices(n)], none[:, None], np.ones((n, 8)), Spaces())
    assert not (found.pivot > 0).all()
