"""One call of the quadrature kernel on plain arrays, with its sums unpacked."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sumwise.kernels import aghq
from sumwise.maths.exact import ExactSum
from sumwise.maths.quadrature import gauss_hermite


@dataclass(frozen=True, slots=True)
class Sums:
    """loglik, gradient (q,), hessian (q, q), error: rounded sums; digits: the sums themselves; used: groups by
    rule; mode, scale (groups,).
    """

    loglik: float
    gradient: np.ndarray
    hessian: np.ndarray
    error: float
    digits: np.ndarray
    used: list[int]
    mode: np.ndarray
    scale: np.ndarray


def evaluate(
    X, y, group, beta, theta, *, trials=None, offset=None, orders=(9,), tolerance=np.inf, centre=None, cuts=()
) -> Sums:
    """All groups at (beta, theta).  group (n,): 0 ... groups - 1; cuts: bundles where a further call begins."""
    n, p = X.shape
    groups = int(np.max(group)) + 1
    data = aghq.pack(
        tuple(X.T),
        y,
        np.ones(n) if trials is None else trials,
        offset,
        group,
        groups,
        np.zeros(p) if centre is None else centre,
    )
    rules = tuple((rule.z, rule.scaled) for rule in map(gauss_hermite, orders))
    modes = np.full(groups, np.nan), np.full(groups, np.nan)
    edges = [0, *cuts, data.bundles]
    pieces = [aghq.evaluate(data, beta, theta, rules, tolerance, first, last, modes) for first, last in pairwise(edges)]
    total = ExactSum(pieces[0].digits)
    for piece in pieces[1:]:
        total = total + ExactSum(piece.digits)
    return _unpacked(total, [int(u) for u in sum(piece.used for piece in pieces)], modes, p + 1)


def _unpacked(total: ExactSum, used: list[int], modes: tuple, q: int) -> Sums:
    values = total.round()
    hessian = np.zeros((q, q))
    hessian[np.tril_indices(q)] = values[1 + q : -1]
    hessian = hessian + np.tril(hessian, -1).T
    return Sums(float(values[0]), values[1 : 1 + q], hessian, float(values[-1]), total.digits, used, modes[0], modes[1])
