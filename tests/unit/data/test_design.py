"""Design blocks: the numbers themselves."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from formulaic import model_matrix

from sumwise.data import Contract, agree, build, check_groups_disjoint, open_sites, parse, rows
from sumwise.errors import DataError, SiteError, UsageError
from sumwise.maths import elementary


def block_of(text, data, **options):
    """The block of the one site that `data` makes."""
    formula = parse(text)
    sources = open_sites(data)
    contract = agree(formula, sources)
    (source,) = sources.values()
    return build(formula, contract, source, **options)


FRAME = pd.DataFrame(
    {
        "y": [0, 1, 1, 0, 1, 0],
        "x": [0.5, 2.0, -1.25, 3.0, 8.0, 1.0],
        "k": [3, 1, 2, 2, 1, 3],
        "f": ["b", "a", "c", "a", "b", "c"],
        "h": ["v", "u", "u", "v", "u", "v"],
        "g": [7, 7, -2, 40, -2, 7],
    }
)


def test_cbpp_has_rs_columns_and_counts(cbpp):
    """Names: R's rule, the term as written followed by the level.  First rows: read off the shipped file."""
    block = block_of("cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)", cbpp)
    assert block.columns == ("(Intercept)", "factor(period)2", "factor(period)3", "factor(period)4")
    assert block.X[:4].tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]]
    assert block.y[:3].tolist() == [2.0, 3.0, 4.0]
    assert block.size[:3].tolist() == [14.0, 12.0, 9.0]
    assert block.groups == tuple(range(1, 16))
    assert np.array_equal(np.array(block.groups)[block.group], cbpp["herd"])
    assert (block.offset, block.dropped) == (None, 0)


def test_arrays_have_the_promised_types():
    block = block_of("y ~ x + k + f + offset(k) + (1 | g)", FRAME.astype({"x": "float32", "k": "int8"}))
    assert block.X.flags.f_contiguous
    assert block.X.dtype == block.y.dtype == block.size.dtype == block.offset.dtype == np.float64
    assert block.group.dtype == np.int64
    for array in (block.X, block.y, block.size, block.offset, block.group):
        assert array.flags.owndata


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("x + k", "x + k"),
        ("f", "f"),
        ("0 + f", "0 + f"),
        ("f - 1", "f - 1"),
        ("f * h", "f * h"),
        ("f:h", "f:h"),
        ("x * f", "x * f"),
        ("x:f", "x:f"),
        ("h / x", "h / x"),
        ("h / f", "h / f"),
        ("(f + h + x)^2", "(f + h + x)**2"),
        ("f * h * x - f:h:x", "f * h * x - f:h:x"),
        ("C(k) * x", "C(k) * x"),
        ("factor(k):x + h", "C(k):x + h"),
        ("I(x^2) + I(x^3):f", "I(x*x) + I(x*x*x):f"),
        ("I(x + k) + I(-x / 2) + I((x - 1) * k)", "I(x + k) + I(-x / 2) + I((x - 1) * k)"),
        ("np.sqrt(k) + abs(x)", "np.sqrt(k) + np.abs(x)"),
        ("center(x):f", "center(x):f"),
        ("1", "1"),
    ],
)
def test_x_equals_formulaics_own_matrix(ours, theirs):
    """formulaic fills the matrix itself on the same table, from the formula as it spells it."""
    block = block_of(f"y ~ {ours}", FRAME)
    expected = model_matrix(theirs, FRAME)
    assert np.array_equal(block.X, expected.to_numpy(dtype=float))


def test_exp_and_log_are_numpys_to_the_last_places():
    """Ours have the same bits on every processor, numpy's do not: equal within 4 units in the last place."""
    block = block_of("y ~ exp(x) + log1p(k) + log(k) + np.log2(k) + log10(k)", FRAME)
    k = FRAME["k"]
    expected = np.column_stack([np.exp(FRAME["x"]), np.log1p(k), np.log(k), np.log2(k), np.log10(k)])
    np.testing.assert_array_max_ulp(block.X[:, 1:], expected, maxulp=4)


