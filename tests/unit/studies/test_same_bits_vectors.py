"""Mixed models with vectors of effects over files, masked or not, and replayed: the bits of the pooled fit."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sumwise
from sumwise.datasets import load
from sumwise.results.fit import Fit
from tests.unit.studies.federation import dealt
from tests.unit.studies.same_bits import check_same_bits

EPIL = "y ~ lbase * trt + lage + V4"


@lru_cache
def table_of(name: str) -> pd.DataFrame:
    """Shipped, or made: 40 wards with 4 to 7 persons, costs above zero, counts that vary more than Poisson's."""
    if name == "epil":
        return load("epil").assign(visit=lambda rows: (rows.period - 2.5) / 5)
    if name != "made":
        return load(name)
    rng = np.random.default_rng(21)
    ward = np.repeat(np.arange(40), rng.integers(4, 8, 40))
    x = rng.normal(size=len(ward)).round(2)
    mean = np.exp(0.5 + 0.4 * x + 0.6 * rng.normal(size=40)[ward])
    return pd.DataFrame(
        {
            "ward": ward,
            "x": x,
            "cost": rng.gamma(2.0, mean / 2).round(4) + 1e-4,
            "visits": rng.negative_binomial(1.5, 1.5 / (1.5 + mean)),
            "stays": rng.integers(1, 4, len(ward)),
            "event": (rng.random(len(ward)) < mean / (1 + mean)).astype(int),
        }
    )


CASES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "epil intercept": ("epil", f"{EPIL} + (1 | subject)", "subject", {"family": "poisson"}),
    "epil slope": ("epil", f"{EPIL} + visit + (1 + visit | subject)", "subject", {"family": "poisson"}),
    "contraception slope": (
        "contraception",
        "use ~ age + urban + (1 + urban | district)",
        "district",
        {"family": "binomial"},
    ),
    "gamma, weighted": (
        "made",
        "cost ~ x + (1 | ward)",
        "ward",
        {"family": "gamma", "link": "log", "weights": "stays"},
    ),
    "negative binomial, slopes apart": ("made", "visits ~ x + (x || ward)", "ward", {"family": "negbinomial"}),
    "probit": ("made", "event ~ x + (1 | ward)", "ward", {"family": "binomial", "link": "probit"}),
    "Laplace": ("made", "visits ~ x + (1 | ward)", "ward", {"family": "poisson", "nodes": 1}),
}


@lru_cache
def pooled(name: str) -> Fit:
    data, formula, _, options = CASES[name]
    return sumwise.fit(formula, table_of(data), **options)


@pytest.mark.parametrize("sites", [2, 3, 10])
@pytest.mark.parametrize("name", CASES)
def test_a_study_gives_the_bits_of_the_pooled_fit(name: str, sites: int, tmp_path: Path) -> None:
    data, formula, by, options = CASES[name]
    check_same_bits(tmp_path, formula, dealt(table_of(data), sites, by), options, pooled(name))
