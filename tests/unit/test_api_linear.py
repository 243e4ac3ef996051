"""fit() of linear models as a user calls it: kinds of data, sites, and bad input, each with its message."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sumwise as sw
from sumwise.results.linear import LinearFit


def simulated(n: int = 60) -> pd.DataFrame:
    """y ~ 1 + 2 x + noise; f a factor, w weights from 0 on, t texts."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "f": rng.choice(list("abc"), n)})
    frame = frame.assign(w=rng.integers(0, 4, n), t=[f"u{i}" for i in range(n)])
    return frame.assign(y=1 + 2 * frame["x"] + rng.normal(size=n))


DATA = simulated()


def gram(formula: str, data: object, **options: object) -> object:
    """Everything a linear fit answers follows from its cross-products."""
    fitted = sw.fit(formula, data, **options)
    assert isinstance(fitted, LinearFit)
    return fitted.gram


def test_every_kind_of_table_gives_the_same_sums(tmp_path: Path) -> None:
    formula = "y ~ x * f + I(z^2)"
    DATA.to_csv(tmp_path / "a.csv", index=False)
    pq.write_table(pa.Table.from_pandas(DATA.iloc[:20]), tmp_path / "p1.parquet")
    pq.write_table(pa.Table.from_pandas(DATA.iloc[20:]), tmp_path / "p2.parquet")
    tables = [
        DATA,
        DATA.astype({"f": "category"}),
        pl.from_pandas(DATA),
        pa.Table.from_pandas(DATA),
        tmp_path / "a.csv",
        str(tmp_path / "p*.parquet"),
        {"one": DATA.iloc[:30], "two": pl.from_pandas(DATA.iloc[30:50]), "three": DATA.iloc[50:]},
    ]
    whole = gram(formula, DATA)
    assert all(gram(formula, table, threads=2) == whole for table in tables)
    assert gram(formula, DATA, family="gaussian") == whole


def test_groups_may_lie_at_several_sites_when_they_are_fixed_effects() -> None:
    sites = {"a": DATA.iloc[::2], "b": DATA.iloc[1::2]}
    assert gram("y ~ f", sites) == gram("y ~ f", DATA)


def test_missing_drop_equals_fitting_the_complete_rows() -> None:
    holes = DATA.assign(x=DATA["x"].where(DATA.index % 7 != 0))
    dropped = sw.fit("y ~ x", holes, missing="drop")
    assert isinstance(dropped, LinearFit)
    assert dropped.gram == gram("y ~ x", holes.dropna())
    assert dropped.sites["dropped"].tolist() == [9]  # ceil(60 / 7)
    assert "9 rows with missing values dropped" in dropped.summary()


def test_one_round_whatever_the_number_of_sites(capsys: pytest.CaptureFixture[str]) -> None:
    fitted = sw.fit("y ~ x", {str(k): DATA.iloc[k::5] for k in range(5)}, progress=True)
    assert len(fitted.rounds) == 1
    assert fitted.sites["rows"].tolist() == [12] * 5
    assert capsys.readouterr().err.startswith("round 1: ")
    # 3 columns make 6 cross-products and the number of rows
    assert fitted.rounds["numbers"].tolist() == [7]


def test_weights_are_a_column_or_an_expression() -> None:
    weighted = DATA.assign(v=1 / (1 + DATA["x"] ** 2))
    by_column, by_expression = (sw.fit("y ~ x", weighted, weights=w) for w in ("v", "1 / (1 + x^2)"))
    assert by_column.coef.tolist() == by_expression.coef.tolist()
    assert by_column.coef.tolist() != sw.fit("y ~ x", weighted).coef.tolist()


REFUSED = [
    # name, error, words that must stand in the message, formula, data, options
    ("missing", sw.DataError, ["x 4", 'missing="drop"'], "y ~ x", DATA.assign(x=DATA["x"].where(DATA.index > 3)), {}),
    ("infinite", sw.DataError, ["'x'", "inf"], "y ~ x", DATA.assign(x=DATA["x"].where(DATA.index > 3, np.inf)), {}),
    ("text for a response", sw.UsageError, ["'t' holds texts"], "t ~ x", DATA, {}),
    ("counts", sw.UsageError, ["cbind()", "binomial"], "cbind(w, w) ~ x", DATA, {}),
    ("negative weights", sw.DataError, ["weights 'z'", "negative"], "y ~ x", DATA, {"weights": "z"}),
    ("no weights", sw.DataError, ["'w'", "zero"], "y ~ x", DATA.assign(w=0), {"weights": "w"}),
    ("weights that are no text", sw.UsageError, ["Series", "column"], "y ~ x", DATA, {"weights": DATA["w"]}),
    ("unknown weights", sw.UsageError, ["'ww'", "Did you mean"], "y ~ x", DATA, {"weights": "ww"}),
    ("nodes", sw.UsageError, ["nodes=9", "random effects"], "y ~ x", DATA, {"nodes": 9}),
    ("no term", sw.UsageError, ["No terms"], "y ~ 0", DATA, {}),
    ("empty formula", sw.UsageError, ["~"], "", DATA, {}),
    ("empty table", sw.SiteError, ["no rows"], "y ~ x", DATA.iloc[:0], {}),
    ("complex", sw.DataError, ["'x'"], "y ~ x", DATA.assign(x=DATA["x"] + 1j), {}),
    ("link", sw.UsageError, ["'log'", "'identity'"], "y ~ x", DATA, {"link": "log"}),
]


@pytest.mark.parametrize("case", REFUSED, ids=[case[0] for case in REFUSED])
def test_refused_with_a_message_that_says(case) -> None:
    _, error, words, formula, data, options = case
    with pytest.raises(error) as caught:
        sw.fit(formula, data, **options)
    assert [word for word in words if word not in str(caught.value)] == []


def test_an_unseen_level_is_named_in_predictions() -> None:
    fitted = sw.fit("y ~ f", DATA)
    assert isinstance(fitted, LinearFit)
    with pytest.raises(sw.DataError, match="'q'"):
        fitted.predict(DATA.assign(f="q"))


def test_predictions_need_no_response() -> None:
    fitted = sw.fit("y ~ x", DATA)
    assert isinstance(fitted, LinearFit)
    assert len(fitted.predict(DATA[["x"]].head(3))) == 3


def test_integers_beyond_two_to_the_53_are_not_rounded() -> None:
    """Twelve neighbours of 2^62, which are one float64: y = 2 x + (1 - 2^63) exactly."""
    data = pd.DataFrame({"x": 2**62 + np.arange(12), "y": 2.0 * np.arange(12) + 1})
    assert sw.fit("y ~ x", data).coef.tolist() == [float(1 - 2**63), 2.0]
