"""Write glm.json: generalized linear models by Newton's method in 200-digit arithmetic, compared with R.

Run from the repository root, in about a minute:

    Rscript --vanilla tests/reference/glm.R > glm_r.json
    python -m tests.reference.make_glm glm_r.json      (without a file: data and R's numbers of glm.json as it stands)

Data come as R has them.  Decimals are rounded to float64 once, so is each logarithm in a formula; from there on the
arithmetic is mpmath's.  What every number means stands in README.md.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import mpmath
from mpmath import mp, mpf

FILE = Path(__file__).with_name("glm.json")
DIGITS, STORED = 200, 30  # near_separation has fitted probabilities of 1 - 1e-70

# link -> eta -> (mu, d mu / d eta, d2 mu / d eta2); mu of a binomial family is the probability.
LINKS = {
    "identity": lambda t: (t, mpf(1), mpf(0)),
    "log": lambda t: (mp.exp(t),) * 3,
    "inverse": lambda t: (1 / t, -1 / t**2, 2 / t**3),
    "1/mu^2": lambda t: (t ** mpf("-0.5"), -(t ** mpf("-1.5")) / 2, 3 * t ** mpf("-2.5") / 4),
    "logit": lambda t: _logistic(1 / (1 + mp.exp(-t))),
    "probit": lambda t: (mp.ncdf(t), mp.npdf(t), -t * mp.npdf(t)),
    "cloglog": lambda t: (-mp.expm1(-mp.exp(t)), mp.exp(t - mp.exp(t)), (1 - mp.exp(t)) * mp.exp(t - mp.exp(t))),
}
FORWARD = {
    "identity": lambda mu: mu,
    "log": mp.log,
    "inverse": lambda mu: 1 / mu,
    "1/mu^2": lambda mu: 1 / mu**2,
    "logit": lambda mu: mp.log(mu / (1 - mu)),
    "probit": lambda mu: mp.sqrt(2) * mp.erfinv(2 * mu - 1),
    "cloglog": lambda mu: mp.log(-mp.log(1 - mu)),
}


def _logistic(mu):
    return mu, mu * (1 - mu), mu * (1 - mu) * (1 - 2 * mu)


@dataclass(frozen=True, slots=True)
class Case:
    """X: n rows of p; y, trials (ones but for a binomial family), weights, offset: n; all mpf.  y counts successes."""

    family: str
    link: str
    X: list
    y: list
    trials: list
    weights: list
    offset: list

    def intercept_only(self) -> "Case":
        return Case(self.family, self.link, [[mpf(1)] for _ in self.y], self.y, self.trials, self.weights, self.offset)


def column(raw: dict, name: str) -> list:
    """A numeric column, log(column), or the 0/1 column of a factor's level such as "outcome2"; n values of mpf."""
    data, levels = raw["data"], raw["levels"]
    if name == "(Intercept)":
        return [mpf(1)] * len(next(iter(data.values())))
    if name.startswith("log("):
        return [mpf(float(mp.log(value))) for value in column(raw, name[4:-1])]
    if name in data:
        return [mpf(float(value)) for value in data[name]]
    (factor, level) = next((f, v) for f, known in levels.items() for v in known if f + v == name)
    return [mpf(value == level) for value in data[factor]]


def design(raw: dict, names: list[str], sums: list[float]) -> list:
    """X: n rows of p, from R's names of the coefficients: products of columns, joined by ":".

    Raises ArithmeticError where a column does not sum to what R's does.
    """
    products = []
    for name, total in zip(names, sums, strict=True):
        factors = [column(raw, part) for part in name.split(":")]
        products.append([mp.fprod(row) for row in zip(*factors, strict=True)])
        if abs(mp.fsum(products[-1]) - total) > 1e-12 * max(1, abs(total)):
            raise ArithmeticError(f"{raw['name']}: column {name} sums to {mp.fsum(products[-1])}, in R to {total}")
    return [list(row) for row in zip(*products, strict=True)]


