"""Queries as data: real DuckDB, real PostgreSQL; what they give, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from sumwise import fit
from sumwise.data import open_site_data
from sumwise.data.sql import duckdb_source, postgresql_source
from sumwise.demo.postgres import private_server
from sumwise.errors import SiteError, UsageError
from tests.unit.data.postgres import postgres_server  # noqa: F401  (a fixture)

USE = "use ~ age + I(age**2) + urban + livch + (1 | district)"
AGE = "age ~ urban + livch"


def numbers(fitted):
    """Every number of a fit, as bytes."""
    if hasattr(fitted, "random"):
        modes = [effects.mode.ravel() for effects in fitted.random]
        parts = [fitted.beta, fitted.theta, [fitted.loglik], fitted.covariance.ravel(), *modes]
    else:
        parts = [fitted.coef, fitted.se, np.ravel(fitted.vcov), [fitted.sigma, fitted.loglik]]
    return np.concatenate(parts).tobytes()


def pylist(source, column):
    """Numbers of a column as Python's, None where missing."""
    values = source.read([column])[column]
    absent = values.absent()
    gone = np.zeros(len(values), dtype=bool) if absent is None else absent
    plain = [values.labels[code] for code in values.values] if values.labels else values.values.tolist()
    return [None if is_gone else value for value, is_gone in zip(plain, gone, strict=True)]


@pytest.fixture
def tables(tmp_path, contraception, request):
    """The [data] table of a site.toml for one of the ways in which contraception can lie there."""
    match request.param:
        case "csv":
            contraception.to_csv(tmp_path / "c.csv", index=False)
            return {"csv": "c.csv"}
        case "parquet":
            for k, start in enumerate(range(0, len(contraception), 700)):
                contraception[start : start + 700].to_parquet(tmp_path / f"part-{k}.parquet")
            return {"parquet": "part-*.parquet"}
        case "duckdb":
            with duckdb.connect(tmp_path / "c.duckdb") as connection:
                connection.sql("create table c as from contraception")
            return {"duckdb": {"database": "c.duckdb", "query": "select * from c"}}
        case "duckdb over files":
            contraception.to_parquet(tmp_path / "c.parquet")
            return {"duckdb": {"database": ":memory:", "query": "from 'c.parquet'"}}
        case _:
            server = request.getfixturevalue("postgres")
            server.fill("contraception", pa.Table.from_pandas(contraception, preserve_index=False))
            query = "select use, age, urban, livch, district from contraception"
            return {"postgresql": {"uri": server.uri, "query": query}}


@pytest.mark.parametrize("tables", ["csv", "parquet", "duckdb", "duckdb over files", "postgresql"], indirect=True)
@pytest.mark.parametrize(("formula", "family"), [(USE, "binomial"), (AGE, "gaussian")])
def test_a_fit_has_the_same_bits_from_every_source(tables, formula, family, contraception, tmp_path):
    source = open_site_data("north", tables, tmp_path, None)
    assert numbers(fit(formula, {"north": source}, family=family)) == numbers(
        fit(formula, contraception, family=family)
    )


def test_a_linear_fit_does_not_depend_on_the_order_of_a_query(contraception, postgres):
    postgres.fill("shuffled", pa.Table.from_pandas(contraception, preserve_index=False))
    source = postgresql_source("north", postgres.uri, "select * from shuffled order by random()", decimal=False)
    assert pylist(source, "age") != contraception["age"].tolist()
    assert numbers(fit(AGE, {"north": source})) == numbers(fit(AGE, contraception))


# -- PostgreSQL --


def of(postgres, query, *, decimal=False):
    return postgresql_source("north", postgres.uri, query, decimal=decimal)


def test_numeric_columns_of_postgresql_are_exact_decimals(postgres):
    source = of(postgres, "select * from (values (0.10), (-12345678901234567890.5), (null), ('NaN')) t(x)")
    values = source.read(["x"])["x"]
    assert (values.kind, values.type) == ("number", "numeric")
    assert values.exact.decimals == 2
    assert values.exact.values.tolist()[:2] == [10, -1234567890123456789050]
    assert values.values[:2].tolist() == [0.1, -12345678901234567890.5]
    assert np.isnan(values.values[2:]).all()


def test_numeric_columns_of_too_many_digits_are_floats(postgres):
    values = of(postgres, "select * from (values (('0.' || repeat('3', 2100))::numeric), (0.5)) t(x)").read(["x"])["x"]
    assert (values.kind, values.exact, values.values.tolist()) == ("number", None, [1 / 3, 0.5])


