"""Facts of generalized linear mixed models with vectors of effects, whose sums are over groups.

Round 1 brings counts, sums of columns and of squares of the effects' columns, and sums of functions of the response,
weights and offset.  Each later round brings sums over groups of the log-likelihood, its first derivatives and the
information in (beta, theta, log aux), and sums over rows of functions of response and weight at the asked aux.

Rows are judged as those of a generalized linear model (facts_glm.py), at the groups' modes.  And groups are judged like
rows: parameters far out make all groups saturate but one, whose rows may be many; a column that varies between one
group and all others has that group's sums; a group whose mean is e^-15 of the others' has digits below all theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.disclosure import facts_glm
from sumwise.disclosure.facts import DesignFacts, QuestionFacts, rooted
from sumwise.disclosure.figures import by_name, digit_gaps, effective, effective_count, leverage, told, widest
from sumwise.disclosure.figures_groups import group_gaps, group_leverage, information, share, told_scores, told_share
from sumwise.kernels.families import TERMS, terms
from sumwise.kernels.vectors import WITH_AUX
from sumwise.maths import covariance
from sumwise.maths.columns import Column
from sumwise.maths.elementary import exp, log
from sumwise.maths.gamma import log_gamma
from sumwise.models.glmm_vectors_messages import VectorMomentsQuestion, VectorQuestion

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AROUND = 2.0
"""Conditional standard deviations around a group's mode that count to the range of predictors: nodes reach there."""


class Rows(facts_glm.Rows, Protocol):
    """And the columns of the effects, with the numbers of the groups."""

    @property
    def z(self) -> Sequence[Floats]: ...
    @property
    def group(self) -> Ints: ...
    @property
    def groups(self) -> Sequence[object]: ...


@dataclass(frozen=True, slots=True)
class Effects:
    """What the groups' effects bring at a point.  eta (n,): to the predictors, at the modes; around (n,): how far the
    nodes reach from there; share: under weights (n,), the largest share of one group in the information about beta.
    """

    eta: Floats
    around: Floats
    share: Callable[[Floats], float]


def vector_design(rows: Rows, family: str, effects: Sequence[str], parameters: int) -> DesignFacts:
    """Facts of the rows.  effects: names of the columns of Z; parameters: how many the model estimates."""
    base, counted = facts_glm.glm_design(rows, family, parameters), facts_glm.taking_part(rows, family)
    names = [f"the effect '{name}'" for name in effects]
    per_group = np.bincount(rows.group[counted > 0], minlength=len(rows.groups))
    per_group = per_group[per_group > 0]
    columns, more = [Column((v,)) for v in (*rows.x, *rows.z)], _summed(rows, family)
    alone = leverage([*columns, *more], None) if more else 0.0
    return replace(
        base,
        groups=len(per_group),
        smallest_group=int(per_group.min(initial=len(rows.y))),
        effective=base.effective | by_name(names, [effective(z, counted) for z in rows.z]),
        leverage=max(base.leverage, leverage(columns, counted), told(alone, int(np.count_nonzero(counted)) - 1)),
        digit_gaps=widest([base.digit_gaps, *(digit_gaps(z) for z in rows.z)]),
        group_leverage=group_leverage(columns, counted, rows.group, len(rows.groups)),
    )


def _summed(rows: Rows, family: str) -> list[Column]:
    """Functions of response, weights and offset whose sums leave here, but not in a generalized linear model."""
    found = []
    if family == "gamma":
        found.append(log(rows.y))
    if rows.offset is not None and family != "binomial":
        with np.errstate(over="ignore"):
            found.append(rows.size * exp(rows.offset))
    if rows.weights is not None:
        w = np.where(rows.weights > 0, rows.weights, 1.0)
        found += [w * exp(np.minimum(rows.offset, 700.0))] if rows.offset is not None else []
        found += [w * log(w), log_gamma(w)] if family == "gamma" else []
    return [Column((v,)) for v in found]


def vector_columns(rows: Rows, family: str) -> list[Column]:
    """Columns that its sums depend on, with sqrt(w) z where rows count unequally."""
    counted, effects = facts_glm.taking_part(rows, family), [Column((z,)) for z in rows.z]
    more = [rooted(z, counted) for z in effects] if np.any(counted != 1) else []
    return [*facts_glm.glm_columns(rows, family), *effects, *more, *_summed(rows, family)]


