"""Mixed models with several grouping factors as bytes, masked and plain: what real fits say, what is refused, words."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from sumwise.errors import ProtocolError
from sumwise.maths.exact import ExactSum
from sumwise.maths.gram import Gram
from sumwise.models import glmm_crossed_messages as glmm
from sumwise.models import lmm_crossed as lmm
from sumwise.models.glmm_vectors_messages import VectorMoments, VectorMomentsQuestion
from sumwise.models.lmm_messages import Moments, MomentsQuestion
from sumwise.protocol.study import Study, from_toml, to_toml
from sumwise.protocol.study_words import in_words
from sumwise.protocol.wire import masked
from sumwise.protocol.wire.payloads import answers, decode, encode
from sumwise.studies.plan import plan
from tests.unit.protocol.studies import STUDY, site_keys
from tests.unit.protocol.wire.conversations import (
    HEADERS,
    MASKS,
    SITES,
    check_lengths,
    check_masked_total,
    check_that_a_lie_crashes_nothing,
    model_and_sites,
    rounds,
)
from tests.unit.studies.hospitals import study
from tests.unit.studies.test_same_bits_crossed import CASES, clinics


def of(name: str) -> Study:
    formula, options = CASES[name]
    return study(formula, clinics(), SITES, **options)


def sites_of(name: str) -> tuple[Any, dict[str, Any]]:
    """A model of CASES, and its three sites."""
    return model_and_sites(of(name), clinics(), "clinic")


@lru_cache
def rounds_of(name: str) -> list[tuple[Any, dict[str, Any]]]:
    """Of a model of CASES."""
    return rounds(*sites_of(name))


@pytest.mark.parametrize("name", CASES)
def test_what_fits_say_comes_back_plain_and_masked(name: str) -> None:
    """The very bytes of the total come out of the masks, and a masked answer's length follows from the question."""
    asked = rounds_of(name)
    for number, (question, summands) in [*[*enumerate(asked, 1)][:3], (len(asked), asked[-1])]:
        _, sent = check_masked_total(question, summands, number)
        check_lengths(question, sent)


def sums(*shape: int) -> ExactSum:
    return ExactSum.zeros(shape)


GRAM = Gram(9, (0, 0), (9, 0, 9), (0, 0), 0, 0)
LMM_PLAIN = Moments(GRAM, 0, None, (3, 2), (0, 0), sums(2), sums(0))
LMM_MOMENTS = lmm.CrossedMoments.of(LMM_PLAIN, (5,), sums(2, 2))
LMM_QUESTION = lmm.CrossedMomentsQuestion(2, (1, 1), False, factors=2)
PLAIN = VectorMoments(9, 3, 3, 0, 0, sums(2), sums(2, 2), sums(4))
MOMENTS = glmm.CrossedMoments.of(PLAIN, ((3, 3, 0, 0), (2, 2, 0, 0)), (5,))
MOMENTS_QUESTION = glmm.CrossedMomentsQuestion(2, 2, factors=2)
QUESTION = glmm.CrossedQuestion(
    np.zeros(4), np.zeros((2, 4)), (1,), np.inf, -1, columns=2, near=np.zeros((0, 4)), metric=True, rough=False
)
RIGHT = glmm.CrossedSummand(sums(2, 5), sums(3), (0, 0))


