"""Second derivatives by differences of an exact gradient, of fourth order in the spacing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.cholesky import cholesky
from sumwise.maths.newton import Point

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SPACING = 4e-3
"""Spacing of the points, in standard errors."""

MULTIPLES = (1, -1, 2, -2)


def spacings(point: Point, free: Bools) -> Floats | None:
    """(P,) how far apart the points lie in each parameter; None where the information of the free parameters is not
    positive definite, so that there are no standard errors.  Parameters that are not free go by their own curvature.
    """
    factor = cholesky(point.information[np.ix_(free, free)])
    if factor is None:
        return None
    size = np.abs(np.diag(point.information))
    size = 1 / np.sqrt(np.where(size > 0, size, 1.0))
    size[free] = np.sqrt(np.diag(factor.inverse()))
    return SPACING * size


def places(phi: Floats, spacing: Floats) -> Floats:
    """(4 P, P) where the gradient is asked for: four points about phi (P,) for each parameter."""
    unit = np.eye(len(phi))
    return np.array([phi + multiple * h * unit[k] for k, h in enumerate(spacing) for multiple in MULTIPLES])


def information(gradients: Floats, spacing: Floats) -> Floats:
    """Minus the second derivative (P, P), from gradients (4 P, P) at `places`."""
    H = np.empty((len(spacing), len(spacing)))
    for k, (h, four) in enumerate(zip(spacing, gradients.reshape(len(spacing), 4, -1), strict=True)):
        H[k] = -(8 * (four[0] - four[1]) - (four[2] - four[3])) / (12 * h)
    return (H + H.T) / 2
