"""Elementary functions with the same bits on every processor; numpy's differ in the last one.

All are elementwise, float64 in and out, with the C library's values at the edges of their domains.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import exp, log

Floats = NDArray[np.float64]

__all__ = ["exp", "log", "log1p", "log2", "log10"]

_POWERS_OF_TEN = np.array([float(10**k) for k in range(23)])  # the powers of ten that are float64 numbers


def log1p(x: Floats) -> Floats:
    """log(1 + x) without loss near zero, by x log(u) / (u - 1), u = 1 + x rounded [Goldberg 1991, theorem 4]."""
    x = np.asarray(x, dtype=np.float64)
    u = 1 + x
    with np.errstate(invalid="ignore", divide="ignore"):
        near = np.where(np.isinf(u) | (u == 1), 1.0, x / (u - 1))
        return np.where(u == 1, x, log(u) * near)


def log2(x: Floats) -> Floats:
    """Logarithm to base 2, exact at powers of two: x = m 2^e, log2 x = e + log(m) / log(2)."""
    x = np.asarray(x, dtype=np.float64)
    m, e = np.frexp(x)
    low = m < np.sqrt(0.5)
    m, e = np.where(low, 2 * m, m), np.where(low, e - 1, e)
    return e + log(m) / log(2.0)


def log10(x: Floats) -> Floats:
    """Logarithm to base 10, exact at 1, 10, 100, ..., 1e22."""
    x = np.asarray(x, dtype=np.float64)
    value = log(x) / log(10.0)
    with np.errstate(invalid="ignore"):
        k = np.clip(np.nan_to_num(np.rint(value)), 0, 22).astype(int)
    return np.where(_POWERS_OF_TEN[k] == x, k, value)
