"""The study file: TOML and back, its digest, its problems by name, and its plain words."""

import hashlib
import json
import re
from dataclasses import fields, replace
from datetime import date
from functools import reduce
from operator import add

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sumwise.datasets
from sumwise.data import agree, open_sites, parse
from sumwise.data.contract import Contract
from sumwise.disclosure.policy import OPEN, Policy
from sumwise.errors import UsageError
from sumwise.protocol import plain
from sumwise.protocol.study import Options, Study, from_toml, to_toml
from sumwise.protocol.study_problems import _WHOLE, alike, is_site_name
from sumwise.protocol.study_words import _RULES, in_words
from sumwise.protocol.wire.messages import COORDINATOR
from tests.unit.protocol.studies import herds, key, site_keys

SITES = ("north", "south", "Århus west")


def public(name: str) -> bytes:
    return key(name).public_key().public_bytes_raw() if name == COORDINATOR else site_keys(name).public


def columns(*names: str) -> dict:
    return {"columns": [{"name": name, "kind": "number", "levels": []} for name in names], "names": list(names)}


MIXED = Study(
    id="herds-2026",
    purpose="Whether the season changes the risk.",
    formula="cbind(incidence, size - incidence) ~ period + (1 | herd)",
    family="binomial",
    options=Options("error", nodes="auto"),
    contract={**columns("a", "b", "c", "d"), "learned": [{"text": "scale(a)", "mean": 0.1, "sd": 1e300}]},
    sites={name: public(name) for name in SITES},
    coordinator=public(COORDINATOR),
    policy=Policy(),
    secure_sum=False,
    most_rounds=30,
    expires=date(2027, 1, 31),
    results_to=("the steering group",),
    software="0.1.0",
)
LINEAR = replace(
    MIXED,
    formula="y ~ x",
    family="gaussian",
    options=Options("drop", weights="1 / v", decimal=True),
    contract={**columns("(Intercept)", "x"), "weights": "1 / v"},
)

# -- there and back --

words = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,5}){0,3}", fullmatch=True)
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
seen = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=12).filter(
    lambda text: plain.is_visible(text, 64) and is_site_name(text)
)
values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=8,
)
whole = st.integers(0, 2**53) | st.just(float("inf"))
number = whole | st.floats(0, allow_nan=False)
thresholds = {f.name: whole if f.name in _WHOLE else number for f in fields(Policy)} | {"only_expected": st.booleans()}
policies = st.builds(Policy, **{**thresholds, "min_sites": st.integers(0, 2), "max_rounds": st.just(float("inf"))})


@st.composite
def studies(draw):
    weights = draw(st.none() | seen)
    gaussian = Options(
        draw(st.sampled_from(["error", "drop"])), weights=weights, decimal=draw(st.none() | st.booleans())
    )
    binomial = Options("drop", nodes=draw(st.just("auto") | st.integers(1, 1000)))
    family = draw(st.sampled_from(["gaussian", "binomial"]))
    more = draw(st.dictionaries(anything, values, max_size=4))
    names = draw(st.lists(seen, min_size=2, max_size=4, unique_by=alike))
    return Study(
        draw(words),
        draw(seen) + draw(st.sampled_from(["", "\nin two lines", ' "quoted" \\ and # more'])),
        draw(seen),
        family,
        gaussian if family == "gaussian" else binomial,
        {
            **more,
            **columns(*draw(st.lists(anything, max_size=3))),
            "weights": weights if family == "gaussian" else None,
        },
        {name: public(name) for name in names},
        public(COORDINATOR),
        draw(policies),
        len(names) > 2 and (family == "binomial" or gaussian.decimal is False) and draw(st.booleans()),
        draw(st.integers(1, 2**32 - 1)),
        draw(st.dates(date(1000, 1, 1))),
        tuple(draw(st.lists(seen, min_size=1, max_size=3, unique=True))),
        draw(seen),
    )


@given(studies())
@settings(max_examples=60, deadline=None)
def test_a_study_comes_back_from_its_file_with_the_same_digest(study):
    back = from_toml(to_toml(study))
    assert back == study
    assert back.digest() == study.digest()
    assert hash(back) == hash(study)
    for field in fields(Study):
        assert getattr(back, field.name) == getattr(study, field.name)
    assert to_toml(back) == to_toml(study)
    assert all(len(line) <= 100 for line in in_words(study).splitlines())


