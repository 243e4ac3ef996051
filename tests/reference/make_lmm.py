"""Write lmm.json: linear mixed models, ML and REML, by Newton's method in 90-digit arithmetic, compared with R.

Run from the repository root, in some minutes:

    Rscript --vanilla tests/reference/lmm.R > lmm_r.json
    python -m tests.reference.make_lmm lmm_r.json      (without a file: data and R's numbers of lmm.json as it stands)

The optimum is found with the penalized least squares of Bates, Maechler, Bolker and Walker (2015, J. Stat.
Softw. 67(1)), equations 18 to 42.  The criterion at the optimum is computed once more from the dense covariance matrix
of the response, which shares no step with them.  What every number means stands in README.md.
"""

import json
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import mpmath
from mpmath import mp, mpf

from tests.reference.make_glm import column, decimal, design

FILE = Path(__file__).with_name("lmm.json")
DIGITS, DENSE_DIGITS, STORED = 90, 45, 30
STEP = mpf(10) ** -20  # of central differences: error of the order of its square


def cholesky(A: list) -> list:
    """Lower triangle L of A = L L', as rows of growing length."""
    L: list = []
    for i, row in enumerate(A):
        L.append([])
        for j in range(i):
            L[i].append((row[j] - mp.fdot(L[i], L[j][:j])) / L[j][j])
        L[i].append(mp.sqrt(row[i] - mp.fdot(L[i], L[i])))
    return L


def forward(L: list, b: list) -> list:
    """L^-1 b."""
    x: list = []
    for row, value in zip(L, b, strict=True):
        x.append((value - mp.fdot(row[:-1], x)) / row[-1])
    return x


def backward(L: list, b: list) -> list:
    """L'^-1 b."""
    x, rest = [mpf(0)] * len(L), list(b)
    for i in reversed(range(len(L))):
        x[i] = rest[i] / L[i][i]
        for j in range(i):
            rest[j] -= L[i][j] * x[i]
    return x


def log_det(L: list) -> mpf:
    """log det of L L'."""
    return 2 * mp.fsum(mp.log(row[-1]) for row in L)


def dot(a: list, b: list) -> mpf:
    return mp.fsum(x * y for x, y in zip(a, b, strict=True) if x and y)


@dataclass(frozen=True)
class Term:
    """A random term: its grouping factor, its columns (names), the levels that occur."""

    group: str
    names: list[str]
    levels: list[str]

    @property
    def size(self) -> int:
        """Number of parameters in theta: the lower triangle of its Cholesky factor, column by column."""
        return len(self.names) * (len(self.names) + 1) // 2

    def factor(self, theta: list) -> list:
        q, values = len(self.names), iter(theta)
        T = [[mpf(0)] * q for _ in range(q)]
        for j in range(q):
            for i in range(j, q):
                T[i][j] = next(values)
        return T


@dataclass(frozen=True)
class Problem:
    """Columns X (p of n), Z (q of n), y (n), each row times the square root of its weight; log_weights: sum of logs."""

    X: list
    Z: list
    y: list
    terms: list[Term]
    log_weights: mpf

    @cached_property
    def products(self) -> dict:
        X, Z, y = self.X, self.Z, self.y
        return {
            "ZZ": [[dot(a, b) for b in Z] for a in Z],
            "ZX": [[dot(a, b) for a in Z] for b in X],
            "Zy": [dot(a, y) for a in Z],
            "XX": [[dot(a, b) for b in X] for a in X],
            "Xy": [dot(a, y) for a in X],
            "yy": dot(y, y),
        }

    def spread(self, theta: list) -> list[tuple[int, list]]:
        """(first column of Z, Cholesky factor) of each level of each term."""
        blocks, column_at, used = [], 0, 0
        for term in self.terms:
            T = term.factor(theta[used : used + term.size])
            used += term.size
            for _ in term.levels:
                blocks.append((column_at, T))
                column_at += len(T)
        return blocks

    def transposed(self, theta: list, v: list) -> list:
        """Lambda' v."""
        return [
            mp.fsum(T[i][j] * v[at + i] for i in range(j, len(T)))
            for at, T in self.spread(theta)
            for j in range(len(T))
        ]

    def times(self, theta: list, u: list) -> list:
        """Lambda u."""
        return [mp.fdot(row, u[at : at + len(T)]) for at, T in self.spread(theta) for row in T]


