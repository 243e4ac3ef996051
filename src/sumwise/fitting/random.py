"""What methods with random effects share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from sumwise.data import Formula
from sumwise.data.groups import Label
from sumwise.maths.newton import Outcome
from sumwise.results.random import RandomEffects
from sumwise.results.record import Verdict

Floats = NDArray[np.float64]

ROUGH = 0.01
"""Quadrature error in log-likelihood, on average over the groups, from which fixed nodes count as too few."""

LARGEST_SHIFT = 0.1
"""Standard errors that coefficients may move by when fixed nodes become enough, before they count as too few."""


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


def quadrature_words(
    error: float, groups: int, nodes: Iterable[int], bound: float | None, shift: float, spread: str
) -> tuple[str, bool]:
    """What to say of a quadrature that is rough, "" of one that is not, and whether it limits the estimates.

    error: measured, of the total log-likelihood; nodes: that groups took; bound: asked for, None where the caller fixed
    the nodes; shift: in that case how far the coefficients would go with more, in standard errors; spread: what asks
    for more nodes, in words.
    """
    most = max(nodes, default=0)
    if bound is not None:
        if error <= max(1e-6, bound):
            return "", False
        asks = f"{spread} asks for more than {most} quadrature nodes."
        return f" The log-likelihood itself is uncertain by {error:.1g}: {asks}", True
    if error <= 1e-6:
        return "", False
    how = "Laplace's approximation (one node) leaves" if most == 1 else f"{most} nodes a group leave"
    words = f" {how} the log-likelihood uncertain by {error:.1g}"
    more = (
        f': with as many nodes as it needs (nodes="auto") the coefficients would move by up to {shift:.1g} standard '
        f"errors"
    )
    words += f"{more if np.isfinite(shift) else ''}."
    return words, not shift <= LARGEST_SHIFT or error > ROUGH * groups


def verdict(
    outcome: Outcome, move: float, *, rough: str = "", limited: bool = False, flat: str = "", boundary: str = ""
) -> Verdict:
    """One voice.  move: how far the estimates could still go, in standard errors; rough, limited: of the quadrature;
    flat, boundary: words for what is flat, or lies on the boundary.
    """
    if outcome is not Outcome.CONVERGED:
        why = "no step raised the log-likelihood" if outcome is Outcome.STALLED else "the limit of rounds was reached"
        far = f"could still move by {move:.1g} standard errors" if np.isfinite(move) else "are not at a maximum"
        return Verdict("not_converged", f"Not converged ({why}): the estimates {far}.{rough}", move)
    far = f"Estimates could move by at most {move:.1e} standard errors in another step."
    if limited:
        return Verdict("quadrature_limited", f"Converged, but on a rough approximation.{rough} {far}", move)
    if flat:
        return Verdict("flat", f"Converged, but {flat}. {far}{rough}", move)
    if boundary:
        return Verdict("boundary", f"Converged, {boundary}. {far}{rough}", move)
    return Verdict("converged", f"Converged. {far}{rough}", move)


def boundary_words(bar: str, zero: Sequence[str], all_zero: bool, dependent: Sequence[Sequence[str]]) -> str:
    """Which component is zero at the maximum, and what that means; "" if none.

    zero: effects without variance; all_zero: none has any; dependent: effects that determine each other.
    """
    said = []
    if all_zero:
        said.append(f"with no variance of {bar} at all: the groups differ no more than chance makes them")
    elif zero:
        said.append(f"with the variance of {', '.join(map(repr, zero))} in {bar} exactly zero")
    tied = (", ".join(map(repr, names)) for names in dependent)
    said += [f"with effects {names} that determine each other (a correlation of 1 or -1)" for names in tied]
    if not said:
        return ""
    return f"{'; '.join(said)}. The maximum lies on the boundary of what covariances can be, and the estimates stand"
