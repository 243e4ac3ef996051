"""The chain of everything that left: changes are named, a crash while writing costs nothing that stood."""

from dataclasses import replace

import pytest

from sumwise.errors import ProtocolError
from sumwise.protocol.ledger import Entry, append, head, parse, serialise, verify
from sumwise.protocol.wire.codec import NO_HASH, digest


def chain() -> tuple[Entry, ...]:
    entries: tuple[Entry, ...] = ()
    entries = append(entries, "approval", b"study", "study approved by Dr. Sørensen")
    entries = append(entries, "answer", b"summand 1", "round 1: 540 bytes", keep=False)
    entries = append(entries, "answer", b"", "round 2: nothing")
    return append(entries, "refusal", b"rule", "round 3")


ENTRIES = chain()
DATA = serialise(ENTRIES)
ENDS = [sum(len(e.frame()) for e in ENTRIES[:k]) for k in range(len(ENTRIES) + 1)]


def test_a_ledger_comes_back_from_its_bytes() -> None:
    assert parse(DATA).entries == ENTRIES
    assert (parse(DATA).standing, parse(DATA).torn) == (len(DATA), 0)
    assert parse(b"").entries == ()
    verify(ENTRIES)
    verify(())


def test_each_entry_carries_the_hash_of_the_one_before() -> None:
    assert [e.index for e in ENTRIES] == [1, 2, 3, 4]
    assert [e.previous for e in ENTRIES] == [NO_HASH, *(e.hash for e in ENTRIES[:-1])]
    assert [e.payload for e in ENTRIES] == [b"study", None, b"", b"rule"]
    assert ENTRIES[1].payload_hash == digest(b"summand 1")
    assert (head(ENTRIES), head(())) == (ENTRIES[-1].hash, NO_HASH)


def test_whatever_a_crash_leaves_of_the_last_frame_everything_before_it_stands() -> None:
    for length in range(len(DATA) + 1):
        whole = max(k for k, end in enumerate(ENDS) if end <= length)
        found = parse(DATA[:length])
        assert found.entries == ENTRIES[:whole]
        assert (found.standing, found.torn) == (ENDS[whole], length - ENDS[whole])
        again = append(found.entries, "answer", b"again", "after the crash")
        assert parse(DATA[: found.standing] + again[-1].frame()).entries == again


def test_every_bit_counts_and_the_broken_entry_is_named() -> None:
    for bit in range(8 * len(DATA)):
        flipped = bytearray(DATA)
        flipped[bit // 8] ^= 1 << bit % 8
        broken = sum(end <= bit // 8 for end in ENDS)
        with pytest.raises(ProtocolError, match=f"ledger entry {broken}|of ledger entry {broken} "):
            parse(bytes(flipped))


@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        ({"summary": "round 1: 2 bytes"}, 3),  # entry 2 is another one, so entry 3 does not follow from it
        ({"payload_hash": digest(b"other")}, 3),
        ({"kind": "total"}, 3),
        ({"payload": b"other"}, 2),
        ({"index": 3}, 2),
        ({"previous": NO_HASH}, 2),
        ({"kind": "An answer"}, 2),
        ({"payload_hash": b"short"}, 2),
    ],
)
def test_the_first_broken_entry_is_named(changed: dict[str, object], broken: int) -> None:
    entries = list(ENTRIES)
    entries[1] = replace(entries[1], **changed)
    with pytest.raises(ProtocolError, match=f"ledger entry {broken}: "):
        verify(entries)


@pytest.mark.parametrize(
    ("places", "broken"), [((1, 2, 3), 1), ((0, 2, 3), 2), ((0, 2, 1, 3), 2), ((0, 1, 1, 2, 3), 3)]
)
def test_entries_cannot_be_taken_out_moved_or_doubled(places: tuple[int, ...], broken: int) -> None:
    entries = [ENTRIES[k] for k in places]
    with pytest.raises(ProtocolError, match=f"ledger entry {broken}: it says that it is entry"):
        verify(entries)
    with pytest.raises(ProtocolError, match=f"ledger entry {broken}: it says that it is entry"):
        parse(serialise(entries))
    renumbered = [replace(entry, index=k) for k, entry in enumerate(entries, 1)]
    with pytest.raises(ProtocolError, match="does not follow"):
        verify(renumbered)


def test_a_payload_can_be_dropped_without_breaking_the_chain() -> None:
    dropped = [replace(entry, payload=None) for entry in ENTRIES]
    verify(dropped)
    assert head(dropped) == head(ENTRIES)


def test_a_length_that_was_changed_is_no_crash() -> None:
    """A longer frame than there are bytes looks torn; the head's own sum tells."""
    data = bytearray(DATA)
    data[ENDS[1] + 6] ^= 1
    with pytest.raises(ProtocolError, match="head of ledger entry 2 was changed"):
        parse(bytes(data))


def test_zeros_in_place_of_the_last_frame_are_torn_off() -> None:
    for many in (1, 12, 50):
        found = parse(DATA + bytes(many))
        assert (found.entries, found.standing, found.torn) == (ENTRIES, len(DATA), many)


def test_rubbish_after_the_last_entry_is_named() -> None:
    for rubbish in (b"x", b"SUMX", bytes(50) + b"x"):
        with pytest.raises(ProtocolError, match="ledger entry 5"):
            parse(DATA + rubbish)


def test_entries_that_cannot_be_written_are_refused_at_once() -> None:
    with pytest.raises(ProtocolError, match="entry 5: its kind is 'two words'"):
        append(ENTRIES, "two words", b"", "")
    with pytest.raises(ProtocolError, match=r"entry 5: .* is no Unicode text"):
        append(ENTRIES, "answer", b"", "\udcff")
