"""Everything that left, as a chain of hashes: an entry carries the hash of the one before it, so that none can be
changed, taken out, put in or moved without breaking every later one.

    chained:  "SUML" | u8 version | u64 index | raw[32] previous | text kind | raw[32] payload_hash | text summary
    entry hash = digest(chained)
    body:     chained | flag | blob payload where the flag is 1
    frame:    "SUMF" | u32 length of the body | u32 CRC-32 of these eight bytes | body | raw[32] entry hash

A ledger is its frames, one after the other.  The chain holds the hash of a payload, not the payload, so that a payload
may be dropped later without breaking it.

A crash while writing leaves a piece of the last frame, or zeros that some file systems put in its place.  `parse` tells
it from damage: the length is guarded by its own sum, so a frame shorter than it says is one that was never finished.
Everything before it stands, and what it would have said was not sent, because the ledger is written first.

What a chain cannot show is that its end was cut off at an entry, or that all of it was written anew: compare `head`
with one that somebody else keeps.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sumwise.errors import ProtocolError
from sumwise.protocol.wire.codec import HASH_BYTES, NO_HASH, Reader, Writer, digest
from sumwise.protocol.wire.fields import is_token

MAGIC, FRAME = b"SUML", b"SUMF"
VERSION = 1

_HEAD = 12  # bytes of a frame before its body


@dataclass(frozen=True, slots=True)
class Entry:
    """index, from 1; previous: hash of the entry before, NO_HASH for the first; kind: a word, as "answer";
    payload_hash: digest of the payload; payload: None where it was not kept; summary: what it is, for people.
    """

    index: int
    previous: bytes
    kind: str
    payload_hash: bytes
    payload: bytes | None
    summary: str

    @property
    def hash(self) -> bytes:
        """What the next entry carries."""
        return digest(self._chained())

    def frame(self) -> bytes:
        """The bytes that the entry adds to a ledger."""
        chained = self._chained()
        body = Writer(chained)
        body.flag(self.payload is not None)
        if self.payload is not None:
            body.blob(self.payload)
        data = body.done()
        return _frame_head(len(data)) + data + digest(chained)

    def _chained(self) -> bytes:
        to = Writer(MAGIC)
        to.u8(VERSION)
        to.u64(self.index)
        to.raw(self.previous, HASH_BYTES)
        to.text(self.kind)
        to.raw(self.payload_hash, HASH_BYTES)
        to.text(self.summary)
        return to.done()


@dataclass(frozen=True, slots=True)
class Ledger:
    """What `parse` found.  standing: how many bytes the entries take; torn: how many follow of a frame that was never
    finished.  Cut the file to `standing` before going on.
    """

    entries: tuple[Entry, ...]
    standing: int
    torn: int


def append(
    entries: Sequence[Entry], kind: str, payload: bytes, summary: str, *, keep: bool = True
) -> tuple[Entry, ...]:
    """The ledger with one entry more.  keep: hold the payload itself, not its hash alone.

    Raises ProtocolError where `kind` is no word (small letters, digits, hyphens), or `summary` no Unicode.
    """
    entry = Entry(len(entries) + 1, head(entries), kind, digest(payload), payload if keep else None, summary)
    _checked(entry, entry.index, entry.previous)
    return (*entries, entry)


def head(entries: Sequence[Entry]) -> bytes:
    """Hash of the last entry, NO_HASH of an empty ledger: whoever keeps it can tell a ledger written anew."""
    return entries[-1].hash if entries else NO_HASH


def verify(entries: Iterable[Entry]) -> None:
    """Raises ProtocolError naming the first entry that does not follow from the one before it, or whose payload is not
    the one that was written.
    """
    previous = NO_HASH
    for number, entry in enumerate(entries, 1):
        previous = _checked(entry, number, previous)


def _checked(entry: Entry, number: int, previous: bytes) -> bytes:
    """Hash of an entry that is number `number` and follows the one with hash `previous`."""
    if entry.index != number:
        raise ProtocolError(f"ledger entry {number}: it says that it is entry {entry.index}")
    if entry.previous != previous:
        raise ProtocolError(f"ledger entry {number}: it does not follow from the entry before it as that stands here")
    if entry.payload is not None and digest(entry.payload) != entry.payload_hash:
        raise ProtocolError(f"ledger entry {number}: its payload is not the one that was written")
    _check_kind(entry.kind, number)
    try:
        return entry.hash
    except ProtocolError as error:
        raise ProtocolError(f"ledger entry {number}: {error.reason}") from error


def serialise(entries: Iterable[Entry]) -> bytes:
    """The bytes of a ledger: the frames of its entries."""
    return b"".join(entry.frame() for entry in entries)


def parse(data: bytes) -> Ledger:
    """The entries, verified, and what was torn off at the end; ProtocolError, naming the first broken entry, for
    anything else.
    """
    entries: list[Entry] = []
    previous, standing, of = NO_HASH, 0, Reader(data)
    while of.left and (found := _next_body(of, len(entries) + 1)) is not None:
        number = len(entries) + 1
        entry = _read_entry(*found, number)
        previous = _checked(entry, number, previous)
        entries.append(entry)
        standing = of.offset
    return Ledger(tuple(entries), standing, len(data) - standing)


def _check_kind(kind: str, number: int) -> None:
    if not is_token(kind):
        raise ProtocolError(f"ledger entry {number}: its kind is {kind!r:.60}, which is no word of small letters")


def _frame_head(length: int) -> bytes:
    to = Writer(FRAME)
    to.u32(length)
    to.u32(zlib.crc32(to.done()))
    return to.done()


def _next_body(of: Reader, number: int) -> tuple[bytes, bytes] | None:
    """Body and entry hash of the next frame; None if it was never finished."""
    at, left = of.offset, of.left
    start = of.raw(min(_HEAD, left))
    if not any(start) and not any(of.raw(of.left)):
        return None
    if left < _HEAD:
        if not FRAME.startswith(start[:4]):
            of.fail(f"ledger entry {number} does not begin as a frame does", at)
        return None
    length = int.from_bytes(start[4:8], "little")
    if start != _frame_head(length):
        of.fail(f"the head of ledger entry {number} was changed", at)
    if of.left < length + HASH_BYTES:
        return None
    return of.raw(length), of.raw(HASH_BYTES)


def _read_entry(body: bytes, hashed: bytes, number: int) -> Entry:
    """Raises ProtocolError for a body that `Entry.frame` would not have written so."""
    try:
        of = Reader(body)
        entry = _read_body(of)
        of.end()
    except ProtocolError as error:
        raise ProtocolError(f"ledger entry {number} cannot be read: {error}") from error
    if entry.hash != hashed:
        raise ProtocolError(f"ledger entry {number} was changed: its hash is another one")
    return entry


def _read_body(of: Reader) -> Entry:
    of.magic(MAGIC, "ledger entry")
    at, version = of.offset, of.u8()
    if version != VERSION:
        of.fail(f"an entry in version {version}; this version of Sumwise reads {VERSION}", at)
    index, previous, kind = of.u64(), of.raw(HASH_BYTES), of.text()
    payload_hash, summary = of.raw(HASH_BYTES), of.text()
    return Entry(index, previous, kind, payload_hash, of.blob() if of.flag() else None, summary)
