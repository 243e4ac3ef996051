"""Laws of the protocol's bytes: what goes in comes out, a value has one spelling, no rubbish is a message."""

import hashlib
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sumwise.errors import ProtocolError
from sumwise.maths.exact import ExactSum
from sumwise.maths.gram import Gram
from sumwise.models import lmm_messages as lmm
from sumwise.models.glm_links import LINKS
from sumwise.models.glm_messages import GlmMoments, GlmMomentsQuestion, GlmQuestion, GlmSummand
from sumwise.models.glmm_messages import Moments, MomentsQuestion, Question, Summand
from sumwise.models.glmm_vectors_messages import VectorMoments, VectorMomentsQuestion, VectorQuestion, VectorSummand
from sumwise.models.linear import LinearQuestion, LinearSummand
from sumwise.protocol import ledger
from sumwise.protocol.wire import messages, payloads
from sumwise.protocol.wire.codec import HASH_BYTES, NO_HASH, Reader, Writer
from sumwise.protocol.wire.masking import MaskedSummand
from sumwise.protocol.wire.messages import (
    COORDINATOR,
    Abort,
    Answer,
    Ask,
    Finish,
    Hello,
    Reason,
    Refuse,
    SiteReady,
    Total,
)
from sumwise.protocol.wire.sums import exact_sum, integers

STUDY = hashlib.sha256(b"study").digest()
SITES = ("Nord", "Süd", "東")
PRIVATE = {n: Ed25519PrivateKey.from_private_bytes(hashlib.sha256(n.encode()).digest()) for n in (COORDINATOR, *SITES)}
KEYS = {name: key.public_key() for name, key in PRIVATE.items()}

# -- values --

finite = st.floats(allow_nan=False, allow_infinity=False)
counts = st.one_of(st.integers(0, 20), st.integers(0, 2**64 - 1))
whole = st.one_of(
    st.integers(),
    st.builds(lambda k, s, d: s * (1 << k) + d, st.integers(0, 2174), st.sampled_from([1, -1]), st.integers(-1, 1)),
)
values_of_sums = whole.filter(lambda v: -(2**2175) <= v < 2**2175)


def sums(size: int | st.SearchStrategy[int]) -> st.SearchStrategy[ExactSum]:
    sizes = st.just(size) if isinstance(size, int) else size
    return sizes.flatmap(lambda n: st.lists(values_of_sums, min_size=n, max_size=n).map(lambda v: exact_sum(v, (n,))))


