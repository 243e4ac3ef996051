"""Facts of linear mixed models, whose sums tell groups apart.

Of a group, everything that leaves is made of A = Z'WZ and B = Z'W [X y]: round 1 and `explained` bring the sums of
cross-products and of B'A^-1 B, each later round those of B'(A + S^-1)^-1 B and derivatives, S being the covariance that
it asks about.  These are one sum weighted in ever other ways, by functions of A.  If all groups have one A it stays
that one sum.  A group whose A is like no other's has weights of its own: so many equations, and its B B' - the means of
columns and response in it, with a random intercept - follows, from an honest fit, with no question chosen.

And cross-products of X and y leave as they are: of a column that names a group they are that group's sums.

So groups are judged like rows: by the largest share that one of them has in a combination of what leaves.  With the
response among the columns it counts where others do not hide it: of few groups, one always has the largest residuals.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.disclosure.facts import DesignFacts, linear_columns, linear_design, rooted, spanned
from sumwise.disclosure.figures import by_name, digit_gaps, effective, leverage, told, widest
from sumwise.disclosure.figures_groups import group_leverage
from sumwise.maths.columns import Column
from sumwise.models import linear, lmm_site

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NOISE = 1e-12
"""Share of the largest singular value below which a combination drowns in the rounding of the groups' numbers."""

ROUNDING = 1e-14
"""Share of a column below which what is left of it, or what groups have of it, is rounding."""

PASSES = 2
"""Of least squares: what one leaves the next one projects again, so that what is left is right to its last digits."""

SOME = 4
"""Every fourth of the covariances that are asked about is looked at times all columns of X."""


class Rows(linear.Rows, lmm_site.Rows, Protocol):
    """What a linear mixed model knows of its rows."""

    @property
    def columns(self) -> tuple[str, ...]: ...


def lmm_design(rows: Rows, effects: Sequence[str], parameters: int) -> DesignFacts:
    """Facts of the rows.  effects: names of the columns of Z; parameters: how many the model estimates."""
    base = linear_design(rows)
    w = np.ones(len(rows.y)) if rows.weights is None else rows.weights
    response = rows.y if rows.offset is None else rows.y - rows.offset
    within = _within([*rows.x, response], rows, w)
    names = [f"the effect '{name}'" for name in effects]
    left = [Column((r,)) for r in within if r.any()]
    judged = [leverage([*spanned(rows), *(Column((z,)) for z in rows.z)], rows.weights)]
    if left:
        judged.append(leverage(left, rows.weights))
    columns = spanned(rows)[:-1]
    per_group = np.bincount(rows.group[w > 0], minlength=len(rows.groups))
    per_group = per_group[per_group > 0]
    return DesignFacts(
        rows=base.rows,
        parameters=parameters,
        groups=len(per_group),
        smallest_group=int(per_group.min(initial=len(rows.y))),
        effective=base.effective | by_name(names, [effective(z, w) for z in rows.z]),
        cells=base.cells,
        leverage=max(base.leverage, *judged),
        digit_gaps=widest([base.digit_gaps, *(digit_gaps(z) for z in rows.z)]),
        group_leverage=max(
            _between(rows, w),
            told(_between_columns(rows, w), len(per_group) - 1),
            group_leverage(columns, rows.weights, rows.group, len(rows.groups)),
            told(group_leverage(spanned(rows), rows.weights, rows.group, len(rows.groups)), len(per_group) - 1),
            told(share_of_residuals([r * np.sqrt(w) for r in within if r.any()], rows.group), len(per_group) - 1),
        ),
    )


def lmm_columns(rows: Rows) -> list[Column]:
    """sqrt(w) x for the columns that its sums are made of."""
    effects = [Column((z,)) for z in rows.z]
    return [*linear_columns(rows), *(effects if rows.weights is None else [rooted(z, rows.weights) for z in effects])]


def _products(rows: Rows, w: Floats, columns: Sequence[Floats]) -> Floats:
    """(groups, q, columns) Z'W c of each group."""
    groups = len(rows.groups)
    return np.array(
        [[np.bincount(rows.group, w * z * c, minlength=groups) for c in columns] for z in rows.z]
    ).transpose(2, 0, 1)


def _within(columns: Sequence[Floats], rows: Rows, w: Floats) -> list[Floats]:
    """(n,) what each group's own effects leave of the columns; zero where that is rounding."""
    A = _products(rows, w, rows.z)
    size = np.sqrt(A[:, range(A.shape[1]), range(A.shape[1])])
    scale = 1 / np.where(size > 0, size, 1.0)
    inverse = np.linalg.pinv(A * scale[:, :, None] * scale[:, None, :], rcond=1e-12, hermitian=True)
    inverse *= scale[:, :, None] * scale[:, None, :]
    found = [column.astype(np.float64) for column in columns]
    for _ in range(PASSES):
        C = inverse @ _products(rows, w, found)
        found = [rest - sum(z * C[rows.group, k, j] for k, z in enumerate(rows.z)) for j, rest in enumerate(found)]
    for rest, column in zip(found, columns, strict=True):
        rest[np.abs(rest) <= ROUNDING * np.abs(column).max(initial=0.0)] = 0.0
    return found


