"""The contract: what all sites must agree on before a formula means the same at each of them.

Kinds of columns, levels of factors, the constants of center() and scale(), and the columns of X that follow.
It is worked out from all sites, without their rows being brought together: levels are united, constants
come from exact sums.  No split of the rows over sites changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from sumwise.data.checks import (
    check_columns_finite,
    check_has_rows,
    check_missing_option,
    check_result_finite,
    check_some_row_complete,
    complete_rows,
    refuse_missing,
)
from sumwise.data.evaluate import Learned, evaluate, kind_of
from sumwise.data.expression import FACTORS, Call, Column, Expression, misplaced, spell, suggest, walk
from sumwise.data.formula import Formula
from sumwise.data.source import Source
from sumwise.data.terms import Level, Part, Product, column_names, expand
from sumwise.data.values import TEXTS, Values, as_kind
from sumwise.errors import DataError, SiteError
from sumwise.maths.exact import ExactSum

Tables = Mapping[str, Mapping[str, Values]]
"""Site -> column -> values."""


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """One column of the data.  kind: number, boolean, text or factor (declared categories).

    levels: of a column used as a factor, reference level first; empty for any other.
    """

    name: str
    kind: str
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """What the sites agreed on.

    columns: the rule for each column that the formula uses.   learned: constants of center() and scale().
    products: what is multiplied to make columns of X.   names: R's names of the p columns of X.
    """

    columns: tuple[ColumnRule, ...]
    learned: tuple[Learned, ...]
    products: tuple[Product, ...]
    names: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The contract in JSON's types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Contract:
        """The contract that `to_dict` wrote, also after a trip through JSON."""
        return cls(
            columns=tuple(ColumnRule(c["name"], c["kind"], tuple(c["levels"])) for c in values["columns"]),
            learned=tuple(Learned(**constants) for constants in values["learned"]),
            products=tuple(tuple(Part(**part) for part in product) for product in values["products"]),
            names=tuple(values["names"]),
        )

    def kinds(self) -> dict[str, str]:
        """Column -> kind."""
        return {rule.name: rule.kind for rule in self.columns}

    def levels(self, formula: Formula) -> tuple[tuple[Level, ...], ...]:
        """The levels of each atom of the formula; empty for a number."""
        return _atom_levels(formula, self.columns)

    def constants(self, formula: Formula) -> dict[Call, Learned]:
        """The learned constants by the call they belong to."""
        return dict(zip(formula.learned(), self.learned, strict=True))


def agree(formula: Formula, sources: Mapping[str, Source], *, missing: str = "drop") -> Contract:
    """The contract of all sites for this formula.

    missing: "error" refuses missing values here, counted over all sites at once; "drop" ignores their rows.
    Levels are those found in complete rows; center() and scale() use every row that has their own argument,
    complete or not.  Both are R's rules.

    Raises UsageError for a column that no site has, or a text where the formula calculates; SiteError where
    sites differ in columns, types or declared categories; DataError for missing values, and for a factor with
    a single level.
    """
    check_missing_option(missing)
    tables, kinds = _read(formula, sources)
    _check_outcomes(formula, kinds, tables)
    _check_predictors(formula, kinds)
    factors = {column.name for column in _factor_columns(formula, kinds)}
    if missing == "error" or factors:
        found = {site: complete_rows(columns) for site, columns in tables.items()}
    if missing == "error":
        refuse_missing({site: counts for site, (_, counts) in found.items()})
    elif factors:
        check_some_row_complete(found)
    for name in factors - _only_in_factor_calls(formula):
        if kinds[name] == "text":
            _refuse_numbers_in_text(name, tables)
    rules = []
    for name, kind in kinds.items():
        levels: tuple[Level, ...] = ()
        if name in factors:
            levels = _levels(name, kind, {site: (table[name], found[site][0]) for site, table in tables.items()})
        rules.append(ColumnRule(name, kind, levels))
    atom_levels = _atom_levels(formula, rules)
    products = expand(formula.fixed, tuple(bool(levels) for levels in atom_levels))
    names = column_names(products, [atom.text for atom in formula.atoms], atom_levels)
    learned = tuple(_learn(call, tables, formula.text) for call in formula.learned())
    return Contract(tuple(rules), learned, products, names)


def _read(formula: Formula, sources: Mapping[str, Source]) -> tuple[Tables, dict[str, str]]:
    """Every site's columns, and the kinds they share.

    A CSV file has no types: its column of digits is text as soon as any site holds text there.
    """
    columns = formula.columns()
    names = [column.name for column in columns]
    for column in columns:
        lacking = [site for site, source in sources.items() if column.name not in source.names]
        if len(lacking) == len(sources):
            known = list(dict.fromkeys(name for source in sources.values() for name in source.names))
            raise misplaced(formula.text, column.at, f"No column '{column.name}'. {suggest(column.name, known)}")
        if lacking:
            hint = suggest(column.name, sources[lacking[0]].names)
            raise SiteError(f"Column '{column.name}' is missing at {_sites(lacking)}. {hint}")
    tables = {site: source.read(names) for site, source in sources.items()}
    texts = {name for name in names if any(table[name].kind == "text" for table in tables.values())}
    tables = {site: source.read(names, as_text=texts) for site, source in sources.items()}
    tables = {site: dict(table) for site, table in tables.items()}
    for site, table in tables.items():
        check_has_rows(site, min((len(values) for values in table.values()), default=1))
    for name in _only_in_factor_calls(formula):
        if any(table[name].kind == "number" for table in tables.values()):
            for table in tables.values():
                table[name] = as_kind(table[name], "number")
    used_as_factors = {part.name for a in formula.atoms for part in _factor_like(a.expression)}
    return tables, {name: _common_kind(name, tables, name in used_as_factors) for name in names}


def _sites(sites: Sequence[str]) -> str:
    more = f" and {len(sites) - 3} more" if len(sites) > 3 else ""
    return f"site{'s'[: len(sites) > 1]} " + ", ".join(f"'{site}'" for site in sites[:3]) + more


def _only_in_factor_calls(formula: Formula) -> set[str]:
    """Columns that the formula uses as factor(x) only: there, numbers and categories that are numbers mean the same."""
    atoms = [atom.expression for atom in formula.atoms]
    inside = {part.name for e in atoms if isinstance(e, Call) for part in _factor_like(e)}
    elsewhere = [e for e in atoms if not (isinstance(e, Call) and list(_factor_like(e)))]
    rest = (*elsewhere, *formula.offsets, *formula.outcomes())
    return inside - {part.name for e in rest for part in walk(e) if isinstance(part, Column)}


def _factor_like(expression: Expression) -> Iterable[Column]:
    """The column of x or factor(x)."""
    match expression:
        case Column():
            yield expression
        case Call(function=function, arguments=(Column() as column,)) if function in FACTORS:
            yield column


def _common_kind(name: str, tables: Tables, has_levels: bool) -> str:
    """The kind of a column at all sites.  Nulls fit every kind; text fits categories unless levels matter."""
    first: dict[str, tuple[str, str]] = {}
    for site, table in tables.items():
        values = table[name]
        if values.kind == "unsupported":
            fault = f"Site '{site}', column '{name}': values of type {values.type} have no place in a model."
            if "binary" in values.type:
                raise DataError(
                    f"{fault} A text file must be in UTF-8; convert it, or read it with its own encoding first."
                )
            raise DataError(f"{fault} Make them numbers (for a date, days since some day) or texts.")
        if values.kind != "empty":
            kind = "text" if values.kind == "factor" and not has_levels else values.kind
            first.setdefault(kind, (site, values.type))
    if not first:
        raise DataError(f"Column '{name}' holds no value at any site. Leave it out of the formula or supply it.")
    if len(first) > 1:
        (kind_a, (site_a, type_a)), (kind_b, (site_b, type_b)) = list(first.items())[:2]
        here, there = f"{type_a} ({kind_a}) at site '{site_a}'", f"{type_b} ({kind_b}) at site '{site_b}'"
        raise SiteError(f"Column '{name}' is {here} and {there}. Give it one type at all sites.")
    return next(iter(first))


def _check_outcomes(formula: Formula, kinds: Mapping[str, str], tables: Tables) -> None:
    """Raises UsageError for a response that is a text, with the expression to write instead."""
    for outcome in formula.outcomes():
        if kind_of(outcome, kinds, formula.text) in TEXTS:
            columns = [part.name for part in walk(outcome) if isinstance(part, Column)]
            labels = sorted({str(label) for table in tables.values() for label in table[columns[0]].labels})
            shown = ", ".join(labels[:4]) + (", .." if len(labels) > 4 else "")
            fault = f"The response '{columns[0]}' holds texts ({shown}). Say which of them counts as 1"
            raise misplaced(formula.text, outcome.at, f'{fault}: ({columns[0]} == "{labels[-1]}").')


def _check_predictors(formula: Formula, kinds: Mapping[str, str]) -> None:
    """Raises UsageError where the formula calculates with texts."""
    for atom in formula.atoms:
        kind = kind_of(atom.expression, kinds, formula.text)
        if kind in TEXTS and not list(_factor_like(atom.expression)):
            fault = f"'{atom.text}' is a text; name the column by itself to use it as a factor."
            raise misplaced(formula.text, atom.expression.at, fault)
    for offset in formula.offsets:
        if kind_of(offset, kinds, formula.text) in TEXTS:
            raise misplaced(formula.text, offset.at, "An offset is a number, not a text.")


def _factor_columns(formula: Formula, kinds: Mapping[str, str]) -> Iterable[Column]:
    """The columns whose levels the formula needs."""
    for atom in formula.atoms:
        if kind_of(atom.expression, kinds, formula.text) in TEXTS:
            yield from _factor_like(atom.expression)


def _atom_levels(formula: Formula, rules: Sequence[ColumnRule]) -> tuple[tuple[Level, ...], ...]:
    kinds = {rule.name: rule.kind for rule in rules}
    levels = {rule.name: rule.levels for rule in rules}
    found: list[tuple[Level, ...]] = []
    for atom in formula.atoms:
        kind = kind_of(atom.expression, kinds, formula.text)
        columns = list(_factor_like(atom.expression))
        if kind == "boolean":
            found.append((False, True))  # as in R, whether or not both occur
        else:
            found.append(levels[columns[0].name] if kind in TEXTS else ())
    return tuple(found)


_NO_NUMBER = {".", "-", "?", "*", "", "#n/a", "na", "nan", "null"}
"""Texts, in lower case, that stand for a missing number in other programs' files."""


def _refuse_numbers_in_text(name: str, tables: Tables) -> None:
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


def _levels(name: str, kind: str, sites: Mapping[str, tuple[Values, np.ndarray | None]]) -> tuple[Level, ...]:
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


def _learn(call: Call, tables: Tables, text: str) -> Learned:
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
