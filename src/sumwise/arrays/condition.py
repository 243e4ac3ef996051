"""How sensitive a linear system or a least-squares problem is, in numbers and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.arrays import checks
from sumwise.arrays.matrices import as_float64
from sumwise.arrays.words import within
from sumwise.errors import DataError, UsageError
from sumwise.maths import conditioning as maths
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares
from sumwise.maths.perturbation import Perturbation, perturbation
from sumwise.printing import align

Floats = NDArray[np.float64]

UNITS = 100
"""Where scaling the columns lowers kappa by more than this factor, their units are said to be behind it."""


def condition(A: Any, b: Any = None, dA: Any = None, db: Any = None, *, relative: float | None = None) -> Conditioning:
    """Condition numbers of A (n, p), and with b (n,) of min |b - A x|; what a perturbation can do and what it did.

    dA (n, p), db (n,): a change of A and b.  Both problems are solved exactly, and the change of x stands beside its
    bound  |dx|/|x + dx| <= kappa (|dA|/|A| + |db|/(|A||x + dx|)), which for least squares has another term.
    relative: a relative size of unknown changes of A and b, for which the bound is worked out to first order.
    A: float64 numbers; texts and decimals count as the nearest float64.

    Raises DataError for what cannot be read, and where A's columns depend on each other while dA or db is given.
    """
    values = as_float64(A)
    if b is None:
        if dA is not None or db is not None:
            raise UsageError("A change does to the solution what b makes of it: pass b with dA or db.")
        number = maths.matrix_condition(values)
        return Conditioning(values.shape, number, _checked_size(relative), None, math.nan)
    right = _right_side(b, "b", values)
    system = LeastSquares(Gram.of([*values.T, right]), range(values.shape[1]), [values.shape[1]])
    number = maths.condition(system, 0)
    if dA is None and db is None:
        return Conditioning(values.shape, number, _checked_size(relative), None, math.nan)
    change = np.zeros_like(values) if dA is None else as_float64(dA, "dA")
    if change.shape != values.shape:
        raise DataError(f"A has shape {values.shape}, dA has shape {change.shape}. They must be equal.")
    shift = np.zeros(len(values)) if db is None else _right_side(db, "db", values)
    did = perturbation(values, right, change, shift)
    after = maths.matrix_condition(values + change).kappa
    return Conditioning(values.shape, number, _checked_size(relative), did, after)


def _right_side(b: Any, name: str, A: Floats) -> Floats:
    values = checks.vector(b, name, decimal=False).columns[0].rounded()
    checks.check_rows({"A": A.shape, name: values.shape})
    return values


def _checked_size(relative: float | None) -> float | None:
    if relative is not None and not 0 <= relative < 1:
        raise UsageError(f"relative={relative!r}: a relative size lies between 0 and 1, for instance 1e-6.")
    return relative


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Conditioning:
    """Condition numbers and, where asked for, perturbations.

    number: all of them, as plain values (`sumwise.maths.conditioning.Condition`).   relative: the stated size of
    unknown changes.   perturbation: bounds beside what the given change did, None where none was given.
    kappa_after: condition number of A + dA, nan likewise.
    """

    shape: tuple[int, ...]
    number: maths.Condition
    relative: float | None
    perturbation: Perturbation | None
    kappa_after: float

    @property
    def kappa(self) -> float:
        """|A| |A+|, largest over smallest singular value; inf where columns depend on each other."""
        return self.number.kappa

    @property
    def kappa_scaled(self) -> float:
        """kappa of A with its columns scaled to length 1: what collinearity leaves when units are gone."""
        return self.number.kappa_scaled

    @property
    def kappa_normal(self) -> float:
        """kappa of A'A, the square."""
        return self.number.kappa_normal

    @property
    def rank(self) -> int:
        """Exact rank of A."""
        return self.number.rank

    @property
    def digits_lost(self) -> float:
        """log10 kappa: digits of the inputs that the solution may not keep."""
        return math.log10(self.kappa) if self.kappa > 0 else math.nan

    @property
    def bound(self) -> float:
        """Most that x can change, relative to its size, for changes of A and b of size `relative`, to first order.

        With b the sum of the two least-squares condition numbers [Trefethen & Bau 1997, theorem 18.1] times the size,
        without b kappa times the size.  nan where no size was stated.
        """
        if self.relative is None:
            return math.nan
        known = not math.isnan(self.number.x_to_matrix)
        return self.relative * (self.number.x_to_matrix + self.number.x_to_rhs if known else self.kappa)

    def __str__(self) -> str:
        n, p = self.shape
        lines = [f"Condition of A, {n} x {p}, rank {self.rank}", "", *align(self._cells(), left=(0, 2), gap="  ")]
        return "\n".join(line.rstrip() for line in [*lines, *self._words()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def _cells(self) -> list[list[str]]:
        c = self.number
        rows = [
            ["kappa(A)", self._size(c.kappa), self._loss(c.kappa)],
            ["columns scaled to length 1", self._size(c.kappa_scaled), self._units()],
            ["kappa(A'A)", self._size(c.kappa_normal), "the square: what solving the normal equations in floats loses"],
            ["distance to rank deficiency", f"{c.distance:.6g}", f"{c.relative_distance:.3g} of |A|"],
        ]
        if not math.isnan(c.x_to_rhs):
            rows += [
                ["angle of b to the columns", f"{math.degrees(c.theta):.4g}", "degrees"],
                ["x against changes of b", f"{c.x_to_rhs:.6g}", "relative change of x over that of b"],
                ["x against changes of A", f"{c.x_to_matrix:.6g}", "at most, with the residual's part"],
            ]
        return rows

    @property
    def _dependent(self) -> bool:
        """A wide matrix on its own has the condition of its transpose; with b its columns depend on each other."""
        return self.rank < min(self.shape) or (self.rank < self.shape[1] and self.number.distance == 0)

    def _size(self, kappa: float) -> str:
        return f"{kappa:.6g}" if self._dependent else within(kappa)

    def _loss(self, kappa: float) -> str:
        if self._dependent:
            return "no digit is sure: the columns depend on each other"
        if math.isinf(kappa):
            return "the columns are independent, but kappa exceeds 1.8e308, the largest float64: no digit is sure"
        lost = math.log10(kappa) if kappa > 0 else 0.0
        left = max(maths.MOST_DIGITS - lost, 0)
        return f"up to {lost:.1f} digits of the inputs are lost; of float64 inputs {left:.1f} stay"

    def _units(self) -> str:
        if self._dependent:
            return "columns depend on each other whatever their units"
        if self.kappa > UNITS * self.kappa_scaled:
            return "most of kappa is the columns' units; what is left is collinearity"
        if self.kappa_scaled > UNITS:
            return "so it is collinearity, not the columns' units"
        return "harmless"

    def _words(self) -> list[str]:
        lines = []
        if self.relative is not None:
            of = "A and b" if not math.isnan(self.number.x_to_matrix) else "A"
            lines += [
                "",
                f"Changes of {of} by {self.relative:.3g} of their size can change x by {self.bound:.3g} of its.",
            ]
        did = self.perturbation
        if did is not None:
            lines += [
                "",
                f"The change: |dA|/|A| = {did.relative_matrix:.6g}, |db|/(|A||x + dx|) = {did.relative_rhs:.6g}, "
                f"kappa(A + dA) = {self.kappa_after:.6g}",
                f"  |dx|/|x + dx|  at most {did.bound:.6g}, was {did.actual:.6g}",
                f"  |dx|/|x|       {_at_most(did.bound_to_x)}, was {did.actual_to_x:.6g}",
            ]
        return lines


def _at_most(bound: float) -> str:
    return f"at most {bound:.6g}" if math.isfinite(bound) else "no bound (kappa |dA|/|A| is 1 or more, or A not square)"
