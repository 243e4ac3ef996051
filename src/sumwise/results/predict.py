"""Predictions for new rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data import Contract, open_sites, parse, rows
from sumwise.errors import DataError, UsageError
from sumwise.kernels.library import exp
from sumwise.results.record import RandomEffects


def predict(
    formula: str,
    contract: dict[str, Any],
    beta: NDArray[np.float64],
    effects: RandomEffects,
    data: Any,
    *,
    random: bool,
    kind: str,
    new_groups: str,
) -> pd.Series:
    """See Fit.predict; formula, contract, beta (p,) and effects are those of the fit."""
    if kind not in ("response", "link"):
        raise UsageError(f"kind={kind!r}: 'response' for probabilities or 'link' for log odds")
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
        (term,) = new.random
        known = dict(zip(effects.levels, effects.mode, strict=True))
        unknown = [label for label in term.groups if label not in known]
        if unknown and new_groups == "error":
            raise DataError(
                f"{len(unknown)} group(s) of '{effects.group}' were not in the fit, for instance {unknown[0]!r}; "
                f"new_groups='zero' predicts them with a random effect of zero"
            )
        eta += np.array([known.get(label, 0.0) for label in term.groups])[term.group]
    index = data.index if isinstance(data, pd.DataFrame) else pd.RangeIndex(len(eta))
    return pd.Series(eta if kind == "link" else 1 / (1 + exp(-eta)), index=index, name=kind)
