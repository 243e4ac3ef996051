"""python -m bench.validation [--write]: hundreds of small models, fitted by Sumwise and by every program that can.

Each pair maximises one objective: the exact likelihood of a linear or generalized linear model, Laplace's approximation
at one node, adaptive quadrature with the same number of nodes.  Sumwise's log-likelihood must be the highest, up to
TOLERANCE of its size.  Where another program reports a higher one, Sumwise's objective is evaluated at that program's
estimates, which settles whether it found a higher point or counts otherwise; the table says which.

--write puts the table into docs/validation.md, and leaves the part there that bench.coverage wrote.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

import sumwise
from bench.coverage import DOCUMENT, write_part
from bench.report import machine
from bench.validation_cases import Case, cases
from bench.validation_evaluate import log_likelihood
from bench.validation_real import real_cases
from bench.validation_rivals import Estimate, by_glmm, by_mixedlm, by_r

TOLERANCE = 1e-8
"""Of the log-likelihood, relative to 1 + its size: what another program may report above Sumwise's."""


@dataclass(frozen=True, slots=True)
class Line:
    """A case with what was found.  ours: log-likelihood, nan where it failed; verdict: its code, or why it failed;
    answers: of the others; there: Sumwise's objective at their estimates, nan where not asked.
    """

    case: Case
    ours: float
    verdict: str
    answers: list[Estimate]
    there: list[float]

    @property
    def scale(self) -> float:
        """What TOLERANCE is relative to."""
        return 1 + abs(self.ours)

    def best(self) -> int | None:
        """The other program that reports most."""
        known = [k for k, a in enumerate(self.answers) if np.isfinite(a.loglik)]
        return max(known, key=lambda k: self.answers[k].loglik, default=None)

    def status(self) -> str:
        """ "best", "alone" (nobody else fits it), "counts otherwise" (by one objective we are best), else "worse"."""
        if not np.isfinite(self.ours):
            return "failed"
        if self.best() is None:
            return "alone"
        allowed = self.ours + TOLERANCE * self.scale
        above = [j for j, a in enumerate(self.answers) if a.loglik > allowed]
        if not above:
            return "best"
        if all(np.isfinite(self.there[j]) and self.there[j] <= allowed for j in above):
            return "counts otherwise"
        return "worse"


def fit(case: Case) -> tuple[float, str]:
    """Sumwise's log-likelihood and verdict."""
    options = {"link": None if case.link == "identity" else case.link}
    if case.kind == "lmm":
        options = {"method": case.method}
    elif case.kind == "glmm":
        options["nodes"] = case.nodes
    try:
        found = sumwise.fit(case.formula, case.data, family=case.family, weights=case.weights or None, **options)
    except sumwise.SumwiseError as error:
        return float("nan"), f"{type(error).__name__}: {error}"
    return found.loglik, found.verdict.code


def compare(chosen: list[Case]) -> list[Line]:
    """A line for each case."""
    with tempfile.TemporaryDirectory() as folder:
        of_r = by_r(chosen, Path(folder), timeout=3600)
    lines = []
    for case, by_r_here in zip(chosen, of_r, strict=True):
        ours, verdict = fit(case)
        answers = [a for a in (*by_r_here, by_glmm(case), by_mixedlm(case)) if a is not None]
        allowed = ours + TOLERANCE * (1 + abs(ours))
        there = [log_likelihood(case, a) if a.loglik > allowed else float("nan") for a in answers]
        lines.append(Line(case, ours, verdict, answers, there))
    return lines


def _difference(value: float) -> str:
    return "-" if not np.isfinite(value) else "0" if value == 0 else f"{value:+.1e}"


def row(line: Line, remarks: dict[str, str]) -> list[str]:
    """A row of the table."""
    case, k = line.case, line.best()
    link = "" if case.kind == "lmm" else f" ({case.link})"
    what = case.method if case.kind == "lmm" else {0: "exact", 1: "Laplace"}.get(case.nodes, f"{case.nodes} nodes")
    above = [
        f"{a.program}: counts otherwise, {_difference(line.ours - there)} by our objective at its estimates"
        for a, there in zip(line.answers, line.there, strict=True)
        if np.isfinite(there)
    ]
    failed = [a.program for a in line.answers if not np.isfinite(a.loglik)]
    notes = above + ([f"no answer: {', '.join(failed)}"] if failed else [])
    if (said := remarks.get(key(case))) is not None:
        notes.append(said)
    return [
        case.name,
        f"`{case.formula.replace('|', chr(92) + '|')}`",
        f"{case.family}{link}",
        what + (f", weights {case.weights}" if case.weights else ""),
        f"{line.ours:.6f}" if np.isfinite(line.ours) else line.verdict,
        line.verdict if np.isfinite(line.ours) else "",
        line.answers[k].program if k is not None else "-",
        _difference(line.ours - line.answers[k].loglik) if k is not None else "-",
        "; ".join(notes),
    ]


def key(case: Case) -> str:
    """By which remarks name a case."""
    return " / ".join(filter(None, [case.name, case.formula, case.family, case.link, case.method, str(case.nodes)]))


