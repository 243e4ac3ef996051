"""Why the rows cannot identify a model with vectors of random effects, in words: which, how large, what to do."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from sumwise.errors import DataError
from sumwise.maths import ascent, covariance, newton
from sumwise.maths.ascent import Outcome, Point
from sumwise.maths.cholesky import first_dependence
from sumwise.models.glmm_vectors_messages import VectorMoments, VectorSummand
from sumwise.models.refusals import refuse_collinear, refuse_separation

LEAST_PIVOT = 1e-12
"""A column is collinear when the columns before it explain all but this share of its sum of squares."""

LARGEST_LOG_AUX = 25.0
"""Logarithm of the size or shape at which a fit gives up: nothing then tells it from infinity."""


def refuse_moments(moments: VectorMoments, family: str, group: str, effects: tuple[str, ...], bar: str) -> None:
    """Raises DataError where counts and sums alone say that there is no maximum."""
    if moments.groups < 2:
        raise DataError(
            f"the grouping factor '{group}' has a single group: how groups differ cannot be estimated; leave out "
            f"{bar}, or give more groups"
        )
    if not moments.ample:
        raise DataError(
            f"{bar}: each of the {moments.groups} groups of '{group}' has fewer rows than the {len(effects)} effects "
            f"({', '.join(effects)}): they cannot be told apart; take fewer effects, or collect more rows per group"
        )
    for name, total, square in zip(effects, *moments.effects.round(), strict=True):
        if square == 0:
            raise DataError(f"{bar}: column '{name}' is zero in every row; leave it out of the bar")
        left = square * moments.rows - total * total  # of its sum of squares, when its mean is taken away
        if "(Intercept)" in effects and name != "(Intercept)" and left <= 1e-14 * square * moments.rows:
            raise DataError(f"{bar}: column '{name}' is constant: it says the same as the intercept; leave it out")
    total, trials = moments.totals.round()[:2]
    if trials == 0:
        raise DataError(f"all weights of the {moments.rows} rows are zero: there is nothing to fit")
    if family == "binomial":
        if total in (0, trials):
            every = "a failure (0)" if total == 0 else "a success (1)"
            raise DataError(
                f"every response is {every} in all {moments.rows} rows: the intercept would be infinite; check the "
                f"response, or take rows where it varies"
            )
        if moments.alike and moments.alike + moments.single == moments.groups:
            raise DataError(
                f"within each of the {moments.alike} groups of '{group}' with several trials all responses are alike: "
                f"the variance between groups would be infinite; group the rows differently, or fit one row a group "
                f"without {bar}"
            )
    elif total == 0:
        raise DataError(
            f"every response is 0 in all {moments.rows} rows: the intercept would be minus infinity; check the response"
        )


def refuse_start(point: Point, total: VectorSummand, columns: tuple[str, ...], group: str) -> None:
    """Raises DataError where the start has no finite value, or where columns are collinear."""
    if total.failed[0]:
        raise DataError(
            f"at the starting values the log-likelihood of {total.failed[0]} group(s) of '{group}', or a derivative of "
            f"it, is not a finite number: look for huge values in columns or offset, and rescale them"
        )
    p = len(columns)
    found = first_dependence(point.information[:p, :p], LEAST_PIVOT)
    if found is not None:
        refuse_collinear(found, columns)


def refuse_flat(moments: VectorMoments, at: ascent.State, evaluations: int, group: str, bar: str) -> None:
    """Raises DataError where every group has one trial: nothing then tells the variance between groups."""
    if moments.single < moments.groups:
        return
    theta = at.trial[len(at.trial) - covariance.size(at.blocks) :]
    if float(np.max(np.abs(theta))) > 10 or evaluations > 30 or at.outcome is Outcome.DIVERGING:
        raise DataError(
            f"each group of '{group}' has a single trial, and the log-likelihood is flat, or rises for ever as the "
            f"variance between groups grows: the rows cannot tell it; leave out {bar}"
        )


def refuse_aux(at: ascent.State, family: str) -> NoReturn:
    """Raises DataError: the size of the negative binomial, or the shape of the gamma, grows without bound."""
    what = (
        "the counts vary no more than Poisson counts would: the size of the negative binomial grows without bound; fit "
        "family 'poisson' instead"
        if family == "negbinomial"
        else "the responses do not vary about their means: the shape of the gamma grows without bound; check them"
    )
    raise DataError(f"{what} (after {at.accepted} steps)")


def bounded_aux(at: ascent.State, place: int, family: str) -> ascent.State:
    """The ascent with its next trial at a size or shape, phi[place] on the log scale, that can be told from infinity.

    A first step may lead anywhere, where the information is nearly singular: beyond LARGEST_LOG_AUX it counts as
    failed.  Raises DataError once the best point itself has come near.
    """
    while at.outcome is Outcome.RUNNING and at.trial[place] > LARGEST_LOG_AUX:
        assert at.best is not None
        if at.best.phi[place] > LARGEST_LOG_AUX / 2:
            refuse_aux(at, family)
        n = len(at.trial)
        at = ascent.advance(at, Point(at.trial, -np.inf, np.zeros(n), np.eye(n)), tolerance=0.0, slack=0.0)
    return at


def refuse_divergence(at: ascent.State, columns: tuple[str, ...], group: str, family: str) -> NoReturn:
    """Raises DataError: the maximum lies at infinity, in the direction of the last steps."""
    assert at.step is not None
    assert at.metric is not None
    size, p, m = np.abs(at.step) * at.metric, len(columns), covariance.size(at.blocks)
    aux = size[p:-m]
    if len(aux) and aux[0] >= 0.3 * float(size.max()):
        refuse_aux(at, family)
    between = float(size[-m:].max())
    step = np.append(size[:p], between)
    shown = newton.State(at.trial, step=step, metric=np.ones(p + 1), gain=at.gain, accepted=at.accepted)
    refuse_separation(shown, columns, group)
