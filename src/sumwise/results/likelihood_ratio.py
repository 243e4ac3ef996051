"""Likelihood-ratio tests of nested fits, right where the smaller model lies on the boundary of the larger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from scipy.special import chdtrc, fdtrc

from sumwise.errors import UsageError
from sumwise.results.random import RandomEffects

if TYPE_CHECKING:
    from sumwise.results.fit import Fit


def compare(one: Fit, two: Fit) -> pd.DataFrame:
    """One row a fit, the smaller first: parameters, loglik, aic, bic, statistic, df, p_value, null.

    Twice the gain in log-likelihood is compared with chi2(df) where the fits differ in coefficients alone; where the
    dispersion of a generalized linear model is estimated, the fall of the deviance per df over the dispersion of the
    larger fit with F(df, its residual degrees of freedom), as R's anova(test="F").  A variance
    that is zero in the smaller model lies on the boundary of the larger: with one more effect of a factor that has q
    correlated effects already, the statistic follows a mixture in equal parts of chi2(q) and chi2(q + 1) [Self & Liang
    1987, case 6; Stram & Lee 1994].  `null` says what it was compared with.

    Raises UsageError for fits that are not of the same rows, response and method, that are not nested by their terms,
    and for differences whose null distribution is not of a known form.
    """
    small, large = sorted((one, two), key=lambda fit: fit.df)
    _check_alike(small, large)
    more = [term for term in large.terms if term not in small.terms]
    extra = _extra_effects(small, large)
    if (more or set(small.terms) != set(large.terms)) and "REML" in (_method(small), _method(large)):
        raise UsageError(
            "REML likelihoods of models with different fixed effects are of different data, and cannot be compared: "
            'fit both with method="ML"'
        )
    df = large.df - small.df
    if df <= 0 or len(more) + _thetas(extra) != df:
        raise UsageError(
            f"the fits are not nested by their terms: {small.formula!r} with {small.df} parameters and "
            f"{large.formula!r} with {large.df}; write the larger formula as the smaller one and more terms"
        )
    statistic = max(2 * (large.loglik - small.loglik), 0.0)
    if getattr(large, "dispersed", False):
        statistic, p, null = _f_test(small, large, df)
    else:
        p, null = _p_value(statistic, len(more), extra)
    rows = [{"parameters": fit.df, "loglik": fit.loglik, "aic": fit.aic, "bic": fit.bic} for fit in (small, large)]
    rows[1] |= {"statistic": statistic, "df": df, "p_value": p}
    table = pd.DataFrame(rows, index=[small.formula, large.formula])
    table["null"] = ["", null]
    return table


def _method(fit: Fit) -> str:
    return str(getattr(fit, "method", "ML"))


def _check_alike(small: Fit, large: Fit) -> None:
    for name in ("family", "link", "nobs"):
        ours, theirs = getattr(small, name), getattr(large, name)
        if ours != theirs:
            raise UsageError(f"the fits differ in {name}: {ours} and {theirs}; likelihoods of different data or kinds")
    for name in ("weights", "weights_as", "size"):
        ours, theirs = _given(small, name), _given(large, name)
        if ours != theirs:
            raise UsageError(f"the fits differ in {name}: {ours!r} and {theirs!r}; likelihoods of different kinds")
    if small.formula.partition("~")[0].strip() != large.formula.partition("~")[0].strip():
        raise UsageError("the fits have different responses, so that their likelihoods cannot be compared")
    if _method(small) != _method(large):
        raise UsageError("one fit is by REML and the other by ML: fit both the same way")
    lacking = [term for term in small.terms if term not in large.terms]
    if lacking:
        raise UsageError(
            f"the fits are not nested by name: {', '.join(map(repr, lacking[:5]))} of {small.formula!r} is no column "
            f"of {large.formula!r}; write the larger formula as the smaller one and more terms"
        )


def _given(fit: Fit, name: str) -> Any:
    """Of what fit() was told."""
    if name == "weights":
        return fit.contract.get("weights")
    if name == "size":
        return fit.size if getattr(fit, "size", None) and fit.size_se is None else None  # type: ignore[attr-defined]
    return getattr(fit, name, "precision")


Block = tuple[str, tuple[str, ...]]
"""A grouping factor, and effects of it that may correlate."""


def _blocks(fit: Fit) -> list[Block]:
    effects: tuple[RandomEffects, ...] = getattr(fit, "random", ())
    found, place = [], 0
    for each in effects:
        place = 0
        for size in each.blocks:
            found.append((each.group, each.columns[place : place + size]))
            place += size
    return found


def _extra_effects(small: Fit, large: Fit) -> list[tuple[int, int]]:
    """For each block of the larger fit that the smaller lacks in part: (effects it has there, effects more)."""
    left, extra = _blocks(small), []
    for group, columns in _blocks(large):
        inside = [block for block in left if block[0] == group and set(block[1]) <= set(columns)]
        left = [block for block in left if block not in inside]
        had = [len(block[1]) for block in inside]
        if len(had) > 1:
            raise UsageError(
                f"{small.formula!r} differs from {large.formula!r} in correlations of effects of '{group}'; use "
                f"confint of theta, or compare by AIC"
            )
        if sum(had) < len(columns):
            extra.append((sum(had), len(columns) - sum(had)))
    if left:
        group, columns = left[0]
        raise UsageError(
            f"the fits are not nested: {small.formula!r} has effects of '{group}' ({', '.join(columns)}) that "
            f"{large.formula!r} has not"
        )
    return extra


def _thetas(extra: list[tuple[int, int]]) -> int:
    return sum((had + more) * (had + more + 1) // 2 - had * (had + 1) // 2 for had, more in extra)


def _p_value(statistic: float, coefficients: int, extra: list[tuple[int, int]]) -> tuple[float, str]:
    if not extra:
        return _upper(coefficients, statistic), f"chi2({coefficients})"
    if len(extra) > 1 or extra[0][1] > 1:
        raise UsageError(
            "the larger fit has several variances more: the null distribution of their test is not of a simple form. "
            "Add one effect at a time, or use a parametric bootstrap"
        )
    low, high = coefficients + extra[0][0], coefficients + extra[0][0] + 1
    p = (_upper(low, statistic) + _upper(high, statistic)) / 2
    return p, f"chi2({low}) and chi2({high}) in equal parts: a variance is zero in the smaller model"


def _f_test(small: Fit, large: Fit, df: int) -> tuple[float, float, str]:
    """(F, p, null), by the deviances at the dispersion of the larger fit [Venables & Ripley 2002, 7.5]."""
    left: int = large.df_residual  # type: ignore[attr-defined]
    if left <= 0:
        raise UsageError(f"{large.formula!r} has no residual degrees of freedom: its dispersion is not known")
    F = max((small.deviance - large.deviance) / df / large.sigma**2, 0.0)
    return F, float(fdtrc(df, left, F)), f"F({df}, {left}): the dispersion is estimated"


def _upper(df: int, statistic: float) -> float:
    """P(chi2(df) >= statistic); chi2(0) is zero."""
    return float(statistic <= 0) if df == 0 else float(chdtrc(df, statistic))
