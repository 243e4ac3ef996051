"""The questions and summands of generalized linear models as bytes and back."""

from __future__ import annotations

from sumwise.errors import ProtocolError
from sumwise.kernels.glm import EXPECTED, NONE, OBSERVED, value_count
from sumwise.models.glm_links import LINKS
from sumwise.models.glm_messages import GlmMoments, GlmMomentsQuestion, GlmQuestion, GlmSummand
from sumwise.protocol.wire.codec import Reader, Writer
from sumwise.protocol.wire.sums import exact_sum, read_list, read_windows, shaped, write_list, write_windows

MOMENTS_QUESTION = "text family"
MOMENTS = "u64 rows | u64 ignored | u64 shifted | 6 windows, the totals | u32 p | p windows, the columns"
QUESTION = (
    "text family | text link | floats centre (p,) | floats beta (p,) | float64 aux, above zero | u8 information: 0 "
    "none, 1 expected, 2 observed | flag size"
)
SUMMAND = "u32 n | n windows, the values | u64 failed"

TOTALS = 6


def write_moments_question(to: Writer, question: GlmMomentsQuestion) -> None:
    """See MOMENTS_QUESTION."""
    if question.family not in LINKS:
        raise ProtocolError(f"a question about the family {question.family!r:.60} cannot be sent")
    to.text(question.family)


def read_moments_question(of: Reader) -> GlmMomentsQuestion:
    """What `write_moments_question` wrote."""
    return GlmMomentsQuestion(_read_family(of))


def write_moments(to: Writer, moments: GlmMoments) -> None:
    """See MOMENTS."""
    to.u64(moments.rows)
    to.u64(moments.ignored)
    to.u64(moments.shifted)
    shaped(moments.totals, f"({TOTALS},)", moments.totals.shape == (TOTALS,))
    write_windows(to, moments.totals)
    write_list(to, moments.columns)


def read_moments(of: Reader) -> GlmMoments:
    """What `write_moments` wrote."""
    rows, ignored, shifted = of.u64(), of.u64(), of.u64()
    return GlmMoments(rows, ignored, shifted, exact_sum(read_windows(of, TOTALS), (TOTALS,)), read_list(of))


def write_question(to: Writer, question: GlmQuestion) -> None:
    """See QUESTION."""
    _check(question)
    to.text(question.family)
    to.text(question.link)
    to.floats(question.centre)
    to.floats(question.beta)
    to.float64(question.aux)
    to.u8(question.information)
    to.flag(question.size)


def read_question(of: Reader) -> GlmQuestion:
    """What `write_question` wrote."""
    at, family, link = of.offset, _read_family(of), of.text()
    found = GlmQuestion(family, link, of.floats(), of.floats(), of.float64(), of.u8(), of.flag())
    try:
        _check(found)
    except ProtocolError as error:
        of.fail(str(error), at)
    return found


def write_summand(to: Writer, summand: GlmSummand) -> None:
    """See SUMMAND."""
    write_list(to, summand.values)
    to.u64(summand.failed)


def read_summand(of: Reader) -> GlmSummand:
    """What `write_summand` wrote."""
    return GlmSummand(read_list(of), of.u64())


def values_of(question: GlmQuestion) -> int:
    """How many sums answer it."""
    return value_count(len(question.beta), question.information, question.size)


def _read_family(of: Reader) -> str:
    at, family = of.offset, of.text()
    if family not in LINKS:
        of.fail(f"the family {family!r:.60} is unknown to this version of Sumwise", at)
    return family


def _check(question: GlmQuestion) -> None:
    """Raises ProtocolError for what no model asks."""
    wrong = ""
    if question.link not in LINKS.get(question.family, ()):
        wrong = f"family {question.family!r:.60} and link {question.link!r:.60}"
    elif question.centre.ndim != 1 or question.centre.shape != question.beta.shape:
        wrong = f"centre {question.centre.shape} and beta {question.beta.shape}"
    elif not question.aux > 0:
        wrong = f"the size {question.aux}"
    elif question.information not in (NONE, EXPECTED, OBSERVED):
        wrong = f"information of kind {question.information}"
    if wrong:
        raise ProtocolError(f"a question with {wrong} cannot be sent")
