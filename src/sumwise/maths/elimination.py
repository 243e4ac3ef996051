"""One part of a crossed model at one Lambda: K = I + Lambda'Z'WZ Lambda, its factor, and what its inverse says.

Effects of factor f come as arrays (levels here, q_f, pitch), one for each factor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels import schur
from sumwise.maths.crossing import Factor, Part
from sumwise.maths.effects import Effects
from sumwise.maths.small_matrices import backward, cholesky, forward, product, transposed

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PartProducts:
    """Z'WZ of one part.  own: per factor (levels, q, q); pairs: {(f, g): (cells, q_f, q_g)} for f < g; rhs: per factor
    Z'W[X y] (levels, q, pitch); entries (entries, q): at the pattern's entries; whole: where scalars meet, by rows.
    """

    part: Part
    factors: tuple[Factor, ...]
    own: tuple[Floats, ...]
    pairs: dict[tuple[int, int], Floats]
    rhs: tuple[Floats, ...]
    entries: Floats
    whole: Floats

    @classmethod
    def of(
        cls,
        part: Part,
        factors: tuple[Factor, ...],
        own: Sequence[Floats],
        pairs: dict[tuple[int, int], Floats],
        rhs: Sequence[Floats],
    ) -> PartProducts:
        """The part's share of the products of all levels and cells."""
        own, rhs = ([a[levels] for a, levels in zip(arrays, part.levels, strict=True)] for arrays in (own, rhs))
        pairs = {key: pairs[key][part.pairs[key]] for key in part.pairs}
        units = [np.eye(factor.effects) for factor in factors]
        entries = np.empty((len(part.pattern.column), part.pattern.effects))
        empty = cls(part, factors, tuple(own), pairs, tuple(rhs), entries, np.empty(0))
        for g in part.rest:
            A = empty.of_pair(part.eliminated, g)
            for b in range(A.shape[2]):
                entries[part.entries[g][:, b]] = A[:, :, b]
        whole = np.ascontiguousarray(empty.meeting(units, 0.0)[part.whole[2]])
        return cls(part, factors, tuple(own), pairs, tuple(rhs), entries, whole)

    def of_pair(self, f: int, g: int) -> Floats:
        """Z_f'WZ_g (cells, q_f, q_g), f and g in any order."""
        return self.pairs[f, g] if f < g else transposed(self.pairs[g, f])

    def meeting(self, Lambda: Sequence[Floats], unit: float) -> Floats:
        """Lambda'Z'WZ Lambda where scalars meet, upper triangle, plus `unit` on the diagonal."""
        out = np.zeros(len(self.part.pattern.other_column))
        for g in self.part.rest:
            A = product(transposed(Lambda[g][None]), product(self.own[g], Lambda[g][None]))
            a, b = np.triu_indices(A.shape[1])
            out[self.part.diagonal[g][:, a, b]] = A[:, a, b] + unit * (a == b)
        for (g, h), at in self.part.others.items():
            out[at] = product(transposed(Lambda[g][None]), product(self.of_pair(g, h), Lambda[h][None]))
        return out

    def at_scalars(self, effects: Sequence[Floats]) -> Floats:
        """(scalars, pitch): the effects of the factors that are not eliminated."""
        out = np.empty((self.part.pattern.scalars, effects[0].shape[2]))
        for g in self.part.rest:
            out[self._scalars(g)] = effects[g]
        return out

    def by_factor(self, blocks: Floats, scalars: Floats) -> Effects:
        """The other way round; blocks (blocks, q, pitch)."""
        n = len(self.factors)
        return [blocks if f == self.part.eliminated else scalars[self._scalars(f)] for f in range(n)]

    def subtract(self, from_: Sequence[Floats], v: Sequence[Floats]) -> Effects:
        """from_ - Z'WZ v."""
        part, e = self.part, self.part.eliminated
        v_e, v_scalars, out = np.ascontiguousarray(v[e]), self.at_scalars(v), self.at_scalars(from_)
        blocks = np.ascontiguousarray(from_[e] - product(self.own[e], v_e))
        schur.subtract_by_row(part.pattern.start, part.pattern.column, self.entries, v_scalars, blocks)
        schur.subtract_by_row(part.whole[0], part.whole[1], self.whole[:, None], v_scalars, out[:, None, :])
        schur.subtract_by_scalar(part.pattern, self.entries, v_e, out)
        return self.by_factor(blocks, out)

    def _scalars(self, g: int) -> NDArray[np.int64]:
        return self.part.base[g][:, None] + np.arange(self.factors[g].effects)


@dataclass(frozen=True, slots=True)
class Elimination:
    """pivots: all squares on the diagonal of L; C: rows of L^-1 Lambda'Z'W[X y]; U = K^-1 Lambda'Z'W[X y] and R =
    Z'W([X y] - Z Lambda U) per factor; own: per factor K^-1 (levels, q, q); pairs: {(f, g): K^-1 (cells, q_f, q_g)};
    solve: K^-1 times effects.
    """

    pivots: tuple[Floats, ...]
    C: tuple[Floats, ...]
    U: Effects
    R: Effects
    own: Effects
    pairs: dict[tuple[int, int], Floats]
    solve: Callable[[Effects], Effects]

    @property
    def failed(self) -> bool:
        """Whether rounding has made K not positive definite, or a number is not finite."""
        positive = all(bool(np.all(p > 0)) for p in self.pivots)
        numbers = (*self.pivots, *self.C, *self.U, *self.R, *self.own)
        return not positive or not all(bool(np.all(np.isfinite(x))) for x in numbers)


