"""The normal equations X'WX b = X'Wy of an exact Gram: rank, dependences, and solutions in balls and in rationals.

X has p columns and rank r.  The columns that do not depend on earlier ones are kept (P, r of them); the others are
combinations of them: X = X_P T with T (r, p).  With G = X_P'W X_P and L = T'(TT')^-1 (p, r),

    (X'WX)^+ = L G^-1 L',    minimum-norm solution b = L G^-1 X_P'Wy.

[Ben-Israel & Greville 2003, Generalized Inverses, 1.6: full-rank factorization]

All integers are in the units of the Gram's columns; solutions are in the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from flint import arb, arb_mat, fmpq, fmpq_mat, fmpz, fmpz_mat, nmod_mat
from numpy.typing import NDArray

from sumwise.maths.gram import Gram
from sumwise.maths.rounding import middle_pair, precision, rational

M = TypeVar("M", arb_mat, fmpq_mat, fmpz_mat)

LARGEST_PRIME = (1 << 61) - 1
"""Rank is looked for modulo a prime first; this one is the largest Mersenne prime that fits a word."""

TWO_FLOATS = 2.0**-107
"""What two floats can resolve of a number."""


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
        return _matrix(fmpz_mat, [[self.gram.entry(i, j) for j in columns] for i in rows], len(columns))

    @cached_property
    def kept(self) -> fmpz_mat:
        """G in integers (r, r)."""
        return self.whole if self.full else _part(self.whole, self.independent, self.independent)

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
        bordered = [*(self.columns[i] for i in self.independent), place]
        if nmod_mat(self.integers(bordered, bordered), LARGEST_PRIME).rank() > self.rank:
            return False  # nonsingular modulo a prime, hence nonsingular
        return bool(Rationals(self, (place,)).rss(0) == 0)

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
        return _matrix(fmpq_mat, rows, len(self.dependent))

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
        for places, part in ((self.independent, inner), (self.dependent, A.transpose() * inner)):
            for place, row in zip(places, part.tolist(), strict=True):
                rows[place] = row
        return _matrix(type(inner), rows, self.rank)


class Rationals:
    """The exact solution, in rationals."""

    def __init__(self, equations: NormalEquations, responses: Sequence[int]) -> None:
        self.equations = equations
        self.responses = tuple(responses)
        self._columns: dict[int, list[fmpq]] = {}

    @cached_property
    def _kept_coef(self) -> fmpq_mat:
        """G^-1 X_P'Wy (r, k)"""
        e, gram = self.equations, self.equations.gram
        right = e.integers([e.columns[i] for i in e.independent], self.responses)
        rows = [
            [value * rational(gram.unit(y)) / unit for value, y in zip(row, self.responses, strict=True)]
            for unit, row in zip(e.kept_unit, _solve(e.kept, right).tolist(), strict=True)
        ]
        return _matrix(fmpq_mat, rows, len(self.responses))

    @cached_property
    def _lift(self) -> fmpq_mat:
        """L (p, r)"""
        A = self.equations.combination
        inner = (_identity(fmpq_mat, self.equations.rank) + A * A.transpose()).inv()
        return self.equations.lift(A, inner)

    @cached_property
    def _coef(self) -> fmpq_mat:
        if self.equations.full:
            return self._kept_coef
        if not self.equations.rank:
            return fmpq_mat(self.equations.p, len(self.responses))
        return self._lift * self._kept_coef

    def coef(self, j: int, k: int) -> fmpq:
        """b_jk"""
        return self._coef[j, k]

    def rss(self, k: int) -> fmpq:
        """y'Wy - b'X'Wy, response k"""
        return self._rss[k]

    @cached_property
    def _rss(self) -> list[fmpq]:
        e, b = self.equations, self._kept_coef
        explained = [
            sum((c * b[i, k] for i, c in enumerate(e.products(y))), fmpq(0)) for k, y in enumerate(self.responses)
        ]
        return [e.square(y) - part for y, part in zip(self.responses, explained, strict=True)]

    @cached_property
    def _inverse(self) -> fmpq_mat:
        """(X'WX)^+ (p, p) where r < p"""
        e = self.equations
        if not e.rank:
            return fmpq_mat(e.p, e.p)
        inner = [[value / (a * b * e.weight) for value, b in zip(row, e.kept_unit, strict=True)]
                 for a, row in zip(e.kept_unit, fmpq_mat(e.kept).inv().tolist(), strict=True)]  # fmt: skip
        return self._lift * fmpq_mat(inner) * self._lift.transpose()

    def inverse(self, i: int, j: int) -> fmpq:
        """(X'WX)^+_ij"""
        if not self.equations.full:
            return self._inverse[i, j]
        if i not in self._columns and j not in self._columns:
            self._columns[j] = self._inverse_column(j)
        return self._columns[j][i] if j in self._columns else self._columns[i][j]

    def _inverse_column(self, j: int) -> list[fmpq]:
        """Column j of (X'WX)^-1: one solve costs far less than the inverse of a large matrix."""
        e = self.equations
        column = _solve(e.kept, fmpz_mat(e.p, 1, [int(i == j) for i in range(e.p)])).tolist()
        return [value / (unit * e.unit[j] * e.weight) for unit, (value,) in zip(e.unit, column, strict=True)]


