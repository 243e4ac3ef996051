"""What the fit of a linear model answers, against R's formulas in exact arithmetic (tests/oracles/linear_model.py)."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sumwise as sw
from sumwise.data import Contract, open_sites, parse, rows
from sumwise.maths.conditioning import MOST_DIGITS
from sumwise.printing import strong
from sumwise.results.linear import LinearFit
from sumwise.results.linear_digits import typical_error
from tests.oracles.least_squares import rounded, rounded_root, solve
from tests.oracles.linear_model import LinearModel
from tests.reference import load

NIST = load("nist_strd")


def fit(formula: str, data: object, **options: object) -> LinearFit:
    fitted = sw.fit(formula, data, **options)
    assert isinstance(fitted, LinearFit)
    return fitted


def table(n: int = 24, seed: int = 4) -> pd.DataFrame:
    """x, z normal; f a factor of three levels; o an offset; w positive weights; y depends on all."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(5, 1, n), "f": np.resize(list("abc"), n)})
    frame = frame.assign(o=rng.normal(size=n), w=rng.uniform(0.2, 3, n))
    return frame.assign(y=1 + frame["x"] - 2 * frame["z"] + (frame["f"] == "b") + frame["o"] + rng.normal(size=n))


TABLE = table()
ONE = np.ones(len(TABLE))
FACTOR = [TABLE["f"] == "b", TABLE["f"] == "c"]
CASES = {
    "plain": ("y ~ x + z + f", [ONE, TABLE["x"], TABLE["z"], *FACTOR], "y", None, True),
    "weighted": ("y ~ x + z", [ONE, TABLE["x"], TABLE["z"]], "y", "w", True),
    "no intercept": ("y ~ 0 + x + z", [TABLE["x"], TABLE["z"]], "y", None, False),
    "no intercept, weighted": ("y ~ 0 + x + z", [TABLE["x"], TABLE["z"]], "y", "w", False),
    "mean": ("y ~ 1", [ONE], "y", "w", True),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request) -> tuple[LinearFit, LinearModel, pd.DataFrame]:
    formula, columns, response, weights, about_mean = request.param
    X = np.column_stack(columns).astype(float)
    w = None if weights is None else TABLE[weights].tolist()
    oracle = LinearModel.of(X.tolist(), TABLE[response].tolist(), w, about_mean=about_mean)
    return fit(formula, TABLE, weights=weights), oracle, TABLE


def test_estimates_are_the_exact_ones_rounded_once(case) -> None:
    fitted, oracle, _ = case
    assert fitted.coef.tolist() == [rounded(b) for b in oracle.solution.coef]
    assert fitted.se.tolist() == oracle.se()
    assert fitted.rss == fitted.deviance == rounded(oracle.solution.rss)
    assert fitted.sigma == rounded_root(oracle.sigma2)
    assert fitted.r2 == rounded(oracle.r2())
    assert fitted.adjusted_r2 == rounded(oracle.adjusted_r2())
    C = oracle.solution.inverse
    assert fitted.vcov.to_numpy().tolist() == [[rounded(c * oracle.sigma2) for c in row] for row in C]
    assert fitted.df_resid == oracle.df


def test_tests_are_t_and_f(case) -> None:
    """Tails: scipy.stats.t and scipy.stats.f."""
    fitted, oracle, _ = case
    np.testing.assert_allclose(fitted.t, fitted.coef / fitted.se, rtol=1e-15)
    np.testing.assert_allclose(fitted.pvalues, 2 * stats.t.sf(np.abs(fitted.t), oracle.df), rtol=1e-12)
    half = stats.t.ppf(0.95, oracle.df) * fitted.se
    np.testing.assert_allclose(fitted.confint(0.9)["upper"], fitted.coef + half, rtol=1e-12)
    if oracle.solution.rank > oracle.about_mean:
        assert fitted.fstat.value == rounded(oracle.f())
        assert fitted.fstat.df1 == oracle.solution.rank - oracle.about_mean
        np.testing.assert_allclose(fitted.fstat.p, stats.f.sf(*fitted.fstat[:3]), rtol=1e-12)
    else:
        assert np.isnan(fitted.fstat.value)


