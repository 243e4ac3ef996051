"""How far the design may be off because its inputs are only good to their last printed digit.

A column printed with s decimals is good to half a unit of the last: 0.5 * 10^-s; floats that need all their digits to
half a unit of the last place, 2^-53 of their size.  What a formula makes of a column, I(x^2) or log(x), is worked out
again with the column moved up and down by that much.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from sumwise.data.columns import Numbers, Variable, multiplied, variables
from sumwise.data.contract import Contract, check_response_form
from sumwise.data.decimal_text import few_places
from sumwise.data.design import row_weights
from sumwise.data.evaluate import evaluate
from sumwise.data.expression import FACTORS, Call, Column, Expression, suggest
from sumwise.data.formula import Formula
from sumwise.data.roles import calculated, column_names, used_columns
from sumwise.data.source import Source
from sumwise.data.table import Table, complete_table
from sumwise.data.terms import Product, choices
from sumwise.data.values import Values
from sumwise.data.weights import parse_weights
from sumwise.errors import UsageError
from sumwise.maths.gram import Gram

_IN_FULL = 10**15
"""Numbers of 16 digits and more: a float64 is not sure of their last one."""

LAST_PLACE = 2.0**-53
"""Half a unit in the last place of a float64, relative to the number."""


@dataclass(frozen=True, slots=True, eq=False)
class InputErrors:
    """How far the inputs of least squares may be off.

    x (p,), y: for each column of the design and for the response (less its offset), the sum over all rows of the square
    of the largest error, times the row's weight; infinite beyond the range of float64.
    columns: the largest error of each number column of the data, absolute, or relative to its values where asked so.
    in_full: columns of floats that need all their digits, good to half a unit of the last place.
    """

    x: NDArray[np.float64]
    y: float
    columns: Mapping[str, float]
    in_full: tuple[str, ...] = ()


def input_errors(
    formula: Formula,
    contract: Contract,
    sources: Mapping[str, Source],
    *,
    missing: str = "error",
    stated: Mapping[str, float] | None = None,
    relative: float | None = None,
    gram: Gram | None = None,
) -> InputErrors:
    """The errors of the inputs, over all sites: the same bits for any split of the rows.

    stated: {column of the data: absolute error}, in place of the printed precision.   relative: the relative error of
    all other number columns, in place of theirs.   Whole numbers, truth values, factors and weights count as exact
    unless stated otherwise.  A derived column's error is the sum over the data's columns of the larger change as one of
    them moves up or down by its error.
    gram: cross-products of the design and the response (less its offset), if they are there: they hold the sums of most
    columns that are the data's own, and spare a pass over each.

    Raises UsageError for an error that is negative or not finite, and for a stated column that the formula does not
    calculate with; and what `build` raises for the rows.
    """
    check_response_form(formula, "gaussian")
    names = list(used_columns(formula, parse_weights(contract.weights)))
    tables = [complete_table(contract, source, missing, names, exact=False) for source in sources.values()]
    moves, in_full = moves_of(formula, contract, tables, stated=stated, relative=relative)
    found = {name: 0.0 if name in in_full else move.absolute or move.relative for name, move in moves.items()}
    moves = {name: move for name, move in moves.items() if move != Move()}
    known = {} if gram is None else _known(formula, contract, moves, gram)
    sites = [list(_Site(formula, contract, table, moves).sums(known)) for table in tables]
    sums = ([known[c]] if c in known else parts for c, parts in enumerate(zip(*sites, strict=True)))
    *x, y = map(_rounded, sums)
    return InputErrors(np.array(x, dtype=np.float64), y, found, in_full)


def moves_of(
    formula: Formula,
    contract: Contract,
    tables: Sequence[Table],
    *,
    stated: Mapping[str, float] | None,
    relative: float | None,
) -> tuple[dict[str, Move], tuple[str, ...]]:
    """How far each number column of the data may be off, and which need all digits of a float; see `input_errors`."""
    kinds = contract.kinds()
    raw = [name for name in kinds if kinds[name] == "number" and name in calculated(formula, None)]
    stated = dict(stated or {})
    _check_stated(stated, relative, raw)
    moves: dict[str, Move] = {}
    in_full: list[str] = []
    for name in raw:
        if name in stated:
            moves[name] = Move(absolute=stated[name])
        elif relative is not None:
            moves[name] = Move(relative=relative)
        elif (printed := _printed([table.columns[name] for table in tables])) is not None:
            moves[name] = Move(absolute=printed)
        else:
            moves[name] = Move(relative=LAST_PLACE)
            in_full.append(name)
    return moves, tuple(in_full)


def _check_stated(stated: Mapping[str, float], relative: float | None, raw: Sequence[str]) -> None:
    for name, error in stated.items():
        if name not in raw:
            fault = f"An error is stated for '{name}', which is no number column that the formula calculates with."
            raise UsageError(f"{fault} {suggest(name, raw)}")
        if not isinstance(error, (int, float, np.number)) or not 0 <= error < np.inf:
            raise UsageError(f"The error stated for column '{name}' is {error!r}; it must be zero or more, and finite.")
    if relative is not None and not 0 <= relative < np.inf:
        raise UsageError(f"relative={relative!r}: a relative error is zero or more, and finite.")


def _printed(columns: Sequence[Values]) -> float | None:
    """Half a unit of the last decimal that any site's values have; 0 for whole numbers, None for floats in full."""
    most = 0
    for values in columns:
        decimals, largest = 0, 0.0
        if values.exact is not None:
            decimals, largest = values.exact.decimals, values.exact.largest()
        elif values.values.dtype.kind == "f":
            places = few_places(values.values)
            if places is None:
                return None if bool((values.values != np.rint(values.values)).any()) else 0.0
            decimals, largest = places, np.rint(_largest(values.values) * 10.0**places)
        if decimals and largest >= _IN_FULL:
            return None
        most = max(most, decimals)
    return 0.5 / 10**most if most else 0.0


