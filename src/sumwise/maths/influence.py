"""How the coefficients of a polynomial answer to the points: in balls of as many bits as their cancellation takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from flint import arb, arb_mat
from numpy.typing import NDArray

from sumwise.maths.exact_matrices import matrix
from sumwise.maths.least_squares import LeastSquares
from sumwise.maths.polynomials import Points
from sumwise.maths.rounding import precision, rational
from sumwise.maths.settling import ENOUGH
from sumwise.maths.solutions import Balls

Floats = NDArray[np.float64]

GOOD = 40
"""Bits to which each number is good,"""
NOTHING = 200
"""or how many below the largest of its column it may be uncertain: zeros."""


def influence(fit: LeastSquares, x: Points, basis: Any | None, slope: Any) -> tuple[Floats, Floats]:
    """(P, P') (n, p) each: the polynomials P_j with d coef_j / d y_r = w_r P_j(x_r), and their derivatives, at x.

    fit: of powers of x, of full rank.   basis: the matrix B of the basis, so that P_j(x) = sum_i x^i (H B^-1)_ij with
    H = (X'WX)^-1; None for polynomials orthogonal over the points with leading coefficients slope^k: then, with W the
    lower triangular root of H, P_k = W_k W_kk / slope^k (see `orthogonal`).   Good to 40 bits.
    """
    for balls in fit.ladder.up_to(math.inf):
        if balls.accuracy < ENOUGH:
            continue
        with precision(balls.bits):
            answers = balls.kept_inverse * arb_mat(basis.inv()) if basis is not None else _orthogonal(balls, slope)
            unit = arb(rational(x.unit))
            powers = [_powers(arb(v) * unit, fit.p) for v in x.values]
            slopes = [[arb(0), *(j * row[j - 1] for j in range(1, fit.p))] for row in powers]
            found = [_floats(matrix(arb_mat, rows, fit.p) * answers) for rows in (powers, slopes)]
        if found[0] is not None and found[1] is not None:
            return found[0], found[1]
    raise AssertionError("precision rises without end")


def _orthogonal(balls: Balls, slope: Any) -> arb_mat:
    """(p, p): column k is row k of the root times W_kk / slope^k; of nothing where there are too few bits."""
    size = balls.equations.p
    W = balls.root
    if W is None:
        return matrix(arb_mat, [[arb("nan")] * size] * size, size)
    factor = [W[k][k] / arb(slope) ** k for k in range(size)]
    return matrix(arb_mat, [[W[k][i] * factor[k] for k in range(size)] for i in range(size)], size)


def _powers(x: arb, size: int) -> list[arb]:
    row = [arb(1)]
    for _ in range(size - 1):
        row.append(row[-1] * x)
    return row


def _floats(values: arb_mat) -> Floats | None:
    """The midpoints, None where some ball is too wide."""
    table = values.tolist()
    for column in zip(*table, strict=True):
        doubtful = [v for v in column if v != 0 and not v.rel_accuracy_bits() >= GOOD]
        if doubtful:
            least = max(abs(v).lower() for v in column) * arb((1, -NOTHING))
            if not all(v.is_finite() and v.rad() <= least for v in doubtful):
                return None
    return np.array([[0.0 if v.contains(0) else float(v.mid()) for v in row] for row in table])
