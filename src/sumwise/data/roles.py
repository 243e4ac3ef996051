"""What a formula uses each column for: to calculate, as a factor, as a group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sumwise.data.expression import FACTORS, Binary, Call, Column, Expression, Text, walk
from sumwise.data.formula import Formula
from sumwise.data.weights import Weights


def used_columns(formula: Formula, weights: Weights | None) -> dict[str, tuple[Column, str]]:
    """Name -> (the column at the place of its first use, the text that it stands in)."""
    used = {column.name: (column, formula.text) for column in formula.columns()}
    for column in weights.columns() if weights else ():
        used.setdefault(column.name, (column, weights.text if weights else ""))
    return used


def calculated(formula: Formula, weights: Weights | None) -> set[str]:
    """Columns that stand where a number may: all but those of factor(x), of bars, and those compared with texts."""
    found: set[str] = set()
    texts: set[str] = set()
    weighing = (weights.expression,) if weights else ()
    for expression in (*formula.outcomes(), *formula.predictors(), *weighing):
        for part in walk(expression):
            if isinstance(part, Binary) and isinstance(part.left, Text) + isinstance(part.right, Text):
                texts |= {side.name for side in (part.left, part.right) if isinstance(side, Column)}
        if not (isinstance(expression, Call) and expression.function in FACTORS):
            found |= set(column_names(expression))
    return found - texts


def column_names(expression: Expression) -> Iterator[str]:
    """The columns of an expression, from left to right, each as often as it stands there."""
    return (part.name for part in walk(expression) if isinstance(part, Column))


def only_in_factor_calls(formula: Formula, weights: Weights | None = None) -> set[str]:
    """Columns that the formula uses as factor(x) only: there, numbers and categories that are numbers mean the same."""
    atoms = [atom.expression for atom in formula.atoms]
    inside = {part.name for e in atoms if isinstance(e, Call) for part in factor_like(e)}
    elsewhere = [e for e in atoms if not (isinstance(e, Call) and list(factor_like(e)))]
    weighing = (weights.expression,) if weights else ()
    rest = (*elsewhere, *formula.offsets, *formula.outcomes(), *weighing)
    return inside - {part.name for e in rest for part in walk(e) if isinstance(part, Column)}


def factor_like(expression: Expression) -> Iterable[Column]:
    """The column of x or factor(x)."""
    match expression:
        case Column():
            yield expression
        case Call(function=function, arguments=(Column() as column,)) if function in FACTORS:
            yield column
