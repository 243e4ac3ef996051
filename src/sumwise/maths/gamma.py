"""Logarithms of gamma functions, their derivatives, and what Stirling's formula leaves: the same bits on every machine.

x is moved above 20 by the recurrence Gamma(x + 1) = x Gamma(x); there Stirling's series to x^-15 leaves less than one
unit in the last place [DLMF 5.11].
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import log

Floats = NDArray[np.float64]

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_SHIFT = 20


def log_gamma(x: Floats) -> Floats:
    """log Gamma(x), elementwise, x > 0."""
    x, product = np.asarray(x, dtype=np.float64), np.ones(np.shape(x))
    low = x < _SHIFT
    for k in range(_SHIFT):
        product = np.where(low, product * np.where(low, x + k, 1.0), product)
    big = np.where(low, x + _SHIFT, x)
    tail = np.zeros_like(big)
    for k in range(len(_BERNOULLI), 0, -1):
        tail = (tail / (big * big)) + _BERNOULLI[k - 1] / (2 * k * (2 * k - 1))
    value: Floats = (big - 0.5) * log(big) - big + log(2 * np.pi) / 2 + tail / big - log(product)
    return value


def digamma(x: Floats) -> Floats:
    """The derivative of log Gamma(x), elementwise, x > 0."""
    big, moved = _moved(x, lambda v: 1 / v)
    tail = np.zeros_like(big)
    for k in range(len(_BERNOULLI), 0, -1):
        tail = tail / (big * big) + _BERNOULLI[k - 1] / (2 * k)
    value: Floats = log(big) - 0.5 / big - tail / (big * big) - moved
    return value


def trigamma(x: Floats) -> Floats:
    """The second derivative of log Gamma(x), elementwise, x > 0."""
    big, moved = _moved(x, lambda v: 1 / (v * v))
    tail = np.zeros_like(big)
    for k in range(len(_BERNOULLI), 0, -1):
        tail = tail / (big * big) + _BERNOULLI[k - 1]
    value: Floats = 1 / big + 0.5 / (big * big) + tail / (big * big * big) + moved
    return value


def _moved(x: Floats, term: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
    """x, or x + 20 where it is small, and the sum of term(x), ..., term(x + 19) there."""
    x = np.asarray(x, dtype=np.float64)
    low, total = x < _SHIFT, np.zeros(np.shape(x))
    for k in range(_SHIFT - 1, -1, -1):
        total = total + np.where(low, term(np.where(low, x + k, 1.0)), 0.0)
    return np.where(low, x + _SHIFT, x), total


MOST_TERMS = 1_000_000
"""Rising factorials of more factors go by log Gamma."""


def log_rising(y: Floats, size: float) -> Floats:
    """(3, rows): log Gamma(y + size) - log Gamma(size) for whole numbers y >= 0, elementwise, and its first and second
    derivative in log size: sums over i < y of log(size + i), size / (size + i), size i / (size + i)^2.
    """
    steps = np.arange(min(float(np.max(y, initial=0.0)), MOST_TERMS))
    share = size / (size + steps)
    terms = np.stack([log(size + steps), share, share * (steps / (size + steps))])
    sums = np.concatenate([np.zeros((3, 1)), np.cumsum(terms, axis=1)], axis=1)  # one after the other: a fixed order
    many = y > MOST_TERMS
    value: Floats = sums[:, np.where(many, 0.0, y).astype(np.int64)]
    if np.any(many):
        top, k = y[many] + size, np.full(int(np.sum(many)), size)
        first = size * (digamma(top) - digamma(k))
        second = first + size * size * (trigamma(top) - trigamma(k))
        value[:, many] = log_gamma(top) - log_gamma(k), first, second
    return value


# -- of one number --

LIFT = 16
"""Stirling's series is used from here on; smaller arguments are lifted by the recurrence of the gamma function."""

_SERIES = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def stirling_error(x: float) -> float:
    """delta(x) = log Gamma(x) - log( sqrt(2 pi / x) (x / e)^x ), x > 0 [Loader 2000; DLMF 5.11.1]."""
    if x >= LIFT:
        square, value = 1 / (x * x), 0.0
        for coefficient in reversed(_SERIES):
            value = value * square + coefficient
        return value / x
    product = 1.0
    for k in range(LIFT):
        product *= x + k
    above = x + LIFT
    # log Gamma(x) = log Gamma(x + 16) - log( x (x + 1) ... (x + 15) )
    logs = (above - 0.5) * float(log(above)) - (x - 0.5) * float(log(x)) - LIFT
    return stirling_error(above) + (logs - float(log(product)))


def log_gamma_gap(a: float) -> float:
    """a log a - a - log Gamma(a), a > 0, without the cancellation of its terms."""
    return float(log(a / (2 * pi))) / 2 - stirling_error(a)
