"""From exact numbers to the nearest float64.

An exact number is a rational (flint.fmpq) or a real number known to lie in a ball (flint.arb: midpoint and radius).
A rational is rounded at once.  A ball is rounded if all of it rounds to one float64; else it is left undecided, and the
caller computes it again with more bits or as a rational.  Rounding is to nearest, ties to even, subnormals included.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import flint
from flint import arb, fmpq

_ONE_AT_A_TIME = threading.RLock()  # the precision of balls is one setting for the whole process (flint.ctx)


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Inside, midpoints of balls carry `bits` bits.  Other threads that ask for a precision wait."""
    with _ONE_AT_A_TIME, flint.ctx.workprec(bits):
        yield


def nearest(value: fmpq) -> float:
    """The float64 nearest to a rational.  Raises OverflowError beyond the largest one."""
    # CPython divides integers with one rounding, subnormals included (Objects/longobject.c, long_true_divide)
    return int(value.p) / int(value.q)


def fits(value: fmpq) -> bool:
    """Whether the number is surely within the range of float64."""
    return int(value.p).bit_length() - int(value.q).bit_length() < 1023


def nearest_root(value: fmpq) -> float:
    """The float64 nearest to sign(value) sqrt(|value|)."""
    numerator, denominator = abs(int(value.p)), int(value.q)
    shift = 2 * max(0, 66 - (numerator.bit_length() - denominator.bit_length()) // 2)
    whole, rest = divmod(numerator << shift, denominator)
    root = math.isqrt(whole)
    # Where the root is not a whole number it lies strictly between two, like root + 1/2: all float64 of its size and
    # all midpoints between them are whole numbers here, because root has 65 bits or more.
    halves = 2 * root + (rest > 0 or root * root < whole)
    size = halves / (2 << (shift // 2))
    return -size if value < 0 else size


def nearest_in(ball: arb) -> float | None:
    """The float64 that every number in the ball rounds to (inf beyond the largest one), None if there is none."""
    low, high = ball.lower(), ball.upper()
    below, above = float(low), float(high)
    if below != above:
        return None
    if below == 0 and not (low > 0 or high < 0 or low == high):  # which zero, 0.0 or -0.0, is not known yet
        return None
    return below


def nearest_root_in(ball: arb) -> float | None:
    """Like `nearest_in`, for sign(x) sqrt(|x|) of the x in the ball."""
    root = signed_root(ball)
    return None if root is None else nearest_in(root)


def signed_root(ball: arb) -> arb | None:
    """sign(x) sqrt(|x|) of the x in the ball, None if their sign is unknown."""
    if ball == 0:
        return ball
    if ball > 0:
        return ball.sqrt()
    return -(-ball).sqrt() if ball < 0 else None


def pair(value: fmpq) -> tuple[float, float]:
    """(hi, lo) with hi the float64 nearest to a rational and lo the one nearest to value - hi."""
    hi = nearest(value)
    return hi, nearest(value - rational(Fraction(hi)))


def pair_in(ball: arb) -> tuple[float, float] | None:
    """(hi, lo): hi the float64 nearest to all of the ball, hi + lo within 2^-106 of it; None for too wide a ball."""
    hi = nearest_in(ball)
    if hi is None or math.isinf(hi):
        return None if hi is None else (hi, 0.0)
    if ball != 0 and ball.rel_accuracy_bits() < 110:
        return None
    return hi, float((ball - hi).mid())


def middle_pair(ball: arb) -> tuple[float, float]:
    """(hi, lo) of the midpoint of a ball, zeros if zero lies in it."""
    if ball.contains(0):
        return 0.0, 0.0
    middle = ball.mid()
    hi = float(middle)
    return hi, float(middle - hi)


def rational(value: Fraction) -> fmpq:
    """The same number for flint."""
    return fmpq(value.numerator, value.denominator)


def fraction(value: fmpq) -> Fraction:
    """The same number for Python."""
    return Fraction(int(value.p), int(value.q))
