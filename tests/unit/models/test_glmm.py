"""The random-intercept model: sizes, invariances, and the curvature behind its standard errors."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from sumwise.errors import UsageError
from sumwise.maths.newton import Outcome
from sumwise.models.glmm import RandomIntercept
from sumwise.models.glmm_messages import Question
from sumwise.models.glmm_site import Site
from tests.unit.kernels.calls import evaluate
from tests.unit.models.fitting import Rows, fit, make_rows, shipped, simulated


def loglik_at(rows: Rows, beta, theta, nodes=41) -> float:
    """Log-likelihood (without binomial coefficients) at the user's own parameters, columns not centred."""
    call = {"trials": rows.size, "offset": rows.offset, "orders": (nodes,)}
    return evaluate(rows.X, rows.y, rows.group, np.asarray(beta), float(theta), **call).loglik


# ---- sizes


def test_one_group_of_a_hundred_thousand_rows_beside_a_few_others_fits():
    """Simulated with slope 0.5: the estimate must lie within 6 standard errors of it."""
    rng = np.random.default_rng(1)
    sizes = np.array([100_000, 5, 1, 30, 2, 12, 300])
    label = np.repeat(np.arange(7), sizes)
    X = np.column_stack([np.ones(len(label)), rng.standard_normal(len(label))])
    eta = -0.4 + 0.5 * X[:, 1] + rng.standard_normal(7)[label]
    ours = fit(make_rows(X, rng.random(len(label)) < 1 / (1 + np.exp(-eta)), label)).estimate
    assert ours.outcome is Outcome.CONVERGED
    assert ours.theta > 0
    assert abs(ours.beta[1] - 0.5) < 6 * np.sqrt(ours.vcov[1, 1])


def test_a_hundred_thousand_groups_of_two_rows_fit():
    """Simulated with slope 0.5 and theta 1: both estimates within 6 standard errors."""
    ours = fit(simulated(100_000, 2, columns=2, seed=2)).estimate
    assert ours.outcome is Outcome.CONVERGED
    se = np.sqrt(np.diag(ours.vcov))
    assert abs(ours.beta[1] - 0.5) < 6 * se[1]
    assert abs(ours.theta - 1) < 6 * se[-1]


def test_groups_of_one_row_among_others_fit():
    rng = np.random.default_rng(3)
    label = np.repeat(np.arange(48), np.where(np.arange(48) % 2, 1, 12))
    X = np.column_stack([np.ones(len(label)), rng.standard_normal(len(label))])
    eta = 0.5 * X[:, 1] + rng.standard_normal(48)[label]
    ours = fit(make_rows(X, rng.random(len(label)) < 1 / (1 + np.exp(-eta)), label)).estimate
    assert ours.outcome is Outcome.CONVERGED


def test_fifty_columns_fit():
    """Slopes of 0.1, within 6 standard errors each."""
    rng = np.random.default_rng(4)
    label = np.repeat(np.arange(72), 40)
    X = np.column_stack([np.ones(len(label)), rng.standard_normal((len(label), 49))])
    eta = X[:, 1:].sum(axis=1) * 0.1 + rng.standard_normal(72)[label]
    ours = fit(make_rows(X, rng.random(len(label)) < 1 / (1 + np.exp(-eta)), label)).estimate
    assert ours.outcome is Outcome.CONVERGED
    assert np.all(np.abs(ours.beta[1:] - 0.1) < 6 * np.sqrt(np.diag(ours.vcov)[1:50]))


def test_the_intercept_alone_and_no_intercept_fit():
    rows = simulated(24, 15, seed=5)
    alone = fit(make_rows(rows.X[:, :1], rows.y, rows.group)).estimate
    assert alone.outcome is Outcome.CONVERGED
    assert alone.beta.shape == (1,)
    without = fit(make_rows(rows.X[:, 1:], rows.y, rows.group, columns=("x1", "x2"))).estimate
    assert without.outcome is Outcome.CONVERGED
    assert without.beta.shape == (2,)


def test_rare_events_without_variance_are_not_refused():
    """8 successes in 5000 rows, dealt evenly: theta goes to zero, which is no divergence."""
    label = np.repeat(np.arange(50), 100)
    y = (np.arange(5000) % 625 == 0).astype(float)
    X = np.column_stack([np.ones(5000), np.random.default_rng(1).standard_normal(5000)])
    assert fit(make_rows(X, y, label)).estimate.outcome is Outcome.CONVERGED


