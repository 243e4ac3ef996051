"""Queries to DuckDB and PostgreSQL: the rows of one SELECT as a source, read once, when it is opened.

A query never changes data.  DuckDB opens its file read-only, and only a statement that its parser calls SELECT is run;
PostgreSQL runs the query in a read-only transaction, as COPY (query) TO STDOUT, which takes a single query and no
command.  The drivers are extras, and imported only here and only when asked for.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sumwise.data.source import Source, from_field, table_source
from sumwise.data.values import Values, decimal_from_arrow, from_arrow
from sumwise.errors import SiteError, UsageError

IN_MEMORY = ":memory:"
"""The DuckDB database that is no file: for queries over files alone."""


def duckdb_source(name: str, database: str, query: str, folder: Path, *, decimal: bool) -> Source:
    """The rows of a DuckDB query.

    database: a file, or ":memory:" where the query itself names files, as in from 'visits/*.parquet'.   folder: where
    relative paths start, of the database and of files in the query.

    Raises UsageError without the driver, SiteError with DuckDB's words.
    """
    duckdb = _driver("duckdb", "duckdb")
    in_memory = database == IN_MEMORY
    where = database if in_memory else str(folder / database)
    try:
        # a database in memory has nothing to change, and DuckDB opens none read-only
        with duckdb.connect(where, read_only=not in_memory) as connection:
            connection.execute("SET file_search_path = '{}'".format(str(folder.absolute()).replace("'", "''")))
            connection.execute("SET autoinstall_known_extensions = false")  # a query fetches no code
            connection.execute("SET python_enable_replacements = false")  # nor variables of this program
            statements = connection.extract_statements(query)
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                kinds = " and ".join(statement.type.name for statement in statements) or "nothing"
                raise SiteError(f"Site '{name}', DuckDB: the query is {kinds}. It must be a single SELECT.")
            table = connection.sql(statements[0]).to_arrow_table()
    except duckdb.Error as error:
        raise SiteError(f"Site '{name}', DuckDB: {_sentence(str(error))}") from error
    return table_source(name, table, decimal)


def postgresql_source(name: str, uri: str, query: str, *, decimal: bool) -> Source:
    """The rows of a PostgreSQL query.  uri: postgresql://user:password@host:port/database, percent-encoded.

    Columns of type numeric are exact decimals.   Raises UsageError without the driver and for a uri that is none,
    SiteError with PostgreSQL's words; no message shows the password.
    """
    passwords = _passwords(name, uri)
    dbapi = _driver("adbc_driver_postgresql.dbapi", "postgresql")
    single = query.rstrip().rstrip(";") + "\n"  # a comment at its end does not reach what the driver writes behind it
    try:
        with dbapi.connect(uri) as connection, connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            # what gives no columns (COPY, DO, COMMIT) the driver would run as it is, and not as a query
            columns = cursor.adbc_execute_schema(single)
            if len(columns) == 0:
                raise SiteError(f"Site '{name}', PostgreSQL: the query gives no columns. It must be a single SELECT.")
            cursor.execute(single)
            table = cursor.fetch_arrow_table()
    except dbapi.Error as error:
        words = _words(str(error))
        for password in passwords:
            words = words.replace(password, "***")
        # not "from error": its words may hold what was just taken out
        raise SiteError(f"Site '{name}', PostgreSQL: {_sentence(words)}") from None
    return table_source(name, table, decimal, _from_postgresql)


def _driver(module: str, extra: str) -> ModuleType:
    """The database's driver."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        fault = f"[data] {extra} needs the package {package}, which cannot be imported here ({error})"
        raise UsageError(f"{fault}. Install it: pip install 'sumwise[{extra}]'.") from error


def _from_postgresql(table: pa.Table, column: str) -> Values:
    """A column by its type in PostgreSQL, which the driver keeps beside Arrow's."""
    metadata = table.schema.field(column).metadata or {}
    kind, array = metadata.get(b"POSTGRESQL:type", b"").decode(), table[column]
    if kind == "numeric":
        texts = array.cast(pa.string())
        return decimal_from_arrow(texts, kind) or from_arrow(texts.cast(pa.float64()))
    if kind == "money":
        # comes as a count of cents, or of what the server's currency has
        return Values("unsupported", "money", np.full(len(array), np.nan))
    if kind == "bpchar":
        # char(n) fills up with spaces, which count for nothing
        return from_arrow(pc.utf8_rtrim(array, " "))
    return from_field(table, column)


def _words(text: str) -> str:
    """PostgreSQL's words without what the driver puts around them."""
    words = re.split(r"\n\nQuery was:|\. SQLSTATE:", text)[0]
    return re.sub(r"^[A-Z_]+: (\[libpq\] )?(.*?(?=ERROR:))?", "", words, flags=re.DOTALL)


def _sentence(words: str) -> str:
    words = words.strip()
    return words if words.endswith((".", "^", "!")) else f"{words}."


def _passwords(name: str, uri: str) -> set[str]:
    """The password of a uri, as it is written and as it reads.  Raises UsageError for what is no such uri."""
    scheme, separator, rest = uri.partition("://")
    if scheme not in ("postgresql", "postgres") or not separator:
        _refuse_uri(name, "does not begin with postgresql://")
    user, at, _ = rest.rpartition("@")
    # libpq ends the password at the first of these: the rest would be a host, and be told as one
    if at and (user.count(":") > 1 or set(user) & set("/?#[]@")):
        _refuse_uri(name, "has one of : / ? # [ ] @ in its user or password. Write it percent-encoded, %40 for @")
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        _refuse_uri(name, f"cannot be read ({error})")
    written = {user.partition(":")[2], *re.findall(r"(?:^|&)password=([^&]*)", parts.query)}
    return {shown for text in written if text for shown in (text, unquote(text))}


def _refuse_uri(name: str, fault: str) -> NoReturn:
    belongs = "It reads postgresql://user@host:5432/database, with a password as in user:${PGPASSWORD}@host."
    raise UsageError(f"Site '{name}', [data] postgresql: uri {fault}. {belongs}")
