"""Parametric bootstrap: same numbers for a seed, near the other intervals, and what is said of failures."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

import sumwise as sw
from sumwise.datasets import load
from sumwise.errors import DataError, UsageError
from sumwise.results.intervals import percentiles, said
from sumwise.results.parameters import parameters

SLEEP = "Reaction ~ Days + (1 + Days | Subject)"


def herds() -> pd.DataFrame:
    return load("cbpp").assign(period=lambda d: d.period.astype(str))


def herd_fit(data: pd.DataFrame, **options) -> sw.MixedFit:
    return sw.fit("cbind(incidence, size - incidence) ~ period + (1 | herd)", data, family="binomial", **options)


def test_a_seed_decides_every_number_whatever_the_threads_and_sites() -> None:
    data = herds()
    fit = herd_fit(data)
    one = fit.confint(method="bootstrap", data=data, samples=12, seed=3, threads=1)
    two = fit.confint(method="bootstrap", data=data, samples=12, seed=3, threads=3)
    assert one.equals(two)
    assert not one.equals(fit.confint(method="bootstrap", data=data, samples=12, seed=4))


def test_intervals_are_about_those_of_the_profile() -> None:
    """150 samples: ends are known to a few tenths of a standard error.   A correlation that is estimated at one in many
    of them has a percentile interval that ends there, so that its upper end is left out.
    """
    data = load("sleepstudy")
    fit = sw.fit(SLEEP, data, method="ML")
    found = fit.confint(method="bootstrap", data=data, samples=150, seed=1)
    profile = fit.confint(method="profile", data=data)
    assert found.index.tolist() == profile.index.tolist()
    width = (profile["upper"] - profile["lower"]).to_numpy()
    for end in ("lower", "upper"):
        near = np.abs(found[end] - profile[end]) < 0.25 * width
        assert near[found.index != "cor_Days.(Intercept)|Subject"].all()
    assert found.loc["cor_Days.(Intercept)|Subject", "lower"] == pytest.approx(-0.48, abs=0.3)
    assert (found["note"] == "").all()


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ x", {}),
        ("y ~ x", {"weights": "w"}),
        ("k ~ x + offset(log(w))", {"family": "poisson"}),
        ("q ~ x", {"family": "gamma", "link": "log", "weights": "w"}),
        ("q ~ x", {"family": "inverse.gaussian", "link": "log"}),
        ("m ~ x", {"family": "negbinomial"}),
        ("m ~ x", {"family": "negbinomial", "size": 2.0}),
        ("cbind(b, 3 - b) ~ x", {"family": "binomial", "weights": "v"}),
    ],
)
def test_models_without_groups_come_near_wald(formula: str, options: dict) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=150)
    mu = np.exp(0.3 + 0.4 * x)
    data = pd.DataFrame(
        {
            "x": x,
            "w": rng.integers(1, 4, size=150) / 2,
            "v": rng.integers(0, 3, size=150),
            "y": 1 + x + rng.normal(size=150),
            "k": rng.poisson(mu),
            "q": rng.gamma(3, mu / 3),
            "m": rng.negative_binomial(2, 2 / (2 + mu)),
            "b": rng.binomial(3, 1 / (1 + np.exp(-x))),
        }
    )
    fit = sw.fit(formula, data, **options)
    found = fit.confint(method="bootstrap", data=data, samples=200, seed=5)
    assert found.index.tolist() == parameters(fit).index.tolist()
    wald = fit.confint()
    for end in ("lower", "upper"):
        assert (np.abs(found.loc[wald.index, end] - wald[end]) < 0.7 * fit.se).all()
    assert ((found["lower"] < parameters(fit)) & (parameters(fit) < found["upper"])).all()


def test_samples_that_cannot_be_fitted_are_counted_and_said() -> None:
    """Six rows: some samples are all successes, or separated."""
    data = pd.DataFrame({"x": [0.0, 1, 2, 3, 4, 5, 6, 7], "y": [0, 1, 0, 0, 1, 1, 0, 1]})
    fit = sw.fit("y ~ x", data, family="binomial")
    found = fit.confint(method="bootstrap", data=data, samples=60, seed=1)
    note = found["note"].iloc[0]
    left_out = int(note.split()[0])
    assert 0 < left_out < 60
    assert f"{left_out} of 60 samples are left out: " in note
    assert "separate" in note


def test_percentiles_leave_out_what_is_not_defined() -> None:
    values = np.array([[1.0, np.nan], [2.0, 5.0], [3.0, 7.0], [4.0, np.nan]])
    found = percentiles(values, 0.5, pd.Index(["a", "b"]))
    assert found.loc["a"].tolist() == [1.75, 3.25]
    assert found.loc["b"].tolist() == [5.5, 6.5]


def test_failures_are_named_by_how_often_they_came() -> None:
    assert said(Counter(), 9) == ""
    assert said(Counter({"b": 1, "a": 2}), 9) == "3 of 9 samples are left out: a (2); b (1)"


def test_what_is_asked_wrongly_is_refused() -> None:
    data = herds()
    fit = herd_fit(data)
    with pytest.raises(UsageError, match="samples=0"):
        fit.confint(method="bootstrap", data=data, samples=0)
    with pytest.raises(UsageError, match="threads=0"):
        fit.confint(method="bootstrap", data=data, threads=0)
    with pytest.raises(UsageError, match="too few for an interval"):
        fit.confint(method="bootstrap", data=data, samples=1)
    with pytest.raises(DataError, match="not the table that was fitted"):
        fit.confint(method="bootstrap", data=data.assign(incidence=0 * data.incidence + 1))
    weighed = data.assign(n=2)
    frequencies = sw.fit("incidence ~ period", weighed, family="poisson", weights="n", weights_as="frequency")
    with pytest.raises(UsageError, match="give each row as often"):
        frequencies.confint(method="bootstrap", data=weighed)
    precision = sw.fit("incidence ~ period", weighed, family="poisson", weights="n")
    with pytest.raises(UsageError, match="no distribution to draw from"):
        precision.simulate(weighed)


def test_progress_counts_refits(capsys: pytest.CaptureFixture[str]) -> None:
    data = herds()
    herd_fit(data).confint(method="bootstrap", data=data, samples=4, progress=True)
    assert capsys.readouterr().err.splitlines()[-1] == "bootstrap: 4 of 4 refits"
