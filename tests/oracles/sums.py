"""Sums of float64 in exact rational arithmetic."""

from collections.abc import Iterable
from fractions import Fraction


def exact_sum(values: Iterable[float]) -> float:
    """The float64 nearest to the exact sum (ties to even); 0.0 for no values, and never -0.0.

    Every finite float is a Fraction, and Fractions add exactly.  Fraction to float is CPython's true division
    of integers, correctly rounded, subnormal results included (Objects/longobject.c, long_true_divide).
    Raises OverflowError where the rounded sum exceeds the largest float or a value is infinite, ValueError
    where a value is NaN.  A partial sum beyond the float range does no harm.
    """
    return float(rational_sum(values))


def rational_sum(values: Iterable[float]) -> Fraction:
    """The exact sum itself.  Raises OverflowError for an infinity and ValueError for a NaN."""
    return sum((Fraction(float(value)) for value in values), Fraction(0))
