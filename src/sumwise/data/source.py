"""Sources: one named table per site, read column by column.

A table is a pandas frame, anything with Arrow's C stream (polars, Arrow), or CSV, Parquet or plain text files.
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
import pyarrow.parquet as pq

from sumwise.data.text_files import TextFile, comma_separated, read_texts, space_separated, stacked
from sumwise.data.values import TEXTS, Values, from_arrow, from_pandas, number_from_text, with_decimals
from sumwise.errors import DataError, SiteError, UsageError

_CSV = (".csv", ".csv.gz")
_PARQUET = (".parquet", ".pq")
_TEXT = (".dat", ".txt")
_ACCEPTED = (
    "a pandas, polars or Arrow table, the path of a CSV, Parquet or text file (or a pattern such as 'data/*.csv', "
    "or a list of paths), or a mapping {site name: any of these}"
)

Reader = Callable[[list[str], Collection[str]], dict[str, Values]]
"""read(columns, as_text): the columns; a table without types (CSV) gives those in as_text as text."""

Converter = Callable[[pa.Table, str], Values]
"""convert(table, column): the column of an Arrow table."""


class Source:
    """The rows of one site, in the same order at every reading.

    Columns are read when asked for, once, and numbers of a frame are not copied.   decimal: whether numbers are kept
    as the exact decimals they are written in.
    """

    __slots__ = ("_as_text", "_cache", "_numbers", "_read", "decimal", "name", "names")

    def __init__(self, name: str, names: Sequence[str], read: Reader, *, decimal: bool = False) -> None:
        self.name = name
        self.names = tuple(names)
        self.decimal = decimal
        self._read = read
        self._cache: dict[str, Values] = {}
        self._as_text: set[str] = set()
        self._numbers: dict[str, Values | None] = {}

    def read(
        self, columns: Sequence[str], *, as_text: Collection[str] = (), as_number: Collection[str] = ()
    ) -> dict[str, Values]:
        """The columns asked for.

        as_text: those that are text at other sites; a CSV's "1" is text there too.   as_number: those that the formula
        calculates with: if decimals are kept, texts that are all numbers are numbers there.

        Raises SiteError for a column that the site lacks, DataError for one whose values have no common type.
        """
        self._check_names(columns)
        unread = [c for c in columns if c not in self._cache or (c in as_text and self._cache[c].kind not in TEXTS)]
        if unread:
            self._cache.update(self._read(unread, as_text))
            self._as_text |= set(unread) & set(as_text)
        read = {column: self._cache[column] for column in columns}
        if self.decimal:
            for column in set(as_number) & read.keys() - set(as_text):
                read[column] = self._as_number(column) or read[column]
        return read

    def read_all(self) -> dict[str, Values]:
        """Every column as the table itself gives it, whatever was read as text before.  Raises as `read`."""
        values = self.read([name for name in self.names if name not in self._as_text])
        again = [name for name in self.names if name in self._as_text]
        return {**values, **self._read(again, ())} if again else values

    def _check_names(self, columns: Sequence[str]) -> None:
        for column in columns:
            found = self.names.count(column)
            if found != 1:
                how = "has no column" if not found else f"has {found} columns"
                raise SiteError(f"Site '{self.name}' {how} named '{column}'. It has: {', '.join(self.names)}.")

    def _as_number(self, column: str) -> Values | None:
        if column not in self._numbers:
            self._numbers[column] = number_from_text(self._cache[column])
        return self._numbers[column]


def open_sites(data: object, decimal: bool | None = None) -> dict[str, Source]:
    """One source per site.

    data: a table, a path, a pattern or a list of paths (all make one site, "data"), or {site: any of these}.
    decimal: True keeps numbers as the exact decimals that the file holds, or as the shortest decimals that read back to
    the floats of a frame; False takes the nearest floats; None keeps them exact for text files (.dat, .txt) alone.
    Columns of a decimal type are exact always.

    Raises UsageError for anything else, and for a path that leads to no file.
    """
    if decimal not in (None, True, False):
        raise UsageError(f"decimal is True, False or None, not {decimal!r}.")
    if not isinstance(data, Mapping):
        return {"data": _open("data", data, decimal)}
    if not data:
        raise UsageError(f"No sites: the mapping of sites is empty. data is {_ACCEPTED}.")
    return {str(name): _open(str(name), table, decimal) for name, table in data.items()}


def _open(name: str, data: Any, decimal: bool | None) -> Source:
    if isinstance(data, Source):
        return data
    if isinstance(data, pd.DataFrame):
        return _frame(name, data, bool(decimal))
    if hasattr(data, "__arrow_c_stream__") and not isinstance(data, pd.Series):
        try:
            return table_source(name, pa.table(data), bool(decimal))
        except pa.ArrowException as error:
            fault = f"Site '{name}': Arrow cannot read this {type(data).__name__}: {error}."
            raise UsageError(
                f"{fault} Convert columns of rare types first, 128-bit integers to decimals say."
            ) from error
        except TypeError as error:
            raise UsageError(f"Site '{name}': {type(data).__name__} is not a table. data is {_ACCEPTED}.") from error
    if isinstance(data, (str, os.PathLike)):
        return files_source(name, matching_files(name, os.fspath(data)), decimal)
    is_list = isinstance(data, (list, tuple)) and len(data) > 0
    if is_list and all(isinstance(item, (str, os.PathLike)) for item in data):
        paths = [path for item in data for path in matching_files(name, os.fspath(item))]
        return files_source(name, paths, decimal)
    is_column = is_list or isinstance(data, (np.ndarray, pd.Series))
    hint = " For a dict of columns write pandas.DataFrame(columns)." if is_column else ""
    raise UsageError(f"Site '{name}': {type(data).__name__} is not a table. data is {_ACCEPTED}.{hint}")


def _frame(name: str, frame: pd.DataFrame, decimal: bool) -> Source:
    by_name = {str(column): column for column in frame.columns}

    def convert(column: str) -> Values:
        series = frame[by_name[column]]
        try:
            return from_pandas(series)
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            found = list(dict.fromkeys(type(value).__name__ for value in series.dropna()))
            fault = f"Site '{name}': the values of column '{column}' " + (
                f"have no common type ({', '.join(found[:4])}{', ..' if len(found) > 4 else ''})"
                if len(found) > 1
                else f"are of type {''.join(found)}, which has no place in a model"
            )
            raise DataError(f"{fault}. Make them all numbers or all texts.") from error

    def read(columns: list[str], _: Collection[str]) -> dict[str, Values]:
        return {column: convert(column) for column in columns}

    return Source(name, [str(column) for column in frame.columns], _kept(read, decimal), decimal=decimal)


def _kept(read: Reader, decimal: bool) -> Reader:
    """The reader, with its floats as decimals where those are kept."""
    if not decimal:
        return read

    def exactly(columns: list[str], as_text: Collection[str]) -> dict[str, Values]:
        return {column: with_decimals(values) for column, values in read(columns, as_text).items()}

    return exactly


def table_source(name: str, table: pa.Table, decimal: bool, convert: Converter | None = None) -> Source:
    """An Arrow table as a source.  convert: how its columns become numbers or texts, if not by Arrow's types alone."""
    converted = convert or from_field

    def read(columns: list[str], _: Collection[str]) -> dict[str, Values]:
        return {column: converted(table, column) for column in columns}

    return Source(name, table.column_names, _kept(read, decimal), decimal=decimal)


