"""The exact twin of `evaluate`: what an expression is worth where its numbers are decimals.

Integers throughout.  What decimals are not closed under (logarithms, roots, 1/3, center) has no exact value here, and
floating point takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pyarrow as pa

from sumwise.data.decimal_text import from_text
from sumwise.data.decimals import Decimals
from sumwise.data.evaluate import TRUTH, exponent_of, same_text
from sumwise.data.expression import Binary, Call, Column, Expression, Number, Prefix, Text
from sumwise.data.values import Values

_ZERO = Decimals(np.zeros(1, dtype=np.int64), 0)


def evaluate_exact(expression: Expression, columns: Mapping[str, Values], text: str) -> Decimals | None:
    """The expression's value for each row, one row for a constant; None where it has no exact value.

    columns, text: as for `evaluate`.   Truth values are 1 and 0.
    """
    match expression:
        case Number():
            return _literal(expression)
        case Column(name=name):
            return exact_values(columns[name])
        case Call(function="I", arguments=(argument,)):
            return evaluate_exact(argument, columns, text)
        case Call(function="abs", arguments=(argument,)):
            inner = evaluate_exact(argument, columns, text)
            return None if inner is None else abs(inner)
        case Prefix(operator=operator, operand=operand):
            inner = evaluate_exact(operand, columns, text)
            if inner is None or operator == "+":
                return inner
            return -inner if operator == "-" else inner.compare(_ZERO, np.equal)
        case Binary(left=left, right=right) if isinstance(left, Text) or isinstance(right, Text):
            return Decimals.of(same_text(expression, columns))
        case Binary():
            return _binary(expression, columns, text)
    return None


def exact_values(values: Values) -> Decimals | None:
    """The numbers or booleans of a column; None for floats whose decimals are not known."""
    if values.exact is None and values.values.dtype.kind in "iub":
        return Decimals.of(values.values)
    return values.exact


def _literal(number: Number) -> Decimals | None:
    read = from_text(pa.array([number.text or repr(number.value)]))
    return None if read is None else read[0]


def _binary(expression: Binary, columns: Mapping[str, Values], text: str) -> Decimals | None:
    operator = expression.operator
    a = evaluate_exact(expression.left, columns, text)
    if a is None:
        return None
    if operator == "^":
        exponent = exponent_of(expression.right, text)
        return a.power(int(exponent)) if exponent >= 0 and exponent.is_integer() else None
    b = evaluate_exact(expression.right, columns, text)
    if b is None:
        return None
    match operator:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "/":
            divisor = _written(expression.right)
            return None if divisor is None else a.divided_by(divisor)
        case "&" | "|":
            a, b = a.compare(_ZERO, np.not_equal), b.compare(_ZERO, np.not_equal)
    return a.compare(b, TRUTH[operator])


def _written(expression: Expression) -> Fraction | None:
    """The value of a written number, perhaps with a minus sign."""
    match expression:
        case Number():
            value = _literal(expression)
            return None if value is None else value.fractions()[0]
        case Prefix(operator="-", operand=Number() as number):
            value = _literal(number)
            return None if value is None else -value.fractions()[0]
    return None
