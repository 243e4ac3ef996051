"""Weights of rows: an expression of the data, parsed as formulas are and never run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sumwise.data.checks import where
from sumwise.data.expression import LEARNED, Call, Column, Expression, misplaced, tokenize, walk
from sumwise.data.formula import check_brackets, check_calls, whole
from sumwise.errors import DataError, UsageError


@dataclass(frozen=True, slots=True)
class Weights:
    """The expression that gives each row its weight.  text: as the user wrote it."""

    text: str
    expression: Expression

    def columns(self) -> tuple[Column, ...]:
        """Each column of the data that the weights use, once."""
        found = {part.name: part for part in walk(self.expression) if isinstance(part, Column)}
        return tuple(found.values())


def parse_weights(text: object) -> Weights | None:
    """Read the text of weights; None for None.

    Raises UsageError for what is no text, and, with a caret, for what is no expression of the data's columns.
    """
    if text is None:
        return None
    if not isinstance(text, str):
        kind = type(text).__name__
        fault = f"weights is a text, the name of a column or an expression such as '1/v', not of type {kind}."
        raise UsageError(f"{fault} Put the numbers into a column of the data and name it.")
    text = "".join(" " if character.isspace() else character for character in text)
    tokens = tokenize(text)
    if len(tokens) == 1:
        raise UsageError("weights is an empty text; name a column of the data, or leave weights out.")
    check_brackets(text, tokens)
    expression = whole(text, tokens)
    check_calls(text, expression)
    for part in walk(expression):
        if isinstance(part, Call) and part.function in LEARNED:
            raise misplaced(text, part.at, f"{part.function}() makes no weights: they would be below zero.")
    weights = Weights(text, expression)
    if not weights.columns():
        raise misplaced(text, tokens[0].start, "The weights name no column of the data.")
    return weights


def check_weights(site: str, text: str, values: np.ndarray, rows: np.ndarray | None) -> None:
    """Raises DataError for a negative weight.  values (n,): finite; rows: their places, None if none was dropped."""
    negative = values < 0
    if negative.any():
        fault = f"Site '{site}', weights '{text}': weights are negative; {where(negative, rows, values)}."
        raise DataError(f"{fault} A weight is zero or more: a count, or one over a variance.")
