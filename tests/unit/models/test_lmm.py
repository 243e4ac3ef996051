"""Linear mixed models: invariances, the boundary, precision, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from mpmath import mp, mpf

from sumwise.errors import DataError, UsageError
from sumwise.maths import covariance
from sumwise.maths.ascent import Outcome
from sumwise.models.lmm import LinearMixed, Term
from sumwise.models.lmm_messages import MomentsQuestion, Question
from sumwise.models.lmm_site import Site
from tests.oracles import lmm as oracle
from tests.unit.models.lmm_fitting import fit, make_rows, simulated

SLOPE = (("(Intercept)", "x1"),)


def t_values(estimate) -> np.ndarray:
    return estimate.beta / np.sqrt(np.diag(estimate.vcov))


# ---- against the dense likelihood


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_estimate_is_a_maximum_of_the_dense_likelihood(method, weighted):
    """The value agrees to 1e-10, and differences in every direction show a stationary point that is a maximum."""
    rows = simulated(7, 5, slope=True, seed=4)
    if weighted:
        rows = replace(rows, weights=np.random.default_rng(1).uniform(0.5, 3, len(rows.y)))
    ours = fit(rows, SLOPE, method=method).estimate
    assert ours.outcome is Outcome.CONVERGED
    with mp.workdps(30):

        def loglik(theta):
            L = oracle.lower(theta, (2,))
            return oracle.loglik(
                rows.X, rows.y, rows.Z, rows.group, L, restricted=method == "REML", weights=rows.weights
            )

        top, h = loglik(ours.theta), mpf("1e-5")
        assert ours.loglik == pytest.approx(float(top), abs=1e-10)
        for k in range(3):
            around = []
            for sign in (1, -1):
                theta = [mpf(float(t)) for t in ours.theta]
                theta[k] += sign * h
                around.append(loglik(theta))
            assert abs((around[0] - around[1]) / (2 * h)) < 1e-6
            assert around[0] + around[1] - 2 * top < 0


@pytest.mark.parametrize("seed", [7, 10, *range(40, 52)])
def test_no_neighbour_of_the_estimate_is_higher(seed):
    """Up to four effects, of any rank, size and origin, correlated or not; 40 neighbours at distances from 1e-5 to 3.

    In problem 7 a diagonal entry comes near zero on its way to the other side; in 10 the origin is 1e5 sd away.
    """
    rng = np.random.default_rng(seed)
    q = int(rng.integers(1, 5))
    sizes = rng.integers(1, 12, int(rng.integers(max(q, 3), 40)))
    label = np.repeat(np.arange(len(sizes)), sizes)
    n = len(label)
    scale, origin = 10.0 ** rng.integers(-3, 4), rng.choice([0, 0, 5, 100])
    X = np.column_stack([np.ones(n), rng.standard_normal((n, max(q - 1, 1))) * scale + origin])
    Z, size = X[:, :q], np.sqrt((X[:, :q] ** 2).mean(axis=0))
    L = np.tril(rng.standard_normal((q, q))) * rng.choice([0, 0.1, 1, 10])
    if rng.random() < 0.4:
        L[:, int(rng.integers(q)) :] = 0
    u = rng.standard_normal((len(sizes), q)) @ L.T / size
    y = (Z * u[label]).sum(axis=1) + rng.standard_normal(n)
    names = ("(Intercept)", *(f"x{j}" for j in range(1, q)))
    effects = (names,) if rng.random() < 0.6 else tuple((name,) for name in names)
    rows = make_rows(X, y, label, Z)
    fitted = fit(rows, effects)
    ours, blocks = fitted.estimate, fitted.model.blocks
    assert ours.outcome is Outcome.CONVERGED
    model, site = replace(fitted.model, second=False), Site(rows, blocks)
    state = model.step(model.start(), site.answer(MomentsQuestion()))
    within = model.step(state, site.answer(state.question)).within
    unit = np.array([1 / size[i] for i, _ in covariance.entries(blocks)])
    near = [ours.theta + unit * rng.standard_normal(len(unit)) * 10.0 ** rng.uniform(-5, 0.5) for _ in range(40)]
    values = site.answer(Question(ours.question.centre, tuple(near), False, False)).values.round()
    found = [model._profile(state.moments, within, value) for value in values]
    assert max(profile.loglik for profile in found if profile is not None) <= ours.loglik + 3e-8


# ---- precision and invariance


def test_a_response_far_from_zero_keeps_ten_digits():
    """Mean 1e6, standard deviation about 1: the same data moved there by whole numbers of 2^-20, which is exact."""
    rows = simulated(50, 20, slope=True, seed=5)
    y = np.round(rows.y * 2.0**20) / 2.0**20
    near, far = (fit(replace(rows, y=y + shift), SLOPE).estimate for shift in (0, 2.0**20))
    assert far.loglik == pytest.approx(near.loglik, abs=1e-9)
    assert far.theta == pytest.approx(near.theta, rel=1e-10)
    assert far.sigma == pytest.approx(near.sigma, rel=1e-12)
    assert far.beta[1:] == pytest.approx(near.beta[1:], rel=1e-11)
    assert far.beta[0] - 2.0**20 == pytest.approx(near.beta[0], abs=1e-9)


def test_a_response_far_from_zero_without_an_intercept_to_take_it_up():
    """y ~ 0 + x1 + (1 | g): the group effects take up 2^20, and sigma does not feel it."""
    rows = simulated(40, 20, seed=6)
    bare = replace(rows, X=rows.X[:, 1:], columns=("x1",))
    y = np.round(rows.y * 2.0**20) / 2.0**20
    ours = fit(replace(bare, y=y + 2.0**20)).estimate
    within = fit(replace(rows, y=y)).estimate
    assert ours.outcome is Outcome.CONVERGED
    assert ours.sigma == pytest.approx(within.sigma, rel=1e-2)  # other likelihoods, nearly the same residuals
    assert ours.theta[0] == pytest.approx(2.0**20 / ours.sigma, rel=1e-2)


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_other_units_change_the_answers_in_their_units_only(factor):
    rows = simulated(30, 12, columns=3, slope=True, seed=7)
    ours = fit(rows, SLOPE).estimate
    column = replace(rows, X=rows.X * [1, factor, 1], Z=rows.Z * [1, factor])
    other = fit(column, SLOPE).estimate
    assert other.outcome is Outcome.CONVERGED
    assert t_values(other) == pytest.approx(t_values(ours), rel=1e-12)
    assert other.theta * [1, factor, factor] == pytest.approx(ours.theta, rel=1e-10)
    response = fit(replace(rows, y=rows.y * factor), SLOPE).estimate
    assert t_values(response) == pytest.approx(t_values(ours), rel=1e-12)
    assert response.theta == pytest.approx(ours.theta, rel=1e-10)
    assert response.sigma / factor == pytest.approx(ours.sigma, rel=1e-12)


def test_a_slope_in_years_gives_the_fit_of_centred_years():
    """(1 + year | g): Lambda Lambda' turns with the origin, all else stays."""
    rows = simulated(40, 12, columns=2, slope=True, seed=8)
    year = 2000.0 + np.tile(np.arange(12.0), 40)
    y = rows.y + 0.3 * year
    X, centred = (np.column_stack([np.ones(len(y)), t]) for t in (year, year - 2005))
    far, near = (fit(make_rows(M, y, rows.group, M), SLOPE).estimate for M in (X, centred))
    assert far.loglik == pytest.approx(near.loglik, abs=1e-8)
    assert far.beta[1] == pytest.approx(near.beta[1], rel=1e-9)
    back = np.array([[1.0, -2005.0], [0.0, 1.0]])
    assert back @ near.relative @ back.T == pytest.approx(far.relative, rel=1e-6)


