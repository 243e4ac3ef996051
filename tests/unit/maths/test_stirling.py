"""Stirling's error and what is made of it against mpmath at 60 digits, drawn with a fixed seed."""

import numpy as np
import pytest
from mpmath import mp, mpf

from sumwise.maths.binomial import log_saturated
from sumwise.maths.gamma import log_gamma_gap, stirling_error

DRAW = np.random.default_rng(11)
POSITIVE = [*np.exp(DRAW.uniform(-12, 25, 200)).tolist(), 1.0, 15.999, 16.0, 1e-9, 1e15]


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(60):
        yield


def delta(x):
    return mp.loggamma(x) - (mp.log(2 * mp.pi / x) / 2 + x * mp.log(x) - x)


@pytest.mark.parametrize("x", POSITIVE)
def test_stirling_error_is_good_to_rounding_of_its_largest_term(x: float) -> None:
    bound = 1e-15 * abs(delta(mpf(x))) if x >= 16 else 3e-14  # below, logarithms of about 40 cancel
    assert abs(mpf(stirling_error(x)) - delta(mpf(x))) <= bound + 1e-15 * abs(mp.log(x))


@pytest.mark.parametrize("a", POSITIVE)
def test_the_gap_keeps_its_digits_where_its_terms_cancel(a: float) -> None:
    truth = mpf(a) * mp.log(a) - a - mp.loggamma(a)
    assert abs(mpf(log_gamma_gap(a)) - truth) <= 4e-14 + 1e-15 * abs(truth)


def test_the_likelihood_of_a_saturated_row_against_its_definition() -> None:
    n = np.array([1, 2, 10, 10, 999, 1001, 10**6, 10**6], dtype=float)
    k = np.array([1, 1, 0, 3, 500, 1, 3, 499_999], dtype=float)
    for found, a, b in zip(log_saturated(n, k), n, k, strict=True):
        p = mpf(b) / mpf(a)
        truth = mp.log(mp.binomial(a, b)) + (b * mp.log(p) if b else 0) + ((a - b) * mp.log(1 - p) if b < a else 0)
        # Stirling errors of numbers below 16 are differences of logarithms up to 40: 40 ulp
        assert abs(mpf(found) - truth) <= 40 * 2**-52 + 2e-15 * abs(truth)
