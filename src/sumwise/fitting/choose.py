"""Which method fits which formula and family."""

from __future__ import annotations

from sumwise.data import Formula
from sumwise.errors import UsageError
from sumwise.fitting.linear import LINEAR
from sumwise.fitting.method import Method
from sumwise.fitting.mixed import MIXED


def choose(formula: Formula, family: str) -> Method:
    """What fits this kind of model.  Raises UsageError where this version has none, with what to write instead."""
    match family, bool(formula.bars):
        case "gaussian", False:
            return LINEAR
        case "binomial", True:
            return MIXED
        case "gaussian", _:
            bars = " + ".join(bar.text for bar in formula.bars)
            raise UsageError(
                f"{formula.text!r} has a random effect, {bars}, and a gaussian response (the default family): linear "
                f'mixed models are not available. Write family="binomial" if the response is 0/1 or successes out of '
                f"trials, or leave out {bars} for a linear model"
            )
        case _:
            raise UsageError(
                f"{formula.text!r} has no random effect: family={family!r} is available with one random intercept, "
                f'"... + (1 | group)". Without it, family="gaussian" fits a linear model'
            )
