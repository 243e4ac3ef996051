"""What the centre and a site say to each other in the fit of a generalized model with several grouping factors."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.exact import ExactSum
from sumwise.models.glmm_vectors_messages import VectorMoments, VectorMomentsQuestion, VectorQuestion

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedMomentsQuestion(VectorMomentsQuestion):
    """Round 1.  factors: how many grouping factors there are."""

    factors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedMoments(VectorMoments):
    """Moments; what counts groups counts those of the first factor, and these count by factor.

    by_factor: (groups, ample, alike, single) of each factor; meeting: for each pair of factors, how many pairs of their
    levels occur in a row.  A level lies at one site.
    """

    by_factor: tuple[tuple[int, int, int, int], ...]
    meeting: tuple[int, ...]

    @classmethod
    def of(
        cls, both: VectorMoments, by_factor: tuple[tuple[int, int, int, int], ...], meeting: tuple[int, ...]
    ) -> CrossedMoments:
        """The moments of one factor, with what is known of the others."""
        held = {field.name: getattr(both, field.name) for field in fields(VectorMoments)}
        return cls(**held, by_factor=by_factor, meeting=meeting)

    def __add__(self, other: VectorMoments) -> CrossedMoments:
        assert isinstance(other, CrossedMoments)
        both = VectorMoments.__add__(self, other)
        counts = [
            (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3])
            for a, b in zip(self.by_factor, other.by_factor, strict=True)
        ]
        return CrossedMoments.of(both, tuple(counts), tuple(map(int.__add__, self.meeting, other.meeting)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedQuestion(VectorQuestion):
    """Evaluate by Laplace's approximation.

    columns: p, of X.   near (c, P): points on the way here, as `points`.  Modes are searched from zero at the first of
    them, and at each other one from those before; at the question's first point from those of the last one, and at its
    others from those of its first.  So modes near by save steps, and the answer depends on the question alone.
    metric: whether the metric of beta is wanted at the first point; rough: whether the others serve a metric only.
    """

    columns: int
    near: Floats
    metric: bool
    rough: bool


@dataclass(frozen=True, slots=True)
class CrossedSummand:
    """Sums at each of the k points of a question.

    values (k, 1 + P): log-likelihood without its part that holds no parameter, and gradient in (beta, theta, log aux);
    metric (p (p + 1) / 2,): lower triangle by rows, at the first point, or zeros; failed (k,): components that the
    sums leave out, because a number is not finite.
    """

    values: ExactSum
    metric: ExactSum
    failed: tuple[int, ...]

    def __add__(self, other: CrossedSummand) -> CrossedSummand:
        failed = tuple(a + b for a, b in zip(self.failed, other.failed, strict=True))
        return CrossedSummand(self.values + other.values, self.metric + other.metric, failed)
