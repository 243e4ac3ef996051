"""Logarithms of gamma functions against mpmath."""

import numpy as np
import pytest
from mpmath import mp

from sumwise.maths.gamma import digamma, log_gamma, log_rising, trigamma

ARGUMENTS = np.array([1e-8, 0.01, 0.3, 0.999, 1.0, 1.5, 2.0, 3.7, 19.999, 20.0, 33.3, 1e3, 1e7, 1e15])


@pytest.mark.parametrize(
    ("ours", "truth"), [(log_gamma, mp.loggamma), (digamma, mp.digamma), (trigamma, lambda x: mp.psi(1, x))]
)
def test_agree_with_mpmath(ours, truth):
    """40 digits.  Near the zeros of a function the error is small beside its terms, not beside itself."""
    with mp.workdps(40):
        expected = np.array([float(truth(mp.mpf(float(x)))) for x in ARGUMENTS])
    assert np.max(np.abs(ours(ARGUMENTS) - expected) / np.maximum(1.0, np.abs(expected))) < 2e-14


@pytest.mark.parametrize("size", [1e-3, 0.7, 5.0, 1e6, 1e10])
def test_rising_factorials_agree_with_mpmath(size):
    """log Gamma(y + k) - log Gamma(k) and derivatives in log k, 60 digits: no cancellation at a large size."""
    y = np.array([0.0, 1.0, 2.0, 17.0, 500.0])
    ours = log_rising(y, size)
    with mp.workdps(60):
        k = mp.mpf(size)
        for j, count in enumerate(y):
            first = k * (mp.digamma(count + k) - mp.digamma(k))
            second = first + k * k * (mp.psi(1, count + k) - mp.psi(1, k))
            truth = (mp.loggamma(count + k) - mp.loggamma(k), first, second)
            assert [float(v) for v in ours[:, j]] == pytest.approx([float(v) for v in truth], rel=2e-14, abs=1e-40)


def test_more_factors_than_are_worth_adding_go_by_log_gamma():
    """60 digits; next to it the last count that is added up factor by factor."""
    ours = log_rising(np.array([1e6, 3e6]), 2.5)
    with mp.workdps(60):
        k = mp.mpf(2.5)
        for j, count in enumerate((1e6, 3e6)):
            first = k * (mp.digamma(count + k) - mp.digamma(k))
            second = first + k * k * (mp.psi(1, count + k) - mp.psi(1, k))
            truth = (mp.loggamma(count + k) - mp.loggamma(k), first, second)
            assert [float(v) for v in ours[:, j]] == pytest.approx([float(v) for v in truth], rel=1e-12)