class Balls:
    """The solution in balls of `bits` bits.  Raises ZeroDivisionError if these are too few to tell G from a singular
    matrix.  To be used inside `precision(bits)`.
    """

    def __init__(self, equations: NormalEquations, responses: Sequence[int], bits: int) -> None:
        self.equations = equations
        self.responses = tuple(responses)
        self.bits = bits
        with precision(bits):
            unit = [arb(u) for u in equations.kept_unit]
            self._kept_inverse = inverse(scaled(arb_mat(equations.kept), unit, [u * equations.weight for u in unit]))
            self._right = self._products(responses)
            self._kept_coef = self._kept_inverse * self._right
            self._lift = None if equations.full else self._lifting()
            self._coef = self._kept_coef if self._lift is None else self._lift * self._kept_coef

    def _products(self, places: Sequence[int]) -> arb_mat:
        """X_P'W Z (r, q) with the columns Z at some places of the Gram."""
        right = [self.equations.products(place) for place in places]
        rows = [[arb(column[i]) for column in right] for i in range(self.equations.rank)]
        return _matrix(arb_mat, rows, len(right))

    def _lifting(self) -> arb_mat:
        """L (p, r)"""
        e = self.equations
        if not e.rank:
            return arb_mat(e.p, 0)
        if e.combination_is_known:
            A = arb_mat(e.combination)
        else:  # the rationals may be long
            A = self._kept_inverse * self._products([e.columns[d] for d in e.dependent])
        inner = inverse(_identity(arb_mat, e.rank) + A * A.transpose())
        return e.lift(A, inner)

    def coef(self, j: int, k: int) -> arb:
        """b_jk"""
        return self._coef[j, k]

    def rss(self, k: int) -> arb:
        """y'Wy - b'X'Wy, response k"""
        return self._rss[k]

    @cached_property
    def _rss(self) -> list[arb]:
        out = []
        for k, y in enumerate(self.responses):
            explained = sum((self._right[i, k] * self._kept_coef[i, k] for i in range(self.equations.rank)), arb(0))
            left = arb(self.equations.square(y)) - explained
            out.append(arb(0) if left.contains(0) and self.equations.explains(y) else left)
        return out

    @cached_property
    def _inverse(self) -> arb_mat:
        with precision(self.bits):
            return (
                self._kept_inverse if self._lift is None else self._lift * self._kept_inverse * self._lift.transpose()
            )

    def inverse(self, i: int, j: int) -> arb:
        """(X'WX)^+_ij"""
        return self._inverse[max(i, j), min(i, j)]

    def root(self) -> NDArray[np.float64] | None:
        """(2, r, r): hi and lo of the lower triangular W with W'W = G^-1, None if they are not yet good to 2^-106 of
        the size of their column, sqrt((G^-1)_jj).

        Row k of W, from the last: W_k. = H_k. / sqrt(H_kk), and H loses W_k.' W_k. (Cholesky from the other end).
        """
        r = self.equations.rank
        H = [np.array(row[: i + 1], dtype=object) for i, row in enumerate(self._kept_inverse.tolist())]
        size = [H[j][j].sqrt() for j in range(r)]
        out = np.zeros((2, r, r))
        for k in range(r - 1, -1, -1):
            if not H[k][k] > 0:
                return None
            w = H[k] / H[k][k].sqrt()
            for i in range(k):
                H[i] = H[i] - w[i] * w[: i + 1]
            for j in range(k + 1):
                if not w[j].rad() < size[j] * TWO_FLOATS:
                    return None
                out[:, k, j] = middle_pair(w[j])
        return out

    @cached_property
    def accuracy(self) -> int:
        """Bits that the diagonal of the inverse and the residual sums of squares are good to, the worst of them.
        They are positive (or known to be zero), and set the size of everything else.
        """
        with precision(self.bits):
            positive = [self._inverse[j, j] for j in range(self.equations.p)]
            positive += [self.rss(k) for k in range(len(self.responses))]
            return min((value.rel_accuracy_bits() for value in positive if value != 0), default=self.bits)