def test_log_likelihood_counts_parameters_as_r(case) -> None:
    """R's logLik.lm: df = rank + 1; AIC and BIC from it."""
    fitted, oracle, data = case
    assert abs(fitted.loglik - oracle.loglik()) < 1e-12
    assert fitted.df == oracle.solution.rank + 1
    assert fitted.aic == -2 * fitted.loglik + 2 * fitted.df
    assert fitted.bic == -2 * fitted.loglik + fitted.df * np.log(len(data))


def test_influence_is_r_s(case) -> None:
    fitted, oracle, data = case
    found, expected = fitted.influence(data), pd.DataFrame(oracle.influence())
    assert found.columns.tolist() == expected.columns.tolist()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, err_msg=name)
    assert found["residual"].tolist() == expected["residual"].tolist()
    weights = np.array([float(w) for w in oracle.w])
    np.testing.assert_allclose(
        fitted.residuals(data, kind="pearson"), np.sqrt(weights) * expected["residual"], rtol=1e-15
    )
    for kind in ("standardized", "studentized"):
        pd.testing.assert_series_equal(fitted.residuals(data, kind=kind), found[kind])


def test_predictions_have_their_standard_errors_and_intervals(case) -> None:
    """Confidence: sigma sqrt(x'(X'WX)^-1 x); prediction: sigma sqrt(1 + the same); t quantiles of scipy.stats."""
    fitted, oracle, data = case
    rows = oracle.X
    mean = [rounded(oracle.fitted(row)) for row in rows]
    se = np.array([rounded_root(oracle.quadratic(row) * oracle.sigma2) for row in rows])
    assert fitted.predict(data).tolist() == mean
    confidence = fitted.predict(data, interval="confidence", level=0.9)
    prediction = fitted.predict(data, interval="prediction", level=0.9)
    assert confidence["estimate"].tolist() == prediction["estimate"].tolist() == mean
    np.testing.assert_allclose(confidence["std_error"], se, rtol=1e-14)
    quantile = stats.t.ppf(0.95, oracle.df)
    np.testing.assert_allclose(confidence["upper"], mean + quantile * se, rtol=1e-12)
    np.testing.assert_allclose(prediction["lower"], mean - quantile * np.hypot(fitted.sigma, se), rtol=1e-12)


def test_an_offset_is_taken_from_the_response() -> None:
    """R's summary.lm computes R2 without the offset: y - o is what is explained."""
    fitted = fit("y ~ x + offset(o) + offset(0.5 * z)", TABLE)
    exact = [
        float(y) - float(o) - float(h) for y, o, h in zip(*(TABLE[c] for c in "yo"), 0.5 * TABLE["z"], strict=True)
    ]
    assert abs(fitted.coef["x"] - fit("v ~ x", TABLE.assign(v=exact)).coef["x"]) < 1e-14
    predicted = fitted.predict(TABLE)
    np.testing.assert_allclose(TABLE["y"] - predicted, fitted.residuals(TABLE), atol=1e-13)
    np.testing.assert_allclose((fitted.residuals(TABLE) ** 2).sum(), fitted.rss, rtol=1e-13)


def test_rows_of_weight_zero_do_not_count() -> None:
    """R's lm leaves them out of nobs, df and the log-likelihood, and gives them no standardized residual."""
    data = TABLE.assign(w=np.where(TABLE.index % 5 == 0, 0.0, TABLE["w"]))
    kept = data[data["w"] > 0]
    whole, part = fit("y ~ x", data, weights="w"), fit("y ~ x", kept, weights="w")
    assert whole.coef.tolist() == part.coef.tolist()
    assert (whole.nobs, whole.df_resid, whole.loglik) == (part.nobs, part.df_resid, part.loglik)
    assert whole.ignored == 5
    influence = whole.influence(data)
    assert influence.loc[data["w"] == 0, "standardized"].isna().all()
    pd.testing.assert_frame_equal(influence.loc[kept.index], part.influence(kept))
    assert "19 rows, 5 more of weight zero" in whole.summary()


