"""Attacks on single groups of logistic models with a random intercept, and through the columns of linear mixed models.

As in test_attacks.py, each recovers something of one group where nothing is refused, and is refused by the default
policy, by the rule that names it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sumwise.disclosure.facts import mixed_design
from sumwise.disclosure.figures_groups import group_leverage, share
from sumwise.disclosure.policy import OPEN, Policy, check
from sumwise.maths.columns import Column
from sumwise.models import glmm_site
from sumwise.protocol.wire.sums import integers
from sumwise.studies.plan import plan
from tests.unit.disclosure.test_attacks_families import TABLES, asked, attacked
from tests.unit.disclosure.test_attacks_vectors import GROUPS, LOGIT, ROWS, apart, of_victim, people
from tests.unit.protocol.blocks import Block, block, mixed_facts, point
from tests.unit.studies.hospitals import Hospital, run

CLINIC = TABLES["A"][TABLES["A"].clinic == 3]
NAMED = "I(0 + (clinic == 3))"


def refused_by(facts) -> set[str]:
    assert check(facts, OPEN) == ()
    return {refusal.rule for refusal in check(facts, Policy())}


# -- logistic models with a random intercept --


def score_of(events: int, theta: float, intercept: float) -> float:
    """d loglik / d intercept of one clinic of a hundred persons."""
    y = (np.arange(100) < events).astype(float)
    one = Block((np.ones(100),), y, label=np.zeros(100, dtype=int))
    return float(glmm_site.Site(one).answer(replace(point([intercept], theta), orders=(25,))).values.round()[1])


@pytest.mark.parametrize("column", [NAMED, f"I(x2 + {NAMED})", f"I(x2 + 2**-30 * {NAMED})"])
def test_the_clinic_that_a_column_names(column: str):
    """An honest fit: of an indicator of one clinic the gradient is that clinic's, and tells its events among 100; be it
    hidden in another column, or in the last digits of one.
    """
    beside = "x1" if column == NAMED else "x1 + x2"
    of = asked(f"event ~ {beside} + {column} + (1 | clinic)", family="binomial", nodes=25)
    found = attacked(of, "group-leverage")
    moments, answer = found.summands["A"][0], found.summands["A"][1]
    total = found.total
    p = 3 if column == NAMED else 4
    gradient = answer.values.round()[1 : 1 + p]
    centre = total.columns.round() / total.rows
    line = gradient[-1] + centre[-1] * gradient[0]  # of the column itself
    counted = moments.columns.round()[-1]
    if column != NAMED:
        scale = 1.0 if column == f"I(x2 + {NAMED})" else 2.0**-30
        line = (line - gradient[2] - centre[2] * gradient[0]) / scale
        counted = (counted - moments.columns.round()[2]) / scale
    assert counted == pytest.approx(100, abs=1e-4)
    model = plan(of).model
    question = model.ask(model.step(model.start(), total))
    told = [k for k in range(101) if abs(score_of(k, question.theta, question.beta[0]) - line) < 1e-3]
    assert told == [CLINIC.event.sum()]


def test_a_question_under_which_all_groups_saturate_but_one():
    """A hundred rows carry all of the information, and so many rows may; they are one group's."""
    rows = people(LOGIT, apart(0.0, 1.0))
    question = point([0.0, 14.5, 0.0], 1e-3)
    values = glmm_site.Site(rows).answer(question).values.round()
    information = -values[2 + 3 : -1]  # lower triangle in (intercept, x, age, theta)
    assert information[3] / information[0] == pytest.approx(rows.x[2][of_victim(rows)].mean(), rel=1e-3)
    facts = mixed_facts(rows, question)
    assert facts.question.concentration == pytest.approx(ROWS / GROUPS, rel=1e-3)
    assert facts.design.group_leverage < 0.5
    assert refused_by(facts) == {"group-leverage"}


def test_scores_of_one_group_alone():
    """Under parameters that foretell all outcomes but those of one group, the scores are that group's misses."""
    rows = people(LOGIT, apart(-1.0, 1.0))
    rows = replace(rows, y=np.where(of_victim(rows), rows.y, (rows.x[1] > 0).astype(float)))
    question = point([0.0, 14.5, 0.0], 1e-6)
    gradient = glmm_site.Site(rows).answer(question).values.round()[1:4]
    ages, y = rows.x[2][of_victim(rows)], rows.y[of_victim(rows)]
    assert gradient[2] / gradient[0] == pytest.approx((y * ages).sum() / y.sum(), rel=1e-3)
    assert "group-leverage" in refused_by(mixed_facts(rows, question))


def test_most_trials_in_one_group():
    """Sums of columns, over trials of which most are one group's, are nearly its own."""
    label = np.where(np.arange(1000) < 600, 0, 1 + np.arange(1000) % 9)
    rows = Block((np.ones(1000),), block(binary=True).y, label=label)
    assert mixed_design(rows).group_leverage == pytest.approx(0.6)
    assert refused_by(mixed_facts(rows, point([0.0], 0.5))) == {"group-leverage"}


