"""Profile likelihood intervals, against references, against fits with a parameter held, and at the ends of ranges."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import stdtrit

import sumwise as sw
from sumwise.datasets import load
from sumwise.errors import DataError, UsageError
from sumwise.inference import refit
from sumwise.maths import covariance
from sumwise.results.intervals import blocks_of
from sumwise.results.parameters import parameters
from tests import reference

PROFILES = reference.load("profiles")
CHI2 = 1.959963984540054**2


@pytest.mark.parametrize("name", PROFILES["glm"])
def test_generalized_linear_models_match_twenty_digits(name: str) -> None:
    """tests/reference/profiles.json."""
    case = reference.cases("glm")[name]
    data = reference.frame(case)
    fit = sw.fit(case["formula"], data, family=case["family"], link=case["link"])
    found = fit.confint(method="profile", data=data)
    assert found.index.tolist() == list(PROFILES["glm"][name])
    expected = np.array(reference.floats(list(PROFILES["glm"][name].values())))
    np.testing.assert_allclose(found[["lower", "upper"]], expected, rtol=1e-10)
    assert (found["note"] == "").all()


@pytest.mark.parametrize("name", PROFILES["lmm"])
@pytest.mark.parametrize("method", ["REML", "ML"])
def test_linear_mixed_models_match_twenty_digits(name: str, method: str) -> None:
    """tests/reference/profiles.json; those of a REML fit are those of its ML fit, as in lme4."""
    case = reference.cases("lmm")[name]
    data = reference.frame(case)
    found = sw.fit(case["formula"], data, method=method).confint(method="profile", data=data)
    for label, ends in PROFILES["lmm"][name].items():
        row = f"sd_(Intercept)|{label[3:]}" if label.startswith("sd ") else label
        np.testing.assert_allclose(found.loc[row, ["lower", "upper"]].astype(float), reference.floats(ends), rtol=1e-9)
    assert len(found) == len(PROFILES["lmm"][name])


def test_correlated_effects_match_lme4() -> None:
    """confint(lmer(Reaction ~ Days + (1 + Days | Subject), REML = FALSE), oldNames = FALSE): lme4 1.1, which
    interpolates between points of the profile.
    """
    data = load("sleepstudy")
    found = sw.fit("Reaction ~ Days + (1 + Days | Subject)", data).confint(method="profile", data=data)
    expected = {
        "(Intercept)": (237.680695469373, 265.129514691758),
        "Days": (7.358653295307, 13.575918741498),
        "sd_(Intercept)|Subject": (14.381481116478, 37.716018740322),
        "sd_Days|Subject": (3.801164762386, 8.753366659263),
        "cor_Days.(Intercept)|Subject": (-0.481500443197, 0.684986138967),
        "sigma": (22.898266215013, 28.857997322746),
    }
    assert found.index.tolist() == list(expected)
    np.testing.assert_allclose(found[["lower", "upper"]], list(expected.values()), rtol=5e-5)


def test_a_logistic_random_intercept_matches_lme4() -> None:
    """confint(glmer(..., nAGQ = 25), oldNames = FALSE): lme4 1.1."""
    data = load("cbpp").assign(period=lambda d: d.period.astype(str))
    fit = sw.fit("cbind(incidence, size - incidence) ~ period + (1 | herd)", data, family="binomial")
    found = fit.confint(method="profile", data=data)
    expected = [
        (-1.904684055077, -0.946213352279),
        (-1.616083660375, -0.406610820800),
        (-1.800408173690, -0.510449857049),
        (-2.500191917909, -0.799592024624),
        (0.348801742668, 1.111297466077),
    ]
    np.testing.assert_allclose(found[["lower", "upper"]], expected, rtol=1e-5)


def simulated() -> pd.DataFrame:
    """200 rows in 20 groups."""
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(20), 10)
    x = rng.normal(size=200)
    eta = 0.5 + 0.4 * x + 0.7 * rng.normal(size=20)[g] + 0.4 * rng.normal(size=20)[g] * x
    return pd.DataFrame(
        {
            "g": g,
            "h": rng.integers(0, 8, size=200),
            "x": x,
            "z": 3 + rng.normal(size=200),
            "y": eta + rng.normal(size=200),
            "b": (rng.random(200) < 1 / (1 + np.exp(-eta))).astype(int),
            "k": rng.poisson(np.exp(eta)),
            "m": rng.negative_binomial(2, 2 / (2 + np.exp(eta))),
            "q": rng.gamma(3, np.exp(eta) / 3),
        }
    )


MODELS = {
    "lmm": ("y ~ x + z + (1 + x | g)", {"method": "ML"}),
    "crossed": ("y ~ x + z + (1 | g) + (1 | h)", {"method": "ML"}),
    "logistic": ("b ~ x + z + (1 | g)", {"family": "binomial"}),
    "nodes": ("b ~ x + z + (1 | g)", {"family": "binomial", "nodes": 5}),
    "slope": ("k ~ x + z + (1 + x | g)", {"family": "poisson"}),
    "laplace": ("k ~ x + z + (1 + x | g)", {"family": "poisson", "nodes": 1}),
    "gamma slope": ("q ~ x + z + (1 | g)", {"family": "gamma"}),
    "negative binomial": ("m ~ x + z", {"family": "negbinomial"}),
    "without intercept": ("b ~ 0 + x + z", {"family": "binomial"}),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_fit_with_a_coefficient_at_its_limit_is_lower_by_half_the_quantile(name: str) -> None:
    """Held there by an offset: another fit, another path.   The column z is centred on the way."""
    formula, options = MODELS[name]
    data = simulated()
    fit = sw.fit(formula, data, **options)
    found = fit.confint(method="profile", data=data)
    left, _, right = formula.partition(" ~ ")
    for term, column in (("x", data.x), ("(Intercept)", 1.0)):
        if term not in fit.terms:
            continue
        for end in ("lower", "upper"):
            terms = right.replace("x + ", "", 1) if term == "x" else f"0 + {right}"
            held = sw.fit(f"{left} ~ {terms} + offset(o)", data.assign(o=found.loc[term, end] * column), **options)
            assert 2 * (fit.loglik - held.loglik) == pytest.approx(CHI2, rel=2e-6)


@pytest.mark.parametrize("name", ["lmm", "crossed", "slope", "gamma slope", "logistic"])
def test_variances_at_their_limits_lower_the_likelihood_by_half_the_quantile(name: str) -> None:
    """The same log-likelihood, highest under the constraint by scipy's SLSQP, with numbers as they are defined."""
    formula, options = MODELS[name]
    data = simulated()
    fit = sw.fit(formula, data, **options)
    found = fit.confint(method="profile", data=data)
    talk = refit.again(fit, blocks_of(fit, data)).conversation((0, 1), 1)
    around = talk.surface(1.0, inner=False)

    def at(phi: np.ndarray):
        return around.read(phi, sum_of(talk, around.ask(phi)))

    m = covariance.size(around.blocks)
    first = len(around.phi) - m

    def quantities(phi: np.ndarray) -> list[float]:
        scale = np.exp(phi[first - 1]) if around.relative else 1.0
        V = covariance.relative(phi[first:], around.blocks) * scale**2
        sds, out, start = np.sqrt(np.diag(V)), [], 0
        for size in around.blocks:
            out += sds[start : start + size].tolist()
            for i in range(start, start + size):
                out += [V[i, j] / (sds[i] * sds[j]) for j in range(i + 1, start + size)]
            start += size
        return out

    names = [row for row in found.index if row.startswith(("sd_", "cor_"))]
    top = at(around.phi).value
    scale = 1 / np.sqrt(np.abs(np.diag(at(around.phi).information)))
    for k, row in enumerate(names):
        for end in ("lower", "upper"):
            goal = found.loc[row, end]
            if found.loc[row, "note"]:
                continue
            result = minimize(
                lambda s: -at(around.phi + s * scale).value,
                np.zeros(len(scale)),
                jac=lambda s: -at(around.phi + s * scale).gradient * scale,
                method="SLSQP",
                constraints={
                    "type": "eq",
                    "fun": lambda s, k=k, goal=goal: quantities(around.phi + s * scale)[k] - goal,
                },
                options={"ftol": 1e-13, "maxiter": 400},
            )
            assert abs(quantities(around.phi + result.x * scale)[k] - goal) < 1e-7
            assert 2 * (top + result.fun) == pytest.approx(CHI2, rel=1e-4)


