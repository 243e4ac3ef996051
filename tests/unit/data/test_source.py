"""Sources: the same columns whatever kind of table they come from."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sumwise.data import open_sites
from sumwise.errors import DataError, SiteError, UsageError

FRAME = pd.DataFrame(
    {
        "y": [0, 1, 1, 0],
        "age": [1.5, -2.0, 0.25, 1e300],
        "use": ["N", "Y", "Y", "N"],
        "old": [True, False, True, False],
        "herd": ["h1", "h1", "h2", "h3"],
    }
)


def values_of(source, column):
    """The column as plain Python values, None where missing."""
    values = source.read([column])[column]
    absent = values.absent()
    plain = [values.labels[code] for code in values.values] if values.labels else values.values.tolist()
    return plain if absent is None else [None if gone else value for value, gone in zip(plain, absent, strict=True)]


@pytest.fixture(params=["pandas", "numpy dtypes", "polars", "arrow", "parquet", "csv", "csv.gz", "chunks"])
def table(request, tmp_path):
    match request.param:
        case "pandas":
            return FRAME
        case "numpy dtypes":
            return FRAME.astype({"use": object, "herd": "string", "y": "Int64", "age": "Float64", "old": "boolean"})
        case "polars":
            return pl.DataFrame(FRAME.to_dict("list"))
        case "arrow":
            return pa.table(FRAME.to_dict("list"))
        case "chunks":
            return pa.concat_tables([pa.table(FRAME[:1].to_dict("list")), pa.table(FRAME[1:].to_dict("list"))])
        case "parquet":
            FRAME.to_parquet(tmp_path / "t.parquet")
            return tmp_path / "t.parquet"
        case "csv":
            FRAME.to_csv(tmp_path / "t.csv", index=False)
            return str(tmp_path / "t.csv")
        case _:
            with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
                FRAME.to_csv(file, index=False)
            return str(tmp_path / "t.csv.gz")


def test_every_kind_of_table_gives_the_same_values(table):
    (source,) = open_sites(table).values()
    assert source.name == "data"
    assert source.names == tuple(FRAME.columns)
    for column in FRAME.columns:
        assert values_of(source, column) == FRAME[column].tolist()
    kinds = [values.kind for values in source.read(source.names).values()]
    assert kinds == ["number", "number", "text", "boolean", "text"]


def test_numbers_of_a_pandas_frame_are_not_copied():
    frame = pd.DataFrame({"x": np.arange(4.0)})
    (source,) = open_sites(frame).values()
    assert np.shares_memory(source.read(["x"])["x"].values, frame["x"].to_numpy())


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"i": pd.array([1, None], "Int64"), "s": ["a", None], "x": [np.nan, 1.0]}),
        pl.DataFrame({"i": [1, None], "s": ["a", None], "x": [None, 1.0]}),
        pd.DataFrame({"i": [1, None], "s": pd.Series(["a", None], dtype="category"), "x": [None, 1.0]}),
    ],
)
def test_missing_values_are_missing_in_every_kind_of_table(table):
    (source,) = open_sites(table).values()
    assert values_of(source, "i") == [1, None]
    assert values_of(source, "s") == ["a", None]
    assert values_of(source, "x") == [None, 1.0]


def test_csv_keeps_ints_and_texts_and_reads_na_as_missing(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('id,name,empty\n1,a,\n2,NA,\n3,"NA",\n')
    (source,) = open_sites(path).values()
    types = {name: values.type for name, values in source.read(source.names).items()}
    assert types == {"id": "int64", "name": "string", "empty": "null"}
    assert values_of(source, "name") == ["a", None, "NA"]
    assert source.read(["empty"])["empty"].absent().all()


def test_only_the_columns_asked_for_are_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,bad\n1,2\n3,4\n")
    (source,) = open_sites(path).values()
    assert list(source.read(["x"])) == ["x"]


def test_declared_categories_keep_their_order_and_encodings_do_not_declare_one():
    declared = pd.Categorical(["low", "high"], categories=["low", "mid", "high"])
    for table in (
        pd.DataFrame({"dose": declared}),
        pa.table({"dose": pa.DictionaryArray.from_arrays([0, 2], ["low", "mid", "high"])}),
        pl.DataFrame({"dose": pl.Series(["low", "high"], dtype=pl.Enum(["low", "mid", "high"]))}),
    ):
        values = open_sites(table)["data"].read(["dose"])["dose"]
        assert (values.kind, values.labels) == ("factor", ("low", "mid", "high"))
    numbered = pl.DataFrame({"dose": pl.Series(["low", "high"], dtype=pl.Categorical)})
    assert open_sites(numbered)["data"].read(["dose"])["dose"].kind == "text"


def test_a_parquet_file_keeps_declared_categories(tmp_path):
    frame = pd.DataFrame({"dose": pd.Categorical(["low", "high"] * 3, categories=["low", "mid", "high"])})
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "t.parquet", row_group_size=2)
    values = open_sites(tmp_path / "t.parquet")["data"].read(["dose"])["dose"]
    assert [values.labels[code] for code in values.values] == ["low", "high"] * 3
    assert values.kind == "factor"
    assert [label for label in values.labels if label != "mid"] == ["low", "high"]


def test_a_glob_and_a_list_make_one_site_of_several_files(tmp_path):
    FRAME[:2].to_csv(tmp_path / "a.csv", index=False)
    FRAME[2:].to_csv(tmp_path / "b.csv", index=False)
    for data in (str(tmp_path / "*.csv"), [tmp_path / "a.csv", str(tmp_path / "b.csv")]):
        (source,) = open_sites(data).values()
        for column in FRAME.columns:
            assert values_of(source, column) == FRAME[column].tolist()


def test_a_column_that_is_text_in_one_file_is_text_in_all(tmp_path):
    (tmp_path / "a.csv").write_text("g,x\n01,1\n2,2\n")
    (tmp_path / "b.csv").write_text("g,x\nB7,2.5\n")
    (source,) = open_sites(str(tmp_path / "*.csv")).values()
    assert values_of(source, "g") == ["01", "2", "B7"]
    assert values_of(source, "x") == [1.0, 2.0, 2.5]


def test_a_mapping_names_the_sites(tmp_path):
    FRAME.to_csv(tmp_path / "b.csv", index=False)
    sources = open_sites({"a": FRAME, 2: tmp_path / "b.csv"})
    assert list(sources) == ["a", "2"]
    assert [source.name for source in sources.values()] == ["a", "2"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "mapping of sites is empty"),
        (3, "int is not a table"),
        ({"y": [0, 1], "x": [1.0, 2.0]}, "pandas.DataFrame"),
        ([], "list is not a table"),
        ("nowhere/*.csv", "leads to no file"),
        ({"a": "nowhere.csv"}, "Site 'a'"),
    ],
)
def test_what_is_no_table_is_refused(data, words):
    with pytest.raises(UsageError, match=words.replace("*", r"\*")):
        open_sites(data)


def test_a_folder_and_unknown_formats_are_refused(tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        open_sites(tmp_path)
    (tmp_path / "t.xlsx").write_text("")
    with pytest.raises(UsageError, match=r"t\.xlsx.*\.csv.*\.parquet"):
        open_sites(tmp_path / "t.xlsx")


def test_files_of_one_site_must_have_the_same_columns(tmp_path):
    (tmp_path / "a.csv").write_text("y,x\n0,1\n")
    (tmp_path / "b.csv").write_text("y,z\n0,1\n")
    with pytest.raises(SiteError, match=r"a\.csv.*b\.csv differ in columns: x, z"):
        open_sites(str(tmp_path / "*.csv"))


def test_an_empty_csv_file_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(SiteError, match=r"Site 'A'.*a\.csv"):
        open_sites({"A": tmp_path / "a.csv"})


def test_a_column_of_mixed_values_is_named():
    (source,) = open_sites({"A": pd.DataFrame({"x": [1, "b"]}, dtype=object)}).values()
    with pytest.raises(DataError, match=r"Site 'A'.*'x' have no common type"):
        source.read(["x"])


def test_two_columns_of_one_name_are_refused():
    (source,) = open_sites(pd.DataFrame([[1, 2]], columns=["x", "x"])).values()
    with pytest.raises(SiteError, match="2 columns named 'x'"):
        source.read(["x"])
