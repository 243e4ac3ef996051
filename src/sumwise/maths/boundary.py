"""The boundary of covariance matrices, for an ascent over their Cholesky factors (ascent.py): which columns are zero,
which should be, and which should not.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from sumwise.maths import covariance
from sumwise.maths.newton import Point, dot

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

JUMP_BELOW = 0.1
"""A step that leaves less than this share of a column tries zero instead."""

LEAST_RISE = 1e-6
"""Curvature at a zero column, relative to that of the other columns in the same rows, that counts as positive."""


def columns_of(phi: Floats, blocks: tuple[int, ...]) -> list[slice]:
    found = covariance.columns(blocks, len(phi) - covariance.size(blocks))
    return [column for block in found for column in block]


def canonical(phi: Floats, blocks: tuple[int, ...]) -> Floats:
    at = len(phi) - covariance.size(blocks)
    return np.concatenate([phi[:at], covariance.canonical(phi[at:], blocks)])


def free_parameters(phi: Floats, blocks: tuple[int, ...]) -> Bools:
    """(n,) False for the entries of columns that are zero throughout."""
    free = np.ones(len(phi), dtype=bool)
    for column in columns_of(phi, blocks):
        free[column] = bool(np.any(phi[column] != 0))
    return free


def shrinks(point: Point, trial: Floats, column: slice, blocks: tuple[int, ...]) -> bool:
    """Whether a column, and not its diagonal entry alone, is about to vanish: below it nothing is left that matters
    beside the rest of its row.
    """
    below = np.arange(column.start + 1, column.stop)
    rows = np.zeros(len(below))
    for block in covariance.columns(blocks, len(point.phi) - covariance.size(blocks)):
        for other in block:
            if block[0].start <= column.start < block[-1].stop and other.stop - other.start >= len(below):
                values = point.phi[other][len(point.phi[other]) - len(below) :]
                rows += values * values
    return bool(np.all(np.abs(trial[below]) <= JUMP_BELOW * np.sqrt(rows)))


def merged(point: Point, blocks: tuple[int, ...]) -> Floats | None:
    """phi with one column less in the block that comes closest to have one less: its factor L becomes L (I - w w'), w
    the direction that L shrinks most.   None where no block has two columns.

    At a covariance of lower rank a small diagonal entry above two large ones makes a long flat valley, which leads
    there and nowhere steeply: columns that grow parallel to each other.
    """
    found: Floats | None = None
    least = np.inf
    at = len(point.phi) - covariance.size(blocks)
    for s in blocks:
        own = slice(at, at + s * (s + 1) // 2)
        L, at = covariance.factor(point.phi[own], (s,)), own.stop
        curvature = covariance.factor(np.abs(np.diag(point.information)[own]), (s,))
        rank = int(np.count_nonzero(np.any(L != 0, axis=0)))
        if rank < 2:
            continue
        scaled = np.sqrt(np.max(curvature, axis=1))[:, None] * L[:, :rank]
        w, shrunk = lowest(np.array([[dot(a, b) for b in scaled.T] for a in scaled.T]))
        if shrunk < least:
            F = L.copy()
            F[:, :rank] -= np.multiply.outer(np.array([dot(row, w) for row in L[:, :rank]]), w)
            least, found = shrunk, point.phi.copy()
            found[own] = _without_last(covariance.triangular(F), s, rank)
    return found


def _without_last(theta: Floats, s: int, rank: int) -> Floats:
    """theta with the column of its last pivot, which is rounding, set to zero."""
    theta[covariance.columns((s,))[0][rank - 1]] = 0.0
    return theta


def steepest(point: Point, blocks: tuple[int, ...]) -> tuple[Floats, float] | None:
    """(rise (n,), promise): the column to let in, at a size where its curvature promises that gain; None if none.

    The first zero column of a block is looked at: with L the other columns and G the derivative in Lambda Lambda', the
    Hessian of its entries is 2 G in those rows; at a stationary point G L = 0, so these rows say all there is to say.
    """
    best: tuple[Floats, float] | None = None
    steepest = 0.0
    for block in covariance.columns(blocks, len(point.phi) - covariance.size(blocks)):
        zero = next((column for column in block if not np.any(point.phi[column])), None)
        if zero is None:
            continue
        B = point.information[zero, zero]
        size, rank = np.abs(np.diag(B)), block.index(zero)
        noise = np.zeros_like(size)  # of the curvature, while the other columns are not at rest
        for other in block[:rank]:
            L, g, A = (v[other][-len(size) :] for v in (point.phi, point.gradient, np.diag(point.information)))
            size = np.maximum(size, np.abs(A))
            noise = np.maximum(noise, np.abs(g / np.where(L != 0, L, np.inf)))
        scale = 1 / np.sqrt(np.where(size > 0, size, 1.0))
        direction, curvature = lowest(B * np.multiply.outer(scale, scale))
        if curvature < -LEAST_RISE - 4 * float(np.max(noise * scale * scale)) and curvature < steepest:
            steepest, rise = curvature, np.zeros(len(point.phi))
            rise[zero] = scale * direction / sqrt(-curvature)
            best = rise, 0.5
    return best


def lowest(M: Floats) -> tuple[Floats, float]:
    """A direction (n,) near the eigenvector of M (n, n), symmetric, with the lowest eigenvalue, and x'Mx there.

    Powers of c I - M, c no less than any eigenvalue, in a fixed number of squarings.
    """
    n = len(M)
    P = (1.0 + float(np.max(np.abs(M))) * n) * np.eye(n) - M
    for _ in range(12):
        square = np.zeros_like(P)
        for k in range(n):
            square += np.multiply.outer(P[:, k], P[k])
        P = square / float(np.max(np.abs(square)))
    x = P[:, int(np.argmax(np.diag(P)))]
    x = x / sqrt(dot(x, x))
    return x, dot(x, np.array([dot(row, x) for row in M]))
