"""Exact least squares of arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import nan
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.arrays import checks, lstsq_text, sums
from sumwise.arrays.condition import Conditioning
from sumwise.arrays.digits import Inputs, check_inputs, check_samples, digits_of_sums, digits_table, residuals_of
from sumwise.arrays.sums import Rows
from sumwise.arrays.words import counted
from sumwise.errors import UsageError
from sumwise.maths.columns import times
from sumwise.maths.conditioning import condition
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares
from sumwise.maths.student import two_sided
from sumwise.threads import check_threads

Floats = NDArray[np.float64]


def lstsq(
    X: Any, y: Any = None, weights: Any = None, *, decimal: bool | None = None, threads: int | None = None
) -> LstsqResult:
    """The b that minimises sum_r w_r (y_r - x_r b)^2: every result exact, rounded once.

    X (n, p): numbers of any kind: float64 (not copied), other floats and integers (exactly), nested lists, pandas,
    polars and Arrow tables, texts, Decimal and Fraction.  Columns of one name are numbered: c, c.2.
    y (n,) or (n, k) for k responses at once.
    weights (n,): zero or more; a row of weight zero does not count.
    decimal: texts are decimals and floats are binary numbers (None); True: floats stand for the shortest decimals
    that read back as them, 0.1 for a tenth; False: texts stand for the nearest float64.
    threads: at most so many (None: the processors this process may use); their number changes no bit.
    The arrays are not copied: do not change them while you use the result.  What is computed from the rows
    (residuals, fitted, digits, solve) raises DataError where they are no longer those that were fitted.

    In place of X and y an iterable of chunks (X, y) or (X, y, weights) may stand: the chunks' rows count as one table,
    and only their sums are kept.

    Where columns depend on each other, or are more than the rows, b is the solution of least norm; `.rank`,
    `.dependent` and `.estimable` say so.  Raises DataError for values or rows that cannot be fitted, UsageError for
    a wrong call.
    """
    check_threads(threads)
    if y is not None:
        rows = sums.checked(X, y, weights, decimal)
        return _result(rows.gram(threads), rows, rows)
    if isinstance(X, np.ndarray) or not isinstance(X, Iterable) or hasattr(X, "columns"):
        raise UsageError("y is missing: pass lstsq(X, y), or an iterable of chunks (X, y) alone.")
    if weights is not None:
        raise UsageError("Weights of chunks come with them: pass an iterable of (X, y, weights).")
    gram, first = sums.over_chunks(X, decimal, threads)
    checks.check_memory(len(first.X.columns))
    return _result(gram, first, None)


def _result(gram: Gram, named: Rows, rows: Rows | None) -> LstsqResult:
    return _of_sums(gram, named.X.names, named.y.names, named.y.flat, rows)


def _of_sums(
    gram: Gram, names: tuple[str, ...], responses: tuple[str, ...], flat: bool, rows: Rows | None
) -> LstsqResult:
    return LstsqResult(gram, sums.least_squares(gram, len(names)), names, responses, flat, rows)


@dataclass(frozen=True, eq=False, repr=False)
class LstsqResult:
    """A least-squares fit.  Axes: p columns, k responses; the last axis is absent where y was a vector.

    gram: the exact sums, columns of X, ones, responses.   system: what is solved from them.
    names (p,), responses (k,): of the columns of X and y.   rows: the rows, None where they came in chunks.
    """

    gram: Gram
    system: LeastSquares
    names: tuple[str, ...]
    responses: tuple[str, ...]
    flat: bool
    rows: Rows | None

    def _shaped(self, values: Floats) -> Floats:
        """Without the axis of responses where y was a vector."""
        shaped: Floats = values[..., 0] if self.flat else values
        return shaped

    @property
    def coef(self) -> Floats:
        """(p,) or (p, k): the solution, of least norm where it is not unique.  Correctly rounded."""
        return self._shaped(self.system.coef)

    def exact(self) -> list[Any]:
        """The solution as fractions: a list of p, or p lists of k."""
        values: list[list[Fraction]] = self.system.coef_exact()
        return [row[0] for row in values] if self.flat else values

    @property
    def se(self) -> Floats:
        """Standard errors; nan where no residual degrees of freedom are left or the coefficient is not unique."""
        return self._shaped(self.system.se)

    @property
    def t(self) -> Floats:
        """coef / se"""
        return self._shaped(self.system.t)

    @property
    def pvalues(self) -> Floats:
        """P(|T| > |t|), T of Student's distribution with df_resid degrees of freedom."""
        return two_sided(self.t, self.df_resid)

    @property
    def rss(self) -> Any:
        """Residual sum of squares, () or (k,)."""
        return self._shaped(self.system.rss)

    @property
    def sigma(self) -> Any:
        """sqrt(rss / df_resid), nan where df_resid = 0."""
        return self._shaped(self.system.sigma)

    @property
    def r2(self) -> Any:
        """1 - rss / tss, about the mean where a constant lies in the span of X, else about zero."""
        return self._shaped(self.system.r2)

    @property
    def vcov(self) -> Floats:
        """(p, p) or (p, p, k): covariance of the coefficients."""
        return self._shaped(np.stack([self.system.vcov(j) for j in range(self.system.k)], axis=-1))

    @property
    def rank(self) -> int:
        """Exact rank of X (of the rows with weight)."""
        return self.system.rank

    @property
    def df_resid(self) -> int:
        """Residual degrees of freedom, rows - rank."""
        return self.system.df

    @property
    def nobs(self) -> int:
        """Rows (with weight)."""
        return self.system.rows

    @property
    def estimable(self) -> NDArray[np.bool_]:
        """(p,): whether the coefficient is the same in every least-squares solution."""
        return self.system.estimable

    @property
    def dependent(self) -> dict[str, str]:
        """{column that depends exactly on earlier ones: how, in words}"""
        return lstsq_text.dependences(self.system.dependences, self.names)

    @cached_property
    def condition(self) -> Conditioning:
        """How sensitive the solution is, with the residual's part where there is one response."""
        return Conditioning(
            (self.nobs, self.system.p), condition(self.system, 0 if self.flat else None), None, None, nan
        )

    @property
    def table(self) -> pd.DataFrame:
        """coef, se, t, p_value by column name (and by response, where there are several)."""
        parts = {"coef": self.coef, "se": self.se, "t": self.t, "p_value": self.pvalues}
        if self.flat:
            return pd.DataFrame(parts, index=list(self.names))
        frames = [
            pd.DataFrame({key: value[:, j] for key, value in parts.items()}, index=list(self.names))
            for j in range(len(self.responses))
        ]
        return pd.concat(frames, keys=list(self.responses))

    def solve(self, y: Any, *, decimal: bool | None = None) -> LstsqResult:
        """The fit of other responses to the same X and weights.

        Costs a solve, and one pass over the rows with 3 products a row and column where a new fit needs p / 2.
        """
        rows = self._kept("another response")
        table = checks.responses(y, "y", decimal)
        checks.check_rows({"X": rows.X.shape, "y": (table.rows,) if table.flat else table.shape})
        gram = sums.another_response(rows, self.gram, table)
        kept = Rows(rows.X, table, rows.weights)
        return _result(gram, kept, kept)

    def predict(self, X: Any, *, decimal: bool | None = None) -> Floats:
        """X b for rows X (m, p): (m,) or (m, k), rounded once."""
        table = checks.matrix(X, "X", decimal)
        if len(table.columns) != len(self.names):
            raise UsageError(
                f"X has shape {table.shape}, but the fit has {counted(len(self.names), 'coefficient')}: one a column."
            )
        if hasattr(X, "columns") and table.names != self.names:
            raise UsageError(
                f"X has columns {', '.join(table.names)}; the fit's are {', '.join(self.names)}, in order."
            )
        return self._shaped(times(table.columns, *self.system.coef_pair, self.system.coef_exact))

    @cached_property
    def fitted(self) -> Floats:
        """X b (n,) or (n, k)."""
        return self._shaped(
            times(self._unchanged("fitted values").X.columns, *self.system.coef_pair, self.system.coef_exact)
        )

    def residuals(self) -> Floats:
        """y - X b (n,) or (n, k), rounded once; zeros where the fit is exact."""
        return self._shaped(residuals_of(self._unchanged("residuals"), self.system))

    def digits(self, inputs: Inputs = "printed", samples: int = 0, seed: int = 0) -> pd.DataFrame:
        """How many digits the inputs support, per coefficient.

        inputs: "printed": every number is good to half a unit of the last decimal place that its column shows, and
        whole numbers are exact; a number r: to relative error r; (dX, dy): to these absolute errors, numbers or arrays
        that fit X and y.  Columns that are constant or hold only 0 and 1 count as exact in the first two.
        samples: how many times to perturb the inputs, uniformly within their error, and to refit exactly.

        Columns: estimate; computed: digits of it that are right for the inputs as given (all); data_limited: digits
        that survive the worst errors within `inputs`, to first order (for rows that came in chunks only for a
        relative error, and by a wider bound); with samples also sampled_worst and
        sampled_95, the digits of the worst sample and of the worst but 5 in 100.
        """
        check_samples(samples, seed)
        if self.rows is None and not isinstance(inputs, str | tuple) and not samples:
            check_inputs(inputs, "(dX, dy)")
            table = digits_of_sums(self.system, self.names, self.responses, inputs)
            return table.droplevel(0) if self.flat else table
        return digits_table(self._unchanged("digits"), self.system, self.names, self.responses, inputs, samples, seed)

    @cached_property
    def printed_limits(self) -> Floats | None:
        """(p,) digits to print beside the coefficients, None for none."""
        return lstsq_text.limits(self)

    def _kept(self, what: str) -> Rows:
        """The rows that were fitted."""
        if self.rows is None:
            raise UsageError(
                f"The rows came in chunks and were not kept, so there are no {what} of them. "
                "Use predict(X) chunk by chunk, or fit the rows in one piece."
            )
        return self.rows

    def _unchanged(self, what: str) -> Rows:
        """The same, checked to be still those that were fitted."""
        rows = self._kept(what)
        sums.check_unchanged(rows, self.gram)
        return rows

    def __str__(self) -> str:
        return lstsq_text.text(self)

    __repr__ = __str__

    def __reduce__(self) -> tuple[Any, ...]:
        """What is solved from the sums is solved again in a copy."""
        return _of_sums, (self.gram, self.names, self.responses, self.flat, self.rows)

    def _repr_html_(self) -> str:
        return lstsq_text.html(self)
