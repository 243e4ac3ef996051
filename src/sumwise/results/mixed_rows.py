"""What the fit of a mixed model says about rows: predictions for new ones; residuals and simulations of the fitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data import Contract, DesignBlock, build, open_sites, parse, rows
from sumwise.data.design import RandomTerm
from sumwise.errors import DataError, UsageError
from sumwise.results.inference import normal_quantile
from sumwise.results.random import RandomEffects
from sumwise.results.responses import LINKS, Response, averaged

if TYPE_CHECKING:
    from sumwise.results.mixed import MixedFit

Floats = NDArray[np.float64]

KINDS = ("response", "pearson", "deviance", "quantile")


def response_of(fit: MixedFit) -> Response:
    """The distribution of the response, given the effects."""
    return Response(fit.family, 1.0 if fit.scale is None else fit.scale)


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
        spread = sum((_variance(fit, each, new.random) for each in fit.random), np.zeros(len(eta)))
        return pd.Series(averaged(fit.link, eta, spread), index=index, name="response")
    if random:
        for each in fit.random:
            eta += of_groups(each, new.random, new_groups)
    mean = eta if kind == "link" else LINKS[fit.link].mean(eta)
    if not se:
        return pd.Series(mean, index=index, name=kind)
    square = _quadratic(new.x, fit.vcov.to_numpy(), len(eta))
    if random:
        for each in fit.random:
            square += _conditional(fit, each, new.random)
    error = np.sqrt(square)
    half = normal_quantile(level) * error
    low, high = eta - half, eta + half
    if kind == "response":
        link = LINKS[fit.link]
        ends = np.sort([link.mean(low), link.mean(high)], axis=0)
        low, high, error = *ends, np.abs(link.slope(eta)) * error
    return pd.DataFrame({"estimate": mean, "std_error": error, "lower": low, "upper": high}, index=index)


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


def _conditional(fit: MixedFit, effects: RandomEffects, terms: Sequence[RandomTerm]) -> Floats:
    """(n,) variance of z'b given the data; of a new group, over the groups."""
    z, term = _columns(effects, terms)
    known = {label: place for place, label in enumerate(effects.levels)}
    each = np.concatenate([effects.covariance, covariance(fit, effects)[None]])
    place = np.array([known.get(label, -1) for label in term.groups], dtype=np.int64)[term.group]
    return _quadratic(z, each[place], len(place))


# -- the rows that were fitted --


def fitted_blocks(fit: MixedFit, data: Any) -> tuple[list[DesignBlock], pd.Index]:
    """The rows by site, and their labels.  Raises DataError if `data` has other rows or groups than were fitted."""
    formula, contract = parse(fit.formula), Contract.from_dict(fit.contract)
    missing = "drop" if any(site.dropped for site in fit.site_records) else "error"
    blocks = {
        name: build(formula, contract, source, missing=missing, family=fit.family)
        for name, source in open_sites(data).items()
    }
    n = sum(len(block.y) for block in blocks.values())
    if n != fit.nobs:
        raise DataError(f"this is not the table that was fitted: it has {n} rows, not {fit.nobs}")
    for effects in fit.random:
        known = set(effects.levels)
        groups = (g for b in blocks.values() for t in b.random if t.factor == effects.group for g in t.groups)
        strange = next((label for label in groups if label not in known), None)
        if strange is not None:
            raise DataError(f"this is not the table that was fitted: the group {strange!r} of '{effects.group}' is new")
    if len(blocks) == 1:
        (block,) = blocks.values()
        return [block], data.index[block.kept] if isinstance(data, pd.DataFrame) else pd.Index(block.kept)
    labels = [(name, row) for name, block in blocks.items() for row in block.kept.tolist()]
    return list(blocks.values()), pd.MultiIndex.from_tuples(labels, names=["site", "row"])


def _predictor(fit: MixedFit, block: DesignBlock, *, random: bool) -> Floats:
    eta = _fixed_part(fit, block.x, block.offset, len(block.y))
    for effects in fit.random if random else ():
        eta += of_groups(effects, block.random, "error")
    return eta


def _size(fit: MixedFit, block: DesignBlock) -> Floats:
    """Trials, or prior weights."""
    if fit.family == "binomial":
        return block.size
    return np.ones(len(block.y)) if block.weights is None else block.weights


def residuals(fit: MixedFit, data: Any, kind: str, seed: int) -> pd.Series:
    """See MixedFit.residuals."""
    if kind not in KINDS:
        raise UsageError(f"kind={kind!r}: {', '.join(map(repr, KINDS))}")
    response, generator = response_of(fit), np.random.default_rng(seed)
    blocks, index = fitted_blocks(fit, data)
    found = []
    for block in blocks:
        mu, n = LINKS[fit.link].mean(_predictor(fit, block, random=True)), _size(fit, block)
        mean, trials = (n * mu, n) if fit.family == "binomial" else (mu, np.ones(len(mu)))
        match kind:
            case "response":
                values = (block.y - mean) / trials
            case "pearson":
                values = (block.y - mean) / np.sqrt(response.variance(mu, n))
            case "deviance":
                values = np.sign(block.y - mean) * np.sqrt(response.deviance(block.y, mu, n))
            case _:
                values = response.quantile_residuals(block.y, mu, n, generator)
        found.append(values)
    return pd.Series(np.concatenate(found), index=index, name=kind)


def simulate(fit: MixedFit, data: Any, samples: int, seed: int, *, random: str) -> pd.DataFrame:
    """See MixedFit.simulate."""
    if random not in ("new", "conditional"):
        raise UsageError(f"random={random!r}: 'new' draws effects of the groups, 'conditional' keeps their modes")
    if isinstance(samples, bool) or not isinstance(samples, (int, np.integer)) or samples < 1:
        raise UsageError(f"samples={samples!r}: a whole number from 1")
    response, generator = response_of(fit), np.random.default_rng(seed)
    blocks, index = fitted_blocks(fit, data)
    fixed = [_predictor(fit, block, random=random == "conditional") for block in blocks]
    found = np.empty((len(index), samples))
    for k in range(samples):
        effects = [_drawn(fit, each, generator) for each in fit.random] if random == "new" else []
        drawn = []
        for block, eta in zip(blocks, fixed, strict=True):
            total = eta + sum((of_groups(each, block.random, "error") for each in effects), np.zeros(len(eta)))
            drawn.append(response.sample(generator, LINKS[fit.link].mean(total), _size(fit, block)))
        found[:, k] = np.concatenate(drawn)
    return pd.DataFrame(found, index=index, columns=[f"sim_{k + 1}" for k in range(samples)])


def _drawn(fit: MixedFit, effects: RandomEffects, generator: np.random.Generator) -> RandomEffects:
    """Effects of the same groups, drawn from their distribution."""
    L = (fit.sigma if fit.family == "gaussian" else 1.0) * effects.factor()
    u = generator.normal(size=(len(effects.levels), len(L)))
    mode = np.zeros_like(u)
    for k in range(len(L)):
        mode += np.multiply.outer(u[:, k], L[:, k])
    arrays = effects.theta, effects.groups, effects.levels, mode, np.zeros_like(effects.covariance)
    return RandomEffects(effects.group, effects.columns, effects.blocks, *arrays)
