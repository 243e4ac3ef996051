"""Laws of the data room: how rows are dealt to sites changes no bit of the design, and decimals stay exact."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.data import agree, build, check_groups_disjoint, input_errors, open_sites, parse
from sumwise.data.decimal_text import from_floats, from_text
from sumwise.data.evaluate_exact import evaluate_exact
from sumwise.data.values import Values
from tests.oracles.decimal_expressions import worth

FORMULA = parse(
    "cbind(s, 9 - s) ~ scale(x)*f + I(x^3) + center(log(k)) + exp(z) + C(k):b + sqrt(k) + offset(log1p(k)) + (1 | g)"
)


@st.composite
def dealt_tables(draw):
    """(a table of whole groups, for each group the number of the site it is dealt to)."""
    n_groups = draw(st.integers(1, 12))
    sizes = draw(st.lists(st.integers(1, 9), min_size=n_groups, max_size=n_groups))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = sum(sizes) + 4
    table = pd.DataFrame(
        {
            "s": rng.integers(0, 10, n),
            "x": rng.normal(size=n) * 10.0 ** rng.integers(-8, 9, n),
            "z": rng.normal(size=n),
            "f": rng.choice(["u", "v", "w"], n),
            "k": rng.integers(1, 4, n),
            "b": rng.random(n) < 0.5,
            # the last group holds two levels of each factor: with fewer there is no factor
            "g": np.repeat(np.arange(n_groups + 1), [*sizes, 4]),
        }
    )
    table.loc[n - 4 :, "f"] = ["u", "v", "u", "v"]
    table.loc[n - 4 :, "k"] = [1, 2, 1, 2]
    sites = draw(st.lists(st.integers(0, 4), min_size=n_groups + 1, max_size=n_groups + 1))
    return table, np.array(sites)


@settings(max_examples=60, deadline=None)
@given(dealt_tables())
def test_any_dealing_of_groups_to_sites_gives_the_same_rows_bit_for_bit(dealt):
    table, site_of = dealt
    pooled_sources = open_sites(table)
    pooled_contract = agree(FORMULA, pooled_sources)
    pooled = build(FORMULA, pooled_contract, pooled_sources["data"])

    site = site_of[table["g"]]
    places = {f"site {i}": np.flatnonzero(site == i) for i in np.unique(site)}
    sources = open_sites({name: table.iloc[place] for name, place in places.items()})
    contract = agree(FORMULA, sources)
    blocks = {name: build(FORMULA, contract, source) for name, source in sources.items()}
    check_groups_disjoint(blocks)

    assert contract == pooled_contract
    for name, place in places.items():
        block = blocks[name]
        assert block.columns == pooled.columns
        assert block.X.tobytes("F") == np.asfortranarray(pooled.X[place]).tobytes("F")
        assert block.y.tobytes() == pooled.y[place].tobytes()
        assert block.size.tobytes() == pooled.size[place].tobytes()
        assert block.offset.tobytes() == pooled.offset[place].tobytes()
        assert [block.groups[code] for code in block.group] == table["g"].iloc[place].tolist()


@settings(max_examples=60, deadline=None)
@given(dealt_tables(), st.data())
def test_missing_values_drop_the_same_rows_wherever_they_lie(dealt, data):
    table, site_of = dealt
    gaps = data.draw(st.sets(st.tuples(st.integers(0, len(table) - 5), st.sampled_from("sxzfk")), max_size=8))
    table = table.astype({"s": float, "k": float})
    for row, column in gaps:
        table.loc[row, column] = None
    complete = table.notna().all(axis=1).to_numpy()

    formula = parse("cbind(s, 9 - s) ~ x + z + f + C(k) + (1 | g)")
    pooled_sources = open_sites(table)
    pooled_contract = agree(formula, pooled_sources)
    pooled = build(formula, pooled_contract, pooled_sources["data"], missing="drop")
    assert pooled.dropped == int((~complete).sum())

    site = site_of[table["g"]]
    whole = {i: np.flatnonzero(site == i) for i in np.unique(site) if complete[site == i].any()}
    sources = open_sites({str(i): table.iloc[place] for i, place in whole.items()})
    contract = agree(formula, sources)
    assert contract == pooled_contract
    numbered = np.cumsum(complete) - 1
    for i, place in whole.items():
        block = build(formula, contract, sources[str(i)], missing="drop")
        rows = numbered[place[complete[place]]]
        assert block.X.tobytes("F") == np.asfortranarray(pooled.X[rows]).tobytes("F")


def decimal_texts(places: int, power: int) -> st.SearchStrategy[str]:
    """Texts of numbers in all spellings; at most `places` digits on each side of the point."""
    digits = st.text("0123456789", max_size=places)
    spelt = st.tuples(st.sampled_from(["", "-", "+"]), digits, st.sampled_from(["", "."]), digits)
    powers = st.one_of(
        st.just(""), st.integers(-power, power).map("e{}".format), st.integers(0, power).map("E+{}".format)
    )
    return st.tuples(spelt.map("".join), powers).map("".join).filter(_reads)


def _reads(text: str) -> bool:
    try:
        Fraction(text)
    except ValueError:
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(decimal_texts(6, 3), decimal_texts(25, 40), decimal_texts(3, 300)), min_size=1, max_size=8))
def test_texts_are_read_as_fractions_reads_them_and_rounded_as_float_rounds_them(texts):
    exact, nearest = from_text(pa.array(texts))
    assert exact.fractions() == [Fraction(text) for text in texts]
    assert nearest.tolist() == [float(text) for text in texts]
    assert (exact.values.dtype == np.int64) == all(abs(value) < 2**63 for value in exact.values.tolist())


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.floats(allow_nan=False, allow_infinity=False),
            st.decimals(-1000, 1000, places=4).map(float),
            st.integers(-(2**60), 2**60).map(float),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([np.float64, np.float32]),
)
def test_floats_become_the_decimals_that_numpy_prints(numbers, dtype):
    with np.errstate(over="ignore"):
        x = np.array(numbers).astype(dtype)
    printed = [Fraction(np.format_float_scientific(v)) if np.isfinite(v) else 0 for v in x]
    assert from_floats(x).fractions() == printed


@st.composite
def calculations(draw, depth: int = 3) -> str:
    """Expressions of x, k, b and written numbers that decimals are closed under, division by 2s and 5s included."""
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(["x", "k", "b", "2", "0.1", "1e-3", "x"]))
    inner = draw(calculations(depth=depth - 1))
    other = draw(calculations(depth=depth - 1))
    sign = draw(st.sampled_from(["+", "-", "*", "<", "==", ">=", "!=", "&", "|"]))
    return draw(
        st.sampled_from(
            [
                f"({inner}) {sign} ({other})",
                f"-({inner})",
                f"I({inner})",
                f"abs({inner})",
                f"({inner})^3",
                f"!({inner})",
            ]
            + [f"({inner}) / {d}" for d in ("8", "0.5", "1e3", "-2.5")]
        )
    )


@settings(max_examples=200, deadline=None)
@given(
    calculations(),
    st.lists(st.tuples(decimal_texts(12, 5), st.integers(-(2**63), 2**63 - 1), st.booleans()), min_size=1, max_size=4),
)
def test_calculations_with_decimals_equal_those_with_fractions(calculation, table):
    texts, whole, truth = (list(column) for column in zip(*table, strict=True))
    exact, nearest = from_text(pa.array(texts))
    columns = {
        "x": Values("number", "text", nearest, exact=exact),
        "k": Values("number", "int64", np.array(whole)),
        "b": Values("boolean", "bool", np.array(truth)),
    }
    text = f"x ~ I({calculation})"
    expression = parse(text).atoms[0].expression
    found = evaluate_exact(expression, columns, text).repeated(len(texts))
    rows = [dict(zip("xkb", map(Fraction, row), strict=True)) for row in table]
    assert found.fractions() == [worth(expression, row) for row in rows]
    assert all(isinstance(value, int) for value in found.values.tolist())
    assert found.nearest().tolist() == [float(worth(expression, row)) for row in rows]


@settings(max_examples=40, deadline=None)
@given(dealt_tables(), st.integers(0, 6), st.booleans())
def test_any_dealing_of_rows_gives_the_same_least_squares_rows_and_input_errors(dealt, places, decimal):
    """Rows, not groups: without bars every row stands for itself."""
    table, _ = dealt
    table = table.assign(z=table["z"].round(places), x=table["x"].round(places))
    site = np.random.default_rng(len(table)).integers(0, 3, len(table))
    formula = parse("s ~ x*f + I(z^2) + C(k):b + center(z) + I(x * z) + offset(z / 4)")
    options = {"weights": "k / 2", "family": "gaussian"}
    pooled_sources = open_sites(table, decimal)
    pooled_contract = agree(formula, pooled_sources, **options)
    pooled = build(formula, pooled_contract, pooled_sources["data"], family="gaussian")

    placed = {str(i): np.flatnonzero(site == i) for i in np.unique(site)}
    sources = open_sites({name: table.iloc[place] for name, place in placed.items()}, decimal)
    contract = agree(formula, sources, **options)
    assert contract == pooled_contract
    for name, place in placed.items():
        block = build(formula, contract, sources[name], family="gaussian")
        assert block.X.tobytes("F") == np.asfortranarray(pooled.X[place]).tobytes("F")
        for ours, theirs in ((block.y, pooled.y), (block.weights, pooled.weights), (block.offset, pooled.offset)):
            assert ours.tobytes() == theirs[place].tobytes()
        exact = (*block.exact, block.y_exact, block.weights_exact, block.offset_exact)
        whole = (*pooled.exact, pooled.y_exact, pooled.weights_exact, pooled.offset_exact)
        for ours, theirs in zip(exact, whole, strict=True):
            assert (ours is None) == (theirs is None)
            if ours is not None:
                assert ours.fractions() == [theirs.fractions()[row] for row in place]
    here, there = (input_errors(formula, contract, each) for each in (pooled_sources, sources))
    assert (here.x.tobytes(), here.y, here.columns) == (there.x.tobytes(), there.y, there.columns)
