"""What the fit of a mixed model answers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sumwise as sw
from sumwise.datasets import load
from sumwise.results.mixed import MixedFit
from tests import reference

FORMULA = "use ~ age + I(age^2) + urban + livch + (1 | district)"


@pytest.fixture(scope="module")
def fit() -> MixedFit:
    return sw.fit(FORMULA, load("contraception"), family="binomial")


@pytest.fixture(scope="module")
def zero() -> MixedFit:
    table = sw.simulate.two_sites().table()
    return sw.fit("y ~ 0 + " + " + ".join(f"V{j}" for j in range(1, 11)) + " + (1 | site)", table, family="binomial")


def test_tables_are_labelled_by_term(fit: MixedFit) -> None:
    terms = ["(Intercept)", "age", "I(age^2)", "urbanY", "livch1", "livch2", "livch3plus"]
    assert fit.coef.index.tolist() == fit.se.index.tolist() == fit.vcov.index.tolist() == terms
    np.testing.assert_array_equal(np.sqrt(np.diag(fit.vcov)), fit.se)


def test_criteria_follow_from_the_log_likelihood(fit: MixedFit) -> None:
    """lme4's conventions: parameters counted with theta, rows counted for BIC."""
    assert fit.df == 8
    assert fit.deviance == -2 * fit.loglik
    assert fit.aic == fit.deviance + 16
    assert fit.bic == fit.deviance + 8 * np.log(1934)


def test_variance_components_and_theta_match_the_reference(fit: MixedFit) -> None:
    """tests/reference/contraception.json"""
    expected = reference.load("contraception")
    row = fit.varcomp.iloc[0]
    assert (row["group"], row["term"]) == ("district", "(Intercept)")
    assert abs(row["sd"] - expected["sigma"]) < 1e-8
    assert row["variance"] == row["sd"] ** 2
    assert abs(fit.theta["district.(Intercept)"] - expected["sigma"]) < 1e-8
    assert abs(fit.theta_se["district.(Intercept)"] / expected["sigma_se"] - 1) < 1e-6
    assert fit.sigma == 1


def test_ranef_are_the_conditional_modes_of_the_reference(fit: MixedFit) -> None:
    """tests/reference/contraception.json, conditional_mode and mode_sd_laplace (theta times u)."""
    expected = reference.load("contraception")
    ranef = fit.ranef()
    assert ranef.index.name == "district"
    for label, mode in expected["conditional_mode"].items():
        assert abs(ranef.loc[int(label), "(Intercept)"] - np.ravel(mode)[0]) < 1e-8
    for label, sd in expected["mode_sd_laplace"].items():
        assert abs(ranef.loc[int(label), "sd (Intercept)"] - np.ravel(sd)[0]) < 1e-8


def test_predictions_agree_with_the_formula_written_out(fit: MixedFit) -> None:
    row = load("contraception").iloc[[0]]  # age 18.44, urban, 3plus children, district 1
    b = fit.coef
    link = b["(Intercept)"] + 18.44 * b["age"] + 18.44**2 * b["I(age^2)"] + b["urbanY"] + b["livch3plus"]
    assert abs(fit.predict(row, random=False, kind="link").iloc[0] - link) < 1e-12
    with_district = link + fit.ranef().loc[1, "(Intercept)"]
    assert abs(fit.predict(row).iloc[0] - 1 / (1 + np.exp(-with_district))) < 1e-12


def test_new_groups_get_a_random_effect_of_zero_or_are_refused(fit: MixedFit) -> None:
    new = load("contraception").iloc[:3].assign(district=999)
    pd.testing.assert_series_equal(fit.predict(new), fit.predict(new, random=False))
    with pytest.raises(sw.DataError, match=r"999"):
        fit.predict(new, new_groups="error")


def test_predict_needs_neither_response_nor_group_without_random_effects(fit: MixedFit) -> None:
    new = load("contraception").iloc[:3].drop(columns=["use", "district"])
    assert len(fit.predict(new, random=False)) == 3


@pytest.mark.parametrize("wrong", [{"kind": "odds"}, {"new_groups": "guess"}])
def test_wrong_options_of_predict_are_refused(fit: MixedFit, wrong: dict[str, str]) -> None:
    with pytest.raises(sw.UsageError, match=next(iter(wrong.values()))):
        fit.predict(load("contraception"), **wrong)