@st.composite
def grams(draw: st.DrawFn) -> Gram:
    m = draw(st.integers(0, 4))

    def tuples(of: st.SearchStrategy[int], size: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(of, min_size=size, max_size=size)))

    low, decimals, entries = (
        tuples(of, n) for of, n in ((st.integers(-1074, 1024), m), (st.integers(0, 400), m), (whole, m * (m + 1) // 2))
    )
    return Gram(draw(counts), low, entries, decimals, draw(st.integers(-1074, 1024)), draw(st.integers(0, 400)))


@st.composite
def questions(draw: st.DrawFn) -> Question:
    p = draw(st.integers(0, 4))
    centre, beta = (np.array(draw(st.lists(finite, min_size=p, max_size=p)), dtype=float) for _ in range(2))
    orders = tuple(draw(st.lists(st.integers(0, 2**32 - 1), max_size=4)))
    return Question(centre, beta, draw(finite), orders, draw(st.floats(allow_nan=False)))


a_log_weight = st.one_of(st.none(), values_of_sums.map(lambda v: exact_sum([v], ())))


@st.composite
def masked_summands(draw: st.DrawFn) -> MaskedSummand:
    bits = 8 * draw(st.integers(1, 300))
    return MaskedSummand(bits, tuple(draw(st.lists(st.integers(0, (1 << bits) - 1), max_size=4))))


summands = st.one_of(
    st.builds(LinearSummand, grams(), counts, a_log_weight),
    st.builds(Moments, counts, counts, counts, sums(st.integers(0, 3)), sums(6)),
    st.builds(Summand, sums(st.integers(0, 6)), st.lists(counts, max_size=4).map(tuple), counts),
    masked_summands(),
)


@st.composite
def glm_questions(draw: st.DrawFn) -> GlmQuestion:
    family = draw(st.sampled_from(sorted(LINKS)))
    p = draw(st.integers(0, 4))
    centre, beta = (np.array(draw(st.lists(finite, min_size=p, max_size=p)), dtype=float) for _ in range(2))
    aux = draw(st.floats(0, exclude_min=True, allow_nan=False, allow_infinity=False))
    return GlmQuestion(
        family,
        draw(st.sampled_from(LINKS[family])),
        centre,
        beta,
        aux,
        draw(st.integers(0, 2)),
        draw(st.booleans()),
    )


@st.composite
def lmm_questions(draw: st.DrawFn) -> lmm.Question:
    c, m, points = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    centre = np.array(draw(st.lists(finite, min_size=c, max_size=c)))
    at = tuple(np.array(draw(st.lists(finite, min_size=m, max_size=m))) for _ in range(points))
    return lmm.Question(centre, at, draw(st.booleans()), draw(st.booleans()))


@st.composite
def lmm_summands(draw: st.DrawFn) -> lmm.Summand:
    shape = tuple(draw(st.integers(1, 3)) for _ in range(3))
    many = shape[0] * shape[1] * shape[2]
    values = exact_sum(draw(st.lists(values_of_sums, min_size=many, max_size=many)), shape)
    return lmm.Summand(values, draw(st.none() | sums(st.integers(0, 3))), draw(counts))


def table(draw: st.DrawFn, *shape: int) -> ExactSum:
    many = shape[0] * shape[1]
    return exact_sum(draw(st.lists(values_of_sums, min_size=many, max_size=many)), shape)


@st.composite
def vector_payloads(draw: st.DrawFn) -> Any:
    k, n = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    match draw(st.integers(0, 3)):
        case 0:
            return VectorMomentsQuestion(draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**32 - 1)))
        case 1:
            found = [draw(counts) for _ in range(5)]
            return VectorMoments(*found, draw(sums(st.integers(0, 3))), table(draw, 2, n - 1), draw(sums(4)))  # type: ignore[arg-type]
        case 2:
            points = np.array(draw(st.lists(finite, min_size=k * n, max_size=k * n))).reshape(k, n)
            orders = tuple(draw(st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=4)))
            tolerance, information = draw(st.floats(0, allow_nan=False)), draw(st.integers(-1, 2**31 - 1))
            return VectorQuestion(points[0], points, orders, tolerance, information, draw(st.booleans()))
    used = tuple(tuple(draw(counts) for _ in range(n)) for _ in range(k))
    failed = tuple(draw(counts) for _ in range(k))
    return VectorSummand(table(draw, k, n), table(draw, k, draw(st.integers(0, 3))), used, failed)


some_counts = st.lists(counts, max_size=3).map(tuple)
glm_or_lmm = st.one_of(
    st.builds(GlmMomentsQuestion, st.sampled_from(sorted(LINKS))),
    glm_questions(),
    st.builds(GlmMoments, counts, counts, counts, sums(6), sums(st.integers(0, 3))),
    st.builds(GlmSummand, sums(st.integers(0, 6)), counts),
    st.builds(
        lmm.MomentsQuestion,
        st.integers(0, 2**32 - 1),
        st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple),
        st.booleans(),
    ),
    lmm_questions(),
    st.builds(
        lmm.Moments,
        grams(),
        counts,
        a_log_weight,
        some_counts,
        some_counts,
        sums(st.integers(0, 3)),
        sums(st.integers(0, 3)),
    ),
    lmm_summands(),
    vector_payloads(),
)
any_payload = st.one_of(summands, questions(), st.just(LinearQuestion()), st.just(MomentsQuestion()), glm_or_lmm)

