"""The data of a site: opened as the [data] table of its site.toml says, and the version of them that was used."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from sumwise.data.decimals import Decimals
from sumwise.data.source import Source, file_format, files_source, matching_files
from sumwise.data.sql import duckdb_source, postgresql_source
from sumwise.data.values import TEXTS, Values
from sumwise.errors import DataError, UsageError

_FILES = {"csv": "CSV", "parquet": "Parquet", "text": "text"}
_QUERIES = {"duckdb": "database", "postgresql": "uri"}
_BELONGS = {
    "csv": "'visits/*.csv', a path, a pattern or a list of them",
    "parquet": "'visits/*.parquet', a path, a pattern or a list of them",
    "text": "'visits.dat', a path, a pattern or a list of them",
    "duckdb": "{database = 'hospital.duckdb', query = 'select ...'}",
    "postgresql": "{uri = 'postgresql://reader:${PGPASSWORD}@host/database', query = 'select ...'}",
}
"""What belongs under each key of [data]."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

_VERSION, _ROW = b"SUMV", b"SUMR"
"""What is digested begins with these letters: a version, and one row."""

_DECIMAL_TYPES = re.compile(r"decimal\d*(\(.*\))?|numeric")
"""Columns of these types are exact decimals, asked for or not."""

_SHORT_FLOATS = {"float": np.float32, "float32": np.float32, "halffloat": np.float16, "float16": np.float16}
"""Types whose float64 differs where decimals are kept: that of 0.1 is not the float32's."""

_BLOCK = 65536
"""Rows put together at a time."""


def open_site_data(name: str, spec: Mapping[str, Any], folder: Path, decimal: bool | None) -> Source:
    """The rows of site `name`.

    spec: exactly one of
        csv, parquet, text: a path, a pattern such as "visits/*.csv", or a list of these
        duckdb: {database: a file or ":memory:", query}
        postgresql: {uri, query}, where ${NAME} in the uri is the environment variable NAME, as it is: it is
            percent-encoded here, unless it is the whole uri
    folder: where relative paths start.   decimal: see open_sites.

    Raises UsageError, naming the key, for a spec that is wrong, SiteError for data that cannot be read.
    """
    if len(spec) != 1 or not set(spec) <= set(_BELONGS):
        unknown = ", ".join(f"'{key}'" for key in spec if key not in _BELONGS)
        found = f"has {unknown}, which is unknown" if unknown else f"has {' and '.join(spec) or 'nothing'}"
        raise UsageError(f"Site '{name}': [data] {found}. It has exactly one of: {', '.join(_BELONGS)}.")
    ((kind, where),) = spec.items()
    if kind in _FILES:
        return _open_files(name, kind, where, folder, decimal)
    database, query = _query(name, kind, where)
    if kind == "duckdb":
        return duckdb_source(name, database, query, folder, decimal=bool(decimal))
    return postgresql_source(name, _with_variables(name, database), query, decimal=bool(decimal))


def _refuse(name: str, kind: str, fault: str) -> NoReturn:
    raise UsageError(f"Site '{name}', [data]: {fault}. There belongs: {kind} = {_BELONGS[kind]}.")


def _open_files(name: str, kind: str, where: object, folder: Path, decimal: bool | None) -> Source:
    patterns: list[Any] = where if isinstance(where, list) else [where]
    if not patterns or not all(isinstance(pattern, str) and pattern.strip() for pattern in patterns):
        _refuse(name, kind, f"{kind} is {where!r:.80}")
    paths = [path for pattern in patterns for path in matching_files(name, pattern, folder)]
    for path in paths:
        if (found := file_format(name, path)) != _FILES[kind]:
            _refuse(name, kind, f"{kind} names {path}, by its end a {found} file")
    if len(set(paths)) < len(paths):
        _refuse(name, kind, f"{kind} names {max(paths, key=paths.count)} twice: its rows would count double")
    return files_source(name, paths, decimal)


def _query(name: str, kind: str, where: object) -> tuple[str, str]:
    """Database and query."""
    keys = (_QUERIES[kind], "query")
    if not isinstance(where, Mapping):
        _refuse(name, kind, f"{kind} is {where!r:.80}")
    for key in where:
        if key not in keys:
            _refuse(name, kind, f"{kind} has '{key}', which is unknown")
    for key in keys:
        if not isinstance(where.get(key), str) or not where[key].strip():
            fault = "is missing" if key not in where else f"is {where[key]!r:.80}, which is no text"
            _refuse(name, kind, f"'{key}' of {kind} {fault}")
    return where[keys[0]], where["query"]


