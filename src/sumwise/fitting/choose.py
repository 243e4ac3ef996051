"""Which method fits which formula and family."""

from __future__ import annotations

from sumwise.data import Formula
from sumwise.fitting.generalized_mixed import GENERALIZED_MIXED
from sumwise.fitting.glm import GLM
from sumwise.fitting.linear import LINEAR
from sumwise.fitting.linear_mixed import LINEAR_MIXED
from sumwise.fitting.method import Method
from sumwise.fitting.mixed import MIXED


def choose(formula: Formula, family: str, link: str | None = None) -> Method:
    """What fits this kind of model."""
    match family, bool(formula.bars):
        case "gaussian", False:
            return LINEAR
        case "binomial", True if link in (None, "logit") and _is_random_intercept(formula):
            return MIXED
        case "gaussian", True:
            return LINEAR_MIXED
        case _, False:
            return GLM
        case _:
            return GENERALIZED_MIXED


def _is_random_intercept(formula: Formula) -> bool:
    """(1 | g) and nothing else: it has a kernel of its own, with exact second derivatives."""
    return len(formula.bars) == 1 and formula.bars[0].fixed.strip() == "1" and len(formula.bars[0].factors) == 1
