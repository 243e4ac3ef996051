"""The disclosure policy: which questions a site declines, because the answer would tell about a row.

Sums over rows are not anonymous: single rows were recovered from them in the ways that tests/unit/protocol/
test_attacks.py shows.  Each rule here names the attack it stops.  Rules are pure and judge facts (facts.py), which stay
at the site; a refusal names the rule, how the figure lies to the threshold, and the threshold, and nothing else: no
column, no count.  That it refused is itself one bit.

What no rule stops: whoever knows all rows but one; many subsets of rows, each far from any other, that single one out
together; a new data version that differs from the old in one row (to space versions out is the custodian's part); and,
where rows are few, whoever knows a column of many digits row by row and looks for the 0/1 column that gives its exact
product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

from sumwise.errors import UsageError
from sumwise.protocol.facts import Facts


@dataclass(frozen=True, slots=True)
class Policy:
    """Thresholds; a figure equal to its threshold passes.  Rows, groups and counts are those of one site.

    min_rows: rows in the sum.
    min_groups, min_group_rows: groups of a mixed model, and rows in each.  A group of one row is no easier to single
        out than a row of a regression, so by default only the number of groups counts.
    max_parameters_per_row.
    min_effective: effective count of each column, as it is and under a question's weights.
    min_cell: rows in each cell of two columns of two values.
    max_leverage: share of one row in the sum of squares of any combination of columns.
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
    """rule: its name; figure: how the figure lies to the threshold, never the figure itself; threshold: the policy's,
    as text.
    """

    rule: str
    figure: str
    threshold: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.figure}; the policy asks for {self.threshold}"


Rule = Callable[[Facts, Policy], Refusal | None]


def check(facts: Facts, policy: Policy) -> tuple[Refusal, ...]:
    """Every rule that refuses, in the order of RULES; empty if the answer may leave."""
    return tuple(refusal for rule in RULES if (refusal := rule(facts, policy)) is not None)


def _at_least(rule: str, what: str, figure: float, threshold: float) -> Refusal | None:
    # written so that nan is refused
    if figure >= threshold:
        return None
    return Refusal(rule, f"fewer than {threshold:g} {what}", f"at least {threshold:g}")


def _at_most(rule: str, what: str, figure: float, threshold: float) -> Refusal | None:
    if figure <= threshold:
        return None
    return Refusal(rule, f"more than {threshold:g} {what}", f"at most {threshold:g}")


def _least(figures: Iterable[float]) -> float:
    """inf of none; nan if one is nan, which min() would pass over."""
    found = tuple(figures)
    return math.nan if any(map(math.isnan, found)) else min(found, default=math.inf)


# -- of the rows --


