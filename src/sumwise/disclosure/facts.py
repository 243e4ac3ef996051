"""What the disclosure policy judges: figures of a site's rows, of a question, and of what was asked before.

Facts are computed where the rows lie and never leave: they are more telling than any sum.  policy.py compares them
with thresholds.  figures.py works out the single figures; the other files of facts hold the models that need more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sumwise.disclosure.figures import (
    by_name,
    cells,
    digit_gaps,
    effective,
    effective_count,
    levels,
    leverage,
    orders_of,
    widest,
)
from sumwise.disclosure.figures_groups import group_gaps, group_leverage, information, of_groups, share, told_scores
from sumwise.maths.binomial import log_choose
from sumwise.maths.columns import Column
from sumwise.maths.elementary import log
from sumwise.models import glmm_site, linear
from sumwise.models.glmm_messages import MomentsQuestion, Question

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TYPICAL = 0.5
"""Standard deviation of groups' logits at which a group's share is judged before any question has told another."""


@dataclass(frozen=True, slots=True)
class DesignFacts:
    """One site's rows for one model.

    rows: of positive weight; parameters: how many the model estimates; groups, smallest_group: their number and the
    rows of the smallest, None without grouping.
    effective: the effective count of each column by name, response, trials, offset and weights among them; cells: by
    names of two of these, the fewest rows that share one value of each, empty where no two have cells; leverage: the
    largest (`leverage`); digit_gaps: `digit_gaps` of all columns, the largest at each place.
    group_leverage: the largest share of one group in some combination of the sums, where they tell groups apart.
    """

    rows: int
    parameters: int
    groups: int | None
    smallest_group: int | None
    effective: dict[str, float]
    cells: dict[tuple[str, str], float]
    leverage: float
    digit_gaps: tuple[float, ...]
    group_leverage: float = 0.0


@dataclass(frozen=True, slots=True)
class QuestionFacts:
    """What a question makes of the rows, through the weights w that it gives them.

    rows: of the site; concentration: effective count of the weights; effective: of each weighted column, by name;
    eta_range: largest less smallest linear predictor, 0 where the question has none; digit_gaps: of what is summed;
    group_leverage: the largest share of one group in a combination of what is summed, where groups are judged.
    """

    rows: int
    concentration: float
    effective: dict[str, float]
    eta_range: float
    digit_gaps: tuple[float, ...] = ()
    group_leverage: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """What a study asks of this site.  study: its digest; data: hash of the data version; rows: a bit for each row of
    it that takes part (`row_set`); sites: names of all sites in the sum; model: hash of formula, family, options and
    contract.  Digests have 32 bytes each.
    """

    study: bytes
    data: bytes
    rows: int
    sites: frozenset[str]
    model: bytes


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """Where the study stands.

    round: number of the question, from 1; received, expected: the question as it came, and as it follows from the
    earlier totals, both encoded; request, earlier: what is asked now, and all that was answered before, of any study.
    joint_leverage: the largest leverage in the columns of all models, this and earlier ones, over the same data
    version, taken together; nan where it was not or could not be measured, which is refused once there is another
    model.
    """

    round: int
    received: bytes
    expected: bytes
    request: Request
    earlier: tuple[Request, ...]
    joint_leverage: float


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a policy judges before an answer leaves."""

    design: DesignFacts
    question: QuestionFacts
    study: StudyFacts


def row_set(places: Ints) -> int:
    """Rows as bits: bit k is set if k is among `places` (n,), counted from 0."""
    if not len(places):
        return 0
    member = np.zeros(int(places.max()) + 1, dtype=np.uint8)
    member[places] = 1
    return int.from_bytes(np.packbits(member, bitorder="little").tobytes(), "little")


def linear_design(rows: linear.Rows) -> DesignFacts:
    """Facts of a regression.  The response, less its offset, is one more column of the cross-products, so it is
    judged like one.
    """
    weights = _weights(rows)
    response = rows.y if rows.offset is None else rows.y - rows.offset
    names, values = [*rows.columns, "the response"], [*rows.x, response]
    counts, judged = by_name(names, [effective(v, weights) for v in values]), leverage(spanned(rows), rows.weights)
    if rows.weights is not None:
        ignored = len(weights) - int(np.count_nonzero(weights))
        counts |= {"the weights": effective(weights, np.ones(len(weights))), "weights of zero": ignored or math.inf}
        judged = max(judged, leverage(_of_weights(weights), None))
    kinds = [(name, levels(v)) for name, v in zip(names, values, strict=True)]
    return DesignFacts(
        rows=int(np.count_nonzero(weights)),
        parameters=len(rows.x),
        groups=None,
        smallest_group=None,
        effective=counts,
        cells=cells([*kinds, ("the weights", levels(weights))], weights > 0),
        leverage=judged,
        digit_gaps=widest([digit_gaps(v) for v in [*values, weights]]),
    )


