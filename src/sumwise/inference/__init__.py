"""What a fit answers only by going back to its rows: profile likelihood and parametric bootstrap intervals."""

from __future__ import annotations

from sumwise.inference.profiling import profile
from sumwise.inference.resampling import bootstrap

__all__ = ["bootstrap", "profile"]
