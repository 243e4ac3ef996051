"""How many digits of an estimate its inputs support."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.arrays.sums import Rows
from sumwise.errors import UsageError
from sumwise.maths.columns import Column, cross_products, places_of, places_shown, times
from sumwise.maths.conditioning import MOST_DIGITS, relative_data_limits, surviving
from sumwise.maths.least_squares import LeastSquares

Floats = NDArray[np.float64]
Inputs = str | float | tuple[Any, Any]
"""What the inputs are good to: "printed", a relative error, or absolute errors (dX, dy)."""

BLOCK = 4096
"""Rows worked on together."""


def digits_table(
    rows: Rows,
    system: LeastSquares,
    names: Sequence[str],
    responses: Sequence[str],
    inputs: Inputs,
    samples: int,
    seed: int,
) -> pd.DataFrame:
    """`LstsqResult.digits`: one row a coefficient (and response)."""
    dX, dy = errors_of(rows, inputs)
    columns = {
        "estimate": system.coef,
        "computed": np.full(system.coef.shape, MOST_DIGITS),
        "data_limited": surviving(first_order_bound(rows, system, dX, dy), system.coef),
    }
    if samples:
        moved = sampled_errors(rows, system, dX, dy, samples, np.random.default_rng(seed))
        columns["sampled_worst"] = surviving(moved.max(axis=0), system.coef)
        columns["sampled_95"] = surviving(np.quantile(moved, 0.95, axis=0, method="higher"), system.coef)
    frames = [
        pd.DataFrame({key: value[:, k] for key, value in columns.items()}, index=list(names)) for k in range(system.k)
    ]
    return frames[0] if rows.y.flat else pd.concat(frames, keys=list(responses))


def digits_of_sums(
    system: LeastSquares, names: Sequence[str], responses: Sequence[str], relative: float
) -> pd.DataFrame:
    """The same for rows that were not kept: from their sums, for a relative error, by norms (a wider bound)."""
    frames = [
        pd.DataFrame(
            {
                "estimate": system.coef[:, k],
                "computed": np.full(system.p, MOST_DIGITS),
                "data_limited": surviving(relative_data_limits(system, relative, k), system.coef[:, k]),
            },
            index=list(names),
        )
        for k in range(system.k)
    ]
    return pd.concat(frames, keys=list(responses))


def errors_of(rows: Rows, inputs: Inputs) -> tuple[Floats, Floats]:
    """(dX (n, p), dy (n, k)): the largest absolute error of each input.  Raises UsageError for other `inputs`."""
    check_inputs(inputs, "(dX, dy)")
    if isinstance(inputs, tuple):
        return error_fitting("dX", inputs[0], rows.X.shape), error_fitting("dy", inputs[1], rows.y.shape)
    X, y = (np.column_stack([column_error(c, inputs) for c in table.columns]) for table in (rows.X, rows.y))
    return X, y


def check_inputs(inputs: Any, pair: str) -> None:
    """Raises UsageError unless inputs is "printed", a relative error, or a pair, which `error_fitting` looks into."""
    if isinstance(inputs, tuple) and len(inputs) == 2:
        return
    if isinstance(inputs, str) and inputs == "printed":
        return
    if isinstance(inputs, bool) or not isinstance(inputs, int | float | np.integer | np.floating):
        said = f"a tuple of {len(inputs)}" if isinstance(inputs, tuple) else repr(inputs)
        raise UsageError(f'inputs is "printed", a relative error such as 1e-6, or {pair}, not {said}.')
    if not 0 <= inputs < 1:
        raise UsageError(f"inputs={inputs!r}: a relative error lies between 0 and 1, for instance 1e-6.")


def error_fitting(name: str, value: Any, shape: tuple[int, int]) -> Floats:
    """(n, k) absolute errors for inputs of this shape, from a number or an array."""
    try:
        error = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"{name}={value!r} is no error: pass a number, or an array of shape {shape}.") from None
    if error.ndim == 1 and shape[1] == 1 and len(error) == shape[0]:
        error = error[:, None]
    try:
        error = np.broadcast_to(error, shape)
    except ValueError:
        raise UsageError(f"{name} has shape {error.shape}, which does not fit {name[1:]}, shape {shape}.") from None
    if not np.isfinite(error).all():
        raise UsageError(f"{name} holds NaN or infinite errors. State the largest error of each value.")
    if (error < 0).any():
        raise UsageError(f"{name} holds negative errors, {error.min():g} the least. State the largest size of each.")
    return error


def check_samples(samples: Any, seed: Any) -> None:
    """Raises UsageError unless both are whole numbers from 0."""
    for name, value in (("samples", samples), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise UsageError(f"{name}={value!r}: a whole number from 0.")


def column_error(column: Column, inputs: str | float) -> Floats:
    """(n,) the largest absolute error of each number: half a unit of the last printed place, or a relative error.

    Numbers that need all digits of a float are good to half a unit of its last place.  Whole numbers count as exact in
    the first, columns that are constant or hold only 0 and 1 in both.
    """
    n, values = len(column), column.parts[0]
    if len(column.parts) == 1 and _is_chosen(values, column.decimals):
        return np.zeros(n)
    if not isinstance(inputs, str):
        return inputs * np.abs(column.rounded())
    if column.decimals:
        return np.full(n, float(f"0.5e-{column.decimals}"))
    if len(column.parts) > 1 or bool((values == np.rint(values)).all()):
        return np.zeros(n)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    is_single = bool((single == values).all())
    places = places_of(single) if is_single else places_shown([values])[0]
    if places is not None:
        return np.full(n, float(f"0.5e-{places}"))
    return np.spacing(np.abs(single if is_single else values)).astype(np.float64) / 2


def _is_chosen(values: Floats, decimals: int) -> bool:
    """Whether a column is constant or holds only 0 and 1: numbers that are chosen, not measured."""
    constant = bool(values[0] == values[-1]) and bool((values == values[0]).all())
    return constant or (not decimals and bool(((values == 0) | (values == 1)).all()))


def first_order_bound(rows: Rows, system: LeastSquares, dX: Floats, dy: Floats) -> Floats:
    """(p, k): the most that a coefficient can move, to first order, when each input moves by at most its error.

    With C = (X'WX)^-1, P = C X'W and residuals r, a change of x_il moves b_j by C_jl w_i r_i - P_ji b_l, and a change
    of y_i by P_ji   [Golub & Pereyra 1973, for constant rank].  The worst signs add up all sizes.
    nan where the columns are dependent: then any error changes the rank.
    """
    bound = np.full((system.p, system.k), np.nan)
    if system.rank < system.p:
        return bound
    bound[:] = 0
    W_hi, W_lo = system.root_pair  # C = W'W, and Q = X W' is orthonormal: P = W'Q'W loses nothing
    weights = np.ones(rows.X.rows) if rows.weights is None else rows.weights.rounded()
    Q = times(rows.X.columns, W_hi.T.copy(), W_lo.T.copy())
    residuals = residuals_of(rows, system)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(Q), BLOCK):
            part = slice(start, start + BLOCK)
            P = (Q[part] * weights[part, None]) @ W_hi
            for k in range(system.k):
                pull = weights[part] * residuals[part, k]
                bound[:, k] += np.abs(P).T @ dy[part, k]
                for j in range(system.p):
                    moves = np.outer(pull, system.inverse[j]) - np.outer(P[:, j], system.coef[:, k])
                    bound[j, k] += float((np.abs(moves) * dX[part]).sum())
    bound[np.isnan(bound)] = np.inf  # beyond the range of float64
    return bound


def residuals_of(rows: Rows, system: LeastSquares) -> Floats:
    """(n, k): y - X b, rounded once; zeros where the fit is exact."""
    hi, lo = system.coef_pair
    own = np.eye(system.k)
    columns = [*rows.X.columns, *rows.y.columns]

    def exact() -> list[list[Fraction]]:
        return [[-c for c in row] for row in system.coef_exact()] + [[Fraction(v) for v in row] for row in own.tolist()]

    perfect = [system.fits_exactly(k) for k in range(system.k)]
    left = times(columns, np.vstack([-hi, own]), np.vstack([-lo, 0 * own]), None if all(perfect) else exact)
    for k in range(system.k):
        if perfect[k]:
            left[:, k] = 0 if rows.weights is None else np.where(rows.weights.rounded() > 0, 0, left[:, k])
    return left


def sampled_errors(
    rows: Rows, system: LeastSquares, dX: Floats, dy: Floats, samples: int, rng: np.random.Generator
) -> Floats:
    """(samples, p, k): how far exact refits move when every input moves uniformly within its error.

    An input plus its move is held exactly, also where the move is below the input's last bit.
    """
    moved = np.empty((samples, system.p, system.k))
    for s in range(samples):
        columns = [
            column.moved(error * rng.uniform(-1, 1, len(error)))
            for table, errors in ((rows.X, dX), (rows.y, dy))
            for column, error in zip(table.columns, errors.T, strict=True)
        ]
        p = system.p
        gram = cross_products(columns, rows.weights)
        moved[s] = np.abs(LeastSquares(gram, range(p), range(p, gram.columns)).coef - system.coef)
    return moved
