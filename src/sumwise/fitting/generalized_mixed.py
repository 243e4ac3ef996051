"""Generalized linear mixed models: by quadrature where one grouping factor has few effects, else by Laplace."""

from __future__ import annotations

from typing import Any

from sumwise.data import Contract, DesignBlock, Formula
from sumwise.fitting.crossed_mixed import CROSSED
from sumwise.fitting.method import Here, Method, Written
from sumwise.fitting.options import Options
from sumwise.fitting.vector_mixed import VECTORS
from sumwise.loop import Round
from sumwise.models.glmm_crossed import CrossedModel, CrossedState, needs_laplace
from sumwise.results.fit import Fit
from sumwise.results.record import RoundRecord


def _by_effects(groups: set[str], effects: int) -> Method:
    """How many effects a factor has is known with the data only: of a categorical variable, one a level."""
    return CROSSED if needs_laplace(groups, effects) else VECTORS


def _model(formula: Formula, options: Options, contract: Contract) -> Any:
    groups, effects = {rule.group for rule in contract.random}, sum(len(rule.names) for rule in contract.random)
    return _by_effects(groups, effects).model(formula, options, contract)


def _site(options: Options, block: DesignBlock) -> Any:
    groups, effects = {term.factor for term in block.random}, sum(len(term.z) for term in block.random)
    return _by_effects(groups, effects).site(options, block)


def _record(round_: Round, state: Any) -> RoundRecord:
    return (CROSSED if isinstance(state, CrossedState) else VECTORS).record(round_, state)


def _result(written: Written, model: Any, state: Any, here: Here) -> Fit:
    return (CROSSED if isinstance(model, CrossedModel) else VECTORS).result(written, model, state, here)


GENERALIZED_MIXED = Method(VECTORS.check, _model, _site, _record, _result)
