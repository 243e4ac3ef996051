"""Where the ascent of a generalized linear model starts, and how far its steps may lead."""

from __future__ import annotations

from dataclasses import replace
from math import frexp, fsum, ldexp, sqrt

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.glm import EXPECTED
from sumwise.kernels.library import log
from sumwise.maths import scoring
from sumwise.maths.cholesky import times
from sumwise.models.glm_links import link_of_mean
from sumwise.models.glm_messages import GlmMoments, GlmQuestion

Floats = NDArray[np.float64]

LARGEST_MOVE = 3.0
"""Root mean square over rows that the predictor changes by in one step, where the log-likelihood has flat tails."""


def plane_question(p: int, link: str) -> GlmQuestion:
    """Asks for cross-products of p columns: the expected information where all means are one.  For a link log it brings
    the score of gamma rows at their offsets too.
    """
    zero = np.zeros(p)
    return GlmQuestion("gamma" if link == "log" else "poisson", "log", zero, zero, 1.0, EXPECTED, False)


def plane(link: str, moments: GlmMoments, products: Floats, score: Floats, intercept: int | None) -> Floats:
    """(p,) coefficients of the predictor nearest to a constant: g(mean), or, where rows have offsets o and the link is
    log, the logarithm of the mean of y / exp(o).

    products (p, p): of the columns; score (p,): sums of w (y / exp(o) - 1) x; intercept: its place, if there is one.
    """
    goal = link_of_mean(link, moments.response / moments.trials)
    if intercept is not None:
        flat, ones = np.zeros(len(products)), moments.weight
        flat[intercept] = 1.0
    else:
        columns = moments.columns.round()
        flat = scoring.positive_factor(products).solve(columns)
        ones = fsum(flat * columns)
    if link == "log" and moments.shifted:
        ratio = 1 + fsum(flat * score) / ones
        goal = float(log(ratio)) if 0 < ratio < np.inf else goal
    return flat * goal


def moderate(ascent: scoring.State, spread: Floats) -> scoring.State:
    """The ascent with its step shortened to LARGEST_MOVE.  spread (p, p): weighted mean over rows of x x'."""
    assert ascent.step is not None
    assert ascent.best is not None
    root = np.sqrt(np.diag(spread))
    size = ascent.step * root
    longest = float(np.max(np.abs(size), initial=0.0))
    if longest == 0:
        return ascent
    unit = ascent.step / longest  # squares of the step itself may overflow
    move = longest * sqrt(max(fsum(unit * times(spread, unit)), 0.0))
    if move <= LARGEST_MOVE:
        return ascent
    step = ascent.step * (LARGEST_MOVE / move)
    return replace(ascent, step=step, trial=ascent.best.phi + step)


def unit_of(moments: GlmMoments) -> float:
    """The power of two next to the mean response: no other bit of a step depends on it, but what is small does."""
    mean = moments.response / moments.weight
    return ldexp(1.0, max(min(frexp(mean)[1], 1000), -1000))


def starting_log_size(moments: GlmMoments) -> float:
    """Logarithm of the size by moments of the response alone: variance = mean + mean^2 / size."""
    mean = moments.response / moments.weight
    variance = max(moments.squares / moments.weight - mean * mean, 0.0)
    excess = max(variance - mean, 0.01 * mean)
    return float(log(max(mean * mean / excess, 1e-2)))
