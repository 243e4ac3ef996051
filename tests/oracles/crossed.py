"""Slow, plain twin of maths/crossed.py: dense matrices over all effects and rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def design(codes: Sequence[NDArray[np.int64]], z: Sequence[Sequence[Floats]], levels: Sequence[int]) -> Floats:
    """Z (n, Q): the effects of each factor by level."""
    n = len(codes[0])
    out = []
    for code, columns, count in zip(codes, z, levels, strict=True):
        Z = np.zeros((n, count, len(columns)))
        for a, column in enumerate(columns):
            Z[np.arange(n), code, a] = column
        out.append(Z.reshape(n, -1))
    return np.hstack(out)


def sums(
    Z: Floats, data: Floats, weights: Floats | None, Lambda: Sequence[Floats], levels: Sequence[int]
) -> tuple[float, Floats, Floats, Floats]:
    """log det K, C'C (m, m), U (Q, m) and K^-1.  data (n, m): [X y]."""
    w = np.ones(len(Z)) if weights is None else weights
    whole = np.zeros((Z.shape[1], Z.shape[1]))
    at = 0
    for block, count in zip(Lambda, levels, strict=True):
        for _ in range(count):
            whole[at : at + len(block), at : at + len(block)] = block
            at += len(block)
    A = whole.T @ (Z.T * w) @ Z @ whole
    K = np.eye(len(A)) + A
    B = whole.T @ (Z.T * w) @ data
    inverse = np.linalg.inv(K)
    return float(np.linalg.slogdet(K)[1]), B.T @ inverse @ B, inverse @ B, inverse
