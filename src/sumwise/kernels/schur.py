"""Calls the kernels for crossed levels: elimination of the levels of one factor, and what the rest says.

What they compute, and in which order, stands in schur.hpp and dense_cholesky.hpp.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import library

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LANES = 8
SHARED = 256
"""A component of so many scalars is worth all threads at once; smaller ones are dealt out whole."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which blocks meet which scalars.

    effects: q of a block; component (components + 1,): first scalar of each; start (blocks + 1,): first entry of each
    block, entries stand by scalar; column, block (entries,): the scalar and the block of an entry; row_start
    (scalars + 1,), row_entry (entries,): the entries of each scalar, by block; other_start (scalars + 1,),
    other_column: where scalars meet scalars of the same component, upper triangle with the diagonal, by row and column.
    """

    effects: int
    component: Ints
    start: Ints
    column: Ints
    block: Ints
    row_start: Ints
    row_entry: Ints
    other_start: Ints
    other_column: Ints

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self.start) - 1

    @property
    def scalars(self) -> int:
        """Number of scalars."""
        return len(self.row_start) - 1


@dataclass(frozen=True, slots=True)
class Solved:
    """What is left of a system when the blocks are eliminated.

    pivot (scalars,): squares of the diagonal of U, where U'U = S; none is above zero that is not finite, none at or
    below zero but where S is not positive definite.   y (scalars, pitch): U^-T of the right-hand sides; u: S^-1 of
    them; H (entries, q): G S^-1 at the entries; M: S^-1 where scalars meet.   u, H and M None where no inverse was
    asked for.
    """

    pivot: Floats
    y: Floats
    u: Floats | None
    H: Floats | None
    M: Floats | None


class _SchurStruct(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("effects", "pitch", "inverse")),
        *((name, ctypes.c_void_p) for name in ("component", "start", "column", "block", "row_start", "row_entry")),
        *((name, ctypes.c_void_p) for name in ("other_start", "other_column", "G", "K", "c")),
        *((name, ctypes.c_void_p) for name in ("y", "pivot", "u", "H", "M")),
    )


class Spaces:
    """Memory for the components that threads share, one for each; kept between calls, since fresh memory costs as much
    as the arithmetic.  After a `solve` with the inverse it holds S^-1 of each.
    """

    def __init__(self) -> None:
        self._of: dict[int, int] = {}

    def __del__(self) -> None:
        for space in self._of.values():
            library.sw_workspace_free(space)
        self._of.clear()

    def of(self, component: int) -> int:
        """The workspace of a component.  Raises MemoryError."""
        if component not in self._of:
            space = library.sw_workspace_new()
            if not space:
                raise MemoryError("no memory for a workspace")
            self._of[component] = space
        return self._of[component]


def solve(
    pattern: Pattern,
    G: Floats,
    K: Floats,
    c: Floats,
    y: Floats,
    spaces: Spaces,
    threads: Executor | None = None,
    workers: int = 1,
    *,
    inverse: bool = True,
) -> Solved:
    """Eliminates the blocks and solves for the scalars.

    G (entries, q); K: values where scalars meet; c (blocks, q, pitch) and y (scalars, pitch): right-hand sides of
    blocks, by L^-1, and of scalars; pitch: a multiple of eight.   The number of threads changes no bit.   Raises
    MemoryError.
    """
    pitch = y.shape[1]
    G, K, c = (np.ascontiguousarray(a, dtype=np.float64) for a in (G, K, c))
    y, pivot = np.array(y, dtype=np.float64, order="C"), np.empty(pattern.scalars)
    u, H, M = (np.empty_like(a) for a in (y, G, K)) if inverse else (None, None, None)
    where = (pattern.component, pattern.start, pattern.column, pattern.block, pattern.row_start, pattern.row_entry)
    arrays = (*where, pattern.other_start, pattern.other_column, G, K, c, y, pivot, u, H, M)
    struct = _SchurStruct(pattern.effects, pitch, int(inverse), *map(_address, arrays))
    schur = ctypes.addressof(struct)
    sizes = np.diff(pattern.component)
    parallel = threads is not None and workers > 1
    each: Callable[..., Iterable[Any]] = map if threads is None or not parallel else threads.map
    shared = np.flatnonzero(sizes > SHARED)
    for k in shared.tolist():
        space = spaces.of(k)
        if library.sw_workspace_take(space, int(sizes[k]), pitch, int(inverse)):
            raise MemoryError(_no_room(int(sizes[k])))
        work = partial(library.sw_schur_work, schur, k)
        if any(list(each(work, [space] * (workers if parallel else 1)))):
            raise MemoryError(_no_room(int(sizes[k])))
        library.sw_schur_answer(schur, k, space)
    edges = [0, *(edge for k in shared.tolist() for edge in (k, k + 1)), len(sizes)]
    runs = [run for first, last in zip(edges[::2], edges[1::2], strict=True) for run in _runs(first, last, workers)]
    if any(list(each(lambda run: library.sw_components(schur, *run), runs))):
        raise MemoryError(_no_room(int(sizes.max())))
    return Solved(pivot, y, u, H, M)


def apply(pattern: Pattern, x: Floats, spaces: Spaces, threads: Executor | None = None, workers: int = 1) -> Floats:
    """S^-1 x, x (scalars, pitch), after a `solve` with the inverse in which all components were shared ones."""
    x, out = np.ascontiguousarray(x), np.empty_like(x)
    pitch, tasks, pieces = x.shape[1], [], 2 * workers
    for k, (first, last) in enumerate(pairwise(pattern.component.tolist())):
        at = 8 * first * pitch
        arrays = (spaces.of(k), last - first, x.ctypes.data + at, pitch)
        tasks += [(*arrays, piece, pieces, out.ctypes.data + at) for piece in range(pieces)]
    each: Callable[..., Iterable[Any]] = map if threads is None or workers == 1 else threads.map
    if any(list(each(lambda task: library.sw_apply_inverse(*task), tasks))):
        raise MemoryError("no memory for a row of tiles")
    return out


def _runs(first: int, last: int, workers: int) -> list[tuple[int, int]]:
    """Components first .. last - 1 in at most 4 * workers runs."""
    count = min(last - first, 4 * workers if last - first > 64 else 1)
    return list(pairwise(first + (last - first) * k // count for k in range(count + 1))) if count else []


def _no_room(scalars: int) -> str:
    gigabytes = 16 * scalars**2 / 1e9
    return (
        f"no memory for a dense system of {scalars} crossed effects ({gigabytes:.1f} GB): merge levels of the smaller "
        f"factors, leave out a term, or use a machine with more memory"
    )


def subtract_by_row(start: Ints, column: Ints, A: Floats, x: Floats, out: Floats) -> None:
    """out (rows, q, pitch) -= sum over the entries e of each row of A[e] (q,) times x[column[e]] (pitch,)."""
    library.sw_subtract_by_row(*map(_address, (start, column, A)), A.shape[1], *_spread(x, len(start) - 1, out))


def subtract_by_scalar(pattern: Pattern, A: Floats, x: Floats, out: Floats) -> None:
    """out (scalars, pitch) -= sum over the entries e of each scalar of A[e] (q,) times x[block[e]] (q, pitch)."""
    arrays = (pattern.row_start, pattern.row_entry, pattern.block, A)
    library.sw_subtract_by_scalar(*map(_address, arrays), A.shape[1], *_spread(x, pattern.scalars, out))


def _spread(x: Floats, rows: int, out: Floats) -> tuple[int | None, int, int, int | None]:
    return _address(x), out.shape[-1], rows, _address(out)


def products_by_block(pattern: Pattern, A: Floats, B: Floats) -> Floats:
    """(blocks, q, q): sum over the entries of each block of A[e] B[e]'."""
    q = pattern.effects
    out = np.empty((pattern.blocks, q, q))
    library.sw_products_by_block(*map(_address, (pattern.start, A, B)), q, pattern.blocks, _address(out))
    return out


def _address(array: NDArray[np.generic] | None) -> int | None:
    return None if array is None else array.ctypes.data
