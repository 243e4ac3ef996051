"""Gauss-Hermite rules for the standard normal weight, computed at any order.

Sum_k w_k g(z_k) is the mean of g(Z), Z ~ N(0, 1), exactly for polynomials of degree up to 2 K - 1.  Nodes
are the roots of the Hermite polynomial He_K; weights are w_k = 1 / (K p_{K-1}(z_k)^2) with p_j = He_j /
sqrt(j!), the orthonormal polynomials [Golub & Welsch 1969; Abramowitz & Stegun 25.4.46].  Roots are
polished in 50-digit decimal arithmetic, so that every float64 comes out correctly rounded and the same on
every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh_tridiagonal

LADDER = (1, 3, 5, 7, 9, 13, 19, 27, 39, 55, 79, 113, 161, 229, 327, 467, 667, 953)
"""Orders that `nodes="auto"` tries, each about 1.4 times the one before."""

_PRECISION = Context(prec=50)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for N(0, 1).  z (K,) nodes, ascending, symmetric; w (K,) weights, sum 1; scaled (K,) = w
    exp(z^2 / 2), the weights that adaptive placement needs: they neither underflow nor overflow at any
    order.
    """

    z: NDArray[np.float64]
    w: NDArray[np.float64]
    scaled: NDArray[np.float64]

    @property
    def order(self) -> int:
        """Number of nodes."""
        return len(self.z)


def ladder(theta: float) -> tuple[int, ...]:
    """The orders worth trying for random effects of standard deviation theta on the logistic scale.

    The integrand has poles at a distance pi / theta from the real line, so an error of 1e-13 needs about 12 theta^2
    nodes when the group itself says little; computing larger rules than that would cost time for nothing.
    """
    enough = 60 + 24 * theta * theta
    return tuple(order for order in LADDER if order <= enough)


def _orthonormal(order: int, z: Decimal, roots: list[Decimal]) -> tuple[Decimal, Decimal]:
    """p_order(z) and p_{order-1}(z) by the three-term recurrence sqrt(j+1) p_{j+1} = z p_j - sqrt(j)
    p_{j-1}.
    """
    last, p = Decimal(0), Decimal(1)
    for j in range(order):
        last, p = p, (z * p - roots[j] * last) / roots[j + 1]
    return p, last


@lru_cache(maxsize=64)
def gauss_hermite(order: int) -> Rule:
    """The rule with `order` nodes, order >= 1."""
    nodes: list[Decimal] = []
    weights: list[Decimal] = []
    scaled: list[Decimal] = []
    with localcontext(_PRECISION):
        roots = [Decimal(j).sqrt() for j in range(order + 1)]
        start = _starting_nodes(order)
        for k in range(order // 2, order):  # the non-negative half
            z = Decimal(float(start[k])) if 2 * k + 1 != order else Decimal(0)
            for _ in range(2 if z else 0):  # 1e-14 -> 1e-28 -> 1e-50
                p, below = _orthonormal(order, z, roots)
                z -= p / (roots[order] * below)  # p_K' = sqrt(K) p_{K-1}
            weight = 1 / (order * _orthonormal(order, z, roots)[1] ** 2)
            nodes.append(z)
            weights.append(weight)
            scaled.append(weight * (z * z / 2).exp())
    return Rule(_mirror(nodes, order, -1), _mirror(weights, order, 1), _mirror(scaled, order, 1))


def _starting_nodes(order: int) -> NDArray[np.float64]:
    """Eigenvalues of the Jacobi matrix of the recurrence: the nodes to about 1e-14 [Golub & Welsch 1969]."""
    return np.asarray(eigvalsh_tridiagonal(np.zeros(order), np.sqrt(np.arange(1.0, order))))


def _mirror(half: list[Decimal], order: int, sign: int) -> NDArray[np.float64]:
    upper = np.array([float(v) for v in half])
    lower = sign * upper[::-1]
    out = np.concatenate([lower[: order // 2], upper])
    out.setflags(write=False)
    return out


LEAST_SHARE = 1e-18
"""A node of a product of rules is left out when its weight is below this share of the largest."""


@dataclass(frozen=True, slots=True)
class ProductRule:
    """Nodes for N(0, I_q): all q-fold combinations of a rule for N(0, 1), but for those that weigh next to nothing.

    z (K, q) nodes; scaled (K,) weights times exp(|z|^2 / 2); order: nodes a dimension.
    """

    z: NDArray[np.float64]
    scaled: NDArray[np.float64]
    order: int


@lru_cache(maxsize=64)
def product_rule(order: int, q: int) -> ProductRule:
    """The product of q rules with `order` nodes each."""
    rule = gauss_hermite(order)
    index = np.indices((order,) * q).reshape(q, -1)
    weight, scaled = np.ones(index.shape[1]), np.ones(index.shape[1])
    for one in index:
        weight, scaled = weight * rule.w[one], scaled * rule.scaled[one]
    kept = weight >= LEAST_SHARE * weight.max()
    z, scaled = np.ascontiguousarray(rule.z[index[:, kept]].T), np.ascontiguousarray(scaled[kept])
    for array in (z, scaled):
        array.setflags(write=False)
    return ProductRule(z, scaled, order)


PRODUCT_LADDER = (3, 5, 7, 9, 11, 13, 15, 19, 23, 27, 33, 39, 47, 55, 67, 79, 95, 113, 135, 161)
"""Orders that `nodes="auto"` tries for products: closer to each other than LADDER, since nodes grow with their
power."""

MOST_PRODUCT_NODES = 7000
"""Largest product of rules that `nodes="auto"` tries."""


def product_ladder(q: int) -> tuple[int, ...]:
    """Nodes a dimension worth trying for q effects.  One is left out: Louis' information needs the spread of the score
    over the nodes.
    """
    return tuple(order for order in PRODUCT_LADDER if order**q <= MOST_PRODUCT_NODES)