def read(raw: dict) -> Problem:
    """A case of lmm.json as columns."""
    root = [mp.sqrt(w) for w in column(raw, raw["weights"])] if raw["weights"] else None
    n = len(next(iter(raw["data"].values())))
    root = root or [mpf(1)] * n
    rows = design(raw, raw["r"]["ML"]["names"], raw["r"]["column_sums"])
    terms, Z = [], []
    for inside, group in re.findall(r"\(([^|]+)\| (\w+)\)", raw["formula"]):
        names = [{"1": "(Intercept)"}.get(part.strip(), part.strip()) for part in inside.split("+")]
        term = Term(group, [name for name in names if name != "0"], [str(v) for v in raw["levels"][group]])
        terms.append(term)
        labels = [str(v) for v in raw["data"][group]]
        for level in term.levels:
            for name in term.names:
                values = column(raw, name)
                Z.append([v * r * (at == level) for v, r, at in zip(values, root, labels, strict=True)])
    y = column(raw, raw["formula"].split("~")[0].strip())
    return Problem(
        [[v * r for v, r in zip(values, root, strict=True)] for values in zip(*rows, strict=True)],
        Z,
        [v * r for v, r in zip(y, root, strict=True)],
        terms,
        2 * mp.fsum(mp.log(r) for r in root),
    )


@dataclass(frozen=True)
class Solved:
    """Penalized least squares at one theta; relative: (X' V^-1 X)^-1 with V in units of sigma^2."""

    L: list
    beta: list
    u: list
    r2: mpf
    log_det_l: mpf
    log_det_rx: mpf
    relative: list


def solve(problem: Problem, theta: list) -> Solved:
    """Bates et al. (2015), equations 18 to 30: L L' = Lambda' Z'Z Lambda + I, and the Schur complement RX' RX."""
    given = problem.products
    half = [problem.transposed(theta, row) for row in given["ZZ"]]
    A = [problem.transposed(theta, list(col)) for col in zip(*half, strict=True)]
    for i in range(len(A)):
        A[i][i] += 1
    L = cholesky(A)
    RZX = [forward(L, problem.transposed(theta, col)) for col in given["ZX"]]
    cu = forward(L, problem.transposed(theta, given["Zy"]))
    p = len(RZX)
    RX = cholesky([[given["XX"][i][j] - mp.fdot(RZX[i], RZX[j]) for j in range(p)] for i in range(p)])
    cb = forward(RX, [given["Xy"][i] - mp.fdot(RZX[i], cu) for i in range(p)])
    beta = backward(RX, cb)
    u = backward(L, [c - mp.fsum(RZX[k][i] * beta[k] for k in range(p)) for i, c in enumerate(cu)])
    r2 = given["yy"] - mp.fdot(cu, cu) - mp.fdot(cb, cb)
    identity = [[mpf(i == j) for j in range(p)] for i in range(p)]
    relative = [backward(RX, forward(RX, e)) for e in identity]
    return Solved(L, beta, u, r2, log_det(L), log_det(RX), relative)


def deviance(problem: Problem, parameters: list, reml: bool) -> mpf:
    """The criterion at (theta, sigma), not profiled over sigma."""
    *theta, sigma = parameters
    s = solve(problem, theta)
    degrees = len(problem.y) - (len(problem.X) if reml else 0)
    log_dets = s.log_det_l + (s.log_det_rx if reml else 0)
    return log_dets + degrees * mp.log(2 * mp.pi * sigma**2) + s.r2 / sigma**2 - problem.log_weights


def sigma_at(problem: Problem, theta: list, reml: bool) -> mpf:
    return mp.sqrt(solve(problem, theta).r2 / (len(problem.y) - (len(problem.X) if reml else 0)))


def moved(x: list, *steps: tuple[int, mpf]) -> list:
    x = list(x)
    for i, step in steps:
        x[i] += step
    return x


def gradient(f, x: list, free: list[int]) -> list:
    return [(f(moved(x, (i, STEP))) - f(moved(x, (i, -STEP)))) / (2 * STEP) for i in free]


