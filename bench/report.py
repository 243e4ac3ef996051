"""The findings as Markdown: ratios only; the seconds stand in the JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench import limit
from bench.problems import COVARIATES

Record = dict[str, Any]
BIG = "n=1e6, groups of 100"
BIG_SMALL_GROUPS = "n=1e6, groups of 5"
HEAD = ["problem", "nodes", "program", "time ÷ sumwise", "time ÷ limit"]
HEAD += ["loglik - sumwise", "largest difference (SE)", "peak memory ÷ data"]


def machine() -> Record:
    """What a reader needs to place the ratios."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.processor())
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{model}, {platform.machine()}, {cores} cores, {gib:.0f} GiB",
        "system": f"{platform.system()}, Python {platform.python_version()}, numpy {np.__version__}",
    }


def markdown(found: Record) -> str:
    """Everything that was found."""
    names = [f"{name} {version or '(skipped: not installed)'}" for name, version in found["versions"].items()]
    parts = [
        "# Results",
        f"{found['machine']['date']}. {found['machine']['processor']}. {found['machine']['system']}.",
        f"Programs: {', '.join(names)}.",
        *_load(found),
        "README.md says what is measured and how. The numbers are ratios on this machine, nothing more.",
        "## Whole fits",
        _fits(found),
        "## One evaluation against the machine's limit",
        f"n = {limit.ROWS:.0e}, {limit.COLUMNS} columns: log-likelihood, gradient and information.",
        limit.table(found["limit"]),
        "## Targets",
        "| target | measured | |\n|---|---|---|\n" + "\n".join(_targets(found)),
    ]
    return "\n\n".join(parts)


def _load(found: Record) -> list[str]:
    """A benchmark fit alone keeps the load at the number of its threads; more is somebody else's work."""
    loads = [r["load"] for r in found["fits"] if "load" in r]
    return [f"Load average during the fits: {min(loads):.1f} to {max(loads):.1f}."] if loads else []


def _fits(found: Record) -> str:
    lines = [f"| {' | '.join(HEAD)} | |", "|---" * (len(HEAD) + 1) + "|"]
    rates = max(found["limit"]["rates"], key=lambda r: r["threads"])
    for r in found["fits"]:
        nodes = 9 if r["nodes"] == "auto" else r["nodes"]  # "auto" has no rival: it is set against Sumwise's own 9
        ours = _find(found, r["problem"], nodes, "sumwise")
        cells = [r["problem"], str(r["nodes"]), r["rival"]]
        if "failure" in r or ours is None:
            lines.append("| " + " | ".join([*cells, *5 * [""], r.get("failure", "")]) + " |")
            continue
        at_best = r.get("rows", 0) and limit.seconds_at_best(r["rows"], COVARIATES + 1, nodes, rates)
        answer, yardstick = r["answer"], ours["answer"]
        same = r["rival"] == "sumwise" and r["nodes"] == nodes
        cells += [
            "1" if same else f"{r['seconds'] / ours['seconds']:.3g}",
            f"{r['seconds'] / at_best:.3g}" if at_best else "",
            "" if same else f"{answer['loglik'] - yardstick['loglik']:.1e}",
            "" if same else f"{_largest_difference(answer, yardstick):.1e}",
            f"{_peak(r):.2g}" if r["rows"] > 10_000 and r["growth"] is not None else "",
            answer["note"],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _find(found: Record, problem: str, nodes: Any, rival: str) -> Record | None:
    keys = (problem, nodes, rival)
    hits = (r for r in found["fits"] if (r["problem"], r["nodes"], r["rival"]) == keys and "seconds" in r)
    return next(hits, None)


def _largest_difference(answer: Record, yardstick: Record) -> float:
    """Over beta and sigma, in Sumwise's standard errors; nan where the programs have different coefficients."""
    theirs, ours = ([*a["beta"], a["sigma"]] for a in (answer, yardstick))
    if len(theirs) != len(ours):
        return float("nan")
    return float(np.max(np.abs(np.subtract(theirs, ours)) / np.asarray(yardstick["se"][: len(ours)])))


def _peak(record: Record) -> float:
    return 1 + float(record["growth"]) / float(record["data_bytes"])


def _targets(found: Record) -> Iterator[str]:
    """Each target with what was measured; those whose problems were not run are left out."""

    def line(target: str, measured: str, met: bool) -> str:
        return f"| {target} | {measured} | {'met' if met else 'missed'} |"

    ours, theirs = (_find(found, BIG, 9, name) for name in ("sumwise", "glmm"))
    if ours and theirs:
        ratio = theirs["seconds"] / ours["seconds"]
        yield line("n=1e6, 9 nodes: whole fit at most 1/60 of glmm's time", f"1/{ratio:.1f}", ratio >= 60)
    evaluations = {(e["group_size"], e["rules"], e["threads"]): e for e in found["limit"]["evaluations"]}
    for threads in limit.THREADS:
        many, few = evaluations[100, 1, threads], evaluations[5, 1, threads]
        where = f"{threads} thread{'s' * (threads > 1)}"
        yield line(f"one evaluation within 3 limits, {where}", f"{many['limits']:.2f}", many["limits"] <= 3)
        ratio = few["seconds"] / many["seconds"]
        yield line(f"an evaluation, groups of 5 ÷ groups of 100: at most 3, {where}", f"{ratio:.2f}", ratio <= 3)
    if ours:
        if small := _find(found, BIG_SMALL_GROUPS, 9, "sumwise"):
            ratio = small["seconds"] / ours["seconds"]
            yield line("a whole fit, groups of 5 ÷ groups of 100: at most 3", f"{ratio:.2f}", ratio <= 3)
        if ours["growth"] is not None:
            yield line("n=1e6, 9 nodes: peak memory at most 3 times the data", f"{_peak(ours):.2f}", _peak(ours) <= 3)
    ours, theirs = (_find(found, "cbpp", 9, name) for name in ("sumwise", "glmm"))
    if ours and theirs:
        more = 1000 * (ours["seconds"] - theirs["seconds"])
        yield line("cbpp, 9 nodes: glmm's time + 10 ms at most", f"{more:+.1f} ms", more <= 10)
