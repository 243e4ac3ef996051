"""The questions and summands of the models as bytes and back: one table, KINDS.

    "SUMP" | u8 kind | u8 version of its layout | the content, laid out as the table says

An exact sum is a whole multiple of 2^-1074; it is written as its window of digits in base 2^32 (maths/exact.py):

    window:  u8 first (the lowest digit in use, 0 for a sum of zero) | integer (the sum in units of 2^(32 first - 1074))

Equal summands give equal bytes, and come back with equal digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sumwise.errors import ProtocolError
from sumwise.kernels.library import DIGITS
from sumwise.kernels.products import NOTHING
from sumwise.maths.exact import ExactSum
from sumwise.maths.gram import Gram
from sumwise.models.glmm_messages import Moments, MomentsQuestion, Question, Summand
from sumwise.models.linear import LinearQuestion, LinearSummand
from sumwise.protocol.codec import Reader, Writer
from sumwise.protocol.masking import MaskedSummand

MAGIC = b"SUMP"

Payload = LinearQuestion | LinearSummand | MomentsQuestion | Moments | Question | Summand | MaskedSummand

LOWEST = -1074
"""Place of the lowest bit of a float64."""

MOST_DECIMALS = 10_000
"""Decimals of a column beyond any data: sums with more would cost memory that no message announced."""

_BYTES = 4 * DIGITS
_LIMIT = 1 << (8 * _BYTES - 1)
_WINDOW = 5  # bytes of the shortest window


# -- exact sums --


def integers(sums: ExactSum) -> list[int]:
    """The sums as multiples of 2^-1074, in C order.  Raises ProtocolError for digits that are not in normal form."""
    digits = sums.digits
    low, high = digits[..., :-1], digits[..., -1]
    if ((low < 0) | (low >> 32 != 0)).any() or (high != high.astype(np.int32)).any():
        raise ProtocolError("an exact sum whose digits are not in normal form cannot be sent")
    data = (digits & 0xFFFFFFFF).astype("<u4").tobytes()
    return [int.from_bytes(data[k : k + _BYTES], "little", signed=True) for k in range(0, len(data), _BYTES)]


def exact_sum(values: list[int], shape: tuple[int, ...]) -> ExactSum:
    """The sums of these multiples of 2^-1074, in C order.  Raises ProtocolError beyond the range of the digits."""
    if any(not -_LIMIT <= value < _LIMIT for value in values):
        raise ProtocolError("an exact sum is larger than its digits can hold")
    data = b"".join(value.to_bytes(_BYTES, "little", signed=True) for value in values)
    digits = np.frombuffer(data, dtype="<u4").astype(np.int64).reshape(*shape, DIGITS)
    digits[..., -1] = digits[..., -1].astype(np.int32)
    return ExactSum(digits)


def _write_windows(to: Writer, sums: ExactSum) -> None:
    for value in integers(sums):
        first = ((value & -value).bit_length() - 1) // 32 if value else 0
        to.u8(first)
        to.integer(value >> (32 * first))


def _read_windows(of: Reader, count: int) -> list[int]:
    return [_read_window(of) for _ in range(count)]


def _read_window(of: Reader) -> int:
    at, first, value = of.offset, of.u8(), of.integer()
    if not value & 0xFFFFFFFF if value else first:
        of.fail("an exact sum that does not begin at its lowest digit", at)
    if 32 * first + value.bit_length() > 8 * _BYTES:  # also keeps the shift small
        of.fail("an exact sum larger than its digits can hold", at)
    value <<= 32 * first
    if not -_LIMIT <= value < _LIMIT:
        of.fail("an exact sum larger than its digits can hold", at)
    return value


def _write_list(to: Writer, sums: ExactSum) -> None:
    """u32 count, then the windows."""
    _shaped(sums, "(n,)", len(sums.shape) == 1)
    to.u32(sums.shape[0])
    _write_windows(to, sums)


def _read_list(of: Reader) -> ExactSum:
    count = of.count(_WINDOW)
    return exact_sum(_read_windows(of, count), (count,))


def _shaped(sums: ExactSum, wanted: str, right: bool) -> None:
    if not right:
        raise ProtocolError(f"exact sums of shape {sums.shape} cannot be sent where {wanted} is expected")


# -- least squares --


def _write_nothing(_to: Writer, _question: Any) -> None:
    pass


def _write_linear_summand(to: Writer, summand: LinearSummand) -> None:
    _write_gram(to, summand.gram)
    to.u64(summand.ignored)
    to.flag(summand.log_weights is not None)
    if summand.log_weights is not None:
        _shaped(summand.log_weights, "()", summand.log_weights.shape == ())
        _write_windows(to, summand.log_weights)


def _read_linear_summand(of: Reader) -> LinearSummand:
    gram, ignored = _read_gram(of), of.u64()
    return LinearSummand(gram, ignored, exact_sum([_read_window(of)], ()) if of.flag() else None)


def _write_gram(to: Writer, gram: Gram) -> None:
    m = gram.columns
    if (len(gram.decimals), len(gram.entries)) != (m, m * (m + 1) // 2):
        raise ProtocolError(f"a Gram of {m} columns with {len(gram.entries)} entries cannot be sent")
    to.u64(gram.rows)
    to.u32(m)
    units = [*zip(gram.low, gram.decimals, strict=True), (gram.weight_low, gram.weight_decimals)]
    for low, decimals in units:
        if not _possible(low, decimals):
            raise ProtocolError(f"a column in units of 2^{low} 10^-{decimals} cannot be sent")
        to.i32(low)
        to.u32(decimals)
    for entry in gram.entries:
        to.integer(entry)


def _read_gram(of: Reader) -> Gram:
    rows, m = of.u64(), of.count(8)
    units = [_read_unit(of) for _ in range(m + 1)]
    *low, weight_low = (unit[0] for unit in units)
    *decimals, weight_decimals = (unit[1] for unit in units)
    many = m * (m + 1) // 2
    if 4 * many > of.left:
        of.fail(f"{many} entries should follow, {of.left} bytes are left")
    entries = tuple(of.integer() for _ in range(many))
    return Gram(rows, tuple(low), entries, tuple(decimals), weight_low, weight_decimals)


def _read_unit(of: Reader) -> tuple[int, int]:
    at, low, decimals = of.offset, of.i32(), of.u32()
    if not _possible(low, decimals):
        of.fail(f"units of 2^{low} 10^-{decimals} are beyond any data", at)
    return low, decimals


def _possible(low: int, decimals: int) -> bool:
    """Whether a column can count in 2^low 10^-decimals.  Others would make adding as costly as the sender likes."""
    return LOWEST <= low <= NOTHING and 0 <= decimals <= MOST_DECIMALS


# -- mixed models --


def _write_moments(to: Writer, moments: Moments) -> None:
    to.u64(moments.rows)
    to.u64(moments.groups)
    to.u64(moments.alike)
    _write_list(to, moments.columns)
    _shaped(moments.totals, "(6,)", moments.totals.shape == (6,))
    _write_windows(to, moments.totals)


def _read_moments(of: Reader) -> Moments:
    rows, groups, alike, columns = of.u64(), of.u64(), of.u64(), _read_list(of)
    return Moments(rows, groups, alike, columns, exact_sum(_read_windows(of, 6), (6,)))


def _write_question(to: Writer, question: Question) -> None:
    if question.centre.ndim != 1 or question.centre.shape != question.beta.shape:
        raise ProtocolError(
            f"a question with centre {question.centre.shape} and beta {question.beta.shape} cannot be sent"
        )
    to.floats(question.centre)
    to.floats(question.beta)
    to.float64(question.theta)
    to.items(question.orders, Writer.u32)
    to.float64(question.tolerance, infinite=True)


def _read_question(of: Reader) -> Question:
    at, centre, beta = of.offset, of.floats(), of.floats()
    if centre.ndim != 1 or centre.shape != beta.shape:
        of.fail(f"centre {centre.shape} and beta {beta.shape} where both should be (p,)", at)
    return Question(centre, beta, of.float64(), of.items(Reader.u32, 4), of.float64(infinite=True))


def _write_summand(to: Writer, summand: Summand) -> None:
    _write_list(to, summand.values)
    to.items(summand.used, Writer.u64)
    to.u64(summand.failed)


def _read_summand(of: Reader) -> Summand:
    return Summand(_read_list(of), of.items(Reader.u64, 8), of.u64())


# -- secure sums --


def _write_masked(to: Writer, masked: MaskedSummand) -> None:
    to.u32(masked.bits)
    to.u32(len(masked.numbers))
    if masked.bits < 8 or masked.bits % 8 or any(not 0 <= n < 1 << masked.bits for n in masked.numbers):
        raise ProtocolError(f"masked numbers that are not of {masked.bits} bits, or no whole bytes, cannot be sent")
    size = masked.bits // 8
    to.raw(b"".join(number.to_bytes(size, "little") for number in masked.numbers), size * len(masked.numbers))


def _read_masked(of: Reader) -> MaskedSummand:
    at, bits = of.offset, of.u32()
    if bits < 8 or bits % 8:
        of.fail(f"masked numbers of {bits} bits, which are no whole bytes", at)
    count = of.count(bits // 8)
    data, size = of.raw(count * (bits // 8)), bits // 8
    return MaskedSummand(bits, tuple(int.from_bytes(data[k : k + size], "little") for k in range(0, len(data), size)))


# -- the table --


@dataclass(frozen=True, slots=True)
class PayloadKind:
    """number, version: as written; holds: the type here; layout: what is written, in order; answer: for a question,
    the type of its summand, None for a summand.
    """

    number: int
    version: int
    name: str
    holds: type
    layout: str
    write: Callable[[Writer, Any], None]
    read: Callable[[Reader], Any]
    answer: type | None = None

    @property
    def role(self) -> Literal["question", "summand"]:
        """Who sends it: the coordinator asks a question, a site answers with a summand."""
        return "summand" if self.answer is None else "question"


KINDS = (
    PayloadKind(
        1, 1, "linear question", LinearQuestion, "nothing", _write_nothing, lambda _of: LinearQuestion(), LinearSummand
    ),
    PayloadKind(
        2,
        1,
        "linear summand",
        LinearSummand,
        "u64 rows | u32 m | (i32 low, u32 decimals) of the m columns and of the weights | m (m + 1) / 2 integers, the "
        "entries | u64 ignored | flag | the window of log_weights where the flag is 1",
        _write_linear_summand,
        _read_linear_summand,
    ),
    PayloadKind(
        3, 1, "moments question", MomentsQuestion, "nothing", _write_nothing, lambda _of: MomentsQuestion(), Moments
    ),
    PayloadKind(
        4,
        1,
        "moments",
        Moments,
        "u64 rows | u64 groups | u64 alike | u32 p | p windows, the columns | 6 windows, the totals",
        _write_moments,
        _read_moments,
    ),
    PayloadKind(
        5,
        1,
        "mixed question",
        Question,
        "floats centre (p,) | floats beta (p,) | float64 theta | items of u32, the orders | float64 tolerance, perhaps "
        "infinite",
        _write_question,
        _read_question,
        Summand,
    ),
    PayloadKind(
        6,
        1,
        "mixed summand",
        Summand,
        "u32 n | n windows, the values | items of u64, used | u64 failed",
        _write_summand,
        _read_summand,
    ),
    PayloadKind(
        7,
        1,
        "masked summand",
        MaskedSummand,
        "u32 bits | u32 count | count unsigned little-endian numbers of so many bits",
        _write_masked,
        _read_masked,
    ),
)

_BY_TYPE = {kind.holds: kind for kind in KINDS}
_BY_NUMBER = {kind.number: kind for kind in KINDS}


def encode(payload: Payload) -> bytes:
    """The bytes of a question or summand."""
    kind = _BY_TYPE.get(type(payload))
    if kind is None:
        raise ProtocolError(f"no message carries a {type(payload).__name__}")
    to = Writer(MAGIC)
    to.u8(kind.number)
    to.u8(kind.version)
    kind.write(to, payload)
    return to.done()


def decode(data: bytes) -> Payload:
    """The question or summand that encodes to exactly these bytes; ProtocolError if there is none."""
    of = Reader(data)
    payload: Payload = _read_kind(of).read(of)
    of.end()
    return payload


def kind_of(data: bytes) -> PayloadKind:
    """The kind that the bytes say they are of; the content is not looked at."""
    return _read_kind(Reader(data))


def answers(summand: Any, question: Any) -> bool:
    """Whether a value is a summand of the type that answers a question."""
    kind = _BY_TYPE.get(type(question))
    return kind is not None and kind.answer is type(summand)


def _read_kind(of: Reader) -> PayloadKind:
    of.magic(MAGIC, "question or summand")
    at, number, version = of.offset, of.u8(), of.u8()
    kind = _BY_NUMBER.get(number)
    if kind is None:
        of.fail(f"payloads of kind {number} are unknown to this version of Sumwise", at)
    if version != kind.version:
        of.fail(f"a {kind.name} of version {version}; this version of Sumwise reads {kind.version}", at)
    return kind
