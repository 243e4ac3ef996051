"""Design blocks: one site's rows as numbers, with the same columns at every site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sumwise.data.checks import IN_NEW_ROWS, check_family, check_response, check_sizes
from sumwise.data.columns import Numbers, design, number
from sumwise.data.contract import Contract, check_response_form
from sumwise.data.decimals import Decimals
from sumwise.data.expression import Column, spell, walk
from sumwise.data.formula import Formula
from sumwise.data.groups import Label, factorise
from sumwise.data.roles import used_columns
from sumwise.data.source import Source
from sumwise.data.table import Table, complete_table
from sumwise.data.weights import check_weights, parse_weights
from sumwise.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class RandomTerm:
    """One random-effects term in one site's rows: q effects, which may correlate, for each group of a factor.

    factor: its name; columns: names of the effects; z (q arrays (n,) float64): the columns of Z.
    group (n,) int64: places in `groups`, the sorted labels.
    """

    factor: str
    columns: tuple[str, ...]
    z: tuple[NDArray[np.float64], ...]
    group: NDArray[np.int64]
    groups: tuple[Label, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The predictors of one site's rows, as in DesignBlock.   kept (n,) int64: their places, from 0."""

    x: tuple[NDArray[np.float64], ...]
    columns: tuple[str, ...]
    offset: NDArray[np.float64] | None
    random: tuple[RandomTerm, ...]
    kept: NDArray[np.int64]
    dropped: int
    exact: tuple[Decimals | None, ...]
    offset_exact: Decimals | None

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
    random: the random-effects terms, none if the formula has no bar.
    kept (n,) int64: the rows' places in the table, from 0; dropped: rows left out because a value was missing.
    weights (n,) float64: zero or more, None without any.
    exact (p), y_exact, offset_exact, weights_exact: the same numbers as exact decimals (n,), of which the floats are
    the nearest; None where decimals are not kept, where the formula has a bar, and for what no decimal is, as log(x).
    """

    x: tuple[NDArray[np.float64], ...]
    columns: tuple[str, ...]
    y: NDArray[np.float64]
    size: NDArray[np.float64]
    offset: NDArray[np.float64] | None
    random: tuple[RandomTerm, ...]
    kept: NDArray[np.int64]
    dropped: int
    weights: NDArray[np.float64] | None
    exact: tuple[Decimals | None, ...]
    y_exact: Decimals | None
    offset_exact: Decimals | None
    weights_exact: Decimals | None

    @property
    def X(self) -> NDArray[np.float64]:  # noqa: N802  (the design matrix)
        """The design matrix (n, p), Fortran order: a copy."""
        return _matrix(self.x, len(self.y))

    @property
    def group(self) -> NDArray[np.int64]:
        """(n,) places in `groups`, of a model with one grouping factor."""
        return self.random[0].group

    @property
    def z(self) -> tuple[NDArray[np.float64], ...]:
        """The columns of Z of all terms, (n,) each, of a model with one grouping factor."""
        return tuple(column for term in self.random for column in term.z)

    @property
    def groups(self) -> tuple[Label, ...]:
        """Sorted labels of the one grouping factor."""
        return self.random[0].groups


def build(
    formula: Formula, contract: Contract, source: Source, *, missing: str = "error", family: str = "binomial"
) -> DesignBlock:
    """One site's design block, weighted as the contract says.

    missing: "error" refuses missing values, "drop" leaves their rows out and counts them.
    Raises SiteError for a site without rows or with columns that break the contract; DataError for missing or
    infinite values, levels that the contract does not know, responses outside the family's domain, and negative
    weights; UsageError for a response that does not suit the family.
    """
    check_family(family)
    check_response_form(formula, family)
    names = list(used_columns(formula, parse_weights(contract.weights)))
    table = complete_table(contract, source, missing, names, exact=not formula.bars)
    predictors = _rows(formula, contract, table, grouped=True)
    if family != "gaussian":
        check_sizes(table.site, predictors.x, contract.names)
    y, y_exact, size = _response(formula, contract, table, family)
    weights = row_weights(contract, table)
    return DesignBlock(
        x=predictors.x,
        columns=predictors.columns,
        y=y,
        size=size,
        offset=predictors.offset,
        random=predictors.random,
        kept=predictors.kept,
        dropped=table.dropped,
        weights=None if weights is None else weights.floats(),
        exact=predictors.exact,
        y_exact=y_exact,
        offset_exact=predictors.offset_exact,
        weights_exact=None if weights is None else weights.exact,
    )


def check_groups_disjoint(blocks: Mapping[str, DesignBlock]) -> None:
    """Raises DataError if a group has rows at two sites: its effects depend on all its rows at once."""
    owner: dict[tuple[str, Label], str] = {}
    shared: dict[tuple[str, Label], str] = {}
    for site, block in blocks.items():
        for term in {term.factor: term for term in block.random}.values():
            for label in term.groups if len(blocks) > 1 else ():
                first = owner.setdefault((term.factor, label), site)
                if first != site:
                    shared.setdefault((term.factor, label), f"'{label}' (sites '{first}' and '{site}')")
    if shared:
        count = "1 group has" if len(shared) == 1 else f"{len(shared)} groups have"
        more = ", .." if len(shared) > 3 else ""
        fault = f"{count} rows at more than one site: {', '.join(list(shared.values())[:3])}{more}."
        factor = next(iter(shared))[0]
        raise DataError(
            f"{fault} A group of '{factor}' must lie within one site. If these are different groups under one label, "
            f"make the labels unique, for instance site:{factor}; if one group, bring its rows to one site."
        )


def rows(formula: Formula, contract: Contract, source: Source, *, missing: str = "error", grouped: bool = True) -> Rows:
    """The predictors of new rows; the response need not be there.  grouped: whether the group column must be.

    Raises what `build` raises, but for the response and the weights.
    """
    names = [c.name for c in formula.columns(response=False)]
    if not grouped:
        predictors = {p.name for e in formula.predictors(random=False) for p in walk(e) if isinstance(p, Column)}
        names = [name for name in names if name in predictors]
    table = complete_table(contract, source, missing, names, exact=not formula.bars, remedy=IN_NEW_ROWS)
    found = _rows(formula, contract, table, grouped=grouped)
    if formula.bars:
        check_sizes(table.site, found.x, contract.names)
    return found


def _rows(formula: Formula, contract: Contract, table: Table, *, grouped: bool) -> Rows:
    columns = tuple(design(formula, contract, table, contract.products, contract.names))
    offset = _offset(formula, contract, table)
    return Rows(
        x=tuple(column.floats() for column in columns),
        columns=contract.names,
        offset=None if offset is None else offset.floats(),
        random=_random(formula, contract, table) if grouped else (),
        kept=np.arange(table.n) if table.rows is None else table.rows,
        dropped=table.dropped,
        exact=tuple(column.exact for column in columns),
        offset_exact=None if offset is None else offset.exact,
    )


def _offset(formula: Formula, contract: Contract, table: Table) -> Numbers | None:
    """The sum of the offset terms, in an array of its own."""
    constants, total = contract.constants(formula), None
    for expression in formula.offsets:
        term = number(table, constants, expression, f"offset({spell(expression)})", formula.text)
        if total is None:
            total = Numbers(np.array(term.values, dtype=np.float64), term.exact)
        elif total.exact is not None and term.exact is not None:
            exact = total.exact + term.exact
            total = Numbers(exact.nearest(), exact)
        else:
            total = Numbers(total.floats() + term.floats())
    return total


def _response(
    formula: Formula, contract: Contract, table: Table, family: str
) -> tuple[NDArray[np.float64], Decimals | None, NDArray[np.float64]]:
    """(y, y as decimals, size).  y of least squares may be a view of the caller's column."""
    response, constants = formula.response, contract.constants(formula)
    found = number(table, constants, response.successes, response.text, formula.text)
    if family == "gaussian":
        return found.floats(), found.exact, np.broadcast_to(1.0, (table.n,))
    y, size, failures = np.array(found.values, dtype=np.float64), np.ones(table.n), None
    if response.failures is not None:
        failures = number(table, constants, response.failures, response.text, formula.text).floats()
        size = y + failures
    check_response(family, table.site, response.text, y, failures, table.rows)
    return y, found.exact, size


