"""gpboost (PyPI): Laplace approximation in C++, on all cores."""

import numpy as np
import pandas as pd

from bench.problems import Problem
from bench.rivals.measure import Answer, Nodes, Rival, design, package_version, timed


def _fit(problem: Problem, data: pd.DataFrame, _nodes: Nodes) -> Answer:
    import gpboost

    y, likelihood, weights = data[problem.response].to_numpy(float), "bernoulli_logit", None
    if problem.failures:
        weights = y + data[problem.failures].to_numpy(float)
        y, likelihood = y / weights, "binomial_logit"
    model = gpboost.GPModel(likelihood=likelihood, group_data=data[problem.group].to_numpy(), weights=weights)
    model.fit(y=y, X=design(problem, data))
    sigma = float(np.ravel(model.get_cov_pars())[0]) ** 0.5
    beta = np.ravel(model.get_coef()).tolist()
    return Answer(-float(model.get_current_neg_log_likelihood()), beta, sigma)


RIVAL = Rival("gpboost", package_version("gpboost"), (1,), timed(_fit))
