"""The random effects of a fit: their covariance, and the effects of the groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Component(NamedTuple):
    """A row of MixedFit.varcomp: the variance and sd of an effect, or, with `other`, the corr of two."""

    group: str
    term: str
    other: str
    variance: float
    sd: float
    corr: float


@dataclass(frozen=True, slots=True, eq=False)
class RandomEffects:
    """The q effects of one grouping factor.

    group: name of the factor; columns (q): of the effects; blocks: sizes of the terms, in order, effects of one of
    which may correlate; theta (m,): lower triangles of the terms' relative Cholesky factors, column by column, as lme4
    has them; groups: how many the fit has.
    levels (G,): labels of those whose rows are here; mode (G, q), covariance (G, q, q): conditional modes, on the scale
    of the linear predictor, and conditional covariances.   Those of a study stay at the sites: each site has its own
    groups alone, and the coordinator none.
    """

    group: str
    columns: tuple[str, ...]
    blocks: tuple[int, ...]
    theta: Floats
    groups: int
    levels: tuple[int | str, ...]
    mode: Floats
    covariance: Floats

    def places(self) -> Iterator[tuple[int, int]]:
        """(row, column) of each theta in the relative Cholesky factor."""
        for end, size in zip(accumulate(self.blocks), self.blocks, strict=True):
            yield from ((row, column) for column in range(end - size, end) for row in range(column, end))

    def factor(self) -> Floats:
        """The relative Cholesky factor, (q, q), lower triangular: sigma^2 times it and its transpose are the covariance
        of the effects.
        """
        q = len(self.columns)
        found = np.zeros((q, q))
        for (row, column), value in zip(self.places(), self.theta, strict=True):
            found[row, column] = value
        return found

    def names(self) -> list[str]:
        """Of theta, as lme4 has them: "g.(Intercept)", "g.x.(Intercept)", "g.x"."""
        return [
            ".".join([self.group, self.columns[row], *([] if row == column else [self.columns[column]])])
            for row, column in self.places()
        ]

    def ranef(self) -> pd.DataFrame:
        """Modes, and their conditional standard deviations as "sd ..", by group."""
        sd = np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))
        names = [*self.columns, *(f"sd {name}" for name in self.columns)]
        return pd.DataFrame(np.hstack([self.mode, sd]), pd.Index(self.levels, name=self.group), names)

    def components(self, sigma: float) -> list[Component]:
        """Variances, then correlations.  sigma: what the relative Cholesky factor is relative to."""
        L, nan = sigma * self.factor(), float("nan")
        variance = [sum(v * v for v in row) for row in L.tolist()]
        rows = [
            Component(self.group, c, "", v, float(np.sqrt(v)), nan) for c, v in zip(self.columns, variance, strict=True)
        ]
        for row, column in self.places():
            if row > column:
                both = variance[row] * variance[column]
                inner = sum(a * b for a, b in zip(L[row].tolist(), L[column].tolist(), strict=True))
                corr = inner / float(np.sqrt(both)) if both else nan
                pair = self.columns[column], self.columns[row]
                rows.append(Component(self.group, *pair, nan, nan, corr))
        return rows

    def values(self) -> dict[str, Any]:
        """The fields in JSON's types."""
        arrays = {name: getattr(self, name).tolist() for name in ("theta", "mode", "covariance")}
        return {name: getattr(self, name) for name in ("group", "columns", "blocks", "groups", "levels")} | arrays

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """What `values` gave, after a trip through JSON."""
        q, levels = len(values["columns"]), tuple(values["levels"])
        return cls(
            group=values["group"],
            columns=tuple(values["columns"]),
            blocks=tuple(values["blocks"]),
            theta=np.array(values["theta"], dtype=np.float64),
            groups=values["groups"],
            levels=levels,
            mode=np.reshape(np.array(values["mode"], dtype=np.float64), (len(levels), q)),
            covariance=np.reshape(np.array(values["covariance"], dtype=np.float64), (len(levels), q, q)),
        )