def _with_variables(name: str, uri: str) -> str:
    """The uri with the values of the environment variables that it names."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            fault = f"uri of postgresql names the environment variable {match[1]}, which is not set"
            raise UsageError(f"Site '{name}', [data]: {fault}. Set it before starting, or write what it stands for.")
        return found if match[0] == uri else quote(found, safe="")

    if "${" in _VARIABLE.sub("", uri):
        _refuse(name, "postgresql", "a ${ of uri begins no ${NAME} of letters, digits and _")
    return _VARIABLE.sub(value, uri)


# -- the version of the data --


def version_and_places(source: Source) -> tuple[bytes, NDArray[np.int64]]:
    """The version of the data: SHA-256 (32 bytes) of the table as read, and (n,) for each row its place in it.

    The version is of names of columns and what is in them, in any order of rows and columns.  Numbers count by value,
    whatever type holds them, and texts by letter; -0.0 is 0.0.  Whether a study keeps decimals makes no difference:
    floats, and numbers in text files, count as float64; columns of a decimal type count exactly.  Columns of types that
    no model can use (dates, lists) count by name and type alone.   It stays at the site: whoever knows all rows but one
    could try values for that one until the digest fits.

    A place is that in the order of the rows' digests.  Within one version it means the same row however a query orders
    them; rows that are alike in all columns that a model can use share their places, in order of appearance.

    Raises SiteError as `Source.read_all`.
    """
    columns = _columns(source)
    fields = [_field(values) for _, values in sorted(columns.items())]
    n = max((len(field.state) for field in fields), default=0)
    rows = _row_digests(fields, n)
    order = np.argsort(rows, kind="stable")
    places = np.empty(n, dtype=np.int64)
    places[order] = np.arange(n)
    head = json.dumps([n, *([name, field.said] for name, field in zip(sorted(columns), fields, strict=True))])
    return hashlib.sha256(_VERSION + head.encode() + b"\n" + rows[order].tobytes()).digest(), places


def _columns(source: Source) -> dict[str, Values]:
    """All columns; one of a frame whose values have no common type counts as unsupported."""
    try:
        return source.read_all()
    except DataError:
        return {name: _or_unsupported(source, name) for name in source.names}


def _or_unsupported(source: Source, name: str) -> Values:
    try:
        return source.read([name])[name]
    except DataError:
        return Values("unsupported", "no common type", np.empty(0))


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    """What of a column is digested, of fixed width.

    said: kind and unit.   state (n,): 0 a value, 1 missing, 2 and 3 plus and minus infinity.
    values: (n,) of 8 bytes each; or, with a table (k, width), places in it; None where the state says all.
    """

    said: str
    state: NDArray[np.uint8]
    values: NDArray[Any] | None = None
    table: NDArray[np.uint8] | None = None

    def rows(self, block: slice) -> list[NDArray[np.uint8]]:
        """(m, width) bytes of some rows."""
        state = self.state[block, None]
        if self.values is None:
            return [state]
        values = self.values[block]
        return [state, values.view(np.uint8).reshape(-1, 8) if self.table is None else self.table[values]]


def _field(values: Values) -> _Field:
    absent = values.absent()
    state = np.zeros(len(values), dtype=np.uint8)
    if absent is not None:
        state[absent] = 1
    if values.kind in TEXTS:
        codes = values.values if absent is None else np.where(absent, -1, values.values)
        # code -1 picks the last line
        return _Field("text", state, codes, _digests([*map(_spelt, values.labels), b""]))
    if values.kind == "boolean":
        return _number_field(Decimals.of(values.values), state, "boolean")
    if values.kind != "number":
        return _Field(f"{values.kind} {values.type}", state)
    x = values.values
    exact = values.exact if _DECIMAL_TYPES.fullmatch(values.type) else None
    if x.dtype.kind == "f":
        x = x.astype(_SHORT_FLOATS.get(values.type, np.float64)).astype(np.float64)
        state[x == np.inf], state[x == -np.inf] = 2, 3
        x[state != 0] = 0
    if exact is not None or x.dtype.kind != "f":
        return _number_field(exact or Decimals.of(x), state)
    if np.abs(x).max(initial=0) < 2**63 and (x == np.rint(x)).all():
        return _number_field(Decimals.of(x.astype(np.int64)), state)
    return _Field("number float64", state, (x + 0.0).astype("<f8"))  # -0.0 + 0.0 is 0.0


def _number_field(number: Decimals, state: NDArray[np.uint8], kind: str = "number") -> _Field:
    """In the largest unit in which all are whole, so that 0.50 is 0.5."""
    whole, decimals = np.where(state == 0, number.values, 0), number.decimals
    while decimals and not (whole % 10).any():
        whole, decimals = whole // 10, decimals - 1
    number = Decimals.of(whole)
    said = f"{kind} e-{decimals}"
    if number.values.dtype != object:
        return _Field(said, state, number.values.astype("<i8"))
    width = number.largest().bit_length() // 8 + 1
    joined = b"".join(value.to_bytes(width, "little", signed=True) for value in number.values.tolist())
    rows = np.frombuffer(joined, dtype=np.uint8).reshape(-1, width)
    return _Field(f"{said} in {width} bytes", state, np.arange(len(rows)), rows)


def _spelt(label: object) -> bytes:
    """A category: a text by its letters, a number by its digits."""
    return b"s" + label.encode(errors="surrogatepass") if isinstance(label, str) else b"n" + repr(label).encode()


def _digests(texts: Iterable[bytes]) -> NDArray[np.uint8]:
    """(k, 32) digests."""
    joined = b"".join(hashlib.sha256(text).digest() for text in texts)
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, 32)


def _row_digests(fields: list[_Field], n: int) -> NDArray[np.bytes_]:
    """(n,) digests of 32 bytes."""
    digests = []
    for start in range(0, n, _BLOCK):
        block = slice(start, min(start + _BLOCK, n))
        letters = np.broadcast_to(np.frombuffer(_ROW, dtype=np.uint8), (block.stop - start, len(_ROW)))
        # a column whose values have no common type has no rows
        parts = [letters, *(part for field in fields if len(field.state) for part in field.rows(block))]
        rows = np.concatenate(parts, axis=1)
        data, width = rows.tobytes(), rows.shape[1]
        digests += [hashlib.sha256(data[at : at + width]).digest() for at in range(0, len(data), width)]
    return np.frombuffer(b"".join(digests), dtype="S32")