# ---- the maximum


@pytest.mark.parametrize("trials", [1, 6])
@pytest.mark.parametrize("nodes", [1, 2, 9])
def test_no_other_optimiser_finds_a_higher_value(nodes, trials):
    """BFGS of scipy on the value alone, from two starts."""
    rows = simulated(24, 12, trials=trials, seed=6)
    ours = fit(rows, nodes=nodes).estimate

    def lower(phi):
        return -loglik_at(rows, phi[:-1], phi[-1], nodes)

    best = lower(np.append(ours.beta, ours.theta))
    for start in (np.append(ours.beta, ours.theta) + 0.1, np.array([0.0, 0.0, 0.0, 0.5])):
        assert best <= minimize(lower, start, method="BFGS").fun + 1e-9


def test_the_covariance_is_the_inverse_of_the_curvature():
    """Second differences of the value in the user's columns, h = 1e-3: about 1e-5 relative."""
    rows = simulated(24, 12, trials=4, seed=7)
    rows.X[:, 1:] += 2.0  # so that centring has something to undo
    ours = fit(rows, nodes=25).estimate
    phi, h = np.append(ours.beta, ours.theta), 1e-3
    steps = np.eye(4) * h

    def at(v):
        return loglik_at(rows, v[:-1], v[-1], 25)

    hessian = [
        [(at(phi + a + b) - at(phi + a - b) - at(phi - a + b) + at(phi - a - b)) / (4 * h * h) for a in steps]
        for b in steps
    ]
    assert ours.vcov == pytest.approx(np.linalg.inv(-np.array(hessian)), rel=1e-4)
    assert np.array_equal(ours.vcov, ours.vcov.T)


def test_modes_are_where_the_joint_density_peaks():
    """u^ solves theta (Y - sum n p) = u, and s^-2 = 1 + theta^2 sum n p (1 - p)."""
    rows = simulated(12, 9, trials=3, seed=8)
    ours = fit(rows).estimate
    mode, scale = Site(rows).modes(ours.question)
    p = 1 / (1 + np.exp(-(rows.X @ ours.beta + ours.theta * mode[rows.group])))
    slope = ours.theta * np.bincount(rows.group, rows.y - rows.size * p) - mode
    h = 1 + ours.theta**2 * np.bincount(rows.group, rows.size * p * (1 - p))
    assert slope == pytest.approx(np.zeros(12), abs=1e-10)
    assert scale == pytest.approx(h**-0.5, rel=1e-10)


# ---- invariance


def test_units_that_are_powers_of_two_change_only_exponents():
    """Log-likelihood and theta keep every bit, coefficients and standard errors are scaled exactly."""
    rows, units = simulated(24, 15, seed=9), 2.0 ** np.array([0, 30, -17])
    plain, scaled = fit(rows).estimate, fit(replace(rows, X=rows.X * units)).estimate
    assert scaled.loglik == plain.loglik
    assert scaled.theta == plain.theta
    assert scaled.beta.tolist() == (plain.beta / units).tolist()
    inverse = np.append(1 / units, 1)
    assert np.array_equal(scaled.vcov, plain.vcov * np.outer(inverse, inverse))


@pytest.mark.parametrize("units", [[1e-12, 1e12], [1e6, 3e-9]])
def test_units_change_no_z_value(units):
    rows = simulated(24, 15, seed=10)
    plain, scaled = fit(rows).estimate, fit(replace(rows, X=rows.X * [1, *units])).estimate
    z, other = (e.beta / np.sqrt(np.diag(e.vcov)[:3]) for e in (plain, scaled))
    assert other == pytest.approx(z, rel=1e-9)
    assert scaled.theta == pytest.approx(plain.theta, rel=1e-9)


def test_shifting_a_column_by_a_million_changes_no_slope():
    """The shift itself rounds the column to about 1e-10: the slopes follow to that."""
    rows = simulated(24, 15, seed=11)
    far = rows.X.copy()
    far[:, 1:] += 1e6
    near = far.copy()
    near[:, 1:] -= 1e6
    a, b = fit(replace(rows, X=near)).estimate, fit(replace(rows, X=far)).estimate
    assert b.beta[1:] / np.sqrt(np.diag(b.vcov)[1:3]) == pytest.approx(
        a.beta[1:] / np.sqrt(np.diag(a.vcov)[1:3]), rel=1e-9
    )
    assert (b.loglik, b.theta) == pytest.approx((a.loglik, a.theta), rel=1e-9)


