"""Sources: one named table per site, read column by column.

A table is a pandas frame, anything with Arrow's C stream (polars, Arrow), or CSV or Parquet files.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from sumwise.data.values import TEXTS, Values, from_arrow, from_pandas
from sumwise.errors import DataError, SiteError, UsageError

_CSV = (".csv", ".csv.gz")
_PARQUET = (".parquet", ".pq")
_ACCEPTED = (
    "a pandas, polars or Arrow table, the path of a CSV or Parquet file (or a pattern such as 'data/*.csv', "
    "or a list of paths), or a mapping {site name: any of these}"
)


class Source:
    """The rows of one site.  Columns are read when asked for, once, and numbers of a frame are not copied."""

    __slots__ = ("_cache", "_read", "name", "names")

    def __init__(
        self, name: str, names: Sequence[str], read: Callable[[list[str], Collection[str]], dict[str, Values]]
    ) -> None:
        """read(columns, as_text): the columns; a table without types (CSV) gives those in as_text as text."""
        self.name = name
        self.names = tuple(names)
        self._read = read
        self._cache: dict[str, Values] = {}

    def read(self, columns: Sequence[str], *, as_text: Collection[str] = ()) -> dict[str, Values]:
        """The columns asked for.  as_text: those that are text at other sites; a CSV's "1" is text there too.

        Raises SiteError for a column that the site lacks, DataError for one whose values have no common type.
        """
        for column in columns:
            found = self.names.count(column)
            if found != 1:
                how = "has no column" if not found else f"has {found} columns"
                raise SiteError(f"Site '{self.name}' {how} named '{column}'. It has: {', '.join(self.names)}.")
        unread = [c for c in columns if c not in self._cache or (c in as_text and self._cache[c].kind not in TEXTS)]
        if unread:
            self._cache.update(self._read(unread, as_text))
        return {column: self._cache[column] for column in columns}


def open_sites(data: object) -> dict[str, Source]:
    """One source per site.

    data: a table, a path, a pattern or a list of paths (all make one site, "data"), or {site: any of these}.

    Raises UsageError for anything else, and for a path that leads to no file.
    """
    if not isinstance(data, Mapping):
        return {"data": _open("data", data)}
    if not data:
        raise UsageError(f"No sites: the mapping of sites is empty. data is {_ACCEPTED}.")
    return {str(name): _open(str(name), table) for name, table in data.items()}


def _open(name: str, data: Any) -> Source:
    if isinstance(data, Source):
        return data
    if isinstance(data, pd.DataFrame):
        return _frame(name, data)
    if hasattr(data, "__arrow_c_stream__") and not isinstance(data, pd.Series):
        try:
            return _arrow(name, pa.table(data))
        except (pa.ArrowException, TypeError) as error:
            raise UsageError(f"Site '{name}': {type(data).__name__} is not a table. data is {_ACCEPTED}.") from error
    if isinstance(data, (str, os.PathLike)):
        return _files(name, _paths(name, os.fspath(data)))
    is_list = isinstance(data, (list, tuple)) and len(data) > 0
    if is_list and all(isinstance(item, (str, os.PathLike)) for item in data):
        return _files(name, [path for item in data for path in _paths(name, os.fspath(item))])
    is_column = is_list or isinstance(data, (np.ndarray, pd.Series))
    hint = " For a dict of columns write pandas.DataFrame(columns)." if is_column else ""
    raise UsageError(f"Site '{name}': {type(data).__name__} is not a table. data is {_ACCEPTED}.{hint}")


def _frame(name: str, frame: pd.DataFrame) -> Source:
    by_name = {str(column): column for column in frame.columns}

    def convert(column: str) -> Values:
        try:
            return from_pandas(frame[by_name[column]])
        except pa.ArrowException as error:
            fault = f"Site '{name}': the values of column '{column}' have no common type ({error})."
            raise DataError(f"{fault} Make them all numbers or all texts.") from error

    def read(columns: list[str], _: Collection[str]) -> dict[str, Values]:
        return {column: convert(column) for column in columns}

    return Source(name, [str(column) for column in frame.columns], read)


def _arrow(name: str, table: pa.Table) -> Source:
    def read(columns: list[str], _: Collection[str]) -> dict[str, Values]:
        return {column: _from_field(table, column) for column in columns}

    return Source(name, table.column_names, read)


def _from_field(table: pa.Table, column: str) -> Values:
    """polars' Categorical numbers its texts as they come; only its Enum declares an order."""
    metadata = table.schema.field(column).metadata or {}
    return from_arrow(table[column], declared=not any(key.startswith(b"_PL_CATEGORICAL") for key in metadata))