# ---- NIST -----------------------------------------------------------------------------------------------------------


def nist(name: str) -> tuple[str, pd.DataFrame]:
    """The formula and the table of a set, numbers as the texts that NIST prints."""
    raw = NIST[name]
    frame = pd.DataFrame({f"x{k}": column for k, column in enumerate(raw["x"], 1)} | {"y": raw["y"]})
    if raw["model"].startswith("poly"):
        powers = [f"I(x1^{k})" for k in range(2, int(raw["model"].removeprefix("poly")) + 1)]
        return "y ~ " + " + ".join(["x1", *powers]), frame
    terms = " + ".join(frame.columns[:-1])
    return f"y ~ {'0 + ' if raw['model'] == 'noint' else ''}{terms}", frame


@pytest.mark.parametrize("name", NIST)
@pytest.mark.parametrize("how", ["float64", "decimal"])
def test_nist_sets_are_correctly_rounded(name: str, how: str) -> None:
    """tests/reference/nist_strd.json, exact: 40 digits for the float64 design and for the printed decimals."""
    formula, frame = nist(name)
    fitted = fit(formula, frame.astype(float), decimal=how == "decimal")
    answers = NIST[name]["exact"]
    exact = answers["decimal"] if how == "decimal" else answers["design64"]
    if name == "Filip" and how == "float64":  # its powers are rounded once, ours after each multiplication
        X = rows(parse(formula), Contract.from_dict(fitted.contract), open_sites(frame.astype(float))["data"]).X
        ours = solve(X.tolist(), frame["y"].astype(float).tolist())
        exact = {"coef": [rounded(b) for b in ours.coef], "rss": rounded(ours.rss)}
        exact["se"] = [rounded_root(ours.inverse[j][j] * ours.rss / 71) for j in range(11)]
        exact |= {"resid_sd": rounded_root(ours.rss / 71), "r2": fitted.r2}
    assert fitted.coef.tolist() == [float(v) for v in exact["coef"]]
    assert fitted.se.tolist() == [float(v) for v in exact["se"]]
    assert fitted.sigma == float(exact["resid_sd"])
    assert fitted.r2 == float(exact["r2"])
    assert fitted.rss == float(exact["rss"])


@pytest.mark.parametrize("name", NIST)
def test_nist_decimals_equal_every_certified_digit(name: str) -> None:
    """tests/reference/nist_strd.json, certified: 15 digits as NIST prints them."""
    formula, frame = nist(name)
    fitted, certified = fit(formula, frame.astype(float), decimal=True), NIST[name]["certified"]
    for ours, printed in [
        *zip(fitted.coef, certified["coef"], strict=True),
        *zip(fitted.se, certified["se"], strict=True),
        (fitted.sigma, certified["resid_sd"]),
        (fitted.r2, certified["r2"]),
    ]:
        assert abs(ours - float(printed)) <= 1e-14 * abs(float(printed)) + 1e-300


def test_longley_prints_as_in_r() -> None:
    """Values: NIST's certified ones (tests/reference/nist_strd.json), rounded as the summary rounds them."""
    formula, frame = nist("Longley")
    fitted = fit(formula, frame.astype(float))
    text = fitted.summary()
    assert str(fitted) == repr(fitted) == text
    for line in (
        "Formula: y ~ x1 + x2 + x3 + x4 + x5 + x6",
        "                  Estimate   Std. Error t value Pr(>|t|)     digits",
        "Residual standard error: 304.9 on 9 degrees of freedom",
        "Multiple R-squared: 0.9955, Adjusted R-squared: 0.9925",
        "F-statistic: 330.3 on 6 and 9 DF, p-value: 4.98e-10",
        "Verdict: Exact",
        "Rounds: 1, one question to 1 site and one exact sum back",
    ):
        assert line in text
    assert "-3482258.63" in text
    assert all(len(line) <= 105 for line in text.splitlines())


