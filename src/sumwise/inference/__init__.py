"""What a fit answers only by going back to its rows: profile likelihood and parametric bootstrap intervals."""

from __future__ import annotations

from sumwise.inference.bootstrap import bootstrap
from sumwise.inference.profile import profile

__all__ = ["bootstrap", "profile"]