def read(raw: dict) -> Case:
    """A case of glm.json with the design that R chose."""
    X = design(raw, raw["r"]["names"], raw["r"]["column_sums"])
    n = len(X)
    response = raw["formula"].split("~")[0].strip()
    ones, zeros = [mpf(1)] * n, [mpf(0)] * n
    if response.startswith("cbind("):
        y, failures = (column(raw, name.strip()) for name in response[6:-1].split(","))
        trials = [a + b for a, b in zip(y, failures, strict=True)]
    else:
        y, trials = column(raw, response), ones
    return Case(
        raw["family"],
        raw["link"],
        X,
        y,
        trials,
        column(raw, raw["weights"]) if raw["weights"] else ones,
        column(raw, raw["offset"]) if raw["offset"] else zeros,
    )


def variance(family: str, mu, theta):
    """Variance function V(mu) and V'(mu)."""
    return {
        "gaussian": (mpf(1), mpf(0)),
        "binomial": (mu * (1 - mu), 1 - 2 * mu),
        "poisson": (mu, mpf(1)),
        "Gamma": (mu**2, 2 * mu),
        "inverse gaussian": (mu**3, 3 * mu**2),
        "negative binomial": (mu + mu**2 / theta, 1 + 2 * mu / theta) if theta else None,
    }[family]


def start(case: Case) -> list:
    """eta (n,) of responses moved a little away from the edge of their range."""
    moved = {
        "gaussian": lambda y, _: y,
        "binomial": lambda y, m: (y + mpf("0.5")) / (m + 1),
        "poisson": lambda y, _: y + mpf("0.1"),
        "negative binomial": lambda y, _: y + mpf("0.1"),
        "Gamma": lambda y, _: y,
        "inverse gaussian": lambda y, _: y,
    }[case.family]
    return [FORWARD[case.link](moved(y, m)) for y, m in zip(case.y, case.trials, strict=True)]


def weighted_solve(X: list, w: list, r: list):
    """(X' diag(w) X)^-1 X' r and the matrix X' diag(w) X."""
    p = len(X[0])
    A = mp.matrix(p, p)
    for i in range(p):
        for j in range(i + 1):
            A[i, j] = A[j, i] = mp.fsum(row[i] * row[j] * v for row, v in zip(X, w, strict=True) if row[i] and row[j])
    b = mp.matrix([mp.fsum(row[i] * v for row, v in zip(X, r, strict=True)) for i in range(p)])
    return mp.lu_solve(A, b), A


def row_terms(case: Case, eta: list, theta) -> tuple[list, list, list]:
    """mu, score d l / d eta and its derivatives: lists of mu, l', (expected, observed) -l''; dispersion one."""
    mus, scores, weights = [], [], []
    for t, y, m, w in zip(eta, case.y, case.trials, case.weights, strict=True):
        mu, d1, d2 = LINKS[case.link](t)
        v, dv = variance(case.family, mu, theta)
        residual = w * (y - m * mu)
        mus.append(mu)
        scores.append(residual * d1 / v)
        expected = w * m * d1**2 / v
        weights.append((expected, expected - residual * (d2 / v - d1**2 * dv / v**2)))
    return mus, scores, weights


def fit(case: Case, theta=None) -> tuple:
    """beta (p,), mu (n,) and the expected information X'WX at dispersion one.

    Fisher scoring brings the estimate near, Newton's method to 45 digits.  Raises ArithmeticError where it does not.
    """
    beta = None
    eta = start(case)
    for iteration in range(200):
        _, scores, weights = row_terms(case, eta, theta)
        newton = iteration >= 12
        w = [both[newton] for both in weights]
        if beta is None:  # the response in place of X beta: regression of the working response
            working = [a * (t - o) + s for a, t, o, s in zip(w, eta, case.offset, scores, strict=True)]
            beta, _ = weighted_solve(case.X, w, working)
            step = mp.matrix([mpf(1)])
        else:
            step, _ = weighted_solve(case.X, w, scores)
            beta = beta + step
        eta = [o + mp.fdot(row, beta) for row, o in zip(case.X, case.offset, strict=True)]
        if newton and mp.norm(step) < mpf(10) ** -45 * max(1, mp.norm(beta)):
            mus, _, weights = row_terms(case, eta, theta)
            _, information = weighted_solve(case.X, [both[0] for both in weights], [mpf(0)] * len(eta))
            return list(beta), mus, information
    raise ArithmeticError("Newton's method did not converge in 200 steps")


