"""The disclosure policy: which questions a site declines, because the answer would tell about a row.

Sums over rows are not anonymous: single rows were recovered from them in the ways that tests/unit/protocol/
test_attacks.py shows.  Each rule here names the attack it stops.  Rules are pure and judge facts (facts.py), which stay
at the site.  So does a refusal's figure, with the words for the steward; what travels is the rule and the policy's
threshold, so `meaning` is all that others learn.  That it refused is itself one bit.

What no rule stops: a coordinator that lies about totals, which can lead all sites to a point of its choice if it forges
the other sites' part in each (`predictor-range` and `weight-concentration` still judge that point); whoever knows all
rows but one; many subsets of rows, each far from any other, that single one out
together; a new data version that differs from the old in one row (to space versions out is the custodian's part);
where rows are few, whoever knows a column of many digits row by row and looks for the 0/1 column that gives its exact
product; and whoever writes one row into digits that the others leave free without being finer, as 1000003 x + (id == 7)
does: sums are exact, so what is left after division by 1000003 is that row's.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from sumwise.disclosure.facts import Facts
from sumwise.errors import UsageError

Name = TypeVar("Name", str, tuple[str, str])


@dataclass(frozen=True, slots=True)
class Policy:
    """Thresholds; a figure equal to its threshold passes.  Rows, groups and counts are those of one site.

    min_rows: rows in the sum.
    min_groups, min_group_rows: groups of a mixed model, and rows in each.  A group of one row is no easier to single
        out than a row of a regression, so by default only the number of groups counts.  min_groups = 1 says that sums
        of a single group may be told, as where groups are clinics and not persons; then min_group_rows matters.
    max_parameters_per_row.
    min_effective: effective count of each column, as it is and under a question's weights.
    min_cell: rows in each cell of two columns of two values.
    max_leverage: share of one row, or of one group of a mixed model, in the sum of squares of any combination of
        columns.
    max_digit_gap: bits by which the digits of fewer than min_effective rows may be finer than those of all others.
    min_effective_rows, min_effective_share: effective count of a question's weights, and its share in the rows.
    max_eta_range: largest less smallest linear predictor that a question may make.
    min_sites: sites in the sum.
    min_row_difference, min_site_difference: rows and sites in which two requests over one data version differ, unless
        in none.
    max_rounds: questions of one study.
    only_expected: the site recomputes the question, and answers no other.
    """

    min_rows: float = 20
    min_groups: float = 5
    min_group_rows: float = 1
    max_parameters_per_row: float = 0.10
    min_effective: float = 5
    min_cell: float = 5
    max_leverage: float = 0.5
    max_digit_gap: float = 16
    min_effective_rows: float = 20
    min_effective_share: float = 0.1
    max_eta_range: float = 30
    min_sites: float = 3
    min_row_difference: float = 20
    min_site_difference: float = 3
    max_rounds: float = 30
    only_expected: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "only_expected":
                if not isinstance(value, bool):
                    raise UsageError(f"policy: only_expected={value!r}: it is true or false")
            elif isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
                raise UsageError(f"policy: {field.name}={value!r}: thresholds are numbers, zero or more")


def _built(choose: Callable[[str], float | bool]) -> Policy:
    return Policy(**{field.name: choose(field.name) for field in fields(Policy)})  # type: ignore[arg-type]


OPEN = _built(lambda name: math.inf if name.startswith("max_") else False if name == "only_expected" else 0.0)
"""Refuses nothing but figures that are no numbers.  For tests and simulated data."""


def stricter(a: Policy, b: Policy) -> Policy:
    """The stricter threshold of each: a policy that refuses whatever a or b refuses."""

    def of(name: str) -> float | bool:
        values: tuple[float | bool, ...] = (getattr(a, name), getattr(b, name))
        return min(values) if name.startswith("max_") else max(values)

    return _built(of)


@dataclass(frozen=True, slots=True)
class Refusal:
    """rule: a token; figure: what was found; threshold: the policy's, finite; words: both for the site's steward.

    figure and words stay at the site: they are more telling than any sum.
    """

    rule: str
    figure: float
    threshold: float
    words: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.words}"


# rule -> what everybody may know; {} is the threshold
_MEANINGS = {
    "minimum-rows": "fewer than {} rows",
    "minimum-groups": "fewer than {} groups",
    "minimum-group-size": "a group of fewer than {} rows",
    "parameters-per-row": "more than {} parameters a row",
    "effective-count": "a column, or the response, that rests on fewer than {} rows, effectively",
    "cell-count": "a cell of two columns of two values with fewer than {} rows",
    "leverage": "a row with more than {} of the sum of squares of some combination of columns",
    "group-leverage": "a group with more than {} of the sum of squares of some combination of what leaves",
    "digit-gap": "a few rows whose digits are finer by more than {} bits than those of all others",
    "weight-concentration": "weights of the question that rest on fewer than {} rows, effectively, or on too small a "
    "share of them",
    "weighted-effective-count": "a column that rests on fewer than {} rows, effectively, under the question's weights",
    "predictor-range": "a linear predictor that ranges over more than {}",
    "minimum-sites": "fewer than {} sites in the sum",
    "differencing-rows": "rows that differ from those of an earlier request in some, but fewer than {}",
    "differencing-sites": "sites that differ from those of an earlier request in some, but fewer than {}",
    "differencing-models": "a row with more than {} of the sum of squares of some combination of this and earlier "
    "models' columns",
    "round-limit": "more than {} rounds",
    "expected-question": "a question other than the one that follows from the earlier totals",
}


def meaning(rule: str, threshold: float) -> str:
    """What a refusal says to everybody: the rule and its threshold in words, without the figure."""
    words = _MEANINGS.get(rule, "a rule that this version of Sumwise does not know, with threshold {}")
    return f"{rule}: {words.format(_shown(threshold))}"


Rule = Callable[[Facts, Policy], Refusal | None]


def check(facts: Facts, policy: Policy) -> tuple[Refusal, ...]:
    """Every rule that refuses, in the order of RULES; empty if the answer may leave."""
    return tuple(refusal for rule in RULES if (refusal := rule(facts, policy)) is not None)


def _at_least(rule: str, figure: float, threshold: float, found: str) -> Refusal | None:
    """found: words, {} is the figure.  Written so that nan is refused."""
    return None if figure >= threshold else _refusal(rule, figure, threshold, found, "at least")


def _at_most(rule: str, figure: float, threshold: float, found: str) -> Refusal | None:
    return None if figure <= threshold else _refusal(rule, figure, threshold, found, "at most")


def _refusal(rule: str, figure: float, threshold: float, found: str, bound: str) -> Refusal:
    words = f"{found.replace('{}', _shown(figure))}; the policy asks for {bound} {_shown(threshold)}"
    return Refusal(rule, float(figure), _sent(threshold), words)


def _sent(threshold: float) -> float:
    """A message has no room for infinity, which is the threshold of a rule that is switched off."""
    return float(min(threshold, sys.float_info.max))


def _shown(number: float) -> str:
    return str(int(number)) if abs(number) < 1e15 and number == int(number) else f"{number:.6g}"


def _least(figures: Mapping[Name, float]) -> tuple[Name | None, float]:
    """The name and the figure of the least; a nan comes first, which min() would pass over; inf of none."""
    worst = min(figures, key=lambda name: -math.inf if math.isnan(figures[name]) else figures[name], default=None)
    return worst, math.inf if worst is None else figures[worst]


# -- of the rows --


def minimum_rows(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: sums over so few rows that they are the rows.  With one row X'X is x x'."""
    return _at_least("minimum-rows", facts.design.rows, policy.min_rows, "rows in the sum: {}")


