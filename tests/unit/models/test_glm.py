"""Generalized linear models through fit(): any split gives the same bits, weights, offsets, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import sumwise
from sumwise.errors import DataError, UsageError

FAMILIES = [
    ("binomial", "logit"),
    ("binomial", "probit"),
    ("binomial", "cloglog"),
    ("poisson", "log"),
    ("gamma", "log"),
    ("gamma", "inverse"),
    ("inverse.gaussian", "log"),
    ("inverse.gaussian", "1/mu^2"),
    ("negbinomial", "log"),
]


def table(family: str, n: int = 300, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, z = rng.standard_normal(n), rng.uniform(0, 1, n)
    mean = np.exp(0.5 + 0.2 * x - 0.3 * z)
    draws = {
        "binomial": lambda: rng.binomial(1, 1 / (1 + np.exp(-x + z))),
        "poisson": lambda: rng.poisson(mean),
        "negbinomial": lambda: rng.negative_binomial(2, 2 / (2 + mean)),
    }
    y = draws.get(family, lambda: mean * rng.gamma(5, 0.2, n))()
    return pd.DataFrame({"y": y, "x": x, "z": z, "w": rng.integers(0, 4, n), "t": rng.uniform(0, 0.1, n)})


def same(a: sumwise.Fit, b: sumwise.Fit) -> None:
    assert a.coef.tolist() == b.coef.tolist()
    assert a.se.tolist() == b.se.tolist()
    assert (a.loglik, a.deviance, a.null_deviance) == (b.loglik, b.deviance, b.null_deviance)


@pytest.mark.parametrize(("family", "link"), FAMILIES)
def test_any_split_of_the_rows_over_sites_gives_the_same_bits(family: str, link: str) -> None:
    data = table(family)
    pooled = sumwise.fit("y ~ x + z", data, family=family, link=link)
    shuffled = data.sample(frac=1, random_state=3)
    sites = {"a": shuffled.iloc[:17], "b": shuffled.iloc[17:200], "c": shuffled.iloc[200:]}
    same(pooled, sumwise.fit("y ~ x + z", sites, family=family, link=link, threads=2))
    assert pooled.verdict.code == "converged"


@pytest.mark.parametrize(("family", "link"), FAMILIES)
def test_frequency_weights_stand_for_equal_rows(family: str, link: str) -> None:
    data = table(family)
    weighted = sumwise.fit("y ~ x + z", data, family=family, link=link, weights="w", weights_as="frequency")
    repeated = sumwise.fit("y ~ x + z", data.loc[data.index.repeat(data.w)], family=family, link=link)
    assert weighted.nobs == repeated.nobs == data.w.sum()
    assert weighted.coef.to_numpy() == pytest.approx(repeated.coef.to_numpy(), rel=1e-11)
    assert weighted.se.to_numpy() == pytest.approx(repeated.se.to_numpy(), rel=1e-11)
    for name in ("loglik", "deviance", "null_deviance", "dispersion", "aic", "bic"):
        assert getattr(weighted, name) == pytest.approx(getattr(repeated, name), rel=1e-11), name


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize(("family", "link"), FAMILIES)
def test_the_unit_of_a_column_changes_no_p_value(family: str, link: str, scale: float) -> None:
    data = table(family)
    fit = sumwise.fit("y ~ x + z", data, family=family, link=link)
    other = sumwise.fit("y ~ x + z", data.assign(x=data.x * scale), family=family, link=link)
    assert other.pvalues.to_numpy() == pytest.approx(fit.pvalues.to_numpy(), rel=1e-9)


@pytest.mark.parametrize(("family", "link"), FAMILIES)
def test_json_and_residuals(family: str, link: str) -> None:
    data = table(family)
    fit = sumwise.fit("y ~ x + z", data, family=family, link=link)
    again = sumwise.Fit.from_json(fit.to_json())
    same(fit, again)
    assert str(fit) == str(again)
    assert np.sum(fit.residuals(data) ** 2) == pytest.approx(fit.deviance, rel=1e-10)
    assert np.sum(fit.residuals(data, kind="pearson") ** 2) == pytest.approx(fit.pearson, rel=1e-10)
    mean = fit.predict(data)
    assert fit.residuals(data, kind="response").to_numpy() == pytest.approx((data.y - mean).to_numpy(), rel=1e-9)
    frame = fit.predict(data, se=True)
    assert ((frame.lower < frame.estimate) & (frame.estimate < frame.upper)).all()
    assert "converged" in fit.glance().verdict.iloc[0]
    assert list(fit.tidy().term) == ["(Intercept)", "x", "z"]
    assert "<table>" in fit._repr_html_()


def test_an_offset_moves_the_null_model_too() -> None:
    data = table("poisson")
    fit = sumwise.fit("y ~ x + offset(t)", data, family="poisson")
    null = sumwise.fit("y ~ 1 + offset(t)", data, family="poisson")
    assert fit.null_deviance == pytest.approx(null.deviance, rel=1e-13)


@pytest.mark.parametrize(("family", "link"), [("gamma", "inverse"), ("inverse.gaussian", "1/mu^2"), ("poisson", "log")])
def test_a_formula_without_intercept(family: str, link: str) -> None:
    data = table(family).assign(f=lambda d: pd.Categorical(np.where(d.x > 0, "a", "b")))
    one = sumwise.fit("y ~ f - 1", data, family=family, link=link)
    two = sumwise.fit("y ~ f", data, family=family, link=link)
    assert one.deviance == pytest.approx(two.deviance, rel=1e-11)


def test_a_size_that_is_given_is_kept() -> None:
    data = table("negbinomial")
    fit = sumwise.fit("y ~ x", data, family="nb", size=2.5)
    assert fit.size == 2.5
    assert fit.size_se is None
    assert fit.df == 2


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("poisson", {"y": -1}, "counts are negative"),
        ("poisson", {"y": 0.5}, "not whole numbers"),
        ("gamma", {"y": 0.0}, "above zero"),
        ("inverse.gaussian", {"y": -2.0}, "above zero"),
        ("binomial", {"y": 2}, "is 0 or 1"),
        ("poisson", {"x": 1e200}, "change the unit"),
    ],
)
def test_a_value_outside_the_domain_is_named(family: str, change: dict, message: str) -> None:
    data = table(family).astype(float)
    data.loc[4, list(change)] = list(change.values())
    with pytest.raises(DataError, match=message):
        sumwise.fit("y ~ x", data, family=family)


def test_collinear_columns_are_named() -> None:
    data = table("poisson").assign(v=lambda d: 2 * d.x - d.z)
    with pytest.raises(DataError, match=r"collinear: v = 2 \* x - 1 \* z"):
        sumwise.fit("y ~ x + z + v", data, family="poisson")


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_separation_is_named(link: str) -> None:
    data = table("binomial").assign(y=lambda d: (d.x > 0.1).astype(int))
    with pytest.raises(DataError, match="column 'x' separates the responses"):
        sumwise.fit("y ~ x + z", data, family="binomial", link=link)


def test_quasi_separation_by_a_level_is_named() -> None:
    data = table("binomial").assign(f=lambda d: np.where(d.x > 1, "p", "q"))
    data.loc[data.f == "p", "y"] = 1
    with pytest.raises(DataError, match="column 'fq' separates"):
        sumwise.fit("y ~ f + z", data, family="binomial")


def test_a_level_without_counts_is_named() -> None:
    data = table("poisson").assign(f=lambda d: np.where(d.x > 1, "p", "o"))
    data.loc[data.f == "p", "y"] = 0
    with pytest.raises(DataError, match="'fp' differs from the rest, every count is 0"):
        sumwise.fit("y ~ f + z", data, family="poisson")


def test_counts_that_vary_too_little_are_called_poisson() -> None:
    data = table("poisson").assign(y=lambda d: np.rint(np.exp(2 + 0.3 * d.x)))
    with pytest.raises(DataError, match='fit family="poisson"'):
        sumwise.fit("y ~ x", data, family="negbinomial")


def test_nothing_to_fit_is_said() -> None:
    data = table("poisson")
    with pytest.raises(DataError, match="all are zero"):
        sumwise.fit("y ~ x", data.assign(w=0), family="poisson", weights="w")
    with pytest.raises(DataError, match="is 0 in all 300 rows"):
        sumwise.fit("y ~ x", data.assign(y=0), family="poisson")
    with pytest.raises(DataError, match="every response is a success"):
        sumwise.fit("y ~ x", data.assign(y=1), family="binomial")
    with pytest.raises(DataError, match=r"exp\(offset\)"):
        sumwise.fit("y ~ x + offset(t)", data.assign(t=1000.0), family="poisson")
    with pytest.raises(DataError, match="frequencies are not whole"):
        sumwise.fit("y ~ x", data.assign(w=0.5), family="poisson", weights="w", weights_as="frequency")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"link": "sqrt"}, "available: 'log'"),
        ({"weights_as": "sampling"}, "one of 'precision', 'frequency'"),
        ({"size": 2.0}, 'belongs to family="negbinomial"'),
        ({"nodes": 5}, "random effects"),
        ({"family": "tweedie"}, "is not available"),
    ],
)
def test_options_that_do_not_suit_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sumwise.fit("y ~ x", table("poisson"), **({"family": "poisson"} | options))