def hessian(f, x: list, free: list[int]) -> mp.matrix:
    """Central differences in the free parameters."""
    at, H = f(x), mp.matrix(len(free), len(free))
    for a, i in enumerate(free):
        H[a, a] = (f(moved(x, (i, STEP))) - 2 * at + f(moved(x, (i, -STEP)))) / STEP**2
        for b, j in enumerate(free[:a]):
            corners = [s * t * f(moved(x, (i, s * STEP), (j, t * STEP))) for s in (1, -1) for t in (1, -1)]
            H[a, b] = H[b, a] = mp.fsum(corners) / (4 * STEP**2)
    return H


def optimum(problem: Problem, theta: list, reml: bool) -> tuple[list, list[int]]:
    """Parameters (theta, sigma) and the indices of those inside the boundary.  Starts at R's theta.

    Raises ArithmeticError where a zero is no minimum or Newton's method does not settle to 36 digits.
    """
    free = [i for i, value in enumerate(theta) if value != 0]

    def profiled(values: list) -> mpf:
        return deviance(problem, [*values, sigma_at(problem, values, reml)], reml)

    for _ in range(12):
        if not free:
            break
        step = mp.lu_solve(hessian(profiled, theta, free), mp.matrix(gradient(profiled, theta, free)))
        for a, i in enumerate(free):
            theta[i] -= step[a]
        if mp.norm(step) < mpf(10) ** -36:
            break
    else:
        raise ArithmeticError("Newton's method did not converge in 12 steps")
    for i in set(range(len(theta))) - set(free):
        lowest = profiled(theta)
        if any(profiled(moved(theta, (i, mpf(10) ** -k))) <= lowest for k in range(-1, 12)):
            raise ArithmeticError(f"theta {i} is no minimum at zero")
    return [*theta, sigma_at(problem, theta, reml)], [*free, len(theta)]


def dense_criterion(problem: Problem, parameters: list, reml: bool) -> mpf:
    """-2 log density of y from V = Z Lambda Lambda' Z' + I (n, n); for REML of error contrasts, scaled as in lme4."""
    *theta, sigma = parameters
    n, p = len(problem.y), len(problem.X)
    rows = [problem.transposed(theta, list(row)) for row in zip(*problem.Z, strict=True)]  # of Z Lambda
    V = cholesky([[dot(a, b) + (i == j) for j, b in enumerate(rows)] for i, a in enumerate(rows)])
    X, y = [forward(V, col) for col in problem.X], forward(V, problem.y)
    XX, Xy = mp.matrix(p, p), mp.matrix([mp.fdot(col, y) for col in X])
    for i in range(p):
        for j in range(p):
            XX[i, j] = mp.fdot(X[i], X[j])
    beta = mp.lu_solve(XX, Xy)
    residual = [v - mp.fsum(X[k][i] * beta[k] for k in range(p)) for i, v in enumerate(y)]
    degrees = n - (p if reml else 0)
    log_dets = log_det(V) + (mp.log(mp.det(XX)) if reml else 0)
    quadratic = mp.fdot(residual, residual) / sigma**2
    return log_dets + degrees * mp.log(2 * mp.pi * sigma**2) + quadratic - problem.log_weights


def satterthwaite(problem: Problem, parameters: list, free: list[int], H: mp.matrix) -> list:
    """Degrees of freedom 2 v^2 / (g' (2 H^-1) g) of each coefficient: v its variance, g the gradient of v."""

    def variances(values: list) -> list:
        relative = solve(problem, values[:-1]).relative
        return [values[-1] ** 2 * relative[k][k] for k in range(len(relative))]

    covariance = 2 * mp.inverse(H)
    sides = [(variances(moved(parameters, (i, STEP))), variances(moved(parameters, (i, -STEP)))) for i in free]
    found = []
    for k, v in enumerate(variances(parameters)):
        g = mp.matrix([(up[k] - down[k]) / (2 * STEP) for up, down in sides])
        found.append(2 * v**2 / (g.T * covariance * g)[0])
    return found


