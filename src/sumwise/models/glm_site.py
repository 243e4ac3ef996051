"""What a site does in the fit of a generalized linear model: it answers questions with sums over its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import cache, reduce
from itertools import pairwise
from operator import add
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.kernels import glm
from sumwise.kernels.library import log
from sumwise.maths.binomial import log_saturated
from sumwise.maths.exact import ExactSum
from sumwise.maths.gamma import stirling_error
from sumwise.models.glm_messages import GlmMoments, GlmMomentsQuestion, GlmQuestion, GlmSummand

Floats = NDArray[np.float64]

COUNTS = ("poisson", "negbinomial")
POSITIVE = ("gamma", "inverse.gaussian")

LARGEST = 1e50
"""Weights and responses beyond it are refused."""

TABLE = 1024
"""Counts whose saturated log-likelihood is looked up."""

PIECE = 1 << 14
"""Rows below which a piece of work is not worth a thread's while."""


class Rows(Protocol):
    """What a site knows of n rows.

    x: p columns (n,) of the design matrix; y (n,): the response, successes of a binomial row; size (n,): trials, 1
    elsewhere; offset, weights (n,) or None.
    """

    @property
    def x(self) -> Sequence[Floats]: ...
    @property
    def y(self) -> Floats: ...
    @property
    def size(self) -> Floats: ...
    @property
    def offset(self) -> Floats | None: ...
    @property
    def weights(self) -> Floats | None: ...


class Site:
    """One site's answers; they depend on the rows and the question alone."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._data: dict[bool, glm.Data] = {}

    def answer(
        self, question: GlmMomentsQuestion | GlmQuestion, threads: Executor | None = None, workers: int = 1
    ) -> GlmMoments | GlmSummand:
        """The summand that the question asks for, computed by up to `workers` threads; their number changes no bit."""
        small = len(self.rows.y) * (len(self.rows.x) + 1) < PIECE
        each: Callable[..., Iterable[Any]] = map if threads is None or workers == 1 or small else threads.map
        if isinstance(question, GlmMomentsQuestion):
            return self._moments(question.family, each)
        data = self._rows_of(question.family == "binomial")
        asked = glm.Query(
            question.family,
            question.link,
            question.centre,
            question.beta,
            question.aux,
            question.information,
            question.size,
        )

        def piece(bounds: tuple[int, int]) -> GlmSummand:
            digits, failed = glm.evaluate(data, asked, *bounds)
            return GlmSummand(ExactSum(digits), failed)

        n = len(data.y)
        pieces = 1 if each is map else max(min(4 * workers, n // PIECE), 1)
        total: GlmSummand = reduce(add, each(piece, pairwise(n * k // pieces for k in range(pieces + 1))))
        return total

    def _rows_of(self, binomial: bool) -> glm.Data:
        """The rows as the kernel takes them; the weights of a binomial row multiply successes and trials."""
        if binomial not in self._data:
            rows = self.rows
            y, n, w = rows.y, rows.size if binomial else rows.weights, rows.weights
            if binomial and w is not None:
                y, n = w * y, w * rows.size
            whole = None if n is None or (n.strides == (0,) and n[0] == 1) else np.ascontiguousarray(n)
            offset = None if rows.offset is None else np.ascontiguousarray(rows.offset)
            self._data[binomial] = glm.Data(rows.x, np.ascontiguousarray(y), whole, offset)
        return self._data[binomial]

    def _moments(self, family: str, each: Callable[..., Iterable[Any]]) -> GlmMoments:
        rows = self.rows
        w = np.ones(len(rows.y)) if rows.weights is None else rows.weights
        refuse_sizes(w, rows.y)
        wn = w * rows.size if family == "binomial" else w
        live = wn > 0
        saturated, logs = np.zeros(len(w)), np.zeros(len(w))
        if family == "binomial":
            saturated = w * log_saturated(rows.size, rows.y)
        elif family in COUNTS:
            saturated = w * saturated_counts(rows.y)
        elif family in POSITIVE:
            logs = w * log(rows.y)
        wy = w * rows.y
        totals = [total.digits for total in each(ExactSum.of, (w * live, wn, wy, wy * rows.y, saturated, logs))]
        plain = rows.weights is None and (family != "binomial" or bool((rows.size == 1).all()))
        columns = [total.digits for total in each(lambda column: ExactSum.of(column if plain else wn * column), rows.x)]
        shape = (len(columns), *totals[0].shape)
        shifted = 0 if rows.offset is None else int(np.count_nonzero(rows.offset[live]))
        used = int(np.count_nonzero(live))
        return GlmMoments(
            used, len(w) - used, shifted, ExactSum(np.array(totals)), ExactSum(np.reshape(columns, shape))
        )


def refuse_sizes(w: Floats, y: Floats) -> None:
    """Raises DataError where weights or responses (n,) are so large that their products, with squares of columns too,
    could leave the range of floating point.
    """
    for name, values in (("weights", w), ("responses", y)):
        largest = float(values[w > 0].max(initial=0.0))
        if largest > LARGEST:
            raise DataError(
                f"{name} reach {largest:.3g}: products with numbers beyond {LARGEST:.0e} leave the range of floating "
                f"point; change the unit of the {name}"
            )


def saturated_counts(y: Floats) -> Floats:
    """log of the Poisson probability of y where y is the mean, (rows,): -log(2 pi y) / 2 - delta(y), and 0 for 0."""
    out = np.zeros(len(y))
    few = y < TABLE
    out[few] = _table()[y[few].astype(np.int64)]
    many = y[~few]
    if len(many):
        square = 1 / (many * many)
        error = (1 / 12 - square * (1 / 360 - square * (1 / 1260))) / many
        out[~few] = -log(2 * np.pi * many) / 2 - error
    return out


@cache
def _table() -> Floats:
    y = np.arange(1.0, TABLE)
    return np.concatenate([[0.0], -log(2 * np.pi * y) / 2 - np.array([stirling_error(float(v)) for v in y])])
