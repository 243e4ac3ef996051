"""Write links.json: log-likelihood terms of one row and their derivatives in eta, far out on both sides.

Run from the repository root, in seconds:   python -m tests.reference.make_links

Truncated Taylor series in mpmath arithmetic: a list [f, f', f'', f''', f''''] at eta is carried through exp, log1p and
products, so no step size enters.  400 digits, each number confirmed at 460, 25 stored.  README.md defines the terms.
"""

import json
from collections.abc import Iterator
from math import comb
from pathlib import Path

import mpmath
import numpy as np
from mpmath import mp, mpf

SEED = 20261124
ORDER = 4
PRIMARY, CHECK, STORED = 400, 460, 25
SMALLEST = -400  # decimal exponent below which a number is stored as zero: float64 ends at -324

Series = list  # of ORDER + 1 derivatives


def eta_series(eta) -> Series:
    return [eta, mpf(1)] + [mpf(0)] * (ORDER - 1)


def times(f: Series, g: Series) -> Series:
    """Leibniz' rule."""
    return [mp.fsum(comb(k, i) * f[i] * g[k - i] for i in range(k + 1)) for k in range(ORDER + 1)]


def scaled(c, f: Series) -> Series:
    return [c * v for v in f]


def plus(*terms: Series) -> Series:
    return [mp.fsum(values) for values in zip(*terms, strict=True)]


def exp(f: Series) -> Series:
    """g = exp f has g' = f' g."""
    g = [mp.exp(f[0])]
    for k in range(1, ORDER + 1):
        g.append(mp.fsum(comb(k - 1, i) * f[i + 1] * g[k - 1 - i] for i in range(k)))
    return g


def log_given(value, f: Series) -> Series:
    """g = log f, g(eta) = value known by a better way than the logarithm of f[0]: f g' = f'."""
    g = [value]
    for k in range(1, ORDER + 1):
        rest = mp.fsum(comb(k - 1, i) * f[i] * g[k - i] for i in range(1, k))
        g.append((f[k] - rest) / f[0])
    return g


def log(f: Series) -> Series:
    return log_given(mp.log(f[0]), f)


def log1p(f: Series) -> Series:
    """log(1 + f) without loss where f is small."""
    return log_given(mp.log1p(f[0]), [1 + f[0], *f[1:]])


def normal_cdf(eta) -> Series:
    density = mp.npdf(eta)
    return [mp.ncdf(eta), density, -eta * density, (eta**2 - 1) * density, (3 * eta - eta**3) * density]


def at_minus(f: Series) -> Series:
    """Derivatives of f(-eta) from those of f at -eta."""
    return [(-1) ** k * v for k, v in enumerate(f)]


def softplus(t: Series) -> Series:
    """log(1 + exp t)."""
    return log1p(exp(t)) if t[0] < 0 else plus(t, log1p(exp(scaled(-1, t))))


def logit(eta) -> tuple[Series, Series]:
    t = eta_series(eta)
    return scaled(-1, softplus(scaled(-1, t))), scaled(-1, softplus(t))


def log_normal_cdf(eta) -> Series:
    if eta < 0:
        return log(normal_cdf(eta))
    return log1p(scaled(-1, at_minus(normal_cdf(-eta))))


def probit(eta) -> tuple[Series, Series]:
    return log_normal_cdf(eta), at_minus(log_normal_cdf(-eta))


def cloglog(eta) -> tuple[Series, Series]:
    hazard = exp(eta_series(eta))
    survival = exp(scaled(-1, hazard))
    if hazard[0] > 1:
        return log1p(scaled(-1, survival)), scaled(-1, hazard)
    probability = [-mp.expm1(-hazard[0]), *(-v for v in survival[1:])]
    return log(probability), scaled(-1, hazard)


BINOMIAL = {"logit": logit, "probit": probit, "cloglog": cloglog}


def binomial(link: str, eta, y, trials) -> tuple:
    """y log mu + (n - y) log(1 - mu)."""
    success, failure = BINOMIAL[link](eta)
    mu, complement = mp.exp(success[0]), mp.exp(failure[0])
    # mu' = mu (log mu)';  the expected information of n trials is n mu'^2 / (mu (1 - mu)).
    weight = trials * mu * success[1] ** 2 / complement
    return [scaled(y, success), scaled(trials - y, failure)], mu, weight, {}


def poisson(_link: str, eta, y) -> tuple:
    """y eta - mu."""
    mu = exp(eta_series(eta))
    return [scaled(y, eta_series(eta)), scaled(-1, mu)], mu[0], mu[0], {}


def negative_binomial(_link: str, eta, y, size) -> tuple:
    """y log(mu / (mu + size)) + size log(size / (mu + size)); in log size the whole density is differentiated."""
    t = eta_series(eta)
    t[0] -= mp.log(size)
    terms = [scaled(-y, softplus(scaled(-1, t))), scaled(-size, softplus(t))]
    mu = mp.exp(eta)
    both = mu + size
    score = mp.psi(0, y + size) - mp.psi(0, size) + 1 - mp.log1p(mu / size) - (y + size) / both
    curvature = mp.psi(1, y + size) - mp.psi(1, size) + 1 / size - 2 / both + (y + size) / both**2
    of_size = {
        "constant": mp.loggamma(y + size) - mp.loggamma(size) - mp.loggamma(y + 1),
        "d_log_size": size * score,
        "d2_log_size": size * score + size**2 * curvature,
        "d_eta_log_size": size * (y - mu) * mu / both**2,
    }
    return terms, mu, mu * size / both, of_size


