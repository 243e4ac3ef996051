"""Generalized linear and linear mixed models as bytes, masked and plain: what real fits say, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from sumwise.errors import ProtocolError
from sumwise.maths.exact import ExactSum
from sumwise.maths.gram import Gram
from sumwise.models import lmm_messages as lmm
from sumwise.models.glm_messages import GlmMoments, GlmMomentsQuestion, GlmQuestion, GlmSummand
from sumwise.models.linear import LinearQuestion, LinearSummand
from sumwise.protocol.coordinator import UNFIT
from sumwise.protocol.wire import masked
from sumwise.protocol.wire.payloads import answers, decode, encode
from tests.unit.protocol.studies import STUDY, site_keys
from tests.unit.protocol.studies import study as a_study
from tests.unit.protocol.wire.conversations import HEADERS, MASKS, SITES, check_masked_total, model_and_sites, rounds
from tests.unit.studies.hospitals import study
from tests.unit.studies.test_same_bits_families import CASES, table_of


def sites_of(name: str) -> tuple[Any, dict[str, Any]]:
    """A model of CASES, and its three sites."""
    data, formula, by, options = CASES[name]
    return model_and_sites(study(formula, table_of(data), SITES, **options), table_of(data), by)


@lru_cache
def rounds_of(name: str) -> list[tuple[Any, dict[str, Any]]]:
    """Of a model of CASES."""
    return rounds(*sites_of(name))


@pytest.mark.parametrize("name", CASES)
def test_what_fits_say_comes_back_plain_and_masked(name: str) -> None:
    """The very bytes of the total come out of the masks, and a masked answer's length follows from the question."""
    for number, (question, summands) in enumerate(rounds_of(name), 1):
        check_masked_total(question, summands, number)


def test_the_length_of_a_masked_answer_tells_nothing_of_the_rows() -> None:
    for name in ("sleepstudy REML", "negative binomial"):
        model, sites = sites_of(name)
        question = model.ask(model.start())
        one = sites["site-00"].answer(question)
        small = masked.mask_summand(one, question, 1, STUDY, "site-00", site_keys("site-00").masking, MASKS)
        if isinstance(one, lmm.Moments):
            other = replace(one, gram=replace(one.gram, entries=tuple(e << 1000 for e in one.gram.entries)))
        else:
            other = replace(one, totals=ExactSum.of(np.full((1, 6), 1.7e308)))
        large = masked.mask_summand(other, question, 1, STUDY, "site-00", site_keys("site-00").masking, MASKS)
        assert len(encode(small)) == len(encode(large))


def sums(*shape: int) -> ExactSum:
    return ExactSum.zeros(shape)


GLM = GlmQuestion("gamma", "log", np.zeros(2), np.zeros(2), 1.0, 1, False)
LMM = lmm.Question(np.zeros(3), (np.zeros(3),), True, True)
MOMENTS = lmm.MomentsQuestion(2, (2,), True)
GRAM = Gram(3, (0, -2), (1, -2, 3), (0, 0))
RIGHT = lmm.Moments(GRAM, 0, sums(), (5,), (0,), sums(2), sums(1))


