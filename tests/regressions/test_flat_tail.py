"""A first step into the tail of a log-likelihood that is not concave: for inverse Gaussian rows, link log, the deviance
tends to sum 1/y as the mean grows, so the gradient vanishes far out, where the observed information is negative.  That
was called converged: the expected information, by which the ascent ended, is positive everywhere, and at dispersion one
a log-likelihood of large responses is next to nothing.
"""

from itertools import product

import numpy as np
import pandas as pd
import pytest

import sumwise
from sumwise.maths import scoring
from sumwise.maths.newton import Outcome
from sumwise.maths.scoring import Point


def move(X: np.ndarray, y: np.ndarray, eta: np.ndarray) -> float:
    """Newton's step at eta in standard errors, dispersion as estimated; inf where the information is not positive."""
    mu = np.exp(eta)
    gradient, information = X.T @ ((y - mu) / mu**2), (X.T * ((2 * y - mu) / mu**2)) @ X
    size = np.sqrt(np.abs(np.diag(information)))
    if np.linalg.eigvalsh(information / np.outer(size, size))[0] <= 0:
        return np.inf
    se = np.sqrt(np.diag(np.linalg.inv(information)) * np.sum((y - mu) ** 2 / mu**3) / len(y))
    return float(np.max(np.abs(np.linalg.solve(information, gradient)) / se))


@pytest.mark.parametrize("seed", range(40))
def test_without_an_intercept_and_x_far_from_zero_a_maximum_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = 30 + rng.normal(size=20), np.exp(8 + 2 * rng.normal(size=20))
    fit = sumwise.fit("y ~ 0 + x", pd.DataFrame({"x": x, "y": y}), family="inverse.gaussian", link="log")
    assert fit.verdict.code == "converged"
    assert move(x[:, None], y, x * fit.coef.iloc[0]) < 1e-6


@pytest.mark.parametrize(
    ("formula", "level", "shift", "spread"),
    list(product(["y ~ z", "y ~ 0 + z", "y ~ 0 + x", "y ~ x + g"], [-12.0, 0.0, 14.0], [-5.0, 5.0], [0.0, 1.0, 3.0])),
)
def test_what_is_called_converged_is_a_maximum(formula: str, level: float, shift: float, spread: float) -> None:
    rng, reached = np.random.default_rng(7), 0
    for _ in range(3):
        z, g, o = rng.normal(size=20), rng.integers(0, 3, 20) * 1.0, shift + spread * rng.normal(size=20)
        y = np.exp(level + z + o + rng.choice([0.3, 2.0]) * rng.normal(size=20))
        rows = pd.DataFrame({"y": y, "x": 5 + z, "z": z, "g": g, "o": o})
        fit = sumwise.fit(formula + " + offset(o)", rows, family="inverse.gaussian", link="log")
        X = np.column_stack([np.ones(20) if name == "(Intercept)" else rows[name] for name in fit.coef.index])
        if fit.verdict.code == "converged":
            reached += 1
            assert move(X, y, X @ fit.coef.to_numpy() + o) < 1e-6
    assert reached >= 2


def test_the_null_model_without_an_intercept_has_means_exp_of_the_offset() -> None:
    rng = np.random.default_rng(1)
    y, x, o = rng.gamma(4, size=20), rng.normal(size=20), rng.normal(size=20)
    rows = pd.DataFrame({"y": y, "x": x, "o": o})
    plain = sumwise.fit("y ~ 0 + x", rows, family="inverse.gaussian", link="log")
    shifted = sumwise.fit("y ~ 0 + x + offset(o)", rows, family="inverse.gaussian", link="log")
    assert plain.null_deviance == pytest.approx(np.sum((y - 1) ** 2 / y), rel=1e-12)
    assert shifted.null_deviance == pytest.approx(np.sum((y - np.exp(o)) ** 2 / (y * np.exp(2 * o))), rel=1e-12)


@pytest.mark.parametrize("link", ["log", "1/mu^2"])
def test_the_unit_of_the_response_changes_no_step(link: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(size=30)
    rows = pd.DataFrame({"x": x, "y": np.exp(x + 0.5 * rng.normal(size=30))})
    near, far = (
        sumwise.fit("y ~ x", rows.assign(y=rows.y * unit), family="inverse.gaussian", link=link)
        for unit in (1.0, 2.0**40)
    )
    assert len(near.round_records) == len(far.round_records)
    assert far.statistic["x"] == pytest.approx(near.statistic["x"], rel=1e-9)
    assert far.deviance == pytest.approx(near.deviance * 2.0**-40, rel=1e-12)
    assert far.null_deviance == pytest.approx(near.null_deviance * 2.0**-40, rel=1e-12)


@pytest.mark.parametrize("value", [1.0, -1.0])
def test_a_short_step_converges_only_where_the_information_is_positive(value: float) -> None:
    point = Point(np.zeros(1), -1.0, np.array([1e-30]), np.array([[value]]))
    state = scoring.advance(scoring.start(np.zeros(1)), point, tolerance=1e-10, slack=0.0)
    assert state.outcome is (Outcome.CONVERGED if value > 0 else Outcome.STALLED)
    assert state.move == (1e-30 if value > 0 else np.inf)