def test_json_keeps_every_bit_and_every_answer(fit: MixedFit, tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    text = fit.to_json(path)
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    again = sw.Fit.from_json(path)
    assert again.to_json() == text == path.read_text()
    assert again.summary() == fit.summary()
    pd.testing.assert_series_equal(again.predict(load("contraception")), fit.predict(load("contraception")))
    pd.testing.assert_frame_equal(again.ranef(), fit.ranef())


@pytest.mark.parametrize("text", ["{}", "nonsense", "[1]", '{"sumwise": 999}'])
def test_from_json_refuses_what_it_did_not_write(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(sw.UsageError):
        sw.Fit.from_json(path)


def test_from_json_names_a_file_that_is_not_there() -> None:
    with pytest.raises(sw.UsageError, match=r"nowhere\.json"):
        sw.Fit.from_json("nowhere.json")


def test_tidy_holds_full_precision_and_no_p_value_for_a_variance(fit: MixedFit) -> None:
    tidy = fit.tidy()
    assert tidy["estimate"].iloc[:-1].tolist() == fit.beta.tolist()
    assert tidy["effect"].tolist() == ["fixed"] * 7 + ["random"]
    assert np.isnan(tidy["p_value"].iloc[-1])
    assert ((tidy["lower"] < tidy["estimate"]) | (tidy["effect"] == "random")).all()


def test_wald_intervals_use_the_normal_quantile(fit: MixedFit) -> None:
    """1.959963984540054 is the 97.5 % point of the normal distribution."""
    interval = fit.confint()
    np.testing.assert_allclose(interval["upper"] - fit.coef, 1.959963984540054 * fit.se, rtol=1e-12)
    with pytest.raises(sw.UsageError, match="level"):
        fit.confint(level=95)
    with pytest.raises(sw.UsageError, match="profile"):
        fit.confint(method="profile")


def test_summary_reads_like_r(fit: MixedFit) -> None:
    text = fit.summary()
    assert str(fit) == repr(fit) == text
    for line in (
        " Family: binomial (logit)",
        "Number of obs: 1934, groups:  district, 60",
        "            Estimate Std. Error z value Pr(>|z|)",
        "Verdict: Converged.",
    ):
        assert line in text
    assert all(len(line) <= 105 for line in text.splitlines())


def test_notebooks_get_tables_with_names_escaped(fit: MixedFit) -> None:
    html = fit._repr_html_()
    assert html.count("<table>") == html.count("</table>") == 3
    assert "I(age^2)" in html
    odd = sw.fit("use ~ I(age < 0) + (1 | district)", load("contraception"), family="binomial")
    assert "I(age &lt; 0)" in odd._repr_html_()


def test_rounds_and_sites_say_what_happened(fit: MixedFit) -> None:
    rounds = fit.rounds
    assert rounds.index.tolist() == list(range(1, len(rounds) + 1))
    assert np.isnan(rounds["loglik"].iloc[0])
    assert rounds["move"].iloc[-1] == fit.verdict.move < 1e-8
    assert rounds["loglik"].iloc[-1] == fit.loglik
    # 8 parameters: loglik, gradient, 36 of the Hessian, error = 46 exact sums of 68 digits of 4 bytes
    assert rounds["bytes"].iloc[-1] == 46 * 68 * 4
    assert fit.sites.loc["data"].tolist() == [1934, 60, 0]


def test_zero_variance_is_said_in_words(zero: MixedFit) -> None:
    assert zero.theta.iloc[0] == 0
    assert zero.verdict.code == "boundary"
    assert "exactly zero" in zero.verdict.text
    assert np.isnan(zero.theta_se.iloc[0])
    assert (zero.ranef() == 0).all().all()


def test_a_fit_at_zero_variance_survives_json(zero: MixedFit) -> None:
    assert sw.Fit.from_json(zero.to_json()).summary() == zero.summary()


def test_fits_are_frozen(fit: MixedFit) -> None:
    with pytest.raises(AttributeError):
        fit.loglik = 0.0  # type: ignore[misc]


def test_glance_is_one_row(fit: MixedFit) -> None:
    glance = fit.glance()
    assert len(glance) == 1
    assert glance["verdict"][0] == "converged"
    assert glance["rounds"][0] == len(fit.rounds)


def test_averaged_predictions_lie_closer_to_one_half(fit: MixedFit) -> None:
    data = load("contraception")
    typical, average = fit.predict(data, random=False), fit.predict(data, random="average")
    assert ((average - 0.5).abs() < (typical - 0.5).abs()).all()
    assert ((average - 0.5) * (typical - 0.5) > 0).all()


def test_errors_of_predictions_are_those_of_the_linear_predictor(fit: MixedFit) -> None:
    data = load("contraception")
    found = fit.predict(data, random=False, kind="link", se=True)
    X = np.column_stack([np.ones(len(data)), data.age, data.age**2, data.urban == "Y"])
    X = np.column_stack([X, *(data.livch == level for level in ("1", "2", "3plus"))]).astype(float)
    expected = np.sqrt(np.einsum("ij,jk,ik->i", X, fit.vcov, X))
    np.testing.assert_allclose(found["std_error"], expected, rtol=1e-9)
    np.testing.assert_allclose(found["estimate"], fit.predict(data, random=False, kind="link"), rtol=0)
    response = fit.predict(data, random=False, se=True)
    np.testing.assert_allclose(response["lower"], 1 / (1 + np.exp(-found["lower"])), rtol=1e-12)
    np.testing.assert_allclose(
        response["std_error"], found["std_error"] * response["estimate"] * (1 - response["estimate"]), rtol=1e-12
    )


def test_a_new_group_adds_the_variance_between_groups(fit: MixedFit) -> None:
    new = load("contraception").iloc[:4].assign(district=999)
    known = fit.predict(new, random=False, kind="link", se=True)
    unknown = fit.predict(new, kind="link", se=True)
    variance = fit.varcomp["variance"].iloc[0]
    np.testing.assert_allclose(unknown["std_error"] ** 2, known["std_error"] ** 2 + variance, rtol=1e-12)


def test_residuals_follow_from_predictions(fit: MixedFit) -> None:
    data = load("contraception").sample(frac=1, random_state=3)
    p, y = fit.predict(data), data.use
    np.testing.assert_allclose(fit.residuals(data, kind="response"), y - p, atol=1e-14)
    np.testing.assert_allclose(fit.residuals(data), (y - p) / np.sqrt(p * (1 - p)), rtol=1e-12)
    deviance = fit.residuals(data, kind="deviance")
    np.testing.assert_allclose(deviance**2, -2 * np.where(y == 1, np.log(p), np.log1p(-p)), rtol=1e-9)
    assert deviance.index.equals(data.index)
    quantile = fit.residuals(data, kind="quantile", seed=5)
    assert np.isfinite(quantile).all()
    assert quantile.equals(fit.residuals(data, kind="quantile", seed=5))


def test_rows_that_were_not_fitted_have_no_residuals(fit: MixedFit) -> None:
    data = load("contraception")
    with pytest.raises(sw.DataError, match="it has 10 rows, not 1934"):
        fit.residuals(data.iloc[:10])
    with pytest.raises(sw.DataError, match="the group 99 of 'district' is new"):
        fit.residuals(data.assign(district=data.district.replace(1, 99)))
    with pytest.raises(sw.UsageError, match="kind='odd'"):
        fit.residuals(data, kind="odd")


def test_simulations_come_from_the_model(fit: MixedFit) -> None:
    """Means over 200 samples, five standard errors of the mean; the groups vary as the model says."""
    data = load("contraception")
    drawn = fit.simulate(data, 200, seed=2)
    assert drawn.equals(fit.simulate(data, 200, seed=2))
    assert set(np.unique(drawn)) == {0.0, 1.0}
    expected = fit.predict(data, random="average")
    between = drawn.groupby(data.district.to_numpy()).mean().std(axis=1).mean()
    conditional = fit.simulate(data, 200, seed=2, random="conditional")
    within = conditional.groupby(data.district.to_numpy()).mean().std(axis=1).mean()
    assert abs(drawn.to_numpy().mean() - expected.mean()) < 5 * 0.08 / np.sqrt(200)
    assert between > 1.2 * within
    for wrong in ({"samples": 0}, {"random": "old"}):
        with pytest.raises(sw.UsageError, match=next(iter(wrong))):
            fit.simulate(data, **wrong)
