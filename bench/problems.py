"""The one list of problems that every program gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pandas as pd

from sumwise import datasets, simulate

COVARIATES = 10
"""Covariates of the simulated sets; with the intercept their design has 11 columns."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A logistic regression with a random intercept.  response: a column of 0 and 1, or successes where `failures`
    names a column too; fixed: right-hand side without the bar; make: builds the table; rows: of a simulated
    set, 0 for real data; large: one fit takes seconds, so fresh processes are timed instead of warm ones."""

    name: str
    response: str
    fixed: str
    group: str
    make: Callable[[], pd.DataFrame]
    failures: str = ""
    rows: int = 0
    large: bool = False

    @property
    def formula(self) -> str:
        """As lme4 writes it."""
        left = f"cbind({self.response}, {self.failures})" if self.failures else self.response
        return f"{left} ~ {self.fixed} + (1 | {self.group})"


def _cbpp() -> pd.DataFrame:
    frame = datasets.load("cbpp")
    return frame.assign(healthy=frame["size"] - frame["incidence"])


def _simulated(rows: int, group_size: int) -> Problem:
    make = partial(simulate.logistic, rows, COVARIATES, group_size, seed=1)
    fixed = " + ".join(f"x{j}" for j in range(1, COVARIATES + 1))
    name = f"n={rows:.0e}, groups of {group_size}".replace("e+0", "e")
    return Problem(name, "y", fixed, "g", make, rows=rows, large=rows > 100_000)


PROBLEMS = (
    Problem("cbpp", "incidence", "period", "herd", _cbpp, failures="healthy"),
    Problem(
        "contraception",
        "use",
        "age + age2 + urban + livch",
        "district",
        partial(datasets.load, "contraception"),
    ),
    Problem("toenail", "outcome", "treatment * time", "patientID", partial(datasets.load, "toenail")),
    _simulated(10_000, 100),
    _simulated(100_000, 100),
    _simulated(1_000_000, 100),
    _simulated(1_000_000, 5),
)

QUICK = PROBLEMS[:4]

WARM_UP = Problem("warm-up", "y", "x1", "g", partial(simulate.logistic, 500, 1, 10, seed=2))
"""Fitted once before the clock starts, so that nobody's imports are timed."""
