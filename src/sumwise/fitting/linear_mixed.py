"""Linear mixed models, by maximum likelihood or REML."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sumwise.data import Contract, DesignBlock, Formula
from sumwise.errors import UsageError
from sumwise.fitting.method import Here, Method, Written
from sumwise.fitting.options import Options, refuse_foreign
from sumwise.fitting.random import boundary_words, effects_of, verdict
from sumwise.loop import Round
from sumwise.models.lmm import Estimate, LinearMixed, State, Term
from sumwise.models.lmm_crossed import CrossedMixed
from sumwise.models.lmm_crossed_site import CrossedSite
from sumwise.models.lmm_messages import Moments
from sumwise.models.lmm_site import Site
from sumwise.results.mixed import MixedFit
from sumwise.results.random import RandomEffects
from sumwise.results.record import RoundRecord, Verdict

Floats = NDArray[np.float64]


def _check(_formula: Formula, options: Options) -> None:
    refuse_foreign(options, "identity", method=True)
    if options.nodes != "auto":
        raise UsageError(
            f"nodes={options.nodes!r}: with a gaussian response nothing is integrated by quadrature; leave nodes out"
        )
    if options.decimal:
        raise UsageError("decimal=True is not available with random effects; leave it out")


def _model(_formula: Formula, options: Options, contract: Contract) -> LinearMixed:
    terms = tuple(Term(rule.group, rule.names) for rule in contract.random)
    kind = LinearMixed if len({term.group for term in terms}) == 1 else CrossedMixed
    return kind(contract.names, terms, options.method or "REML", weights=options.weights)


def _site(_options: Options, block: DesignBlock) -> Site | CrossedSite:
    if len({term.factor for term in block.random}) > 1:
        return CrossedSite(block)
    return Site(block, tuple(len(term.z) for term in block.random))


def _record(round_: Round, state: State) -> RoundRecord:
    total = round_.total
    if isinstance(total, Moments):
        numbers = len(total.gram.entries) + total.squares.digits.shape[0] + 2 + 2 * len(total.groups)
        size = sum((entry.bit_length() + 8) // 8 for entry in total.gram.entries) + 4 * total.squares.digits.size
        asked = "cross-products of columns and response, counts, squares of effects"
        return RoundRecord(round_.number, asked, numbers, size, round_.seconds, None, None)
    assert state.ascent is not None
    theta = round_.question.points[0]
    asked = f"cross-products and their derivatives at theta = {', '.join(f'{value:.6g}' for value in theta)}"
    extra = 0 if total.explained is None else total.explained.digits.size
    digits = total.values.digits
    best = state.ascent.best
    loglik = best.value if best is not None and np.array_equal(best.phi, theta) else None
    numbers = int(np.prod(digits.shape[:-1])) + 1 + (0 if total.explained is None else len(total.explained.digits))
    return RoundRecord(
        round_.number, asked, numbers, 4 * (digits.size + extra), round_.seconds, loglik, state.ascent.move
    )


def _effects(model: LinearMixed, here: Here, estimate: Estimate) -> tuple[RandomEffects, ...]:
    """Of the groups whose rows are at hand: of one factor together, of several factors term by term."""
    scale = estimate.sigma**2
    asked = {name: site.modes(estimate.question, estimate.centred) for name, site in here.sites.items()}
    if not isinstance(model, CrossedMixed):
        parts = [(here.blocks[name].groups, mode, scale * spread) for name, (mode, spread) in asked.items()]
        columns = tuple(name for term in model.terms for name in term.effects)
        return (effects_of(model.terms[0].group, columns, model.blocks, estimate.theta, estimate.groups[0], parts),)
    found, start = [], 0
    for t, term in enumerate(model.terms):
        q = len(term.effects)
        theta = estimate.theta[start : start + q * (q + 1) // 2]
        start += len(theta)
        parts = [
            (here.blocks[name].random[t].groups, mode[t], scale * spread[t]) for name, (mode, spread) in asked.items()
        ]
        found.append(effects_of(term.group, term.effects, (q,), theta, estimate.groups[t], parts))
    return tuple(found)


def _verdict(estimate: Estimate, model: LinearMixed) -> Verdict:
    named = " + ".join(term.text for term in model.terms)
    flat = ""
    if estimate.parameters is None:
        flat = (
            f"the log-likelihood is flat in the covariance of {named}: the rows hardly tell its parameters apart. "
            f"Leave out effects or correlations"
        )
    said, start = [], 0
    for t, term in enumerate(model.terms):
        variance = np.diag(estimate.relative)[start : start + len(term.effects)]
        zero = [name for name, v in zip(term.effects, variance, strict=True) if v == 0]
        start += len(term.effects)
        if t in estimate.singular:
            dependent = () if zero else (term.effects,)
            said.append(boundary_words(term.text, zero, len(zero) == len(term.effects), dependent))
    return verdict(estimate.outcome, estimate.move, flat=flat, boundary=", and ".join(said))


def _result(written: Written, model: LinearMixed, state: State, here: Here) -> MixedFit:
    estimate, contract = model.finish(state), written.contract
    p, free = len(contract.names), estimate.free
    r = 0 if estimate.parameters is None else len(estimate.parameters)
    covariance = np.zeros((p + r, p + r))
    covariance[:p, :p] = estimate.vcov
    if estimate.parameters is not None:
        covariance[p:, p:] = estimate.parameters
    return MixedFit(
        formula=written.formula.text,
        family="gaussian",
        link="identity",
        method=model.method,
        nodes=None,
        contract=contract.to_dict(),
        terms=contract.names,
        beta=estimate.beta,
        random=_effects(model, here, estimate),
        scale=estimate.sigma,
        covariance=covariance,
        fixed=tuple(np.flatnonzero(~free).tolist()) if r else tuple(range(len(free))),
        slopes=estimate.slopes if r else None,
        loglik_value=estimate.loglik,
        nobs=estimate.rows,
        quadrature=None,
        verdict_record=_verdict(estimate, model),
        round_records=tuple(written.rounds),
        site_records=tuple(written.sites),
    )


LINEAR_MIXED = Method(_check, _model, _site, _record, _result)
