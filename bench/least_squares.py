"""python -m bench.least_squares [--quick | --full] [--write]: least squares on arrays, ratios against other software.

Every program gets the same X (n, p), row by row in memory, and y, in a process of its own; it has solved a small
problem before, so imports are paid.  Seconds: median of three calls.  X.T @ X alone is the yardstick of what the
arithmetic costs in float64; one read of X that of what memory allows.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from bench import report
from bench.rivals.measure import kilobytes, resident_from_now_on

Floats = NDArray[np.float64]
Record = dict[str, Any]
REPEATS = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """n rows, p columns; kind: "normal" (53-bit numbers), "integer" (up to about 5000), "decimal" (4 decimals)."""

    n: int
    p: int
    kind: str

    @property
    def name(self) -> str:
        return f"{self.n:.0e} x {self.p}, {self.kind}".replace("e+0", "e")

    def make(self) -> tuple[Floats, Floats]:
        """Standard normal columns, or those rounded; y is a sum of the columns and as much noise."""
        rng = np.random.default_rng(1)
        X = rng.standard_normal((self.n, self.p))
        y = X.sum(axis=1) + rng.standard_normal(self.n) * np.sqrt(self.p)
        if self.kind == "normal":
            return X, y
        if self.kind == "integer":
            return np.rint(1000 * X), np.rint(1000 * y)
        return np.round(X, 4), np.round(y, 4)


SHAPES = ((1_000_000, 10), (1_000_000, 50), (100_000, 200), (10_000_000, 10))
KINDS = ("normal", "integer", "decimal")
PROBLEMS = tuple(Problem(n, p, kind) for n, p in SHAPES for kind in KINDS if kind == "normal" or n < 10_000_000)
QUICK = tuple(problem for problem in PROBLEMS if problem.n * problem.p <= 20_000_000)


def _sumwise(X: Floats, y: Floats) -> Any:
    import sumwise as sw

    return sw.lstsq(X, y).coef


def _sumwise_decimal(X: Floats, y: Floats) -> Any:
    """The same numbers read as the decimals they print as."""
    import sumwise as sw

    return sw.lstsq(X, y, decimal=True).coef


def _gelsy(X: Floats, y: Floats) -> Any:
    from scipy.linalg import lstsq

    return lstsq(X, y, lapack_driver="gelsy")[0]


def _sklearn(X: Floats, y: Floats) -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression(fit_intercept=False).fit(X, y).coef_


def _statsmodels(X: Floats, y: Floats) -> Any:
    import statsmodels.api as sm

    return sm.OLS(y, X).fit().params


def _polars_ds(X: Floats, y: Floats) -> Any:
    import polars as pl
    import polars_ds as pds

    frame = pl.DataFrame(X).with_columns(pl.Series("y", y))
    return frame.select(pds.lin_reg(*frame.columns[:-1], target="y"))


RIVALS: dict[str, tuple[Callable[[Floats, Floats], Any], str]] = {
    "sumwise": (_sumwise, "sumwise"),
    "sumwise, decimal=True": (_sumwise_decimal, "sumwise"),
    "X.T @ X": (lambda X, _: X.T @ X, "numpy"),
    "one read of X": (lambda X, _: X.sum(), "numpy"),
    "numpy lstsq": (lambda X, y: np.linalg.lstsq(X, y, rcond=None)[0], "numpy"),
    "scipy gelsy": (_gelsy, "scipy"),
    "scikit-learn": (_sklearn, "scikit-learn"),
    "statsmodels OLS": (_statsmodels, "statsmodels"),
    "polars-ds": (_polars_ds, "polars-ds"),
}
R = "R lm.fit"
_R_SCRIPT = """
a <- commandArgs(TRUE); n <- as.integer(a[2]); p <- as.integer(a[3])
X <- matrix(readBin(file.path(a[1], "X"), "double", n * p), n, p); y <- readBin(file.path(a[1], "y"), "double", n)
s <- replicate(as.integer(a[4]), { b <- Sys.time(); f <- lm.fit(X, y); as.numeric(Sys.time() - b, units = "secs") })
cat(sprintf("%.6f", median(s)))
"""


def _version(name: str) -> str | None:
    if name == R:
        found = shutil.which("Rscript")
        return (
            found
            and subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.split()[-2]
        )
    try:
        return metadata.version(RIVALS[name][1])
    except metadata.PackageNotFoundError:
        return None


def measure(name: str, problem: Problem) -> Record:
    """Seconds, and how much the process grew over what it held with the data, in this process."""
    warnings.simplefilter("ignore")
    solve = RIVALS[name][0]
    solve(*Problem(200, 3, problem.kind).make())
    X, y = problem.make()
    rest = resident_from_now_on()
    seconds, peak = [], None
    for _ in range(REPEATS if problem.n <= 1_000_000 else 1):
        began = time.perf_counter()
        solve(X, y)
        seconds.append(time.perf_counter() - began)
        peak = kilobytes("VmHWM") if peak is None else peak  # of one call: later ones may find its garbage
    growth = None if rest is None or peak is None else 1024 * (peak - rest) / (X.nbytes + y.nbytes)
    return {"seconds": statistics.median(seconds), "growth": growth}


def _measure_r(problem: Problem) -> Record:
    with tempfile.TemporaryDirectory() as folder:
        X, y = problem.make()
        np.asfortranarray(X).T.tofile(Path(folder) / "X")
        y.tofile(Path(folder) / "y")
        del X, y
        script = Path(folder) / "fit.R"
        script.write_text(_R_SCRIPT)
        command = ["Rscript", str(script), folder, *map(str, (problem.n, problem.p, 1))]
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    return {"seconds": float(run.stdout), "growth": None} if run.returncode == 0 else {"failure": run.stderr[-80:]}


def _child(name: str, problem: Problem, allowed: float) -> Record:
    if name == R:
        return _measure_r(problem)
    given = [str(problem.n), str(problem.p), problem.kind]
    command = [sys.executable, "-m", "bench.least_squares", "--child", name, *given]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=allowed)
    except subprocess.TimeoutExpired:
        return {"failure": f"no answer within {allowed:g} s"}
    if run.returncode:
        return {"failure": run.stderr.strip().splitlines()[-1][:100] if run.stderr.strip() else f"{run.returncode}"}
    found: Record = json.loads(run.stdout.strip().splitlines()[-1])
    return found


def table(records: list[Record]) -> str:
    """One line a problem and program: time as a multiple of Sumwise's and of X.T @ X, memory."""
    lines = ["| problem | program | time ÷ sumwise | time ÷ X.T @ X | peak memory ÷ data | |", "|---" * 6 + "|"]
    for r in records:
        known = {o["program"]: o.get("seconds") for o in records if o["problem"] == r["problem"]}
        cells = [r["problem"], r["program"]]
        if "failure" in r:
            lines.append("| " + " | ".join([*cells, "", "", "", r["failure"]]) + " |")
            continue
        ratios = [r["seconds"] / known[k] if known.get(k) else float("nan") for k in ("sumwise", "X.T @ X")]
        memory = "" if r.get("growth") is None else f"{1 + r['growth']:.2f}"
        lines.append("| " + " | ".join([*cells, *(f"{ratio:.3g}" for ratio in ratios), memory, ""]) + " |")
    return "\n".join(lines)


