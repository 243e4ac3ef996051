"""A fit again from its rows: with other responses, by another method, or its effects in another order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.data import Contract, DesignBlock, Formula, parse
from sumwise.engines.local import LocalEngine
from sumwise.errors import DataError
from sumwise.fitting.choose import choose
from sumwise.fitting.method import Here, Method, Written
from sumwise.fitting.options import Options
from sumwise.loop import run
from sumwise.models.surfaces import Surface, surface
from sumwise.results.fit import Fit
from sumwise.results.glm import GlmFit
from sumwise.results.linear import LinearFit
from sumwise.results.mixed import MixedFit

Floats = NDArray[np.float64]

SAME = 1e-5
"""Standard errors that coefficients may be off and still be those of the same table."""


@dataclass(frozen=True, slots=True)
class Again:
    """How a fit was made, and its rows by site."""

    formula: Formula
    contract: Contract
    options: Options
    method: Method
    blocks: Mapping[str, DesignBlock]

    def fit(self, responses: list[Floats] | None = None) -> Fit:
        """To other responses (n,), a block each; what only the rows can tell, such as the groups' effects, is left out.
        Raises DataError where these cannot be fitted.
        """
        blocks = dict(self.blocks)
        if responses is not None:
            for name, y in zip(self.blocks, responses, strict=True):
                blocks[name] = replace(self.blocks[name], y=y, y_exact=None)
        model, state, _ = self._run(blocks, self.contract, 1)
        return self.method.result(Written(self.formula, self.options, self.contract, [], []), model, state, Here())

    def conversation(self, first: tuple[int, ...], threads: int | None) -> Conversation:
        """With the effects at the places `first` of each term coming first, where it has so many."""
        rules = tuple(
            replace(rule, names=tuple(rule.names[k] for k in order(len(rule.names), first)))
            for rule in self.contract.random
        )
        contract = replace(self.contract, random=rules)
        blocks = {name: _reordered(block, first) for name, block in self.blocks.items()}
        model, state, sites = self._run(blocks, contract, threads)
        return Conversation(model, state, sites)

    def _run(
        self, blocks: Mapping[str, DesignBlock], contract: Contract, threads: int | None
    ) -> tuple[Any, Any, dict[str, Any]]:
        sites = {name: self.method.site(self.options, block) for name, block in blocks.items()}
        model = self.method.model(self.formula, self.options, contract)
        with LocalEngine(sites, threads) as engine:
            state, _ = run(model, engine)
        return model, state, sites


@dataclass(frozen=True, slots=True)
class Conversation:
    """A model, its last state, and the sites, which answer further questions."""

    model: Any
    state: Any
    sites: Mapping[str, Any]

    def surface(self, dispersion: float, *, inner: bool) -> Surface:
        """The log-likelihood around its maximum; as models.surfaces.surface."""
        return surface(self.model, self.state, dispersion, inner=inner)


def again(fit: Fit, blocks: Mapping[str, DesignBlock], method: str | None = None) -> Again:
    """How to make the fit again from its rows.  method: "ML" or "REML" in place of that of a linear mixed model."""
    options = _options(fit, method)
    formula = parse(fit.formula)
    kind = choose(formula, options.family, options.link)
    return Again(formula, Contract.from_dict(fit.contract), options, kind, blocks)


def check_same(fit: Fit, found: Fit) -> None:
    """Raises DataError where another fit has come out."""
    off = np.abs(found.coef.to_numpy() - fit.coef.to_numpy()) / fit.se.to_numpy()
    worst = int(np.argmax(np.where(np.isnan(off), 0.0, off)))
    if not np.nanmax(off, initial=0.0) <= SAME:
        raise DataError(
            f"this is not the table that was fitted: the coefficient of '{fit.terms[worst]}' comes out as "
            f"{found.coef.iloc[worst]:.6g}, not {fit.coef.iloc[worst]:.6g}; give the same rows and response"
        )


def _options(fit: Fit, method: str | None) -> Options:
    link = None if fit.family == "gaussian" else fit.link
    weights = fit.contract["weights"]
    match fit:
        case MixedFit():
            given = (method or fit.method) if fit.family == "gaussian" else None
            nodes = "auto" if fit.nodes is None else fit.nodes
            return Options(fit.family, weights=weights, nodes=nodes, method=given, link=link)
        case GlmFit():
            size = fit.size if fit.size_se is None else None
            return Options(fit.family, weights=weights, link=link, weights_as=fit.weights_as, size=size)
        case LinearFit():
            return Options(fit.family, weights=weights)
        case _:
            raise TypeError(f"no way to make {type(fit).__name__} again")


def order(q: int, first: tuple[int, ...]) -> list[int]:
    """The places of q effects when those at `first` come first."""
    known = [k for k in first if k < q]
    return [*known, *(k for k in range(q) if k not in known)]


def _reordered(block: DesignBlock, first: tuple[int, ...]) -> DesignBlock:
    terms = []
    for term in block.random:
        places = order(len(term.z), first)
        columns, z = tuple(term.columns[k] for k in places), tuple(term.z[k] for k in places)
        terms.append(replace(term, columns=columns, z=z))
    return replace(block, random=tuple(terms))
