"""Least squares from an exact Gram: every result is the exact one, rounded once to the nearest float64.

Each quantity is one formula, evaluated in balls of rising precision until its rounding is certain.  Exact zeros and
ties, which no ball can settle, are evaluated by the same formula in rationals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
from flint import fmpq
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.maths.exact_matrices import half_exponent
from sumwise.maths.gram import Gram
from sumwise.maths.normal_equations import NormalEquations
from sumwise.maths.refinement import Refinement
from sumwise.maths.rounding import (
    fits,
    fraction,
    nearest,
    nearest_in,
    nearest_root,
    nearest_root_in,
    pair,
    pair_in,
    precision,
    rational,
)
from sumwise.maths.settling import ENOUGH, Ladder, Place, decide
from sumwise.maths.solutions import Balls, Rationals

Floats = NDArray[np.float64]
Formula = Callable[[Any, Place], Any]
"""A number from a solution (Balls or Rationals) and a place, in the solution's own numbers."""

MANY = 40
"""Columns from which the coefficients alone are found much faster than with the inverse."""

ENOUGH_FOR_PAIRS = 128
"""The same for numbers wanted to 106 bits."""


@dataclass(frozen=True, slots=True)
class Dependence:
    """Column `column` is exactly the sum of coefficients[i] times independent column i.  Positions are 0..p-1."""

    column: int
    coefficients: dict[int, Fraction]


