"""From checked columns to least squares: the cross-products of rows, in one piece, in chunks, for another response."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NoReturn

from sumwise.arrays import checks, words
from sumwise.arrays.checks import Table
from sumwise.errors import DataError, UsageError
from sumwise.kernels.products import NotDecimalError
from sumwise.maths.columns import Column, cross_products, ones
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares
from sumwise.threads import WORTHWHILE, processors


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows that are kept: X (n, p), y (n, k), weights (n,) or None."""

    X: Table
    y: Table
    weights: Column | None

    def gram(self, threads: int | None = None) -> Gram:
        """Columns of X, then ones, then y."""
        columns = [*self.X.columns, ones(self.X.rows), *self.y.columns]
        workers = min(processors() if threads is None else int(threads), self.X.rows // WORTHWHILE + 1)
        if workers == 1:
            return cross_products(columns, self.weights)
        with ThreadPoolExecutor(workers) as pool:
            return cross_products(columns, self.weights, pool.map, workers)


def checked(X: Any, y: Any, weights: Any, decimal: bool | None, some_weight: bool = True) -> Rows:
    """The rows of X, y and weights.   some_weight: whether some weight has to be positive.

    Raises DataError or UsageError where X, y and weights are not numbers of equally many rows."""
    table, response = checks.matrix(X, "X", decimal), checks.responses(y, "y", decimal)
    w = None if weights is None else checks.weights(weights, decimal, some_weight)
    shapes: dict[str, tuple[int, ...]] = {"X": table.shape, "y": (response.rows,) if response.flat else response.shape}
    checks.check_rows(shapes if w is None else {**shapes, "weights": (len(w),)})
    checks.check_memory(len(table.columns))
    return Rows(table, response, w)


def least_squares(gram: Gram, p: int) -> LeastSquares:
    """Of a Gram of p columns, ones, and responses."""
    return LeastSquares(gram, tuple(range(p)), tuple(range(p + 1, gram.columns)), constant=p)


def another_response(rows: Rows, gram: Gram, y: Table) -> Gram:
    """The Gram with other responses: only X'Wy and y'Wy are summed, 3 products a row and column instead of p / 2.

    gram: of rows, as Rows.gram makes it.  Raises DataError where X has changed since.
    """
    p, k = len(rows.X.columns), len(y.columns)
    pairs = _pairs(rows, y, gram)
    known = gram.chosen(range(p + 1))
    entries = list(known.entries)
    for i in range(k):
        entries += [pair.entry(1 + i, 0) for pair in pairs] + [pairs[-1].entry(1 + i, 1 + j) for j in range(i + 1)]
    last = pairs[-1]
    low, decimals = known.low + last.low[1:], known.decimals + last.decimals[1:]
    return Gram(gram.rows, low, tuple(entries), decimals, gram.weight_low, gram.weight_decimals)


def _pairs(rows: Rows, y: Table, gram: Gram) -> list[Gram]:
    """For each column of X and for ones the Gram of the column and the responses y.

    Raises DataError where the sum of squares of one is not that in gram, which is of rows: the arrays were changed.
    """
    columns = [*rows.X.columns, ones(rows.X.rows)]

    def pair(column: Column) -> Gram:
        try:
            return cross_products([column, *y.columns], rows.weights)
        except (DataError, NotDecimalError):  # no longer the finite numbers, or the decimals, that were checked
            _changed("X or y", rows)

    if rows.X.rows < WORTHWHILE or processors() == 1:
        pairs = list(map(pair, columns))
    else:
        with ThreadPoolExecutor(processors()) as pool:
            pairs = list(pool.map(pair, columns))
    for c, found in enumerate(pairs):
        if found.fraction(0, 0) != gram.fraction(c, c):
            _changed("weights" if c == len(rows.X.columns) else f"X, column {rows.X.names[c]!r},", rows)
    return pairs


def check_unchanged(rows: Rows, gram: Gram) -> None:
    """Raises DataError unless the rows still have the sums of squares, and the products with the responses, in gram.

    gram: of rows, as Rows.gram made it.  The products of X's columns with each other are left out: they cost the most.
    """
    p = len(rows.X.columns)
    for c, pair in enumerate(_pairs(rows, rows.y, gram)):
        for i in range(1, pair.columns):
            if pair.fraction(i, i) != gram.fraction(p + i, p + i) or pair.fraction(i, 0) != gram.fraction(p + i, c):
                _changed("X or y", rows)


def _changed(what: str, rows: Rows) -> NoReturn:
    what = f"{what} or the weights" if rows.weights is not None and what != "weights" else what
    raise DataError(
        f"{what} changed since the fit, which holds the arrays themselves, not copies of them. Fit again, or pass "
        "copies to lstsq."
    )


def over_chunks(chunks: Iterable[Any], decimal: bool | None, threads: int | None) -> tuple[Gram, Rows]:
    """The Gram of rows that come in chunks (X, y) or (X, y, weights), none of them kept; and the last chunk, for names.

    A chunk without rows, or without weight in any of them, adds nothing.
    Raises what `checked` raises, with the chunk's number, and DataError where chunks differ in columns or have no row
    that counts.
    """
    total: Gram | None = None
    first: Rows | None = None
    number = 0
    for number, chunk in enumerate(chunks, 1):
        if not isinstance(chunk, tuple) or len(chunk) not in (2, 3):
            raise UsageError(
                f"Chunk {number} is of type {type(chunk).__name__}: pass tuples (X, y) or (X, y, weights). For rows in "
                "one piece pass lstsq(X, y)."
            )
        if all(checks.has_no_rows(part) for part in chunk):
            continue
        try:
            rows = checked(chunk[0], chunk[1], chunk[2] if len(chunk) == 3 else None, decimal, some_weight=False)
        except (DataError, UsageError) as error:
            raise type(error)(f"Chunk {number}: {error}") from error
        if first is not None:
            _check_alike(number, first, rows)
        first = first or rows
        if rows.weights is None or rows.weights.rounded().any():
            gram = rows.gram(threads)
            total = gram if total is None else total + gram
    if not number:
        raise DataError("There are no chunks: the iterator gave nothing. An iterator can be read once; pass a new one.")
    if first is None or total is None:
        lacking = "rows" if first is None else "a positive weight"
        raise DataError(f"{words.counted(number, 'chunk')} without {lacking}: there is no row to fit.")
    return total, first


def _check_alike(number: int, first: Rows, rows: Rows) -> None:
    for name, a, b in (("X", first.X, rows.X), ("y", first.y, rows.y)):
        if a.names != b.names:
            raise DataError(
                f"Chunk {number}: {name} has {words.counted(len(b.names), 'column')} ({_few(b.names)}), but in "
                f"chunk 1 it has {len(a.names)} ({_few(a.names)}). All chunks need the same columns in the same order."
            )
    if (first.weights is None) != (rows.weights is None):
        has, lacks = (1, number) if rows.weights is None else (number, 1)
        raise DataError(f"Chunk {has} has weights, chunk {lacks} has none. Pass weights with every chunk or with none.")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
