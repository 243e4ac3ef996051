"""How many digits of a linear fit's coefficients its inputs support."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data import Contract, InputErrors, input_errors, open_sites, parse
from sumwise.errors import UsageError
from sumwise.maths.conditioning import MOST_DIGITS, data_limits, surviving

if TYPE_CHECKING:
    from sumwise.results.linear import LinearFit

Floats = NDArray[np.float64]

Inputs = str | float | Mapping[str, float]


def digits(fit: LinearFit, data: Any, inputs: Inputs) -> pd.DataFrame:
    """See LinearFit.digits."""
    errors = _errors(fit, data, inputs)
    limited = surviving(first_order_bound(fit, errors), fit.coef.to_numpy())
    computed = np.where(np.isnan(fit.coef), np.nan, MOST_DIGITS)
    return pd.DataFrame({"estimate": fit.coef, "computed": computed, "data_limited": limited}, index=list(fit.terms))


def _errors(fit: LinearFit, data: Any, inputs: Inputs) -> InputErrors:
    if isinstance(inputs, str) and inputs != "printed":
        raise UsageError(f'inputs={inputs!r}: "printed", a relative error such as 1e-6, or {{column: absolute error}}')
    if data is None:
        if inputs != "printed":
            raise UsageError(
                "the fit keeps no rows: to state errors of its inputs give the table, digits(data, inputs)"
            )
        return fit.input_errors
    stated = inputs if isinstance(inputs, Mapping) else None
    relative = None if isinstance(inputs, str | Mapping) else inputs
    sources = open_sites(data, fit.decimal)
    formula, contract = parse(fit.formula), Contract.from_dict(fit.contract)
    return input_errors(formula, contract, sources, missing=fit.missing, stated=stated, relative=relative)


def first_order_bound(fit: LinearFit, errors: InputErrors) -> Floats:
    """(p,): the most that each coefficient can move, to first order: maths.conditioning.data_limits.

    nan where the column was left out; infinite where errors of this size may make the columns dependent, which takes
    sum_j e_j sqrt(C_jj) >= 1 with C = (X'X)^-1 and e_j the length of the error in column j.
    """
    kept = list(fit.kept)
    lengths = np.sqrt(errors.x[kept])
    bound = np.full(len(fit.terms), np.nan)
    bound[kept] = data_limits(fit.solution, lengths, float(np.sqrt(errors.y)))
    with np.errstate(over="ignore", invalid="ignore"):
        reach = np.sum(np.sqrt(np.diag(fit.solution.inverse)) * lengths)
    return bound if reach < 1 else np.where(np.isnan(bound), np.nan, np.inf)


def typical_error(fit: LinearFit, errors: InputErrors) -> Floats:
    """(p,): root mean square of what independent errors, uniform within their bounds, do to each coefficient.

    With C = (X'X)^-1 and variances v = e^2 / 3n of the inputs, to first order
    C_kk (v_y + sum_j v_j beta_j^2) + rss sum_j C_kj^2 v_j; nan where the column was left out.
    """
    kept = list(fit.kept)
    C, beta = fit.solution.inverse, fit.solution.coef[:, 0]
    v, v_y = errors.x[kept] / (3 * fit.nobs), errors.y / (3 * fit.nobs)
    with np.errstate(over="ignore", invalid="ignore"):
        of_fitted = np.hypot(np.sqrt(v_y), _length(np.sqrt(v) * beta))
        residual = fit.sigma * np.sqrt(fit.df_resid) if fit.df_resid else 0.0  # rss itself may be beyond float64
        of_residual = residual * np.sqrt(C**2 @ v)
        square_root = np.hypot(np.sqrt(np.diag(C)) * of_fitted, of_residual)
    found = np.full(len(fit.terms), np.nan)
    found[kept] = square_root
    return found


def _length(x: Floats) -> float:
    """The 2-norm, also of numbers whose squares are beyond float64."""
    largest = float(np.max(np.abs(x), initial=0.0))
    return largest * float(np.linalg.norm(x / largest)) if 0 < largest < np.inf else largest