def by_level(problem: Problem, values: list) -> dict:
    """{group: {level: [values of its terms]}} of a vector with one entry for each column of Z."""
    entries, found = iter(values), {}
    for term in problem.terms:
        for level in term.levels:
            found.setdefault(term.group, {}).setdefault(level, []).extend(next(entries) for _ in term.names)
    return found


def answer(problem: Problem, r: dict, reml: bool) -> dict:
    """Every number of one fit, in mpf, int and lists."""
    parameters, free = optimum(problem, [mpf(value) for value in r["theta"]], reml)
    *theta, sigma = parameters
    s, n, p = solve(problem, theta), len(problem.y), len(problem.X)
    criterion = deviance(problem, parameters, reml)
    with mp.workdps(DENSE_DIGITS):
        dense = dense_criterion(problem, parameters, reml)
    if abs(dense - criterion) > mpf(10) ** -35 * abs(criterion):
        raise ArithmeticError(f"the dense criterion is {dense}, not {criterion}")
    H = hessian(lambda values: deviance(problem, values, reml), parameters, free)
    loglik, count = -criterion / 2, p + len(parameters)
    identity = [[mpf(i == j) for j in range(len(s.u))] for i in range(len(s.u))]
    # Rows of L^-1 Lambda': the conditional covariance of b is sigma^2 Lambda (L L')^-1 Lambda'.
    halves = [forward(s.L, problem.transposed(theta, e)) for e in identity]
    return {
        "names": r["names"],
        "beta": s.beta,
        "se": [sigma * mp.sqrt(s.relative[k][k]) for k in range(p)],
        "vcov": [[sigma**2 * value for value in row] for row in s.relative],
        "sigma": sigma,
        "theta": theta,
        "criterion": criterion,
        "loglik": loglik,
        "loglik_df": count,
        "aic": -2 * loglik + 2 * count,
        "bic": -2 * loglik + mp.log(n) * count,
        "satterthwaite": satterthwaite(problem, parameters, free, H),
        "deviance_hessian": [[H[a, b] for b in range(len(free))] for a in range(len(free))],
        "ranef": by_level(problem, problem.times(theta, s.u)),
        "ranef_sd": by_level(problem, [sigma * mp.sqrt(mp.fdot(h, h)) for h in halves]),
    }


def stored(value, smallest=0):
    if isinstance(value, dict):
        return {key: stored(v, smallest) for key, v in value.items()}
    return decimal(value, smallest)


def distance(ours, r) -> float:
    """Largest absolute difference, relative to the largest of our values."""

    def flat(value):
        if isinstance(value, (dict, list)):
            parts = value.values() if isinstance(value, dict) else value
            return [x for part in parts for x in flat(part)]
        return [mpf(value)]

    a, b = flat(ours), flat(r)
    largest = max(abs(x) for x in a)
    return float(mp.nstr(max(abs(x - y) for x, y in zip(a, b, strict=True)) / (largest or 1), 2))


def main() -> None:
    """Answer every case and write the file beside this script."""
    mp.dps = DIGITS
    given = json.loads((Path(sys.argv[1]) if len(sys.argv) > 1 else FILE).read_text())
    lines = []
    for case in given["cases"]:
        problem, found, far = read(case), {}, {}
        for method in ("ML", "REML"):
            r = case["r"][method]
            ours = answer(problem, r, method == "REML")
            far[method] = {key: distance(ours[key], r[key]) for key in ours if key in r and key != "names"}
            found[method] = stored(ours, mpf(10) ** -34)
        random = [{"group": term.group, "terms": term.names} for term in problem.terms]
        print(case["name"], far, flush=True)
        lines.append(json.dumps(case | {"random": random} | found | {"distance_of_r": far}))
    head = {
        "provenance": (
            f"tests/reference/make_lmm.py, Newton's method on mpmath {mpmath.__version__} at {DIGITS} digits, the "
            f"dense criterion agrees to 35, {STORED} are stored; r: tests/reference/lmm.R, {given['r_version']}, "
            f"lme4 {given['lme4_version']}; 2026-11-24"
        ),
        "r_version": given["r_version"],
        "lme4_version": given["lme4_version"],
    }
    FILE.write_text(f'{json.dumps(head)[:-1]},\n"cases": [\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
