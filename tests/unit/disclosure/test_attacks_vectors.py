"""Attacks on the sums of mixed models with vectors of effects.  As in test_attacks.py, each recovers something of one
group where nothing is refused, and is refused by the default policy, by the rule that names it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from sumwise.disclosure import facts_vectors
from sumwise.disclosure.facts import Facts
from sumwise.disclosure.policy import OPEN, Policy, check
from sumwise.models.glmm_vectors_messages import VectorQuestion
from sumwise.models.glmm_vectors_site import Site
from sumwise.protocol.wire.sums import integers
from tests.unit.disclosure.test_attacks_families import TABLES, asked, attacked
from tests.unit.protocol.blocks import QUIET, Block

LOGIT, POISSON, GAMMA = ("binomial", "logit"), ("poisson", "log"), ("gamma", "log")
ROWS, GROUPS, VICTIM = 400, 10, 7


@dataclass(frozen=True)
class Grouped(Block):
    """With a random intercept for each of ten groups."""

    @property
    def z(self):
        return (np.ones(len(self.y)),)


def people(family: tuple[str, str], x: np.ndarray, seed: int = 4) -> Grouped:
    """Ages, uncentred, beside an intercept and x; a response that depends on nothing; 40 rows a group."""
    rng = np.random.default_rng(seed)
    ages = rng.integers(18, 99, ROWS).astype(float)
    y = {
        "binomial": rng.integers(0, 2, ROWS).astype(float),
        "poisson": rng.poisson(1.0, ROWS).astype(float),
        "gamma": rng.gamma(2.0, 1.0, ROWS),
    }[family[0]]
    return Grouped((np.ones(ROWS), x, ages), y)


def apart(victim: float, others: float) -> np.ndarray:
    """(rows,) a column that is `victim` in one group, and plus or minus about `others` in all others."""
    rng = np.random.default_rng(1)
    x = others * rng.choice([-1.0, 1.0], ROWS) * rng.uniform(0.9, 1.0, ROWS)
    x[np.arange(ROWS) % GROUPS == VICTIM] = victim
    return x


def point(beta, theta: float, aux: bool = False) -> VectorQuestion:
    """A question at beta, theta, in columns that are not centred."""
    at = np.array([[*beta, theta, *([0.0] if aux else [])]])
    return VectorQuestion(np.zeros(len(beta) + 1), at, (5,), np.inf, 0, aux)


def judged(rows: Grouped, family: tuple[str, str], question: VectorQuestion) -> Facts:
    site = Site(rows, family, (1,))
    design = facts_vectors.vector_design(rows, family[0], ("(Intercept)",), len(question.points[0]))

    def effects_at(one: VectorQuestion) -> facts_vectors.Effects:
        return facts_vectors.effects_of_groups(rows, one, site)

    return Facts(design, facts_vectors.vector_question(rows, family, ("(Intercept)",), question, effects_at), QUIET)


def refused_by(facts: Facts) -> set[str]:
    assert check(facts, OPEN) == ()
    return {refusal.rule for refusal in check(facts, Policy())}


def of_victim(rows: Grouped) -> np.ndarray:
    return rows.group == VICTIM


def test_the_group_that_a_column_names():
    """An honest fit: of an indicator of one clinic the gradient is that clinic's, and tells its events among 100."""
    found = attacked(asked("event ~ x1 + I(0 + (clinic == 3)) + (1 | clinic)", family="poisson"), "group-leverage")
    moments, answer = found.summands["A"][0], found.summands["A"][1]
    rows, share = found.total.rows, found.total.columns.round()[2] / found.total.rows
    gradient = answer.values.round()[0, 1:4]
    clinics = gradient[2] + share * gradient[0]  # the column was centred at its share of rows
    start = np.log(found.total.totals.round()[0] / rows)  # all rows have this mean, and effects of 0.5
    events = np.zeros(100)
    told = []
    for count in range(101):
        events[:count] = 1
        one = Grouped((np.ones(100),), events.copy(), label=np.zeros(100, dtype=int))
        slope = Site(one, POISSON, (1,)).answer(point([start], 0.5)).values.round()[0, 1]
        told += [count] if abs(slope - clinics) < 1e-3 else []
    table = TABLES["A"]
    assert told == [table.event[table.clinic == 3].sum()]
    assert moments.columns.round()[2] == 100


def test_a_question_under_which_all_groups_saturate_but_one():
    """Forty rows carry all of the information, and so many rows may; they are one group's."""
    rows = people(LOGIT, apart(0.0, 1.0))
    question = point([0.0, 14.5, 0.0], 1e-3)
    sent = Site(rows, LOGIT, (1,)).answer(question).values.round()[0]
    information = sent[1 + 4 :]  # lower triangle in (intercept, x, age, theta)
    assert information[3] / information[0] == pytest.approx(rows.x[2][of_victim(rows)].mean(), rel=1e-3)
    facts = judged(rows, LOGIT, question)
    assert facts.question.concentration == pytest.approx(40, rel=1e-3)
    assert refused_by(facts) == {"group-leverage"}