def _of_weights(weights: Floats) -> list[Column]:
    """The functions of the weights whose sums leave: counts of rows, the weights, and their logarithms."""
    positive = weights > 0
    logs = np.zeros(len(weights))
    logs[positive] = log(weights[positive])
    return [Column((v,)) for v in (np.ones(len(weights)), positive.astype(np.float64), weights, logs)]


def mixed_design(rows: glmm_site.Rows) -> DesignFacts:
    """Facts of a mixed model of successes in trials.  Sums hold X'y, so successes, and failures, are counted as well:
    a single one of either leaves the row of its person in X'y.

    Cross-products of columns do not leave, but the information about beta does, where a group's effect takes up most of
    what is alike within it.  So a group's share is that of the information where all chances are even; and of trials.
    """
    outcomes = [("successes", rows.y), ("failures", rows.size - rows.y)]
    sides = {name: effective_count(values) for name, values in outcomes}
    known = [("the trials", rows.size), *([] if rows.offset is None else [("the offset", rows.offset)])]
    sides |= {name: effective(values, np.ones(len(values))) for name, values in known}
    kinds = [(name, levels(x)) for name, x in [*zip(rows.columns, rows.x, strict=True), *known]]
    per_group = np.bincount(rows.group, minlength=len(rows.groups))
    trials = of_groups(rows.size, rows.group, len(rows.groups))
    columns = [Column((x,)) for x in rows.x]
    return DesignFacts(
        rows=len(rows.y),
        parameters=len(rows.x) + 1,
        groups=len(rows.groups),
        smallest_group=int(per_group.min(initial=len(rows.y))),
        effective=by_name(rows.columns, [effective(x, rows.size) for x in rows.x]) | sides,
        cells=cells([*kinds, ("the response", [values for _, values in outcomes])], rows.size > 0),
        leverage=max(leverage(columns, rows.size), leverage([*columns, *_of_outcomes(rows)], None)),
        digit_gaps=widest([digit_gaps(x) for x in [*rows.x, rows.y, *(values for _, values in known)]]),
        group_leverage=max(
            group_leverage(columns, rows.size, rows.group, len(rows.groups), TYPICAL**2 / 4),
            float(trials.max(initial=0.0)) / max(float(trials.sum()), 1.0),
        ),
    )


def _of_outcomes(rows: glmm_site.Rows) -> list[Column]:
    """The functions of successes and trials whose sums leave: the binomial coefficient, too, tells one by the other."""
    y, size = rows.y, rows.size
    values = [np.ones(len(y)), y, size, *([] if rows.offset is None else [rows.offset])]
    if np.any(size != 1):
        values += [y * y, y * size, size * size, log_choose(size, y)]
    return [Column((v,)) for v in values]


def linear_question(rows: linear.Rows) -> QuestionFacts:
    """Facts of the only question of a regression, which weights the rows as the study says."""
    weights = _weights(rows)
    counts = by_name(rows.columns, [effective(x, weights) for x in rows.x])
    return QuestionFacts(int(np.count_nonzero(weights)), effective_count(weights), counts, 0.0)


def mixed_question(
    rows: glmm_site.Rows,
    question: MomentsQuestion | Question,
    effect: Floats | None = None,
    orders: Sequence[Ints] | None = None,
) -> QuestionFacts:
    """Facts of a question to a mixed model: w = n p (1 - p) at its parameters, the weights of the information matrix.

    effect (groups,): theta u of each group, at its mode say; zero if left out.   orders: of the columns (`orders_of`),
    where they are known: sorting is most of the work.
    """
    spread = of_group = 0.0
    gaps: tuple[float, ...] = ()
    if isinstance(question, MomentsQuestion):
        weights = rows.size
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            eta = _predictor(rows, question, effect)
            spread = float(eta.max() - eta.min())
            small = np.exp(-np.abs(eta))
            weights = rows.size * small / np.square(1 + small)
            score = rows.y - rows.size * np.where(eta < 0, small, 1.0) / (1 + small)
            of_group, gaps = _of_group(rows, question, weights, score)
    sorting = orders_of(rows.x) if orders is None else orders
    counts = [effective(x, weights, order) for x, order in zip(rows.x, sorting, strict=True)]
    found = by_name(rows.columns, counts)
    return QuestionFacts(len(rows.y), effective_count(weights), found, spread, gaps, of_group)