@pytest.mark.parametrize(
    ("question", "summand", "right"),
    [
        (GLM, GlmSummand(sums(2 + 2 + 3), 0), True),
        (GLM, GlmSummand(sums(2 + 2 + 4), 0), False),
        (replace(GLM, size=True), GlmSummand(sums(2 + 2 + 3 + 5), 0), True),
        (replace(GLM, information=0), GlmSummand(sums(2), 0), True),
        (GLM, GlmMoments(1, 0, 0, sums(6), sums(2)), False),
        (GlmMomentsQuestion("gamma"), GlmMoments(1, 0, 0, sums(6), sums(2)), True),
        (LMM, lmm.Summand(sums(1, 10, 7), sums(6), 0), True),
        (LMM, lmm.Summand(sums(1, 10, 7), None, 0), False),
        (LMM, lmm.Summand(sums(1, 10, 7), sums(5), 0), False),
        (LMM, lmm.Summand(sums(1, 4, 7), sums(6), 0), False),
        (LMM, lmm.Summand(sums(2, 10, 7), sums(6), 0), False),
        (replace(LMM, second=False, explained=False), lmm.Summand(sums(1, 4, 7), None, 0), True),
        (MOMENTS, RIGHT, True),
        (MOMENTS, replace(RIGHT, log_weights=None), False),
        (MOMENTS, replace(RIGHT, groups=(5, 5)), False),
        (MOMENTS, replace(RIGHT, alone=()), False),
        (MOMENTS, replace(RIGHT, squares=sums(3)), False),
        (MOMENTS, replace(RIGHT, mixed=sums(0)), False),
        (replace(MOMENTS, columns=3), RIGHT, False),
        (LinearQuestion(), LinearSummand(GRAM, 0, None), True),
    ],
)
def test_an_answer_has_the_shape_that_the_question_names(question: Any, summand: Any, right: bool) -> None:
    assert answers(summand, question) is right


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (GlmMomentsQuestion("cauchy"), "family 'cauchy'"),
        (replace(GLM, link="probit"), "family 'gamma' and link 'probit'"),
        (replace(GLM, family="cauchy"), "family 'cauchy'"),
        (replace(GLM, beta=np.zeros(3)), r"centre \(2,\) and beta \(3,\)"),
        (replace(GLM, centre=np.zeros((2, 1)), beta=np.zeros((2, 1))), "centre"),
        (replace(GLM, aux=0.0), "the size 0"),
        (replace(GLM, aux=-1.0), "the size -1"),
        (replace(GLM, aux=np.inf), "finite"),
        (replace(GLM, information=3), "information of kind 3"),
        (replace(GLM, beta=np.array([0, np.nan])), "finite"),
        (GlmMoments(1, 0, 0, sums(5), sums(2)), "shape"),
        (GlmMoments(-1, 0, 0, sums(6), sums(2)), "u64"),
        (GlmSummand(sums(2, 2), 0), "shape"),
        (replace(RIGHT, mixed=None), "without products"),
        (replace(RIGHT, log_weights=sums(1)), "shape"),
        (replace(LMM, points=()), "0 points"),
        (replace(LMM, points=(np.zeros(3), np.zeros(2))), r"sizes \[2, 3\]"),
        (replace(LMM, points=(np.zeros(0),)), r"sizes \[0\]"),
        (replace(LMM, centre=np.zeros(0)), "centre"),
        (lmm.Summand(sums(10, 7), None, 0), "shape"),
        (lmm.Summand(sums(1, 0, 7), None, 0), "shape"),
    ],
)
def test_what_has_no_layout_is_not_sent(payload: Any, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        encode(payload)


def test_shapes_beyond_the_bytes_are_refused_before_anything_is_made() -> None:
    for shape in ((2**32 - 1,) * 3, (0, 2**32 - 1, 2**32 - 1), (1, 1, 100)):
        data = HEADERS[lmm.Summand] + b"".join(size.to_bytes(4, "little") for size in shape) + bytes(300)
        with pytest.raises(ProtocolError, match="sums should follow, 300 bytes are left"):
            decode(data)
    flat = HEADERS[lmm.Question] + b"\1" + (1).to_bytes(4, "little") + bytes(8) + b"\0" + bytes(8) + b"\0\0"
    with pytest.raises(ProtocolError, match=r"points \(\) where they should be \(points, m\)"):
        decode(flat)


@pytest.mark.parametrize("name", ["sleepstudy REML", "negative binomial"])
def test_check_masked_total_of_another_count_or_width_are_refused(name: str) -> None:
    for number, (question, summands) in enumerate(rounds_of(name)[:3], 1):
        site, summand = next(iter(summands.items()))
        sent = masked.mask_summand(summand, question, number, STUDY, site, site_keys(site).masking, MASKS)
        for count in (len(sent.numbers) - 1, len(sent.numbers) + 1):
            if not isinstance(question, GlmMomentsQuestion):  # which does not say how many columns there are
                with pytest.raises(ProtocolError, match=f"{count} masked numbers"):
                    masked.check(replace(sent, numbers=(0,) * count), question, 3)
        with pytest.raises(ProtocolError, match="masked numbers of 64 bits, where"):
            masked.check(replace(sent, bits=64), question, 3)


def test_counts_that_are_none_are_no_total() -> None:
    question = MOMENTS
    width = masked.bits(question, 3, weighted=True)
    one = masked.mask_summand(RIGHT, question, 1, STUDY, "site-00", site_keys("site-00").masking, MASKS)
    zeros = replace(one, bits=width, numbers=(0,) * len(one.numbers))
    for place in range(4):
        numbers = [0] * len(one.numbers)
        numbers[place] = (1 << width) - 1
        with pytest.raises(ProtocolError, match=r"do not cancel.*a count in it is negative"):
            masked.total({"a": replace(zeros, numbers=tuple(numbers)), "b": zeros, "c": zeros}, question)


def test_moments_of_other_terms_do_not_add_up() -> None:
    with pytest.raises(UNFIT):
        _ = RIGHT + replace(RIGHT, groups=(5, 6))


def test_a_coordinator_takes_no_answer_of_another_shape() -> None:
    """Named with its site, before it meets the others."""
    model, sites = sites_of("sleepstudy REML")

    class Wrong:
        def answer(self, question: Any) -> Any:
            found = sites["site-01"].answer(question)
            if isinstance(found, lmm.Moments):
                return found
            return replace(found, values=sums(*found.values.shape[:2], 3))

    found, greeting = a_study(model, {**sites, "site-01": Wrong()})
    with pytest.raises(ProtocolError, match="'site-01' answers a LMM question with a LMM summand of another shape"):
        found.tell(greeting)