def sum_of(talk, question):
    total = None
    for site in talk.sites.values():
        answer = site.answer(question, None, 1)
        total = answer if total is None else total + answer
    return total


def test_the_size_of_a_negative_binomial_is_held_by_fitting_with_it() -> None:
    data = simulated()
    fit = sw.fit("m ~ x", data, family="negbinomial")
    found = fit.confint(method="profile", data=data)
    for end in ("lower", "upper"):
        held = sw.fit("m ~ x", data, family="negbinomial", size=found.loc["size", end])
        assert 2 * (fit.loglik - held.loglik) == pytest.approx(CHI2, rel=1e-7)


def test_an_estimated_dispersion_divides_the_deviance_and_t_takes_the_place_of_z() -> None:
    data = simulated()
    fit = sw.fit("q ~ x", data, family="gamma", link="log")
    found = fit.confint(0.9, method="profile", data=data)
    t = stdtrit(198, 0.95)
    for end in ("lower", "upper"):
        held = sw.fit("q ~ 1 + offset(o)", data.assign(o=found.loc["x", end] * data.x), family="gamma", link="log")
        assert (held.deviance - fit.deviance) / fit.dispersion == pytest.approx(t * t, rel=1e-8)


def test_a_linear_model_has_closed_forms() -> None:
    data = simulated()
    fit = sw.fit("y ~ x", data)
    found = fit.confint(method="profile")
    for end in ("lower", "upper"):
        held = sw.fit("y ~ 1 + offset(o)", data.assign(o=found.loc["x", end] * data.x))
        assert 2 * (fit.loglik - held.loglik) == pytest.approx(CHI2, rel=1e-10)
        sigma, n = found.loc["sigma", end], 200
        at = -n * np.log(2 * np.pi * sigma**2) / 2 - fit.rss / (2 * sigma**2)
        assert 2 * (fit.loglik - at) == pytest.approx(CHI2, rel=1e-10)
    perfect = sw.fit("y ~ x", pd.DataFrame({"x": [0, 1, 2, 3], "y": [1, 2, 3, 4]})).confint(method="profile")
    assert perfect["lower"].isna().all()
    assert perfect["note"].str.contains("residuals are zero").all()


