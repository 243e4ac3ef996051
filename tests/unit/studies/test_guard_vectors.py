"""The guard of generalized linear mixed models: honest studies pass in every round, single groups do not."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from sumwise.datasets import load
from sumwise.disclosure.policy import Policy
from sumwise.protocol.states import Phase
from tests.unit.studies.federation import dealt
from tests.unit.studies.hospitals import Hospital, Run, run, study, tables

NAMES = ("site-00", "site-01", "site-02")


def asked(formula: str, table: pd.DataFrame, by: str, policy: Policy = Policy(), **options) -> Run:  # noqa: B008
    sites = {name: Hospital(name, rows, policy) for name, rows in dealt(table, 3, by).items()}
    return run(study(formula, table, NAMES, policy=policy, **options), sites)


@lru_cache
def visits() -> pd.DataFrame:
    """180 persons with 4 to 8 visits each, and responses that depend a little on who they are."""
    rng = np.random.default_rng(12)
    person = np.repeat(np.arange(180), rng.integers(4, 9, 180))
    n = len(person)
    x, sex = rng.normal(size=n), rng.integers(0, 2, 180)[person]
    time = rng.uniform(0, 1, n).round(2)
    eta = 0.5 + 0.3 * x + 0.2 * sex + 0.5 * rng.normal(size=180)[person] + 0.4 * rng.normal(size=180)[person] * time
    mean = np.exp(eta)
    return pd.DataFrame(
        {
            "person": person,
            "x": x,
            "sex": sex,
            "time": time,
            "visits": rng.poisson(mean),
            "days": rng.negative_binomial(2, 2 / (2 + mean)),
            "cost": rng.gamma(2.0, mean / 2),
            "event": (rng.random(n) < mean / (1 + mean)).astype(int),
            "years": rng.uniform(0.5, 3, n),
        }
    )


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("visits ~ x + sex + offset(log(years)) + (1 | person)", {"family": "poisson"}),
        ("visits ~ x + sex + time + (1 + time | person)", {"family": "poisson", "nodes": 3}),
        ("visits ~ x + time + (time || person)", {"family": "poisson"}),
        ("days ~ x + sex + (1 | person)", {"family": "negbinomial"}),
        ("cost ~ x + sex + (1 | person)", {"family": "gamma", "link": "log"}),
        ("event ~ x + time + (1 + time | person)", {"family": "binomial"}),
        ("event ~ x + sex + (1 | person)", {"family": "binomial", "link": "probit"}),
    ],
    ids=lambda value: str(value)[:22],
)
def test_honest_studies_pass_the_default_policy_in_every_round(formula: str, options: dict) -> None:
    found = asked(formula, visits(), "person", **options)
    assert found.words == {}
    assert found.state.phase is Phase.FINISHED


def test_a_person_who_outweighs_all_others_is_refused_by_the_site_that_has_them() -> None:
    """Epil's patient 49 had 151 seizures before and 302 after: an effect of the number of seizures is the patient's."""
    table, formula = load("epil"), "y ~ lbase * trt + lage + V4 + (1 | subject)"
    parts = dealt(table, 3, "subject")
    assert 49 in set(parts["site-00"].subject)
    found = asked(formula, table, "subject", family="poisson")
    assert found.refused["site-00"] == "group-leverage"
    assert "of the sum of squares of a combination of what leaves" in found.words["site-00"]


def test_districts_may_be_told_where_a_policy_says_so() -> None:
    """One district has most of the women in towns of its site."""
    table, formula = load("contraception"), "use ~ age + urban + (1 + urban | district)"
    assert asked(formula, table, "district", family="binomial").refused == {"site-01": "group-leverage"}
    told = asked(formula, table, "district", replace(Policy(), min_groups=1), family="binomial")
    assert told.refused == {}
    assert told.state.phase is Phase.FINISHED


def test_they_are_compared_with_earlier_models() -> None:
    frames = tables()
    sites = {name: Hospital(name, frame, Policy()) for name, frame in frames.items()}
    options = {"family": "poisson"}
    first = study("age ~ x1 + (1 | clinic)", list(frames.values()), tuple(frames), **options)
    assert run(first, sites).refused == {}
    slope = study("age ~ x1 + (1 + x1 | clinic)", list(frames.values()), tuple(frames), **options)
    assert sites["A"].guard(slope)[0].joint_leverage < 0.5
    other = study("age ~ I(x1 + (id == 417)) + (1 | clinic)", list(frames.values()), tuple(frames), **options)
    assert run(other, sites).refused == {"A": "differencing-models"}
    effect = study("age ~ x2 + (0 + I(x1 + (id == 417)) | clinic)", list(frames.values()), tuple(frames), **options)
    assert run(effect, sites).refused == {"A": "differencing-models"}
