"""Questions about coefficients that their covariance answers: contrasts, tests of terms, inflation of variances.

L b ~ N(L beta, L V L'),   (L b)' (L V L')^-1 (L b) ~ chi2(rows of L),   divided by them: F(rows of L, df)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc, stdtrit

from sumwise.data import Contract, parse
from sumwise.data.terms import choices, terms_of
from sumwise.errors import DataError, UsageError
from sumwise.maths.cholesky import cholesky
from sumwise.maths.student import two_sided
from sumwise.results.inference import normal_quantile, two_sided_p

if TYPE_CHECKING:
    from sumwise.results.fit import Fit

Floats = NDArray[np.float64]

Weights = Mapping[str, float] | Sequence[float]
"""Of the coefficients: by term, zero for those that are not named, or one for each."""


def contrasts(
    fit: Fit, weights: Weights | Mapping[str, Weights] | pd.DataFrame, level: float, null: float
) -> pd.DataFrame:
    """See Fit.contrast."""
    names, L = _rows(fit, weights)
    b, V = fit.coef.to_numpy(), fit.vcov.to_numpy()
    used = np.any(L != 0, axis=0)
    if np.isnan(b[used]).any():
        lost = [term for term, use, value in zip(fit.terms, used, b, strict=True) if use and np.isnan(value)]
        raise DataError(f"'{lost[0]}' has no coefficient: other columns explain it, so no contrast with it is defined")
    b, V = np.where(used, b, 0.0), np.where(np.multiply.outer(used, used), V, 0.0)
    estimate = np.array([fsum(row * b) for row in L])
    se = np.sqrt([_quadratic(row, V) for row in L])
    df = fit.df_of(L)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = (estimate - null) / se
    p = np.array([tail(s, d) for s, d in zip(statistic, df, strict=True)])
    half = np.array([quantile(level, d) for d in df]) * se
    table = {"estimate": estimate, "std_error": se, "df": df, "statistic": statistic, "p_value": p}
    return pd.DataFrame({**table, "lower": estimate - half, "upper": estimate + half}, index=names)


def tail(statistic: float, df: float) -> float:
    """P(|T| > |statistic|), T ~ t(df), normal for infinite df."""
    if np.isinf(df):
        return float(two_sided_p(np.array(statistic)))
    return float(two_sided(np.array(statistic), df))


def quantile(level: float, df: float) -> float:
    """t with P(|T| < t) = level, T ~ t(df), normal for infinite df.  Raises UsageError unless 0 < level < 1."""
    normal = normal_quantile(level)
    return normal if np.isinf(df) else float(stdtrit(df, (1 + level) / 2))


def _rows(fit: Fit, weights: Any) -> tuple[list[str], Floats]:
    if isinstance(weights, pd.DataFrame):
        rows = {str(name): dict(row) for name, row in weights.iterrows()}
    elif isinstance(weights, Mapping) and weights and all(not np.isscalar(value) for value in weights.values()):
        rows = {str(name): row for name, row in weights.items()}
    else:
        rows = {"contrast": weights}
    if not rows:
        raise UsageError("no contrast is given: name coefficients and their weights, such as {'a': 1, 'b': -1}")
    return list(rows), np.array([_row(fit.terms, name, row) for name, row in rows.items()])


def _row(terms: tuple[str, ...], name: str, weights: Any) -> list[float]:
    """(p,) of one contrast."""
    if isinstance(weights, Mapping):
        unknown = [term for term in weights if term not in terms]
        if unknown:
            raise UsageError(
                f"{name}: there is no coefficient {unknown[0]!r}; the fit has {', '.join(map(repr, terms[:20]))}"
            )
        weights = [weights.get(term, 0.0) for term in terms]
    try:
        row = [float(weight) for weight in weights]
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: weights are numbers, by term or one a coefficient; {error}") from error
    if len(row) != len(terms) or not np.all(np.isfinite(row)) or not any(row):
        raise UsageError(f"{name}: {len(terms)} finite numbers, not all zero, belong there; there are {len(row)}")
    return row


def _quadratic(row: Floats, V: Floats) -> float:
    return max(fsum(row * np.array([fsum(row * line) for line in V])), 0.0)


# -- tests of terms --


def terms_of_fit(fit: Fit) -> dict[str, tuple[frozenset[str], list[int]]]:
    """Label of a term -> its variables, and the places of its columns among the coefficients.

    Products of which the formula has no term, as b in ~ a:b, belong to the term after them.
    """
    formula, contract = parse(fit.formula), Contract.from_dict(fit.contract)
    levels, terms = contract.levels(formula), terms_of(formula.fixed)
    found: dict[str, tuple[frozenset[str], list[int]]] = {}
    place, waiting = 0, list[int]()
    for product in contract.products:
        label = ":".join(formula.atoms[part.atom].text for part in product) or "(Intercept)"
        columns = sum(1 for _ in choices(product, levels))
        waiting += range(place, place + columns)
        place += columns
        if frozenset(part.atom for part in product) in terms:
            found[label] = frozenset(formula.atoms[part.atom].text for part in product), waiting
            waiting = []
    return found


def term_tests(fit: Fit, kind: str) -> pd.DataFrame:
    """Wald tests of type "II" or "III", one row a term but the intercept: df, statistic, df2, p_value.

    III: all coefficients of the term are zero.   II: the term adds nothing to a model with all terms that do not
    contain it [Fox 2016, section 8.2.5]: its coefficients, less what those of the terms that contain it tell of them.
    """
    if kind not in ("II", "III"):
        raise UsageError(f"kind={kind!r}: tests of terms are of type 'II' or 'III'")
    terms = terms_of_fit(fit)
    rows = []
    for label, (variables, places) in terms.items():
        if label == "(Intercept)":
            continue
        above = [c for other, (more, columns) in terms.items() if more > variables and kind == "II" for c in columns]
        own = _estimated(fit, places)
        statistic, df2 = fit.joint_test(_beyond(fit, own, _estimated(fit, above))) if own else (np.nan, np.nan)
        p = chdtrc(len(own), statistic) if np.isinf(df2) else fdtrc(len(own), df2, statistic)
        rows.append((label, len(own), statistic, df2, float(p)))
    return pd.DataFrame(rows, columns=["term", "df", "statistic", "df2", "p_value"]).set_index("term")


def joint(fit: Fit, L: Floats) -> tuple[float, float]:
    """See Fit.joint_test."""
    b, V = np.nan_to_num(fit.coef.to_numpy()), np.nan_to_num(fit.vcov.to_numpy())
    values = np.array([fsum(row * b) for row in L])
    between = np.array([[fsum(one * np.array([fsum(other * line) for line in V])) for other in L] for one in L])
    factor = cholesky((between + between.T) / 2)
    chi2 = np.nan if factor is None else fsum(values * factor.solve(values))
    df2 = float(np.min(fit.df_of(L)))
    return (chi2, df2) if np.isinf(df2) else (chi2 / len(L), df2)


def _estimated(fit: Fit, places: Iterable[int]) -> list[int]:
    return [c for c in places if np.isfinite(fit.coef.iloc[c])]


def _beyond(fit: Fit, own: list[int], above: list[int]) -> Floats:
    """(k, p) contrasts: the coefficients `own` less what those `above` tell of them, b_o - V_oa V_aa^-1 b_a."""
    L = np.eye(len(fit.terms))[own]
    if above:
        V = fit.vcov.to_numpy()
        factor = cholesky(V[np.ix_(above, above)])
        L[:, above] = np.nan if factor is None else -factor.solve(V[np.ix_(above, own)]).T
    return L


# -- inflation --


def vif(fit: Fit) -> pd.DataFrame:
    """See Fit.vif.  [Fox & Monette 1992]: det R_11 det R_22 / det R, R the correlation matrix of the coefficients but
    the intercept's, 1 those of the term.
    """
    terms = {label: places for label, (_, places) in terms_of_fit(fit).items() if label != "(Intercept)"}
    everything = sorted(c for places in terms.values() for c in places)
    if np.isnan(fit.coef.to_numpy()[everything]).any():
        raise DataError("a column has no coefficient, because other columns explain it: its inflation is infinite")
    if len(terms) < 2:
        raise UsageError("the inflation of variances compares terms: the formula has fewer than two")
    V = fit.vcov.to_numpy()
    rows = []
    for label, places in terms.items():
        others = [c for c in everything if c not in places]
        log_vif = _log_det(V, places) + _log_det(V, others) - _log_det(V, everything)
        value = float(np.exp(log_vif))
        rows.append((label, value, len(places), value ** (1 / (2 * len(places)))))
    return pd.DataFrame(rows, columns=["term", "gvif", "df", "gvif_root"]).set_index("term")


def _log_det(V: Floats, places: Sequence[int]) -> float:
    """log determinant of the correlation matrix of some coefficients."""
    factor = cholesky(V[np.ix_(places, places)])
    return np.nan if factor is None else 2 * fsum(np.log(np.diag(factor.L)))
