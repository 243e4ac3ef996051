"""The constants of center() and scale(), from the rows of all sites."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sumwise.data.checks import check_columns_finite, check_result_finite, complete_rows
from sumwise.data.evaluate import Learned, evaluate
from sumwise.data.expression import Call, Column, Expression, spell, walk
from sumwise.data.values import Values
from sumwise.errors import DataError
from sumwise.maths.exact import ExactSum


def learn(call: Call, tables: Mapping[str, Mapping[str, Values]], text: str) -> Learned:
    """Mean and, for scale(), standard deviation (divisor n - 1) over the rows of all sites, from exact sums.

    Raises DataError for values that are infinite, and for a scale() of values that do not vary.
    """
    (argument,) = call.arguments
    parts = [_argument(site, argument, table, text) for site, table in tables.items()]
    n = sum(len(part) for part in parts)
    mean = _exact_total(parts, lambda x: x) / max(n, 1)
    if call.function == "center":
        return Learned(spell(call), mean, 1.0)
    sd = float(np.sqrt(_exact_total(parts, lambda x: (x - mean) ** 2) / max(n - 1, 1)))
    if sd == 0:
        raise DataError(f"{spell(call)}: all {n} values are {mean!r}; what does not vary cannot be scaled.")
    return Learned(spell(call), mean, sd)


def _exact_total(parts: Sequence[np.ndarray], of: Callable[[np.ndarray], np.ndarray]) -> float:
    total = ExactSum.zeros()
    for part in parts:
        total = total + ExactSum.of(of(part))
    return float(total.round())


def _argument(site: str, argument: Expression, table: Mapping[str, Values], text: str) -> np.ndarray:
    """The finite values of an expression at one site, rows without its columns left out."""
    names = dict.fromkeys(part.name for part in walk(argument) if isinstance(part, Column))
    columns = {name: table[name] for name in names}
    keep, _ = complete_rows(columns)
    rows = None
    if keep is not None:
        rows = np.flatnonzero(keep)
        columns = {name: values.take(keep) for name, values in columns.items()}
    check_columns_finite(site, columns, rows)
    with np.errstate(all="ignore"):
        values = np.asarray(evaluate(argument, columns, {}, text), dtype=np.float64)
    check_result_finite(site, spell(argument), values, columns, rows)
    return values
