"""The linear mixed model with crossed or nested factors, at given relative Cholesky factors Lambda.

    V = W^-1 + Z Lambda Lambda' Z',   K = I + Lambda' Z'WZ Lambda = L L',   C = L^-1 Lambda' Z'W [X y]
    log det V = log det K - log det W,   [X y]' V^-1 [X y] = [X y]'W[X y] - C'C     [Bates et al. 2015, eq. 16-18]

The levels of one factor are eliminated first (crossing.py), the rest is a dense system for each component (schur.hpp).
With U = K^-1 Lambda' Z'W [X y] (Q, m) and R = Z'W ([X y] - Z Lambda U) the derivatives are

    d log det K / d Lambda_ab = 2 sum over levels of (Z'WZ Lambda K^-1)_ab,
    d C'C / d Lambda_ab = sum over levels of R_a' U_b + U_b' R_a,

which need K^-1 only where Z'WZ is not zero.  With K_k, U_k, R_k for derivatives in Lambda_k, an element (a, b) of the
Lambda of one factor, and E_k for that of Lambda itself,

    d2 log det K / d k d l = tr K^-1 K_kl - tr K^-1 K_k K^-1 K_l,     K_k = E_k'Z'WZ Lambda + its transpose
    K U_k = E_k'R - Lambda'Z'WZ E_k U,    R_k = - Z'WZ (E_k U + Lambda U_k),

where the second trace is left to traces.py.

Every number belongs to a level or to a pair of levels, and these are added as exact integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels import grouped, schur
from sumwise.kernels.library import log
from sumwise.maths.crossing import Crossing
from sumwise.maths.effects import Place, minus, picked, placed, plus, rotated, scaled, side_by_side, zeros
from sumwise.maths.elimination import Elimination, PartProducts, eliminate
from sumwise.maths.exact import ExactSum
from sumwise.maths.small_matrices import product, transposed
from sumwise.maths.traces import traces

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Products:
    """Sums over rows.  own: per factor Z'WZ (levels, q, q); pairs: {(f, g): Z_f'WZ_g (cells, q_f, q_g)}; rhs: per
    factor Z'W[X y] (levels, q, pitch), pitch: the m columns, and zeros up to a multiple of eight; columns: m.
    """

    own: tuple[Floats, ...]
    pairs: dict[tuple[int, int], Floats]
    rhs: tuple[Floats, ...]
    columns: int


def products(
    crossing: Crossing,
    z: Sequence[Sequence[Floats]],
    columns: Sequence[Floats],
    weights: Floats | None,
    each: Callable[..., Iterable[Any]] = map,
) -> Products:
    """z: per factor its q columns (n,); columns: the m columns (n,) of [X y]; weights (n,) or None; each: the map.

    Each sum is exact but for the rounding of w z, and rounded once.   Raises DataError for a number that is not finite.
    """
    left = [[None if bool(np.all(w == 1)) else w for w in columns_] for columns_ in _weighted(z, weights)]
    right = [[None if bool(np.all(column == 1)) else column for column in columns_] for columns_ in z]

    def total(f: int, a: int, other: Floats | None, cell: NDArray[np.int64], cells: int) -> Floats:
        weight = left[f][a]
        if other is None and weight is None:
            return np.bincount(cell, minlength=cells).astype(np.float64)
        one, two = (weight, other) if other is not None else (None, weight)
        assert two is not None
        found: Floats = grouped.sums(one, two, cell, cells)[0]
        return found

    factors = crossing.factors
    pitch = -(-len(columns) // schur.LANES) * schur.LANES
    own = [np.zeros((factor.levels, factor.effects, factor.effects)) for factor in factors]
    rhs = [np.zeros((factor.levels, factor.effects, pitch)) for factor in factors]
    pairs = {
        (f, g): np.zeros((len(pair), factors[f].effects, factors[g].effects)) for (f, g), pair in crossing.pairs.items()
    }
    tasks: list[tuple[Floats, int, int, Floats | None, NDArray[np.int64], int]] = []
    for f, factor in enumerate(factors):
        for a in range(factor.effects):
            for b in range(a + 1):
                other = right[f][b]
                tasks.append((own[f][:, a, b], f, a, other, factor.code, factor.levels))
            for c, column in enumerate(columns):
                tasks.append((rhs[f][:, a, c], f, a, column, factor.code, factor.levels))
    for (f, g), pair in crossing.pairs.items():
        for a in range(factors[f].effects):
            for b in range(factors[g].effects):
                other = right[g][b]
                tasks.append((pairs[f, g][:, a, b], f, a, other, pair.cell, len(pair)))

    def run(task: tuple[Floats, int, int, Floats | None, NDArray[np.int64], int]) -> None:
        task[0][:] = total(*task[1:])

    list(each(run, tasks))
    for A in own:
        for a in range(A.shape[1]):
            A[:, :a, a] = A[:, a, :a]
    return Products(tuple(own), pairs, tuple(rhs), len(columns))


def _weighted(z: Sequence[Sequence[Floats]], weights: Floats | None) -> list[list[Floats]]:
    return [[column if weights is None else weights * column for column in columns] for columns in z]


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over levels and pairs of levels, for m columns; D = 1 + k, with second derivatives k (k + 1) / 2 more.

    values (D, 1 + m (m + 1) / 2): log det K, and the lower triangle of C'C by rows; then their derivatives in the k
    elements of theta; then their second ones, (i, j) with j <= i row by row.   failed: parts that are left out, since K
    was not positive definite or a number was not finite.
    """

    values: ExactSum
    failed: int

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.values + other.values, self.failed + other.failed)


