"""Mixed models of any family with a vector of effects per group, by adaptive Gauss-Hermite quadrature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sumwise.data import Contract, DesignBlock, Formula
from sumwise.errors import UsageError
from sumwise.fitting.method import Here, Method, Written
from sumwise.fitting.options import Options, refuse_method
from sumwise.fitting.random import boundary_words, effects_of, factors, quadrature_words, verdict
from sumwise.loop import Round
from sumwise.maths import covariance
from sumwise.models.glmm_vectors import MANY_GROUPS, QUADRATURE_BOUND, VectorEstimate, VectorModel, VectorState
from sumwise.models.glmm_vectors_messages import VectorMoments
from sumwise.models.glmm_vectors_site import FAMILIES, Site
from sumwise.results.mixed import MixedFit
from sumwise.results.random import RandomEffects
from sumwise.results.record import Quadrature, RoundRecord, Verdict


def link_of(options: Options) -> str:
    """The link asked for, or the first that the family has with random effects."""
    return options.link or next(link for family, link in FAMILIES if family == options.family)


def check(_formula: Formula, options: Options) -> None:
    """Raises UsageError where the options do not suit a model of any family with random effects."""
    refuse_method(options)
    links = [link for family, link in FAMILIES if family == options.family]
    if not links or link_of(options) not in links:
        known = ", ".join(f"{family} ({link})" for family, link in FAMILIES)
        asked = f"family={options.family!r}" + (f" with link={options.link!r}" if options.link else "")
        raise UsageError(f"{asked} is not available with random effects; available: {known}, and gaussian")
    if options.decimal:
        raise UsageError("decimal=True is not available with random effects; leave it out")
    if options.size is not None:
        raise UsageError("size= is not available with random effects: the size of the negative binomial is estimated")
    if options.weights_as != "precision":
        raise UsageError("weights_as is not available with random effects; leave it out")
    if options.weights is not None and options.family == "binomial":
        raise UsageError(
            f"weights={options.weights!r} is not available with a binomial response and random effects; successes out "
            f"of trials are written cbind(successes, failures)"
        )


def _model(formula: Formula, options: Options, contract: Contract) -> VectorModel:
    effects = tuple(name for rule in contract.random for name in rule.names)
    blocks = tuple(len(rule.names) for rule in contract.random)
    group = factors(formula)[0]
    return VectorModel(contract.names, group, effects, blocks, options.family, link_of(options), options.nodes)


def _site(options: Options, block: DesignBlock) -> Site:
    blocks = tuple(len(term.z) for term in block.random)
    weighed = block if block.weights is None else replace(block, size=block.weights)
    return Site(weighed, (options.family, link_of(options)), blocks)


def _record(round_: Round, state: VectorState) -> RoundRecord:
    total = round_.total
    if isinstance(total, VectorMoments):
        sums = (total.columns, total.effects, total.totals)
        numbers = sum(s.digits.size // s.digits.shape[-1] for s in sums) + 5
        size = 4 * sum(s.digits.size for s in sums)
        return RoundRecord(
            round_.number, "counts, column sums, squares of effects", numbers, size, round_.seconds, None, None
        )
    assert state.ascent is not None
    digits, points = total.values.digits, len(round_.question.points)
    what = "log-likelihood, gradient, information" if points == 1 else f"gradients at {points} points"
    best = state.ascent.best
    return RoundRecord(
        round_.number,
        what,
        int(np.prod(digits.shape[:-1])) + total.constants.digits.size // digits.shape[-1] + sum(map(len, total.used)),
        4 * (digits.size + total.constants.digits.size),
        round_.seconds,
        None if best is None else best.value,
        state.ascent.move,
    )


def _effects(model: VectorModel, here: Here, estimate: VectorEstimate) -> RandomEffects:
    """Of the groups whose rows are at hand: Lambda u^, and Lambda cov(u) Lambda'."""
    L, q = covariance.factor(estimate.theta, model.blocks), len(model.effects)
    parts = []
    for name, site in here.sites.items():
        u, spread = site.modes(estimate.question)
        mode, turned, cov = np.zeros_like(u), np.zeros_like(spread), np.zeros_like(spread)
        for k in range(q):
            mode += np.multiply.outer(u[:, k], L[:, k])
            for i in range(q):
                turned[:, i] += L[i, k] * spread[:, k]
        for k in range(q):
            for j in range(q):
                cov[:, :, j] += turned[:, :, k] * L[j, k]
        parts.append((here.blocks[name].groups, mode, cov))
    return effects_of(model.group, model.effects, model.blocks, estimate.theta, estimate.groups, parts)


def _result(written: Written, model: VectorModel, state: VectorState, here: Here) -> MixedFit:
    estimate = model.finish(state)
    bound = QUADRATURE_BOUND * max(1.0, estimate.groups / MANY_GROUPS) if model.nodes == "auto" else None
    spread = "the size of the effects"
    rough, limited = quadrature_words(estimate.error, estimate.groups, estimate.nodes, bound, estimate.shift, spread)
    boundary = boundary_words(model.bar, estimate.zero, len(estimate.zero) == len(model.effects), estimate.dependent)
    said = verdict(
        estimate.outcome,
        estimate.move,
        rough=rough,
        limited=limited,
        flat=flat_words(model, estimate),
        boundary=boundary,
    )
    return fit_of(
        written,
        model,
        estimate,
        (_effects(model, here, estimate),),
        Quadrature(estimate.nodes, estimate.error, bound),
        said,
    )


def flat_words(model: VectorModel, estimate: VectorEstimate) -> str:
    """What to say where coefficients have no standard errors, else nothing."""
    if np.isfinite(np.diag(estimate.vcov)[: len(model.columns)]).all():
        return ""
    return f"the log-likelihood is flat: the rows hardly tell {model.bar} and the coefficients apart"


def fit_of(
    written: Written,
    model: VectorModel,
    estimate: VectorEstimate,
    random: tuple[RandomEffects, ...],
    quadrature: Quadrature | None,
    said: Verdict,
) -> MixedFit:
    """The result, with nan for standard errors that are not known, but for thetas, which then count as fixed."""
    contract, p, m = written.contract, len(model.columns), len(estimate.theta)
    known = np.isfinite(np.diag(estimate.vcov))
    is_theta = np.isin(np.arange(len(known)), np.arange(p, p + m))
    kept = np.flatnonzero(known | ~is_theta)
    return MixedFit(
        formula=written.formula.text,
        family=model.family,
        link=model.link,
        method="ML",
        nodes=model.nodes,
        contract=contract.to_dict(),
        terms=contract.names,
        beta=estimate.beta,
        random=random,
        scale=estimate.aux,
        covariance=estimate.vcov[np.ix_(kept, kept)],
        fixed=tuple(k for k in range(m) if not known[p + k]),
        slopes=None,
        loglik_value=estimate.loglik,
        nobs=estimate.rows,
        quadrature=quadrature,
        verdict_record=said,
        round_records=tuple(written.rounds),
        site_records=tuple(written.sites),
    )


VECTORS = Method(check, _model, _site, _record, _result)
