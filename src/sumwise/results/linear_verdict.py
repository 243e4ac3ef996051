"""How far to believe a linear fit, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sumwise.printing import combination
from sumwise.results.linear_digits import typical_error
from sumwise.results.record import Verdict

if TYPE_CHECKING:
    from sumwise.results.linear import LinearFit


def judge(fit: LinearFit) -> Verdict:
    """codes: "exact"; "rank_deficient": columns left out; "saturated": no residual degrees of freedom; "perfect_fit":
    the residuals are zero; "data_limited": rounding of the inputs is likely to move a coefficient by more
    than its standard error.  The first that holds, in the order rank_deficient, saturated, perfect_fit, data_limited.
    """
    found = {
        "rank_deficient": _rank_deficient(fit),
        "saturated": _saturated(fit),
        "perfect_fit": "" if not fit.df_resid else _perfect(fit),
        "data_limited": _data_limited(fit),
    }
    found = {code: text for code, text in found.items() if text}
    exact = "Exact: estimates, standard errors, t, F and R-squared are the answers for these data, rounded once."
    return Verdict(next(iter(found), "exact"), " ".join([exact, *found.values()]), 0.0)


def _rank_deficient(fit: LinearFit) -> str:
    if fit.rank == len(fit.terms):
        return ""
    if not fit.rank:
        zero = ", ".join(fit.terms[:5]) + (f" and {len(fit.terms) - 5} more" if len(fit.terms) > 5 else "")
        return f"No coefficient is defined: {zero} {'are' if len(fit.terms) > 1 else 'is'} zero in every row."
    equal = [f"{fit.terms[d.column]} = {combination(d.coefficients, fit.terms)}" for d in fit.everything.dependences]
    shown = "; ".join(equal[:5]) + (f"; and {len(equal) - 5} more" if len(equal) > 5 else "")
    one = len(equal) == 1
    who = "One column that earlier ones explain is" if one else f"{len(equal)} columns that earlier ones explain are"
    its = "Its coefficient is" if one else "Their coefficients are"
    return (
        f"{who} left out: in every row, exactly, {shown}. {its} not defined; predictions are unaffected while that "
        f"relation holds."
    )


def _saturated(fit: LinearFit) -> str:
    if fit.df_resid:
        return ""
    return (
        f"Saturated: {fit.nobs} rows for {fit.rank} coefficient{'s' if fit.rank != 1 else ''} leave no degree of "
        f"freedom for the error, so there are no standard errors and no tests."
    )


def _perfect(fit: LinearFit) -> str:
    if not fit.perfect:
        return ""
    return (
        "Perfect fit: every residual is exactly zero, so the standard errors are zero too, and t, F and p-values say "
        "nothing beyond that."
    )


def _data_limited(fit: LinearFit) -> str:
    if fit.perfect or fit.input_errors is None:
        return ""
    if np.isinf(fit.input_bound).any():
        return "But rounding of the inputs, in the last decimal they are printed with, may make columns dependent."
    far = typical_error(fit, fit.input_errors) > fit.se.to_numpy()
    few = [term for term, over in zip(fit.terms, far, strict=True) if over]
    if not few:
        return ""
    named = ", ".join(few[:5]) + (f" and {len(few) - 5} more" if len(few) > 5 else "")
    return (
        f"But rounding of the inputs alone, in the last decimal they are printed with, is likely to have moved {named} "
        f"by more than the standard error."
    )