HEAD = ["case", "formula", "family", "objective", "log-likelihood", "verdict", "best other", "ours - it", "notes"]


def markdown(lines: list[Line], remarks: dict[str, str], seconds: float) -> str:
    """The document."""
    counts = Counter(line.status() for line in lines)
    asked = Counter(a.program for line in lines for a in line.answers)
    answered = Counter(a.program for line in lines for a in line.answers if np.isfinite(a.loglik))
    below: Counter[str] = Counter()
    for line in lines:
        for a in line.answers:
            below[a.program] += a.loglik < line.ours - 1e-6 * line.scale
    info = machine()
    head = [
        "# Validation",
        f"Written by `python -m bench.validation --write` ({info['date']}, {info['system']}, {seconds:.0f} s).",
        (__doc__ or "").partition("\n\n")[2].partition("\n\n--write")[0].replace("TOLERANCE", f"{TOLERANCE:g}"),
        f"{len(lines)} models. In {counts['best']} Sumwise has the highest log-likelihood. In "
        f"{counts['counts otherwise']} another program reports more by another count, and has no more by ours. "
        f"{counts['alone']} no other program fits. In {counts['worse']} Sumwise's is lower, or that is open (see the "
        f"notes), {counts['failed']} it does not fit.",
        "| program | models asked | answered | more than 1e-6 (relative) below Sumwise |\n|---|---|---|---|\n"
        + "\n".join(f"| {name} | {n} | {answered[name]} | {below[name]} |" for name, n in asked.items()),
        NOTES,
    ]
    groups = {
        "Simulated": [x for x in lines if x.case.table is None],
        "Real data": [x for x in lines if x.case.table is not None],
    }
    tables = []
    for title, own in groups.items():
        if own:
            body = ["| " + " | ".join(row(line, remarks)) + " |" for line in own]
            tables += [f"## {title}", "\n".join(["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|", *body])]
    return "\n\n".join([*head, *tables]) + "\n"


NOTES = """\
*ours - it* is Sumwise's log-likelihood minus that of the program that reports most. What is behind "counts otherwise":

- `glmer` with several nodes leaves out of the log-likelihood what does not depend on the parameters (for counts and
  binomial responses of several trials hundreds); at one node it has it. Elsewhere it stops where its own inner
  iteration is good to about 1e-5, on either side of the objective.
- `glmm` takes the log-likelihood of gamma and inverse gaussian regressions at a dispersion of its own, and that of
  weights otherwise; R and Sumwise take the deviance divided by the sum of the weights. The coefficients are the same.
- A product of quadrature rules for several effects depends on how its axes lie. Sumwise lays them along the effects at
  the mean of the covariates, others at their zero. With k nodes fixed the log-likelihoods differ by what k nodes leave
  uncertain; they agree where k is large, and `nodes="auto"` measures it.

A boundary verdict is an answer: a variance of zero, or a correlation of 1 or -1, is where the maximum lies. The
coverage of intervals stands at the end.
"""


@click.command()
@click.option("--write", is_flag=True, help="Write docs/validation.md.")
@click.option("--only", default="", help="Cases whose key holds this text.")
@click.option("--keep", type=click.Path(path_type=Path), help="Write what was found to this file, as JSON.")
@click.option("--simulated/--no-simulated", default=True, help="The simulated models.")
@click.option("--real/--no-real", default=True, help="Data sets of R's packages.")
def main(write: bool, only: str, keep: Path | None, simulated: bool, real: bool) -> None:
    """Fit everything and print what is not best."""
    began = time.perf_counter()
    chosen = [case for case in [*(cases() if simulated else []), *(real_cases() if real else [])] if only in key(case)]
    lines = compare(chosen)
    seconds = time.perf_counter() - began
    for line in lines:
        if line.status() not in ("best", "alone"):
            click.echo(f"{line.status()}: {key(line.case)}: {line.ours:.9f} {line.verdict}")
            for a, there in zip(line.answers, line.there, strict=True):
                click.echo(
                    f"    {a.program}: {a.loglik - line.ours:+.2e}, ours there {there - line.ours:+.2e} {a.said[:150]}"
                )
    click.echo(f"{Counter(line.status() for line in lines)} in {seconds:.0f} s")
    if keep:
        found = [
            {"key": key(x.case), "ours": x.ours, "verdict": x.verdict, "status": x.status()}
            | {a.program: [a.loglik, there, a.said, a.seconds] for a, there in zip(x.answers, x.there, strict=True)}
            for x in lines
        ]
        keep.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if write:
        write_part(DOCUMENT, "", markdown(lines, REMARKS, seconds))


REMARKS: dict[str, str] = {
    "x1 * 1e-6 + 1e3 / y ~ x1 + x2 / gamma / inverse / ML / 0": "glmm leaves x1 out, and has its own "
    "dispersion; R's is higher by 3e-9, within the tolerance, and R says that it did not converge",
}
"""Explanations of what the table shows, by key(case)."""


if __name__ == "__main__":
    main()
