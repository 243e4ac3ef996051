"""mixedlm (PyPI): lme4's interface, adaptive quadrature."""

import pandas as pd

from bench.problems import Problem
from bench.rivals.measure import Answer, Nodes, Rival, package_version, timed


def _fit(problem: Problem, data: pd.DataFrame, nodes: Nodes) -> Answer:
    import mixedlm

    response, weights = problem.response, None
    if problem.failures:  # it takes no cbind(): shares, weighted by the number of trials
        trials = data[problem.response] + data[problem.failures]
        data = data.assign(trials=trials, share=data[problem.response] / trials)
        response, weights = "share", "trials"
    formula = f"{response} ~ {problem.fixed} + (1 | {problem.group})"
    fit = mixedlm.glmer(formula, data, family=mixedlm.families.Binomial(), nAGQ=nodes, weights=weights)
    note = "" if fit.converged else "says it did not converge"
    return Answer(float(fit.logLik().value), list(fit.fixef().values()), float(fit.theta[0]), note=note)


RIVAL = Rival("mixedlm", package_version("mixedlm"), (1, 9), timed(_fit))
