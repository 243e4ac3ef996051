"""Exact decimals: where they come from and what formulas make of them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sumwise.data import agree, build, open_sites, parse, rows
from sumwise.data.decimal_text import few_decimals, from_floats, from_text
from sumwise.data.decimals import Decimals
from sumwise.errors import DataError, SiteError, UsageError
from tests.reference import load


def block_of(text, data, decimal=None, **options):
    formula = parse(text)
    sources = open_sites(data, decimal)
    contract = agree(formula, sources, family="gaussian", **options)
    (source,) = sources.values()
    return build(formula, contract, source, missing="drop", family="gaussian")


def fractions(*texts):
    return [Fraction(text) for text in texts]


def test_texts_are_read_exactly():
    """Expected: Python's Fraction of the same text."""
    texts = ["0.1", "-6.860120914", "1e-3", "4.29796848199937E-04", "+5", ".5", "5.", " 7 ", "-0", "1E+3", "0.50"]
    exact, nearest = from_text(pa.array(texts))
    assert exact.fractions() == [Fraction(text.strip()) for text in texts]
    assert nearest.tolist() == [float(text) for text in texts]


def test_decimals_are_as_many_as_were_printed():
    assert from_text(pa.array(["0.50", "2"]))[0].decimals == 2
    assert from_text(pa.array(["12e3", "7"]))[0].decimals == 0
    assert from_text(pa.array(["1.25e-3"]))[0].decimals == 5


def test_nulls_and_infinities_have_no_decimals():
    exact, nearest = from_text(pa.array(["0.1", None, "-inf", "NaN"]))
    assert exact.values.tolist() == [1, 0, 0, 0]
    np.testing.assert_array_equal(nearest, [0.1, np.nan, -np.inf, np.nan])


@pytest.mark.parametrize(
    "text", ["", ".", "e5", "1,5", "0x1p3", "1_000", "1.2.3", "--1", "1e", "1e-99999999", "9" * 5000]
)
def test_other_texts_are_no_decimals(text):
    assert from_text(pa.array(["0.1", text])) is None


def test_integers_stay_narrow_while_they_fit_and_lose_nothing_beyond():
    narrow, wide = from_text(pa.array(["9.2e18"]))[0], from_text(pa.array(["9.3e18", "1e-5"]))[0]
    assert (narrow.values.dtype, wide.values.dtype) == (np.int64, object)
    assert wide.fractions() == fractions("9.3e18", "1e-5")
    assert Decimals.of(np.array([-(2**63), 1])).values.tolist() == [-(2**63), 1]
    assert (-Decimals.of(np.array([-(2**63), 1]))).values.tolist() == [2**63, -1]
    assert Decimals.of(np.array([2**64 - 1], dtype=np.uint64)).values.tolist() == [2**64 - 1]


def test_floats_become_their_shortest_decimals():
    """Expected: Python's repr of the float, which is the shortest text that reads back to it."""
    for values in ([0.1, 2.5, -3.0], [1 / 3, 1e22, 5e-324], [1e-20, 2.5e-20], [np.pi] * 3, [0.0, -0.0]):
        exact = from_floats(np.array(values))
        assert exact.fractions() == [Fraction(repr(float(v))) for v in values]
    narrow = np.array([0.1, 16777216.0, 1e-8], dtype=np.float32)
    assert from_floats(narrow).fractions() == [Fraction(str(v)) for v in narrow]
    assert from_floats(np.array([0.1, np.nan, np.inf])).values.tolist() == [1, 0, 0]


def test_few_decimals_are_found_past_the_sample():
    """One row in 5000, and not among those looked at first, has four decimals."""
    x = np.full(5000, 0.5)
    x[4321] = 0.1234
    assert few_decimals(x).decimals == 4
    x[4321] = 1 / 3
    assert few_decimals(x) is None


