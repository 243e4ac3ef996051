"""The normal equations X'WX b = X'Wy of an exact Gram: their rank and the dependences between columns.

X has p columns and rank r.  The columns that do not depend on earlier ones are kept (P, r of them); the others are
combinations of them: X = X_P T with T (r, p).  With G = X_P'W X_P and L = T'(TT')^-1 (p, r),

    (X'WX)^+ = L G^-1 L',    minimum-norm solution b = L G^-1 X_P'Wy.

[Ben-Israel & Greville 2003, Generalized Inverses, 1.6: full-rank factorization]

All integers are in the units of the Gram's columns; rationals and balls are in the user's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from flint import fmpq, fmpq_mat, fmpz, fmpz_mat, nmod_mat

from sumwise.maths.exact_matrices import M, matrix, part, solve
from sumwise.maths.gram import Gram
from sumwise.maths.rounding import rational

LARGEST_PRIME = (1 << 61) - 1
"""Rank is looked for modulo a prime first; this one is the largest Mersenne prime that fits a word."""


class NormalEquations:
    """G x = c for the columns at some places of a Gram.

    p: number of columns.   independent (r,): positions (0..p-1) of the columns kept, first come first kept.
    unit (p,), weight: rationals with sum_r w_r x_ri x_rj = integer * unit_i * unit_j * weight.
    """

    def __init__(self, gram: Gram, columns: Sequence[int]) -> None:
        self.gram = gram
        self.columns = tuple(columns)
        self.p = len(self.columns)
        self.unit = [rational(gram.unit(c)) for c in self.columns]
        self.weight = rational(gram.weight_unit)
        self.whole = self.integers(self.columns, self.columns)
        self.independent, self._known = _independent(self.whole, gram.rows)
        self.dependent = tuple(sorted(set(range(self.p)) - set(self.independent)))

    @property
    def rank(self) -> int:
        """r"""
        return len(self.independent)

    @property
    def full(self) -> bool:
        """r = p"""
        return self.rank == self.p

    def integers(self, rows: Sequence[int], columns: Sequence[int]) -> fmpz_mat:
        """The Gram's integers of these places."""
        return matrix(fmpz_mat, [[self.gram.entry(i, j) for j in columns] for i in rows], len(columns))

    @cached_property
    def kept(self) -> fmpz_mat:
        """G in integers (r, r)."""
        return self.whole if self.full else part(self.whole, self.independent, self.independent)

    @cached_property
    def kept_unit(self) -> list[fmpq]:
        """(r,)"""
        return [self.unit[i] for i in self.independent]

    def products(self, place: int) -> list[fmpq]:
        """X_P'W z (r,) with the column z at a place of the Gram, in the user's units."""
        outer = rational(self.gram.unit(place)) * self.weight
        entries = (self.gram.entry(self.columns[i], place) for i in self.independent)
        return [entry * unit * outer for entry, unit in zip(entries, self.kept_unit, strict=True)]

    def square(self, place: int) -> fmpq:
        """z'Wz of the column at a place of the Gram."""
        return self.gram.entry(place, place) * rational(self.gram.unit(place)) ** 2 * self.weight

    def explains(self, place: int) -> bool:
        """Is the column at this place of the Gram exactly a combination of the p columns, up to rows of weight 0?"""
        if place in self.columns or self.rank == self.gram.rows or not self.gram.entry(place, place):
            return True
        kept = [self.columns[i] for i in self.independent]
        bordered = self.integers([*kept, place], [*kept, place])
        if nmod_mat(bordered, LARGEST_PRIME).rank() > self.rank:
            return False  # nonsingular modulo a prime, hence nonsingular
        combination = solve(self.kept, self.integers(kept, [place]))
        return _depends(bordered, range(self.rank), self.rank, [combination[i, 0] for i in range(self.rank)])

    @property
    def combination_is_known(self) -> bool:
        """Has `combination` been computed?"""
        return self._known is not None or "combination" in vars(self)

    @cached_property
    def combination(self) -> fmpq_mat:
        """A (r, p - r): dependent column d is sum_i A_id (independent column i), in the user's units."""
        A = _combination(self.whole, self.independent, self.dependent) if self._known is None else self._known
        rows = [
            [value * self.unit[d] / unit for d, value in zip(self.dependent, row, strict=True)]
            for unit, row in zip(self.kept_unit, A.tolist(), strict=True)
        ]
        return matrix(fmpq_mat, rows, len(self.dependent))

    @cached_property
    def estimable(self) -> list[bool]:
        """(p,): no combination of columns that is zero involves the column."""
        used = {i for i, row in zip(self.independent, self.combination.tolist(), strict=True) if any(map(bool, row))}
        return [j not in used and j not in self.dependent for j in range(self.p)]

    @cached_property
    def block(self) -> list[int]:
        """(p,): columns in different blocks are orthogonal, so their entries of the inverse are zero."""
        label = list(range(self.p))
        for i, row in enumerate(self.whole.tolist()):
            for j in range(i):
                if row[j] and label[j] != label[i]:
                    old, new = label[i], label[j]
                    label = [new if value == old else value for value in label]
        return label

    def lift(self, A: M, inner: M) -> M:
        """L (p, r) from A (r, p - r) and inner = (TT')^-1 = (I + AA')^-1."""
        rows: list[Any] = [None] * self.p
        for places, some in ((self.independent, inner), (self.dependent, A.transpose() * inner)):
            for place, row in zip(places, some.tolist(), strict=True):
                rows[place] = row
        return matrix(type(inner), rows, self.rank)


def _independent(G: fmpz_mat, rows: int) -> tuple[tuple[int, ...], fmpq_mat | None]:
    """Positions of the columns that do not depend on earlier ones; the others' combinations if they had to be found.

    G (p, p): X'WX in integers, of X with `rows` rows.  Columns independent modulo a prime are independent.  That the
    others depend on earlier ones has to be shown: by counting, or by their combinations.  An unlucky prime fails there.
    """
    p, prime = G.nrows(), LARGEST_PRIME
    while True:
        kept = pivots(nmod_mat(G, prime)) if p else ()
        if len(kept) == p or (len(kept) == rows and kept == tuple(range(rows))):
            return kept, None
        others = tuple(sorted(set(range(p)) - set(kept)))
        A = _combination(G, kept, others)
        if all(_depends(G, kept, d, [A[i, c] for i in range(len(kept))]) for c, d in enumerate(others)):
            return kept, A
        prime = prime_below(prime)


def prime_below(prime: int) -> int:
    """The next smaller prime."""
    return next(n for n in range(prime - 2, 0, -2) if fmpz(n).is_prime())


def pivots(M: nmod_mat) -> tuple[int, ...]:
    """The first independent columns of a matrix modulo a prime."""
    reduced, rank = M.rref()
    found: list[int] = []
    column = 0
    for row in range(rank):
        while not int(reduced[row, column]):
            column += 1
        found.append(column)
    return tuple(found)


def _depends(G: fmpz_mat, kept: Sequence[int], d: int, combination: Sequence[fmpq]) -> bool:
    """Is column d this combination of kept columns before it, exactly?"""
    if any(value and i > d for i, value in zip(kept, combination, strict=True)):
        return False
    explained = sum((value * G[i, d] for i, value in zip(kept, combination, strict=True)), fmpq(0))
    return bool(explained == G[d, d])


def _combination(G: fmpz_mat, kept: Sequence[int], others: Sequence[int]) -> fmpq_mat:
    """G_PP^-1 G_PR (r, p - r), in units of the Gram."""
    return solve(part(G, kept, kept), part(G, kept, others))
