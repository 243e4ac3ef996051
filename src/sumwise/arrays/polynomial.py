"""The exact least-squares polynomial through points."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.arrays import checks, polynomial_digits, polynomial_text
from sumwise.arrays.digits import Inputs
from sumwise.arrays.polynomial_values import (
    Derivative,
    Domain,
    PolynomialData,
    domain_of,
    points_of,
    predictions,
    values_at,
    within_range,
)
from sumwise.errors import UsageError
from sumwise.maths.conditioning import MOST_DIGITS, surviving
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
    power_gram,
    variance_shape,
)
from sumwise.maths.student import two_sided

Floats = NDArray[np.float64]

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
    ends = None if domain is None else domain_of(domain)
    column = checks.vector(x, "x", decimal).columns[0]
    response = checks.vector(y, "y", decimal).columns[0]
    w = None if weights is None else checks.weights(weights, decimal)
    shapes: dict[str, tuple[int, ...]] = {"x": (len(column),), "y": (len(response),)}
    checks.check_rows(shapes if w is None else {**shapes, "weights": (len(w),)})
    gram = power_gram(Points.of(column), Points.of(response), degree, None if w is None else Points.of(w))
    return PolynomialFit(PolynomialData(column, response, w), gram, degree, basis, ends)


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
    def y(self) -> Points:
        """Their values, exactly."""
        return Points.of(self.data.y)

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
        return Orthogonal(self.powers, self.domain_of("orthogonal"))

    def domain_of(self, basis: str) -> Domain:
        """Where t runs over [-1, 1]."""
        if self.domain is not None:
            return self.domain
        if basis == "monomial":
            return Fraction(-1), Fraction(1)
        low, high = self.range
        return (low, high) if low < high else (low - 1, high + 1)

    @cached_property
    def powers(self) -> LeastSquares:
        """In powers of x: for what does not depend on the basis."""
        return self._solved(self.gram)

    def _solved(self, gram: Gram) -> LeastSquares:
        return LeastSquares(gram, range(self.degree + 1), [self.degree + 1], constant=0)

    @cached_property
    def system(self) -> LeastSquares | Orthogonal:
        """Least squares in the fit's own basis."""
        return self.system_of(self.basis)

    def system_of(self, basis: str) -> LeastSquares | Orthogonal:
        """Least squares in a basis, for coefficients and their errors; its sums of squares are in a unit of its own."""
        if basis == "orthogonal":
            return self.orthogonal
        return self._solved(gram_in_basis(self.gram, self.matrix_of(basis)))

    @property
    def coef(self) -> Floats:
        """(degree + 1,): coefficients in the basis, correctly rounded; of least norm where they are not unique."""
        return self.system.coef[:, 0]

    def exact(self) -> list[Fraction]:
        """The coefficients as fractions."""
        return [row[0] for row in self.system.coef_exact()]

    @property
    def se(self) -> Floats:
        """Standard errors of coef; nan where there are none."""
        return self.system.se[:, 0]

    @property
    def t(self) -> Floats:
        """coef / se"""
        return self.system.t[:, 0]

    @property
    def pvalues(self) -> Floats:
        """P(|T| > |t|), T of Student's distribution with df_resid degrees of freedom."""
        return two_sided(self.t, self.df_resid)

    @property
    def vcov(self) -> Floats:
        """(degree + 1, degree + 1): covariance of coef"""
        return self.system.vcov()

    @property
    def rss(self) -> float:
        """Residual sum of squares."""
        return float(self.powers.rss[0])

    @property
    def sigma(self) -> float:
        """sqrt(rss / df), nan where df_resid = 0"""
        return float(self.powers.sigma[0])

    @property
    def r2(self) -> float:
        """1 - rss / tss, about the mean"""
        return float(self.powers.r2[0])

    @property
    def rank(self) -> int:
        """degree + 1, or the number of distinct x where that is smaller."""
        return self.powers.rank

    @property
    def df_resid(self) -> int:
        """Residual degrees of freedom, points - rank."""
        return self.powers.df

    @property
    def nobs(self) -> int:
        """Points (with weight)."""
        return self.gram.rows

    @cached_property
    def polynomial(self) -> Polynomial:
        """The polynomial in powers of x, exact rationals."""
        if self.rank > self.degree:  # it is one, whatever the basis
            return Polynomial(tuple(self.powers.rationals.coef(j, 0) for j in range(self.degree + 1)))
        return in_powers(self.exact(), self.matrix_of(self.basis))

    def __call__(self, x: Any, *, decimal: bool | None = None) -> Any:
        """p(x) at a number or at numbers (m,), each value correctly rounded.  Raises DataError beyond float64."""
        return values_at(self.polynomial, x, decimal)

    def derivative(self, order: int = 1) -> Derivative:
        """d^order p / dx^order, a function of x."""
        if isinstance(order, bool) or not isinstance(order, int | np.integer) or order < 0:
            raise UsageError(
                f"order={order!r}: the order of a derivative is a whole number from 0. Its values come from calling "
                "it: fit.derivative(1)(x)."
            )
        return Derivative(self.polynomial.derivative(int(order)), int(order))

    @property
    def fitted(self) -> Floats:
        """(n,) p(x), correctly rounded."""
        return within_range(self.polynomial.at(self.x), "fitted value", self.x)

    def residuals(self) -> Floats:
        """(n,) y - p(x), subtracted before rounding."""
        return within_range(self.polynomial.misses(self.x, self.y), "residual", self.x)

    @cached_property
    def shape(self) -> Polynomial | None:
        """h with var(p(x)) = sigma^2 h(x), None where p is not unique."""
        return variance_shape(self.gram) if self.rank > self.degree else None

    def predict(
        self, x: Any, *, interval: str | None = None, level: float = 0.95, decimal: bool | None = None
    ) -> pd.DataFrame:
        """Values at x (m,), each marked where it lies outside the data.

        Columns: x; estimate, correctly rounded; with interval "confidence" (for the curve) or "prediction" (for a new
        observation of weight 1): std_error (of the curve), lower, upper, nan where there are no residual degrees of
        freedom; extrapolated; outside: distance to the data as a share of their range (inf where all x are equal).
        """
        if interval not in (None, "confidence", "prediction"):
            raise UsageError(f'interval is None, "confidence" or "prediction", not {interval!r}.')
        if not 0 < level < 1:
            raise UsageError(f"level={level!r}: a confidence level lies between 0 and 1, for instance 0.95.")
        return predictions(self, points_of(x, decimal), interval, level)

    def digits(self, inputs: Inputs = "printed") -> pd.DataFrame:
        """How many digits of each coefficient the inputs support: estimate, computed (all), data_limited.

        inputs: as in `LstsqResult.digits`, (dx, dy) for absolute errors.  To first order: a change of x_r acts on all
        powers of x_r together.  nan where the coefficients are not unique.
        """
        limited = surviving(polynomial_digits.bound(self, self.basis, *self.errors(inputs)), self.coef)
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
        return polynomial_digits.errors(self, inputs)

    def bases(self, inputs: Inputs = "printed") -> pd.DataFrame:
        """What each basis makes of the same points: kappa, kappa_scaled, digits_lost, data_limited, by basis.

        kappa: condition number of the matrix of basis polynomials at the points; kappa_scaled: after scaling its
        columns to length 1; digits_lost: log10 kappa; data_limited: digits of the worst coefficient that errors of
        the inputs leave.  All coefficients are computed to every digit whatever the basis.
        A basis whose numbers lie beyond float64 has inf and nan.
        """
        return polynomial_digits.bases(self, BASES, inputs)

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

    def __reduce__(self) -> tuple[Any, ...]:
        """What is computed from the sums is computed again in a copy."""
        return PolynomialFit, (self.data, self.gram, self.degree, self.basis, self.domain)

    def _repr_html_(self) -> str:
        return polynomial_text.html(self)
