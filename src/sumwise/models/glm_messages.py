"""What the centre and a site say to each other in the fit of a generalized linear model: questions and summands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.exact import ExactSum

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GlmMomentsQuestion:
    """Round 1: counts and sums that depend on the family alone."""

    family: str


@dataclass(frozen=True, slots=True)
class GlmMoments:
    """Sums over the rows whose weight w and number of trials are positive.

    rows, ignored: these rows, and the others; shifted: rows with an offset other than zero.
    totals (6,): sums of w, w n (n trials, or 1), w y, w y^2; of w times the log-likelihood of the saturated model, for
    binomial rows and counts; of w log y, for gamma and inverse gaussian.   columns (p,): sums of w n x_j.
    """

    rows: int
    ignored: int
    shifted: int
    totals: ExactSum
    columns: ExactSum

    def __add__(self, other: GlmMoments) -> GlmMoments:
        return GlmMoments(
            self.rows + other.rows,
            self.ignored + other.ignored,
            self.shifted + other.shifted,
            self.totals + other.totals,
            self.columns + other.columns,
        )

    @property
    def weight(self) -> float:
        """sum w"""
        return float(self.totals.round()[0])

    @property
    def trials(self) -> float:
        """sum w n"""
        return float(self.totals.round()[1])

    @property
    def response(self) -> float:
        """sum w y"""
        return float(self.totals.round()[2])

    @property
    def squares(self) -> float:
        """sum w y^2"""
        return float(self.totals.round()[3])

    @property
    def saturated(self) -> float:
        """Log-likelihood of the saturated model."""
        return float(self.totals.round()[4])

    @property
    def logs(self) -> float:
        """sum w log y"""
        return float(self.totals.round()[5])


@dataclass(frozen=True, slots=True)
class GlmQuestion:
    """Evaluate at one point.

    centre (p,): means, subtracted from the columns; beta (p,): coefficients of the centred columns; aux: size of the
    negative binomial, else 1; information: 0 none, and no score; 1 expected; 2 observed; size: whether the sums with
    the derivatives in the logarithm of the size are wanted too.
    """

    family: str
    link: str
    centre: Floats
    beta: Floats
    aux: float
    information: int
    size: bool


@dataclass(frozen=True, slots=True)
class GlmSummand:
    """Sums over rows at dispersion one.

    values: deviance, Pearson's chi^2; with information the score (p,) and the lower triangle of the information, row by
    row; with size what AuxTerms in glm_families.hpp lists: c, d1, d2 and, with information, cross (p,).   failed: rows
    that the sums leave out, because their mean or log-likelihood is not finite.
    """

    values: ExactSum
    failed: int

    def __add__(self, other: GlmSummand) -> GlmSummand:
        return GlmSummand(self.values + other.values, self.failed + other.failed)
