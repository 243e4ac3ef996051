"""Mixed models by adaptive Gauss-Hermite quadrature."""

from __future__ import annotations

import numpy as np

from sumwise.data import Contract, DesignBlock, Formula
from sumwise.errors import UsageError
from sumwise.fitting.method import Here, Method, Written
from sumwise.fitting.options import Options, refuse_foreign
from sumwise.fitting.random import effects_of, quadrature_words, verdict
from sumwise.loop import Round
from sumwise.models.glmm import QUADRATURE_BOUND, Estimate, RandomIntercept, State
from sumwise.models.glmm_messages import Moments, Question
from sumwise.models.glmm_site import Site
from sumwise.results.mixed import MixedFit
from sumwise.results.random import RandomEffects
from sumwise.results.record import Quadrature, RoundRecord, Verdict

LINKS = {"binomial": "logit"}
"""Families with random effects, and their links."""


def _check(formula: Formula, options: Options) -> None:
    for name in ("weights", "decimal"):
        if getattr(options, name):
            raise UsageError(
                f"{name}={getattr(options, name)!r} is not available with random effects; successes out of trials "
                f"are written cbind(successes, failures)"
            )
    refuse_foreign(options, LINKS.get(options.family, "logit"))
    (bar,) = formula.bars
    RandomIntercept((), bar.group, options.nodes)


def _model(formula: Formula, options: Options, contract: Contract) -> RandomIntercept:
    return RandomIntercept(contract.names, formula.bars[0].group, options.nodes)


def _site(_options: Options, block: DesignBlock) -> Site:
    return Site(block)


def _record(round_: Round, state: State) -> RoundRecord:
    total = round_.total
    if isinstance(total, Moments):
        size = total.columns.digits.size + total.totals.digits.size
        numbers = len(total.columns.digits) + len(total.totals.digits) + 2
        return RoundRecord(
            round_.number, "counts, column sums, group moments", numbers, 4 * size, round_.seconds, None, None
        )
    assert isinstance(round_.question, Question)
    assert state.ascent is not None
    assert state.moments is not None
    asked = f"log-likelihood, gradient, Hessian at theta = {round_.question.theta:.6g}"
    loglik = total.loglik + state.moments.log_choose
    digits = total.values.digits
    return RoundRecord(
        round_.number,
        asked,
        len(digits) + len(total.used),
        4 * digits.size,
        round_.seconds,
        loglik,
        state.ascent.move,
    )


def _effects(group: str, here: Here, estimate: Estimate) -> RandomEffects:
    parts = []
    for name, site in here.sites.items():
        mode, sd = (estimate.theta * values for values in site.modes(estimate.question))
        parts.append((here.blocks[name].groups, mode[:, None], (sd * sd)[:, None, None]))
    return effects_of(group, ("(Intercept)",), (1,), np.array([estimate.theta]), estimate.groups, parts)


def _verdict(estimate: Estimate, group: str, bound: float | None) -> Verdict:
    spread = f"a standard deviation between groups of {estimate.theta:.3g}"
    rough, limited = quadrature_words(estimate.error, estimate.groups, estimate.nodes, bound, estimate.shift, spread)
    boundary = ""
    if estimate.theta == 0:
        boundary = (
            f"with the variance between groups of '{group}' exactly zero at the maximum: the groups differ no more "
            f"than chance makes them, and the fixed effects are those of the regression without (1 | {group})"
        )
    return verdict(estimate.outcome, estimate.move, rough=rough, limited=limited, boundary=boundary)


def _result(written: Written, model: RandomIntercept, state: State, here: Here) -> MixedFit:
    estimate, options, contract = model.finish(state), written.options, written.contract
    bound = QUADRATURE_BOUND if options.nodes == "auto" else None
    return MixedFit(
        formula=written.formula.text,
        family=options.family,
        link=LINKS[options.family],
        method="ML",
        nodes=options.nodes,
        contract=contract.to_dict(),
        terms=contract.names,
        beta=estimate.beta,
        random=(_effects(model.group, here, estimate),),
        scale=None,
        covariance=estimate.vcov,
        fixed=(0,) if estimate.theta == 0 else (),
        slopes=None,
        loglik_value=estimate.loglik,
        nobs=estimate.rows,
        verdict_record=_verdict(estimate, model.group, bound),
        quadrature=Quadrature(estimate.nodes, estimate.error, bound),
        round_records=tuple(written.rounds),
        site_records=tuple(written.sites),
    )


MIXED = Method(_check, _model, _site, _record, _result)
