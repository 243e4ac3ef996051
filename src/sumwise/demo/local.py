"""The demonstration: real data in 15 files, one fit, the same bits as from one table; a simulation over two sites;
least squares over four sites in one round.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise import simulate
from sumwise.api import fit
from sumwise.datasets import load, write_sites
from sumwise.results.fit import Fit
from sumwise.results.mixed import MixedFit

_HERDS = "cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)"
_PRESSURE = "BP ~ Age + Weight + BSA"
_SITES = "y ~ 0 + " + " + ".join(f"V{j}" for j in range(1, 11)) + " + (1 | site)"


def run(folder: Path, say: Callable[[str], None]) -> None:
    """Write the files to `folder`, fit, and tell the story through `say`."""
    _cattle(folder / "herds", say)
    _two_sites(folder / "two-sites", say)
    _least_squares(say)


def _cattle(folder: Path, say: Callable[[str], None]) -> None:
    table = load("cbpp")
    herds = write_sites(table, "herd", folder)
    say(f"1. Contagious bovine pleuropneumonia in {len(herds)} herds. Each keeps its own file: {folder}/herd-*.csv.")
    say("   A round asks every herd one question, and only the exact sum of the answers comes back.\n")
    apart = _mixed(_HERDS, herds)
    say(_indent(apart.summary()))
    pooled = _mixed(_HERDS, table)
    say(f"\n   {_same_bits(apart, pooled)}\n")


def _mixed(formula: str, data: Any) -> MixedFit:
    fitted = fit(formula, data, family="binomial")
    assert isinstance(fitted, MixedFit)
    return fitted


def numbers(fitted: MixedFit) -> NDArray[np.float64]:
    """All estimates of a fit but the effects of groups, in one array."""
    return np.concatenate([fitted.beta, fitted.theta, [fitted.loglik], fitted.covariance.ravel()])


def _same_bits(apart: MixedFit, pooled: MixedFit) -> str:
    """One line that compares every number of two fits, bit by bit."""
    one, other = (
        np.concatenate([numbers(f), *(effects.mode.ravel() for effects in f.random)]) for f in (apart, pooled)
    )
    differing = int(np.sum(one.view(np.int64) != other.view(np.int64)))
    where = f"from {len(apart.site_records)} sites and from one pooled table"
    if differing:
        return f"DIFFERENT BITS {where}: {differing} of {len(one)} numbers differ."
    return f"Same bits {where}: all {len(one)} numbers (logLik {apart.loglik.hex()} in both)."


def _two_sites(folder: Path, say: Callable[[str], None]) -> None:
    simulation = simulate.two_sites()
    table = simulation.table()
    result = _mixed(_SITES, {str(name): rows for name, rows in table.groupby("site")})
    files = ", ".join(path.name for path in simulate.write_csv(simulation, folder))
    say(f"2. A simulated study: two sites, 1000 rows each, ten covariates; in {folder}: {files}.\n")
    say(_indent(result.summary()))
    say("\n     true beta: " + "  ".join(f"{b:.3f}" for b in simulation.true_beta))
    say(f"   The maximum is reached after {len(result.round_records)} rounds: logLik {result.loglik:.10f}.")
    variance = result.varcomp["variance"].iloc[0]
    zero = "is zero" if variance == 0 else f"is {variance:.4g}"
    say(f"   The variance between the two sites {zero} at the optimum: the noise of this simulation belongs to rows,")
    say("   not to sites, and the sites differ no more than chance makes them.")


def _least_squares(say: Callable[[str], None]) -> None:
    people = load("bloodpress")
    apart = fit(_PRESSURE, {f"clinic {k + 1}": people.iloc[k::4] for k in range(4)})
    pooled = fit(_PRESSURE, people)
    say("\n3. Blood pressure of 20 people at four clinics, a linear model by exact least squares: one round of sums.\n")
    say(_indent(apart.summary()))
    say(f"\n   {_same_numbers(apart, pooled)}")


def _same_numbers(apart: Fit, pooled: Fit) -> str:
    one, other = (np.concatenate([f.coef, f.se, np.ravel(f.vcov), [f.sigma, f.loglik]]) for f in (apart, pooled))
    if one.tobytes() != other.tobytes():
        return "DIFFERENT BITS from four sites and from one pooled table."
    return f"Same bits from four sites and from one pooled table: all {len(one)} numbers."


def _indent(text: str) -> str:
    return "\n".join("   " + line if line else "" for line in text.splitlines())