def deviance(case: Case, mu: list, theta) -> mpf:
    """2 times the weighted distance of the log-likelihood from that of the saturated model, dispersion one."""

    def xlog(y, ratio):
        return y * mp.log(ratio) if y else mpf(0)

    unit = {
        "gaussian": lambda y, _, mu: (y - mu) ** 2,
        "binomial": lambda y, m, mu: 2 * (xlog(y, y / (m * mu)) + xlog(m - y, (m - y) / (m * (1 - mu)))),
        "poisson": lambda y, _, mu: 2 * (xlog(y, y / mu) - (y - mu)),
        "Gamma": lambda y, _, mu: 2 * ((y - mu) / mu - mp.log(y / mu)),
        "inverse gaussian": lambda y, _, mu: (y - mu) ** 2 / (y * mu**2),
        "negative binomial": lambda y, _, mu: 2 * (xlog(y, y / mu) - (y + theta) * mp.log((y + theta) / (mu + theta))),
    }[case.family]
    return mp.fsum(w * unit(y, m, t) for y, m, t, w in zip(case.y, case.trials, mu, case.weights, strict=True))


def loglik(case: Case, mu: list, theta) -> mpf:
    """The log-likelihood as R's logLik defines it: see README.md."""
    total, n = mp.fsum(case.weights), len(mu)
    phi = deviance(case, mu, theta) / total
    if case.family == "gaussian":
        return (-n * (mp.log(2 * mp.pi * phi * total / n) + 1) + mp.fsum(mp.log(w) for w in case.weights)) / 2
    if case.family == "inverse gaussian":
        logs = mp.fsum(w * mp.log(y) for w, y in zip(case.weights, case.y, strict=True))
        return -(total * (mp.log(2 * mp.pi * phi) + 1) + 3 * logs) / 2
    term = {
        "binomial": lambda y, m, t: (
            mp.log(mp.binomial(m, y)) + (y * mp.log(t) if y else 0) + ((m - y) * mp.log(1 - t) if m > y else 0)
        ),
        "poisson": lambda y, _, t: y * mp.log(t) - t - mp.loggamma(y + 1),
        "Gamma": lambda y, _, t: (
            (1 / phi - 1) * mp.log(y) - y / (t * phi) - mp.log(t * phi) / phi - mp.loggamma(1 / phi)
        ),
        "negative binomial": lambda y, _, t: (
            mp.loggamma(theta + y)
            - mp.loggamma(theta)
            - mp.loggamma(y + 1)
            + theta * mp.log(theta)
            + y * mp.log(t)
            - (theta + y) * mp.log(theta + t)
        ),
    }[case.family]
    return mp.fsum(w * term(y, m, t) for y, m, t, w in zip(case.y, case.trials, mu, case.weights, strict=True))


def theta_terms(case: Case, mu: list, theta) -> tuple:
    """Score and observed information of theta at given mu."""
    rows = list(zip(case.y, mu, case.weights, strict=True))
    digamma, trigamma = (lambda x: mp.psi(0, x)), (lambda x: mp.psi(1, x))
    score = mp.fsum(
        w * (digamma(theta + y) - digamma(theta) + mp.log(theta) + 1 - mp.log(theta + t) - (y + theta) / (t + theta))
        for y, t, w in rows
    )
    information = mp.fsum(
        w * (-trigamma(theta + y) + trigamma(theta) - 1 / theta + 2 / (t + theta) - (y + theta) / (t + theta) ** 2)
        for y, t, w in rows
    )
    return score, information


def fit_theta(case: Case, theta: mpf) -> tuple:
    """fit() at the maximum in theta too: the two maximizations take turns until neither moves."""
    while True:
        beta, mu, information = fit(case, theta)
        score, curvature = theta_terms(case, mu, theta)
        if abs(score / curvature) < mpf(10) ** -40:
            return theta, 1 / mp.sqrt(curvature), beta, mu, information
        theta += score / curvature


def p_value(statistic, df) -> mpf:
    """Two-sided: Student's t with df degrees of freedom, the normal distribution where df is None."""
    if df is None:
        return mp.erfc(abs(statistic) / mp.sqrt(2))
    return mp.betainc(mpf(df) / 2, mpf("0.5"), 0, df / (df + statistic**2), regularized=True)


