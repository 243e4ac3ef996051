"""sumwise.fit for mixed models with vectors of effects, and for families other than binomial."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sumwise as sw
from sumwise.datasets import load
from sumwise.fitting.random import quadrature_words
from sumwise.results.mixed import MixedFit
from tests import reference

CASES = {
    "contraception_slope": (
        "use ~ age + I(age^2) + urban + livch + (1 + urban | district)",
        "contraception",
        "binomial",
    ),
    "epil": ("y ~ lbase * trt + lage + V4 + (1 | subject)", "epil", "poisson"),
    "epil_slope": ("y ~ lbase * trt + lage + period + (1 + period | subject)", "epil", "poisson"),
}
SLOPE = CASES["contraception_slope"][0]


@pytest.fixture(scope="module")
def fits() -> dict[str, MixedFit]:
    return {name: sw.fit(formula, load(data), family=family) for name, (formula, data, family) in CASES.items()}


def theta_of(expected: dict[str, Any]) -> np.ndarray:
    return np.atleast_1d(np.array(expected["theta"] if "theta" in expected else expected["sigma"], dtype=float))


@pytest.mark.parametrize("name", CASES)
def test_estimates_are_the_maximum_of_the_reference(fits: dict[str, MixedFit], name: str) -> None:
    """tests/reference: log-likelihood to 1e-9, coefficients and covariance parameters to 1e-8."""
    fit, expected = fits[name], reference.load(name)
    assert abs(fit.loglik - expected["loglik"]) < 1e-9
    np.testing.assert_allclose(fit.coef, np.array(expected["beta"], dtype=float), atol=1e-8)
    np.testing.assert_allclose(fit.theta, theta_of(expected), atol=1e-8)
    assert fit.verdict.code == "converged"
    assert fit.quadrature is not None
    assert fit.quadrature.error <= 2e-9


def test_one_node_is_laplace() -> None:
    expected = reference.load("laplace_contraception_slope")
    fit = sw.fit(SLOPE, load("contraception"), family="binomial", nodes=1)
    assert abs(fit.loglik - expected["loglik"]) < 1e-9
    np.testing.assert_allclose(fit.coef, np.array(expected["beta"], dtype=float), atol=1e-8)
    np.testing.assert_allclose(fit.se, np.array(expected["se"], dtype=float), rtol=1e-5)
    np.testing.assert_allclose(fit.theta, theta_of(expected), atol=1e-8)
    assert "Laplace's approximation" in str(fit.quadrature)


def test_variances_and_correlations_follow_from_theta(fits: dict[str, MixedFit]) -> None:
    fit = fits["contraception_slope"]
    a, b, c = fit.theta
    rows = fit.varcomp.set_index(["term", "other"])
    assert rows.loc[("(Intercept)", ""), "variance"] == pytest.approx(a * a, rel=1e-14)
    assert rows.loc[("urbanY", ""), "variance"] == pytest.approx(b * b + c * c, rel=1e-14)
    assert rows.loc[("(Intercept)", "urbanY"), "corr"] == pytest.approx(b / np.hypot(b, c), rel=1e-12)
    assert fit.ranef_cov().shape == (60, 2, 2)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_any_split_and_order_gives_the_same_bits(seed: int, sites: int) -> None:
    rng, data = np.random.default_rng(seed), load("epil")
    formula, family = CASES["epil_slope"][0], "poisson"
    pooled = sw.fit(formula, data, family=family)
    where = dict(zip(data.subject.unique(), rng.integers(0, sites, data.subject.nunique()), strict=True))
    shuffled = data.sample(frac=1, random_state=seed)
    apart = sw.fit(formula, {f"s{k}": p for k, p in shuffled.groupby(shuffled.subject.map(where))}, family=family)
    for name in ("beta", "covariance"):
        assert getattr(apart, name).tobytes() == getattr(pooled, name).tobytes()
    assert apart.theta.to_numpy().tobytes() == pooled.theta.to_numpy().tobytes()
    assert apart.loglik == pooled.loglik


def simulated(family: str, seed: int = 3) -> pd.DataFrame:
    """60 groups of 15 rows with intercepts of sd 0.6."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(60), 15)
    x = rng.normal(size=len(g))
    mu = np.exp(0.8 + 0.4 * x + 0.6 * rng.normal(size=60)[g])
    y = rng.gamma(2.0, mu / 2.0) if family == "gamma" else rng.poisson(rng.gamma(1.5, mu / 1.5))
    return pd.DataFrame({"y": y, "x": x, "g": g})


@pytest.mark.parametrize(("family", "scale"), [("gamma", 2.0), ("negbinomial", 1.5)])
def test_families_with_a_scale_estimate_it(family: str, scale: float) -> None:
    """Within four standard errors of what was simulated; df counts it."""
    fit = sw.fit("y ~ x + (1 | g)", simulated(family), family=family, link="log")
    assert fit.scale is not None
    se = np.sqrt(fit.covariance[-1, -1])
    assert abs(np.log(fit.scale / scale)) < 4 * se
    assert abs(fit.coef["x"] - 0.4) < 4 * fit.se["x"]
    assert fit.df == 4
    again = sw.Fit.from_json(fit.to_json())
    assert again.summary() == fit.summary()
    residual = fit.residuals(simulated(family), kind="quantile", seed=1)
    assert abs(residual.std() - 1) < 0.15


