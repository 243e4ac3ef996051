"""python -m bench.coverage [--samples N] [--write]: how often 95 % intervals of coefficients hold the truth.

Each model is simulated N times and fitted with default settings; the intervals are `fit.confint()`: Wald's, with
Satterthwaite's t for linear mixed models, t for a gamma response, else normal.  With 2,000 samples the share found is
within 1 point of the true one.  `--write` puts the table at the end of docs/validation.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
import pandas as pd

LOWEST, HIGHEST = 0.93, 0.97
"""What an interval of 95 % must cover."""

DOCUMENT = Path(__file__).parents[1] / "docs" / "validation.md"
TITLE = "## Coverage"

BETA = {"(Intercept)": 0.4, "x": 0.6, "t": -0.5}
"""The truth: x varies within groups, t between them."""


@dataclass(frozen=True, slots=True)
class Model:
    """formula, family, link: as fit() takes them; sd: of the effects of the intercept and x (correlation 0.3); groups
    of `size` rows.  aux: residual standard deviation, gamma's shape or the size of the negative binomial.
    """

    name: str
    formula: str
    family: str
    link: str | None = None
    sd: tuple[float, float] = (0.0, 0.0)
    groups: int = 40
    size: int = 10
    aux: float = 1.0


MODELS = (
    Model("linear mixed, intercept, REML", "y ~ x + t + (1 | g)", "gaussian", sd=(0.7, 0), groups=20),
    Model("linear mixed, intercept and slope, REML", "y ~ x + t + (1 + x | g)", "gaussian", sd=(0.7, 0.4), groups=20),
    Model("logistic mixed, intercept", "y ~ x + t + (1 | g)", "binomial", sd=(0.8, 0), groups=60),
    Model("Poisson mixed, intercept and slope", "y ~ x + t + (1 + x | g)", "poisson", sd=(0.5, 0.3), groups=60),
    Model("logistic", "y ~ x + t", "binomial"),
    Model("Poisson", "y ~ x + t", "poisson"),
    Model("gamma", "y ~ x + t", "gamma", "log", aux=2.0),
    Model("negative binomial", "y ~ x + t", "negbinomial", aux=1.5),
)


def simulate(model: Model, seed: int) -> pd.DataFrame:
    """y, x, t, g."""
    rng = np.random.default_rng([seed, model.groups, len(model.name)])
    g = np.repeat(np.arange(model.groups), model.size)
    x = rng.standard_normal(len(g))
    t = rng.permutation(np.arange(model.groups) % 2)[g].astype(float)
    u = rng.standard_normal((model.groups, 2))
    slope = 0.3 * u[:, 0] + np.sqrt(1 - 0.3**2) * u[:, 1]
    eta = BETA["(Intercept)"] + BETA["x"] * x + BETA["t"] * t + model.sd[0] * u[g, 0] + model.sd[1] * slope[g] * x
    mu = np.exp(eta)
    y = {
        "gaussian": lambda: eta + model.aux * rng.standard_normal(len(g)),
        "binomial": lambda: (rng.random(len(g)) < mu / (1 + mu)).astype(float),
        "poisson": lambda: rng.poisson(mu).astype(float),
        "gamma": lambda: mu * rng.gamma(model.aux, 1 / model.aux, len(g)),
        "negbinomial": lambda: rng.negative_binomial(model.aux, model.aux / (model.aux + mu)).astype(float),
    }[model.family]()
    return pd.DataFrame({"y": y, "x": x, "t": t, "g": g})


def covered(model: Model, seed: int) -> tuple[str, tuple[bool, ...]]:
    """The verdict's code, or the error, and whether each coefficient's interval holds the truth; () after an error."""
    import sumwise

    try:
        fit = sumwise.fit(model.formula, simulate(model, seed), family=model.family, link=model.link, threads=1)
    except sumwise.SumwiseError as error:
        return f"{type(error).__name__}: {error}", ()
    interval = fit.confint()
    inside = [interval["lower"][name] <= BETA[name] <= interval["upper"][name] for name in fit.terms]
    return fit.verdict.code, tuple(bool(v) for v in inside)


def study(model: Model, samples: int, each: Callable[..., object]) -> list[str]:
    """A row of the table."""
    began = time.perf_counter()
    found = list(each(partial(covered, model), range(samples), chunksize=25))  # type: ignore[call-overload]
    hits = np.array([inside for _, inside in found if inside])
    codes = [code for code, _ in found]
    boundary, failed = codes.count("boundary"), sum(not inside for _, inside in found)
    other = [code for code in codes if code not in ("converged", "boundary")]
    shares = hits.mean(axis=0)
    met = bool(np.all((shares >= LOWEST) & (shares <= HIGHEST)) and not failed)
    for text in sorted(set(other)):
        click.echo(f"{model.name}: {codes.count(text)} x {text}", err=True)
    click.echo(f"{model.name}: {1000 * (time.perf_counter() - began) / samples:.0f} ms a sample", err=True)
    rows = f"{model.groups * model.size} rows" + (f", {model.groups} groups" if model.sd[0] else "")
    said = f"{boundary} on the boundary" * bool(boundary) + f", {len(other)} else" * bool(other)
    return [model.name, rows, *(f"{100 * share:.1f} %" for share in shares), said, "met" if met else "missed"]


def write_part(document: Path, coverage: str, rest: str) -> None:
    """Replace what stands in the document from TITLE on, or what stands before it; "" keeps what is there."""
    there = document.read_text(encoding="utf-8") if document.exists() else ""
    before, title, after = there.partition(TITLE)
    before, after = rest or before, coverage or title + after
    document.write_text(before.rstrip() + "\n" + (f"\n{after}" if after else ""), encoding="utf-8")


@click.command()
@click.option("--samples", default=2000, show_default=True)
@click.option("--processes", default=2, show_default=True)
@click.option("--only", default="", help="Models whose name holds this text.")
@click.option("--write", is_flag=True, help="Put the table into docs/validation.md.")
def main(samples: int, processes: int, only: str, write: bool) -> None:
    """Print the table."""
    with ProcessPoolExecutor(processes) as pool:
        body = [study(model, samples, pool.map) for model in MODELS if only in model.name]
    head = ["model", "each sample", *BETA, "fits", "93 to 97 %"]
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *body)]
    intro = (
        f"Share of {samples} simulated sets (`python -m bench.coverage`) in which the 95 % interval of a coefficient "
        f"holds the truth; `t` varies between groups only."
    )
    text = "\n\n".join([TITLE, intro, "\n".join(lines)])
    click.echo(text)
    if write:
        write_part(DOCUMENT, text + "\n", "")


if __name__ == "__main__":
    main()
