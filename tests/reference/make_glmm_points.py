"""Write glmm_points.json: log-likelihoods of mixed models with one to three effects a group, at given parameters.

Run from the repository root, in some minutes:   python -m tests.reference.make_glmm_points

`by_nodes`: adaptive Gauss-Hermite quadrature with K^q nodes in 60-digit arithmetic, gradients by central differences,
confirmed at 75 digits with another step.  `exact`: for one effect the trapezoid rule at 60 digits, confirmed at 75 with
another step; for more the tensor rule in float64 at two node counts, its gradient the mean of the score given the data.
README.md defines model, parameters and every number.
"""

import json
from collections.abc import Iterator
from itertools import product
from math import prod
from pathlib import Path

import mpmath
import numpy as np
from mpmath import mp, mpf
from scipy.special import digamma, gammaln

from tests.oracles import hermite
from tests.reference.make_links import FAMILIES
from tests.reference.make_lmm import cholesky, log_det

SEED = 20261125
DIGITS, CHECK, STORED = 60, 75, 25
TENSOR = {2: (41, 61), 3: (31, 41)}  # nodes a dimension of `exact`

# ---------------------------------------------------------------- one row: log density from eta, y, trials, extra


def constant(family: str, y, trials, extra):
    """What of the log density of a row is free of eta.  extra: dispersion of Gamma, size of negative binomial."""
    if family == "binomial":
        return mp.log(mp.binomial(trials, y))
    if family == "poisson":
        return -mp.loggamma(y + 1)
    if family == "Gamma":
        return mp.log(y / extra) / extra - mp.log(y) - mp.loggamma(1 / extra)
    return mp.loggamma(y + extra) - mp.loggamma(extra) - mp.loggamma(y + 1)


def kernel(family: str, eta, y, trials, extra):
    """The rest, which depends on eta."""
    if family == "binomial":
        return y * eta - trials * mp.log1p(mp.exp(eta))
    if family == "poisson":
        return y * eta - mp.exp(eta)
    if family == "Gamma":
        return -(y * mp.exp(-eta) + eta) / extra
    return y * (eta - mp.log(mp.exp(eta) + extra)) - extra * mp.log1p(mp.exp(eta) / extra)


def two_derivatives(case: dict, eta, y, trials, extra) -> tuple:
    """d kernel / d eta and -d2 kernel / d eta2 (observed), from the series of make_links."""
    family = case["family"]
    given = {"binomial": (y, trials), "negative binomial": (y, extra)}.get(family, (y,))
    terms = FAMILIES[family]("logit" if family == "binomial" else "log", eta, *given)[0]
    scale = 1 / extra if family == "Gamma" else mpf(1)
    return scale * mp.fsum(t[1] for t in terms), -scale * mp.fsum(t[2] for t in terms)


# ---------------------------------------------------------------- quadrature, any precision


def lower(theta: list, q: int) -> list:
    """Lambda (q, q), lower triangular, from theta column by column."""
    values, L = iter(theta), [[mpf(0)] * q for _ in range(q)]
    for j in range(q):
        for i in range(j, q):
            L[i][j] = next(values)
    return L


def unpacked(case: dict, parameters: list) -> tuple:
    """beta (p,), theta, extra of the parameter vector (beta, theta, log extra); extra None where there is none."""
    p, q = len(case["X"][0]), len(case["Z"][0])
    m = q * (q + 1) // 2
    extra = mp.exp(parameters[p + m]) if len(parameters) > p + m else None
    return parameters[:p], parameters[p : p + m], extra


def group_rows(case: dict, label: int, beta: list, theta: list) -> list:
    """(fixed part of eta, Lambda' z, y, trials) of each row of a group."""
    q = len(case["Z"][0])
    L, rows = lower(theta, q), []
    for x, z, y, n, o, g in zip(*(case[key] for key in ("X", "Z", "y", "trials", "offset", "group")), strict=True):
        if g == label:
            direction = [mp.fsum(L[i][j] * z[i] for i in range(j, q)) for j in range(q)]
            rows.append((o + mp.fdot(x, beta), direction, y, n))
    return rows


