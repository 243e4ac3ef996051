"""Facts of generalized linear models, whose sums hold functions of a row's response, mean and weights.

Round 1 brings counts of rows (all, of positive weight, with an offset), and sums of the weights, trials, the response,
its square, and by family its logarithm and the saturated log-likelihood.  The null model, asked first or on the way,
brings deviance and Pearson's chi^2 at one mean for all rows, so functions of the response alone.  Sums of several
functions tell the response of a row that has a value of its own, as several equations tell several unknowns: all are
judged together (`glm_design`).  Every question brings sums of weights, scores and deviances at its own parameters
(`glm_question`).

What is multiplied with columns before it is summed must rest on many rows, as it gives away columns.  What is summed
as it is gives away one number: that the largest of many counts is roughly so large is no secret, so such a sum counts
as telling a row only where all other rows together add less than a tenth of what the one adds (`figures.told`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.disclosure.facts import DesignFacts, QuestionFacts, rooted
from sumwise.disclosure.figures import (
    by_name,
    cells,
    digit_gaps,
    effective,
    effective_count,
    levels,
    leverage,
    orders_of,
    told,
    widest,
)
from sumwise.kernels.glm import OBSERVED, fitted_rows
from sumwise.maths.binomial import log_saturated
from sumwise.maths.columns import Column
from sumwise.maths.elementary import log
from sumwise.models import glm_site
from sumwise.models.glm_messages import GlmMomentsQuestion, GlmQuestion

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


CROSS = "derivatives in the size and the mean"

MULTIPLIED = ("scores", CROSS)
"""Terms that are summed times a column."""


class Rows(glm_site.Rows, Protocol):
    """And the names of the columns."""

    @property
    def columns(self) -> Sequence[str]: ...


def taking_part(rows: glm_site.Rows, family: str) -> Floats:
    """(n,) weight, times trials: a row of zero takes no part."""
    weights = np.ones(len(rows.y)) if rows.weights is None else rows.weights
    return weights * rows.size if family == "binomial" else weights


def glm_design(rows: Rows, family: str, parameters: int) -> DesignFacts:
    """Facts of the rows.  parameters: how many the model estimates."""
    counted = taking_part(rows, family)
    ones = np.ones(len(counted))
    known = _known(rows, family)
    counts = by_name(rows.columns, [effective(x, counted) for x in rows.x])
    counts |= {name: effective(values, ones) for name, values in known}
    sides = [rows.y, rows.size - rows.y] if family == "binomial" else []
    if sides:
        counts |= by_name(("successes", "failures"), [effective_count(v) for v in sides])
    else:
        counts["the response"] = effective(rows.y, counted)
    if rows.weights is not None:
        ignored = len(counted) - int(np.count_nonzero(counted))
        counts["weights of zero"] = ignored or math.inf
    kinds = [(name, levels(v)) for name, v in [*zip(rows.columns, rows.x, strict=True), *known]]
    columns, functions = [*(Column((x,)) for x in rows.x), *_asked_of(rows, family)], _of_response(rows, family)
    response = Column((rows.y / np.where(rows.size > 0, rows.size, 1.0),))
    return DesignFacts(
        rows=int(np.count_nonzero(counted)),
        parameters=parameters,
        groups=None,
        smallest_group=None,
        effective=counts,
        cells=cells([*kinds, ("the response", sides or levels(rows.y))], counted > 0),
        leverage=max(
            leverage([*columns[: len(rows.x)], response], counted),
            leverage(columns, None),
            told(leverage([*columns, *functions], None), int(np.count_nonzero(counted)) - 1) if functions else 0.0,
        ),
        digit_gaps=widest([digit_gaps(f.parts[0]) for f in [*columns, *functions]]),
    )


def _known(rows: glm_site.Rows, family: str) -> list[tuple[str, Floats]]:
    """What is judged like a column, by name."""
    return [
        *([("the trials", rows.size)] if family == "binomial" else []),
        *([] if rows.offset is None else [("the offset", rows.offset)]),
        *([] if rows.weights is None else [("the weights", rows.weights)]),
    ]


def _asked_of(rows: glm_site.Rows, family: str) -> list[Column]:
    """Counts of rows, weights, trials, offset and response: what a study writes, and the response in first degree."""
    counted = taking_part(rows, family)
    live = (counted > 0).astype(np.float64)
    w = np.ones(len(live)) if rows.weights is None else rows.weights
    values = [np.ones(len(live)), live, counted, w, np.where(live > 0, w * rows.y, 0.0)]
    if rows.offset is not None:
        values += [rows.offset, (rows.offset != 0).astype(np.float64)]
    return [Column((v,)) for v in values]


def _of_response(rows: glm_site.Rows, family: str) -> list[Column]:
    """Other functions of the response that are summed, in round 1 and by the null model; none of single outcomes."""
    live = taking_part(rows, family) > 0
    w = np.ones(len(live)) if rows.weights is None else rows.weights
    if family == "binomial":
        if not np.any(rows.size != 1):
            return []
        n, y = np.where(live, rows.size, 1.0), np.where(live, rows.y, 0.0)
        entropy = _times_log(y, n) + _times_log(n - y, n)
        found = [y * y, y * y / n, y * n, n * n, log_saturated(n, y), entropy]
    elif family in glm_site.COUNTS:
        y = np.where(live, rows.y, 0.0)
        found = [y * y, glm_site.saturated_counts(y), _times_log(y, np.ones(len(y)))]
        found += [(y + 1) * log(y + 1)] if family == "negbinomial" else []
    else:
        y = np.where(live, rows.y, 1.0)
        found = [y * y, log(y), *([1 / y] if family == "inverse.gaussian" else [])]
    return [Column((w * function,)) for function in found]


def _times_log(y: Floats, n: Floats) -> Floats:
    """y log(y / n), 0 for 0."""
    return y * log(np.where(y > 0, y, n) / n)


def glm_question(
    rows: Rows,
    family: str,
    question: GlmMomentsQuestion | GlmQuestion,
    orders: Sequence[Ints] | None = None,
) -> QuestionFacts:
    """Facts of a question: the weights of the information matrix at its parameters, and what else is summed there.

    A column counts under the weights and under the scores: a row whose mean is next to nothing has a score that
    outweighs all others, while a gamma row's weight stays what it is.   The range of the linear predictor is that of
    logits and the like; elsewhere that of the logarithm of the mean, which does not depend on the response's unit.
    orders: of the columns (`orders_of`), where they are known: sorting is most of the work.
    """
    counted = taking_part(rows, family)
    if isinstance(question, GlmMomentsQuestion):
        sorting = orders_of(rows.x) if orders is None else orders
        counts = [effective(x, counted, order) for x, order in zip(rows.x, sorting, strict=True)]
        return QuestionFacts(
            int(np.count_nonzero(counted)), effective_count(counted), by_name(rows.columns, counts), 0.0
        )
    terms, eta, good = _terms(rows, family, question)
    if good.all():
        x, sorting = list(rows.x), orders_of(rows.x) if orders is None else orders
    else:  # the kernel leaves the others out
        x = [column[good] for column in rows.x]
        sorting = orders_of(x)
    weighing = [terms["weights"], np.abs(terms["scores"])]
    counts = [min(effective(v, w, order) for w in weighing) for v, order in zip(x, sorting, strict=True)]
    summed = {f"the {name}": effective_count(v) for name, v in terms.items() if name in MULTIPLIED}
    summed |= {f"the {name}": _rests_on(v) for name, v in terms.items() if name not in ("weights", *MULTIPLIED)}
    spread = math.nan
    if len(eta):
        scale = eta if family == "binomial" else np.log(eta)
        spread = float(scale.max() - scale.min())
    return QuestionFacts(
        rows=int(np.count_nonzero(counted)),
        concentration=effective_count(terms["weights"]),
        effective=by_name(rows.columns, counts) | summed,
        eta_range=spread,
        digit_gaps=_gaps(terms, x, question),
    )


def _rests_on(values: Floats) -> float:
    """`effective_count` of numbers that are summed as they are: inf where no row stands out from all others."""
    size = np.square(values / max(np.abs(values).max(initial=0.0), 1e-300))
    share = told(float(size.max(initial=0.0) / max(size.sum(), 1.0)), int(np.count_nonzero(size)) - 1)
    return math.inf if share == 0 else effective_count(values)


def _terms(rows: Rows, family: str, question: GlmQuestion) -> tuple[dict[str, Floats], Floats, NDArray[np.bool_]]:
    """What each row adds to the sums, by name; its predictor, or its mean; and which rows of the site these are."""
    eta = np.zeros(len(rows.y)) if rows.offset is None else rows.offset.astype(np.float64)
    w = np.ones(len(eta)) if rows.weights is None else rows.weights
    counted = taking_part(rows, family)
    live = counted > 0
    with np.errstate(all="ignore"):
        for x, centre, beta in zip(rows.x, question.centre, question.beta, strict=True):
            eta = eta + (x - centre) * beta
        y = np.where(live, w * rows.y if family == "binomial" else rows.y, 1.0)
        found = fitted_rows(question.family, question.link, eta, y, np.where(live, counted, 1.0), question.aux)
        pearson = np.where(found["weight"] > 0, np.square(found["score"]) / found["weight"], 0.0)
        checked = [found[name] for name in ("deviance", "score", "weight", "observed")]
        good = live & np.all(np.isfinite(checked), axis=0)
        weights = np.abs(found["observed"]) if question.information == OBSERVED else found["weight"]
    parts = {"weights": weights, "scores": found["score"], "deviances": found["deviance"], "Pearson residuals": pearson}
    if question.size:
        parts |= {CROSS: found["cross"]}
        parts |= {f"derivatives in the size ({name})": found[name] for name in ("c", "d1", "d2")}
    scale = eta if family == "binomial" else found["mu"]
    return {name: values[good] for name, values in parts.items()}, scale[good], good


def _gaps(terms: dict[str, Floats], x: Sequence[Floats], question: GlmQuestion) -> tuple[float, ...]:
    """`digit_gaps` of what is summed: a row that adds 2^-40 of what others add has digits of its own below theirs."""
    gaps = [digit_gaps(values) for values in terms.values()]
    for column, centre in zip(x, question.centre, strict=True):
        moved = column - centre
        gaps += [digit_gaps(terms[name] * moved) for name in ("weights", "scores")]
    return widest(gaps)


def glm_columns(rows: glm_site.Rows, family: str) -> list[Column]:
    """Columns that the sums of a generalized linear model depend on, with sqrt(w) x where rows count unequally."""
    counted = taking_part(rows, family)
    columns = [Column((x,)) for x in rows.x]
    more = [rooted(column, counted) for column in columns] if np.any(counted != 1) else []
    return [*columns, *more, *_asked_of(rows, family), *_of_response(rows, family)]
