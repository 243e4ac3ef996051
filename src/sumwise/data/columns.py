"""The columns of the design matrix, and other numbers of the rows: floats, and exact decimals where those are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data.checks import check_result_finite
from sumwise.data.contract import Contract
from sumwise.data.decimals import Decimals
from sumwise.data.evaluate import Learned, evaluate
from sumwise.data.evaluate_exact import evaluate_exact, exact_values
from sumwise.data.expression import FACTORS, Call, Column, Expression
from sumwise.data.formula import Atom, Formula
from sumwise.data.roles import column_names
from sumwise.data.table import Table
from sumwise.data.terms import Level, Product, choices
from sumwise.data.values import Values
from sumwise.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """One number a row.  values (n,): the float64 nearest to exact, or of any numpy type where exact is None."""

    values: np.ndarray
    exact: Decimals | None = None

    def floats(self) -> NDArray[np.float64]:
        """(n,) float64, a view of `values` where those are float64 already."""
        return np.asarray(self.values, dtype=np.float64)


def number(table: Table, learned: Mapping[Call, Learned], expression: Expression, label: str, text: str) -> Numbers:
    """An expression's values, one a row; of a column, the column itself.

    label: its name, for messages.   text: what it was written in.   Raises DataError where a value is not finite.
    """
    if isinstance(expression, Column):
        values = table.columns[expression.name]
        return Numbers(values.values, exact_values(values) if table.exact or _is_long(values.values) else None)
    exact = evaluate_exact(expression, table.columns, text) if table.exact else None
    if exact is None:
        with np.errstate(all="ignore"):
            floats = evaluate(expression, table.columns, learned, text)
    else:
        exact = exact.repeated(table.n)
        floats = exact.nearest()
    inputs = {name: table.columns[name] for name in dict.fromkeys(column_names(expression))}
    check_result_finite(table.site, label, floats, inputs, table.rows)
    return Numbers(np.broadcast_to(floats, (table.n,)), exact)


def _is_long(values: np.ndarray) -> bool:
    """Whether there are integers that no float64 holds."""
    wide = values.dtype.kind in "iu" and values.dtype.itemsize == 8 and len(values) > 0
    return wide and max(int(values.max()), -int(values.min())) > 2**53


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """The values of one atom.  levels: of a factor, whose numbers are places among them; empty for a number."""

    numbers: Numbers
    levels: tuple[Level, ...]
    inputs: Mapping[str, Values]

    def indicator(self, level: int | None) -> Numbers:
        """1 where the factor has the level and 0 elsewhere; the number itself for None."""
        if level is None:
            return self.numbers
        found = self.numbers.values == level
        return Numbers(found, None if self.numbers.exact is None else Decimals.of(found))


def variables(formula: Formula, contract: Contract, table: Table, products: Sequence[Product]) -> dict[int, Variable]:
    """The values of the atoms that these products are made of, by number."""
    levels, learned = contract.levels(formula), contract.constants(formula)
    wanted = sorted({part.atom for product in products for part in product})
    return {i: _variable(table, learned, formula.atoms[i], levels[i], formula.text) for i in wanted}


def _variable(
    table: Table, learned: Mapping[Call, Learned], atom: Atom, levels: tuple[Level, ...], text: str
) -> Variable:
    expression = atom.expression
    inputs = {name: table.columns[name] for name in column_names(expression)}
    if isinstance(expression, Call) and expression.function in FACTORS:
        (expression,) = expression.arguments
    if levels and isinstance(expression, Column):
        places = _places(table.site, expression.name, table.columns[expression.name], levels)
        return Variable(Numbers(places, Decimals.of(places) if table.exact else None), levels, inputs)
    # of a truth value that is worked out, 0 and 1 are the places of its levels False and True
    return Variable(number(table, learned, expression, atom.text, text), levels, inputs)


def multiplied(table: Table, product: Product, choice: Sequence[int | None], found: Mapping[int, Variable]) -> Numbers:
    """One column of the design matrix, (n,) float64.  Raises nothing: a product may be infinite."""
    factors = [found[part.atom].indicator(level) for part, level in zip(product, choice, strict=True)]
    if not factors:
        return Numbers(np.ones(table.n), Decimals.of(np.ones(table.n, dtype=np.int64)) if table.exact else None)
    exact = factors[0].exact
    for factor in factors[1:]:
        exact = None if exact is None or factor.exact is None else exact * factor.exact
    if exact is not None and len(factors) > 1:
        return Numbers(exact.nearest(), exact)
    column = factors[0].floats()
    with np.errstate(all="ignore"):
        for factor in factors[1:]:
            column = column * factor.values
    return Numbers(column, exact)


def design(
    formula: Formula, contract: Contract, table: Table, products: Sequence[Product], names: Sequence[str]
) -> Iterator[Numbers]:
    """Column by column of the design matrix that the products make, in the order of the names."""
    found, levels = variables(formula, contract, table, products), contract.levels(formula)
    left = iter(names)
    for product in products:
        for choice in choices(product, levels):
            column, name = multiplied(table, product, choice, found), next(left)
            if len(product) > 1:
                inputs = {key: values for part in product for key, values in found[part.atom].inputs.items()}
                check_result_finite(table.site, name, column.values, inputs, table.rows)
            yield column


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