def _largest(values: np.ndarray) -> float:
    """The largest size of a number, without a copy of them."""
    return max(float(values.max(initial=0)), -float(values.min(initial=0)))


@dataclass(frozen=True, slots=True)
class Move:
    """How far a column of the data may be off: absolute + relative * its size."""

    absolute: float = 0.0
    relative: float = 0.0

    def of(self, values: np.ndarray) -> NDArray[np.float64]:
        """(n,) for values (n,)."""
        return self.absolute + self.relative * np.abs(values.astype(np.float64, copy=False))


def _known(formula: Formula, contract: Contract, moves: Mapping[str, Move], gram: Gram) -> dict[int, Fraction]:
    """By place among the columns of the design and the response: sums of squared errors that follow from the Gram.

    These are sum w (e x)^2 = e^2 sum w x^2 of floats in full, whose e is a power of two, so that each error is the same
    number as a float; and n e^2 of an absolute error without weights.
    """
    found = {}
    for place, name in enumerate(_own_columns(formula, contract)):
        move = moves.get(name)
        if move is None:
            continue
        if move == Move(relative=LAST_PLACE) and not gram.decimals[place]:
            found[place] = Fraction(LAST_PLACE) ** 2 * gram.fraction(place, place)
        elif not move.relative and contract.weights is None:
            found[place] = Fraction(move.absolute) ** 2 * gram.rows
    return found


def _own_columns(formula: Formula, contract: Contract) -> Iterator[str]:
    """For each column of the design, then the response, the column of the data that it is; "" for what is derived."""
    for product in contract.products:
        own = [e.name for part in product if isinstance(e := formula.atoms[part.atom].expression, Column)]
        for _ in choices(product, contract.levels(formula)):
            yield own[0] if len(product) == len(own) == 1 else ""
    response = formula.response.successes
    yield response.name if isinstance(response, Column) and not formula.offsets else ""


