"""Predictions for new rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data import Contract, open_sites, parse, rows
from sumwise.data.design import RandomTerm
from sumwise.errors import DataError, UsageError
from sumwise.kernels.library import exp
from sumwise.results.random import RandomEffects

INVERSES: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "identity": lambda eta: eta,
    "log": exp,
    "logit": lambda eta: 1 / (1 + exp(-eta)),
}
"""The mean by the name of the link."""


def predict(
    formula: str,
    contract: dict[str, Any],
    link: str,
    beta: NDArray[np.float64],
    effects: Sequence[RandomEffects],
    data: Any,
    *,
    random: bool,
    kind: str,
    new_groups: str,
) -> pd.Series:
    """See MixedFit.predict; formula, contract, link, beta (p,) and effects are those of the fit."""
    if kind not in ("response", "link"):
        raise UsageError(f"kind={kind!r}: 'response' for means (probabilities, say) or 'link' for the linear predictor")
    if new_groups not in ("zero", "error"):
        raise UsageError(f"new_groups={new_groups!r}: 'zero' or 'error'")
    sources = open_sites(data)
    if len(sources) != 1:
        raise UsageError("predict takes one table, not a mapping of sites")
    (source,) = sources.values()
    new = rows(parse(formula), Contract.from_dict(contract), source, grouped=random)
    eta = np.zeros(len(new.kept)) if new.offset is None else new.offset.copy()
    for coefficient, column in zip(beta, new.x, strict=True):
        eta += coefficient * column
    if random:
        for own in effects:
            eta += _of_groups(own, new.random, new_groups)
    index = data.index if isinstance(data, pd.DataFrame) else pd.RangeIndex(len(eta))
    return pd.Series(eta if kind == "link" else INVERSES[link](eta), index=index, name=kind)


def _of_groups(effects: RandomEffects, terms: Sequence[RandomTerm], new_groups: str) -> NDArray[np.float64]:
    """(n,) what the effects of a factor add to the rows.  terms: those of the new rows."""
    mine = [term for term in terms if term.factor == effects.group]
    z = {name: column for term in mine for name, column in zip(term.columns, term.z, strict=True)}
    known = {label: place for place, label in enumerate(effects.levels)}
    unknown = [label for label in mine[0].groups if label not in known]
    if unknown and new_groups == "error":
        raise DataError(
            f"{len(unknown)} group(s) of '{effects.group}' were not in the fit, for instance {unknown[0]!r}; "
            f"new_groups='zero' predicts them with a random effect of zero"
        )
    mode = np.vstack([effects.mode, np.zeros((1, len(effects.columns)))])  # the last row is that of new groups
    place = np.array([known.get(label, -1) for label in mine[0].groups])[mine[0].group]
    total = np.zeros(len(place))
    for k, name in enumerate(effects.columns):
        total += z[name] * mode[place, k]
    return total
