"""What a generalized linear model says about rows: predictions for new ones, residuals for those that were fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data import Contract, DesignBlock, Rows, build, open_sites, parse, rows
from sumwise.errors import DataError, UsageError
from sumwise.kernels.glm import fitted_rows
from sumwise.results.inference import normal_quantile, t_quantile

if TYPE_CHECKING:
    from sumwise.results.glm import GlmFit

Floats = NDArray[np.float64]

RESIDUALS = ("deviance", "pearson", "response", "working")


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
    at = _at(fit, eta)
    if not se:
        return pd.Series(eta if kind == "link" else at["mu"], index=index, name=kind)
    variance = np.zeros(len(eta))
    for i, u in enumerate(new.x):
        for j, v in enumerate(new.x):
            variance += fit.unscaled[i, j] * (u * v)
    spread = np.sqrt(np.maximum(fit.dispersion * variance, 0.0))
    half = (t_quantile(level, fit.df_residual) if fit.dispersed else normal_quantile(level)) * spread
    ends = np.stack([eta - half, eta + half])
    if kind == "response":
        ends = np.sort(np.stack([_mean(fit, end) for end in ends]), axis=0)
        eta, spread = at["mu"], np.abs(at["slope"]) * spread
    frame = {"estimate": eta, "std_error": spread, "lower": ends[0], "upper": ends[1]}
    return pd.DataFrame(frame, index=index)


def residuals(fit: GlmFit, data: Any, kind: str) -> pd.Series:
    """See GlmFit.residuals."""
    if kind not in RESIDUALS:
        raise UsageError(f"kind={kind!r}: one of {', '.join(map(repr, RESIDUALS))}")
    formula, contract = parse(fit.formula), Contract.from_dict(fit.contract)
    blocks = {
        name: build(formula, contract, source, missing=fit.missing, family=fit.family)
        for name, source in open_sites(data).items()
    }
    values = {name: _of_block(fit, block, kind) for name, block in blocks.items()}
    if len(values) == 1:
        ((name, found),) = values.items()
        kept = blocks[name].kept
        index = data.index[kept] if isinstance(data, pd.DataFrame) else pd.Index(kept)
        return pd.Series(found, index=index, name=kind)
    labels = [(name, row) for name, block in blocks.items() for row in block.kept.tolist()]
    index = pd.MultiIndex.from_tuples(labels, names=["site", "row"])
    return pd.Series(np.concatenate(list(values.values())), index=index, name=kind)


def _of_block(fit: GlmFit, block: DesignBlock, kind: str) -> Floats:
    eta = linear_predictor(fit, block, len(block.y))
    w = np.ones(len(block.y)) if block.weights is None else block.weights
    binomial = fit.family == "binomial"
    n = w * block.size if binomial else w
    live = n > 0
    y = w * block.y if binomial else block.y
    safe_n, safe_y = np.where(live, n, 1.0), np.where(live, y, 1.0)
    at = _at(fit, eta, safe_y, safe_n)
    share = np.where(live, safe_y / safe_n, np.nan) if binomial else block.y
    if kind == "response":
        found = share - at["mu"]
    elif kind == "working":
        found = (share - at["mu"]) / at["slope"]
    elif kind == "pearson":
        found = at["score"] / np.sqrt(at["weight"]) * np.sign(at["slope"])
    else:
        found = np.sign(share - at["mu"]) * np.sqrt(np.maximum(at["deviance"], 0.0))
    return np.where(live, found, np.nan)


def linear_predictor(fit: GlmFit, block: Rows | DesignBlock, n: int) -> Floats:
    """offset + X beta (n,)."""
    eta = np.zeros(n) if block.offset is None else block.offset.copy()
    for coefficient, column in zip(fit.beta, block.x, strict=True):
        eta += coefficient * column
    return eta


def _mean(fit: GlmFit, eta: Floats) -> Floats:
    """(n,): infinite where an interval reaches beyond the predictors that have a mean."""
    inside = (eta > 0) | (fit.link not in ("inverse", "1/mu^2"))
    return np.where(inside, _at(fit, np.where(inside, eta, 1.0))["mu"], np.inf)


def _at(fit: GlmFit, eta: Floats, y: Floats | float = 1.0, n: Floats | float = 1.0) -> dict[str, Floats]:
    if fit.link in ("inverse", "1/mu^2") and (eta <= 0).any():
        raise DataError(
            f"the linear predictor of {int((eta <= 0).sum())} of {len(eta)} rows is not above zero: the link "
            f'{fit.link!r} has no mean there; leave these rows out, or fit with link="log"'
        )
    size = 1.0 if fit.size is None else fit.size
    return fitted_rows(fit.family, fit.link, eta, y, n, size)
