"""Rationals and balls round to the nearest float64, over its whole range."""

import math
from fractions import Fraction
from threading import Thread

import flint
import pytest
from flint import arb, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.maths import rounding
from tests.oracles import least_squares as twin

mantissas = st.integers(-(2**120), 2**120)
exponents = st.one_of(st.integers(-1250, -950), st.integers(-200, 60), st.integers(850, 920))
near_ties = st.builds(
    lambda m, e: (2 * m + 1, e), st.integers(2**53, 2**54), exponents
)  # 55 bits: ties of 54 among them


@given(st.one_of(st.tuples(mantissas, exponents), near_ties))
@settings(max_examples=500, deadline=None)
def test_an_exact_ball_rounds_like_its_fraction(number):
    value = Fraction(number[0]) * Fraction(2) ** number[1]
    ball = arb(number)
    with rounding.precision(200):
        ours = rounding.nearest_in(ball)
    try:
        assert ours == twin.rounded(value)
        assert rounding.nearest(rounding.rational(value)) == ours
    except OverflowError:
        assert ours == (math.inf if value > 0 else -math.inf)


@given(mantissas, st.integers(1, 2**80), st.integers(-2200, 2200))
@settings(max_examples=500, deadline=None)
def test_roots_of_rationals_and_of_balls_round_correctly(numerator, denominator, exponent):
    value = Fraction(numerator, denominator) * Fraction(2) ** exponent
    sign = -1 if value < 0 else 1
    ours = None
    try:
        expected = sign * twin.rounded_root(abs(value))
    except OverflowError:
        with pytest.raises(OverflowError):
            rounding.nearest_root(rounding.rational(value))
        return
    assert rounding.nearest_root(rounding.rational(value)) == expected
    with rounding.precision(300):
        ours = rounding.nearest_root_in(arb(rounding.rational(value)))
    assert ours in (expected, None)


@given(st.floats(1e-160, 1e150), st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_root_of_a_square_is_exact_and_a_tie_goes_to_even(x, between):
    root = (Fraction(x) + Fraction(math.nextafter(x, math.inf))) / 2 if between else Fraction(x)
    assert rounding.nearest_root(rounding.rational(root * root)) == twin.rounded(root)


def test_a_ball_that_straddles_a_tie_or_zero_is_undecided():
    with rounding.precision(200):
        tie = arb((2**53 + 1, -53), (1, -150))
        assert rounding.nearest_in(tie) is None
        assert rounding.nearest_in(arb(0, (1, -2000))) is None  # 0.0 or -0.0
        assert rounding.nearest_in(arb((1, -2000), (1, -2010))) == 0
        assert math.copysign(1, rounding.nearest_in(-arb((1, -2000), (1, -2010)))) == -1
        assert rounding.nearest_in(arb(1, (1, -100))) == 1
        assert rounding.nearest_in(arb.nan()) is None
        assert rounding.nearest_in(arb(0)) == 0
        assert rounding.signed_root(arb(0, 1)) is None


def test_a_pair_holds_a_third_to_106_bits():
    hi, lo = rounding.pair(fmpq(1, 3))
    with rounding.precision(200):
        assert rounding.pair_in(arb(1) / 3) == (hi, lo)
        assert rounding.pair_in(arb(1, (1, -100))) is None
    assert hi == 1 / 3
    assert abs(Fraction(hi) + Fraction(lo) - Fraction(1, 3)) < Fraction(1, 2**106)


def test_the_precision_of_other_threads_is_their_own():
    before, seen = flint.ctx.prec, []

    def work(bits: int) -> None:
        for _ in range(200):
            with rounding.precision(bits):
                seen.append(flint.ctx.prec == bits)

    threads = [Thread(target=work, args=(bits,)) for bits in (100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(seen)
    assert flint.ctx.prec == before