def test_variances_that_the_rows_do_not_show_reach_down_to_zero() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(12), 6), "x": rng.normal(size=72)})
    data["y"] = 1 + data.x + rng.normal(size=72)
    fit = sw.fit("y ~ x + (1 + x | g)", data)
    assert fit.verdict.code == "boundary"
    found = fit.confint(method="profile", data=data)
    assert found.loc["sd_(Intercept)|g", "lower"] == 0
    assert 0 < found.loc["sd_x|g", "upper"] < 1
    assert found.loc["cor_x.(Intercept)|g", ["lower", "upper"]].tolist() == [-1, 1]
    assert "does not exclude it" in found.loc["sd_x|g", "note"]
    # the model without the effects lies at the edge of this one: its likelihoods are no higher
    alone = sw.fit("y ~ x", data).confint(method="profile")
    assert found.loc["(Intercept)", "lower"] <= alone.loc["(Intercept)", "lower"] + 1e-9


def test_a_correlation_of_one_bounds_its_interval() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(12), 6), "x": rng.normal(size=72)})
    u = rng.normal(size=12)[data.g]
    data["y"] = 1 + data.x + u + u * data.x + 0.3 * rng.normal(size=72)
    fit = sw.fit("y ~ x + (1 + x | g)", data)
    row = fit.confint(method="profile", data=data).loc["cor_x.(Intercept)|g"]
    assert 0.9 < row["lower"] < row["upper"] == 1
    assert row["note"].startswith("upper: ")


