"""A first step that leads far away: the information at the starting values may be nearly singular, and Newton's step
then takes the shape of the gamma beyond all bounds.  That was taken for a shape that grows without bound, and the fit
refused; the rows are those of bench/validation_cases.py, "zero variance", whose log-likelihood has a plain maximum.
"""

import numpy as np
import pandas as pd
import pytest
from bench.validation_cases import Truth, simulate

import sumwise


def rows() -> pd.DataFrame:
    return simulate("gamma", "log", Truth(sd=(0.0, 0.0, 0.0)))


def test_the_fit_by_laplaces_approximation_is_found() -> None:
    fit = sumwise.fit("y ~ x1 + x2 + (1 | g)", rows(), family="gamma", link="log", nodes=1)
    exact = sumwise.fit("y ~ x1 + x2 + (1 | g)", rows(), family="gamma", link="log")
    assert fit.verdict.code in ("converged", "quadrature_limited")
    assert abs(fit.loglik - exact.loglik) < 0.1
    assert fit.scale == pytest.approx(exact.scale, rel=0.02)
    assert np.max(np.abs(fit.coef - exact.coef)) < 0.1 * exact.se.max()