def test_filip_predicts_where_its_columns_nearly_cancel() -> None:
    """Residuals of the printed decimals reproduce the exact rss: tests/reference/nist_strd.json."""
    formula, frame = nist("Filip")
    data = frame.astype(float)
    fitted = fit(formula, data, decimal=True)
    residuals = fitted.residuals(data)
    exact = float(NIST["Filip"]["exact"]["decimal"]["rss"])
    np.testing.assert_allclose((residuals**2).sum(), exact, rtol=1e-14)
    assert fitted.influence(data)["leverage"].sum() == pytest.approx(11, abs=1e-12)  # the trace of the hat matrix


# ---- dependent columns, perfect and saturated fits ------------------------------------------------------------------

WHOLE = pd.DataFrame({"x": [1.0, 2, 3, 4, 5, 6], "z": [2.0, 7, 1, 8, 2, 8], "y": [1.0, 3, 2, 5, 4, 4]})


def test_a_column_that_others_explain_is_left_out_and_named() -> None:
    data = WHOLE.assign(u=2 * WHOLE["x"] - 3 * WHOLE["z"] + 5, h=WHOLE["x"] / 2)
    fitted, without = fit("y ~ x + z + u + h", data), fit("y ~ x + z", data)
    assert fitted.coef.isna().tolist() == fitted.se.isna().tolist() == [False, False, False, True, True]
    assert fitted.coef[:3].tolist() == without.coef.tolist()
    assert fitted.vcov.iloc[:3, :3].to_numpy().tolist() == without.vcov.to_numpy().tolist()
    assert fitted.vcov["u"].isna().all()
    assert fitted.verdict.code == "rank_deficient"
    assert "u = 2 * x - 3 * z + 5; h = 1/2 * x" in fitted.verdict.text
    assert (fitted.rank, fitted.df_resid, fitted.loglik) == (3, 3, without.loglik)
    assert fitted.predict(data).tolist() == without.predict(data).tolist()
    assert "Coefficients: (2 not defined" in fitted.summary()
    assert fitted.summary().count("NA") >= 8
    assert "NA" in fitted._repr_html_()


def test_predictions_that_need_the_column_left_out_are_refused() -> None:
    data = WHOLE.assign(h=WHOLE["x"] / 2)
    fitted = fit("y ~ x + h", data)
    with pytest.raises(sw.DataError, match=r"1 of 6 rows, the first is row 3.*'h' was left out"):
        fitted.predict(data.assign(h=np.where(WHOLE["x"] == 3, 9.0, data["h"])))


@pytest.mark.parametrize(("one", "text"), [(-1.0, "v = -x"), (0.0, "v = 0"), (4.0, "v = 4 * x")])
def test_a_combination_reads_as_one_would_write_it(one: float, text: str) -> None:
    fitted = fit("y ~ x + v", WHOLE.assign(v=one * WHOLE["x"]))
    assert f"exactly, {text}. Its coefficient is not defined" in fitted.verdict.text


def test_a_perfect_fit_is_said_in_words() -> None:
    data = WHOLE.assign(y=3 * WHOLE["x"] + 0.5)
    fitted = fit("y ~ x + z", data)
    assert fitted.rss == fitted.sigma == 0
    assert fitted.r2 == fitted.adjusted_r2 == 1
    assert fitted.coef.tolist() == [0.5, 3, 0]
    assert fitted.se.tolist() == [0, 0, 0]
    assert fitted.t.tolist()[:2] == [np.inf, np.inf]
    assert np.isnan(fitted.t["z"])
    assert fitted.pvalues.tolist()[:2] == [0, 0]
    assert fitted.fstat.value == fitted.loglik == np.inf
    assert fitted.fstat.p == 0
    assert fitted.verdict.code == "perfect_fit"
    assert fitted.residuals(data).tolist() == [0] * 6
    assert "Perfect fit" in fitted.summary()
    assert sw.Fit.from_json(fitted.to_json()).summary() == fitted.summary()