def test_three_correlated_effects_have_nine_intervals_around_their_estimates() -> None:
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(np.arange(25), 12), "x": rng.normal(size=300), "w": rng.normal(size=300)})
    u = rng.normal(size=(25, 3))[data.g]
    data["y"] = u[:, 0] + (1 + u[:, 1]) * data.x + (0.5 * u[:, 0] + u[:, 2]) * data.w + rng.normal(size=300)
    fit = sw.fit("y ~ x + w + (1 + x + w | g)", data, method="ML")
    found = fit.confint(method="profile", data=data)
    estimate = parameters(fit)
    assert found.index.tolist() == estimate.index.tolist()
    assert len(found) == 10
    assert ((found["lower"] < estimate) & (estimate < found["upper"])).all()
    # a model whose effects are written in another order is the same model
    other = sw.fit("y ~ x + w + (0 + w + x + 1 | g)", data, method="ML").confint(method="profile", data=data)
    common = [row for row in other.index if row in found.index]
    assert len(common) >= 7
    np.testing.assert_allclose(other.loc[common, ["lower", "upper"]], found.loc[common, ["lower", "upper"]], rtol=1e-6)


def test_sites_and_threads_change_no_bit() -> None:
    data = simulated()
    sites = {"a": data[data.g < 7].reset_index(drop=True), "b": data[data.g >= 7].reset_index(drop=True)}
    for formula, options in (MODELS["lmm"], MODELS["slope"]):
        whole = sw.fit(formula, data, **options).confint(method="profile", data=data, threads=1)
        parted = sw.fit(formula, sites, **options).confint(method="profile", data=sites, threads=2)
        assert whole.equals(parted)


def test_what_is_asked_wrongly_is_refused() -> None:
    data = simulated()
    fit = sw.fit("y ~ x + (1 | g)", data)
    with pytest.raises(UsageError, match="goes back to them"):
        fit.confint(method="profile")
    with pytest.raises(UsageError, match="'profile', 'bootstrap'"):
        fit.confint(method="exact", data=data)
    with pytest.raises(UsageError, match="between 0 and 1"):
        fit.confint(95, method="profile", data=data)
    with pytest.raises(DataError, match="not the table that was fitted: it has 100 rows"):
        fit.confint(method="profile", data=data[:100])
    with pytest.raises(DataError, match="the coefficient of"):
        fit.confint(method="profile", data=data.assign(y=data.y[::-1].to_numpy()))


def test_progress_shows_each_parameter(capsys: pytest.CaptureFixture[str]) -> None:
    data = simulated()
    sw.fit("b ~ x", data, family="binomial").confint(method="profile", data=data, progress=True)
    assert capsys.readouterr().err.splitlines()[1].startswith("profile of x: ")


def test_an_origin_far_away_changes_the_intercept_alone() -> None:
    """Columns are centred on the way; the interval of the intercept then is nearly that of minus 1e6 slopes."""
    data = simulated()
    away = data.assign(z=data.z + 1e6)
    one, two = (
        sw.fit("y ~ x + z + (1 + x | g)", table, method="ML").confint(method="profile", data=table)
        for table in (data, away)
    )
    ends = ["lower", "upper"]
    np.testing.assert_allclose(two[ends][1:], one[ends][1:], rtol=1e-6)
    slopes = one.loc["z", ["upper", "lower"]].to_numpy(dtype=float)
    np.testing.assert_allclose(two.loc["(Intercept)", ends].to_numpy(dtype=float), -1e6 * slopes, rtol=1e-3, atol=10)
