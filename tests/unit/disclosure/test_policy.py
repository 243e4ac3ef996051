"""The disclosure policy: thresholds, facts, and what refusals say."""

import inspect
import math
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.disclosure import policy
from sumwise.disclosure.facts import (
    DesignFacts,
    Facts,
    QuestionFacts,
    Request,
    joint_leverage,
    linear_columns,
    linear_design,
    mixed_columns,
    mixed_design,
    mixed_question,
    row_set,
)
from sumwise.disclosure.figures import digit_gaps, effective, effective_count, leverage
from sumwise.disclosure.policy import OPEN, RULES, Policy, Refusal, check, meaning, stricter
from sumwise.errors import UsageError
from sumwise.maths.columns import Column
from sumwise.protocol.wire.messages import Refuse, decode, encode
from tests.unit.protocol.blocks import QUIET, Block, block, linear_facts, mixed_facts, point

ONES = np.ones(1000)

DESIGN = DesignFacts(
    rows=1000,
    parameters=6,
    groups=10,
    smallest_group=100,
    effective={"age": 600.0},
    cells={("urban", "the response"): 80.0},
    leverage=0.02,
    digit_gaps=(1.0, 0.0),
)
QUESTION = QuestionFacts(rows=1000, concentration=900.0, effective={"age": 500.0}, eta_range=4.0)
FACTS = Facts(DESIGN, QUESTION, QUIET)


def design(**changes) -> Facts:
    return replace(FACTS, design=replace(DESIGN, **changes))


def question(**changes) -> Facts:
    return replace(FACTS, question=replace(QUESTION, **changes))


def study(**changes) -> Facts:
    return replace(FACTS, study=replace(QUIET, **changes))


def request(**changes) -> Request:
    return replace(QUIET.request, **changes)


def without(rows: int) -> int:
    """The rows of QUIET but for so many of them."""
    return QUIET.request.rows >> rows


# rule, facts just within the default policy, facts just beyond it.  The thresholds are those of the column "proposal"
# of the notes on federation: 5 in a cell, 20 rows, 0.10 parameters a row, 3 sites, an effective count of 5 a column and
# of max(20, n/10) for weights; the others are ours.
EDGES = [
    ("minimum-rows", design(rows=60), design(rows=19, parameters=1)),
    ("minimum-groups", design(groups=5), design(groups=4)),
    ("minimum-group-size", design(smallest_group=1), design(smallest_group=0)),
    ("parameters-per-row", design(parameters=100), design(parameters=101)),
    ("effective-count", design(effective={"a": 9, "b": 5}), design(effective={"a": 9, "b": 4.99})),
    ("cell-count", design(cells={("a", "b"): 5}), design(cells={("a", "b"): 4})),
    ("leverage", design(leverage=0.5), design(leverage=0.51)),
    ("group-leverage", design(group_leverage=0.5), design(group_leverage=0.51)),
    ("digit-gap", design(digit_gaps=(0, 0, 0, 16, 50)), design(digit_gaps=(0, 0, 0, 17))),
    ("digit-gap", question(digit_gaps=(16, 0, 0, 0, 50)), question(digit_gaps=(0, 17))),
    ("weight-concentration", question(concentration=100), question(concentration=99)),
    ("weight-concentration", question(rows=30, concentration=20), question(rows=30, concentration=19)),
    ("weighted-effective-count", question(effective={"a": 5}), question(effective={"a": 4.99})),
    ("predictor-range", question(eta_range=30), question(eta_range=30.1)),
    ("group-leverage", question(group_leverage=0.5), question(group_leverage=0.51)),
    ("minimum-sites", study(), study(request=request(sites=frozenset("AB")))),
    ("differencing-rows", study(earlier=(request(rows=without(20)),)), study(earlier=(request(rows=without(19)),))),
    (
        "differencing-sites",
        study(earlier=(request(sites=frozenset("ABCDEF")),)),
        study(earlier=(request(sites=frozenset("BCD")),)),
    ),
    (
        "differencing-models",
        study(earlier=(request(model=b"other"),), joint_leverage=0.5),
        study(earlier=(request(model=b"other"),), joint_leverage=0.6),
    ),
    ("round-limit", study(round=30), study(round=31)),
    ("expected-question", study(received=b"a", expected=b"a"), study(received=b"a", expected=b"b")),
]


