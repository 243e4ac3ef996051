"""Distributions of responses, against scipy.stats and mpmath."""

import mpmath
import numpy as np
import pytest
from scipy import stats

from sumwise.results.responses import LINKS, Response, averaged

MU = np.array([0.2, 0.7, 0.5])
N = np.array([1.0, 7.0, 3.0])
CASES = {
    "gaussian": (Response("gaussian", 1.7), lambda mu, n: stats.norm(mu, 1.7 / np.sqrt(n)), np.array([-0.4, 0.9, 2.0])),
    "binomial": (Response("binomial"), lambda mu, n: stats.binom(n, mu), np.array([1.0, 4.0, 0.0])),
    "poisson": (Response("poisson"), lambda mu, _n: stats.poisson(mu), np.array([0.0, 3.0, 1.0])),
    "negbinomial": (
        Response("negbinomial", 1.3),
        lambda mu, _n: stats.nbinom(1.3, 1.3 / (1.3 + mu)),
        np.array([0.0, 5.0, 2.0]),
    ),
    "gamma": (
        Response("gamma", 2.5),
        lambda mu, n: stats.gamma(2.5 * n, scale=mu / (2.5 * n)),
        np.array([0.1, 1.4, 0.3]),
    ),
    "inverse.gaussian": (
        Response("inverse.gaussian", 2.0),
        lambda mu, n: stats.invgauss(mu / (2.0 * n), scale=2.0 * n),
        np.array([0.1, 1.4, 0.3]),
    ),
}
PREDICTORS = {"gaussian": ("identity", MU), "binomial": ("logit", np.log(MU / (1 - MU)))}
"""Links and linear predictors that give MU; other families have the logarithm here."""


def sizes(family: str) -> np.ndarray:
    return np.ones(3) if family in ("poisson", "negbinomial") else N


@pytest.mark.parametrize("family", CASES)
def test_variance_and_cdf_are_those_of_the_distribution(family: str) -> None:
    response, distribution, y = CASES[family]
    n = sizes(family)
    expected = distribution(MU, n)
    np.testing.assert_allclose(response.variance(MU, n), expected.var(), rtol=1e-12)
    np.testing.assert_allclose(response.cdf(y, MU, n), expected.cdf(y), rtol=1e-10)
    mean = n * MU if family == "binomial" else MU
    np.testing.assert_allclose(mean, expected.mean(), rtol=1e-12)


@pytest.mark.parametrize("family", CASES)
def test_deviance_is_twice_the_gain_of_the_saturated_model(family: str) -> None:
    """In units of the dispersion: 2 phi (log f(y; y) - log f(y; mu))."""
    response, distribution, y = CASES[family]
    n = sizes(family)
    y = np.clip(y, 0.5, n - 0.5) if family == "binomial" else np.maximum(y, 0.25)
    if family == "binomial":
        y, n = np.array([1.0, 4.0, 1.0]), np.array([3.0, 7.0, 3.0])
    elif response.discrete:
        y = np.array([1.0, 5.0, 2.0])
    log = "logpmf" if response.discrete else "logpdf"
    saturated = y / n if family == "binomial" else y
    gain = getattr(distribution(saturated, n), log)(y) - getattr(distribution(MU, n), log)(y)
    dispersion = {"gaussian": 1.7**2, "gamma": 1 / 2.5, "inverse.gaussian": 1 / 2.0}.get(family, 1.0)
    if family == "gamma":  # its density has its mode below the mean: the saturated mean is y all the same
        shape = 2.5 * n
        gain = shape * ((y - MU) / MU - np.log(y / MU))
    link, eta = PREDICTORS.get(family, ("log", np.log(MU)))
    np.testing.assert_allclose(response.deviance(link, eta, y, n), 2 * dispersion * gain, rtol=1e-9)


@pytest.mark.parametrize("family", CASES)
def test_samples_have_mean_and_variance(family: str) -> None:
    """20,000 draws; five standard errors."""
    response, distribution, _ = CASES[family]
    n = np.full(20_000, 3.0 if family not in ("poisson", "negbinomial") else 1.0)
    mu = np.full(20_000, 0.6)
    drawn = response.sample(np.random.default_rng(1), mu, n)
    expected = distribution(0.6, n[0])
    assert abs(drawn.mean() - expected.mean()) < 5 * expected.std() / np.sqrt(20_000)
    kurtosis = float(expected.stats("k"))
    assert abs(drawn.var() / expected.var() - 1) < 5 * np.sqrt((kurtosis + 2) / 20_000)


@pytest.mark.parametrize("family", CASES)
def test_quantile_residuals_are_normal_under_the_model(family: str) -> None:
    response, _, _ = CASES[family]
    generator = np.random.default_rng(7)
    n = np.full(4000, 3.0 if family not in ("poisson", "negbinomial") else 1.0)
    mu = np.full(4000, 0.6)
    residual = response.quantile_residuals(response.sample(generator, mu, n), mu, n, generator)
    assert stats.kstest(residual, "norm").pvalue > 1e-4
    assert np.isfinite(residual).all()


@pytest.mark.parametrize("link", LINKS)
def test_slopes_are_derivatives_of_means(link: str) -> None:
    eta = np.array([0.3, 0.9, 1.7])
    step = 1e-6
    expected = (LINKS[link].mean(eta + step) - LINKS[link].mean(eta - step)) / (2 * step)
    np.testing.assert_allclose(LINKS[link].slope(eta), expected, rtol=1e-8)


@pytest.mark.parametrize("link", ["identity", "log", "logit", "probit", "cloglog"])
@pytest.mark.parametrize(("eta", "variance"), [(-2.0, 0.3), (0.5, 4.0), (1.0, 25.0)])
def test_averages_are_the_integral(link: str, eta: float, variance: float) -> None:
    """mpmath, adaptive quadrature in 20 digits."""
    means = {
        "identity": lambda x: x,
        "log": mpmath.exp,
        "logit": lambda x: 1 / (1 + mpmath.exp(-x)),
        "probit": mpmath.ncdf,
        "cloglog": lambda x: -mpmath.expm1(-mpmath.exp(x)),
    }
    with mpmath.workdps(20):
        root = mpmath.sqrt(variance)
        points = [-12, -6, -3, 0, 3, 6, 12, 30]
        exact = mpmath.quad(lambda z: means[link](eta + root * z) * mpmath.npdf(z), points)
    found = averaged(link, np.array([eta]), np.array([variance]))
    assert abs(found[0] / float(exact) - 1) < 1e-11
