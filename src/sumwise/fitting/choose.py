"""Which method fits which formula and family."""

from __future__ import annotations

from sumwise.data import Formula
from sumwise.errors import UsageError
from sumwise.fitting.linear import LINEAR
from sumwise.fitting.linear_mixed import LINEAR_MIXED
from sumwise.fitting.method import Method
from sumwise.fitting.mixed import MIXED


def choose(formula: Formula, family: str) -> Method:
    """What fits this kind of model.  Raises UsageError where this version has none, with what to write instead."""
    match family, bool(formula.bars):
        case "gaussian", False:
            return LINEAR
        case "binomial", True:
            return MIXED
        case "gaussian", True:
            return LINEAR_MIXED
        case _:
            raise UsageError(
                f"{formula.text!r} has no random effect: family={family!r} is available with one random intercept, "
                f'"... + (1 | group)". Without it, family="gaussian" fits a linear model'
            )