@pytest.mark.parametrize("missing", ["error", "drop"])
def test_a_contract_comes_back_from_the_file_as_it_was_agreed(missing):
    formula = parse("cbind(incidence, size - incidence) ~ factor(period) + scale(size) + (1 | herd)")
    contract = agree(formula, open_sites(sumwise.datasets.load("cbpp")), missing=missing)
    study = replace(MIXED, contract=contract.to_dict())
    back = from_toml(to_toml(study))
    assert Contract.from_dict(back.contract) == contract
    json.dumps(back.contract)
    assert (
        back.digest() == study.digest() == replace(MIXED, contract=json.loads(json.dumps(contract.to_dict()))).digest()
    )


# -- the digest --

CHANGES = [
    {"id": "herds-2027"},
    {"purpose": MIXED.purpose + " "},
    {"formula": MIXED.formula.replace("period", "size")},
    {"family": "gaussian", "options": Options("error")},
    {"options": Options("drop", nodes="auto")},
    {"options": Options("error", nodes=1)},
    {"options": Options("error", nodes=2)},
    {"contract": columns("a", "b", "c", "d")},
    {"contract": {**MIXED.contract, "learned": [{"text": "scale(a)", "mean": 0.1, "sd": 1e299}]}},
    {"contract": {**MIXED.contract, "names": ["a", "b", "d", "c"]}},
    {"contract": {**MIXED.contract, "more": True}},
    {"contract": {**MIXED.contract, "more": 1}},
    {"contract": {**MIXED.contract, "more": 1.0}},
    {"contract": {**MIXED.contract, "more": "1"}},
    {"contract": {**MIXED.contract, "more": [1]}},
    {"contract": {**MIXED.contract, "more": []}},
    {"contract": {**MIXED.contract, "more": {}}},
    {"sites": {**MIXED.sites, "east": public("east")}},
    {"sites": {**MIXED.sites, "north": public("east")}},
    {"sites": {name + "2": public(name) for name in SITES}},
    {"coordinator": public("another")[:32]},
    *[
        {
            "policy": replace(
                Policy(), **{f.name: False if f.name == "only_expected" else 2 if f.name != "max_rounds" else 31}
            )
        }
        for f in fields(Policy)
    ],
    {"secure_sum": True},
    {"most_rounds": 29},
    {"expires": date(2027, 2, 1)},
    {"results_to": ("the steering group", "the sites")},
    {"results_to": ("the steering groups",)},
    {"software": "0.1.1"},
]


def test_any_change_of_any_field_changes_the_digest():
    changed = [replace(MIXED, **change) for change in CHANGES]
    linear = [
        LINEAR,
        replace(LINEAR, options=Options("drop", weights="1 / v", decimal=False)),
        replace(LINEAR, options=Options("drop", weights="1 / v")),
        replace(LINEAR, options=Options("drop"), contract=columns("(Intercept)", "x")),
        replace(LINEAR, options=Options("drop", weights="v"), contract={**LINEAR.contract, "weights": "v"}),
    ]
    everything = [MIXED, *changed, *linear]
    assert len({study.digest() for study in everything}) == len(everything)
    assert {name for change in CHANGES for name in change} == {field.name for field in fields(Study)}


def test_the_digest_is_that_of_the_content_not_of_the_spelling():
    text = to_toml(MIXED).replace('[\n    "the steering group",\n]', "['the steering group']")
    top, *tables = re.split(r"\n(?=\[\w+\]\n)", text)
    lines = [line for line in top.splitlines() if line and not line.startswith("#")]
    other = "\n".join([*reversed(lines), "", *reversed(tables), "# the end"])
    other = other.replace("min_rows = 20", "min_rows = 2e1 # rows").replace("2027-01-31", '"2027-01-31"')
    other = re.sub('"[0-9a-f]{64}"', lambda hexed: hexed[0].upper(), other)
    assert other != text
    assert from_toml(other) == MIXED
    assert replace(MIXED, sites=dict(reversed(MIXED.sites.items()))) == MIXED


