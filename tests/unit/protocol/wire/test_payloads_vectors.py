"""Mixed models with vectors of effects as bytes, masked and plain: what real fits say, what is refused, plain words."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from sumwise.errors import ProtocolError, UsageError
from sumwise.maths.exact import ExactSum
from sumwise.models.glmm_vectors_messages import VectorMoments, VectorMomentsQuestion, VectorQuestion, VectorSummand
from sumwise.protocol.study import Options, Study, from_toml, to_toml
from sumwise.protocol.study_words import in_words
from sumwise.protocol.wire import masked
from sumwise.protocol.wire.payloads import answers, decode, encode
from sumwise.studies.plan import plan
from tests.unit.protocol.studies import STUDY, site_keys
from tests.unit.protocol.studies import study as a_study
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
from tests.unit.studies.test_same_bits_vectors import CASES, table_of


def of(name: str) -> Study:
    data, formula, _, options = CASES[name]
    return study(formula, table_of(data), SITES, **options)


def sites_of(name: str) -> tuple[Any, dict[str, Any]]:
    """A model of CASES, and its three sites."""
    data, _, by, _ = CASES[name]
    return model_and_sites(of(name), table_of(data), by)


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


MOMENTS = VectorMoments(9, 3, 3, 0, 0, sums(2), sums(2, 1), sums(4))
QUESTION = VectorQuestion(np.zeros(3), np.zeros((2, 4)), (3, 5), np.inf, 0, True)
RIGHT = VectorSummand(sums(2, 2 + 4 + 10), sums(2, 3), ((1, 2), (3, 0)), (0, 0))


@pytest.mark.parametrize(
    ("question", "summand", "right"),
    [
        (VectorMomentsQuestion(2, 1), MOMENTS, True),
        (VectorMomentsQuestion(3, 1), MOMENTS, False),
        (VectorMomentsQuestion(2, 2), MOMENTS, False),
        (VectorMomentsQuestion(2, 1), RIGHT, False),
        (QUESTION, RIGHT, True),
        (QUESTION, MOMENTS, False),
        (replace(QUESTION, information=5), RIGHT, True),
        (replace(QUESTION, information=-1), RIGHT, False),
        (replace(QUESTION, information=-1), replace(RIGHT, values=sums(2, 6)), True),
        (replace(QUESTION, aux=False), RIGHT, False),
        (replace(QUESTION, aux=False), replace(RIGHT, constants=sums(2, 0)), True),
        (replace(QUESTION, orders=(3,)), RIGHT, False),
        (replace(QUESTION, points=np.zeros((1, 4))), RIGHT, False),
        (replace(QUESTION, points=np.zeros((2, 3))), RIGHT, False),
    ],
)
def test_an_answer_has_the_shape_that_the_question_names(question: Any, summand: Any, right: bool) -> None:
    assert answers(summand, question) is right


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (replace(QUESTION, points=np.zeros(4)), r"centre \(3,\) and points \(4,\)"),
        (replace(QUESTION, points=np.zeros((0, 4))), "points"),
        (replace(QUESTION, centre=np.zeros(0)), "centre"),
        (replace(QUESTION, points=np.full((1, 4), np.inf)), "finite"),
        (replace(QUESTION, orders=()), r"orders \(\)"),
        (replace(QUESTION, orders=(3, 0)), "orders"),
        (replace(QUESTION, tolerance=-1.0), "the tolerance -1"),
        (replace(QUESTION, tolerance=np.nan), "tolerance"),
        (replace(QUESTION, information=-2), "information at -2"),
        (replace(MOMENTS, totals=sums(5)), "shape"),
        (replace(MOMENTS, effects=sums(3, 1)), "shape"),
        (replace(MOMENTS, rows=-1), "u64"),
        (replace(RIGHT, values=sums(3, 16)), "shape"),
        (replace(RIGHT, constants=sums(1, 3)), "shape"),
        (replace(RIGHT, used=((1, 2), (3,))), "counts of groups by orders"),
        (replace(RIGHT, used=((1, 2),)), "counts of groups by orders"),
        (replace(RIGHT, used=((), ())), "counts of groups by orders"),
    ],
)
def test_what_has_no_layout_is_not_sent(payload: Any, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        encode(payload)


def test_shapes_beyond_the_bytes_are_refused_before_anything_is_made() -> None:
    def u32(*numbers: int) -> bytes:
        return b"".join(number.to_bytes(4, "little") for number in numbers)

    for shape in ((2**32 - 1, 2**32 - 1), (0, 1), (1, 0), (10, 10)):
        with pytest.raises(ProtocolError, match="sums should follow, 300 bytes are left"):
            decode(HEADERS[VectorSummand] + u32(*shape) + bytes(300))
    for rest in (u32(2**32 - 1), u32(0, 2**32 - 1), u32(0, 0)):
        with pytest.raises(ProtocolError, match=r"should follow|without orders"):
            decode(HEADERS[VectorSummand] + u32(1, 1) + bytes(5) + rest + bytes(20))


def test_counts_that_are_none_are_no_total() -> None:
    question = VectorMomentsQuestion(2, 1)
    one = masked.mask_summand(MOMENTS, question, 1, STUDY, "site-00", site_keys("site-00").masking, MASKS)
    zeros = replace(one, numbers=(0,) * len(one.numbers))
    for place in range(5):
        numbers = [0] * len(one.numbers)
        numbers[place] = (1 << one.bits) - 1
        with pytest.raises(ProtocolError, match=r"do not cancel.*a count in it is negative"):
            masked.total({"a": replace(zeros, numbers=tuple(numbers)), "b": zeros, "c": zeros}, question)


def test_a_coordinator_takes_no_answer_of_another_shape() -> None:
    """Named with its site, before it meets the others."""
    model, sites = sites_of("gamma, weighted")

    class Wrong:
        def answer(self, question: Any) -> Any:
            found = sites["site-01"].answer(question)
            return found if isinstance(found, VectorMoments) else replace(found, constants=sums(1, 0))

    found, greeting = a_study(model, {**sites, "site-01": Wrong()})
    with pytest.raises(ProtocolError, match="'site-01' answers a GLMM question with a GLMM summand of another shape"):
        found.tell(greeting)


@pytest.mark.parametrize("size", [1e300, -1e300, 5e-324])
@pytest.mark.parametrize("name", ["gamma, weighted", "Laplace", "contraception slope"])
def test_sums_that_no_rows_have_crash_nothing(name: str, size: float) -> None:
    def lie(found: Any) -> Any:
        where = "columns" if isinstance(found, VectorMoments) else "values"
        return replace(found, **{where: ExactSum.of(np.full((1, *getattr(found, where).shape), size))})

    check_that_a_lie_crashes_nothing(*sites_of(name), lie)


# -- studies, and words --


@pytest.mark.parametrize("name", CASES)
def test_a_study_comes_back_from_its_file_and_its_words_count_what_leaves(name: str) -> None:
    made = of(name)
    back = from_toml(to_toml(made))
    assert back.digest() == made.digest()
    assert plan(back).method is plan(made).method
    assert made.kind == "generalized linear mixed"
    said = re.sub(r"\s+", " ", in_words(made))
    assert all(len(line) <= 100 for line in in_words(made).splitlines())
    (_, first), *later = ((question, next(iter(summands.values()))) for question, summands in rounds_of(name))
    numbers = len(first.columns.digits) + 2 * first.effects.shape[1] + 4
    assert "5 counts (rows, groups, groups with as many rows as effects" in said
    assert f"single trial) and {numbers} sums over rows" in said
    assert ("3 sums over rows, of functions of the response at" in said) == (later[0][1].constants.shape[1] > 0)
    for _, summand in later:
        points, each = summand.values.shape
        if points == 1 and made.options.nodes == "auto":
            assert f"In each later round: {each} sums over groups" in said
        elif points == 1:
            most = int(re.search(r"In each later round up to: (\d+) sums over groups", said)[1])  # type: ignore[index]
            assert each <= most
        else:
            assert f"instead {each} sums over groups at each of {points} points" in said


MADE = table_of("made")
POISSON = study("visits ~ x + (1 | ward)", MADE, SITES, family="poisson")
BINOMIAL = study("event ~ x + (x | ward)", MADE, SITES, family="binomial")


def test_defaults_are_written_out() -> None:
    assert POISSON.options == Options("error", link="log", nodes="auto")
    assert BINOMIAL.options == Options("error", link="logit", nodes="auto")
    assert study("event ~ x + (1 | ward)", MADE, SITES, family="binomial").kind == "logistic mixed"
    assert "a generalized linear mixed model of Poisson counts, with the link log and effects of each 'ward'" in (
        re.sub(r"\s+", " ", in_words(POISSON))
    )


@pytest.mark.parametrize(
    ("made", "change", "says"),
    [
        (POISSON, {"options": Options("error", link="log")}, "options.nodes: it is missing"),
        (POISSON, {"options": Options("error", nodes="auto")}, "options.link: it is missing"),
        (POISSON, {"options": Options("error", link="identity", nodes=1)}, "options.link: it is 'identity'"),
        (POISSON, {"options": Options("error", link="logit", nodes=1)}, "options.link: it is 'logit'; one of log"),
        (
            POISSON,
            {"options": Options("error", link="log", nodes=1, size=2)},
            "options.size: the generalized linear mix",
        ),
        (POISSON, {"options": Options("error", link="log", nodes=1, weights_as="precision")}, "options.weights_as"),
        (POISSON, {"family": "inverse.gaussian"}, "'inverse.gaussian' is not available with random effects"),
        (
            BINOMIAL,
            {
                "options": Options("error", link="logit", nodes=1, weights="x"),
                "contract": {**BINOMIAL.contract, "weights": "x"},
            },
            "options.weights: a binomial response with random effects takes none",
        ),
    ],
)
def test_options_of_other_models_are_named(made: Study, change: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        replace(made, **change)


def test_options_and_formula_must_mean_one_model() -> None:
    with pytest.raises(UsageError, match=r"those of a logistic mixed model, and 'event .* is another"):
        plan(replace(BINOMIAL, options=Options("error", nodes="auto")))
    contract = {key: value for key, value in POISSON.contract.items() if key != "random"}
    with pytest.raises(UsageError, match=r"those of a generalized linear model, and 'visits .* is another"):
        plan(replace(POISSON, contract=contract, options=Options("error", link="log")))
