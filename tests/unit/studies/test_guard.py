"""The guard of a running site: facts of its rows, its ledger and each question, judged before an answer leaves."""

import math
from dataclasses import replace

import numpy as np
import pytest

from sumwise.data import open_sites
from sumwise.datasets import load
from sumwise.disclosure import facts
from sumwise.disclosure.policy import OPEN, Policy
from sumwise.engines.local import LocalEngine
from sumwise.errors import SiteError
from sumwise.loop import run as fit
from sumwise.models.glmm_messages import Question
from sumwise.protocol import ledger, requests
from sumwise.protocol.states import Phase
from sumwise.studies.guard import earlier_requests
from sumwise.studies.plan import plan
from tests.unit.studies.hospitals import Hospital, hospitals, run, study, tables

TABLES = tables()
X = "x1 + x2 + x3"
LINEAR = study(f"y ~ {X}", list(TABLES.values()))
MIXED = study(f"event ~ {X} + (1 | clinic)", list(TABLES.values()), family="binomial")


def dealt(name: str, by: str, sites: int) -> dict[str, Hospital]:
    """A shipped data set, its groups dealt over sites."""
    frame = load(name)
    site = frame[by].astype("category").cat.codes % sites
    return {letter: Hospital(letter, frame[site == k], Policy()) for k, letter in enumerate("ABCDEFGHIJ"[:sites])}


CONTRACEPTION = ("contraception", "use ~ age + I(age^2) + urban + livch + (1 | district)", "district")
TOENAIL = ("toenail", "outcome ~ treatment * time + (1 | patientID)", "patientID")
CBPP = ("cbpp", "cbind(incidence, size - incidence) ~ period + (1 | herd)", "herd")


@pytest.mark.parametrize("data", [CONTRACEPTION, TOENAIL], ids=lambda data: data[0])
def test_honest_studies_pass_the_default_policy_in_every_round(data):
    name, formula, by = data
    sites = dealt(name, by, 3)
    of = study(formula, load(name), tuple(sites), policy=Policy(), family="binomial")
    found = run(of, sites)
    assert found.state.phase is Phase.FINISHED
    assert found.refused == {}
    pooled = plan(of)
    block = pooled.block(open_sites({"data": load(name)})["data"])
    with LocalEngine({"data": pooled.method.site(pooled.options, block)}) as engine:
        _, rounds = fit(pooled.model, engine)
    assert found.state.round == len(rounds)


def test_a_small_study_is_refused_and_says_why_to_the_steward_alone():
    """cbpp has 56 rows; over three herds of sites each has twenty or fewer."""
    name, formula, by = CBPP
    sites = dealt(name, by, 3)
    found = run(study(formula, load(name), tuple(sites), family="binomial"), sites)
    assert found.state.phase is Phase.ABORTED
    assert found.refused == {"A": "parameters-per-row", "B": "minimum-rows", "C": "parameters-per-row"}
    assert found.words["B"] == "rows in the sum: 16; the policy asks for at least 20"


def test_before_any_round_the_guard_tells_all_that_the_rows_bring():
    name, formula, by = CBPP
    site = dealt(name, by, 3)["B"]
    guard, _ = site.guard(study(formula, load(name), family="binomial"))
    rules = [refusal.rule for refusal in guard.before(1)]
    assert rules[:4] == ["minimum-rows", "parameters-per-row", "effective-count", "cell-count"]
    assert guard.refused is None
    assert guard(1, guard.first) == guard.before(1)[0]
    assert guard.refused == guard.before(1)[0]


def test_the_stricter_of_the_site_and_the_study_holds():
    strict = study(f"y ~ {X}", list(TABLES.values()), policy=replace(OPEN, min_rows=1001))
    guard, _ = Hospital("A", TABLES["A"], OPEN).guard(strict)
    assert [r.rule for r in guard.before(1)] == ["minimum-rows"]
    guard, _ = Hospital("A", TABLES["A"], replace(OPEN, min_rows=1001)).guard(LINEAR)
    assert [r.rule for r in guard.before(1)] == ["minimum-rows"]
    guard, _ = Hospital("A", TABLES["A"], OPEN).guard(LINEAR)
    assert guard.before(1) == ()


