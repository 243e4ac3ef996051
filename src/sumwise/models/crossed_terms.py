"""Terms in brackets by grouping factor: which effects each factor has, and where theta stands in their Lambda."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.maths import covariance
from sumwise.maths.crossing import Crossing, Factor, cross
from sumwise.maths.effects import Place
from sumwise.models.lmm_crossed import factors_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LARGEST_DENSE = 20_000
"""Effects that may remain in one component when its largest factor is eliminated: 6.4 GB, and minutes a step."""


class RandomTerm(Protocol):
    """One term in brackets.  z: the q columns (n,) of its effects, named `columns`; group (n,) numbers into `groups`,
    the sorted levels of the grouping factor `factor`.
    """

    @property
    def z(self) -> Sequence[Floats]: ...
    @property
    def group(self) -> Ints: ...
    @property
    def groups(self) -> Sequence[object]: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def factor(self) -> str: ...


class Terms:
    """random: the terms in the order of the formula, several of which may have the same factor.

    names: the factors, in the order of their first terms; of_factor: the numbers of their terms; blocks: how many
    effects each term has.
    """

    def __init__(self, random: Sequence[RandomTerm]) -> None:
        self.random = random
        self.names = factors_of(tuple(term.factor for term in random))
        self.of_factor = [[t for t, term in enumerate(random) if term.factor == name] for name in self.names]
        self.blocks = tuple(len(term.z) for term in random)

    def factors(self, theta: Floats) -> list[Floats]:
        """Lambda per factor, block diagonal in its terms.  theta: the terms' triangles in the order of the formula."""
        parts = np.split(theta, np.cumsum([q * (q + 1) // 2 for q in self.blocks])[:-1])
        return [
            covariance.factor(np.concatenate([parts[t] for t in terms]), [self.blocks[t] for t in terms])
            for terms in self.of_factor
        ]

    def places(self) -> list[Place]:
        """Factor, row and column in its Lambda of each theta."""
        places: list[list[Place]] = [[] for _ in self.blocks]
        for f, terms in enumerate(self.of_factor):
            at = 0
            for t in terms:
                places[t] = [(f, at + row, at + column) for row, column in covariance.entries((self.blocks[t],))]
                at += self.blocks[t]
        return [place for term in places for place in term]

    def by_term(self, effects: Sequence[Floats]) -> list[Floats]:
        """Arrays (levels, q) per factor, or (levels, q, q), as the terms' own share of them."""
        out: list[Floats] = [np.empty(0)] * len(self.blocks)
        for terms, found in zip(self.of_factor, effects, strict=True):
            first = 0
            for t in terms:
                some = slice(first, first + self.blocks[t])
                out[t] = (found[:, some] if found.ndim == 2 else found[:, some, some]).copy()
                first = some.stop
        return out

    def cross(self, code_of: Callable[[RandomTerm], Ints]) -> Crossing:
        """How the levels meet.  code_of: the level of each row that counts, contiguous.  Raises DataError where what is
        left of a component is too large.
        """
        factors = []
        for name, terms in zip(self.names, self.of_factor, strict=True):
            term = self.random[terms[0]]
            factors.append(Factor(name, code_of(term), len(term.groups), tuple(self.blocks[t] for t in terms)))
        crossing = cross(factors)
        for part in crossing.parts:
            most = int(np.diff(part.pattern.component).max(initial=0))
            if most > LARGEST_DENSE:
                named = " and ".join(f"'{self.names[f]}'" for f in part.rest)
                raise DataError(
                    f"{most} effects of {named} are crossed with '{self.names[part.eliminated]}': their dense "
                    f"system takes {16e-9 * most**2:.1f} GB, and more than {LARGEST_DENSE} effects are not tried; "
                    f"leave out a term, or merge levels"
                )
        return crossing
