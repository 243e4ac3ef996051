"""The [data] table of a site.toml, and the version of the data behind it."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.data import Source, open_site_data, open_sites, version_and_places
from sumwise.errors import SiteError, UsageError
from tests.unit.data.postgres import postgres_server  # noqa: F401  (a fixture)


def opened(table, decimal=None):
    return open_sites({"north": table}, decimal)["north"]


def data_version(source: Source) -> bytes:
    return version_and_places(source)[0]


def row_places(source: Source) -> np.ndarray:
    return version_and_places(source)[1]


# -- the [data] table --


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ({}, r"has nothing. It has exactly one of: csv, parquet, text, duckdb, postgresql"),
        ({"csv": "a.csv", "parquet": "a.parquet"}, "has csv and parquet"),
        ({"excel": "a.xlsx"}, "'excel', which is unknown"),
        ({"csv": "a.csv", "query": "select 1"}, "'query', which is unknown"),
        ({"csv": 3}, "csv is 3. There belongs: csv = 'visits/"),
        ({"csv": []}, r"csv is \[\]"),
        ({"csv": ["a.csv", ""]}, "csv is"),
        ({"csv": "none.csv"}, "'none.csv' leads to no file"),
        ({"csv": "b.dat"}, "csv names .*b.dat, by its end a text file"),
        ({"parquet": ["a.csv"]}, "parquet names .*a.csv, by its end a CSV file"),
        ({"csv": ["a.csv", "*.csv"]}, "names .*a.csv twice"),
        ({"duckdb": "a.duckdb"}, "duckdb is 'a.duckdb'. There belongs: duckdb = {database"),
        ({"duckdb": {"database": "a.duckdb"}}, "'query' of duckdb is missing"),
        ({"duckdb": {"query": "select 1"}}, "'database' of duckdb is missing"),
        ({"duckdb": {"database": ":memory:", "query": 3}}, "'query' of duckdb is 3, which is no text"),
        ({"duckdb": {"database": ":memory:", "query": " "}}, "'query' of duckdb is ' ', which is no text"),
        ({"duckdb": {"database": ":memory:", "query": "select 1", "uri": ""}}, "duckdb has 'uri', which is unknown"),
        ({"postgresql": {"uri": "postgresql://h/d"}}, "'query' of postgresql is missing"),
        ({"postgresql": {"uri": "postgresql://${NOT_SET_HERE}@h/d", "query": "select 1"}}, "NOT_SET_HERE, which is no"),
        ({"postgresql": {"uri": "postgresql://${A B}@h/d", "query": "select 1"}}, "begins no"),
    ],
)
def test_a_wrong_spec_is_told_with_its_key(spec, fault, tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "b.dat").write_text("x\n1\n")
    with pytest.raises(UsageError, match=fault) as caught:
        open_site_data("north", spec, tmp_path, None)
    assert str(caught.value).startswith("Site 'north'")


def test_files_lie_relative_to_the_folder_whatever_it_is_called(tmp_path, monkeypatch):
    folder = tmp_path / "site [1], north"
    (folder / "visits").mkdir(parents=True)
    (folder / "visits" / "a.csv").write_text("x\n1\n")
    (folder / "visits" / "b.csv").write_text("x\n0.1\n")
    (folder / "c.dat").write_text("x\n0.1\n")
    monkeypatch.chdir(tmp_path)
    for where in (
        "visits/*.csv",
        ["visits/a.csv", "visits/b.csv"],
        str(folder / "visits" / "?.csv").replace("[1]", "*"),
    ):
        source = open_site_data("north", {"csv": where}, Path("site [1], north"), None)
        assert source.read(["x"])["x"].values.tolist() == [1.0, 0.1]
    assert open_site_data("north", {"text": "c.dat"}, folder, None).read(["x"])["x"].exact.decimals == 1
    assert open_site_data("north", {"csv": "visits/b.csv"}, folder, True).read(["x"])["x"].exact.decimals == 1


def test_a_database_and_the_files_of_its_query_lie_relative_to_the_folder(tmp_path, monkeypatch):
    with duckdb.connect(tmp_path / "d.duckdb") as connection:
        connection.execute("create table t as select 7 as x")
    (tmp_path / "a.csv").write_text("x\n8\n")
    monkeypatch.chdir("/")
    tmp_path = tmp_path.rename(tmp_path.with_name("it's here"))
    for database, query, x in (
        ("d.duckdb", "from t", 7),
        (":memory:", "from 'a.csv'", 8),
        ("d.duckdb", "from '*.csv'", 8),
    ):
        source = open_site_data("north", {"duckdb": {"database": database, "query": query}}, tmp_path, None)
        assert source.read(["x"])["x"].values.tolist() == [x]


def test_variables_of_a_uri_are_taken_as_they_are(postgres, monkeypatch, tmp_path):
    """A password of all the signs that a uri gives a meaning to, and a whole uri."""
    password = "p@ss:w/rd?#[%41] ${X}"
    postgres.run("drop role if exists reader", f"create role reader login password '{password}'")
    _, _, place = postgres.uri.rpartition("@")
    monkeypatch.setenv("READER_PASSWORD", password)
    monkeypatch.setenv("WHOLE_URI", postgres.uri)
    for uri, user in ((f"postgresql://reader:${{READER_PASSWORD}}@{place}", "reader"), ("${WHOLE_URI}", "sumwise")):
        spec = {"postgresql": {"uri": uri, "query": "select current_user::text as me"}}
        assert open_site_data("north", spec, tmp_path, None).read(["me"])["me"].labels == (user,)


def test_a_file_that_changes_between_two_readings_is_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,2\n3,4\n")
    source = open_site_data("north", {"csv": "a.csv"}, tmp_path, None)
    source.read(["x"])
    path.write_text("x,y\n1,2\n")
    with pytest.raises(SiteError, match=r"a\.csv was changed while it was read"):
        source.read(["y"])


# -- the version --

CELLS = {
    "int": st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
    "float": st.none() | st.floats(allow_nan=False),
    "text": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    "bool": st.none() | st.booleans(),
    "decimal": st.none() | st.decimals(-1000, 1000, places=3, allow_nan=False),
}
TYPES = {
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "bool": pa.bool_(),
    "decimal": pa.decimal128(30, 3),
}


@st.composite
def rows_of_tables(draw):
    return draw(st.lists(st.tuples(*CELLS.values()), max_size=8))


def arrow(rows):
    columns = zip(*rows, strict=True) if rows else [[] for _ in TYPES]
    return pa.table({name: pa.array(cells, TYPES[name]) for name, cells in zip(TYPES, columns, strict=True)})


@settings(deadline=None)
@given(rows_of_tables(), st.randoms())
def test_rows_in_any_order_are_one_version_and_keep_their_places(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    one, other = opened(arrow(rows)), opened(arrow([rows[k] for k in order]))
    assert data_version(one) == data_version(other)
    places, moved = row_places(one), row_places(other)
    assert sorted(places) == list(range(len(rows)))
    assert {place: rows[k] for k, place in enumerate(places.tolist())} == {
        place: rows[order[k]] for k, place in enumerate(moved.tolist())
    }


@settings(deadline=None)
@given(rows_of_tables(), st.data())
def test_one_other_cell_is_another_version(rows, data):
    if not rows:
        return
    k, column = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.sampled_from(list(CELLS)))
    cell = data.draw(CELLS[column])
    at = list(CELLS).index(column)
    changed = [*rows[:k], (*rows[k][:at], cell, *rows[k][at + 1 :]), *rows[k + 1 :]]
    same = cell == rows[k][at]
    assert (data_version(opened(arrow(rows))) == data_version(opened(arrow(changed)))) == same


def plain_version(rows):
    """Twin of data_version for columns `i` of small integers, `t` of texts and `x` of floats that are not all whole."""
    digests = []
    for i, t, x in rows:
        parts = [b"SUMR", b"\1" + bytes(8) if i is None else b"\0" + i.to_bytes(8, "little", signed=True)]
        parts.append(
            b"\1" + hashlib.sha256(b"").digest() if t is None else b"\0" + hashlib.sha256(b"s" + t.encode()).digest()
        )
        parts.append(b"\1" + bytes(8) if x is None else b"\0" + np.float64(x).tobytes())
        digests.append(hashlib.sha256(b"".join(parts)).digest())
    head = json.dumps([len(rows), ["i", "number e-0"], ["t", "text"], ["x", "number float64"]]).encode()
    return hashlib.sha256(b"SUMV" + head + b"\n" + b"".join(sorted(digests))).digest()


def test_a_version_is_the_digest_of_the_sorted_digests_of_the_rows():
    rows = [(1, "a", 0.5), (-2, None, 1e300), (None, "b", None), (1, "a", 0.5)] * 40000  # more rows than one block
    i, t, x = zip(*rows, strict=True)
    table = pa.table({"x": pa.array(x, pa.float64()), "t": t, "i": pa.array(i, pa.int64())})
    assert data_version(opened(table)) == plain_version(rows)


VALUES = {
    "i": [1, 2, None, 1],
    "x": [0.5, -0.0, 1e300, None],
    "t": ["u", "v", None, "u"],
    "b": [True, False, True, True],
}


def test_types_layouts_and_declared_levels_do_not_change_a_version(tmp_path):
    frame = pd.DataFrame(VALUES)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame[:1].to_parquet(tmp_path / "1.parquet")
    frame[1:].to_parquet(tmp_path / "2.parquet")
    same = [
        opened(frame),
        opened(frame[["t", "b", "x", "i"]]),
        opened(frame.assign(t=pd.Categorical(frame["t"], ["w", "v", "u"]))),
        opened(frame.astype({"i": "Int16", "t": "string"})),
        opened(pl.DataFrame(VALUES)),
        opened(pa.concat_tables([pa.table(VALUES).slice(0, 1), pa.table(VALUES).slice(1)])),
        open_site_data("south", {"csv": "a.csv"}, tmp_path, None),
        open_site_data("south", {"parquet": "*.parquet"}, tmp_path, None),
        open_site_data("south", {"duckdb": {"database": ":memory:", "query": "from 'a.csv'"}}, tmp_path, None),
    ]
    assert len({data_version(source) for source in same}) == 1
    assert len({row_places(source).tobytes() for source in same}) == 1


@pytest.mark.parametrize(
    "other",
    [
        {**VALUES, "i": [1, 2, None, 2]},
        {**VALUES, "i": [1, 2, 0, 1]},
        {**VALUES, "x": [np.nextafter(0.5, 1), 0.0, 1e300, None]},
        {**VALUES, "x": [0.5, 0.0, np.inf, None]},
        {**VALUES, "t": ["u", "v", "", "u"]},
        {**VALUES, "t": ["u", "v", None, "U"]},
        {**VALUES, "b": [1, 0, 1, 1]},
        {**{key: value for key, value in VALUES.items() if key != "b"}, "c": VALUES["b"]},
        {key: value for key, value in VALUES.items() if key != "b"},
        {key: value[:3] for key, value in VALUES.items()},
        {key: [*value, value[0]] for key, value in VALUES.items()},
        {key: value[::-1] if key == "t" else value for key, value in VALUES.items()},
    ],
)
def test_other_values_names_or_pairings_are_another_version(other):
    assert data_version(opened(pa.table(VALUES))) != data_version(opened(pa.table(other)))


def test_numbers_count_by_value_in_their_own_decimals():
    def version(values):
        return data_version(opened(pd.DataFrame({"x": values})))

    big = 10**25
    assert version([1.0, 2.0]) == version([1, 2]) == version([Decimal("1.00"), Decimal(2)])
    assert version([Decimal("0.50"), Decimal(2)]) == version([Decimal("0.5"), Decimal("2.000")])
    assert version([Decimal("0.1"), Decimal(2)]) != version([0.1, 2.0])  # a float64 is not 0.1
    assert version([Decimal(big), Decimal(1)]) != version([Decimal(big + 1), Decimal(1)])
    assert version([2**53 + 1, 1]) != version([2**53, 1])
    assert version(np.array([2**64 - 1, 1], dtype=np.uint64)) != version([-1, 1])


@pytest.mark.parametrize("ending", ["frame", "csv", "dat", "parquet"])
def test_keeping_decimals_or_not_is_no_other_version(ending, tmp_path):
    """Else two studies that differ in that option alone would not be compared with each other."""
    half = np.array([0.1, 7, np.nan, np.inf, -np.inf, 1e-7])
    columns = {"x": half, "f": half.astype(np.float32), "h": half.astype(np.float16), "i": range(6)}
    frame = pd.DataFrame({**columns, "d": [Decimal("0.1"), Decimal(2), None, Decimal(0), Decimal(1), Decimal(3)]})
    if ending in ("csv", "dat"):
        frame.to_csv(tmp_path / f"a.{ending}", index=False, na_rep="NA", sep="," if ending == "csv" else " ")
    elif ending == "parquet":
        frame.to_parquet(tmp_path / "a.parquet")
    table = frame if ending == "frame" else tmp_path / f"a.{ending}"
    sources = [opened(table, decimal) for decimal in (None, False, True)]
    assert [source.decimal for source in sources] == [ending == "dat", False, True]
    assert len({data_version(source) for source in sources}) == 1
    assert len({row_places(source).tobytes() for source in sources}) == 1


def test_columns_that_no_model_can_use_do_not_stop_a_version():
    day = datetime.date(2020, 1, 2)
    frame = pd.DataFrame({"x": [1.5, 2.5], "day": [day, day], "mixed": ["a", 2], "list": [[1], [2]]})
    one, other = opened(frame), opened(frame[::-1])
    assert data_version(one) == data_version(other)
    assert row_places(one).tolist() == row_places(other).tolist()[::-1]
    assert data_version(one) != data_version(opened(frame.drop(columns="day")))
    assert data_version(opened(pd.DataFrame({"mixed": ["a", 2]}))) != data_version(opened(pd.DataFrame({"mixed": []})))


def test_a_version_does_not_depend_on_what_was_read_before(tmp_path):
    (tmp_path / "a.csv").write_text("g,x\n1,2\n3,4\n")
    source = open_site_data("north", {"csv": "a.csv"}, tmp_path, None)
    first = data_version(source)
    assert source.read(["g"], as_text={"g"})["g"].kind == "text"
    assert data_version(source) == first
    late = open_site_data("north", {"csv": "a.csv"}, tmp_path, None)
    late.read(["g"], as_text={"g"})
    assert data_version(late) == first


def test_places_are_those_of_the_sorted_digests_and_alike_rows_share_theirs_in_order():
    places = row_places(opened(pd.DataFrame({"x": [7, 5, 7, 5, 7]})))
    sevens, fives = places[[0, 2, 4]].tolist(), places[[1, 3]].tolist()
    assert sevens == sorted(sevens)
    assert fives == sorted(fives)
    assert {tuple(sevens), tuple(fives)} in ({(0, 1, 2), (3, 4)}, {(2, 3, 4), (0, 1)})


def test_a_query_of_postgresql_has_the_version_of_its_file(postgres, tmp_path, contraception):
    contraception.to_csv(tmp_path / "c.csv", index=False)
    postgres.fill("versions", pa.Table.from_pandas(contraception, preserve_index=False))
    file = open_site_data("north", {"csv": "c.csv"}, tmp_path, None)
    queries = ("select * from versions order by random()", "select * from versions where age > -100")
    for query in queries:
        source = open_site_data("north", {"postgresql": {"uri": postgres.uri, "query": query}}, tmp_path, None)
        assert data_version(source) == data_version(file)
    fewer = {"postgresql": {"uri": postgres.uri, "query": "select * from versions limit 1933"}}
    assert data_version(open_site_data("north", fewer, tmp_path, None)) != data_version(file)


def test_a_secret_never_stands_in_an_error(monkeypatch, tmp_path):
    monkeypatch.setitem(os.environ, "DB_PASSWORD", "hunter/2@")
    spec = {"postgresql": {"uri": "postgresql://me:${DB_PASSWORD}@127.0.0.1:1/d", "query": "select 1"}}
    with pytest.raises(SiteError, match="Connection refused") as caught:
        open_site_data("north", spec, tmp_path, None)
    assert "hunter" not in str(caught.value)
