"""The reference answers agree with a second source: R, another program's optima, SciPy, other node counts."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import special, stats

from tests import reference

# R stops before the last digits, and its standard errors belong to the iteration before: README.md says how far.
OF_R = {"coef": 1e-8, "se": 1e-6, "theta_se": 2e-5, "dispersion": 5e-8, "theta": 1e-9}
NEAR_SEPARATION = {"coef": 1e-5, "se": 5e-5}
SUMS = ("deviance", "null_deviance", "loglik", "aic", "bic")


@pytest.mark.parametrize("name", [name for name in reference.cases("glm") if name != "probit_far"])
def test_glm_agrees_with_r(name):
    case = reference.cases("glm")[name]
    ours, r = reference.floats(case["answer"]), case["r"]
    bounds = OF_R | (NEAR_SEPARATION if name == "near_separation" else {}) | dict.fromkeys(SUMS, 5e-10)
    for key in [key for key in bounds if key in r]:
        np.testing.assert_allclose(r[key], ours[key], rtol=bounds[key], atol=1e-13, err_msg=key)
    for key in ("df_residual", "df_null", "loglik_df", "names"):
        assert r[key] == ours[key]


def test_glm_p_values_are_scipys():
    for case in reference.cases("glm").values():
        found = reference.floats(case["answer"])
        statistic = np.abs(found["statistic"])
        estimated = case["family"] in ("gaussian", "Gamma", "inverse gaussian")
        twice = stats.t(found["df_residual"]).sf(statistic) if estimated else stats.norm.sf(statistic)
        np.testing.assert_allclose(found["p"], 2 * twice, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("method", ["ML", "REML"])
@pytest.mark.parametrize("name", reference.cases("lmm"))
def test_lmm_agrees_with_r(name, method):
    case = reference.cases("lmm")[name]
    ours, r = reference.floats(case[method]), case["r"][method]
    for key in ("criterion", "loglik", "aic", "bic"):
        assert r[key] == pytest.approx(ours[key], rel=1e-11)
    for key in ("beta", "se", "theta", "sigma", "satterthwaite"):
        np.testing.assert_allclose(r[key], ours[key], atol=3e-7 * np.max(np.abs(ours[key])), err_msg=key)
    assert {group: {*levels} for group, levels in r["ranef"].items()} == {
        group: {*levels} for group, levels in ours["ranef"].items()
    }
    for group, levels in r["ranef"].items():
        expected = np.array([ours["ranef"][group][level] for level in levels])
        np.testing.assert_allclose(np.array([*levels.values()]), expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["sleepstudy", "sleepstudy_int"])
@pytest.mark.parametrize("method", ["ML", "REML"])
def test_two_programs_find_one_optimum_of_sleepstudy(name, method):
    """lmm_sleepstudy*.json came from another program: 20 digits of the value, 16 of the parameters."""
    ours, other = reference.cases("lmm")[name][method], reference.load(f"lmm_{name}")[method]
    for key in ("loglik", "beta"):
        for a, b in zip(np.atleast_1d(ours[key]), np.atleast_1d(other[f"{key}_20"]), strict=True):
            assert abs(Fraction(a) - Fraction(b)) < Fraction(1, 10**19) * abs(Fraction(a))
    for key in ("theta", "se", "sigma", "criterion"):
        np.testing.assert_allclose(other[key], reference.floats(ours[key]), rtol=1e-15, err_msg=key)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_binomial_terms_are_scipys(link):
    success, failure = {
        "logit": (special.log_expit, lambda eta: special.log_expit(-eta)),
        "probit": (special.log_ndtr, lambda eta: special.log_ndtr(-eta)),
        "cloglog": (lambda eta: np.log(-np.expm1(-np.exp(eta))), lambda eta: -np.exp(eta)),
    }[link]
    # The plain cloglog formula has lost log mu by eta = 4, where mu rounds to 1.
    points = [p for p in reference.link_points() if p.link == link and p.eta < (3 if link == "cloglog" else 1000)]
    assert len(points) > 40
    for p in points:
        value = (p.y and p.y * success(p.eta)) + (p.trials - p.y) * failure(p.eta)
        assert value == pytest.approx(p.derivatives[0], abs=1e-13 * p.magnitude[0] + 1e-320)


def test_sums_over_points_of_links_are_no_larger_than_their_terms():
    for p in reference.link_points():
        assert (np.abs(p.derivatives) <= p.magnitude * 1.0001).all()


def test_more_nodes_come_nearer_to_the_integral():
    for point in reference.glmm_points():
        errors = [abs(value - point.exact[0]) for value, _ in point.by_nodes.values()]
        most, gradient = list(point.by_nodes.values())[-1]
        assert point.exact_error < 1e-9, point.name
        assert errors[-1] < errors[0], point.name
        assert most == pytest.approx(point.exact[0], abs=1e-2)
        np.testing.assert_allclose(gradient, point.exact[1], atol=0.05 * np.abs(gradient).max(), err_msg=point.name)


def test_profile_intervals_are_near_walds():
    """Their ends lie within a third of a Wald half-width of the Wald interval's."""
    for name, intervals in reference.load("profiles")["glm"].items():
        found = reference.floats(reference.cases("glm")[name]["answer"])
        ends = np.array([reference.floats(intervals[label]) for label in found["names"]])
        half = stats.norm.ppf(0.975) * np.array(found["se"])
        wald = np.array(found["coef"])[:, None] + half[:, None] * [-1, 1]
        assert (np.abs(ends - wald) < half[:, None] / 3).all()
        assert (ends != wald).all()
