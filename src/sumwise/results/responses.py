"""The distribution of a response given its mean: what residuals, simulations and averaged predictions need.

Numbers here follow from estimates and are not part of any sum, so they come from scipy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from sumwise.errors import DataError, UsageError
from sumwise.kernels.glm import fitted_rows

if TYPE_CHECKING:
    from sumwise.results.fit import Fit

Floats = NDArray[np.float64]

FAR = 9.0
"""Beyond so many standard deviations a normal distribution has less than 1e-18."""


@dataclass(frozen=True, slots=True)
class Link:
    """mean: of a linear predictor; slope: its derivative; averaged: E mean(eta + sqrt(v) Z), where it has a formula."""

    mean: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]
    averaged: Callable[[Floats, Floats], Floats] | None = None


def _normal_density(x: Floats | np.float64) -> Floats:
    density: Floats = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    return density


def _probit_average(eta: Floats, v: Floats) -> Floats:
    found: Floats = special.ndtr(eta / np.sqrt(1 + v))
    return found


LINKS = {
    "identity": Link(lambda eta: eta, np.ones_like, lambda eta, _v: eta),
    "log": Link(np.exp, np.exp, lambda eta, v: np.exp(eta + v / 2)),
    "logit": Link(special.expit, lambda eta: special.expit(eta) * special.expit(-eta)),
    "probit": Link(special.ndtr, _normal_density, _probit_average),
    "cloglog": Link(lambda eta: -np.expm1(-np.exp(eta)), lambda eta: np.exp(eta - np.exp(eta))),
    "inverse": Link(lambda eta: 1 / eta, lambda eta: -1 / (eta * eta)),
    "1/mu^2": Link(lambda eta: 1 / np.sqrt(eta), lambda eta: -0.5 * eta**-1.5),
}


POSITIVE = ("inverse", "1/mu^2")
"""Links that have a mean only where the linear predictor is above zero."""

RESIDUALS = ("response", "pearson", "deviance", "working", "quantile")


def mean(link: str, eta: Floats) -> Floats:
    """Means (n,).  Raises DataError for linear predictors that have none."""
    if link in POSITIVE and (eta <= 0).any():
        raise DataError(
            f"the linear predictor of {int((eta <= 0).sum())} of {len(eta)} rows is not above zero: the link "
            f'{link!r} has no mean there; leave these rows out, or fit with link="log"'
        )
    return LINKS[link].mean(eta)


def with_interval(
    link: str, eta: Floats, variance: Floats, quantile: float, kind: str, index: pd.Index
) -> pd.DataFrame:
    """estimate, std_error, lower, upper of linear predictors eta (n,) with this variance, or, for kind "response", of
    their means: by the delta method, the interval worked out on the scale of the link.  An end beyond the predictors
    that have a mean is infinite.
    """
    error = np.sqrt(np.maximum(variance, 0.0))
    half = quantile * error
    estimate, low, high = eta, eta - half, eta + half
    if kind == "response":
        estimate, error = mean(link, eta), np.abs(LINKS[link].slope(eta)) * error
        ends = []
        for end in (low, high):
            inside = (end > 0) | (link not in POSITIVE)
            ends.append(np.where(inside, LINKS[link].mean(np.where(inside, end, 1.0)), np.inf))
        low, high = np.sort(ends, axis=0)
    return pd.DataFrame({"estimate": estimate, "std_error": error, "lower": low, "upper": high}, index=index)


def averaged(link: str, eta: Floats, variance: Floats) -> Floats:
    """Mean response over random effects: E g^-1(eta + sqrt(variance) Z), Z ~ N(0, 1); eta, variance (n,).

    By the trapezoidal rule, whose error falls like exp(-2 pi d / step) for a mean without poles within d of the real
    line: d = pi / sqrt(variance) for the logistic one.
    """
    found = LINKS[link]
    if found.averaged is not None:
        return found.averaged(eta, variance)
    root = np.sqrt(variance)
    step = 0.2 / max(2.0, float(root.max(initial=0.0)))
    total = np.zeros_like(eta)
    for z in np.arange(-FAR, FAR + step, step):
        total += step * _normal_density(np.float64(z)) * found.mean(eta + root * z)
    return total


@dataclass(frozen=True, slots=True)
class Response:
    """A family with its scale: residual standard deviation (gaussian), size (negbinomial), shape (gamma: 1 /
    dispersion), 1 / dispersion (inverse.gaussian); 1 for the others.   mu: means (n,), of one trial if binomial; n:
    trials, or prior weights.
    """

    family: str
    scale: float = 1.0

    def variance(self, mu: Floats, n: Floats) -> Floats:
        """Of the response, counts of successes if binomial."""
        match self.family:
            case "gaussian":
                return self.scale**2 / n
            case "binomial":
                return n * mu * (1 - mu)
            case "poisson":
                return mu / n
            case "negbinomial":
                return (mu + mu * mu / self.scale) / n
            case "gamma":
                return mu * mu / (self.scale * n)
            case _:
                return mu**3 / (self.scale * n)

    def deviance(self, link: str, eta: Floats, y: Floats, n: Floats) -> Floats:
        """Unit deviances (n,), weights in them; y: successes if binomial."""
        if self.family == "gaussian":
            return np.asarray(n * (y - eta) ** 2)
        return np.maximum(fitted_rows(self.family, link, eta, y, n, self.scale)["deviance"], 0.0)

    def cdf(self, y: Floats, mu: Floats, n: Floats) -> Floats:
        """P(Y <= y)."""
        match self.family:
            case "gaussian":
                found = special.ndtr((y - mu) / (self.scale / np.sqrt(n)))
            case "binomial":
                inner = np.clip(y, 0, np.maximum(n - 1, 0))
                found = np.where(y < 0, 0.0, np.where(y >= n, 1.0, special.betainc(n - inner, inner + 1, 1 - mu)))
            case "poisson":
                found = np.where(y < 0, 0.0, special.pdtr(np.maximum(y, 0), mu))
            case "negbinomial":
                k = self.scale
                found = np.where(y < 0, 0.0, special.betainc(k, np.maximum(y, 0) + 1, k / (k + mu)))
            case "gamma":
                found = special.gammainc(self.scale * n, self.scale * n * y / mu)
            case _:
                shape = self.scale * n
                root = np.sqrt(shape / y)
                found = special.ndtr(root * (y / mu - 1)) + np.exp(
                    2 * shape / mu + special.log_ndtr(-root * (y / mu + 1))
                )
        return np.asarray(found, dtype=np.float64)

    @property
    def discrete(self) -> bool:
        """Whether responses are counts."""
        return self.family in ("binomial", "poisson", "negbinomial")

    def sample(self, generator: np.random.Generator, mu: Floats, n: Floats) -> Floats:
        """A response for each row.   Raises UsageError for weights of counts, which no distribution belongs to."""
        if self.family in ("poisson", "negbinomial") and (n != 1).any():
            raise UsageError(
                "counts with weights other than 1 have no distribution to draw from: leave the weights out"
            )
        if self.family == "binomial" and (n != np.rint(n)).any():
            raise UsageError("weights times trials are not whole numbers: there are no such trials to draw from")
        found: Any
        match self.family:
            case "gaussian":
                found = generator.normal(mu, self.scale / np.sqrt(n))
            case "binomial":
                found = generator.binomial(n.astype(np.int64), mu)
            case "poisson":
                found = generator.poisson(mu)
            case "negbinomial":
                found = generator.poisson(generator.gamma(self.scale, mu / self.scale))
            case "gamma":
                found = generator.gamma(self.scale * n, mu / (self.scale * n))
            case _:
                found = generator.wald(mu, self.scale * n)
        return np.asarray(found, dtype=np.float64)

    def quantile_residuals(self, y: Floats, mu: Floats, n: Floats, generator: np.random.Generator) -> Floats:
        """Normal under the model: the normal quantile of P(Y <= y), for counts of a uniform number between P(Y < y) and
        P(Y <= y) [Dunn & Smyth 1996].
        """
        upper = self.cdf(y, mu, n)
        lower = self.cdf(y - 1, mu, n) if self.discrete else upper
        u = lower + (upper - lower) * generator.random(len(y))
        least = np.finfo(np.float64).tiny
        found: Floats = special.ndtri(np.clip(u, least, 1 - np.finfo(np.float64).eps / 2))
        return found

    def residuals(
        self, kind: str, link: str, eta: Floats, y: Floats, n: Floats, generator: np.random.Generator
    ) -> Floats:
        """RESIDUALS (n,) at linear predictors eta, response and working ones of one trial; nan where n is zero.

        y: successes if binomial; generator: of the random part of quantile residuals.
        """
        live = n > 0
        n, y = np.where(live, n, 1.0), np.where(live, y, 1.0)
        mu, trials = mean(link, eta), (n if self.family == "binomial" else np.ones(len(n)))
        match kind:
            case "response":
                found = y / trials - mu
            case "working":
                found = (y / trials - mu) / LINKS[link].slope(eta)
            case "pearson":
                found = (y - trials * mu) / np.sqrt(self.variance(mu, n))
            case "deviance":
                found = np.sign(y / trials - mu) * np.sqrt(self.deviance(link, eta, y, n))
            case _:
                found = self.quantile_residuals(y, mu, n, generator)
        return np.where(live, found, np.nan)


def check_kind(kind: str) -> None:
    """Raises UsageError for residuals that there are not."""
    if kind not in RESIDUALS:
        raise UsageError(f"kind={kind!r}: one of {', '.join(map(repr, RESIDUALS))}")


def response_of(fit: Fit) -> Response:
    """The distribution of the response, given the linear predictor."""
    scale: float | None = getattr(fit, "scale", None)
    if fit.model == "linear":
        scale = fit.sigma
    elif fit.model == "glm":
        scale = getattr(fit, "size", None) if fit.family == "negbinomial" else 1 / fit.sigma**2
    return Response(fit.family, 1.0 if scale is None else scale)
