"""Attacks on plain sums.  Each recovers a row from what a site answers while nothing is refused, as the policy OPEN
does, and is refused by the default policy, by the rule that names it.

The first five were tried on float sums when the project began (n = 1000, p = 6); their accuracy is the one found then.
The others are variants that rules against the five alone let pass.
"""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from sumwise.models import glmm_site, linear
from sumwise.models.glmm_messages import MomentsQuestion
from sumwise.models.linear import LinearQuestion
from sumwise.protocol.facts import Request, leverage, row_set, spanned
from sumwise.protocol.policy import OPEN, Policy, check
from tests.unit.protocol.blocks import QUIET, Block, block, linear_facts, mixed_facts, point

TARGET = 417
"""The row that is attacked."""


def gram(rows: Block) -> np.ndarray:
    """Cross-products of X and y as the site sends them, rounded to float64 as an attacker would who has numpy only."""
    sent = linear.Site(rows).answer(LinearQuestion()).gram
    m = sent.columns
    return np.array([[float(sent.fraction(i, j)) for j in range(m)] for i in range(m)])


def information(rows: Block, beta) -> np.ndarray:
    """The logistic information matrix at beta, as the site sends it: minus the Hessian at theta = 0."""
    p = len(rows.x)
    values = glmm_site.Site(rows).answer(point(beta)).values.round()
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


def test_1_differencing():
    """Sums over all rows less sums over all but one: x x', x y and y^2 of that row.  Found: below 1e-9."""
    rows = block()
    others = np.delete(np.arange(1000), TARGET)
    without = rows.rows(others)
    left = gram(rows) - gram(without)
    assert np.abs(left[0] - row(rows)).max() < 1e-9
    earlier = Request(b"v1", row_set(np.arange(1000)), frozenset("ABC"), b"model")
    study = replace(QUIET, request=replace(earlier, rows=row_set(others)), earlier=(earlier,))
    assert refused_by(linear_facts(without, study)) == {"differencing of rows"}


def test_2_rare_indicator():
    """A dummy that is 1 in one row: its line of X'X is the row.  Found: exactly."""
    rows = block().also(indicator(1000))
    line = gram(rows)[6]
    assert np.array_equal(line, row(rows))
    assert refused_by(linear_facts(rows)) >= {"effective count of a column"}


def test_3_near_dummy_with_three_values():
    """0 and 1e-9 in half of the rows each, 1 in one: a rule for columns of exactly two values does not look at it.
    Found: the row to 1.5e-8.
    """
    column = np.where(np.arange(1000) % 2, 1e-9, 0.0)
    column[TARGET] = 1.0
    rows = block().also(column)
    assert len(set(column)) == 3
    line = gram(rows)[6]
    assert np.abs(line - row(rows))[1:6].max() < 1e-7
    assert refused_by(linear_facts(rows)) >= {"effective count of a column"}


@pytest.mark.parametrize(("scale", "accuracy"), [(1e3, 8e-3), (1e5, 0.0)])
def test_4_chosen_parameters(scale, accuracy):
    """beta so long that one row has x'beta = 0 and all others saturate: n p (1 - p) is that row's alone.
    Found: effective sample size 1.00; error 8e-3 at scale 1e3, 0 at 1e5.
    """
    rows = block(binary=True)
    direction = np.random.default_rng(9).normal(size=5)
    guess = float(sum(d * x[TARGET] for d, x in zip(direction, rows.x[1:], strict=True)))
    beta = scale * np.array([-guess, *direction])
    found = information(rows, beta)
    assert np.abs(found[0] / found[0, 0] - row(rows)[:6]).max() <= accuracy
    facts = mixed_facts(rows, point(beta))
    assert facts.question.concentration < 1.2
    assert refused_by(facts) == {
        "weight concentration",
        "effective count of a weighted column",
        "range of the linear predictor",
    }
    honest = replace(QUIET, received=b"chosen")
    assert "expected question" in refused_by(mixed_facts(rows, point(np.zeros(6)), honest))


def test_5_fewer_rows_than_parameters():
    """n <= p: X'X spans the rows.  With one row it is x x', and the first line of it is the row."""
    rows = block().rows([TARGET])
    assert np.array_equal(gram(rows)[0], row(block()))
    assert refused_by(linear_facts(rows)) >= {"minimum rows", "parameters per row", "leverage of a row"}


def test_site_sets_are_differenced_like_rows():
    """A total over four sites less the total over three of them is the fourth one's summand, masked or not."""
    sites = {name: block(seed=k) for k, name in enumerate("ABCD")}
    four, three = (sum(gram(sites[name]) for name in names) for names in ("ABCD", "ABC"))
    assert np.allclose(four - three, gram(sites["D"]), rtol=1e-9, atol=1e-9)
    earlier = replace(QUIET.request, sites=frozenset("ABCD"))
    assert refused_by(linear_facts(sites["A"], replace(QUIET, earlier=(earlier,)))) == {"differencing of sites"}


def test_two_sites_know_each_other():
    study = replace(QUIET, request=replace(QUIET.request, sites=frozenset("AB")))
    assert refused_by(linear_facts(block(), study)) == {"minimum sites"}


def test_an_indicator_split_over_two_columns():
    """a, and b = a + (1 in one row): both are ordinary columns, and the line of b less the line of a is the row."""
    rows = block()
    twin = rows.also(rows.x[1] + indicator(1000))
    found = gram(twin)
    assert np.abs((found[6] - found[1])[:6] - row(rows)[:6]).max() < 1e-9
    assert refused_by(linear_facts(twin)) == {"leverage of a row"}


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
    assert refused_by(linear_facts(twin)) == {"leverage of a row"}


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
    assert refused_by(linear_facts(other, study)) == {"differencing of models"}


def test_a_near_dummy_upside_down():
    """0 or 1, and 1e-9 in one row: in the exact sum the digits below the point are those of this row."""
    column = np.where(np.arange(1000) % 3, 1.0, 0.0)
    column[TARGET] = 1e-9
    ages = np.random.default_rng(3).integers(18, 99, 1000).astype(float)
    rows = block().also(column).also(ages)
    sent = linear.Site(rows).answer(LinearQuestion()).gram.fraction(6, 7)
    assert (sent - int(sent)) / Fraction(1e-9) == int(ages[TARGET])
    assert refused_by(linear_facts(rows)) == {"digits of their own"}


def test_weights_that_leave_one_row():
    """The weights of a regression do what chosen parameters do: the weighted X'X is one row's."""
    rows = replace(block(), weights=np.where(np.arange(1000) == TARGET, 1.0, 1e-12))
    assert np.abs(gram(rows)[0] - row(rows)).max() < 1e-8
    assert refused_by(linear_facts(rows)) >= {"weight concentration", "leverage of a row"}


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
    lenient = replace(Policy(), max_eta_range=np.inf)
    assert refused_by(mixed_facts(wide, point(beta)), lenient) == {"effective count of a weighted column"}
    assert refused_by(mixed_facts(wide, point(beta))) >= {"range of the linear predictor"}


def test_a_rare_outcome():
    """A single success: X'y, which every gradient holds, is that person's row."""
    rows = replace(block(binary=True), y=indicator(1000))
    p = len(rows.x)
    gradient = glmm_site.Site(rows).answer(point(np.zeros(p))).values.round()[1 : 1 + p]
    sums = glmm_site.Site(rows).answer(MomentsQuestion()).columns.round()
    assert np.abs(gradient + sums / 2 - row(rows)[:6]).max() < 1e-9
    assert refused_by(mixed_facts(rows, MomentsQuestion())) == {"effective count of a column"}
