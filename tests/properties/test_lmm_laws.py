"""However rows are ordered, and groups dealt to sites and threads, a linear mixed model has the same bits."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.errors import DataError
from sumwise.models.lmm_messages import Moments
from tests.unit.kernels.levels import LEVELS, at_level
from tests.unit.models.lmm_fitting import Rows, fit, make_rows

EFFECTS = {1: [(("(Intercept)",),)], 2: [(("(Intercept)", "x1"),), (("(Intercept)",), ("x1",))]}


@st.composite
def problems(draw) -> tuple[Rows, tuple]:
    """2 to 12 groups of 1 to 9 rows, 1 to 3 columns of any scale, one or two effects, offset and weights or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    label = np.repeat(np.arange(draw(st.integers(2, 12))), 1)
    label = np.repeat(label, rng.integers(1, 9, len(label), endpoint=True))
    n, columns, effects = len(label), draw(st.integers(2, 3)), draw(st.integers(1, 2))
    X = np.column_stack([np.ones(n), rng.standard_normal((n, columns - 1)) * 10.0 ** rng.integers(-6, 7)])
    y = rng.standard_normal(n) + draw(st.sampled_from([0.0, 1.0, 3.0])) * rng.standard_normal(20)[label] + 100
    offset = rng.standard_normal(n) if draw(st.booleans()) else None
    weights = rng.choice([0.0, 0.5, 1.3, 4.0], n) if draw(st.booleans()) else None
    rows = make_rows(X, y * 10.0 ** rng.integers(-6, 7), label, X[:, :effects], offset=offset, weights=weights)
    return rows, draw(st.sampled_from(EFFECTS[effects]))


def bits(sites, effects, **options) -> list:
    """Every number that a fit is made of, or the message with which it is refused."""
    try:
        fitted = fit(sites, effects, **options)
    except DataError as error:
        return [str(error)]
    totals = [r.total for r in fitted.rounds]
    ours = fitted.estimate
    numbers = [*ours.beta, *ours.theta, ours.sigma, ours.loglik, ours.move, *ours.vcov.ravel(), *ours.slopes.ravel()]
    return [
        [t.gram if isinstance(t, Moments) else t.values.digits.tolist() for t in totals],
        [float(v).hex() for v in numbers],
        ours.outcome,
    ]


@settings(max_examples=60, deadline=None)
@given(problem=problems(), data=st.data())
def test_any_split_order_and_number_of_threads_gives_the_same_bits(problem, data) -> None:
    rows, effects = problem
    method = data.draw(st.sampled_from(["REML", "ML"]))
    whole = bits(rows, effects, method=method)
    order = np.array(data.draw(st.permutations(range(len(rows.y)))))
    homes = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(rows.groups), max_size=len(rows.groups))))
    sites = [rows.at(order[homes[rows.group[order]] == home]) for home in dict.fromkeys(homes.tolist())]
    assert bits(sites, effects, method=method, threads=data.draw(st.integers(1, 2))) == whole


@settings(max_examples=20, deadline=None)
@given(problem=problems(), level=st.sampled_from(LEVELS))
def test_any_level_of_the_processor_gives_the_same_bits(problem, level) -> None:
    rows, effects = problem
    whole = bits(rows, effects)
    with at_level(level):
        assert bits(rows, effects) == whole


def test_threads_change_no_bit_where_they_are_used() -> None:
    """Large enough that rows and groups are shared out."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, 4000, 40_000)
    X = np.column_stack([np.ones(40_000), rng.standard_normal((40_000, 2))])
    rows = make_rows(X, rng.standard_normal(40_000) + rng.standard_normal(4000)[label], label, X[:, :2])
    effects = (("(Intercept)", "x1"),)
    assert bits(rows, effects, threads=2) == bits(rows, effects, threads=1)