def test_the_round_counts():
    guard, _ = Hospital("A", TABLES["A"], Policy()).guard(LINEAR)
    assert guard(30, guard.first) is None
    assert guard(31, guard.first).rule == "round-limit"


def test_a_question_is_judged_with_the_effects_of_the_groups():
    """eta = x beta + theta u at the modes: with a wide theta they are most of its range."""
    hospital = Hospital("A", TABLES["A"].assign(event=lambda t: (t.clinic % 2).astype(int)), OPEN)
    guard, site = hospital.guard(MIXED)
    asked = Question(np.zeros(4), np.zeros(4), 6.0, (1,), np.inf)
    mode, _ = site.modes(asked)
    found = guard.judge(asked)
    assert found.eta_range == pytest.approx(6 * (mode.max() - mode.min()), rel=1e-12)
    assert found.eta_range > 5
    assert found == facts.mixed_question(site.rows, asked, 6 * mode)
    assert guard.judge(replace(asked, theta=0.0)).eta_range == 0


# -- the ledger --


def test_a_request_counts_once_its_study_was_answered_and_never_against_itself():
    hospital = Hospital("A", TABLES["A"], Policy())
    guard, _ = hospital.guard(LINEAR)
    hospital.note("request", requests.encode(guard.request))
    assert earlier_requests(hospital.entries, bytes(32)) == ()
    sites = hospitals(Policy())
    run(LINEAR, sites)
    entries = sites["A"].entries
    assert [entry.kind for entry in entries] == ["study", "request", "answer"]
    assert earlier_requests(entries, bytes(32)) == (guard.request,)
    assert earlier_requests(entries, LINEAR.digest()) == ()
    assert run(LINEAR, sites).state.phase is Phase.FINISHED


def test_all_versions_of_the_data_that_a_study_asked_about_count():
    sites = hospitals(Policy())
    run(LINEAR, sites)
    old = sites["A"].guard(LINEAR)[0].request
    sites["A"].table = sites["A"].table.iloc[1:]
    run(LINEAR, sites)
    new = sites["A"].guard(LINEAR)[0].request
    assert old.data != new.data
    assert earlier_requests(sites["A"].entries, bytes(32)) == (old, new)


def test_a_ledger_that_does_not_tell_what_was_asked_stops_every_study():
    sites = hospitals(Policy())
    run(LINEAR, sites)
    hospital = sites["A"]
    whole = hospital.entries
    unasked = [entry for entry in whole if entry.kind != "request"]
    with pytest.raises(SiteError, match="was answered, and no entry says what it asked"):
        earlier_requests(unasked, bytes(32))
    dropped = [replace(entry, payload=None) for entry in whole]
    ledger.verify(dropped)
    with pytest.raises(SiteError, match="ledger entry 2: the payload of this request was dropped"):
        earlier_requests(dropped, bytes(32))


def test_rows_are_told_apart_in_any_order_of_the_table():
    hospital = Hospital("A", TABLES["A"], Policy())
    shuffled = Hospital("A", TABLES["A"].sample(frac=1, random_state=1), Policy())
    some = study(f"y ~ {X}", list(TABLES.values()), weights="I(id >= 100)")
    assert hospital.guard(some)[0].request == shuffled.guard(some)[0].request


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        (f"y ~ {X}", {"weights": "I(id >= 100)"}),
        (f"cbind(event * (id >= 100), (1 - event) * (id >= 100)) ~ {X} + (1 | clinic)", {"family": "binomial"}),
    ],
)
def test_rows_without_weight_or_trials_take_no_part(formula, options):
    found = study(formula, list(TABLES.values()), **options)
    request = Hospital("A", TABLES["A"], OPEN).guard(found)[0].request
    every = Hospital("A", TABLES["A"], OPEN).guard(LINEAR)[0].request
    assert (every.rows.bit_count(), request.rows.bit_count()) == (1000, 900)
    assert request.rows & every.rows == request.rows


# -- models together --


