"""sumwise.fit for linear mixed models with several grouping factors (tests/reference/lmm.json)."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import sumwise as sw
from tests import reference

CASES = {name: case for name, case in reference.cases("lmm").items() if len({t["group"] for t in case["random"]}) > 1}


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("name", CASES)
def test_estimates_are_the_references(name: str, method: str) -> None:
    case: dict[str, Any] = CASES[name]
    expected = case[method]
    fit = sw.fit(case["formula"], reference.frame(case), method=method)
    assert abs(fit.loglik - float(expected["loglik"])) < 1e-9
    for found, key in ((fit.coef, "beta"), (fit.se, "se"), (fit.theta, "theta")):
        np.testing.assert_allclose(found, reference.floats(expected[key]), rtol=1e-8, atol=1e-9)
    assert fit.sigma == pytest.approx(float(expected["sigma"]), rel=1e-8)
    np.testing.assert_allclose(
        fit.df_of(np.eye(len(fit.terms))), reference.floats(expected["satterthwaite"]), rtol=1e-5
    )
    for group, effects in expected["ranef"].items():
        ranef = fit.ranef(group)
        for label, values in effects.items():
            row = ranef.loc[label if label in ranef.index else int(label)]
            np.testing.assert_allclose(row.iloc[:1], reference.floats(values), atol=1e-7)


@pytest.fixture(scope="module")
def penicillin() -> pd.DataFrame:
    return reference.frame(CASES["penicillin"])


def test_several_factors_are_listed_and_their_effects_asked_by_name(penicillin: pd.DataFrame) -> None:
    fit = sw.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin)
    assert fit.ngroups.to_dict() == {"plate": 24, "sample": 6}
    assert "groups:  plate, 24; sample, 6" in fit.summary()
    assert fit.ranef("sample").shape == (6, 2)
    with pytest.raises(sw.UsageError, match=r"the grouping factors are 'plate', 'sample'; name one"):
        fit.ranef()
    again = sw.Fit.from_json(fit.to_json())
    assert again.summary() == fit.summary()
    pd.testing.assert_series_equal(again.predict(penicillin), fit.predict(penicillin))


def test_predictions_add_the_effects_of_all_factors(penicillin: pd.DataFrame) -> None:
    fit = sw.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin)
    effects = [fit.ranef(g)["(Intercept)"].reindex(penicillin[g].astype(str)).to_numpy() for g in ("plate", "sample")]
    np.testing.assert_allclose(fit.predict(penicillin), fit.coef.iloc[0] + effects[0] + effects[1], rtol=1e-13)
    drawn = fit.simulate(penicillin, 200, seed=4).to_numpy()
    total = fit.varcomp["variance"].sum()
    assert abs(drawn.var() / total - 1) < 0.5


def test_nested_factors_may_be_written_with_a_slash() -> None:
    data = reference.frame(CASES["pastes"])
    one = sw.fit("strength ~ 1 + (1 | batch/cask)", data) if "cask" in data else None
    other = sw.fit("strength ~ 1 + (1 | batch) + (1 | sample)", data)
    assert other.ngroups["sample"] == 30
    if one is not None:
        assert one.loglik == pytest.approx(other.loglik, abs=1e-10)


def test_the_same_grouping_twice_is_refused(penicillin: pd.DataFrame) -> None:
    twin = penicillin.assign(copy=penicillin["plate"].astype(str) + "x")
    with pytest.raises(sw.DataError, match="plate"):
        sw.fit("diameter ~ 1 + (1 | plate) + (1 | copy)", twin)


def test_levels_at_two_sites_are_refused(penicillin: pd.DataFrame) -> None:
    sites = {str(k): part for k, part in penicillin.groupby(penicillin["plate"].astype(str) < "m")}
    with pytest.raises(sw.DataError, match="'sample' must lie within one site"):
        sw.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", sites)
