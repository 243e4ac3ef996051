"""Laws of the array face: nothing depends on how numbers are laid out, split or typed."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

import sumwise as sw
from tests.oracles.least_squares import rounded, solve

SIZES = st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: float(np.float32(v)))


@st.composite
def problems(draw: Any, most: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """X (n, p), y (n,): numbers of many sizes, some columns repeated or scaled, so that ranks vary."""
    n, p = draw(st.integers(1, most)), draw(st.integers(1, 4))
    X = np.array([[draw(SIZES) for _ in range(p)] for _ in range(n)])
    if p > 1 and draw(st.booleans()):
        X[:, -1] = X[:, 0] * draw(st.sampled_from([1.0, -2.0, 0.0, 1e-150, 1e100]))
    return X, np.array([draw(SIZES) for _ in range(n)])


@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_the_solution_is_the_oracles_rounded_once(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    fit, known = sw.lstsq(X, y), solve(X.tolist(), y.tolist())
    assert fit.exact() == known.coef
    assert fit.rank == known.rank
    assert fit.coef.tolist() == [rounded(b) for b in known.coef]


@settings(max_examples=40, deadline=None)
@given(problem=problems(12), data=st.data())
def test_any_split_into_chunks_gives_the_same_bits(problem: tuple[np.ndarray, np.ndarray], data: st.DataObject) -> None:
    X, y = problem
    cuts = sorted(data.draw(st.sets(st.integers(1, len(y)), max_size=3)) | {0, len(y)})
    chunks = [(X[a:b], y[a:b]) for a, b in pairwise(cuts)]
    order = data.draw(st.permutations(chunks))
    assert sw.lstsq(iter(order)).gram == sw.lstsq(X, y).gram


@settings(max_examples=40, deadline=None)
@given(problem=problems())
def test_memory_layout_and_container_change_nothing(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    wide = np.zeros((2 * len(y), 2 * X.shape[1]))
    wide[::2, ::2] = X
    base = sw.lstsq(X, y).gram
    for other in (np.asfortranarray(X), wide[::2, ::2], X[::-1][::-1], X.tolist(), pd.DataFrame(X)):
        assert sw.lstsq(other, y).gram == base
    single = np.clip(X, -1e30, 1e30).astype(np.float32)
    assert sw.lstsq(single, y).gram == sw.lstsq(single.astype(np.float64), y).gram


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_integers_of_any_size_are_fitted_exactly(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 6))
    whole = st.integers(-(2**62), 2**62)
    X = [[data.draw(whole), 1] for _ in range(n)]
    y = [data.draw(whole) for _ in range(n)]
    known = solve(X, y).coef
    assert sw.lstsq(np.array(X), np.array(y)).exact() == known
    assert sw.lstsq(X, y).exact() == known


DECIMALS = st.decimals(-1000, 1000, allow_nan=False, places=4).map(str)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_texts_are_fitted_as_the_decimals_they_are(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 6))
    X = [[data.draw(DECIMALS), "1"] for _ in range(n)]
    y = [data.draw(DECIMALS) for _ in range(n)]
    known = solve([[Fraction(v) for v in row] for row in X], [Fraction(v) for v in y]).coef  # type: ignore[misc]
    assert sw.lstsq(X, y).exact() == known
    floats = np.array(X, dtype=float), np.array(y, dtype=float)
    assert sw.lstsq(*floats, decimal=True).exact() == known


@settings(max_examples=30, deadline=None)
@given(
    points=st.lists(st.tuples(st.integers(-40, 40), st.integers(-9, 9)), min_size=1, max_size=9),
    degree=st.integers(0, 5),
    unit=st.sampled_from([1.0, 0.1, 2.0**-30]),
)
def test_every_basis_gives_the_same_least_squares_values(
    points: list[tuple[int, int]], degree: int, unit: float
) -> None:
    x, y = (np.array(v, dtype=float) for v in zip(*points, strict=True))
    fits = [sw.polyfit(x * unit, y, degree, basis=b) for b in ("monomial", "chebyshev", "legendre", "orthogonal")]
    oracle = solve([[Fraction(v) ** j for j in range(degree + 1)] for v in (x * unit).tolist()], y.tolist())  # type: ignore[misc]
    assert fits[0].exact() == oracle.coef
    assert fits[0].rss == rounded(oracle.rss)
    for fit in fits[1:]:
        assert fit.rank == oracle.rank
        assert fit.fitted.tolist() == fits[0].fitted.tolist()
        if fit.rank == degree + 1:
            assert list(fit.polynomial.coefficients) == oracle.coef


@settings(max_examples=25, deadline=None)
@given(problem=problems(6))
def test_comparing_solvers_never_raises(problem: tuple[np.ndarray, np.ndarray]) -> None:
    table = sw.compare_solvers(*problem)
    assert table.digits.loc["exact (Sumwise)"].gt(15.9).all()
    assert str(table)
