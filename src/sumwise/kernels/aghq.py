"""Packs the rows of one site for the quadrature kernel, and calls it.

Groups lie eight to a bundle, one to a lane, sorted by size so that little is padded; a group of more than
256 rows has a bundle of its own, with its rows eight to a vector.  The layout is described at `struct
Packed` in bundle.hpp.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import DIGITS, library

LANES = 8
LARGEST_NARROW_GROUP = 256

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class _PackedStruct(ctypes.Structure):
    _fields_ = (
        ("p", ctypes.c_int64),
        ("bundles", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("start", "members", "group", "X", "y", "n", "offset")),
        ("bernoulli", ctypes.c_int64),
    )


class _QueryStruct(ctypes.Structure):
    _fields_ = (
        ("beta", ctypes.c_void_p),
        ("theta", ctypes.c_double),
        ("rules", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("order", "z", "w")),
        ("tolerance", ctypes.c_double),
    )


class _AnswerStruct(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("sums", "used", "failed", "mode", "scale"))


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows of one site in the kernel's layout (see bundle.hpp).  start (bundles+1,), members (bundles,), group
    (bundles, 8); X (vectors, p, 8), y, n and offset (vectors, 8); bernoulli: every trial count is 1.
    """

    start: Ints
    members: Ints
    group: Ints
    X: Floats
    y: Floats
    n: Floats
    offset: Floats | None
    bernoulli: bool

    @property
    def bundles(self) -> int:
        """Number of bundles: the pieces that threads share out."""
        return len(self.members)


def value_count(p: int) -> int:
    """Sums per evaluation: log-likelihood, gradient (p+1), lower triangle of the Hessian, measured
    quadrature error.
    """
    return 2 + (p + 1) + (p + 1) * (p + 2) // 2


