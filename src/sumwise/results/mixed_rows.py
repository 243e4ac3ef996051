"""What the fit of a mixed model says about rows: predictions for new ones, residuals of the fitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data import Contract, DesignBlock, Rows, open_sites, parse, rows
from sumwise.data.design import RandomTerm
from sumwise.errors import DataError, UsageError
from sumwise.results.inference import normal_quantile
from sumwise.results.random import RandomEffects
from sumwise.results.responses import averaged, check_kind, mean, response_of, with_interval
from sumwise.results.rows import fitted

if TYPE_CHECKING:
    from sumwise.results.mixed import MixedFit

Floats = NDArray[np.float64]

# -- predictions --


def predict(
    fit: MixedFit, data: Any, random: bool | str, kind: str, new_groups: str, se: bool, level: float
) -> pd.Series | pd.DataFrame:
    """See MixedFit.predict."""
    if kind not in ("response", "link"):
        raise UsageError(f"kind={kind!r}: 'response' for means (probabilities, say) or 'link' for the linear predictor")
    if new_groups not in ("zero", "error"):
        raise UsageError(f"new_groups={new_groups!r}: 'zero' or 'error'")
    if random not in (True, False, "average"):
        raise UsageError(f"random={random!r}: True, False or 'average'")
    if random == "average" and (se or kind == "link"):
        raise UsageError("random='average' gives mean responses, without standard errors")
    found = open_sites(data)
    if len(found) != 1:
        raise UsageError("predict takes one table, not a mapping of sites")
    (source,) = found.values()
    new = rows(parse(fit.formula), Contract.from_dict(fit.contract), source, grouped=bool(random))
    eta = _fixed_part(fit, new.x, new.offset, len(new.kept))
    index = data.index if isinstance(data, pd.DataFrame) else pd.RangeIndex(len(eta))
    if random == "average":
        return pd.Series(averaged(fit.link, eta, spread(fit, new)), index=index, name="response")
    if random:
        for each in fit.random:
            eta += of_groups(each, new.random, new_groups)
    if not se:
        return pd.Series(eta if kind == "link" else mean(fit.link, eta), index=index, name=kind)
    square = _quadratic(new.x, fit.vcov.to_numpy(), len(eta))
    if random:
        for each in fit.random:
            square += _conditional(fit, each, new.random)
    return with_interval(fit.link, eta, square, normal_quantile(level), kind, index)


def _fixed_part(fit: MixedFit, x: Sequence[Floats], offset: Floats | None, n: int) -> Floats:
    eta = np.zeros(n) if offset is None else np.array(offset, dtype=np.float64)
    for coefficient, column in zip(fit.beta, x, strict=True):
        eta += coefficient * column
    return eta


def _columns(effects: RandomEffects, terms: Sequence[RandomTerm]) -> tuple[list[Floats], RandomTerm]:
    """The q columns of Z of a factor's effects in the rows, and a term with its groups."""
    mine = [term for term in terms if term.factor == effects.group]
    z = {name: column for term in mine for name, column in zip(term.columns, term.z, strict=True)}
    return [z[name] for name in effects.columns], mine[0]


def of_groups(effects: RandomEffects, terms: Sequence[RandomTerm], new_groups: str) -> Floats:
    """(n,) what the effects of a factor add to the rows.  terms: those of the rows."""
    z, term = _columns(effects, terms)
    known = {label: place for place, label in enumerate(effects.levels)}
    unknown = [label for label in term.groups if label not in known]
    if unknown and new_groups == "error":
        raise DataError(
            f"{len(unknown)} group(s) of '{effects.group}' were not in the fit, for instance {unknown[0]!r}; "
            f"new_groups='zero' predicts them with a random effect of zero"
        )
    mode = np.vstack([effects.mode, np.zeros((1, len(effects.columns)))])  # the last row is that of new groups
    place = np.array([known.get(label, -1) for label in term.groups], dtype=np.int64)[term.group]
    total = np.zeros(len(place))
    for k, column in enumerate(z):
        total += column * mode[place, k]
    return total


def _quadratic(columns: Sequence[Floats], V: Floats, n: int) -> Floats:
    """(n,) x'V x of the rows x of some columns; V (p, p), or (n, p, p) of its own in each row."""
    total = np.zeros(n)
    for i, one in enumerate(columns):
        for j, other in enumerate(columns):
            total += one * other * V[..., i, j]
    return np.maximum(total, 0.0)


def covariance(fit: MixedFit, effects: RandomEffects) -> Floats:
    """(q, q) covariance of the effects of a factor."""
    L = (fit.sigma if fit.family == "gaussian" else 1.0) * effects.factor()
    found = np.zeros_like(L)
    for column in L.T:
        found += np.multiply.outer(column, column)
    return found


def _variance(fit: MixedFit, effects: RandomEffects, terms: Sequence[RandomTerm]) -> Floats:
    """(n,) variance of z'b over the groups."""
    z, term = _columns(effects, terms)
    return _quadratic(z, covariance(fit, effects), len(term.group))


def spread(fit: MixedFit, block: Rows | DesignBlock) -> Floats:
    """(n,) variance over the groups of what all effects add to the rows."""
    return sum((_variance(fit, each, block.random) for each in fit.random), np.zeros(len(block.kept)))


def _conditional(fit: MixedFit, effects: RandomEffects, terms: Sequence[RandomTerm]) -> Floats:
    """(n,) variance of z'b given the data; of a new group, over the groups."""
    z, term = _columns(effects, terms)
    known = {label: place for place, label in enumerate(effects.levels)}
    each = np.concatenate([effects.covariance, covariance(fit, effects)[None]])
    place = np.array([known.get(label, -1) for label in term.groups], dtype=np.int64)[term.group]
    return _quadratic(z, each[place], len(place))


# -- the rows that were fitted --


def fitted_blocks(fit: MixedFit, data: Any) -> tuple[dict[str, DesignBlock], pd.Index]:
    """As rows.fitted.  Raises DataError if `data` has other rows or groups than were fitted."""
    blocks, index = fitted(fit, data)
    for effects in fit.random:
        known = set(effects.levels)
        groups = (g for b in blocks.values() for t in b.random if t.factor == effects.group for g in t.groups)
        strange = next((label for label in groups if label not in known), None)
        if strange is not None:
            raise DataError(f"this is not the table that was fitted: the group {strange!r} of '{effects.group}' is new")
    return blocks, index


def predictor(fit: MixedFit, block: DesignBlock, *, random: bool) -> Floats:
    """(n,) the linear predictor.  random: with the modes of the groups."""
    eta = _fixed_part(fit, block.x, block.offset, len(block.y))
    for effects in fit.random if random else ():
        eta += of_groups(effects, block.random, "error")
    return eta


def size(fit: MixedFit, block: DesignBlock) -> Floats:
    """Trials, or prior weights."""
    if fit.family == "binomial":
        return block.size
    return np.ones(len(block.y)) if block.weights is None else block.weights


def residuals(fit: MixedFit, data: Any, kind: str, seed: int) -> pd.Series:
    """See MixedFit.residuals."""
    check_kind(kind)
    response, generator = response_of(fit), np.random.default_rng(seed)
    blocks, index = fitted_blocks(fit, data)
    found = []
    for block in blocks.values():
        eta = predictor(fit, block, random=True)
        found.append(response.residuals(kind, fit.link, eta, block.y, size(fit, block), generator))
    return pd.Series(np.concatenate(found), index=index, name=kind)
