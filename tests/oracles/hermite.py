"""Gauss-Hermite rules for the standard normal, at any order and any precision."""

from functools import cache
from itertools import pairwise

import numpy as np
from mpmath import mp, mpf
from scipy.linalg import eigvalsh_tridiagonal


def rule(order: int) -> tuple[list[mpf], list[mpf]]:
    """Nodes z (order,), ascending, and weights w (order,), sum(w) == 1, good to mp.dps digits.

    sum_k w_k g(z_k) = E g(Z), Z ~ N(0, 1), for every polynomial g of degree up to 2 order - 1.
    """
    return _rule(order, mp.dps)


@cache
def _rule(order: int, digits: int) -> tuple[list[mpf], list[mpf]]:
    """Roots in float64 as eigenvalues of the Jacobi matrix [Golub & Welsch 1969], then Newton's method."""
    starts = eigvalsh_tridiagonal(np.zeros(order), np.sqrt(np.arange(1.0, order)))
    with mp.workdps(digits + 10):
        nodes = [_root(order, mpf(float(start))) for start in starts]
        weights = [1 / (order * _last_two(order, z)[0] ** 2) for z in nodes]
        # Newton could carry two starts to one root: that would be no rule, and nothing may rest on it.
        if any(a >= b for a, b in pairwise(nodes)) or abs(sum(weights) - 1) > mpf(10) ** -digits:
            raise ArithmeticError(f"Gauss-Hermite rule of order {order} failed at {digits} digits")
    return nodes, weights


def _last_two(order: int, z: mpf) -> tuple[mpf, mpf]:
    """Orthonormal Hermite polynomials h_{order-1}(z) and h_order(z).

    sqrt(j+1) h_{j+1} = z h_j - sqrt(j) h_{j-1}, h_0 = 1.   [Abramowitz & Stegun 22.7.14, normalised]
    """
    before, now = mpf(0), mpf(1)
    for j in range(order):
        before, now = now, (z * now - mp.sqrt(j) * before) / mp.sqrt(j + 1)
    return before, now


def _root(order: int, z: mpf) -> mpf:
    """The root of h_order next to z, by Newton's method: h_order' = sqrt(order) h_{order-1}."""
    for _ in range(20):
        before, now = _last_two(order, z)
        step = now / (mp.sqrt(order) * before)
        z -= step
        # Quadratic convergence: after a step below half the digits the error is below all of them.
        if abs(step) < mpf(10) ** (-mp.dps // 2 - 2):
            return z
    raise ArithmeticError(f"no root of the Hermite polynomial of order {order} near {mp.nstr(z)}")
