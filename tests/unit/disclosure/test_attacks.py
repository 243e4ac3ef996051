"""Attacks on plain sums.  Each recovers a row from what a site answers while nothing is refused, as the policy OPEN
does, and is refused by the default policy, by the rule that names it.

The first four run from end to end: a study file, a coordinator, sites with rows, guards and ledgers.  They were tried
on float sums when the project began (n = 1000, p = 6), and the fifth with them; their accuracy is the one found then.
The others are variants that rules against the five alone let pass.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from sumwise.disclosure.facts import spanned
from sumwise.disclosure.figures import leverage
from sumwise.disclosure.policy import OPEN, Policy, check
from sumwise.models import glmm_site, linear
from sumwise.models.glmm_messages import MomentsQuestion
from sumwise.models.linear import LinearQuestion
from sumwise.protocol.study import Study
from tests.unit.protocol.blocks import QUIET, Block, block, linear_facts, mixed_facts, point
from tests.unit.studies.hospitals import TARGET, Asking, Run, hospitals, run, study, tables

NAMES = ("A", "B", "C", "D")
"""Sites; the row that is attacked, TARGET, lies at A."""

TABLES = tables(NAMES)
FIVE = "x1 + x2 + x3 + x4 + x5"


def linear_study(formula: str, sites: Sequence[str] = NAMES[:3], **options) -> Study:
    return study(formula, list(TABLES.values()), sites, **options)


def mixed_study(formula: str) -> Study:
    return study(formula, list(TABLES.values()), NAMES[:3], family="binomial", nodes=1)


def secret(*columns: str) -> np.ndarray:
    """What the attacker is after: these columns of the target row, after an intercept."""
    return np.array([1.0, *TABLES["A"].loc[TARGET, list(columns)].astype(float)])


def attacked(*studies: Study, rule: str, by: Sequence[str] = ("A",)) -> list[Run]:
    """What came of the studies where nothing is refused.  Under the default policy all of them but the last are
    answered, and the sites `by` refuse that one by the rule.
    """
    naive, careful = hospitals(OPEN, NAMES), hospitals(Policy(), NAMES)
    found = [run(of, naive) for of in studies]
    assert not any(one.refused for one in found)
    *before, last = (run(of, careful) for of in studies)
    assert not any(one.refused for one in before)
    assert last.refused == dict.fromkeys(by, rule)
    assert not set(by) & set(last.summands)
    return found


def rounded(sent) -> np.ndarray:
    """A Gram as float64, as an attacker has it who has numpy only."""
    m = sent.columns
    return np.array([[float(sent.fraction(i, j)) for j in range(m)] for i in range(m)])


def gram_of(found: Run, site: str = "A") -> np.ndarray:
    """Cross-products of X and y, which a site answered."""
    return rounded(found.summands[site][0].gram)


def gram(rows: Block) -> np.ndarray:
    """Cross-products of X and y as the site sends them."""
    return rounded(linear.Site(rows).answer(LinearQuestion()).gram)


def information(rows: Block, beta) -> np.ndarray:
    """The logistic information matrix at beta, as the site sends it."""
    return information_in(glmm_site.Site(rows).answer(point(beta)), len(rows.x))


def information_in(sent, p: int) -> np.ndarray:
    """Minus the Hessian in beta, which is the information matrix at theta = 0."""
    values = sent.values.round()
    out, lower = np.zeros((p + 1, p + 1)), np.tril_indices(p + 1)
    out[lower] = -values[2 + p : -1]
    out.T[lower] = out[lower]
    return out[:p, :p]


def indicator(n: int, at: int = TARGET) -> np.ndarray:
    return (np.arange(n) == at).astype(float)


def row(rows: Block, at: int = TARGET) -> np.ndarray:
    """What the attacker is after: the predictors and the response."""
    return np.array([*(x[at] for x in rows.x), rows.y[at]])


def refused_by(facts, policy: Policy = Policy()) -> set[str]:  # noqa: B008  (frozen)
    assert check(facts, OPEN) == ()
    return {refusal.rule for refusal in check(facts, policy)}


def test_harmless_questions_pass():
    """The rows that the attacks work on are answered where the question is an ordinary one."""
    assert check(linear_facts(block()), Policy()) == ()
    rows = block(binary=True)
    for question in (MomentsQuestion(), point(np.zeros(6)), point([0.1, 0.3, 0, 0, 0, 0], 0.5)):
        assert check(mixed_facts(rows, question), Policy()) == ()


# -- from end to end --


@pytest.mark.parametrize(
    ("every", "others"),
    [
        ({"weights": "I(id > 30)"}, {"weights": "I((id > 30) * (id != 417))"}),
        ({}, {"formula": f"y ~ {FIVE} + spoilt", "missing": "drop"}),
    ],
    ids=["by weight", "by a missing value"],
)
def test_1_differencing_of_rows(every, others):
    """Sums over all rows less sums over all but one: x x', x y and y^2 of that row.  Found: below 1e-9.

    A weight leaves the row out, or a covariate that is missing in it.
    """
    every, others = attacked(
        linear_study(**{"formula": f"y ~ {FIVE}", **every}),
        linear_study(**{"formula": f"y ~ {FIVE}", **others}),
        rule="differencing-rows",
    )
    kept = [0, 1, 2, 3, 4, 5, -1]
    left = gram_of(every) - gram_of(others)[np.ix_(kept, kept)]
    assert np.abs(left[0] - secret("x1", "x2", "x3", "x4", "x5", "y")).max() < 1e-9


def test_1_differencing_of_sites():
    """The total over four sites less the total over three of them is the fourth one's summand, masked or not.  That
    site is not asked again: the others protect it.
    """
    four, three = attacked(
        linear_study("y ~ x1 + x2", NAMES),
        linear_study("y ~ x1 + x2", NAMES[:3]),
        rule="differencing-sites",
        by=NAMES[:3],
    )
    left = rounded(four.total.gram) - rounded(three.total.gram)
    assert np.abs(left - gram_of(four, "D")).max() < 1e-9


def test_1_differencing_of_models():
    """x1 in one study, x1 + (1 in one row) in the next: the line of the one less the line of the other is the row."""
    one, other = attacked(
        linear_study(f"y ~ {FIVE}"),
        linear_study("y ~ I(x1 + (id == 417)) + x2 + x3 + x4 + x5"),
        rule="differencing-models",
    )
    line = (gram_of(other) - gram_of(one))[1]
    assert np.abs(np.delete(line - secret("x1", "x2", "x3", "x4", "x5", "y"), 1)).max() < 1e-9


def test_2_rare_indicator():
    """A dummy that is 1 in one row: its line of X'X is the row.  Found: exactly."""
    (found,) = attacked(linear_study(f"y ~ {FIVE} + I(0 + (id == 417))"), rule="effective-count")
    line = np.delete(gram_of(found)[6], 6)
    assert np.array_equal(line, secret("x1", "x2", "x3", "x4", "x5", "y"))