def test_a_saturated_fit_has_no_standard_errors() -> None:
    data = WHOLE.iloc[:3]
    fitted = fit("y ~ x + z", data)
    assert fitted.df_resid == 0
    assert fitted.rss == 0
    assert np.isnan(
        [fitted.sigma, fitted.adjusted_r2, *fitted.fstat[::3], *fitted.se, *fitted.t, *fitted.pvalues]
    ).all()
    assert fitted.verdict.code == "saturated"
    assert fitted.confint().isna().all().all()
    assert "Residual standard error: NA on 0 degrees of freedom" in fitted.summary()
    assert fitted.influence(data)[["standardized", "studentized"]].isna().all().all()


def test_more_columns_than_rows() -> None:
    fitted = fit("y ~ x + z + I(x^2) + I(z^2)", WHOLE.iloc[:3])
    assert fitted.rank == 3
    assert fitted.coef.isna().sum() == 2
    assert fitted.verdict.code == "rank_deficient"


def test_one_row_that_decides_a_coefficient_has_leverage_one() -> None:
    """R gives nan for its standardized residual."""
    data = WHOLE.assign(only=(WHOLE["x"] == 4).astype(float))
    influence = fit("y ~ x + only", data).influence(data)
    assert influence["leverage"][3] == pytest.approx(1, abs=1e-15)
    assert np.isnan(influence["standardized"][3])
    assert influence["standardized"].drop(3).notna().all()


# ---- analysis of variance -------------------------------------------------------------------------------------------


def test_terms_in_sequence_explain_what_nested_fits_leave() -> None:
    """Type I, as R's anova(fit): each row is the difference of two residual sums of squares."""
    found = fit("y ~ x + f + z", TABLE).anova()
    chain = [fit(f"y ~ {terms}", TABLE) for terms in ("1", "x", "x + f", "x + f + z")]
    assert found.index.tolist() == ["x", "f", "z", "Residuals"]
    assert found["df"].tolist() == [1, 2, 1, 19]
    np.testing.assert_allclose(found["sum_sq"][:3], [a.rss - b.rss for a, b in pairwise(chain)])
    mean_square = found["sum_sq"]["Residuals"] / 19
    np.testing.assert_allclose(found["F"][:3], found["sum_sq"][:3] / found["df"][:3] / mean_square)
    np.testing.assert_allclose(found["p"][:3], stats.f.sf(found["F"][:3], found["df"][:3], 19))
    assert found[["F", "p"]].iloc[-1].isna().all()


