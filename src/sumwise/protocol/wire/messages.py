"""What coordinator and sites say to each other: one table, KINDS, of frozen messages in signed envelopes.

    "SUMM" | u8 version of the protocol | u8 kind | raw[32] study | text sender | u64 sequence     the header
           | the fields of the kind, as the table says                                            the fields
           | raw[64] Ed25519 signature of everything before it by the sender

study: digest of the approved study file.   sequence: 1, 2, 3 ... of each sender: no message is taken twice, and none is
skipped.   Payloads (payloads.py) stay bytes here: they are signed, hashed and kept as they were sent.

No free text is among the fields: a refusal is a rule and its threshold, an end one of a few reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sumwise.errors import ProtocolError
from sumwise.protocol.wire import fields
from sumwise.protocol.wire.codec import NO_HASH, Reader, Writer
from sumwise.protocol.wire.fields import ANSWERS, COUNT, HASH, NAME, NUMBER, PAYLOAD, TOKEN, FieldType

MAGIC = b"SUMM"
VERSION = 1
SIGNATURE_BYTES = 64

MOST_BYTES = 1 << 28
"""Longest envelope that is looked at: 256 MiB, more than the cross-products of a thousand columns."""

COORDINATOR = "coordinator"
"""The coordinator's name; no site can have it."""

Sender = Literal["coordinator", "site", "either"]


class Reason(IntEnum):
    """Why a study ends without a result."""

    REFUSED = 1, "a site refused to answer"
    MISSING = 2, "an answer did not come"
    UNTRUSTED = 3, "a message could not be understood or trusted"
    CHANGED = 4, "the data changed between rounds"
    UNFIT = 5, "the rows do not fit the model"
    ROUNDS = 6, "the approved number of rounds was not enough"
    EXPIRED = 7, "the approval has expired"
    STOPPED = 8, "a person stopped it"
    FAILED = 9, "the software or its machine failed"

    words: str

    def __new__(cls, number: int, words: str) -> Reason:
        """A number as written, and the words for people."""
        reason = int.__new__(cls, number)
        reason._value_, reason.words = number, words
        return reason


@dataclass(frozen=True, slots=True)
class Message:
    """The header that every message begins with; the classes below add the fields of each kind."""

    study: bytes
    sender: str
    sequence: int

    def __post_init__(self) -> None:
        kind = kind_of(self)
        for field in (*HEADER, *kind.fields):
            value = getattr(self, field.name)
            if not field.type.holds(value):
                raise ProtocolError(f"{kind.name}: {field.name} is {value!r:.80}; it should be {field.type.meaning}")
        role = "coordinator" if self.sender == COORDINATOR else "site"
        if kind.sender not in (role, "either"):
            raise ProtocolError(f"{kind.name}: sent by '{self.sender}'; only a {kind.sender} says this")


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """The coordinator is there.  software: its version of Sumwise: the same bits need the same one everywhere."""

    software: str


@dataclass(frozen=True, slots=True)
class SiteReady(Message):
    """The site has approved the study in the header and will answer.  software: its version of Sumwise."""

    software: str


@dataclass(frozen=True, slots=True)
class Ask(Message):
    """A question to every site.  previous: digest of the payload of the previous total; NO_HASH in round 1, and only
    there.
    """

    round: int
    question: bytes
    previous: bytes

    def __post_init__(self) -> None:
        Message.__post_init__(self)
        if (self.round == 1) != (self.previous == NO_HASH):
            raise ProtocolError("ask: round 1 has no previous total, and every later round has one")


@dataclass(frozen=True, slots=True)
class Answer(Message):
    """The sender's summand.  question: digest of the payload it answers."""

    round: int
    summand: bytes
    question: bytes


@dataclass(frozen=True, slots=True)
class Refuse(Message):
    """The sender does not answer.  rule: its name in the policy; threshold: what the rule asks for.

    The figure that missed it stays at the site: it is exact, and so would tell of the rows.
    """

    round: int
    rule: str
    threshold: float


@dataclass(frozen=True, slots=True)
class Total(Message):
    """The sum of a round, to every site.

    answers: for each site in the sum the digest of the envelope of its Answer.  Of the envelope, because other sites
    see it: the signature in it cannot be guessed, so nobody can try out summands against the digest.
    """

    round: int
    total: bytes
    answers: tuple[tuple[str, bytes], ...]

    @property
    def sites(self) -> tuple[str, ...]:
        """Who is in the sum."""
        return tuple(site for site, _ in self.answers)


@dataclass(frozen=True, slots=True)
class Finish(Message):
    """The study is done.  result: digest of the published result."""

    result: bytes


@dataclass(frozen=True, slots=True)
class Abort(Message):
    """The study ends without a result.  who: the site whose part failed, or the coordinator."""

    who: str
    why: Reason


def _read_reason(of: Reader) -> Reason:
    at, number = of.offset, of.u8()
    if number not in set(Reason):
        of.fail(f"reason {number} is unknown to this version of Sumwise", at)
    return Reason(number)  # type: ignore[call-arg]  # mypy takes __new__ for the call


REASON = FieldType(
    "u8",
    "; ".join(f"{reason.value} {reason.words}" for reason in Reason),
    lambda v: isinstance(v, Reason),
    Writer.u8,
    _read_reason,
)


