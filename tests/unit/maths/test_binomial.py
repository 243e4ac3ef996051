"""log of binomial coefficients against mpmath at 60 digits."""

import numpy as np
import pytest
from mpmath import mp

from sumwise.maths.binomial import log_choose

RNG = np.random.default_rng(20261123)


def truth(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    with mp.workdps(60):
        return np.array([float(mp.log(mp.binomial(int(a), int(b)))) for a, b in zip(n, k, strict=True)], dtype=float)


def random_pairs(low: int, high: int, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    n = RNG.integers(low, high, count, endpoint=True)
    return n.astype(float), np.floor(RNG.random(count) * (n + 1))


def test_up_to_a_thousand_trials_the_error_is_below_two_units_in_the_last_place():
    n, k = random_pairs(1, 1000)
    expected = truth(n, k)
    assert np.all(np.abs(log_choose(n, k) - expected) <= 2 * np.spacing(expected))


def test_above_a_thousand_trials_twelve_digits_and_more_are_right():
    """The terms of the saddle-point form do not cancel: the relative error stays near the rounding of its quotients."""
    n, k = random_pairs(1001, 1_000_000)
    k[:60] = np.arange(60) % 30  # few successes, where factorials are taken exactly
    np.testing.assert_allclose(log_choose(n, k), truth(n, k), rtol=1e-13, atol=0)


def test_none_and_all_can_be_chosen_in_one_way():
    n = np.array([0.0, 1.0, 5.0, 1e7])
    assert log_choose(n, np.zeros(4)).tolist() == [0.0] * 4
    assert log_choose(n, n).tolist() == [0.0] * 4


def test_repeated_pairs_and_empty_input():
    n, k = np.array([5.0, 2000.0, 5.0, 2000.0]), np.array([2.0, 7.0, 2.0, 7.0])
    out = log_choose(n, k)
    assert out[0] == out[2] == pytest.approx(np.log(10), rel=1e-15)
    assert out[1] == out[3]
    assert log_choose(np.empty(0), np.empty(0)).shape == (0,)


def test_both_branches_meet_at_a_thousand():
    n, k = np.array([1000.0, 1001.0, 1016.0, 1100.0]), np.array([3.0, 3.0, 500.0, 1099.0])
    assert log_choose(n, k) == pytest.approx(truth(n, k), abs=1e-15 * 1100 * np.log(1100))