def targets(records: list[Record]) -> str:
    """What is aimed at, and what was measured."""
    seconds = {(r["problem"], r["program"]): r.get("seconds") for r in records}
    lines = ["| target | measured | |", "|---|---|---|"]
    for problem in dict.fromkeys(r["problem"] for r in records):
        p, kind = int(problem.split(" x ")[1].split(",")[0]), problem.rsplit(" ", 1)[1]
        ours, lapack, bare = (seconds.get((problem, name)) for name in ("sumwise", "numpy lstsq", "X.T @ X"))
        wanted = []
        if kind == "normal" and ours and lapack:
            wanted.append((f"at most {0.5 if p <= 50 else 1} of numpy lstsq", ours / lapack, 0.5 if p <= 50 else 1))
        if kind == "normal" and p == 10 and ours and bare:
            wanted.append(("within 5 of X.T @ X", ours / bare, 5))
        if kind == "integer" and ours and bare:
            wanted.append(("within 3 of X.T @ X", ours / bare, 3))
        as_decimals = seconds.get((problem, "sumwise, decimal=True"))
        if kind == "decimal" and as_decimals and ours and bare:
            wanted.append(("within 3 of X.T @ X, read as decimals", as_decimals / bare, 3))
            wanted.append(("within 3 of X.T @ X, read as float64", ours / bare, 3))
        lines += [f"| {problem}: {t} | {v:.2f} | {'met' if v <= most else 'missed'} |" for t, v, most in wanted]
    for r in records:
        if r["program"] == "sumwise" and r.get("growth") is not None:
            met = "met" if r["growth"] <= 0.5 else "missed"
            lines.append(f"| {r['problem']}: peak memory at most 1.5 of the data | {1 + r['growth']:.2f} | {met} |")
    return "\n".join(lines)


@click.command()
@click.option("--quick/--full", default=True, help="Up to 2e7 numbers, or all problems.")
@click.option("--limit", "allowed", type=float, default=300.0, show_default=True, help="Seconds each process may take.")
@click.option("--only", multiple=True, help="These programs only (repeatable).")
@click.option("--write", is_flag=True, help="Write LEAST_SQUARES.md and LEAST_SQUARES.json beside this file.")
@click.option("--child", nargs=4, hidden=True, help="One measurement: PROGRAM N P KIND.")
def main(quick: bool, allowed: float, only: tuple[str, ...], write: bool, child: tuple[str, ...] | None) -> None:
    """Times least squares on arrays and prints ratios."""
    if child:
        name, n, p, kind = child
        click.echo(json.dumps(measure(name, Problem(int(n), int(p), kind))))
        return
    versions = {name: _version(name) for name in (*RIVALS, R) if not only or name in only}
    records: list[Record] = []
    for problem in QUICK if quick else PROBLEMS:
        for name, version in versions.items():
            if version is None or (name == "sumwise, decimal=True" and problem.kind != "decimal"):
                continue
            found = _child(name, problem, allowed)
            click.echo(f"{problem.name}: {name}: {found}", err=True)
            records.append({"problem": problem.name, "program": name, **found})
    machine = report.machine()
    programs = ", ".join(f"{name} {version or '(skipped: not installed)'}" for name, version in versions.items())
    text = "\n\n".join(
        [
            "# Least squares on arrays",
            f"{machine['date']}. {machine['processor']}. {machine['system']}.",
            f"Programs: {programs}.",
            "`bench/least_squares.py` says what is measured. The numbers are ratios on this machine, nothing more.",
            table(records),
            "## Targets",
            targets(records),
        ]
    )
    click.echo(text)
    if write:
        here = Path(__file__).parent
        (here / "LEAST_SQUARES.md").write_text(text + "\n", encoding="utf-8")
        found = {"machine": machine, "versions": versions, "records": records}
        (here / "LEAST_SQUARES.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