def test_the_digest_of_this_study_is_what_it_was():
    """Its layout may not change without a new version.  From this code, on the day the layout was set."""
    assert MIXED.encode().startswith(b"SUMS\x01\x0a\x00\x00\x00herds-2026")
    assert MIXED.digest().hex() == "d342e82d95b8814f0bba5ecb8e96e684d96e7af16b61e0a61c46d56896f2c0ac"


def test_terms_are_what_the_machines_need():
    terms = MIXED.terms()
    assert terms.study == MIXED.digest()
    assert terms.sites == tuple(sorted(SITES))
    assert {name: k.public_bytes_raw() for name, k in terms.keys.items()} == {
        n: public(n)[:32] for n in (COORDINATOR, *SITES)
    }
    assert terms.masks is None
    masks = replace(MIXED, secure_sum=True).terms().masks
    assert masks is not None
    assert {name: k.public_bytes_raw() for name, k in masks.items()} == {n: public(n)[32:] for n in SITES}
    assert (terms.most_rounds, terms.software, terms.expires) == (30, "0.1.0", date(2027, 1, 31))


# -- problems --

NORTH = public("north").hex()
HUGE = f"0x{'f' * 5000}"
"""TOML and Python read it; Python does not spell it."""

# what a hand did to the file: text, its replacement, what the error says
EDITS = [
    ("most_rounds = 30", "", r"most_rounds: it is missing; a number from 1 belongs there"),
    ("most_rounds = 30", "most_rounds = 0", r"most_rounds: it is 0; a number from 1 belongs"),
    ("most_rounds = 30", "most_rounds = true", r"most_rounds: it is True"),
    ("most_rounds = 30", "most_rounds = 31", r"most_rounds: it is 31; policy.max_rounds asks for 30 or fewer"),
    ("most_rounds = 30", "most_rounds = 30\nrounds = 3", r"rounds: unknown; known are format, id,"),
    ("format = 1", "format = 2", r"format: it is 2; 1, which this version reads, belongs"),
    ("format = 1", "", r"format: it is missing"),
    ('id = "herds-2026"', 'id = "Herds 2026"', r"id: it is 'Herds 2026'; small letters"),
    (
        'family = "binomial"',
        'family = "cauchy"',
        r"family: it is 'cauchy'; \"gaussian\" or \"binomial\" or \"poisson\" or",
    ),
    ('family = "binomial"', 'family = "poisson"', r"options.link: it is missing; a link of the family belongs there"),
    ('family = "binomial"', 'family = ["binomial"]', r"family: it is \['binomial'\]"),
    (
        'family = "binomial"',
        'family = "gaussian"',
        r"options.nodes: the linear model of family 'gaussian' does not know it",
    ),
    ('nodes = "auto"', "nodes = 0", r'options.nodes: it is 0; "auto" or a whole number from 1 to 1000'),
    ('nodes = "auto"', "", r"options.nodes: it is missing"),
    ('nodes = "auto"', 'node = "auto"', r"options.node: unknown; known are missing, nodes"),
    ('missing = "error"', 'missing = "ignore"', r"options.missing: it is 'ignore'"),
    ('missing = "error"', "missing = []", r"options.missing: it is \[\]"),
    ('missing = "error"', "", r"options.missing: it is missing"),
    (NORTH, NORTH[:-1], r"sites.'north': its key is '.*; an Ed25519 and an X25519 public key, 128 hex"),
    (NORTH, "g" + NORTH[1:], r"sites.'north': its key is 'g"),
    (NORTH, "0" * 64 + NORTH[64:], r"sites.'north': its key is '.*neither all zero belongs"),
    (NORTH, NORTH[:64] + "0" * 64, r"sites.'north': its key is '.*neither all zero belongs"),
    (NORTH, NORTH[:64], r"sites.'north': its key is '.*128 hex digits"),
    (NORTH, NORTH[:64] + public("south").hex()[64:], r"sites.'south': its key is that of 'north'; a key of its own"),
    (NORTH, public("south").hex(), r"sites.'south': its key is that of 'north'; a key of its own"),
    (NORTH, public(COORDINATOR).hex() + NORTH[64:], r"sites.'north': its key is that of 'coordinator'"),
    ("north =", "south =", r"the study file is no TOML: Cannot overwrite a value .*twice\?"),
    ("north =", '"no\\u200brth" =', r"sites.'no\\u200brth': this names no site"),
    ("north =", "coordinator =", r"sites.'coordinator': this names no site"),
    ("north =", "Coordinator =", r"sites.'Coordinator': this names no site"),
    ("north =", '"\uff23oordinator" =', r"sites.'Ｃoordinator': this names no site"),
    ("north =", '".." =', r"sites.'..': this names no site"),
    ("north =", "South =", r"sites.'south': it is 'South' in other letters; a name that nobody takes for another"),
    ("north =", '"A\\u030arhus West" =', r"sites.'Århus west': it is 'A\u030arhus West' in other letters"),
    (f'north = "{NORTH}"', "", r"sites: they are 2; policy.min_sites asks for at least 3"),
    ("min_rows = 20", "min_rows = -1", r"policy.min_rows: it is -1; a number, zero or more, belongs there"),
    ("min_rows = 20", "min_rows = nan", r"policy.min_rows: it is nan"),
    ("min_rows = 20", 'min_rows = "20"', r"policy.min_rows: it is '20'"),
    ("min_rows = 20", "min_rows = 9007199254740993", r"policy.min_rows: it is 9007199254740993; a number up to"),
    ("min_rows = 20", "min_rows = 19.5", r"policy.min_rows: it is 19.5; a whole number, or inf, belongs there"),
    ("max_rounds = 30", "max_rounds = 30.5", r"policy.max_rounds: it is 30.5; a whole number, or inf, belongs there"),
    ("min_rows = 20", f"min_rows = {HUGE}", r"policy.min_rows: it is too large to show, of type int; a number up to"),
    (
        "min_rows = 20",
        f"min_rows = [{HUGE}]",
        r"policy.min_rows: it is too large to show, of type list; a number, zero",
    ),
    ("most_rounds = 30", f"most_rounds = {HUGE}", r"most_rounds: it is too large to show, of type int; a number from"),
    ("format = 1", f"format = {HUGE}", r"format: it is too large to show, of type int; 1, which this version reads"),
    ('nodes = "auto"', f"nodes = {HUGE}", r"options.nodes: it is too large to show, of type int"),
    ("[contract]", f"[contract]\nbig = {HUGE}", r"contract.big is too large to show, of type int, which is no finite"),
    (f'north = "{NORTH}"', f"north = {HUGE}", r"sites.'north': its key is too large to show, of type int"),
    ('kind = "number", levels = []', f"kind = {HUGE}, levels = []", r"contract.columns\[0\].kind is too large to show"),
    ("[contract]", '[contract]\n"\\u001b[31mred" = 2027-01-31', r"contract.'\\x1b\[31mred' is of type date"),
    ("most_rounds = 30", 'most_rounds = 30\n"\\u001b[31mred" = 3', r"  '\\x1b\[31mred': unknown; known are format"),
    ("min_rows = 20", 'min_rows = 20\n"\\u001b[31mred" = 3', r"policy.'\\x1b\[31mred': unknown; known are min_rows"),
    (
        'kind = "number", levels = []',
        'kind = "number", levels = [1, "a", {}]',
        r"contract.columns: it is .*texts or numbers",
    ),
    ('kind = "number", levels = []', 'kind = "number", levels = ["a", []]', r"contract.columns: it is "),
    ("min_rows = 20", "", r"policy.min_rows: it is missing; a number belongs there"),
    ("min_rows = 20", "min_row = 20", r"policy.min_row: unknown"),
    ("only_expected = true", "only_expected = 1", r"policy.only_expected: it is 1; true or false belongs"),
    ("expires = 2027-01-31", 'expires = "31.1.2027"', r"expires: it is '31.1.2027'; a day such as 2027-01-31"),
    ("expires = 2027-01-31", 'expires = "2027-02-30"', r"expires: it is '2027-02-30'"),
    ("expires = 2027-01-31", "expires = 2027-01-31T00:00:00", r"expires: it is datetime"),
    (
        "expires = 2027-01-31",
        "expires = 2026-12-31",
        r"expires: 2026-12-31 is past, today is 2027-01-01; a day to come",
    ),
    ('"the steering group",', "", r"results_to: it is \(\); a list of names"),
    ('"the steering group"', "1", r"results_to: it is \[1\]"),
    ('"the steering group"', '"a", "a"', r"results_to: it is \('a', 'a'\); a list of names, each once"),
    ('software = "0.1.0"', "software = 0.1", r"software: it is 0.1"),
    ('"Whether the season', '"\\u202eWhether the season', r"purpose: it is '\\u202eWhether"),
    ("[contract]", "[contract]\nday = 2027-01-31", r"contract: contract.day is of type date, not a number, text"),
    ("[contract]", "[contract]\nbig = 9223372036854775808", r"contract.big is 9223372036854775808, which is no finite"),
    ("[contract]", "[contract]\nbad = inf", r"contract.bad is inf"),
    ("[contract]", f"[contract]\ndeep = {'[' * 9}{']' * 9}", r"contract.deep.* is nested deeper than 8"),
    ("[contract]", f"[contract]\ndeep = {'[' * 5000}{']' * 5000}", r"no TOML|nested deeper than 8"),
    ("[contract]", f"[contract]\nlong = '{'a' * 10001}'", r"contract.long is a text of 10001 characters"),
    ("[contract]", "[contract]\nweights = 'v'", r"contract.weights: it is 'v'; options.weights, None, belongs there"),
    ('name = "a", kind = "number"', 'name = "a"', r"contract.columns: it is .*a list of tables, each with name, kind"),
    ('kind = "number", levels = []', 'kind = "number", levels = 3', r"contract.columns: it is "),
    ('kind = "number", levels = []', 'kind = "number", levels = [], unit = 3', r"contract.columns: it is "),
    ('kind = "number", levels = []', 'kind = "number", levels = [], low = "zero"', r"contract.columns: it is "),
    ('kind = "number", levels = []', 'kind = "number", levels = [], high = true', r"contract.columns: it is "),
    ("names = [", "name = [", r"contract.names: it is None; a list of the names of the columns of X belongs"),
    ('{ text = "scale(a)", mean = 0.1, sd = 1e+300 }', "inf", r"contract.learned\[0\] is inf"),
    ("secure_sum = false", "", r"secure_sum: it is missing; true or false belongs there"),
    ("secure_sum = false", "secure_sum = 1", r"secure_sum: it is 1; true or false belongs"),
    ("[contract]", "[contract", r"the study file is no TOML: .*line"),
]