def mode(case: dict, rows: list, extra, u: list) -> tuple[list, list]:
    """u_hat (q,) and the lower Cholesky factor S of H^-1, H = -f''(u_hat), from the start u; Newton's method."""
    q = len(u)

    def f(at: list):
        values = (kernel(case["family"], e + mp.fdot(d, at), y, n, extra) for e, d, y, n in rows)
        return mp.fsum(values) - mp.fdot(at, at) / 2

    for _ in range(100):
        score, H = [-v for v in u], [[mpf(i == j) for j in range(q)] for i in range(q)]
        for e, d, y, n in rows:
            first, second = two_derivatives(case, e + mp.fdot(d, u), y, n, extra)
            for i in range(q):
                score[i] += first * d[i]
                for j in range(q):
                    H[i][j] += second * d[i] * d[j]
        step = list(mp.lu_solve(mp.matrix(H), mp.matrix(score)))
        if max(abs(v) for v in step) < mpf(10) ** (-mp.dps + 8):
            inverse = mp.inverse(mp.matrix(H))
            return u, cholesky([[inverse[i, j] for j in range(q)] for i in range(q)])
        while max(abs(v) for v in step) > mpf(10) ** -9 and f([a + b for a, b in zip(u, step, strict=True)]) < f(u):
            step = [v / 2 for v in step]
        u = [a + b for a, b in zip(u, step, strict=True)]
    raise ArithmeticError(f"no mode of {case['name']}")


def group_value(case: dict, rows: list, extra, u: list, K: int) -> tuple:
    """log of the integral over u ~ N(0, I) with K^q nodes u_hat + S z, S S' = H^-1; the mode; without `constant`."""
    u, S = mode(case, rows, extra, u)
    nodes, weights = hermite.rule(K)
    terms = []
    for index in product(range(K), repeat=len(u)):
        z = [nodes[k] for k in index]
        at = [a + mp.fdot(row, z[: i + 1]) for i, (a, row) in enumerate(zip(u, S, strict=True))]
        f = mp.fsum(kernel(case["family"], e + mp.fdot(d, at), y, n, extra) for e, d, y, n in rows)
        weight = prod(weights[k] for k in index)
        terms.append(weight * mp.exp(f - mp.fdot(at, at) / 2 + mp.fdot(z, z) / 2))
    return mp.log(mp.fsum(terms)) + log_det(S) / 2, u


def trapezoid_value(case: dict, rows: list, extra, u: list, h) -> tuple:
    """The same integral, for one effect, by the trapezoid rule of step h in units of the curvature's scale."""
    u, S = mode(case, rows, extra, u)
    s = S[0][0]

    def f(t):
        at = u[0] + s * t
        return mp.fsum(kernel(case["family"], e + d[0] * at, y, n, extra) for e, d, y, n in rows) - at**2 / 2

    peak = f(mpf(0))
    total = mpf(1)
    for sign in (1, -1):
        k = 1
        while (term := mp.exp(f(sign * k * h) - peak)) > mpf(10) ** (-mp.dps - 5):
            total, k = total + term, k + 1
    return peak + mp.log(s * h * total / mp.sqrt(2 * mp.pi)), u