@pytest.mark.parametrize(
    ("question", "summand", "right"),
    [
        (LMM_QUESTION, LMM_MOMENTS, True),
        (LMM_QUESTION, LMM_PLAIN, False),
        (MomentsQuestion(2, (1, 1), False), LMM_MOMENTS, False),
        (replace(LMM_QUESTION, factors=3), LMM_MOMENTS, False),
        (replace(LMM_QUESTION, blocks=(1, 2)), LMM_MOMENTS, False),
        (LMM_QUESTION, replace(LMM_MOMENTS, between=sums(3, 2)), False),
        (MOMENTS_QUESTION, MOMENTS, True),
        (MOMENTS_QUESTION, PLAIN, False),
        (VectorMomentsQuestion(2, 2), MOMENTS, False),
        (replace(MOMENTS_QUESTION, factors=1), MOMENTS, False),
        (replace(MOMENTS_QUESTION, columns=3), MOMENTS, False),
        (MOMENTS_QUESTION, replace(MOMENTS, meeting=()), False),
        (QUESTION, RIGHT, True),
        (QUESTION, MOMENTS, False),
        (replace(QUESTION, columns=1), RIGHT, False),
        (replace(QUESTION, points=np.zeros((1, 4))), RIGHT, False),
        (QUESTION, replace(RIGHT, failed=(0,)), False),
    ],
)
def test_an_answer_has_the_shape_that_the_question_names(question: Any, summand: Any, right: bool) -> None:
    assert answers(summand, question) is right


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (replace(QUESTION, near=np.zeros((1, 3))), r"by way of \(1, 3\)"),
        (replace(QUESTION, near=np.zeros(4)), r"by way of \(4,\)"),
        (replace(QUESTION, columns=5), "about 5 columns"),
        (replace(QUESTION, points=np.zeros(4)), "points"),
        (replace(QUESTION, near=np.full((1, 4), np.nan)), "finite"),
        (replace(LMM_MOMENTS, between=sums(2, 3)), "shape"),
        (replace(LMM_MOMENTS, meeting=(-1,)), "u64"),
        (replace(MOMENTS, by_factor=((-1, 0, 0, 0),)), "u64"),
        (replace(RIGHT, values=sums(3, 5)), "shape"),
        (replace(RIGHT, values=sums(2, 0)), "shape"),
        (replace(RIGHT, metric=sums(3, 1)), "shape"),
    ],
)
def test_what_has_no_layout_is_not_sent(payload: Any, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        encode(payload)


def test_questions_that_no_model_asks_are_not_read() -> None:
    data = bytearray(encode(QUESTION))
    at = data.index(encode(QUESTION)[-21:])  # u32 columns | u8 dimensions, u32 0, u32 4 | flags
    for change in (b"\x09", b"\x05"):
        wrong = bytearray(data)
        wrong[at + 6 : at + 7] = change
        with pytest.raises(ProtocolError):
            decode(bytes(wrong))


def test_shapes_beyond_the_bytes_are_refused_before_anything_is_made() -> None:
    def u32(*numbers: int) -> bytes:
        return b"".join(number.to_bytes(4, "little") for number in numbers)

    for shape in ((2**32 - 1, 2**32 - 1), (0, 1), (1, 0), (10, 10)):
        with pytest.raises(ProtocolError, match="sums should follow, 300 bytes are left"):
            decode(HEADERS[glmm.CrossedSummand] + u32(*shape) + bytes(300))


@pytest.mark.parametrize(("moments", "question"), [(LMM_MOMENTS, LMM_QUESTION), (MOMENTS, MOMENTS_QUESTION)])
def test_counts_that_are_none_are_no_total(moments: Any, question: Any) -> None:
    one = masked.mask_summand(moments, question, 1, STUDY, "site-00", site_keys("site-00").masking, MASKS)
    zeros = replace(one, numbers=(0,) * len(one.numbers))
    size = len(one.numbers)
    counts = [0, 1, 2, 3, 4, 5, 10 + 1] if question is LMM_QUESTION else [0, 1, 2, 3, 4, *range(size - 9, size)]
    for place in counts:
        numbers = [0] * size
        numbers[place] = (1 << one.bits) - 1
        with pytest.raises(ProtocolError, match=r"do not cancel.*a count in it is negative"):
            masked.total({"a": replace(zeros, numbers=tuple(numbers)), "b": zeros, "c": zeros}, question)


@pytest.mark.parametrize("size", [1e300, -1e300, 5e-324])
@pytest.mark.parametrize("name", ["REML", "logistic", "gamma, nested, weighted"])
def test_sums_that_no_rows_have_crash_nothing(name: str, size: float) -> None:
    def lie(found: Any) -> Any:
        where = {lmm.CrossedMoments: "between", glmm.CrossedMoments: "columns"}.get(type(found), "values")
        return replace(found, **{where: ExactSum.of(np.full((1, *getattr(found, where).shape), size))})

    check_that_a_lie_crashes_nothing(*sites_of(name), lie)


@pytest.mark.parametrize("name", CASES)
def test_a_study_comes_back_from_its_file_and_its_words_count_what_leaves(name: str) -> None:
    made = of(name)
    back = from_toml(to_toml(made))
    assert back.digest() == made.digest()
    assert plan(back).method is plan(made).method
    said = re.sub(r"\s+", " ", in_words(made))
    assert all(len(line) <= 100 for line in in_words(made).splitlines())
    assert "A component is what a chain of rows joins" in said
    (_, first), *later = ((question, next(iter(summands.values()))) for question, summands in rounds_of(name))
    if made.kind == "linear mixed":
        assert f"and {first.between.shape[0] * 2} sums over levels" in said
        assert f"{len(first.meeting)} count more, of each two grouping factors" in said
        for _, summand in later:
            _, derivatives, each = summand.values.shape
            assert f"{derivatives * each} sums over components, {derivatives} times {each}" in said
        return
    assert "integrated by Laplace's approximation" in said
    assert f"{len(first.columns.digits) + 2 * first.effects.shape[1] + 4} sums over rows" in said
    assert f"each grouping factor ({len(first.by_factor)}) 4 counts" in said
    near, around = map(int, re.search(r"up to (\d+) points near by, around the maximum (\d+)", said).groups())  # type: ignore[union-attr]
    for question, summand in later:
        assert f"{summand.values.shape[1]} sums over components" in said
        assert f"; {summand.metric.shape[0]} sums of second derivatives" in said
        assert len(question.points) - 1 in (*range(near + 1), around)