def minimum_groups(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: sums over so few groups that they are a group's own: where groups are persons, a person's."""
    groups = facts.design.groups
    words = "groups in the sum (of several grouping factors: sets of levels that meet): {}"
    return None if groups is None else _at_least("minimum-groups", groups, policy.min_groups, words)


def minimum_group_rows(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: groups smaller than the custodian lets groups be; for data where a small group is a known person."""
    smallest = facts.design.smallest_group
    if smallest is None:
        return None
    return _at_least("minimum-group-size", smallest, policy.min_group_rows, "rows in the smallest group: {}")


def parameters_per_row(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: n <= p, where X'X spans the rows themselves, and models so large that each row has its own column."""
    design = facts.design
    share = design.parameters / design.rows if design.rows else math.inf
    found = f"{design.parameters} parameters for {design.rows} rows are {{}} a row"
    return _at_most("parameters-per-row", share, policy.max_parameters_per_row, found)


def effective_columns(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: the rare indicator and the near-dummy.  The line of X'X of a column that is 1 in one row and 0 in all
    others is that row; of a column with three values, 0, 1e-9 and 1, it is that row to nine digits, while no rule for
    columns of two values looks at it.  See facts.effective.   The same for a response with a single success; for trials
    that are 2 in one row, whose binomial coefficient tells its outcome; and for weights that are zero in one row.
    """
    name, least = _least(facts.design.effective)
    found = f"rows that '{name}' rests on, effectively: {{}}"
    return _at_least("effective-count", least, policy.min_effective, found)


def cells(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: reading small counts in X'X, whose entry of two indicators counts the rows that have both; with the
    response as one of the two, a rare outcome in a rare class.  (An interaction in the model is a column as well.)
    """
    names, least = _least(facts.design.cells)
    found = f"rows in a cell of {' and '.join(map(repr, names or ()))}: {{}}"
    return _at_least("cell-count", least, policy.min_cell, found)


def combinations(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: the rare indicator in disguise.  Of columns a and b = a + (1 in one row) neither is suspicious, but the
    line of b less the line of a is that row.  Leverage sees every combination of columns at once.
    """
    found = "one row has {} of the sum of squares of a combination of columns"
    return _at_most("leverage", facts.design.leverage, policy.max_leverage, found)


def groups_apart(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: solving for a group.  The sums of a linear mixed model weigh a group by functions of its size and effects;
    the one whose size is like no other's is told from the rest by as many equations as there are sizes.  And a column
    that varies within one group alone, or names it, has that group's products.   In generalized linear mixed models:
    parameters under which all groups saturate but one.   A policy whose min_groups is 1 lets them be told.

    Asked after the rules about rows: a row that stands alone is its group's, too.
    """
    found = "one group has {} of the sum of squares of a combination of what leaves"
    threshold = policy.max_leverage if policy.min_groups > 1 else math.inf
    figures = (facts.design.group_leverage, facts.question.group_leverage)
    worst = math.nan if any(map(math.isnan, figures)) else max(figures)
    return _at_most("group-leverage", worst, threshold, found)


def digits(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: the near-dummy upside down.  Where a column is 0 or 1 but 1e-9 in one row, its line of X'X, being exact,
    holds that row in the digits that the others leave empty.  It stops wide gaps only; a narrow one tells a few bits.

    The same of what a question sums: a row whose mean is e^-25 of others' has digits of its own below theirs.
    """
    gaps = (facts.design.digit_gaps, facts.question.digit_gaps)
    among = (gap for some in gaps for k, gap in enumerate(some, start=1) if k < policy.min_effective)
    found = "a few rows of a column, or of what the question sums, have digits that are {} bits finer than all others'"
    return _at_most("digit-gap", max(among, default=0.0), policy.max_digit_gap, found)


# -- of the question --


def effective_rows(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: the chosen parameter vector.  Scaled up so that one row has x'beta = 0 and all others saturate, it leaves
    n p (1 - p) of that row alone: the information matrix is x x' / 4.  Weights of a regression can do the same.
    """
    question = facts.question
    least = max(policy.min_effective_rows, policy.min_effective_share * question.rows)
    found = f"rows of {question.rows} that the weights of the question rest on, effectively: {{}}"
    refusal = _at_least("weight-concentration", question.concentration, least, found)
    # a tenth of the rows would give away the rows
    return refusal and replace(refusal, threshold=_sent(policy.min_effective_rows))


def effective_weighted_columns(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: the chosen parameter vector that spares most rows, and saturates all but one of those where some column
    is not zero.
    """
    name, least = _least(facts.question.effective)
    found = f"rows that '{name}' rests on, effectively, under the weights of the question: {{}}"
    return _at_least("weighted-effective-count", least, policy.min_effective, found)


def eta_range(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: parameters far out, as a chosen vector needs them; and the last steps of a separated fit, which tell on
    which side of a plane every row lies.
    """
    found = "largest and smallest linear predictor are {} apart"
    return _at_most("predictor-range", facts.question.eta_range, policy.max_eta_range, found)


# -- of the study --


def minimum_sites(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: totals from which a site that knows its own summand takes the other's."""
    return _at_least("minimum-sites", len(facts.study.request.sites), policy.min_sites, "sites in the sum: {}")


def different_rows(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: differencing.  Sums over all rows less sums over all but one are that row."""
    now = facts.study.request
    apart = [(e.rows ^ now.rows).bit_count() for e in facts.study.earlier if e.data == now.data]
    least = min((n for n in apart if n), default=math.inf)
    return _at_least(
        "differencing-rows", least, policy.min_row_difference, "rows in which an earlier request differs: {}"
    )


def different_sites(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: differencing of totals.  A total over some sites less the total over all but one of them, at equal
    parameters (every fit begins alike), is that site's summand.  The site at risk is not asked the second time, so it
    is the others that refuse: each protects its fellows.
    """
    now = facts.study.request
    apart = [len(e.sites ^ now.sites) for e in facts.study.earlier if e.data == now.data]
    least = min((n for n in apart if n), default=math.inf)
    return _at_least(
        "differencing-sites", least, policy.min_site_difference, "sites in which an earlier request differs: {}"
    )


def different_models(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: differencing of models.  With column a in one model, and a + (1 in one row) in another, the difference of
    their sums is that row.  So all columns asked of one data version are judged together, as one model's are; an
    added covariate passes.
    """
    now = facts.study.request
    if all(e.model == now.model for e in facts.study.earlier if e.data == now.data):
        return None
    found = "one row has {} of the sum of squares of a combination of this and earlier models' columns"
    if math.isnan(facts.study.joint_leverage):
        found = "an earlier model of these rows cannot be built again, to be judged together with this one ({})"
    return _at_most("differencing-models", facts.study.joint_leverage, policy.max_leverage, found)


def round_limit(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: scans, which ask until a question happens to single out a row."""
    return _at_most("round-limit", facts.study.round, policy.max_rounds, "this is round {}")


def expected_question(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: every chosen question.  The next question follows from the earlier totals by fixed arithmetic, so the
    site works it out itself, and answers only if what it was asked is the same, bit for bit.
    """
    if not policy.only_expected or facts.study.received == facts.study.expected:
        return None
    words = "the question is another than follows from the earlier totals; the policy asks for that one, bit for bit"
    return Refusal("expected-question", 1.0, 0.0, words)


RULES: tuple[Rule, ...] = (
    minimum_rows,
    minimum_groups,
    minimum_group_rows,
    parameters_per_row,
    effective_columns,
    cells,
    combinations,
    effective_rows,
    effective_weighted_columns,
    eta_range,
    digits,
    groups_apart,
    minimum_sites,
    different_rows,
    different_sites,
    different_models,
    round_limit,
    expected_question,
)
