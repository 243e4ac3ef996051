"""Laws of exact sums over the whole range of float64, against rational arithmetic."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.maths.exact import ExactSum
from tests.oracles import sums
from tests.unit.kernels.levels import LEVELS, at_level

anything = st.floats(allow_nan=False, allow_infinity=False)
edges = st.sampled_from([5e-324, -5e-324, 2.0**-1022, 1e308, -1e308, 1.7976931348623157e308, 2.0**-53, 1.0, 0.0, -0.0])
numbers = st.one_of(anything, edges, st.builds(np.ldexp, st.floats(-1, 1), st.integers(-1070, 1000)).map(float))
many = st.lists(numbers, max_size=40)


@st.composite
def cancelling(draw) -> list[float]:
    """Numbers and the negatives of most of them, shuffled: what is left may be 600 orders of magnitude smaller."""
    terms = draw(st.lists(numbers, min_size=1, max_size=20))
    kept = draw(st.integers(0, len(terms)))
    return draw(st.permutations(terms + [-t for t in terms[kept:]]))


@st.composite
def long_arrays(draw) -> np.ndarray:
    """Up to 900 terms of exponents from a drawn window: several blocks of 256."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size, low = draw(st.integers(0, 900)), draw(st.integers(-1074, 960))
    width = draw(st.integers(0, 2000))
    return np.ldexp(rng.uniform(-1, 1, size), rng.integers(low, min(low + width, 1000) + 1, size))


def rounded_or_overflow(function, values) -> float | str:
    try:
        return float(function(values))
    except OverflowError:
        return "overflow"


@given(st.one_of(many, cancelling()))
@settings(max_examples=300, deadline=None)
def test_a_sum_is_the_rational_sum_rounded_once(values):
    total = ExactSum.of(np.array(values, dtype=float))
    assert total.fractions() == [sums.rational_sum(values)]
    ours = rounded_or_overflow(lambda _: total.round(), values)
    assert str(ours) == str(rounded_or_overflow(sums.exact_sum, values))  # as text: 0.0 is not -0.0


@given(long_arrays())
@settings(max_examples=60, deadline=None)
def test_long_sums_are_the_rational_sum_rounded_once(values):
    assert ExactSum.of(values).fractions() == [sums.rational_sum(values)]


@given(st.one_of(many, cancelling()), st.data())
@settings(max_examples=150, deadline=None)
def test_any_order_and_any_split_give_the_same_digits(values, data):
    whole = ExactSum.of(np.array(values, dtype=float))
    shuffled = data.draw(st.permutations(values))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=5)))
    total = ExactSum.zeros()
    for piece in np.split(np.array(shuffled, dtype=float), cuts):
        total = total + ExactSum.of(piece)
    assert np.array_equal(total.digits, whole.digits)


@given(many, many, many)
@settings(max_examples=100, deadline=None)
def test_addition_is_associative_and_commutative_and_zero_is_neutral(x, y, z):
    a, b, c = (ExactSum.of(np.array(v, dtype=float)) for v in (x, y, z))
    assert np.array_equal(((a + b) + c).digits, (a + (b + c)).digits)
    assert np.array_equal((a + b).digits, (b + a).digits)
    assert np.array_equal((a + ExactSum.zeros()).digits, a.digits)


@given(many)
@settings(max_examples=100, deadline=None)
def test_a_sum_and_its_negative_leave_zero(values):
    x = np.array(values, dtype=float)
    assert ExactSum.of(x) + ExactSum.of(-x) == ExactSum.zeros()


@given(long_arrays())
@settings(max_examples=60, deadline=None)
def test_every_level_gives_the_same_digits(values):
    digits, roundings = [], []
    for name in LEVELS:
        with at_level(name):
            total = ExactSum.of(values)
            digits.append((total + total).digits)
            roundings.append(total.round())
    assert all(np.array_equal(d, digits[0]) for d in digits)
    assert all(r == roundings[0] for r in roundings)


@given(many)
@settings(max_examples=100, deadline=None)
def test_digits_are_in_normal_form(values):
    digits = ExactSum.of(np.array(values, dtype=float)).digits
    assert np.all((digits[:-1] >= 0) & (digits[:-1] < 2**32))