def test_an_interaction_without_its_main_effects_is_one_term() -> None:
    """R's anova(lm(y ~ f:g)) has the rows f:g and Residuals."""
    data = TABLE.assign(g=np.resize(list("pq"), len(TABLE)), k=np.arange(len(TABLE)) // 8)
    assert fit("y ~ f:g", data).anova().index.tolist() == ["f:g", "Residuals"]
    assert fit("y ~ f:g", data).anova()["df"].tolist() == [5, 18]
    assert fit("y ~ g + x * f", data).anova().index.tolist() == ["g", "x", "f", "x:f", "Residuals"]
    assert fit("y ~ 0 + f:x", data).anova()["df"].tolist() == [3, 21]


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_sums_of_squares_may_leave_the_range_of_float64(unit: float) -> None:
    plain, scaled = fit("y ~ x", TABLE), fit("y ~ x", TABLE.assign(y=TABLE["y"] * unit))
    np.testing.assert_allclose(scaled.t, plain.t, rtol=1e-14)
    assert scaled.verdict.code == "exact"
    assert abs(scaled.loglik - (plain.loglik - len(TABLE) * np.log(unit))) < 1e-9
    assert "F-statistic" in scaled.summary()


def test_nested_fits_are_compared_in_either_order() -> None:
    small, large = fit("y ~ x", TABLE), fit("y ~ x + f + z", TABLE)
    found = small.anova(large)
    pd.testing.assert_frame_equal(found, large.anova(small))
    row = found.iloc[1]
    assert found["df_resid"].tolist() == [22, 19]
    np.testing.assert_allclose(row["F"], (small.rss - large.rss) / 3 / large.sigma**2)
    np.testing.assert_allclose(row["p"], stats.f.sf(row["F"], 3, 19))


NOT_COMPARED = [
    ("different rows", ["24", "23"], "y ~ x + z", TABLE.iloc[1:], {}),
    ("other values", ["rows, response, offset or weights"], "y ~ x + z", TABLE.assign(x=TABLE["x"] + 1), {}),
    ("other response", ["response"], "z ~ x + y", TABLE, {}),
    ("weights", ["weights"], "y ~ x + z", TABLE, {"weights": "w"}),
    ("offset", ["offset"], "y ~ x + z + offset(o)", TABLE, {}),
    ("not nested", ["not nested by name", "'x'"], "y ~ z + f", TABLE, {}),
]


@pytest.mark.parametrize("case", NOT_COMPARED, ids=[case[0] for case in NOT_COMPARED])
def test_fits_that_cannot_be_compared_are_refused(case) -> None:
    _, words, formula, data, options = case
    with pytest.raises(sw.UsageError) as caught:
        fit("y ~ x", TABLE).anova(fit(formula, data, **options))
    assert [word for word in words if word not in str(caught.value)] == []


# ---- the table again ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "word"),
    [(TABLE.iloc[:-1], "23 rows"), (TABLE.assign(y=TABLE["y"] * 1.01), "sums over its rows differ")],
    ids=["fewer rows", "other response"],
)
def test_residuals_of_another_table_are_refused(other: pd.DataFrame, word: str) -> None:
    with pytest.raises(sw.DataError, match=f"not the table that was fitted.*{word}"):
        fit("y ~ x", TABLE).residuals(other)


def test_residuals_over_sites_carry_the_site() -> None:
    sites = {"a": TABLE.iloc[:10], "b": TABLE.iloc[10:]}
    fitted = fit("y ~ x", sites)
    residuals = fitted.residuals(sites)
    assert residuals.index.names == ["site", "row"]
    assert residuals.loc[("b", 0)] == fitted.residuals(TABLE)[10]


def test_rows_that_were_dropped_have_no_residual() -> None:
    holes = TABLE.assign(x=TABLE["x"].where(TABLE.index % 7 != 0))
    fitted = fit("y ~ x", holes, missing="drop")
    pd.testing.assert_series_equal(fitted.residuals(holes), fit("y ~ x", holes.dropna()).residuals(holes.dropna()))
    assert fitted.residuals(holes).index.tolist() == [i for i in TABLE.index if i % 7]


@pytest.mark.parametrize("wrong", [{"interval": "credible"}, {"level": 95, "interval": "confidence"}])
def test_wrong_options_of_predict_are_refused(wrong: dict) -> None:
    with pytest.raises(sw.UsageError, match=next(iter(wrong))):
        fit("y ~ x", TABLE).predict(TABLE, **wrong)


def test_wrong_kinds_of_residuals_are_refused() -> None:
    with pytest.raises(sw.UsageError, match="working"):
        fit("y ~ x", TABLE).residuals(TABLE, kind="working")


# ---- digits ---------------------------------------------------------------------------------------------------------


def test_digits_fall_with_the_error_of_the_inputs() -> None:
    data = TABLE.round(3)
    fitted = fit("y ~ x + z", data)
    digits = fitted.digits()
    assert (digits["computed"] == MOST_DIGITS).all()
    assert ((digits["data_limited"] > 0.5) & (digits["data_limited"] < 5)).all()
    stated = [fitted.digits(data, error)["data_limited"] for error in (1e-3, 1e-6, 1e-9)]
    np.testing.assert_allclose(np.diff(stated, axis=0), 3, atol=0.01)  # first order: a thousandth of the error
    np.testing.assert_allclose(fitted.digits(data, {"x": 0.0005}), digits)
    worse = fitted.digits(data, {"x": 0.05})["data_limited"]
    assert (worse < digits["data_limited"]).all()


