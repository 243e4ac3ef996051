"""What a generalized linear model answers after the fit: tests, residuals, simulations, and being kept."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sumwise as sw
from sumwise.errors import UsageError

CLOTTING = pd.DataFrame({"u": [5, 10, 15, 20, 30, 40, 60, 80, 100], "lot1": [118, 58, 42, 35, 27, 25, 21, 19, 18]})
"""?glm; McCullagh & Nelder (1989, pp. 300-2)."""


def counts() -> pd.DataFrame:
    rng = np.random.default_rng(6)
    x, z = rng.normal(size=(2, 300))
    mu = np.exp(0.5 + 0.5 * x)
    q = rng.gamma(2, mu / 2)
    return pd.DataFrame({"x": x, "z": z, "w": rng.integers(0, 3, 300), "k": rng.poisson(mu), "q": q})


def test_an_estimated_dispersion_makes_it_an_f_test() -> None:
    """anova(glm(lot1 ~ 1, Gamma), glm(lot1 ~ log(u), Gamma), test = "F"): R 4.2, epsilon = 1e-15."""
    small, large = (sw.fit(f"lot1 ~ {terms}", CLOTTING, family="gamma") for terms in ("1", "log(u)"))
    row = large.anova(small).iloc[1]
    assert row["statistic"] == pytest.approx(1429.290575605, rel=1e-9)
    assert row["p_value"] == pytest.approx(2.356415791662e-09, rel=1e-9)
    assert row["df"] == 1
    assert row["null"] == "F(1, 7): the dispersion is estimated"
    assert small.anova(large).equals(large.anova(small))


def test_a_known_dispersion_makes_it_a_likelihood_ratio_test() -> None:
    data = counts()
    small, large = sw.fit("k ~ z", data, family="poisson"), sw.fit("k ~ x + z", data, family="poisson")
    row = small.anova(large).iloc[1]
    assert row["statistic"] == pytest.approx(small.deviance - large.deviance, rel=1e-9)
    assert row["p_value"] == pytest.approx(stats.chi2.sf(small.deviance - large.deviance, 1), rel=1e-8)
    assert row["null"] == "chi2(1)"


def test_fits_that_are_not_alike_are_not_compared() -> None:
    data = counts().assign(w=1.5)
    small = sw.fit("q ~ 1", data, family="gamma", link="log")
    weighed = sw.fit("q ~ x", data, family="gamma", link="log", weights="w")
    with pytest.raises(UsageError, match="differ in weights: None and 'w'"):
        small.anova(weighed)
    one, two = (sw.fit("k ~ x", data, family="negbinomial", size=size) for size in (2.0, 3.0))
    with pytest.raises(UsageError, match="differ in size"):
        one.anova(two)


@pytest.mark.parametrize(
    ("formula", "options"),
    [("k ~ x", {"family": "poisson"}), ("q ~ x", {"family": "gamma", "link": "log"}), ("q ~ x", {"family": "gamma"})],
)
def test_quantile_residuals_are_normal_under_the_model(formula: str, options: dict) -> None:
    data = counts().query("x < 1.2")
    fit = sw.fit(formula, data, **options)
    drawn = data.assign(**{formula[0]: fit.simulate(data, seed=3)["sim_1"]})
    again = sw.fit(formula, drawn, **options)
    found = again.residuals(drawn, kind="quantile", seed=1)
    assert found.equals(again.residuals(drawn, kind="quantile", seed=1))
    assert stats.kstest(found, "norm").pvalue > 1e-3


def test_simulations_have_the_mean_and_variance_of_the_model() -> None:
    """400 samples of 300 rows: sums over rows to five standard errors."""
    data = counts()
    fit = sw.fit("q ~ x", data, family="gamma", link="log")
    drawn, mu = fit.simulate(data, 400, seed=1), fit.predict(data)
    spread = np.sqrt(fit.dispersion * (mu**2).sum() / 400)
    assert abs(drawn.mean(axis=1).sum() - mu.sum()) < 5 * spread
    assert drawn.sub(mu, axis=0).div(mu, axis=0).stack().var() == pytest.approx(fit.dispersion, rel=0.02)
    assert drawn.index.equals(data.index)
    assert drawn.columns[-1] == "sim_400"


def test_weights_of_zero_draw_nothing_and_have_no_residual() -> None:
    data = counts()
    fit = sw.fit("q ~ x", data, family="gamma", link="log", weights="w")
    idle = (data.w == 0).to_numpy()
    assert idle.any()
    drawn = fit.simulate(data, seed=1)["sim_1"]
    assert drawn[idle].equals(data.q[idle].rename("sim_1"))
    assert not (drawn[~idle] == data.q[~idle]).any()
    for kind in ("deviance", "pearson", "response", "working", "quantile"):
        assert fit.residuals(data, kind=kind).isna().to_numpy().tolist() == idle.tolist()


def test_fits_are_pickled_as_they_are_kept() -> None:
    data = counts()
    for fit in (sw.fit("q ~ x", data), sw.fit("k ~ x", data, family="poisson")):
        fit.summary()  # fills caches
        again = pickle.loads(pickle.dumps(fit))
        assert again.to_json() == fit.to_json()
        assert type(again) is type(fit)
