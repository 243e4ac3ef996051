"""Contrasts, tests of terms and inflation of variances."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sumwise as sw
from sumwise.datasets import load
from sumwise.results.linear import LinearFit
from sumwise.results.mixed import MixedFit

PRESSURE = "BP ~ Age + Weight + BSA + Pulse"


@pytest.fixture(scope="module")
def linear() -> LinearFit:
    return sw.fit(PRESSURE, load("bloodpress"))


@pytest.fixture(scope="module")
def crossed() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"a": rng.choice(list("xyz"), 90), "b": rng.choice(list("uv"), 90), "w": rng.normal(size=90)})
    return table.assign(y=rng.normal(size=90) + (table.a == "y") * table.w)


@pytest.fixture(scope="module")
def mixed() -> MixedFit:
    return sw.fit("use ~ age + urban + livch + (1 | district)", load("contraception"), family="binomial")


def test_a_coefficient_is_a_contrast_of_its_own(linear: LinearFit) -> None:
    found = linear.contrast({term: {term: 1} for term in linear.terms})
    tidy = linear.tidy().set_index("term")
    for column in ("estimate", "std_error", "statistic", "p_value", "lower", "upper"):
        np.testing.assert_allclose(found[column], tidy[column], rtol=1e-13)
    assert set(found["df"]) == {15}


def test_a_contrast_is_the_coefficient_after_a_change_of_levels() -> None:
    """livch2 - livch1 is the coefficient of level 2 where level 1 is the reference."""
    data = load("contraception")
    formula = "use ~ age + urban + livch + (1 | district)"
    fit = sw.fit(formula, data, family="binomial")
    levels = ["1", "0", "2", "3plus"]
    other = sw.fit(formula, data.assign(livch=pd.Categorical(data.livch, levels)), family="binomial")
    row = fit.contrast({"livch2": 1, "livch1": -1}).iloc[0]
    assert row["estimate"] == pytest.approx(other.coef["livch2"], abs=1e-8)
    assert row["std_error"] == pytest.approx(other.se["livch2"], abs=1e-8)
    assert np.isinf(row["df"])


def test_several_contrasts_come_as_mapping_frame_or_numbers(linear: LinearFit) -> None:
    by_name = linear.contrast({"one": {"Age": 1}, "two": {"Age": 1, "Weight": -2}})
    frame = pd.DataFrame([{"Age": 1.0, "Weight": 0.0}, {"Age": 1.0, "Weight": -2.0}], index=["one", "two"])
    pd.testing.assert_frame_equal(linear.contrast(frame), by_name)
    row = linear.contrast([0, 1, -2, 0, 0]).iloc[0]
    assert row["estimate"] == by_name.loc["two", "estimate"]
    against = linear.contrast({"Age": 1}, null=linear.coef["Age"])
    assert against["statistic"].iloc[0] == 0


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        ({"Ages": 1}, "no coefficient 'Ages'"),
        ({}, "not all zero"),
        ([1, 2], "5 finite numbers"),
        ([0, 0, 0, 0, 0], "not all zero"),
        ({"Age": "much"}, "weights are numbers"),
        ({"Age": np.nan}, "finite numbers"),
    ],
)
def test_weights_that_are_none_are_refused(linear: LinearFit, weights: object, fault: str) -> None:
    with pytest.raises(sw.UsageError, match=fault):
        linear.contrast(weights)


def test_contrasts_with_a_column_that_was_left_out_are_not_defined() -> None:
    data = load("bloodpress").assign(twice=lambda d: 2 * d.Age)
    fit = sw.fit("BP ~ Age + twice", data)
    with pytest.raises(sw.DataError, match="'twice' has no coefficient"):
        fit.contrast({"twice": 1})
    assert fit.contrast({"Age": 1})["estimate"].iloc[0] == fit.coef["Age"]


@pytest.mark.parametrize("kind", ["II", "III"])
def test_single_columns_have_the_square_of_t(linear: LinearFit, kind: str) -> None:
    found = linear.tests(kind)
    np.testing.assert_allclose(found["statistic"], linear.t[1:] ** 2, rtol=1e-11)
    np.testing.assert_allclose(found["p_value"], linear.pvalues[1:], rtol=1e-10)


def test_type_two_is_the_comparison_of_nested_fits(crossed: pd.DataFrame) -> None:
    """A main effect against the model of the others without its interactions [Fox 2016]: its sum of squares, over the
    residual mean square of the full model."""
    full = sw.fit("y ~ a * w + b", crossed)
    found = full.tests("II")
    pairs = {
        "a": ("w + b", "a + w + b"),
        "w": ("a + b", "a + w + b"),
        "b": ("a * w", "a * w + b"),
        "a:w": ("a + w + b", "a * w + b"),
    }
    for term, formulas in pairs.items():
        less, more = (sw.fit(f"y ~ {formula}", crossed) for formula in formulas)
        df = more.rank - less.rank
        assert found.loc[term, "df"] == df
        expected = (less.rss - more.rss) / df / full.sigma**2
        assert found.loc[term, "statistic"] == pytest.approx(expected, rel=1e-10)


def test_type_three_is_the_comparison_with_the_columns_left_out(crossed: pd.DataFrame) -> None:
    full = sw.fit("y ~ a * w", crossed)
    x = crossed.assign(y_=(crossed.a == "y") * 1.0, z_=(crossed.a == "z") * 1.0)
    less = sw.fit("y ~ w + I(y_ * w) + I(z_ * w)", x)
    expected = (less.rss - full.rss) / 2 / full.sigma**2
    assert full.tests("III").loc["a", "statistic"] == pytest.approx(expected, rel=1e-10)


def test_mixed_models_have_chi2_tests(mixed: MixedFit) -> None:
    found = mixed.tests("III")
    assert np.isinf(found["df2"]).all()
    z = mixed.coef / mixed.se
    assert found.loc["age", "statistic"] == pytest.approx(z["age"] ** 2, rel=1e-12)
    assert found.loc["livch", "df"] == 3


def test_unknown_kinds_of_tests_are_refused(linear: LinearFit) -> None:
    with pytest.raises(sw.UsageError, match="kind='I'"):
        linear.tests("I")


def test_inflation_is_that_of_the_auxiliary_regression(linear: LinearFit) -> None:
    """1 / (1 - R2) of each column regressed on the others."""
    found = linear.vif()
    for term in ("Age", "Weight", "BSA", "Pulse"):
        others = [t for t in ("Age", "Weight", "BSA", "Pulse") if t != term]
        r2 = sw.fit(f"{term} ~ {' + '.join(others)}", load("bloodpress")).r2
        assert found.loc[term, "gvif"] == pytest.approx(1 / (1 - r2), rel=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.permutations(["u", "v", "w"]), st.floats(1e-6, 1e6))
def test_inflation_of_a_factor_depends_on_neither_reference_nor_units(levels: list[str], unit: float) -> None:
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"x": rng.normal(size=60), "f": rng.choice(list("uvw"), 60)})
    table["x"] += table.f == "u"
    table["y"] = rng.normal(size=60)
    one = sw.fit("y ~ x + f", table).vif()
    other = sw.fit("y ~ x + f", table.assign(x=unit * table.x, f=pd.Categorical(table.f, levels))).vif()
    np.testing.assert_allclose(one, other, rtol=1e-9)


def test_inflation_needs_two_terms_and_no_collinear_ones() -> None:
    data = load("bloodpress")
    with pytest.raises(sw.UsageError, match="fewer than two"):
        sw.fit("BP ~ Age", data).vif()
    with pytest.raises(sw.DataError, match="infinite"):
        sw.fit("BP ~ Age + I(2 * Age)", data).vif()
