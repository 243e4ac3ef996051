"""The Moore-Penrose inverse, projections, subspaces and rank of an array."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.arrays import checks
from sumwise.arrays.lstsq_text import dependences, told
from sumwise.arrays.words import counted
from sumwise.errors import DataError
from sumwise.maths import subspaces as maths
from sumwise.maths.columns import cross_products
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares

Floats = NDArray[np.float64]

SHOWN = 10_000
"""Numbers of a basis that is worked out to be printed."""


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
    table = _float64_table(A, "A")
    values = table.rounded()
    n, p = values.shape
    system = LeastSquares(Gram.of(list(values.T)), range(p), ())
    if system.rank == p:
        return maths.pinv(values)
    names = table.names if hasattr(A, "columns") else [f"column {c + 1}" for c in range(p)]
    how = "; ".join(told(name, combined) for name, combined in dependences(system.dependences[:3], names).items())
    raise DataError(
        f"A has shape {(n, p)} and rank {system.rank}. A left inverse needs {counted(p, 'independent column')}, but "
        f"{how}. Leave dependent columns out, or use pinv."
    )


def rank(A: Any) -> int:
    """The exact rank: columns that differ in one last bit are independent.  A: numbers of any kind, as in `lstsq`."""
    table = checks.matrix(A, "A")
    if all(len(column.parts) == 1 and not column.decimals for column in table.columns):
        return maths.rank(table.rounded())
    return LeastSquares(cross_products(table.columns), range(len(table.columns)), ()).rank


def projections(A: Any) -> Projections:
    """The orthogonal projections onto the columns, A A+, and onto the rows, A+ A, correctly rounded.

    Raises DataError where one of them does not fit into memory.
    """
    values = as_float64(A)
    checks.check_square(values.shape)
    return Projections(maths.column_projection(values), maths.row_projection(values), maths.rank(values))


def subspaces(A: Any) -> FundamentalSubspaces:
    """Orthonormal bases of the four fundamental subspaces, correctly rounded, each worked out when asked for."""
    return FundamentalSubspaces(maths.Subspaces(as_float64(A)))


def as_float64(A: Any, name: str = "A") -> Floats:
    """A checked matrix (n, p) of float64.  Raises DataError for whole numbers that no float64 holds."""
    return _float64_table(A, name).rounded()


def _float64_table(A: Any, name: str) -> checks.Table:
    table = checks.matrix(A, name, decimal=False)
    for at, column in enumerate(table.columns):
        if len(column.parts) > 1:
            raise DataError(f"{name}, column {at + 1}: numbers of more than 53 bits. Round them to float64 first.")
    return table


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

    found: the bases, each worked out when it is first asked for.  Raises DataError for a null space whose basis would
    take too long.
    """

    found: maths.Subspaces

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, p)"""
        return self.found.A.shape

    @property
    def rank(self) -> int:
        """r"""
        return self.found.rank

    @property
    def column_space(self) -> Floats:
        """(n, r): all A x"""
        return self.found.column_space

    @property
    def left_null_space(self) -> Floats:
        """(n, n - r): all y with A'y = 0, at right angles to the columns"""
        return self.found.left_null_space

    @property
    def row_space(self) -> Floats:
        """(p, r): all A'y"""
        return self.found.row_space

    @property
    def null_space(self) -> Floats:
        """(p, p - r): all x with A x = 0, at right angles to the rows"""
        return self.found.null_space

    def __str__(self) -> str:
        (n, p), r = self.shape, self.rank
        lines = [f"A is {n} x {p} of rank {r}"]
        for name, rows, dimension, what in (
            ("column_space", n, r, f"all A x, in R^{n}"),
            ("left_null_space", n, n - r, f"all y with A'y = 0, in R^{n}, at right angles to the columns"),
            ("row_space", p, r, f"all A'y, in R^{p}"),
            ("null_space", p, p - r, f"all x with A x = 0, in R^{p}, at right angles to the rows"),
        ):
            lines.append(f"{name}: dimension {dimension}, {what}")
            if dimension and (rows * dimension <= SHOWN or name in vars(self.found)):
                lines.append(_shown(getattr(self, name)))
            elif dimension:
                lines.append(f"  .{name} works it out")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def _shown(values: Floats) -> str:
    return np.array2string(values, precision=6, suppress_small=False, threshold=60, edgeitems=3, max_line_width=100)
