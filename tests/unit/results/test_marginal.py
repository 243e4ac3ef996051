"""What the package marginaleffects makes of a fit."""

import numpy as np
import pandas as pd
import pytest

import sumwise as sw
from sumwise.datasets import load

marginaleffects = pytest.importorskip("marginaleffects")
pytestmark = pytest.mark.filterwarnings("ignore:`cat.get_categories:DeprecationWarning")  # its own, of polars

FORMULA = "use ~ age + urban + factor(livch) + (1 | district)"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return load("contraception")


@pytest.fixture(scope="module")
def fit(data: pd.DataFrame) -> sw.Fit:
    return sw.fit(FORMULA, data, family="binomial")


def test_average_slopes_are_differences_of_predictions(fit: sw.Fit, data: pd.DataFrame) -> None:
    found = marginaleffects.avg_slopes(fit.marginal(data), variables="age")
    step = 1e-5
    moved = [fit.predict(data.assign(age=data.age + s), random=False).mean() for s in (step, -step)]
    assert found["estimate"][0] == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-5)
    assert found["std_error"][0] > 0


def test_comparisons_of_levels_are_differences_of_predictions(fit: sw.Fit, data: pd.DataFrame) -> None:
    found = marginaleffects.avg_comparisons(fit.marginal(data), variables="urban")
    each = [fit.predict(data.assign(urban=level), random=False).mean() for level in ("Y", "N")]
    assert found["estimate"][0] == pytest.approx(each[0] - each[1], rel=1e-10)


def test_errors_of_average_predictions_are_the_delta_method(fit: sw.Fit, data: pd.DataFrame) -> None:
    found = marginaleffects.avg_predictions(fit.marginal(data))
    p = fit.predict(data, random=False).to_numpy()
    levels = ["1", "2", "3plus"]
    X = [np.ones(len(data)), data.age, data.urban == "Y", *(data.livch == level for level in levels)]
    gradient = (np.column_stack(X).astype(float) * (p * (1 - p))[:, None]).mean(axis=0)
    assert found["estimate"][0] == pytest.approx(p.mean(), rel=1e-12)
    assert found["std_error"][0] == pytest.approx(np.sqrt(gradient @ fit.vcov.to_numpy() @ gradient), rel=1e-5)


def test_numbers_used_as_a_factor_have_levels() -> None:
    data = load("cbpp").assign(share=lambda d: d.incidence / d["size"])
    fit = sw.fit("share ~ factor(period)", data)
    found = marginaleffects.avg_comparisons(fit.marginal(data), variables="period")
    np.testing.assert_allclose(found["estimate"].to_numpy(), fit.coef.iloc[1:], rtol=1e-9)
    np.testing.assert_allclose(found["std_error"].to_numpy(), fit.se.iloc[1:], rtol=1e-5)


def test_what_marginaleffects_cannot_read_is_said(data: pd.DataFrame) -> None:
    odd = data.rename(columns={"age": "age (years)"})
    fit = sw.fit("use ~ `age (years)`", odd)
    with pytest.raises(sw.UsageError, match=r"rename 'age \(years\)'"):
        fit.marginal(odd)
    twice = sw.fit("use ~ age + I(2 * age)", data)
    with pytest.raises(sw.DataError, match="has no coefficient"):
        twice.marginal(data)
    with pytest.raises(sw.UsageError, match="takes a table"):
        sw.fit("use ~ age", data).marginal("table.csv")