@pytest.mark.parametrize(
    ("terms", "names"),
    [
        ("x*f + h:f + I(x^2)", "(Intercept)|x|fb|fc|I(x^2)|x:fb|x:fc|fa:hv|fb:hv|fc:hv"),
        ("0+f+h", "fa|fb|fc|hv"),
        ("h/f", "(Intercept)|hv|hu:fb|hv:fb|hu:fc|hv:fc"),
        ("factor(k)*x", "(Intercept)|factor(k)2|factor(k)3|x|factor(k)2:x|factor(k)3:x"),
        ("as.factor(k):x+h", "(Intercept)|hv|as.factor(k)1:x|as.factor(k)2:x|as.factor(k)3:x"),
        ("b*x", "(Intercept)|bTRUE|x|bTRUE:x"),
        ("0+b", "bFALSE|bTRUE"),
        ("b+h:b", "(Intercept)|bTRUE|bFALSE:hv|bTRUE:hv"),
        (
            "f + k:h:f + h:f",
            "(Intercept)|fb|fc|fa:hv|fb:hv|fc:hv|fa:k:hu|fb:k:hu|fc:k:hu|fa:k:hv|fb:k:hv|fc:k:hv",
        ),
        ("I(-x^2)+I(x^-2)", "(Intercept)|I(-x^2)|I(x^-2)"),
    ],
)
def test_names_are_rs(terms, names):
    """Expected: R 4.2.2, paste(colnames(model.matrix(~ terms, FRAME)), collapse = "|"), 2026-11-23."""
    block = block_of(f"y ~ {terms}", FRAME.assign(b=[True, False, True, True, False, False]))
    assert "|".join(block.columns) == names


def test_a_categorical_column_needs_no_c():
    frame = FRAME.assign(period=pd.Categorical(FRAME["k"]))
    assert block_of("y ~ period", frame).columns == ("(Intercept)", "period2", "period3")


def test_a_site_that_lacks_a_level_still_has_its_column():
    sources = open_sites({"A": FRAME[FRAME["f"] != "c"], "B": FRAME[FRAME["f"] == "c"]})
    formula = parse("y ~ f")
    contract = agree(formula, sources)
    assert build(formula, contract, sources["A"]).X[:, 2].tolist() == [0, 0, 0, 0]
    assert build(formula, contract, sources["B"]).X.tolist() == [[1, 0, 1], [1, 0, 1]]


def test_integers_do_not_wrap_in_calculations():
    frame = pd.DataFrame({"y": [0, 1], "k": np.array([100, 120], dtype=np.int8)})
    assert block_of("y ~ 0 + I(k^3) + I(k * k)", frame).X.tolist() == [[1e6, 1e4], [1728000.0, 14400.0]]


@pytest.mark.parametrize(("power", "of_two"), [("0", 1.0), ("1", 2.0), ("5", 32.0), ("-2", 0.25), ("64", 2.0**64)])
def test_whole_powers_are_products(power, of_two):
    frame = pd.DataFrame({"y": [0, 1], "x": [2.0, -2.0]})
    sign = -1.0 if int(power) % 2 else 1.0
    assert block_of(f"y ~ 0 + I(x^{power})", frame).X[:, 0].tolist() == [of_two, sign * of_two]


def test_offsets_add_up():
    block = block_of("y ~ f + offset(x) + offset(log(k)) + offset(2)", FRAME)
    assert np.array_equal(block.offset, FRAME["x"] + elementary.log(FRAME["k"]) + 2)
    assert block.columns == ("(Intercept)", "fb", "fc")