@pytest.mark.parametrize(("rule", "within", "beyond"), EDGES)
def test_a_rule_refuses_beyond_its_threshold_and_not_at_it(rule, within, beyond):
    assert check(within, Policy()) == ()
    assert [refusal.rule for refusal in check(beyond, Policy())] == [rule]
    assert check(beyond, OPEN) == ()


def test_every_rule_has_an_edge_and_says_which_attack_it_stops():
    refused = {refusal.rule for _, _, beyond in EDGES for refusal in check(beyond, Policy())}
    assert len(refused) == len(RULES)
    public = [f for _, f in inspect.getmembers(policy, inspect.isfunction) if f.__name__[0] != "_"]
    assert {f for f in public if list(inspect.signature(f).parameters) == ["facts", "policy"]} - {check} == set(RULES)
    for rule in RULES:
        assert rule.__doc__.startswith("Stops: ")


NAN = [
    design(rows=math.nan),
    design(effective={"a": 9.0, "b": math.nan, "c": 8.0}),
    design(leverage=math.nan),
    design(group_leverage=math.nan),
    question(concentration=math.nan),
    question(eta_range=math.nan),
    question(group_leverage=math.nan),
    study(earlier=(request(model=b"other"),), joint_leverage=math.nan),
]


@pytest.mark.parametrize("facts", NAN)
def test_a_figure_that_is_no_number_is_refused_by_any_policy(facts):
    assert check(facts, Policy())
    assert check(facts, OPEN)


def test_what_travels_is_the_same_whatever_the_figures_are():
    """The rule, a token, and a finite threshold of the policy; a message has no room for other ones."""
    found = [check(design(rows=n, parameters=0), Policy())[0] for n in range(20)]
    assert {(refusal.rule, refusal.threshold) for refusal in found} == {("minimum-rows", 20.0)}
    assert [refusal.figure for refusal in found] == list(range(20))
    far = [question(rows=n, concentration=c) for n in (30, 10**6) for c in (1.0, 10.0, 19.0)]
    found = [refusal for facts in far for refusal in check(facts, Policy())]
    assert {(refusal.rule, refusal.threshold) for refusal in found} == {("weight-concentration", 20.0)}
    thresholds = {float(getattr(Policy(), field.name)) for field in fields(Policy)} | {0.0}
    for _, _, beyond in EDGES:
        for refusal in check(beyond, Policy()):
            assert refusal.threshold in thresholds


@pytest.mark.parametrize("policy", [OPEN, Policy(min_rows=math.inf, min_effective=math.inf, max_leverage=-0.0)])
def test_every_refusal_fits_into_a_message(policy):
    for facts in [*NAN, *(beyond for _, _, beyond in EDGES)]:
        for refusal in check(facts, policy):
            sent = Refuse(bytes(32), "north", 1, 1, refusal.rule, refusal.threshold)
            assert decode(encode(sent)) == sent
            assert meaning(refusal.rule, refusal.threshold)


def test_everybody_may_read_the_meaning_and_the_steward_the_words():
    small = check(design(cells={("urban", "the response"): 4, ("urban", "old"): 9}), Policy())[0]
    assert small.words == "rows in a cell of 'urban' and 'the response': 4; the policy asks for at least 5"
    assert str(small) == f"cell-count: {small.words}"
    assert (
        meaning(small.rule, small.threshold) == "cell-count: a cell of two columns of two values with fewer than 5 rows"
    )
    assert meaning("minimum-rows", 20.0) == "minimum-rows: fewer than 20 rows"
    assert meaning("leverage", 0.5).startswith("leverage: a row with more than 0.5 of")
    assert meaning("of-tomorrow", 3.0) == (
        "of-tomorrow: a rule that this version of Sumwise does not know, with threshold 3"
    )


