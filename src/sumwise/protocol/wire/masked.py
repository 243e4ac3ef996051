"""Summands as plain integers of one width, for secure sums: nothing that a site's rows choose travels beside them.

    linear summand    rows, ignored, entries of the Gram (lower triangle, row by row), log_weights if there are weights
    moments           rows, groups, alike, columns, totals
    mixed summand     values, used, failed
    GLM moments       rows, ignored, shifted, totals, columns
    GLM summand       values, failed
    LMM moments       rows, ignored, groups, alone, entries of the Gram, squares, mixed, log_weights if weighted
    LMM summand       values, explained where it was asked for, failed
    GLMM moments      rows, groups, ample, alike, single, columns, effects, totals
    GLMM summand      values, constants, used, failed
    crossed moments   those above, then meeting and between (LMM), or by_factor and meeting (GLMM)
    crossed summand   values, metric, failed; of an LMM as above

Counts count in ones, exact sums in 2^-1074, entries of a Gram in 2^-2148, in 2^-3222 with weights: 2^-1074, the place
of the lowest bit of a float64, for each factor.  The width is the same for all numbers of an answer, and holds the
total over all sites of any rows.  So how long an answer is follows from study and question alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from math import comb, isqrt
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from sumwise.errors import DataError, ProtocolError
from sumwise.kernels.products import NOTHING
from sumwise.maths.exact import ExactSum
from sumwise.maths.gram import Gram
from sumwise.models import glmm_crossed_messages as glmm_crossed
from sumwise.models import lmm_crossed
from sumwise.models import lmm_messages as lmm
from sumwise.models.glm_messages import GlmMoments, GlmMomentsQuestion, GlmQuestion, GlmSummand
from sumwise.models.glmm_messages import Moments, MomentsQuestion, Summand
from sumwise.models.glmm_vectors_messages import VectorMoments, VectorMomentsQuestion, VectorQuestion, VectorSummand
from sumwise.models.linear import LinearQuestion, LinearSummand
from sumwise.protocol.wire import payloads_crossed, payloads_glm, payloads_lmm, payloads_vectors
from sumwise.protocol.wire.masking import Label, MaskedSummand, bits_for, mask, unmask_total
from sumwise.protocol.wire.payloads_intercept import values_of
from sumwise.protocol.wire.sums import LOWEST, exact_sum, integers

COUNT_BITS = 63
"""A count, and the total of all of them, is below 2^63."""

FACTOR_BITS = 1026 - LOWEST
"""A number of a row in units of 2^-1074, up to the difference of two float64."""

SUM_BITS = 2175
"""An exact sum in units of 2^-1074: what its digits hold."""


def bits(question: Any, sites: int, *, weighted: bool) -> int:
    """Width of the masked numbers that answer a question.  weighted: whether the rows have weights."""
    products = isinstance(question, LinearQuestion | lmm.MomentsQuestion)
    largest = (3 if weighted else 2) * FACTOR_BITS + COUNT_BITS if products else SUM_BITS
    return bits_for(1 << largest, sites)


def mask_summand(
    summand: Any,
    question: Any,
    round_: int,
    study: bytes,
    site: str,
    key: X25519PrivateKey,
    masks: Mapping[str, X25519PublicKey],
) -> MaskedSummand:
    """What `site` sends instead of its summand.  key: its own; masks: public keys of all sites; study: its digest.

    Raises DataError for numbers taken as decimals, UsageError for fewer than three sites, SiteError for a key of a
    site that is none.
    """
    name, flat = _NUMBERS[type(summand)]
    weighted = isinstance(summand, LinearSummand | lmm.Moments) and summand.log_weights is not None
    width, others = bits(question, len(masks), weighted=weighted), {s: k for s, k in masks.items() if s != site}
    return MaskedSummand(width, tuple(mask(flat(summand), width, Label(study, round_, name), site, key, others)))


def check(answer: Any, question: Any, sites: int) -> None:
    """Raises ProtocolError for what cannot be a masked answer to this question."""
    if not isinstance(answer, MaskedSummand):
        raise ProtocolError(f"a {type(answer).__name__} that is not masked; the study asks for masked sums")
    possible = (question.weighted,) if isinstance(question, lmm.MomentsQuestion) else (False, True)
    widths = {bits(question, sites, weighted=w) for w in possible}
    if answer.bits not in widths:
        some = " or ".join(map(str, sorted(widths)))
        raise ProtocolError(f"masked numbers of {answer.bits} bits, where {some} belong")
    if not _fits(question, len(answer.numbers), _weighted(question, answer.bits, sites)):
        raise ProtocolError(f"{len(answer.numbers)} masked numbers are no answer to a {type(question).__name__}")


def total(answers: Mapping[str, MaskedSummand], question: Any) -> Any:
    """The summand of all sites together.  answers: of all sites of the study by name, each checked, of one shape.

    Raises ProtocolError where the sum is no summand: masks that do not cancel leave noise of the whole width, of which
    2^-2000 or less would pass for counts.
    """
    width = next(iter(answers.values())).bits
    numbers = unmask_total({site: answer.numbers for site, answer in answers.items()}, width)
    try:
        return _summand(question, numbers, weighted=_weighted(question, width, len(answers)))
    except ProtocolError as error:
        raise ProtocolError(
            f"the masks of {', '.join(answers)} do not cancel: a site has other keys or answers another question than "
            f"the study says ({error})"
        ) from error


def _weighted(question: Any, width: int, sites: int) -> bool:
    if isinstance(question, lmm.MomentsQuestion):
        return question.weighted
    return isinstance(question, LinearQuestion) and width == bits(question, sites, weighted=True)


# -- numbers of a summand --


def _linear_numbers(summand: LinearSummand) -> list[int]:
    logs = summand.log_weights
    entries = _entries(summand.gram, weighted=logs is not None)
    return [summand.gram.rows, summand.ignored, *entries, *([] if logs is None else integers(logs))]


def _entries(gram: Gram, *, weighted: bool) -> list[int]:
    """In the finest units that rows can have."""
    if any(gram.decimals) or gram.weight_decimals:
        raise DataError(
            "masked sums take numbers as binary numbers of 64 bits, and these were taken as decimals: set "
            "options.decimal = false"
        )
    up = [low - LOWEST for low in gram.low]
    whole = gram.weight_low - LOWEST if weighted else 0
    pairs = ((i, j) for i in range(gram.columns) for j in range(i + 1))
    return [e << up[i] + up[j] + whole for e, (i, j) in zip(gram.entries, pairs, strict=True)]


def _moments_numbers(m: Moments) -> list[int]:
    return [m.rows, m.groups, m.alike, *integers(m.columns), *integers(m.totals)]


def _mixed_numbers(summand: Summand) -> list[int]:
    return [*integers(summand.values), *summand.used, summand.failed]


def _glm_moments_numbers(m: GlmMoments) -> list[int]:
    return [m.rows, m.ignored, m.shifted, *integers(m.totals), *integers(m.columns)]


def _glm_numbers(summand: GlmSummand) -> list[int]:
    return [*integers(summand.values), summand.failed]


def _lmm_moments_numbers(m: lmm.Moments) -> list[int]:
    logs = m.log_weights
    assert m.mixed is not None
    sums = [*_entries(m.gram, weighted=logs is not None), *integers(m.squares), *integers(m.mixed)]
    return [m.gram.rows, m.ignored, *m.groups, *m.alone, *sums, *([] if logs is None else integers(logs))]


def _lmm_numbers(summand: lmm.Summand) -> list[int]:
    explained = [] if summand.explained is None else integers(summand.explained)
    return [*integers(summand.values), *explained, summand.failed]


def _vector_moments_numbers(m: VectorMoments) -> list[int]:
    sums = (integers(s) for s in (m.columns, m.effects, m.totals))
    return [m.rows, m.groups, m.ample, m.alike, m.single, *(number for some in sums for number in some)]


def _vector_numbers(summand: VectorSummand) -> list[int]:
    used = (count for counts in summand.used for count in counts)
    return [*integers(summand.values), *integers(summand.constants), *used, *summand.failed]


def _crossed_lmm_moments_numbers(m: lmm_crossed.CrossedMoments) -> list[int]:
    return [*_lmm_moments_numbers(m), *m.meeting, *integers(m.between)]


def _crossed_moments_numbers(m: glmm_crossed.CrossedMoments) -> list[int]:
    return [*_vector_moments_numbers(m), *(count for counts in m.by_factor for count in counts), *m.meeting]


def _crossed_numbers(summand: glmm_crossed.CrossedSummand) -> list[int]:
    return [*integers(summand.values), *integers(summand.metric), *summand.failed]


_NUMBERS: dict[type, tuple[str, Callable[[Any], list[int]]]] = {
    LinearSummand: ("linear summand", _linear_numbers),
    Moments: ("moments", _moments_numbers),
    Summand: ("mixed summand", _mixed_numbers),
    GlmMoments: ("GLM moments", _glm_moments_numbers),
    GlmSummand: ("GLM summand", _glm_numbers),
    lmm.Moments: ("LMM moments", _lmm_moments_numbers),
    lmm.Summand: ("LMM summand", _lmm_numbers),
    VectorMoments: ("GLMM moments", _vector_moments_numbers),
    VectorSummand: ("GLMM summand", _vector_numbers),
    lmm_crossed.CrossedMoments: ("crossed LMM moments", _crossed_lmm_moments_numbers),
    glmm_crossed.CrossedMoments: ("crossed GLMM moments", _crossed_moments_numbers),
    glmm_crossed.CrossedSummand: ("crossed GLMM summand", _crossed_numbers),
}


# -- and back --


def _fits(question: Any, count: int, weighted: bool) -> bool:
    """Whether so many numbers answer the question; where it does not say how many columns there are, some will do."""
    match question:
        case LinearQuestion():
            m = _columns(count - 2 - weighted)
            return m > 0 and m * (m + 1) // 2 == count - 2 - weighted
        case MomentsQuestion() | GlmMomentsQuestion():
            return count >= 9
        case GlmQuestion():
            return count == payloads_glm.values_of(question) + 1
        case lmm.MomentsQuestion():
            return count == sum(_lmm_sizes(question)) + weighted + sum(_more_of_crossed(question))
        case lmm.Question():
            points, derivatives, sums = payloads_lmm.shape_of(question)
            return count == points * derivatives * sums + question.explained * (sums - 1) + 1
        case glmm_crossed.CrossedQuestion():
            (k, v), metric = payloads_crossed.shapes_of(question)
            return count == k * v + metric + k
        case VectorMomentsQuestion() | VectorQuestion():
            return count == sum(_vector_sizes(question)) + sum(_more_of_crossed(question))
    return count == values_of(question) + len(question.orders) + 1


def _columns(entries: int) -> int:
    """m, of m (m + 1) / 2 entries."""
    return (isqrt(8 * max(entries, 0) + 1) - 1) // 2


def _lmm_sizes(question: lmm.MomentsQuestion) -> tuple[int, int, int, int, int]:
    """How many counts of rows, counts of groups, entries, squares and mixed products there are."""
    c, blocks = question.columns, question.blocks
    return 2, 2 * len(blocks), c * (c + 1) // 2, sum(blocks), payloads_lmm.mixed_of(blocks)


def _more_of_crossed(question: Any) -> tuple[int, int]:
    """How many numbers the moments of several factors have beside those of one, in two parts."""
    match question:
        case lmm_crossed.CrossedMomentsQuestion():
            return comb(question.factors, 2), 2 * len(question.blocks)
        case glmm_crossed.CrossedMomentsQuestion():
            return payloads_crossed.COUNTS * question.factors, comb(question.factors, 2)
    return 0, 0


def _vector_sizes(question: VectorMomentsQuestion | VectorQuestion) -> tuple[int, ...]:
    """How many numbers each part of the answer has."""
    if isinstance(question, VectorMomentsQuestion):
        return 5, question.columns, 2 * question.effects, payloads_vectors.TOTALS
    (k, v), (_, c), orders = payloads_vectors.shapes_of(question)
    return k * v, k * c, k * orders, k


def _summand(question: Any, numbers: list[int], *, weighted: bool) -> Any:
    match question:
        case LinearQuestion():
            rows, ignored, *rest = numbers
            _check_counts([rows, ignored])
            logs = exact_sum([rest.pop()], ()) if weighted else None
            return LinearSummand(_gram(rows, rest, weighted=weighted), ignored, logs)
        case MomentsQuestion():
            _check_counts(numbers[:3])
            rows, groups, alike, *columns = numbers[:-6]
            return Moments(rows, groups, alike, _sums(columns), _sums(numbers[-6:]))
        case GlmMomentsQuestion():
            _check_counts(numbers[:3])
            rows, ignored, shifted, *sums = numbers
            return GlmMoments(rows, ignored, shifted, _sums(sums[:6]), _sums(sums[6:]))
        case GlmQuestion():
            *sums, failed = numbers
            _check_counts([failed])
            return GlmSummand(_sums(sums), failed)
        case lmm.MomentsQuestion():
            return _lmm_moments(question, numbers, weighted=weighted)
        case lmm.Question():
            *sums, failed = numbers
            _check_counts([failed])
            shape = payloads_lmm.shape_of(question)
            many = shape[0] * shape[1] * shape[2]
            explained = _sums(sums[many:]) if question.explained else None
            return lmm.Summand(exact_sum(sums[:many], shape), explained, failed)
        case glmm_crossed.CrossedQuestion():
            return _crossed_summand(question, numbers)
        case VectorMomentsQuestion():
            return _vector_moments(question, numbers)
        case VectorQuestion():
            return _vector_summand(question, numbers)
    size = values_of(question)
    *used, failed = numbers[size:]
    _check_counts([*used, failed])
    return Summand(_sums(numbers[:size]), tuple(used), failed)


def _split(numbers: list[int], sizes: list[int]) -> list[list[int]]:
    """The numbers in parts of these sizes."""
    left = iter(numbers)
    return [[*islice(left, size)] for size in sizes]


def _lmm_moments(question: lmm.MomentsQuestion, numbers: list[int], *, weighted: bool) -> lmm.Moments:
    sizes = [*_lmm_sizes(question), int(weighted), *_more_of_crossed(question)]
    (rows, ignored), groups, entries, squares, mixed, logs, meeting, between = _split(numbers, sizes)
    _check_counts([rows, ignored, *groups, *meeting])
    terms = len(question.blocks)
    moments = lmm.Moments(
        _gram(rows, entries, weighted=bool(logs)),
        ignored,
        exact_sum(logs, ()) if logs else None,
        tuple(groups[:terms]),
        tuple(groups[terms:]),
        _sums(squares),
        _sums(mixed),
    )
    if not isinstance(question, lmm_crossed.CrossedMomentsQuestion):
        return moments
    return lmm_crossed.CrossedMoments.of(moments, tuple(meeting), exact_sum(between, (terms, 2)))


def _vector_moments(question: VectorMomentsQuestion, numbers: list[int]) -> VectorMoments:
    sizes = [*_vector_sizes(question), *_more_of_crossed(question)]
    counts, columns, effects, totals, of_factors, meeting = _split(numbers, sizes)
    _check_counts([*counts, *of_factors, *meeting])
    rows, groups, ample, alike, single = counts
    squares = exact_sum(effects, (2, question.effects))
    moments = VectorMoments(rows, groups, ample, alike, single, _sums(columns), squares, _sums(totals))
    if not isinstance(question, glmm_crossed.CrossedMomentsQuestion):
        return moments
    by_factor = zip(*(of_factors[k :: payloads_crossed.COUNTS] for k in range(payloads_crossed.COUNTS)), strict=True)
    return glmm_crossed.CrossedMoments.of(moments, tuple(by_factor), tuple(meeting))


def _vector_summand(question: VectorQuestion, numbers: list[int]) -> VectorSummand:
    values, constants, used, failed = _split(numbers, [*_vector_sizes(question)])
    _check_counts([*used, *failed])
    of_values, of_constants, orders = payloads_vectors.shapes_of(question)
    return VectorSummand(
        exact_sum(values, of_values),
        exact_sum(constants, of_constants),
        tuple(tuple(used[k : k + orders]) for k in range(0, len(used), orders)),
        tuple(failed),
    )


def _crossed_summand(question: glmm_crossed.CrossedQuestion, numbers: list[int]) -> glmm_crossed.CrossedSummand:
    (k, v), metric = payloads_crossed.shapes_of(question)
    values, entries, failed = _split(numbers, [k * v, metric, k])
    _check_counts(failed)
    return glmm_crossed.CrossedSummand(exact_sum(values, (k, v)), _sums(entries), tuple(failed))


def _sums(values: list[int]) -> ExactSum:
    return exact_sum(values, (len(values),))


def _check_counts(counts: list[int]) -> None:
    for count in counts:
        if not 0 <= count < 1 << COUNT_BITS:
            raise ProtocolError(f"a count in it is {'negative' if count < 0 else f'of {count.bit_length()} bits'}")


def _gram(rows: int, entries: list[int], *, weighted: bool) -> Gram:
    """In units as coarse as common powers of two allow: exact solving pays for every bit."""
    m = _columns(len(entries))
    pairs = [(i, j) for i in range(m) for j in range(i + 1)]
    twos = {pair: _twos(entry) for pair, entry in zip(pairs, entries, strict=True)}
    whole = min(-LOWEST, *twos.values()) if weighted else 0
    up = [min((twos[i, i] - whole) // 2, NOTHING - LOWEST) for i in range(m)]
    for i, j in pairs:
        excess = up[i] + up[j] + whole - twos[i, j]
        if excess > 0:  # never more than both have, as `whole` alone divides the entry
            first = min(excess, up[i])
            up[i] -= first
            up[j] -= min(excess - first, up[j])
    low = tuple(LOWEST + u for u in up)
    coarse = tuple(entry >> up[i] + up[j] + whole for (i, j), entry in zip(pairs, entries, strict=True))
    return Gram(rows, low, coarse, (0,) * m, LOWEST + whole if weighted else 0, 0)


def _twos(value: int) -> int:
    """The power of two in a number; more than any for 0."""
    return (value & -value).bit_length() - 1 if value else 1 << 20
