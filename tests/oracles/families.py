"""Plain twin of families.hpp: textbook log-likelihoods of one row, differentiated numerically in mpmath."""

from mpmath import mp, mpf

MEAN = {
    "identity": lambda t: t,
    "log": mp.exp,
    "inverse": lambda t: 1 / t,
    "1/mu^2": lambda t: 1 / mp.sqrt(t),
    "logit": lambda t: 1 / (1 + mp.exp(-t)),
    "probit": mp.ncdf,
    "cloglog": lambda t: -mp.expm1(-mp.exp(t)),
}
"""link -> mean mu of a row from its linear predictor."""

KERNEL = {
    "binomial": lambda mu, y, n, _: y * mp.log(mu) + (n - y) * mp.log(1 - mu),
    "poisson": lambda mu, y, n, _: n * (y * mp.log(mu) - mu),
    "negbinomial": lambda mu, y, n, k: n * (y * mp.log(mu / (mu + k)) + k * mp.log(k / (mu + k))),
    "gamma": lambda mu, y, n, a: -n * a * (y / mu + mp.log(mu)),
    "inverse.gaussian": lambda mu, y, n, a: n * a * (1 / mu - y / (2 * mu * mu)),
}
"""family -> log-likelihood of one row without what depends on y, n and aux alone."""


def terms(family: str, link: str, eta: float, y: float, n: float = 1.0, aux: float = 1.0, digits: int = 300) -> list:
    """l, l', -l'', -l''', -l'''' in eta, in mpf; good to 20 digits."""
    with mp.workdps(digits):
        given = [mpf(v) for v in (y, n, aux)]
        return [
            sign * mp.diff(lambda t: KERNEL[family](MEAN[link](t), *given), mpf(eta), k)
            for k, sign in enumerate((1, 1, -1, -1, -1))
        ]


VARIANCE = {
    "binomial": lambda mu, _: mu * (1 - mu),
    "poisson": lambda mu, _: mu,
    "negbinomial": lambda mu, k: mu + mu * mu / k,
    "gamma": lambda mu, _: mu**2,
    "inverse.gaussian": lambda mu, _: mu**3,
}
"""family -> variance of a row at dispersion one, weight one."""


def _of(y, mu):
    return y * mp.log(y / mu) if y else mpf(0)


DEVIANCE = {
    "binomial": lambda mu, y, n, _: 2 * (_of(y, n * mu) + _of(n - y, n * (1 - mu))),
    "poisson": lambda mu, y, n, _: 2 * n * (_of(y, mu) - (y - mu)),
    "negbinomial": lambda mu, y, n, k: 2 * n * (_of(y, mu) - (y + k) * mp.log((y + k) / (mu + k))),
    "gamma": lambda mu, y, n, _: 2 * n * ((y - mu) / mu - mp.log(y / mu)),
    "inverse.gaussian": lambda mu, y, n, _: n * (y - mu) ** 2 / (y * mu**2),
}
"""family -> deviance of one row."""


def fitted(family: str, link: str, eta: float, y: float, n: float, aux: float, digits: int = 300) -> dict:
    """mu, slope = d mu / d eta, deviance and weight = expected information, at dispersion one, in mpf."""
    with mp.workdps(digits):
        mu, slope = MEAN[link](mpf(eta)), mp.diff(MEAN[link], mpf(eta))
        given = [mpf(v) for v in (y, n, aux)]
        weight = mpf(n) * slope**2 / VARIANCE[family](mu, mpf(aux))
        return {"mu": mu, "slope": slope, "deviance": DEVIANCE[family](mu, *given), "weight": weight}
