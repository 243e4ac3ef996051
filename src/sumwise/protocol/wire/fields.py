"""The types of the fields of messages: what each may hold, and how it is written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sumwise.protocol.wire.codec import HASH_BYTES, Reader, Writer

MOST_NAME = 64
"""Bytes of the longest name."""

_UNSEEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # controls
    "\xa0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000"  # blanks other than the plain one
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"  # no ink
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # no width, new lines, other direction of writing
    "\ufe00-\ufe0f\U000e0000-\U000e0fff"  # tags, and variants of the character before
    "\U00013430-\U00013455\U00016fe4\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"  # layout of some scripts
    "\ud800-\udfff"  # halves of characters
    "\ue000-\uf8ff\U000f0000-\U0010ffff"  # private use
    "\ufdd0-\ufdef\ufff0-\ufffc"
    + "".join(f"{chr(p + 0xFFFE)}{chr(p + 0xFFFF)}" for p in range(0, 0xF0000, 0x10000))
    + "]"  # no characters, and those that stand for something else
)
"""What cannot be seen, or looks like something else, by code points alone: Unicode's tables differ between versions of
Python.
"""


@dataclass(frozen=True, slots=True)
class FieldType:
    """layout: how it is written; meaning: what it may be, in words; holds: whether a value is one."""

    layout: str
    meaning: str
    holds: Callable[[Any], bool]
    write: Callable[[Writer, Any], None]
    read: Callable[[Reader], Any]


def is_seen(text: str) -> bool:
    """Whether all of a text can be seen; the plain blank counts as seen."""
    return _UNSEEN.search(text) is None


def is_name(value: Any) -> bool:
    """Whether this can name a site: visible text of 1 to 64 bytes without blanks at its ends, not "." or ".."."""
    if not isinstance(value, str) or value != value.strip(" ") or value in (".", ".."):
        return False
    return is_seen(value) and 0 < len(value.encode()) <= MOST_NAME


def is_token(value: Any) -> bool:
    """Whether this is a word of ours: small letters, digits and single hyphens, at most 40."""
    return (
        isinstance(value, str) and len(value) <= 40 and re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", value) is not None
    )


def _is_whole(value: Any, most: int) -> bool:
    return type(value) is int and 1 <= value <= most


def _is_hash(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) == HASH_BYTES


def _is_answers(value: Any) -> bool:
    if not isinstance(value, tuple) or not value or not all(isinstance(a, tuple) and len(a) == 2 for a in value):
        return False
    named = all(is_name(site) and _is_hash(hashed) for site, hashed in value)
    return named and all(one < two for (one, _), (two, _) in pairwise(value))


def _write_answers(to: Writer, answers: tuple[tuple[str, bytes], ...]) -> None:
    def write(to: Writer, answer: tuple[str, bytes]) -> None:
        to.text(answer[0])
        to.raw(answer[1], HASH_BYTES)

    to.items(answers, write)


def _write_hash(to: Writer, value: bytes) -> None:
    to.raw(value, HASH_BYTES)


def _read_hash(of: Reader) -> bytes:
    return of.raw(HASH_BYTES)


COUNT = FieldType("u32", "a number from 1", lambda v: _is_whole(v, 2**32 - 1), Writer.u32, Reader.u32)
SEQUENCE = FieldType("u64", "a number from 1", lambda v: _is_whole(v, 2**64 - 1), Writer.u64, Reader.u64)
NUMBER = FieldType(
    "float64", "a finite number", lambda v: isinstance(v, float) and math.isfinite(v), Writer.float64, Reader.float64
)
HASH = FieldType("raw[32]", "a digest of 32 bytes", _is_hash, _write_hash, _read_hash)
PAYLOAD = FieldType("blob", "a payload", lambda v: isinstance(v, bytes) and len(v) > 0, Writer.blob, Reader.blob)
NAME = FieldType(
    "text", 'visible text of 1 to 64 bytes, no blanks at its ends, not "." or ".."', is_name, Writer.text, Reader.text
)
TOKEN = FieldType("text", "small letters, digits and hyphens, at most 40", is_token, Writer.text, Reader.text)
ANSWERS = FieldType(
    "items of (text, raw[32])",
    "sites, each once, in the order of their UTF-8 bytes, each with a digest of 32 bytes; at least one",
    _is_answers,
    _write_answers,
    lambda of: of.items(lambda of: (of.text(), _read_hash(of)), 5 + HASH_BYTES),
)