@pytest.mark.parametrize("dtype", ["int64", "float64", "bool", "boolean", "Int8", "uint8"])
def test_a_response_of_zeros_and_ones_may_have_any_type(dtype):
    block = block_of("y ~ x", FRAME.astype({"y": dtype}))
    assert block.y.tolist() == [0, 1, 1, 0, 1, 0]
    assert block.size.tolist() == [1] * 6


def test_a_response_may_be_an_expression():
    assert block_of('(f == "a") ~ x', FRAME).y.tolist() == [0, 1, 0, 1, 0, 0]
    assert block_of('f != "a" & k > 1 ~ x', FRAME).y.tolist() == [1, 0, 1, 0, 0, 1]
    assert block_of("I(2 - k == 0) ~ x", FRAME).y.tolist() == [0, 0, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("g", "labels"),
    [
        (["b", "a", "b", "é", "Z", "a"], ("Z", "a", "b", "é")),
        ([3, -1, 3, 10**12, 0, -1], (-1, 0, 3, 10**12)),
        ([3.0, -1.0, 3.0, 7.0, 0.0, -1.0], (-1, 0, 3, 7)),
        (np.array([3, 1, 3, 255, 0, 1], dtype=np.uint8), (0, 1, 3, 255)),
        (np.array([-128, 127, 0, 0, 0, 127], dtype=np.int8), (-128, 0, 127)),
        ([True, False, True, True, False, True], (False, True)),
        (pd.Categorical(["b", "a", "b", "c", "a", "a"], ["z", "c", "b", "a"]), ("a", "b", "c")),
    ],
)
def test_groups_are_sorted_labels(g, labels):
    block = block_of("y ~ x + (1 | g)", FRAME.assign(g=g))
    assert block.groups == labels
    assert [type(label) for label in block.groups] == [type(label) for label in labels]
    assert [block.groups[code] for code in block.group] == list(g)


def test_groups_may_be_an_interaction():
    block = block_of("y ~ x + (1 | g:f)", FRAME)
    assert block.groups == ("-2:b", "-2:c", "7:a", "7:b", "7:c", "40:a")
    assert [block.groups[code] for code in block.group] == ["7:b", "7:a", "-2:c", "40:a", "-2:b", "7:c"]


def test_measured_numbers_make_no_groups():
    with pytest.raises(DataError, match=r"Site 'data', group column 'x': 2 labels such as 0.5"):
        block_of("y ~ f + (1 | x)", FRAME)


def random_of(bars: str) -> list[tuple[str, tuple[str, ...], int]]:
    """Factor, effects and number of groups of each random-effects term."""
    return [(term.factor, term.columns, len(term.groups)) for term in block_of(f"y ~ x + {bars}", FRAME).random]


@pytest.mark.parametrize(
    ("bars", "terms"),
    [
        ("(x | g)", [("g", ("(Intercept)", "x"), 3)]),
        ("(1 + x | g)", [("g", ("(Intercept)", "x"), 3)]),
        ("(0 + x | g)", [("g", ("x",), 3)]),
        ("(x || g)", [("g", ("(Intercept)",), 3), ("g", ("x",), 3)]),
        ("(1 | g) + (0 + x | g)", [("g", ("(Intercept)",), 3), ("g", ("x",), 3)]),
        ("(1 | g) + (1 | f)", [("g", ("(Intercept)",), 3), ("f", ("(Intercept)",), 3)]),
        ("(1 | g/f)", [("g", ("(Intercept)",), 3), ("g:f", ("(Intercept)",), 6)]),
        ("(f | g)", [("g", ("(Intercept)", "fb", "fc"), 3)]),
        ("(0 + f | g)", [("g", ("fa", "fb", "fc"), 3)]),
        ("(f || g)", [("g", ("(Intercept)",), 3), ("g", ("fa", "fb", "fc"), 3)]),
        ("(x * k || g)", [("g", (name,), 3) for name in ("(Intercept)", "x", "k", "x:k")]),
        ("(k + I(x^2) | g)", [("g", ("(Intercept)", "k", "I(x^2)"), 3)]),
    ],
)
def test_bars_stand_for_random_effects_as_in_r(bars, terms):
    assert random_of(bars) == terms


