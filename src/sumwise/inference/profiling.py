"""Profile likelihood intervals of all parameters of a fit."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import exp, sin
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data import DesignBlock
from sumwise.engines.local import LocalEngine
from sumwise.fitting.watch import PROGRESS_AFTER
from sumwise.inference import refit
from sumwise.inference.refit import Again, Conversation
from sumwise.maths import slices
from sumwise.maths.newton import Point
from sumwise.maths.profile_limits import Limit, limit
from sumwise.maths.slices import Slice
from sumwise.models.surfaces import Surface
from sumwise.results.fit import Fit
from sumwise.results.glm import GlmFit
from sumwise.results.inference import normal_quantile, t_quantile
from sumwise.results.mixed import MixedFit
from sumwise.results.parameters import SCALES, name_of
from sumwise.results.random import Component

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Target:
    """name; first: which effects come first where it is held; held: how it is held; shown: the parameter, given the
    value that is held; inner: it is none of the covariance's, so that the effects may stand as suits the ascent.
    """

    name: str
    first: tuple[int, ...]
    held: Callable[[Surface], Slice]
    shown: Callable[[float], float]
    inner: bool = True


def profile(
    fit: Fit, blocks: Mapping[str, DesignBlock], level: float, threads: int | None, progress: bool | None
) -> pd.DataFrame:
    """Columns lower, upper, note; one row a parameter, as results/parameters.py names them.   blocks: the rows that
    were fitted, by site.

    Raises DataError where the rows give another fit.
    """
    made = refit.again(fit, blocks)
    refit.check_same(fit, made.fit())
    if isinstance(fit, MixedFit) and fit.method == "REML":
        made = refit.again(fit, blocks, method="ML")
    dispersed = isinstance(fit, GlmFit) and fit.dispersed
    quantile = t_quantile(level, fit.df_residual) if isinstance(fit, GlmFit) and dispersed else normal_quantile(level)
    shown = _shower(progress)
    found: dict[str, tuple[float, float, str]] = {}
    targets = list(_targets(fit))
    for first in dict.fromkeys(target.first for target in targets):
        own = [target for target in targets if target.first == first]
        for name, interval in _intervals(made, first, own, fit, quantile, threads):
            found[name] = interval
            shown(name, interval)
    rows = [found[target.name] for target in targets]
    return pd.DataFrame(rows, index=[target.name for target in targets], columns=["lower", "upper", "note"])


def _intervals(
    made: Again, first: tuple[int, ...], targets: list[Target], fit: Fit, quantile: float, threads: int | None
) -> Iterator[tuple[str, tuple[float, float, str]]]:
    talk: Conversation = made.conversation(first, threads)
    dispersion = fit.dispersion if isinstance(fit, GlmFit) else 1.0
    surfaces = [talk.surface(dispersion, inner=inner) for inner in (False, True)]
    with LocalEngine(talk.sites, threads) as engine:
        for target in targets:
            around = surfaces[target.inner]

            def evaluate(phi: Floats, around: Surface = around) -> Point:
                return around.read(phi, engine.total(around.ask(phi)))

            held, top = target.held(around), evaluate(around.phi)
            ends = [limit(evaluate, held, top, side, quantile, around.slack) for side in (-1, 1)]
            low, high = (target.shown(end.value) for end in ends)
            yield target.name, (low, high, _note(ends))


def _note(ends: list[Limit]) -> str:
    return "; ".join(f"{side}: {end.note}" for side, end in zip(("lower", "upper"), ends, strict=True) if end.note)


# -- what is held --


def _targets(fit: Fit) -> Iterator[Target]:
    p = len(fit.terms)
    for k, term in enumerate(fit.terms):
        yield Target(term, (0, 1), _coefficient(k), float)
    if isinstance(fit, MixedFit):
        yield from _covariances(fit)
        if fit.scale is not None:
            yield Target(SCALES[fit.family], (0, 1), _scale(p), _exp)
    if isinstance(fit, GlmFit) and fit.size_se is not None:
        yield Target("size", (0, 1), _scale(p), _exp)


def _covariances(fit: MixedFit) -> Iterator[Target]:
    """In the order of the fit: of each term the standard deviations, then the correlations."""
    blocks = [
        (effects.group, effects.columns[sum(effects.blocks[:b]) : sum(effects.blocks[: b + 1])])
        for effects in fit.random
        for b in range(len(effects.blocks))
    ]
    for t, (group, names) in enumerate(blocks):
        q = len(names)
        for i, name in enumerate(names):
            component = Component(group, name, "", 0.0, 0.0, 0.0)
            yield Target(name_of(component), (i, (i + 1) % q) if i else (0, 1), _deviation(t), float, inner=False)
        for i, j in combinations(range(q), 2):
            component = Component(group, names[i], names[j], 0.0, 0.0, 0.0)
            first = (j, i) if j == q - 1 and i == 0 and q > 2 else (i, j)  # one that a deviation needs as well
            yield Target(name_of(component), first, _correlation(t), sin, inner=False)


def _coefficient(k: int) -> Callable[[Surface], Slice]:
    def held(around: Surface) -> Slice:
        if k == around.intercept:
            return slices.intercept(len(around.phi), around.blocks, k, around.centre, around.shift)
        return slices.coordinate(len(around.phi), around.blocks, k)

    return held


def _scale(place: int) -> Callable[[Surface], Slice]:
    return lambda around: slices.coordinate(len(around.phi), around.blocks, place)


def _deviation(block: int) -> Callable[[Surface], Slice]:
    def held(around: Surface) -> Slice:
        sigma = len(around.centre) if around.relative else None
        return slices.deviation(len(around.phi), around.blocks, block, sigma)

    return held


def _correlation(block: int) -> Callable[[Surface], Slice]:
    return lambda around: slices.correlation(len(around.phi), around.blocks, block)


def _exp(value: float) -> float:
    return exp(value) if value < 700 else float("inf")


def _shower(progress: bool | None) -> Callable[[str, Any], None]:
    """What shows an interval on standard error, as the rounds of a fit are shown."""
    began = time.perf_counter()

    def show(name: str, interval: tuple[float, float, str]) -> None:
        watched = sys.stderr.isatty() and time.perf_counter() - began > PROGRESS_AFTER
        if progress or (progress is None and watched):
            low, high, _ = interval
            print(f"profile of {name}: {low:.6g} to {high:.6g}", file=sys.stderr, flush=True)

    return show