def test_an_offset_is_taken_from_the_response():
    rows = simulated(20, 8, seed=9)
    offset = np.round(np.random.default_rng(2).standard_normal(len(rows.y)) * 2.0**20) / 2.0**20
    y = np.round(rows.y * 2.0**20) / 2.0**20
    ours, other = fit(replace(rows, y=y + offset, offset=offset)).estimate, fit(replace(rows, y=y)).estimate
    assert ours.loglik == other.loglik
    assert ours.beta.tolist() == other.beta.tolist()


def test_rows_of_weight_zero_do_not_count():
    rows = simulated(12, 6, seed=10)
    weights = np.where(np.arange(len(rows.y)) % 5, 2.0, 0.0)
    weights[rows.group == 3] = 0.0
    kept = rows.at(np.flatnonzero(weights > 0))
    ours = fit(replace(rows, weights=weights)).estimate
    other = fit(replace(kept, weights=np.full(len(kept.y), 2.0))).estimate
    assert (ours.rows, ours.groups) == (other.rows, (11,))
    assert ours.loglik == other.loglik
    assert ours.theta.tolist() == other.theta.tolist()


def test_weights_all_alike_change_sigma_alone():
    rows = simulated(12, 6, seed=11)
    ours, other = fit(rows).estimate, fit(replace(rows, weights=np.full(len(rows.y), 4.0))).estimate
    assert other.sigma == pytest.approx(2 * ours.sigma, rel=1e-12)
    assert other.theta * 2 == pytest.approx(ours.theta, rel=1e-9)
    assert other.beta == pytest.approx(ours.beta, rel=1e-12)
    assert other.loglik == pytest.approx(ours.loglik, abs=1e-10)


