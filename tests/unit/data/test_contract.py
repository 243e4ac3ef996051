"""What sites must agree on, and how they are told where they differ."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from sumwise.data import Contract, agree, build, check_groups_disjoint, open_sites, parse
from sumwise.errors import DataError, SiteError, UsageError


def agreed(text, data, **options):
    return agree(parse(text), open_sites(data), **options)


def two_sites(a, b, y=(0, 1)):
    """Two sites whose column x holds a and b."""
    return {"A": pd.DataFrame({"y": list(y), "x": a}), "B": pd.DataFrame({"y": list(y), "x": b})}


def test_levels_are_united_over_sites_and_sorted():
    """Texts by code point (upper case first), integers as numbers."""
    contract = agreed("y ~ x", two_sites(["b", "é"], ["Z", "b"]))
    assert contract.columns[1].levels == ("Z", "b", "é")
    assert contract.names == ("(Intercept)", "xb", "xé")
    contract = agreed("y ~ C(x)", two_sites([10, 9], [2, 9]))
    assert contract.columns[1].levels == (2, 9, 10)
    assert contract.names == ("(Intercept)", "C(x)9", "C(x)10")


def test_whole_floats_at_one_site_are_the_ints_of_another():
    """A column of ints with a missing value is float64 in pandas."""
    contract = agreed("y ~ C(x)", two_sites([1, 2], [2.0, 3.0]))
    assert contract.columns[1].levels == (1, 2, 3)


def test_declared_categories_keep_their_order_and_unused_ones_get_no_column():
    dose = pd.CategoricalDtype(["low", "mid", "high"])
    sites = two_sites(pd.Categorical(["low", "high"], dtype=dose), pd.Categorical(["low", "low"], dtype=dose))
    contract = agreed("y ~ x", sites)
    assert contract.columns[1].kind == "factor"
    assert contract.columns[1].levels == ("low", "high")


def test_declared_orders_must_agree():
    sites = two_sites(
        pd.Categorical(["low", "high"], ["low", "high"]), pd.Categorical(["low", "high"], ["high", "low"])
    )
    with pytest.raises(SiteError, match=r"'x'.*\['low', 'high'\] at site 'A' and \['high', 'low'\] at site 'B'"):
        agreed("y ~ x", sites)


def test_sorted_categories_may_differ_in_length():
    """pandas' astype("category") lists what a site happens to hold, sorted."""
    sites = two_sites(pd.Categorical(["a", "c"]), pd.Categorical(["b", "c"]))
    assert agreed("y ~ x", sites).columns[1].levels == ("a", "b", "c")


def test_levels_of_incomplete_rows_only_do_not_count():
    frame = pd.DataFrame({"y": [0, 1, None], "x": ["a", "b", "c"]})
    assert agreed("y ~ x", frame, missing="drop").columns[1].levels == ("a", "b")


def test_a_factor_needs_two_levels():
    with pytest.raises(DataError, match="'x' has only the level 'a' over all sites"):
        agreed("y ~ x", two_sites(["a", "a"], ["a", "a"]))


def test_booleans_are_factors_with_rs_names():
    assert agreed("y ~ x", two_sites([True, True], [True, False])).names == ("(Intercept)", "xTRUE")
    assert agreed("y ~ I(x > 2)", two_sites([1, 2], [3, 4])).names == ("(Intercept)", "I(x > 2)TRUE")
    assert agreed("y ~ 0 + x", two_sites([True, True], [True, False])).names == ("xFALSE", "xTRUE")


def test_center_and_scale_learn_from_all_sites_together():
    """Expected: mean and variance of the pooled rows in exact fractions."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(1e6, 1, 7), rng.normal(-3, 1e-3, 4)
    sites = {"A": pd.DataFrame({"y": 0, "x": a}), "B": pd.DataFrame({"y": 1, "x": b})}
    contract = agreed("y ~ center(x) + scale(x)", sites)
    exact = [Fraction(v) for v in (*a.tolist(), *b.tolist())]
    mean = sum(exact) / 11
    variance = sum((v - mean) ** 2 for v in exact) / 10
    centre, scale = contract.learned
    assert (centre.text, scale.text) == ("center(x)", "scale(x)")
    assert centre.mean == scale.mean == float(mean)
    assert centre.sd == 1.0
    assert scale.sd == pytest.approx(float(variance) ** 0.5, rel=4e-16)


def test_center_uses_rows_that_other_columns_make_incomplete():
    """R's rule: scale(x) is worked out before rows with missing values are left out."""
    frame = pd.DataFrame({"y": [0, 1, None], "x": [1.0, 2.0, 6.0]})
    assert agreed("y ~ center(x)", frame, missing="drop").learned[0].mean == 3.0


def test_what_does_not_vary_cannot_be_scaled():
    with pytest.raises(DataError, match=r"scale\(x\): all 4 values are 2\.0"):
        agreed("y ~ scale(x)", two_sites([2, 2], [2.0, 2.0]))


def test_center_of_a_logarithm_of_zero_is_named():
    with pytest.raises(DataError, match=r"Site 'B': 'log\(x\)' is infinite.*row 2.*x = 0\.0"):
        agreed("y ~ center(log(x))", two_sites([1.0, 2.0], [3.0, 0.0]))


def test_the_contract_survives_json(contraception):
    formula = "use ~ scale(age) + I(age^2)*urban + livch + C(district) + (1 | district)"
    contract = agreed(formula, contraception)
    assert Contract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract


