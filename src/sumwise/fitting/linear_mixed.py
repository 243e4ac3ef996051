"""Linear mixed models, by maximum likelihood or REML."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sumwise.data import Contract, DesignBlock, Formula
from sumwise.errors import UsageError
from sumwise.fitting.method import Here, Method, Written
from sumwise.fitting.options import Options
from sumwise.fitting.random import effects_of, factors
from sumwise.loop import Round
from sumwise.maths.ascent import Outcome
from sumwise.models.lmm import Estimate, LinearMixed, State, Term
from sumwise.models.lmm_messages import Moments
from sumwise.models.lmm_site import Site
from sumwise.results.mixed import MixedFit
from sumwise.results.random import RandomEffects
from sumwise.results.record import RoundRecord, Verdict

Floats = NDArray[np.float64]


def _check(formula: Formula, options: Options) -> None:
    if options.nodes != "auto":
        raise UsageError(
            f"nodes={options.nodes!r}: with a gaussian response nothing is integrated by quadrature; leave nodes out"
        )
    if options.decimal:
        raise UsageError("decimal=True is not available with random effects; leave it out")
    found = factors(formula)
    if len(found) > 1:
        raise UsageError(
            f"{formula.text!r} has {len(found)} grouping factors ({', '.join(found)}); this version fits one"
        )


def _model(_formula: Formula, options: Options, contract: Contract) -> LinearMixed:
    terms = tuple(Term(rule.group, rule.names) for rule in contract.random)
    return LinearMixed(contract.names, terms, options.method or "REML", weights=options.weights)


def _site(block: DesignBlock) -> Site:
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


def _effects(model: LinearMixed, here: Here, estimate: Estimate) -> RandomEffects:
    parts = []
    for name, site in here.sites.items():
        mode, spread = site.modes(estimate.question, estimate.centred)
        parts.append((here.blocks[name].groups, mode, estimate.sigma**2 * spread))
    columns = tuple(name for term in model.terms for name in term.effects)
    return effects_of(model.terms[0].group, columns, model.blocks, estimate.theta, estimate.groups[0], parts)


def _verdict(estimate: Estimate, model: LinearMixed) -> Verdict:
    move = estimate.move
    if estimate.outcome is not Outcome.CONVERGED:
        why = "no step raised the log-likelihood" if estimate.outcome is Outcome.STALLED else "the limit of rounds"
        far = f"could still move by {move:.1g} standard errors" if np.isfinite(move) else "are not at a maximum"
        return Verdict("not_converged", f"Not converged ({why}): the covariance parameters {far}.", move)
    far = f"The covariance parameters could move by at most {move:.1e} standard errors in another step."
    if estimate.parameters is None:
        names = ", ".join(term.text for term in model.terms)
        flat = (
            f"Converged, but the log-likelihood is flat in the covariance of {names}: the rows hardly tell its "
            f"parameters apart. Leave out effects or correlations"
        )
        return Verdict("flat", f"{flat}. {far}", move)
    if estimate.singular:
        terms = [model.terms[t] for t in estimate.singular]
        return Verdict("boundary", f"Converged, {_singular(terms, estimate, model)}. {far}", move)
    return Verdict("converged", f"Converged. {far}", move)


def _singular(terms: Sequence[Term], estimate: Estimate, model: LinearMixed) -> str:
    """Which component is zero at the maximum, and what that means."""
    said = []
    start = 0
    for t, term in enumerate(model.terms):
        variance = np.diag(estimate.relative)[start : start + len(term.effects)]
        zero = [name for name, v in zip(term.effects, variance, strict=True) if v == 0]
        start += len(term.effects)
        if t not in estimate.singular:
            continue
        if len(zero) == len(term.effects):
            said.append(f"with no variance of {term.text} at all: the groups differ no more than chance makes them")
        elif zero:
            said.append(f"with the variance of {', '.join(map(repr, zero))} in {term.text} exactly zero")
        else:
            said.append(f"with effects of {term.text} that determine each other (a correlation of 1 or -1)")
    assert len(said) == len(terms)
    return "; ".join(said) + ". The maximum lies on the boundary of what covariances can be, and the estimates stand"


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
        random=(_effects(model, here, estimate),),
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


LINEAR_MIXED = Method(_check, _model, _site, _record, _result, in_studies=False)
