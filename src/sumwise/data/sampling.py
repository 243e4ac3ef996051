"""The data with every number moved at random within its error, for refits through the data room like any fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.data.contract import Contract
from sumwise.data.decimals import Decimals
from sumwise.data.design import DesignBlock, build
from sumwise.data.formula import Formula
from sumwise.data.precision import Move, moves_of
from sumwise.data.roles import used_columns
from sumwise.data.source import Source
from sumwise.data.table import complete_table
from sumwise.data.values import Values, as_kind
from sumwise.data.weights import parse_weights

Floats = NDArray[np.float64]

_COARSE = 1024
"""Moves of so many units in the last place lose nothing that matters when the sum is rounded to a float64."""

_FINER = 6
"""Decimals beyond the error's first that the size of an exact move is drawn in."""

_MOST_PLACES = 300
"""More decimals than these are left to floats."""


class Moving:
    """The rows that were fitted, as often as they are asked for, each time moved anew.

    What a formula makes of a column moves with it; the constants of center() and scale(), levels and weights stay.
    stated, relative: as for `input_errors`, which raises the same.
    """

    def __init__(
        self,
        formula: Formula,
        contract: Contract,
        sources: Mapping[str, Source],
        blocks: Mapping[str, DesignBlock],
        *,
        missing: str,
        stated: Mapping[str, float] | None,
        relative: float | None,
    ) -> None:
        names = list(used_columns(formula, parse_weights(contract.weights)))
        tables = [complete_table(contract, source, missing, names, exact=False) for source in sources.values()]
        moves, _ = moves_of(formula, contract, tables, stated=stated, relative=relative)
        self._moves = {name: move for name, move in moves.items() if move != Move()}
        self._formula, self._contract, self._missing = formula, contract, missing
        self._sources, self._blocks = sources, blocks

    def blocks(self, rng: np.random.Generator | None) -> list[DesignBlock]:
        """One block a site, moved uniformly within the errors; without a generator by nothing.

        Raises DataError where a value leaves the domain of the formula, as in log(x).
        """
        moved = []
        for name, source in self._sources.items():
            there = {column: _moved(source, column, move, rng) for column, move in self._moves.items()}
            block = build(self._formula, self._contract, _with(source, there), missing=self._missing, family="gaussian")
            known = self._blocks[name]
            moved.append(replace(block, weights=known.weights, weights_exact=known.weights_exact))
        return moved


def _with(source: Source, there: Mapping[str, Values]) -> Source:
    """The source with some columns replaced."""

    def read(columns: Sequence[str], as_text: Collection[str]) -> dict[str, Values]:
        kept = [column for column in columns if column not in there]
        return {**source.read(kept, as_text=as_text), **{c: there[c] for c in columns if c in there}}

    return Source(source.name, source.names, read, decimal=source.decimal)


def _moved(source: Source, column: str, move: Move, rng: np.random.Generator | None) -> Values:
    """The column, each number moved: in floats where that is exact enough, else in decimals."""
    values = as_kind(source.read([column], as_number=[column])[column], "number")
    if values.kind != "number":  # a site where it is empty
        return values
    floats = values.values.astype(np.float64)
    finite = np.isfinite(floats)
    error = np.where(finite, move.of(np.where(finite, floats, 0.0)), 0.0)
    by = error * (np.zeros(len(error)) if rng is None else rng.uniform(-1, 1, len(error)))
    smallest = float(error.min(initial=np.inf, where=error > 0))
    if values.exact is None and (error >= _COARSE * np.spacing(np.abs(floats)))[finite & (error > 0)].all():
        return replace(values, values=floats + by)
    places = _FINER - int(np.floor(np.log10(smallest))) if np.isfinite(smallest) else 0
    exact = _exactly(values, floats, finite)
    if exact is None or max(places, exact.decimals) > _MOST_PLACES or error.max() > 10.0 ** (_MOST_PLACES - places):
        return replace(values, values=floats + by, exact=None)
    exact = exact + _whole(by, max(places, 0))
    return replace(values, values=np.where(finite, exact.nearest(), floats), exact=exact)


def _whole(by: Floats, places: int) -> Decimals:
    """The moves, rounded to so many decimals."""
    return Decimals.of(_objects([int(v) for v in np.rint(by * 10.0**places).tolist()]), places)


def _exactly(values: Values, floats: Floats, finite: NDArray[np.bool_]) -> Decimals | None:
    """The numbers as they are, m 2^-k = m 5^k 10^-k; None for floats that take too many decimals."""
    if values.exact is not None:
        return values.exact
    if values.values.dtype.kind in "iu":
        return Decimals.of(values.values)
    ratios = [v.as_integer_ratio() for v in np.where(finite, floats, 0.0).tolist()]
    places = max((below.bit_length() - 1 for _, below in ratios), default=0)
    if places > _MOST_PLACES:
        return None
    return Decimals.of(_objects([above * (10**places // below) for above, below in ratios]), places)


def _objects(values: list[int]) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
