"""Calls the kernel that evaluates a generalized linear model; glm.hpp describes it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.families import NUMBER
from sumwise.kernels.library import DIGITS, library

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NONE, EXPECTED, OBSERVED = 0, 1, 2
"""Which information an evaluation adds up; without any there is no score either."""

ROW = ("mu", "slope", "deviance", "score", "weight", "observed", "c", "d1", "d2", "cross", "dw")
"""What `fitted_rows` gives; see Fitted and AuxTerms in glm_families.hpp."""


class _Columns(ctypes.Structure):
    _fields_ = (
        ("start", ctypes.c_void_p),
        ("stride", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("weight", ctypes.c_void_p),
        ("weight_stride", ctypes.c_int64),
        ("scale", ctypes.c_void_p),
    )


class _Data(ctypes.Structure):
    _fields_ = (("x", _Columns), *((name, ctypes.c_void_p) for name in ("centre", "y", "n", "offset")))


class _Query(ctypes.Structure):
    _fields_ = (
        ("family", ctypes.c_int64),
        ("beta", ctypes.c_void_p),
        ("aux", ctypes.c_double),
        ("information", ctypes.c_int64),
        ("size", ctypes.c_int64),
    )


@dataclass(frozen=True, slots=True)
class Data:
    """Rows of one site.

    x: p columns (n,) with any strides; the others contiguous: y (n,); n (n,), trials of a binomial row, weight of any
    other, None for ones, rows of zero are left out; offset (n,) or None.
    """

    x: Sequence[Floats]
    y: Floats
    n: Floats | None
    offset: Floats | None


@dataclass(frozen=True, slots=True)
class Query:
    """Where to evaluate, and what to add up.

    centre (p,): subtracted from the columns; beta (p,); aux: size of the negative binomial, else 1; information: NONE,
    EXPECTED or OBSERVED; size: whether derivatives in the logarithm of the size are wanted.
    """

    family: str
    link: str
    centre: Floats
    beta: Floats
    aux: float
    information: int
    size: bool


def value_count(p: int, information: int, size: bool) -> int:
    """Sums of an evaluation: deviance, Pearson's chi^2; with information the score (p) and the lower triangle; with
    size c, d1, d2 and, with information, cross (p).
    """
    more = p + p * (p + 1) // 2 if information else 0
    return 2 + more + ((3 + (p if information else 0)) if size else 0)


def evaluate(data: Data, query: Query, first: int, last: int) -> tuple[Ints, int]:
    """(digits (values, 68), failed): exact sums over rows first .. last - 1, and how many rows have no finite value.

    Raises MemoryError, and OverflowError if a sum leaves the range of its digits.
    """
    p = len(data.x)
    start = np.array([column.ctypes.data for column in data.x], dtype=np.int64)
    stride = np.array([column.strides[0] for column in data.x], dtype=np.int64)
    centre, beta = (np.ascontiguousarray(a, dtype=np.float64) for a in (query.centre, query.beta))
    y, n, offset = (None if a is None else a.ctypes.data for a in (data.y, data.n, data.offset))
    columns = _Columns(start.ctypes.data, stride.ctypes.data, p, None, 0, None)
    rows = _Data(columns, centre.ctypes.data, y, n, offset)
    number = NUMBER[query.family, query.link]
    asked = _Query(number, beta.ctypes.data, query.aux, query.information, int(query.size))
    digits = np.zeros((value_count(p, query.information, query.size), DIGITS), dtype=np.int64)
    failed = np.zeros(1, dtype=np.int64)
    where = digits.ctypes.data, failed.ctypes.data
    code = library.sw_glm(ctypes.byref(rows), ctypes.byref(asked), first, last, *where)
    if code == 1:
        raise MemoryError(f"no memory for an evaluation with {p} columns")
    if code == 2:
        raise OverflowError("an exact sum left the range of its digits")
    return digits, int(failed[0])


def fitted_rows(
    family: str, link: str, eta: Floats, y: Floats | float = 1.0, n: Floats | float = 1.0, aux: Floats | float = 1.0
) -> dict[str, Floats]:
    """ROW of each row: eta, y, n, aux (rows,) as `families.terms` takes them."""
    columns = [np.array(a, dtype=np.float64) for a in np.broadcast_arrays(eta, y, n, aux)]
    out = np.empty((len(ROW), columns[0].size))
    pointers = (column.ctypes.data for column in columns)
    library.sw_fitted(NUMBER[family, link], *pointers, columns[0].size, out.ctypes.data)
    return dict(zip(ROW, out, strict=True))