def from_field(table: pa.Table, column: str) -> Values:
    """polars' Categorical numbers its texts as they come; only its Enum declares an order."""
    metadata = table.schema.field(column).metadata or {}
    return from_arrow(table[column], declared=not any(key.startswith(b"_PL_CATEGORICAL") for key in metadata))


def matching_files(name: str, text: str, folder: Path = Path()) -> list[str]:
    """The files that a path or pattern stands for, sorted.  folder: where a relative one starts.

    Raises UsageError if there is none.
    """
    if (folder / text).is_file():
        return [str(folder / text)]
    matching = glob.glob(text, root_dir=folder, recursive=True)
    found = sorted(str(folder / path) for path in matching if (folder / path).is_file())
    if not found:
        fault = "is a folder" if (folder / text).is_dir() else "leads to no file"
        raise UsageError(f"Site '{name}': '{text}' {fault}. Patterns look like 'folder/*.csv'.")
    return found


def files_source(name: str, paths: Sequence[str], decimal: bool | None) -> Source:
    """All files of a site as one table.

    Raises SiteError if their columns differ, UsageError for other formats.
    """
    formats = {file_format(name, path) for path in paths}
    if len(formats) > 1:
        mixed = " and ".join(sorted(formats))
        raise UsageError(f"Site '{name}': {mixed} files are mixed; give one kind, or one site each.")
    (kind,) = formats
    stamps = {path: _stamp(path) for path in paths}
    if kind == "Parquet":
        names = _same_names(name, {path: _parquet_names(name, path) for path in paths})

        def read(columns: list[str], _: Collection[str]) -> dict[str, Values]:
            return _read_parquet(name, paths, columns)

        return Source(name, names, _unchanged(name, stamps, _kept(read, bool(decimal))), decimal=bool(decimal))
    opened = space_separated if kind == "text" else comma_separated
    texts = [opened(name, path) for path in paths]
    names = _same_names(name, {text.path: text.names for text in texts})
    exact = kind == "text" if decimal is None else decimal
    return Source(name, names, _unchanged(name, stamps, _text_reader(name, texts, exact)), decimal=exact)


