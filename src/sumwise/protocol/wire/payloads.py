"""The questions and summands of the models as bytes and back: one table, KINDS.

    "SUMP" | u8 kind | u8 version of its layout | the content, laid out as the table says

A window is an exact sum (sums.py).  Equal summands give equal bytes, and come back with equal digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sumwise.errors import ProtocolError
from sumwise.models import lmm_messages as lmm
from sumwise.models.glm_messages import GlmMoments, GlmMomentsQuestion, GlmQuestion, GlmSummand
from sumwise.models.glmm_messages import Moments, MomentsQuestion, Question, Summand
from sumwise.models.glmm_vectors_messages import VectorMoments, VectorMomentsQuestion, VectorQuestion, VectorSummand
from sumwise.models.linear import LinearQuestion, LinearSummand
from sumwise.protocol.wire import payloads_glm, payloads_lmm, payloads_vectors
from sumwise.protocol.wire.codec import Reader, Writer
from sumwise.protocol.wire.masking import MaskedSummand
from sumwise.protocol.wire.sums import (
    exact_sum,
    read_gram,
    read_list,
    read_window,
    read_windows,
    shaped,
    write_gram,
    write_list,
    write_windows,
)

MAGIC = b"SUMP"

Questions = (
    LinearQuestion
    | MomentsQuestion
    | Question
    | GlmMomentsQuestion
    | GlmQuestion
    | lmm.MomentsQuestion
    | lmm.Question
    | VectorMomentsQuestion
    | VectorQuestion
)
Summands = (
    LinearSummand
    | Moments
    | Summand
    | GlmMoments
    | GlmSummand
    | lmm.Moments
    | lmm.Summand
    | VectorMoments
    | VectorSummand
    | MaskedSummand
)
Payload = Questions | Summands

# -- least squares --


def _write_nothing(_to: Writer, _question: Any) -> None:
    pass


def _write_linear_summand(to: Writer, summand: LinearSummand) -> None:
    write_gram(to, summand.gram)
    to.u64(summand.ignored)
    to.flag(summand.log_weights is not None)
    if summand.log_weights is not None:
        shaped(summand.log_weights, "()", summand.log_weights.shape == ())
        write_windows(to, summand.log_weights)


def _read_linear_summand(of: Reader) -> LinearSummand:
    gram, ignored = read_gram(of), of.u64()
    return LinearSummand(gram, ignored, exact_sum([read_window(of)], ()) if of.flag() else None)


# -- mixed models --


def _write_moments(to: Writer, moments: Moments) -> None:
    to.u64(moments.rows)
    to.u64(moments.groups)
    to.u64(moments.alike)
    write_list(to, moments.columns)
    shaped(moments.totals, "(6,)", moments.totals.shape == (6,))
    write_windows(to, moments.totals)


def _read_moments(of: Reader) -> Moments:
    rows, groups, alike, columns = of.u64(), of.u64(), of.u64(), read_list(of)
    return Moments(rows, groups, alike, columns, exact_sum(read_windows(of, 6), (6,)))


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
    write_list(to, summand.values)
    to.items(summand.used, Writer.u64)
    to.u64(summand.failed)


def _read_summand(of: Reader) -> Summand:
    return Summand(read_list(of), of.items(Reader.u64, 8), of.u64())


def values_of(question: Question) -> int:
    """How many sums answer a question to a mixed model."""
    q = len(question.beta) + 1
    return 2 + q + q * (q + 1) // 2


def _is_answer(summand: Summand, question: Question) -> bool:
    return summand.values.shape == (values_of(question),) and len(summand.used) == len(question.orders)


def _has_any_shape(_summand: Any, _question: Any) -> bool:
    """Where the question does not say how many columns there are."""
    return True


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
    the type of its summand, None for a summand; fits: for a question, whether a summand of that type has its shape.
    """

    number: int
    version: int
    name: str
    holds: type
    layout: str
    write: Callable[[Writer, Any], None]
    read: Callable[[Reader], Any]
    answer: type | None = None
    fits: Callable[[Any, Any], bool] = _has_any_shape

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
        _is_answer,
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
    PayloadKind(
        8,
        1,
        "GLM moments question",
        GlmMomentsQuestion,
        payloads_glm.MOMENTS_QUESTION,
        payloads_glm.write_moments_question,
        payloads_glm.read_moments_question,
        GlmMoments,
    ),
    PayloadKind(
        9, 1, "GLM moments", GlmMoments, payloads_glm.MOMENTS, payloads_glm.write_moments, payloads_glm.read_moments
    ),
    PayloadKind(
        10,
        1,
        "GLM question",
        GlmQuestion,
        payloads_glm.QUESTION,
        payloads_glm.write_question,
        payloads_glm.read_question,
        GlmSummand,
        lambda summand, question: summand.values.shape == (payloads_glm.values_of(question),),
    ),
    PayloadKind(
        11, 1, "GLM summand", GlmSummand, payloads_glm.SUMMAND, payloads_glm.write_summand, payloads_glm.read_summand
    ),
    PayloadKind(
        12,
        1,
        "LMM moments question",
        lmm.MomentsQuestion,
        payloads_lmm.MOMENTS_QUESTION,
        payloads_lmm.write_moments_question,
        payloads_lmm.read_moments_question,
        lmm.Moments,
        payloads_lmm.are_moments_of,
    ),
    PayloadKind(
        13, 1, "LMM moments", lmm.Moments, payloads_lmm.MOMENTS, payloads_lmm.write_moments, payloads_lmm.read_moments
    ),
    PayloadKind(
        14,
        1,
        "LMM question",
        lmm.Question,
        payloads_lmm.QUESTION,
        payloads_lmm.write_question,
        payloads_lmm.read_question,
        lmm.Summand,
        payloads_lmm.is_answer_to,
    ),
    PayloadKind(
        15, 1, "LMM summand", lmm.Summand, payloads_lmm.SUMMAND, payloads_lmm.write_summand, payloads_lmm.read_summand
    ),
    PayloadKind(
        16,
        1,
        "GLMM moments question",
        VectorMomentsQuestion,
        payloads_vectors.MOMENTS_QUESTION,
        payloads_vectors.write_moments_question,
        payloads_vectors.read_moments_question,
        VectorMoments,
        payloads_vectors.are_moments_of,
    ),
    PayloadKind(
        17,
        1,
        "GLMM moments",
        VectorMoments,
        payloads_vectors.MOMENTS,
        payloads_vectors.write_moments,
        payloads_vectors.read_moments,
    ),
    PayloadKind(
        18,
        1,
        "GLMM question",
        VectorQuestion,
        payloads_vectors.QUESTION,
        payloads_vectors.write_question,
        payloads_vectors.read_question,
        VectorSummand,
        payloads_vectors.is_answer_to,
    ),
    PayloadKind(
        19,
        1,
        "GLMM summand",
        VectorSummand,
        payloads_vectors.SUMMAND,
        payloads_vectors.write_summand,
        payloads_vectors.read_summand,
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
    """Whether a value is a summand of the type that answers a question, and of the shape that the question names."""
    kind = _BY_TYPE.get(type(question))
    return kind is not None and kind.answer is type(summand) and kind.fits(summand, question)


def _read_kind(of: Reader) -> PayloadKind:
    of.magic(MAGIC, "question or summand")
    at, number, version = of.offset, of.u8(), of.u8()
    kind = _BY_NUMBER.get(number)
    if kind is None:
        of.fail(f"payloads of kind {number} are unknown to this version of Sumwise", at)
    if version != kind.version:
        of.fail(f"a {kind.name} of version {version}; this version of Sumwise reads {kind.version}", at)
    return kind