def test_scores_of_one_group_that_outweigh_all_others():
    """A gamma row of next to no mean has the weight of any other, and a score of (y - mu) / mu: of forty such rows."""
    rows = people(GAMMA, apart(-1.0, 0.02))
    question = point([0.0, 13.0, 0.0], 1e-6, aux=True)
    gradient = Site(rows, GAMMA, (1,)).answer(question).values.round()[0, 1:4]
    y, ages = rows.y[of_victim(rows)], rows.x[2][of_victim(rows)]
    assert gradient[2] / gradient[0] == pytest.approx((y * ages).sum() / y.sum(), rel=1e-4)
    assert "group-leverage" in refused_by(judged(rows, GAMMA, question))


def test_digits_of_one_group_below_all_others():
    """A group whose mean is e^-20 of the others' adds numbers whose last digits no other group has.  Whoever guesses
    its ages finds out whether the guess is right: here among forty lists of which each is wrong by a year in one row.
    """
    rows = people(POISSON, np.random.default_rng(3).uniform(-1, 1, ROWS))
    rows = replace(rows, offset=np.where(of_victim(rows), -20.0, 0.0))
    rows.y[of_victim(rows)] = 0.0
    question = point([0.0, 0.3, 0.0], 1e-3)
    place = 1 + 4 + 3  # of the information, intercept and age

    def answer(some: np.ndarray, ages: np.ndarray) -> int:
        label = np.zeros(int(some.sum()), dtype=int)
        part = Grouped((rows.x[0][some], rows.x[1][some], ages), rows.y[some], offset=rows.offset[some], label=label)
        return integers(Site(part, POISSON, (1,)).answer(question).values)[place]

    total = integers(Site(rows, POISSON, (1,)).answer(question).values)[place]
    every = [answer(rows.group == g, rows.x[2][rows.group == g]) for g in range(GROUPS)]
    below = min(abs(a) & -abs(a) for g, a in enumerate(every) if g != VICTIM)  # lowest digit of the others
    own = rows.x[2][of_victim(rows)]
    guesses = [own + (np.arange(40) == k) for k in range(40)]
    right = [k for k, ages in enumerate([own, *guesses]) if (total - answer(of_victim(rows), ages)) % below == 0]
    assert right == [0]
    assert refused_by(judged(rows, POISSON, question)) == {"digit-gap"}


@pytest.mark.parametrize("family", [LOGIT, POISSON, GAMMA])
def test_harmless_questions_pass(family: tuple[str, str]):
    rows = people(family, np.random.default_rng(3).normal(size=ROWS))
    aux = family is GAMMA
    for beta, theta in (([0, 0, 0], 0.5), ([0.1, 0.3, 0.001], 1.0), ([-0.5, -0.2, 0], 0.0)):
        assert check(judged(rows, family, point(beta, theta, aux)), Policy()) == ()


@pytest.mark.parametrize("family", [LOGIT, POISSON, GAMMA])
def test_no_question_that_passes_leaves_a_group_out(family: tuple[str, str]):
    """How many groups have no finite number is a count that a chosen question could make of one group: predictors far
    out, all together or in one group, and effects beyond any are refused first.
    """
    rows = people(family, np.random.default_rng(3).normal(size=ROWS))
    rows.y[of_victim(rows)] = 0.0 if family is not GAMMA else 1e-9
    rng, failed, passed = np.random.default_rng(5), 0, 0
    for scale in (0.1, 1.0, 10.0, 100.0, 1e3, 1e5):
        for _ in range(6):
            beta, theta = scale * rng.normal(size=3) * [1, 1, 0.01], scale * rng.exponential()
            question = point(beta, theta, family is GAMMA)
            answer = Site(rows, family, (1,)).answer(question)
            refused = {r.rule for r in check(judged(rows, family, question), Policy())}
            failed += answer.failed[0] > 0
            passed += not refused
            assert refused or answer.failed == (0,)
            if scale >= 100:
                assert "predictor-range" in refused
    assert passed >= 3
    assert failed or family is LOGIT


def test_the_worst_of_several_points_counts():
    rows = people(LOGIT, apart(0.0, 1.0))
    good, bad = point([0, 0.1, 0], 0.5), point([0.0, 14.5, 0.0], 1e-3)
    both = VectorQuestion(good.centre, np.concatenate([good.points, bad.points]), (5,), np.inf, -1)
    assert refused_by(judged(rows, LOGIT, good)) == set()
    assert refused_by(judged(rows, LOGIT, both)) == {"group-leverage"}
