"""sumwise.fit for families other than the gaussian with several grouping factors, or many effects a group."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import sumwise as sw
from sumwise.results.mixed import MixedFit
from tests import reference

CASES = reference.cases("glmm_crossed")


def fitted(name: str, **options: Any) -> MixedFit:
    case = CASES[name]
    fit = sw.fit(case["formula"], reference.frame(case), family=case["family"], **options)
    assert isinstance(fit, MixedFit)
    return fit


@pytest.mark.parametrize("name", CASES)
def test_estimates_are_those_of_another_program(name: str) -> None:
    """glmmTMB stops short of the last digits; its log-likelihood is never the higher one."""
    case, fit = CASES[name], fitted(name)
    assert -1e-9 < fit.loglik - case["loglik"] < 2e-8
    np.testing.assert_allclose(fit.coef, case["beta"], atol=1e-4 * np.max(case["se"]))
    np.testing.assert_allclose(fit.se, case["se"], rtol=1e-4)
    found = fit.varcomp["sd"].dropna().to_numpy()
    np.testing.assert_allclose(np.sort(found), np.sort(case["sd"]), rtol=1e-4, atol=1e-5)
    if case["aux"] is not None:
        assert fit.scale == pytest.approx(case["aux"], rel=1e-4)
    assert list(fit.coef.index) == case["names"]
    assert fit.verdict.code == ("boundary" if name == "hits" else "converged")
    assert fit.verdict.move < 1e-8


def test_the_summary_says_laplace_and_that_its_error_is_not_measured() -> None:
    fit = fitted("counts")
    text = fit.summary()
    assert text.startswith("Generalized linear mixed model, maximum likelihood by Laplace's approximation")
    assert "groups:  a, 12; b, 7" in text
    assert "error is not measured with several grouping factors" in " ".join(text.split())
    assert fit.quadrature is None
    assert "Quadrature:" not in text
    assert fit.nodes == "auto"
    again = sw.Fit.from_json(fit.to_json())
    assert again.summary() == text
    table = reference.frame(CASES["counts"])
    pd.testing.assert_series_equal(again.predict(table), fit.predict(table))


def test_one_node_is_the_same_and_more_are_refused() -> None:
    assert fitted("counts", nodes=1).loglik == fitted("counts").loglik
    for nodes in (0, 5, True, 1.5):
        with pytest.raises(sw.UsageError, match="several grouping factors Laplace's approximation is what there is"):
            fitted("counts", nodes=nodes)


def test_a_variance_of_zero_is_named_with_its_term() -> None:
    fit = fitted("hits")
    assert "with no variance of (1 | a) at all" in fit.verdict.text
    assert fit.theta["a.(Intercept)"] == 0
    assert np.isnan(fit.theta_se["a.(Intercept)"])
    alone = sw.fit("hit ~ x + (1 | b)", reference.frame(CASES["hits"]), family="binomial", nodes=1)
    assert fit.loglik == pytest.approx(alone.loglik, abs=1e-10)
    np.testing.assert_allclose(fit.coef, alone.coef, atol=1e-8)


def test_effects_of_each_factor_and_what_they_predict() -> None:
    fit, table = fitted("counts"), reference.frame(CASES["counts"])
    a, b = fit.ranef("a"), fit.ranef("b")
    assert list(a.columns) == ["(Intercept)", "x", "sd (Intercept)", "sd x"]
    eta = fit.coef["(Intercept)"] + fit.coef["x"] * table["x"]
    eta += a["(Intercept)"].reindex(table["a"]).to_numpy() + a["x"].reindex(table["a"]).to_numpy() * table["x"]
    eta += b["(Intercept)"].reindex(table["b"]).to_numpy()
    np.testing.assert_allclose(fit.predict(table), np.exp(eta), rtol=1e-12)
    assert fit.ranef_cov("a").shape == (12, 2, 2)
    with pytest.raises(sw.UsageError, match="name one"):
        fit.ranef()
    drawn = fit.simulate(table, 50, seed=1)
    assert drawn.shape == (130, 50)


def test_more_than_three_effects_a_group_go_the_same_way() -> None:
    rng = np.random.default_rng(8)
    n, groups = 600, 30
    g = rng.integers(0, groups, n)
    X = rng.normal(size=(n, 3))
    b = rng.normal(size=(groups, 4)) * [0.6, 0.4, 0.3, 0.3]
    eta = 0.3 + X @ [0.2, -0.2, 0.1] + b[g, 0] + np.sum(b[g, 1:] * X, axis=1)
    table = pd.DataFrame(X, columns=["x", "z", "w"]).assign(g=[f"g{k:02d}" for k in g], y=rng.poisson(np.exp(eta)))
    fit = sw.fit("y ~ x + z + w + (1 + x + z + w || g)", table, family="poisson")
    assert fit.verdict.code in ("converged", "boundary")
    assert fit.ranef().shape == (30, 8)
    assert "error is not measured with 4 effects a group" in fit.verdict.text
    smaller = sw.fit("y ~ x + z + w + (1 + x + z || g)", table, family="poisson", nodes=1)
    assert fit.loglik >= smaller.loglik
    with pytest.raises(sw.UsageError, match="with 4 effects a group Laplace's approximation is what there is"):
        sw.fit("y ~ x + z + w + (1 + x + z + w || g)", table, family="poisson", nodes=5)


def test_sites_are_fitted_as_one_table() -> None:
    table = reference.frame(CASES["nested"])
    pooled = fitted("nested")
    parts = {"one": table[table["a"] < "a06"], "two": table[table["a"] >= "a06"]}
    split = sw.fit(CASES["nested"]["formula"], parts, family="poisson")
    assert split.loglik == pooled.loglik
    assert split.coef.equals(pooled.coef)
    assert split.se.equals(pooled.se)
    assert split.theta.equals(pooled.theta)
    pd.testing.assert_frame_equal(split.ranef("a:b"), pooled.ranef("a:b"), check_exact=True)


GRID = reference.frame(CASES["counts"])
BOTH = "(1 | a) + (1 | b)"
FAULTS: list[tuple[str, pd.DataFrame, str, str]] = [
    (f"count ~ x + x2 + {BOTH}", GRID.assign(x2=2 * GRID["x"] + 1), "poisson", r"collinear: x2 = .*2 \* x"),
    (f"count ~ x + one + {BOTH}", GRID.assign(one=3.0), "poisson", "'one' is constant"),
    (f"hit ~ x + s + {BOTH}", GRID.assign(s=1.0 * GRID["hit"]), "binomial", "'s' separates"),
    (f"hit ~ x + {BOTH}", GRID.assign(hit=1), "binomial", "every response is a success"),
    (f"count ~ x + {BOTH}", GRID.assign(count=0), "poisson", "every response is 0"),
    (
        f"hit ~ x + {BOTH}",
        GRID.assign(hit=1 * (GRID["a"] < "a06")),
        "binomial",
        "'a' .* all responses are alike",
    ),
    (f"count ~ x + {BOTH}", GRID.assign(b="b"), "poisson", "'b' has a single group"),
    ("count ~ x + (1 | a) + (1 | c)", GRID.assign(c=GRID["a"] + "!"), "poisson", "'a' and 'c' are the same"),
    (
        f"hit ~ x + {BOTH} + (1 | i)",
        GRID.assign(i=[f"{k}" for k in range(130)]),
        "binomial",
        "of 'i' has a single trial",
    ),
    (f"count ~ x + {BOTH}", GRID.assign(count=-1), "poisson", "count"),
    (f"count ~ x + offset(o) + {BOTH}", GRID.assign(o=800.0), "poisson", "the offset reaches 800"),
]


@pytest.mark.parametrize(("formula", "table", "family", "fault"), FAULTS, ids=[fault[-1] for fault in FAULTS])
def test_rows_that_cannot_identify_the_model_are_refused(
    formula: str, table: pd.DataFrame, family: str, fault: str
) -> None:
    with pytest.raises(sw.DataError, match=fault):
        sw.fit(formula, table, family=family)


def test_a_level_at_two_sites_is_refused() -> None:
    sites = {str(k): part for k, part in GRID.groupby(GRID["a"] < "a06")}
    with pytest.raises(sw.DataError, match="'b' must lie within one site"):
        sw.fit(f"count ~ x + {BOTH}", sites, family="poisson")


def test_weights_count_rows_as_often() -> None:
    """With weights of one and two: the fit of the rows, some of them twice."""
    table = GRID.assign(w=1 + (GRID.index % 3 == 0))
    twice = pd.concat([table, table[table["w"] == 2]])
    one = sw.fit(f"count ~ x + {BOTH}", table, family="poisson", weights="w")
    two = sw.fit(f"count ~ x + {BOTH}", twice, family="poisson")
    assert one.loglik == pytest.approx(two.loglik, abs=1e-9)
    np.testing.assert_allclose(one.coef, two.coef, atol=1e-8)


@pytest.mark.parametrize("bars", ["(1 | a)", "(1 + x | a)", "(1 | a) + (1 | b)"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_columns_that_hang_together_are_fitted_as_their_difference_would_be(bars: str, seed: int) -> None:
    """z differs from x by a thousandth: the steps to the maximum are long along both, and short in what they tell."""
    rng = np.random.default_rng(seed)
    n = 150
    a, b, x = rng.integers(0, 15, n), rng.integers(0, 6, n), rng.normal(size=n)
    z = x + 1e-3 * rng.normal(size=n)
    eta = 0.3 + 0.3 * x + 0.5 * rng.normal(size=15)[a] + 0.3 * rng.normal(size=6)[b]
    table = pd.DataFrame({"a": a, "b": b, "x": x, "z": z, "d": z - x, "y": rng.poisson(np.exp(eta))})
    together = sw.fit(f"y ~ x + z + {bars}", table, family="poisson")
    apart = sw.fit(f"y ~ x + d + {bars}", table, family="poisson")
    assert together.verdict.code == apart.verdict.code
    assert together.verdict.code in ("converged", "boundary")
    assert abs(len(together.rounds) - len(apart.rounds)) <= 1
    assert together.loglik == pytest.approx(apart.loglik, abs=1e-8)
    assert together.coef["x"] + together.coef["z"] == pytest.approx(apart.coef["x"], abs=1e-5 * apart.se["x"])
    assert together.coef["z"] == pytest.approx(apart.coef["d"], abs=1e-5 * apart.se["d"])
    assert together.se["z"] == pytest.approx(apart.se["d"], rel=1e-5)
