"""The usual solvers side by side with the exact answer."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.arrays import sums
from sumwise.arrays.lstsq import lstsq
from sumwise.arrays.sums import Rows
from sumwise.arrays.words import counted
from sumwise.errors import UsageError
from sumwise.maths.columns import times
from sumwise.maths.conditioning import MOST_DIGITS
from sumwise.printing import align, digits_text, table

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Solver:
    """A way to solve least squares.  recipe: as people write it.   solve: (X (n, p), y (n,)) -> (b (p,), remark)."""

    name: str
    recipe: str
    solve: Callable[[Floats, Floats], tuple[NDArray[Any], str]]


def _normal_equations(X: Floats, y: Floats) -> tuple[NDArray[Any], str]:
    return np.asarray(np.linalg.solve(X.T @ X, X.T @ y)), ""


def _qr(X: Floats, y: Floats) -> tuple[NDArray[Any], str]:
    Q, R = np.linalg.qr(X)
    return np.linalg.solve(R, Q.T @ y), ""


def _svd(X: Floats, y: Floats) -> tuple[NDArray[Any], str]:
    b, _, rank, _ = np.linalg.lstsq(X, y, rcond=None)
    return b, f"takes rank for {rank}"


def _pinv(X: Floats, y: Floats) -> tuple[NDArray[Any], str]:
    return np.linalg.pinv(X) @ y, f"takes rank for {_pinv_rank(X)}"


def _pinv_gram(X: Floats, y: Floats) -> tuple[NDArray[Any], str]:
    return np.linalg.pinv(X.T @ X) @ X.T @ y, f"takes rank for {_pinv_rank(X.T @ X)}"


def _pinv_rank(A: Floats) -> int:
    """Singular values that numpy's pinv keeps by default, those above 1e-15 of the largest."""
    s = np.linalg.svd(A, compute_uv=False)
    return int((s > 1e-15 * s.max()).sum())


SOLVERS = (
    Solver("normal equations", "solve(X.T @ X, X.T @ y)", _normal_equations),
    Solver("QR", "Q, R = qr(X); solve(R, Q.T @ y)", _qr),
    Solver("SVD", "lstsq(X, y)", _svd),
    Solver("pinv", "pinv(X) @ y", _pinv),
    Solver("pinv of X'X", "pinv(X.T @ X) @ X.T @ y", _pinv_gram),
)
"""numpy.linalg, as people write it."""


@dataclass(frozen=True, eq=False, repr=False)
class SolverComparison:
    """What each solver answers, and how much of it is right.

    coef, digits: frames, one row a solver and one column a coefficient; digits are those that agree with the exact
    answer: 15.95 where the coefficient is the float64 nearest to it, else 15.9 at most.
    summary: by solver, recipe, worst (digits of its worst coefficient), residual_norm (of y - X b, computed in about
    106 bits), remark (why it failed, or the rank it took X to have).   rank, unique: of the exact answer.
    """

    coef: pd.DataFrame
    digits: pd.DataFrame
    summary: pd.DataFrame
    rank: int
    unique: bool

    @property
    def frame(self) -> pd.DataFrame:
        """All of it: coefficients, digits of each (columns 'digits x1', ...), and the summary."""
        return pd.concat([self.coef, self.digits.add_prefix("digits "), self.summary], axis=1)

    def __str__(self) -> str:
        cells = self._cells()
        lines = [self._title(), "", *align(cells, left=(0, len(cells[0]) - 1), gap="  ")]
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self._cells()
        return f"<div><p><b>{escape(self._title())}</b></p>{table(head, body)}</div>"

    def _title(self) -> str:
        what = "" if self.unique else " (not unique: the one of least norm)"
        return f"{counted(self.coef.shape[1], 'coefficient')}, rank {self.rank}{what}: right digits of each solver"

    def _cells(self) -> list[list[str]]:
        shown = list(self.coef.columns[:4])
        more = [f"({self.coef.shape[1] - 4} more)"] if self.coef.shape[1] > 4 else []
        head = ["", *shown, *more, "worst digits", "residual norm", "remark"]
        rows = []
        pairs = zip(self.coef[shown].to_numpy(), self.digits[shown].to_numpy(), strict=True)
        for (name, line), (values, digits) in zip(self.summary.iterrows(), pairs, strict=True):
            coef = [_cell(v, d) for v, d in zip(values, digits, strict=True)]
            tail = [digits_text(line["worst"]), f"{line['residual_norm']:.3g}", str(line["remark"])]
            rows.append([str(name), *coef, *["" for _ in more], *tail])
        return [head, *rows]


