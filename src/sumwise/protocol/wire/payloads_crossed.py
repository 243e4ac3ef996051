"""The questions and summands of mixed models with several grouping factors, or many effects, as bytes and back.

What they share with models of one factor is laid out as there (payloads_lmm.py, payloads_vectors.py) and comes first.
"""

from __future__ import annotations

from math import comb

from sumwise.errors import ProtocolError
from sumwise.models import glmm_crossed_messages as glmm
from sumwise.models import lmm_crossed as lmm
from sumwise.protocol.wire import payloads_lmm, payloads_vectors
from sumwise.protocol.wire.codec import Reader, Writer
from sumwise.protocol.wire.sums import WINDOW, exact_sum, read_list, read_windows, shaped, write_list, write_windows

LMM_MOMENTS_QUESTION = "an LMM moments question | u32 factors"
LMM_MOMENTS = "LMM moments | items of u64, meeting | u32 terms | 2 windows for each, between"
MOMENTS_QUESTION = "a GLMM moments question | u32 factors"
MOMENTS = "GLMM moments | items of 4 u64, by factor | items of u64, meeting"
QUESTION = "a GLMM question | u32 columns, p | floats near (c, P) | flag metric | flag rough"
SUMMAND = "u32 k | u32 1 + P | k (1 + P) windows, the values | u32 | so many windows, the metric | k times u64, failed"

COUNTS = 4
"""Of each factor, in the moments of a generalized model."""

# -- linear --


def write_lmm_moments_question(to: Writer, question: lmm.CrossedMomentsQuestion) -> None:
    """See LMM_MOMENTS_QUESTION."""
    payloads_lmm.write_moments_question(to, question)
    to.u32(question.factors)


def read_lmm_moments_question(of: Reader) -> lmm.CrossedMomentsQuestion:
    """What `write_lmm_moments_question` wrote."""
    asked = payloads_lmm.read_moments_question(of)
    return lmm.CrossedMomentsQuestion(asked.columns, asked.blocks, asked.weighted, factors=of.u32())


def write_lmm_moments(to: Writer, moments: lmm.CrossedMoments) -> None:
    """See LMM_MOMENTS."""
    payloads_lmm.write_moments(to, moments)
    to.items(moments.meeting, Writer.u64)
    shape = moments.between.shape
    shaped(moments.between, "(terms, 2)", len(shape) == 2 and shape[1] == 2)
    to.u32(shape[0])
    write_windows(to, moments.between)


def read_lmm_moments(of: Reader) -> lmm.CrossedMoments:
    """What `write_lmm_moments` wrote."""
    moments, meeting = payloads_lmm.read_moments(of), of.items(Reader.u64, 8)
    terms = of.count(2 * WINDOW)
    return lmm.CrossedMoments.of(moments, meeting, exact_sum(read_windows(of, 2 * terms), (terms, 2)))


def are_lmm_moments_of(moments: lmm.CrossedMoments, question: lmm.CrossedMomentsQuestion) -> bool:
    """Whether they have the shape that the question names."""
    return (
        payloads_lmm.are_moments_of(moments, question)
        and len(moments.meeting) == comb(question.factors, 2)
        and moments.between.shape == (len(question.blocks), 2)
    )


# -- generalized --


def write_moments_question(to: Writer, question: glmm.CrossedMomentsQuestion) -> None:
    """See MOMENTS_QUESTION."""
    payloads_vectors.write_moments_question(to, question)
    to.u32(question.factors)


def read_moments_question(of: Reader) -> glmm.CrossedMomentsQuestion:
    """What `write_moments_question` wrote."""
    asked = payloads_vectors.read_moments_question(of)
    return glmm.CrossedMomentsQuestion(asked.columns, asked.effects, factors=of.u32())


def write_moments(to: Writer, moments: glmm.CrossedMoments) -> None:
    """See MOMENTS."""
    payloads_vectors.write_moments(to, moments)
    to.u32(len(moments.by_factor))
    for count in (count for counts in moments.by_factor for count in counts):
        to.u64(count)
    to.items(moments.meeting, Writer.u64)


def read_moments(of: Reader) -> glmm.CrossedMoments:
    """What `write_moments` wrote."""
    moments, factors = payloads_vectors.read_moments(of), of.count(8 * COUNTS)
    by_factor = tuple((of.u64(), of.u64(), of.u64(), of.u64()) for _ in range(factors))
    return glmm.CrossedMoments.of(moments, by_factor, of.items(Reader.u64, 8))


def are_moments_of(moments: glmm.CrossedMoments, question: glmm.CrossedMomentsQuestion) -> bool:
    """Whether they have the shape that the question names."""
    factors = (len(moments.by_factor), len(moments.meeting))
    return payloads_vectors.are_moments_of(moments, question) and factors == (
        question.factors,
        comb(question.factors, 2),
    )


def write_question(to: Writer, question: glmm.CrossedQuestion) -> None:
    """See QUESTION."""
    _check(question)
    payloads_vectors.write_question(to, question)
    to.u32(question.columns)
    to.floats(question.near)
    to.flag(question.metric)
    to.flag(question.rough)


def read_question(of: Reader) -> glmm.CrossedQuestion:
    """What `write_question` wrote."""
    at, asked = of.offset, payloads_vectors.read_question(of)
    found = glmm.CrossedQuestion(
        asked.centre,
        asked.points,
        asked.orders,
        asked.tolerance,
        asked.information,
        asked.aux,
        columns=of.u32(),
        near=of.floats(),
        metric=of.flag(),
        rough=of.flag(),
    )
    try:
        _check(found)
    except ProtocolError as error:
        of.fail(str(error), at)
    return found


def write_summand(to: Writer, summand: glmm.CrossedSummand) -> None:
    """See SUMMAND."""
    shape, k = summand.values.shape, len(summand.failed)
    shaped(summand.values, "(k, 1 + P)", len(shape) == 2 and shape[0] == k and 0 not in shape)
    to.u32(k)
    to.u32(shape[1])
    write_windows(to, summand.values)
    write_list(to, summand.metric)
    for count in summand.failed:
        to.u64(count)


def read_summand(of: Reader) -> glmm.CrossedSummand:
    """What `write_summand` wrote."""
    at, k, v = of.offset, of.u32(), of.u32()
    if not k * v or k * v * WINDOW > of.left:
        of.fail(f"{k} times {v} sums should follow, {of.left} bytes are left", at)
    values, metric = exact_sum(read_windows(of, k * v), (k, v)), read_list(of)
    return glmm.CrossedSummand(values, metric, tuple(of.u64() for _ in range(k)))


def shapes_of(question: glmm.CrossedQuestion) -> tuple[tuple[int, int], int]:
    """Of the values that answer it, and how many numbers the metric has."""
    (k, P), p = question.points.shape, question.columns
    return (k, 1 + P), p * (p + 1) // 2


def is_answer_to(summand: glmm.CrossedSummand, question: glmm.CrossedQuestion) -> bool:
    """Whether it has the shape that the question names."""
    shape, metric = shapes_of(question)
    return (summand.values.shape, summand.metric.shape, len(summand.failed)) == (shape, (metric,), shape[0])


def _check(question: glmm.CrossedQuestion) -> None:
    """Raises ProtocolError for what no model asks, beside what a question of one factor cannot be."""
    P, near = question.points.shape[-1] if question.points.ndim else 0, question.near.shape
    if len(near) != 2 or near[1] != P or not question.columns <= min(P, question.centre.size):
        raise ProtocolError(
            f"a question about {question.columns} columns at points {question.points.shape}, by way of {near}, cannot "
            f"be sent"
        )
