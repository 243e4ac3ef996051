"""Separation is found exactly where a linear program finds a direction in which the log-likelihood rises for ever.

The program is the certificate of Konis (2007): for outcomes, a direction in which no row lies on the wrong side, and
some on the right one; for counts, one that leaves rows with counts where they are and lowers some others, none up.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import sumwise

LAWS = settings(max_examples=60, deadline=None)


@st.composite
def designs(draw) -> tuple[np.random.Generator, np.ndarray]:
    """6 to 40 rows of an intercept and 1 to 3 columns: numbers of few digits, indicators, scores of four values."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(6, 40))
    columns = [np.ones(n)]
    for kind in draw(st.lists(st.sampled_from(["number", "indicator", "score"]), min_size=1, max_size=3)):
        if kind == "number":
            columns.append(np.round(rng.normal(size=n), rng.integers(0, 4)))
        else:
            columns.append(rng.integers(0, 2 if kind == "indicator" else 4, n).astype(float))
    X = np.column_stack(columns)
    assume(np.linalg.matrix_rank(X) == X.shape[1])
    return rng, X


def rises_for_ever(down: np.ndarray, level: np.ndarray) -> bool:
    """Whether some b has down b <= 0, not all zero, and level b = 0."""
    if not len(down):
        return False
    box = [(-1, 1)] * down.shape[1]
    equal = {"A_eq": level, "b_eq": np.zeros(len(level))} if len(level) else {}
    found = linprog(down.sum(axis=0), A_ub=down, b_ub=np.zeros(len(down)), bounds=box, method="highs", **equal)
    return bool(found.fun < -1e-7)


def is_refused(X: np.ndarray, y: np.ndarray, **options) -> bool:
    names = [f"x{j}" for j in range(1, X.shape[1])]
    table = pd.DataFrame(X[:, 1:], columns=names).assign(y=y)
    try:
        fit = sumwise.fit(f"y ~ {' + '.join(names)}", table, **options)
    except sumwise.SeparationError as error:
        said = str(error)
    else:
        assert fit.verdict.code == "converged"
        return False
    assert any(repr(name) in said for name in names)
    return True


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
@given(design=designs(), size=st.sampled_from([0.5, 3.0, 20.0]))
@LAWS
def test_outcomes_that_columns_separate(link: str, design: tuple[np.random.Generator, np.ndarray], size: float) -> None:
    rng, X = design
    eta = X @ (size * rng.normal(size=X.shape[1]))
    y = (rng.random(len(X)) < 1 / (1 + np.exp(-eta))).astype(float)
    assume(0 < y.sum() < len(y))
    truth = rises_for_ever((1 - 2 * y)[:, None] * X, X[:0])
    assert is_refused(X, y, family="binomial", link=link) == truth


@pytest.mark.parametrize("options", [{"family": "poisson"}, {"family": "negbinomial", "size": 2.0}], ids=str)
@given(design=designs(), size=st.sampled_from([0.5, 1.5]))
@LAWS
def test_counts_that_are_zero_on_one_side(
    options: dict, design: tuple[np.random.Generator, np.ndarray], size: float
) -> None:
    rng, X = design
    mean = np.exp(np.minimum(X @ (size * rng.normal(size=X.shape[1])) - 1, 5))
    y = rng.poisson(mean).astype(float)
    assume(y.any())
    assert is_refused(X, y, **options) == rises_for_ever(X[y == 0], X[y > 0])