def test_a_model_without_columns_is_fitted():
    """y ~ 0 + (1 | g): nothing but a variance of groups."""
    rows = simulated(30, 5, columns=1, seed=12)
    ours = fit(replace(rows, X=rows.X[:, :0], columns=())).estimate
    assert ours.outcome is Outcome.CONVERGED
    assert ours.theta[0] > 0
    assert ours.beta.shape == (0,)


# ---- the boundary


def test_equal_group_means_give_a_variance_of_exactly_zero():
    """Every group holds the same rows: between groups there is less than chance brings."""
    y = np.tile(np.random.default_rng(3).standard_normal(10), 8)
    ours = fit(make_rows(np.ones((80, 1)), y, np.repeat(np.arange(8), 10))).estimate
    assert ours.outcome is Outcome.CONVERGED
    assert ours.theta.tolist() == [0.0]
    assert ours.singular == (0,)
    assert ours.parameters.shape == (1, 1)


def test_intercepts_and_slopes_in_proportion_give_a_correlation_of_one():
    """u = a (1, 2) in every group: the second column of Lambda is zero, exactly."""
    rng = np.random.default_rng(2)
    label = np.repeat(np.arange(40), 6)
    X = np.column_stack([np.ones(240), np.tile(np.linspace(-1, 1, 6), 40)])
    y = (rng.standard_normal(40)[label]) * (X @ [1, 2]) + 0.5 * rng.standard_normal(240)
    ours = fit(make_rows(X, y, label, X), SLOPE).estimate
    assert ours.outcome is Outcome.CONVERGED
    assert ours.theta[2] == 0
    assert ours.theta[0] > 0
    assert ours.free.tolist() == [True, True, False]
    assert ours.relative[0, 1] ** 2 == pytest.approx(ours.relative[0, 0] * ours.relative[1, 1], rel=1e-12)


def test_one_of_two_independent_terms_is_zero():
    """Slopes are drawn, intercepts are not: groups share their mean."""
    rng = np.random.default_rng(5)
    label, x = np.repeat(np.arange(30), 6), np.tile([-1.0, 1.0] * 3, 30)
    noise = rng.standard_normal((30, 6))
    noise -= noise.mean(axis=1, keepdims=True)
    X = np.column_stack([np.ones(180), x])
    y = rng.standard_normal(30)[label] * x + noise.ravel()
    ours = fit(make_rows(X, y, label, X), (("(Intercept)",), ("x1",))).estimate
    assert ours.outcome is Outcome.CONVERGED
    assert ours.theta[0] == 0
    assert ours.theta[1] > 0
    assert ours.singular == (0,)


@pytest.mark.parametrize("theta", [0.01, 30.0, 1000.0])
def test_variances_far_from_the_residuals_are_found(theta):
    ours = fit(simulated(60, 8, theta=theta, seed=13)).estimate
    assert ours.outcome is Outcome.CONVERGED
    assert ours.theta[0] < 1 if theta == 0.01 else ours.theta[0] == pytest.approx(theta, rel=0.4)
    assert ours.sigma == pytest.approx(1, rel=0.2)


# ---- what is refused


