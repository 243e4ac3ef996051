"""Which columns the fixed part of a formula makes: formulaic's algebra, R's names.

formulaic expands `a * b`, drops intercepts and decides in which terms a factor loses its reference level.
It sees stand-ins and a two-row table only, never data: the answer is the same wherever it is worked out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd

Level = str | int | float | bool
INTERCEPT = "(Intercept)"


@dataclass(frozen=True, slots=True)
class Part:
    """One variable of a product.  atom: its index; reduced: a factor without its first (reference) level."""

    atom: int
    reduced: bool


Product = tuple[Part, ...]
"""Parts multiplied together; the empty product is the intercept."""


@lru_cache(maxsize=256)  # half the time of a small fit; the same formula is often fitted many times over
def expand(fixed: str, is_factor: tuple[bool, ...]) -> tuple[Product, ...]:
    """The products that the fixed part stands for, in the order of their columns.

    fixed: algebra over the stand-ins v0, v1, ..; is_factor[i]: whether vi has levels.   Parts stand in the
    order in which variables first appear in the formula, as in R, so `b:a` after `a + b` is called `a:b`.
    """
    from formulaic import model_matrix  # a third of a second, which reading a fit need not pay

    # two levels are enough: how many there are changes the number of columns, not the structure
    table = pd.DataFrame(
        {f"v{i}": pd.Categorical(["a", "b"]) if factor else [1.0, 2.0] for i, factor in enumerate(is_factor)},
        index=range(2),
    )
    structure = model_matrix(fixed, table, context={}).model_spec.structure
    return tuple(
        tuple(sorted((_part(f) for f in scoped.factors), key=lambda part: part.atom))
        for entry in structure
        for scoped in entry.scoped_terms
    )


@lru_cache(maxsize=256)
def terms_of(fixed: str) -> tuple[frozenset[int], ...]:
    """The atoms of each term that the fixed part stands for, in the order of its columns; the intercept has none.

    A term may make several products: after the intercept, a:b without a stands for b and a:b.
    """
    from formulaic import Formula

    return tuple(
        frozenset(int(str(factor)[1:]) for factor in term.factors if str(factor) != "1") for term in Formula(fixed)
    )


def _part(scoped_factor: object) -> Part:
    """formulaic writes a scoped factor as `v3`, and as `v3-` where it lost its reference level."""
    text = str(scoped_factor)
    match = re.fullmatch(r"v(\d+)(-?)", text)
    if match is None:
        raise AssertionError(f"formulaic named a factor {text!r}")
    return Part(int(match[1]), match[2] == "-")


def column_names(
    products: Sequence[Product], texts: Sequence[str], levels: Sequence[tuple[Level, ...]]
) -> tuple[str, ...]:
    """R's names, e.g. "(Intercept)", "age", "urbanY", "age:urbanY".

    texts[i]: atom i as written; levels[i]: its levels, empty for a number.
    """
    return tuple(
        ":".join(
            texts[part.atom] + ("" if level is None else level_text(levels[part.atom][level]))
            for part, level in zip(product, choice, strict=True)
        )
        or INTERCEPT
        for product in products
        for choice in choices(product, levels)
    )


def choices(product: Product, levels: Sequence[tuple[Level, ...]]) -> Iterator[tuple[int | None, ...]]:
    """For each column that a product makes, the place of the level of each of its parts, None for a number.

    levels[i]: of atom i, empty for a number.   The first factor runs fastest, as in R.
    """
    of_parts = [range(part.reduced, len(levels[part.atom])) or (None,) for part in product]
    for choice in itertools.product(*reversed(of_parts)):
        yield tuple(reversed(choice))


def level_text(level: Level) -> str:
    """A level as R prints it inside a coefficient's name: TRUE, 2, 0.5, terbinafine."""
    if isinstance(level, bool):
        return "TRUE" if level else "FALSE"
    return str(level)
