"""Generalized linear and linear mixed models over files, masked or not, and replayed: the bits of the pooled fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sumwise
from sumwise.datasets import load
from tests.unit.studies.federation import dealt
from tests.unit.studies.same_bits import check_same_bits

SLEEP = "Reaction ~ Days + (1 + Days | Subject)"
EPIL = "y ~ lbase * trt + lage + V4"


def made() -> pd.DataFrame:
    """200 rows: costs above zero, events with and without trials, counts that vary more than Poisson's, weights."""
    rng = np.random.default_rng(11)
    n = 200
    x, sex = rng.normal(size=n).round(3), rng.choice(["f", "m"], n)
    mean = np.exp(0.4 + 0.5 * x + 0.3 * (sex == "m"))
    trials = rng.integers(1, 6, n)
    return pd.DataFrame(
        {
            "x": x,
            "sex": sex,
            "cost": rng.gamma(2.0, mean / 2).round(4) + 1e-4,
            "event": (rng.random(n) < mean / (1 + mean)).astype(int),
            "hits": rng.binomial(trials, mean / (2 + mean)),
            "trials": trials,
            "visits": rng.negative_binomial(1.5, 1.5 / (1.5 + mean)),
            "stays": rng.integers(1, 4, n),
            "months": rng.integers(1, 13, n),
            "ward": [f"w{k:02d}" for k in np.arange(n) % 20],
        }
    )


def table_of(name: str) -> pd.DataFrame:
    return made() if name == "made" else load(name)


CASES: dict[str, tuple[str, str, str | None, dict[str, Any]]] = {
    "sleepstudy REML": ("sleepstudy", SLEEP, "Subject", {}),
    "sleepstudy ML": ("sleepstudy", SLEEP, "Subject", {"method": "ML"}),
    "sleepstudy apart": ("sleepstudy", "Reaction ~ Days + (Days || Subject)", "Subject", {}),
    "intercepts, weighted, an offset": (
        "made",
        "cost ~ x + sex + offset(x / 8) + (1 | ward)",
        "ward",
        {"weights": "stays"},
    ),
    "epil": ("epil", EPIL, None, {"family": "poisson"}),
    "gamma": ("made", "cost ~ x + sex", None, {"family": "gamma"}),
    "gamma log, weighted": ("made", "cost ~ x * sex", None, {"family": "gamma", "link": "log", "weights": "stays"}),
    "gamma without intercept": ("made", "cost ~ 0 + sex", None, {"family": "gamma"}),
    "probit": ("made", "event ~ x + sex", None, {"family": "binomial", "link": "probit"}),
    "logit of trials": ("made", "cbind(hits, trials - hits) ~ x", None, {"family": "binomial"}),
    "frequencies": (
        "made",
        "event ~ x",
        None,
        {"family": "binomial", "link": "cloglog", "weights": "stays", "weights_as": "frequency"},
    ),
    "negative binomial": ("made", "visits ~ x + sex + offset(log(months))", None, {"family": "negbinomial"}),
    "size given": ("made", "visits ~ x", None, {"family": "negbinomial", "size": 2}),
    "inverse gaussian": ("made", "cost ~ x", None, {"family": "inverse.gaussian", "link": "log"}),
}


@pytest.mark.parametrize("sites", [2, 3, 10])
@pytest.mark.parametrize("name", CASES)
def test_a_study_gives_the_bits_of_the_pooled_fit(name: str, sites: int, tmp_path: Path) -> None:
    data, formula, by, options = CASES[name]
    table = table_of(data)
    pooled = sumwise.fit(formula, table, **options)
    check_same_bits(tmp_path, formula, dealt(table, sites, by), options, pooled)