def test_the_words_have_the_figure_and_the_meaning_only_the_threshold():
    for _, _, beyond in EDGES:
        for refusal in check(beyond, Policy()):
            said = meaning(refusal.rule, refusal.threshold)
            assert set(re.findall(r"\d+(?:\.\d+)?", said)) <= {f"{refusal.threshold:g}"}
            assert not {"a", "b"} & set(re.findall(r"'(.*?)'", said))
            if refusal.rule != "expected-question":
                assert f"{refusal.figure:g}" in refusal.words
                assert f"{refusal.threshold:g}" in said
    worst = check(design(effective={"a": 9.0, "b": math.nan, "c": 1.0}), Policy())[0]
    assert worst.words.startswith("rows that 'b' rests on, effectively: nan")
    unknown = check(study(earlier=(request(model=b"other"),), joint_leverage=math.nan), Policy())[0]
    assert unknown.words.startswith("an earlier model of these rows cannot be built again")


def test_refusals_come_in_the_order_of_the_rules_and_all_of_them():
    facts = replace(design(rows=3, leverage=1.0), study=replace(QUIET, round=99))
    rules = [refusal.rule for refusal in check(facts, Policy())]
    assert rules == ["minimum-rows", "parameters-per-row", "leverage", "round-limit"]
    assert isinstance(check(facts, Policy())[0], Refusal)


# -- the page about it --


def rules_of_the_page() -> list[tuple[str, dict[str, str], str]]:
    """(rule, {threshold of the policy: default}, all of it) of each line of the table."""
    page = (Path(__file__).parents[3] / "docs" / "disclosure.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| `([a-z-]+)` \| (.*?) \|(.*)$", page, re.MULTILINE)
    return [(rule, dict(re.findall(r"`(\w+)` = ([\w.]+)", named)), named + rest) for rule, named, rest in lines]


def test_the_page_lists_the_rules_in_their_order_with_their_defaults():
    found = {rule: named for rule, named, _ in rules_of_the_page()}
    assert list(found) == list(dict.fromkeys(rule for rule, _, _ in EDGES))
    defaults = {
        f.name: f"{f.default:g}" if f.name != "only_expected" else str(f.default).lower() for f in fields(Policy)
    }
    assert {name: default for of_rule in found.values() for name, default in of_rule.items()} == defaults


@pytest.mark.parametrize(("rule", "beyond"), [(rule, beyond) for rule, _, beyond in EDGES])
def test_the_thresholds_that_the_page_names_switch_the_rule_off_and_no_other_does(rule, beyond):
    ((named, line),) = [(named, line) for of, named, line in rules_of_the_page() if of == rule]
    assert check(beyond, replace(Policy(), **{name: getattr(OPEN, name) for name in named})) == ()
    others = {f.name: getattr(OPEN, f.name) for f in fields(Policy) if f"`{f.name}`" not in line}
    assert [refusal.rule for refusal in check(beyond, replace(Policy(), **others))] == [rule]


# -- thresholds --

numbers = st.one_of(st.integers(0, 100), st.floats(0, 100), st.just(math.inf))
policies = st.builds(
    Policy, **{f.name: st.booleans() if f.name == "only_expected" else numbers for f in fields(Policy)}
)


@given(policies, policies)
@settings(max_examples=40, deadline=None)
def test_the_stricter_policy_refuses_what_either_refuses(a, b):
    both = stricter(a, b)
    for facts in [edge for _, *edges in EDGES for edge in edges]:
        rules = {refusal.rule for refusal in check(facts, both)}
        assert rules >= {refusal.rule for p in (a, b) for refusal in check(facts, p)}


@given(policies, policies, policies)
def test_stricter_is_commutative_associative_and_idempotent(a, b, c):
    assert stricter(a, b) == stricter(b, a)
    assert stricter(stricter(a, b), c) == stricter(a, stricter(b, c))
    assert stricter(a, a) == a
    assert stricter(a, OPEN) == a


@pytest.mark.parametrize("value", [-1, math.nan, "5", None, True])
def test_thresholds_are_numbers(value):
    with pytest.raises(UsageError, match=f"min_rows={value!r}: thresholds are numbers"):
        Policy(min_rows=value)


def test_only_expected_is_true_or_false():
    with pytest.raises(UsageError, match="only_expected=1: it is true or false"):
        Policy(only_expected=1)


# -- facts --


def test_the_effective_count_of_k_equal_numbers_is_k():
    assert effective_count(np.array([0, 3.0, -3, 0, 3])) == pytest.approx(3, rel=1e-15)
    assert effective_count(np.array([1e-300, 1e300, 0])) == 1
    assert effective_count(np.array([5e-324, 5e-324])) == 2
    assert effective_count(np.zeros(3)) == math.inf
    assert effective_count(np.array([np.inf, 1])) == 0
    assert effective_count(np.array([np.nan, 1])) == 0


