"""Random effects: what the bars of a formula stand for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sumwise.data.expression import misplaced
from sumwise.data.formula import Formula
from sumwise.data.terms import INTERCEPT, Level, Part, Product, column_names, expand, terms_of


@dataclass(frozen=True, slots=True)
class RandomRule:
    """One random-effects term: effects that may correlate, for each group of one grouping factor.

    group: name of the factor, "a:b" of an interaction; columns: of the data, whose interaction it is; products, names:
    as in Contract, of the q columns of Z.
    """

    group: str
    columns: tuple[str, ...]
    products: tuple[Product, ...]
    names: tuple[str, ...]


def random_rules(formula: Formula, levels: Sequence[tuple[Level, ...]]) -> tuple[RandomRule, ...]:
    """The terms of all bars, in their order.

    (x || g) stands for (1 | g) + (0 + x | g), as in R: the effects of one factor's levels stay together.   (1 | a/b)
    stands for (1 | a) + (1 | a:b).   levels: of each atom, empty for a number.
    Raises UsageError for a group that is no column or interaction of columns, and for a term that comes twice.
    """
    texts, is_factor = [atom.text for atom in formula.atoms], tuple(bool(found) for found in levels)
    found: list[RandomRule] = []
    for bar in formula.bars:
        if not bar.factors:
            fault = f"{bar.text}: the group is a column, an interaction a:b, or a/b for b within a."
            raise misplaced(formula.text, bar.at, fault)
        for columns in bar.factors:
            group = tuple(column.name for column in columns)
            for fixed in _separated(bar.fixed) if bar.separate else (bar.fixed,):
                products = expand(fixed, is_factor)
                names = column_names(products, texts, levels)
                if not names:
                    raise misplaced(formula.text, bar.at, f"{bar.text} has no effect; write (1 | {bar.group}).")
                again = [n for rule in found if set(rule.columns) == set(group) for n in rule.names if n in names]
                if again:
                    fault = f"{bar.text}: '{again[0]}' varies by '{':'.join(group)}' in a term before as well."
                    raise misplaced(formula.text, bar.at, f"{fault} Leave one of them out.")
                found.append(RandomRule(":".join(group), group, products, names))
    return tuple(found)


def _separated(fixed: str) -> Iterator[str]:
    """Each term of its own."""
    for atoms in terms_of(fixed):
        yield "0 + " + ":".join(f"v{atom}" for atom in sorted(atoms)) if atoms else "1"


def random_from_dict(values: Sequence[dict]) -> tuple[RandomRule, ...]:  # type: ignore[type-arg]
    """The rules that `dataclasses.asdict` wrote, also after a trip through JSON."""
    return tuple(
        RandomRule(
            rule["group"],
            tuple(rule["columns"]),
            tuple(tuple(Part(**part) for part in product) for product in rule["products"]),
            tuple(rule["names"]),
        )
        for rule in values
    )


def only_intercept(rules: Sequence[RandomRule]) -> bool:
    """Whether this is (1 | group), and nothing else."""
    return len(rules) == 1 and rules[0].names == (INTERCEPT,)