def answer(raw: dict) -> dict:
    """Every number of one case, in mpf and int."""
    case = read(raw)
    n, p = len(case.X), len(case.X[0])
    theta, found = None, {}
    if case.family == "negative binomial":
        theta, theta_se, beta, mu, information = fit_theta(case, mpf(raw["r"]["theta"]))
        found = {"theta": theta, "theta_se": theta_se}
    else:
        beta, mu, information = fit(case)
    pearson = mp.fsum(
        w * (y - m * t) ** 2 / (m * variance(case.family, t, theta)[0])
        for y, m, t, w in zip(case.y, case.trials, mu, case.weights, strict=True)
    )
    estimated = case.family in ("gaussian", "Gamma", "inverse gaussian")
    dispersion = pearson / (n - p) if estimated else mpf(1)
    inverse = mp.inverse(information)
    se = [mp.sqrt(dispersion * inverse[i, i]) for i in range(p)]
    statistic = [b / s for b, s in zip(beta, se, strict=True)]
    ll, df = loglik(case, mu, theta), p + (estimated or theta is not None)
    return {
        "names": raw["r"]["names"],
        "coef": beta,
        "se": se,
        "statistic": statistic,
        "p": [p_value(value, n - p if estimated else None) for value in statistic],
        "deviance": deviance(case, mu, theta),
        "null_deviance": deviance(case, fit(case.intercept_only(), theta)[1], theta),
        "pearson": pearson,
        "df_residual": n - p,
        "df_null": n - 1,
        "dispersion": dispersion,
        "loglik": ll,
        "loglik_df": df,
        "aic": -2 * ll + 2 * df,
        "bic": -2 * ll + mp.log(n) * df,
        **found,
    }


def farthest(ours: dict, r: dict) -> dict:
    """By key, how far R's numbers are from ours: relative, for numbers below 1e-10 absolute."""

    def distance(a, b):
        if isinstance(a, list):
            return max(distance(x, y) for x, y in zip(a, b, strict=True))
        return float(abs(a - b) / max(abs(a), mpf("1e-10")))

    return {key: float(f"{distance(ours[key], r[key]):.1e}") for key in ours if key in r and key != "names"}


def decimal(value, smallest=0):
    """mpf as decimal strings of 30 digits, in lists too; zero where smaller than `smallest`."""
    if isinstance(value, list):
        return [decimal(v, smallest) for v in value]
    return mp.nstr(value if abs(value) >= smallest else mpf(0), STORED) if isinstance(value, mpf) else value


def probit_far() -> dict:
    """Probit far out, no part of R's examples: a million trials each at x = -8 ... 8, successes nearest to Phi(x)."""
    x = list(range(-8, 9))
    dead = [int(mp.nint(10**6 * mp.ncdf(value))) for value in x]
    return {
        "name": "probit_far",
        "source": "made up: a million trials at each x, |eta| up to 8",
        "formula": "cbind(dead, alive) ~ x",
        "family": "binomial",
        "link": "probit",
        "offset": None,
        "weights": None,
        "data": {"dead": dead, "alive": [10**6 - d for d in dead], "x": x},
        "levels": {},
        "r": {"names": ["(Intercept)", "x"], "column_sums": [17, 0]},
    }


def main() -> None:
    """Answer every case and write the file beside this script."""
    mp.dps = DIGITS
    given = json.loads((Path(sys.argv[1]) if len(sys.argv) > 1 else FILE).read_text())
    cases = [case for case in given["cases"] if case["name"] != "probit_far"] + [probit_far()]
    lines = []
    for case in cases:
        case.pop("answer", None), case.pop("distance_of_r", None)
        found = answer(case)
        far = farthest(found, case["r"])
        print(case["name"], far, flush=True)
        r = case.pop("r") if case["name"] == "probit_far" else None
        # An estimate that is zero by symmetry comes out as 1e-60 or so.
        exact_zero = {"coef": mpf(10) ** -40, "statistic": mpf(10) ** -40}
        stored = {key: decimal(value, exact_zero.get(key, 0)) for key, value in found.items()}
        lines.append(json.dumps(case | {"answer": stored} | ({} if r else {"distance_of_r": far})))
    provenance = (
        f"tests/reference/make_glm.py, Newton's method on mpmath {mpmath.__version__} at {DIGITS} digits, "
        f"{STORED} stored; r: tests/reference/glm.R, {given['r_version']}, MASS {given['mass_version']}; 2026-11-24"
    )
    head = {"provenance": provenance, "r_version": given["r_version"], "mass_version": given["mass_version"]}
    opening = json.dumps(head)[:-1]
    FILE.write_text(f'{opening},\n"cases": [\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
