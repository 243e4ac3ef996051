"""What an expression of a formula is worth in one row, in Python's fractions: the plain twin of evaluate_exact."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from fractions import Fraction

from sumwise.data.expression import Binary, Call, Column, Expression, Number, Prefix

_MEANING = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "&": lambda a, b: bool(a) and bool(b),
    "|": lambda a, b: bool(a) or bool(b),
}


def worth(expression: Expression, row: Mapping[str, Fraction]) -> Fraction:
    """The value, exactly; only for numbers, columns, I(), abs() and operators."""
    match expression:
        case Number(text=text):
            return Fraction(text)
        case Column(name=name):
            return row[name]
        case Call(function="I", arguments=(argument,)):
            return worth(argument, row)
        case Call(function="abs", arguments=(argument,)):
            return abs(worth(argument, row))
        case Prefix(operator="-", operand=operand):
            return -worth(operand, row)
        case Prefix(operator="+", operand=operand):
            return worth(operand, row)
        case Prefix(operator="!", operand=operand):
            return Fraction(worth(operand, row) == 0)
        case Binary(operator="^", left=left, right=Number(value=power)):
            return worth(left, row) ** int(power)
        case Binary(operator=sign, left=left, right=right):
            return Fraction(_MEANING[sign](worth(left, row), worth(right, row)))
    raise AssertionError(f"no exact value: {expression}")
