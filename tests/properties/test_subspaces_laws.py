"""The Moore-Penrose inverse and its subspaces are the rational ones rounded once, for any shape and rank."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.maths import subspaces
from sumwise.maths.bases import column_space, null_space
from tests.oracles import least_squares as twin


def small_integers(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-2, 3, (rng.integers(1, 7), rng.integers(1, 7))).astype(float)


def any_shape(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((rng.integers(1, 7), rng.integers(1, 7)))


def low_rank(rng: np.random.Generator) -> np.ndarray:
    n, p, r = rng.integers(2, 7), rng.integers(2, 7), rng.integers(1, 4)
    A = (rng.integers(-4, 5, (n, r)) @ rng.integers(-4, 5, (r, p))).astype(float)
    return A * 2.0 ** rng.integers(-100, 100, p)


def near_singular(rng: np.random.Generator) -> np.ndarray:
    x = rng.uniform(1, 2, 5)
    A = np.column_stack([x, x + np.spacing(x) * rng.integers(-1, 2, 5), rng.standard_normal(5)])
    return A if rng.random() < 0.5 else A.T.copy()


def hilbert(rng: np.random.Generator) -> np.ndarray:
    n = rng.integers(2, 7)
    return 1 / (np.arange(n)[:, None] + np.arange(rng.integers(2, 7)) + 1.0)


def scaled(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((5, 3)) * 10.0 ** rng.uniform(-150, 150, 3)


def blocks(rng: np.random.Generator) -> np.ndarray:
    A = np.zeros((6, 5))
    A[:3, :2], A[3:5, 2:4] = rng.standard_normal((3, 2)), rng.integers(-1, 2, (2, 2))
    return A


FAMILIES = [small_integers, any_shape, low_rank, near_singular, hilbert, scaled, blocks]
seeds = st.integers(0, 2**32 - 1)


def rounded(M: twin.Matrix) -> list[list[float]]:
    return [[twin.rounded(value) for value in row] for row in M]


@pytest.mark.parametrize("family", FAMILIES)
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_the_pseudo_inverse_and_the_projections_are_rational_ones_rounded_once(family, seed):
    A = family(np.random.default_rng(seed))
    exact, plus = twin.exact(A.tolist()), twin.pinv(A.tolist())
    assert subspaces.rank(A) == len(twin.echelon(exact)[1])
    assert subspaces.pinv(A).tolist() == rounded(plus)
    assert subspaces.column_projection(A).tolist() == rounded(twin.times(exact, plus))
    assert subspaces.row_projection(A).tolist() == rounded(twin.times(plus, exact))


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_the_four_moore_penrose_properties_hold_to_rounding(seed):
    A = any_shape(np.random.default_rng(seed))
    B = subspaces.pinv(A)
    size = np.linalg.cond(A) * 1e-14
    assert np.allclose(A @ B @ A, A, atol=size * np.abs(A).max())
    assert np.allclose(B @ A @ B, B, atol=size * np.abs(B).max())
    assert np.allclose(A @ B, (A @ B).T, atol=size)
    assert np.allclose(B @ A, (B @ A).T, atol=size)


def gram_schmidt(columns: twin.Matrix) -> list[tuple[list[Fraction], Fraction]]:
    """The orthogonal vectors v and their v'v, in order, of those columns that are not combinations of earlier ones."""
    found: list[tuple[list[Fraction], Fraction]] = []
    for column in columns:
        v = list(column)
        for u, square in found:
            share = sum((a * b for a, b in zip(u, column, strict=True)), Fraction(0)) / square
            v = [a - share * b for a, b in zip(v, u, strict=True)]
        if any(v):
            found.append((v, sum((a * a for a in v), Fraction(0))))
    return found


def entries(found: list[tuple[list[Fraction], Fraction]]) -> list[list[float]]:
    return [[(-1 if a < 0 else 1) * twin.rounded_root(a * a / square) for a in v] for v, square in found]


@pytest.mark.parametrize("family", FAMILIES)
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_a_column_space_is_exact_gram_schmidt_rounded_once(family, seed):
    A = family(np.random.default_rng(seed))
    exact = gram_schmidt(twin.transposed(twin.exact(A.tolist())))
    assert column_space(A).T.tolist() == entries(exact)


@pytest.mark.parametrize("family", FAMILIES)
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_a_null_space_is_exact_gram_schmidt_rounded_once(family, seed):
    A = family(np.random.default_rng(seed))
    reduced, kept = twin.echelon(twin.exact(A.tolist()))
    vectors = []
    for d in set(range(A.shape[1])) - set(kept):
        x = [Fraction(int(j == d)) for j in range(A.shape[1])]
        for q, j in enumerate(kept):
            x[j] = -reduced[q][d]
        vectors.append(x)
    assert null_space(A).T.tolist() == entries(gram_schmidt(vectors))


@pytest.mark.parametrize("family", [small_integers, any_shape, low_rank, blocks])
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_the_four_subspaces_are_orthogonal_complements(family, seed):
    A = family(np.random.default_rng(seed))
    four = subspaces.Subspaces(A)
    for one, other in ((four.column_space, four.left_null_space), (four.row_space, four.null_space)):
        Q = np.hstack([one, other])
        assert Q.shape[0] == Q.shape[1]
        assert np.abs(Q.T @ Q - np.eye(len(Q))).max() < 1e-14
    assert four.rank == subspaces.rank(A)
    scale = np.abs(A).max() or 1.0
    assert np.abs(A @ four.null_space).max(initial=0) <= 1e-14 * scale
    assert np.abs(A.T @ four.left_null_space).max(initial=0) <= 1e-14 * scale
