"""Generalized linear mixed models with several grouping factors or many effects a group, by Laplace's approximation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sumwise.data import Contract, DesignBlock, Formula
from sumwise.fitting.method import Here, Method, Written
from sumwise.fitting.options import Options
from sumwise.fitting.random import boundary_words, effects_of, verdict
from sumwise.fitting.vector_mixed import check, fit_of, flat_words, link_of
from sumwise.loop import Round
from sumwise.maths import covariance
from sumwise.models.glmm_crossed import CrossedModel, CrossedState
from sumwise.models.glmm_crossed_messages import CrossedMoments, CrossedQuestion
from sumwise.models.glmm_crossed_site import CrossedSite
from sumwise.models.glmm_vectors import VectorEstimate
from sumwise.results.mixed import MixedFit
from sumwise.results.random import RandomEffects
from sumwise.results.record import RoundRecord, Verdict


def _model(_formula: Formula, options: Options, contract: Contract) -> CrossedModel:
    return CrossedModel(
        contract.names,
        " and ".join(dict.fromkeys(rule.group for rule in contract.random)),
        tuple(name for rule in contract.random for name in rule.names),
        tuple(len(rule.names) for rule in contract.random),
        options.family,
        link_of(options),
        options.nodes,
        groups=tuple(rule.group for rule in contract.random),
    )


def _site(options: Options, block: DesignBlock) -> CrossedSite:
    weighed = block if block.weights is None else replace(block, size=block.weights)
    return CrossedSite(weighed, (options.family, link_of(options)))


def _record(round_: Round, state: CrossedState) -> RoundRecord:
    total = round_.total
    assert state.ascent is not None
    if isinstance(total, CrossedMoments):
        sums = (total.columns, total.effects, total.totals)
        numbers = sum(s.digits.size // s.digits.shape[-1] for s in sums) + 5
        numbers += 4 * len(total.by_factor) + len(total.meeting)
        size = 4 * sum(s.digits.size for s in sums)
        return RoundRecord(
            round_.number, "counts, column sums, squares of effects", numbers, size, round_.seconds, None, None
        )
    metric, points = round_.question.metric, len(round_.question.points)
    best = state.ascent.best
    return RoundRecord(
        round_.number,
        f"log-likelihood and gradient at {points} points{', information' if metric else ''}",
        int(np.prod(total.values.shape)) + int(np.prod(total.metric.shape)) + points,
        4 * (total.values.digits.size + total.metric.digits.size),
        round_.seconds,
        None if best is None else best.value,
        state.ascent.move,
    )


def _effects(
    model: CrossedModel, here: Here, estimate: VectorEstimate, groups: tuple[int, ...]
) -> tuple[RandomEffects, ...]:
    """Of the groups whose rows are at hand: of one factor together, of several factors term by term.  groups: of each
    factor, at all sites.
    """
    assert isinstance(estimate.question, CrossedQuestion)
    asked = {name: site.modes(estimate.question) for name, site in here.sites.items()}
    if len(model.factors) == 1:
        parts = [(here.blocks[name].groups, mode[0], spread[0]) for name, (mode, spread) in asked.items()]
        return (effects_of(model.factors[0], model.effects, model.blocks, estimate.theta, groups[0], parts),)
    split = {name: tuple(map(here.sites[name].terms.by_term, found)) for name, found in asked.items()}
    out, start = [], 0
    for t, term in enumerate(model.terms):
        size = covariance.size(model.blocks[t : t + 1])
        theta = estimate.theta[start : start + size]
        start += size
        parts = [(here.blocks[name].random[t].groups, mode[t], spread[t]) for name, (mode, spread) in split.items()]
        count = groups[model.factors.index(term.group)]
        out.append(effects_of(term.group, term.effects, model.blocks[t : t + 1], theta, count, parts))
    return tuple(out)


def _verdict(estimate: VectorEstimate, model: CrossedModel) -> Verdict:
    said = [
        boundary_words(term.text, zero, len(zero) == len(term.effects), (dependent,) if dependent else ())
        for term, zero, dependent in model.boundaries(estimate.theta)
    ]
    several = (
        "with several grouping factors" if len(model.factors) > 1 else f"with {len(model.effects)} effects a group"
    )
    return verdict(
        estimate.outcome,
        estimate.move,
        rough=f" This is the maximum of Laplace's approximation, whose own error is not measured {several}.",
        flat=flat_words(model, estimate),
        boundary=", and ".join(words for words in said if words),
    )


def _result(written: Written, model: CrossedModel, state: CrossedState, here: Here) -> MixedFit:
    estimate = model.finish(state)
    assert isinstance(state.moments, CrossedMoments)
    groups = tuple(counts[0] for counts in state.moments.by_factor)
    effects = _effects(model, here, estimate, groups)
    return fit_of(written, model, estimate, effects, None, _verdict(estimate, model))


CROSSED = Method(check, _model, _site, _record, _result)
