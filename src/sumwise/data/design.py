"""Design blocks: one site's rows as numbers, with the same columns at every site."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data.checks import (
    check_columns_finite,
    check_has_rows,
    check_missing_option,
    check_response,
    check_result_finite,
    check_sizes,
    complete_rows,
    refuse_missing,
)
from sumwise.data.contract import Contract
from sumwise.data.evaluate import evaluate
from sumwise.data.expression import FACTORS, Call, Column, Expression, spell, walk
from sumwise.data.formula import Formula
from sumwise.data.groups import Label, factorise
from sumwise.data.source import Source
from sumwise.data.terms import Level
from sumwise.data.values import TEXTS, Values, as_kind
from sumwise.errors import DataError, SiteError, UsageError


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The predictors of one site's rows, as in DesignBlock.   kept (n,) int64: their places, from 0."""

    x: tuple[NDArray[np.float64], ...]
    columns: tuple[str, ...]
    offset: NDArray[np.float64] | None
    group: NDArray[np.int64]
    groups: tuple[Label, ...]
    kept: NDArray[np.int64]
    dropped: int

    @property
    def X(self) -> NDArray[np.float64]:  # noqa: N802  (the design matrix)
        """The design matrix (n, p), Fortran order: a copy."""
        return _matrix(self.x, len(self.kept))


@dataclass(frozen=True, slots=True, eq=False)
class DesignBlock:
    """One site's rows as numbers, for one model.

    x (p arrays (n,) float64): the columns of the design matrix, views of the caller's table where they are columns of
    it; columns: R's names of them.
    y (n,) float64: successes, or the response; size (n,) float64: trials, 1 for a single response.
    offset (n,) float64: the sum of the offset terms, None without any.
    group (n,) int64: places in `groups`, the sorted labels; both are empty if the formula has no bar.
    dropped: rows left out because a value was missing.
    """

    x: tuple[NDArray[np.float64], ...]
    columns: tuple[str, ...]
    y: NDArray[np.float64]
    size: NDArray[np.float64]
    offset: NDArray[np.float64] | None
    group: NDArray[np.int64]
    groups: tuple[Label, ...]
    dropped: int

    @property
    def X(self) -> NDArray[np.float64]:  # noqa: N802  (the design matrix)
        """The design matrix (n, p), Fortran order: a copy."""
        return _matrix(self.x, len(self.y))


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Complete rows of one site.  rows (n,): their places in the source's table, None if none was dropped."""

    site: str
    columns: Mapping[str, Values]
    n: int
    rows: np.ndarray | None
    dropped: int


def build(
    formula: Formula, contract: Contract, source: Source, *, missing: str = "error", family: str = "binomial"
) -> DesignBlock:
    """One site's design block.

    missing: "error" refuses missing values, "drop" leaves their rows out and counts them.
    Raises SiteError for a site without rows or with columns that break the contract; DataError for missing or
    infinite values, levels that the contract does not know, and responses outside the family's domain.
    """
    table = _table(contract, source, missing, [column.name for column in formula.columns()])
    predictors = _rows(formula, contract, table, grouped=True)
    y = _response(formula, contract, table, formula.response.successes)
    size = np.ones(table.n)
    failures = None
    if formula.response.failures is not None:
        failures = _response(formula, contract, table, formula.response.failures)
        size = y + failures
    check_response(family, table.site, formula.response.text, y, failures, table.rows)
    return DesignBlock(
        x=predictors.x,
        columns=predictors.columns,
        y=y,
        size=size,
        offset=predictors.offset,
        group=predictors.group,
        groups=predictors.groups,
        dropped=table.dropped,
    )


def check_groups_disjoint(blocks: Mapping[str, DesignBlock]) -> None:
    """Raises DataError if a group has rows at two sites: its integral is taken over all its rows at once."""
    owner: dict[int | str, str] = {}
    shared: dict[int | str, str] = {}
    for site, block in blocks.items():
        for label in block.groups:
            first = owner.setdefault(label, site)
            if first != site:
                shared.setdefault(label, f"'{label}' (sites '{first}' and '{site}')")
    if shared:
        count = "1 group has" if len(shared) == 1 else f"{len(shared)} groups have"
        more = ", .." if len(shared) > 3 else ""
        fault = f"{count} rows at more than one site: {', '.join(list(shared.values())[:3])}{more}."
        raise DataError(
            f"{fault} A group must lie within one site. If these are different groups under one label, "
            "make the labels unique, for instance site:group; if one group, bring its rows to one site."
        )


def rows(formula: Formula, contract: Contract, source: Source, *, missing: str = "error", grouped: bool = True) -> Rows:
    """The predictors of new rows; the response need not be there.  grouped: whether the group column must be.

    Raises what `build` raises, but for the response.
    """
    names = [c.name for c in formula.columns(response=False)]
    if not grouped:
        predictors = {p.name for e in formula.predictors() for p in walk(e) if isinstance(p, Column)}
        names = [name for name in names if name in predictors]
    return _rows(formula, contract, _table(contract, source, missing, names), grouped=grouped)


