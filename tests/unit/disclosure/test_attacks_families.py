"""Attacks on the sums of generalized linear and linear mixed models.  As in test_attacks.py, each recovers something of
one row, or of one group, where nothing is refused, and is refused by the default policy, by the rule that names it.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from sumwise.disclosure import facts_glm
from sumwise.disclosure.facts import Facts
from sumwise.disclosure.policy import OPEN, Policy, check
from sumwise.kernels.glm import EXPECTED, fitted_rows
from sumwise.models import glm_site
from sumwise.models.glm_messages import GlmQuestion
from sumwise.models.lmm_products import products
from sumwise.protocol.study import Study
from sumwise.protocol.wire.sums import integers
from tests.unit.protocol.blocks import QUIET, Block, block
from tests.unit.studies.hospitals import TARGET, Hospital, Run, run, study, tables

NAMES = ("A", "B", "C")
TABLES = tables(NAMES)
EVENT = bool(TABLES["A"].event[TARGET])


def asked(formula: str, **options) -> Study:
    return study(formula, list(TABLES.values()), NAMES, **options)


def attacked(of: Study, rule: str, frames=TABLES, by=("A",)) -> Run:
    """What came of a study where nothing is refused; under the default policy the sites `by` refuse it by the rule."""
    naive, careful = (
        run(of, {name: Hospital(name, frame, policy) for name, frame in frames.items()}) for policy in (OPEN, Policy())
    )
    assert naive.refused == {}
    assert careful.refused == dict.fromkeys(by, rule)
    assert not set(by) & set(careful.summands)
    return naive


def glm_facts(rows: Block, family: str, question) -> Facts:
    design = facts_glm.glm_design(rows, family, len(rows.x))
    return Facts(design, facts_glm.glm_question(rows, family, question), QUIET)


def refused_by(facts: Facts) -> set[str]:
    assert check(facts, OPEN) == ()
    return {refusal.rule for refusal in check(facts, Policy())}


def point(family: str, link: str, beta) -> GlmQuestion:
    beta = np.asarray(beta, dtype=float)
    return GlmQuestion(family, link, np.zeros(len(beta)), beta, 1.0, EXPECTED, False)


# -- generalized linear models --


def test_a_response_with_a_value_of_its_own():
    """0 and 1, but 2 or 3 in one row, by its event: n1 + t and n1 + t^2 are two equations for two unknowns."""
    found = attacked(asked("I(event + 2 * (id == 417)) ~ x1", family="poisson"), "leverage")
    moments = found.summands["A"][0]
    ones, twos = moments.response, moments.squares
    told = [t for t in (2, 3) if ones - t == twos - t * t]
    assert told == [2 + EVENT]


def test_an_offset_that_is_zero_in_one_row():
    """Rows with an offset are counted, so one row in a thousand answers a question of yes or no."""
    value = "event" if EVENT else "(1 - event)"
    of = asked(f"event ~ x1 + offset((1 + (id > 500)) * (1 - (id == 417) * {value}) / 10)", family="binomial")
    found = attacked(of, "leverage")
    assert found.summands["A"][0].shifted == 999


def far_out(at: float, n: int = 1000) -> Block:
    """One row far from all others in x1; ages, uncentred; a gamma response, and a count."""
    rng = np.random.default_rng(8)
    x = rng.uniform(-1, 1, n)
    x[TARGET] = at
    ages = rng.integers(18, 99, n).astype(float)
    return Block((np.ones(n), x, ages), rng.gamma(2.0, 1.0, n))


def test_scores_that_rest_on_one_row():
    """A gamma row has the same weight wherever its mean is, but a score of (y - mu) / mu: where its mean is next to
    nothing its columns stand in the score alone.
    """
    rows = far_out(-8.0)
    question = point("gamma", "log", [0, 2.5, 0])
    score = glm_site.Site(rows).answer(question).values.round()[2:5]
    assert score / score[0] == pytest.approx([x[TARGET] for x in rows.x], rel=1e-4)
    facts = glm_facts(rows, "gamma", question)
    assert facts.question.concentration == pytest.approx(1000)
    assert refused_by(facts) == {"weighted-effective-count"}


def test_digits_of_one_row_below_all_others():
    """A Poisson row whose mean is e^-20 of 1 adds a number whose last twenty digits no other row has.  Whoever guesses
    its columns finds out whether the guess is right: here the age, out of all ages.
    """
    rows = far_out(-10.0)
    rows = replace(rows, y=np.random.default_rng(2).poisson(1.0, 1000).astype(float))
    rows.y[TARGET] = 0.0
    question = point("poisson", "log", [0, 2.0, 0])
    sent = glm_site.Site(rows).answer(question).values
    total = Fraction(integers(sent)[2 + 3 + 3]) / 2**1074  # information of age and intercept
    others = fitted_rows("poisson", "log", 2.0 * rows.x[1])["weight"]
    weight, below = others[TARGET], Fraction(2) ** (int(np.floor(np.log2(np.delete(others, TARGET).min()))) - 52)
    right = [age for age in range(18, 99) if Fraction(weight * age) % below == total % below]
    assert right == [rows.x[2][TARGET]]
    assert refused_by(glm_facts(rows, "poisson", question)) == {"digit-gap"}


def test_a_mean_that_ranges_far():
    """The range that is judged is that of the logarithm of the mean, whatever the response's unit is."""
    rows = far_out(1.0)
    for unit in (1e-6, 1.0, 1e6):
        question = point("gamma", "inverse", np.array([2.0, 1.5, 0]) / unit)
        facts = facts_glm.glm_question(replace(rows, y=rows.y * unit), "gamma", question)
        assert facts.eta_range == pytest.approx(np.log(3.5 / (2 + 1.5 * rows.x[1].min())))
    assert facts_glm.glm_question(rows, "gamma", point("gamma", "log", [0, 16, 0])).eta_range > 30


