"""Sums of products by group: exact, for any order and any size of numbers."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.errors import DataError
from sumwise.kernels import grouped
from tests.unit.kernels.levels import LEVELS, at_level

SIZES = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e150, max_value=1e150)


def exact(a, b, code, groups) -> list[Fraction]:
    """The sums as fractions."""
    total = [Fraction(0)] * groups
    for g, x, y in zip(code.tolist(), np.ones(len(b)).tolist() if a is None else a.tolist(), b.tolist(), strict=True):
        total[g] += Fraction(x) * Fraction(y)
    return total


def parts(values: list[Fraction]) -> list[list[float]]:
    """Each value rounded to nearest, and what is left rounded to nearest."""
    high = [float(v) for v in values]
    return [high, [float(v - Fraction(h)) for v, h in zip(values, high, strict=True)]]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(SIZES, SIZES, st.integers(0, 3)), min_size=1, max_size=40), st.booleans())
def test_sums_are_those_of_fractions_each_part_rounded_once(rows, product):
    a, b = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    code = np.array([r[2] for r in rows])
    left = a if product else None
    assert grouped.sums(left, b, code, 4).tolist() == parts(exact(left, b, code, 4))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("product", [False, True])
def test_any_order_gives_the_same_bits_at_every_level(level, product):
    rng = np.random.default_rng(1)
    a, b, code = rng.standard_normal(5000), 1e6 + rng.standard_normal(5000), rng.integers(0, 7, 5000)
    left, order = (a if product else None), rng.permutation(5000)
    expected = parts(exact(left, b, code, 7))
    with at_level(level):
        assert grouped.sums(left, b, code, 7).tolist() == expected
        shuffled = None if left is None else left[order]
        assert grouped.sums(shuffled, b[order], code[order], 7).tolist() == expected


def test_columns_with_strides_are_read_in_place():
    table = np.arange(24.0).reshape(8, 3)
    code = np.array([0, 1] * 4)
    assert grouped.sums(table[:, 1], table[:, 2], code, 2)[0].tolist() == [
        float(sum(table[r, 1] * table[r, 2] for r in range(g, 8, 2))) for g in (0, 1)
    ]


def test_zeros_and_groups_without_rows_are_zero():
    assert grouped.sums(None, np.zeros(3), np.array([0, 0, 2]), 4).tolist() == [[0.0] * 4, [0.0] * 4]
    assert grouped.sums(np.zeros(3), np.ones(3), np.array([0, 0, 2]), 4).tolist() == [[0.0] * 4, [0.0] * 4]


def test_cancellation_leaves_what_is_left():
    """2^52 + 2^-52 - 2^52, and the two parts of 1 + 2^-70."""
    b = np.array([2.0**52, 2.0**-52, -(2.0**52), 1.0, 2.0**-70])
    assert grouped.sums(None, b, np.array([0, 0, 0, 1, 1]), 2).tolist() == [[2.0**-52, 1.0], [0.0, 2.0**-70]]


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-12, 1e12, 1e300])
def test_numbers_of_any_size_are_added_exactly(scale):
    b, code = np.array([3.0, 0.1, -7.7, 1e-9]) * scale, np.array([0, 0, 1, 1])
    assert grouped.sums(None, b, code, 2).tolist() == parts(exact(None, b, code, 2))
    a = np.array([1.5, -0.3, 0.7, 11.0])
    assert grouped.sums(a, b, code, 2).tolist() == parts(exact(a, b, code, 2))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad):
    with pytest.raises(DataError, match="nan or infinity"):
        grouped.sums(None, np.array([1.0, bad]), np.array([0, 0]), 1)


def test_a_sum_beyond_the_largest_number_is_refused():
    with pytest.raises(DataError, match="larger than the largest float64"):
        grouped.sums(np.full(2, 1e200), np.full(2, 1e200), np.array([0, 0]), 1)
    with pytest.raises(DataError, match="larger than the largest float64"):
        grouped.sums(None, np.full(2, 1.7e308), np.array([0, 0]), 1)