def test_3_near_dummy_with_three_values():
    """0 and 1e-9 in half of the rows each, 1 in one: a rule for columns of exactly two values does not look at it.
    Found: the row to 1.5e-8.
    """
    column = "I(1e-9 * (id > 500) * (id != 417) + (id == 417))"
    (found,) = attacked(linear_study(f"y ~ {FIVE} + {column}"), rule="effective-count")
    line = np.delete(gram_of(found)[6], 6)
    assert np.abs(line - secret("x1", "x2", "x3", "x4", "x5", "y"))[1:].max() < 1e-7


@pytest.mark.parametrize(("scale", "accuracy"), [(1e3, 8e-3), (1e5, 0.0)])
def test_4_chosen_parameters(scale, accuracy):
    """beta so long that one row has x'beta = 0 and all others saturate: n p (1 - p) is that row's alone.
    Found: effective sample size 1.00; error 8e-3 at scale 1e3, 0 at 1e5.

    A site that works out the question itself refuses it under any policy; one that takes it as it comes, under the
    default policy.
    """
    direction = np.random.default_rng(9).normal(size=5)
    guess = float(direction @ secret("x1", "x2", "x3", "x4", "x5")[1:])
    asks = Asking(point(scale * np.array([-guess, *direction])))
    of = mixed_study(f"event ~ {FIVE} + (1 | clinic)")
    sent = run(of, hospitals(OPEN), asks, expects=asks).summands["A"][0]
    found = information_in(sent, 6)
    assert np.abs(found[0] / found[0, 0] - secret("x1", "x2", "x3", "x4", "x5")).max() <= accuracy
    assert run(of, hospitals(Policy()), asks, expects=asks).refused["A"] == "weight-concentration"
    for policy in (OPEN, Policy()):
        assert run(of, hospitals(policy), asks).refused == dict.fromkeys(NAMES[:3], "expected-question")


def test_4_chosen_offset():
    """The same written into the study: an offset, under which the first question is the chosen one.  It is the right
    question, so only the rows that its weights rest on tell.
    """
    guess = secret("x1")[1] + 2 * secret("x2")[1]
    of = mixed_study(f"event ~ x1 + x2 + x3 + offset(1e5 * (x1 + 2 * x2 - ({float(guess)!r}))) + (1 | clinic)")
    naive = run(of, hospitals(OPEN))
    sent = naive.summands["A"][1]
    means = sum(naive.summands[name][0].columns.round() for name in NAMES[:3]) / 3000
    found = information_in(sent, 4)
    assert np.abs(found[0] / found[0, 0] + [0, *means[1:]] - secret("x1", "x2", "x3")).max() < 1e-9
    careful = run(of, hospitals(Policy()))
    assert careful.refused["A"] == "weight-concentration"
    assert len(careful.summands["A"]) == 1  # counts and column sums of round 1


