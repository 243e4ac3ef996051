"""The questions and summands of linear mixed models with one grouping factor as bytes and back."""

from __future__ import annotations

from math import prod

import numpy as np

from sumwise.errors import ProtocolError
from sumwise.maths.exact import ExactSum
from sumwise.models.lmm_messages import Moments, MomentsQuestion, Question, Summand
from sumwise.protocol.wire.codec import Reader, Writer
from sumwise.protocol.wire.sums import (
    WINDOW,
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

MOMENTS_QUESTION = "u32 columns, p + 1 | items of u32, the effects of each term | flag weighted"
MOMENTS = (
    "the Gram as in a linear summand | u64 ignored | flag | the window of log_weights where the flag is 1 | items of "
    "u64, groups | items of u64, alone | u32 q | q windows, the squares | u32 | so many windows, the mixed products"
)
QUESTION = "floats centre (p + 1,) | floats points (points, m) | flag second | flag explained"
SUMMAND = (
    "u32 points, u32 D, u32 1 + P | as many windows as their product, the values | flag | where it is 1 u32 P, P "
    "windows, explained | u64 failed"
)


def write_moments_question(to: Writer, question: MomentsQuestion) -> None:
    """See MOMENTS_QUESTION."""
    to.u32(question.columns)
    to.items(question.blocks, Writer.u32)
    to.flag(question.weighted)


def read_moments_question(of: Reader) -> MomentsQuestion:
    """What `write_moments_question` wrote."""
    return MomentsQuestion(of.u32(), of.items(Reader.u32, 4), of.flag())


def write_moments(to: Writer, moments: Moments) -> None:
    """See MOMENTS."""
    if moments.mixed is None:
        raise ProtocolError("moments without products of effects cannot be sent")
    write_gram(to, moments.gram)
    to.u64(moments.ignored)
    to.flag(moments.log_weights is not None)
    if moments.log_weights is not None:
        shaped(moments.log_weights, "()", moments.log_weights.shape == ())
        write_windows(to, moments.log_weights)
    to.items(moments.groups, Writer.u64)
    to.items(moments.alone, Writer.u64)
    write_list(to, moments.squares)
    write_list(to, moments.mixed)


def read_moments(of: Reader) -> Moments:
    """What `write_moments` wrote."""
    gram, ignored = read_gram(of), of.u64()
    logs = exact_sum([read_window(of)], ()) if of.flag() else None
    groups, alone = of.items(Reader.u64, 8), of.items(Reader.u64, 8)
    return Moments(gram, ignored, logs, groups, alone, read_list(of), read_list(of))


def write_question(to: Writer, question: Question) -> None:
    """See QUESTION."""
    _check(question)
    to.floats(question.centre)
    to.floats(np.stack(question.points))
    to.flag(question.second)
    to.flag(question.explained)


def read_question(of: Reader) -> Question:
    """What `write_question` wrote."""
    at, centre, points = of.offset, of.floats(), of.floats()
    if points.ndim != 2:
        of.fail(f"points {points.shape} where they should be (points, m)", at)
    found = Question(centre, tuple(points), of.flag(), of.flag())
    try:
        _check(found)
    except ProtocolError as error:
        of.fail(str(error), at)
    return found


def write_summand(to: Writer, summand: Summand) -> None:
    """See SUMMAND."""
    shaped(summand.values, "(points, D, 1 + P)", len(summand.values.shape) == 3 and 0 not in summand.values.shape)
    for size in summand.values.shape:
        to.u32(size)
    write_windows(to, summand.values)
    to.flag(summand.explained is not None)
    if summand.explained is not None:
        write_list(to, summand.explained)
    to.u64(summand.failed)


def read_summand(of: Reader) -> Summand:
    """What `write_summand` wrote."""
    at, shape = of.offset, (of.u32(), of.u32(), of.u32())
    many = prod(shape)
    if not many or many * WINDOW > of.left:
        of.fail(f"{many} sums should follow, {of.left} bytes are left", at)
    values = exact_sum(read_windows(of, many), shape)
    explained: ExactSum | None = read_list(of) if of.flag() else None
    return Summand(values, explained, of.u64())


def mixed_of(blocks: tuple[int, ...]) -> int:
    """Pairs of effects within a term."""
    return sum(q * (q - 1) // 2 for q in blocks)


def shape_of(question: Question) -> tuple[int, int, int]:
    """Of the values that answer it."""
    c, m = len(question.centre), len(question.points[0])
    return len(question.points), 1 + m + (m * (m + 1) // 2 if question.second else 0), 1 + c * (c + 1) // 2


def are_moments_of(moments: Moments, question: MomentsQuestion) -> bool:
    """Whether they have the shape that the question names."""
    terms = len(question.blocks)
    return (
        moments.gram.columns == question.columns
        and (moments.log_weights is not None) == question.weighted
        and (len(moments.groups), len(moments.alone)) == (terms, terms)
        and moments.squares.shape == (sum(question.blocks),)
        and moments.mixed is not None
        and moments.mixed.shape == (mixed_of(question.blocks),)
    )


def is_answer_to(summand: Summand, question: Question) -> bool:
    """Whether it has the shape that the question names."""
    shape = shape_of(question)
    explained = None if summand.explained is None else summand.explained.shape
    return summand.values.shape == shape and explained == ((shape[2] - 1,) if question.explained else None)


def _check(question: Question) -> None:
    """Raises ProtocolError for what no model asks."""
    sizes = {len(point) for point in question.points if point.ndim == 1}
    if question.centre.ndim != 1 or not len(question.centre) or len(sizes) != 1 or 0 in sizes:
        raise ProtocolError(
            f"a question with centre {question.centre.shape} and {len(question.points)} points of sizes "
            f"{sorted(sizes)} cannot be sent"
        )