@dataclass(frozen=True, slots=True)
class Field:
    """name: as in the class."""

    name: str
    type: FieldType


@dataclass(frozen=True, slots=True)
class MessageKind:
    """number: as written; holds: the class; sender: who says it; fields: in the order written."""

    number: int
    name: str
    holds: Callable[..., Message]
    sender: Sender
    fields: tuple[Field, ...]


HEADER = (Field("study", HASH), Field("sender", NAME), Field("sequence", fields.SEQUENCE))

_ROUND = Field("round", COUNT)

KINDS = (
    MessageKind(1, "hello", Hello, "coordinator", (Field("software", NAME),)),
    MessageKind(2, "site ready", SiteReady, "site", (Field("software", NAME),)),
    MessageKind(3, "ask", Ask, "coordinator", (_ROUND, Field("question", PAYLOAD), Field("previous", HASH))),
    MessageKind(4, "answer", Answer, "site", (_ROUND, Field("summand", PAYLOAD), Field("question", HASH))),
    MessageKind(5, "refuse", Refuse, "site", (_ROUND, Field("rule", TOKEN), Field("threshold", NUMBER))),
    MessageKind(6, "total", Total, "coordinator", (_ROUND, Field("total", PAYLOAD), Field("answers", ANSWERS))),
    MessageKind(7, "finish", Finish, "coordinator", (Field("result", HASH),)),
    MessageKind(8, "abort", Abort, "either", (Field("who", NAME), Field("why", REASON))),
)

_BY_CLASS = {kind.holds: kind for kind in KINDS}
_BY_NUMBER = {kind.number: kind for kind in KINDS}


def kind_of(message: Message) -> MessageKind:
    """The row of the table that a message is of."""
    kind = _BY_CLASS.get(type(message))
    if kind is None:
        raise ProtocolError(f"a {type(message).__name__} is no message of the table")
    return kind


# -- bytes --


def encode(message: Message) -> bytes:
    """Header and fields: what the sender signs."""
    kind, to = kind_of(message), Writer(MAGIC)
    to.u8(VERSION)
    to.u8(kind.number)
    for field in (*HEADER, *kind.fields):
        field.type.write(to, getattr(message, field.name))
    return to.done()


def decode(data: bytes) -> Message:
    """The message that encodes to exactly these bytes; ProtocolError if there is none."""
    of = Reader(data)
    at, number, header = _read_header(of)
    kind = _BY_NUMBER.get(number)
    if kind is None:
        of.fail(f"messages of kind {number} are unknown to this version of Sumwise", at)
    values = [field.type.read(of) for field in kind.fields]
    of.end()
    return kind.holds(*header, *values)


def _read_header(of: Reader) -> tuple[int, int, tuple[Any, ...]]:
    """Place and number of the kind, then (study, sender, sequence)."""
    of.magic(MAGIC, "message of a study")
    at, version = of.offset, of.u8()
    if version != VERSION:
        of.fail(f"a message in version {version} of the protocol; this version of Sumwise speaks {VERSION}", at)
    at, number = of.offset, of.u8()
    return at, number, tuple(field.type.read(of) for field in HEADER)


def sign(message: Message, key: Ed25519PrivateKey) -> bytes:
    """The envelope."""
    data = encode(message)
    if len(data) + SIGNATURE_BYTES > MOST_BYTES:
        raise ProtocolError(f"a message of {len(data)} bytes is too long to be sent; at most {MOST_BYTES} are possible")
    return data + key.sign(data)


def decode_signed(envelope: bytes) -> Message:
    """The message in an envelope of one's own, or opened before: its signature is not looked at."""
    return decode(envelope[:-SIGNATURE_BYTES])


def open_envelope(
    data: bytes, keys: Mapping[str, Ed25519PublicKey], study: bytes, seen: Mapping[str, int] | None = None
) -> Message:
    """The message in an envelope, if it can be trusted; ProtocolError if not.

    keys: of everybody in the study, by name; study: its digest; seen: the last sequence number of each sender (0 for
    those who said nothing yet); None takes any.  Until the signature is checked only the header is read.
    """
    if len(data) > MOST_BYTES:
        raise ProtocolError(f"an envelope of {len(data)} bytes is too long; at most {MOST_BYTES} are possible")
    if len(data) < SIGNATURE_BYTES:
        raise ProtocolError(f"{len(data)} bytes are too few for an envelope: the message is cut off, or none")
    signed, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    _, _, (of_study, sender, _) = _read_header(Reader(signed))
    if of_study != study:
        raise ProtocolError(f"a message of the study {of_study.hex()[:12]}; this is the study {study.hex()[:12]}")
    if sender not in keys:
        raise ProtocolError(f"a message from {sender!r:.80}, who is not in the study")
    try:
        keys[sender].verify(signature, signed)
    except InvalidSignature:
        raise ProtocolError(
            f"the signature of '{sender}' is wrong: the message is cut off or changed, or somebody else wrote it"
        ) from None
    message = decode(signed)
    last = message.sequence - 1 if seen is None else seen.get(sender, 0)
    if message.sequence <= last:
        raise ProtocolError(f"message {message.sequence} of '{sender}' again: message {last} came before it")
    if message.sequence > last + 1:
        raise ProtocolError(f"message {message.sequence} of '{sender}' comes too early: {last + 1} is missing")
    return message