@pytest.mark.parametrize(
    ("more", "rule"),
    [("(id == 417)", "effective-count"), ("(id > 500) + 2 * (id == 417)", "leverage")],
    ids=["two values", "three values"],
)
def test_trials_that_tell_an_outcome(more, rule):
    """One more failure in a single row: its binomial coefficient is 2 with a success and 1 without, and its logarithm
    stands in the sum of round 1.  Hidden among rows of two trials, it is still told by log 3 against log 2.
    """
    (found,) = attacked(mixed_study(f"cbind(event, 1 - event + {more}) ~ x1 + (1 | clinic)"), rule=rule)
    moments = found.summands["A"][0]
    table = TABLES["A"]
    others = np.log(2) * table.event[table.id > 500].sum() if rule == "leverage" else 0.0
    coefficient = np.exp(moments.log_choose - others)
    assert (coefficient > 1.5) == bool(table.event[TARGET])
    assert coefficient == pytest.approx(round(coefficient), abs=1e-9)


def test_a_weight_of_two_in_one_row():
    """Weights of 1, and of 2 where somebody asks how many there are: the sum of weights less the rows."""
    (found,) = attacked(linear_study("y ~ x1 + x2", weights="1 + (id == 417)"), rule="effective-count")
    sent = found.summands["A"][0]
    assert sent.gram.fraction(0, 0) - sent.gram.rows == 1


def test_a_weight_of_zero_in_one_row():
    """The rows that are left out are counted: here one, among weights of two other values."""
    (found,) = attacked(
        linear_study("y ~ x1 + x2", weights="I((1 + (id > 500)) * (id != 417))"), rule="effective-count"
    )
    assert found.summands["A"][0].ignored == 1


def test_a_third_weight_in_one_row():
    """Rows, weights and their logarithms are summed: three equations for the counts of three values."""
    (found,) = attacked(linear_study("y ~ x1 + x2", weights="1 + (id > 500) + 2 * (id == 417)"), rule="leverage")
    sent = found.summands["A"][0]
    sums = np.array([sent.gram.rows, float(sent.gram.fraction(0, 0)), sent.log_weight])
    counts = np.linalg.solve([[1, 1, 1], [1, 2, 3], np.log([1, 2, 3])], sums)
    assert counts == pytest.approx([500, 499, 1], abs=1e-6)


def test_a_row_written_into_free_room_is_not_stopped():
    """docs/disclosure.md: no rule sees it, so the steward who reads the formula must."""
    of = linear_study("age ~ I(1000003 * clinic + (id == 417))")
    found = run(of, hospitals(Policy()))
    assert found.refused == {}
    assert found.summands["A"][0].gram.fraction(1, 2) % 1000003 == TABLES["A"].age[TARGET]


# -- of one answer --


def test_chosen_parameters_are_refused_five_times():
    """Under the policy's figures alone: the effective sample size is 1, and the row is its group's, with its digits."""
    rows = block(binary=True)
    direction = np.random.default_rng(9).normal(size=5)
    guess = float(sum(d * x[TARGET] for d, x in zip(direction, rows.x[1:], strict=True)))
    facts = mixed_facts(rows, point(1e3 * np.array([-guess, *direction])))
    assert facts.question.concentration < 1.2
    rules = {"weight-concentration", "weighted-effective-count", "predictor-range", "digit-gap", "group-leverage"}
    assert refused_by(facts) == rules


def test_5_fewer_rows_than_parameters():
    """n <= p: X'X spans the rows.  With one row it is x x', and the first line of it is the row."""
    rows = block().rows([TARGET])
    assert np.array_equal(gram(rows)[0], row(block()))
    assert refused_by(linear_facts(rows)) >= {"minimum-rows", "parameters-per-row", "leverage"}


def test_two_sites_know_each_other():
    study = replace(QUIET, request=replace(QUIET.request, sites=frozenset("AB")))
    assert refused_by(linear_facts(block(), study)) == {"minimum-sites"}


def test_an_indicator_split_over_two_columns():
    """a, and b = a + (1 in one row): both are ordinary columns, and the line of b less the line of a is the row."""
    rows = block()
    twin = rows.also(rows.x[1] + indicator(1000))
    found = gram(twin)
    assert np.abs((found[6] - found[1])[:6] - row(rows)[:6]).max() < 1e-9
    assert refused_by(linear_facts(twin)) == {"leverage"}


