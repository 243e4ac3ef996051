"""Calls the quadrature kernel for vectors of random effects.

Rows lie as the kernel for random intercepts has them (`aghq.Packed`); the columns of Z follow those of X.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.aghq import LANES, Packed
from sumwise.kernels.families import NUMBER
from sumwise.kernels.library import DIGITS, library

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_EFFECTS = 3
"""Effects per group that the kernel takes; the same constant stands in effects.hpp."""

FAMILIES = (
    ("binomial", "logit"),
    ("binomial", "probit"),
    ("binomial", "cloglog"),
    ("poisson", "log"),
    ("negbinomial", "log"),
    ("gamma", "log"),
)
"""Families and links that are log-concave, with the numbers of the kernels (families.py)."""

WITH_AUX = ("negbinomial", "gamma")
"""Families with a parameter of their own: the size of the negative binomial, the shape of the gamma."""


class _DataStruct(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("p", "q", "bundles")),
        *((name, ctypes.c_void_p) for name in ("start", "members", "group", "C", "y", "n", "offset")),
        ("family", ctypes.c_int64),
    )


class _QueryStruct(ctypes.Structure):
    _fields_ = (
        ("beta", ctypes.c_void_p),
        ("lambda", ctypes.c_void_p),
        ("m", ctypes.c_int64),
        ("row", ctypes.c_void_p),
        ("column", ctypes.c_void_p),
        ("aux", ctypes.c_double),
        ("rules", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("count", "z", "w")),
        ("tolerance", ctypes.c_double),
        ("information", ctypes.c_int64),
        ("own_count", ctypes.c_int64),
        ("own_z", ctypes.c_void_p),
        ("own_w", ctypes.c_void_p),
    )


class _AnswerStruct(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("sums", "used", "failed", "mode", "covariance"))


@dataclass(frozen=True, slots=True)
class Nodes:
    """A rule for N(0, I).  z (K, q) nodes; w (K,) weights times exp(|z|^2 / 2)."""

    z: Floats
    w: Floats


@dataclass(frozen=True, slots=True)
class Query:
    """Evaluate here.

    beta (p,); Lambda (q, q) lower triangular; entries (m, 2): row and column in Lambda of each element of theta; aux:
    size or shape, 1 where the family has none; rules: to try in turn, a group takes the first that differs from the
    one before by at most `tolerance`, but the very first where the tolerance is infinite; information: whether Louis'
    information is wanted, and at which nodes: None for no, (), for those of the value, or a rule of its own.
    """

    beta: Floats
    Lambda: Floats
    entries: Ints
    aux: float
    rules: tuple[Nodes, ...]
    tolerance: float
    information: Nodes | tuple[()] | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one evaluation adds up to.

    digits (values, 68): exact sums of L, gradient (P,) in (beta, theta, log aux), lower triangle of the information
    where it was wanted, measured error; used (rules,): groups that took each rule; failed: groups whose value or
    derivatives were not finite, which the sums leave out.
    """

    digits: Ints
    used: Ints
    failed: int


def value_count(parameters: int, *, information: bool) -> int:
    """Sums per evaluation."""
    return 2 + parameters + (parameters * (parameters + 1) // 2 if information else 0)


def evaluate(data: Packed, q: int, family: tuple[str, str], query: Query, first: int, last: int) -> Evaluation:
    """Bundles first..last of one site.  data.X holds the columns of X, then the q of Z.

    Raises MemoryError, and OverflowError if a sum leaves the range of its digits.
    """
    parameters = len(query.beta) + len(query.entries) + (family[0] in WITH_AUX)
    digits = np.zeros((value_count(parameters, information=query.information is not None), DIGITS), dtype=np.int64)
    used, failed = np.zeros(len(query.rules), dtype=np.int64), np.zeros(1, dtype=np.int64)
    _call(data, q, family, query, first, last, (digits, used, failed, None, None))
    return Evaluation(digits, used, int(failed[0]))


def modes(
    data: Packed, q: int, family: tuple[str, str], query: Query, first: int, last: int, mode: Floats, covariance: Floats
) -> None:
    """Conditional modes of u into mode (groups, q), inverse curvatures there into covariance (groups, q, q)."""
    _call(data, q, family, query, first, last, (None, None, None, mode, covariance))


def _call(
    data: Packed,
    q: int,
    family: tuple[str, str],
    query: Query,
    first: int,
    last: int,
    answer: tuple[NDArray[np.generic] | None, ...],
) -> None:
    count = np.array([len(rule.w) for rule in query.rules], dtype=np.int64)
    z = np.ascontiguousarray(np.concatenate([rule.z for rule in query.rules]), dtype=np.float64)
    w = np.concatenate([rule.w for rule in query.rules])
    beta, Lambda = (np.ascontiguousarray(v, dtype=np.float64) for v in (query.beta, query.Lambda))
    row, column = (np.ascontiguousarray(v, dtype=np.int64) for v in query.entries.T)
    own = query.information if isinstance(query.information, Nodes) else None
    own_z = None if own is None else np.ascontiguousarray(own.z, dtype=np.float64)
    data_struct = _DataStruct(
        len(beta),
        q,
        data.bundles,
        *map(_address, (data.start, data.members, data.group, data.X, data.y, data.n, data.offset)),
        NUMBER[family],
    )
    query_struct = _QueryStruct(
        _address(beta),
        _address(Lambda),
        len(query.entries),
        _address(row),
        _address(column),
        query.aux,
        len(query.rules),
        *map(_address, (count, z, w)),
        query.tolerance,
        0 if query.information is None else 1 if own is None else 2,
        0 if own is None else len(own.w),
        _address(own_z),
        _address(None if own is None else own.w),
    )
    answer_struct = _AnswerStruct(*map(_address, answer))
    code = library.sw_vectors(
        ctypes.addressof(data_struct), ctypes.addressof(query_struct), first, last, ctypes.addressof(answer_struct)
    )
    if code == 1:
        rows = int(np.diff(data.start).max()) * LANES
        raise MemoryError(f"no memory for the scratch space of one group ({rows} rows, {count.max()} nodes)")
    if code == 2:
        raise OverflowError("a sum over groups left the range of its digits")
    if code:
        raise ValueError(f"{q} effects per group: the kernel takes 1 to {MOST_EFFECTS}")


def _address(array: NDArray[np.generic] | None) -> int | None:
    return None if array is None else array.ctypes.data
