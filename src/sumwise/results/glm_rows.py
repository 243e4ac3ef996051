"""What a generalized linear model says about rows: predictions for new ones, residuals for those that were fitted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data import Contract, DesignBlock, Rows, open_sites, parse, rows
from sumwise.errors import UsageError
from sumwise.results.inference import normal_quantile, t_quantile
from sumwise.results.responses import check_kind, mean, response_of, with_interval
from sumwise.results.rows import fitted

if TYPE_CHECKING:
    from sumwise.results.glm import GlmFit

Floats = NDArray[np.float64]


def predict(fit: GlmFit, data: Any, kind: str, se: bool, level: float) -> pd.Series | pd.DataFrame:
    """See GlmFit.predict."""
    if kind not in ("response", "link"):
        raise UsageError(f"kind={kind!r}: 'response' for means or 'link' for the linear predictor")
    sources = open_sites(data)
    if len(sources) != 1:
        raise UsageError("predict takes one table, not a mapping of sites")
    (source,) = sources.values()
    new = rows(parse(fit.formula), Contract.from_dict(fit.contract), source, grouped=False)
    eta = linear_predictor(fit, new, len(new.kept))
    index = data.index if isinstance(data, pd.DataFrame) else pd.RangeIndex(len(eta))
    if not se:
        return pd.Series(eta if kind == "link" else mean(fit.link, eta), index=index, name=kind)
    variance = np.zeros(len(eta))
    for i, u in enumerate(new.x):
        for j, v in enumerate(new.x):
            variance += fit.unscaled[i, j] * (u * v)
    quantile = t_quantile(level, fit.df_residual) if fit.dispersed else normal_quantile(level)
    return with_interval(fit.link, eta, fit.dispersion * variance, quantile, kind, index)


def residuals(fit: GlmFit, data: Any, kind: str, seed: int) -> pd.Series:
    """See GlmFit.residuals."""
    check_kind(kind)
    # R's Pearson residuals are those at dispersion one
    response, generator = response_of(fit), np.random.default_rng(seed)
    if fit.dispersed and kind == "pearson":
        response = replace(response, scale=1.0)
    blocks, index = fitted(fit, data)
    found = []
    for block in blocks.values():
        eta, n = linear_predictor(fit, block, len(block.y)), size(fit, block)
        y = n / np.where(block.size > 0, block.size, 1.0) * block.y if fit.family == "binomial" else block.y
        found.append(response.residuals(kind, fit.link, eta, y, n, generator))
    return pd.Series(np.concatenate(found), index=index, name=kind)


def size(fit: GlmFit, block: DesignBlock) -> Floats:
    """(n,) trials times weights, of a binomial response, else weights."""
    w = np.ones(len(block.y)) if block.weights is None else block.weights
    return w * block.size if fit.family == "binomial" else w


def linear_predictor(fit: GlmFit, block: Rows | DesignBlock, n: int) -> Floats:
    """offset + X beta (n,)."""
    eta = np.zeros(n) if block.offset is None else block.offset.copy()
    for coefficient, column in zip(fit.beta, block.x, strict=True):
        eta += coefficient * column
    return eta
