"""lme4::glmer and glmmTMB, through Rscript; R's own clock runs once the data is in R."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from bench.problems import Problem
from bench.rivals.measure import REPEATS, SLOW, Answer, Measurement, Nodes, Rival

SCRIPT = Path(__file__).with_name("fit.R")


def _version(package: str) -> Callable[[], str | None]:
    @cache
    def version() -> str | None:
        if shutil.which("Rscript") is None:
            return None
        command = ["Rscript", "-e", f'cat(as.character(packageVersion("{package}")))']
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return found.stdout if found.returncode == 0 else None

    return version


def _write(data: pd.DataFrame, folder: Path) -> None:
    """One file of float64 a column (a factor's codes count from 1), and columns.csv: name, levels joined by "|"."""
    rows = []
    for name in data:
        column = data[name]
        factor = isinstance(column.dtype, pd.CategoricalDtype)
        levels = "|".join(map(str, column.cat.categories)) if factor else ""
        values = column.cat.codes + 1 if factor else column
        values.to_numpy(np.float64).tofile(folder / f"{name}.bin")
        rows.append((name, levels))
    pd.DataFrame(rows, columns=["name", "levels"]).to_csv(folder / "columns.csv", index=False)


def _measure(package: str) -> Callable[[Problem, Nodes], Measurement]:
    def measure(problem: Problem, nodes: Nodes) -> Measurement:
        with tempfile.TemporaryDirectory() as folder:
            _write(problem.make(), Path(folder))
            repeats = 0 if problem.large else REPEATS
            options = [package, folder, problem.formula, nodes, repeats, SLOW]
            command = ["Rscript", str(SCRIPT), *map(str, options)]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(run.stderr.strip()[-300:])
        found = json.loads(run.stdout)
        answer = Answer(found["loglik"], found["beta"], found["sigma"])
        return Measurement(found["seconds"], found["growth"], answer)

    return measure


GLMER = Rival("lme4::glmer", _version("lme4"), (1, 9), _measure("lme4"))
GLMMTMB = Rival("glmmTMB", _version("glmmTMB"), (1,), _measure("glmmTMB"))
