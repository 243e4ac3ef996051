"""What the centre and a site say to each other in the fit of a random-intercept model: questions and summands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.exact import ExactSum

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MomentsQuestion:
    """Round 1: counts and column sums.  Carries nothing."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over rows and groups.

    rows, groups: counts; alike: groups of several trials that are all successes or all failures; columns (p,): sums of
    the columns of X; totals (6,): sum Y, sum N, sum Y^2, sum Y N and sum N^2 over groups with Y successes in N trials,
    and the sum over rows of the log binomial coefficient.
    """

    rows: int
    groups: int
    alike: int
    columns: ExactSum
    totals: ExactSum

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.rows + other.rows,
            self.groups + other.groups,
            self.alike + other.alike,
            self.columns + other.columns,
            self.totals + other.totals,
        )

    @property
    def successes(self) -> float:
        """sum Y"""
        return float(self.totals.round()[0])

    @property
    def trials(self) -> float:
        """sum N"""
        return float(self.totals.round()[1])

    @property
    def single(self) -> bool:
        """Whether every group has a single trial."""
        values = self.totals.round()
        return bool(values[1] == values[4])

    @property
    def log_choose(self) -> float:
        """log of the product of binomial coefficients: what the log-likelihood holds beside the kernel's value."""
        return float(self.totals.round()[5])


@dataclass(frozen=True, slots=True)
class Question:
    """Evaluate at one point.  centre (p,): subtracted from the columns; beta (p,), theta: parameters on the
    centred columns; orders: numbers of nodes to try in turn, a group takes the first whose measured error
    is at most `tolerance`.
    """

    centre: Floats
    beta: Floats
    theta: float
    orders: tuple[int, ...]
    tolerance: float


@dataclass(frozen=True, slots=True)
class Summand:
    """Sums over groups.

    values (2 + q + q (q + 1) / 2,) for q = p + 1: log-likelihood without binomial coefficients, gradient and lower
    triangle of the Hessian in (beta, theta), and the sum of the measured quadrature errors; used: groups that took
    each order; failed: groups that the sums leave out, because their log-likelihood or a derivative is not finite.
    """

    values: ExactSum
    used: tuple[int, ...]
    failed: int

    def __add__(self, other: Summand) -> Summand:
        used = tuple(a + b for a, b in zip(self.used, other.used, strict=True))
        return Summand(self.values + other.values, used, self.failed + other.failed)

    @property
    def loglik(self) -> float:
        """Log-likelihood without binomial coefficients; -inf where a group failed."""
        return float(self.values.round()[0]) if not self.failed else -np.inf

    @property
    def quadrature_error(self) -> float:
        """Measured error of the total log-likelihood."""
        return float(self.values.round()[-1])