@given(st.integers(1, 99), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.randoms())
@settings(deadline=None)
def test_the_effective_count_of_a_column_of_two_values_is_that_of_the_rarer(k, low, high, random):
    if abs(low - high) < 1e-3:
        high = low + 1
    values = [low] * k + [high] * (100 - k)
    random.shuffle(values)
    assert effective(np.array(values), np.ones(100)) == pytest.approx(min(k, 100 - k), rel=1e-9)


def test_near_dummies_count_as_the_dummies_they_are():
    """The column of the attack; random dust in place of 1e-9, and a rare value that is the most frequent one; the
    same upside down and far from zero.
    """
    rng = np.random.default_rng(1)
    three = np.where(np.arange(1000) % 2, 1e-9, 0.0)
    dust = rng.random(1000) * 1e-9
    for column in (three, dust, 1 - dust, 7 + 1e3 * dust):
        for rare in (1, 2, 4):
            changed = column.copy()
            changed[:rare] = 3.0
            assert effective(changed, ONES) == pytest.approx(rare, rel=1e-3)


def test_columns_as_studies_have_them_count_most_rows():
    """Normal: (E|x|)^2 / E x^2 = 2/pi of the rows; lognormal, and a five-point scale: a good part of them."""
    rng = np.random.default_rng(2)
    assert effective(rng.normal(size=1000), ONES) == pytest.approx(2000 / np.pi, rel=0.05)
    assert effective(rng.lognormal(0, 1, 1000), ONES) > 100
    assert effective(rng.integers(1, 6, 1000).astype(float), ONES) > 500
    assert effective(ONES, ONES) == math.inf


