"""The guard of generalized linear and linear mixed models: honest studies pass, single rows and groups do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sumwise.datasets import load
from sumwise.disclosure.policy import OPEN, Policy
from sumwise.errors import DataError
from sumwise.protocol.states import Phase
from sumwise.studies.check import compare
from tests.unit.studies.federation import dealt, federation
from tests.unit.studies.hospitals import Hospital, Run, run, study, tables

NAMES = ("site-00", "site-01", "site-02")


def asked(formula: str, table: pd.DataFrame, by: str | None = None, policy: Policy = Policy(), **options) -> Run:  # noqa: B008
    sites = {name: Hospital(name, rows, policy) for name, rows in dealt(table, 3, by).items()}
    return run(study(formula, table, NAMES, policy=Policy(), **options), sites)


def people() -> pd.DataFrame:
    """1500 persons with counts, costs and outcomes that depend a little on what they are."""
    rng = np.random.default_rng(6)
    n = 1500
    x, age, sex = rng.normal(size=n), rng.integers(18, 90, n), rng.integers(0, 2, n)
    mean = np.exp(0.5 + 0.3 * x + 0.01 * (age - 50) + 0.2 * sex)
    return pd.DataFrame(
        {
            "x": x,
            "age": age,
            "sex": sex,
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
        ("visits ~ x + age + sex + offset(log(years))", {"family": "poisson"}),
        ("days ~ x + age + sex", {"family": "negbinomial"}),
        ("cost ~ x + age + sex", {"family": "gamma", "link": "log"}),
        ("event ~ x + age + sex", {"family": "binomial", "link": "probit"}),
        ("event ~ x + age + sex", {"family": "binomial"}),
    ],
    ids=lambda value: str(value)[:12],
)
def test_honest_studies_pass_the_default_policy_in_every_round(formula: str, options: dict) -> None:
    found = asked(formula, people(), **options)
    assert found.refused == {}
    assert found.state.phase is Phase.FINISHED


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("bars", ["(1 | Subject)", "(1 + Days | Subject)", "(Days || Subject)"])
def test_sleepstudy_passes_the_default_policy(bars: str, method: str) -> None:
    """Six persons a site, on the same ten days."""
    found = asked(f"Reaction ~ Days + {bars}", load("sleepstudy"), "Subject", method=method)
    assert found.refused == {}
    assert found.state.phase is Phase.FINISHED


def test_a_person_with_a_day_less_is_refused_by_the_site_that_has_them() -> None:
    table = load("sleepstudy").drop(index=9)
    found = asked("Reaction ~ Days + (1 | Subject)", table, "Subject")
    assert found.refused == {"site-00": "group-leverage"}
    assert "one group has 1 of the sum of squares" in found.words["site-00"]
    assert found.summands.get("site-00") is None


@pytest.mark.parametrize("family", ["poisson", "gamma"])
def test_models_of_other_families_are_compared_with_earlier_ones(family: str) -> None:
    """x1 in a linear model, x1 + (1 in one row) in the next."""
    frames = tables()
    sites = {name: Hospital(name, frame, Policy()) for name, frame in frames.items()}
    first = study("y ~ x1 + x2", list(frames.values()), tuple(frames))
    assert run(first, sites).refused == {}
    same = study("age ~ x1 + x2 + x3", list(frames.values()), tuple(frames), family=family, link="log")
    guard, _ = sites["A"].guard(same)
    assert guard.joint_leverage < 0.5
    other = study("age ~ I(x1 + (id == 417)) + x2", list(frames.values()), tuple(frames), family=family, link="log")
    assert run(other, sites).refused == {"A": "differencing-models"}


def test_mixed_models_are_compared_with_earlier_ones() -> None:
    frames = tables()
    sites = {name: Hospital(name, frame, Policy()) for name, frame in frames.items()}
    first = study("y ~ x1 + (1 | clinic)", list(frames.values()), tuple(frames))
    assert run(first, sites).refused == {}
    other = study("y ~ I(x1 + (id == 417)) + (1 | clinic)", list(frames.values()), tuple(frames))
    assert run(other, sites).refused == {"A": "differencing-models"}


def test_weights_of_zero_take_rows_out() -> None:
    frames = tables()
    sites = {name: Hospital(name, frame, Policy()) for name, frame in frames.items()}
    options = {"family": "poisson"}
    first = study("age ~ x1", list(frames.values()), tuple(frames), weights="I(id > 30)", **options)
    other = study("age ~ x1", list(frames.values()), tuple(frames), weights="I((id > 30) * (id != 417))", **options)
    assert run(first, sites).refused == {}
    assert run(other, sites).refused == {"A": "differencing-rows"}


# -- what sites look at before --


def test_frequencies_are_looked_at_by_the_site(tmp_path: Path) -> None:
    table = people().assign(times=1.5)
    made = federation(
        tmp_path, "event ~ x", dealt(table, 3), family="binomial", weights="times", weights_as="frequency"
    )
    with pytest.raises(DataError, match="frequencies are not whole numbers"):
        made.open("site-00")


RANGES = {"site-00": [0, 9], "site-01": [10, 19], "site-02": [20, 29]}


def clinics() -> dict[str, pd.DataFrame]:
    return dict(zip(NAMES, tables().values(), strict=True))


def test_a_group_of_another_site_is_found_before_anything_leaves(tmp_path: Path) -> None:
    frames = clinics()
    strange = {**frames, "site-01": frames["site-01"].replace({"clinic": {13: 3}})}  # clinic 3 is of the first site
    good, bad = (
        federation(tmp_path / name, "y ~ x1 + (1 | clinic)", parts, groups={"clinic": RANGES})
        for name, parts in (("good", frames), ("bad", strange))
    )
    assert good.fit().nobs == 3000
    bad.open("site-00")
    with pytest.raises(
        DataError, match="clinic: 1 of 10 labels do not: 3; agreed is labels of 'site-01' lie from 10 to"
    ):
        bad.open("site-01")


def test_labels_that_are_texts_begin_as_agreed() -> None:
    frames = {name: frame.assign(clinic=[f"{name[-1]}-{c}" for c in frame.clinic]) for name, frame in clinics().items()}
    prefixes = {name: f"{name[-1]}-" for name in NAMES}
    made = study("y ~ x1 + (1 | clinic)", list(frames.values()), NAMES, groups={"clinic": prefixes}, policy=OPEN)
    hospitals = {name: Hospital(name, frame, OPEN) for name, frame in frames.items()}
    assert run(made, hospitals).state.phase is Phase.FINISHED

    from sumwise.data import open_sites

    for there, wrong in (("site-00", False), ("site-01", True)):
        source = open_sites({"site-00": frames[there]})["site-00"]
        (found,) = [f for f in compare(made, source, {}) if f.agreed.startswith("labels of")]
        assert found.wrong is wrong
        assert found.agreed == "labels of 'site-00' begin with '0-'"
        assert found.here == (
            "10 of 10 labels do not: 1-10, 1-11, 1-12, 1-13, 1-14 and 5 more" if wrong else "all of them"
        )