def _cell(value: Any, digits: Any) -> str:
    return "failed" if np.isnan(value) else f"{value:.10g} ({digits_text(digits)})"


def compare_solvers(X: Any, y: Any, *, decimal: bool | None = None) -> SolverComparison:
    """Normal equations, QR, SVD, pinv(X) y and pinv(X'X) X'y, as people write them in numpy, beside the exact answer.

    X (n, p), y (n,), decimal: as in `lstsq`.  The solvers get the nearest float64 of each number; digits are counted
    against the exact answer for the numbers given.  A solver that fails gets a remark; none raises or warns.
    """
    rows = sums.checked(X, y, None, decimal)
    if len(rows.y.columns) > 1:
        raise UsageError(f"y has shape {rows.y.shape}. Compare solvers on one response at a time, shape (n,).")
    fit = lstsq(X, y, decimal=decimal)
    exact = [row[0] for row in fit.system.coef_exact()]
    table, response = rows.X.rounded(), rows.y.columns[0].rounded()
    answers = {solver.name: _run(solver, table, response, fit.rank) for solver in SOLVERS}
    answers["exact (Sumwise)"] = (fit.system.coef[:, 0], "correctly rounded")
    recipes = [*(solver.recipe for solver in SOLVERS), "sw.lstsq(X, y)"]
    names = list(fit.names)
    coef = pd.DataFrame([b for b, _ in answers.values()], index=list(answers), columns=names)
    digits = pd.DataFrame([right_digits(b, exact) for b, _ in answers.values()], index=list(answers), columns=names)
    summary = pd.DataFrame(
        {
            "recipe": recipes,
            "worst": digits.min(axis=1, skipna=False),
            "residual_norm": [_residual_norm(rows, b) for b, _ in answers.values()],
            "remark": [remark for _, remark in answers.values()],
        },
        index=list(answers),
    )
    return SolverComparison(coef, digits, summary, fit.rank, bool(fit.estimable.all()))


def _run(solver: Solver, X: Floats, y: Floats, rank: int) -> tuple[NDArray[Any], str]:
    """(b, remark), b of nan where the solver fails."""
    failed = np.full(X.shape[1], np.nan)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            b, remark = solver.solve(X, y)
        except (np.linalg.LinAlgError, ValueError) as error:
            return failed, f"fails: {error}"
    if not np.isfinite(b).all():
        return failed, "fails: the answer is not finite"
    wrong = remark and remark != f"takes rank for {rank}"
    return b, f"{remark}, it is {rank}" if wrong else ""


def right_digits(values: Floats, exact: list[Fraction]) -> Floats:
    """(p,) -log10 of the relative error, between 0 and 15.95, which the nearest float64 gets; nan for nan.

    Where the exact number is zero, the error counts relative to the largest.
    """
    largest = max(abs(e) for e in exact)
    return np.array([_right(v, e, abs(e) or largest) for v, e in zip(values.tolist(), exact, strict=True)])


def _right(value: float, exact: Fraction, size: Fraction) -> float:
    if math.isnan(value):
        return math.nan
    error = abs(Fraction(value) - exact)
    if error == 0 or value == float(exact):
        return MOST_DIGITS
    if error >= size:
        return 0.0
    ratio = error / size
    # logarithms of the integers: the ratio itself may underflow
    return min(max(math.log10(ratio.denominator) - math.log10(ratio.numerator), 0.0), MOST_DIGITS - 0.05)


def _residual_norm(rows: Rows, b: Floats) -> float:
    if np.isnan(b).any():
        return math.nan
    one = np.vstack([-b[:, None], [[1.0]]])
    return float(np.linalg.norm(times([*rows.X.columns, *rows.y.columns], one, 0 * one)))