class LeastSquares:
    """min_b sum_r w_r (y_r - x_r b)^2 for p columns and k responses at places of a Gram.

    constant: place of a column of ones, or None.  Where rank < p, the solution is the one of least norm.  Results are
    lazy; a result beyond the largest float64 raises DataError when it is asked for (refuses).
    """

    def __init__(
        self, gram: Gram, columns: Sequence[int], responses: Sequence[int], constant: int | None = None
    ) -> None:
        self.responses = tuple(responses)
        self.constant = constant
        self.equations = NormalEquations(gram, columns)
        self.rationals = Rationals(self.equations, self.responses)
        self.p, self.k, self.rows = self.equations.p, len(self.responses), gram.rows
        self.rank = self.equations.rank
        self.df = self.rows - self.rank
        self.independent = self.equations.independent
        self.ladder = Ladder(lambda bits: Balls(self.equations, self.responses, bits))
        self.refuses = True

    def lenient(self) -> LeastSquares:
        """The same, with infinite numbers in place of those beyond the largest float64: for the eye."""
        other = copy(self)
        other.refuses = False
        return other

    @cached_property
    def dependences(self) -> tuple[Dependence, ...]:
        """One for each dependent column."""
        e = self.equations
        if e.full:
            return ()
        columns = e.combination.transpose().tolist() if e.rank else [[] for _ in e.dependent]
        return tuple(
            Dependence(d, {i: fraction(a) for i, a in zip(e.independent, column, strict=True) if a})
            for d, column in zip(e.dependent, columns, strict=True)
        )

    @cached_property
    def estimable(self) -> NDArray[np.bool_]:
        """(p,): is the coefficient the same in every least-squares solution?"""
        return np.array([True] * self.p if self.equations.full else self.equations.estimable, dtype=bool)

    @cached_property
    def coef(self) -> Floats:
        """(p, k)"""
        known = self._refined() if self.equations.full and self.p >= MANY else {}
        left = [at for at in np.ndindex(self.p, self.k) if at not in known]
        out = self._table("the coefficient of column {0}, response {1},", lambda s, at: s.coef(*at), left)
        for at, value in known.items():
            out[at] = value
        return out

    def _refined(self) -> dict[Place, float]:
        """Coefficients that can be settled without the inverse, which would take most of the time."""
        e = self.equations
        found: dict[Place, float] = {}
        refinement = Refinement(e.kept)
        for k, y in enumerate(self.responses):
            balls = refinement.solve([e.gram.entry(c, y) for c in e.columns]) or ()
            for j, (middle, radius, exponent) in enumerate(balls):
                unit = rational(Fraction(2) ** exponent * e.gram.unit(y)) / e.unit[j]
                low, high = (fmpq(middle + side) * unit for side in (-radius, radius))
                if low * high > 0 and fits(low) and fits(high) and nearest(low) == nearest(high):
                    found[j, k] = nearest(low)
        return found

    def coef_exact(self) -> list[list[Fraction]]:
        """(p, k), rationals"""
        return [[fraction(self.rationals.coef(j, k)) for k in range(self.k)] for j in range(self.p)]

    @cached_property
    def coef_pair(self) -> tuple[Floats, Floats]:
        """(hi, lo), each (p, k): hi is coef, hi + lo is good to 106 bits."""
        places = list(np.ndindex(self.p, self.k))
        found = self._decide(
            "the coefficient of column {0}, response {1},",
            lambda s, at: s.coef(*at),
            places,
            pair_in,
            pair,
            enough=ENOUGH_FOR_PAIRS,
        )
        both = np.array([found[at] for at in places]).reshape(self.p, self.k, 2)
        return both[..., 0], both[..., 1]

    @cached_property
    def rss(self) -> Floats:
        """(k,): residual sum of squares"""
        return self._row("the residual sum of squares of response {0}", lambda s, at: s.rss(*at))

    @cached_property
    def sigma(self) -> Floats:
        """(k,): residual standard deviation sqrt(rss / df), nan if df = 0"""
        if not self.df:
            return np.full(self.k, np.nan)
        return self._row(
            "the residual standard deviation of response {0}", lambda s, at: s.rss(*at) / self.df, root=True
        )

    @cached_property
    def centred(self) -> bool:
        """Is `constant` a combination of the columns?  Then tss is about the mean, else about zero."""
        return self.constant is not None and self.equations.explains(self.constant)

    @cached_property
    def _tss(self) -> list[fmpq]:
        e, one = self.equations, self.constant
        total = [e.square(y) for y in self.responses]
        if one is None or not self.centred or not e.square(one):
            return total
        mean_square = [_product(e, one, y) ** 2 / e.square(one) for y in self.responses]
        return [t - m for t, m in zip(total, mean_square, strict=True)]

    @cached_property
    def tss(self) -> Floats:
        """(k,): total sum of squares"""
        out = []
        for k, total in enumerate(self._tss):
            try:
                out.append(nearest(total))
            except OverflowError:
                _refuse("the total sum of squares of response {0}", (k,))
        return np.array(out, dtype=np.float64)

    @cached_property
    def residual_share(self) -> Floats:
        """(k,): rss / y'Wy = sin(theta)^2 for the angle theta between y and the span of the columns; nan for y = 0"""
        return self._row("", lambda s, at: s.rss(*at) / self._square(*at), self._not_zero)

    @cached_property
    def fitted_share(self) -> Floats:
        """(k,): 1 - residual_share, cos(theta)^2"""
        return self._row("", lambda s, at: 1 - s.rss(*at) / self._square(*at), self._not_zero)

    def _square(self, k: int) -> fmpq:
        return self.equations.square(self.responses[k])

    @property
    def _not_zero(self) -> list[int]:
        return [k for k in range(self.k) if self._square(k)]

    @cached_property
    def r2(self) -> Floats:
        """(k,): 1 - rss / tss, nan if tss = 0"""
        return self._row("the R2 of response {0}", lambda s, at: 1 - s.rss(*at) / self._tss[at[0]], self._varies)

    @cached_property
    def adjusted_r2(self) -> Floats:
        """(k,): 1 - (rss / df) / (tss / (rows - 1)); rows instead of rows - 1 where tss is about zero; nan if df = 0"""
        ratio = Fraction(self.rows - self.centred, self.df) if self.df else Fraction(0)
        share = fmpq(ratio.numerator, ratio.denominator)
        keep = self._varies if self.df else []
        return self._row(
            "the adjusted R2 of response {0}", lambda s, at: 1 - s.rss(*at) * share / self._tss[at[0]], keep
        )

    @cached_property
    def fstat(self) -> Floats:
        """(k,): F statistic of all coefficients but the constant's; inf for an exact fit, nan if df = 0"""
        out = np.full(self.k, np.nan)
        effects = self.rank - self.centred
        if not self.df or not effects:
            return out
        exact = {k for k in range(self.k) if self.fits_exactly(k)}
        out[[k for k in exact if self._tss[k]]] = np.inf
        left = [k for k in range(self.k) if k not in exact]
        share = fmpq(self.df, effects)

        def ratio(s: Any, at: Place) -> Any:
            return (self._tss[at[0]] - s.rss(*at)) * share / s.rss(*at)

        return np.where(
            np.isin(np.arange(self.k), left), self._row("the F statistic of response {0}", ratio, left), out
        )

    @cached_property
    def se(self) -> Floats:
        """(p, k): standard errors, nan where not estimable or df = 0"""
        return self._table("the standard error of column {0}, response {1},", self._variance, self._tested, root=True)

    @cached_property
    def t(self) -> Floats:
        """(p, k): coef / se; where se = 0, inf with the coefficient's sign, or nan for a coefficient of 0"""
        exact = [k for k in range(self.k) if self.df and self.fits_exactly(k)]

        def square(s: Any, at: Place) -> Any:
            b = s.coef(*at)
            return b if b == 0 else b * abs(b) / self._variance(s, at)

        places = [at for at in self._tested if at[1] not in exact]
        out = self._table("the t statistic of column {0}, response {1},", square, places, root=True)
        for j, k in self._tested:
            if k in exact and (size := self._sign(j, k)):
                out[j, k] = size * np.inf
        return out

    @cached_property
    def inverse(self) -> Floats:
        """(p, p): (X'WX)^-1, Moore-Penrose where rank < p"""
        return self._symmetric("entry ({0}, {1}) of the inverse of X'WX", lambda s, at: s.inverse(*at))

    @cached_property
    def scaled_inverse(self) -> tuple[Floats, NDArray[np.int64]]:
        """(M, e): (X'WX)^-1_ij = M_ij 2^(e_i + e_j), M (p, p) its diagonal about 1 (or 0), e (p,): never too large."""
        exponent = [self._half_exponent(j) for j in range(self.p)]
        unit = [fmpq(2) ** -e for e in exponent]
        M = self._symmetric("", lambda s, at: s.inverse(*at) * unit[at[0]] * unit[at[1]])
        return M, np.array(exponent, dtype=np.int64)

    def _half_exponent(self, j: int) -> int:
        """About log2 of sqrt((X'WX)^-1_jj)."""
        balls = next(self.ladder.up_to(ENOUGH))
        return half_exponent(balls.inverse(j, j))

    def vcov(self, response: int = 0) -> Floats:
        """(p, p): covariance of the coefficients of one response, (X'WX)^-1 rss / df; nan if df = 0"""
        if not self.df:
            return np.full((self.p, self.p), np.nan)
        return self._symmetric(
            f"the covariance of coefficients {{0}} and {{1}}, response {response + 1},",
            lambda s, at: s.inverse(*at) * s.rss(response) / self.df,
        )

    @cached_property
    def root_pair(self) -> tuple[Floats, Floats]:
        """(hi, lo), each (r, p): W with W'W = (X'WX)^-1 of the independent columns, zero elsewhere.

        hi + lo is within 2^-106 of the size of its column, so that leverage is |W x|^2 w.
        """
        out = np.zeros((2, self.rank, self.p))
        for balls in self.ladder.up_to(math.inf):
            root = balls.root_pair()
            if root is not None:
                out[:, :, list(self.independent)] = root
                break
        for _, i, j in np.argwhere(np.isinf(out)):
            _refuse("entry ({0}, {1}) of the root of the inverse of X'WX", (i, j))
        return out[0], out[1]

    @property
    def _varies(self) -> list[int]:
        return [k for k, total in enumerate(self._tss) if total]

    @property
    def _tested(self) -> list[Place]:
        """Coefficients that have a standard error."""
        return [(int(j), k) for j in np.flatnonzero(self.estimable) for k in range(self.k)] if self.df else []

    def _variance(self, s: Any, at: Place) -> Any:
        rss = s.rss(at[1])
        return rss if rss == 0 else s.inverse(at[0], at[0]) * rss / self.df

    def fits_exactly(self, k: int) -> bool:
        """Is the residual sum of squares zero?"""
        return self._sign_of(lambda s: s.rss(k)) == 0

    def _sign(self, j: int, k: int) -> int:
        return self._sign_of(lambda s: s.coef(j, k))

    def _sign_of(self, number: Callable[[Any], Any]) -> int:
        for balls in self.ladder.up_to(ENOUGH):
            with precision(balls.bits):
                value = number(balls)
                if value > 0 or value < 0 or value == 0:
                    return int(value > 0) - int(value < 0)
        value = number(self.rationals)
        return int(value > 0) - int(value < 0)

    def _decide(
        self,
        name: str,
        formula: Formula,
        places: Sequence[Place],
        settle: Callable[[Any], Any] = nearest_in,
        exact: Callable[[Any], Any] = nearest,
        enough: int = ENOUGH,
    ) -> dict[Place, Any]:
        """The rounded numbers at some places."""
        out = decide(
            self.ladder,
            places,
            lambda balls, at: settle(formula(balls, at)),
            lambda at: exact(formula(self.rationals, at)),
            enough,
        )
        for at, value in out.items() if self.refuses else ():
            if math.isinf(value[0] if isinstance(value, tuple) else value):
                _refuse(name, at)
        return out

    def _row(self, name: str, formula: Formula, keep: Sequence[int] | None = None, root: bool = False) -> Floats:
        """(k,): the rounded numbers of the responses to keep, nan for the others."""
        how = (nearest_root_in, nearest_root) if root else (nearest_in, nearest)
        found = self._decide(name, formula, [(k,) for k in (range(self.k) if keep is None else keep)], *how)
        return np.array([found.get((k,), np.nan) for k in range(self.k)], dtype=np.float64)

    def _table(self, name: str, formula: Formula, places: Sequence[Place] | None = None, root: bool = False) -> Floats:
        """(p, k): the rounded numbers at some places, nan elsewhere."""
        how = (nearest_root_in, nearest_root) if root else (nearest_in, nearest)
        out = np.full((self.p, self.k), np.nan)
        places = list(np.ndindex(out.shape)) if places is None else places
        for at, value in self._decide(name, formula, places, *how).items():
            out[at] = value
        return out

    def _symmetric(self, name: str, formula: Formula) -> Floats:
        """(p, p): a symmetric matrix with the zeros of the inverse."""
        block = self.equations.block
        out = np.zeros((self.p, self.p))
        places = [(i, j) for i in range(self.p) for j in range(i + 1) if block[i] == block[j]]
        for (i, j), value in self._decide(name, formula, places).items():
            out[i, j] = out[j, i] = value
        return out


def _refuse(name: str, at: Place) -> NoReturn:
    """Places are counted from 1."""
    raise DataError(
        f"{name.format(*(place + 1 for place in at))} is larger than the largest float64 (1.8e308). The solution "
        "itself is exact; rescale the columns, the response or the weights to read it."
    )


def _product(equations: NormalEquations, i: int, j: int) -> fmpq:
    """The sum over rows of w x_i x_j, columns at places i and j of the Gram."""
    return rational(equations.gram.fraction(i, j))
