"""Special functions of one number, in a fixed order of operations: the same bits on every machine."""

from __future__ import annotations

from math import pi

from sumwise.kernels.library import log

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