def share_of_residuals(columns: Sequence[Floats], group: Ints) -> float:
    """The largest share of one group in the sum of squares of a combination of the columns (n,)."""
    columns = [c for c in columns if c.any()]  # rows of no weight may be all that one has
    if not columns:
        return 0.0
    U, values, _ = np.linalg.svd(np.stack([c / np.abs(c).max() for c in columns], axis=1), full_matrices=False)
    U = U[:, values > NOISE * values[0]]
    of_group = np.array([[np.bincount(group, u * v) for u in U.T] for v in U.T]).transpose(2, 0, 1)
    return float(np.linalg.eigvalsh(of_group)[:, -1].max())


def _between(rows: Rows, w: Floats) -> float:
    """The largest share of one group in the sum of squares of a combination of the functions of A that weigh B B'.

    As attackers find them: the row space of the matrix that has a row for each S asked about, and q (q + 1) / 2 columns
    for each group, in units of A.   Groups alike are one, which is shared out among them.
    """
    A = _products(rows, w, rows.z)
    A = A[A[:, range(A.shape[1]), range(A.shape[1])].sum(axis=1) > 0]
    if not len(A):
        return 0.0
    A, many = np.unique(A, axis=0, return_counts=True)
    values, vectors = np.linalg.eigh(A)
    root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :] @ vectors.transpose(0, 2, 1)
    q = A.shape[1]
    upper = np.triu_indices(q)
    twice = np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0))
    mean = np.average(A[:, range(q), range(q)], axis=0, weights=many)
    F = [_explained(root)[:, *upper] * twice]
    for S in asked(mean):
        inner = np.eye(q) + root @ S @ root
        K = root @ S @ root @ np.linalg.inv(inner)
        F.append((K + K.transpose(0, 2, 1))[:, *upper] / 2 * twice)
    matrix = (np.array(F) * np.sqrt(many)[None, :, None]).reshape(len(F), -1)
    _, values, V = np.linalg.svd(matrix, full_matrices=False)
    V = V[values > NOISE * values[0]].reshape(-1, len(A), len(upper[0]))
    blocks = np.einsum("rgi,rgj->gij", V, V)
    return float((np.linalg.eigvalsh(blocks)[:, -1] / many).max())


def _between_columns(rows: Rows, w: Floats) -> float:
    """The largest share of one group in a combination of the functions of A that weigh B, times columns of X: whoever
    knows those has equations for the response's part of B.
    """
    X = [x / max(float(np.abs(x).max(initial=0.0)), 1e-300) for x in rows.x]
    A, B, q = _products(rows, w, rows.z), _products(rows, w, X), len(rows.z)
    mean = A[:, range(q), range(q)].mean(axis=0)
    scale = 1 / np.sqrt(np.where(mean > 0, mean, 1.0))
    values, vectors = np.linalg.eigh(A * scale[:, None] * scale)
    alive = values > 1e-12 * np.maximum(values.max(axis=1, keepdims=True), 0.0)
    root = (vectors * np.sqrt(np.where(alive, values, 0.0))[:, None, :]) @ vectors.transpose(0, 2, 1)
    back = np.divide(1.0, np.sqrt(np.where(alive, values, 1.0)), out=np.zeros_like(values), where=alive)
    known = (vectors * back[:, None, :]) @ vectors.transpose(0, 2, 1) @ (scale[:, None] * B)
    size = np.sqrt(np.square(known).sum(axis=(0, 1)))
    there = size > ROUNDING * np.sqrt([np.sum(w * np.square(x)) for x in X])
    if not there.any():
        return 0.0
    known = known[:, :, there] / size[there]
    lines = [known]
    for S in asked(np.ones(q))[::SOME]:
        inside = root @ S @ root
        lines.append(inside @ np.linalg.solve(np.eye(q) + inside, known))
    matrix = np.concatenate(lines, axis=2).transpose(2, 0, 1)
    _, values, V = np.linalg.svd(matrix.reshape(len(matrix), -1), full_matrices=False)
    V = V[values > NOISE * values.max(initial=0.0)].reshape(-1, len(A), q)
    return float(np.linalg.eigvalsh(np.einsum("rgi,rgj->gij", V, V))[:, -1].max(initial=0.0))


def _explained(root: Floats) -> Floats:
    """(groups, q, q) the projection on what a group's effects can explain."""
    return root @ np.linalg.pinv(root, rcond=1e-9, hermitian=True)


def asked(mean: Floats) -> list[Floats]:
    """Covariances (q, q) such as a fit asks about.  mean (q,): of the diagonal of A."""
    q = len(mean)
    scale = 1 / np.sqrt(np.where(mean > 0, mean, 1.0))
    steps = [0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0]
    if q <= 3:
        finer = [0.1, 0.3, 1.0, 2.0, 4.0, 10.0] if q == 2 else steps[1::2]
        sizes = [*product(finer, repeat=q), *((s,) * q for s in steps)]
    else:
        sizes = [tuple(s if k == j else 1.0 for k in range(q)) for j in range(q) for s in steps]
    found = [np.diag(np.array(size) * scale**2) for size in dict.fromkeys(sizes)]
    for i, j in zip(*np.triu_indices(q, 1), strict=True):
        for rho in (-0.5, 0.5):
            S = np.eye(q)
            S[i, j] = S[j, i] = rho
            found.append(S * scale[:, None] * scale)
    return found
