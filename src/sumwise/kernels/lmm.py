"""Calls the kernels of linear mixed models with one grouping factor (see lmm.hpp)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import DIGITS, library

LANES = 8

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def _struct(*fields: tuple[str, Any]) -> type[ctypes.Structure]:
    return type("_Struct", (ctypes.Structure,), {"_fields_": fields})


_INT, _POINTER = ctypes.c_int64, ctypes.c_void_p
_Squeeze = _struct(
    *((name, _INT) for name in ("q", "columns", "groups")),
    *((name, _POINTER) for name in ("G", "B", "centre")),
    ("intercept", _INT),
    ("L", _POINTER),
    ("c", _POINTER),
)
_Groups = _struct(("q", _INT), ("columns", _INT), ("bundles", _INT), ("L", _POINTER), ("c", _POINTER))
_Points = _struct(
    ("count", _INT), ("m", _INT), ("second", _INT), ("lambda", _POINTER), ("row", _POINTER), ("column", _POINTER)
)
_Sums = _struct(("digits", _POINTER), ("failed", _POINTER))


@dataclass(frozen=True, slots=True)
class Squeezed:
    """Groups as the kernel takes them, eight to a bundle.

    L (bundles, q (q + 1) / 2, 8): lower triangle of the factor of Z'WZ; c (bundles, q, p + 1, 8): L^-1 Z'W [X y].
    digits ((p + 1)(p + 2) / 2, 68): exact sums of c'c; failed: groups whose numbers are not finite.
    """

    L: Floats
    c: Floats
    groups: int
    digits: Ints
    failed: int

    @property
    def bundles(self) -> int:
        """Pieces that threads share out."""
        return len(self.L)


def squeeze(
    G: Floats,
    B: Floats,
    centre: Floats,
    intercept: int | None,
    each: Callable[..., Iterable[Any]] = map,
    pieces: int = 1,
) -> Squeezed:
    """From cross-products in twice the precision.

    G (q (q + 1) / 2, 2, groups): lower triangle of Z'WZ; B (q, p + 1, 2, groups): Z'W [X y]; centre (p + 1,) of the
    columns, with the column of ones at `intercept`, None where nothing is centred.
    each: the map to use over so many pieces of the groups, whose number changes no bit.
    Raises MemoryError, OverflowError.
    """
    (q, columns, _, groups), bundles = B.shape, -(-B.shape[-1] // LANES)
    L, c = _aligned((bundles, len(G), LANES)), _aligned((bundles, q, columns, LANES))
    data = _Squeeze(q, columns, groups, *_at(G, B, centre), -1 if intercept is None else intercept, *_at(L, c))

    def piece(bounds: tuple[int, int]) -> tuple[Ints, int]:
        first, last = bounds[0] * LANES, min(bounds[1] * LANES, groups)
        return _called(library.sw_lmm_squeeze, columns * (columns + 1) // 2, data, None, first, last)

    found = list(each(piece, _pieces(bundles, pieces)))
    digits, failed = _merged(found)
    return Squeezed(L, c, groups, digits, failed)


def shrink(
    data: Squeezed,
    factors: Sequence[Floats],
    entries: Sequence[tuple[int, int]],
    *,
    second: bool,
    each: Callable[..., Iterable[Any]] = map,
    pieces: int = 1,
) -> tuple[Ints, int]:
    """Exact sums (points, D, 1 + P, 68) as in Summand.values of models/lmm_messages.py, and groups left out of them.

    factors: Lambda (q, q) of each point; entries: (row, column) of each theta in it.
    Raises MemoryError, OverflowError.
    """
    q, columns = data.c.shape[1:3]
    row, column = (np.array([e[i] for e in entries], dtype=np.int64) for i in (0, 1))
    factor = np.ascontiguousarray(factors, dtype=np.float64)
    m, each_value = len(entries), 1 + columns * (columns + 1) // 2
    orders = 1 + m + (m * (m + 1) // 2 if second else 0)
    groups = _Groups(q, columns, data.bundles, *_at(data.L, data.c))
    points = _Points(len(factor), m, second, *_at(factor, row, column))

    def piece(bounds: tuple[int, int]) -> tuple[Ints, int]:
        return _called(library.sw_lmm_shrink, len(factor) * orders * each_value, groups, points, *bounds)

    digits, failed = _merged(list(each(piece, _pieces(data.bundles, pieces))))
    return digits.reshape(len(factor), orders, each_value, DIGITS), failed


def _called(function: Any, values: int, data: Any, points: Any, first: int, last: int) -> tuple[Ints, int]:
    digits, failed = np.zeros((values, DIGITS), dtype=np.int64), np.zeros(1, dtype=np.int64)
    sums = _Sums(*_at(digits, failed))
    where = [ctypes.addressof(s) for s in (data, points) if s is not None]
    code = function(*where, first, last, ctypes.addressof(sums))
    if code == 1:
        raise MemoryError(f"no memory for {values} sums over groups")
    if code:
        raise OverflowError("a sum over groups left the range of its digits")
    return digits, int(failed[0])


def _merged(found: list[tuple[Ints, int]]) -> tuple[Ints, int]:
    digits = found[0][0]
    for more, _ in found[1:]:
        if library.sw_sum_merge(digits.ctypes.data, more.ctypes.data, len(digits)):
            raise OverflowError("a sum over groups left the range of its digits")
    return digits, sum(failed for _, failed in found)


def _pieces(bundles: int, most: int) -> list[tuple[int, int]]:
    count = max(min(most, bundles // 64), 1)
    return list(pairwise(bundles * k // count for k in range(count + 1)))


def _aligned(shape: tuple[int, ...]) -> Floats:
    """Zeros on a 64-byte boundary, which the kernel's loads rely on."""
    size = int(np.prod(shape))
    buffer = np.zeros(size + LANES)
    start = -buffer.ctypes.data % 64 // 8
    return buffer[start : start + size].reshape(shape)


def _at(*arrays: NDArray[Any]) -> list[int]:
    return [array.ctypes.data for array in arrays]
