"""sumwise.fit for linear mixed models, against answers of 30 digits and more (tests/reference/lmm.json)."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sumwise as sw
from sumwise.datasets import load
from sumwise.results.mixed import MixedFit
from tests import reference

CASES = {name: case for name, case in reference.cases("lmm").items() if len({t["group"] for t in case["random"]}) == 1}
SLOPE = "Reaction ~ Days + (1 + Days | Subject)"


def fitted(case: dict[str, Any], method: str) -> MixedFit:
    return sw.fit(case["formula"], reference.frame(case), method=method, weights=case["weights"])


def close(found: Any, expected: Any, tolerance: float) -> None:
    """Relative to the largest number."""
    expected = np.asarray(reference.floats(expected), dtype=float)
    found = np.asarray(found, dtype=float)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * max(np.abs(expected).max(), 1e-30)


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("name", CASES)
def test_estimates_and_criteria_are_the_references(name: str, method: str) -> None:
    case, expected = CASES[name], CASES[name][method]
    fit = fitted(case, method)
    assert list(fit.terms) == expected["names"]
    assert abs(fit.loglik - float(expected["loglik"])) < 1e-9
    for found, key in ((fit.coef, "beta"), (fit.se, "se"), (fit.vcov, "vcov"), (fit.theta, "theta")):
        close(found, expected[key], 1e-8)
    for found, key in ((fit.sigma, "sigma"), (fit.deviance, "criterion"), (fit.aic, "aic"), (fit.bic, "bic")):
        assert found == pytest.approx(float(expected[key]), rel=1e-9)
    assert fit.df == int(expected["loglik_df"])


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("name", CASES)
def test_degrees_of_freedom_and_effects_are_the_references(name: str, method: str) -> None:
    case, expected = CASES[name], CASES[name][method]
    fit = fitted(case, method)
    close(fit.df_of(np.eye(len(fit.terms))), expected["satterthwaite"], 1e-6)
    ((group, ranef),) = expected["ranef"].items()
    found, q = fit.ranef(), len(fit.random[0].columns)
    sizes = np.array(reference.floats(list(ranef.values())))
    tolerance = 1e-8 * max(np.abs(sizes).max(), 1e-3)
    for label, values in ranef.items():
        row = found.loc[label if label in found.index else int(label)]
        np.testing.assert_allclose(row.iloc[:q], reference.floats(values), atol=tolerance)
        np.testing.assert_allclose(row.iloc[q:], reference.floats(expected["ranef_sd"][group][label]), rtol=1e-7)


@pytest.mark.parametrize("bars", ["(Days || Subject)", "(1 | Subject) + (0 + Days | Subject)"])
def test_effects_without_correlation_may_be_written_in_two_ways(bars: str) -> None:
    expected = CASES["sleepstudy_uncorrelated"]["REML"]
    fit = sw.fit(f"Reaction ~ Days + {bars}", load("sleepstudy"))
    close(fit.theta, expected["theta"], 1e-8)
    assert fit.theta.index.tolist() == ["Subject.(Intercept)", "Subject.Days"]
    assert (fit.varcomp["other"] == "").all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_any_split_of_the_groups_and_any_order_of_the_rows_gives_the_same_bits(seed: int, sites: int) -> None:
    rng = np.random.default_rng(seed)
    data = load("sleepstudy")
    pooled = sw.fit(SLOPE, data)
    where = dict(zip(data.Subject.unique(), rng.integers(0, sites, data.Subject.nunique()), strict=True))
    shuffled = data.sample(frac=1, random_state=seed)
    parts = {f"s{k}": part for k, part in shuffled.groupby(shuffled.Subject.map(where))}
    apart = sw.fit(SLOPE, parts)
    for name in ("beta", "covariance", "slopes"):
        assert getattr(apart, name).tobytes() == getattr(pooled, name).tobytes()
    assert apart.theta.to_numpy().tobytes() == pooled.theta.to_numpy().tobytes()
    assert (apart.loglik, apart.sigma) == (pooled.loglik, pooled.sigma)
    assert apart.ranef().equals(pooled.ranef())


@settings(max_examples=20, deadline=None)
@given(st.integers(-12, 12), st.floats(-1e3, 1e3))
def test_units_and_origin_of_a_column_change_no_p_value(power: int, shift: float) -> None:
    data = load("sleepstudy")
    one = sw.fit("Reaction ~ Days + (1 | Subject)", data)
    moved = data.assign(Days=(data.Days + round(shift)) * 10.0**power)
    two = sw.fit("Reaction ~ Days + (1 | Subject)", moved)
    assert two.tidy()["p_value"].iloc[1] == pytest.approx(one.tidy()["p_value"].iloc[1], rel=1e-8)
    assert two.loglik == pytest.approx(one.loglik - np.log(10.0**power), abs=1e-7)  # det X'V^-1 X


def test_summary_shows_correlations_degrees_of_freedom_and_the_criterion() -> None:
    text = sw.fit(SLOPE, load("sleepstudy")).summary()
    for line in (
        "Linear mixed model, restricted maximum likelihood",
        "Groups   Name        Variance Std.Dev.  Corr",
        "          Days           35.07    5.922 0.066",
        "Days         10.4673     1.5458 17.0   6.771 3.26e-06 ***",
        "REML crit.",
    ):
        assert line in text
    assert "Quadrature" not in text


def test_json_keeps_every_bit_and_every_answer() -> None:
    fit = sw.fit(SLOPE, load("sleepstudy"))
    again = sw.Fit.from_json(fit.to_json())
    assert again.to_json() == fit.to_json()
    assert again.summary() == fit.summary()
    pd.testing.assert_frame_equal(again.ranef(), fit.ranef())
    np.testing.assert_array_equal(again.ranef_cov(), fit.ranef_cov())


def test_predictions_residuals_and_simulations() -> None:
    data = load("sleepstudy")
    fit = sw.fit(SLOPE, data)
    b, ranef = fit.coef, fit.ranef()
    effects = ranef.loc[data.Subject].to_numpy()
    eta = b["(Intercept)"] + b["Days"] * data.Days + effects[:, 0] + effects[:, 1] * data.Days
    np.testing.assert_allclose(fit.predict(data), eta, rtol=1e-13)
    np.testing.assert_allclose(fit.residuals(data, kind="response"), data.Reaction - eta, atol=1e-9)
    np.testing.assert_allclose(fit.residuals(data), (data.Reaction - eta) / fit.sigma, atol=1e-10)
    np.testing.assert_allclose(fit.residuals(data, kind="quantile"), (data.Reaction - eta) / fit.sigma, atol=1e-6)
    np.testing.assert_allclose(fit.predict(data, random="average"), fit.predict(data, random=False), rtol=0)
    drawn = fit.simulate(data, 300, seed=1)
    expected = np.sqrt(fit.sigma**2 + fit.varcomp["variance"].iloc[0])
    first = drawn[(data.Days == 0).to_numpy()].to_numpy()
    assert abs((first - b["(Intercept)"]).std() / expected - 1) < 5 / np.sqrt(2 * 300)


def test_likelihood_ratio_of_the_slope() -> None:
    """Statistic from the references; half of chi2(1) and half of chi2(2), by mpmath: 4.3e-10 for 42.14."""
    data = load("sleepstudy")
    large, small = (sw.fit(f, data, method="ML") for f in (SLOPE, "Reaction ~ Days + (1 | Subject)"))
    found = large.anova(small).iloc[1]
    expected = [float(CASES[name]["ML"]["loglik"]) for name in ("sleepstudy", "sleepstudy_int")]
    assert found["statistic"] == pytest.approx(2 * (expected[0] - expected[1]), abs=1e-8)
    assert found["p_value"] < 1e-9
    with pytest.raises(sw.UsageError, match="one fit is by REML"):
        large.anova(sw.fit("Reaction ~ Days + (1 | Subject)", data))


def test_zero_variance_is_a_boundary_said_in_words() -> None:
    fit = fitted(CASES["dyestuff2"], "REML")
    assert fit.verdict.code == "boundary"
    assert "no variance of (1 | Batch) at all" in fit.verdict.text
    assert np.isnan(fit.theta_se.iloc[0])
    assert (fit.ranef().to_numpy() == 0).all()


@pytest.mark.parametrize(
    ("formula", "options", "fault"),
    [
        (SLOPE, {"nodes": 9}, "nothing is integrated by quadrature"),
        (SLOPE, {"decimal": True}, "not available with random effects"),
        (SLOPE, {"method": "MLE"}, "method='MLE'"),
        ("Reaction ~ Days", {"method": "REML"}, "method='REML' belongs to linear mixed models"),
        (SLOPE, {"method": "REML", "family": "binomial"}, "method='REML' belongs to linear mixed models"),
    ],
)
def test_options_that_do_not_suit_are_refused(formula: str, options: dict[str, Any], fault: str) -> None:
    data = load("sleepstudy")
    if options.get("family") == "binomial":
        formula, data = "slow ~ Days + (1 | Subject)", data.assign(slow=(data.Reaction > 300) * 1)
    with pytest.raises(sw.UsageError, match=fault):
        sw.fit(formula, data, **options)
