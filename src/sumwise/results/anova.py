"""Analysis of variance of linear fits: terms in sequence, and two nested fits."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sumwise.errors import DataError, UsageError
from sumwise.maths.least_squares import LeastSquares
from sumwise.maths.rounding import fraction
from sumwise.results.inference import f_test
from sumwise.results.wald import terms_of_fit

if TYPE_CHECKING:
    from sumwise.results.linear import LinearFit


def sequential(fit: LinearFit) -> pd.DataFrame:
    """Type I: one row a term, in the order of the columns, and the residuals: df, sum_sq, mean_sq, F, p."""
    explained, rank, rows = _rss_exact(fit, 0), 0, []
    rss = _rss_exact(fit, len(fit.terms))
    for label, (_, places) in terms_of_fit(fit).items():
        last = places[-1] + 1
        after, new_rank = _rss_exact(fit, last), sum(place < last for place in fit.kept)
        if label != "(Intercept)":
            rows.append((label, *_row(explained - after, new_rank - rank, rss, fit.df_resid)))
        explained, rank = after, new_rank
    rows.append(("Residuals", *_row(rss, fit.df_resid, Fraction(0), 0)))
    table = pd.DataFrame(rows, columns=["term", "df", "sum_sq", "mean_sq", "F", "p"]).set_index("term")
    table.iloc[-1, [3, 4]] = np.nan
    return table


def _row(square: Fraction, df: int, rss: Fraction, df_resid: int) -> tuple[int, float, float, float, float]:
    """(df, sum_sq, mean_sq, F, p) of a sum of squares, from exact numbers."""
    test = f_test(_ratio(square, df, rss, df_resid), df, df_resid)
    mean = _float(square / df, "mean square") if df else np.nan
    return df, _float(square, "sum of squares"), mean, test.value, test.p


def _ratio(square: Fraction, df: int, rss: Fraction, df_resid: int) -> float:
    """F, inf where no residual is left."""
    if not df or not df_resid:
        return np.nan
    if not rss:
        return np.inf if square else np.nan
    return _float((square / df) / (rss / df_resid), "F")


def _float(value: Fraction, what: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise DataError(f"a {what} is larger than the largest float64 (1.8e308): rescale the response") from error


def _rss_exact(fit: LinearFit, columns: int) -> Fraction:
    """Residual sum of squares of the fit on the first columns alone."""
    some = LeastSquares(fit.gram, tuple(place for place in fit.kept if place < columns), (len(fit.terms),))
    return fraction(some.rationals.rss(0))


def compare(one: LinearFit, two: LinearFit) -> pd.DataFrame:
    """Two rows, the smaller fit first: df_resid, rss, df, sum_sq, F, p.   Raises UsageError; see LinearFit.anova."""
    small, large = sorted((one, two), key=lambda fit: fit.rank)
    _check_nested(small, large)
    df, rss = large.rank - small.rank, _rss_of(large)
    explained = _rss_of(small) - rss
    test = f_test(_ratio(explained, df, rss, large.df_resid), df, large.df_resid)
    squares = _float(explained, "sum of squares")
    rows: list[dict[str, Any]] = [
        {"df_resid": small.df_resid, "rss": small.rss},
        {"df_resid": large.df_resid, "rss": large.rss, "df": df, "sum_sq": squares, "F": test.value, "p": test.p},
    ]
    return pd.DataFrame(rows, index=[small.formula, large.formula])


def _rss_of(fit: LinearFit) -> Fraction:
    return _rss_exact(fit, len(fit.terms))


def _check_nested(small: LinearFit, large: LinearFit) -> None:
    """The columns of the smaller must be columns of the larger, and their cross-products with each other and the
    response the same numbers: then both are fits to the same rows.
    """
    if small.nobs != large.nobs:
        raise UsageError(
            f"these are fits to different rows: {small.nobs} in one, {large.nobs} in the other; fit both again"
        )
    missing = [term for term in small.terms if term not in large.terms]
    if missing:
        raise UsageError(
            f"the fits are not nested by name: {', '.join(map(repr, missing[:5]))} of {small.formula!r} is no column "
            f"of {large.formula!r}; write the larger formula as the smaller one and more terms"
        )
    mine = [*range(len(small.terms)), len(small.terms)]
    theirs = [*(large.terms.index(term) for term in small.terms), len(large.terms)]
    for i, a in zip(mine, theirs, strict=True):
        for j, b in zip(mine, theirs, strict=True):
            if j <= i and small.gram.fraction(i, j) != large.gram.fraction(a, b):
                what = "response, offset or weights" if i == j == mine[-1] else "rows, response, offset or weights"
                raise UsageError(f"the fits differ in their {what}, so that F compares nothing; fit both to one table")