def test_types_of_postgresql(postgres):
    postgres.run("drop type if exists mood", "create type mood as enum ('low', 'high')")
    source = of(
        postgres,
        "select 1::int2 as i, 2::int8 as j, 0.5::float4 as f, true as b, 'ab'::char(4) as c, 'x'::varchar as v, "
        "'high'::mood as e, null::int4 as n, date '2020-01-02' as d, '3.20'::money as m, now() as t, '{1}'::int[] as l",
    )
    found = {name: (values.kind, values.type) for name, values in source.read(source.names).items()}
    assert found == {
        "i": ("number", "int16"),
        "j": ("number", "int64"),
        "f": ("number", "float"),
        "b": ("boolean", "bool"),
        "c": ("text", "string"),
        "v": ("text", "string"),
        "e": ("text", "string"),
        "n": ("number", "int32"),
        "d": ("unsupported", "date32[day]"),
        "m": ("unsupported", "money"),
        "t": ("unsupported", "timestamp[us, tz=UTC]"),
        "l": ("unsupported", "list<item: int32>"),
    }
    assert [pylist(source, name) for name in "ijfbcven"] == [[1], [2], [0.5], [True], ["ab"], ["x"], ["high"], [None]]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("delete from precious", "no columns. It must be a single SELECT"),
        ("delete from precious returning x", "cannot execute DELETE in a read-only transaction"),
        ("with gone as (delete from precious returning x) select * from gone", "in a read-only transaction"),
        ("insert into precious values (3) returning x", "cannot execute INSERT in a read-only transaction"),
        ("select nextval('counter')", "cannot execute nextval() in a read-only transaction"),
        ("drop table precious", "no columns. It must be a single SELECT"),
        ("commit", "no columns. It must be a single SELECT"),
        ("set transaction read write", "no columns. It must be a single SELECT"),
        ("copy precious to '/tmp/sumwise-test-precious'", "no columns. It must be a single SELECT"),
        ("do $$ begin perform 1; end $$", "no columns. It must be a single SELECT"),
        ("select 1; drop table precious", "cannot insert multiple commands into a prepared statement"),
        ("select 1) to stdout; drop table precious; copy (select 1", "syntax error"),
        ("select set_config('transaction_read_only', 'off', false)", "must be set before any query"),
        ("explain analyze select * from precious", "syntax error"),
        ("select age from precious", 'column "age" does not exist'),
        ("selct", "syntax error"),
    ],
)
def test_postgresql_refuses_what_is_no_single_select(query, words, postgres):
    postgres.run(
        "drop table if exists precious",
        "create table precious as select generate_series(1, 2) as x",
        "create sequence if not exists counter",
    )
    with pytest.raises(SiteError) as caught:
        of(postgres, query)
    assert words in str(caught.value)
    assert str(caught.value).startswith("Site 'north', PostgreSQL: ")
    assert pylist(of(postgres, "select x from precious order by x -- both;"), "x") == [1, 2]
    assert not Path("/tmp/sumwise-test-precious").exists()


@pytest.mark.parametrize(
    "query", ["select 1 as x", "select 1 as x;", " select 1 as x -- one\n", "values (1)", "table t"]
)
def test_postgresql_runs_every_way_to_write_a_select(query, postgres):
    postgres.run("drop table if exists t", "create table t as select 1 as x")
    source = of(postgres, query)
    assert pylist(source, source.names[0]) == [1]


def test_a_wrong_password_is_told_in_the_words_of_postgresql_and_not_shown(postgres):
    wrong = postgres.uri.replace(postgres.uri.split(":")[2].split("@")[0], "gu%65ss")
    with pytest.raises(SiteError, match="password authentication failed for user") as caught:
        postgresql_source("north", wrong, "select 1", decimal=False)
    assert "gu%65ss" not in str(caught.value)
    assert "guess" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_password_that_the_database_repeats_is_taken_out(postgres):
    password = postgres.uri.split(":")[2].split("@")[0]
    with pytest.raises(SiteError) as caught:
        of(postgres, f"select nothing as x, '{password}'")
    assert password not in str(caught.value)
    assert "***" in str(caught.value)


def test_a_server_that_is_not_there_is_told_with_its_address():
    with pytest.raises(SiteError, match=r"Site 'north', PostgreSQL: .*port 1 failed: Connection refused"):
        postgresql_source("north", "postgresql://u:secret@127.0.0.1:1/d", "select 1", decimal=False)