def second(formula: str, **options):
    """The guard at A of a study that comes after LINEAR."""
    sites = hospitals(Policy())
    run(LINEAR, sites)
    return sites["A"].guard(study(formula, list(TABLES.values()), **options))[0]


def test_without_another_model_there_is_nothing_to_judge_together():
    assert math.isnan(second(f"y ~ {X}", missing="error").joint_leverage)
    guard = Hospital("A", TABLES["A"], Policy()).guard(LINEAR)[0]
    assert math.isnan(guard.joint_leverage)
    assert guard.before(1) == ()


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        (f"y ~ {X} + x4", {}),
        ("x4 ~ x1 + x5", {}),
        ("y ~ x1", {"weights": "age"}),
        (f"event ~ {X} + (1 | clinic)", {"family": "binomial"}),
        (f"y ~ {X} + I(age > 50)", {}),
    ],
)
def test_other_models_of_the_same_rows_pass(formula, options):
    guard = second(formula, **options)
    assert guard.joint_leverage < 0.5
    assert guard.before(1) == ()


def test_a_covariate_that_comes_again_costs_nothing():
    """x1 to x3 and y stand in both models: the leverage is that of the larger one alone."""
    guard = second(f"y ~ {X} + x4")
    assert guard.joint_leverage == guard.design.leverage


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ I(x1 + (id == 417)) + x2", {}),
        ("I(y + (id == 417)) ~ x1", {}),
        (f"y ~ {X}", {"weights": "I(1 + (id == 417))"}),
        ("I(event + 0) ~ I(x1 + (id == 417)) + (1 | clinic)", {"family": "binomial"}),
        ("event ~ x1 + offset(0.001 * (id == 417)) + (1 | clinic)", {"family": "binomial"}),
        ("y ~ spoilt + x1", {"missing": "drop"}),
    ],
)
def test_models_that_differ_in_one_row_are_refused(formula, options):
    guard = second(formula, **options)
    assert guard.joint_leverage == pytest.approx(1, abs=1e-9)
    assert "differencing-models" in {refusal.rule for refusal in guard.before(1)}


def test_all_earlier_models_are_taken_together():
    """age + clinic + (1 in one row): age stands in one earlier model, clinic in another."""
    for earlier, is_row in [(["y ~ age"], False), (["y ~ clinic"], False), (["y ~ age", "y ~ clinic"], True)]:
        sites = hospitals(OPEN)
        for formula in earlier:
            run(study(formula, list(TABLES.values())), sites)
        guard, _ = sites["A"].guard(study("y ~ I(age + clinic + (id == 417))", list(TABLES.values())))
        assert (guard.joint_leverage > 0.999) == is_row


@pytest.mark.parametrize("how", ["no study", "another format", "no such column"])
def test_an_earlier_model_that_cannot_be_built_again_is_refused(how):
    sites = hospitals(Policy())
    run(LINEAR, sites)
    hospital = sites["A"]
    of, of_request, *answers = hospital.entries
    asked = study("y ~ x1", list(TABLES.values()))
    if how == "no such column":  # the data version says otherwise, but nobody relies on it
        hospital.table = hospital.table.drop(columns="x2")
        forged = replace(requests.decode(of_request.payload), data=hospital.guard(asked)[0].request.data)
        of_request = replace(of_request, payload=requests.encode(forged))
    of = replace(of, payload={"no study": None, "another format": b"format = 99\n"}.get(how, of.payload))
    hospital.entries = (of, of_request, *answers)
    guard, _ = hospital.guard(asked)
    assert math.isnan(guard.joint_leverage)
    assert [refusal.rule for refusal in guard.before(1)] == ["differencing-models"]


def test_an_earlier_model_with_other_decimals_is_built_from_the_rows_as_it_had_them():
    sites = hospitals(Policy())
    run(LINEAR, sites)
    for decimal in (True, False):
        guard, _ = sites["A"].guard(study("y ~ x1", list(TABLES.values()), decimal=decimal))
        assert 0 < guard.joint_leverage < 0.5
        assert guard.before(1) == ()
