"""python -m bench.glm [--rows N]: generalized linear models against statsmodels, glum and R's glm, whole fits.

Each program gets the same data frame of N rows and 10 covariates; R has its data already.  statsmodels and R fit with
default settings.  glum stands twice: with default settings it computes no standard errors and stops about 1e-3 of them
away; with gradient_tol=1e-7 and standard errors it gives what the others give.  One fit warms up; then the programs
take turns, and the median of three fits counts, in this one process (R in its own).

Printed: seconds, the ratio to Sumwise's, log-likelihood minus Sumwise's (statsmodels takes that of gamma at another
dispersion than R and Sumwise), and the largest difference of a coefficient in Sumwise's standard errors.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np
import pandas as pd

import sumwise
from sumwise.printing import align

COVARIATES = [f"x{j}" for j in range(1, 11)]
FORMULA = "y ~ " + " + ".join(COVARIATES)
REPEATS = 3
FAMILIES = {"binomial": "logit", "poisson": "log", "gamma": "log"}

Answer = tuple[float, np.ndarray]
"""log-likelihood, nan where a program does not tell; coefficients, the intercept first."""

R_SCRIPT = """
folder <- commandArgs(TRUE)[1]; family <- commandArgs(TRUE)[2]; repeats <- as.integer(commandArgs(TRUE)[3])
names <- c("y", paste0("x", 1:10))
read <- function(name) readBin(file.path(folder, name), "double", n = 1e8)
data <- as.data.frame(setNames(lapply(names, read), names))
of <- list(binomial = binomial(), poisson = poisson(), gamma = Gamma("log"))[[family]]
seconds <- sapply(seq_len(repeats), function(i) system.time(fit <<- glm(y ~ ., of, data))[["elapsed"]])
cat(sprintf('{"seconds": %f, "loglik": %.17g, "beta": [%s]}', median(seconds), as.numeric(logLik(fit)),
            paste(sprintf("%.17g", coef(fit)), collapse = ",")))
"""


def make(family: str, rows: int) -> pd.DataFrame:
    """x1 ... x10 and a response of this family; seed 1."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((rows, len(COVARIATES)))
    eta = 0.3 + X @ np.linspace(-0.4, 0.4, len(COVARIATES))
    y = {
        "binomial": lambda: rng.random(rows) < 1 / (1 + np.exp(-eta)),
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "gamma": lambda: np.exp(eta) * rng.gamma(4, 0.25, rows),
    }[family]()
    return pd.DataFrame(X, columns=COVARIATES).assign(y=y.astype(float))


def fit_sumwise(family: str, data: pd.DataFrame) -> Answer:
    fit = sumwise.fit(FORMULA, data, family=family, link=FAMILIES[family])
    return fit.loglik, fit.coef.to_numpy()


def fit_statsmodels(family: str, data: pd.DataFrame) -> Answer:
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    of = {
        "binomial": sm.families.Binomial(),
        "poisson": sm.families.Poisson(),
        "gamma": sm.families.Gamma(sm.families.links.Log()),
    }[family]
    fit = smf.glm(FORMULA, data, family=of).fit()
    return float(fit.llf), fit.params.to_numpy()


def fit_glum(family: str, data: pd.DataFrame, *, exact: bool = False) -> Answer:
    from glum import GeneralizedLinearRegressor

    settings = {"gradient_tol": 1e-7} if exact else {}
    model = GeneralizedLinearRegressor(family=family, link=FAMILIES[family], alpha=0, **settings)
    model.fit(data[COVARIATES], data["y"])
    if exact:
        model.std_errors(data[COVARIATES], data["y"])
    return float("nan"), np.append(model.intercept_, model.coef_)


RIVALS: dict[str, Callable[[str, pd.DataFrame], Answer]] = {
    "sumwise": fit_sumwise,
    "statsmodels": fit_statsmodels,
    "glum": fit_glum,
    "glum, exact": partial(fit_glum, exact=True),
}


def by_r(family: str, data: pd.DataFrame, repeats: int) -> tuple[float, Answer]:
    """Seconds and answer of R's glm."""
    with tempfile.TemporaryDirectory() as folder:
        for name in data:
            data[name].to_numpy(np.float64).tofile(Path(folder) / name)
        command = ["Rscript", "--vanilla", "-e", R_SCRIPT, folder, family, str(repeats)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found["seconds"], (found["loglik"], np.array(found["beta"]))


def compare(family: str, rows: int, with_r: bool) -> list[list[str]]:
    """One line a program."""
    warnings.simplefilter("ignore")  # rivals warn at length; their answers are checked instead
    small, data = make(family, 500), make(family, rows)
    seconds: dict[str, list[float]] = {name: [] for name in RIVALS}
    answers: dict[str, Answer] = {}
    for fit in RIVALS.values():
        fit(family, small)
    for _ in range(REPEATS):
        for name, fit in RIVALS.items():
            began = time.perf_counter()
            answers[name] = fit(family, data)
            seconds[name].append(time.perf_counter() - began)
    taken = {name: statistics.median(values) for name, values in seconds.items()}
    if with_r and shutil.which("Rscript"):
        taken["R glm"], answers["R glm"] = by_r(family, data, 1 if rows > 200_000 else REPEATS)
    loglik, beta = answers["sumwise"]
    se = sumwise.fit(FORMULA, data, family=family, link=FAMILIES[family]).se.to_numpy()
    return [
        [
            family,
            name,
            f"{t:.3f} s",
            f"{t / taken['sumwise']:.1f}",
            "-" if np.isnan(answers[name][0]) else f"{answers[name][0] - loglik:+.1e}",
            f"{np.max(np.abs(answers[name][1] - beta) / se):.0e}",
        ]
        for name, t in taken.items()
    ]


@click.command()
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--r/--no-r", "with_r", default=False, show_default=True, help="R's glm too (minutes at a million rows).")
@click.option("--family", "families", multiple=True, type=click.Choice(list(FAMILIES)), default=list(FAMILIES))
def main(rows: int, with_r: bool, families: tuple[str, ...]) -> None:
    """Print the table."""
    head = ["family", "program", "time", "/ sumwise", "log-likelihood", "coefficients (SE)"]
    body = [line for family in families for line in compare(family, rows, with_r)]
    print(*align([head, *body], left=(0, 1), gap="  "), sep="\n")


if __name__ == "__main__":
    main()