def refusal(rows, effects=(("(Intercept)",),), **options) -> str:
    with pytest.raises(DataError) as caught:
        fit(rows, effects, **options)
    return str(caught.value)


def test_a_method_that_does_not_exist():
    with pytest.raises(UsageError, match='"REML"'):
        LinearMixed(("(Intercept)",), (Term("g", ("(Intercept)",)),), method="reml")


def test_one_group():
    rows = simulated(3, 5)
    assert "'g' has a single group" in refusal(replace(rows, group=np.zeros(15, dtype=np.int64), groups=("a",)))


def test_groups_of_one_row_each():
    text = refusal(simulated(9, 1))
    assert "each of the 9 groups of 'g' is a single row" in text
    assert "(1 | g)" in text


def test_fewer_groups_than_effects():
    rows = simulated(2, 30, columns=3)
    text = refusal(replace(rows, Z=rows.X), (("(Intercept)", "x1", "x2"),))
    assert "(1 + x1 + x2 | g) has 3 effects but 'g' only 2 groups" in text


def test_as_many_effects_as_rows():
    text = refusal(simulated(10, 2, slope=True), SLOPE)
    assert "2 effects in each of 10 groups, 20 in all, for 20 rows" in text


def test_collinear_columns_are_named():
    rows = simulated(10, 6, columns=3)
    X = np.column_stack([rows.X, 2 * rows.X[:, 1] - 3 * rows.X[:, 2] + 5])
    text = refusal(replace(rows, X=X, columns=(*rows.columns, "sum")))
    assert "collinear: sum = 2 * x1 - 3 * x2 + a constant" in text


def test_a_constant_column_and_one_of_zeros():
    rows = simulated(10, 6, columns=2)
    constant = replace(rows, X=np.column_stack([rows.X, np.full(60, 0.1)]), columns=(*rows.columns, "c"))
    assert "column 'c' is constant" in refusal(constant)
    zero = replace(rows, X=np.column_stack([rows.X[:, 1], np.zeros(60)]), columns=("x1", "c"))
    assert "column 'c' is zero in every row" in refusal(zero)


def test_a_constant_response():
    rows = simulated(10, 6)
    assert "the response is the same in all 60 rows (0.1)" in refusal(replace(rows, y=np.full(60, 0.1)))


@pytest.mark.parametrize("size", [1e-200, 1e-160])
def test_numbers_whose_squares_vanish(size):
    """They are not called constant, and no digits of theirs are lost in silence."""
    rows = simulated(10, 6)
    assert "the response: values are so small that squares" in refusal(replace(rows, y=rows.y * size))
    X = rows.X * (1.0, size)
    assert f"column '{rows.columns[1]}': values are so small" in refusal(replace(rows, X=X))


def test_a_perfect_fit():
    """Columns alone, or columns and groups, explain every row."""
    rows = simulated(10, 6)
    for y in (1 + 2 * rows.X[:, 1], 1 + 2 * rows.X[:, 1] + rows.group * 1.7, rows.group * 1.7):
        assert "the fit is perfect" in refusal(replace(rows, y=y))


def test_an_effect_that_is_zero_throughout():
    rows = simulated(10, 6)
    text = refusal(replace(rows, Z=np.column_stack([rows.Z, np.zeros(60)])), (("(Intercept)",), ("z",)))
    assert "'z' is zero in every row" in text
    assert "(0 + z | g)" in text


def test_weights_of_zero_throughout():
    rows = simulated(10, 6)
    assert "weights 'w' are zero in all 60 rows" in refusal(replace(rows, weights=np.zeros(60)), weights="w")


def test_fewer_rows_than_coefficients():
    rows = simulated(3, 2, columns=7)
    assert "6 rows cannot tell 7 coefficients" in refusal(rows)


def test_numbers_too_large_to_square():
    rows = simulated(10, 6)
    assert "rescale" in refusal(replace(rows, y=rows.y * 1e200))
    assert "rescale" in refusal(replace(rows, X=rows.X * [1, 1e200]))
    assert "rescale" in refusal(replace(rows, Z=rows.Z * 1e200))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite(bad):
    rows = simulated(10, 6)
    y = rows.y.copy()
    y[3] = bad
    assert "nan or infinity" in refusal(replace(rows, y=y))
