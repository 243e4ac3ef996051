"""Analysis of variance of linear fits: terms in sequence, and two nested fits."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sumwise.data import Contract, parse
from sumwise.data.terms import terms_of
from sumwise.errors import UsageError
from sumwise.maths.least_squares import LeastSquares
from sumwise.maths.rounding import fraction
from sumwise.results.inference import f_test

if TYPE_CHECKING:
    from sumwise.results.linear import LinearFit


def sequential(fit: LinearFit) -> pd.DataFrame:
    """Type I: one row a term, in the order of the columns, and the residuals: df, sum_sq, mean_sq, F, p."""
    explained, rank, rows = _rss_exact(fit, 0), 0, []
    for label, last in _terms(fit):
        after, new_rank = _rss_exact(fit, last), sum(place < last for place in fit.kept)
        if label != "(Intercept)":
            rows.append((label, new_rank - rank, float(explained - after)))
        explained, rank = after, new_rank
    rows.append(("Residuals", fit.df_resid, fit.rss))
    table = pd.DataFrame(rows, columns=["term", "df", "sum_sq"]).set_index("term")
    with np.errstate(invalid="ignore", divide="ignore"):
        table["mean_sq"] = table["sum_sq"] / table["df"]
        table["F"] = table["mean_sq"] / table["mean_sq"].iloc[-1]
    tests = [f_test(f, df, fit.df_resid) for f, df in zip(table["F"], table["df"], strict=True)]
    table["F"], table["p"] = [test.value for test in tests], [test.p for test in tests]
    table.iloc[-1, [3, 4]] = np.nan
    return table


def _terms(fit: LinearFit) -> list[tuple[str, int]]:
    """(label, how many columns there are up to its last) of each term.  Products of which the formula has no term, as b
    in ~ a:b, belong to the term after them.
    """
    formula, contract = parse(fit.formula), Contract.from_dict(fit.contract)
    levels, terms = contract.levels(formula), terms_of(formula.fixed)
    found: dict[str, int] = {}
    columns = 0
    for product in contract.products:
        label = ":".join(formula.atoms[part.atom].text for part in product) or "(Intercept)"
        columns += int(np.prod([max(len(levels[part.atom]) - part.reduced, 1) for part in product]))
        if frozenset(part.atom for part in product) in terms:
            found[label] = columns
    return list(found.items())


def _rss_exact(fit: LinearFit, columns: int) -> Fraction:
    """Residual sum of squares of the fit on the first columns alone."""
    some = LeastSquares(fit.gram, tuple(place for place in fit.kept if place < columns), (len(fit.terms),))
    return fraction(some.rationals.rss(0))


def compare(one: LinearFit, two: LinearFit) -> pd.DataFrame:
    """Two rows, the smaller fit first: df_resid, rss, df, sum_sq, F, p.   Raises UsageError; see LinearFit.anova."""
    small, large = sorted((one, two), key=lambda fit: fit.rank)
    _check_nested(small, large)
    df, explained = large.rank - small.rank, float(_rss_of(small) - _rss_of(large))
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(np.divide(explained / df, large.rss / large.df_resid)) if df and large.df_resid else np.nan
    test = f_test(value, df, large.df_resid)
    rows: list[dict[str, Any]] = [
        {"df_resid": small.df_resid, "rss": small.rss},
        {"df_resid": large.df_resid, "rss": large.rss, "df": df, "sum_sq": explained, "F": test.value, "p": test.p},
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
