"""Profile limits of fits with few nodes: Louis' information is then not the second derivative, and where it was not
positive definite the other parameters did not arrive in 200 evaluations, value after value.
"""

import numpy as np
import pandas as pd
import pytest

import sumwise

CHI2 = 1.959963984540054**2


def rough() -> pd.DataFrame:
    """40 groups of 4 trials that differ much."""
    rng = np.random.default_rng([9, 0])
    g = np.repeat(np.arange(40), 4)
    x = rng.standard_normal(len(g))
    eta = 0.2 + 0.5 * x + 2.5 * rng.standard_normal(40)[g] + rng.standard_normal(40)[g] * x
    y = (rng.random(len(g)) < 1 / (1 + np.exp(-eta))).astype(float)
    return pd.DataFrame({"y": y, "x": x, "g": g})


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_limits_on_a_rough_approximation_are_where_it_falls_so_far(nodes: int) -> None:
    data = rough()
    fit = sumwise.fit("y ~ x + (1 + x | g)", data, family="binomial", nodes=nodes)
    assert fit.verdict.code == "quadrature_limited"
    found = fit.confint(method="profile", data=data)
    assert np.isfinite(found[["lower", "upper"]]).all(axis=None)
    for end in ("lower", "upper"):
        held = data.assign(o=data["x"] * found.loc["x", end])
        at = sumwise.fit("y ~ 1 + offset(o) + (1 + x | g)", held, family="binomial", nodes=nodes)
        assert 2 * (fit.loglik - at.loglik) == pytest.approx(CHI2, rel=1e-6)
