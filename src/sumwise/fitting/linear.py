"""Linear models by least squares."""

from __future__ import annotations

from sumwise.data import Contract, DesignBlock, Formula, input_errors
from sumwise.errors import UsageError
from sumwise.fitting.method import Here, Method, Written
from sumwise.fitting.options import Options, refuse_foreign
from sumwise.loop import Round
from sumwise.models.linear import LinearModel, LinearSummand, Site, State
from sumwise.results.linear import LinearFit
from sumwise.results.record import RoundRecord


def _check(formula: Formula, options: Options) -> None:
    if options.nodes != "auto":
        raise UsageError(f"nodes={options.nodes!r} belongs to models with random effects; {formula.text!r} has none")
    refuse_foreign(options, "identity")


def _model(_formula: Formula, options: Options, _contract: Contract) -> LinearModel:
    return LinearModel(options.weights)


def _site(_options: Options, block: DesignBlock) -> Site:
    return Site(block)


def _record(round_: Round, _state: State) -> RoundRecord:
    total: LinearSummand = round_.total
    size = sum((entry.bit_length() + 8) // 8 for entry in total.gram.entries)
    asked, numbers = "cross-products of columns and response", len(total.gram.entries) + 1
    if total.log_weights is not None:
        asked, numbers, size = f"{asked}, log-weights", numbers + 2, size + 4 * total.log_weights.digits.size
    return RoundRecord(round_.number, asked, numbers, size, round_.seconds, None, None)


def _result(written: Written, model: LinearModel, state: State, here: Here) -> LinearFit:
    total, formula, contract, options = model.finish(state), written.formula, written.contract, written.options
    errors = None
    if here.sources:
        errors = input_errors(formula, contract, here.sources, missing=options.missing, gram=total.gram)
    return LinearFit(
        formula=formula.text,
        family="gaussian",
        link="identity",
        contract=contract.to_dict(),
        terms=contract.names,
        nobs=total.gram.rows,
        round_records=tuple(written.rounds),
        site_records=tuple(written.sites),
        missing=options.missing,
        decimal=options.decimal,
        gram=total.gram,
        ignored=total.ignored,
        log_weights=total.log_weight,
        input_errors=errors,
    )


LINEAR = Method(_check, _model, _site, _record, _result)