def test_digits_of_one_group_below_all_others():
    """A group whose chances are e^-20 adds numbers whose last digits no other group has: a guess of its ages is found
    right, among forty that are wrong by a year in one row.
    """
    rows = people(LOGIT, np.random.default_rng(3).uniform(-1, 1, ROWS))
    rows = replace(rows, offset=np.where(of_victim(rows), -20.0, 0.0), y=np.where(of_victim(rows), 0.0, rows.y))
    question = point([0.0, 0.3, 0.0], 1e-3)
    place = 1 + 4 + 3  # of the second derivatives, intercept and age

    def answer(some: np.ndarray, ages: np.ndarray) -> int:
        x, label = (rows.x[0][some], rows.x[1][some], ages), np.zeros(int(some.sum()), dtype=int)
        part = Block(x, rows.y[some], offset=rows.offset[some], label=label)
        return integers(glmm_site.Site(part).answer(question).values)[place]

    total = integers(glmm_site.Site(rows).answer(question).values)[place]
    every = [answer(rows.group == g, rows.x[2][rows.group == g]) for g in range(GROUPS)]
    victim = int(rows.group[of_victim(rows)][0])
    below = min(abs(a) & -abs(a) for g, a in enumerate(every) if g != victim)  # lowest digit of the others
    own = rows.x[2][of_victim(rows)]
    guesses = [own + (np.arange(len(own)) == k) for k in range(40)]
    right = [k for k, ages in enumerate([own, *guesses]) if (total - answer(of_victim(rows), ages)) % below == 0]
    assert right == [0]
    assert refused_by(mixed_facts(rows, question)) == {"digit-gap"}


# -- columns of linear mixed models --


def gram(found) -> np.ndarray:
    sent = found.summands["A"][0].gram
    m = sent.columns
    return np.array([[float(sent.fraction(i, j)) for j in range(m)] for i in range(m)])


def test_the_clinic_that_a_column_of_a_linear_mixed_model_names():
    """The line of its indicator in X'X and X'y: number, mean age and mean response of a clinic."""
    found = attacked(asked(f"y ~ age + {NAMED} + (1 | clinic)"), "group-leverage")
    line = gram(found)[2]
    assert line[0] == 100
    assert line[[1, 3]] / 100 == pytest.approx(CLINIC[["age", "y"]].mean().to_numpy(), rel=1e-12)


def test_a_clinic_in_the_last_digits_of_a_column():
    """x1, and x1 + 2^-30 in one clinic: sums are exact, so their difference is the clinic's."""
    found = attacked(asked(f"y ~ x1 + I(x1 + 2**-30 * {NAMED}) + age + (1 | clinic)", decimal=False), "group-leverage")
    sent = found.summands["A"][0].gram
    ages = float((sent.fraction(2, 3) - sent.fraction(1, 3)) * 2**30)
    assert ages == pytest.approx(CLINIC.age.sum(), rel=1e-4)


def test_weights_under_which_one_clinic_counts():
    found = attacked(asked("y ~ age + (1 | clinic)", weights="1e-4 + (clinic == 3)"), "group-leverage")
    assert gram(found)[0, 1] / gram(found)[0, 0] == pytest.approx(CLINIC.age.mean(), rel=1e-2)


def test_a_response_that_is_another_combination_of_columns_in_one_clinic():
    """y = 2 x1 in all clinics but one: X'(y - 2 x1) is the sum over that clinic."""
    frames = {
        name: frame.assign(y=np.where(frame.clinic == 3, frame.y, 2 * frame.x1)) for name, frame in TABLES.items()
    }
    of = asked("y ~ x1 + age + (1 | clinic)", decimal=False)
    naive = run(of, {name: Hospital(name, frame, OPEN) for name, frame in frames.items()})
    line = gram(naive)[3] - 2 * gram(naive)[1]
    table = frames["A"][frames["A"].clinic == 3]
    assert line[0] == pytest.approx((table.y - 2 * table.x1).sum(), rel=1e-9)
    careful = run(of, {name: Hospital(name, frame, Policy()) for name, frame in frames.items()})
    assert careful.refused["A"] == "group-leverage"


# -- the figure --


def test_a_group_of_one_row_has_the_leverage_of_the_row():
    rows = block(60, 4)
    X = np.stack(rows.x, axis=1)
    w = np.random.default_rng(1).uniform(0.5, 2, 60)
    every = group_leverage([Column((x,)) for x in rows.x], w, np.arange(60), 60)
    H = (w[:, None] * X) @ np.linalg.inv(X.T @ (w[:, None] * X)) @ X.T
    assert every == pytest.approx(np.diag(H).max(), rel=1e-12)


@pytest.mark.parametrize("variance", [0.0, 0.3, 5.0])
def test_the_share_is_that_of_a_twin_group_by_group(variance: float):
    """X_g'(W^-1 + variance Z Z')^-1 X_g is a group's part of the information: the largest root against the total."""
    rng = np.random.default_rng(2)
    group = rng.integers(0, 7, 90)
    X, w = np.stack(block(90, 3).x, axis=1), rng.uniform(0.5, 2, 90)
    parts = []
    for g in range(7):
        some = group == g
        V = np.diag(1 / w[some]) + variance
        parts.append(X[some].T @ np.linalg.solve(V, X[some]))
    total = sum(parts)
    twin = max(np.linalg.eigvals(np.linalg.solve(total, part)).real.max() for part in parts)
    assert group_leverage([Column((x,)) for x in X.T], w, group, 7, variance) == pytest.approx(twin, rel=1e-10)
    assert share(np.array(parts)) == pytest.approx(twin, rel=1e-10)


def test_no_numbers_are_refused_and_no_rows_have_no_share():
    assert np.isnan(share(np.full((3, 2, 2), np.nan)))
    assert share(np.zeros((3, 2, 2))) == 0.0
    assert group_leverage([Column((np.empty(0),))], None, np.empty(0, dtype=int), 0) == 0.0