def test_perturbed_inputs_stay_within_the_bound() -> None:
    """100 seeded refits with every input moved by up to half a unit of its last decimal."""
    data = TABLE.round(2)
    fitted = fit("y ~ x + z + I(x^2)", data)
    limited = 10.0 ** -fitted.digits()["data_limited"] * fitted.coef.abs()
    rng = np.random.default_rng(11)
    for _ in range(100):
        moved = data.assign(**{name: data[name] + rng.uniform(-0.005, 0.005, len(data)) for name in "xyz"})
        off = (fit("y ~ x + z + I(x^2)", moved).coef - fitted.coef).abs()
        assert (off <= 1.05 * limited).all()


def test_inputs_that_are_too_coarse_are_said_in_words() -> None:
    """Two columns that differ in their last decimal only: rounding may make them one."""
    x = TABLE["x"].round(2)
    near = TABLE.assign(x=x, u=x + 0.01 * (np.arange(len(x)) % 2), y=TABLE["y"].round(2))
    fitted = fit("y ~ x + u", near)
    assert fitted.verdict.code == "data_limited"
    assert "may make columns dependent" in fitted.verdict.text
    assert (fitted.digits()["data_limited"] == 0).all()
    coarse = fit("y ~ x", TABLE.round(1).assign(y=2 * TABLE["x"].round(1) + 0.001 * (TABLE.index % 2)))
    assert coarse.verdict.code == "data_limited"
    assert "is likely to have moved (Intercept), x by more than the standard error" in coarse.verdict.text


def test_condition_is_that_of_the_columns_kept() -> None:
    """numpy.linalg.cond of the same matrix."""
    X = np.column_stack([ONE, TABLE["x"], TABLE["z"]])
    fitted = fit("y ~ x + z", TABLE)
    np.testing.assert_allclose(fitted.condition.kappa, np.linalg.cond(X), rtol=1e-10)
    scaled = X / np.linalg.norm(X, axis=0)
    np.testing.assert_allclose(fitted.condition.kappa_scaled, np.linalg.cond(scaled), rtol=1e-10)
    assert np.isfinite(fit("y ~ x + z + I(2 * x)", TABLE).condition.kappa)
    assert "Condition: " in fitted.summary()
    assert "lose about 5 of 16 digits" in fit(*[nist("Longley")[0], nist("Longley")[1].astype(float)]).summary()


def test_whole_numbers_support_every_digit() -> None:
    fitted = fit("y ~ x + z", WHOLE)
    assert (fitted.digits()["data_limited"] == MOST_DIGITS).all()
    assert "no column has printed decimals" in fitted.summary()


GREY = '<span style="color:grey">'


@pytest.mark.parametrize(
    ("number", "digits", "shown"),
    [
        ("-3482258.6346", 1.9, f"<b>-3</b>{GREY}482258.6346</span>"),
        ("0.0358", 2.0, f"<b>0.035</b>{GREY}8</span>"),
        ("2.0202", 1.0, f"<b>2</b>{GREY}.0202</span>"),
        ("-1.5e-10", 0.7, f"-{GREY}1.5</span>e-10"),
        ("12.5000", 16.0, "<b>12.5000</b>"),
        ("NA", np.nan, "NA"),
    ],
)
def test_digits_beyond_the_data_s_are_grey(number: str, digits: float, shown: str) -> None:
    assert strong(number, digits) == shown


def test_a_notebook_shows_the_digits_of_each_coefficient() -> None:
    html = fit("y ~ x", TABLE.round(2))._repr_html_()
    assert html.count("<table>") == html.count("</table>") == 1
    assert "<th>digits</th>" in html
    assert GREY in html
    assert "I(x &lt; 0)" in fit("y ~ I(x < 0)", TABLE)._repr_html_()