@pytest.mark.parametrize(("text", "by", "says"), EDITS)
def test_a_problem_of_a_file_is_named_with_key_fault_and_remedy(text, by, says):
    file = to_toml(MIXED)
    assert text in file
    with pytest.raises(UsageError, match=says):
        from_toml(file.replace(text, by, 1), today=date(2027, 1, 1))


def test_a_secure_sum_needs_three_sites_and_units_that_no_site_chose():
    two = {name: public(name) for name in SITES[:2]}
    with pytest.raises(UsageError, match="secure_sum: sites are 2; with fewer than 3 a sum hides nothing"):
        replace(MIXED, secure_sum=True, sites=two, policy=OPEN)
    for decimal in (True, None):
        options = replace(LINEAR.options, decimal=decimal)
        with pytest.raises(UsageError, match=r"binary numbers of 64 bits: set options.decimal = false"):
            replace(LINEAR, secure_sum=True, options=options)
    assert replace(LINEAR, secure_sum=True, options=replace(LINEAR.options, decimal=False)).secure_sum


def test_all_problems_are_named_at_once():
    file = to_toml(MIXED)
    for text, by in [("format = 1", ""), ("most_rounds = 30", "most_rounds = 0"), (NORTH, "x"), ("min_cell = 5", "")]:
        file = file.replace(text, by)
    with pytest.raises(UsageError) as error:
        from_toml(file)
    found = [line.split(":")[0].strip() for line in str(error.value).splitlines()[1:]]
    assert sorted(found) == ["format", "most_rounds", "policy.min_cell", "sites.'north'"]