def test_the_columns_of_z_are_those_of_the_rows():
    (term,) = block_of("y ~ 1 + (k + x:f | g)", FRAME).random
    assert term.columns == ("(Intercept)", "k", "x:fa", "x:fb", "x:fc")
    expected = [np.ones(6), FRAME["k"], *(FRAME["x"] * (FRAME["f"] == level) for level in "abc")]
    assert all(np.array_equal(found, column) for found, column in zip(term.z, expected, strict=True))
    assert [term.groups[code] for code in term.group] == FRAME["g"].tolist()


def test_a_column_of_a_bar_alone_makes_no_fixed_effect():
    block = block_of("y ~ x + (k | g)", FRAME)
    assert block.columns == ("(Intercept)", "x")
    assert block.random[0].columns == ("(Intercept)", "k")


def test_new_rows_without_groups_need_no_column_that_bars_alone_have():
    formula, sources = parse("y ~ x + (k | g)"), open_sites(FRAME)
    contract = agree(formula, sources)
    new = open_sites(FRAME[["x"]])["data"]
    assert rows(formula, contract, new, grouped=False).random == ()
    (term,) = rows(formula, contract, sources["data"]).random
    assert np.array_equal(term.z[1], FRAME["k"])


@pytest.mark.parametrize(
    ("bars", "fault"),
    [
        ("(1 | log(g))", "the group is a column"),
        ("(1 | g + f)", "the group is a column"),
        ("(0 | g)", "has no effect"),
        ("(1 | g) + (x | g)", "'\\(Intercept\\)' varies by 'g' in a term before"),
        ("(1 | g:f) + (1 | f:g)", "'\\(Intercept\\)' varies by 'f:g' in a term before"),
    ],
)
def test_bars_that_mean_nothing_are_refused(bars, fault):
    with pytest.raises(UsageError, match=fault):
        block_of(f"y ~ x + {bars}", FRAME)


def test_a_group_of_any_factor_lies_within_one_site():
    both = {"A": FRAME, "B": FRAME.assign(g=[100, 101, 102, 103, 104, 105])}
    formula, sources = parse("y ~ x + (1 | g) + (1 | f)"), open_sites(both)
    contract = agree(formula, sources)
    blocks = {name: build(formula, contract, source) for name, source in sources.items()}
    with pytest.raises(DataError, match=r"3 groups have rows at more than one site: 'a' \(sites 'A' and 'B'\)"):
        check_groups_disjoint(blocks)


def test_random_effects_stay_in_a_contract_through_json():
    contract = agree(parse("y ~ x + (f || g) + (1 | g:k)"), open_sites(FRAME))
    assert Contract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract


MISSING = pd.DataFrame(
    {
        "y": [0, 1, None, 1, 0, 1],
        "x": [1.0, np.nan, 3.0, 4.0, 5.0, 6.0],
        "f": ["a", "b", "a", None, "b", "a"],
        "z": [1, 2, 3, 4, None, 6],
        "g": [1, 1, 1, 2, 2, None],
        "unused": [None] * 6,
    }
)


@pytest.mark.parametrize("convert", [pd.DataFrame, pd.DataFrame.convert_dtypes, pa.Table.from_pandas])
def test_missing_values_are_counted_by_column_in_every_role(convert):
    data = {"north": convert(MISSING)}
    text = "y ~ x + f + offset(z) + (1 | g)"
    with pytest.raises(DataError, match=r"site 'north': y 1, x 1, f 1, z 1, g 1\..*drop"):
        block_of(text.replace(" + f", " + I(f == 'a')"), data)
    frame = pd.concat([MISSING, MISSING.assign(f="b").fillna(1)])
    block = block_of(text, {"north": convert(frame)}, missing="drop")
    assert block.dropped == 5
    assert block.X.tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 1], [1, 3, 1], [1, 4, 1], [1, 5, 1], [1, 6, 1]]
    assert block.offset.tolist() == [1, 1, 2, 3, 4, 1, 6]
    assert [block.groups[code] for code in block.group] == [1, 1, 1, 1, 2, 2, 1]