def vector_question(
    rows: Rows,
    family: tuple[str, str],
    effects: Sequence[str],
    question: VectorMomentsQuestion | VectorQuestion,
    effects_at: Callable[[VectorQuestion], Effects],
) -> QuestionFacts:
    """Facts of a question, the worst of its points.  effects_at: of a question about a single point, as
    `effects_of_groups` gives it.
    """
    if isinstance(question, VectorMomentsQuestion):
        counted = facts_glm.taking_part(rows, family[0])
        counts = by_name(rows.columns, [effective(x, counted) for x in rows.x])
        return QuestionFacts(int(np.count_nonzero(counted)), effective_count(counted), counts, 0.0)
    names = [*rows.columns, *(f"the effect '{name}'" for name in effects)]
    found = [
        _at_point(rows, family, names, replace(question, points=question.points[k : k + 1]), effects_at)
        for k in range(len(question.points))
    ]
    return QuestionFacts(
        rows=found[0].rows,
        concentration=_worst(min, [f.concentration for f in found]),
        effective={name: _worst(min, [f.effective[name] for f in found]) for name in found[0].effective},
        eta_range=_worst(max, [f.eta_range for f in found]),
        digit_gaps=widest([f.digit_gaps for f in found]),
        group_leverage=_worst(max, [f.group_leverage for f in found]),
    )


def _worst(of: Any, figures: list[float]) -> float:
    """nan, which is refused, where one of them is."""
    return math.nan if any(map(math.isnan, figures)) else float(of(figures))


def effects_of_groups(rows: Rows, question: VectorQuestion, site: Any) -> Effects:
    """At the question's only point.  site: who answers (models/glmm_vectors_site.py)."""
    point, p = question.points[0], len(rows.x)
    Lambda = covariance.factor(point[p : p + covariance.size(site.blocks)], site.blocks)
    moved = [v - c for v, c in zip((*rows.x, *rows.z), question.centre, strict=True)]
    mode, spread = site.modes(question)
    turned = np.stack([sum(z * Lambda[i, k] for i, z in enumerate(moved[p:])) for k in range(len(rows.z))])
    return Effects(
        eta=sum((turned[k] * mode[rows.group, k] for k in range(len(turned))), np.zeros(len(rows.y))),
        around=np.sqrt(np.einsum("in,nij,jn->n", turned, spread[rows.group], turned)),
        share=lambda w: share(information(moved[:p], list(turned), w, rows.group, len(rows.groups))),
    )


def _at_point(
    rows: Rows,
    family: tuple[str, str],
    names: Sequence[str],
    question: VectorQuestion,
    effects_at: Callable[[VectorQuestion], Effects],
) -> QuestionFacts:
    point, p = question.points[0], len(rows.x)
    moved = [v - c for v, c in zip((*rows.x, *rows.z), question.centre, strict=True)]
    counted = facts_glm.taking_part(rows, family[0])
    live = counted > 0
    with np.errstate(all="ignore"):
        effects = effects_at(question)
        eta, around = effects.eta + (0.0 if rows.offset is None else rows.offset), effects.around
        eta = eta + sum(x * beta for x, beta in zip(moved[:p], point[:p], strict=True))
        aux = float(exp(point[-1])) if family[0] in WITH_AUX else 1.0
        y = rows.y if family[0] == "binomial" else np.where(live, rows.y, 1.0)
        found = dict(zip(TERMS, terms(*family, eta, y, counted, aux), strict=True))
        w, score = np.where(live, found["w"], 0.0), np.where(live, found["d1"], 0.0)
        if not all(np.isfinite(v).all() for v in (eta, around, w, score)):
            return QuestionFacts(len(eta), 0.0, dict.fromkeys(names, 0.0), math.nan, (), math.nan)
        weighing = (w, np.abs(score))
        counts = by_name(names, [min(effective(v, a) for a in weighing) for v in moved])
        counts["the scores"] = _rests_on(score)
        return QuestionFacts(
            rows=int(np.count_nonzero(counted)),
            concentration=effective_count(w),
            effective=counts,
            eta_range=_range(rows, family[0], eta[live], around[live]),
            digit_gaps=group_gaps(moved, weighing, rows.group, len(rows.groups)),
            group_leverage=max(
                effects.share(w),
                told_scores(score, moved, rows.group, len(rows.groups)),
            ),
        )


def _range(rows: Rows, family: str, eta: Floats, around: Floats) -> float:
    """Largest less smallest linear predictor, with where the nodes reach, and with zero or the mean response's: where
    all predictors are far out together, what overflows in one group and not in others tells them apart.
    """
    total = facts_glm.taking_part(rows, family)
    if not total.any():
        return 0.0
    mean = 0.0 if family == "binomial" else math.log(max(float(np.average(rows.y, weights=total)), 1e-300))
    if family != "binomial" and rows.offset is not None:
        mean -= float(np.average(rows.offset, weights=total))
        eta = eta - float(np.average(rows.offset, weights=total))
    return max(mean, float((eta + AROUND * around).max())) - min(mean, float((eta - AROUND * around).min()))


def _rests_on(values: Floats) -> float:
    """`effective_count` of numbers that are summed as they are: inf where no row stands out from all others."""
    return effective_count(values) if told_share(np.square(values)) else math.inf
