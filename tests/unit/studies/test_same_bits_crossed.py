"""Mixed models with several grouping factors, or many effects, over files, masked or not, and replayed: the bits of the
pooled fit.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sumwise
from sumwise.results.fit import Fit
from tests.unit.studies.federation import dealt
from tests.unit.studies.same_bits import check_same_bits


@lru_cache
def clinics(count: int = 12, size: int = 40, kept: float = 1.0) -> pd.DataFrame:
    """Clinics of `size` rows, each with 5 patients and 4 raters of its own, who meet at random, so that a clinic is a
    component; kept: share of the rows.
    """
    rng = np.random.default_rng(31)
    clinic = np.repeat(np.arange(count), size)
    n = len(clinic)
    patient, rater = 100 * clinic + rng.integers(0, 5, n), 100 * clinic + rng.integers(0, 4, n)
    x = rng.normal(size=n).round(2)
    u, v, w = (s * rng.normal(size=100 * count) for s in (0.6, 0.4, 0.3))
    eta = 0.3 + 0.4 * x + u[patient] + v[rater] + w[patient] * x
    rows = pd.DataFrame(
        {
            "clinic": clinic,
            "patient": patient,
            "rater": rater,
            "x": x,
            "z": rng.normal(size=n).round(2),
            "score": (eta + rng.normal(size=n)).round(3),
            "event": (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int),
            "visits": rng.poisson(np.exp(eta)),
            "cost": rng.gamma(2.0, np.exp(eta) / 2).round(4) + 1e-4,
            "stays": rng.integers(1, 4, n),
        }
    )
    return rows[rng.random(n) < kept]


CROSSED = "(1 | patient) + (1 | rater)"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "REML": (f"score ~ x + {CROSSED}", {}),
    "ML, a slope, weighted, an offset": (
        "score ~ x + offset(z / 8) + (1 + x | patient) + (1 | rater)",
        {"method": "ML", "weights": "stays"},
    ),
    "nested": ("score ~ x + (1 | clinic/patient)", {}),
    "logistic": (f"event ~ x + {CROSSED}", {"family": "binomial"}),
    "Poisson, a slope": ("visits ~ x + (x || patient) + (1 | rater)", {"family": "poisson"}),
    "gamma, nested, weighted": (
        "cost ~ x + (1 | clinic/patient)",
        {"family": "gamma", "link": "log", "weights": "stays", "nodes": 1},
    ),
    "four effects": ("visits ~ x + z + (x + z + I(x * z) || clinic)", {"family": "poisson"}),
}


@lru_cache
def pooled(name: str) -> Fit:
    formula, options = CASES[name]
    return sumwise.fit(formula, clinics(), **options)


@pytest.mark.parametrize("sites", [2, 3, 10])
@pytest.mark.parametrize("name", CASES)
def test_a_study_gives_the_bits_of_the_pooled_fit(name: str, sites: int, tmp_path: Path) -> None:
    formula, options = CASES[name]
    check_same_bits(tmp_path, formula, dealt(clinics(), sites, "clinic"), options, pooled(name))