def gamma(link: str, eta, y) -> tuple:
    """-y / mu - log mu, dispersion one."""
    t = eta_series(eta)
    if link == "log":
        return [scaled(-y, exp(scaled(-1, t))), scaled(-1, t)], mp.exp(eta), mpf(1), {}
    return [scaled(-y, t), log(t)], 1 / eta, 1 / eta**2, {}


def inverse_gaussian(link: str, eta, y) -> tuple:
    """-y / (2 mu^2) + 1 / mu, dispersion one."""
    t = eta_series(eta)
    if link == "log":
        return [scaled(-y / 2, exp(scaled(-2, t))), exp(scaled(-1, t))], mp.exp(eta), mp.exp(-eta), {}
    root = exp(scaled(mpf("0.5"), log(t)))
    return [scaled(-y / 2, t), root], 1 / mp.sqrt(eta), eta ** mpf("-1.5") / 4, {}


FAMILIES = {
    "binomial": binomial,
    "poisson": poisson,
    "negative binomial": negative_binomial,
    "Gamma": gamma,
    "inverse gaussian": inverse_gaussian,
}


def points(rng) -> Iterator[dict]:
    """All points, in a fixed order: the order of draws is part of the seed."""

    def some(low, high, count):
        return [float(v) for v in rng.uniform(low, high, count)]

    near = [0.0, 1e-9, -1e-3, 0.5, -1.0, *some(-6, 6, 3)]
    far = [-40.0, -38.4, -36.8, -20.0, -8.3, 3.7, 8.3, 20.0, 36.8, 38.4, 40.0, *some(-40, 40, 3)]
    for link in BINOMIAL:
        for eta in near + far + [-700.0, 300.0]:
            for y, trials in ((0.0, 1.0), (1.0, 1.0), (0.3, 1.0), (7.0, 10.0)):
                yield {"family": "binomial", "link": link, "eta": eta, "y": y, "trials": trials}
    for eta in [*near, -700.0, -40.0, 40.0, 100.0, 700.0, *some(-40, 40, 2)]:
        for y in (0.0, 1.0, 7.5, 1e6):
            yield {"family": "poisson", "link": "log", "eta": eta, "y": y}
    for size in (1e-3, 0.7, 30.0, 1e6):
        for eta in [0.0, -40.0, -3.2, 5.1, 40.0, 300.0, *some(-10, 10, 2)]:
            for y in (0.0, 1.0, 7.0, 20_000.0):
                yield {"family": "negative binomial", "link": "log", "eta": eta, "y": y, "size": size}
    for family, other in (("Gamma", "inverse"), ("inverse gaussian", "1/mu^2")):
        for y in (1e-8, 0.7, 3.0, 1e6):
            for eta in [0.0, -40.0, -3.2, 5.1, 40.0, 300.0, *some(-10, 10, 2)]:
                yield {"family": family, "link": "log", "eta": eta, "y": y}
            for eta in [1e-12, 1e-3, 1.0, 4.2, 1e6, 1e12, *some(0, 3, 2)]:
                yield {"family": family, "link": other, "eta": eta, "y": y}


def answer(point: dict, digits: int) -> dict:
    """Every number of a point, in mpf.  `magnitude` sums absolute values where `derivatives` sums values."""
    with mp.workdps(digits):
        given = {key: mpf(value) for key, value in point.items() if isinstance(value, float)}
        terms, mu, weight, of_size = FAMILIES[point["family"]](point["link"], **given)
        return {
            "derivatives": plus(*terms),
            "magnitude": plus(*([abs(v) for v in term] for term in terms)),
            "mu": mu,
            "weight": weight,
            **of_size,
        }


def confirmed(first: dict, second: dict) -> dict:
    """Decimal strings of `first`; raises ArithmeticError where `second` does not agree to 30 digits."""
    scales = {key: first["magnitude"] if key == "derivatives" else value for key, value in first.items()}
    return {key: _confirmed(first[key], second[key], scales[key]) for key in first}


def _confirmed(first, second, scale):
    if isinstance(first, list):
        return [_confirmed(*values) for values in zip(first, second, scale, strict=True)]
    # Terms that cancel exactly leave a rounding error, far below their own size.
    if abs(first) <= mpf(10) ** -60 * abs(scale) or abs(first) < mpf(10) ** SMALLEST:
        first = second = mpf(0)
    if abs(first - second) > mpf(10) ** -30 * abs(first):
        raise ArithmeticError(f"{mp.nstr(first, 35)} at {PRIMARY} digits, {mp.nstr(second, 35)} at {CHECK}")
    return mp.nstr(first, STORED)


def main() -> None:
    """Answer every point and write the file beside this script."""
    lines = []
    with mp.workdps(CHECK):
        for point in points(np.random.default_rng(SEED)):
            answers = confirmed(answer(point, PRIMARY), answer(point, CHECK))
            answers["magnitude"] = [mp.nstr(mpf(v), 5) for v in answers["magnitude"]]
            inputs = {key: value.hex() if isinstance(value, float) else value for key, value in point.items()}
            lines.append(json.dumps(inputs | answers))
    provenance = (
        f"tests/reference/make_links.py, seed {SEED}, 2026-11-24; mpmath {mpmath.__version__}, "
        f"{PRIMARY} and {CHECK} digits agree to 30, {STORED} are stored"
    )
    text = f'{{"provenance": {json.dumps(provenance)},\n"points": [\n' + ",\n".join(lines) + "\n]}\n"
    Path(__file__).with_name("links.json").write_text(text)


if __name__ == "__main__":
    main()
