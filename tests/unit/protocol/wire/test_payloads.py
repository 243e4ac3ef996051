"""Questions and summands as bytes: those of real fits, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from sumwise.errors import ProtocolError
from sumwise.maths.exact import ExactSum
from sumwise.maths.gram import Gram
from sumwise.models.glmm import RandomIntercept
from sumwise.models.glmm_messages import Moments, MomentsQuestion, Question, Summand
from sumwise.models.glmm_site import Site
from sumwise.models.linear import LinearQuestion, LinearSummand
from sumwise.models.linear import Site as LinearSite
from sumwise.protocol.wire.codec import Writer
from sumwise.protocol.wire.masking import MaskedSummand
from sumwise.protocol.wire.payloads import KINDS, decode, encode, kind_of
from sumwise.protocol.wire.sums import exact_sum, integers
from tests.unit.models.fitting import fit, shipped
from tests.unit.models.test_linear import block

HEADERS = {kind.holds: b"SUMP" + bytes([kind.number, kind.version]) for kind in KINDS}


def there_and_back(payload):
    data = encode(payload)
    found = decode(data)
    assert type(found) is type(payload)
    assert encode(found) == data
    assert kind_of(data).holds is type(payload)
    return found


@pytest.mark.parametrize("weights", [False, True])
def test_summands_of_a_linear_fit_come_back_equal(weights: bool) -> None:
    summand = LinearSite(block(40, weights=weights)).answer(LinearQuestion())
    assert there_and_back(summand) == summand
    assert decode(encode(summand)) + summand == summand + summand


def test_every_question_and_summand_of_a_mixed_fit_comes_back_equal() -> None:
    rows = shipped("cbpp")
    for round_ in fit(rows).rounds:
        question, total = there_and_back(round_.question), there_and_back(round_.total)
        assert total == round_.total
        assert Site(rows).answer(question) == round_.total
    fixed = fit(rows, nodes=3).rounds[1].question
    assert np.isinf(there_and_back(fixed).tolerance)


def test_a_fit_on_decoded_totals_asks_the_same_questions() -> None:
    rows = shipped("cbpp")
    model = RandomIntercept(rows.columns, "herd")
    state, one = model.start(), Site(rows)
    for round_ in fit(rows).rounds:
        question = model.ask(state)
        assert question is not None
        assert encode(question) == encode(round_.question)
        state = model.step(state, decode(encode(one.answer(question))))
    assert model.ask(state) is None


def test_a_sum_costs_the_digits_in_use() -> None:
    """0.5 is 2^1073 units: digit 33 of value 2^17; 1 byte for the place, 4 for the length, 3 for 2^17."""
    data = encode(Summand(ExactSum.of(np.array([[0.5]])), (), 0))
    assert data == HEADERS[Summand] + b"\1\0\0\0" + b"\x21" + b"\3\0\0\0\0\0\2" + bytes(4) + bytes(8)


def test_sums_at_both_ends_of_their_range() -> None:
    ends = [0, 1, -1, 2**2175 - 1, -(2**2175), 2**32, -(2**32), 2**2174]
    sums = exact_sum(ends, (len(ends),))
    assert integers(sums) == ends
    assert there_and_back(Summand(sums, (), 0)).values == sums
    for beyond in (2**2175, -(2**2175) - 1):
        with pytest.raises(ProtocolError, match="larger than its digits"):
            exact_sum([beyond], ())


def summand_of(window: bytes) -> bytes:
    return HEADERS[Summand] + b"\1\0\0\0" + window + bytes(12)


def integer(value: int) -> bytes:
    to = Writer()
    to.integer(value)
    return to.done()


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        (b"\1" + integer(0), "lowest digit"),
        (b"\0" + integer(2**32), "lowest digit"),
        (b"\x44" + integer(1), "larger than its digits"),
        (b"\x43" + integer(2**31), "larger than its digits"),
        (b"\xff" + integer(1), "larger than its digits"),
        (b"\0" + integer(2**2175 + 1), "larger than its digits"),
    ],
)
def test_sums_that_no_site_writes_are_refused(window: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        decode(summand_of(window))


def test_digits_in_another_form_are_not_sent() -> None:
    for place, digit in ((0, -1), (3, 2**32), (67, 2**31)):
        digits = np.zeros((1, 68), dtype=np.int64)
        digits[0, place] = digit
        with pytest.raises(ProtocolError, match="normal form"):
            encode(Summand(ExactSum(digits), (), 0))


GRAM = Gram(3, (0, -2), (1, -2, 3), (0, 4))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (LinearSummand(replace(GRAM, low=(0, -1075)), 0, None), r"2\^-1075"),
        (LinearSummand(replace(GRAM, decimals=(0, 10**6)), 0, None), "10"),
        (LinearSummand(replace(GRAM, entries=(1, 2)), 0, None), "2 entries"),
        (LinearSummand(GRAM, -1, None), "u64"),
        (LinearSummand(GRAM, 0, ExactSum.zeros(1)), "shape"),
        (Moments(1, 1, 0, ExactSum.zeros(2), ExactSum.zeros(5)), "shape"),
        (Moments(1, 1, 0, ExactSum.zeros((2, 1)), ExactSum.zeros(6)), "shape"),
        (Question(np.zeros(2), np.zeros(3), 1.0, (1,), 0.1), "centre"),
        (Question(np.zeros(2), np.array([0.0, np.nan]), 1.0, (1,), 0.1), "finite"),
        (Question(np.zeros(2), np.zeros(2), np.inf, (1,), 0.1), "finite"),
        (Question(np.zeros(2), np.zeros(2), 1.0, (1,), np.nan), "nan"),
        ("text", "no message carries a str"),
    ],
)
def test_what_has_no_layout_is_not_sent(payload, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        encode(payload)


def test_units_that_would_make_adding_costly_are_refused() -> None:
    data = bytearray(encode(LinearSummand(GRAM, 0, None)))
    at = len(HEADERS[LinearSummand]) + 12
    data[at + 4 : at + 8] = b"\xff\xff\xff\x7f"
    with pytest.raises(ProtocolError, match="beyond any data"):
        decode(bytes(data))


def test_counts_beyond_the_bytes_are_refused_before_anything_is_made() -> None:
    with pytest.raises(ProtocolError, match="items of at least"):
        decode(HEADERS[Summand] + b"\xff\xff\xff\xff" + bytes(100))
    with pytest.raises(ProtocolError, match="50005000 entries should follow"):
        decode(HEADERS[LinearSummand] + bytes(8) + (10_000).to_bytes(4, "little") + bytes(8 * 10_001 + 100))


def test_masked_numbers_have_one_width() -> None:
    masked = MaskedSummand(16, (1, 0, 65535))
    assert there_and_back(masked) == masked
    data = encode(masked)
    assert data == HEADERS[MaskedSummand] + b"\x10\0\0\0" + b"\3\0\0\0" + b"\1\0" + b"\0\0" + b"\xff\xff"
    for bits in (0, 7, 9, 2**32 - 1):
        with pytest.raises(ProtocolError, match=f"masked numbers of {bits} bits, which are no whole bytes"):
            decode(HEADERS[MaskedSummand] + bits.to_bytes(4, "little") + data[10:])
    with pytest.raises(ProtocolError, match="3 items of at least 536870911 bytes should follow, 6 bytes are left"):
        decode(HEADERS[MaskedSummand] + (2**32 - 8).to_bytes(4, "little") + data[10:])
    with pytest.raises(ProtocolError, match="1 bytes follow"):
        decode(data + b"\0")
    for wrong in (MaskedSummand(8, (256,)), MaskedSummand(8, (-1,)), MaskedSummand(12, (1,)), MaskedSummand(0, ())):
        with pytest.raises(ProtocolError, match="cannot be sent"):
            encode(wrong)


def test_foreign_bytes_unknown_kinds_and_versions_are_named() -> None:
    good = encode(MomentsQuestion())
    with pytest.raises(ProtocolError, match="at byte 0: this is no question or summand"):
        decode(b"PK\3\4")
    with pytest.raises(ProtocolError, match="at byte 4: payloads of kind 99 are unknown"):
        decode(b"SUMP\x63\1")
    with pytest.raises(ProtocolError, match="moments question of version 2; this version of Sumwise reads 1"):
        decode(good[:-1] + b"\2")
    with pytest.raises(ProtocolError, match="1 bytes follow"):
        decode(good + b"\0")


def test_the_table_names_each_kind_once_and_pairs_questions_with_summands() -> None:
    assert len({kind.number for kind in KINDS}) == len({kind.name for kind in KINDS}) == len(KINDS) == 25
    summands = {kind.holds for kind in KINDS if kind.role == "summand"} - {MaskedSummand}  # answers any question
    assert {kind.answer for kind in KINDS if kind.role == "question"} == summands
