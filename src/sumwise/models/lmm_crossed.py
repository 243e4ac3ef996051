"""Linear mixed models with several grouping factors: the model of lmm.py, and what only several can do wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.maths import ascent, covariance
from sumwise.maths.exact import ExactSum
from sumwise.models.lmm import LinearMixed, State
from sumwise.models.lmm_checks import Term
from sumwise.models.lmm_messages import Moments, MomentsQuestion, Question, Summand

Floats = NDArray[np.float64]

NEAREST, FARTHEST = 0.05, 5.0
"""Range of the starting values, relative to the theta at which an effect brings as much variance as the residual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedMomentsQuestion(MomentsQuestion):
    """Round 1.  factors: how many grouping factors there are."""

    factors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedMoments(Moments):
    """Moments, and what only crossed factors need; a level lies at one site.

    meeting: for each pair of grouping factors, in the order of their first terms, how many pairs of their levels occur
    in a row.   between (terms, 2): for a term with an intercept the sums over levels of (sum w y)^2 / sum w and of
    (sum w)^2, y less its offset; zero for the others.
    """

    meeting: tuple[int, ...]
    between: ExactSum

    @classmethod
    def of(cls, moments: Moments, meeting: tuple[int, ...], between: ExactSum) -> CrossedMoments:
        """The moments, with what only crossed factors need."""
        held = {field.name: getattr(moments, field.name) for field in fields(Moments)}
        return cls(**held, meeting=meeting, between=between)

    def __add__(self, other: Moments) -> CrossedMoments:
        assert isinstance(other, CrossedMoments)
        meeting = tuple(map(int.__add__, self.meeting, other.meeting))
        return CrossedMoments.of(Moments.__add__(self, other), meeting, self.between + other.between)


class CrossedMixed(LinearMixed):
    """The model; its sites are CrossedSites.  Arguments as in LinearMixed."""

    def start(self) -> State:
        """Before round 1."""
        factors = len(factors_of(tuple(term.group for term in self.terms)))
        columns, weighted = len(self.columns) + 1, self.weights is not None
        return State(CrossedMomentsQuestion(columns, self.blocks, weighted, factors=factors))

    def step(self, state: State, total: Moments | Summand) -> State:
        """The state after a total.  Raises DataError where the rows cannot identify the model."""
        if isinstance(total, CrossedMoments):
            refuse_repeated(self.terms)
            refuse_same_groups(self.terms, total.groups, total.meeting)
            return self._nearer(LinearMixed.step(self, state, total), total)
        return LinearMixed.step(self, state, total)

    def _nearer(self, state: State, moments: CrossedMoments) -> State:
        """The state with starting values that save steps: one-way analyses of variance, a factor at a time."""
        assert isinstance(state.question, Question)
        sizes = _relative(moments, self.terms, self.intercept)
        theta = np.array([sizes[i] if i == j else 0.0 for i, j in covariance.entries(self.blocks)])
        centre = state.question.centre
        state = replace(state, ascent=ascent.start(theta, self.blocks))
        return replace(state, question=self._question(state, centre, explained=True))


def _relative(moments: CrossedMoments, terms: tuple[Term, ...], intercept: int | None) -> Floats:
    """(q,) starting values, relative to the theta at which an effect brings as much variance as the residual: for
    intercepts from the mean squares between and within levels, one for other effects.
    """
    out = np.ones(sum(len(term.effects) for term in terms))
    if intercept is None:
        return out
    response, n = moments.gram.columns - 1, moments.rows
    weight = float(moments.gram.fraction(intercept, intercept))
    mean_square = float(moments.gram.fraction(response, intercept)) ** 2 / weight
    total = float(moments.gram.fraction(response, response)) - mean_square
    variances, at = {}, 0
    for term, levels, (between, squares) in zip(terms, moments.groups, moments.between.round(), strict=True):
        if "(Intercept)" in term.effects and 1 < levels < n:
            within = (total - (between - mean_square)) / (n - levels)
            spread = (between - mean_square - (levels - 1) * within) / (weight - squares / weight)
            variances[at + term.effects.index("(Intercept)")] = spread * weight / n
        at += len(term.effects)
    variance = total / n
    residual = max(variance - sum(max(v, 0.0) for v in variances.values()), 0.1 * variance)
    for place, v in variances.items():
        out[place] = np.sqrt(min(max(v / residual, NEAREST**2), FARTHEST**2))
    return out


def factors_of(groups: tuple[str, ...]) -> tuple[str, ...]:
    """The grouping factors of the terms, each once, in the order of their first terms."""
    return tuple(dict.fromkeys(groups))


def refuse_repeated(terms: tuple[Term, ...]) -> None:
    """Raises DataError where an effect varies twice by the same factor."""
    for one, other in combinations(terms, 2):
        twice = [effect for effect in one.effects if effect in other.effects]
        if one.group == other.group and twice:
            raise DataError(
                f"'{twice[0]}' varies by '{one.group}' in {one.text} and again in {other.text}: the two variances "
                f"cannot be told apart; leave out one of them"
            )


def refuse_same_groups(terms: tuple[Term, ...], groups: tuple[int, ...], meetings: tuple[int, ...]) -> None:
    """Raises DataError where two factors are one.  groups: levels of each term's factor; meetings: the moments'."""
    levels = dict(zip((term.group for term in terms), groups, strict=True))
    for (one, other), meeting in zip(_pairs(terms), meetings, strict=True):
        if meeting == levels[one] == levels[other] and meeting > 1:
            raise DataError(
                f"the grouping factors '{one}' and '{other}' are the same grouping under two names: each of the "
                f"{meeting} levels of one goes with a single level of the other; leave out one of them"
            )


def _pairs(terms: tuple[Term, ...]) -> Iterator[tuple[str, str]]:
    return combinations(factors_of(tuple(term.group for term in terms)), 2)
