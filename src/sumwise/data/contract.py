"""The contract: what all sites must agree on before a formula means the same at each of them.

Kinds of columns, levels of factors, the constants of center() and scale(), and the columns of X that follow.
It is worked out from all sites, without their rows being brought together: levels are united, constants
come from exact sums.  No split of the rows over sites changes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sumwise.data.checks import (
    check_family,
    check_has_rows,
    check_missing_option,
    check_some_row_complete,
    complete_rows,
    refuse_missing,
)
from sumwise.data.evaluate import Learned, evaluate, kind_of
from sumwise.data.expression import Call, Column, misplaced, suggest
from sumwise.data.formula import Formula
from sumwise.data.learn import learn
from sumwise.data.levels import levels_of, numbers_among, refuse_names_of_rows, refuse_numbers_in_text
from sumwise.data.random import RandomRule, random_from_dict, random_rules
from sumwise.data.roles import calculated, column_names, factor_like, only_in_factor_calls, used_columns
from sumwise.data.source import Source
from sumwise.data.terms import Level, Part, Product, expand
from sumwise.data.terms import column_names as design_names
from sumwise.data.values import TEXTS, Values, as_kind
from sumwise.data.weights import Weights, parse_weights
from sumwise.errors import DataError, SiteError, UsageError

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
    weights: the expression that weighs the rows, as written; None without.   random: the random-effects terms.
    """

    columns: tuple[ColumnRule, ...]
    learned: tuple[Learned, ...]
    products: tuple[Product, ...]
    names: tuple[str, ...]
    weights: str | None = None
    random: tuple[RandomRule, ...] = ()

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
            weights=values.get("weights"),  # contracts of version 0.1 have none
            random=random_from_dict(values.get("random", ())),
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


def agree(
    formula: Formula,
    sources: Mapping[str, Source],
    *,
    missing: str = "drop",
    weights: str | None = None,
    family: str = "binomial",
) -> Contract:
    """The contract of all sites for this formula.

    missing: "error" refuses missing values here, counted over all sites at once; "drop" ignores their rows.
    Levels are those found in complete rows; center() and scale() use every row that has their own argument,
    complete or not.  Both are R's rules.
    weights: an expression of the data, such as "n" or "1/v", or None.   family: what the response must suit.

    Raises UsageError for a column that no site has, a text where the formula calculates, a response that does not
    suit the family, and a formula without columns; SiteError where sites differ in columns, types or declared
    categories; DataError for missing values, for a factor with a single level, and for weights that are all zero.
    """
    check_missing_option(missing)
    check_family(family)
    check_response_form(formula, family)
    weighing = parse_weights(weights)
    tables, kinds = _read(formula, weighing, sources)
    _check_outcomes(formula, kinds, tables, family)
    _check_predictors(formula, weighing, kinds)
    factors = {column.name for column in _factor_columns(formula, kinds)}
    found: dict[str, tuple[np.ndarray | None, dict[str, int]]] = {}
    if missing == "error" or factors or weighing:
        found = {site: complete_rows(columns) for site, columns in tables.items()}
    keep = {site: rows for site, (rows, _) in found.items()}
    if missing == "error":
        refuse_missing({site: counts for site, (_, counts) in found.items()})
    elif found:
        check_some_row_complete(found)
    if weighing:
        _check_some_weight(weighing, tables, keep)
    rules = [_rule(name, kind, name in factors, tables, keep) for name, kind in kinds.items()]
    _check_undeclared(rules, factors - only_in_factor_calls(formula, weighing), tables)
    atom_levels = _atom_levels(formula, rules)
    products = expand(formula.fixed, tuple(bool(levels) for levels in atom_levels))
    names = design_names(products, [atom.text for atom in formula.atoms], atom_levels)
    _check_unlike(names)
    if not (names or formula.bars):
        fault = "No terms: without an intercept there is no coefficient to estimate; write 1 for an intercept."
        raise misplaced(formula.text, len(formula.text), fault)
    learned = tuple(learn(call, tables, formula.text) for call in formula.learned())
    weighed = weighing.text if weighing else None
    return Contract(tuple(rules), learned, products, names, weighed, random_rules(formula, atom_levels))


def _rule(name: str, kind: str, is_factor: bool, tables: Tables, keep: Mapping[str, np.ndarray | None]) -> ColumnRule:
    """The rule of one column; its levels, if it is a factor, are those of the rows to keep."""
    if not is_factor:
        return ColumnRule(name, kind)
    return ColumnRule(name, kind, levels_of(name, kind, {s: (table[name], keep[s]) for s, table in tables.items()}))


def _read(formula: Formula, weights: Weights | None, sources: Mapping[str, Source]) -> tuple[Tables, dict[str, str]]:
    """Every site's columns, and the kinds they share.

    A CSV file has no types: its column of digits is text as soon as any site holds text there.
    """
    used = used_columns(formula, weights)
    names = list(used)
    for column, text in used.values():
        lacking = [site for site, source in sources.items() if column.name not in source.names]
        if len(lacking) == len(sources):
            known = list(dict.fromkeys(name for source in sources.values() for name in source.names))
            hint = suggest(column.name, known) + _separator_hint(known)
            raise misplaced(text, column.at, f"No column '{column.name}'. {hint}")
        if lacking:
            hint = suggest(column.name, sources[lacking[0]].names)
            raise SiteError(f"Column '{column.name}' is missing at {_sites(lacking)}. {hint}")
    numbers = calculated(formula, weights)
    tables = {site: source.read(names, as_number=numbers) for site, source in sources.items()}
    texts = {name for name in names if any(table[name].kind == "text" for table in tables.values())}
    tables = {
        site: dict(source.read(names, as_text=texts, as_number=numbers - texts)) for site, source in sources.items()
    }
    for site, table in tables.items():
        check_has_rows(site, min((len(values) for values in table.values()), default=1))
    for name in only_in_factor_calls(formula, weights):
        if any(table[name].kind == "number" for table in tables.values()):
            for table in tables.values():
                table[name] = as_kind(table[name], "number")
    used_as_factors = {part.name for a in formula.atoms for part in factor_like(a.expression)}
    return tables, {name: _common_kind(name, tables, name in used_as_factors) for name in names}