def _bundles(sizes: Ints) -> tuple[Ints, Ints, Ints]:
    """Deals groups to bundles.  sizes (groups,) rows of each -> start (bundles+1,), members (bundles,),
    group (bundles, 8).
    """
    by_size = np.argsort(sizes, kind="stable")
    narrow = by_size[sizes[by_size] <= LARGEST_NARROW_GROUP]
    wide = by_size[len(narrow) :]
    shared = -(-len(narrow) // LANES)
    group = np.zeros((shared + len(wide), LANES), dtype=np.int64)
    group[:shared].reshape(-1)[: len(narrow)] = narrow
    group[shared:, 0] = wide
    members = np.zeros(len(group), dtype=np.int64)
    members[:shared] = LANES
    if shared:
        members[shared - 1] = len(narrow) - LANES * (shared - 1)
    last_member = group[np.arange(shared), members[:shared] - 1]
    vectors = np.concatenate([sizes[last_member], -(-sizes[wide] // LANES)])
    return np.concatenate([[0], np.cumsum(vectors)]), members, group


def _aligned_zeros(vectors: int, columns: int) -> Floats:
    """Zeros (vectors, columns, 8) on a 64-byte boundary, which the kernel's loads rely on."""
    size = vectors * columns * LANES
    buffer = np.zeros(size + LANES)
    start = -buffer.ctypes.data % 64 // 8
    return buffer[start : start + size].reshape(vectors, columns, LANES)


def _slots(columns: Sequence[Floats], code: Ints, sizes: Ints, start: Ints, members: Ints, group: Ints) -> Ints:
    """Where each row goes: index into the (vectors, 8) arrays, flattened.

    columns: contiguous (rows,) each.  Rows of a group stand in an order that depends on their numbers alone, so that
    neither a table nor a database that gives them in another order changes a bit.   Raises MemoryError.
    """
    width = np.where(members > 0, members, 1)  # groups in each bundle
    bundle = np.repeat(np.arange(len(members)), width)
    lane = np.arange(len(bundle)) - np.repeat(np.cumsum(width) - width, width)
    at = group[bundle, lane]
    place, step = np.empty_like(sizes), np.empty_like(sizes)
    place[at] = start[bundle] * LANES + lane
    step[at] = np.where(members[bundle] > 0, LANES, 1)
    slot, key = np.empty_like(code), np.zeros(len(code), dtype=np.uint64)
    for column in columns:
        library.sw_keys(column.ctypes.data, len(code), key.ctypes.data)
    pointers = (ctypes.c_void_p * len(columns))(*(column.ctypes.data for column in columns))
    where = (place.ctypes.data, step.ctypes.data, key.ctypes.data, ctypes.addressof(pointers), len(columns))
    if library.sw_slots(code.ctypes.data, len(code), len(sizes), *where, slot.ctypes.data):
        raise MemoryError(f"no memory to put {len(code)} rows in order")
    return slot


def pack(
    x: Sequence[Floats],
    y: Floats,
    n: Floats,
    offset: Floats | None,
    code: Ints,
    groups: int,
    centre: Floats,
    each: Callable[..., Iterable[object]] = map,
) -> Packed:
    """Rows in the kernel's layout.

    x: the p columns (rows,) of X; y, n (rows,); offset (rows,) or None; code (rows,) in 0..groups-1; centre (p,):
    subtracted from the columns; each: the map that runs over columns, that of a thread pool for instance.
    Every group has at least one row.
    """
    code = np.ascontiguousarray(code, dtype=np.int64)
    sizes = np.bincount(code, minlength=groups).astype(np.int64)
    start, members, group = _bundles(sizes)
    x = [np.ascontiguousarray(column, dtype=np.float64) for column in x]
    y, n = np.ascontiguousarray(y, dtype=np.float64), np.ascontiguousarray(n, dtype=np.float64)
    others = [y, n] if offset is None else [y, n, np.ascontiguousarray(offset, dtype=np.float64)]
    slot = _slots([*others, *x], code, sizes, start, members, group)

    def spread(columns: Sequence[Floats], centres: Floats) -> Floats:
        out = _aligned_zeros(int(start[-1]), len(columns))

        def put(c: int) -> None:
            v = columns[c]
            library.sw_spread(v.ctypes.data, len(v), slot.ctypes.data, centres[c], out.ctypes.data, c, len(columns))

        list(each(put, range(len(columns))))
        return out

    zero = np.zeros(1)
    return Packed(
        start,
        members,
        group,
        spread(x, centre),
        spread([y], zero)[:, 0],
        spread([n], zero)[:, 0],
        None if offset is None else spread(others[2:], zero)[:, 0],
        bernoulli=bool(np.all(n == 1)),
    )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one evaluation adds up to.

    digits (values, 68): exact sums, see `value_count`; used (rules,): groups that took each rule; failed: groups whose
    value or derivatives were not finite, which the sums leave out.
    """

    digits: Ints
    used: Ints
    failed: int


def evaluate(
    data: Packed,
    beta: Floats,
    theta: float,
    rules: tuple[tuple[Floats, Floats], ...],
    tolerance: float,
    first: int,
    last: int,
    modes: tuple[Floats, Floats] | None = None,
) -> Evaluation:
    """Bundles first..last of one site at (beta (p,), theta).  rules: (nodes, scaled weights) to try in
    turn; a group takes the first whose measured error is at most `tolerance`.  modes: arrays (groups,) that
    receive mode and scale.

    Raises MemoryError, and OverflowError if a sum leaves the range of its digits.
    """
    order = np.array([len(z) for z, _ in rules], dtype=np.int64)
    z, w = (np.concatenate([rule[i] for rule in rules]) for i in (0, 1))
    beta = np.ascontiguousarray(beta, dtype=np.float64)
    digits = np.zeros((value_count(len(beta)), DIGITS), dtype=np.int64)
    used, failed = np.zeros(len(rules), dtype=np.int64), np.zeros(1, dtype=np.int64)
    mode, scale = modes or (None, None)
    data_struct = _PackedStruct(
        len(beta),
        data.bundles,
        *map(_address, (data.start, data.members, data.group, data.X, data.y, data.n, data.offset)),
        data.bernoulli,
    )
    query = _QueryStruct(_address(beta), theta, len(rules), *map(_address, (order, z, w)), tolerance)
    answer = _AnswerStruct(*map(_address, (digits, used, failed, mode, scale)))
    code = library.sw_aghq(
        ctypes.addressof(data_struct), ctypes.addressof(query), first, last, ctypes.addressof(answer)
    )
    if code == 1:
        raise MemoryError(
            f"no memory for the scratch space of one group ({int(np.diff(data.start).max()) * LANES} rows)"
        )
    if code:
        raise OverflowError("a sum over groups left the range of its digits")
    return Evaluation(digits, used, int(failed[0]))


def _address(array: NDArray[np.generic] | None) -> int | None:
    return None if array is None else array.ctypes.data