def test_an_unknown_column_is_pointed_at_with_its_nearest_names():
    with pytest.raises(UsageError) as caught:
        agreed("y ~ agge", pd.DataFrame({"y": [0], "age": [1], "herd": [1]}))
    message, _, caret = str(caught.value).split("\n")
    assert "No column 'agge'. Did you mean 'age'?" in message
    assert len(caret) - 1 - 4 == 4


def test_a_column_that_one_site_lacks_is_a_fault_of_that_site():
    with pytest.raises(SiteError, match=r"Column 'x' is missing at site 'B'. Did you mean 'xx'"):
        agreed("y ~ x", {"A": pd.DataFrame({"y": [0], "x": [1]}), "B": pd.DataFrame({"y": [0], "xx": [1]})})


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([1, 2], ["a", "b"], "'x' is int64 .number. at site 'A' and .*text. at site 'B'"),
        ([1, 2], [True, False], "int64 .number. at site 'A' and bool .boolean. at site 'B'"),
        (["a", "b"], pd.Categorical(["a", "b"]), ".text. at site 'A' and categorical .factor. at site 'B'"),
    ],
)
def test_sites_with_different_types_are_named_with_both(a, b, words):
    with pytest.raises(SiteError, match=words):
        agreed("y ~ x", two_sites(a, b))


def test_ints_at_one_site_and_floats_at_another_are_numbers():
    assert agreed("y ~ x", two_sites([1, 2], [0.5, 1.5])).columns[1].kind == "number"


def test_a_column_of_nulls_fits_any_type_but_not_at_every_site():
    assert agreed("y ~ x", two_sites(["a", "b"], [None, None])).columns[1].kind == "text"
    with pytest.raises(DataError, match="'x' holds no value at any site"):
        agreed("y ~ x", two_sites([None, None], [None, None]))


def test_a_csv_column_of_digits_is_text_where_other_sites_hold_text(tmp_path):
    (tmp_path / "a.csv").write_text("y,livch\n0,3plus\n1,0\n")
    (tmp_path / "b.csv").write_text("y,livch\n0,1\n1,0\n")
    sources = open_sites({"A": tmp_path / "a.csv", "B": tmp_path / "b.csv"})
    formula = parse("y ~ livch")
    contract = agree(formula, sources)
    assert contract.names == ("(Intercept)", "livch1", "livch3plus")
    assert build(formula, contract, sources["B"]).X.tolist() == [[1, 1, 0], [1, 0, 0]]


def test_dates_have_no_place_in_a_model():
    frame = pd.DataFrame({"y": [0, 1], "x": pd.to_datetime(["2020-01-01", "2020-01-02"])})
    with pytest.raises(DataError, match=r"Site 'data', column 'x': values of type timestamp.*days since"):
        agreed("y ~ x", frame)


@pytest.mark.parametrize(
    ("formula", "place", "words"),
    [
        ("s ~ x", 0, r"The response 's' holds texts \(a, b\).*\(s == \"b\"\)"),
        ("y ~ log(s)", 8, "'s' holds texts"),
        ("y ~ I(s + 1)", 6, "'s' holds texts"),
        ("y ~ I(s)", 4, "name the column by itself"),
        ("y ~ x + offset(s)", 15, "offset is a number"),
        ('y ~ I(x == "a")', 11, "This is a text"),
        ("y ~ I(x^1.7)", 8, r"exp\(p \* log\(x\)\)"),
        ("y ~ I(x^x)", 8, "whole number"),
    ],
)
def test_calculating_with_texts_is_pointed_at(formula, place, words):
    frame = pd.DataFrame({"y": [0, 1], "x": [1.0, 2.0], "s": ["a", "b"]})
    with pytest.raises(UsageError, match=words) as caught:
        agreed(formula, frame)
    assert len(str(caught.value).split("\n")[-1]) - 1 - 4 == place


def test_missing_values_are_counted_over_all_sites_at_once():
    sites = {
        "A": pd.DataFrame({"y": [0, None, 1], "x": [np.nan, 1.0, np.nan]}),
        "B": pd.DataFrame({"y": [0, 1], "x": [1.0, 2.0]}),
        "C": pd.DataFrame({"y": [0, 1], "x": [1.0, np.nan]}),
    }
    with pytest.raises(DataError, match=r"site 'A': y 1, x 2; site 'C': x 1\..*drop"):
        agreed("y ~ x", sites, missing="error")
    assert agreed("y ~ x", sites, missing="drop").names == ("(Intercept)", "x")
    with pytest.raises(UsageError, match="'omit'"):
        agreed("y ~ x", sites, missing="omit")


def blocks_of(text, data):
    formula = parse(text)
    sources = open_sites(data)
    contract = agree(formula, sources)
    return {name: build(formula, contract, source) for name, source in sources.items()}


def test_a_group_at_two_sites_is_refused(cbpp):
    text = "cbind(incidence, size - incidence) ~ 1 + (1 | herd)"
    first = cbpp["herd"] <= 8
    check_groups_disjoint(blocks_of(text, {"A": cbpp[first], "B": cbpp[~first]}))
    cut = 1 + int(cbpp.index[cbpp["herd"] == 9][0])
    with pytest.raises(DataError, match=r"1 group has rows at more than one site: '9' \(sites 'A' and 'B'\)\. "):
        check_groups_disjoint(blocks_of(text, {"A": cbpp[:cut], "B": cbpp[cut:]}))


def test_shared_groups_are_named_up_to_three():
    blocks = blocks_of("y ~ 1 + (1 | x)", two_sites(list("abcdef"), list("fedcba"), y=[0, 1] * 3))
    with pytest.raises(DataError, match=r"6 groups have.*'a'.*'b'.*'c' \(sites 'A' and 'B'\), \.\.\. .*unique"):
        check_groups_disjoint(blocks)
