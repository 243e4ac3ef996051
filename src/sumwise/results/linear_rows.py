"""What a linear fit says about rows: predictions for new ones, residuals and influence for those that were fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data import Contract, DesignBlock, Rows, Source, build, open_sites, parse, rows
from sumwise.errors import DataError, UsageError
from sumwise.maths.columns import Column, times
from sumwise.maths.rounding import pair, rational
from sumwise.models.linear import sums
from sumwise.results.inference import t_quantile

if TYPE_CHECKING:
    from sumwise.results.linear import LinearFit

Floats = NDArray[np.float64]

BLOCK = 1 << 14
"""Rows handled at a time where each needs as many numbers as there are columns."""

INTERVALS = ("confidence", "prediction")
KINDS = ("response", "pearson", "standardized", "studentized")

SAME = Fraction(1, 10**24)
"""Square of the relative difference up to which two sums count as the same: decimals and their nearest floats do."""

HOLDS = 1e-12
"""Relative difference up to which an exact relation between columns holds in new rows, whose floats are rounded."""

ON_ITS_OWN = 1e-15
"""A row with a leverage of 1, up to this difference, determines a coefficient on its own: its residual is zero."""


def predict(fit: LinearFit, data: Any, interval: str | None, level: float) -> pd.Series | pd.DataFrame:
    """See LinearFit.predict."""
    if interval is not None and interval not in INTERVALS:
        raise UsageError(f'interval={interval!r}: None, "confidence" or "prediction"')
    quantile = t_quantile(level, fit.df_resid)
    found = open_sites(data, fit.decimal)
    if len(found) != 1:
        raise UsageError("predict takes one table, not a mapping of sites")
    (source,) = found.values()
    new = rows(parse(fit.formula), Contract.from_dict(fit.contract), source, grouped=False)
    _check_estimable(fit, new)
    X = _columns(fit, new)
    offset = _offset(new)
    mean = _linear(fit, X, (1, offset)) if X or offset else np.zeros(len(new.kept))
    index = data.index if isinstance(data, pd.DataFrame) else pd.RangeIndex(len(mean))
    if interval is None:
        return pd.Series(mean, index=index, name="estimate")
    square, exponent = _leverage(fit, X, len(mean))
    with np.errstate(over="ignore"):
        se = np.ldexp(fit.sigma * np.sqrt(square), exponent)
        half = quantile * (np.hypot(se, fit.sigma) if interval == "prediction" else se)
        table = {"estimate": mean, "std_error": se, "lower": mean - half, "upper": mean + half}
    _check_within_range(table, new.kept)
    return pd.DataFrame(table, index=index)


def _check_within_range(table: dict[str, Floats], kept: NDArray[np.int64]) -> None:
    """Raises DataError for a number beyond float64.   kept (n,): the rows' places in their table."""
    for name, values in table.items():
        if (beyond := np.isinf(values)).any():
            row = 1 + int(kept[int(np.argmax(beyond))])
            raise DataError(
                f"{name} of row {row} (counted from 1) is larger than the largest float64 (1.8e308). "
                f"Rescale the columns or the response."
            )


def residuals(fit: LinearFit, data: Any, kind: str) -> pd.Series:
    """See LinearFit.residuals."""
    if kind not in KINDS:
        raise UsageError(f"kind={kind!r}: one of {', '.join(map(repr, KINDS))}")
    sites, index = _fitted(fit, data)
    if kind in ("response", "pearson"):
        values = [site.residual if kind == "response" else np.sqrt(site.weights) * site.residual for site in sites]
    else:
        values = [_influence(fit, site)[kind].to_numpy() for site in sites]
    return pd.Series(np.concatenate(values), index=index, name=kind)


def influence(fit: LinearFit, data: Any) -> pd.DataFrame:
    """See LinearFit.influence."""
    sites, index = _fitted(fit, data)
    return pd.concat([_influence(fit, site) for site in sites]).set_axis(index)


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """Rows of one site that were fitted.  X: the columns kept; y, residual = y - fitted, weights (n,); kept (n,): their
    places in the table.
    """

    X: list[Column]
    y: Floats
    residual: Floats
    weights: Floats
    kept: NDArray[np.int64]


def _fitted(fit: LinearFit, data: Any) -> tuple[list[_Fitted], pd.Index]:
    """The rows by site, and their labels: those of a frame, else numbers from 0, with the site if there are several.

    Raises DataError if `data` is not the table that was fitted.
    """
    blocks = fitted_blocks(fit, open_sites(data, fit.decimal))
    sites = [_of_site(fit, block) for block in blocks.values()]
    if len(sites) == 1:
        (block,) = blocks.values()
        return sites, data.index[block.kept] if isinstance(data, pd.DataFrame) else pd.Index(block.kept)
    labels = [(name, row) for name, block in blocks.items() for row in block.kept.tolist()]
    return sites, pd.MultiIndex.from_tuples(labels, names=["site", "row"])


def _of_site(fit: LinearFit, block: DesignBlock) -> _Fitted:
    X, response = _columns(fit, block), [Column.of(block.y, block.y_exact)]
    residual = np.zeros(len(block.y)) if fit.perfect else -_linear(fit, X, (1, _offset(block)), (-1, response))
    weights = np.ones(len(block.y)) if block.weights is None else block.weights
    return _Fitted(X, block.y, residual, weights, block.kept)


def fitted_blocks(fit: LinearFit, sources: Mapping[str, Source]) -> dict[str, DesignBlock]:
    """The rows by site.  Raises DataError if they are not those that were fitted."""
    formula, contract = parse(fit.formula), Contract.from_dict(fit.contract)
    blocks = {
        name: build(formula, contract, source, missing=fit.missing, family=fit.family)
        for name, source in sources.items()
    }
    _check_same_table(fit, list(blocks.values()))
    return blocks


