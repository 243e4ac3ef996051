"""The Moore-Penrose inverse, projections, subspaces and rank of an array."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.arrays import checks
from sumwise.arrays.lstsq_text import dependences, told
from sumwise.errors import DataError
from sumwise.maths import subspaces as maths
from sumwise.maths.columns import cross_products
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares

Floats = NDArray[np.float64]


def pinv(A: Any) -> Floats:
    """A+ (p, n), the Moore-Penrose inverse of A (n, p), any shape and rank, each entry correctly rounded.

    A: float64 numbers of any kind; texts and decimals count as the nearest float64.  Raises DataError where an entry
    lies beyond float64, and for what cannot be read (see `lstsq`).
    """
    return maths.pinv(as_float64(A))


def left_inverse(A: Any) -> Floats:
    """(A'A)^-1 A' (p, n) of A (n, p) with independent columns, correctly rounded.

    Raises DataError where columns depend on each other; it says how.
    """
    values = as_float64(A)
    n, p = values.shape
    system = LeastSquares(Gram.of(list(values.T)), range(p), ())
    if system.rank == p:
        return maths.pinv(values)
    names = [f"column {c + 1}" for c in range(p)]
    how = "; ".join(told(name, combined) for name, combined in dependences(system.dependences[:3], names).items())
    raise DataError(
        f"A has shape {(n, p)} and rank {system.rank}. A left inverse needs {p} independent columns, but {how}. "
        "Leave dependent columns out, or use pinv."
    )


def rank(A: Any) -> int:
    """The exact rank: columns that differ in one last bit are independent.  A: numbers of any kind, as in `lstsq`."""
    table = checks.matrix(A, "A")
    if all(len(column.parts) == 1 and not column.decimals for column in table.columns):
        return maths.rank(table.rounded())
    return LeastSquares(cross_products(table.columns), range(len(table.columns)), ()).rank


def projections(A: Any) -> Projections:
    """The orthogonal projections onto the columns, A A+, and onto the rows, A+ A, correctly rounded."""
    values = as_float64(A)
    return Projections(maths.column_projection(values), maths.row_projection(values), maths.rank(values))


def subspaces(A: Any) -> FundamentalSubspaces:
    """Orthonormal bases of the four fundamental subspaces, correctly rounded."""
    values = as_float64(A)
    found = maths.fundamental_subspaces(values)
    parts = found.rank, found.column_space, found.left_null_space, found.row_space, found.null_space
    return FundamentalSubspaces(values.shape, *parts)


def as_float64(A: Any, name: str = "A") -> Floats:
    """A checked matrix (n, p) of float64.  Raises DataError for whole numbers that no float64 holds."""
    table = checks.matrix(A, name, decimal=False)
    for at, column in enumerate(table.columns):
        if len(column.parts) > 1:
            raise DataError(f"{name}, column {at + 1}: numbers of more than 53 bits. Round them to float64 first.")
    return table.rounded()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Projections:
    """onto_columns (n, n) = A A+, onto_rows (p, p) = A+ A, rank: of both."""

    onto_columns: Floats
    onto_rows: Floats
    rank: int

    def __str__(self) -> str:
        n, p = len(self.onto_columns), len(self.onto_rows)
        unique = "the least-squares solution is unique" if self.rank == p else "least-squares solutions are not unique"
        always = "every right-hand side is met" if self.rank == n else "some right-hand sides are not met"
        lines = [
            f"Orthogonal projections of rank {self.rank}",
            f"onto_columns = A A+ ({n} x {n}): A A+ b is the point A x closest to b; {always}",
            _shown(self.onto_columns),
            f"onto_rows = A+ A ({p} x {p}): A+ A x is the part of x that A x tells of; {unique}",
            _shown(self.onto_rows),
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FundamentalSubspaces:
    """Orthonormal bases, in columns, of what a matrix A (n, p) of rank r reaches and misses.

    column_space (n, r): all A x.   left_null_space (n, n - r): all y with A'y = 0, at right angles to it.
    row_space (p, r): all A'y.   null_space (p, p - r): all x with A x = 0, at right angles to it.
    """

    shape: tuple[int, ...]
    rank: int
    column_space: Floats
    left_null_space: Floats
    row_space: Floats
    null_space: Floats

    def __str__(self) -> str:
        n, p = self.shape
        lines = [f"A is {n} x {p} of rank {self.rank}"]
        for name, what in (
            ("column_space", f"all A x, in R^{n}"),
            ("left_null_space", f"all y with A'y = 0, in R^{n}, at right angles to the columns"),
            ("row_space", f"all A'y, in R^{p}"),
            ("null_space", f"all x with A x = 0, in R^{p}, at right angles to the rows"),
        ):
            basis: Floats = getattr(self, name)
            lines.append(f"{name}: dimension {basis.shape[1]}, {what}")
            lines += [_shown(basis)] if basis.shape[1] else []
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def _shown(values: Floats) -> str:
    return np.array2string(values, precision=6, suppress_small=False, threshold=60, edgeitems=3, max_line_width=100)