def answer(case: dict, parameters: list, value, step) -> dict:
    """loglik with all constants, gradient in (beta, theta, log extra), modes; value: one of the rules above."""
    groups = sorted(set(case["group"]))
    q = len(case["Z"][0])
    starts = {g: [mpf(0)] * q for g in groups}

    def loglik(at: list) -> mpf:
        beta, theta, extra = unpacked(case, at)
        total = mp.fsum(constant(case["family"], y, n, extra) for y, n in zip(case["y"], case["trials"], strict=True))
        for g in groups:
            found, starts[g] = value(case, group_rows(case, g, beta, theta), extra, starts[g])
            total += found
        return total

    loglik(parameters)
    at_mode = {g: list(u) for g, u in starts.items()}
    gradient = []
    for i in range(len(parameters)):
        up, down = list(parameters), list(parameters)
        up[i] += step
        down[i] -= step
        gradient.append((loglik(up) - loglik(down)) / (2 * step))
    return {"loglik": loglik(parameters), "gradient": gradient, "mode": [at_mode[g] for g in groups]}


# ---------------------------------------------------------------- the tensor rule in float64


def float_rows(family: str, eta, y, trials, extra) -> tuple:
    """Log density, its derivative in eta and in log extra: arrays of the shape of eta."""
    if family == "binomial":
        choose = gammaln(trials + 1) - gammaln(y + 1) - gammaln(trials - y + 1)
        return choose + y * eta - trials * np.logaddexp(0, eta), y - trials / (1 + np.exp(-eta)), 0 * eta
    if family == "poisson":
        return y * eta - np.exp(eta) - gammaln(y + 1), y - np.exp(eta), 0 * eta
    if family != "Gamma":
        raise ValueError(f"no float64 rule for {family}")
    shape, ratio = 1 / extra, y * np.exp(-eta)
    core = np.log(y * shape) - eta - ratio
    return shape * core - np.log(y) - gammaln(shape), shape * (ratio - 1), -shape * (core + 1 - digamma(shape))


def tensor_answer(case: dict, parameters: list, modes: list, K: int) -> tuple[float, np.ndarray]:
    """loglik and gradient: the score of a group is the mean, given its data, of the score at fixed u [Fisher 1925]."""
    beta, theta, extra = (np.array(v, dtype=float) if v is not None else None for v in unpacked(case, parameters))
    q, p = len(case["Z"][0]), len(beta)
    pairs = [(i, j) for j in range(q) for i in range(j, q)]
    L = np.array(lower(list(theta), q), dtype=float)
    roots, weights = np.polynomial.hermite_e.hermegauss(K)
    z = np.array(list(product(roots, repeat=q)))
    log_weight = sum(np.meshgrid(*[np.log(weights / np.sqrt(2 * np.pi))] * q, indexing="ij")).ravel()
    X, Z, y, trials, offset = (np.array(case[key], dtype=float) for key in ("X", "Z", "y", "trials", "offset"))
    group, value, gradient = np.array(case["group"]), 0.0, np.zeros(len(parameters))
    for label, u_hat in zip(sorted(set(case["group"])), modes, strict=True):
        mine = group == label
        D = Z[mine] @ L
        beta_mp, theta_mp, extra_mp = unpacked(case, parameters)
        S = np.array(_square(mode(case, group_rows(case, label, beta_mp, theta_mp), extra_mp, u_hat)[1]))
        u = np.array(u_hat, dtype=float) + z @ S.T
        eta = (offset[mine] + X[mine] @ beta)[:, None] + D @ u.T
        density, by_eta, by_extra = float_rows(case["family"], eta, y[mine, None], trials[mine, None], extra)
        terms = log_weight + density.sum(0) - (u**2).sum(1) / 2 + (z**2).sum(1) / 2
        top = terms.max()
        share = np.exp(terms - top)
        value += top + np.log(share.sum()) + np.log(np.diag(S)).sum()
        share /= share.sum()
        gradient[:p] += X[mine].T @ (by_eta @ share)
        for k, (i, j) in enumerate(pairs):
            gradient[p + k] += Z[mine, i] @ (by_eta @ (share * u[:, j]))
        if extra is not None:
            gradient[-1] += (by_extra @ share).sum()
    return value, gradient


def _square(S: list) -> list:
    return [[float(v) for v in row] + [0.0] * (len(S) - len(row)) for row in S]


# ---------------------------------------------------------------- cases


