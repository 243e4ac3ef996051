"""What an expression of a formula is worth, row by row.

Every row is worked out on its own, so no split of the rows over sites changes a bit.  Whole powers are
repeated products and square roots are correctly rounded, hence the same on every processor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sumwise.data.expression import (
    FACTORS,
    LEARNED,
    Binary,
    Call,
    Column,
    Expression,
    Number,
    Prefix,
    Text,
    misplaced,
)
from sumwise.data.values import Values
from sumwise.maths import elementary

FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "abs": np.abs,
    "exp": elementary.exp,
    "log": elementary.log,
    "log10": elementary.log10,
    "log1p": elementary.log1p,
    "log2": elementary.log2,
    "sqrt": np.sqrt,
}
"""Elementary functions by name, float64 (n,) -> float64 (n,), with the same bits on every processor."""

_ARITHMETIC: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}
TRUTH: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "&": np.logical_and,
    "|": np.logical_or,
}
_MOST_POWER = 64


@dataclass(frozen=True, slots=True)
class Learned:
    """Constants of one center() or scale() call, from all sites.  sd: with divisor n - 1; 1 for center()."""

    text: str
    mean: float
    sd: float


def kind_of(expression: Expression, kinds: Mapping[str, str], text: str) -> str:
    """number, boolean, text or factor, worked out from the kinds of the columns alone.

    Raises UsageError, pointing into the formula's text, where kinds do not fit: log() of a text, 1 + urban.
    """
    match expression:
        case Number():
            return "number"
        case Text():
            return "text"
        case Column(name=name):
            return kinds[name]
        case Call(function=function, arguments=(argument,)):
            if function in FACTORS:
                return "factor"
            kind = kind_of(argument, kinds, text)
            if function == "I":
                return kind
            _need_number(argument, kind, text)
        case Prefix(operator=operator, operand=operand):
            _need_number(operand, kind_of(operand, kinds, text), text)
            return "boolean" if operator == "!" else "number"
        case Binary(operator=operator, left=left, right=right):
            sides = [kind_of(left, kinds, text), kind_of(right, kinds, text)]
            if operator in ("==", "!=") and _is_text_test(left, right, sides):
                return "boolean"
            for side, kind in zip((left, right), sides, strict=True):
                _need_number(side, kind, text)
            if operator == "^":
                exponent_of(right, text)
            return "number" if operator in _ARITHMETIC or operator == "^" else "boolean"
    return "number"


def _need_number(part: Expression, kind: str, text: str) -> None:
    """Raises UsageError where a calculation meets a text; booleans count as 0 and 1."""
    if kind in ("text", "factor"):
        what = f"Column '{part.name}' holds texts" if isinstance(part, Column) else "This is a text"
        fault = f'{what}, which cannot be calculated with; compare it with a quoted text, as in (x == "yes").'
        raise misplaced(text, part.at, fault)


def _is_text_test(left: Expression, right: Expression, sides: list[str]) -> bool:
    """column == "text", or the other way round."""
    return (isinstance(right, Text) and isinstance(left, Column) and sides[0] in ("text", "factor")) or (
        isinstance(left, Text) and isinstance(right, Column) and sides[1] in ("text", "factor")
    )


def exponent_of(expression: Expression, text: str) -> float:
    """The value of a written exponent: a whole number up to 64, or 0.5, perhaps with a minus sign."""
    match expression:
        case Number(value=value):
            pass
        case Prefix(operator="-", operand=Number(value=positive)):
            value = -positive
        case _:
            value = np.nan
    if value == 0.5 or (value == np.rint(value) and abs(value) <= _MOST_POWER):
        return float(value)
    fault = f"A power is a whole number up to {_MOST_POWER}, or 0.5 (so that every machine finds the same bits)."
    raise misplaced(text, expression.at, f"{fault} For others write exp(p * log(x)).")


def evaluate(
    expression: Expression, columns: Mapping[str, Values], learned: Mapping[Call, Learned], text: str
) -> np.ndarray:
    """The expression's value for each row: float64 or bool (n,); a constant has shape ().

    columns: no missing values.   Results may be infinite or nan, as in log(0); the caller counts and names
    them. A bare number column comes as it is, perhaps int, perhaps a view: not to be written to.
    """
    match expression:
        case Number(value=value):
            return np.array(value)
        case Column(name=name):
            return columns[name].values
        case Call(function="I", arguments=(argument,)):
            return evaluate(argument, columns, learned, text)
        case Call(function=function, arguments=(argument,)):
            inner = _float(evaluate(argument, columns, learned, text))
            if function in LEARNED:
                return np.divide(inner - learned[expression].mean, learned[expression].sd)
            return FUNCTIONS[function](inner)
        case Prefix(operator=operator, operand=operand):
            inner = evaluate(operand, columns, learned, text)
            if operator == "!":
                return TRUTH["=="](inner, np.array(0))
            return -_float(inner) if operator == "-" else _float(inner)
        case Binary():
            return _binary(expression, columns, learned, text)
    raise AssertionError(f"no value is defined for {expression}")


def _binary(
    expression: Binary, columns: Mapping[str, Values], learned: Mapping[Call, Learned], text: str
) -> np.ndarray:
    operator, left, right = expression.operator, expression.left, expression.right
    if isinstance(left, Text) or isinstance(right, Text):
        return same_text(expression, columns)
    a = evaluate(left, columns, learned, text)
    if operator == "^":
        return _power(_float(a), exponent_of(right, text))
    b = evaluate(right, columns, learned, text)
    if operator in _ARITHMETIC:
        return _ARITHMETIC[operator](_float(a), _float(b))
    return TRUTH[operator](a, b)


def same_text(expression: Binary, columns: Mapping[str, Values]) -> np.ndarray:
    """column == "text": the labels are compared, once each, not the rows."""
    column, wanted = expression.left, expression.right
    if isinstance(column, Text):
        column, wanted = wanted, column
    assert isinstance(column, Column)
    assert isinstance(wanted, Text)
    values = columns[column.name]
    equal = np.array([str(label) == wanted.value for label in values.labels], dtype=bool)
    found = equal[values.values] if len(equal) else np.zeros(len(values), dtype=bool)
    return found if expression.operator == "==" else ~found


def _float(values: np.ndarray) -> np.ndarray:
    """float64, before any arithmetic: integers would wrap where they overflow."""
    return np.asarray(values, dtype=np.float64)


def _power(base: np.ndarray, exponent: float) -> np.ndarray:
    """base^exponent by repeated squaring, from the exponent's highest bit down; then 1/x if negative."""
    if exponent == 0.5:
        return FUNCTIONS["sqrt"](base)
    result = np.ones_like(base)
    for bit in bin(int(abs(exponent)))[2:]:
        result = result * result
        if bit == "1":
            result = result * base
    return np.reciprocal(result) if exponent < 0 else result