def test_a_site_without_complete_rows_is_named():
    sources = open_sites({"A": MISSING, "B": MISSING[1:2], "C": MISSING[:0]})
    formula = parse("y ~ x")
    contract = agree(formula, {site: sources[site] for site in "AB"})
    assert build(formula, contract, sources["A"], missing="drop").dropped == 2
    with pytest.raises(SiteError, match="Site 'B' has no complete row: missing of 1 rows are x 1"):
        build(formula, contract, sources["B"], missing="drop")
    with pytest.raises(SiteError, match="Site 'C' has no rows"):
        build(formula, contract, sources["C"])
    with pytest.raises(SiteError, match="Site 'C' has no rows"):
        agree(formula, sources)


def test_infinite_values_are_named_with_their_row_in_the_table():
    frame = FRAME.assign(x=[np.nan, 1.0, -np.inf, 2.0, np.inf, 0.0])
    for text in ("y ~ x", "x ~ k", "y ~ k + offset(x)", "y ~ k + (1 | x)", "y ~ I(x > 0)"):
        with pytest.raises(DataError, match=r"Site 'data', column 'x': 2 of 5 rows, the first is row 3 .*-inf"):
            block_of(text, frame, missing="drop")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "y ~ log(x)",
            r"'log\(x\)' is infinite or undefined.*2 of 6 rows, the first is row 2 .*-inf \(x = 0\.0\)",
        ),
        ("y ~ I(sqrt(x - 1))", r"'I\(sqrt\(x - 1\)\)'.*2 of 6 rows, the first is row 2 .*nan"),
        ("y ~ I(k / x)", r"'I\(k / x\)'.*1 of 6 rows, the first is row 2 .*inf \(k = 1, x = 0\.0\)"),
        ("y ~ k + offset(log(x))", r"'offset\(log\(x\)\)'.*2 of 6"),
        ("y ~ exp(I(x * 1000))", r"4 of 6 rows, the first is row 1 .*inf"),
        ("cbind(y, k / x) ~ k", r"'cbind\(y, k / x\)'.*1 of 6"),
        ("y ~ I(1/0)", r"'I\(1/0\)' is infinite"),
    ],
)
def test_calculations_that_leave_the_numbers_are_named(text, words):
    with pytest.raises(DataError, match=words):
        block_of(text, FRAME.assign(x=[1.0, 0.0, -0.5, 2.0, 8.0, 1.0]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "k ~ x",
            r"response 'k': a binomial response is 0 or 1; 4 of 6 rows, the first is row 1 .*3\.0.*cbind",
        ),
        ("x ~ k", r"response 'x'.*5 of 6 rows.*0\.5"),
        ("cbind(x, k) ~ f", r"successes are negative; 1 of 6 rows, the first is row 3 .*-1\.25"),
        ("cbind(abs(x), k) ~ f", r"successes are not whole numbers; 2 of 6 rows, the first is row 1 .*0\.5"),
        (
            "cbind(k, 2 - k) ~ f",
            r"failures are negative \(more successes than trials\); 2 of 6 rows.*row 1 .*-1\.0",
        ),
        ("cbind(k, k / 2) ~ f", r"failures are not whole numbers; 4 of 6 rows.*row 1 .*1\.5"),
    ],
)
def test_a_response_outside_the_binomials_domain_is_named(text, words):
    with pytest.raises(DataError, match=words):
        block_of(text, FRAME)


def test_an_unknown_family_is_refused():
    with pytest.raises(UsageError, match=r"Unknown family 'binomal'. Known are: binomial"):
        block_of("y ~ x", FRAME, family="binomal")


