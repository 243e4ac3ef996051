"""Grams: units, sums of Grams, differences of columns, integers."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.maths.columns import Column
from sumwise.maths.columns import cross_products as cross_products_of
from sumwise.maths.gram import Gram
from tests.oracles.products import cross_products

numbers = st.floats(allow_nan=False, allow_infinity=False)
rows = st.lists(st.tuples(numbers, numbers, numbers), min_size=2, max_size=12)
weights = st.lists(st.floats(0, 1e300), min_size=12, max_size=12)


def of(table: list[tuple[float, ...]], w: list[float] | None = None) -> Gram:
    columns = [np.array(column, dtype=float) for column in zip(*table, strict=True)]
    return Gram.of(columns, None if w is None else np.array(w[: len(table)]))


def fractions(gram: Gram) -> list[Fraction]:
    return [gram.fraction(i, j) for i in range(gram.columns) for j in range(i + 1)]


@given(rows, weights, st.booleans(), st.data())
@settings(max_examples=150, deadline=None)
def test_any_split_and_any_order_of_the_rows_give_the_same_gram(table, w, weighted, data):
    pairs = list(zip(table, w, strict=False))
    chosen = data.draw(st.permutations(pairs))
    cut = data.draw(st.integers(1, len(chosen) - 1))

    def part(some):
        return of([row for row, _ in some], [v for _, v in some] if weighted else None)

    whole = part(pairs)
    assert fractions(whole) == cross_products(list(zip(*table, strict=True)), w[: len(table)] if weighted else None)
    assert part(chosen[:cut]) + part(chosen[cut:]) == whole


@given(rows)
@settings(max_examples=80, deadline=None)
def test_a_difference_of_columns_is_exact(table):
    whole = of(table)
    found = whole.minus(1, 2)
    a, b, c = ([Fraction(row[k]) for row in table] for k in range(3))
    d = [x - y for x, y in zip(b, c, strict=True)]
    assert found.fraction(0, 0) == whole.fraction(0, 0)
    assert found.fraction(1, 0) == sum(x * y for x, y in zip(d, a, strict=True))
    assert found.fraction(1, 1) == sum(x * x for x in d)


def test_columns_are_chosen_in_the_order_asked_for() -> None:
    gram = of([(1.0, 0.5, 3.0), (2.0, 0.25, 5.0)])
    some = gram.chosen([2, 0])
    assert some.columns == 2
    assert [some.fraction(0, 0), some.fraction(1, 0), some.fraction(1, 1)] == [34, 13, 5]


@pytest.mark.parametrize(("w", "places"), [(None, 0), ([2, 35], 1)])
def test_decimal_columns_are_integers_with_a_power_of_ten(w: list[int] | None, places: int) -> None:
    """Columns 0.1, 2.5 and 12, 10^40 by hand."""
    columns = [Column.of_integers([1, 25], 1), Column.of_integers([12, 10**40])]
    gram = cross_products_of(columns, None if w is None else Column.of_integers(w, places))
    v = [Fraction(1), Fraction(1)] if w is None else [Fraction(2, 10), Fraction(35, 10)]
    assert gram.fraction(0, 0) == v[0] / 100 + v[1] * Fraction(625, 100)
    assert gram.fraction(0, 1) == v[0] * Fraction(12, 10) + v[1] * Fraction(25 * 10**39)
    assert gram.fraction(1, 1) == v[0] * 144 + v[1] * 10**80


def test_grams_in_different_units_add_up() -> None:
    one = cross_products_of([Column.of_integers([1], 1), Column.of_integers([3])], Column.of_integers([7], 2))
    two = cross_products_of([Column.of_integers([125], 3), Column.of_integers([4], 1)], Column.of_integers([1]))
    total = one + two
    assert total.rows == 2
    assert total.fraction(0, 1) == one.fraction(0, 1) + two.fraction(0, 1)
    assert total.fraction(1, 1) == Fraction(7 * 9, 100) + Fraction(16, 100)
    assert two + one == total


@given(st.lists(st.tuples(st.integers(-(10**20), 10**20), st.integers(0, 25)), min_size=2, max_size=8), st.data())
@settings(max_examples=80, deadline=None)
def test_decimals_of_any_length_split_anyhow_give_equal_grams(numbers, data):
    """Each part of the rows has as many decimals as its own numbers need."""

    def part(some):
        places = max((d for _, d in some), default=0)
        return cross_products_of([Column.of_integers([v * 10 ** (places - d) for v, d in some], places)])

    cut = data.draw(st.integers(1, len(numbers) - 1))
    whole = part(numbers)
    assert part(numbers[:cut]) + part(numbers[cut:]) == whole
    assert whole.fraction(0, 0) == sum(Fraction(v, 10**d) ** 2 for v, d in numbers)
