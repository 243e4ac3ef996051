"""Fits a linear model: formula and data in, LinearFit out."""

from __future__ import annotations

from typing import Any

from sumwise.data import Formula, agree, build, input_errors, open_sites
from sumwise.engines.local import LocalEngine
from sumwise.errors import UsageError
from sumwise.fitting.options import Options
from sumwise.fitting.watch import watcher
from sumwise.loop import Round, run
from sumwise.models.linear import LinearModel, LinearSummand, Site, State
from sumwise.results.linear import LinearFit
from sumwise.results.record import RoundRecord, SiteRecord


def fit_linear(formula: Formula, data: Any, options: Options) -> LinearFit:
    """The least-squares fit of a formula without random effects.  Raises UsageError, DataError, SiteError."""
    if options.nodes != "auto":
        raise UsageError(f"nodes={options.nodes!r} belongs to models with random effects; {formula.text!r} has none")
    sources = open_sites(data, options.decimal)
    contract = agree(formula, sources, missing=options.missing, weights=options.weights, family="gaussian")
    blocks = {
        name: build(formula, contract, source, missing=options.missing, family="gaussian")
        for name, source in sources.items()
    }
    model = LinearModel(options.weights)
    sites = {name: Site(block) for name, block in blocks.items()}
    with LocalEngine(sites, options.threads) as engine:
        records: list[RoundRecord] = []
        state, _ = run(model, engine, watcher(records, _record, options.progress))
    total = model.finish(state)
    errors = input_errors(formula, contract, sources, missing=options.missing, gram=total.gram)
    return LinearFit(
        formula=formula.text,
        family="gaussian",
        link="identity",
        contract=contract.to_dict(),
        terms=contract.names,
        nobs=total.gram.rows,
        round_records=tuple(records),
        site_records=tuple(SiteRecord(name, len(b.y), None, b.dropped) for name, b in blocks.items()),
        missing=options.missing,
        decimal=options.decimal,
        gram=total.gram,
        ignored=total.ignored,
        log_weights=total.log_weight,
        input_errors=errors,
    )


def _record(round_: Round, _state: State) -> RoundRecord:
    total: LinearSummand = round_.total
    size = sum((entry.bit_length() + 8) // 8 for entry in total.gram.entries)
    asked, numbers = "cross-products of columns and response", len(total.gram.entries) + 1
    if total.log_weights is not None:
        asked, numbers, size = f"{asked}, log-weights", numbers + 2, size + 4 * total.log_weights.digits.size
    return RoundRecord(round_.number, asked, numbers, size, round_.seconds, None, None)
