"""Our own objective at another program's estimates: whoever reports a higher log-likelihood must show it there too."""

from __future__ import annotations

import numpy as np
from scipy import stats

from bench.validation_cases import Case
from bench.validation_rivals import Estimate
from sumwise.data import Contract, DesignBlock, agree, build, open_sites, parse
from sumwise.fitting.options import Options
from sumwise.fitting.vector_mixed import VECTORS
from sumwise.models.glmm_vectors_messages import VectorMomentsQuestion, VectorQuestion


def log_likelihood(case: Case, at: Estimate) -> float:
    """Of a mixed model with one grouping factor and no gaussian response, by case.nodes nodes a dimension; of a
    generalized linear model with a dispersion, which is then the deviance divided by the weights, as in R.  nan for
    others, and where the estimate lacks a parameter.
    """
    if at.beta is None or not np.all(np.isfinite(at.beta)):
        return float("nan")
    if case.kind == "glm" and case.family in ("gamma", "inverse.gaussian"):
        return _dispersed(case, at.beta)
    if case.kind != "glmm" or at.theta is None:
        return float("nan")
    options = _options(case)
    contract, block = _rows(case)
    site = VECTORS.site(options, block)
    aux = [np.log(at.aux)] if case.family in ("negbinomial", "gamma") and at.aux else []
    point = np.concatenate([at.beta, at.theta, aux])
    names = [name for rule in contract.random for name in rule.names]
    centre = np.zeros(len(at.beta) + len(names))
    moments = site.answer(VectorMomentsQuestion())
    total = site.answer(VectorQuestion(centre, point[None], (case.nodes,), np.inf, -1))
    constants = total.constants.round()
    own = float(constants[0, 0]) if constants.size else 0.0
    return float(total.values.round()[0, 0]) + own + float(moments.totals.round()[3])


def _options(case: Case) -> Options:
    return Options(case.family, case.weights or None, case.nodes or "auto", link=case.link)


def _rows(case: Case) -> tuple[Contract, DesignBlock]:
    formula, sources = parse(case.formula), open_sites(case.data, None)
    contract = agree(formula, sources, missing="error", weights=_options(case).weights, family=case.family)
    (source,) = sources.values()
    return contract, build(formula, contract, source, missing="error", family=case.family)


def _dispersed(case: Case, beta: np.ndarray) -> float:
    """R's logLik of glm() at these coefficients, from stats::Gamma()$aic and stats::inverse.gaussian()$aic."""
    _, block = _rows(case)
    y, w = block.y, np.ones(len(block.y)) if block.weights is None else block.weights
    eta = np.column_stack(block.x) @ beta + (0.0 if block.offset is None else block.offset)
    mu = {"log": np.exp, "inverse": lambda t: 1 / t, "1/mu^2": lambda t: t**-0.5}[case.link](eta)
    if case.family == "gamma":
        phi = np.sum(w * 2 * ((y - mu) / mu - np.log(y / mu))) / w.sum()
        return float(np.sum(w * stats.gamma.logpdf(y, 1 / phi, scale=mu * phi)))
    phi = np.sum(w * (y - mu) ** 2 / (y * mu**2)) / w.sum()
    return float(-(w.sum() * (np.log(2 * np.pi * phi) + 1) + 3 * np.sum(w * np.log(y))) / 2)
