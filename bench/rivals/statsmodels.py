"""statsmodels (PyPI): no maximum likelihood for this model, but its posterior by variational Bayes."""

import numpy as np
import pandas as pd
from scipy import sparse

from bench.problems import Problem
from bench.rivals.measure import Answer, Nodes, Rival, design, package_version, timed


def _fit(problem: Problem, data: pd.DataFrame, _nodes: Nodes) -> Answer:
    from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM

    if problem.failures:
        raise NotImplementedError("statsmodels fits 0/1 responses only")
    code, levels = pd.factorize(data[problem.group])
    ones = np.ones(len(data))
    Z = sparse.csr_matrix((ones, (np.arange(len(data)), code)), shape=(len(data), len(levels)))
    y = data[problem.response].to_numpy(float)
    fit = BinomialBayesMixedGLM(y, design(problem, data), Z, np.zeros(len(levels), dtype=int)).fit_vb()
    note = "variational Bayes, another objective"
    return Answer(float("nan"), fit.fe_mean.tolist(), float(np.exp(fit.vcp_mean[0])), note=note)


RIVAL = Rival("statsmodels", package_version("statsmodels"), (1,), timed(_fit))