def row_weights(contract: Contract, table: Table) -> Numbers | None:
    """The weights of the rows, None without.  Raises DataError for a negative one."""
    weights = parse_weights(contract.weights)
    if weights is None:
        return None
    found = number(table, {}, weights.expression, f"weights: {weights.text}", weights.text)
    check_weights(table.site, weights.text, found.floats(), table.rows)
    return found


def _random(formula: Formula, contract: Contract, table: Table) -> tuple[RandomTerm, ...]:
    """The random-effects terms of the contract; terms of one factor share its codes."""
    factors: dict[tuple[str, ...], tuple[NDArray[np.int64], tuple[Label, ...]]] = {}
    found = []
    for rule in contract.random:
        if rule.columns not in factors:
            factors[rule.columns] = factorise(table.site, {name: table.columns[name] for name in rule.columns})
        z = tuple(column.floats() for column in design(formula, contract, table, rule.products, rule.names))
        check_sizes(table.site, z, rule.names)
        found.append(RandomTerm(rule.group, rule.names, z, *factors[rule.columns]))
    return tuple(found)


def _matrix(x: tuple[np.ndarray, ...], n: int) -> np.ndarray:
    X = np.empty((n, len(x)), order="F")
    for c, column in enumerate(x):
        X[:, c] = column
    return X
