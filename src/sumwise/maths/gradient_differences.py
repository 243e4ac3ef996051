"""Second derivatives by central differences of an exact gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.cholesky import cholesky, equilibrate, times
from sumwise.maths.newton import Point

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WIDTH = 4e-5
"""How far points lie to both sides, in standard errors: what is left out, a sixth of its square times the fourth
derivative, is then as small as what a gradient's last digits leave in the difference, some 1e-10 of the whole."""


@dataclass(frozen=True, slots=True)
class Directions:
    """Where points lie about a maximum: rows (P, P), one a direction, and their inverse.

    In units of the rows the information is close to that of independent parameters.  Along the axes the points for
    estimates that hang together would lie far out, as others do not follow: many times the width, in standard errors of
    their difference.
    """

    rows: Floats
    inverse: Floats

    def scaled(self, factor: Floats) -> Directions:
        """Each direction times its factor (P,)."""
        return Directions(factor[:, None] * self.rows, self.inverse / factor)


def directions(point: Point, free: Bools, width: float = WIDTH) -> Directions | None:
    """Of `width` standard errors each; None where the information of the free parameters is not positive definite, so
    that there are none.  Parameters that are not free go by their own curvature.
    """
    inside = np.ix_(free, free)
    factor = cholesky(point.information[inside])
    if factor is None:
        return None
    size = equilibrate(point.information)
    rows, inverse = np.diag(size), np.diag(1 / size)
    rows[inside] = factor.whitening()
    inverse[inside] = factor.L / factor.scale[:, None]
    return Directions(rows, inverse).scaled(np.full(len(size), width))


def places(phi: Floats, around: Directions) -> Floats:
    """(2 P, P) where the gradient is asked for: a point for each direction from phi (P,), then those opposite."""
    return np.concatenate([phi + around.rows, phi - around.rows])


def information(gradients: Floats, around: Directions) -> Floats:
    """Minus the second derivative (P, P), from gradients (2 P, P) at `places`."""
    above, below = np.split(gradients, 2)
    inner = times((below - above) / 2, around.rows.T)
    H = times(around.inverse, times((inner + inner.T) / 2, around.inverse.T))
    return (H + H.T) / 2
