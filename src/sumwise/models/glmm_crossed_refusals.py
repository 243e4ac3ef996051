"""Why the rows cannot identify a model with several grouping factors, in words: which, how large, what to do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sumwise.errors import DataError
from sumwise.maths import ascent, covariance
from sumwise.maths.ascent import Point
from sumwise.maths.cholesky import first_dependence
from sumwise.maths.exact import ExactSum
from sumwise.models import glmm_vectors_refusals as of_one
from sumwise.models.glmm_crossed_messages import CrossedMoments, CrossedSummand
from sumwise.models.glmm_vectors_messages import VectorMoments
from sumwise.models.glmm_vectors_refusals import LEAST_PIVOT
from sumwise.models.lmm_checks import Term
from sumwise.models.lmm_crossed import refuse_repeated, refuse_same_groups
from sumwise.models.refusals import refuse_collinear


def refuse_moments(moments: CrossedMoments, family: str, terms: tuple[Term, ...]) -> None:
    """Raises DataError where counts and sums alone say that there is no maximum."""
    refuse_repeated(terms)
    factors = tuple(dict.fromkeys(term.group for term in terms))
    for name, (groups, ample, alike, single) in zip(factors, moments.by_factor, strict=True):
        own = [term for term in terms if term.group == name]
        effects = tuple(effect for term in own for effect in term.effects)
        places = [at for at, (group, _) in enumerate(_effects(terms)) if group == name]
        one = VectorMoments(
            moments.rows,
            groups,
            ample,
            alike,
            single,
            moments.columns,
            ExactSum(moments.effects.digits[:, places]),
            moments.totals,
        )
        of_one.refuse_moments(one, family, name, effects, _text(own))
        if single == groups:
            raise DataError(
                f"each of the {groups} groups of '{name}' has a single trial, which says nothing of the variance "
                f"between them; leave out {_text(own)}"
            )
    levels = {name: counts[0] for name, counts in zip(factors, moments.by_factor, strict=True)}
    refuse_same_groups(terms, tuple(levels[term.group] for term in terms), moments.meeting)


def refuse_start(point: Point, total: CrossedSummand, columns: tuple[str, ...], terms: tuple[Term, ...]) -> None:
    """Raises DataError where the start has no finite value, or where columns are collinear."""
    if any(total.failed):
        raise DataError(
            f"at the starting values the log-likelihood of {max(total.failed)} part(s) of the data that {_text(terms)} "
            f"joins, or a derivative of it, is not a finite number: look for huge values in columns or offset, and "
            f"rescale them"
        )
    p = len(columns)
    found = first_dependence(point.information[:p, :p], LEAST_PIVOT)
    if found is not None:
        refuse_collinear(found, columns)


def refuse_divergence(
    at: ascent.State, columns: tuple[str, ...], terms: tuple[Term, ...], family: str, blocks: tuple[int, ...]
) -> None:
    """Raises DataError: the maximum lies at infinity, in the direction of the last steps; where it is a variance that
    grows, the factor whose variance grows most is named.
    """
    assert at.step is not None
    assert at.metric is not None
    size = np.abs(at.step) * at.metric
    theta = size[len(size) - covariance.size(blocks) :]
    grows = [float(np.max(_own_theta(theta, blocks, t))) for t in range(len(terms))]
    of_one.refuse_divergence(at, columns, terms[int(np.argmax(grows))].group, family)


def _own_theta(theta: np.ndarray, blocks: tuple[int, ...], term: int) -> np.ndarray:
    first = covariance.size(blocks[:term])
    return theta[first : first + covariance.size(blocks[term : term + 1])]


def _effects(terms: Sequence[Term]) -> list[tuple[str, str]]:
    """(factor, effect) of each effect, in the order of the terms."""
    return [(term.group, effect) for term in terms for effect in term.effects]


def _text(terms: Sequence[Term]) -> str:
    return " + ".join(term.text for term in terms)
