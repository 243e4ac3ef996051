"""Normal-theory inference from estimates and standard errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc, ndtri

from sumwise.errors import UsageError

Floats = NDArray[np.float64]


def two_sided_p(z: Floats) -> Floats:
    """P(|Z| > |z|) for Z ~ N(0, 1), accurate in the tail."""
    return np.asarray(erfc(np.abs(z) / np.sqrt(2)))


def normal_interval(estimate: Floats, se: Floats, level: float) -> tuple[Floats, Floats]:
    """estimate -+ z se, z the normal quantile at (1 + level) / 2.  Raises UsageError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise UsageError(f"level={level!r}: a confidence level lies between 0 and 1, for instance 0.95")
    z = float(ndtri((1 + level) / 2))
    return estimate - z * se, estimate + z * se
