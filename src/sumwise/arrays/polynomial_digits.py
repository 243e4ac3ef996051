"""How many digits of a polynomial's coefficients the points support, in one basis and in all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.arrays.digits import Inputs, check_inputs, column_error, error_fitting
from sumwise.maths.conditioning import condition, surviving
from sumwise.maths.influence import influence
from sumwise.maths.orthogonal import Orthogonal
from sumwise.maths.polynomials import to_unit

if TYPE_CHECKING:
    from sumwise.arrays.polynomial import PolynomialFit

Floats = NDArray[np.float64]


def errors(fit: PolynomialFit, inputs: Inputs) -> tuple[Floats, Floats]:
    """(dx, dy), each (n,): the largest error of each number."""
    check_inputs(inputs, "(dx, dy)")
    shape = (len(fit.data.x), 1)
    if isinstance(inputs, tuple):
        return error_fitting("dx", inputs[0], shape)[:, 0], error_fitting("dy", inputs[1], shape)[:, 0]
    return column_error(fit.data.x, inputs), column_error(fit.data.y, inputs)


def bound(fit: PolynomialFit, basis: str, dx: Floats, dy: Floats) -> Floats:
    """(degree + 1,): the most that each coefficient in a basis can move, to first order.

    With P_j the polynomial by which c_j answers to y, c_j moves by w_r P_j(x_r) for a change of y_r, and by
    w_r (P_j'(x_r) (y_r - p(x_r)) - P_j(x_r) p'(x_r)) for a change of x_r.   nan where c is not unique.
    """
    if fit.rank <= fit.degree:
        return np.full(fit.degree + 1, np.nan)
    B = None if basis == "orthogonal" else fit.matrix_of(basis)
    here, slopes = influence(fit.powers, fit.x, B, to_unit(fit.domain_of(basis))[0])
    polynomial = fit.polynomial
    slope, missed = polynomial.derivative().at(fit.x)[:, None], polynomial.misses(fit.x, fit.y)[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        along = slopes * missed - here * slope
        moves = np.where(dy[:, None] > 0, np.abs(here) * dy[:, None], 0)
        moves = moves + np.where(dx[:, None] > 0, np.abs(along) * dx[:, None], 0)
        total: Floats = (fit.data.used[:, None] * np.where(np.isnan(moves), np.inf, moves)).sum(axis=0)
    return total


def bases(fit: PolynomialFit, names: Sequence[str], inputs: Inputs) -> pd.DataFrame:
    """`PolynomialFit.bases`."""
    limits = errors(fit, inputs)
    rows = {}
    for basis in names:
        system = fit.system_of(basis).lenient()
        if isinstance(system, Orthogonal):
            kappa, scaled = system.kappa, 1.0 if fit.rank > fit.degree else np.inf
        else:
            number = condition(system)
            kappa, scaled = number.kappa, number.kappa_scaled
        coef = system.coef[:, 0]
        digits = surviving(bound(fit, basis, *limits), np.where(np.isinf(coef), np.nan, coef))
        rows[basis] = [kappa, scaled, np.log10(kappa), digits.min()]
    return pd.DataFrame(rows, index=["kappa", "kappa_scaled", "digits_lost", "data_limited"]).T
