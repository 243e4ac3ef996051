"""Singular values in mpmath, to as many digits as asked."""

from collections.abc import Sequence

import mpmath


def singular_values(A: Sequence[Sequence[float]], digits: int = 100) -> list[mpmath.mpf]:
    """Of A (n, p), n >= p, in decreasing order.  The floats are taken at their exact value; Golub-Kahan by mpmath."""
    with mpmath.workdps(digits):
        values = mpmath.svd_r(mpmath.matrix([[mpmath.mpf(v) for v in row] for row in A]), compute_uv=False)
        return sorted(values, reverse=True)


def scaled_to_unit_columns(A: Sequence[Sequence[float]], digits: int = 100) -> list[list[mpmath.mpf]]:
    """The columns of A (n, p) divided by their lengths."""
    with mpmath.workdps(digits):
        columns = [[mpmath.mpf(v) for v in column] for column in zip(*A, strict=True)]
        lengths = [mpmath.sqrt(mpmath.fsum(v * v for v in column)) for column in columns]
        return [[v / s for v, s in zip(row, lengths, strict=True)] for row in zip(*columns, strict=True)]
