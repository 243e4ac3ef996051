"""What least squares asks of the data room: numeric responses, columns of any size, weights."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from sumwise.data import Contract, agree, build, open_sites, parse
from sumwise.errors import DataError, UsageError

FRAME = pd.DataFrame(
    {
        "y": [1.5, -2.0, 1e300, 0.0],
        "k": [3, -1, 2, 2],
        "b": [True, False, True, True],
        "f": ["b", "a", "c", "a"],
        "x": [0.5, 2.0, -1.25, 3.0],
        "w": [1.0, 0.0, 2.5, 4.0],
    }
)


def block_of(text, data=FRAME, *, weights=None, missing="error"):
    formula = parse(text)
    sources = open_sites(data)
    contract = agree(formula, sources, missing=missing, weights=weights, family="gaussian")
    (source,) = sources.values()
    return build(formula, contract, source, missing=missing, family="gaussian")


@pytest.mark.parametrize(
    ("response", "y"),
    [
        ("y", [1.5, -2.0, 1e300, 0.0]),
        ("k", [3, -1, 2, 2]),
        ("b", [1, 0, 1, 1]),
        ("I(x^2 - k)", [-2.75, 5.0, -0.4375, 7.0]),
        ('(f == "a")', [0, 1, 0, 1]),
    ],
)
def test_a_response_is_any_finite_number(response, y):
    block = block_of(f"{response} ~ x")
    assert block.y.dtype == np.float64
    assert block.y.tolist() == y
    assert block.size.tolist() == [1, 1, 1, 1]
    assert (block.weights, block.random) == (None, ())


def test_a_response_that_is_not_finite_is_refused():
    with pytest.raises(DataError, match=r"'log\(x\)' is infinite or undefined.*1 of 4 rows, the first is row 3"):
        block_of("log(x) ~ k")
    with pytest.raises(DataError, match=r"Missing values, by site and column: site 'data': y 1\."):
        block_of("y ~ x", FRAME.assign(y=[1.0, None, 2.0, 3.0]))
    assert block_of("y ~ x", FRAME.assign(y=[1.0, None, 2.0, 3.0]), missing="drop").dropped == 1


def test_counts_of_successes_are_no_response():
    with pytest.raises(UsageError, match=r"cbind\(\) is a response of counts, for family='binomial'(.|\n)*\n    \^"):
        block_of("cbind(k, w) ~ x")
    formula = parse("cbind(k, w) ~ x")
    contract = agree(formula, open_sites(FRAME))
    with pytest.raises(UsageError, match="least squares explains one number a row"):
        build(formula, contract, open_sites(FRAME)["data"], family="gaussian")


def test_a_text_response_is_refused_with_what_to_write():
    with pytest.raises(UsageError, match=r"'f' holds texts \(a, b, c\)\. Least squares needs numbers.*\(f == \"c\"\)"):
        block_of("f ~ x")
    with pytest.raises(UsageError, match=r"3 of its 4 values are numbers, but not 'n/a'\."):
        block_of("f ~ x", FRAME.assign(f=["1", "2.5", "n/a", "7"]))
    with pytest.raises(UsageError, match="All of them are numbers, but their column is text"):
        block_of("f ~ x", FRAME.assign(f=["1", "2.5", "3", "7"]))


def test_columns_may_be_of_any_size():
    frame = FRAME.assign(huge=FRAME["x"] * 1e150, tiny=FRAME["x"] * 1e-150, largest=1.7e308, least=5e-324)
    block = block_of("y ~ 0 + huge + tiny + largest + least", frame)
    for name, column in zip(block.columns, block.x, strict=True):
        assert column.tolist() == frame[name].tolist()


def test_products_that_overflow_are_named():
    frame = FRAME.assign(u=[1.0, 1e200, 1.0, 1.0], v=[1.0, 1e200, 1.0, 1.0])
    with pytest.raises(
        DataError, match=r"'u:v' is infinite.*1 of 4 rows, the first is row 2 .*\(u = 1e\+200, v = 1e\+200\)"
    ):
        block_of("y ~ u:v", frame)


@pytest.mark.parametrize(
    ("terms", "columns"),
    [("1", ("(Intercept)",)), ("0 + x", ("x",)), ("f - 1", ("fa", "fb", "fc")), ("b", ("(Intercept)", "bTRUE"))],
)
def test_small_formulas(terms, columns):
    block = block_of(f"y ~ {terms}")
    assert block.columns == columns
    assert block.X.shape == (4, len(columns))


@pytest.mark.parametrize("terms", ["0", "-1", "0 + offset(x)"])
def test_a_formula_without_terms_is_refused(terms):
    with pytest.raises(UsageError, match="No terms: without an intercept there is no coefficient"):
        block_of(f"y ~ {terms}")


@pytest.mark.parametrize(
    ("text", "w"),
    [
        ("w", [1, 0, 2.5, 4]),
        ("k^2", [9, 1, 4, 4]),
        ("1/x^2", [4, 0.25, 0.64, 1 / 9]),
        ("I(w * 2)", [2, 0, 5, 8]),
        ("b", [1, 0, 1, 1]),
        ('(f == "a")', [0, 1, 0, 1]),
        ("  abs( k )", [3, 1, 2, 2]),
    ],
)
def test_weights_are_an_expression_of_the_data(text, w):
    block = block_of("y ~ x", weights=text)
    assert block.weights.dtype == np.float64
    np.testing.assert_array_equal(block.weights, w)


def test_rows_without_a_weight_are_missing_rows():
    frame = FRAME.assign(w=[1.0, None, 2.0, 3.0])
    with pytest.raises(DataError, match="site 'data': w 1"):
        block_of("y ~ x", frame, weights="w")
    block = block_of("y ~ f", frame.assign(f=["b", "z", "c", "c"]), weights="w", missing="drop")
    assert (block.dropped, block.weights.tolist(), block.columns) == (1, [1, 2, 3], ("(Intercept)", "fc"))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("k", DataError, r"Site 'data', weights 'k': weights are negative; 1 of 4 rows, the first is row 2 .* -1\.0"),
        ("1/w", DataError, r"'weights: 1/w' is infinite or undefined.*1 of 4 rows, the first is row 2 .*\(w = 0\.0\)"),
        ("sqrt(k)", DataError, r"'weights: sqrt\(k\)'.*1 of 4 rows.*nan"),
        ("w * 0", DataError, r"Weights 'w \* 0': all are zero"),
        ("f", UsageError, "A weight is a number, not a text"),
        ("f + 1", UsageError, "holds texts, which cannot be calculated with"),
        ("factor(f)", UsageError, "must be a term by itself"),
        ("ww", UsageError, "No column 'ww'. Did you mean 'w'"),
        ("scale(w)", UsageError, r"scale\(\) makes no weights"),
        ("2", UsageError, "name no column of the data"),
        ("", UsageError, "weights is an empty text"),
        ("w +", UsageError, "a value is missing here"),
        ("w x", UsageError, "an operator is missing here"),
        ("(w", UsageError, "never closed"),
        ("__import__('os')", UsageError, "Unknown function"),
        ("cbind(w, k)", UsageError, "can only be the whole response"),
        ([1.0, 2.0], UsageError, "weights is a text, .* not of type list. Put the numbers into a column"),
    ],
)
def test_weights_that_make_no_sense_are_refused(text, error, words):
    with pytest.raises(error, match=words):
        block_of("y ~ x", weights=text)


def test_infinite_weights_are_named():
    with pytest.raises(DataError, match=r"column 'w': 1 of 4 rows, the first is row 3 .*inf"):
        block_of("y ~ x", FRAME.assign(w=[1.0, 2.0, np.inf, 3.0]), weights="w")


def test_a_site_may_have_weights_of_zero_alone():
    """Else a split of the rows would be refused that another is not."""
    formula = parse("y ~ x")
    sources = open_sites({"A": FRAME[1:2], "B": FRAME[2:]})
    contract = agree(formula, sources, weights="w", family="gaussian")
    assert build(formula, contract, sources["A"], family="gaussian").weights.tolist() == [0]


def test_the_contract_keeps_the_weights_and_old_contracts_have_none():
    formula = parse("y ~ x")
    contract = agree(formula, open_sites(FRAME), weights="1/x^2", family="gaussian")
    assert Contract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract
    assert contract.weights == "1/x^2"
    assert contract.kinds() == {"y": "number", "x": "number"}
    old = contract.to_dict()
    del old["weights"]
    assert Contract.from_dict(old).weights is None


def test_an_unknown_family_is_refused_before_any_row_is_read():
    with pytest.raises(UsageError, match=r"Unknown family 'gausian'. Known are: binomial, .*gaussian"):
        agree(parse("y ~ x"), {}, family="gausian")