def _separator_hint(known: Sequence[str]) -> str:
    """A hint at another separator than the comma, where all names have run into one."""
    found = next((mark for mark in (";", "\t", "|") if len(known) == 1 and mark in known[0]), None)
    if found is None:
        return ""
    return (
        f" That is one column: the file seems to be separated by {found!r}. Sumwise reads commas; read it with "
        f"pandas.read_csv(path, sep={found!r}) and pass the frame, or save it with commas."
    )


def _sites(sites: Sequence[str]) -> str:
    more = f" and {len(sites) - 3} more" if len(sites) > 3 else ""
    return f"site{'s'[: len(sites) > 1]} " + ", ".join(f"'{site}'" for site in sites[:3]) + more


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


def check_response_form(formula: Formula, family: str) -> None:
    """Raises UsageError for cbind() where the family's response is a single number."""
    if family != "binomial" and formula.response.failures is not None:
        explains = "least squares explains" if family == "gaussian" else f"family={family!r} explains"
        fault = f"cbind() is a response of counts, for family='binomial'; {explains} one number a row."
        raise misplaced(formula.text, formula.text.index(formula.response.text), fault)


def _check_outcomes(formula: Formula, kinds: Mapping[str, str], tables: Tables, family: str) -> None:
    """Raises UsageError for a response that is a text, with the expression to write instead."""
    for outcome in formula.outcomes():
        if kind_of(outcome, kinds, formula.text) in TEXTS:
            (name, *_) = column_names(outcome)
            labels = sorted({str(label) for table in tables.values() for label in table[name].labels})
            shown = ", ".join(labels[:4]) + (", .." if len(labels) > 4 else "")
            fault = f"The response '{name}' holds texts ({shown})."
            asked = "Say which of them counts as 1"
            if family == "gaussian":
                fault += numbers_among(labels)
                asked = "Least squares needs numbers: convert them, or say which of the texts counts as 1"
            raise misplaced(formula.text, outcome.at, f'{fault} {asked}: ({name} == "{labels[-1]}").')


def _check_undeclared(rules: Sequence[ColumnRule], factors: Collection[str], tables: Tables) -> None:
    """Raises DataError for a text column that is no factor by its looks, and is not called one with factor(x)."""
    for rule in rules:
        if rule.name in factors and rule.kind == "text":
            refuse_numbers_in_text(rule.name, tables)
            refuse_names_of_rows(rule.name, len(rule.levels), sum(len(table[rule.name]) for table in tables.values()))


def _check_unlike(names: Sequence[str]) -> None:
    """Raises UsageError for two columns of one name."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        fault = f"Two columns of the design are called {_quoted(twice)}: a level of a factor and another column."
        raise UsageError(f"{fault} R names a level by the factor and the level, x1 for level 1 of x. Rename a column.")


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:3]) + (", .." if len(names) > 3 else "")


def _check_predictors(formula: Formula, weights: Weights | None, kinds: Mapping[str, str]) -> None:
    """Raises UsageError where the formula or the weights calculate with texts."""
    for atom in formula.atoms:
        kind = kind_of(atom.expression, kinds, formula.text)
        if kind in TEXTS and not list(factor_like(atom.expression)):
            fault = f"'{atom.text}' is a text; name the column by itself to use it as a factor."
            raise misplaced(formula.text, atom.expression.at, fault)
    for offset in formula.offsets:
        if kind_of(offset, kinds, formula.text) in TEXTS:
            raise misplaced(formula.text, offset.at, "An offset is a number, not a text.")
    if weights and kind_of(weights.expression, kinds, weights.text) in TEXTS:
        raise misplaced(weights.text, weights.expression.at, "A weight is a number, not a text.")


def _check_some_weight(weights: Weights, tables: Tables, keep: Mapping[str, np.ndarray | None]) -> None:
    """Raises DataError if no complete row of any site has a weight other than zero."""
    for site, table in tables.items():
        columns = {column.name: table[column.name] for column in weights.columns()}
        rows = keep[site]
        if rows is not None:
            columns = {name: values.take(rows) for name, values in columns.items()}
        with np.errstate(all="ignore"):
            if np.any(evaluate(weights.expression, columns, {}, weights.text)):
                return
    raise DataError(f"Weights '{weights.text}': all are zero, so no row counts. Weigh some row above zero.")


def _factor_columns(formula: Formula, kinds: Mapping[str, str]) -> Iterable[Column]:
    """The columns whose levels the formula needs."""
    for atom in formula.atoms:
        if kind_of(atom.expression, kinds, formula.text) in TEXTS:
            yield from factor_like(atom.expression)


def _atom_levels(formula: Formula, rules: Sequence[ColumnRule]) -> tuple[tuple[Level, ...], ...]:
    kinds = {rule.name: rule.kind for rule in rules}
    levels = {rule.name: rule.levels for rule in rules}
    found: list[tuple[Level, ...]] = []
    for atom in formula.atoms:
        kind = kind_of(atom.expression, kinds, formula.text)
        columns = list(factor_like(atom.expression))
        if kind == "boolean":
            found.append((False, True))  # as in R, whether or not both occur
        else:
            found.append(levels[columns[0].name] if kind in TEXTS else ())
    return tuple(found)
