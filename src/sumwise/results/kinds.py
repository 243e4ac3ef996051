"""The kinds of fits, by the name that `to_json` notes."""

from __future__ import annotations

from sumwise.results.fit import Fit
from sumwise.results.glm import GlmFit
from sumwise.results.linear import LinearFit
from sumwise.results.mixed import MixedFit

KINDS: dict[str, type[Fit]] = {kind.model: kind for kind in (LinearFit, GlmFit, MixedFit)}