def test_row_numbers_are_those_of_the_table_even_after_rows_were_dropped():
    frame = pd.DataFrame({"y": [0, 1, 2], "x": [None, 1.0, 2.0]})
    with pytest.raises(DataError, match="1 of 2 rows, the first is row 3 "):
        block_of("y ~ x", frame, missing="drop")


def test_new_rows_need_no_response_and_no_group():
    formula = parse("y ~ x + f + offset(k) + (1 | g)")
    contract = agree(formula, open_sites(FRAME))
    (new,) = open_sites(pd.DataFrame({"x": [1.0, 2.0], "f": ["c", "a"], "k": [1, 2], "g": [99, 7]})).values()
    found = rows(formula, contract, new)
    assert found.X.tolist() == [[1, 1, 0, 1], [1, 2, 0, 0]]
    assert found.offset.tolist() == [1, 2]
    (term,) = found.random
    assert [term.groups[code] for code in term.group] == [99, 7]
    (new,) = open_sites(pd.DataFrame({"x": [1.0, None], "f": ["c", "a"], "k": [1, 2]})).values()
    found = rows(formula, contract, new, missing="drop", grouped=False)
    assert (found.kept.tolist(), found.dropped, found.random) == ([0], 1, ())
    with pytest.raises(SiteError, match="no column named 'g'"):
        rows(formula, contract, new)


def test_new_rows_of_an_intercept_model_are_counted():
    formula = parse("y ~ 1")
    contract = agree(formula, open_sites(FRAME))
    (new,) = open_sites(pd.DataFrame({"anything": ["a", "b", "c"]})).values()
    assert rows(formula, contract, new).X.tolist() == [[1], [1], [1]]


@pytest.mark.parametrize(
    ("text", "new", "words"),
    [
        (
            "y ~ f",
            {"f": ["a", "e", "d", "e"]},
            "column 'f': unknown levels in 3 of 4 rows: 'e', 'd'. Known are a, b, c",
        ),
        ("y ~ C(k)", {"k": [1, 5]}, "column 'k': unknown levels in 1 of 2 rows: '5'. Known are 1, 2, 3"),
    ],
)
def test_unseen_levels_are_named_with_the_known_ones(text, new, words):
    formula = parse(text)
    contract = agree(formula, open_sites(FRAME))
    with pytest.raises(DataError, match=words):
        rows(formula, contract, open_sites({"new": pd.DataFrame(new)})["new"])


def test_a_column_of_another_type_than_agreed_is_named():
    formula = parse("y ~ x")
    contract = agree(formula, open_sites(FRAME))
    with pytest.raises(SiteError, match=r"Column 'x' is .*text. at site 'new', but the sites agreed on number"):
        rows(formula, contract, open_sites({"new": pd.DataFrame({"x": ["1"]})})["new"])


def test_new_texts_fit_declared_categories():
    formula = parse("y ~ f")
    contract = agree(formula, open_sites(FRAME.astype({"f": "category"})))
    (new,) = open_sites(pd.DataFrame({"f": ["c"]})).values()
    assert rows(formula, contract, new).X.tolist() == [[1, 0, 1]]


def test_memory_stays_near_that_of_x():
    """X alone is 8 MB; y, size, group and the codes on their way add 5 vectors of 0.8 MB."""
    n = 100_000
    frame = pd.DataFrame({f"x{i}": np.linspace(-1, 1, n) for i in range(10)}).assign(y=0, g=np.arange(n) // 10)
    formula = parse("y ~ 0 + " + " + ".join(f"x{i}" for i in range(10)) + " + (1 | g)")
    sources = open_sites(frame)
    contract = agree(formula, sources)
    tracemalloc.start()
    block = build(formula, contract, sources["data"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert block.X.nbytes == 8_000_000
    assert peak < block.X.nbytes + 6 * 8 * n