def random_case(rng, name, family, sizes, theta, *, extra=None, offset=False, trials=1, nodes) -> dict:
    """X (n, 2): intercept and a normal column; Z: its first q - 1 columns are 1 and x, then another normal column.

    The response is drawn from the model.
    """
    n, q = sum(sizes), {1: 1, 3: 2, 6: 3}[len(theta)]
    columns = np.column_stack([np.ones(n), rng.standard_normal((n, 2))])
    X, Z, group = columns[:, :2], columns[:, :q], np.repeat(np.arange(len(sizes)), sizes)
    beta = np.array([0.4, -0.6]) + 0.1 * rng.standard_normal(2)
    shift = rng.normal(0, 0.5, n) if offset else np.zeros(n)
    L = np.array(lower(theta, q), dtype=float)
    b = rng.standard_normal((len(sizes), q)) @ L.T
    eta = shift + X @ beta + (Z * b[group]).sum(1)
    size = rng.integers(1, trials, n, endpoint=True)
    mu = 1 / (1 + np.exp(-eta)) if family == "binomial" else np.exp(eta)
    y = {
        "binomial": lambda: rng.binomial(size, mu),
        "poisson": lambda: rng.poisson(mu),
        "Gamma": lambda: rng.gamma(1 / extra, mu * extra),
        "negative binomial": lambda: rng.poisson(mu * rng.gamma(extra, 1 / extra, n)),
    }[family]().astype(float)
    return {
        "name": name,
        "family": family,
        "link": "logit" if family == "binomial" else "log",
        "X": X.tolist(),
        "Z": Z.tolist(),
        "y": y.tolist(),
        "trials": size.astype(float).tolist(),
        "offset": shift.tolist(),
        "group": group.tolist(),
        "beta": beta.tolist(),
        "theta": list(theta),
        "extra": extra,
        "nodes": nodes,
    }


def cases(rng) -> Iterator[dict]:
    """All cases, in a fixed order: the order of draws is part of the seed."""
    one, two, three = (1, 2, 9, 25), (1, 3, 9), (1, 3, 5)
    small = (1, 3, 5, 8, 4)
    yield random_case(rng, "Gamma, one effect", "Gamma", small, [0.5], extra=0.4, nodes=one)
    yield random_case(rng, "Gamma, one strong effect, offset", "Gamma", small, [1.7], extra=2.5, offset=True, nodes=one)
    yield random_case(rng, "negative binomial, one effect", "negative binomial", small, [0.7], extra=1.3, nodes=one)
    yield random_case(
        rng,
        "negative binomial near Poisson, offset",
        "negative binomial",
        small,
        [-0.4],
        extra=5e4,
        offset=True,
        nodes=one,
    )
    yield random_case(rng, "poisson, one effect", "poisson", small, [0.6], nodes=one)
    eight = (1, 2, 4, 6, 3, 5, 8, 6)
    yield random_case(rng, "binomial, two effects", "binomial", eight, [0.8, -0.5, 0.4], trials=6, nodes=two)
    yield random_case(rng, "poisson, two effects", "poisson", eight, [0.6, 0.2, 0.3], offset=True, nodes=two)
    yield random_case(rng, "Gamma, two effects", "Gamma", eight, [0.5, -0.3, 0.4], extra=0.6, nodes=two)
    twenty = tuple(int(v) for v in rng.integers(4, 8, 20))
    yield random_case(rng, "poisson, three effects", "poisson", twenty, [0.5, -0.2, 0.1, 0.4, 0.15, 0.3], nodes=three)
    few = (1, 2, *(int(v) for v in rng.integers(4, 9, 22)))
    yield random_case(
        rng, "binomial, three effects", "binomial", few, [0.7, 0.3, -0.2, 0.5, 0.2, 0.4], trials=5, nodes=three
    )


def in_mpf(values):
    if isinstance(values, list):
        return [in_mpf(v) for v in values]
    return mpf(values) if isinstance(values, float) else values


