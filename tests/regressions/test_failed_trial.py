"""A trial whose log-likelihood is no finite number passed for one that is not lower: the slack that it is allowed was
taken from its own size, and was infinite.  Poisson models with slopes then stood still at such a point for all their
rounds, and the standard errors of what came of it could not even be asked for.  The rows: bench/coverage.py.
"""

from dataclasses import replace

import numpy as np
import pytest
from bench.coverage import MODELS, simulate

import sumwise
from sumwise.data import parse
from sumwise.fitting.method import fit_by
from sumwise.fitting.options import Options
from sumwise.fitting.vector_mixed import VECTORS
from sumwise.maths import ascent, newton
from sumwise.maths.ascent import Point
from sumwise.models.glmm_crossed import CrossedModel

POISSON = next(model for model in MODELS if model.family == "poisson" and "|" in model.formula)


@pytest.mark.parametrize("seed", [195, 229])
def test_the_fits_that_stood_still_converge(seed: int) -> None:
    fit = sumwise.fit(POISSON.formula, simulate(POISSON, seed), family="poisson")
    assert fit.verdict.code == "converged"
    assert np.all(np.isfinite(fit.se))
    assert len(fit.round_records) < 40


@pytest.mark.parametrize("value", [-np.inf, np.nan])
@pytest.mark.parametrize("slack", [0.0, np.inf])
def test_no_slack_makes_a_failed_trial_the_best_point(value: float, slack: float) -> None:
    first, failed = (Point(np.array([1.0, 1.0]), v, np.array([1.0, 1.0]), np.eye(2)) for v in (-3.0, value))
    climb = ascent.advance(ascent.start(first.phi, (1,)), first, tolerance=1e-8, slack=0.0)
    assert ascent.advance(climb, failed, tolerance=1e-8, slack=slack).best is first
    walk = newton.advance(newton.start(first.phi), first, tolerance=1e-8, slack=0.0)
    assert newton.advance(walk, failed, tolerance=1e-8, slack=slack).best is first


def test_a_fit_without_standard_errors_says_so_and_prints() -> None:
    stopped = replace(VECTORS, model=lambda *given: replace(VECTORS.model(*given), max_evaluations=1))
    fit = fit_by(stopped, parse(POISSON.formula), simulate(POISSON, 195), Options("poisson"))
    assert fit.verdict.code == "not_converged"
    assert fit.se.isna().all()
    assert fit.theta_se.isna().all()
    assert fit.confint().isna().all(axis=None)
    assert "Not converged" in fit.summary()


def test_a_crossed_fit_without_standard_errors_says_so_and_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the information is not positive definite at the end."""
    finish = CrossedModel.finish

    def lost(model, state):
        found = finish(model, state)
        return replace(found, vcov=np.full_like(found.vcov, np.nan))

    monkeypatch.setattr(CrossedModel, "finish", lost)
    fit = sumwise.fit("y ~ x + (1 | g) + (1 | t)", simulate(POISSON, 195), family="poisson")
    assert "flat" in fit.verdict.text
    assert fit.se.isna().all()
    assert fit.theta_se.isna().all()
    assert fit.confint().isna().all(axis=None)
    assert fit.summary()
