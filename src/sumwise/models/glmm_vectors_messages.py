"""What the centre and a site say to each other in the fit of a model with vectors of random effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.exact import ExactSum

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VectorMomentsQuestion:
    """Round 1: counts and column sums.  columns, effects: how many columns X and Z have, p and q; what is asked of the
    rows does not depend on them.
    """

    columns: int = 0
    effects: int = 0


@dataclass(frozen=True, slots=True)
class VectorMoments:
    """Sums over rows and groups.

    rows, groups: counts; ample: groups with at least as many rows as effects; alike: groups of several trials that
    are all successes or all failures (of a binomial response); single: groups of a single trial; columns (p,): sums
    of the columns of X; effects (2, q): sums of the columns of Z and of their squares; totals (4,): sum of y (times
    the weight, unless y counts successes), sum of trials or weights, sum of these times exp(offset), and sum of the
    log-likelihood's part that holds no parameter.
    """

    rows: int
    groups: int
    ample: int
    alike: int
    single: int
    columns: ExactSum
    effects: ExactSum
    totals: ExactSum

    def __add__(self, other: VectorMoments) -> VectorMoments:
        return VectorMoments(
            self.rows + other.rows,
            self.groups + other.groups,
            self.ample + other.ample,
            self.alike + other.alike,
            self.single + other.single,
            self.columns + other.columns,
            self.effects + other.effects,
            self.totals + other.totals,
        )


@dataclass(frozen=True, slots=True)
class VectorQuestion:
    """Evaluate at one point or more.

    centre (p + q,): subtracted from the columns of X and Z; points (k, P): rows (beta, theta, log aux), on the
    centred columns; orders: numbers of nodes a dimension to try in turn, a group takes the first whose value differs
    from the one before by at most `tolerance`, but the very first where the tolerance is infinite; information: nodes
    a dimension for Louis' information, 0 for those of the value, -1 for none; aux: whether the family has one.
    """

    centre: Floats
    points: Floats
    orders: tuple[int, ...]
    tolerance: float
    information: int
    aux: bool = False


@dataclass(frozen=True, slots=True)
class VectorSummand:
    """Sums over groups, at each of the k points of a question.

    values (k, 2 + P) or (k, 2 + P + P (P + 1) / 2): log-likelihood without its part that does not depend on the linear
    predictor, gradient, lower triangle of the information where it was asked for, sum of the measured quadrature
    errors; constants (k, 3): sums over rows of the part that depends on log aux alone, and of its first two
    derivatives, (k, 0) where the family has no such parameter; used (k, orders): groups that took each order; failed
    (k,): groups that the sums leave out, because their log-likelihood or a derivative is not finite.
    """

    values: ExactSum
    constants: ExactSum
    used: tuple[tuple[int, ...], ...]
    failed: tuple[int, ...]

    def __add__(self, other: VectorSummand) -> VectorSummand:
        used = tuple(
            tuple(a + b for a, b in zip(mine, theirs, strict=True))
            for mine, theirs in zip(self.used, other.used, strict=True)
        )
        failed = tuple(a + b for a, b in zip(self.failed, other.failed, strict=True))
        return VectorSummand(self.values + other.values, self.constants + other.constants, used, failed)