def test_weights_count_in_columns():
    """Ten ones, nine of which weigh nothing; and the complement of a column whose zeros weigh nothing but one."""
    few = (np.arange(1000) < 10).astype(float)
    weights = np.where((few == 1) & (np.arange(1000) > 0), 1e-9, 1.0)
    assert effective(few, weights) == pytest.approx(1, rel=1e-6)
    half = (np.arange(1000) < 500).astype(float)
    weights = np.where((half == 0) & (np.arange(1000) < 999), 1e-9, 1.0)
    assert effective(half, weights) == pytest.approx(1, rel=1e-5)
    assert effective(half, 0 * weights) == 0
    assert effective(half, np.nan * weights) == 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 3000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_effective_count_is_that_about_the_weighted_median(seed, n, rough):
    """Against the plain sum over all rows by size, also where rows are added up in pieces on the way."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, n).astype(float) if rough else rng.normal(size=n)
    weights = rng.integers(0, 3, n).astype(float) + (np.arange(n) == 0)  # whole: sums are exact in any order
    order = np.argsort(x)
    below = np.cumsum(weights[order])
    away = np.abs(x - x[order][below >= below[-1] / 2][0]) * weights
    plain = away.sum() ** 2 / (away**2).sum() if away.any() else math.inf
    assert effective(x, weights) == pytest.approx(plain, rel=1e-12)
    assert effective(x, weights, order) == effective(x, weights)


def test_leverage_is_that_of_the_hat_matrix():
    rng = np.random.default_rng(3)
    X, w = rng.normal(size=(50, 4)), rng.random(50)
    root = np.sqrt(w)[:, None] * X
    hat = root @ np.linalg.inv(root.T @ root) @ root.T
    columns = [Column((np.ascontiguousarray(x),)) for x in X.T]
    assert leverage(columns, w) == pytest.approx(np.diag(hat).max(), rel=1e-12)
    doubled = [*columns, Column((2 * X[:, 0],)), Column((np.zeros(50),))]  # dependent columns span nothing new
    assert leverage(doubled, w) == pytest.approx(np.diag(hat).max(), rel=1e-12)
    assert leverage([], None) == 0
    assert leverage([Column((np.zeros(5),))], None) == 0


def test_leverage_of_an_indicator_is_one_over_its_count():
    for count in (1, 2, 5):
        column = Column(((np.arange(100) < count).astype(float),))
        assert leverage([column], None) == pytest.approx(1 / count, rel=1e-15)


def test_joint_leverage_is_that_of_all_columns_side_by_side():
    """Two models of some of 60 rows, one of them weighted: the hat matrix of sqrt(w) x and x, zero elsewhere."""
    rng = np.random.default_rng(8)
    one = Block(tuple(rng.normal(size=(3, 50))), rng.normal(size=50), weights=rng.random(50))
    two = Block((*rng.normal(size=(2, 40)),), rng.normal(size=40), offset=rng.normal(size=40))
    first, second = rng.permutation(60)[:50], rng.permutation(60)[:40]
    wide = np.zeros((60, 7))
    wide[first, :4] = np.sqrt(one.weights)[:, None] * np.column_stack([*one.x, one.y])
    wide[second, 4:] = np.column_stack([*two.x, two.y - two.offset])
    found = joint_leverage([(linear_columns(one), first), (linear_columns(two), second)], 60)
    hat = wide @ np.linalg.inv(wide.T @ wide) @ wide.T
    assert found == pytest.approx(np.diag(hat).max(), rel=1e-12)
    again = [(linear_columns(one), first), (linear_columns(two), second), (linear_columns(one), first)]
    assert joint_leverage(again, 60) == found  # columns that come twice count once


@pytest.mark.parametrize("change", ["x", "weights"])
def test_weighted_columns_that_differ_in_the_last_bit_of_one_row_are_told_apart(change):
    rng = np.random.default_rng(9)
    rows = Block(tuple(rng.normal(size=(2, 50))), rng.normal(size=50), weights=rng.random(50) + 1)
    values = rows.x[0].copy() if change == "x" else rows.weights.copy()
    values[7] = np.nextafter(values[7], np.inf)
    other = replace(rows, x=(values, rows.x[1])) if change == "x" else replace(rows, weights=values)
    every = np.arange(50)
    assert joint_leverage([(linear_columns(rows), every)], 50) < 0.5
    both = [(linear_columns(rows), every), (linear_columns(other), every)]
    assert joint_leverage(both, 50) == pytest.approx(1, abs=1e-9)


def test_a_mixed_model_has_columns_response_trials_and_offset():
    rows = replace(block(n=30, p=2, binary=True), trials=np.arange(1.0, 31), offset=np.linspace(0, 1, 30))
    found = [column.parts[0] for column in mixed_columns(rows)]
    for expected, column in zip([*rows.x, rows.y, rows.trials, rows.offset], found, strict=True):
        assert np.array_equal(expected, column)


def test_digit_gaps_are_counted_from_the_finest_row():
    """0.5 has its last digit at 2^-1, 3 at 2^0, 1024 at 2^10; zeros have none."""
    assert digit_gaps(np.array([0, 3.0, -1024, 0.5])) == (1, 10)
    assert digit_gaps(np.zeros(4)) == ()
    assert digit_gaps(np.array([5e-324, 1.0])) == (1074,)


def test_digits_of_common_columns_have_no_gaps():
    """Whole numbers, halves among them, tenths, normal numbers and their logarithms pass in all of 200 tables."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        whole = rng.integers(0, 90, 300).astype(float)
        halved = np.where(np.arange(300) < 2, whole + 0.5, whole)
        normal = rng.normal(size=300)
        for x in (whole, halved, np.round(normal, 1), normal, np.exp(normal)):
            assert max(digit_gaps(x)[:4], default=0) <= Policy().max_digit_gap


def test_facts_of_a_mixed_model():
    rows = replace(block(n=100, binary=True), label=np.arange(100) % 7)
    found = mixed_design(rows)
    assert (found.rows, found.parameters, found.groups, found.smallest_group) == (100, 7, 7, 14)
    assert found.effective["successes"] == pytest.approx(rows.y.sum())
    assert found.effective["failures"] == pytest.approx(100 - rows.y.sum())
    assert found.cells == {}


def test_cells_are_counted_among_columns_of_two_values_and_the_response():
    """A class of 50 rows with three successes, and one without any: empty cells hold nobody."""
    y = np.r_[np.ones(3), np.zeros(47), np.ones(25), np.zeros(25)]
    a = np.repeat([1.0, 0.0], 50)
    rows = replace(block(n=100), y=y, x=(np.ones(100), a, 1 - 2 * y))
    assert mixed_design(rows).cells == {("x1", "x2"): 3, ("x1", "the response"): 3, ("x2", "the response"): 28}
    refused = {r.rule for r in check(mixed_facts(rows, point(np.zeros(3))), Policy())}
    assert "cell-count" in refused