class Crossed:
    """Answers for one set of rows.  What depends on rows alone is worked out once."""

    def __init__(self, crossing: Crossing, values: Products) -> None:
        self.crossing, self.columns = crossing, values.columns
        self._parts = [
            PartProducts.of(part, crossing.factors, values.own, values.pairs, values.rhs) for part in crossing.parts
        ]
        self._spaces = [schur.Spaces() for _ in crossing.parts]

    def sums(
        self,
        Lambda: Sequence[Floats],
        places: Sequence[Place],
        threads: Executor | None = None,
        workers: int = 1,
        *,
        second: bool = False,
        exact: bool = False,
    ) -> Sums:
        """Lambda: per factor (q, q) lower triangular; places: of the elements of theta.  Threads change no bit.

        second: second derivatives too, whose traces are estimates for components of more than FEW effects, or exact.
        """
        k, width = len(places), 1 + self.columns * (self.columns + 1) // 2
        total = Sums(ExactSum.zeros((1 + k + (k * (k + 1) // 2 if second else 0), width)), 0)
        for values, spaces in zip(self._parts, self._spaces, strict=True):
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                at = eliminate(values, Lambda, spaces, threads, workers)
            if at.failed:
                total = Sums(total.values, total.failed + 1)
                continue
            rows = [self._value(at), *self._slopes(values, at, Lambda, places)]
            if second:
                rows += self._curvatures(values, at, Lambda, places, exact)
            total += Sums(ExactSum(np.stack([row.digits for row in rows])), 0)
        return total

    def modes(
        self, Lambda: Sequence[Floats], beta: Floats, threads: Executor | None = None, workers: int = 1
    ) -> tuple[list[Floats], list[Floats]]:
        """Per factor the conditional modes Lambda u at beta (m - 1,), (levels, q), and their conditional covariance
        divided by sigma^2, Lambda K^-1 Lambda', (levels, q, q).  Levels without rows: zero, and Lambda Lambda'.
        """
        factors = self.crossing.factors
        mode = [np.zeros((factor.levels, factor.effects)) for factor in factors]
        spread = [
            np.repeat(product(block[None], transposed(block[None])), factor.levels, axis=0)
            for factor, block in zip(factors, Lambda, strict=True)
        ]
        p = len(beta)
        for values, spaces in zip(self._parts, self._spaces, strict=True):
            at = eliminate(values, Lambda, spaces, threads, workers)
            for f, levels in enumerate(values.part.levels):
                u = at.U[f][:, :, p].copy()
                for c in range(p):
                    u -= at.U[f][:, :, c] * beta[c]
                mode[f][levels] = product(Lambda[f][None], u[:, :, None])[:, :, 0]
                spread[f][levels] = product(product(Lambda[f][None], at.own[f]), transposed(Lambda[f][None]))
        return mode, spread

    def _value(self, at: Elimination) -> ExactSum:
        logdet = reduce(add, (ExactSum.of(log(pivots.reshape(-1))) for pivots in at.pivots))
        return _joined([logdet, reduce(add, (self._triangle(C, C) for C in at.C))])

    def _triangle(self, x: Floats, z: Floats) -> ExactSum:
        """Lower triangle of x'z, symmetric, by rows: x, z (n, pitch); each product is rounded, their sum is exact."""
        return _joined([ExactSum.of(x[:, i, None] * z[:, : i + 1]) for i in range(self.columns)])

    def _twice_symmetric(self, x: Floats, z: Floats) -> ExactSum:
        """Lower triangle of x'z + z'x by rows."""
        return _joined(
            [ExactSum.of(x[:, i, None] * z[:, : i + 1] + z[:, i, None] * x[:, : i + 1]) for i in range(self.columns)]
        )

    def _slopes(
        self, values: PartProducts, at: Elimination, Lambda: Sequence[Floats], places: Sequence[Place]
    ) -> list[ExactSum]:
        """Derivatives in each element of theta."""
        terms = [
            [product(product(own, block[None]), N)] for own, block, N in zip(values.own, Lambda, at.own, strict=True)
        ]
        for (f, g), N in at.pairs.items():  # Z'WZ Lambda K^-1 at one level, by the levels in between
            A = values.of_pair(f, g)
            terms[f].append(product(product(A, Lambda[g][None]), transposed(N)))
            terms[g].append(product(product(transposed(A), Lambda[f][None]), N))
        rows = []
        for f, a, b in places:
            trace = reduce(add, (ExactSum.of(2 * X[:, a, b]) for X in terms[f]))
            rows.append(_joined([trace, self._twice_symmetric(at.R[f][:, a], at.U[f][:, b])]))
        return rows

    def _curvatures(
        self, values: PartProducts, at: Elimination, Lambda: Sequence[Floats], places: Sequence[Place], exact: bool
    ) -> list[ExactSum]:
        """Second derivatives, (i, j) with j <= i row by row."""
        k, pitch = len(places), at.U[0].shape[2]
        changed = [minus(values.subtract(zeros(at.U), placed(at.U, place))) for place in places]  # Z'WZ E_k U
        right = []
        for place, A in zip(places, changed, strict=True):
            right.append(plus(picked(at.R, place), minus(rotated(Lambda, A))))
        slopes = at.solve(side_by_side(right))
        moved = values.subtract(zeros(slopes), scaled(Lambda, slopes))
        U = [[u[:, :, i * pitch : (i + 1) * pitch] for u in slopes] for i in range(k)]
        R = [plus([r[:, :, i * pitch : (i + 1) * pitch] for r in moved], minus(changed[i])) for i in range(k)]
        trace = traces(values, at, Lambda, places, exact=exact)
        rows = []
        for i, (f, a, b) in enumerate(places):
            for j in range(i + 1):
                cross = self._twice_symmetric(R[j][f][:, a], at.U[f][:, b])
                cross += self._twice_symmetric(at.R[f][:, a], U[j][f][:, b])
                rows.append(_joined([_both(values, at, places[i], places[j]) + trace[i, j], cross]))
        return rows


def _both(values: PartProducts, at: Elimination, one: Place, other: Place) -> ExactSum:
    """tr K^-1 K_kl."""
    (f, a, b), (g, c, d) = sorted((one, other))
    N, A = (at.own[f], values.own[f]) if f == g else (at.pairs[f, g], values.pairs[f, g])
    return ExactSum.of(2 * N[:, b, d] * A[:, a, c])


def _joined(sums: Sequence[ExactSum]) -> ExactSum:
    return ExactSum(np.concatenate([total.digits.reshape(-1, total.digits.shape[-1]) for total in sums]))
