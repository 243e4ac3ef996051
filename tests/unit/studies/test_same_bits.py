"""A study over files, masked or not, and its replays: the bits of the fit to all rows in one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sumwise
from sumwise.datasets import load
from sumwise.results.fit import Fit
from sumwise.simulate import two_sites
from sumwise.studies.centre import replay
from tests import reference
from tests.unit.studies.federation import dealt, federation

CBPP = "cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)"
CONTRACEPTION = "use ~ age + I(age^2) + urban + livch + (1 | district)"
TOENAIL = "outcome ~ treatment * time + (1 | patientID)"
TWO_SITES = "y ~ 0 + " + " + ".join(f"V{j}" for j in range(1, 11)) + " + (1 | site)"
LONGLEY = "y ~ x1 + x2 + x3 + x4 + x5 + x6"
PRESSURE = "BP ~ Age + Weight + BSA"


def numbers(fit: Fit) -> np.ndarray:
    """All of them that a fit is made of."""
    parts: list[Any] = [fit.coef, fit.se, np.ravel(fit.vcov), [fit.loglik, fit.sigma, fit.deviance, fit.nobs]]
    if isinstance(fit, sumwise.MixedFit):
        parts += [fit.theta, fit.theta_se, [fit.quadrature.error if fit.quadrature else 0], fit.ngroups]
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])


def same(one: Fit, other: Fit) -> bool:
    return numbers(one).tobytes() == numbers(other).tobytes()


CASES = [
    *(("cbpp", CBPP, "herd", n) for n in (2, 3, 10)),
    *(("contraception", CONTRACEPTION, "district", n) for n in (2, 3, 10, 50)),
    *(("toenail", TOENAIL, "patientID", n) for n in (2, 3, 10, 50)),
    ("two sites", TWO_SITES, "site", 2),
    *(("Longley", LONGLEY, None, n) for n in (2, 3, 10)),
    *(("bloodpress", PRESSURE, None, n) for n in (3, 10)),
]


def table_of(name: str) -> pd.DataFrame:
    if name == "two sites":
        return two_sites().table()
    if name == "Longley":
        nist = json.loads((Path(reference.__file__).with_name("nist_strd.json")).read_text())["Longley"]
        return pd.DataFrame({"y": nist["y"], **{f"x{k}": x for k, x in enumerate(nist["x"], 1)}}).astype(float)
    return load(name)


@pytest.mark.parametrize(("name", "formula", "by", "sites"), CASES, ids=lambda v: str(v)[:14])
def test_a_study_gives_the_bits_of_the_pooled_fit(
    name: str, formula: str, by: str | None, sites: int, tmp_path: Path
) -> None:
    table = table_of(name)
    family = "binomial" if by else "gaussian"
    pooled = sumwise.fit(formula, table, family=family)
    for masked in (False, True):
        if masked and sites < 3:
            continue
        where = tmp_path / f"masked-{masked}"
        options = {"decimal": False} if masked and not by else {}
        study = federation(where, formula, dealt(table, sites, by), family=family, secure_sum=masked, **options)
        found = study.fit()
        assert same(found, pooled)
        assert list(found.sites.index) == sorted(study.parts)
        assert len(found.rounds) == len(pooled.rounds)
        assert same(replay(study.study_path, study.messages), pooled)
        assert same(replay(study.study_path, study.ledger("site-01")), pooled)


@pytest.mark.parametrize(
    "options", [{"decimal": True}, {"decimal": False, "secure_sum": True}], ids=["decimal", "masked"]
)
def test_weights_interactions_an_offset_and_missing_values(options: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    n = 200
    table = pd.DataFrame(
        {
            "y": rng.normal(size=n).round(2),
            "dose": rng.uniform(0, 9, n).round(1),
            "ward": rng.choice(["a", "b", "c"], n),
            "base": rng.normal(size=n).round(3),
            "animals": rng.integers(0, 5, n),
        }
    )
    table.loc[rng.choice(n, 9, replace=False), "dose"] = np.nan
    formula = "y ~ log(dose + 1) * ward + I(dose^2) + offset(base)"
    study = federation(tmp_path, formula, dealt(table, 3), weights="animals", missing="drop", **options)
    pooled = sumwise.fit(formula, table, weights="animals", missing="drop", decimal=options["decimal"])
    found = study.fit()
    assert same(found, pooled)
    assert isinstance(found, sumwise.LinearFit)
    assert isinstance(pooled, sumwise.LinearFit)
    assert (found.ignored, found.log_weights, found.r2) == (pooled.ignored, pooled.log_weights, pooled.r2)
    assert "does not ask how far they are off" in " ".join(found.summary().split())
    assert same(sumwise.Fit.from_json(found.to_json()), found)
    with pytest.raises(sumwise.UsageError, match="result of a study"):
        found.digits()