def test_harmless_questions_pass():
    rows = block()
    rng = np.random.default_rng(3)
    eta = 0.3 * rows.x[1]
    for family, link, y in (
        ("poisson", "log", rng.poisson(np.exp(eta + 1))),
        ("gamma", "log", rng.gamma(2.0, np.exp(eta))),
        ("binomial", "probit", rng.random(1000) < 0.4),
    ):
        of = replace(rows, y=np.asarray(y, dtype=float))
        for beta in (np.zeros(6), [0.1, 0.3, 0, 0, 0, 0]):
            assert check(glm_facts(of, family, point(family, link, beta)), Policy()) == ()


# -- linear mixed models --


def clinics(sizes: dict[str, list[int]]):
    """Rows of clinics of these sizes, by site."""
    out = {}
    for k, (name, rows) in enumerate(sizes.items()):
        rng = np.random.default_rng(k)
        clinic = np.repeat(np.arange(len(rows)) + 100 * k, rows)
        effect = rng.normal(size=len(rows))[clinic - 100 * k]
        x = rng.normal(size=len(clinic))
        frame = TABLES[name].iloc[: len(clinic)].reset_index(drop=True)
        out[name] = frame.assign(clinic=clinic, x1=x, y=effect + x + rng.normal(size=len(clinic)))
    return out


def test_a_group_of_a_size_of_its_own():
    """Eleven groups of eight rows, one of seven, from an honest fit.  E = S8 / 8 + S7 / 7 is what the groups explain,
    and C = S8 / (8 (1 + 8 t)) + S7 / (7 (1 + 7 t)) what shrinkage takes back, so S7 follows: the products of that
    group's sums of columns and response, and with its size their means.
    """
    frames = clinics({name: [8] * 11 + [7] * (name == "A") for name in NAMES})
    of = study("y ~ x1 + (1 | clinic)", list(frames.values()), NAMES)
    found = attacked(of, "group-leverage", frames)
    first, second = found.summands["A"][0], found.summands["A"][1]
    means = total_means(found)
    t = 1.0  # theta of the first evaluation, squared: effects as large as residuals
    E, C = second.explained.round(), second.values.round()[0, 0, 1:]  # lower triangles of (1, x1, y)
    S7 = (C - E / (1 + 8 * t)) / (1 / (7 * (1 + 7 * t)) - 1 / (7 * (1 + 8 * t)))
    group = frames["A"][frames["A"].clinic == 11]
    assert S7[0] == pytest.approx(49)
    assert S7[[1, 3]] / 49 + means == pytest.approx(group[["x1", "y"]].mean().to_numpy(), abs=1e-9)
    assert first.groups == (12,)


def total_means(found: Run) -> np.ndarray:
    """Of x1 and y over all sites, which centre the columns."""
    gram = found.total.gram
    return np.array([float(gram.fraction(0, j) / gram.fraction(0, 0)) for j in (1, 2)])


def test_groups_alike_pass_and_so_does_one_of_its_own_where_groups_may_be_told():
    sizes = {name: [8] * 11 for name in NAMES}
    frames = clinics(sizes)
    of = study("y ~ x1 + (1 | clinic)", list(frames.values()), NAMES)
    assert run(of, {n: Hospital(n, f, Policy()) for n, f in frames.items()}).refused == {}
    unlike = clinics({**sizes, "A": [8] * 11 + [7]})
    told = replace(Policy(), min_groups=1)
    assert run(of, {n: Hospital(n, f, told) for n, f in unlike.items()}).refused == {}


def test_a_column_that_varies_in_one_group():
    """Rows less their groups' means: of that column they are one group's, and so are its products with the response."""
    column = "I((clinic > 4) + x2 * (clinic == 3))"
    found = attacked(asked(f"y ~ x1 + {column} + (1 | clinic)"), "group-leverage")
    moments, second = found.summands["A"][0], found.summands["A"][1]
    table = TABLES["A"]
    centre = np.array([0.0, *(float(found.total.gram.fraction(0, j)) / 3000 for j in (1, 2, 3))])
    within = products(moments.gram, centre, 0, second.explained)
    x, y = (table[name][table.clinic == 3] for name in ("x2", "y"))
    x, y = x - x.mean(), y - y.mean()
    assert within[2, 2] == pytest.approx((x * x).sum(), rel=1e-9)
    assert within[2, 3] == pytest.approx((x * y).sum(), rel=1e-9)


def test_an_effect_that_rests_on_one_row():
    """The columns whose effects vary by group are judged like others, as their squares are summed."""
    found = attacked(asked("y ~ x1 + (0 + I(1 + (id == 417) * x2) | clinic)"), "effective-count")
    left = found.summands["A"][0].squares.round()[0] - 999
    assert left == pytest.approx((1 + TABLES["A"].x2[TARGET]) ** 2, abs=1e-9)
