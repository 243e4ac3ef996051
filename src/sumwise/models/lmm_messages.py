"""What the centre and a site say to each other in the fit of a linear mixed model: questions and summands.

Q(theta) = [X y]' V^-1 [X y] with V = W^-1 + Z Lambda Lambda' Z' is all that the profiled likelihood needs of the rows,
beside log det(V W).  With T = [X y]' W [X y], which round 1 brings exactly,

    Q(theta) = T - explained + cross(theta)

A site is free in how it splits what it takes from T.  Where the groups are independent, `explained` is what their own
effects would explain if they were fixed, and `cross` what shrinkage takes back: both are sums of squares, and nothing
cancels.  Where it is easier, explained is zero and cross = - C'C, C = L^-1 Lambda' Z' W [X y].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.exact import ExactSum
from sumwise.maths.gram import Gram

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MomentsQuestion:
    """Round 1: cross-products of columns and response, and counts.

    columns: of the cross-products, p + 1; blocks: how many effects each term has; weighted: whether rows have weights.
    They say how long the answer is, whatever the rows, and change nothing in it.
    """

    columns: int = 0
    blocks: tuple[int, ...] = ()
    weighted: bool = False


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over rows and groups; rows of weight zero do not count.

    gram: of the p columns of X and the response less its offset; ignored: rows of weight zero; log_weights (): sum of
    log w, None without weights.   groups: how many each term has; alone: how many of them hold a single row.
    squares (q,): sum of w z^2 for each effect, term by term; mixed: sums of w z_i z_j for the pairs j < i of effects of
    each term, row by row and term by term, or None where a site does not tell.
    """

    gram: Gram
    ignored: int
    log_weights: ExactSum | None
    groups: tuple[int, ...]
    alone: tuple[int, ...]
    squares: ExactSum
    mixed: ExactSum | None = None

    def __add__(self, other: Moments) -> Moments:
        logs, mixed = self.log_weights, None
        if self.mixed is not None and other.mixed is not None:
            mixed = self.mixed + other.mixed
        if logs is not None and other.log_weights is not None:
            logs = logs + other.log_weights
        return Moments(
            self.gram + other.gram,
            self.ignored + other.ignored,
            logs,
            tuple(a + b for a, b in zip(self.groups, other.groups, strict=True)),
            tuple(a + b for a, b in zip(self.alone, other.alone, strict=True)),
            self.squares + other.squares,
            mixed,
        )

    @property
    def rows(self) -> int:
        """Rows of positive weight."""
        return self.gram.rows

    @property
    def log_weight(self) -> float:
        """sum of log w, rounded once; 0 without weights."""
        return 0.0 if self.log_weights is None else float(self.log_weights.round())


@dataclass(frozen=True, slots=True)
class Question:
    """Evaluate at some points.

    centre (p + 1,): subtracted from the columns and the response, zero for the intercept.   points: theta (m,) of
    each.   second: second derivatives too.   explained: also the part of the sums that no point changes.
    """

    centre: Floats
    points: tuple[Floats, ...]
    second: bool
    explained: bool


@dataclass(frozen=True, slots=True)
class Summand:
    """Sums over groups.  Symmetric matrices of p + 1 columns are lower triangles, row by row: P = (p + 1)(p + 2) / 2.

    values (points, D, 1 + P): log det(I + Lambda' Z' W Z Lambda), then cross; D = 1 + m: the value and its derivatives
    in each theta, then with `second` m (m + 1) / 2 more, (i, j) with j <= i row by row.
    explained (P,), or None where it was not asked for.   failed: groups left out because a number is not finite.
    """

    values: ExactSum
    explained: ExactSum | None
    failed: int

    def __add__(self, other: Summand) -> Summand:
        explained = self.explained
        if explained is not None and other.explained is not None:
            explained = explained + other.explained
        return Summand(self.values + other.values, explained, self.failed + other.failed)