@pytest.mark.parametrize(
    ("uri", "fault"),
    [
        ("host=db", "does not begin with postgresql://"),
        ("mysql://u@h/d", "does not begin with postgresql://"),
        ("postgresql://u:p@ss@host/d", "percent-encoded"),
        ("postgresql://u:p/ss@host/d", "percent-encoded"),
        ("postgresql://u:p:ss@host/d", "percent-encoded"),
        ("postgresql://u:secret@[host/d", "cannot be read"),
    ],
)
def test_a_uri_that_libpq_would_misread_is_refused(uri, fault):
    with pytest.raises(UsageError, match=fault) as caught:
        postgresql_source("north", uri, "select 1", decimal=False)
    assert "ss@" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_ends_with_its_block(tmp_path, postgres):
    with private_server(tmp_path) as uri:
        home = Path(uri.partition("host=")[2])
        assert pylist(postgresql_source("x", uri, "select 1 as x", decimal=False), "x") == [1]
    assert not home.exists()
    with pytest.raises(SiteError, match="No such file"):
        postgresql_source("x", uri, "select 1 as x", decimal=False)
    assert pylist(of(postgres, "select 1 as x"), "x") == [1]


# -- DuckDB --


@pytest.fixture
def database(tmp_path):
    with duckdb.connect(tmp_path / "d.duckdb") as connection:
        connection.execute("create table precious as select range as x from range(3)")
    return tmp_path


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("delete from precious", "the query is DELETE. It must be a single SELECT"),
        ("with a as (select 1) insert into precious from a", "the query is INSERT. It must be a single SELECT"),
        ("copy precious to 'stolen.csv'", "the query is COPY. It must be a single SELECT"),
        ("select 1; drop table precious", "the query is SELECT and DROP. It must be a single SELECT"),
        ("-- nothing", "the query is nothing"),
        ("selct", "syntax error"),
        ("select age from precious", '"age" not found'),
        ("from nowhere", "nowhere does not exist"),
        ("from database", "database does not exist"),  # a variable of this test, which Python's driver would find
    ],
)
def test_duckdb_refuses_what_is_no_single_select(query, words, database, monkeypatch):
    monkeypatch.chdir(database)
    with pytest.raises(SiteError) as caught:
        duckdb_source("north", "d.duckdb", query, database, decimal=False)
    assert words in str(caught.value)
    assert str(caught.value).startswith("Site 'north', DuckDB: ")
    assert pylist(duckdb_source("north", "d.duckdb", "from precious", database, decimal=False), "x") == [0, 1, 2]
    assert [path.name for path in database.iterdir()] == ["d.duckdb"]


def test_duckdb_opens_its_file_read_only(database):
    """Others can read the file at the same time, and one that is not there is not made."""
    code = "import duckdb, sys; duckdb.connect('d.duckdb', read_only=True); print(flush=True); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", code], cwd=database, stdin=-1, stdout=-1)
    assert other.stdout.readline() == b"\n"
    duckdb_source("north", "d.duckdb", "from precious", database, decimal=False)
    other.communicate(b"")
    with pytest.raises(SiteError, match=r"none\.duckdb.*does not exist"):
        duckdb_source("north", "none.duckdb", "select 1", database, decimal=False)
    assert not (database / "none.duckdb").exists()


def test_types_of_duckdb(database):
    query = (
        "select 0.10::decimal(8, 3) as d, 12345678901234567890123::hugeint as h, 'hi'::enum('lo', 'hi') as e, "
        "true as b, 'x' as t, 1::utinyint as u, date '2020-01-02' as day, [1] as l, uuid() as id"
    )
    source = duckdb_source("north", ":memory:", query, database, decimal=False)
    read = source.read(source.names)
    kinds = ["number", "number", "factor", "boolean", "text", "number", "unsupported", "unsupported", "text"]
    assert [values.kind for values in read.values()] == kinds
    assert (read["d"].exact.values.tolist(), read["d"].exact.decimals) == ([100], 3)
    assert read["h"].exact.values.tolist() == [12345678901234567890123]
    assert read["e"].labels == ("lo", "hi")


# -- drivers --


@pytest.mark.parametrize(("module", "extra"), [("duckdb", "duckdb"), ("adbc_driver_postgresql.dbapi", "postgresql")])
def test_a_missing_driver_says_what_to_install(module, extra, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, module, None)
    spec = {
        "duckdb": {"database": ":memory:", "query": "select 1"},
        "postgresql": {"uri": "postgresql://h/d", "query": "select 1"},
    }
    with pytest.raises(UsageError) as caught:
        open_site_data("north", {extra: spec[extra]}, tmp_path, None)
    assert f"pip install 'sumwise[{extra}]'" in str(caught.value)


def test_no_driver_is_imported_before_it_is_needed():
    code = "import sys, sumwise, sumwise.data; print([m for m in sys.modules if m.startswith(('duckdb', 'adbc'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
