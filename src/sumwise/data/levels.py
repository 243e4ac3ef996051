"""The levels of a factor, from all sites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from sumwise.data.terms import Level
from sumwise.data.values import TEXTS, Values
from sumwise.errors import DataError, SiteError

_NO_NUMBER = {".", "-", "?", "*", "", "#n/a", "na", "nan", "null"}
"""Texts, in lower case, that stand for a missing number in other programs' files."""


def refuse_numbers_in_text(name: str, tables: Mapping[str, Mapping[str, Values]]) -> None:
    """Raises DataError for a column of numbers that a few signs for missing values have turned into text."""
    labels = {str(label) for table in tables.values() for label in table[name].labels}
    signs = sorted(label for label in labels if label.strip().lower() in _NO_NUMBER)
    try:
        numbers = [float(label) for label in labels if label not in signs]
    except ValueError:
        return
    if signs and len(numbers) > 1:
        shown = ", ".join(map(repr, signs))
        raise DataError(
            f"Column '{name}' is text, but all its values are numbers except {shown}. Leave such fields empty in the "
            f"file, or write factor({name}) if they are levels."
        )


def numbers_among(labels: Sequence[str]) -> str:
    """ " 30 of its 32 values are numbers; not '.', 'n/a'." where most texts are; empty where they are not."""
    strange = [label for label in labels if not _is_number(label)]
    if 2 * len(strange) >= len(labels):
        return ""
    if not strange:
        return " All of them are numbers, but their column is text."
    shown = ", ".join(map(repr, strange[:4])) + (", .." if len(strange) > 4 else "")
    return f" {len(labels) - len(strange)} of its {len(labels)} values are numbers, but not {shown}."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
