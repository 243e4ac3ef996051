"""How many digits of a linear fit's coefficients its inputs support."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data import Contract, DesignBlock, InputErrors, Moving, input_errors, open_sites, parse
from sumwise.errors import DataError, UsageError
from sumwise.maths.conditioning import MOST_DIGITS, data_limits, surviving
from sumwise.maths.least_squares import LeastSquares
from sumwise.models.linear import sums
from sumwise.results.linear_rows import fitted_blocks

if TYPE_CHECKING:
    from sumwise.results.linear import LinearFit

Floats = NDArray[np.float64]

Inputs = str | float | Mapping[str, float]


def digits(fit: LinearFit, data: Any, inputs: Inputs, samples: int, seed: int) -> pd.DataFrame:
    """See LinearFit.digits."""
    stated, relative = _read(inputs)
    if isinstance(samples, bool) or not isinstance(samples, (int, np.integer)) or samples < 0:
        raise UsageError(f"samples={samples!r}: how many refits, a whole number from 0")
    if data is None:
        if inputs != "printed" or samples:
            raise UsageError(
                "the fit keeps no rows: to state errors of its inputs, or to sample them, give the table, "
                "digits(data, inputs, samples)"
            )
        if fit.input_errors is None:
            raise UsageError(
                "this is the result of a study, which does not ask how far its inputs may be off; computed digits are "
                "all right, as everywhere"
            )
        return _table(fit, fit.input_errors)
    formula, contract, sources = parse(fit.formula), Contract.from_dict(fit.contract), open_sites(data, fit.decimal)
    blocks = fitted_blocks(fit, sources)
    errors = input_errors(formula, contract, sources, missing=fit.missing, stated=stated, relative=relative)
    table = _table(fit, errors)
    if samples:
        moving = Moving(formula, contract, sources, blocks, missing=fit.missing, stated=stated, relative=relative)
        moved = np.sort(sampled_errors(fit, moving, samples, np.random.default_rng(seed)), axis=0)
        table["sampled_worst"] = surviving(moved[-1], fit.coef.to_numpy())
        table["sampled_95"] = surviving(moved[math.ceil(0.95 * (samples - 1))], fit.coef.to_numpy())
    return table


def _read(inputs: Inputs) -> tuple[Mapping[str, float] | None, float | None]:
    """(stated, relative) as `input_errors` takes them."""
    if isinstance(inputs, Mapping):
        return inputs, None
    if isinstance(inputs, (int, float, np.number)) and not isinstance(inputs, bool):
        return None, float(inputs)
    if inputs != "printed":
        raise UsageError(f'inputs={inputs!r}: "printed", a relative error such as 1e-6, or {{column: absolute error}}')
    return None, None


def _table(fit: LinearFit, errors: InputErrors) -> pd.DataFrame:
    limited = surviving(first_order_bound(fit, errors), fit.coef.to_numpy())
    computed = np.where(np.isnan(fit.coef), np.nan, MOST_DIGITS)
    return pd.DataFrame({"estimate": fit.coef, "computed": computed, "data_limited": limited}, index=list(fit.terms))


def sampled_errors(fit: LinearFit, moving: Moving, samples: int, rng: np.random.Generator) -> Floats:
    """(samples, p): how far exact refits move each coefficient when every number moves uniformly within its error.

    inf where the moved columns are dependent or leave the domain of the formula; nan for columns that were left out.
    """
    moved = np.full((samples, len(fit.terms)), np.nan)
    kept = list(fit.kept)
    base = _refit(fit, moving.blocks(None))
    for s in range(samples):
        try:
            moved[s, kept] = np.abs(_refit(fit, moving.blocks(rng)) - base)
        except DataError:  # the same rows, not moved, were fitted
            moved[s, kept] = np.inf
    return moved


def _refit(fit: LinearFit, blocks: list[DesignBlock]) -> Floats:
    """The coefficients of the columns kept."""
    system = LeastSquares(reduce(add, map(sums, blocks)), fit.kept, (len(fit.terms),))
    return system.coef[:, 0] if system.rank == system.p else np.full(system.p, np.inf)


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
        reach = np.sum(np.sqrt(np.diag(_inverse(fit))) * lengths)
    return bound if reach < 1 else np.where(np.isnan(bound), np.nan, np.inf)


def typical_error(fit: LinearFit, errors: InputErrors) -> Floats:
    """(p,): root mean square of what independent errors, uniform within their bounds, do to each coefficient.

    With C = (X'X)^-1 and variances v = e^2 / 3n of the inputs, to first order
    C_kk (v_y + sum_j v_j beta_j^2) + rss sum_j C_kj^2 v_j; nan where the column was left out.
    """
    kept = list(fit.kept)
    C, beta = _inverse(fit), fit.solution.coef[:, 0]
    v, v_y = errors.x[kept] / (3 * fit.nobs), errors.y / (3 * fit.nobs)
    with np.errstate(over="ignore", invalid="ignore"):
        of_fitted = np.hypot(np.sqrt(v_y), _length(np.sqrt(v) * beta))
        residual = fit.sigma * np.sqrt(fit.df_resid) if fit.df_resid else 0.0  # rss itself may be beyond float64
        of_residual = residual * np.sqrt(C**2 @ v)
        square_root = np.hypot(np.sqrt(np.diag(C)) * of_fitted, of_residual)
    found = np.full(len(fit.terms), np.nan)
    found[kept] = square_root
    return found


def _inverse(fit: LinearFit) -> Floats:
    """(X'WX)^-1 of the columns kept, infinite beyond float64; from the scaled one, which the condition needs too."""
    M, exponent = fit.solution.scaled_inverse
    with np.errstate(over="ignore"):
        inverse: Floats = np.ldexp(M, exponent[:, None] + exponent)
    return inverse


def _length(x: Floats) -> float:
    """The 2-norm, also of numbers whose squares are beyond float64."""
    largest = float(np.max(np.abs(x), initial=0.0))
    return largest * float(np.linalg.norm(x / largest)) if 0 < largest < np.inf else largest
