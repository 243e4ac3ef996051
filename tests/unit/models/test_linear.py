"""The linear model as a conversation: one question, exact sums back."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from sumwise.data import Decimals
from sumwise.engines.local import LocalEngine
from sumwise.errors import DataError
from sumwise.loop import run
from sumwise.models.linear import LinearModel, LinearSummand, Site, sums


@dataclass(frozen=True)
class Block:
    """Rows as a site holds them."""

    x: tuple[np.ndarray, ...]
    y: np.ndarray
    offset: np.ndarray | None = None
    weights: np.ndarray | None = None
    exact: tuple[Decimals | None, ...] = ()
    y_exact: Decimals | None = None
    offset_exact: Decimals | None = None
    weights_exact: Decimals | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"x{c}" for c in range(len(self.x)))


def block(n: int, *, weights: bool = False, seed: int = 0) -> Block:
    rng = np.random.default_rng(seed)
    w = rng.integers(0, 3, n) * 0.5 if weights else None
    return Block((np.ones(n), rng.normal(size=n)), rng.normal(size=n), weights=w, exact=(None, None))


def fit(sites: dict[str, Block], threads: int = 1) -> tuple[LinearSummand, int]:
    model = LinearModel("w")
    with LocalEngine({name: Site(rows) for name, rows in sites.items()}, threads) as engine:
        state, rounds = run(model, engine)
    return model.finish(state), len(rounds)


def test_one_round_is_enough() -> None:
    total, rounds = fit({"a": block(5), "b": block(7, seed=1)})
    assert rounds == 1
    assert total.gram.rows == 12
    assert (total.ignored, total.log_weight) == (0, 0.0)


def test_two_threads_give_the_same_sums() -> None:
    rows = block(200_000, weights=True)
    one, two = fit({"a": rows}, 1)[0], fit({"a": rows}, 2)[0]
    assert one == two


def test_rows_of_weight_zero_are_counted_apart() -> None:
    rows = block(50, weights=True)
    positive = rows.weights[rows.weights > 0]
    total, _ = fit({"a": rows})
    assert (total.gram.rows, total.ignored) == (len(positive), 50 - len(positive))
    assert abs(total.log_weight - np.log(positive).sum()) < 1e-12


def test_a_site_whose_weights_are_all_zero_adds_nothing() -> None:
    rows, idle = (
        block(20, weights=True),
        Block((np.ones(3), np.ones(3)), np.ones(3), weights=np.zeros(3), exact=(None,) * 2),
    )
    alone, both = fit({"a": rows})[0], fit({"a": rows, "b": idle})[0]
    assert both.gram == alone.gram
    assert both.ignored == alone.ignored + 3


def test_weights_that_are_all_zero_are_refused() -> None:
    idle = Block((np.ones(3),), np.ones(3), weights=np.zeros(3), exact=(None,))
    with pytest.raises(DataError, match="'w' are zero in all 3 rows"):
        fit({"a": idle})


LONG = 3 * 10**20 + 1  # no float64


@pytest.mark.parametrize("first", [12345, LONG], ids=["short", "long"])
@pytest.mark.parametrize("weighted", [False, True])
def test_decimals_are_summed_exactly(first: int, weighted: bool) -> None:
    """Every entry is the sum of products of the decimals themselves, in Fractions."""
    whole = [first, -7, 25, 0]
    x = Decimals.of(np.array(whole, dtype=object), 3)
    floats = np.array([0.1, 2.0, -3.5, 1e-3])  # joins as the binary fractions they are
    y, o, w = (Decimals.of(np.array(v), d) for v, d in (([11, 22, 33, 45], 1), ([5, 5, 1, 2], 2), ([1, 0, 2, 3], 1)))
    rows = Block(
        x=(x.nearest(), floats),
        y=y.nearest(),
        offset=o.nearest(),
        weights=w.nearest() if weighted else None,
        exact=(x, None),
        y_exact=y,
        offset_exact=o,
        weights_exact=w if weighted else None,
    )
    gram = sums(rows)
    response = [a - b for a, b in zip(y.fractions(), o.fractions(), strict=True)]
    columns = [x.fractions(), [Fraction(v) for v in floats.tolist()], response]
    weights = w.fractions() if weighted else [Fraction(1)] * 4
    assert gram.rows == (3 if weighted else 4)
    for i, a in enumerate(columns):
        for j, b in enumerate(columns):
            assert gram.fraction(i, j) == sum(c * u * v for c, u, v in zip(weights, a, b, strict=True))


def test_decimals_of_different_length_split_over_sites_give_equal_grams() -> None:
    def of(values: list[int], decimals: int) -> Block:
        x = Decimals.of(np.array(values), decimals)
        return Block((x.nearest(),), x.nearest(), exact=(x,), y_exact=x)

    apart = sums(of([20, 5], 1)) + sums(of([800], 2))
    assert apart == sums(of([200, 50, 800], 2))
