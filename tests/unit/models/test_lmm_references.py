"""Linear mixed models with one grouping factor against lmm.json (30 digits; tests/reference/README.md)."""

import numpy as np
import pandas as pd
import pytest

from sumwise.maths.ascent import Outcome
from sumwise.maths.satterthwaite import degrees_of_freedom
from tests.reference import cases, floats, frame
from tests.unit.models.lmm_fitting import Fitted, fit, make_rows

CASES = {name: case for name, case in cases("lmm").items() if len({term["group"] for term in case["random"]}) == 1}


def rows_of(case):
    """Design of a case: the columns of its fixed part by hand, those of its bars by name."""
    table = frame(case)
    response, (group,) = case["formula"].split(" ~ ")[0], {term["group"] for term in case["random"]}
    one = np.ones(len(table))
    names = case["REML"]["names"]

    def column(name):
        out = one.copy()
        for part in name.split(":") if name != "(Intercept)" else ():
            if part in table:
                out = out * table[part].to_numpy(dtype=float)
            else:
                factor = next(
                    f for f in table if part.startswith(f) and isinstance(table[f].dtype, pd.CategoricalDtype)
                )
                out = out * (table[factor] == part.removeprefix(factor)).to_numpy(dtype=float)
        return out

    effects = [term["terms"] for term in case["random"]]
    Z = np.column_stack([column(name) for names in effects for name in names])
    weights = None if case["weights"] is None else table[case["weights"]].to_numpy(dtype=float)
    X = np.column_stack([column(name) for name in names])
    y = table[response].to_numpy(dtype=float)
    rows = make_rows(X, y, table[group].astype(str), Z, columns=names, weights=weights)
    return rows, effects, group


def fitted(name, method, **options) -> Fitted:
    rows, effects, group = rows_of(CASES[name])
    return fit(rows, effects, group=group, method=method, **options)


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("second", [True, False], ids=["second", "differences"])
@pytest.mark.parametrize("name", CASES)
def test_estimates_agree_with_the_reference(name, method, second):
    """Log-likelihood to 1e-9, all else to 1e-8 of its size."""
    ours, theirs = fitted(name, method, second=second), floats(CASES[name][method])
    estimate = ours.estimate
    assert estimate.outcome is Outcome.CONVERGED
    assert estimate.loglik == pytest.approx(theirs["loglik"], abs=1e-9)
    assert estimate.criterion == pytest.approx(theirs["criterion"], abs=2e-9)
    assert estimate.theta == pytest.approx(theirs["theta"], rel=1e-8, abs=1e-12)
    assert estimate.beta == pytest.approx(theirs["beta"], rel=1e-8)
    assert estimate.sigma == pytest.approx(theirs["sigma"], rel=1e-8)
    assert np.sqrt(np.diag(estimate.vcov)) == pytest.approx(theirs["se"], rel=1e-8)
    size = np.max(np.abs(theirs["vcov"]))
    assert estimate.vcov == pytest.approx(np.array(theirs["vcov"]), abs=1e-8 * size)


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("name", CASES)
def test_conditional_modes_agree_with_the_reference(name, method):
    rows, _, _ = rows_of(CASES[name])
    ours, theirs = fitted(name, method), floats(CASES[name][method])
    for key, mine in (("ranef", ours.modes), ("ranef_sd", None)):
        (by_group,) = theirs[key].values()
        expected = np.array([by_group[label] for label in rows.groups]).reshape(len(rows.groups), -1)
        if mine is None:
            mine = ours.estimate.sigma * np.sqrt(np.diagonal(ours.spread, axis1=1, axis2=2))
        assert mine == pytest.approx(expected, abs=1e-8 * max(np.abs(expected).max(), 1e-300))


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("name", CASES)
def test_the_joint_information_agrees_with_the_reference(name, method):
    """Half the second derivatives of the criterion in (theta, sigma); d sigma = sigma d log sigma."""
    ours, theirs = fitted(name, method).estimate, floats(CASES[name][method])
    hessian = np.array(theirs["deviance_hessian"]) / 2
    expected = np.linalg.inv(hessian)
    expected[-1, :] /= ours.sigma
    expected[:, -1] /= ours.sigma
    assert ours.parameters is not None
    assert ours.parameters == pytest.approx(expected, abs=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("name", CASES)
def test_satterthwaites_degrees_of_freedom_agree_with_the_reference(name, method):
    ours, theirs = fitted(name, method).estimate, floats(CASES[name][method])
    found = degrees_of_freedom(np.eye(len(ours.beta)), ours.vcov, ours.slopes, ours.parameters)
    assert found == pytest.approx(theirs["satterthwaite"], rel=1e-7)


def test_the_boundary_of_dyestuff2_is_exact():
    ours = fitted("dyestuff2", "REML").estimate
    assert ours.theta.tolist() == [0.0]
    assert ours.singular == (0,)
    assert not ours.free.any()