def test_inputs_move_a_fit_about_as_much_as_independent_errors_do() -> None:
    """The root mean square over 300 seeded refits, against its first-order formula: within a fifth."""
    data = TABLE.round(2)
    for weights in (None, "w"):
        fitted = fit("y ~ x + z", data, weights=weights)
        rng = np.random.default_rng(5)
        off = []
        for _ in range(300):
            moved = data.assign(**{name: data[name] + rng.uniform(-0.005, 0.005, len(data)) for name in "xyz"})
            off.append(fit("y ~ x + z", moved, weights=weights).coef - fitted.coef)
        found = np.sqrt(np.mean(np.square(off), axis=0))
        if weights is None:
            np.testing.assert_allclose(typical_error(fitted, fitted.input_errors), found, rtol=0.2)
        assert (np.abs(off) <= 1.05 * fitted.input_bound).all()


def test_digits_of_stated_errors_need_the_table() -> None:
    with pytest.raises(sw.UsageError, match="give the table"):
        fit("y ~ x", TABLE).digits(inputs=1e-6)
    with pytest.raises(sw.UsageError, match="printed"):
        fit("y ~ x", TABLE).digits(TABLE, "exact")


# ---- keep and restore -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"decimal": True}, {"weights": "w"}], ids=str)
def test_json_keeps_every_bit_and_every_answer(options: dict, tmp_path: Path) -> None:
    fitted = fit("y ~ x + f + offset(o)", TABLE, **options)
    text = fitted.to_json(tmp_path / "fit.json")
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    again = sw.Fit.from_json(tmp_path / "fit.json")
    assert isinstance(again, LinearFit)
    assert again.to_json() == text
    assert again.summary() == fitted.summary()
    pd.testing.assert_frame_equal(again.tidy(), fitted.tidy(), check_exact=True)
    pd.testing.assert_frame_equal(again.anova(), fitted.anova(), check_exact=True)
    pd.testing.assert_frame_equal(again.influence(TABLE), fitted.influence(TABLE), check_exact=True)


def test_tables_are_labelled_and_glance_is_one_row() -> None:
    fitted = fit("y ~ x + f", TABLE)
    assert fitted.tidy()["term"].tolist() == ["(Intercept)", "x", "fb", "fc"]
    assert fitted.vcov.index.tolist() == fitted.coef.index.tolist()
    glance = fitted.glance()
    assert len(glance) == 1
    assert glance["nobs"][0] == 24
    assert glance["verdict"][0] == "exact"
    assert fitted.sites.loc["data"].tolist() == [24, 0]
    assert fitted.rounds.index.tolist() == [1]


def test_fits_are_frozen() -> None:
    with pytest.raises(AttributeError):
        fit("y ~ x", TABLE).nobs = 3  # type: ignore[misc]


# ---- at the ends of float64 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-165, 1e-160, 1e-100, 1.0, 1e100])
def test_units_of_the_response_change_no_test_and_no_diagnosis(size: float) -> None:
    """Powers of two in place of `size` scale every number exactly."""
    scale = 2.0 ** round(np.log2(size))
    data = TABLE.assign(y=TABLE["y"].round(3) * 1.0)
    plain, scaled = fit("y ~ x + z", data), fit("y ~ x + z", data.assign(y=data["y"] * scale))
    assert scaled.fstat == plain.fstat
    assert scaled.anova()["F"].equals(plain.anova()["F"])
    there, here = scaled.influence(data.assign(y=data["y"] * scale)), plain.influence(data)
    for name in ("standardized", "studentized", "cooks_distance", "dffits", "leverage"):
        np.testing.assert_allclose(there[name], here[name], rtol=1e-12)


def test_anova_beyond_float64_is_refused_in_words() -> None:
    data = pd.DataFrame({"x": [1e200, 2e200, 3e200, 5e200], "y": [1e200, 2e200, 4e200, 5e200]})
    with pytest.raises(sw.DataError, match="square is larger than the largest float64"):
        fit("y ~ x", data).anova()
    assert "> 1.8e308" in str(sw.lstsq(data[["x"]], data["y"]))
