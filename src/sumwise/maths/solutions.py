"""Solutions of the normal equations: in rationals, and in balls of a given precision.

Both answer `coef(j, k)`, `inverse(i, j)` and `rss(k)` in numbers of their own, so that one formula serves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from flint import arb, arb_mat, fmpq, fmpq_mat, fmpz_mat
from numpy.typing import NDArray

from sumwise.maths.exact_matrices import identity, inverse, matrix, scaled, solve
from sumwise.maths.normal_equations import NormalEquations
from sumwise.maths.rounding import middle_pair, precision, rational

TWO_FLOATS = 2.0**-107
"""What two floats can resolve of a number."""


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
            for unit, row in zip(e.kept_unit, solve(e.kept, right).tolist(), strict=True)
        ]
        return matrix(fmpq_mat, rows, len(self.responses))

    @cached_property
    def lift(self) -> fmpq_mat:
        """L (p, r)"""
        A = self.equations.combination
        inner = (identity(fmpq_mat, self.equations.rank) + A * A.transpose()).inv()
        return self.equations.lift(A, inner)

    @cached_property
    def _coef(self) -> fmpq_mat:
        if self.equations.full:
            return self._kept_coef
        if not self.equations.rank:
            return fmpq_mat(self.equations.p, len(self.responses))
        return self.lift * self._kept_coef

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
        return self.lift * fmpq_mat(inner) * self.lift.transpose()

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
        column = solve(e.kept, fmpz_mat(e.p, 1, [int(i == j) for i in range(e.p)])).tolist()
        return [value / (unit * e.unit[j] * e.weight) for unit, (value,) in zip(e.unit, column, strict=True)]


class Balls:
    """The solution in balls of `bits` bits, to be used inside `precision(bits)`.

    Raises ZeroDivisionError if these are too few to tell G from a singular matrix.
    """

    def __init__(self, equations: NormalEquations, responses: Sequence[int], bits: int) -> None:
        self.equations = equations
        self.responses = tuple(responses)
        self.bits = bits
        with precision(bits):
            unit = [arb(u) for u in equations.kept_unit]
            self.kept_inverse = inverse(scaled(arb_mat(equations.kept), unit, [u * equations.weight for u in unit]))
            self._right = self._products(responses)
            self._kept_coef = self.kept_inverse * self._right
            self._lift = None if equations.full else self._lifting()
            self._coef = self._kept_coef if self._lift is None else self._lift * self._kept_coef

    def _products(self, places: Sequence[int]) -> arb_mat:
        """X_P'W Z (r, q) with the columns Z at some places of the Gram."""
        right = [self.equations.products(place) for place in places]
        rows = [[arb(column[i]) for column in right] for i in range(self.equations.rank)]
        return matrix(arb_mat, rows, len(right))

    def _lifting(self) -> arb_mat:
        """L (p, r)"""
        e = self.equations
        if not e.rank:
            return arb_mat(e.p, 0)
        if e.combination_is_known:
            A = arb_mat(e.combination)
        else:  # the rationals may be long
            A = self.kept_inverse * self._products([e.columns[d] for d in e.dependent])
        inner = inverse(identity(arb_mat, e.rank) + A * A.transpose())
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
            return self.half if self._lift is None else self.half * self._lift.transpose()

    def inverse(self, i: int, j: int) -> arb:
        """(X'WX)^+_ij"""
        return self._inverse[max(i, j), min(i, j)]

    @cached_property
    def half(self) -> arb_mat:
        """L G^-1 (p, r): times X_P'W it is the pseudo-inverse of X."""
        with precision(self.bits):
            return self.kept_inverse if self._lift is None else self._lift * self.kept_inverse

    @cached_property
    def root(self) -> list[list[arb]] | None:
        """Rows of the lower triangular W (r, r) with W'W = G^-1; None if these bits cannot tell G^-1 from a singular
        matrix.  W' is the inverse of the Cholesky factor R of G = R'R.

        Row k, from the last: W_k. = H_k. / sqrt(H_kk), then H loses W_k.' W_k. (Cholesky from the other end).
        """
        r = self.equations.rank
        rows: list[list[arb]] = [[]] * r
        with precision(self.bits):
            H = [np.array(row[: i + 1], dtype=object) for i, row in enumerate(self.kept_inverse.tolist())]
            for k in range(r - 1, -1, -1):
                if not H[k][k] > 0:
                    return None
                w = H[k] / H[k][k].sqrt()
                for i in range(k):
                    H[i] = H[i] - w[i] * w[: i + 1]
                rows[k] = [*w, *[arb(0)] * (r - 1 - k)]
        return rows

    def root_pair(self) -> NDArray[np.float64] | None:
        """(2, r, r): hi and lo of `root`, None if it is not yet good to 2^-106 of the size of its columns,
        sqrt((G^-1)_jj).
        """
        if self.root is None:
            return None
        r = self.equations.rank
        with precision(self.bits):
            limit = [self.kept_inverse[j, j].sqrt() * TWO_FLOATS for j in range(r)]
            if not all(w.rad() < most for row in self.root for w, most in zip(row, limit, strict=True)):
                return None
            return np.array([[middle_pair(w) for w in row] for row in self.root]).reshape(r, r, 2).transpose(2, 0, 1)

    @cached_property
    def accuracy(self) -> int:
        """Bits that the diagonal of the inverse and the residual sums of squares are good to, the worst of them.
        They are positive (or known to be zero), and set the size of everything else.
        """
        with precision(self.bits):
            positive = [self._inverse[j, j] for j in range(self.equations.p)]
            positive += [self.rss(k) for k in range(len(self.responses))]
            return min((value.rel_accuracy_bits() for value in positive if value != 0), default=self.bits)
