"""Why the rows cannot identify a model, in words: which columns, how nearly, what to do."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from sumwise.errors import DataError, SeparationError
from sumwise.maths import newton
from sumwise.maths.cholesky import Dependence


def refuse_collinear(found: Dependence, columns: tuple[str, ...]) -> NoReturn:
    """Raises DataError: column `found.column` is a combination of the columns before it."""
    name, intercept = columns[found.column], "(Intercept)" in columns
    terms = [
        f"{'-' if coefficient < 0 else '+'} {abs(coefficient):.6g} * {columns[c]}"
        for c, coefficient in enumerate(found.coefficient)
        if found.weight[c] > 1e-6 and columns[c] != "(Intercept)"
    ]
    if terms:
        combination = " ".join(terms).removeprefix("+ ") + (" + a constant" if intercept else "")
        raise DataError(
            f"columns are collinear: {name} = {combination}, up to a relative distance of "
            f"{max(found.distance, 1e-7):.0e} or less; their coefficients cannot be told apart: leave out one of them"
        )
    if name == "(Intercept)":
        raise DataError(
            "what the rows tell of the intercept is lost in rounding: numbers of the response, or weights, are so "
            "large that nothing is left beside the differences between groups; change the unit of either"
        )
    if intercept:
        raise DataError(f"column '{name}' is constant: it says the same as the intercept; leave it out of the formula")
    raise DataError(f"column '{name}' is zero in every row: it has no coefficient; leave it out of the formula")


def refuse_separation(ascent: newton.State, columns: tuple[str, ...], group: str) -> NoReturn:
    """Raises SeparationError: the maximum lies at infinity, in the direction of the last steps; DataError where that
    of the variance does.
    """
    assert ascent.step is not None
    assert ascent.metric is not None
    size = np.abs(ascent.step) * ascent.metric[: len(ascent.step)]
    names = (*columns, group)
    involved = [names[i] for i in np.argsort(-size, kind="stable") if size[i] > 0.3 * size.max()]
    if involved[0] == group:
        raise DataError(
            f"the variance between groups of '{group}' grows without bound: within (almost) every group all "
            f"responses are alike, so the maximum lies at infinity; collect groups with mixed responses"
        )
    # the intercept only follows, unless it is alone
    separating = [name for name in involved if name not in (group, "(Intercept)")] or ["(Intercept)"]
    named = ", ".join(map(repr, separating[:5])) + (f" and {len(separating) - 5} more" if len(separating) > 5 else "")
    who = f"column {named} separates" if len(separating) == 1 else f"columns {named} together separate"
    raise SeparationError(
        f"{who} the responses (perfect prediction): the maximum lies at infinity, so there is no finite coefficient "
        f"(after {ascent.accepted} steps the log-likelihood gains only {ascent.gain:.1g} more, while the coefficients "
        f"keep growing); leave the column out, merge factor levels, or collect rows that overlap"
    )
