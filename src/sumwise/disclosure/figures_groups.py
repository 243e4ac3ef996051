"""Figures of groups: the largest share of one of them in what sums over groups tell.

As a row has leverage, so has a group: max over v of (its part of v'X'WXv) / (v'X'WXv).  Where the groups have effects,
a sum tells less of what is alike within a group, as the effect takes it up: their parts are those of the information
about beta,

    X'WX - X'WZ Lambda (I + Lambda'Z'WZ Lambda)^-1 Lambda'Z'WX
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sumwise.disclosure.figures import BLOCK, digit_gaps, told, whitening, widest
from sumwise.maths.columns import Column, times

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NOISE = 1e-12
"""Share of the largest eigenvalue below which a direction counts as none."""


def group_leverage(
    columns: Sequence[Column], weights: Floats | None, group: Ints, groups: int, variance: float = 0.0
) -> float:
    """The largest share of one group in the sum of squares of any combination of columns, from exact cross-products,
    as `leverage` of rows: columns that differ in the last bits of one group are told apart.

    weights (n,) or None; group (n,) numbers of `groups`; variance: of an intercept that varies by group, where what it
    takes up does not count.
    """
    if not columns or not len(columns[0]):
        return 0.0
    high, low = whitening(columns, weights)
    r = high.shape[1]
    lower, means, sizes = np.zeros((r, r, groups)), np.zeros((r, groups)), np.zeros(groups)
    for first in range(0, len(columns[0]), BLOCK):
        some = slice(first, first + BLOCK)
        w = np.ones(len(group[some])) if weights is None else weights[some]
        with np.errstate(over="ignore", invalid="ignore"):
            U = times([column.rows(some) for column in columns], high, low)
            for k in range(r):
                weighted = w * U[:, k]
                means[k] += np.bincount(group[some], weighted, minlength=groups)
                for j in range(k + 1):
                    lower[k, j] += np.bincount(group[some], weighted * U[:, j], minlength=groups)
        sizes += np.bincount(group[some], w, minlength=groups)
    taken = variance / (1 + variance * sizes)
    for k in range(r):
        for j in range(k + 1):
            lower[k, j] -= taken * means[k] * means[j]
            lower[j, k] = lower[k, j]
    return share(lower.transpose(2, 0, 1))


def share(parts: Floats) -> float:
    """The largest share of one group in a combination: parts (groups, c, c), positive semidefinite, what each adds.
    nan where they are no numbers.
    """
    if not np.isfinite(parts).all():
        return float("nan")
    total = parts.sum(axis=0)
    values, vectors = np.linalg.eigh(total)
    kept = values > NOISE * max(float(values.max(initial=0.0)), 1e-300)
    root = vectors[:, kept] / np.sqrt(values[kept])
    if not root.size:
        return 0.0
    return float(np.linalg.eigvalsh(root.T @ parts @ root)[:, -1].max())


def of_groups(values: Floats, group: Ints, groups: int) -> Floats:
    """(groups,) sums."""
    return np.bincount(group, values, minlength=groups).astype(np.float64)


def information(x: Sequence[Floats], a: Sequence[Floats], w: Floats, group: Ints, groups: int) -> Floats:
    """(groups, p, p) each group's part of the information about beta.  x: columns of X (n,), which are scaled to at
    most 1; a: those of Z Lambda; w (n,).
    """
    p, q = len(x), len(a)
    every = [*(column / max(float(np.abs(column).max(initial=0.0)), 1e-300) for column in x), *a]
    both = np.array([[of_groups(w * s * t, group, groups) for t in every] for s in every]).transpose(2, 0, 1)
    H, B = np.eye(q) + both[:, p:, p:], both[:, p:, :p]
    found: Floats = both[:, :p, :p] - B.transpose(0, 2, 1) @ np.linalg.solve(H, B)
    return found


def told_scores(score: Floats, columns: Sequence[Floats], group: Ints, groups: int) -> float:
    """The largest share of one group in a sum of scores times a column, where the others do not hide it."""
    return max((told_share(np.square(of_groups(score * column, group, groups))) for column in columns), default=0.0)


def told_share(squares: Floats) -> float:
    """The largest share among squares, 0 where the others hide it."""
    total = float(squares.sum())
    others = int(np.count_nonzero(squares)) - 1  # what adds nothing hides nothing
    return told(float(squares.max(initial=0.0)) / total, others) if total > 0 else 0.0


def group_gaps(columns: Sequence[Floats], weighing: Sequence[Floats], group: Ints, groups: int) -> tuple[float, ...]:
    """By how many bits what the first groups add is smaller than what all others do, in sums of `weighing` (n,) alone
    and times each column.  A group's part of a sum is a rounded number of 53 bits, wherever they come from, so its size
    says where its last digits lie.
    """
    gaps = []
    for a in weighing:
        for size in (a, *(a * np.abs(column) for column in columns)):
            amounts = of_groups(size, group, groups)
            gaps.append(digit_gaps(np.ldexp(0.5, np.frexp(amounts[amounts > 0])[1])))
    return widest(gaps)
