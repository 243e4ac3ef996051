"""However groups are dealt to sites, threads and processors, the fit is the same to the last bit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sumwise.engines.local import LocalEngine
from sumwise.errors import DataError
from sumwise.models.glmm_messages import Moments, MomentsQuestion, Question
from sumwise.models.glmm_site import Site
from tests.unit.kernels.levels import LEVELS, at_level
from tests.unit.models.fitting import EndlessError, Fitted, Rows, fit, make_rows, shipped, simulated


@st.composite
def problems(draw) -> Rows:
    """2 to 9 groups of 1 to 12 rows (now and then one of 260 to 300), 1 to 3 columns; single trials, or up to
    8 trials in some of the groups only.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups, columns = draw(st.integers(2, 9)), draw(st.integers(1, 3))
    sizes = rng.integers(1, 12, groups, endpoint=True)
    if draw(st.booleans()):
        sizes[0] = rng.integers(260, 300)
    label = np.repeat(np.arange(groups), sizes)
    n = len(label)
    X = np.column_stack([np.ones(n), rng.standard_normal((n, columns - 1)) * 10.0 ** rng.integers(-3, 4)])
    trials = np.where(label % 2, rng.integers(1, draw(st.sampled_from([1, 8])), n, endpoint=True), 1)
    y = rng.binomial(trials, 1 / (1 + np.exp(-rng.standard_normal(groups)[label])))
    offset = rng.standard_normal(n) if draw(st.booleans()) else None
    return make_rows(X, y, label, size=trials, offset=offset)


@st.composite
def dealt(draw, rows: Rows) -> list[Rows]:
    """The groups of `rows` dealt to 1 ... 5 sites at random, empty ones left out, in a random order."""
    homes = draw(st.lists(st.integers(0, 4), min_size=len(rows.groups), max_size=len(rows.groups)))
    sites = [rows.of([g for g, home in enumerate(homes) if home == site]) for site in sorted(set(homes))]
    return draw(st.permutations(sites))


def bits_of(fitted: Fitted) -> list:
    """Every number that a fit is made of: digits of all totals, and the estimate."""
    totals = [r.total for r in fitted.rounds]
    digits = [t.totals.digits if isinstance(t, Moments) else t.values.digits for t in totals]
    ours = fitted.estimate
    numbers = [*ours.beta, ours.theta, ours.loglik, ours.error, ours.move, *ours.vcov.ravel()]
    return [[d.tolist() for d in digits], [float(v).hex() for v in numbers], ours.nodes, ours.outcome]


def answers(sites: list[Rows], question) -> list:
    with LocalEngine({str(i): Site(rows) for i, rows in enumerate(sites)}, 1) as engine:
        total = engine.total(question)
    if isinstance(total, Moments):
        return [total.rows, total.groups, total.columns.digits.tolist(), total.totals.digits.tolist()]
    return [total.values.digits.tolist(), total.used]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_deal_of_groups_to_sites_gives_the_same_sums(data):
    rows = data.draw(problems())
    sites = data.draw(dealt(rows))
    p = rows.X.shape[1]
    beta = np.array(data.draw(st.lists(st.floats(-3, 3), min_size=p, max_size=p)))
    theta = data.draw(st.floats(0, 5))
    orders = data.draw(st.sampled_from([(1, 3), (9, 19), (1, 3, 5, 7, 9, 13, 19)]))
    question = Question(np.linspace(0, 1, p), beta, theta, orders, 1e-9)
    for asked in (MomentsQuestion(), question):
        whole = answers([rows], asked)
        assert answers(sites, asked) == whole
        for name in LEVELS:
            with at_level(name):
                assert answers(sites, asked) == whole


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_any_deal_of_groups_to_sites_gives_the_same_fit(data):
    rows = data.draw(problems())
    sites = data.draw(dealt(rows))
    try:
        whole = bits_of(fit(rows))
    except (DataError, EndlessError):
        assume(False)
    assert bits_of(fit(*sites)) == whole
    with at_level(data.draw(st.sampled_from(LEVELS))):
        assert bits_of(fit(*sites, threads=2)) == whole


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_order_of_the_rows_gives_the_same_sums(data):
    """As a database gives them; columns of few values have many rows alike in most of their numbers."""
    rows = data.draw(problems())
    if data.draw(st.booleans()):
        rows = replace(rows, X=np.column_stack([rows.X[:, 0], np.sign(rows.X[:, 1:])]))
    order = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))).permutation(len(rows.y))
    offset = None if rows.offset is None else rows.offset[order]
    mixed = replace(
        rows, X=rows.X[order], y=rows.y[order], size=rows.size[order], offset=offset, group=rows.group[order]
    )
    beta = np.linspace(-1, 1, rows.X.shape[1])
    question = Question(np.linspace(0, 1, len(beta)), beta, data.draw(st.floats(0, 5)), (1, 3, 9, 19), 1e-9)
    for asked in (MomentsQuestion(), question):
        assert answers([mixed], asked) == answers([rows], asked)


@pytest.mark.parametrize("name", LEVELS)
def test_cbpp_is_the_same_pooled_by_herd_backwards_and_at_every_level(name):
    rows = shipped("cbpp")
    whole = bits_of(fit(rows))
    herds = [rows.of([g]) for g in range(15)]
    with at_level(name):
        for sites in (herds, herds[::-1], [rows.of(range(7)), rows.of(range(7, 15))]):
            assert bits_of(fit(*sites)) == whole


def test_threads_change_no_bit():
    """Large enough to be shared out (20,000 numbers), with one group too large for a lane."""
    rows = simulated(900, 12, columns=3, seed=21)
    label = rows.group.copy()
    label[:960] = 0
    rows = make_rows(rows.X, rows.y, label)
    whole = bits_of(fit(rows, threads=1))
    for threads in (2, 5):
        assert bits_of(fit(rows, threads=threads)) == whole


def test_sites_with_single_trials_only_answer_as_they_do_in_company():
    """A site may hold rows of one trial each while others count several."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(12), 6)
    trials = np.where(label < 6, 1, 3)
    X = np.column_stack([np.ones(72), rng.standard_normal(72)])
    rows = make_rows(X, rng.binomial(trials, 0.4), label, size=trials)
    question = Question(np.zeros(2), np.array([0.3, 0.5]), 0.9, (9, 19), 1.0)
    assert answers([rows], question) == answers([rows.of(range(6)), rows.of(range(6, 12))], question)
