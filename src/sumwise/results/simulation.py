"""Responses drawn from a fit, for the rows that were fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data import DesignBlock
from sumwise.errors import UsageError
from sumwise.results import glm_rows, mixed_rows
from sumwise.results.random import RandomEffects
from sumwise.results.responses import mean, response_of
from sumwise.results.rows import fitted

if TYPE_CHECKING:
    from sumwise.results.fit import Fit
    from sumwise.results.glm import GlmFit
    from sumwise.results.linear import LinearFit
    from sumwise.results.mixed import MixedFit

Floats = NDArray[np.float64]

FREQUENCIES = (
    "the weights say how many rows each row stands for: give each row as often as its weight says, and none a weight"
)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Rows of one site.  eta (n,): the part of the linear predictor that is not drawn; n (n,): trials, or weights."""

    block: DesignBlock
    eta: Floats
    n: Floats


def prepared(fit: Fit, block: DesignBlock, *, conditional: bool = False) -> Prepared:
    """conditional: with the modes of the groups.   Raises UsageError for weights that stand for rows."""
    if getattr(fit, "weights_as", "") == "frequency" and block.weights is not None:
        raise UsageError(FREQUENCIES)
    match fit.model:
        case "mixed":
            mixed: MixedFit = fit  # type: ignore[assignment]
            return Prepared(
                block, mixed_rows.predictor(mixed, block, random=conditional), mixed_rows.size(mixed, block)
            )
        case "glm":
            glm: GlmFit = fit  # type: ignore[assignment]
            return Prepared(block, glm_rows.linear_predictor(glm, block, len(block.y)), glm_rows.size(glm, block))
        case _:
            linear: LinearFit = fit  # type: ignore[assignment]
            eta = np.zeros(len(block.y)) if block.offset is None else block.offset.copy()
            for k in linear.kept:
                eta += float(linear.coef.iloc[k]) * block.x[k]
            return Prepared(block, eta, np.ones(len(block.y)) if block.weights is None else block.weights)


def draw(
    fit: Fit, rows: Sequence[Prepared], generator: np.random.Generator, *, conditional: bool = False
) -> list[Floats]:
    """Responses (n,) of each site, successes if binomial; rows of weight zero keep theirs."""
    effects = [] if conditional else [drawn(fit, each, generator) for each in getattr(fit, "random", ())]
    response, found = response_of(fit), []
    for part in rows:
        eta = part.eta
        for each in effects:
            eta = eta + mixed_rows.of_groups(each, part.block.random, "error")
        live = part.n > 0
        y = part.block.y.copy()
        y[live] = response.sample(generator, mean(fit.link, eta[live]), part.n[live])
        if fit.family == "binomial":  # successes out of trials, where weights made more of them
            y[live] *= part.block.size[live] / part.n[live]
        found.append(y)
    return found


def simulate(fit: Fit, data: Any, samples: int, seed: int, random: str = "new") -> pd.DataFrame:
    """One column a sample, sim_1 and so on."""
    if random not in ("new", "conditional"):
        raise UsageError(f"random={random!r}: 'new' draws effects of the groups, 'conditional' keeps their modes")
    check_samples(samples)
    blocks, index = mixed_rows.fitted_blocks(fit, data) if fit.model == "mixed" else fitted(fit, data)  # type: ignore[arg-type]
    generator, conditional = np.random.default_rng(seed), random == "conditional"
    rows = [prepared(fit, block, conditional=conditional) for block in blocks.values()]
    values = [np.concatenate(draw(fit, rows, generator, conditional=conditional)) for _ in range(samples)]
    return pd.DataFrame(np.column_stack(values), index=index, columns=[f"sim_{k + 1}" for k in range(samples)])


def check_samples(samples: Any) -> None:
    """Raises UsageError unless it is a whole number from 1."""
    if isinstance(samples, bool) or not isinstance(samples, (int, np.integer)) or samples < 1:
        raise UsageError(f"samples={samples!r}: a whole number from 1")


def drawn(fit: Fit, effects: RandomEffects, generator: np.random.Generator) -> RandomEffects:
    """Effects of the same groups, drawn from their distribution."""
    L = (fit.sigma if fit.family == "gaussian" else 1.0) * effects.factor()
    u = generator.normal(size=(len(effects.levels), len(L)))
    mode = np.zeros_like(u)
    for k in range(len(L)):
        mode += np.multiply.outer(u[:, k], L[:, k])
    arrays = effects.theta, effects.groups, effects.levels, mode, np.zeros_like(effects.covariance)
    return RandomEffects(effects.group, effects.columns, effects.blocks, *arrays)
