"""The machine's limit for one evaluation (log-likelihood, gradient, information), and how near the kernel comes to it.

Operations per row, at k nodes and p columns, with exp(eta + theta u) taken as exp(eta) exp(theta u):
    read            8 (p + 1) bytes: X and y once
    exp             1
    divide          k + 4: three passes for the mode, one at it, one a node
    log-product     k: log(1 + exp) as the logarithm of a product over the rows of a group
    multiply-add    p (linear predictor) + p k (X' residuals) + p (p + 1) / 2 (X'WX) + p (X'r) + k + 10 (row by row)
Work per group is left out.  The limit is the larger of the reading and the sum of the arithmetic, each at the best rate
that limit.cpp reaches on this machine in the same run.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sumwise import simulate
from sumwise.data import agree, build, open_sites, parse
from sumwise.models.glmm_messages import Question
from sumwise.models.glmm_site import Site

ROWS, COLUMNS, NODES, CHECK = 1_000_000, 10, 9, 15  # CHECK: order of the rule that measures the error of NODES
GROUP_SIZES = (100, 5, 20, 1000)
CYCLES = 5
THREADS = (1, 2)

Rates = dict[str, float]


def seconds_at_best(rows: int, columns: int, nodes: int, rates: Rates) -> float:
    """The limit of one evaluation."""
    p, k = columns, nodes
    multiply_adds = p + p * k + p * (p + 1) / 2 + p + k + 10
    work = 1 / rates["exp"] + (k + 4) / rates["divide"] + k / rates["log_product"] + multiply_adds / rates["fma"]
    return rows * max(work, 8 * (p + 1) / rates["read"])


def _compiled(folder: str) -> str:
    program = str(Path(folder) / "limit")
    source = str(Path(__file__).with_name("limit.cpp"))
    compiler = os.environ.get("CXX", "g++")
    subprocess.run([compiler, "-O3", "-march=native", "-pthread", "-Wno-psabi", source, "-o", program], check=True)
    return program


def _rates(program: str, threads: int) -> Rates:
    lines = subprocess.run([program, str(threads)], capture_output=True, text=True, check=True).stdout.split()
    return {name: float(rate) for name, rate in zip(lines[::2], lines[1::2], strict=True)}


def _site(group_size: int) -> Site:
    frame = simulate.logistic(ROWS, COLUMNS - 1, group_size, seed=1)
    formula = parse("y ~ " + " + ".join(f"x{j}" for j in range(1, COLUMNS)) + " + (1 | g)")
    sources = open_sites(frame)
    return Site(build(formula, agree(formula, sources), sources["data"]))


def _evaluation_seconds(site: Site, orders: tuple[int, ...], threads: int) -> float:
    """One evaluation at the parameters that the data were drawn with, asked as the model asks."""
    slopes = [(-1) ** j * (COLUMNS - 1) ** -0.5 for j in range(COLUMNS - 1)]
    question = Question(np.zeros(COLUMNS), np.array([-0.5, *slopes]), 1.0, orders, np.inf)
    with ThreadPoolExecutor(threads) as pool:
        site.answer(question, pool, threads)
        began = time.perf_counter()
        site.answer(question, pool, threads)
        return time.perf_counter() - began


def measure() -> dict[str, list[dict[str, float]]]:
    """rates: by number of threads; evaluations: seconds and multiples of the limit.  The machine's speed wanders, so
    rates and evaluations take turns and the best of CYCLES counts for each."""
    rates: dict[int, Rates] = {t: {} for t in THREADS}
    best: dict[tuple[int, int, int], float] = {}
    sites = {size: _site(size) for size in GROUP_SIZES}
    with tempfile.TemporaryDirectory() as folder:
        program = _compiled(folder)
        for _ in range(CYCLES):
            for t in THREADS:
                for name, rate in _rates(program, t).items():
                    rates[t][name] = max(rate, rates[t].get(name, 0.0))
                for size, site in sites.items():
                    for orders in ((NODES,), (NODES, CHECK)):
                        case = (size, len(orders), t)
                        best[case] = min(_evaluation_seconds(site, orders, t), best.get(case, np.inf))
    at_best = {t: seconds_at_best(ROWS, COLUMNS, NODES, rates[t]) for t in THREADS}
    return {
        "rates": [{"threads": t, **rates[t]} for t in THREADS],
        "evaluations": [
            {"group_size": size, "rules": rules, "threads": t, "seconds": s, "limits": s / at_best[t]}
            for (size, rules, t), s in best.items()
        ],
    }


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """`measure`'s findings as Markdown, in multiples of the limit."""
    lines = ["| groups of | rules | threads | evaluation ÷ limit |", "|---|---|---|---|"]
    for e in found["evaluations"]:
        rules = f"{NODES} nodes" if e["rules"] == 1 else f"{NODES} nodes, error measured with {CHECK}"
        lines.append(f"| {e['group_size']} | {rules} | {e['threads']} | {e['limits']:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure()))
