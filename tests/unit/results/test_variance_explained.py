"""ICC and R2, against R's package performance and against their definitions worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import polygamma

import sumwise as sw
from sumwise.datasets import load
from sumwise.errors import DataError

HERDS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


def herds() -> pd.DataFrame:
    return load("cbpp").assign(period=lambda d: d.period.astype(str))


def test_a_random_slope_matches_performance() -> None:
    """r2_nakagawa and icc of an lmer fit: performance 0.10.2, to the digits of lmer."""
    data = load("sleepstudy")
    fit = sw.fit("Reaction ~ Days + (1 + Days | Subject)", data)
    np.testing.assert_allclose(fit.r2(data)["estimate"], [0.2786510582, 0.7992199228], rtol=1e-5)
    np.testing.assert_allclose(fit.icc(data)["estimate"], [0.7216602596, 0.5205688646], rtol=1e-5)


@pytest.mark.parametrize(
    ("link", "r2", "icc"),
    [
        ("logit", (0.08517949537, 0.18859073224), (0.1130399202, 0.1034112369)),
        ("probit", (0.07600197445, 0.17157190036), (0.1034308768, 0.0955699259)),
        ("cloglog", (0.1304884267, 0.2824881465), (0.1748104620, 0.1519997198)),
    ],
)
def test_binomial_links_match_performance(link: str, r2: tuple, icc: tuple) -> None:
    """Of glmer(..., nAGQ = 25): performance 0.10.2, to the digits of glmer."""
    fit = sw.fit(HERDS, herds(), family="binomial", link=link)
    assert fit.r2(herds()).index.tolist() == ["marginal", "conditional"]
    assert fit.icc(herds()).index.tolist() == ["adjusted", "unadjusted"]
    np.testing.assert_allclose(fit.r2(herds())["estimate"], r2, rtol=3e-5)
    np.testing.assert_allclose(fit.icc(herds())["estimate"], icc, rtol=3e-5)


@pytest.mark.parametrize("family", ["poisson", "negbinomial", "gamma"])
def test_log_links_follow_the_definition(family: str) -> None:
    """Nakagawa, Johnson & Schielzeth (2017), table 1 and equation 5.8: by numpy, from the fit's own numbers."""
    data = load("epil").assign(y=lambda d: d.y + (1 if family == "gamma" else 0), days=14.0)
    fit = sw.fit("y ~ lbase + trt + offset(log(days)) + (1 | subject)", data, family=family)
    eta = fit.predict(data, random=False, kind="link").to_numpy() - np.log(14)
    tau = fit.varcomp["variance"].iloc[0]
    mean = np.mean(14 * np.exp(eta + tau / 2))
    v_e = {
        "poisson": np.log(1 + 1 / mean),
        "negbinomial": np.log(1 + 1 / mean + 1 / (fit.scale or 1)),
        "gamma": float(polygamma(1, fit.scale or 1)),
    }[family]
    v_f = np.var(eta, ddof=1)
    total = v_f + tau + v_e
    np.testing.assert_allclose(fit.r2(data)["estimate"], [v_f / total, (v_f + tau) / total], rtol=1e-10)
    np.testing.assert_allclose(fit.icc(data)["estimate"], [tau / (tau + v_e), tau / total], rtol=1e-10)


def test_intervals_come_from_refits() -> None:
    data = herds()
    fit = sw.fit(HERDS, data, family="binomial")
    found = fit.icc(data, samples=40, seed=2)
    assert found.columns.tolist() == ["estimate", "lower", "upper", "note"]
    assert (found["lower"] < found["estimate"]).all()
    assert (found["estimate"] < found["upper"]).all()
    assert found.equals(fit.icc(data, samples=40, seed=2, threads=2))
    wide = fit.r2(data, samples=40, seed=2, level=0.99)
    narrow = fit.r2(data, samples=40, seed=2, level=0.5)
    assert (wide["upper"] - wide["lower"] > narrow["upper"] - narrow["lower"]).all()


def test_other_rows_are_refused() -> None:
    fit = sw.fit(HERDS, herds(), family="binomial")
    with pytest.raises(DataError, match="not the table that was fitted"):
        fit.r2(herds()[:20])