@pytest.mark.parametrize("name", ["options", "sites", "policy", "contract"])
def test_a_table_that_is_none_is_named(name):
    """Tables come last in the file: what follows `name` is cut off, and a number put in its place."""
    file = to_toml(MIXED)
    file = re.sub(rf"\n\[{name}\]\n(?:(?!\n\[\w+\]).|\n(?!\[\w+\]))*", "\n", file, flags=re.S)
    file = re.sub(rf"\n\[\[{name}\.\w+\]\]\n(?:(?!\n\[).)*", "\n", file, flags=re.S)
    with pytest.raises(UsageError, match=rf"{name}: it is missing"):
        from_toml(file)
    with pytest.raises(UsageError, match=rf"{name}: it is 1; a table"):
        from_toml(f"{name} = 1\n" + file)


def test_the_last_day_is_not_past():
    file = to_toml(MIXED)
    assert from_toml(file, today=date(2027, 1, 31)) == MIXED
    with pytest.raises(UsageError, match="expires: 2027-01-31 is past"):
        from_toml(file, today=date(2027, 2, 1))


def test_a_file_beyond_any_study_is_not_read():
    with pytest.raises(UsageError, match="a study file of 4194305 characters is too long"):
        from_toml(" " * 4194305)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_file_is_another_study_or_refused(data):
    file = to_toml(MIXED)
    at = data.draw(st.integers(0, len(file) - 1))
    damaged = (
        file[:at] + data.draw(st.characters(codec="utf-8") | st.just("")) + file[at + data.draw(st.integers(0, 3)) :]
    )
    try:
        study = from_toml(damaged)
    except UsageError:
        return
    assert from_toml(to_toml(study)) == study