def _table(contract: Contract, source: Source, missing: str, names: Sequence[str]) -> _Table:
    """The columns `names` without incomplete rows."""
    check_missing_option(missing)
    kinds = contract.kinds()
    # digits in a CSV file are text where the sites hold text there, but not where their categories are numbers
    texts = {
        rule.name
        for rule in contract.columns
        if rule.kind in TEXTS and not (rule.levels and all(isinstance(level, (int, float)) for level in rule.levels))
    }
    # `~ 1` uses no column, yet has as many rows as any
    columns = source.read(names or source.names[:1], as_text=texts)
    n = len(next(iter(columns.values()), ()))
    check_has_rows(source.name, n)
    columns = {name: as_kind(columns[name], kinds[name]) for name in names}
    for name, values in columns.items():
        _check_kind(source.name, name, values, kinds[name])
    keep, counts = complete_rows(columns)
    if keep is None:
        check_columns_finite(source.name, columns, None)
        return _Table(source.name, columns, n, None, 0)
    if missing == "error":
        refuse_missing({source.name: counts})
    if not keep.any():
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise SiteError(
            f"Site '{source.name}' has no complete row: missing of {n} rows are {listed}. Leave the site out."
        )
    kept = {name: values.take(keep) for name, values in columns.items()}
    places = np.flatnonzero(keep)
    check_columns_finite(source.name, kept, places)
    return _Table(source.name, kept, len(places), places, n - len(places))


def _check_kind(site: str, name: str, values: Values, kind: str) -> None:
    """Raises SiteError where a column is of another kind than the contract says."""
    if values.kind not in (kind, "empty") and not (values.kind in TEXTS and kind in TEXTS):
        fault = f"Column '{name}' is {values.type} ({values.kind}) at site '{site}'"
        raise SiteError(f"{fault}, but the sites agreed on {kind}. Convert the column.")


def _rows(formula: Formula, contract: Contract, table: _Table, *, grouped: bool) -> Rows:
    x = tuple(_design(formula, contract, table))
    check_sizes(table.site, x, contract.names)
    offset = None
    for expression in formula.offsets:
        term = _number(formula, contract, table, expression, f"offset({spell(expression)})")
        offset = term if offset is None else offset + term
    group, groups = _group(formula, table) if grouped and formula.bars else (np.empty(0, dtype=np.int64), ())
    kept = np.arange(table.n) if table.rows is None else table.rows
    return Rows(x, contract.names, offset, group, groups, kept, table.dropped)


def _response(formula: Formula, contract: Contract, table: _Table, expression: Expression) -> np.ndarray:
    return _number(formula, contract, table, expression, formula.response.text)


def _number(formula: Formula, contract: Contract, table: _Table, expression: Expression, text: str) -> np.ndarray:
    """An expression's values (n,) float64, in an array of their own.  text: its name, if it is not finite."""
    with np.errstate(all="ignore"):
        values = evaluate(expression, table.columns, contract.constants(formula), formula.text)
    if not isinstance(expression, Column):
        names = dict.fromkeys(part.name for part in walk(expression) if isinstance(part, Column))
        check_result_finite(table.site, text, values, {name: table.columns[name] for name in names}, table.rows)
    return np.array(np.broadcast_to(values, (table.n,)), dtype=np.float64)


def _group(formula: Formula, table: _Table) -> tuple[np.ndarray, tuple[Label, ...]]:
    """Codes and labels of the one grouping factor.  Raises UsageError if groups differ or are nested."""
    bar = formula.bars[0]
    names = [column.name for column in bar.columns]
    if not names or any([column.name for column in other.columns] != names for other in formula.bars[1:]):
        listed = ", ".join(bar.text for bar in formula.bars)
        raise UsageError(f"One grouping factor is supported, a column or an interaction a:b; the formula has {listed}.")
    return factorise(table.site, {name: table.columns[name] for name in names})


def _design(formula: Formula, contract: Contract, table: _Table) -> Iterator[np.ndarray]:
    """Column by column of the design matrix: the products of the contract, the first factor of each running fastest."""
    levels = contract.levels(formula)
    values = [_atom(formula, contract, table, i, levels[i]) for i in range(len(formula.atoms))]
    for product in contract.products:
        choices = [range(part.reduced, len(levels[part.atom])) or (None,) for part in product]
        for choice in itertools.product(*reversed(choices)):
            factors = [
                values[part.atom] if level is None else values[part.atom] == level
                for part, level in zip(product, reversed(choice), strict=True)
            ]
            column = np.asarray(factors[0], dtype=np.float64) if factors else np.ones(table.n)
            for factor in factors[1:]:
                column = column * factor
            yield column


def _matrix(x: tuple[np.ndarray, ...], n: int) -> np.ndarray:
    X = np.empty((n, len(x)), order="F")
    for c, column in enumerate(x):
        X[:, c] = column
    return X


def _atom(formula: Formula, contract: Contract, table: _Table, index: int, levels: tuple[Level, ...]) -> np.ndarray:
    """The values of one atom (n,): numbers of any type, or the places of a factor's values in `levels`."""
    atom = formula.atoms[index]
    column = atom.expression
    if isinstance(column, Call) and column.function in FACTORS:
        (column,) = column.arguments
    if not isinstance(column, Column):
        return _number(formula, contract, table, column, atom.text)
    values = table.columns[column.name]
    return _places(table.site, column.name, values, levels) if levels else values.values


def _places(site: str, name: str, values: Values, levels: tuple[Level, ...]) -> np.ndarray:
    """Where among the levels each value stands.  Raises DataError for a value that is none of them."""
    if values.kind == "boolean":
        return values.values.astype(np.int64)
    if values.kind == "number":
        codes, labels = pd.factorize(values.values)
        found: Sequence[Level] = labels.tolist()
    else:
        codes, found = values.values, values.labels
    known = {level: place for place, level in enumerate(levels)}
    places = np.array([known.get(label, -1) for label in found], dtype=np.int64)[codes]
    unseen = places < 0
    if unseen.any():
        strange = list(dict.fromkeys(found[code] for code in codes[unseen].tolist()))
        shown = ", ".join(f"'{level}'" for level in strange[:3]) + (", .." if len(strange) > 3 else "")
        fault = f"Site '{site}', column '{name}': unknown levels in {int(unseen.sum())} of {len(unseen)} rows: {shown}."
        raise DataError(f"{fault} Known are {', '.join(str(level) for level in levels[:20])}.")
    return places