def minimum_rows(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: sums over so few rows that they are the rows.  With one row X'X is x x'."""
    return _at_least("minimum rows", "rows", facts.design.rows, policy.min_rows)


def minimum_groups(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: sums over so few groups that they are a group's own: where groups are persons, a person's."""
    groups = facts.design.groups
    return None if groups is None else _at_least("minimum groups", "groups", groups, policy.min_groups)


def minimum_group_rows(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: groups smaller than the custodian lets groups be; for data where a small group is a known person."""
    smallest = facts.design.smallest_group
    if smallest is None:
        return None
    return _at_least("minimum group size", "rows in a group", smallest, policy.min_group_rows)


def parameters_per_row(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: n <= p, where X'X spans the rows themselves, and models so large that each row has its own column."""
    design = facts.design
    share = design.parameters / design.rows if design.rows else math.inf
    return _at_most("parameters per row", "parameters per row", share, policy.max_parameters_per_row)


def effective_columns(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: the rare indicator and the near-dummy.  The line of X'X of a column that is 1 in one row and 0 in all
    others is that row; of a column with three values, 0, 1e-9 and 1, it is that row to nine digits, while no rule for
    columns of two values looks at it.  See facts.effective.   The same for a response with a single success.
    """
    least = _least(facts.design.effective.values())
    return _at_least("effective count of a column", "rows, effectively, in a column", least, policy.min_effective)


def cells(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: reading small counts in X'X, whose entry of two indicators counts the rows that have both; with the
    response as one of the two, a rare outcome in a rare class.  (An interaction in the model is a column as well.)
    """
    least = _least(facts.design.cells.values())
    return _at_least("cell count", "rows in a cell", least, policy.min_cell)


def combinations(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: the rare indicator in disguise.  Of columns a and b = a + (1 in one row) neither is suspicious, but the
    line of b less the line of a is that row.  Leverage sees every combination of columns at once.
    """
    what = "of a combination of columns in one row"
    return _at_most("leverage of a row", what, facts.design.leverage, policy.max_leverage)


def digits(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: the near-dummy upside down.  Where a column is 0 or 1 but 1e-9 in one row, its line of X'X, being exact,
    holds that row in the digits that the others leave empty.  It stops wide gaps only; a narrow one tells a few bits.
    """
    among = (gap for k, gap in enumerate(facts.design.digit_gaps, start=1) if k < policy.min_effective)
    what = "bits of finer digits in a few rows"
    return _at_most("digits of their own", what, max(among, default=0.0), policy.max_digit_gap)


# -- of the question --


def effective_rows(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: the chosen parameter vector.  Scaled up so that one row has x'beta = 0 and all others saturate, it leaves
    n p (1 - p) of that row alone: the information matrix is x x' / 4.  Weights of a regression can do the same.
    """
    least = max(policy.min_effective_rows, policy.min_effective_share * facts.question.rows)
    if facts.question.concentration >= least:
        return None
    # a tenth of the rows would give away the rows: it is named, not worked out
    asked = f"at least {policy.min_effective_rows:g}, and {policy.min_effective_share:g} of the rows"
    return Refusal("weight concentration", "the weights of the question rest on too few rows", asked)


def effective_weighted_columns(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: the chosen parameter vector that spares most rows, and saturates all but one of those where some column
    is not zero.
    """
    least = _least(facts.question.effective.values())
    what = "rows, effectively, in a column under the weights of the question"
    return _at_least("effective count of a weighted column", what, least, policy.min_effective)


def eta_range(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: parameters far out, as a chosen vector needs them; and the last steps of a separated fit, which tell on
    which side of a plane every row lies.
    """
    what = "between the largest and the smallest linear predictor"
    return _at_most("range of the linear predictor", what, facts.question.eta_range, policy.max_eta_range)


# -- of the study --


def minimum_sites(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: totals from which a site that knows its own summand takes the other's."""
    return _at_least("minimum sites", "sites in the sum", len(facts.study.request.sites), policy.min_sites)


def different_rows(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: differencing.  Sums over all rows less sums over all but one are that row."""
    now = facts.study.request
    apart = [(e.rows ^ now.rows).bit_count() for e in facts.study.earlier if e.data == now.data]
    least = min((n for n in apart if n), default=math.inf)
    what = "rows apart from those of an earlier request"
    return _at_least("differencing of rows", what, least, policy.min_row_difference)


def different_sites(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: differencing of totals.  A total over some sites less the total over all but one of them, at equal
    parameters (every fit begins alike), is that site's summand.  The site at risk is not asked the second time, so it
    is the others that refuse: each protects its fellows.
    """
    now = facts.study.request
    apart = [len(e.sites ^ now.sites) for e in facts.study.earlier if e.data == now.data]
    least = min((n for n in apart if n), default=math.inf)
    what = "sites apart from those of an earlier request"
    return _at_least("differencing of sites", what, least, policy.min_site_difference)


def different_models(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: differencing of models.  With column a in one model, and a + (1 in one row) in another, the difference of
    their sums is that row.  So all columns asked of one data version are judged together, as one model's are; an
    added covariate passes.
    """
    now = facts.study.request
    if all(e.model == now.model for e in facts.study.earlier if e.data == now.data):
        return None
    what = "of a combination of this and earlier models' columns in one row"
    return _at_most("differencing of models", what, facts.study.joint_leverage, policy.max_leverage)


def round_limit(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: scans, which ask until a question happens to single out a row."""
    return _at_most("round limit", "rounds", facts.study.round, policy.max_rounds)


def expected_question(facts: Facts, policy: Policy) -> Refusal | None:
    """Stops: every chosen question.  The next question follows from the earlier totals by fixed arithmetic, so the
    site works it out itself, and answers only if what it was asked is the same, bit for bit.
    """
    if not policy.only_expected or facts.study.received == facts.study.expected:
        return None
    return Refusal(
        "expected question", "another question than follows from the earlier totals", "that one, bit for bit"
    )


RULES: tuple[Rule, ...] = (
    minimum_rows,
    minimum_groups,
    minimum_group_rows,
    parameters_per_row,
    effective_columns,
    cells,
    combinations,
    digits,
    effective_rows,
    effective_weighted_columns,
    eta_range,
    minimum_sites,
    different_rows,
    different_sites,
    different_models,
    round_limit,
    expected_question,
)
