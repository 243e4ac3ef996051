"""The levels of a factor, from all sites."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from sumwise.data.terms import Level
from sumwise.data.values import TEXTS, Values
from sumwise.errors import DataError, SiteError

_NO_NUMBER = {".", "-", "?", "*", "", "#n/a", "na", "nan", "null", "none", "missing", "unknown"}
"""Texts, in lower case, that stand for a missing number in other programs' files."""

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*", re.ASCII)

MOST_ODD = 0.2
"""A text column counts as numbers if no more than this part of its distinct values is anything else."""

MOST_LEVELS = 50
"""A text column with more levels than these, in less than two rows each, counts as names of the rows."""


def refuse_numbers_in_text(name: str, tables: Mapping[str, Mapping[str, Values]]) -> None:
    """Raises DataError for a column of numbers that a few odd texts, or decimal commas, have turned into text."""
    labels = {str(label) for table in tables.values() for label in table[name].labels}
    odd = sorted(label for label in labels if not _is_number(label))
    commas = [label for label in odd if _DECIMAL_COMMA.fullmatch(label)]
    others, numbers = len(odd) - len(commas), len(labels) - len(odd)
    few = others <= MOST_ODD * len(labels)
    only_signs = numbers > 1 and all(label.strip().lower() in _NO_NUMBER for label in odd)
    if not odd or not (few or only_signs):
        return
    which = f"all its values are numbers except {_listed(odd)}" if numbers else f"its values are {_listed(odd)}"
    raise DataError(
        f"Column '{name}' is text, but {which}.{_comma_hint(commas)} Mend such values, leave such fields empty where "
        f"the number is missing, or write factor({name}) if they are levels."
    )


def _comma_hint(texts: Sequence[str]) -> str:
    """A hint for texts of which one has a decimal comma."""
    with_comma = [text for text in texts if _DECIMAL_COMMA.fullmatch(text)]
    if not with_comma:
        return ""
    point = with_comma[0].strip().replace(",", ".")
    return f" A decimal comma is no decimal point: write {point}, or read it with pandas.read_csv(path, decimal=',')."


def refuse_names_of_rows(name: str, levels: int, rows: int) -> None:
    """Raises DataError for a text column of which nearly every row has a value of its own."""
    if levels > MOST_LEVELS and 2 * levels > rows:
        raise DataError(
            f"Column '{name}' is text with {levels} levels in {rows} rows, one coefficient for each: it looks like a "
            f"name of the rows. Leave it out of the formula, or write factor({name}) if they are levels."
        )


def numbers_among(labels: Sequence[str]) -> str:
    """ " 30 of its 32 values are numbers; not '.', 'n/a'." where most texts are; empty where they are not."""
    strange = [label for label in labels if not _is_number(label)]
    if 2 * len(strange) >= len(labels):
        return _comma_hint(strange)
    if not strange:
        return " All of them are numbers, but their column is text."
    shown, hint = _listed(strange), _comma_hint(strange)
    return f" {len(labels) - len(strange)} of its {len(labels)} values are numbers, but not {shown}.{hint}"


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(map(repr, texts[:4])) + (", .." if len(texts) > 4 else "")


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def levels_of(name: str, kind: str, sites: Mapping[str, tuple[Values, np.ndarray | None]]) -> tuple[Level, ...]:
    """Levels that occur at any site, sorted; declared categories in their declared order.

    Raises DataError for fewer than two, SiteError where sites declare different orders.
    """
    if kind == "boolean":
        return (False, True)
    found = set[Level]()
    for values, keep in sites.values():
        found.update(_distinct(values if keep is None else values.take(keep)))
    if len(found) < 2:
        what = f"only the level '{next(iter(found))}'" if found else "no value in any complete row"
        raise DataError(f"Factor '{name}' has {what} over all sites; a factor needs two. Leave it out of the formula.")
    order = _declared_order(name, {site: v.labels for site, (v, _) in sites.items() if v.kind == "factor"})
    return tuple(sorted(found)) if order is None else tuple(label for label in order if label in found)


def _distinct(values: Values) -> Iterable[Level]:
    """The values that occur; whole floats as ints, so that 1.0 at one site is 1 at another."""
    if values.kind == "empty":
        return ()
    if values.kind in TEXTS:
        codes = values.values[values.values >= 0]
        return [values.labels[code] for code in np.flatnonzero(np.bincount(codes, minlength=len(values.labels)))]
    return [int(v) if v == np.rint(v) else v for v in pd.unique(values.values).tolist()]


def _declared_order(name: str, declared: Mapping[str, tuple[Level, ...]]) -> tuple[Level, ...] | None:
    """The categories' common order; None if every site's are merely sorted: then the lists may differ."""
    if all(list(labels) == sorted(labels) for labels in declared.values()):
        return None
    (site, order), *others = declared.items()
    for other, labels in others:
        if labels != order:
            here, there = f"{list(order)} at site '{site}'", f"{list(labels)} at site '{other}'"
            fault = f"Factor '{name}' declares the categories {here} and {there}."
            raise SiteError(f"{fault} Declare the same list in the same order at all sites.")
    return order