@pytest.fixture(params=["csv", "dat", "txt", "texts", "string", "polars", "arrow decimals", "Decimal", "floats"])
def tenths(request, tmp_path):
    """(data, decimal): x = 0.1, 0.2, 0.35 and a missing value; k whole numbers, f texts."""
    frame = pd.DataFrame({"y": [1, 2, 4, 5], "x": ["0.1", "0.2", "0.35", None], "k": [1, 2, 3, 4], "f": list("abab")})
    match request.param:
        case "csv":
            frame.to_csv(tmp_path / "t.csv", index=False)
            return tmp_path / "t.csv", True
        case "dat" | "txt":
            lines = ["y   x\tk f", "1 0.1 1 a", "  2  0.2 2 b", "", '4 0.35 3 "a"', "5 NA 4 b"]
            (tmp_path / f"t.{request.param}").write_text("\n".join(lines))
            return tmp_path / f"t.{request.param}", None
        case "string":
            return frame.astype({"x": "string"}), True
        case "polars":
            return pl.from_pandas(frame), True
        case "arrow decimals":
            x = pa.array([Decimal("0.1"), Decimal("0.2"), Decimal("0.35"), None])
            return pa.table({**frame.to_dict("list"), "x": x}), None
        case "Decimal":
            return frame.assign(x=[Decimal("0.1"), Decimal("0.20"), Decimal("0.35"), None]), False
        case "floats":
            return frame.astype({"x": float}), True
    return frame, True


def test_every_source_of_decimals_keeps_them(tenths):
    block = block_of("y ~ x + I(x^2) + f + k:x", *tenths)
    x = fractions("0.1", "0.2", "0.35")
    assert block.dropped == 1
    assert [e.fractions() for e in block.exact] == [
        [1, 1, 1],
        x,
        [v**2 for v in x],
        [0, 1, 0],
        [v * k for v, k in zip(x, (1, 2, 3), strict=True)],
    ]
    assert block.y_exact.fractions() == [1, 2, 4]
    for column, exact in zip(block.x, block.exact, strict=True):
        assert column.tolist() == [float(v) for v in exact.fractions()]


