"""The NIST sets and the seeds' examples as exact columns and Grams."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from sumwise.maths.gram import Gram
from tests.reference import load

Column = list[Fraction]


def nist_columns(raw: dict[str, Any]) -> tuple[list[Column], Column]:
    """Design columns and response of a NIST set, from the printed decimals; powers exact."""
    x = [[Fraction(v) for v in column] for column in raw["x"]]
    ones = [Fraction(1)] * raw["n"]
    if raw["model"] == "noint":
        columns = x
    elif raw["model"] == "linear":
        columns = [ones, *x]
    else:
        columns = [[v**k for v in x[0]] for k in range(int(raw["model"].removeprefix("poly")) + 1)]
    return columns, [Fraction(v) for v in raw["y"]]


def nist_design64(raw: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """X (n, p) and y (n,) in float64: the values rounded, and their exact powers rounded once."""
    x = np.array([[float(v) for v in column] for column in raw["x"]])
    ones = np.ones(raw["n"])
    if raw["model"] == "noint":
        X = x.T
    elif raw["model"] == "linear":
        X = np.column_stack([ones, *x])
    else:
        powers = range(int(raw["model"].removeprefix("poly")) + 1)
        X = np.array([[float(Fraction(v) ** k) for k in powers] for v in x[0].tolist()])
    return X, np.array([float(v) for v in raw["y"]])


def decimal_gram(columns: Sequence[Column]) -> Gram:
    """The Gram of columns that are decimal numbers, exactly."""
    decimals = tuple(max(map(_decimals, column)) for column in columns)
    whole = [[int(v * 10**d) for v in column] for column, d in zip(columns, decimals, strict=True)]
    entries = tuple(
        sum(a * b for a, b in zip(whole[i], whole[j], strict=True)) for i in range(len(whole)) for j in range(i + 1)
    )
    return Gram(rows=len(columns[0]), low=(0,) * len(columns), entries=entries, decimals=decimals)


def _decimals(value: Fraction) -> int:
    d = 0
    while (value * 10**d).denominator > 1:
        d += 1
    return d


def nearest_float(text: str) -> float:
    """The float64 nearest to a decimal of 40 digits, or to the fraction it is."""
    value = Fraction(text)
    return value.numerator / value.denominator


def printed(value: Fraction, as_printed: str) -> str:
    """A value rounded to as many digits as a printed number has."""
    digits = len(Decimal(as_printed).as_tuple().digits)
    scaled = Decimal(value.numerator) / Decimal(value.denominator)
    return f"{scaled:.{digits - 1}E}"


def example(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A (n, p) and b (n,) of a seed's example, float64."""
    raw = load("seed_examples")[name]
    if "A_hex" in raw:
        return np.vectorize(float.fromhex)(raw["A_hex"]), np.vectorize(float.fromhex)(raw["y_hex"])
    if "design_hex" in raw:
        return np.vectorize(float.fromhex)(raw["design_hex"]), np.vectorize(float.fromhex)(raw["b_float64_hex"])
    A = np.array([[nearest_float(v) for v in row] for row in raw["A"]])
    return A, np.array([nearest_float(v) for v in raw["b"]])
