"""Values of JSON's types (none of them null), held, checked and written canonically, and text that shows all of itself.

u8 tag, then:  0 false | 1 true | 2 integer | 3 float64 | 4 text | 5 items, each a value
               | 6 items of (text key, value), in the order of the keys' UTF-8 bytes
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from sumwise.errors import UsageError, shown, shown_key
from sumwise.protocol.wire.codec import Writer
from sumwise.protocol.wire.fields import is_seen

MOST_DEPTH = 8
MOST_VALUES = 100_000
MOST_TEXT = 10_000
"""Characters of the longest text."""


def is_visible(value: Any, most: int) -> bool:
    """Whether this is a line of text that shows all of itself: up to so many characters, not all blank."""
    return isinstance(value, str) and bool(value.strip(" ")) and len(value) <= most and is_seen(value)


def visible(text: str) -> str:
    """Text of the contract, in which a character that cannot be seen is shown as its number."""
    return "".join(c if is_visible(c, 1) or c == " " else ascii(c)[1:-1] for c in text)


def listed(names: Iterable[str], most: int = 20) -> str:
    """The first of them, and how many more there are."""
    found = [visible(name) for name in names]
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def held(value: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of dicts and lists alone, with numbers and texts of exactly Python's types.

    Entries of a mapping that are None are left out: TOML has no null, and whoever reads takes them for missing.
    Raises UsageError for anything else, with its path.
    """
    count = 0

    def copied(value: Any, path: str, depth: int) -> Any:
        nonlocal count
        count += 1
        if count > MOST_VALUES:
            raise UsageError(f"more than {MOST_VALUES} values")
        if isinstance(value, Mapping | list | tuple) and depth > MOST_DEPTH:
            raise UsageError(f"{path} is nested deeper than {MOST_DEPTH}")
        match value:
            case Mapping():
                for key in value:
                    _text(key, f"a key of {path}")
                return {
                    str(k): copied(v, f"{path}.{shown_key(str(k))}", depth + 1)
                    for k, v in value.items()
                    if v is not None
                }
            case list() | tuple():
                return [copied(v, f"{path}[{k}]", depth + 1) for k, v in enumerate(value)]
            case _:
                return _single(value, path)

    found: dict[str, Any] = copied(value, "contract", 1)
    return found


def _single(value: Any, path: str) -> bool | int | float | str:
    match value:
        case bool():
            return value
        case int() if -(2**63) <= value < 2**63:
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case str():
            return _text(value, path)
        case int() | float():
            raise UsageError(f"{path} is {shown(value, 40)}, which is no finite number or needs more than 64 bits")
        case _:
            raise UsageError(f"{path} is of type {type(value).__name__}, not a number, text, list or table")


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{path} is of type {type(value).__name__}, not a text")
    if len(value) > MOST_TEXT:
        raise UsageError(f"{path} is a text of {len(value)} characters; at most {MOST_TEXT} are possible")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise UsageError(f"{path} is {shown(value, 40)}, which is no Unicode text")
    return str(value)


def write(to: Writer, value: Any) -> None:
    """Appends a value that `held` gave."""
    match value:
        case bool():
            to.u8(int(value))
        case int():
            to.u8(2)
            to.integer(value)
        case float():
            to.u8(3)
            to.float64(value)
        case str():
            to.u8(4)
            to.text(value)
        case list():
            to.u8(5)
            to.items(value, write)
        case _:
            to.u8(6)
            to.items(sorted(value.items()), _write_entry)


def _write_entry(to: Writer, entry: tuple[str, Any]) -> None:
    to.text(entry[0])
    write(to, entry[1])
