"""python -m bench.run --quick | --full: fits every problem with every program, one at a time, and prints ratios."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from bench import limit, report
from bench.problems import PROBLEMS, QUICK, Problem
from bench.rivals import RIVALS
from bench.rivals.measure import Nodes

PROCESSES, SHORT = 3, 5.0
"""A large problem that a fresh process fits in less than SHORT seconds goes to PROCESSES of them; the median counts."""

Record = dict[str, Any]


def _child(rival: str, problem: Problem, nodes: Nodes, allowed: float) -> Record:
    """One measurement, or why there is none."""
    command = [sys.executable, "-m", "bench.child", rival, problem.name, str(nodes)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        try:
            out, errors = process.communicate(timeout=allowed)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return {"failure": f"no answer within {allowed:g} s"}
    if process.returncode < 0:
        return {"failure": f"killed by {signal.Signals(-process.returncode).name}"}
    if process.returncode:
        last = errors.strip().splitlines()[-1:] or [f"exit status {process.returncode}"]
        return {"failure": last[0].split(": ", 1)[-1][:100]}
    found: Record = json.loads(out.strip().splitlines()[-1])
    return found


def _measure(rival: str, problem: Problem, nodes: Nodes, allowed: float) -> Record:
    found = _child(rival, problem, nodes, allowed)
    if problem.large and found.get("seconds", SHORT) < SHORT:
        again = [_child(rival, problem, nodes, allowed) for _ in range(PROCESSES - 1)]
        found["seconds"] = statistics.median(r["seconds"] for r in (found, *again) if "seconds" in r)
    return {"problem": problem.name, "nodes": nodes, "rival": rival, "rows": problem.rows, **found}


def _data_bytes(problem: Problem) -> int:
    return int(problem.make().memory_usage(index=False, deep=True).sum())


def _fit_all(problems: tuple[Problem, ...], rivals: list[str], allowed: float) -> list[Record]:
    records: list[Record] = []
    too_slow: dict[tuple[str, Nodes], str] = {}  # problems grow: who ran out of time is not asked again
    nodes_list: tuple[Nodes, ...] = (9, 1, "auto")
    for problem in problems:
        size = _data_bytes(problem)
        for nodes in nodes_list:
            for name in rivals:
                if nodes not in (RIVALS[name].nodes or nodes_list):
                    continue
                if (before := too_slow.get((name, nodes))) is not None:
                    failure = f"not run: no answer in time on {before}"
                    record: Record = {"problem": problem.name, "nodes": nodes, "rival": name, "failure": failure}
                else:
                    record = _measure(name, problem, nodes, allowed)
                records.append(record | {"data_bytes": size, "load": os.getloadavg()[0]})
                if record.get("failure", "").startswith("no answer"):
                    too_slow[name, nodes] = problem.name
                click.echo(f"{problem.name}, {nodes} nodes, {name}: {record.get('failure', 'done')}", err=True)
    return records


@click.command()
@click.option("--quick/--full", default=True, help="The four small problems, or all of them.")
@click.option("--only", multiple=True, help="These programs only (repeatable); sumwise is always among them.")
@click.option("--limit", "allowed", type=float, help="Seconds each process may take [20 quick, 120 full].")
@click.option("--write", is_flag=True, help="Write RESULTS.md and RESULTS.json beside this file.")
def main(quick: bool, only: tuple[str, ...], allowed: float | None, write: bool) -> None:
    """Times whole fits, from data frame to answer; prints each program's time as a multiple of Sumwise's."""
    if unknown := set(only) - set(RIVALS):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: known are {', '.join(RIVALS)}", param_hint="--only")
    versions = {name: RIVALS[name].version() for name in RIVALS if not only or name in (*only, "sumwise")}
    for name in (name for name, version in versions.items() if version is None):
        click.echo(f"{name}: skipped: not installed", err=True)
    present = [name for name, version in versions.items() if version is not None]
    found = {
        "machine": report.machine(),
        "versions": versions,
        "limit": limit.measure(),
        "fits": _fit_all(QUICK if quick else PROBLEMS, present, allowed or (20 if quick else 120)),
    }
    text = report.markdown(found)
    click.echo(text)
    if write:
        here = Path(__file__).parent
        (here / "RESULTS.md").write_text(text + "\n", encoding="utf-8")
        (here / "RESULTS.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
