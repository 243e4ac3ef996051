"""Formula and data in, Fit out: the steps that all models share, and what each of them brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sumwise.data import Contract, DesignBlock, Formula, agree, build, check_groups_disjoint, open_sites
from sumwise.data.source import Source
from sumwise.engines.local import LocalEngine
from sumwise.fitting.options import Options
from sumwise.fitting.watch import watcher
from sumwise.loop import Model, Round, run
from sumwise.results.fit import Fit
from sumwise.results.record import RoundRecord, SiteRecord


@dataclass(frozen=True, slots=True)
class Here:
    """The rows that are at hand when a fit is written down, by site.  In a study they are one site's, or none.

    sources: only where all rows of the fit are at hand; blocks; sites: whoever answers questions about them.
    """

    sources: Mapping[str, Source] = field(default_factory=dict)
    blocks: Mapping[str, DesignBlock] = field(default_factory=dict)
    sites: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Written:
    """What is known of a fit besides its state.  The contract is that of all sites; the records tell what happened."""

    formula: Formula
    options: Options
    contract: Contract
    rounds: Sequence[RoundRecord]
    sites: Sequence[SiteRecord]


@dataclass(frozen=True, slots=True)
class Method:
    """A kind of model.

    check(formula, options): raises UsageError where they do not suit it; model(formula, options, contract): whoever
    asks; site(options, block): whoever answers; record(round, state): a round in plain values; result(written, model,
    state, here): the fit.
    """

    check: Callable[[Formula, Options], None]
    model: Callable[[Formula, Options, Contract], Any]
    site: Callable[[Options, DesignBlock], Any]
    record: Callable[[Round, Any], RoundRecord]
    result: Callable[[Written, Any, Any, Here], Fit]


def fit_by(method: Method, formula: Formula, data: Any, options: Options) -> Fit:
    """The fit to rows that are all at hand.  Raises UsageError, DataError, SiteError."""
    method.check(formula, options)
    sources = open_sites(data, options.decimal)
    contract = agree(formula, sources, missing=options.missing, weights=options.weights, family=options.family)
    blocks = {
        name: build(formula, contract, source, missing=options.missing, family=options.family)
        for name, source in sources.items()
    }
    check_groups_disjoint(blocks)
    here = Here(sources, blocks, {name: method.site(options, block) for name, block in blocks.items()})
    model: Model = method.model(formula, options, contract)
    records: list[RoundRecord] = []
    with LocalEngine(here.sites, options.threads) as engine:
        state, _ = run(model, engine, watcher(records, method.record, options.progress))
    answered = [SiteRecord(name, len(b.y), _groups(b), b.dropped) for name, b in blocks.items()]
    return method.result(Written(formula, options, contract, records, answered), model, state, here)


def _groups(block: DesignBlock) -> int | None:
    """Of all grouping factors together."""
    factors = {term.factor: len(term.groups) for term in block.random}
    return sum(factors.values()) if factors else None
