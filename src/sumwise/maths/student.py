"""Student's distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

Floats = NDArray[np.float64]


def two_sided(t: Floats, df: float) -> Floats:
    """P(|T| > |t|) for T ~ t(df), accurate in the tail; nan where t is nan, or df is 0."""
    return np.asarray(2 * stdtr(df, -np.abs(t))) if df else np.full(t.shape, np.nan)
