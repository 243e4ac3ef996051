"""Write aghq_points.json: quadrature values, gradients and Hessians at random parameters of random data.

Run from the repository root, in about two minutes:   python -m tests.reference.make_aghq_points

Answers come from tests/oracles/aghq.py at 100 digits, each confirmed at 120 digits (where the difference
steps are other ones too) and stored with 25.  Inputs are stored as hexadecimal floats: no digit is lost.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import mpmath
import numpy as np
from mpmath import mp

from tests.oracles import aghq

SEED = 20261122
NODES = (1, 2, 9, 25)
THETAS = (0.0, 0.01, 0.5, 1.7, 6.0, -0.8)


def random_case(rng, name, sizes, theta, *, columns=3, trials=0, offset=False, eta=0.0, nodes=NODES) -> dict:
    """One case: X (n, columns) with an intercept, standard normal otherwise; labels 0, 1, ... by `sizes`.

    trials: 0 for a 0/1 response, otherwise the largest number of trials.  The response is a fair coin.
    eta: when given, beta is scaled so that max |X beta| comes to it: near certainty, often contradicted by y.
    """
    n = sum(sizes)
    X = np.column_stack([np.ones(n), rng.standard_normal((n, columns - 1))])
    beta = rng.standard_normal(columns)
    if eta:
        beta *= eta / np.abs(X @ beta).max()
    size = rng.integers(1, trials, n, endpoint=True) if trials else np.ones(n, dtype=int)
    return {
        "name": f"{name}, theta {theta:g}",
        "nodes": nodes,
        "X": X,
        "y": rng.binomial(size, 0.5),
        "trials": size if trials else None,
        "offset": rng.normal(0, 2, n) if offset else None,
        "group": np.repeat(np.arange(len(sizes)), sizes),
        "beta": beta,
        "theta": theta,
    }


def cases(rng) -> Iterator[dict]:
    """All cases, in a fixed order: the order of draws is part of the seed."""
    for theta in THETAS:
        yield random_case(rng, "0/1 response", (1, 3, 5, 8), theta)
        yield random_case(rng, "trials and offset", (1, 4, 6), theta, columns=2, trials=40, offset=True)
    for theta in (1.7, -0.8):
        yield random_case(rng, "one row in all", (1,), theta, columns=1)
    for theta in (0.5, 6.0):
        constant = random_case(rng, "all failures, all successes", (4, 4, 7), theta)
        yield constant | {"y": np.repeat([0, 1, 0], (4, 4, 7))}
    yield random_case(rng, "six columns", (5, 9, 4, 12), 0.5, columns=6, nodes=(1, 9))
    yield random_case(rng, "up to 100000 trials", (2, 5), 0.5, columns=2, trials=100_000)
    for theta in (0.5, 1.7):
        yield random_case(rng, "a group of 300 rows", (300, 2), theta, columns=2, nodes=(1, 2, 9))
    for theta in (0.01, 1.7, -0.8):
        yield random_case(rng, "eta up to 40", (2, 7, 6), theta, eta=40.0)
    for theta in (0.5, 6.0):
        yield random_case(rng, "eta up to 710", (2, 7, 6), theta, eta=710.0)


def answer(groups: list[aghq.Group], case: dict, digits: int) -> dict:
    """Every answer to one case at `digits`, in nested lists of mpf."""
    with mp.workdps(digits):
        beta, theta = [mp.mpf(float(b)) for b in case["beta"]], mp.mpf(case["theta"])
        modes = [aghq.mode(group, beta, theta) for group in groups]
        return {
            "log_choose": aghq.log_choose(groups),
            "mode": [u for _, u, _ in modes],
            "scale": [s for _, _, s in modes],
            "by_nodes": {
                str(k): {
                    "loglik": aghq.loglik(groups, beta, theta, k),
                    "gradient": aghq.gradient(groups, beta, theta, k),
                    "hessian": aghq.hessian(groups, beta, theta, k),
                }
                for k in case["nodes"]
            },
        }


def confirmed(first, second):
    """25-digit strings of `first`; raises ArithmeticError where `second` does not agree to 30 digits."""
    if isinstance(first, dict):
        return {key: confirmed(first[key], second[key]) for key in first}
    if isinstance(first, list):
        return [confirmed(a, b) for a, b in zip(first, second, strict=True)]
    if abs(first - second) > mp.mpf(10) ** -30 * max(1, abs(first)):
        raise ArithmeticError(f"{mp.nstr(first, 35)} at 100 digits, {mp.nstr(second, 35)} at 120")
    return mp.nstr(mp.chop(first, tol=mp.mpf(10) ** -35), 25)


def stored(values):
    """Integers as they are, floats as hexadecimal strings, arrays as nested lists, None as null."""
    if values is None or isinstance(values, (int, np.integer)):
        return values if values is None else int(values)
    if isinstance(values, float):
        return values.hex()
    return [stored(value) for value in values]


def main() -> None:
    """Answer every case and write the file beside this script."""
    points = []
    for case in cases(np.random.default_rng(SEED)):
        optional = {key: case[key] for key in ("trials", "offset") if case[key] is not None}
        groups = aghq.split(case["X"], case["y"], case["group"], **optional)
        with mp.workdps(120):
            answers = confirmed(answer(groups, case, 100), answer(groups, case, 120))
        inputs = {key: stored(case[key]) for key in ("X", "y", "trials", "offset", "group", "beta", "theta")}
        points.append({"name": case["name"], **inputs, **answers})
        print(case["name"], flush=True)
    provenance = (
        f"tests/reference/make_aghq_points.py, seed {SEED}, 2026-11-22; tests/oracles/aghq.py on mpmath "
        f"{mpmath.__version__}, data by numpy {np.__version__}; 100 and 120 digits agree to 30, 25 are stored"
    )
    # One case a line: small in a repository, and a change of one case shows as one line.
    lines = ",\n".join(json.dumps(point) for point in points)
    text = f'{{"provenance": {json.dumps(provenance)},\n"points": [\n{lines}\n]}}\n'
    Path(__file__).with_name("aghq_points.json").write_text(text)


if __name__ == "__main__":
    main()
