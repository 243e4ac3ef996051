"""Second derivatives by central differences of an exact gradient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.cholesky import cholesky
from sumwise.maths.newton import Point

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WIDTH = 4e-5
"""How far points lie to both sides, in standard errors: what is left out, a sixth of its square times the fourth
derivative, is then as small as what a gradient's last digits leave in the difference, some 1e-10 of the whole."""


def standard_errors(point: Point, free: Bools) -> Floats | None:
    """(P,) of each parameter; None where the information of the free parameters is not positive definite, so that there
    are none.  Parameters that are not free go by their own curvature.
    """
    factor = cholesky(point.information[np.ix_(free, free)])
    if factor is None:
        return None
    size = np.abs(np.diag(point.information))
    size = 1 / np.sqrt(np.where(size > 0, size, 1.0))
    size[free] = np.sqrt(np.diag(factor.inverse()))
    return size


def widths(point: Point, free: Bools) -> Floats | None:
    """(P,) how far to both sides points are to lie; None where there are no standard errors."""
    errors = standard_errors(point, free)
    return None if errors is None else WIDTH * errors


def places(phi: Floats, width: Floats) -> Floats:
    """(2 P, P) where the gradient is asked for: a point `width` (P,) above phi (P,) in each parameter, then those
    below.
    """
    return np.concatenate([phi + np.diag(width), phi - np.diag(width)])


def information(gradients: Floats, width: Floats) -> Floats:
    """Minus the second derivative (P, P), from gradients (2 P, P) at `places`."""
    above, below = np.split(gradients, 2)
    H: Floats = -(above - below) / (2 * width[:, None])
    return (H + H.T) / 2