# -- in plain words --


def flat(study: Study) -> str:
    return re.sub(r"\s+", " ", in_words(study))


def test_words_of_a_linear_study_count_what_its_summand_holds():
    """p = 2: a Gram of 3 columns has 6 entries; units are two numbers for each of 3 columns and for the weights."""
    text = flat(LINEAR)
    for said in (
        "y ~ x, a linear model by least squares",
        "6 sums over rows",
        "3 columns",
        "weighted",
        "2 counts",
        "8 numbers that say in which units",
        "Rows are weighted by 1 / v",
        "exact decimals",
        "1 sum: of the logarithms",
    ):
        assert said in text
    assert "logarithms" not in flat(replace(LINEAR, options=Options("drop"), contract=columns("(Intercept)", "x")))


def test_words_of_a_mixed_study_count_what_its_summands_hold():
    """p = 4, q = 5: 10 sums in round 1, and 2 + q + q (q + 1) / 2 = 22 in each later one (glmm_messages.Summand)."""
    text = flat(MIXED)
    for said in (
        "10 sums over rows and groups",
        "22 sums over groups",
        "5 first and 15 second derivatives",
        "At most 30 rounds",
        "random intercept",
        "Names of groups",
        "2 constants",
        "all sites",
        "Last day on which a site answers: 2027-01-31",
        MIXED.digest().hex(),
    ):
        assert said in text or said.capitalize() in text


def test_the_counts_in_words_are_those_of_real_answers():
    model, sites, rows = herds()
    state = model.start()
    first = [site.answer(model.ask(state)) for site in sites.values()]
    state = model.step(state, reduce(add, first))
    later = next(iter(sites.values())).answer(model.ask(state))
    text = flat(replace(MIXED, contract=columns(*rows.columns)))
    assert f"and {first[0].columns.shape[0] + first[0].totals.shape[0]} sums over rows and groups" in text
    assert f"In each later round: {later.values.shape[0]} sums over groups" in text


def test_words_name_every_threshold_and_what_is_switched_off():
    assert {*_RULES, "only_expected"} == {field.name for field in fields(Policy)}
    text = flat(MIXED)
    for said in ("Fewer than 20 rows.", "Fewer than 3 sites", "More than 0.1 parameters a row", "bit for bit"):
        assert said in text
    assert "SWITCHED OFF" not in text
    open_text = flat(replace(MIXED, policy=OPEN))
    off = open_text.split("SWITCHED OFF in this study: ")[1].split(".")[0]
    assert off.split(", ") == [field.name for field in fields(Policy) if field.name != "only_expected"]
    assert "only_expected = false in this study changes nothing: sites compare every question" in open_text
    assert "bit for bit" in open_text
    assert "LAXER" not in open_text


IDLE = [
    *[{name: 1e-9} for name in ("min_effective", "min_cell", "min_effective_rows", "min_effective_share")],
    *[{name: 1} for name in _WHOLE if name not in ("max_rounds", "min_group_rows")],
    {"min_group_rows": 0},
    {"max_parameters_per_row": 1e300},
    {"max_leverage": 1e300},
    {"max_leverage": 1},
    {"max_digit_gap": 2097},
    {"max_eta_range": 1e6},
    {"max_rounds": 2**53},
]


