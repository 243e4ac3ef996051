"""Fits against R's own examples, worked out again in 200-digit arithmetic: tests/reference/glm.json."""

import numpy as np
import pandas as pd
import pytest

import sumwise
from tests import reference

CASES = {case["name"]: case for case in reference.load("glm")["cases"]}
FAMILY = {"Gamma": "gamma", "inverse gaussian": "inverse.gaussian", "negative binomial": "negbinomial"}
ROUNDED = {"probit_far": 1e-9}
"""What rounding of n mu leaves of a deviance whose rows differ by less than one success in a million."""


def table(case: dict) -> pd.DataFrame:
    """The data with factors in R's order of levels."""
    frame = pd.DataFrame(case["data"])
    for name, levels in case["levels"].items():
        frame[name] = pd.Categorical(frame[name], categories=levels)
    return frame


def formula(case: dict) -> str:
    offset = case["offset"]
    written = case["formula"]
    return written if offset is None or "offset" in written else f"{written} + offset({offset})"


def fitted(case: dict) -> sumwise.Fit:
    family = FAMILY.get(case["family"], case["family"])
    return sumwise.fit(formula(case), table(case), family=family, link=case["link"], weights=case["weights"])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["family"] != "gaussian"])
def test_fit_agrees_with_200_digit_arithmetic(name: str) -> None:
    case = CASES[name]
    answer, fit = case["answer"], fitted(case)
    bound = 1e-11
    se = np.array(answer["se"], dtype=float)
    assert [t.replace("(Intercept)", "1") for t in fit.terms] == [
        t.replace("(Intercept)", "1") for t in answer["names"]
    ]
    assert np.max(np.abs(fit.coef.to_numpy() - np.array(answer["coef"], dtype=float)) / se) < bound
    assert fit.se.to_numpy() == pytest.approx(se, rel=bound)
    assert fit.pvalues.to_numpy() == pytest.approx(np.array(answer["p"], dtype=float), rel=100 * bound)
    for ours in ("deviance", "null_deviance", "pearson", "dispersion", "loglik", "aic", "bic"):
        assert getattr(fit, ours) == pytest.approx(float(answer[ours]), rel=bound, abs=ROUNDED.get(name, 1e-12)), ours
    assert (fit.df_residual, fit.df_null, fit.df) == tuple(answer[k] for k in ("df_residual", "df_null", "loglik_df"))
    assert fit.verdict.code == "converged"
    if "theta" in answer:
        assert fit.size == pytest.approx(float(answer["theta"]), rel=1e-10)
        assert fit.size_se == pytest.approx(float(answer["theta_se"]), rel=1e-9)
