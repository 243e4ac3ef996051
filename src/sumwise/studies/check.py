"""A site's data against the contract of a study, column by column, before any round."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sumwise.data.groups import factorise
from sumwise.data.source import Source
from sumwise.data.values import TEXTS, Values, as_kind
from sumwise.errors import SumwiseError
from sumwise.protocol.study import Study
from sumwise.protocol.study_groups import in_words, strays

_MOST = 5
"""Levels that are listed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """column; agreed, here: what the contract says and what the site has, in words; wrong: whether the study cannot be
    answered as it is.
    """

    column: str
    agreed: str
    here: str
    wrong: bool


def compare(
    study: Study, source: Source, units: Mapping[str, str], allowed: Collection[str] | None = None
) -> list[Finding]:
    """One or more findings for each column of the contract.

    units, allowed: of the site's columns, as its site file says; None allows all.
    """
    found: list[Finding] = []
    for column in study.contract["columns"]:
        if allowed is not None and column["name"] not in allowed:
            found.append(Finding(column["name"], column["kind"], "not among the columns of the site file", True))
            continue
        found += _compared(column, source, units.get(column["name"], ""), study.options.missing)
        rules = study.contract.get("groups", {}).get(column["name"], {})
        if source.name in rules and not any(finding.wrong for finding in found if finding.column == column["name"]):
            found.append(_labels(column, rules[source.name], source))
    return found


def _labels(column: Mapping[str, Any], rule: Any, source: Source) -> Finding:
    """Whether the groups of a column are this site's own, as the contract has it."""
    name = column["name"]
    values = source.read([name], as_text=[name] * (column["kind"] in TEXTS))[name]
    absent = values.absent()
    _, labels = factorise(source.name, {name: values if absent is None else values.take(~absent)})
    strange = strays(labels, rule)
    here = f"{len(strange)} of {len(labels)} labels do not: {_listed(map(str, strange))}" if strange else "all of them"
    return Finding(name, f"labels of '{source.name}' {in_words(rule)}", here, bool(strange))


def _compared(column: Mapping[str, Any], source: Source, unit: str, missing: str) -> list[Finding]:
    name, kind, levels = column["name"], column["kind"], column.get("levels") or []
    numbers_as_text = kind in TEXTS and not all(isinstance(level, int | float) for level in levels)
    try:
        values = as_kind(
            source.read([name], as_text=[name] * numbers_as_text, as_number=[name] * (kind == "number"))[name], kind
        )
    except SumwiseError as error:
        return [Finding(name, kind, str(error), True)]
    alike = values.kind == kind or values.kind == "empty" or {values.kind, kind} <= set(TEXTS)
    found = [Finding(name, kind, values.kind if alike else f"{values.kind} ({values.type})", not alike)]
    absent = values.absent()
    if absent is not None and missing == "error":
        count = f"missing in {int(absent.sum())} of {len(values)} rows"
        found.append(Finding(name, "no value missing", count, True))
    if agreed := column.get("unit"):
        here = f"in {unit}" if unit else "no unit in the site file"
        found.append(Finding(name, f"in {agreed}", here, unit != agreed))
    if alike and levels:
        found.append(_levels(name, levels, values))
    if alike and kind == "number" and ("low" in column or "high" in column):
        found.append(_range(name, column.get("low", -np.inf), column.get("high", np.inf), values))
    return found


def _levels(name: str, levels: list[Any], values: Values) -> Finding:
    used = {values.labels[code] for code in np.unique(values.values) if code >= 0}
    unknown = sorted(str(label) for label in used if label not in levels)
    agreed = f"{len(levels)} levels: {_listed(map(str, levels))}"
    if unknown:
        return Finding(name, agreed, f"{len(unknown)} more: {_listed(unknown)}", True)
    return Finding(name, agreed, "all of them" if len(used) == len(levels) else f"{len(used)} of them", False)


def _range(name: str, low: float, high: float, values: Values) -> Finding:
    with np.errstate(invalid="ignore"):
        outside = int(np.sum((values.values < low) | (values.values > high)))
    here = f"{outside} of {len(values)} values outside" if outside else "all values within"
    return Finding(name, f"from {low:g} to {high:g}", here, outside > 0)


def _listed(labels: Any) -> str:
    shown = list(labels)
    return ", ".join(shown[:_MOST]) + (f" and {len(shown) - _MOST} more" if len(shown) > _MOST else "")
