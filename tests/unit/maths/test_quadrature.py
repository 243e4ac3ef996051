"""Gauss-Hermite rules against tests/oracles/hermite.py and against the moments of the normal distribution."""

from fractions import Fraction
from itertools import pairwise
from math import factorial

import numpy as np
import pytest
from mpmath import mp

from sumwise.errors import UsageError
from sumwise.maths.quadrature import LADDER, gauss_hermite, ladder
from sumwise.models.glmm import MOST_NODES, RandomIntercept
from tests.oracles import hermite

ORDERS = (*range(1, 21), 25, 40, 64, 101, 151)


@pytest.mark.parametrize("order", ORDERS)
def test_nodes_and_weights_are_the_float64_nearest_to_the_truth(order):
    """At 40 digits; the weights for adaptive placement, w exp(z^2 / 2), too."""
    rule = gauss_hermite(order)
    with mp.workdps(40):
        z, w = hermite.rule(order)
        # mpmath's 0 may be of the order 1e-40: chop it, as 0.0 is what is asked for
        assert rule.z.tolist() == [float(mp.chop(v, tol=1e-35)) for v in z]
        assert rule.w.tolist() == [float(v) for v in w]
        assert rule.scaled.tolist() == [float(v * mp.exp(t**2 / 2)) for t, v in zip(z, w, strict=True)]


@pytest.mark.parametrize("order", [1, 2, 3, 4, 7, 12])
def test_rules_are_exact_for_polynomials_up_to_degree_two_k_minus_one(order):
    """E Z^m = (m - 1)!! for even m, 0 for odd m.  The float64 rule in exact arithmetic is off by its own
    rounding only; at degree 2K the error is K!, far more.   [Abramowitz & Stegun 25.4.46]
    """
    rule = gauss_hermite(order)
    terms = [(Fraction(z), Fraction(w)) for z, w in zip(rule.z.tolist(), rule.w.tolist(), strict=True)]
    for degree in range(2 * order):
        moment = 0 if degree % 2 else factorial(degree) // (2 ** (degree // 2) * factorial(degree // 2))
        size = sum(w * abs(z) ** degree for z, w in terms) if degree else 1
        assert abs(sum(w * z**degree for z, w in terms) - moment) <= size * (degree + 2) * Fraction(1, 2**52)
    even = factorial(2 * order) // (2**order * factorial(order))
    short = even - sum(w * z ** (2 * order) for z, w in terms)
    assert float(short) == pytest.approx(factorial(order), rel=1e-6)


@pytest.mark.parametrize("order", [*ORDERS, *LADDER])
def test_rules_are_symmetric_ascending_and_sum_to_one(order):
    rule = gauss_hermite(order)
    assert rule.order == order == len(rule.w) == len(rule.scaled)
    assert np.array_equal(rule.z, -rule.z[::-1])
    assert np.array_equal(rule.w, rule.w[::-1])
    assert np.array_equal(rule.scaled, rule.scaled[::-1])
    assert np.all(np.diff(rule.z) > 0)
    assert abs(sum(map(Fraction, rule.w.tolist())) - 1) <= order * Fraction(1, 2**53)
    assert order % 2 == 0 or rule.z[order // 2] == 0


def test_the_largest_rule_is_a_rule():
    """Where weights underflow their scaled twins do not.  At every node w exp(z^2 / 2) is about half the sum of the
    distances to its neighbours, times exp(-0) / sqrt(2 pi): here 2 percent suffice.  The moments below need the
    middle of the rule, and they are 1, 3, 15, 105 for Z^2, Z^4, Z^6, Z^8.
    """
    rule = gauss_hermite(MOST_NODES)
    assert rule.order == MOST_NODES == 1000
    assert np.all(np.diff(rule.z) > 0)
    assert rule.w.min() == 0 < rule.scaled.min()
    gaps = (rule.z[2:] - rule.z[:-2]) / 2 / np.sqrt(2 * np.pi)
    assert np.allclose(rule.scaled[1:-1][200:-200], gaps[200:-200], rtol=0.02)
    for power, moment in ((0, 1), (2, 1), (4, 3), (6, 15), (8, 105)):
        assert float(np.sum(rule.w * rule.z**power)) == pytest.approx(moment, rel=1e-13)


@pytest.mark.parametrize("order", [327, MOST_NODES])
def test_outermost_nodes_of_large_rules_are_correctly_rounded(order):
    """Newton's method on the orthonormal Hermite polynomial at 60 digits, started at the node itself."""
    rule = gauss_hermite(order)
    for k in (-1, -2, order // 2 + 1):
        with mp.workdps(60):
            z = mp.mpf(float(rule.z[k]))
            for _ in range(3):
                before, now = mp.mpf(0), mp.mpf(1)
                for j in range(order):
                    before, now = now, (z * now - mp.sqrt(j) * before) / mp.sqrt(j + 1)
                z -= now / (mp.sqrt(order) * before)
            weight = 1 / (order * before**2)
            assert rule.z[k] == float(z)
            assert rule.w[k] == float(weight)
            assert rule.scaled[k] == float(weight * mp.exp(z**2 / 2))


@pytest.mark.parametrize("order", [0, -1, MOST_NODES + 1, 2.5, "9", None])
def test_an_order_out_of_range_is_refused_with_the_range(order):
    with pytest.raises(UsageError, match="whole number from 1 to 1000"):
        RandomIntercept(("x",), "g", nodes=order)


def test_rules_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        gauss_hermite(5).z[0] = 0


def test_the_ladder_climbs_from_laplace_by_odd_orders():
    assert LADDER[0] == 1
    assert all(a < b for a, b in pairwise(LADDER))
    assert all(k % 2 for k in LADDER)


def test_the_ladder_is_cut_to_what_theta_can_need():
    assert ladder(0.0) == tuple(k for k in LADDER if k <= 60)
    assert ladder(100.0) == LADDER
    assert all(ladder(a) == ladder(b)[: len(ladder(a))] for a, b in pairwise([0.0, 0.5, 1.0, 2.0, 5.0, 20.0]))