def test_trials_are_counted_where_a_row_has_several():
    """Two rows, of 500 trials each, weigh as much as all others: 4 / (2 500^2) of the square of all."""
    trials = np.r_[500.0, 500.0, np.ones(998)]
    rows = replace(block(binary=True), trials=trials)
    found = mixed_question(rows, point(np.zeros(6)))
    assert found.concentration == pytest.approx(1998**2 / (2 * 500**2 + 998), rel=1e-12)
    assert "weight-concentration" in {r.rule for r in check(mixed_facts(rows, point(np.zeros(6))), Policy())}


def test_the_linear_predictor_has_centre_offset_and_group_effects():
    rows = replace(block(n=100, p=2, binary=True), offset=np.linspace(0, 1, 100))
    asked = replace(point([2.0, -1.0]), centre=np.array([0.0, 0.5]))
    effect = np.arange(10.0)
    eta = rows.offset + 2.0 - (rows.x[1] - 0.5) + effect[rows.group]
    p = 1 / (1 + np.exp(-eta))
    found = mixed_question(rows, asked, effect)
    assert found.eta_range == pytest.approx(eta.max() - eta.min(), rel=1e-12)
    w = p * (1 - p)
    assert found.concentration == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-9)


@pytest.mark.parametrize("beta", [[np.inf, 0], [np.nan, 0], [1e308, 1e308]])
def test_parameters_that_are_no_numbers_are_refused(beta):
    facts = mixed_facts(block(p=2, binary=True), point(beta))
    assert "predictor-range" in {r.rule for r in check(facts, Policy())}


def test_a_regression_judges_its_response_like_a_column():
    """One response a thousand times as large as all others: y'y, and X'y, are nearly its own."""
    y = np.r_[1e6, np.random.default_rng(4).normal(size=999)]
    rules = {r.rule for r in check(linear_facts(replace(block(), y=y)), Policy())}
    assert rules == {"effective-count", "leverage"}
    offset = np.r_[1e6, np.zeros(999)]
    moved = replace(block(), y=y, offset=offset)  # an offset takes it away again
    assert check(linear_facts(moved), Policy()) == ()


def test_rows_of_weight_zero_do_not_count():
    rows = replace(block(), weights=(np.arange(1000) < 15).astype(float))
    assert linear_facts(rows).design.rows == 15
    assert "minimum-rows" in {r.rule for r in check(linear_facts(rows), Policy())}


def test_row_sets_have_a_bit_for_each_row():
    assert row_set(np.array([0, 3, 9])) == 0b1000001001
    assert row_set(np.array([], dtype=np.int64)) == 0


# -- differencing --


def test_the_same_request_passes_again_and_another_data_version_is_another_matter():
    now = QUIET.request
    assert check(study(earlier=(now, now)), Policy()) == ()
    other = replace(now, data=b"v2", rows=now.rows >> 1, sites=frozenset("AB"), model=b"other")
    assert check(study(earlier=(other,), joint_leverage=math.nan), Policy()) == ()


def test_all_earlier_requests_are_compared():
    far, near = request(rows=without(500)), request(rows=without(1))
    assert [r.rule for r in check(study(earlier=(far, near)), Policy())] == ["differencing-rows"]


def test_offset_trials_and_weights_are_judged_like_columns():
    """One row that differs in any of them counts as one."""
    one = 1.0 + (np.arange(1000) == 7)
    rows = block(binary=True)
    for name, changed in {"the offset": replace(rows, offset=one), "the trials": replace(rows, trials=one)}.items():
        assert mixed_design(changed).effective[name] == pytest.approx(1)
        assert mixed_design(replace(changed, offset=None, trials=None)).effective.get(name, np.inf) == np.inf
    weighted = linear_design(replace(block(), weights=one))
    assert weighted.effective["the weights"] == pytest.approx(1)
    assert weighted.effective["weights of zero"] == np.inf
    assert linear_design(replace(block(), weights=2 - one)).effective["weights of zero"] == 1
    assert "the weights" not in linear_design(block()).effective
