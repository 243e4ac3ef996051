"""glmm (PyPI): Rust core, adaptive quadrature with up to 25 nodes."""

import pandas as pd

from bench.problems import Problem
from bench.rivals.measure import Answer, Nodes, Rival, package_version, timed


def _fit(problem: Problem, data: pd.DataFrame, nodes: Nodes) -> Answer:
    import glmm

    fit = glmm.fit(data, problem.formula, family="binomial", nagq=nodes)
    note = "" if fit.converged else "says it did not converge"
    return Answer(fit.loglik, list(fit.beta), float(fit.tau2[0]) ** 0.5, note=note)


RIVAL = Rival("glmm", package_version("glmm"), (1, 9), timed(_fit))