hashes = st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES)
some = hashes.filter(lambda h: h != NO_HASH)
sequences, rounds = st.integers(1, 2**64 - 1), st.integers(2, 2**32 - 1)
blobs, site = st.binary(min_size=1, max_size=40), st.sampled_from(SITES)
words = st.from_regex(r"[a-z]{1,8}(-[a-z0-9]{1,8}){0,3}", fullmatch=True)
answers = st.dictionaries(site, hashes, min_size=1).map(lambda d: tuple(sorted(d.items())))


def said(kind: Callable[..., messages.Message], sender: Any, *fields: Any) -> st.SearchStrategy[messages.Message]:
    return st.builds(kind, st.just(STUDY), sender, sequences, *fields)


centre = st.just(COORDINATOR)
any_message = st.one_of(
    said(Hello, centre, words),
    said(SiteReady, site, words),
    said(Ask, centre, st.just(1), blobs, st.just(NO_HASH)),
    said(Ask, centre, rounds, blobs, some),
    said(Answer, site, rounds, blobs, hashes),
    said(Refuse, site, rounds, words, finite),
    said(Total, centre, rounds, blobs, answers),
    said(Finish, centre, hashes),
    said(Abort, st.one_of(centre, site), site, st.sampled_from(Reason)),
)


@st.composite
def ledgers(draw: st.DrawFn) -> tuple[ledger.Entry, ...]:
    entries: tuple[ledger.Entry, ...] = ()
    for _ in range(draw(st.integers(0, 5))):
        text = draw(st.text(max_size=10))
        entries = ledger.append(entries, draw(words), draw(st.binary(max_size=20)), text, keep=draw(st.booleans()))
    return entries


# -- what happens to bytes on the way --


@st.composite
def mutated(draw: st.DrawFn, encoded: st.SearchStrategy[bytes]) -> tuple[bytes, bytes]:
    """Bytes, and the same after one to three accidents; they differ."""
    data = draw(encoded)
    changed = data
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(changed) - 1, 0)))
        accident = draw(st.sampled_from(["flip", "set", "cut", "insert", "delete", "repeat", "splice"]))
        if accident == "flip" and changed:
            changed = changed[:at] + bytes([changed[at] ^ 1 << draw(st.integers(0, 7))]) + changed[at + 1 :]
        elif accident == "set":
            changed = (
                changed[:at] + draw(st.sampled_from([b"\0", b"\xff", b"\x80", b"\x7f", b"\1"])) + changed[at + 1 :]
            )
        elif accident == "cut":
            changed = changed[:at]
        elif accident == "insert":
            changed = changed[:at] + draw(st.binary(min_size=1, max_size=8)) + changed[at:]
        elif accident == "delete":
            changed = changed[:at] + changed[at + draw(st.integers(1, 8)) :]
        elif accident == "repeat":
            changed = changed[:at] + changed[max(at - 8, 0) : at] + changed[at:]
        else:
            changed = changed[:at] + draw(encoded)[at:]
    assume(changed != data)
    return data, changed


def read(decode: Callable[[bytes], Any], data: bytes) -> Any:
    """What the bytes mean, or None where they are refused; anything but ProtocolError is a failure."""
    try:
        return decode(data)
    except ProtocolError:
        return None


# -- laws --


@given(whole, st.text(), st.binary(), finite)
@settings(max_examples=150, deadline=None)
def test_primitives_come_back(number: int, text: str, blob: bytes, value: float) -> None:
    to = Writer()
    to.integer(number)
    to.text(text)
    to.blob(blob)
    to.float64(value)
    of = Reader(to.done())
    assert (of.integer(), of.text(), of.blob()) == (number, text, blob)
    assert np.float64(of.float64()).tobytes() == np.float64(value).tobytes()
    of.end()


