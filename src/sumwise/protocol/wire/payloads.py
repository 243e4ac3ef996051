"""The questions and summands of the models as bytes and back: one table, KINDS.

    "SUMP" | u8 kind | u8 version of its layout | the content, laid out as the table says

A window is an exact sum (sums.py).  Equal summands give equal bytes, and come back with equal digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sumwise.errors import ProtocolError
from sumwise.models import glmm_crossed_messages as glmm_crossed
from sumwise.models import lmm_crossed
from sumwise.models import lmm_messages as lmm
from sumwise.models.glm_messages import GlmMoments, GlmMomentsQuestion, GlmQuestion, GlmSummand
from sumwise.models.glmm_messages import Moments, MomentsQuestion, Question, Summand
from sumwise.models.glmm_vectors_messages import VectorMoments, VectorMomentsQuestion, VectorQuestion, VectorSummand
from sumwise.models.linear import LinearQuestion, LinearSummand
from sumwise.protocol.wire import payloads_crossed, payloads_glm, payloads_intercept, payloads_lmm, payloads_vectors
from sumwise.protocol.wire.codec import Reader, Writer
from sumwise.protocol.wire.masking import MaskedSummand
from sumwise.protocol.wire.sums import (
    exact_sum,
    read_gram,
    read_window,
    shaped,
    write_gram,
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
    | lmm_crossed.CrossedMomentsQuestion
    | glmm_crossed.CrossedMomentsQuestion
    | glmm_crossed.CrossedQuestion
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
    | lmm_crossed.CrossedMoments
    | glmm_crossed.CrossedMoments
    | glmm_crossed.CrossedSummand
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
        payloads_intercept.MOMENTS,
        payloads_intercept.write_moments,
        payloads_intercept.read_moments,
    ),
    PayloadKind(
        5,
        1,
        "mixed question",
        Question,
        payloads_intercept.QUESTION,
        payloads_intercept.write_question,
        payloads_intercept.read_question,
        Summand,
        payloads_intercept.is_answer_to,
    ),
    PayloadKind(
        6,
        1,
        "mixed summand",
        Summand,
        payloads_intercept.SUMMAND,
        payloads_intercept.write_summand,
        payloads_intercept.read_summand,
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
    PayloadKind(
        20,
        1,
        "crossed LMM moments question",
        lmm_crossed.CrossedMomentsQuestion,
        payloads_crossed.LMM_MOMENTS_QUESTION,
        payloads_crossed.write_lmm_moments_question,
        payloads_crossed.read_lmm_moments_question,
        lmm_crossed.CrossedMoments,
        payloads_crossed.are_lmm_moments_of,
    ),
    PayloadKind(
        21,
        1,
        "crossed LMM moments",
        lmm_crossed.CrossedMoments,
        payloads_crossed.LMM_MOMENTS,
        payloads_crossed.write_lmm_moments,
        payloads_crossed.read_lmm_moments,
    ),
    PayloadKind(
        22,
        1,
        "crossed GLMM moments question",
        glmm_crossed.CrossedMomentsQuestion,
        payloads_crossed.MOMENTS_QUESTION,
        payloads_crossed.write_moments_question,
        payloads_crossed.read_moments_question,
        glmm_crossed.CrossedMoments,
        payloads_crossed.are_moments_of,
    ),
    PayloadKind(
        23,
        1,
        "crossed GLMM moments",
        glmm_crossed.CrossedMoments,
        payloads_crossed.MOMENTS,
        payloads_crossed.write_moments,
        payloads_crossed.read_moments,
    ),
    PayloadKind(
        24,
        1,
        "crossed GLMM question",
        glmm_crossed.CrossedQuestion,
        payloads_crossed.QUESTION,
        payloads_crossed.write_question,
        payloads_crossed.read_question,
        glmm_crossed.CrossedSummand,
        payloads_crossed.is_answer_to,
    ),
    PayloadKind(
        25,
        1,
        "crossed GLMM summand",
        glmm_crossed.CrossedSummand,
        payloads_crossed.SUMMAND,
        payloads_crossed.write_summand,
        payloads_crossed.read_summand,
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