def _paths(name: str, text: str) -> list[str]:
    """The files that a path or pattern stands for, sorted."""
    if Path(text).is_file():
        return [text]
    found = sorted(path for path in glob.glob(text, recursive=True) if Path(path).is_file())
    if not found:
        fault = "is a folder" if Path(text).is_dir() else "leads to no file"
        raise UsageError(f"Site '{name}': '{text}' {fault}. Patterns look like 'folder/*.csv'.")
    return found


def _files(name: str, paths: Sequence[str]) -> Source:
    """All files of a site as one table.

    Raises SiteError if their columns differ, UsageError for other formats.
    """
    formats = {_format(name, path) for path in paths}
    if len(formats) > 1:
        raise UsageError(f"Site '{name}': CSV and Parquet files are mixed; give one kind, or one site each.")
    header = _csv_names if formats == {"csv"} else _parquet_names
    names = header(name, paths[0])
    for path in paths[1:]:
        if set(header(name, path)) != set(names):
            differ = ", ".join(sorted(set(header(name, path)) ^ set(names)))
            raise SiteError(f"Site '{name}': files {paths[0]} and {path} differ in columns: {differ}.")
    if formats == {"parquet"}:
        return Source(name, names, lambda columns, _: _read_parquet(name, paths, columns))
    return Source(name, names, lambda columns, as_text: _read_csv(name, paths, columns, set(as_text)))


def _format(name: str, path: str) -> str:
    for ends, kind in ((_CSV, "csv"), (_PARQUET, "parquet")):
        if path.lower().endswith(ends):
            return kind
    raise UsageError(f"Site '{name}': '{path}' is no CSV or Parquet file (known ends: {', '.join(_CSV + _PARQUET)}).")


def _csv_names(name: str, path: str) -> list[str]:
    try:
        with pacsv.open_csv(path) as reader:
            return list(reader.schema.names)
    except pa.ArrowInvalid as error:
        raise SiteError(f"Site '{name}': {path} cannot be read as CSV: {error}.") from error


def _parquet_names(name: str, path: str) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except pa.ArrowException as error:
        raise SiteError(f"Site '{name}': {path} cannot be read as Parquet: {error}.") from error


def _read_parquet(name: str, paths: Sequence[str], columns: list[str]) -> dict[str, Values]:
    tables = [pq.ParquetFile(path).read(columns=columns) for path in paths]
    table = _stacked(name, paths, tables)
    return {column: _from_field(table, column) for column in columns}


def _read_csv(name: str, paths: Sequence[str], columns: list[str], as_text: set[str]) -> dict[str, Values]:
    """Reads until the files agree: a column that is text in one of them is read as text in all."""
    while True:
        options = pacsv.ConvertOptions(
            include_columns=columns,
            column_types={column: pa.string() for column in as_text},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        try:
            tables = [pacsv.read_csv(path, convert_options=options) for path in paths]
        except pa.ArrowInvalid as error:
            raise SiteError(f"Site '{name}': a CSV file cannot be read: {error}.") from error
        texts = {c for c in columns if any(pa.types.is_string(table.schema.field(c).type) for table in tables)}
        if all(_is_text_or_null(table.schema.field(c).type) for table in tables for c in texts):
            stacked = _stacked(name, paths, tables)
            return {column: from_arrow(stacked[column]) for column in columns}
        as_text |= texts


def _is_text_or_null(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_null(kind))


def _stacked(name: str, paths: Sequence[str], tables: list[pa.Table]) -> pa.Table:
    try:
        return pa.concat_tables(tables, promote_options="permissive") if len(tables) > 1 else tables[0]
    except pa.ArrowException as error:
        raise SiteError(f"Site '{name}': its {len(paths)} files differ in the types of a column: {error}.") from error
