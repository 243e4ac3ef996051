"""What methods with random effects share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sumwise.data import Formula
from sumwise.data.groups import Label
from sumwise.results.random import RandomEffects

Floats = NDArray[np.float64]


def factors(formula: Formula) -> tuple[str, ...]:
    """Names of the grouping factors, each once."""
    found = [":".join(c.name for c in factor) for bar in formula.bars for factor in bar.factors]
    return tuple(dict.fromkeys(found))


def effects_of(
    group: str,
    columns: tuple[str, ...],
    blocks: tuple[int, ...],
    theta: Floats,
    groups: int,
    parts: Sequence[tuple[tuple[Label, ...], Floats, Floats]],
) -> RandomEffects:
    """Of the groups whose rows are at hand: labels (G,), mode (G, q) and covariance (G, q, q) by site, on the scale of
    the linear predictor.
    """
    q = len(columns)
    labels = [label for part in parts for label in part[0]]
    order = sorted(range(len(labels)), key=labels.__getitem__)
    mode = np.concatenate([np.empty((0, q)), *(part[1] for part in parts)])[order]
    covariance = np.concatenate([np.empty((0, q, q)), *(part[2] for part in parts)])[order]
    levels = tuple(labels[k] for k in order)
    return RandomEffects(group, columns, blocks, np.array(theta), groups, levels, mode, covariance)