@given(st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_an_integer_has_one_spelling(data: bytes) -> None:
    to = Writer()
    to.blob(data)
    spelled = to.done()
    value = read(lambda d: Reader(d).integer(), spelled)
    to = Writer()
    to.integer(int.from_bytes(data, "little", signed=True) if value is None else value)
    assert (to.done() == spelled) == (value is not None)


@given(st.lists(values_of_sums, max_size=6), st.lists(finite, max_size=6))
@settings(max_examples=150, deadline=None)
def test_exact_sums_are_their_integers(values: list[int], numbers: list[float]) -> None:
    assert integers(exact_sum(values, (len(values),))) == values
    total = ExactSum.of(np.array(numbers, dtype=float))
    assert np.array_equal(exact_sum(integers(total), ()).digits, total.digits)
    assert integers(total) == [total.fractions()[0] * 2**1074]


@given(summands)
@settings(max_examples=150, deadline=None)
def test_summands_come_back_equal_and_have_one_spelling(summand: Any) -> None:
    data = payloads.encode(summand)
    found = payloads.decode(data)
    assert found == summand
    assert payloads.encode(found) == data


@given(glm_or_lmm)
@settings(max_examples=200, deadline=None)
def test_payloads_of_generalized_and_linear_mixed_models_come_back_and_have_one_spelling(payload: Any) -> None:
    data = payloads.encode(payload)
    found = payloads.decode(data)
    assert type(found) is type(payload)
    assert payloads.encode(found) == data
    for field in fields(payload):
        one, two = getattr(found, field.name), getattr(payload, field.name)
        assert np.array_equal(np.asarray(one), np.asarray(two)) if isinstance(two, np.ndarray | tuple) else one == two


@given(questions())
@settings(max_examples=100, deadline=None)
def test_questions_come_back_bit_for_bit(question: Question) -> None:
    found = payloads.decode(payloads.encode(question))
    assert isinstance(found, Question)
    for name in ("centre", "beta", "theta", "tolerance"):
        one, two = (np.asarray(getattr(q, name)) for q in (found, question))
        assert (one.shape, one.tobytes()) == (two.shape, two.tobytes())
    assert found.orders == question.orders


@given(st.lists(st.lists(finite, min_size=3, max_size=3), min_size=2, max_size=8), st.data())
@settings(max_examples=60, deadline=None)
def test_totals_of_decoded_summands_are_those_of_the_summands(rows: list[list[float]], data: st.DataObject) -> None:
    """Any split over two sites, through bytes, gives the bytes of the whole."""
    cut = data.draw(st.integers(1, len(rows) - 1))

    def of(part: list[list[float]]) -> LinearSummand:
        columns = [np.array(column) for column in zip(*part, strict=True)]
        return LinearSummand(Gram.of(columns), 0, ExactSum.of(np.array([row[0] for row in part])))

    one, two = (payloads.decode(payloads.encode(of(part))) for part in (rows[:cut], rows[cut:]))
    assert isinstance(one, LinearSummand)
    assert isinstance(two, LinearSummand)
    assert payloads.encode(one + two) == payloads.encode(of(rows))


@given(mutated(any_payload.map(payloads.encode)))
@settings(max_examples=300, deadline=None)
def test_changed_payloads_are_refused_or_say_exactly_what_they_spell(pair: tuple[bytes, bytes]) -> None:
    found = read(payloads.decode, pair[1])
    assert found is None or payloads.encode(found) == pair[1]


@given(st.integers(1, 19), st.binary(max_size=120))
@settings(max_examples=300, deadline=None)
def test_random_payloads_are_refused_or_say_exactly_what_they_spell(kind: int, data: bytes) -> None:
    assert read(payloads.decode, data) is None
    data = b"SUMP" + bytes([kind, 1]) + data
    found = read(payloads.decode, data)
    assert found is None or payloads.encode(found) == data


@given(any_message)
@settings(max_examples=150, deadline=None)
def test_messages_come_out_of_their_envelopes_as_they_went_in(message: messages.Message) -> None:
    envelope = messages.sign(message, PRIVATE[message.sender])
    found = messages.open_envelope(envelope, KEYS, STUDY, {message.sender: message.sequence - 1})
    assert found == message
    assert messages.encode(found) == messages.encode(message) == envelope[:-64]
    with pytest.raises(ProtocolError):
        messages.open_envelope(envelope, KEYS, STUDY, {message.sender: message.sequence})


@given(mutated(any_message.map(messages.encode)))
@settings(max_examples=300, deadline=None)
def test_changed_messages_are_refused_or_say_exactly_what_they_spell(pair: tuple[bytes, bytes]) -> None:
    found = read(messages.decode, pair[1])
    assert found is None or messages.encode(found) == pair[1]


@given(mutated(any_message.map(lambda m: messages.sign(m, PRIVATE[m.sender]))))
@settings(max_examples=300, deadline=None)
def test_no_changed_envelope_is_opened(pair: tuple[bytes, bytes]) -> None:
    """Two whole envelopes spliced at a place where both agree are one of them, and nothing new."""
    found = read(lambda data: messages.open_envelope(data, KEYS, STUDY), pair[1])
    assert found is None or messages.sign(found, PRIVATE[found.sender]) == pair[1]


@given(st.integers(0, 255), st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_random_bytes_are_a_message(kind: int, data: bytes) -> None:
    for bytes_ in (data, b"SUMM\1" + bytes([kind]) + STUDY + b"\4\0\0\0Nord" + data):
        assert read(lambda d: messages.open_envelope(d, KEYS, STUDY), bytes_) is None


@given(any_message, st.sampled_from(["Nord", COORDINATOR]), hashes)
@settings(max_examples=100, deadline=None)
def test_no_other_key_sender_or_study_will_do(message: messages.Message, other: str, study: bytes) -> None:
    envelope = messages.sign(message, PRIVATE[message.sender])
    keys = {name: key for name, key in KEYS.items() if name != message.sender}
    assert read(lambda d: messages.open_envelope(d, keys, STUDY), envelope) is None
    assume(other != message.sender and study != STUDY)
    assert read(lambda d: messages.open_envelope(d, KEYS, STUDY), messages.sign(message, PRIVATE[other])) is None
    assert read(lambda d: messages.open_envelope(d, KEYS, study), envelope) is None


@given(ledgers(), st.data())
@settings(max_examples=100, deadline=None)
def test_a_ledger_cut_anywhere_keeps_every_entry_that_was_whole(
    entries: tuple[ledger.Entry, ...], data: st.DataObject
) -> None:
    written = ledger.serialise(entries)
    cut = data.draw(st.integers(0, len(written)))
    found = ledger.parse(written[:cut])
    assert found.entries == entries[: len(found.entries)]
    assert found.standing == len(ledger.serialise(found.entries)) == cut - found.torn
    assert len(found.entries) == len(entries) or len(ledger.serialise(entries[: len(found.entries) + 1])) > cut


@given(mutated(ledgers().map(ledger.serialise)))
@settings(max_examples=300, deadline=None)
def test_a_changed_ledger_is_refused_or_stands_as_it_is_spelled(pair: tuple[bytes, bytes]) -> None:
    found = read(ledger.parse, pair[1])
    if found is not None:
        assert ledger.serialise(found.entries) == pair[1][: found.standing]
        ledger.verify(found.entries)


@given(ledgers(), st.data())
@settings(max_examples=100, deadline=None)
def test_no_entry_before_the_last_can_be_changed(entries: tuple[ledger.Entry, ...], data: st.DataObject) -> None:
    assume(len(entries) > 1)
    place = data.draw(st.integers(0, len(entries) - 2))
    field, value = data.draw(
        st.one_of(
            st.tuples(st.just("summary"), st.text(max_size=10)),
            st.tuples(st.just("kind"), words),
            st.tuples(st.just("payload_hash"), hashes),
            st.tuples(st.just("previous"), hashes),
            st.tuples(st.just("index"), st.integers(0, 10)),
        )
    )
    changed = replace(entries[place], **{field: value})
    assume(changed != entries[place])
    with pytest.raises(ProtocolError, match=f"ledger entry ({place + 1}|{place + 2}): "):
        ledger.verify((*entries[:place], changed, *entries[place + 1 :]))
