"""Least squares are the rational answer rounded once, on the families of designs that break other solvers."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.errors import DataError
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares
from tests.oracles import least_squares as twin

Problem = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def small_integers(rng: np.random.Generator) -> Problem:
    """Zeros, ties, dependent columns, exact fits."""
    n, p = rng.integers(1, 9), rng.integers(1, 7)
    weights = rng.integers(0, 3, n).astype(float) if rng.random() < 0.3 else None
    return rng.integers(-3, 4, (n, p)).astype(float), rng.integers(-3, 4, n).astype(float), weights


def vandermonde(rng: np.random.Generator) -> Problem:
    t = rng.uniform(-7, 2, rng.integers(6, 10))
    return np.vander(t, rng.integers(2, 7), increasing=True), rng.standard_normal(len(t)), None


def hilbert(rng: np.random.Generator) -> Problem:
    n, p = 8, rng.integers(2, 8)
    X = 1 / (np.arange(n)[:, None] + np.arange(p) + 1.0)
    return X, X.sum(axis=1) + rng.choice([0, 1e-10]) * rng.standard_normal(n), None


def lauchli(rng: np.random.Generator) -> Problem:
    p = int(rng.integers(2, 6))
    X = np.vstack([np.ones(p), 10.0 ** -rng.integers(1, 20) * np.eye(p)])
    return X, rng.choice([X.sum(axis=1), rng.standard_normal(p + 1)]), None


def near_collinear(rng: np.random.Generator) -> Problem:
    x = rng.uniform(1, 2, 7)
    X = np.column_stack([x, x + rng.integers(-1, 2, 7) * np.spacing(x), rng.standard_normal(7)])
    return X, 0.1 * X[:, 0] + 0.1 * X[:, 1] + rng.choice([0, 1]) * rng.standard_normal(7), None


def scaled_columns(rng: np.random.Generator) -> Problem:
    X = rng.standard_normal((7, 4)) * 10.0 ** rng.uniform(-150, 150, 4)
    return X, rng.standard_normal(7), None


def scaled_rows(rng: np.random.Generator) -> Problem:
    scale = np.where(rng.random(7) < 0.5, 1e150, 1.0)
    return rng.standard_normal((7, 3)) * scale[:, None], rng.standard_normal(7) * scale, None


def offsets(rng: np.random.Generator) -> Problem:
    x = 1e15 + rng.standard_normal(8)
    return np.column_stack([np.ones(8), x]), 1e15 + rng.standard_normal(8), None


def wild_weights(rng: np.random.Generator) -> Problem:
    return rng.standard_normal((7, 3)), rng.standard_normal(7), 10.0 ** rng.uniform(-20, 20, 7)


def low_rank(rng: np.random.Generator) -> Problem:
    """Columns of wild scales that depend on each other exactly: the scales are powers of two."""
    n, p, r = 6, 5, rng.integers(1, 4)
    X = (rng.integers(-4, 5, (n, r)) @ rng.integers(-4, 5, (r, p))).astype(float)
    return X * 2.0 ** rng.integers(-200, 200, p), rng.standard_normal(n), None


def underdetermined(rng: np.random.Generator) -> Problem:
    n = int(rng.integers(1, 5))
    return rng.standard_normal((n, n + rng.integers(1, 4))), rng.standard_normal(n), None


FAMILIES = [
    small_integers,
    vandermonde,
    hilbert,
    lauchli,
    near_collinear,
    scaled_columns,
    scaled_rows,
    offsets,
    wild_weights,
    low_rank,
    underdetermined,
]
seeds = st.integers(0, 2**32 - 1)


def solved(problem: Problem) -> tuple[LeastSquares, twin.Solution]:
    X, y, w = problem
    gram = Gram.of([*X.T.copy(), y], w)
    answer = twin.solve(X.tolist(), y.tolist(), None if w is None else w.tolist())
    return LeastSquares(gram, range(X.shape[1]), [X.shape[1]]), answer


def same(ours, exact: list[Fraction], rounding=twin.rounded) -> None:
    """Our array is the exact values rounded once, or refused because one of them is too large."""
    try:
        expected = [rounding(value) for value in exact]
    except OverflowError:
        with pytest.raises(DataError, match="larger than the largest float64"):
            ours()
        return
    assert ours().ravel().tolist() == expected


@pytest.mark.parametrize("family", FAMILIES)
@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_results_are_the_rational_answer_rounded_once(family, seed):
    ours, exact = solved(family(np.random.default_rng(seed)))
    assert (ours.rank, ours.independent) == (exact.rank, exact.independent)
    assert [row[0] for row in ours.coef_exact()] == exact.coef
    same(lambda: ours.coef, exact.coef)
    same(lambda: ours.rss, [exact.rss])
    same(lambda: ours.inverse, [value for row in exact.inverse for value in row])
    if ours.df:
        variance = exact.rss / ours.df
        same(lambda: ours.sigma, [variance], twin.rounded_root)
        same(lambda: ours.vcov(), [value * variance for row in exact.inverse for value in row])
        tested = np.flatnonzero(ours.estimable)
        same(lambda: ours.se[tested], [exact.inverse[j][j] * variance for j in tested], twin.rounded_root)


@pytest.mark.parametrize("family", FAMILIES)
@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_test_statistics_are_the_rational_answer_rounded_once(family, seed):
    X, y, w = family(np.random.default_rng(seed))
    ours, exact = solved((X, y, w))
    weights = [Fraction(1)] * len(y) if w is None else list(map(Fraction, w.tolist()))
    tss = sum((c * Fraction(v) ** 2 for c, v in zip(weights, y.tolist(), strict=True)), Fraction(0))
    same(lambda: ours.tss, [tss])
    if tss:
        same(lambda: ours.r2, [1 - exact.rss / tss])
    if ours.df and tss:
        same(lambda: ours.adjusted_r2, [1 - exact.rss / tss * Fraction(ours.rows, ours.df)])
    if ours.df and exact.rss and exact.rank:
        same(lambda: ours.fstat, [(tss - exact.rss) / exact.rank / (exact.rss / ours.df)])
        tested = [j for j in np.flatnonzero(ours.estimable) if exact.coef[j] > 0]
        squares = [exact.coef[j] ** 2 / (exact.inverse[j][j] * exact.rss / ours.df) for j in tested]
        same(lambda: ours.t[tested], squares, twin.rounded_root)


@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_dependences_and_estimability_are_exact(seed):
    rng = np.random.default_rng(seed)
    X, y, _ = low_rank(rng) if rng.random() < 0.5 else small_integers(rng)
    ours, exact = solved((X, y, None))
    A = twin.exact(X.tolist())
    assert sorted([*ours.independent, *(d.column for d in ours.dependences)]) == list(range(ours.p))
    for d in ours.dependences:
        assert all(i < d.column for i in d.coefficients)
        assert all(row[d.column] == sum(row[i] * c for i, c in d.coefficients.items()) for row in A)
    G = twin.times(twin.transposed(A), A)
    onto_rows = twin.times(exact.inverse, G)  # e_j is in the row space if the projection leaves it alone
    expected = [all(v == (i == j) for i, v in enumerate(onto_rows[j])) for j in range(ours.p)]
    assert ours.estimable.tolist() == expected


@pytest.mark.parametrize(
    "family", [vandermonde, near_collinear, wild_weights, scaled_columns, low_rank, underdetermined]
)
@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_pairs_are_good_to_106_bits(family, seed):
    ours, exact = solved(family(np.random.default_rng(seed)))
    hi, lo = (part.ravel().tolist() for part in ours.coef_pair)
    assert hi == ours.coef.ravel().tolist()
    for h, low, value in zip(hi, lo, exact.coef, strict=True):
        assert abs(Fraction(h) + Fraction(low) - value) <= abs(value) / 2**105 + Fraction(1, 2**1074)


@pytest.mark.parametrize(
    "family", [vandermonde, near_collinear, wild_weights, scaled_columns, low_rank, small_integers]
)
@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_the_root_pair_squares_to_the_inverse(family, seed):
    ours, _ = solved(family(np.random.default_rng(seed)))
    hi, lo = (twin.exact(part.tolist()) for part in ours.root_pair)
    assert len(hi) == ours.rank
    root = [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(hi, lo, strict=True)]
    kept = list(ours.independent)
    ours_of_kept = [[row[j] for j in kept] for row in root]
    squares = twin.times(twin.transposed(ours_of_kept), ours_of_kept) if kept else []
    gram = ours.equations.gram.chosen([ours.equations.columns[j] for j in kept])
    exact = twin.inverse([[gram.fraction(i, j) for j in range(ours.rank)] for i in range(ours.rank)])
    for i in range(ours.rank):
        for j in range(ours.rank):
            assert (squares[i][j] - exact[i][j]) ** 2 <= exact[i][i] * exact[j][j] / Fraction(4) ** 100
    assert not any(row[j] for row in root for j in set(range(ours.p)) - set(kept))


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_several_responses_give_the_columns_of_one(seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.standard_normal((8, 3)), rng.integers(-2, 3, (8, 4)).astype(float)
    gram = Gram.of([*X.T.copy(), *Y.T.copy()])
    together = LeastSquares(gram, range(3), range(3, 7))
    for k in range(4):
        alone = LeastSquares(gram, range(3), [3 + k])
        for name in ("coef", "se", "t"):
            assert np.array_equal(getattr(together, name)[:, k], getattr(alone, name)[:, 0], equal_nan=True)
        for name in ("rss", "r2", "tss", "sigma", "fstat", "adjusted_r2"):
            assert np.array_equal(getattr(together, name)[k], getattr(alone, name)[0], equal_nan=True)
        assert np.array_equal(together.vcov(k), alone.vcov())
