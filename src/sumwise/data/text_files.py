"""Files of plain text: CSV, and columns separated by spaces or tabs under a line of names.

Such files have no types.  A column is numbers if every value is; where decimals are kept, its texts are read again and
parsed exactly, as 0.1 is no float.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from sumwise.data.values import Values, decimal_from_arrow, from_arrow
from sumwise.errors import SiteError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class TextFile:
    """One file.  names: its columns.   content: tab-separated text, or None if the file is to be read as CSV."""

    path: str
    names: tuple[str, ...]
    content: bytes | None = None

    def read(self, options: pacsv.ConvertOptions) -> pa.Table:
        """The columns that the options include."""
        if self.content is None:
            return pacsv.read_csv(self.path, convert_options=options)
        tabs = pacsv.ParseOptions(delimiter="\t")
        return pacsv.read_csv(io.BytesIO(self.content), parse_options=tabs, convert_options=options)


def comma_separated(name: str, path: str) -> TextFile:
    """A CSV file of site `name`.  Raises SiteError if it is none."""
    try:
        with open(path, "rb") as file:
            if (start := file.read(2)) in _UTF16 or b"\0" in start:
                raise SiteError(f"Site '{name}': {path} is in UTF-16, not in UTF-8. Convert it.")
        with pacsv.open_csv(path) as reader:
            return TextFile(path, tuple(reader.schema.names))
    except UnicodeDecodeError as error:
        raise SiteError(f"Site '{name}': {path} is not in UTF-8 ({error}). Convert it.") from error
    except pa.ArrowInvalid as error:
        raise SiteError(f"Site '{name}': {path} cannot be read as CSV: {_with_row(path, error)}.") from error


def _with_row(path: str, error: Exception) -> str:
    """pyarrow's message, with the row if it has one: only when it reads without threads does it count rows."""
    try:
        pacsv.read_csv(path, read_options=pacsv.ReadOptions(use_threads=False))
    except pa.ArrowInvalid as told:
        counted = " (rows counted from 1, with the line of names)" if "Row #" in str(told) else ""
        return f"{told}{counted}"
    return str(error)


def space_separated(name: str, path: str) -> TextFile:
    """A text file of site `name`: names in the first line, then one row a line, separated by spaces or tabs.

    Raises SiteError for a line whose values are not as many as the names, and for a file that is not UTF-8.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = [(number, _fields(line)) for number, line in enumerate(file, 1) if line.strip()]
    except UnicodeDecodeError as error:
        raise SiteError(f"Site '{name}': {path} is not in UTF-8 ({error}). Convert it.") from error
    names = tuple(field.strip('"') for field in lines[0][1]) if lines else ()
    for number, fields in lines:
        if len(fields) != len(names):
            fault = f"Site '{name}': line {number} of {path} has {len(fields)} values, and the first line {len(names)}"
            raise SiteError(f"{fault} names. The first line names the columns; missing values are written NA.")
    if len(names) == 1 and "," in names[0]:
        raise SiteError(f"Site '{name}': {path} is separated by commas. Give its name the end .csv.")
    return TextFile(path, names, "\n".join("\t".join(fields) for _, fields in lines).encode())


def _fields(line: str) -> list[str]:
    """The words of a line; what is quoted is one word."""
    return re.findall(r'"[^"]*"|\S+', line) if '"' in line else line.split()


def read_texts(
    name: str, files: Sequence[TextFile], columns: list[str], as_text: set[str], *, decimal: bool
) -> dict[str, Values]:
    """The columns of all files, one under the other.  decimal: numbers keep their decimals.

    Reads until the files agree: a column that is text in one of them is read as text in all.
    """
    while True:
        tables = _tables(name, files, columns, as_text)
        texts = {c for c in columns if any(pa.types.is_string(table.schema.field(c).type) for table in tables)}
        if all(_is_text_or_null(table.schema.field(c).type) for table in tables for c in texts):
            break
        as_text |= texts
    whole = stacked(name, tables)
    read = {column: from_arrow(whole[column]) for column in columns}
    floats = [c for c in columns if pa.types.is_floating(whole.schema.field(c).type)] if decimal else []
    if floats:
        texts_of = stacked(name, _tables(name, files, floats, set(floats)))
        for column in floats:
            read[column] = decimal_from_arrow(texts_of[column], "decimal text") or read[column]
    return read


def _tables(name: str, files: Sequence[TextFile], columns: list[str], as_text: set[str]) -> list[pa.Table]:
    options = pacsv.ConvertOptions(
        include_columns=columns,
        column_types={column: pa.string() for column in as_text},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    try:
        return [file.read(options) for file in files]
    except pa.ArrowInvalid as error:
        first = files[0]
        kind, why = ("text", str(error)) if first.content is not None else ("CSV", _with_row(first.path, error))
        raise SiteError(f"Site '{name}': a {kind} file cannot be read: {why}.") from error


def _is_text_or_null(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_null(kind))


def stacked(name: str, tables: list[pa.Table]) -> pa.Table:
    """The rows of all tables, one table under the other.  Raises SiteError where their types do not fit."""
    try:
        return pa.concat_tables(tables, promote_options="permissive") if len(tables) > 1 else tables[0]
    except pa.ArrowException as error:
        raise SiteError(f"Site '{name}': its {len(tables)} files differ in the types of a column: {error}.") from error