@pytest.mark.parametrize("thresholds", IDLE)
def test_a_threshold_that_refuses_nothing_is_switched_off_in_words(thresholds):
    ((name, _),) = thresholds.items()
    text = flat(replace(MIXED, policy=Policy(**thresholds)))
    off = text.split("SWITCHED OFF in this study: ")[1].split(".")[0].split(", ")
    assert off[0] == name
    assert off[1:] == (["max_digit_gap"] if name == "min_effective" else [])  # it looks at fewer rows than that


@pytest.mark.parametrize(
    ("thresholds", "line"),
    [
        ({"min_rows": 19}, "Fewer than 19 rows. (LAXER than the default, 20)"),
        ({"min_effective": 4.9999999}, "effectively. (LAXER than the default, 5)"),
        ({"max_leverage": 0.50000001}, "more than 0.50000001 of the sum"),
        ({"max_leverage": 0.50000001}, "columns. (LAXER than the default, 0.5)"),
        ({"max_rounds": 31}, "More than 31 questions. (LAXER than the default, 30)"),
        ({"max_parameters_per_row": 0.2}, "More than 0.2 parameters a row. (LAXER than the default, 0.1)"),
    ],
)
def test_a_threshold_laxer_than_the_default_is_marked_in_words(thresholds, line):
    text = flat(replace(MIXED, policy=Policy(**thresholds)))
    assert line in text
    assert text.count("LAXER") == 1
    assert "SWITCHED OFF" not in text


def test_default_and_stricter_thresholds_are_not_marked():
    strict = {f.name: f.default * (0.5 if f.name.startswith("max_") else 2) for f in fields(Policy)}
    for policy in (Policy(), Policy(**{**strict, "only_expected": True, "min_sites": 3, "max_rounds": 30})):
        text = flat(replace(MIXED, policy=policy))
        assert "LAXER" not in text
        assert "SWITCHED OFF" not in text
    assert "A group with fewer rows than 1. (never, and so by default)" in flat(MIXED)


def test_words_show_fingerprints_of_the_sites_keys():
    for name in SITES:
        assert f"{name} ({hashlib.sha256(public(name)).hexdigest()[:12]})" in flat(MIXED)


def test_words_tell_of_the_wire_and_of_what_the_contract_holds():
    for study in (MIXED, LINEAR):
        assert "signed, not encrypted" in flat(study)
        assert "the name of the rule and its threshold" in flat(study)
    assert "Names of columns, and nothing of what is in them." in flat(LINEAR)
    district = {"name": "district", "kind": "text", "levels": ["a", "b"]}
    more = replace(LINEAR, contract={**LINEAR.contract, "columns": [district], "notes": "x"})
    assert "Names of the levels of district (2)" in flat(more)
    assert "does not know: look at notes" in flat(more)
    with pytest.raises(UsageError, match=r"contract.learned: it is 1; a list of constants"):
        replace(LINEAR, contract={**LINEAR.contract, "learned": 1})


def test_words_tell_what_masks_do_and_what_not():
    """Widths: 3 sites, sums of 2175 bits; products of two or three numbers of 2100 bits and counts of 63."""
    options = replace(LINEAR.options, decimal=False)
    for study, bits in ((MIXED, 2184), (replace(LINEAR, options=options), 6368)):
        text = flat(replace(study, secure_sum=True))
        for said in (
            f"masked, as whole numbers of {bits} bits",
            "learns the total over all sites and no site's own sums",
            "(two of three)",
            "EXPERIMENTAL",
            "at least three sites",
        ):
            assert said in text
            assert said not in flat(study)
        assert "The coordinator sees the sums of each site" not in text
        assert "in which units" not in text


def test_words_show_units_and_ranges():
    first, *others = MIXED.contract["columns"]
    agreed = {**MIXED.contract, "columns": [{**first, "unit": "mm Hg", "low": 0, "high": 250.5}, *others]}
    assert f"{first['name']} ({first['kind']}, in mm Hg, from 0 to 250.5)" in flat(replace(MIXED, contract=agreed))


def test_words_show_what_cannot_be_seen():
    hidden = {**MIXED.contract, **columns("a\u202eb\nc")}
    assert "a\\u202eb\\nc (number)" in flat(replace(MIXED, contract=hidden))
