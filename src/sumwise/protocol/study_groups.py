"""Which site a group belongs to, as the contract of a study may say: [contract.groups].

    column -> site -> a text that the site's labels begin with, or [lowest, highest] of its whole numbers

A group whose rows lie at two sites counts as two groups, and neither site can see it: the rows are apart, and labels do
not leave.  Where the contract gives every site labels that no other site can have, each site looks at its own labels,
and no group spans two sites unless one has two labels.  (docs/adr/016-groups-lie-within-a-site.md)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import combinations
from typing import Any

from sumwise.errors import shown
from sumwise.protocol import plain

BELONGS = 'column -> site -> a text that its labels begin with, or [lowest, highest] of its whole numbers, such as "N-"'

MOST_SHOWN = 3


def _is_prefix(rule: Any) -> bool:
    return plain.is_visible(rule, plain.MOST_TEXT)


def _is_range(rule: Any) -> bool:
    return isinstance(rule, list) and len(rule) == 2 and all(type(end) is int for end in rule) and rule[0] <= rule[1]


def problems(groups: Any, sites: Collection[str] | None, columns: Iterable[str]) -> list[tuple[str, str]]:
    """(where, what is wrong) for each problem of contract.groups.  sites: of the study, None where they are not known;
    columns: of the contract.
    """
    if not isinstance(groups, Mapping) or not all(isinstance(rules, Mapping) for rules in groups.values()):
        return [("contract.groups", f"it is {shown(groups)}")]
    found, known = [], set(columns)
    for column, rules in groups.items():
        where = f"contract.groups.{shown(column)}"
        if column not in known:
            found.append((where, "the contract has no such column"))
        wrong = {site: rule for site, rule in rules.items() if not (_is_prefix(rule) or _is_range(rule))}
        found += [(f"{where}.{shown(site)}", f"it is {shown(rule)}") for site, rule in wrong.items()]
        if sites is not None and set(rules) != set(sites):
            odd = ", ".join(map(shown, sorted(set(rules) ^ set(sites))))
            found.append((where, f"its sites are not those of the study ({odd})"))
        right = {site: rule for site, rule in rules.items() if site not in wrong}
        for (one, first), (two, second) in combinations(right.items(), 2):
            if _meet(first, second):
                found.append((where, f"a label can be of {shown(one)} and of {shown(two)}"))
    return found


def _meet(one: Any, two: Any) -> bool:
    """Whether a label can follow both rules."""
    if isinstance(one, str) and isinstance(two, str):
        return one.startswith(two) or two.startswith(one)
    if isinstance(one, list) and isinstance(two, list):
        return bool(one[0] <= two[1] and two[0] <= one[1])
    return True  # a column has labels of one kind


def strays(labels: Iterable[Any], rule: Any) -> list[Any]:
    """The labels that do not follow a site's rule."""
    if isinstance(rule, str):
        return [label for label in labels if not (isinstance(label, str) and label.startswith(rule))]
    low, high = rule
    return [label for label in labels if isinstance(label, str) or not low <= label <= high]


def in_words(rule: Any) -> str:
    """Such as: begin with 'N-'."""
    return f"begin with {rule!r}" if isinstance(rule, str) else f"lie from {rule[0]} to {rule[1]}"


def groups_in_words(contract: Mapping[str, Any]) -> list[str]:
    """For the steward."""
    groups = contract.get("groups")
    if not groups:
        return [
            "A group belongs to one site: if one has rows at two sites, they count as two groups, and nobody notices. "
            "The contract does not say which labels belong to which site."
        ]
    said = []
    for column, rules in groups.items():
        of_sites = "; ".join(f"at {site} they {in_words(rule)}" for site, rule in rules.items())
        said.append(
            f"A group belongs to one site, as labels of {column} tell: {of_sites}. A site with other labels does not "
            f"answer."
        )
    return said
