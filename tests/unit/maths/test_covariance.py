"""Factors and their parameters: places by hand, and what rotations must leave alone."""

import numpy as np
import pytest

from sumwise.maths import covariance


def test_theta_runs_down_the_columns_of_each_block():
    L = covariance.factor(np.arange(1.0, 8.0), (3, 1))
    assert L.tolist() == [[1, 0, 0, 0], [2, 4, 0, 0], [3, 5, 6, 0], [0, 0, 0, 7]]
    assert covariance.size((3, 1)) == 7
    assert covariance.columns((3, 1), 2) == ((slice(2, 5), slice(5, 7), slice(7, 8)), (slice(8, 9),))
    assert covariance.entries((2, 1)) == ((0, 0), (1, 0), (1, 1), (2, 2))


def test_the_relative_covariance_is_the_product_of_the_factor_with_itself():
    theta = np.array([2.0, 3.0, 4.0, 5.0])
    assert covariance.relative(theta, (2, 1)).tolist() == [[4, 6, 0], [6, 25, 0], [0, 0, 25]]


@pytest.mark.parametrize(
    ("theta", "blocks", "canonical"),
    [
        ([-2.0, 3.0, -4.0], (2,), [2, -3, 4]),
        ([0.0, 3.0, 4.0], (2,), [0, 5, 0]),  # 3^2 + 4^2 = 5^2
        ([0.0, 0.0, -4.0], (2,), [0, 4, 0]),
        ([-1.0, 0.0, 3.0, 4.0], (1, 2), [1, 0, 5, 0]),
        ([1.0, 1.0, 1.0, 0.0, 3.0, 4.0], (3,), [1, 1, 1, 0, 5, 0]),
    ],
)
def test_canonical_factors_by_hand(theta, blocks, canonical):
    assert covariance.canonical(np.array(theta), blocks).tolist() == canonical


def test_a_canonical_factor_has_the_same_product_and_stays_as_it_is():
    rng = np.random.default_rng(1)
    for _ in range(200):
        blocks = tuple(rng.integers(1, 5, rng.integers(1, 4)).tolist())
        theta = rng.standard_normal(covariance.size(blocks)) * (rng.random(covariance.size(blocks)) < 0.6)
        once = covariance.canonical(theta, blocks)
        before, after = (covariance.relative(t, blocks) for t in (theta, once))
        assert after == pytest.approx(before, abs=1e-14)
        assert covariance.canonical(once, blocks).tolist() == once.tolist()
        for block in covariance.columns(blocks):
            zero = [not np.any(once[column]) for column in block]
            assert zero == sorted(zero)


def test_any_square_factor_is_turned_into_a_canonical_triangle():
    rng = np.random.default_rng(2)
    for rank in (0, 1, 2, 3):
        F = np.zeros((3, 3))
        F[:, :rank] = rng.standard_normal((3, rank))
        F = F @ np.linalg.qr(rng.standard_normal((3, 3)))[0]
        theta = covariance.triangular(F)
        assert covariance.relative(theta, (3,)) == pytest.approx(F @ F.T, abs=1e-14)
        assert covariance.canonical(theta, (3,)).tolist() == theta.tolist()


def test_turning_multiplies_the_factor_from_the_left():
    T = np.array([[2.0, 0, 0], [3, 4, 0], [0, 0, 5]])
    theta = np.array([1.0, -1, 2, 3])
    J = covariance.turning(T, (2, 1))
    assert covariance.factor(J @ theta, (2, 1)).tolist() == (T @ covariance.factor(theta, (2, 1))).tolist()
