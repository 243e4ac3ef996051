"""Sumwise itself."""

import numpy as np
import pandas as pd

import sumwise
from bench.problems import Problem
from bench.rivals.measure import Answer, Nodes, Rival, timed


def _fit(problem: Problem, data: pd.DataFrame, nodes: Nodes) -> Answer:
    fit = sumwise.fit(problem.formula, data, family="binomial", nodes=nodes)
    se = np.append(fit.se, fit.theta_se)
    note = "" if fit.verdict.code == "converged" else fit.verdict.code
    return Answer(fit.loglik, fit.coef.tolist(), float(fit.theta.iloc[0]), se.tolist(), note)


RIVAL = Rival("sumwise", lambda: sumwise.__version__, (), timed(_fit))
