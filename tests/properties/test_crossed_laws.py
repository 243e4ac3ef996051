"""Laws of crossed models: any order of rows, any split of components over sites, any threads give the same bits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import add

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.maths.crossing import Factor, cross
from sumwise.models.lmm_crossed_site import CrossedSite
from sumwise.models.lmm_messages import MomentsQuestion, Question, Summand
from tests.unit.models.crossed_rows import RandomTerm, Rows, fit, model_of


def rows_of(seed: int, islands: int, *, weighted: bool, slope: bool) -> Rows:
    """Levels of an island meet only each other."""
    rng = np.random.default_rng(seed)
    n = 14 * islands
    island = np.repeat(np.arange(islands), 14)
    a, b = island * 5 + rng.integers(0, 5, n), island * 3 + rng.integers(0, 3, n)
    x = rng.normal(size=n) * 10.0 ** rng.integers(-3, 4, n)

    def term(group: str, code: np.ndarray, **z: np.ndarray) -> RandomTerm:
        labels, numbers = np.unique(code, return_inverse=True)
        return RandomTerm(list(z.values()), numbers.astype(np.int64), tuple(labels.tolist()), tuple(z), group)

    ones = np.ones(n)
    random = [term("a", a, **{"(Intercept)": ones}), term("b", b, **{"(Intercept)": ones})]
    if slope:
        random.insert(1, term("b", b, x=x))  # two terms of one factor, apart
    y = rng.normal(size=n) + 0.5 * rng.normal(size=5 * islands)[a] + rng.normal(size=3 * islands)[b]
    weights = rng.choice([0.0, 0.5, 1.0, 2.25], n) if weighted else None
    return Rows([ones, x], ("(Intercept)", "x"), y, random, rng.normal(size=n) if weighted else None, weights)


def question_of(rows: Rows) -> Question:
    blocks = [len(term.z) for term in rows.random]
    theta = np.linspace(0.3, 1.7, sum(q * (q + 1) // 2 for q in blocks))
    return Question(np.array([0.0, 0.125, -0.3]), (theta, np.zeros_like(theta)), True, True)


def same(one: Summand, other: Summand) -> bool:
    return one.values == other.values and one.explained == other.explained and one.failed == other.failed


CASES = {"seed": st.integers(0, 999), "islands": st.integers(1, 4), "weighted": st.booleans(), "slope": st.booleans()}


@settings(max_examples=25, deadline=None)
@given(**CASES, shuffle=st.randoms(use_true_random=False))
def test_any_order_of_rows_gives_the_same_bits(
    seed: int, islands: int, weighted: bool, slope: bool, shuffle: object
) -> None:
    rows = rows_of(seed, islands, weighted=weighted, slope=slope)
    order = list(range(len(rows.y)))
    shuffle.shuffle(order)  # type: ignore[attr-defined]
    other = rows.some(np.array(order))
    question = question_of(rows)
    assert same(CrossedSite(rows).answer(question), CrossedSite(other).answer(question))
    one, two = (CrossedSite(r).answer(MomentsQuestion()) for r in (rows, other))
    assert one.squares == two.squares
    assert one.mixed == two.mixed
    assert one.between == two.between
    assert (one.groups, one.alone, one.meeting) == (two.groups, two.alone, two.meeting)


@settings(max_examples=25, deadline=None)
@given(**CASES, places=st.lists(st.integers(0, 2), min_size=40, max_size=40))
def test_any_split_of_components_over_sites_gives_the_same_bits(
    seed: int, islands: int, weighted: bool, slope: bool, places: list[int]
) -> None:
    rows = rows_of(seed, islands, weighted=weighted, slope=slope)
    codes = {term.factor: (term.group, len(term.groups)) for term in rows.random}
    crossing = cross([Factor(name, code, levels, (1,)) for name, (code, levels) in codes.items()])
    site = np.array(places)[crossing.component[0][crossing.factors[0].code] % 40]
    sites = [CrossedSite(rows.some(np.flatnonzero(site == s))) for s in np.unique(site)]
    question = question_of(rows)
    with ThreadPoolExecutor(2) as threads:
        split = reduce(add, (part.answer(question, threads, 2) for part in sites))
    assert same(CrossedSite(rows).answer(question), split)
    one = CrossedSite(rows).answer(MomentsQuestion())
    two = reduce(add, (part.answer(MomentsQuestion()) for part in sites))
    assert (one.groups, one.alone, one.meeting) == (two.groups, two.alone, two.meeting)
    assert one.squares == two.squares
    assert one.mixed == two.mixed
    assert one.between == two.between


def test_large_components_of_different_shapes_give_the_same_bits_apart_and_together() -> None:
    """Traces are estimated in large components, and exact for factors that have few levels there; never by what lies
    beside them."""
    rng = np.random.default_rng(4)
    island = np.repeat([0, 1, 2], [1200, 1300, 60])
    sizes = {"a": (300, 330, 10), "b": (280, 290, 6), "c": (5, 90, 3)}
    random = []
    for name, counts in sizes.items():
        first = np.concatenate([[0], np.cumsum(counts)])[island]
        labels, code = np.unique(first + rng.integers(0, np.array(counts)[island]), return_inverse=True)
        random.append(RandomTerm([np.ones(2560)], code.astype(np.int64), tuple(labels.tolist()), ("1",), name))
    rows = Rows([np.ones(2560), rng.normal(size=2560)], ("(Intercept)", "x"), rng.normal(size=2560), random)
    question = question_of(rows)
    apart = [CrossedSite(rows.some(np.flatnonzero(island == i))).answer(question) for i in range(3)]
    assert same(CrossedSite(rows).answer(question), reduce(add, apart))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), power=st.integers(-40, 40))
def test_a_column_or_response_in_other_units_changes_no_t_value(seed: int, power: int) -> None:
    rows = rows_of(seed, 4, weighted=False, slope=False)
    unit = 2.0**power
    scaled = Rows([rows.x[0], rows.x[1] * unit], rows.columns, rows.y, rows.random)
    larger = Rows(rows.x, rows.columns, rows.y * unit, rows.random)
    base = fit(rows)[0]
    t = base.beta / np.sqrt(np.diag(base.vcov))
    for other in (scaled, larger):
        found = fit(other)[0]
        assert np.allclose(found.beta / np.sqrt(np.diag(found.vcov)), t, rtol=1e-9, atol=1e-12)
        assert np.allclose(found.theta, base.theta, rtol=1e-7, atol=1e-9)


def test_the_model_knows_its_terms() -> None:
    rows = rows_of(1, 2, weighted=False, slope=True)
    assert [term.text for term in model_of(rows).terms] == ["(1 | a)", "(0 + x | b)", "(1 | b)"]
