"""What a change of A and b does to the solution of A x = b, and what it can do at most.

Let x solve min |b - A x| with A of full column rank, and x^ the changed problem with A + dA, b + db and residual r^.
Since (A + dA)'r^ = 0,  x^ - x = A+ (db - dA x^) + (A'A)^-1 dA' r^,  and in 2-norms, however large dA is,

    |dx| / |x^| <= kappa (|dA|/|A| + |db|/(|A| |x^|)) + kappa^2 |dA|/|A| |r^|/(|A| |x^|).

For square systems r^ = 0, which leaves the first term.  A bound relative to |x| exists only where kappa |dA|/|A| < 1:

    |dx| / |x| <= kappa (|dA|/|A| + |db|/(|A| |x|)) / (1 - kappa |dA|/|A|)    [Golub & Van Loan 2013, theorem 2.6.2].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.maths.conditioning import matrix_condition, spectral_norm
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares
from sumwise.maths.rounding import nearest_root, rational

Floats = NDArray[np.float64]


ROUNDED_UP = 1 + 1e-14
"""The bounds are reached by some changes, and they are computed in floats."""


@dataclass(frozen=True, slots=True)
class Perturbation:
    """A change of A and b beside what it did.  All norms are 2-norms (of matrices: largest singular value).

    kappa: of A.   relative_matrix: |dA|/|A|.   relative_rhs: |db|/(|A| |x^|).
    x, x_changed (p,): both solutions, rounded once.   actual: |dx|/|x^|.   bound: what it can be at most; always holds.
    actual_to_x: |dx|/|x|.   bound_to_x: what that can be at most; inf where there is no bound, because
    kappa |dA|/|A| >= 1 or the system is not square.
    first_order: kappa (|dA|/|A| + |db|/(|A| |x|)), a bound on actual_to_x for tiny changes of a square system only.
    """

    kappa: float
    relative_matrix: float
    relative_rhs: float
    x: Floats
    x_changed: Floats
    actual: float
    bound: float
    actual_to_x: float
    bound_to_x: float
    first_order: float


def perturbation_bound(kappa: float, relative_matrix: float, relative_rhs: float = 0.0) -> float:
    """kappa (|dA|/|A| + |db|/(|A| |x^|)): bound on |dx|/|x^| of a square system, x^ = x + dx the changed solution."""
    return kappa * (relative_matrix + relative_rhs)


def perturbation(A: Floats, b: Floats, dA: Floats, db: Floats) -> Perturbation:
    """The solutions before and after a change, both exact, and the bounds.  A, dA (n, p), b, db (n,).

    Raises DataError if the columns of A are not independent.
    """
    n, p = A.shape
    if not A.size or p > n:
        raise DataError(f"a perturbation bound takes at least as many rows as columns, not {n} x {p}")
    condition = matrix_condition(A)
    if condition.rank < p:
        raise DataError(
            f"the columns of the matrix are not independent (rank {condition.rank} of {p}): the solution is not "
            "unique, and no bound holds. Leave out dependent columns."
        )
    x, x_changed, residual = _solutions(A, b, dA, db)
    size, size_changed = _length(x), _length(x_changed)
    change = _length([u - v for u, v in zip(x_changed, x, strict=True)])
    norm, kappa = condition.norm, condition.kappa
    relative_matrix, length_db = spectral_norm(dA) / norm, _length([Fraction(float(v)) for v in db])
    relative_rhs = _ratio(length_db, norm * size_changed)
    first_order = perturbation_bound(kappa, relative_matrix, _ratio(length_db, norm * size))
    bounded = n == p and kappa * relative_matrix < 1
    return Perturbation(
        kappa=kappa,
        relative_matrix=relative_matrix,
        relative_rhs=relative_rhs,
        x=_rounded(x),
        x_changed=_rounded(x_changed),
        actual=_ratio(change, size_changed),
        bound=ROUNDED_UP
        * (
            perturbation_bound(kappa, relative_matrix, relative_rhs)
            + kappa * kappa * relative_matrix * _ratio(residual, norm * size_changed)
        ),
        actual_to_x=_ratio(change, size),
        bound_to_x=ROUNDED_UP * first_order / (1 - kappa * relative_matrix) if bounded else math.inf,
        first_order=first_order,
    )


def _solutions(A: Floats, b: Floats, dA: Floats, db: Floats) -> tuple[list[Fraction], list[Fraction], float]:
    """x, x^ and |r^|, from one Gram: A + dA is A less the column -dA, exactly."""
    p = A.shape[1]
    columns = [np.ascontiguousarray(c) for c in (*A.T, b, *-dA.T, -db)]
    gram = Gram.of(columns)
    before = LeastSquares(gram, range(p), [p])
    for i in range(p + 1):
        gram = gram.minus(i, p + 1)  # the columns behind move up
    after = LeastSquares(gram, range(p), [p])
    x, x_changed = ([row[0] for row in fit.coef_exact()] for fit in (before, after))
    return x, x_changed, nearest_root(after.rationals.rss(0))


def _length(x: Sequence[Fraction]) -> float:
    return nearest_root(rational(sum((v * v for v in x), Fraction(0))))


def _rounded(x: Sequence[Fraction]) -> Floats:
    return np.array([v.numerator / v.denominator for v in x], dtype=np.float64)


def _ratio(a: float, b: float) -> float:
    """a / b; 0 / 0 is 0: nothing changed."""
    if not a:
        return 0.0
    return a / b if b else math.inf