@dataclass(frozen=True, slots=True, eq=False)
class _Site:
    """The errors at one site.  moves: of the columns that are not exact."""

    formula: Formula
    contract: Contract
    table: Table
    moves: Mapping[str, Move]

    def sums(self, known: Collection[int]) -> Iterator[Fraction | None]:
        """The weighted sum of squared errors of each column of the design, then of the response; None for infinite.

        known: places that are passed over.
        """
        products, levels = self.contract.products, self.contract.levels(self.formula)
        found = variables(self.formula, self.contract, self.table, products)
        given = row_weights(self.contract, self.table)
        weights = None if given is None else given.floats()
        with np.errstate(all="ignore"):
            design = [(product, c) for product in products for c in choices(product, levels)]
            for place, (product, choice) in enumerate(design):
                error = None if place in known else self._of_column(product, choice, found)
                yield _sum_of_squares(error, weights)
            yield _sum_of_squares(None if len(design) in known else self._of_response(), weights)

    def _of_column(
        self, product: Product, choice: Sequence[int | None], found: Mapping[int, Variable]
    ) -> NDArray[np.float64] | None:
        numbers = [part.atom for part in product if not found[part.atom].levels or self._is_worked_out(part.atom)]
        if len(product) == 1 and len(numbers) == 1:
            return self._of_expressions([self.formula.atoms[numbers[0]].expression])
        moving = {name for atom in numbers for name in found[atom].inputs} & self.moves.keys()
        if not moving:
            return None
        base = multiplied(self.table, product, choice, found).values
        error = np.zeros(self.table.n)
        for name in sorted(moving):
            moved = []
            for columns in self._moved(name):
                there = dict(found)
                for atom in numbers:
                    if name in found[atom].inputs:
                        values = self._evaluated(self.formula.atoms[atom].expression, columns)
                        there[atom] = replace(found[atom], numbers=Numbers(values))
                moved.append(multiplied(self.table, product, choice, there).values)
            error += _larger_change(base, moved)
        return error

    def _is_worked_out(self, atom: int) -> bool:
        """Whether a factor is a calculation, as I(x > 1), and no column."""
        expression = self.formula.atoms[atom].expression
        is_factor = isinstance(expression, Call) and expression.function in FACTORS
        return not (is_factor or isinstance(expression, Column))

    def _of_response(self) -> NDArray[np.float64] | None:
        return self._of_expressions([self.formula.response.successes, *self.formula.offsets])

    def _of_expressions(self, expressions: Sequence[Expression]) -> NDArray[np.float64] | None:
        """(n,) the error of the first expression less all others; None where it is exact."""
        first, *others = expressions
        moving = {name for e in expressions for name in column_names(e)} & self.moves.keys()
        if not moving:
            return None
        if isinstance(first, Column) and not others:
            return self._error(first.name)
        base = self._difference(first, others, self.table.columns)
        error = np.zeros(self.table.n)
        for name in sorted(moving):
            error += _larger_change(base, [self._difference(first, others, there) for there in self._moved(name)])
        return error

    def _difference(
        self, first: Expression, others: Sequence[Expression], columns: Mapping[str, Values]
    ) -> NDArray[np.float64]:
        values = self._evaluated(first, columns).astype(np.float64)
        for other in others:
            values = values - self._evaluated(other, columns)
        return values

    def _evaluated(self, expression: Expression, columns: Mapping[str, Values]) -> np.ndarray:
        values = evaluate(expression, columns, self.contract.constants(self.formula), self.formula.text)
        return np.broadcast_to(values, (self.table.n,))

    def _error(self, name: str) -> NDArray[np.float64]:
        return self.moves[name].of(self.table.columns[name].values)

    def _moved(self, name: str) -> Iterator[Mapping[str, Values]]:
        """The columns of the data, with one of them higher, then lower, by its error."""
        values = self.table.columns[name]
        error = self._error(name)
        for moved in (values.values + error, values.values - error):
            yield {**self.table.columns, name: Values("number", values.type, moved)}


def _larger_change(base: np.ndarray, moved: Sequence[np.ndarray]) -> NDArray[np.float64]:
    """The larger of the finite changes, row by row; where log(x - e) and the like have none, the value itself."""
    changes = [np.abs(np.asarray(there, dtype=np.float64) - base) for there in moved]
    finite = [np.where(np.isfinite(change), change, np.nan) for change in changes]
    larger: NDArray[np.float64] = reduce(np.fmax, finite)
    return np.where(np.isnan(larger), np.abs(base), larger)


def _sum_of_squares(error: NDArray[np.float64] | None, weights: NDArray[np.float64] | None) -> Fraction | None:
    """The sum of w e^2; None for an error beyond float64."""
    if error is None:
        return Fraction(0)
    return Gram.of([error], weights).fraction(0, 0) if np.isfinite(error).all() else None


def _rounded(parts: Sequence[Fraction | None]) -> float:
    """The sum over sites, infinite beyond float64."""
    known = [part for part in parts if part is not None]
    try:
        return float(sum(known, Fraction(0))) if len(known) == len(parts) else np.inf
    except OverflowError:
        return np.inf
