"""Linear fits at their edges: no column left, numbers near the largest float64, calls that make no sense."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest

import sumwise as sw
from sumwise.errors import DataError, UsageError

LINE = pd.DataFrame({"x": [0.0, 1, 2, 3], "y": [1.0, 3, 2, 5]})


@pytest.mark.parametrize("y", [[1, 2, 3], [0.1, 0.2, 0.4]])
def test_a_design_of_zeros_says_that_no_coefficient_is_defined(y: list[float]) -> None:
    table = pd.DataFrame({"x": [0, 0, 0], "y": y})
    fit = sw.fit("y ~ 0 + x", table)
    assert "No coefficient is defined: x is zero in every row." in fit.verdict.text
    assert "Condition: not defined" in fit.summary()
    assert fit._repr_html_()
    assert fit.predict(table, interval="confidence").to_numpy().tolist() == [[0.0] * 4] * 3
    assert fit.residuals(table).tolist() == y
    assert fit.influence(table)["leverage"].tolist() == [0.0] * 3


def test_standard_errors_far_outside_the_data_are_right_where_the_leverage_overflows() -> None:
    """The leverage of x = 1e200 is about 2e399, its root no more than 4.5e199 (formula of simple regression)."""
    fit = sw.fit("y ~ x", LINE)
    found = fit.predict(pd.DataFrame({"x": [1e200]}), interval="confidence").iloc[0]
    assert found["std_error"] == pytest.approx(fit.sigma * 1e200 / math.sqrt(5), rel=1e-14)
    both = [fit.predict(pd.DataFrame({"x": [1e200]}), interval=kind) for kind in ("confidence", "prediction")]
    pd.testing.assert_frame_equal(*both)


def test_an_interval_beyond_float64_is_refused_with_its_row() -> None:
    with pytest.raises(DataError, match=r"lower of row 2 \(counted from 1\) is larger than the largest float64"):
        sw.fit("y ~ x", LINE).predict(pd.DataFrame({"x": [1.0, 1.4e308]}), interval="confidence")


def test_huge_responses_have_residuals_and_one_row_of_criteria() -> None:
    """What depends on no unit is the same for y and for y 2^1018, bit for bit."""
    huge = LINE.assign(y=LINE["y"] * 2.0**1018)
    fit, plain = sw.fit("y ~ x", huge), sw.fit("y ~ x", LINE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(fit.residuals(huge), plain.residuals(LINE) * 2.0**1018)
        scaled = ["fitted", "residual"]
        expected = plain.influence(LINE).assign(**{c: plain.influence(LINE)[c] * 2.0**1018 for c in scaled})
        pd.testing.assert_frame_equal(fit.influence(huge), expected, check_exact=True)
        glance = fit.glance().iloc[0]
    assert math.isinf(glance["rss"])
    assert math.isinf(glance["deviance"])
    assert glance["r2"] == plain.r2


@pytest.mark.parametrize("level", ["x", None, True, 1, 0, math.nan])
def test_a_level_that_is_none_is_refused(level: object) -> None:
    with pytest.raises(UsageError, match="a confidence level lies between 0 and 1"):
        sw.fit("y ~ x", LINE).confint(level)  # type: ignore[arg-type]


def test_anova_takes_fits_only() -> None:
    with pytest.raises(UsageError, match="anova compares with another linear fit, not with 3"):
        sw.fit("y ~ x", LINE).anova(3)  # type: ignore[arg-type]


def test_a_fit_with_a_field_missing_is_refused_by_name() -> None:
    text = sw.fit("y ~ x", LINE).to_json()
    with pytest.raises(UsageError, match="the field 'nobs' is missing"):
        sw.Fit.from_json(text.replace('"nobs"', '"nobz"'))
    with pytest.raises(UsageError, match="not a whole fit written by to_json"):
        sw.Fit.from_json(text.replace('"entries": [', '"entries": ["no number",'))


def test_a_fit_cannot_be_written_into_nowhere() -> None:
    with pytest.raises(UsageError, match=r"cannot write a fit to '/nope/x.json'"):
        sw.fit("y ~ x", LINE).to_json("/nope/x.json")


def test_threads_are_whole_numbers_of_any_kind() -> None:
    assert sw.fit("y ~ x", LINE, threads=np.int64(2)).nobs == 4  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="threads=True: a whole number from 1"):
        sw.fit("y ~ x", LINE, threads=True)
