"""Messages and their envelopes: what is trusted, and what is not."""

import hashlib
from dataclasses import fields, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sumwise.errors import ProtocolError
from sumwise.protocol.plain import is_visible
from sumwise.protocol.wire.codec import NO_HASH, digest
from sumwise.protocol.wire.fields import is_name
from sumwise.protocol.wire.messages import (
    HEADER,
    KINDS,
    Abort,
    Answer,
    Ask,
    Finish,
    Hello,
    Message,
    Reason,
    Refuse,
    SiteReady,
    Total,
    decode,
    encode,
    kind_of,
    open_envelope,
    sign,
)

STUDY, HASH = digest(b"study"), digest(b"something")
PRIVATE = {
    name: Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
    for name in ("coordinator", "Nord", "Süd")
}
KEYS = {name: key.public_key() for name, key in PRIVATE.items()}

EXAMPLES = (
    Hello(STUDY, "coordinator", 1, "0.1.0"),
    SiteReady(STUDY, "Nord", 1, "0.1.0"),
    Ask(STUDY, "coordinator", 2, 1, b"question", NO_HASH),
    Answer(STUDY, "Süd", 2, 1, b"summand", HASH),
    Refuse(STUDY, "Nord", 2, 1, "minimum-rows", 20.0),
    Total(STUDY, "coordinator", 3, 1, b"total", (("Nord", HASH), ("Süd", STUDY))),
    Finish(STUDY, "coordinator", 4, HASH),
    Abort(STUDY, "Süd", 3, "Nord", Reason.CHANGED),
)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_a_message_comes_out_of_its_envelope_as_it_went_in(message: Message) -> None:
    envelope = sign(message, PRIVATE[message.sender])
    assert open_envelope(envelope, KEYS, STUDY) == message
    assert envelope[:-64] == encode(message)
    assert type(decode(encode(message))) is type(message)


def test_an_envelope_is_laid_out_as_documented() -> None:
    """Header, round, rule and threshold, by hand; 20.0 in IEEE 754."""
    data = b"SUMM\1\5" + STUDY + b"\4\0\0\0Nord" + b"\2" + bytes(7)
    data += b"\1\0\0\0" + b"\x0c\0\0\0minimum-rows" + bytes(6) + b"\x34\x40"
    assert encode(EXAMPLES[4]) == data
    assert sign(EXAMPLES[4], PRIVATE["Nord"]) == data + PRIVATE["Nord"].sign(data)


def test_every_bit_of_an_envelope_counts() -> None:
    envelope = sign(EXAMPLES[4], PRIVATE["Nord"])
    for bit in range(8 * len(envelope)):
        flipped = bytearray(envelope)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProtocolError):
            open_envelope(bytes(flipped), KEYS, STUDY)


def test_an_envelope_that_is_cut_off_or_has_more_is_refused() -> None:
    envelope = sign(EXAMPLES[5], PRIVATE["coordinator"])
    for length in range(len(envelope)):
        with pytest.raises(ProtocolError):
            open_envelope(envelope[:length], KEYS, STUDY)
    with pytest.raises(ProtocolError, match="signature of 'coordinator' is wrong"):
        open_envelope(envelope + b"\0", KEYS, STUDY)


def test_senders_who_are_not_in_the_study_are_named() -> None:
    envelope = sign(replace(EXAMPLES[3], sender="West"), PRIVATE["Nord"])
    with pytest.raises(ProtocolError, match="'West', who is not in the study"):
        open_envelope(envelope, KEYS, STUDY)


def test_nobody_signs_for_somebody_else() -> None:
    with pytest.raises(ProtocolError, match="signature of 'Süd' is wrong"):
        open_envelope(sign(EXAMPLES[3], PRIVATE["Nord"]), KEYS, STUDY)


def test_messages_of_another_study_are_refused() -> None:
    with pytest.raises(ProtocolError, match=f"study {STUDY.hex()[:12]}; this is the study {HASH.hex()[:12]}"):
        open_envelope(sign(EXAMPLES[3], PRIVATE["Süd"]), KEYS, HASH)


def test_a_message_is_taken_once_and_in_order() -> None:
    envelope = sign(EXAMPLES[3], PRIVATE["Süd"])
    assert open_envelope(envelope, KEYS, STUDY, {"Süd": 1, "Nord": 9}) == EXAMPLES[3]
    for last in (2, 3):
        with pytest.raises(ProtocolError, match=f"message 2 of 'Süd' again: message {last} came before it"):
            open_envelope(envelope, KEYS, STUDY, {"Süd": last})
    with pytest.raises(ProtocolError, match="message 2 of 'Süd' comes too early: 1 is missing"):
        open_envelope(envelope, KEYS, STUDY, {"Nord": 1})