def _of_group(
    rows: glmm_site.Rows, question: Question, weights: Floats, score: Floats
) -> tuple[float, tuple[float, ...]]:
    """The largest share of one group in what a question brings, information about beta and sums of scores, and by how
    much smaller what a few groups add to these is than what all others do (`group_gaps`).
    """
    if not (np.isfinite(weights).all() and np.isfinite(score).all()):
        return math.nan, ()
    groups, ones = len(rows.groups), np.ones(len(rows.y))
    moved = [x - centre for x, centre in zip(rows.x, question.centre, strict=True)]
    parts = information(moved, [question.theta * ones], weights, rows.group, groups)
    return (
        max(share(parts), told_scores(score, [*moved, ones], rows.group, groups)),
        group_gaps(moved, (weights, np.abs(score)), rows.group, groups),
    )


def _predictor(rows: glmm_site.Rows, question: Question, effect: Floats | None) -> Floats:
    eta = np.zeros(len(rows.y)) if rows.offset is None else rows.offset.astype(np.float64)
    for x, centre, beta in zip(rows.x, question.centre, question.beta, strict=True):
        eta = eta + (x - centre) * beta
    return eta if effect is None else eta + effect[rows.group]


def spanned(rows: linear.Rows) -> list[Column]:
    """The columns whose combinations a regression's cross-products give: those of X, and the response less its
    offset.
    """
    columns = [Column.of(x, exact) for x, exact in zip(rows.x, rows.exact, strict=True)]
    response = Column.of(rows.y, rows.y_exact)
    return [*columns, response if rows.offset is None else response.moved(-rows.offset)]


def linear_columns(rows: linear.Rows) -> list[Column]:
    """sqrt(w) x for the columns that a regression's sums are made of."""
    columns = spanned(rows)
    return columns if rows.weights is None else [rooted(column, rows.weights) for column in columns]


def mixed_columns(rows: glmm_site.Rows) -> list[Column]:
    """Columns that a mixed model's sums, of functions of them, depend on."""
    values = [*rows.x, rows.y, rows.size, *([] if rows.offset is None else [rows.offset])]
    return [Column((column,)) for column in values]


def joint_leverage(models: Iterable[tuple[Sequence[Column], Ints]], n: int) -> float:
    """`leverage` of the columns of several models taken together, each with its rows' places (m,) among n rows.  A row
    that took no part in a model is zero in its columns.  A column that comes twice counts once.
    """
    unlike = {}
    for columns, places in models:
        for column in columns:
            parts = tuple(_at(places, n, part) for part in column.parts)
            unlike[column.decimals, *(part.tobytes() for part in parts)] = replace(column, parts=parts)
    return leverage(list(unlike.values()), None)


def _at(places: Ints, n: int, values: Floats) -> Floats:
    out = np.zeros(n)
    out[places] = values
    return out


def rooted(column: Column, weights: Floats) -> Column:
    """sqrt(w) x in about 106 bits, and times a power of two: what differs in the last bit of one row's x, or w, still
    differs.
    """
    root = np.sqrt(weights)
    square, rest = _product(root, root)
    below = np.divide((weights - square) - rest, 2 * root, out=np.zeros(len(root)), where=root > 0)
    _, exponent = math.frexp(float(np.abs(column.parts[0]).max(initial=0.0)))
    parts: list[Floats] = []
    for part in column.integers():
        scaled = np.ldexp(part, -exponent)
        parts += [*_product(root, scaled), below * scaled]
    return Column(tuple(parts), column.decimals)


def _product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """a b = p + e exactly, p the nearest float64.  [Dekker 1971]"""
    p = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


def _halves(a: Floats) -> tuple[Floats, Floats]:
    upper = a * (2.0**27 + 1)
    upper = upper - (upper - a)
    return upper, a - upper


def _weights(rows: linear.Rows) -> Floats:
    return np.ones(len(rows.y)) if rows.weights is None else rows.weights
