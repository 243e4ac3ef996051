"""Numbers and nouns in messages and printed results."""

from __future__ import annotations

import math


def counted(n: int, noun: str) -> str:
    """1 row, 2 rows"""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def freedom(df: int) -> str:
    """1 degree of freedom, 2 degrees of freedom"""
    return f"{counted(df, 'degree')} of freedom"


def number(value: float, digits: int = 6) -> str:
    """A number for the eye; NA for nan."""
    return "NA" if math.isnan(value) else f"{value:.{digits}g}"


def within(value: float, digits: int = 6) -> str:
    """The same where infinite stands for a number beyond the largest float64."""
    if math.isinf(value):
        return "> 1.8e308" if value > 0 else "< -1.8e308"
    return number(value, digits)