def test_an_indicator_split_over_two_columns_in_the_last_bit():
    """b differs from a in the last bit of one row.  The sums are exact, so their difference still is that row's."""
    rows = block()
    a = rows.x[1]
    b = a.copy()
    b[TARGET] = np.nextafter(a[TARGET], np.inf)
    twin = rows.also(b)
    sent = linear.Site(twin).answer(LinearQuestion()).gram
    unit = Fraction(b[TARGET]) - Fraction(a[TARGET])
    line = [float((sent.fraction(6, c) - sent.fraction(1, c)) / unit) for c in range(6)]
    assert line == row(rows)[:6].tolist()
    assert refused_by(linear_facts(twin)) == {"leverage"}


def test_an_indicator_split_over_two_models():
    """The same with a in one model and b in the next: only the ledger can tell."""
    rows = block()
    other = Block((rows.x[0], rows.x[1] + indicator(1000), *rows.x[2:]), rows.y)
    difference = gram(other)[1] - gram(rows)[1]
    assert np.abs(np.delete(difference - row(rows), 1)).max() < 1e-9
    together = leverage([*spanned(rows), *spanned(other)], None)
    assert together == pytest.approx(1, abs=1e-12)
    earlier = replace(QUIET.request, model=b"the model before")
    study = replace(QUIET, earlier=(earlier,), joint_leverage=together)
    assert refused_by(linear_facts(other, study)) == {"differencing-models"}


def test_a_near_dummy_upside_down():
    """0 or 1, and 1e-9 in one row: in the exact sum the digits below the point are those of this row."""
    column = np.where(np.arange(1000) % 3, 1.0, 0.0)
    column[TARGET] = 1e-9
    ages = np.random.default_rng(3).integers(18, 99, 1000).astype(float)
    rows = block().also(column).also(ages)
    sent = linear.Site(rows).answer(LinearQuestion()).gram.fraction(6, 7)
    assert (sent - int(sent)) / Fraction(1e-9) == int(ages[TARGET])
    assert refused_by(linear_facts(rows)) == {"digit-gap"}


def test_weights_that_are_a_near_dummy_upside_down():
    """Weights of 1, and one of 1 + 2^-40: below the whole numbers the weighted sum of ages holds the age of one row."""
    ages = np.random.default_rng(3).integers(18, 99, 1000).astype(float)
    rows = replace(block(), x=(np.ones(1000), ages), weights=1 + indicator(1000) * 2.0**-40)
    sent = linear.Site(rows).answer(LinearQuestion()).gram.fraction(0, 1)
    assert (sent - int(sent)) * 2**40 == int(ages[TARGET])
    assert refused_by(linear_facts(rows)) == {"digit-gap", "effective-count", "leverage"}


def test_weights_that_leave_one_row():
    """The weights of a regression do what chosen parameters do: the weighted X'X is one row's."""
    rows = replace(block(), weights=np.where(np.arange(1000) == TARGET, 1.0, 1e-12))
    assert np.abs(gram(rows)[0] - row(rows)).max() < 1e-8
    assert refused_by(linear_facts(rows)) >= {"weight-concentration", "leverage"}


def test_parameters_that_spare_most_rows():
    """With a class d of 40 rows and the products d x, beta saturates 39 of the 40 and leaves all other rows alone: the
    weights rest on 961 rows, but the line of d is one of them.
    """
    rows = block(binary=True)
    d = (np.arange(1000) % 25 == TARGET % 25).astype(float)
    wide = rows.also(d).also(d * rows.x[1])
    beta = np.zeros(8)
    beta[6:] = 1e4 * np.array([-rows.x[1][TARGET], 1.0])
    line = information(wide, beta)[6]
    assert np.abs(line[:6] / line[0] - row(rows)[:6]).max() < 1e-9
    lenient = replace(Policy(), max_eta_range=np.inf, min_groups=1)
    assert refused_by(mixed_facts(wide, point(beta)), lenient) == {"weighted-effective-count"}
    assert refused_by(mixed_facts(wide, point(beta))) >= {"predictor-range"}


def test_a_rare_outcome():
    """A single success: X'y, which every gradient holds, is that person's row."""
    rows = replace(block(binary=True), y=indicator(1000))
    p = len(rows.x)
    gradient = glmm_site.Site(rows).answer(point(np.zeros(p))).values.round()[1 : 1 + p]
    sums = glmm_site.Site(rows).answer(MomentsQuestion()).columns.round()
    assert np.abs(gradient + sums / 2 - row(rows)[:6]).max() < 1e-9
    assert refused_by(mixed_facts(rows, MomentsQuestion())) == {"effective-count", "leverage"}