def confirmed(first, second):
    """25-digit strings of `first`; raises ArithmeticError where `second` does not agree to 28 digits."""
    if isinstance(first, dict):
        return {key: confirmed(first[key], second[key]) for key in first}
    if isinstance(first, list):
        return [confirmed(a, b) for a, b in zip(first, second, strict=True)]
    if abs(first - second) > mpf(10) ** -28 * max(1, abs(first)):
        raise ArithmeticError(f"{mp.nstr(first, 35)} and {mp.nstr(second, 35)}")
    return mp.nstr(first, STORED)


def twice(case: dict, parameters: list, first, second) -> dict:
    """An answer at DIGITS by `first`, confirmed at CHECK digits by `second` with another step."""
    with mp.workdps(DIGITS):
        found = answer(case, parameters, first, mpf(10) ** -17)
    with mp.workdps(CHECK):
        return confirmed(found, answer(case, parameters, second, mpf(10) ** -19))


def point(case: dict) -> dict:
    """Every number of a case as it is stored."""
    q = len(case["Z"][0])
    numbers = {key: in_mpf(case[key]) for key in ("X", "Z", "y", "trials", "offset", "beta", "theta")}
    exact_case = case | numbers
    with mp.workdps(CHECK):
        parameters = numbers["beta"] + numbers["theta"] + ([mp.log(mpf(case["extra"]))] if case["extra"] else [])
    by_nodes, modes = {}, None
    for K in case["nodes"]:
        rule = lambda *args, K=K: group_value(*args, K)  # noqa: E731
        by_nodes[str(K)] = found = twice(exact_case, parameters, rule, rule)
        modes = found.pop("mode")
    if q == 1:
        exact = twice(
            exact_case,
            parameters,
            lambda *args: trapezoid_value(*args, mpf("0.05")),
            lambda *args: trapezoid_value(*args, mpf("0.03")),
        )
        del exact["mode"]
    else:
        starts = [[mpf(v) for v in u] for u in modes]
        (rough, _), (value, gradient) = (tensor_answer(exact_case, parameters, starts, K) for K in TENSOR[q])
        exact = {"loglik": value, "gradient": list(gradient), "nodes": TENSOR[q], "agree": abs(value - rough)}
    hexed = {key: stored(case[key]) for key in ("X", "Z", "y", "trials", "offset", "group", "beta", "theta", "extra")}
    with mp.workdps(DIGITS):
        extra = None if case["extra"] is None else mpf(case["extra"])
        free = mp.fsum(
            constant(case["family"], y, n, extra) for y, n in zip(numbers["y"], numbers["trials"], strict=True)
        )
    head = {key: case[key] for key in ("name", "family", "link")}
    return head | hexed | {"constant": mp.nstr(free, STORED), "mode": modes, "by_nodes": by_nodes, "exact": exact}


def stored(values):
    """Floats as hexadecimal strings, in lists too; integers and None as they are."""
    if isinstance(values, list):
        return [stored(v) for v in values]
    return values.hex() if isinstance(values, float) else values


def main() -> None:
    """Answer every case and write the file beside this script."""
    lines = []
    for case in cases(np.random.default_rng(SEED)):
        found = point(case)
        lines.append(json.dumps(found))
        print(case["name"], {K: v["loglik"] for K, v in found["by_nodes"].items()}, found["exact"], flush=True)
    provenance = (
        f"tests/reference/make_glmm_points.py, seed {SEED}, 2026-11-24; mpmath {mpmath.__version__}, "
        f"{DIGITS} and {CHECK} digits agree to 28, {STORED} are stored; data by numpy {np.__version__}"
    )
    text = f'{{"provenance": {json.dumps(provenance)},\n"points": [\n' + ",\n".join(lines) + "\n]}\n"
    Path(__file__).with_name("glmm_points.json").write_text(text)


if __name__ == "__main__":
    main()
