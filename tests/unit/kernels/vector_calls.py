"""One call of the kernel for vectors of random effects on plain arrays, with its sums unpacked."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sumwise.kernels import aghq, vectors
from sumwise.maths import covariance
from sumwise.maths.exact import ExactSum
from sumwise.maths.quadrature import product_rule


@dataclass(frozen=True, slots=True)
class Sums:
    """loglik, gradient (P,), information (P, P) or None, error: rounded sums; digits: the sums themselves; used: groups
    by rule; failed: groups left out.
    """

    loglik: float
    gradient: np.ndarray
    information: np.ndarray | None
    error: float
    digits: np.ndarray
    used: list[int]
    failed: int


def nodes(order: int, q: int) -> vectors.Nodes:
    """The product rule as the kernel takes it."""
    rule = product_rule(order, q)
    return vectors.Nodes(rule.z, rule.scaled)


def evaluate(
    family, X, Z, y, n, offset, group, phi, *, blocks=None, orders=(3,), tolerance=np.inf, information=None, cuts=()
) -> Sums:
    """All groups at phi = (beta, theta, log aux).  information: None, 0 for the nodes of the value, or an order."""
    data, query = packed(X, Z, y, n, offset, group), asked(X, Z, phi, blocks, orders, tolerance, information)
    edges = [0, *cuts, data.bundles]
    pieces = [vectors.evaluate(data, Z.shape[1], family, query, a, b) for a, b in pairwise(edges)]
    total = ExactSum(pieces[0].digits)
    for piece in pieces[1:]:
        total = total + ExactSum(piece.digits)
    values, P = total.round(), len(phi)
    matrix = None
    if information is not None:
        matrix = np.zeros((P, P))
        matrix[np.tril_indices(P)] = values[1 + P : -1]
        matrix = matrix + np.tril(matrix, -1).T
    used = [int(u) for u in sum(piece.used for piece in pieces)]
    failed = sum(piece.failed for piece in pieces)
    return Sums(float(values[0]), values[1 : 1 + P], matrix, float(values[-1]), total.digits, used, failed)


def modes(family, X, Z, y, n, offset, group, phi, *, blocks=None) -> tuple[np.ndarray, np.ndarray]:
    """Modes (groups, q) and inverse curvatures (groups, q, q)."""
    data, query = packed(X, Z, y, n, offset, group), asked(X, Z, phi, blocks, (1,), np.inf, None)
    q, groups = Z.shape[1], int(np.max(group)) + 1
    mode, spread = np.full((groups, q), np.nan), np.full((groups, q, q), np.nan)
    vectors.modes(data, q, family, query, 0, data.bundles, mode, spread)
    return mode, spread


def packed(X, Z, y, n, offset, group) -> aghq.Packed:
    """The rows in the kernel's layout, X and Z side by side."""
    columns = [*X.T, *Z.T]
    return aghq.pack(columns, y, n, offset, group, int(np.max(group)) + 1, np.zeros(len(columns)))


def asked(X, Z, phi, blocks, orders, tolerance, information) -> vectors.Query:
    """The kernel's query at phi."""
    p, q = X.shape[1], Z.shape[1]
    blocks = blocks or (q,)
    m = covariance.size(blocks)
    return vectors.Query(
        beta=np.asarray(phi[:p], dtype=float),
        Lambda=covariance.factor(np.asarray(phi[p : p + m], dtype=float), blocks),
        entries=np.array(covariance.entries(blocks)),
        aux=float(np.exp(phi[p + m])) if len(phi) > p + m else 1.0,
        rules=tuple(nodes(order, q) for order in orders),
        tolerance=tolerance,
        information=None if information is None else nodes(information, q) if information else (),
    )


def random_rows(family, sizes, q, *, columns=2, trials=4, seed=0) -> dict:
    """Arguments family, X, Z, y, n, offset, group, phi for `evaluate`: one block, at random parameters."""
    rng = np.random.default_rng([20261124, seed])
    total, group = sum(sizes), np.repeat(np.arange(len(sizes)), sizes)
    X = np.column_stack([np.ones(total), rng.standard_normal((total, columns - 1))])
    Z = np.column_stack([np.ones(total), rng.standard_normal((total, 2))])[:, :q]
    n = np.ones(total)
    if family[0] == "binomial":
        n = rng.integers(1, trials, total, endpoint=True).astype(float)
        y = rng.binomial(n.astype(int), 0.5).astype(float)
    else:
        y = rng.gamma(2.0, 1.0, total) if family[0] == "gamma" else rng.poisson(1.5, total).astype(float)
    theta = 0.7 * rng.standard_normal(q * (q + 1) // 2)
    aux = [np.log(1.7)] if family[0] in vectors.WITH_AUX else []
    phi = np.concatenate([0.4 * rng.standard_normal(columns), theta, aux])
    offset = 0.3 * rng.standard_normal(total)
    return {"family": family, "X": X, "Z": Z, "y": y, "n": n, "offset": offset, "group": group, "phi": phi}


def pick(rows: dict, groups) -> dict:
    """The rows of `groups`, in the order in which they stand there, numbered anew."""
    index = np.concatenate([np.flatnonzero(rows["group"] == g) for g in groups])
    number = np.concatenate([np.full(np.sum(rows["group"] == g), i) for i, g in enumerate(groups)])
    return {**rows, **{k: rows[k][index] for k in ("X", "Z", "y", "n", "offset")}, "group": number}
