"""Crossed and nested grouping factors: which levels meet, which hang together, and which factor to eliminate.

Levels that no chain of rows joins belong to different components; a component's answers depend on its own rows alone,
so components are what may lie at different sites.  In each component the factor with the most effects is eliminated
first: its levels never meet each other, so that costs nothing, and what remains is the smallest dense system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sumwise.kernels.schur import SHARED, Pattern

Ints = NDArray[np.int64]

FEW = 512
"""Effects of a component up to which the traces of second derivatives are worked out exactly at every point."""

FEW_OF_FACTOR = 64
"""The same for the effects of one factor in a component."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A grouping factor.  name; code (n,): the level of each row; levels: how many; blocks: sizes of its independent
    terms, so that blocks=(2,) is (1 + x | g) and (1, 1) is (1 + x || g).
    """

    name: str
    code: Ints
    levels: int
    blocks: tuple[int, ...]

    @property
    def effects(self) -> int:
        """Effects of one level, q."""
        return sum(self.blocks)


@dataclass(frozen=True, slots=True)
class Cells:
    """Pairs of levels that meet, in order.  cell (n,): of each row; first, second (cells,): its two levels."""

    cell: Ints
    first: Ints
    second: Ints

    def __len__(self) -> int:
        return len(self.first)


def cells(a: Factor, b: Factor) -> Cells:
    """The pairs of levels of two factors that occur."""
    key = a.code * b.levels + b.code
    size = a.levels * b.levels
    if size <= max(64 * len(key), 1 << 16):  # a table of all pairs is quicker than sorting
        used = np.zeros(size, dtype=np.bool_)
        used[key] = True
        pairs = np.flatnonzero(used)
        place = np.empty(size, dtype=np.int32)
        place[pairs] = np.arange(len(pairs), dtype=np.int32)
        cell = place[key].astype(np.int64)
    else:
        pairs, cell = np.unique(key, return_inverse=True)
    first = pairs // b.levels
    return Cells(np.ascontiguousarray(cell, dtype=np.int64), first, pairs - first * b.levels)


@dataclass(frozen=True, slots=True)
class Part:
    """The components in which the same factor is eliminated.

    eliminated: its number; levels: per factor, the levels (sorted) that lie in these components; base: per factor, the
    block (of the eliminated one) or the first scalar of each of those levels.
    pairs: {(f, g): indices into the cells of factors f < g that lie here}.
    entries: {g: (cells, q_g)}: where in the pattern's entries the scalars of factor g stand, by the cells of the pair.
    diagonal: {g: (levels, q_g, q_g)}: where the numbers of one level stand among those at which scalars meet, upper
    triangle, lower entries 0; others: {(g, h): (cells, q_g, q_h)}, the same for two levels.
    whole: (start, column, at), rows of both triangles: at: index into the upper one.
    index: per factor, for the effects of the levels here, their place among those of their component, (levels, q);
    own_index: among those of their own factor.
    dense: every component leaves more than SHARED scalars, so that its inverse is kept; size, of_factor: effects of the
    largest component, and of the largest of each factor.
    """

    eliminated: int
    levels: tuple[Ints, ...]
    base: tuple[Ints, ...]
    pairs: dict[tuple[int, int], Ints]
    pattern: Pattern
    entries: dict[int, Ints]
    diagonal: dict[int, Ints]
    others: dict[tuple[int, int], Ints]
    whole: tuple[Ints, Ints, Ints]
    index: tuple[Ints, ...]
    own_index: tuple[Ints, ...]
    dense: bool
    size: int
    of_factor: tuple[int, ...]

    @property
    def rest(self) -> tuple[int, ...]:
        """The factors that are not eliminated."""
        return tuple(f for f in range(len(self.levels)) if f != self.eliminated)


@dataclass(frozen=True, slots=True)
class Crossing:
    """factors; pairs: {(f, g): cells} for f < g; parts; component: per factor, the component of each level."""

    factors: tuple[Factor, ...]
    pairs: dict[tuple[int, int], Cells]
    parts: tuple[Part, ...]
    component: tuple[Ints, ...]


def cross(factors: Sequence[Factor]) -> Crossing:
    """How the levels of one factor or more meet.  Levels without rows belong to no component (-1)."""
    factors = tuple(factors)
    pairs = {(f, g): cells(factors[f], factors[g]) for f, g in combinations(range(len(factors)), 2)}
    component = _components(factors, pairs)
    kind = _kinds(factors, component)
    parts = tuple(_part(int(k), factors, pairs, component, kind) for k in np.unique(kind))
    return Crossing(factors, pairs, parts, component)


def _components(factors: tuple[Factor, ...], pairs: dict[tuple[int, int], Cells]) -> tuple[Ints, ...]:
    used = [np.bincount(factor.code, minlength=factor.levels) > 0 for factor in factors]
    at = np.cumsum([0, *(factor.levels for factor in factors)])
    links = [(pair.first, at[g] + pair.second) for (f, g), pair in pairs.items() if f == 0]  # the others follow
    rows, columns = (np.concatenate([np.zeros(0, dtype=np.int64), *(link[i] for link in links)]) for i in (0, 1))
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(at[-1], at[-1]))
    found = np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
    in_use = np.concatenate(used)
    _, numbers = np.unique(np.where(in_use, found, -1), return_inverse=True)  # no gaps
    label = numbers.astype(np.int64) - (0 if in_use.all() else 1)
    return tuple(label[at[f] : at[f + 1]] for f in range(len(factors)))


def _kinds(factors: tuple[Factor, ...], component: tuple[Ints, ...]) -> Ints:
    """(components,): numbers that are alike where components are worked out in the same way.

    First comes the factor to eliminate: the one with the most effects, the first of them where several have as many;
    then whether the others leave a large dense system; where there are many effects, that, and which factors have few
    of them.
    """
    count = 1 + max(int(label.max()) for label in component)
    effects = np.array(
        [
            factor.effects * np.bincount(label[label >= 0], minlength=count)
            for factor, label in zip(factors, component, strict=True)
        ]
    )
    total, kind = effects.sum(axis=0), np.argmax(effects, axis=0)
    several = [total - effects.max(axis=0) > SHARED, total > FEW]
    several += [(total > FEW) & (of_factor <= FEW_OF_FACTOR) for of_factor in effects]
    for bit, flag in enumerate(several):
        kind = kind + len(factors) * 2**bit * flag
    return np.asarray(kind, dtype=np.int64)


def _part(
    kind: int,
    factors: tuple[Factor, ...],
    pairs: dict[tuple[int, int], Cells],
    component: tuple[Ints, ...],
    kinds: Ints,
) -> Part:
    e = kind % len(factors)
    here = [(label >= 0) & (kinds[label] == kind) for label in component]
    levels = tuple(np.flatnonzero(is_here) for is_here in here)
    rest = [f for f in range(len(factors)) if f != e]
    place, base, first = _scalars(factors, levels, component, rest)
    place[e] = np.empty(factors[e].levels, dtype=np.int64)
    place[e][levels[e]] = base[e] = np.arange(len(levels[e]))
    scalars = sum(factors[f].effects * len(levels[f]) for f in rest)
    inside = {(f, g): np.flatnonzero(here[f][pair.first]) for (f, g), pair in pairs.items()}

    blocks, columns, shapes = [], [], {}
    for g in rest:
        pair = pairs[min(e, g), max(e, g)]
        some = inside[min(e, g), max(e, g)]
        of_block, of_scalar = (pair.first, pair.second) if e < g else (pair.second, pair.first)
        q = factors[g].effects
        blocks.append(np.repeat(place[e][of_block[some]], q))
        columns.append((place[g][of_scalar[some]][:, None] + np.arange(q)).ravel())
        shapes[g] = (len(some), q)
    block, column, at = _sorted(blocks, columns)
    entries = dict(zip(shapes, (a.reshape(s) for a, s in zip(at, shapes.values(), strict=True)), strict=True))
    row_entry = np.argsort(column, kind="stable")

    rows, others, whichever = [], [], []
    for g in rest:
        a, b = np.triu_indices(factors[g].effects)
        rows.append((base[g][:, None] + a).ravel())
        others.append((base[g][:, None] + b).ravel())
        whichever.append((g, g))
    for g, h in ((g, h) for g, h in pairs if e not in (g, h)):
        pair, some = pairs[g, h], inside[g, h]
        a, b = (i.ravel() for i in np.indices((factors[g].effects, factors[h].effects)))
        rows.append((place[g][pair.first[some]][:, None] + a).ravel())
        others.append((place[h][pair.second[some]][:, None] + b).ravel())
        whichever.append((g, h))
    row, other, where = _sorted(rows, others)
    diagonal, crossed = {}, {}
    for (g, h), at_ in zip(whichever, where, strict=True):
        q, r = factors[g].effects, factors[h].effects
        if g == h:
            diagonal[g] = np.zeros((len(levels[g]), q, q), dtype=np.int64)
            a, b = np.triu_indices(q)
            diagonal[g][:, a, b] = at_.reshape(-1, len(a))
        else:
            crossed[g, h] = at_.reshape(-1, q, r)
    off = np.flatnonzero(row != other)
    both_rows, both_columns = np.concatenate([row, other[off]]), np.concatenate([other, row[off]])
    order = np.lexsort((both_columns, both_rows))
    whole = np.concatenate([np.arange(len(row)), off])[order]
    pattern = Pattern(
        factors[e].effects,
        first,
        _starts(block, len(levels[e])),
        column,
        block,
        _starts(column, scalars),
        row_entry,
        _starts(row, scalars),
        other,
    )
    return Part(
        e,
        levels,
        tuple(base[f] for f in range(len(factors))),
        inside,
        pattern,
        entries,
        diagonal,
        crossed,
        (_starts(both_rows, scalars), both_columns[order], whole),
        *_indices(e, factors, levels, component, [base[f] for f in range(len(factors))], first),
    )


def _indices(
    e: int,
    factors: tuple[Factor, ...],
    levels: tuple[Ints, ...],
    component: tuple[Ints, ...],
    base: list[Ints],
    first: Ints,
) -> tuple[tuple[Ints, ...], tuple[Ints, ...], bool, int, tuple[int, ...]]:
    """`index`, `own_index`, `dense`, `size` and `of_factor` of a part: blocks first, by level, then scalars."""
    names, of_block = np.unique(component[e][levels[e]], return_inverse=True)
    blocks = np.bincount(of_block)
    order = np.argsort(of_block, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(blocks) - blocks, blocks)
    index, own = [], []
    for f, factor in enumerate(factors):
        at = np.searchsorted(names, component[f][levels[f]])
        start = rank * factor.effects if f == e else blocks[at] * factors[e].effects + base[f] - first[at]
        begins = np.full(len(names), np.iinfo(np.int64).max)
        np.minimum.at(begins, at, start)
        index.append(start[:, None] + np.arange(factor.effects))
        own.append((start - begins[at])[:, None] + np.arange(factor.effects))
    scalars = np.diff(first) if len(first) > 1 else np.zeros(len(blocks), dtype=np.int64)
    size = int((blocks * factors[e].effects + scalars).max())
    of_factor = tuple(int(places.max()) + 1 for places in own)
    return tuple(index), tuple(own), bool((scalars > SHARED).all()), size, of_factor


def _scalars(
    factors: tuple[Factor, ...], levels: tuple[Ints, ...], component: tuple[Ints, ...], rest: list[int]
) -> tuple[dict[int, Ints], dict[int, Ints], Ints]:
    """Numbers the effects of the factors `rest` by component, factor and level.

    place: {f: (levels of f,)}: first scalar of a level, garbage for levels elsewhere; base: {f: (levels here,)}: the
    same; first (components + 1,): first scalar of each component.
    """
    if not rest:
        return {}, {}, np.zeros(1, dtype=np.int64)
    label = np.concatenate([component[f][levels[f]] for f in rest])
    factor = np.repeat(rest, [len(levels[f]) for f in rest])
    level = np.concatenate([levels[f] for f in rest])
    effects = np.repeat([factors[f].effects for f in rest], [len(levels[f]) for f in rest])
    order = np.lexsort((level, factor, label))
    ends = np.cumsum(effects[order])
    at = np.empty_like(ends)
    at[order] = ends - effects[order]
    place, base = {}, {}
    for f in rest:
        base[f] = at[factor == f]
        place[f] = np.zeros(factors[f].levels, dtype=np.int64)
        place[f][levels[f]] = base[f]
    new = np.flatnonzero(np.diff(label[order], prepend=-1))
    return place, base, np.append((ends - effects[order])[new], ends[-1]).astype(np.int64)


def _sorted(rows: Sequence[Ints], columns: Sequence[Ints]) -> tuple[Ints, Ints, list[Ints]]:
    """Pieces of (row, column) as one list sorted by row, then column; and where each piece went."""
    row, column = (np.concatenate([np.zeros(0, dtype=np.int64), *pieces]) for pieces in (rows, columns))
    order = np.lexsort((column, row))
    at = np.empty(len(order), dtype=np.int64)
    at[order] = np.arange(len(order))
    cuts = np.cumsum([len(piece) for piece in rows])[:-1]
    return row[order], column[order], np.split(at, cuts) if rows else []


def _starts(sorted_or_not: Ints, count: int) -> Ints:
    """(count + 1,): where each number's run begins once they are sorted."""
    return np.append(0, np.cumsum(np.bincount(sorted_or_not, minlength=count))).astype(np.int64)
