"""Laws of generalized crossed models: any order of rows, any split of components over sites, any threads give the same
bits."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import add

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.maths.crossing import Factor, cross
from sumwise.models.glmm_crossed_messages import CrossedMoments, CrossedQuestion, CrossedSummand
from sumwise.models.glmm_crossed_site import CrossedSite
from sumwise.models.glmm_vectors_messages import VectorMomentsQuestion
from tests.unit.models.crossed_glmm_rows import Rows, fit, question, simulated

FAMILIES = [("binomial", "logit"), ("poisson", "log"), ("negbinomial", "log"), ("gamma", "log")]
CASES = {
    "family": st.sampled_from(FAMILIES),
    "seed": st.integers(0, 999),
    "islands": st.integers(1, 4),
    "slope": st.booleans(),
}


def question_of(rows: Rows, family: tuple[str, str]) -> CrossedQuestion:
    m, q = len(rows.random), len(rows.z)
    aux = [0.3] if family[0] in ("negbinomial", "gamma") else []
    first = np.array([0.2, -0.3, *np.linspace(0.3, 1.7, m), *aux])
    second = np.array([0.1, 0.3, *np.zeros(m), *aux])
    centre = np.array([0.0, 0.125, *np.zeros(q)])
    return question(centre, np.array([first, second, 1.01 * first]), near=np.array([second, 0.9 * first]), metric=True)


def same(one: CrossedSummand | CrossedMoments, other: CrossedSummand | CrossedMoments) -> bool:
    if isinstance(one, CrossedMoments):
        assert isinstance(other, CrossedMoments)
        sums = all(getattr(one, k) == getattr(other, k) for k in ("columns", "effects", "totals"))
        return sums and (one.by_factor, one.meeting, one.rows) == (other.by_factor, other.meeting, other.rows)
    assert isinstance(other, CrossedSummand)
    return one.values == other.values and one.metric == other.metric and one.failed == other.failed


@settings(max_examples=20, deadline=None)
@given(**CASES, shuffle=st.randoms(use_true_random=False))
def test_any_order_of_rows_gives_the_same_bits(
    family: tuple[str, str], seed: int, islands: int, slope: bool, shuffle: random.Random
) -> None:
    rows = simulated(family[0], seed, islands, rows=14, slope=slope, offset=True)
    order = list(range(len(rows.y)))
    shuffle.shuffle(order)
    one, two = CrossedSite(rows, family), CrossedSite(rows.some(np.array(order)), family)
    for asked in (question_of(rows, family), VectorMomentsQuestion()):
        assert same(one.answer(asked), two.answer(asked))


@settings(max_examples=20, deadline=None)
@given(**CASES, places=st.lists(st.integers(0, 2), min_size=40, max_size=40))
def test_any_split_of_components_over_sites_gives_the_same_bits(
    family: tuple[str, str], seed: int, islands: int, slope: bool, places: list[int]
) -> None:
    rows = simulated(family[0], seed, islands, rows=14, slope=slope, offset=True)
    codes = {term.factor: (term.group, len(term.groups)) for term in rows.random}
    crossing = cross([Factor(name, code, levels, (1,)) for name, (code, levels) in codes.items()])
    site = np.array(places)[crossing.component[0][crossing.factors[0].code] % 40]
    sites = [CrossedSite(rows.some(np.flatnonzero(site == s)), family) for s in np.unique(site)]
    whole = CrossedSite(rows, family)
    for asked in (question_of(rows, family), VectorMomentsQuestion()):
        with ThreadPoolExecutor(2) as threads:
            split = reduce(add, (part.answer(asked, threads, 2) for part in sites))
        assert same(whole.answer(asked), split)


def test_threads_change_no_bit_where_they_are_used() -> None:
    """Of many rows, whose points are worth a thread each, and of a component that leaves a large dense system."""
    rng = np.random.default_rng(4)
    n = 6000
    x = rng.normal(size=n)
    rows = simulated("poisson", 1, 1, rows=n)
    wide = Rows(
        [np.ones(n), x],
        rows.columns,
        rng.poisson(np.exp(0.3 * x)).astype(float),
        [
            type(t)([np.ones(n)], c, tuple(range(k)), t.columns, t.factor)
            for t, c, k in zip(rows.random, (rng.integers(0, 400, n), rng.integers(0, 300, n)), (400, 300), strict=True)
        ],
        size=np.ones(n),
    )
    for case in (rows, wide):
        site, asked = CrossedSite(case, ("poisson", "log")), question_of(case, ("poisson", "log"))
        one = site.answer(asked)
        with ThreadPoolExecutor(2) as threads:
            assert same(one, CrossedSite(case, ("poisson", "log")).answer(asked, threads, 2))


def test_an_answer_does_not_depend_on_what_was_asked_before() -> None:
    """Though a site remembers the modes on the way."""
    rows, family = simulated("binomial", 2, 2), ("binomial", "logit")
    asked = question_of(rows, family)
    used = CrossedSite(rows, family)
    centre, first, (one, two) = asked.centre, asked.points[0], asked.near
    questions = [
        question(centre, one[None]),
        question(centre, two[None], near=one[None]),
        question(centre, 3 * first[None], near=asked.near),
        question(centre, first[None], near=asked.near),
        asked,
        question(centre, first[None]),
        asked,
    ]
    for later in questions:
        assert same(used.answer(later), CrossedSite(rows, family).answer(later))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 999))
def test_fits_of_sites_are_those_of_the_pooled_rows(seed: int) -> None:
    rows, family = simulated("poisson", seed, 4), ("poisson", "log")
    halves = [rows.some(np.flatnonzero(np.arange(len(rows.y)) // 60 == k)) for k in (0, 1)]
    one, two = fit(rows, family=family), fit(*halves, family=family, threads=2)
    assert one.loglik == two.loglik
    for name in ("beta", "theta", "vcov"):
        assert np.array_equal(getattr(one, name), getattr(two, name), equal_nan=True)