@pytest.mark.parametrize("family", ["poisson", "gamma", "negbinomial"])
def test_rows_of_no_weight_change_nothing(family: str) -> None:
    table = simulated("gamma" if family == "gamma" else "negbinomial").assign(w=1.0)
    nothing = table.iloc[::7].assign(y=3 * table["y"] + 1, w=0.0)
    options: dict[str, Any] = {"family": family, "link": "log", "weights": "w"}
    without = sw.fit("y ~ x + (1 | g)", table, **options)
    fit = sw.fit("y ~ x + (1 | g)", pd.concat([table, nothing]), **options)
    assert fit.loglik == pytest.approx(without.loglik, rel=1e-12)
    np.testing.assert_allclose(fit.coef, without.coef, rtol=1e-9)
    np.testing.assert_allclose(fit.se, without.se, rtol=1e-8)


@pytest.mark.parametrize("link", ["probit", "cloglog"])
def test_other_links_of_the_binomial_family(link: str) -> None:
    data = load("contraception")
    fit = sw.fit("use ~ age + urban + (1 | district)", data, family="binomial", link=link)
    logit = sw.fit("use ~ age + urban + (1 | district)", data, family="binomial")
    assert fit.link == link
    assert np.corrcoef(fit.predict(data), logit.predict(data))[0, 1] > 0.995
    assert abs(fit.loglik - logit.loglik) < 3


def test_a_slope_without_variance_is_a_boundary_said_in_words() -> None:
    rng = np.random.default_rng(2)
    g, x = np.repeat(np.arange(30), 20), rng.normal(size=600)
    y = (rng.random(600) < 1 / (1 + np.exp(-x - rng.normal(size=30)[g]))).astype(int)
    fit = sw.fit("y ~ x + (x || g)", pd.DataFrame({"y": y, "x": x, "g": g}), family="binomial")
    if fit.theta["g.x"] == 0:
        assert fit.verdict.code == "boundary"
        assert "variance of 'x'" in fit.verdict.text
        assert np.isnan(fit.theta_se["g.x"])
    else:
        assert fit.verdict.code == "converged"


def test_likelihood_ratio_of_a_slope(fits: dict[str, MixedFit]) -> None:
    small = sw.fit(SLOPE.replace("1 + urban |", "1 |"), load("contraception"), family="binomial")
    found = fits["contraception_slope"].anova(small).iloc[1]
    gain = reference.load("contraception_slope")["loglik"] - reference.load("contraception")["loglik"]
    assert found["statistic"] == pytest.approx(2 * gain, abs=1e-8)
    assert found["null"].startswith("chi2(1) and chi2(2)")


@pytest.mark.parametrize(
    ("formula", "options", "fault"),
    [
        ("use ~ age + (urban + livch | district)", {"family": "binomial", "nodes": 3}, "with 5 effects a group"),
        ("use ~ age + (1 | district) + (1 | livch)", {"family": "binomial", "nodes": 3}, "several grouping factors"),
        ("use ~ age + (age | district)", {"family": "inverse.gaussian"}, "not available with random effects"),
        ("use ~ age + (age | district)", {"family": "binomial", "weights": "age"}, "cbind"),
        ("use ~ age + (age | district)", {"family": "poisson", "size": 2.0}, "size"),
        ("use ~ age + (age | district)", {"family": "poisson", "method": "REML"}, "linear mixed models"),
        ("use ~ age + (age | district)", {"family": "binomial", "nodes": 99}, "from 1 to 61"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_the_reason(formula: str, options: dict[str, Any], fault: str) -> None:
    with pytest.raises(sw.UsageError, match=fault):
        sw.fit(formula, load("contraception"), **options)


@pytest.mark.parametrize(
    ("formula", "data", "code"),
    [
        ("outcome ~ treatment * time + (1 | patientID)", "toenail", "quadrature_limited"),
        ("use ~ age + I(age^2) + urban + livch + (1 | district)", "contraception", "converged"),
        (SLOPE, "contraception", "converged"),
    ],
)
def test_laplace_says_how_far_more_nodes_would_move_the_coefficients(formula: str, data: str, code: str) -> None:
    """By a step of Newton's method from where it stands: right in size, against the fit with enough nodes."""
    table = load(data)
    rough, right = (sw.fit(formula, table, family="binomial", nodes=nodes) for nodes in (1, "auto"))
    moved = ((rough.coef - right.coef).abs() / right.se).max()
    found = re.search(r"would move by up to (\S+) standard errors", rough.verdict.text)
    assert found
    assert moved / 2.5 < float(found[1]) < 2.5 * moved
    assert rough.verdict.code == code
    assert "would move" not in right.verdict.text


def test_how_far_more_nodes_would_move_is_said_where_it_is_known() -> None:
    known, unknown = (quadrature_words(0.1, 60, [1], None, shift, "") for shift in (0.2, np.nan))
    assert known[0].endswith("would move by up to 0.2 standard errors.")
    assert unknown[0].endswith("leaves the log-likelihood uncertain by 0.1.")


@pytest.mark.parametrize("bar", ["(1 + k | district)", "(k || district)"])
def test_a_constant_column_beside_the_intercept_is_refused(bar: str) -> None:
    with pytest.raises(sw.DataError, match="column 'k' is constant"):
        sw.fit(f"use ~ age + {bar}", load("contraception").assign(k=2.0), family="binomial")