@dataclass(frozen=True, slots=True)
class _Begun:
    """K without its blocks.  L (blocks, q, q): their factors; pivots: the squares on its diagonal; of_cell: L at the
    cells of the eliminated factor and each other; C, G: L^-1 times right-hand sides, and times what meets scalars; K:
    where scalars meet; solved: what is left.
    """

    L: Floats
    pivots: Floats
    of_cell: dict[int, Floats]
    C: Floats
    G: Floats
    K: Floats
    solved: schur.Solved


def _begin(
    values: PartProducts, Lambda: Sequence[Floats], spaces: schur.Spaces, threads: Executor | None, workers: int
) -> _Begun:
    part, e, pattern = values.part, values.part.eliminated, values.part.pattern
    q = pattern.effects
    rhs = [product(transposed(block[None]), b) for block, b in zip(Lambda, values.rhs, strict=True)]
    L, pivots = cholesky(product(transposed(Lambda[e][None]), product(values.own[e], Lambda[e][None])) + np.eye(q))
    C = forward(L, rhs[e])
    G = np.empty_like(values.entries)
    of_cell = {g: L[pattern.block[part.entries[g][:, 0]]] for g in part.rest}
    for g in part.rest:
        P = product(transposed(Lambda[e][None]), product(values.of_pair(e, g), Lambda[g][None]))
        P = forward(of_cell[g], P)
        for b in range(P.shape[2]):
            G[part.entries[g][:, b]] = P[:, :, b]
    K = values.meeting(Lambda, 1.0)
    solved = schur.solve(pattern, G, K, C, values.at_scalars(rhs), spaces, threads, workers)
    return _Begun(L, pivots, of_cell, C, G, K, solved)


def _back(values: PartProducts, begun: _Begun, c: Floats, u: Floats) -> Floats:
    """Effects of the blocks, from those of the scalars."""
    left, pattern = c.copy(), values.part.pattern
    schur.subtract_by_row(pattern.start, pattern.column, begun.G, u, left)
    return backward(begun.L, left)


def solution(
    values: PartProducts,
    Lambda: Sequence[Floats],
    spaces: schur.Spaces,
    threads: Executor | None = None,
    workers: int = 1,
) -> Effects:
    """K^-1 Lambda'Z'W[X y] alone.  Lambda: per factor (q, q).  Threads change no bit."""
    begun = _begin(values, Lambda, spaces, threads, workers)
    assert begun.solved.u is not None
    return values.by_factor(_back(values, begun, begun.C, begun.solved.u), begun.solved.u)


def eliminate(
    values: PartProducts,
    Lambda: Sequence[Floats],
    spaces: schur.Spaces,
    threads: Executor | None = None,
    workers: int = 1,
    *,
    residuals: bool = True,
) -> Elimination:
    """Factors K and inverts it where Z'WZ is not zero.  Lambda: per factor (q, q).  Threads change no bit.

    residuals: whether R is wanted; else it is empty.
    """
    part, e, pattern = values.part, values.part.eliminated, values.part.pattern
    begun = _begin(values, Lambda, spaces, threads, workers)
    L, C, G, solved = begun.L, begun.C, begun.G, begun.solved
    assert solved.u is not None
    assert solved.H is not None
    assert solved.M is not None

    def solve(Y: Effects) -> Effects:
        c = forward(L, Y[e])
        y = values.at_scalars(Y)
        if part.dense:
            schur.subtract_by_scalar(pattern, G, c, y)
            u = schur.apply(pattern, y, spaces, threads, workers)
        else:
            again = schur.solve(pattern, G, begun.K, c, y, spaces, threads, workers).u
            assert again is not None
            u = again
        return values.by_factor(_back(values, begun, c, u), u)

    U = values.by_factor(_back(values, begun, C, solved.u), solved.u)
    R: Effects = []
    if residuals:
        R = values.subtract(values.rhs, [product(block[None], u) for block, u in zip(Lambda, U, strict=True)])
    own: Effects = [np.empty(0)] * len(values.factors)
    pairs = {}
    for g in part.rest:
        own[g] = solved.M[part.diagonal[g]]
        above = np.triu_indices(own[g].shape[1], 1)
        own[g][:, above[1], above[0]] = own[g][:, above[0], above[1]]
        inverse = -backward(begun.of_cell[g], transposed(solved.H[part.entries[g]]))  # (cells, q_e, q_g)
        pairs[min(e, g), max(e, g)] = inverse if e < g else transposed(inverse)
    pairs |= {pair: solved.M[at] for pair, at in part.others.items()}
    half = backward(L, np.eye(pattern.effects) + schur.products_by_block(pattern, solved.H, G))
    own[e] = backward(L, np.ascontiguousarray(transposed(half)))
    return Elimination((begun.pivots, solved.pivot), (C.reshape(-1, C.shape[2]), solved.y), U, R, own, pairs, solve)