def test_swapping_success_and_failure_turns_the_signs():
    rows = shipped("cbpp")
    plain, mirrored = fit(rows).estimate, fit(replace(rows, y=rows.size - rows.y)).estimate
    assert mirrored.beta == pytest.approx(-plain.beta, abs=1e-8)
    assert mirrored.theta == pytest.approx(plain.theta, abs=1e-8)
    assert mirrored.loglik == pytest.approx(plain.loglik, abs=1e-9)


def test_single_trials_or_their_counts_give_the_same_fit():
    """cbpp animal by animal: the binomial coefficients are all that differs."""
    rows = shipped("cbpp")
    times = rows.size.astype(int)
    y = np.concatenate([np.repeat([1.0, 0.0], [int(s), int(n - s)]) for s, n in zip(rows.y, rows.size, strict=True)])
    one_by_one = make_rows(np.repeat(rows.X, times, axis=0), y, np.repeat(rows.group, times))
    counts, animals = fit(rows).estimate, fit(one_by_one).estimate
    assert animals.beta == pytest.approx(counts.beta, abs=1e-9)
    assert animals.theta == pytest.approx(counts.theta, abs=1e-9)
    # sum of log binomial coefficients: tests/reference/README.md, at 30 digits
    assert counts.loglik - animals.loglik == pytest.approx(185.475659684159459642, abs=1e-9)


def test_an_offset_takes_over_a_known_slope():
    """With offset x1 the coefficient of x1 is smaller by 1."""
    rows = simulated(24, 15, seed=12)
    plain, known = fit(rows).estimate, fit(replace(rows, offset=rows.X[:, 1].copy())).estimate
    assert known.beta == pytest.approx(plain.beta - [0, 1, 0], abs=1e-7)
    assert known.loglik == pytest.approx(plain.loglik, abs=1e-8)


# ---- options


@pytest.mark.parametrize("nodes", [0, -3, 1001, 2.0, True, "many", None])
def test_a_wrong_number_of_nodes_is_refused_before_any_question(nodes):
    with pytest.raises(UsageError, match="nodes="):
        RandomIntercept(("(Intercept)",), "g", nodes)


def test_fixed_nodes_ask_for_a_second_rule_that_measures_the_first_once_steps_are_short():
    *questions, closing = [r.question for r in fit(simulated(8, 10, seed=13), nodes=5).rounds[1:]]
    assert all(isinstance(q, Question) and q.orders[0] == 5 for q in questions)
    assert [len(q.orders) for q in (questions[0], questions[-1])] == [1, 2]
    assert questions[-1].orders[1] > 5
    assert closing.beta.tobytes() == questions[-1].beta.tobytes()
    assert len(closing.orders) > 2


def test_a_fit_that_runs_out_of_evaluations_says_so():
    rows = simulated(24, 15, seed=14)
    model = replace(RandomIntercept(rows.columns, "g"), max_evaluations=2)
    site, state = Site(rows), model.start()
    while (question := model.ask(state)) is not None:
        state = model.step(state, site.answer(question))
    ours = model.finish(state)
    assert ours.outcome is Outcome.RUNNING
    assert ours.move > 1e-8


@pytest.mark.parametrize("groups", [5, 10, 15, 20, 21, 22, 27, 40, 44])
def test_any_number_of_groups_comes_to_an_end(groups):
    """The bound on the total error, shared among the groups and put together again, must stay that bound:
    1e-10 / 5 * 5 > 1e-10 in float64.
    """
    assert len(fit(simulated(groups, 30, seed=groups)).rounds) <= 12


@pytest.mark.parametrize("seed", range(8))
def test_zero_variance_at_the_maximum_is_found_exactly_and_soon(seed):
    """No variance between groups: about half of such samples have their maximum at theta = 0."""
    ours = fit(simulated(24, 25, theta=0.0, seed=seed))
    assert ours.estimate.outcome is Outcome.CONVERGED
    assert len(ours.rounds) <= 12
    assert ours.estimate.theta == 0 or ours.estimate.theta > 1e-3


def test_every_offered_number_of_nodes_can_be_used():
    assert fit(simulated(8, 10, seed=13), nodes=600).estimate.outcome is Outcome.CONVERGED