def test_other_versions_kinds_and_reasons_are_named() -> None:
    good = encode(EXAMPLES[7])

    def signed(data: bytes) -> bytes:
        return data + PRIVATE["Süd"].sign(data)

    with pytest.raises(ProtocolError, match="version 2 of the protocol; this version of Sumwise speaks 1"):
        open_envelope(signed(good[:4] + b"\2" + good[5:]), KEYS, STUDY)
    with pytest.raises(ProtocolError, match="kind 77 are unknown"):
        open_envelope(signed(good[:5] + b"\x4d" + good[6:]), KEYS, STUDY)
    with pytest.raises(ProtocolError, match="reason 200 is unknown"):
        open_envelope(signed(good[:-1] + b"\xc8"), KEYS, STUDY)
    with pytest.raises(ProtocolError, match="no message of a study"):
        open_envelope(signed(b"SUMP" + good[4:]), KEYS, STUDY)
    with pytest.raises(ProtocolError, match="too few for an envelope"):
        open_envelope(b"", KEYS, STUDY)


@pytest.mark.parametrize(
    ("example", "changes", "reason"),
    [
        (0, {"study": b"short"}, "study"),
        (0, {"sequence": 0}, "sequence"),
        (0, {"sequence": True}, "sequence"),
        (0, {"sender": "Nord"}, "only a coordinator says this"),
        (1, {"sender": "coordinator"}, "only a site says this"),
        (1, {"sender": ""}, "sender"),
        (1, {"sender": " Nord"}, "sender"),
        (1, {"sender": "No\nrd"}, "sender"),
        (1, {"sender": "No\u202erd"}, "sender"),
        (1, {"sender": "N" * 65}, "sender"),
        (2, {"round": 0}, "round"),
        (2, {"round": 2}, "round 1 has no previous total"),
        (2, {"previous": HASH}, "round 1 has no previous total"),
        (2, {"question": b""}, "question"),
        (4, {"rule": "row 17 is Smith"}, "rule"),
        (4, {"rule": "minimum-rows\n"}, "rule"),
        (4, {"threshold": float("nan")}, "threshold"),
        (4, {"threshold": "4"}, "threshold"),
        (5, {"answers": ()}, "answers"),
        (5, {"answers": (("Süd", HASH), ("Nord", HASH))}, "answers"),
        (5, {"answers": (("Nord", HASH), ("Nord", HASH))}, "answers"),
        (7, {"why": 4}, "why"),
    ],
)
def test_fields_hold_what_the_table_says(example: int, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        replace(EXAMPLES[example], **changes)


def test_the_table_lists_the_fields_of_the_classes() -> None:
    assert {kind.holds for kind in KINDS} == {type(message) for message in EXAMPLES}
    assert len({kind.number for kind in KINDS}) == len(KINDS)
    for message in EXAMPLES:
        listed = [field.name for field in (*HEADER, *kind_of(message).fields)]
        assert listed == [field.name for field in fields(message)]
    assert EXAMPLES[5].sites == ("Nord", "Süd")
    assert Reason.CHANGED.words == "the data changed between rounds"


def test_only_messages_of_the_table_are_messages() -> None:
    with pytest.raises(ProtocolError, match="a Message is no message of the table"):
        Message(STUDY, "Nord", 1)


UNSEEN = [
    *"\x00\x1b\x7f\x9f\n\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b\u180e\u180f\u2000\u200a\u200b\u200f",
    *"\u2028\u202e\u202f\u205f\u2060\u206f\u2800\u3000\u3164\ud800\udfff\ue000\uf8ff\ufdd0\ufdef\ufe00\ufe0f\ufeff\uffa0",
    *"\ufff9\ufffc\ufffe\uffff\U0001bca0\U0001d173\U0001fffe\U000e0000\U000e0041\U000e0100\U000e0fff\U000effff\U000f0000",
    "\U0010ffff",
]


@pytest.mark.parametrize("character", UNSEEN, ids=ascii)
def test_a_character_that_cannot_be_seen_is_in_no_name_and_no_line_of_text(character: str) -> None:
    assert not is_name(f"nor{character}th")
    assert not is_visible(f"nor{character}th", 10)


@pytest.mark.parametrize(
    "name", ["Århus west", "Ａ", "...", ".north", "東京", "Ελλάδα", "מרכז", "x\u0301", "\U0001f3e5", "a.b"]
)
def test_what_can_be_seen_can_be_a_name(name: str) -> None:
    assert is_name(name)
    assert is_visible(name, 10)


@pytest.mark.parametrize("name", ["", ".", "..", " north", "north ", "x" * 65, "é" * 33, b"north", None])
def test_what_is_no_name(name: object) -> None:
    assert not is_name(name)


def test_a_point_is_text_if_no_name() -> None:
    assert is_visible(".", 10)
