"""The exact least-squares polynomial through points."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from flint import fmpq
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from sumwise.arrays import checks, polynomial_text
from sumwise.arrays.digits import Inputs, column_error
from sumwise.errors import UsageError
from sumwise.maths.columns import Column
from sumwise.maths.conditioning import MOST_DIGITS, condition, surviving
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares
from sumwise.maths.orthogonal import Orthogonal
from sumwise.maths.polynomials import (
    Points,
    Polynomial,
    basis_matrix,
    distinct,
    gram_in_basis,
    in_powers,
    influence,
    power_gram,
    variance_shape,
)

Floats = NDArray[np.float64]
Domain = tuple[Fraction, Fraction]

BASES = ("monomial", "chebyshev", "legendre", "orthogonal")
"""t^j; Chebyshev T_j(t); Legendre P_j(t); orthogonal over the data, leading coefficient 1 in t."""


@dataclass(frozen=True, slots=True)
class PolynomialVerdict:
    """How far to believe the polynomial.

    code: "determined"; "interpolates": it passes through every point; "underdetermined": more coefficients than
    distinct points, so that infinitely many polynomials fit as well.  text: the same in words.
    """

    code: str
    text: str

    def __str__(self) -> str:
        return self.text


def polyfit(
    x: Any,
    y: Any,
    degree: int,
    *,
    basis: str = "monomial",
    domain: tuple[Any, Any] | None = None,
    weights: Any = None,
    decimal: bool | None = None,
) -> PolynomialFit:
    """The polynomial of this degree that minimises sum_r w_r (y_r - p(x_r))^2, exactly.

    x, y, weights (n,): numbers of any kind, as in `lstsq`; decimal: likewise.  Powers of x are exact.
    basis: what the coefficients belong to: "monomial" t^j, "chebyshev" T_j(t), "legendre" P_j(t), or "orthogonal":
    polynomials orthogonal over the data, leading coefficient 1.   domain (a, b): t = (2x - a - b) / (b - a); by
    default the range of x, and for "monomial" t = x.
    The polynomial is one function whatever the basis, unless the degree is beyond the data (see `.verdict`).
    """
    checks.check_polynomial(degree, basis, BASES)
    column = checks.vector(x, "x", decimal).columns[0]
    response = checks.vector(y, "y", decimal).columns[0]
    w = None if weights is None else checks.weights(weights, decimal)
    shapes: dict[str, tuple[int, ...]] = {"x": (len(column),), "y": (len(response),)}
    checks.check_rows(shapes if w is None else {**shapes, "weights": (len(w),)})
    points = tuple(None if c is None else Points.of(c) for c in (column, response, w))
    gram = power_gram(points[0], points[1], degree, points[2])  # type: ignore[arg-type]
    data = PolynomialData(column, response, w)
    return PolynomialFit(data, gram, degree, basis, None if domain is None else _domain(domain))


def _domain(domain: tuple[Any, Any]) -> Domain:
    column = checks.vector(list(domain), "domain").columns[0]
    ends = column.fractions()
    if len(ends) != 2 or ends[0] >= ends[1]:
        raise UsageError(f"domain={domain!r}: it is a pair (a, b) with a < b.")
    return ends[0], ends[1]


@dataclass(frozen=True, slots=True, eq=False)
class PolynomialData:
    """The points, n each."""

    x: Column
    y: Column
    weights: Column | None

    @property
    def used(self) -> Floats:
        """(n,) the weights, 1 without."""
        return np.ones(len(self.x)) if self.weights is None else self.weights.rounded()


@dataclass(frozen=True, eq=False, repr=False)
class PolynomialFit:
    """A least-squares polynomial.   data: the points.  gram: exact power sums, columns 1, x, ..., x^degree, y.
    domain: as given, None for the default.
    """

    data: PolynomialData
    gram: Gram
    degree: int
    basis: str
    domain: Domain | None

    @cached_property
    def x(self) -> Points:
        """The points, exactly."""
        return Points.of(self.data.x)

    @cached_property
    def range(self) -> Domain:
        """Smallest and largest x with weight."""
        used = [v for v, w in zip(self.x.values, self.data.used.tolist(), strict=True) if w]
        return min(used) * self.x.unit, max(used) * self.x.unit

    def matrix_of(self, basis: str) -> Any:
        """B: basis polynomial i is sum_j B[i, j] x^j."""
        if basis == "orthogonal":
            return self.orthogonal.matrix
        return basis_matrix(basis, self.degree, self.domain_of(basis))

    @cached_property
    def orthogonal(self) -> Orthogonal:
        """Least squares in polynomials that are orthogonal over the data."""
        rss = self._powers.rationals.rss(0)
        return Orthogonal(self.gram, self.domain_of("orthogonal"), self.rank, rss, self.df)

    def domain_of(self, basis: str) -> Domain:
        """Where t runs over [-1, 1]."""
        if self.domain is not None:
            return self.domain
        if basis == "monomial":
            return Fraction(-1), Fraction(1)
        low, high = self.range
        return (low, high) if low < high else (low - 1, high + 1)

    @cached_property
    def _powers(self) -> LeastSquares:
        """In powers of x: for what does not depend on the basis."""
        return self._solved(self.gram)

    def _solved(self, gram: Gram) -> LeastSquares:
        return LeastSquares(gram, range(self.degree + 1), [self.degree + 1], constant=0)

    @cached_property
    def _system(self) -> LeastSquares | Orthogonal:
        return self.system_of(self.basis)

    def system_of(self, basis: str) -> LeastSquares | Orthogonal:
        """Least squares in a basis, for coefficients and their errors; its sums of squares are in a unit of its own."""
        if basis == "orthogonal":
            return self.orthogonal
        return self._solved(gram_in_basis(self.gram, self.matrix_of(basis)))

    @property
    def coef(self) -> Floats:
        """(degree + 1,): coefficients in the basis, correctly rounded; of least norm where they are not unique."""
        return self._system.coef[:, 0]

    def exact(self) -> list[Fraction]:
        """The coefficients as fractions."""
        return [row[0] for row in self._system.coef_exact()]

    @property
    def se(self) -> Floats:
        """Standard errors of coef; nan where there are none."""
        return self._system.se[:, 0]

    @property
    def t(self) -> Floats:
        """coef / se"""
        return self._system.t[:, 0]

    @property
    def p_value(self) -> Floats:
        """P(|T| > |t|), T of Student's distribution with df degrees of freedom."""
        return np.asarray(2 * stdtr(self.df, -np.abs(self.t))) if self.df else np.full(self.degree + 1, np.nan)

    @property
    def vcov(self) -> Floats:
        """(degree + 1, degree + 1): covariance of coef"""
        return self._system.vcov()

    @property
    def rss(self) -> float:
        """Residual sum of squares."""
        return float(self._powers.rss[0])

    @property
    def sigma(self) -> float:
        """sqrt(rss / df), nan where df = 0"""
        return float(self._powers.sigma[0])

    @property
    def r2(self) -> float:
        """1 - rss / tss, about the mean"""
        return float(self._powers.r2[0])

    @property
    def rank(self) -> int:
        """degree + 1, or the number of distinct x where that is smaller."""
        return self._powers.rank

    @property
    def df(self) -> int:
        """Residual degrees of freedom, points - rank."""
        return self._powers.df

    @property
    def nobs(self) -> int:
        """Points (with weight)."""
        return self.gram.rows

    @cached_property
    def polynomial(self) -> Polynomial:
        """The polynomial in powers of x, exact rationals."""
        return in_powers(self.exact(), self.matrix_of(self.basis))

    def __call__(self, x: Any, *, decimal: bool | None = None) -> Any:
        """p(x) at a number or at numbers (m,), each value correctly rounded."""
        values = self.polynomial.at(_points(x, decimal))
        return float(values[0]) if np.ndim(x) == 0 else values

    def derivative(self, order: int = 1) -> Derivative:
        """d^order p / dx^order, a function of x."""
        if not isinstance(order, int) or order < 0:
            raise UsageError(f"order={order!r}: a derivative's order is 0, 1, 2, ...")
        return Derivative(self.polynomial.derivative(order), order)

    @property
    def fitted(self) -> Floats:
        """(n,) p(x), correctly rounded."""
        return self.polynomial.at(self.x)

    def residuals(self) -> Floats:
        """(n,) y - p(x), subtracted before rounding."""
        return self.polynomial.misses(self.x, Points.of(self.data.y))

    @cached_property
    def _shape(self) -> Polynomial | None:
        return variance_shape(self.gram) if self.rank > self.degree else None

    def predict(
        self, x: Any, *, interval: str | None = None, level: float = 0.95, decimal: bool | None = None
    ) -> pd.DataFrame:
        """Values at x (m,), each marked where it lies outside the data.

        Columns: x; fit, correctly rounded; with interval "confidence" (for the curve) or "prediction" (for a new
        observation of weight 1): se, lower, upper, nan where there are no residual degrees of freedom; extrapolated;
        outside: distance to the data as a share of their range (inf where all x are equal).
        """
        if interval not in (None, "confidence", "prediction"):
            raise UsageError(f'interval is None, "confidence" or "prediction", not {interval!r}.')
        if not 0 < level < 1:
            raise UsageError(f"level={level!r}: a confidence level lies between 0 and 1, for instance 0.95.")
        points = _points(x, decimal)
        fit = self.polynomial.at(points)
        table = {"x": np.atleast_1d(Polynomial((fmpq(0), fmpq(1))).at(points)), "fit": fit}
        if interval:
            shape = np.full(len(fit), np.nan) if self._shape is None else self._shape.at(points)
            se = self.sigma * np.sqrt(shape + (interval == "prediction"))
            half = float(stdtrit(self.df, (1 + level) / 2)) * se if self.df else np.full(len(fit), np.nan)
            table |= {"se": se, "lower": fit - half, "upper": fit + half}
        outside = self._outside(points)
        return pd.DataFrame({**table, "extrapolated": outside > 0, "outside": outside})

    def _outside(self, points: Points) -> Floats:
        low, high = self.range
        far = [max(low - v, v - high, Fraction(0)) for v in (value * points.unit for value in points.values)]
        return np.array([float(d / (high - low)) if high > low else (np.inf if d else 0.0) for d in far])

    def digits(self, inputs: Inputs = "printed") -> pd.DataFrame:
        """How many digits of each coefficient the inputs support: estimate, computed (all), data_limited.

        inputs: as in `LstsqResult.digits`, (dx, dy) for absolute errors.  To first order: a change of x_r acts on all
        powers of x_r together.  nan where the coefficients are not unique.
        """
        limited = surviving(self.bound(self.basis, *self.errors(inputs)), self.coef)
        return pd.DataFrame(
            {"estimate": self.coef, "computed": np.full(len(limited), MOST_DIGITS), "data_limited": limited},
            index=self.names,
        )

    @cached_property
    def printed_limits(self) -> Floats | None:
        """(degree + 1,) digits to print beside the coefficients, None for none."""
        return polynomial_text.limits(self)

    @property
    def names(self) -> list[str]:
        """Of the coefficients."""
        return polynomial_text.names(self.basis, self.degree, self.domain is not None)

    def errors(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """(dx, dy), each (n,): the largest error of each number."""
        n = len(self.data.x)
        if isinstance(inputs, tuple) and len(inputs) == 2:
            dx, dy = (np.broadcast_to(np.abs(np.asarray(d, dtype=np.float64)), (n,)) for d in inputs)
            return dx, dy
        if isinstance(inputs, tuple) or (isinstance(inputs, str) and inputs != "printed"):
            raise UsageError('inputs is "printed", a relative error such as 1e-6, or (dx, dy).')
        return column_error(self.data.x, inputs), column_error(self.data.y, inputs)

    def bound(self, basis: str, dx: Floats, dy: Floats) -> Floats:
        """(degree + 1,): the most that each coefficient in a basis can move, to first order.

        With P_j the polynomial by which c_j answers to y, c_j moves by w_r P_j(x_r) for a change of y_r, and by
        w_r (P_j'(x_r) (y_r - p(x_r)) - P_j(x_r) p'(x_r)) for a change of x_r.   nan where c is not unique.
        """
        if self.rank <= self.degree:
            return np.full(self.degree + 1, np.nan)
        orthogonal = basis == "orthogonal"
        answers = self.orthogonal.influence() if orthogonal else influence(self.gram, self.matrix_of(basis))
        slope, missed, w = self.polynomial.derivative().at(self.x), self.residuals(), self.data.used
        bound = []
        with np.errstate(over="ignore", invalid="ignore"):
            for P in answers:
                here = P.at(self.x)
                along = P.derivative().at(self.x) * missed - here * slope
                moves = np.where(dy > 0, np.abs(here) * dy, 0) + np.where(dx > 0, np.abs(along) * dx, 0)
                bound.append(float((w * np.where(np.isnan(moves), np.inf, moves)).sum()))
        return np.array(bound)

    def bases(self, inputs: Inputs = "printed") -> pd.DataFrame:
        """What each basis makes of the same points: kappa, kappa_scaled, digits_lost, data_limited, by basis.

        kappa: condition number of the matrix of basis polynomials at the points; kappa_scaled: after scaling its
        columns to length 1; digits_lost: log10 kappa; data_limited: digits of the worst coefficient that errors of
        the inputs leave.  All coefficients are computed to every digit whatever the basis.
        """
        errors = self.errors(inputs)
        rows = {}
        for basis in BASES:
            system = self.system_of(basis)
            if isinstance(system, Orthogonal):
                kappa, scaled = system.kappa, 1.0 if self.rank > self.degree else np.inf
            else:
                number = condition(system)
                kappa, scaled = number.kappa, number.kappa_scaled
            digits = surviving(self.bound(basis, *errors), system.coef[:, 0])
            rows[basis] = [kappa, scaled, np.log10(kappa), digits.min()]
        return pd.DataFrame(rows, index=["kappa", "kappa_scaled", "digits_lost", "data_limited"]).T

    @property
    def verdict(self) -> PolynomialVerdict:
        """Whether the data determine the polynomial."""
        return PolynomialVerdict(*polynomial_text.verdict(self, self.distinct))

    @property
    def distinct(self) -> int:
        """Distinct x with weight."""
        return distinct(self.x, None if self.data.weights is None else Points.of(self.data.weights))

    def __str__(self) -> str:
        return polynomial_text.text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return polynomial_text.html(self)


@dataclass(frozen=True, slots=True)
class Derivative:
    """A derivative of a fitted polynomial: call it with x."""

    polynomial: Polynomial
    order: int

    def __call__(self, x: Any, *, decimal: bool | None = None) -> Any:
        """The derivative at a number or at numbers (m,), correctly rounded."""
        values = self.polynomial.at(_points(x, decimal))
        return float(values[0]) if np.ndim(x) == 0 else values

    @property
    def coef(self) -> Floats:
        """Coefficients of powers of x, rounded."""
        return np.array([float(c) for c in self.polynomial.coefficients])


def _points(x: Any, decimal: bool | None) -> Points:
    values = [x] if np.ndim(x) == 0 else x
    return Points.of(checks.vector(values, "x", decimal).columns[0])