def _text_reader(name: str, texts: Sequence[TextFile], decimal: bool) -> Reader:
    def read(columns: list[str], as_text: Collection[str]) -> dict[str, Values]:
        return read_texts(name, texts, columns, set(as_text), decimal=decimal)

    return read


def _stamp(path: str) -> tuple[int, int, int]:
    """What differs once a file is written again."""
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _unchanged(name: str, stamps: Mapping[str, tuple[int, int, int]], read: Reader) -> Reader:
    """The reader, which raises SiteError once a file is another than at first: columns are read one after the other,
    and must be of the same rows.
    """

    def checked(columns: list[str], as_text: Collection[str]) -> dict[str, Values]:
        values = read(columns, as_text)
        for path, stamp in stamps.items():
            if _stamp(path) != stamp:
                raise SiteError(f"Site '{name}': {path} was changed while it was read. Run again on the file as it is.")
        return values

    return checked


def _same_names(name: str, names: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """The columns that all files {path: columns} have, in the order of the first."""
    (first, expected), *others = names.items()
    for path, found in others:
        if set(found) != set(expected):
            differ = ", ".join(sorted(set(found) ^ set(expected)))
            raise SiteError(f"Site '{name}': files {first} and {path} differ in columns: {differ}.")
    return expected


def file_format(name: str, path: str) -> str:
    """CSV, Parquet or text, by the end of the name.  Raises UsageError for any other."""
    for ends, kind in ((_CSV, "CSV"), (_PARQUET, "Parquet"), (_TEXT, "text")):
        if path.lower().endswith(ends):
            return kind
    known = ", ".join(_CSV + _PARQUET + _TEXT)
    raise UsageError(f"Site '{name}': '{path}' is no CSV, Parquet or text file (known ends: {known}).")


def _parquet_names(name: str, path: str) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except pa.ArrowException as error:
        raise SiteError(f"Site '{name}': {path} cannot be read as Parquet: {error}.") from error


def _read_parquet(name: str, paths: Sequence[str], columns: list[str]) -> dict[str, Values]:
    tables = [pq.ParquetFile(path).read(columns=columns) for path in paths]
    table = stacked(name, tables)
    return {column: from_field(table, column) for column in columns}
