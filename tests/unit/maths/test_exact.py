"""Exact sums at the edges of float64; tests/properties/test_exact_sums.py holds the laws."""

from fractions import Fraction

import numpy as np
import pytest

from sumwise.errors import DataError
from sumwise.maths.exact import ExactSum
from tests.oracles import sums

LARGEST = float.fromhex("0x1.fffffffffffffp+1023")
TINY = float.fromhex("0x0.0000000000001p-1022")


def rounded(values) -> float:
    return float(ExactSum.of(values).round())


def test_cancelled_terms_leave_what_is_small():
    assert rounded([1e308, 1.0, TINY, -1e308, -1.0]) == TINY
    assert rounded([LARGEST, LARGEST, -LARGEST]) == LARGEST
    assert rounded([0.1] * 10) == 1.0


def test_a_sum_beyond_float64_stays_exact_until_it_is_read():
    over = ExactSum.of([LARGEST, LARGEST])
    assert over.fractions() == [2 * Fraction(LARGEST)]
    with pytest.raises(OverflowError, match="exact sum number 0 is larger than the largest float64"):
        over.round()
    assert float((over + ExactSum.of([-LARGEST])).round()) == LARGEST
    with pytest.raises(OverflowError, match="number 2 "):
        ExactSum.of([[1.0, 2.0, -LARGEST], [1.0, 2.0, -LARGEST]]).round()


def test_overflow_begins_half_a_unit_above_the_largest_float():
    """Round to nearest: LARGEST + 2^970 is the tie that goes to 2^1024; anything below comes down.  [IEEE 754]"""
    assert rounded([LARGEST, 2.0**969]) == LARGEST
    assert rounded([LARGEST, 2.0**970, -TINY]) == LARGEST
    assert rounded([-LARGEST, -(2.0**970), TINY]) == -LARGEST
    for sign in (1, -1):
        with pytest.raises(OverflowError):
            rounded([sign * LARGEST, sign * 2.0**970])


@pytest.mark.parametrize("power", [-1021, -537, 0, 52, 511, 971])
@pytest.mark.parametrize("sign", [1, -1])
def test_ties_go_to_even_and_the_least_excess_breaks_them(power, sign):
    one, half = sign * 2.0**power, sign * 2.0**-53 * 2.0**power
    ulp = 2 * half
    assert rounded([one, half]) == one
    assert rounded([one, ulp, half]) == one + 2 * ulp
    if power > -1021:  # below, TINY is the half unit itself
        assert rounded([one, half, sign * TINY]) == one + ulp
        assert rounded([one, ulp, half, -sign * TINY]) == one + ulp


def test_subnormal_sums_round_nothing():
    assert rounded([TINY] * 3) == 3 * TINY
    assert rounded([2.0**-1022, -TINY]) == 2.0**-1022 - TINY
    assert rounded([-TINY, TINY]) == 0.0


def test_a_sum_of_nothing_or_of_zeros_is_plus_zero():
    for values in ([], [0.0], [-0.0, -0.0], [1.0, -1.0]):
        total = ExactSum.of(np.array(values, dtype=float))
        assert total == ExactSum.zeros()
        assert float(total.round()).hex() == "0x0.0p+0"


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,), (2, 0)])
@pytest.mark.parametrize("terms", [0, 1, 255, 256, 257, 700])
def test_sums_run_over_the_first_axis_whatever_the_shape(shape, terms):
    """Blocks of 256 terms are added at a time: one below, at and above."""
    x = np.random.default_rng(terms).standard_normal((terms, *shape)) * 1e3
    total = ExactSum.of(x)
    assert total.shape == shape
    assert total.round().shape == shape
    columns = x.reshape(terms, -1).T if x.size else np.zeros((int(np.prod(shape)), 0))
    assert total.round().ravel().tolist() == [sums.exact_sum(column) for column in columns]


def test_strided_reversed_transposed_and_broadcast_arrays_are_read_in_place():
    x = np.random.default_rng(5).standard_normal((40, 6, 4))
    views = [x[::3], x[::-1, ::2], x.transpose(1, 0, 2), x.T, x[:, 1:5, ::-2], np.broadcast_to(x[0], (9, 6, 4))]
    for view in views:
        assert ExactSum.of(view) == ExactSum.of(view.copy())


def test_integers_and_single_precision_are_taken_exactly():
    assert rounded(np.array([1, 2, 3], dtype=np.int32)) == 6
    assert rounded(np.array([0.1], dtype=np.float32)) == float(np.float32(0.1))
    assert rounded(np.array([1.5, 2.5], dtype=">f8")) == 4.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 255, 256, 299])
def test_nan_and_infinity_are_refused_and_the_sum_is_named(bad, row):
    x = np.ones((300, 4))
    x[row, 2] = bad
    with pytest.raises(DataError, match="column 2 of 4"):
        ExactSum.of(x)


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\)"):
        ExactSum.zeros(2) + ExactSum.zeros(3)
    with pytest.raises(ValueError, match="scalar has no axis"):
        ExactSum.of(1.0)


def test_adding_changes_neither_summand():
    a, b = ExactSum.of([1.0, 2.0]), ExactSum.of([-5.0])
    before = a.digits.copy(), b.digits.copy()
    a + b
    assert np.array_equal(a.digits, before[0])
    assert np.array_equal(b.digits, before[1])


def test_equality_is_equality_of_the_numbers():
    assert ExactSum.of([0.5, 0.25]) == ExactSum.of([0.75])
    assert ExactSum.of([1.0]) != ExactSum.of([1.0, TINY])
    assert ExactSum.of([1.0]) != 1.0
    assert ExactSum.of([[1.0]]) != ExactSum.of([1.0])


def test_leaving_the_range_of_the_digits_raises():
    """The last digit starts at 2^(32 * 67 - 1074) and may reach 2^31 of its units: 2^1101 in all."""
    total = ExactSum.of([LARGEST])
    for _ in range(1101 - 1024):
        total = total + total
    with pytest.raises(OverflowError, match="left the range of its digits"):
        total + total


def test_a_field_of_packed_records_is_read_right():
    """A stride of 9 bytes is no whole number of float64."""
    records = np.zeros(4, dtype=[("flag", "i1"), ("x", "f8")])
    records["x"] = [1, 2, 3, 4]
    assert rounded(records["x"]) == 10.0
