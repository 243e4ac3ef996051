"""The solution of many normal equations to any accuracy without their inverse: floats refined against exact residuals.

G z = c is solved by z <- z + R (c - G z), where R is an approximate inverse in float64 and the residual is exact in
integers.  With alpha >= |I - R G| in the maximum norm and alpha < 1, z is off by at most |R (c - G z)| / (1 - alpha)
[Rump 2010, Verification methods, section 10].  R may come from anywhere: it changes how fast z gets there, not what is
proved of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from flint import fmpz_mat
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FRACTION_BITS = 160
"""Bits of z below its largest component."""

MOST_STEPS = 40
UNIT_ROUNDOFF = 2.0**-53


class Refinement:
    """The solutions x (p,) of G x = c.  G (p, p): symmetric positive definite integers.

    R is found once, for all right-hand sides.
    """

    def __init__(self, G: fmpz_mat) -> None:
        self.G = G
        self.scale = [(int(G[j, j]).bit_length() + 1) // 2 for j in range(G.nrows())]
        near = self._near()
        self.R = _inverse(near)
        self.alpha = _distance_from_inverse(self.R, near)

    def _near(self) -> Floats:
        """G in float64, its diagonal about 1."""
        near = np.empty((len(self.scale),) * 2)
        for i, a in enumerate(self.scale):
            for j, b in enumerate(self.scale[: i + 1]):
                near[i, j] = near[j, i] = _ldexp(int(self.G[i, j]), -a - b)
        return near

    def solve(self, c: Sequence[int]) -> list[tuple[int, int, int]] | None:
        """x as (middle, radius, exponent): x_j lies in (middle +- radius) 2^exponent.

        c (p,).  None where float64 cannot tell G from a singular matrix.
        """
        if not self.alpha < 0.5:
            return None
        G, R, scale = self.G, self.R, self.scale
        largest = max((v.bit_length() - a for v, a in zip(c, scale, strict=True) if v), default=0)
        # z'_j = x_j 2^(scale_j - largest) is of moderate size; Z = z' 2^F
        top = max(scale)
        F = max(FRACTION_BITS, largest - top)
        Z = [0] * len(c)
        goal = [v << (F + top - largest) for v in c]
        for _ in range(MOST_STEPS):
            W = fmpz_mat(len(Z), 1, [z << (top - s) for z, s in zip(Z, scale, strict=True)])
            residual = [g - int(v) for g, (v,) in zip(goal, (G * W).tolist(), strict=True)]
            step, bound, exponent = _step(R, residual, scale)
            error = bound / (1 - self.alpha)
            places = exponent - top  # step_j 2^places is the change of Z_j
            if error == 0 or math.log2(error) + places < 0:
                return [(z, _ceiling(error, places), largest - s - F) for z, s in zip(Z, scale, strict=True)]
            Z = [z + _whole(v, places) for z, v in zip(Z, step.tolist(), strict=True)]
        return None


def _inverse(near: Floats) -> Floats:
    """About the inverse; nan where float64 finds none."""
    try:
        return np.asarray(np.linalg.inv(near))
    except np.linalg.LinAlgError:
        return np.full_like(near, np.nan)


def _ldexp(value: int, exponent: int) -> float:
    """value 2^exponent, to within a unit in the last place."""
    extra = max(value.bit_length() - 64, 0)
    return math.ldexp(float(value >> extra), exponent + extra)


def _distance_from_inverse(R: Floats, near: Floats) -> float:
    """Bound on |I - R G| in the maximum norm; near: G in float64, to within two units in the last place.

    Products in floats are off by at most (p + 4) u |R| |near|, whatever the order of the sums [Higham 2002, 3.5].
    """
    p = len(R)
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(np.eye(p) - R @ near) + (p + 8) * UNIT_ROUNDOFF * (np.abs(R) @ np.abs(near) + 1)
        return float(off.sum(axis=1).max()) * 1.001


def _step(R: Floats, residual: Sequence[int], scale: Sequence[int]) -> tuple[Floats, float, int]:
    """(R r, bound on |R r| in the maximum norm, exponent): both times 2^exponent, for r_i = residual_i 2^-scale_i."""
    exponent = max((v.bit_length() - s for v, s in zip(residual, scale, strict=True) if v), default=0)
    r = np.array([_ldexp(v, -s - exponent) for v, s in zip(residual, scale, strict=True)])
    step = R @ r
    sizes = np.abs(R) @ np.abs(r)
    return step, float((np.abs(step) + (len(r) + 8) * UNIT_ROUNDOFF * (sizes + UNIT_ROUNDOFF)).max()) * 1.001, exponent


def _whole(value: float, exponent: int) -> int:
    """value 2^exponent as a whole number, cut off."""
    mantissa, power = math.frexp(value)
    digits, places = int(mantissa * 2.0**53), power - 53 + exponent
    return digits << places if places >= 0 else digits >> -places


def _ceiling(value: float, exponent: int) -> int:
    return _whole(value, exponent) + 1
