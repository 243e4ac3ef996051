"""One site's complete rows: the columns that a formula uses, of the kinds that the sites agreed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sumwise.data.checks import (
    IN_A_FIT,
    check_columns_finite,
    check_has_rows,
    check_missing_option,
    complete_rows,
    refuse_missing,
)
from sumwise.data.contract import Contract
from sumwise.data.source import Source
from sumwise.data.values import TEXTS, Values, as_kind
from sumwise.errors import SiteError


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Complete rows of one site.

    rows (n,): their places in the source's table, None if none was dropped.   dropped: how many were.
    exact: whether numbers are to be kept as decimals.
    """

    site: str
    columns: Mapping[str, Values]
    n: int
    rows: np.ndarray | None
    dropped: int
    exact: bool


def complete_table(
    contract: Contract, source: Source, missing: str, names: Sequence[str], *, exact: bool, remedy: str = IN_A_FIT
) -> Table:
    """The columns `names` without incomplete rows.

    exact: whether decimals are of use, where the source has them.   remedy: see refuse_missing.
    """
    check_missing_option(missing)
    kinds = contract.kinds()
    numbers = {name for name, kind in kinds.items() if kind == "number"}
    # `~ 1` uses no column, yet has as many rows as any
    columns = source.read(names or source.names[:1], as_text=_texts(contract), as_number=numbers)
    n = len(next(iter(columns.values()), ()))
    check_has_rows(source.name, n)
    columns = {name: as_kind(columns[name], kinds[name]) for name in names}
    for name, values in columns.items():
        _check_kind(source.name, name, values, kinds[name])
    exact = exact and (source.decimal or any(values.exact is not None for values in columns.values()))
    keep, counts = complete_rows(columns)
    if keep is None:
        check_columns_finite(source.name, columns, None)
        return Table(source.name, columns, n, None, 0, exact)
    if missing == "error":
        refuse_missing({source.name: counts}, remedy)
    if not keep.any():
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise SiteError(
            f"Site '{source.name}' has no complete row: missing of {n} rows are {listed}. Leave the site out."
        )
    kept = {name: values.take(keep) for name, values in columns.items()}
    places = np.flatnonzero(keep)
    check_columns_finite(source.name, kept, places)
    return Table(source.name, kept, len(places), places, n - len(places), exact)


def _texts(contract: Contract) -> set[str]:
    """Digits in a CSV file are text where the sites hold text there, but not where their categories are numbers."""
    return {
        rule.name
        for rule in contract.columns
        if rule.kind in TEXTS and not (rule.levels and all(isinstance(level, (int, float)) for level in rule.levels))
    }


def _check_kind(site: str, name: str, values: Values, kind: str) -> None:
    """Raises SiteError where a column is of another kind than the contract says."""
    if values.kind not in (kind, "empty") and not (values.kind in TEXTS and kind in TEXTS):
        fault = f"Column '{name}' is {values.type} ({values.kind}) at site '{site}'"
        raise SiteError(f"{fault}, but the sites agreed on {kind}. Convert the column.")