def _check_same_table(fit: LinearFit, blocks: list[DesignBlock]) -> None:
    """Raises DataError unless the table has the cross-products that were fitted."""
    found, known = reduce(add, map(sums, blocks)), fit.gram
    if found.rows != known.rows:
        raise DataError(
            f"this is not the table that was fitted: it has {found.rows} rows of positive weight, not {known.rows}"
        )
    scale = [known.fraction(c, c) for c in range(known.columns)]
    for i in range(known.columns):
        for j in range(i + 1):
            off = found.fraction(i, j) - known.fraction(i, j)
            if off * off > SAME * scale[i] * scale[j]:
                names = [*fit.terms, "the response"]
                which = names[i] if i == j else f"{names[i]} times {names[j]}"
                raise DataError(
                    f"this is not the table that was fitted: sums over its rows differ ({which}); give the same rows, "
                    f"response and weights"
                )


def _columns(fit: LinearFit, block: Rows | DesignBlock) -> list[Column]:
    """The columns kept."""
    return [Column.of(block.x[c], block.exact[c]) for c in fit.kept]


def _offset(block: Rows | DesignBlock) -> list[Column]:
    """The offset as a column, none without."""
    return [] if block.offset is None else [Column.of(block.offset, block.offset_exact)]


def _linear(fit: LinearFit, X: list[Column], *more: tuple[int, list[Column]]) -> Floats:
    """X b and what is added to it, each column times its factor: (n,), rounded once."""
    high, low = fit.solution.coef_pair
    factors = [factor for factor, columns in more for _ in columns]
    added = np.array(factors, dtype=np.float64).reshape(-1, 1)

    def exact() -> list[list[Fraction]]:
        return [*fit.solution.coef_exact(), *([Fraction(factor)] for factor in factors)]

    columns = [*X, *(column for _, columns in more for column in columns)]
    return times(columns, np.vstack([high, added]), np.vstack([low, 0 * added]), exact)[:, 0]


def _leverage(fit: LinearFit, X: list[Column], n: int) -> tuple[Floats, NDArray[np.int64]]:
    """(s, e) with x'(X'WX)^-1 x = s 4^e (n,), the squared length of R x with R'R = (X'WX)^-1.

    The length is a float64 where its square may be none.
    """
    if not X:
        return np.zeros(n), np.zeros(n, dtype=np.int64)
    high, low = (part.T for part in fit.solution.root_pair)
    cuts = (slice(i, i + BLOCK) for i in range(0, n, BLOCK))
    blocks = (times([column.rows(some) for column in X], high, low) for some in cuts)
    found = []
    for block in blocks:
        exponent = np.frexp(np.abs(block).max(axis=1))[1].astype(np.int64)
        found.append((np.square(np.ldexp(block, -exponent[:, None])).sum(axis=1), exponent))
    squares, exponents = zip(*found, strict=True)
    return np.concatenate(squares), np.concatenate(exponents)


def _influence(fit: LinearFit, site: _Fitted) -> pd.DataFrame:
    """R's lm.influence, rstandard, rstudent, cooks.distance and dffits, with e = sqrt(w) (y - fitted) and leverage h:

        standardized  e / (sigma sqrt(1 - h))        studentized  the same with sigma of the other rows,
        Cook's        standardized^2 h / ((1 - h) p)     which is standardized sqrt((df - 1) / (df - standardized^2))

    nan for rows of weight zero, which are not in the fit, and for those that determine a coefficient on their own.
    """
    e = np.sqrt(site.weights) * site.residual
    square, exponent = _leverage(fit, site.X, len(site.y))
    h = np.ldexp(site.weights * square, 2 * exponent)
    left = np.where((h > 1 - ON_ITS_OWN) | (site.weights == 0), np.nan, 1 - h)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        standardized = e / (fit.sigma * np.sqrt(left))
        others = fit.df_resid - 1 if fit.df_resid > 1 else np.nan
        studentized = standardized * np.sqrt(others / np.maximum(fit.df_resid - standardized**2, 0.0))
        cooks = standardized**2 * h / (left * fit.rank)
        dffits = studentized * np.sqrt(h / left)
        fitted = site.y - site.residual
    _check_within_range({"the fitted value": fitted}, site.kept)
    return pd.DataFrame(
        {
            "fitted": fitted,
            "residual": site.residual,
            "leverage": h,
            "standardized": standardized,
            "studentized": studentized,
            "cooks_distance": cooks,
            "dffits": dffits,
        }
    )


def _check_estimable(fit: LinearFit, new: Rows) -> None:
    """Raises DataError for rows where a column that was left out is not what the others made it in the fit."""
    for dependence in fit.everything.dependences:
        places = [*dependence.coefficients, dependence.column]
        factors = [*dependence.coefficients.values(), Fraction(-1)]
        high, low = np.array([pair(rational(factor)) for factor in factors]).T[..., np.newaxis]
        off = times([Column.of(new.x[c], new.exact[c]) for c in places], high, low)[:, 0]
        size = sum(np.abs(new.x[c] * h) for c, (h,) in zip(places, high.tolist(), strict=True))
        bad = np.abs(off) > HOLDS * size
        if bad.any():
            first = int(np.argmax(bad))
            raise DataError(
                f"no prediction is defined for {int(bad.sum())} of {len(bad)} rows, the first is row "
                f"{1 + int(new.kept[first])} (counted from 1): '{fit.terms[dependence.column]}' was left out because "
                f"other columns explain it in every row that was fitted, and here it differs by {abs(off[first]):.3g}. "
                f"Fit again with rows where they differ, or leave the column out of the formula"
            )
