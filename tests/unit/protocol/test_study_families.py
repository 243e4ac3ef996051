"""Studies of generalized linear and linear mixed models: options, digests, plain words, groups that belong to sites."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sumwise.disclosure.policy import Policy
from sumwise.errors import UsageError
from sumwise.models import lmm_messages as lmm
from sumwise.models.glm_messages import GlmMoments, GlmQuestion
from sumwise.protocol import study_groups
from sumwise.protocol.study import Options, Study, from_toml, to_toml
from sumwise.protocol.study_words import in_words
from sumwise.studies.plan import plan
from tests.unit.protocol.wire.test_payloads_families import rounds_of
from tests.unit.studies.hospitals import study, tables
from tests.unit.studies.test_same_bits_families import CASES, table_of

NAMES = ("A", "B", "C")
TABLES = list(tables(NAMES).values())
GROUPS = {"clinic": {"A": [0, 9], "B": [10, 19], "C": [20, 29]}}


def of(formula: str, **options: Any) -> Study:
    return study(formula, TABLES, NAMES, policy=Policy(), **options)


GLM = of("event ~ x1", family="binomial", link="probit")
LMM = of("y ~ x1 + (1 + x1 | clinic)")


def flat(made: Study) -> str:
    return re.sub(r"\s+", " ", in_words(made))


@pytest.mark.parametrize("name", CASES)
def test_a_study_comes_back_from_its_file(name: str) -> None:
    data, formula, _, options = CASES[name]
    made = study(formula, table_of(data), NAMES, **options)
    back = from_toml(to_toml(made))
    assert back.digest() == made.digest()
    assert back.options == made.options
    assert plan(back).method is plan(made).method
    assert made.most_rounds == 30


def test_defaults_are_written_out() -> None:
    assert LMM.options == Options("error", method="REML")
    assert of("y ~ (1 | clinic)", method="ML").options == Options("error", method="ML")
    assert of("age ~ x1", family="poisson").options == Options("error", link="log")
    weighted = of("age ~ x1", family="poisson", weights="clinic + 1")
    assert weighted.options == Options("error", link="log", weights="clinic + 1", weights_as="precision")
    assert of("age ~ x1", family="nb", size=2).options == Options("error", link="log", size=2.0)
    assert (LMM.kind, GLM.kind) == ("linear mixed", "generalized linear")
    assert of("event ~ x1 + (1 | clinic)", family="binomial").options == Options("error", nodes="auto")


def test_any_option_changes_the_digest() -> None:
    made = [
        GLM,
        of("event ~ x1", family="binomial"),
        of("event ~ x1", family="binomial", link="cloglog"),
        of("event ~ x1", family="poisson"),
        of("age ~ x1", family="negbinomial"),
        of("age ~ x1", family="negbinomial", size=2),
        of("age ~ x1", family="negbinomial", size=2.5),
        of("age ~ x1", family="gamma"),
        of("age ~ x1", family="gamma", weights="clinic"),
        of("age ~ x1", family="gamma", weights="clinic", weights_as="frequency"),
        LMM,
        of("y ~ x1 + (1 + x1 | clinic)", method="ML"),
        of("y ~ x1 + (1 | clinic)"),
    ]
    assert len({one.digest() for one in made}) == len(made)
    three, same = (replace(made[5], options=Options("error", link="log", size=size)) for size in (3, 3.0))
    assert three.digest() == same.digest()


@pytest.mark.parametrize(
    ("made", "options", "says"),
    [
        (GLM, Options("error", link="log"), r"options.link: it is 'log'; one of logit, probit, cloglog belongs there"),
        (GLM, Options("error", link="identity"), r"options.link: it is 'identity'; a link of the family belongs"),
        (GLM, Options("error", link="probit", nodes=3), r"options.nodes: the generalized linear model of family 'bin"),
        (GLM, Options("error", link="probit", size=2), r"options.size: only the negative binomial has a size"),
        (GLM, Options("error", link="probit", method="ML"), r"options.method: the generalized linear model"),
        (GLM, Options("error", link="probit", weights_as="precision"), r"options.weights: it is missing"),
        (GLM, Options("error"), r"options.nodes: it is missing"),
        (LMM, Options("error"), r"options.method: it is missing; \"REML\" or \"ML\" belongs there"),
        (LMM, Options("error", method="MAP"), r"options.method: it is 'MAP'"),
        (LMM, Options("error", method="ML", decimal=False), r"options.decimal: the linear mixed model of family"),
        (LMM, Options("error", method="ML", link="identity"), r"options.link: the linear mixed model"),
    ],
)
def test_options_of_other_models_are_named(made: Study, options: Options, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        replace(made, options=options)


@pytest.mark.parametrize("size", [0.0, -1.0, np.inf, 2**60, True, "two"])
def test_a_size_is_a_number_above_zero(size: Any) -> None:
    made = of("age ~ x1", family="negbinomial")
    with pytest.raises(UsageError, match=r"options.size: it is .*; a number above zero belongs there"):
        replace(made, options=Options("error", link="log", size=size))


def test_options_and_formula_must_mean_one_model() -> None:
    """Otherwise the words that a steward reads were those of another model."""
    for made, options in (
        (of("event ~ x1", family="binomial"), Options("error", nodes="auto")),
        (of("event ~ x1 + (1 | clinic)", family="binomial"), Options("error", link="logit", nodes="auto")),
    ):
        with pytest.raises(UsageError, match=r"the options of the study are those of a .* model, and .* is another"):
            plan(replace(made, options=options))
    contract = {key: value for key, value in LMM.contract.items() if key != "random"}
    with pytest.raises(UsageError, match=r"those of a linear model, and 'y ~ x1 .* is another"):
        plan(replace(LMM, contract=contract, options=Options("error")))
    other = of("y ~ x1 + (1 | clinic)").contract["random"]
    with pytest.raises(UsageError, match="other random effects than its formula"):
        plan(replace(LMM, contract={**LMM.contract, "random": other}))


# -- plain words --


@pytest.mark.parametrize("name", CASES)
def test_words_count_what_summands_hold(name: str) -> None:
    data, formula, _, options = CASES[name]
    said = flat(study(formula, table_of(data), NAMES, **options))
    (_, first), *later = ((question, next(iter(summands.values()))) for question, summands in rounds_of(name))
    if isinstance(first, GlmMoments):
        p = len(first.columns.digits)
        assert (
            f"3 counts (rows in the sums, rows of no weight, rows with an offset that is not zero) and {p + 6} sums"
            in said
        )
        assert len(first.totals.digits) == 6
        for question, summand in later:
            assert isinstance(question, GlmQuestion)
            if question.link == options.get("link", question.link):
                assert f"In each later round: {len(summand.values.digits)} sums over rows" in said
    else:
        assert isinstance(first, lmm.Moments)
        assert first.mixed is not None
        assert f"In round 1: {len(first.gram.entries)} sums over rows" in said
        effects = len(first.squares.digits) + len(first.mixed.digits)
        # effects of terms apart have no products with each other
        assert f"{effects} sums of products of the {len(first.squares.digits)} columns" in said
        assert f"{2 + 2 * len(first.groups)} counts (rows in the sums" in said
        assert ("1 sum of the logarithms of the weights" in said) == (first.log_weights is not None)
        for question, summand in later:
            points, derivatives, each = summand.values.shape
            assert points == 1
            assert f"In each later round: {derivatives * each} sums over groups, {derivatives} times {each}:" in said
            if question.explained:
                assert f"once {len(summand.explained.digits)} more" in said
        assert f"{2 * (first.gram.columns + 1)} numbers that say in which units" in said
    assert all(len(line) <= 100 for line in in_words(study(formula, table_of(data), NAMES, **options)).splitlines())


def test_words_name_the_model_and_what_its_options_mean() -> None:
    assert "a generalized linear model of successes in trials, with the link probit" in flat(GLM)
    assert "a linear mixed model with effects of each 'clinic', by REML" in flat(LMM)
    assert "fixed at 2" in flat(of("age ~ x1", family="negbinomial", size=2))
    frequencies = of("age ~ x1", family="poisson", weights="clinic", weights_as="frequency")
    assert "Rows are weighted by clinic, how many rows each stands for." in flat(frequencies)
    assert "Names of groups" in flat(LMM)
    assert "Names of groups" not in flat(GLM)


def test_words_of_masked_studies_name_both_widths() -> None:
    text = flat(replace(LMM, secure_sum=True))
    assert "whole numbers of 4272 (in later rounds 2184) bits each" in text
    assert "in which units" not in text
    assert "whole numbers of 2184 bits each" in flat(replace(GLM, secure_sum=True))


# -- groups of sites --


def grouped(groups: Any) -> Study:
    return replace(LMM, contract={**LMM.contract, "groups": groups})


def test_labels_of_sites_belong_to_the_study() -> None:
    made = study("y ~ x1 + (1 + x1 | clinic)", TABLES, NAMES, groups=GROUPS)
    assert made.contract["groups"] == GROUPS
    assert from_toml(to_toml(made)).digest() == made.digest() != LMM.digest()
    plan(made)
    assert "at A they lie from 0 to 9; at B they lie from 10 to 19" in flat(made)
    assert "nobody notices" in flat(LMM)
    assert "nobody notices" not in flat(made)


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ([], r"contract.groups: it is \[\]"),
        ({"clinic": ["A"]}, "contract.groups: it is"),
        ({"ward": GROUPS["clinic"]}, "contract.groups.'ward': the contract has no such column"),
        ({"clinic": {"A": [0, 9], "B": [10, 19]}}, r"its sites are not those of the study \('C'\)"),
        ({"clinic": {**GROUPS["clinic"], "D": "D-"}}, r"its sites are not those of the study \('D'\)"),
        ({"clinic": {**GROUPS["clinic"], "B": [9, 19]}}, "a label can be of 'A' and of 'B'"),
        ({"clinic": {**GROUPS["clinic"], "B": "B-"}}, "a label can be of 'A' and of 'B'"),
        ({"clinic": {"A": "N", "B": "No", "C": "S"}}, "a label can be of 'A' and of 'B'"),
        ({"clinic": {**GROUPS["clinic"], "A": [9, 0]}}, r"contract.groups.'clinic'.'A': it is \[9, 0\]"),
        ({"clinic": {**GROUPS["clinic"], "A": [0.5, 9]}}, r"it is \[0.5, 9\]"),
        ({"clinic": {**GROUPS["clinic"], "A": ""}}, "it is ''"),
        ({"clinic": {**GROUPS["clinic"], "A": "a\x1b"}}, r"it is 'a\\x1b'"),
        ({"clinic": {**GROUPS["clinic"], "A": True}}, "it is True"),
    ],
)
def test_rules_that_do_not_keep_sites_apart_are_named(groups: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        grouped(groups)


def test_labels_are_of_grouping_factors() -> None:
    with pytest.raises(
        UsageError, match=r"says which labels of 'x1' a site can have; the grouping factors .* 'clinic'"
    ):
        plan(grouped({"x1": GROUPS["clinic"]}))
    with pytest.raises(UsageError, match="the grouping factors of the formula are none"):
        plan(replace(GLM, contract={**GLM.contract, "groups": {"x1": GROUPS["clinic"]}}))


def test_strays() -> None:
    assert study_groups.strays(["N-1", "S-1", 7], "N-") == ["S-1", 7]
    assert study_groups.strays([0, 5, 9, 10, "7"], [0, 9]) == [10, "7"]
