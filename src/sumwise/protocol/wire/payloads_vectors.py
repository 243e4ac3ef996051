"""The questions and summands of mixed models with vectors of effects, of any family, as bytes and back."""

from __future__ import annotations

from sumwise.errors import ProtocolError
from sumwise.kernels.vectors import value_count
from sumwise.models.glmm_vectors_messages import VectorMoments, VectorMomentsQuestion, VectorQuestion, VectorSummand
from sumwise.protocol.wire.codec import Reader, Writer
from sumwise.protocol.wire.sums import WINDOW, exact_sum, read_list, read_windows, shaped, write_list, write_windows

MOMENTS_QUESTION = "u32 columns, p | u32 effects, q"
MOMENTS = (
    "u64 rows | u64 groups | u64 ample | u64 alike | u64 single | u32 p | p windows, the columns | u32 q | 2 q "
    "windows, the effects | 4 windows, the totals"
)
QUESTION = (
    "floats centre (p + q,) | floats points (k, P) | items of u32, the orders | float64 tolerance, perhaps infinite | "
    "i32 information, from -1 | flag aux"
)
SUMMAND = (
    "u32 k | u32 v | k v windows, the values | u32 c | k c windows, the constants | u32 o | k o times u64, used | k "
    "times u64, failed"
)

TOTALS, CONSTANTS = 4, 3


def write_moments_question(to: Writer, question: VectorMomentsQuestion) -> None:
    """See MOMENTS_QUESTION."""
    to.u32(question.columns)
    to.u32(question.effects)


def read_moments_question(of: Reader) -> VectorMomentsQuestion:
    """What `write_moments_question` wrote."""
    return VectorMomentsQuestion(of.u32(), of.u32())


def write_moments(to: Writer, moments: VectorMoments) -> None:
    """See MOMENTS."""
    for count in (moments.rows, moments.groups, moments.ample, moments.alike, moments.single):
        to.u64(count)
    write_list(to, moments.columns)
    shape = moments.effects.shape
    shaped(moments.effects, "(2, q)", len(shape) == 2 and shape[0] == 2)
    to.u32(shape[1])
    write_windows(to, moments.effects)
    shaped(moments.totals, f"({TOTALS},)", moments.totals.shape == (TOTALS,))
    write_windows(to, moments.totals)


def read_moments(of: Reader) -> VectorMoments:
    """What `write_moments` wrote."""
    rows, groups, ample, alike, single = (of.u64() for _ in range(5))
    columns, q = read_list(of), of.count(2 * WINDOW)
    effects = exact_sum(read_windows(of, 2 * q), (2, q))
    return VectorMoments(
        rows, groups, ample, alike, single, columns, effects, exact_sum(read_windows(of, TOTALS), (TOTALS,))
    )


def write_question(to: Writer, question: VectorQuestion) -> None:
    """See QUESTION."""
    _check(question)
    to.floats(question.centre)
    to.floats(question.points)
    to.items(question.orders, Writer.u32)
    to.float64(question.tolerance, infinite=True)
    to.i32(question.information)
    to.flag(question.aux)


def read_question(of: Reader) -> VectorQuestion:
    """What `write_question` wrote."""
    at, centre, points = of.offset, of.floats(), of.floats()
    orders, tolerance = of.items(Reader.u32, 4), of.float64(infinite=True)
    found = VectorQuestion(centre, points, orders, tolerance, of.i32(), of.flag())
    try:
        _check(found)
    except ProtocolError as error:
        of.fail(str(error), at)
    return found


def write_summand(to: Writer, summand: VectorSummand) -> None:
    """See SUMMAND."""
    values, constants, k, o = summand.values.shape, summand.constants.shape, len(summand.failed), _orders(summand)
    shaped(summand.values, "(k, v)", len(values) == 2 and values[0] == k and 0 not in values)
    shaped(summand.constants, "(k, c)", len(constants) == 2 and constants[0] == k)
    if len(summand.used) != k or not o or any(len(used) != o for used in summand.used):
        raise ProtocolError(f"counts of groups by orders at {len(summand.used)} of {k} points cannot be sent")
    to.u32(k)
    to.u32(values[1])
    write_windows(to, summand.values)
    to.u32(constants[1])
    write_windows(to, summand.constants)
    to.u32(o)
    for count in (*(count for used in summand.used for count in used), *summand.failed):
        to.u64(count)


def read_summand(of: Reader) -> VectorSummand:
    """What `write_summand` wrote."""
    at, k, v = of.offset, of.u32(), of.u32()
    if not k * v or k * v * WINDOW > of.left:
        of.fail(f"{k} times {v} sums should follow, {of.left} bytes are left", at)
    values = exact_sum(read_windows(of, k * v), (k, v))
    c = of.count(k * WINDOW)
    constants = exact_sum(read_windows(of, k * c), (k, c))
    at, o = of.offset, of.count(k * 8)
    if not o:
        of.fail("an answer without orders", at)
    used = tuple(tuple(of.u64() for _ in range(o)) for _ in range(k))
    return VectorSummand(values, constants, used, tuple(of.u64() for _ in range(k)))


def shapes_of(question: VectorQuestion) -> tuple[tuple[int, int], tuple[int, int], int]:
    """Of the values and the constants that answer it, and how many orders there are."""
    k, P = question.points.shape
    values = value_count(P, information=question.information >= 0)
    return (k, values), (k, CONSTANTS if question.aux else 0), len(question.orders)


def are_moments_of(moments: VectorMoments, question: VectorMomentsQuestion) -> bool:
    """Whether they have the shape that the question names."""
    return (moments.columns.shape, moments.effects.shape) == ((question.columns,), (2, question.effects))


def is_answer_to(summand: VectorSummand, question: VectorQuestion) -> bool:
    """Whether it has the shape that the question names."""
    return (summand.values.shape, summand.constants.shape, _orders(summand)) == shapes_of(question)


def _orders(summand: VectorSummand) -> int:
    return len(summand.used[0]) if summand.used else 0


def _check(question: VectorQuestion) -> None:
    """Raises ProtocolError for what no model asks."""
    wrong = ""
    if question.centre.ndim != 1 or question.points.ndim != 2 or 0 in (question.centre.size, question.points.size):
        wrong = f"centre {question.centre.shape} and points {question.points.shape}"
    elif not question.orders or 0 in question.orders:
        wrong = f"orders {question.orders}"
    elif not question.tolerance >= 0:
        wrong = f"the tolerance {question.tolerance}"
    elif question.information < -1:
        wrong = f"information at {question.information} nodes"
    if wrong:
        raise ProtocolError(f"a question with {wrong} cannot be sent")
