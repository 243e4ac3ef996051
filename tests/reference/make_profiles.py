"""Write profiles.json: 95 % profile-likelihood intervals of generalized linear and linear mixed models.

Run from the repository root, in some minutes:   python -m tests.reference.make_profiles

A bound is where the profiled deviance has risen by the 95 % quantile of chi-squared with one degree of freedom: the
secant method in 60-digit arithmetic with the fits of make_glm.py and make_lmm.py.  README.md defines every number.
"""

import json
from dataclasses import replace
from pathlib import Path

import mpmath
from mpmath import mp, mpf

from tests.reference import cases, make_glm, make_lmm

DIGITS, STORED = 60, 20
GLM = ("dobson", "warpbreaks", "budworm", "budworm_probit", "budworm_cloglog")
LMM = ("dyestuff", "penicillin", "sleepstudy_int")


def crossing(rise, estimate, se, side: int):
    """Where rise(value) reaches the quantile, on one side of the estimate; rise is about ((value - estimate)/se)^2."""
    quantile = mp.sqrt(2) * mp.erfinv(mpf("0.95"))

    def f(value):
        return mp.sqrt(rise(value)) - quantile  # nearly straight

    before, now = estimate + side * se * mpf("1.5"), estimate + side * se * quantile
    f_before, f_now = f(before), f(now)
    for _ in range(40):
        step = -f_now * (now - before) / (f_now - f_before)
        before, f_before = now, f_now
        now += step
        if abs(step) < mpf(10) ** -(STORED + 4) * abs(se):
            return now
        f_now = f(now)
    raise ArithmeticError(f"the secant method did not converge near {mp.nstr(now)}")


def glm_intervals(name: str) -> dict:
    """{coefficient: [lower, upper]}; the dispersion is 1 in every case."""
    raw = cases("glm")[name]
    case = make_glm.read(raw)
    beta, mu, information = make_glm.fit(case)
    least, inverse = make_glm.deviance(case, mu, None), mp.inverse(information)
    found = {}
    for k, label in enumerate(raw["r"]["names"]):

        def rise(value, k=k):
            offset = [o + value * row[k] for o, row in zip(case.offset, case.X, strict=True)]
            fixed = replace(case, X=[row[:k] + row[k + 1 :] for row in case.X], offset=offset)
            return make_glm.deviance(fixed, make_glm.fit(fixed)[1], None) - least

        se = mp.sqrt(inverse[k, k])
        found[label] = [crossing(rise, beta[k], se, side) for side in (-1, 1)]
    return found


def minimum(f, start: list) -> tuple:
    """Minimum of f and where, by Newton's method with central differences."""
    x, free = list(start), list(range(len(start)))
    for _ in range(60):
        if not free:
            break
        step = mp.lu_solve(make_lmm.hessian(f, x, free), mp.matrix(make_lmm.gradient(f, x, free)))
        scale, at = mpf(1), f(x)
        while scale > mpf(10) ** -6:
            moved = [a - scale * b for a, b in zip(x, step, strict=True)]
            if min(moved) > 0 and (f(moved) <= at or mp.norm(step) < mpf(10) ** -12):
                break
            scale /= 2
        x = moved
        if mp.norm(step) < mpf(10) ** -16 * mp.norm(x):  # the error in f is the square of it
            break
    return f(x), x


def lmm_intervals(name: str) -> dict:
    """{parameter: [lower, upper]} of the ML deviance: "sd GROUP", "sigma", coefficients.  Random intercepts only."""
    raw = cases("lmm")[name]
    problem, found = make_lmm.read(raw), {}
    theta = [mpf(value) for value in raw["ML"]["theta"]]
    sigma = mpf(raw["ML"]["sigma"])
    sds = [t * sigma for t in theta] + [sigma]
    least = make_lmm.deviance(problem, [*theta, sigma], False)

    def deviance(of: make_lmm.Problem, values: list):
        return make_lmm.deviance(of, [v / values[-1] for v in values[:-1]] + [values[-1]], False)

    curvature = mp.inverse(make_lmm.hessian(lambda values: deviance(problem, values), sds, list(range(len(sds)))))
    labels = [f"sd {term['group']}" for term in raw["random"]] + ["sigma"]
    for i, label in enumerate(labels):
        at = [v for j, v in enumerate(sds) if j != i]

        def rise(value, i=i, at=at):
            lowest, where = minimum(lambda rest: deviance(problem, [*rest[:i], value, *rest[i:]]), at)
            at[:] = where
            return lowest - least

        found[label] = [crossing(rise, sds[i], mp.sqrt(2 * curvature[i, i]), side) for side in (-1, 1)]
    for k, label in enumerate(raw["ML"]["names"]):
        at = list(sds)

        def rise(value, k=k, at=at):
            y = [v - value * x for v, x in zip(problem.y, problem.X[k], strict=True)]
            fixed = replace(problem, X=problem.X[:k] + problem.X[k + 1 :], y=y)
            lowest, where = minimum(lambda values: deviance(fixed, values), at)
            at[:] = where
            return lowest - least

        se = mpf(raw["ML"]["se"][k])
        found[label] = [crossing(rise, mpf(raw["ML"]["beta"][k]), se, side) for side in (-1, 1)]
    return found


def main() -> None:
    """Write the file beside this script."""
    mp.dps = DIGITS
    results = {}
    for family, names, intervals in (("glm", GLM, glm_intervals), ("lmm", LMM, lmm_intervals)):
        results[family] = {}
        for name in names:
            found = intervals(name)
            results[family][name] = {key: [mp.nstr(v, STORED) for v in ends] for key, ends in found.items()}
            print(name, {key: [mp.nstr(v, 8) for v in ends] for key, ends in found.items()}, flush=True)
    version = f"mpmath {mpmath.__version__} at {DIGITS} digits"
    provenance = f"tests/reference/make_profiles.py on {version}, {STORED} stored; 2026-11-24"
    lines = [
        f'"{family}": {{\n' + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in found.items()) + "\n}"
        for family, found in results.items()
    ]
    text = f'{{"provenance": {json.dumps(provenance)},\n' + ",\n".join(lines) + "\n}\n"
    Path(__file__).with_name("profiles.json").write_text(text)


if __name__ == "__main__":
    main()
