"""Generalized linear models by maximum likelihood."""

from __future__ import annotations

import numpy as np

from sumwise.data import Contract, DesignBlock, Formula
from sumwise.data.checks import where
from sumwise.errors import DataError, UsageError
from sumwise.fitting.method import Here, Method, Written
from sumwise.fitting.options import Options, refuse_method
from sumwise.loop import Round
from sumwise.maths.newton import Outcome
from sumwise.models.glm import Estimate, GeneralizedLinearModel, State
from sumwise.models.glm_links import LINKS
from sumwise.models.glm_messages import GlmMoments, GlmQuestion
from sumwise.models.glm_site import Site
from sumwise.models.glm_totals import within_range
from sumwise.results.glm import GlmFit
from sumwise.results.record import RoundRecord, Verdict


def _check(formula: Formula, options: Options) -> None:
    refuse_method(options)
    if options.nodes != "auto":
        raise UsageError(f"nodes={options.nodes!r} belongs to models with random effects; {formula.text!r} has none")
    if options.decimal:
        raise UsageError('decimal=True is for family="gaussian": other families calculate with logarithms')
    links = LINKS[options.family]
    if options.link is not None and options.link not in links:
        raise UsageError(
            f"link={options.link!r} is not available with family={options.family!r}; available: "
            f"{', '.join(map(repr, links))}"
        )
    if options.size is not None and options.family != "negbinomial":
        raise UsageError(f'size={options.size!r} belongs to family="negbinomial"')


def link_of(options: Options) -> str:
    """The link asked for, or R's default."""
    return options.link or LINKS[options.family][0]


def _model(formula: Formula, options: Options, contract: Contract) -> GeneralizedLinearModel:
    response = formula.response.text
    return GeneralizedLinearModel(contract.names, options.family, link_of(options), options.size, response)


def _site(_options: Options, block: DesignBlock) -> Site:
    return Site(block)


def _record(round_: Round, state: State) -> RoundRecord:
    total = round_.total
    if isinstance(total, GlmMoments):
        digits = len(total.totals.digits) + len(total.columns.digits)
        return RoundRecord(
            round_.number,
            "counts, sums of response and columns",
            digits + 3,
            4 * 68 * digits,
            round_.seconds,
            None,
            None,
        )
    assert isinstance(round_.question, GlmQuestion)
    digits = len(total.values.digits)
    asked = {
        "null": "deviance and score of the null model",
        "final null": "deviance of the null model",
        "expected": "expected information at the estimate",
    }.get(state.phase, "deviance, score, information")
    total = within_range(total)
    value = -np.inf if total.failed else -float(total.values.round()[0]) / 2
    move = state.ascent.move if state.ascent is not None else None
    return RoundRecord(round_.number, asked, digits + 1, 4 * 68 * digits, round_.seconds, value, move)


def _verdict(estimate: Estimate) -> Verdict:
    move = estimate.move
    if not (np.isfinite(estimate.beta).all() and np.isfinite(np.diag(estimate.unscaled)).all()):
        text = (
            "Not converged (estimates or standard errors leave the range of numbers): change the units of the columns."
        )
        return Verdict("not_converged", text, np.inf)
    if estimate.outcome is not Outcome.CONVERGED:
        stalled = estimate.outcome is Outcome.STALLED
        why = "no step raised the log-likelihood" if stalled else "the limit of rounds was reached"
        far = f"could still move by {move:.1g} standard errors" if np.isfinite(move) else "are not at a maximum"
        return Verdict("not_converged", f"Not converged ({why}): the estimates {far}.", move)
    text = f"Converged. Estimates could move by at most {move:.1e} standard errors in another step."
    return Verdict("converged", text, move)


def check_frequencies(block: DesignBlock, site: str, text: str) -> None:
    """Raises DataError for a frequency that is no whole number."""
    assert block.weights is not None
    bad = block.weights != np.rint(block.weights)
    if bad.any():
        raise DataError(
            f"Site '{site}', weights '{text}': frequencies are not whole numbers; "
            f'{where(bad, block.kept, block.weights)}. Weights that stand for precision need weights_as="precision".'
        )


def _result(written: Written, model: GeneralizedLinearModel, state: State, here: Here) -> GlmFit:
    options, contract = written.options, written.contract
    frequency = options.weights_as == "frequency" and options.weights is not None
    if frequency:
        assert options.weights is not None
        for name, block in here.blocks.items():
            check_frequencies(block, name, options.weights)
    estimate = model.finish(state)
    moments = estimate.moments
    return GlmFit(
        formula=written.formula.text,
        family=options.family,
        link=model.link,
        contract=contract.to_dict(),
        terms=contract.names,
        nobs=round(moments.weight) if frequency else moments.rows,
        round_records=tuple(written.rounds),
        site_records=tuple(written.sites),
        missing=options.missing,
        weights_as=options.weights_as,
        beta=estimate.beta,
        unscaled=estimate.unscaled,
        deviance_value=estimate.deviance,
        null_deviance=estimate.null_deviance,
        pearson=estimate.pearson,
        loglik_value=estimate.loglik,
        size=None if np.isnan(estimate.size) else estimate.size,
        size_se=estimate.size_se if model.estimates_size else None,
        ignored=moments.ignored,
        verdict_record=_verdict(estimate),
    )


GLM = Method(_check, _model, _site, _record, _result)
