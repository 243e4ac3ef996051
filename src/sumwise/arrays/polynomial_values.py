"""Values of polynomials: the points, what a polynomial is there, and intervals around it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from flint import fmpq
from numpy.typing import NDArray
from scipy.special import stdtrit

from sumwise.arrays import checks
from sumwise.errors import DataError, UsageError
from sumwise.maths.columns import Column
from sumwise.maths.polynomials import Points, Polynomial

if TYPE_CHECKING:
    from sumwise.arrays.polynomial import PolynomialFit

Floats = NDArray[np.float64]
Domain = tuple[Fraction, Fraction]


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


@dataclass(frozen=True, slots=True)
class Derivative:
    """A derivative of a fitted polynomial: call it with x."""

    polynomial: Polynomial
    order: int

    def __call__(self, x: Any, *, decimal: bool | None = None) -> Any:
        """The derivative at a number or at numbers (m,), correctly rounded.  Raises DataError beyond float64."""
        return values_at(self.polynomial, x, decimal)

    @property
    def coef(self) -> Floats:
        """Coefficients of powers of x, rounded.  Raises DataError for one beyond float64."""
        out = []
        for j, c in enumerate(self.polynomial.coefficients):
            try:
                out.append(float(c))
            except OverflowError:
                raise DataError(
                    f"the coefficient of x^{j} is larger than the largest float64 (1.8e308). Rescale x or y."
                ) from None
        return np.array(out)


def domain_of(domain: Any) -> Domain:
    """A pair (a, b), a < b, exactly."""
    ends: list[Fraction] = []
    if isinstance(domain, tuple | list | np.ndarray) and np.ndim(domain) == 1 and len(domain) == 2:
        ends = checks.vector(list(domain), "domain").columns[0].fractions()
    if len(ends) != 2 or ends[0] >= ends[1]:
        raise UsageError(f"domain={domain!r}: it is a pair (a, b) with a < b.")
    return ends[0], ends[1]


def points_of(x: Any, decimal: bool | None) -> Points:
    """A number or numbers (m,), exactly."""
    values = [x] if np.ndim(x) == 0 else x
    return Points.of(checks.vector(values, "x", decimal).columns[0])


def values_at(polynomial: Polynomial, x: Any, decimal: bool | None) -> Any:
    """The values at a number or at numbers (m,)."""
    points = points_of(x, decimal)
    values = within_range(polynomial.at(points), "value", points)
    return float(values[0]) if np.ndim(x) == 0 else values


def within_range(values: Floats, what: str, points: Points) -> Floats:
    """The same values (m,).  Raises DataError for one beyond the largest float64."""
    beyond = np.isinf(values)
    if beyond.any():
        r = int(np.argmax(beyond))
        (x,) = Polynomial((fmpq(0), fmpq(1))).at(Points(points.values[r : r + 1], points.low, points.decimals))
        raise DataError(
            f"the {what} at point {r + 1} (counted from 1), x = {x:g}, is larger than the largest float64 (1.8e308). "
            "Rescale x or y, or ask for points nearer to the data."
        )
    return values


def predictions(fit: PolynomialFit, points: Points, interval: str | None, level: float) -> pd.DataFrame:
    """`PolynomialFit.predict`."""
    estimate = within_range(fit.polynomial.at(points), "value", points)
    x = within_range(Polynomial((fmpq(0), fmpq(1))).at(points), "number x", points)
    table = {"x": x, "estimate": estimate}
    if interval:
        root = _root_of_shape(fit.shape, points)
        with np.errstate(over="ignore", invalid="ignore"):
            error = fit.sigma * root
            spread = fit.sigma * np.hypot(root, 1.0) if interval == "prediction" else error
            half = float(stdtrit(fit.df_resid, (1 + level) / 2)) * spread if fit.df_resid else np.full(len(x), np.nan)
            bounds = {"std_error": error, "lower": estimate - half, "upper": estimate + half}
        table |= {name: within_range(values, name, points) for name, values in bounds.items()}
    outside = _outside(fit, points)
    return pd.DataFrame({**table, "extrapolated": outside > 0, "outside": outside})


def _root_of_shape(shape: Polynomial | None, points: Points) -> Floats:
    """(m,) se(x) / sigma, nan where the polynomial is not unique."""
    if shape is None:
        return np.full(len(points.values), np.nan)
    root = np.sqrt(shape.at(points))
    for r in np.flatnonzero(np.isinf(root) | (root < 1e-150)):
        root[r] = shape.root_at(points, int(r))
    return root


def _outside(fit: PolynomialFit, points: Points) -> Floats:
    low, high = fit.range
    far = [max(low - v, v - high, Fraction(0)) for v in (value * points.unit for value in points.values)]
    return np.array([_share(d, high - low) for d in far])


def _share(distance: Fraction, whole: Fraction) -> float:
    try:
        return float(distance / whole) if whole else float(np.inf if distance else 0.0)
    except OverflowError:
        return float(np.inf)