def test_without_decimals_nothing_is_exact(tmp_path):
    frame = pd.DataFrame({"y": [1.0, 2.0], "x": [0.1, 0.2], "k": [1, 2]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "t.dat").write_text("y x k\n1 0.1 1\n2 0.2 2\n")
    for data, decimal in ((frame, None), (frame, False), (tmp_path / "t.csv", None), (tmp_path / "t.dat", False)):
        block = block_of("y ~ x + k + offset(k)", data, decimal, weights="k")
        assert block.exact == (None, None, None)
        assert (block.y_exact, block.weights_exact, block.offset_exact) == (None, None, None)
        assert block.x[1].tolist() == [0.1, 0.2]


def test_floats_of_a_frame_are_not_copied_and_keep_their_bits():
    frame = pd.DataFrame({"y": [1.5, 2.0], "x": [0.1, 1 / 3]})
    for decimal in (None, True):
        block = block_of("y ~ x", frame, decimal)
        assert np.shares_memory(block.x[1], frame["x"].to_numpy())
        assert np.shares_memory(block.y, frame["y"].to_numpy())


def test_what_no_decimal_is_falls_back_to_floating_point_alone():
    frame = pd.DataFrame({"y": [1.5, 2.0, 7.0], "x": [0.5, 0.25, 3.0], "z": [1.0, 2.0, 5.0]})
    block = block_of(
        "y ~ log(x) + center(x) + sqrt(x) + I(x / z) + I(x / 3) + I(x^-1) + I(x^0.5) + x:log(z) + x", frame, True
    )
    kept = [name for name, exact in zip(block.columns, block.exact, strict=True) if exact is not None]
    assert kept == ["(Intercept)", "x"]


def test_exact_truth_is_not_that_of_floats():
    """3 * 0.1 is 0.3 among decimals; among floats it is 0.30000000000000004."""
    frame = pd.DataFrame({"y": [1.5, 2.0], "x": [0.1, 0.2]})
    assert block_of("y ~ 0 + I(1 * (x * 3 == 0.3))", frame, True).x[0].tolist() == [1, 0]
    assert block_of("y ~ 0 + I(1 * (x * 3 == 0.3))", frame, False).x[0].tolist() == [0, 0]


def test_numbers_of_the_formula_are_decimals_too():
    frame = pd.DataFrame({"y": [1.5, 2.0], "x": [0.1, 0.2]})
    block = block_of("y ~ 0 + I(0.1 * x) + I(x / 0.2) + I(x / -8) + I(-x + 1e-3) + I(x^0)", frame, True)
    assert [e.fractions() for e in block.exact] == [
        fractions("0.01", "0.02"),
        fractions("0.5", "1"),
        fractions("-0.0125", "-0.025"),
        fractions("-0.099", "-0.199"),
        [1, 1],
    ]


def test_filip_has_exact_powers(tmp_path):
    """NIST's data, x with nine decimals; expected columns: Fraction(x)**k."""
    filip = load("nist_strd")["Filip"]
    path = tmp_path / "filip.dat"
    path.write_text("y x\n" + "".join(f"{y} {x}\n" for y, x in zip(filip["y"], filip["x"][0], strict=True)))
    block = block_of("y ~ x + " + " + ".join(f"I(x^{k})" for k in range(2, 11)), path)
    x = [Fraction(text) for text in filip["x"][0]]
    for k, exact in enumerate(block.exact):
        assert exact.fractions() == [v**k for v in x]
    assert block.exact[10].decimals == 90
    assert block.x[10].tolist() == [float(v**10) for v in x]


def test_new_rows_are_exact_too():
    frame = pd.DataFrame({"y": [1.5, 2.0], "x": [0.1, 0.2]})
    formula = parse("y ~ x + I(x^3) + offset(x)")
    contract = agree(formula, open_sites(frame, True), family="gaussian")
    (new,) = open_sites(frame.iloc[1:], True).values()
    found = rows(formula, contract, new)
    assert [e.fractions() for e in (*found.exact, found.offset_exact)] == [
        [1],
        *map(fractions, ("0.2", "0.008", "0.2")),
    ]


def test_texts_stay_texts_where_the_formula_means_texts():
    frame = pd.DataFrame({"y": [1.5, 2.0, 0.1], "zip": ["01", "2", "1"], "x": ["1", "2", "x"]})
    assert block_of("y ~ factor(zip)", frame, True).columns == ("(Intercept)", "factor(zip)1", "factor(zip)2")
    assert block_of('y ~ I(1 * (zip == "01"))', frame, True).x[1].tolist() == [1, 0, 0]
    assert block_of("y ~ zip", frame, True).x[1].tolist() == [1, 2, 1]
    assert block_of("y ~ zip", frame, None).columns == ("(Intercept)", "zip1", "zip2")
    assert block_of("y ~ x", frame, True).columns == ("(Intercept)", "x2", "xx")


def test_a_column_is_text_at_all_sites_if_one_holds_text_there():
    sites = {"A": pd.DataFrame({"y": [1, 2], "x": ["1", "2"]}), "B": pd.DataFrame({"y": [1, 2], "x": ["1", "u"]})}
    formula = parse("y ~ x")
    sources = open_sites(sites, decimal=True)
    contract = agree(formula, sources, family="gaussian")
    assert contract.names == ("(Intercept)", "x2", "xu")
    assert build(formula, contract, sources["A"], family="gaussian").x[1].tolist() == [0, 1]


def test_a_csv_with_plus_signs_is_read_as_numbers(tmp_path):
    (tmp_path / "t.csv").write_text("y,x\n1,+0.5\n2,-.25\n3,\n4,1e-400\n")
    block = block_of("y ~ x", tmp_path / "t.csv", True)
    assert block.exact[1].fractions() == fractions("0.5", "-0.25", "1e-400")
    assert block.x[1].tolist() == [0.5, -0.25, 0.0]


def test_infinite_texts_are_refused_as_infinite_numbers_are(tmp_path):
    (tmp_path / "t.csv").write_text("y,x\n1,0.5\n2,inf\n")
    with pytest.raises(DataError, match=r"column 'x': 1 of 2 rows, the first is row 2 .*inf"):
        block_of("y ~ x", tmp_path / "t.csv", True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("y x\n1 2\n1 2 3\n", "line 3 of .* has 3 values, and the first line 2 names"),
        ("y,x\n1,2\n", "is separated by commas"),
        ("", "no column named|No column"),
    ],
)
def test_text_files_that_are_no_table_are_named(tmp_path, text, words):
    (tmp_path / "t.dat").write_text(text)
    with pytest.raises((SiteError, UsageError), match=words):
        block_of("y ~ x", tmp_path / "t.dat")


def test_kinds_of_files_are_not_mixed(tmp_path):
    (tmp_path / "t.dat").write_text("y x\n1 2\n")
    (tmp_path / "t.csv").write_text("y,x\n1,2\n")
    with pytest.raises(UsageError, match="CSV and text files are mixed"):
        open_sites([tmp_path / "t.dat", tmp_path / "t.csv"])
    with pytest.raises(UsageError, match="decimal is True, False or None, not 'yes'"):
        open_sites(tmp_path / "t.dat", "yes")
