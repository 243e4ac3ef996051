"""Linear regression by least squares, in one round of exact sums.

    y_i = x_i' beta + o_i + e_i,   e_i ~ N(0, sigma^2 / w_i)

The question is the same for every fit: the cross-products of the columns of X and of y - o.  They are integers, so
their sum over the sites is exact, and all estimates follow from it (maths/least_squares.py).  The atom is the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.kernels.library import log
from sumwise.maths.columns import Column, Decimals, cross_products
from sumwise.maths.exact import ExactSum
from sumwise.maths.gram import Gram

Floats = NDArray[np.float64]


class Rows(Protocol):
    """What a regression needs of n rows.

    x: p columns (n,); y (n,); offset, weights (n,) or None.   exact, y_exact, offset_exact, weights_exact: the same
    columns as decimals, None for one that is just what its float64 numbers say.   columns: names of the p columns.
    """

    @property
    def x(self) -> Sequence[Floats]: ...
    @property
    def y(self) -> Floats: ...
    @property
    def offset(self) -> Floats | None: ...
    @property
    def weights(self) -> Floats | None: ...
    @property
    def exact(self) -> Sequence[Decimals | None]: ...
    @property
    def y_exact(self) -> Decimals | None: ...
    @property
    def offset_exact(self) -> Decimals | None: ...
    @property
    def weights_exact(self) -> Decimals | None: ...
    @property
    def columns(self) -> Sequence[str]: ...


def sums(rows: Rows, each: Callable[..., Iterable[Any]] = map, pieces: int = 1) -> Gram:
    """The Gram of the p columns of X and the response less its offset.

    each: the map to use over so many pieces of the rows; the sum is exact, so their number changes no bit.
    Raises DataError for decimals of more than 308 digits.
    """
    p = len(rows.x)
    columns = [_column(*named) for named in zip(rows.columns, rows.x, rows.exact, strict=True)]
    columns.append(_column("the response", rows.y, rows.y_exact))
    if rows.offset is not None:
        columns.append(_column("the offset", rows.offset, rows.offset_exact))
    weights = None if rows.weights is None else _column("the weights", rows.weights, rows.weights_exact)
    gram = cross_products(columns, weights, each, pieces)
    return gram if rows.offset is None else gram.minus(p, p + 1)


def _column(name: str, values: Floats, exact: Decimals | None) -> Column:
    try:
        return Column.of(values, exact)
    except OverflowError as error:
        raise DataError(
            f"'{name}' has more than 308 digits as exact decimals; fit with decimal=False, or rescale its columns"
        ) from error


@dataclass(frozen=True, slots=True)
class LinearQuestion:
    """The only round: cross-products.  Carries nothing."""


@dataclass(frozen=True, slots=True)
class LinearSummand:
    """Sums over rows.

    gram: of the p columns of X and the response less its offset, over rows of positive weight; ignored: rows of weight
    zero; log_weights (): sum of log w over the rows of gram, None without weights.
    """

    gram: Gram
    ignored: int
    log_weights: ExactSum | None

    @property
    def log_weight(self) -> float:
        """sum of log w, rounded once; 0 without weights."""
        return 0.0 if self.log_weights is None else float(self.log_weights.round())

    def __add__(self, other: LinearSummand) -> LinearSummand:
        if self.log_weights is None or other.log_weights is None:
            return LinearSummand(self.gram + other.gram, self.ignored + other.ignored, None)
        logs = self.log_weights + other.log_weights
        return LinearSummand(self.gram + other.gram, self.ignored + other.ignored, logs)


@dataclass(frozen=True, slots=True)
class State:
    """question: the open one, None at the end; total: what came back."""

    question: LinearQuestion | None
    total: LinearSummand | None = None


@dataclass(frozen=True, slots=True)
class LinearModel:
    """The model as `start / ask / step / finish`, pure.  weights: as written, None without; for messages."""

    weights: str | None = None

    def start(self) -> State:
        """Before the round."""
        return State(LinearQuestion())

    def ask(self, state: State) -> LinearQuestion | None:
        """The question, or None when it is answered."""
        return state.question

    def step(self, _state: State, total: LinearSummand) -> State:
        """The state after the round.  Raises DataError where no row has a positive weight."""
        if not total.gram.rows:
            raise DataError(f"the weights '{self.weights}' are zero in all {total.ignored} rows: no row is left to fit")
        return State(None, total)

    def finish(self, state: State) -> LinearSummand:
        """The total: everything a linear fit answers follows from it."""
        assert state.total is not None
        return state.total


class Site:
    """One site's answer; it depends on the rows alone."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def answer(self, _question: LinearQuestion, threads: Executor | None = None, workers: int = 1) -> LinearSummand:
        """The sums, computed by up to `workers` threads; their number changes no bit."""
        rows = self.rows
        gram = sums(rows, map if threads is None else threads.map, workers)
        if rows.weights is None:
            return LinearSummand(gram, 0, None)
        logs = ExactSum.of(log(rows.weights[rows.weights > 0]))
        return LinearSummand(gram, len(rows.y) - gram.rows, logs)
