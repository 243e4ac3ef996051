"""Why the rows cannot identify a generalized linear model, in words."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from sumwise.errors import DataError, SeparationError
from sumwise.maths import scoring
from sumwise.models.glm_links import DISPERSED
from sumwise.models.glm_messages import GlmMoments

LEAST_MEAN = 1e-150
"""Mean response, of a family with a dispersion, from which its square is a number; the largest is its inverse."""


def refuse_moments(moments: GlmMoments, family: str, response: str, columns: int) -> None:
    """Raises DataError where the totals of round 1 leave nothing to fit."""
    if not moments.rows:
        raise DataError(f"the weights are zero in all {moments.ignored} rows: no row is left to fit")
    if moments.rows < columns:
        raise DataError(
            f"{moments.rows} rows of positive weight cannot tell {columns} coefficients apart: collect more rows, or "
            f"leave terms out of the formula"
        )
    mean = moments.response / moments.trials
    if family in DISPERSED and not LEAST_MEAN < mean < 1 / LEAST_MEAN:
        raise DataError(
            f"the mean response is {mean:.3g}: its square leaves the range of numbers; change the unit of '{response}' "
            f"or of the weights"
        )
    if family == "binomial" and moments.response in (0, moments.trials):
        every = "a failure (0)" if moments.response == 0 else "a success (1)"
        raise DataError(
            f"every response is {every} in all {moments.rows} rows: the intercept would be infinite; check the "
            f"response, or take rows where it varies"
        )
    if family in ("poisson", "negbinomial") and moments.response == 0:
        raise DataError(
            f"'{response}' is 0 in all {moments.rows} rows: the logarithm of the mean would be minus infinity; check "
            f"the response, or take rows where something was counted"
        )


def refuse_start(failed: int, link: str) -> NoReturn:
    """Raises DataError: the log-likelihood of the null model is no number."""
    why = {
        "inverse": "the inverse link needs a positive predictor in every row, offset included",
        "1/mu^2": "the link 1/mu^2 needs a positive predictor in every row, offset included",
    }.get(link, "exp(offset) leaves the range of numbers")
    raise DataError(
        f"at the starting values {failed} row(s) or block(s) of rows have no finite log-likelihood: {why}; look for "
        f"huge values in the offset or the columns, and change their unit"
    )


def refuse_endless(ascent: scoring.State, columns: tuple[str, ...], family: str) -> NoReturn:
    """Raises SeparationError: the maximum lies at infinity, in the direction of the last steps."""
    assert ascent.step is not None
    assert ascent.metric is not None
    size = np.abs(ascent.step[: len(columns)]) * ascent.metric[: len(columns)]
    involved = [columns[i] for i in np.argsort(-size, kind="stable") if size[i] > 0.1 * size.max()]
    named = [name for name in involved if name != "(Intercept)"] or ["(Intercept)"]
    text = ", ".join(map(repr, named[:5])) + (f" and {len(named) - 5} more" if len(named) > 5 else "")
    one = len(named) == 1
    if family == "binomial":
        what = f"{'column' if one else 'columns'} {text} {'separates' if one else 'together separate'} the responses"
        what += " (perfect prediction)"
    else:
        what = f"where {'column' if one else 'columns'} {text} {'differs' if one else 'differ'} from the rest, every "
        what += "count is 0"
    raise SeparationError(
        f"{what}: the maximum lies at infinity, so there is no finite coefficient (after {ascent.accepted} steps the "
        f"log-likelihood gains only {ascent.gain:.1g} more, while the coefficients keep growing); leave the column "
        f"out, merge factor levels, or collect rows that overlap"
    )


def refuse_poisson(response: str) -> NoReturn:
    """Raises DataError: the size of the negative binomial grows without bound."""
    raise DataError(
        f"the size of the negative binomial grows without bound: the counts '{response}' vary no more than Poisson "
        f'counts do, given the columns; fit family="poisson"'
    )
