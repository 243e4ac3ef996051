"""The questions and summands of logistic models with a random intercept as bytes and back."""

from __future__ import annotations

from sumwise.errors import ProtocolError
from sumwise.models.glmm_messages import Moments, Question, Summand
from sumwise.protocol.wire.codec import Reader, Writer
from sumwise.protocol.wire.sums import exact_sum, read_list, read_windows, shaped, write_list, write_windows

MOMENTS = "u64 rows | u64 groups | u64 alike | u32 p | p windows, the columns | 6 windows, the totals"
QUESTION = (
    "floats centre (p,) | floats beta (p,) | float64 theta | items of u32, the orders | float64 tolerance, perhaps "
    "infinite"
)
SUMMAND = "u32 n | n windows, the values | items of u64, used | u64 failed"


def write_moments(to: Writer, moments: Moments) -> None:
    """See MOMENTS."""
    to.u64(moments.rows)
    to.u64(moments.groups)
    to.u64(moments.alike)
    write_list(to, moments.columns)
    shaped(moments.totals, "(6,)", moments.totals.shape == (6,))
    write_windows(to, moments.totals)


def read_moments(of: Reader) -> Moments:
    """What `write_moments` wrote."""
    rows, groups, alike, columns = of.u64(), of.u64(), of.u64(), read_list(of)
    return Moments(rows, groups, alike, columns, exact_sum(read_windows(of, 6), (6,)))


def write_question(to: Writer, question: Question) -> None:
    """See QUESTION."""
    if question.centre.ndim != 1 or question.centre.shape != question.beta.shape:
        raise ProtocolError(
            f"a question with centre {question.centre.shape} and beta {question.beta.shape} cannot be sent"
        )
    to.floats(question.centre)
    to.floats(question.beta)
    to.float64(question.theta)
    to.items(question.orders, Writer.u32)
    to.float64(question.tolerance, infinite=True)


def read_question(of: Reader) -> Question:
    """What `write_question` wrote."""
    at, centre, beta = of.offset, of.floats(), of.floats()
    if centre.ndim != 1 or centre.shape != beta.shape:
        of.fail(f"centre {centre.shape} and beta {beta.shape} where both should be (p,)", at)
    return Question(centre, beta, of.float64(), of.items(Reader.u32, 4), of.float64(infinite=True))


def write_summand(to: Writer, summand: Summand) -> None:
    """See SUMMAND."""
    write_list(to, summand.values)
    to.items(summand.used, Writer.u64)
    to.u64(summand.failed)


def read_summand(of: Reader) -> Summand:
    """What `write_summand` wrote."""
    return Summand(read_list(of), of.items(Reader.u64, 8), of.u64())


def values_of(question: Question) -> int:
    """How many sums answer a question to a mixed model."""
    q = len(question.beta) + 1
    return 2 + q + q * (q + 1) // 2


def is_answer_to(summand: Summand, question: Question) -> bool:
    """Whether it has the shape that the question names."""
    return summand.values.shape == (values_of(question),) and len(summand.used) == len(question.orders)