def inverse(M: arb_mat) -> arb_mat:
    """The inverse of a symmetric positive definite matrix.  Rows and columns are first scaled by powers of two to a
    diagonal between 1/2 and 2, so that units cost no precision.
    """
    if not M.nrows():
        return M
    size = [_half_exponent(M[i, i]) for i in range(M.nrows())]
    scale = [arb((1, -e)) for e in size]
    return scaled(scaled(M, scale, scale).inv(), scale, scale)


def scaled(M: arb_mat, left: Sequence[arb], right: Sequence[arb]) -> arb_mat:
    """diag(left) M diag(right)"""
    rows = [[x * a * b for x, b in zip(row, right, strict=True)] for a, row in zip(left, M.tolist(), strict=True)]
    return _matrix(arb_mat, rows, len(right))


def _half_exponent(value: arb) -> int:
    """About log2 sqrt(value), whole."""
    digits, exponent = value.mid().man_exp()
    return (digits.bit_length() + int(exponent)) // 2


def _independent(G: fmpz_mat, rows: int) -> tuple[tuple[int, ...], fmpq_mat | None]:
    """Positions of the columns that do not depend on earlier ones; the others' combinations if they had to be found.

    G (p, p): X'WX in integers, of X with `rows` rows.  Columns independent modulo a prime are independent.  That the
    others depend on earlier ones has to be shown: by counting, or by their combinations.  An unlucky prime fails there.
    """
    p, prime = G.nrows(), LARGEST_PRIME
    while True:
        kept = _pivots(nmod_mat(G, prime)) if p else ()
        if len(kept) == p or (len(kept) == rows and kept == tuple(range(rows))):
            return kept, None
        others = tuple(sorted(set(range(p)) - set(kept)))
        A = _combination(G, kept, others)
        if all(_depends(G, kept, d, [A[i, c] for i in range(len(kept))]) for c, d in enumerate(others)):
            return kept, A
        prime = next(n for n in range(prime - 2, 0, -2) if fmpz(n).is_prime())


def _pivots(M: nmod_mat) -> tuple[int, ...]:
    reduced, rank = M.rref()
    pivots: list[int] = []
    column = 0
    for row in range(rank):
        while not int(reduced[row, column]):
            column += 1
        pivots.append(column)
    return tuple(pivots)


def _depends(G: fmpz_mat, kept: Sequence[int], d: int, combination: Sequence[fmpq]) -> bool:
    """Is column d this combination of kept columns before it, exactly?"""
    if any(value and i > d for i, value in zip(kept, combination, strict=True)):
        return False
    explained = sum((value * G[i, d] for i, value in zip(kept, combination, strict=True)), fmpq(0))
    return bool(explained == G[d, d])


def _combination(G: fmpz_mat, kept: Sequence[int], others: Sequence[int]) -> fmpq_mat:
    """G_PP^-1 G_PR (r, p - r), in units of the Gram."""
    return _solve(_part(G, kept, kept), _part(G, kept, others))


def _solve(G: fmpz_mat, right: fmpz_mat) -> fmpq_mat:
    """G^-1 right"""
    if not G.nrows() or not right.ncols():
        return fmpq_mat(G.nrows(), right.ncols())
    solution = G.solve(right)
    assert isinstance(solution, fmpq_mat)
    return solution


def _part(G: fmpz_mat, rows: Sequence[int], columns: Sequence[int]) -> fmpz_mat:
    table = G.tolist()
    return _matrix(fmpz_mat, [[table[i][j] for j in columns] for i in rows], len(columns))


def _matrix(kind: Callable[..., M], rows: Sequence[Sequence[Any]], columns: int) -> M:
    """A flint matrix; the number of columns is said, because there may be no row to count them in."""
    return kind(len(rows), columns, [value for row in rows for value in row])


def _identity(kind: Callable[..., M], n: int) -> M:
    return kind(n, n, [int(i == j) for i in range(n) for j in range(n)])
