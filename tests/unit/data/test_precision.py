"""How far inputs may be off that are only good to their last printed digit."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.data import agree, build, input_errors, open_sites, parse
from sumwise.errors import UsageError
from sumwise.models.linear import sums


def errors_of(text, data, decimal=None, **options):
    formula = parse(text)
    sources = open_sites(data, decimal)
    contract = agree(formula, sources, family="gaussian", weights=options.pop("weights", None))
    found = input_errors(formula, contract, sources, **options)
    return dict(zip(contract.names, found.x.tolist(), strict=True)), found


FRAME = pd.DataFrame(
    {
        "y": [1.5, 2.25, 3.0],
        "x": [0.5, 2.0, 8.1],
        "k": [1, 2, 5],
        "whole": [1.0, 2.0, 4.0],
        "full": [1 / 3, 2 / 3, 0.1],
        "f": ["a", "b", "a"],
        "b": [True, False, True],
    }
)


@pytest.mark.parametrize("decimal", [None, True])
def test_half_a_unit_of_the_last_printed_decimal(decimal):
    """x has one decimal, y two: three rows, each off by up to 0.05 and 0.005."""
    x, found = errors_of("y ~ x + k + whole + full + f + b + factor(x)", FRAME, decimal)
    exact = {name: e for name, e in x.items() if name not in ("x", "full")}
    assert set(exact.values()) == {0.0}
    # 1/3 and 2/3 need all digits of a float64, good to 2^-53 of their size
    assert x["full"] == pytest.approx(float(np.sum((2.0**-53 * FRAME["full"]) ** 2)), rel=1e-14)
    assert found.in_full == ("full",)
    assert x["x"] == pytest.approx(3 * 0.05**2, rel=1e-14)
    assert found.y == pytest.approx(3 * 0.005**2, rel=1e-14)
    assert found.columns == {"y": 0.005, "x": 0.05, "k": 0.0, "whole": 0.0, "full": 0.0}


def test_printed_zeros_count(tmp_path):
    (tmp_path / "t.dat").write_text("y x\n1.50 0.500\n2.00 1\n")
    _, found = errors_of("y ~ x", tmp_path / "t.dat")
    assert found.columns == {"y": 0.005, "x": 0.0005}


def test_derived_columns_are_worked_out_again_above_and_below():
    """Expected: |f(x + e) - f(x)| or |f(x - e) - f(x)|, whichever is larger, by hand, with e = 0.05."""
    x, _ = errors_of("y ~ I(x^2) + log(x) + x:k + x:f + I(x * y) + I(x > 2) + center(x)", FRAME)
    v, e, y = FRAME["x"].to_numpy(), 0.05, FRAME["y"].to_numpy()
    expected = {
        "I(x^2)": (v + e) ** 2 - v**2,
        "log(x)": np.log(v) - np.log(v - e),
        "x:k": e * FRAME["k"].to_numpy(),
        "x:fb": np.array([0, e, 0]),
        "I(x * y)": e * y + 0.005 * v,
        "I(x > 2)TRUE": np.array([0, 1, 0]),
        "center(x)": np.full(3, e),
    }
    for name, error in expected.items():
        assert x[name] == pytest.approx((error**2).sum(), rel=1e-9), name
    assert x["I(x > 2)TRUE"] == 1.0


def test_an_offset_counts_with_the_response():
    _, found = errors_of("y ~ 1 + offset(2 * x)", FRAME)
    assert found.y == pytest.approx(3 * (0.005 + 2 * 0.05) ** 2, rel=1e-9)


def test_stated_errors_replace_printed_ones_and_relative_ones_the_others():
    x, found = errors_of("y ~ x + k", FRAME, stated={"k": 0.5, "x": 0.0})
    assert (x["x"], x["k"]) == (0.0, 3 * 0.25)
    x, found = errors_of("y ~ x + k + b", FRAME, stated={"x": 0.25}, relative=2.0**-10)
    assert x["x"] == 3 * 0.0625
    assert x["k"] == (1 + 4 + 25) * 2.0**-20
    assert x["bTRUE"] == 0
    assert found.y == (1.5**2 + 2.25**2 + 9) * 2.0**-20
    assert found.columns == {"y": 2.0**-10, "x": 0.25, "k": 2.0**-10}


def test_where_one_side_has_no_value_the_other_counts():
    """sqrt(0 - e) is none; sqrt(0 + e) is."""
    frame = FRAME.assign(x=[0.0, 0.5, 1.0])
    x, _ = errors_of("y ~ sqrt(x)", frame)
    by_hand = [np.sqrt(0.05), np.sqrt(0.5) - np.sqrt(0.45), 1 - np.sqrt(0.95)]
    assert x["sqrt(x)"] == pytest.approx(sum(e**2 for e in by_hand), rel=1e-9)


def test_errors_beyond_floating_point_are_infinite():
    x, _ = errors_of("y ~ x", FRAME.assign(x=[1e200, 1.0, 2.0]), relative=1e-3)
    assert x["x"] == np.inf


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stated": {"xx": 0.1}}, "An error is stated for 'xx', which is no number column .* Did you mean 'x'"),
        ({"stated": {"f": 0.1}}, "stated for 'f'"),
        ({"stated": {"x": -1.0}}, "The error stated for column 'x' is -1.0"),
        ({"stated": {"x": np.nan}}, "is nan"),
        ({"relative": -1e-3}, "relative=-0.001"),
    ],
)
def test_errors_that_make_no_sense_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        errors_of("y ~ x + f", FRAME, **options)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_gram_of_a_fit_gives_the_same_errors_as_a_pass_over_each_column(seed):
    """Own and derived columns, factors, offset, weights, decimals, several sites: bit for bit."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 12))
    frame = pd.DataFrame(
        {
            "y": rng.normal(size=n).round(int(rng.integers(0, 18))),
            "x": rng.normal(size=n) * 10.0 ** int(rng.integers(-9, 9)),
            "few": rng.normal(size=n).round(2),
            "k": rng.integers(0, 9, n),
            "f": np.resize(["a", "b", "c"], n),
            "w": 1.5 * rng.integers(0, 3, n) + (np.arange(n) < 2),
        }
    )
    sites = frame if rng.random() < 0.5 else {"one": frame[: n // 2], "two": frame[n // 2 :]}
    formula = parse(
        str(rng.choice(["y ~ x + few + k + f", "y ~ 0 + f + few:x + x + offset(k)", "log(k + 1) ~ x*f + few"]))
    )
    sources = open_sites(sites, [None, True, False][int(rng.integers(3))])
    contract = agree(formula, sources, family="gaussian", weights=None if rng.random() < 0.5 else "w")
    gram = reduce(add, (sums(build(formula, contract, source, family="gaussian")) for source in sources.values()))
    plain, quick = input_errors(formula, contract, sources), input_errors(formula, contract, sources, gram=gram)
    assert plain.x.tobytes() == quick.x.tobytes()
    assert plain.y == quick.y
