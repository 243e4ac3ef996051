"""From checked columns to least squares: the cross-products of rows, in one piece, in chunks, for another response."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from sumwise.arrays import checks
from sumwise.arrays.checks import Table
from sumwise.errors import DataError, UsageError
from sumwise.maths.columns import Column, cross_products, ones
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares
from sumwise.threads import processors

WORTHWHILE = 50_000
"""Rows that are worth a thread."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows that are kept: X (n, p), y (n, k), weights (n,) or None."""

    X: Table
    y: Table
    weights: Column | None

    def gram(self, threads: int | None = None) -> Gram:
        """Columns of X, then ones, then y."""
        columns = [*self.X.columns, ones(self.X.rows), *self.y.columns]
        workers = min(processors() if threads is None else threads, self.X.rows // WORTHWHILE + 1)
        if workers == 1:
            return cross_products(columns, self.weights)
        with ThreadPoolExecutor(workers) as pool:
            return cross_products(columns, self.weights, pool.map, workers)


def checked(X: Any, y: Any, weights: Any, decimal: bool | None) -> Rows:
    """Raises DataError or UsageError where X, y and weights are not numbers of equally many rows."""
    table, response = checks.matrix(X, "X", decimal), checks.responses(y, "y", decimal)
    w = None if weights is None else checks.weights(weights, decimal)
    shapes: dict[str, tuple[int, ...]] = {"X": table.shape, "y": (response.rows,) if response.flat else response.shape}
    checks.check_rows(shapes if w is None else {**shapes, "weights": (len(w),)})
    checks.check_memory(len(table.columns))
    return Rows(table, response, w)


def least_squares(gram: Gram, p: int) -> LeastSquares:
    """Of a Gram of p columns, ones, and responses."""
    return LeastSquares(gram, tuple(range(p)), tuple(range(p + 1, gram.columns)), constant=p)


def another_response(rows: Rows, gram: Gram, y: Table) -> Gram:
    """The Gram with other responses: only X'Wy and y'Wy are summed, 3 products a row and column instead of p / 2.

    gram: of rows, as Rows.gram makes it.
    """
    p, k = len(rows.X.columns), len(y.columns)
    left = [*rows.X.columns, ones(rows.X.rows)]
    pairs = [cross_products([column, *y.columns], rows.weights) for column in left]
    known = gram.chosen(range(p + 1))
    entries = list(known.entries)
    for i in range(k):
        entries += [pair.entry(1 + i, 0) for pair in pairs] + [pairs[-1].entry(1 + i, 1 + j) for j in range(i + 1)]
    last = pairs[-1]
    low, decimals = known.low + last.low[1:], known.decimals + last.decimals[1:]
    return Gram(gram.rows, low, tuple(entries), decimals, gram.weight_low, gram.weight_decimals)


def over_chunks(chunks: Iterable[Any], decimal: bool | None, threads: int | None) -> tuple[Gram, Rows]:
    """The Gram of rows that come in chunks (X, y) or (X, y, weights), none of them kept; and the last chunk, for names.

    Raises what `checked` raises, with the chunk's number, and DataError where chunks differ in columns.
    """
    total: Gram | None = None
    first: Rows | None = None
    for number, chunk in enumerate(chunks, 1):
        if not isinstance(chunk, tuple) or len(chunk) not in (2, 3):
            raise UsageError(
                f"Chunk {number} is a {type(chunk).__name__}: pass tuples (X, y) or (X, y, weights). For rows in "
                "one piece pass lstsq(X, y)."
            )
        try:
            rows = checked(chunk[0], chunk[1], chunk[2] if len(chunk) == 3 else None, decimal)
        except (DataError, UsageError) as error:
            raise type(error)(f"Chunk {number}: {error}") from error
        if first is None:
            first, total = rows, rows.gram(threads)
            continue
        _check_alike(number, first, rows)
        assert total is not None
        total = total + rows.gram(threads)
    if first is None or total is None:
        raise DataError("There are no chunks: the iterator gave nothing. An iterator can be read once; pass a new one.")
    return total, first


def _check_alike(number: int, first: Rows, rows: Rows) -> None:
    for name, a, b in (("X", first.X, rows.X), ("y", first.y, rows.y)):
        if a.names != b.names:
            raise DataError(
                f"Chunk {number}: {name} has {len(b.names)} columns ({_few(b.names)}), but in chunk 1 it has "
                f"{len(a.names)} ({_few(a.names)}). All chunks need the same columns in the same order."
            )
    if (first.weights is None) != (rows.weights is None):
        has, lacks = (1, number) if rows.weights is None else (number, 1)
        raise DataError(f"Chunk {has} has weights, chunk {lacks} has none. Pass weights with every chunk or with none.")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
