"""Models with vectors of random effects: references, the boundary, and what cannot be fitted."""

from dataclasses import replace

import numpy as np
import pytest

from sumwise import datasets
from sumwise.errors import DataError, UsageError
from sumwise.kernels.library import log
from sumwise.maths import covariance
from sumwise.maths.newton import Outcome
from sumwise.models.glmm_vectors import VectorModel
from sumwise.models.glmm_vectors_messages import VectorMomentsQuestion, VectorQuestion
from sumwise.models.glmm_vectors_site import Site
from sumwise.models.glmm_vectors_units import uncentred_theta
from tests import reference
from tests.unit.models.vector_fitting import contraception, fit, make_rows, simulated, vector_model

SLOPE = [[0.5, 0.0], [0.1, 0.3]]
LOG = {"link": "log"}


def epil(*, slope: bool):
    """y ~ lbase * trt + lage + V4 + (1 | subject), or with period and (1 + period | subject)."""
    frame = datasets.load("epil")
    one, treated = np.ones(len(frame)), (frame["trt"] == "progabide").astype(float)
    last = frame["period"] if slope else frame["V4"]
    X = np.column_stack([one, frame["lbase"], treated, frame["lage"], last, frame["lbase"] * treated])
    Z = np.column_stack([one, frame["period"]]) if slope else one[:, None]
    return make_rows(X, Z, frame["y"], frame["subject"])


# ---- references


@pytest.mark.parametrize(
    ("name", "rows", "family"),
    [
        ("contraception_slope", contraception, ("binomial", "logit")),
        ("epil", lambda: epil(slope=False), ("poisson", "log")),
        ("epil_slope", lambda: epil(slope=True), ("poisson", "log")),
    ],
)
def test_maximum_likelihood_agrees_with_the_reference(name, rows, family):
    """Values that hold to 1e-11, estimates to 1e-10 (tests/reference/README.md)."""
    ours, truth = fit(rows(), family=family[0], link=family[1]).estimate, reference.load(name)
    assert ours.outcome is Outcome.CONVERGED
    assert ours.loglik == pytest.approx(truth["loglik"], abs=1e-9)
    assert ours.beta == pytest.approx(truth["beta"], abs=1e-8)
    assert ours.theta == pytest.approx(truth["theta"] if "theta" in truth else [truth["sigma"]], abs=1e-8)
    assert np.sqrt(np.diag(ours.vcov))[: len(ours.beta)] == pytest.approx(truth["se"], rel=1e-8)
    sizes = np.sqrt(np.multiply.outer(*(np.diag(truth["vcov"]),) * 2))
    assert np.max(np.abs(ours.vcov - truth["vcov"]) / sizes) < 1e-8
    assert ours.error < 1e-8
    assert ours.zero == ours.dependent == ()


def test_laplace_agrees_with_the_reference():
    """One node, its own second derivative by differences.  Standard errors of the reference hold to 1e-8 for beta; for
    theta they "were not measured": ours stay the same to 1e-11 when the differences' spacing is halved or doubled.
    """
    ours, truth = fit(contraception(), nodes=1).estimate, reference.load("laplace_contraception_slope")
    assert ours.outcome is Outcome.CONVERGED
    assert ours.loglik == pytest.approx(truth["loglik"], abs=1e-9)
    assert ours.beta == pytest.approx(truth["beta"], abs=1e-8)
    assert ours.theta == pytest.approx(truth["theta"], abs=1e-8)
    se = np.sqrt(np.diag(ours.vcov))
    assert se[:7] == pytest.approx(truth["se"], rel=1e-8)
    assert se[7:] == pytest.approx(truth["theta_se"], rel=2e-8)
    assert ours.nodes == {1: 60}
    assert ours.error == pytest.approx(0.29, abs=0.02)  # measured against 5 nodes: 0.2974 off at the maximum itself


def test_modes_of_the_laplace_fit_agree_with_the_reference():
    rows = contraception()
    ours, truth = fit(rows, nodes=1).estimate, reference.load("laplace_contraception_slope")
    mode, spread = Site(rows, ("binomial", "logit"), (2,)).modes(ours.question)
    expected = [truth["conditional_mode_u"][str(g)] for g in rows.groups]
    assert mode == pytest.approx(np.array(expected), abs=1e-7)
    assert spread == pytest.approx(np.swapaxes(spread, 1, 2), rel=1e-14)


@pytest.mark.parametrize("point", reference.glmm_points(), ids=lambda point: point.name)
def test_values_with_all_constants_agree_with_the_reference(point):
    """tests/reference/glmm_points.json: 25 digits."""
    family = {"Gamma": "gamma", "negative binomial": "negbinomial"}.get(point.family, point.family)
    extra = [] if point.extra is None else [float(log(1 / point.extra if family == "gamma" else point.extra))]
    n = point.trials if family == "binomial" else np.ones(len(point.y))
    rows = make_rows(point.X, point.Z, point.y, point.group, size=n, offset=point.offset)
    site = Site(rows, (family, point.link), (point.Z.shape[1],))
    phi = np.concatenate([point.beta, point.theta, extra])
    free = site.answer(VectorMomentsQuestion()).totals.round()[3]
    for nodes, (loglik, gradient) in point.by_nodes.items():
        total = site.answer(VectorQuestion(np.zeros(sum(point.Z.shape[1:]) + 2), phi[None], (nodes,), np.inf, -1))
        values, constants = total.values.round()[0], total.constants.round()[0]
        level, slope = constants[:2] if extra else (0.0, 0.0)
        assert values[0] + free + level == pytest.approx(loglik, rel=1e-13, abs=1e-12)
        ours = values[1:-1].copy()
        if extra:  # the reference differentiates in the logarithm of the dispersion, 1 / shape
            ours[-1] = (ours[-1] + slope) * (-1 if family == "gamma" else 1)
        assert ours == pytest.approx(gradient, rel=1e-10, abs=1e-10)


# ---- families with a parameter of their own, and the others


@pytest.mark.parametrize("family", ["negbinomial", "gamma"])
@pytest.mark.parametrize("nodes", ["auto", 1])
def test_size_and_shape_are_estimated(family, nodes):
    """At the maximum the gradient in all parameters is zero: it is, to 1e-5 of a standard error, at a second look."""
    rows = simulated(family, 60, 15, SLOPE)
    ours = fit(rows, family=family, **LOG, nodes=nodes).estimate
    assert ours.outcome is Outcome.CONVERGED
    assert ours.aux == pytest.approx(2.0, abs=0.7)  # simulated with 2, whose standard error is about 0.2
    total = Site(rows, (family, "log"), (2,)).answer(ours.question)
    P = len(ours.vcov)
    gradient = total.values.round()[0, 1 : 1 + P]
    gradient[-1] += total.constants.round()[0, 1]
    assert np.max(np.abs(gradient) * np.sqrt(np.diag(ours.vcov))[[*range(P)]]) < 1e-4 * P


@pytest.mark.parametrize("link", ["probit", "cloglog"])
def test_other_links_of_a_binomial_response_converge(link):
    ours = fit(simulated("binomial", 60, 15, SLOPE, trials=4), link=link).estimate
    assert ours.outcome is Outcome.CONVERGED
    assert ours.move < 1e-8
    assert np.all(np.isfinite(ours.vcov))


def test_three_effects_and_independent_terms():
    rows = simulated("poisson", 60, 20, [[0.5, 0, 0], [0.1, 0.3, 0], [-0.2, 0.1, 0.3]], columns=4)
    whole = fit(rows, family="poisson", **LOG).estimate
    apart = fit(rows, family="poisson", **LOG, blocks=(1, 1, 1)).estimate
    assert len(whole.theta) == 6
    assert len(apart.theta) == 3
    assert whole.loglik > apart.loglik
    assert whole.outcome is apart.outcome is Outcome.CONVERGED


# ---- invariance


def test_columns_in_other_units_give_the_same_fit():
    """x times 1e8 and plus 1000: the same log-likelihood, t-values and covariance of the effects, in the new units."""
    rows = simulated("poisson", 40, 10, SLOPE)
    here = fit(rows, family="poisson", **LOG).estimate
    moved = replace(rows, X=rows.X.copy(), Z=rows.Z.copy())
    moved.X[:, 1] = moved.Z[:, 1] = rows.X[:, 1] * 1e8 + 1e11
    there = fit(moved, family="poisson", **LOG).estimate
    assert there.loglik == pytest.approx(here.loglik, abs=1e-9)
    assert there.beta[1:] == pytest.approx(here.beta[1:] / [1e8, 1.0], rel=1e-7)
    ratio = [e.beta[1:] / np.sqrt(np.diag(e.vcov))[1:3] for e in (here, there)]
    assert ratio[1] == pytest.approx(ratio[0], rel=1e-7)
    T = np.array([[1.0, 1e11], [0.0, 1e8]])  # takes effects of the moved columns to those of x
    back = T @ covariance.relative(there.theta, (2,)) @ T.T
    assert back == pytest.approx(covariance.relative(here.theta, (2,)), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("theta", [[0.5, -0.2, 0.3], [0.5, 0.2, 0.0]])
def test_the_derivative_of_uncentred_parameters_is_that_of_their_map(theta):
    """Central differences, h = 1e-6, leave about 1e-10; along a factor of lower rank, its own parameters only."""
    shift, point = np.array([0.0, 3.0]), np.array(theta)
    L, J = uncentred_theta(point, (2,), shift)
    M = covariance.factor(point, (2,))
    M[0] -= 3.0 * M[1]
    assert covariance.relative(L, (2,)) == pytest.approx(M @ M.T, rel=1e-13)
    for k in range(3 if theta[2] else 2):
        step = np.eye(3)[k] * 1e-6
        up, down = (uncentred_theta(point + s * step, (2,), shift)[0] for s in (1, -1))
        assert J[:, k] == pytest.approx((up - down) / 2e-6, abs=1e-8)


# ---- the boundary


def test_an_effect_without_variance_is_named():
    ours = fit(simulated("binomial", 40, 10, [[0, 0], [0, 0]], seed=3), blocks=(1, 1)).estimate
    assert ours.outcome is Outcome.CONVERGED
    assert ours.zero == ("(Intercept)",)
    assert ours.theta[0] == 0.0
    assert np.all(np.isnan(ours.vcov[3]))
    assert np.all(np.isfinite(ours.vcov[:3, :3]))


@pytest.mark.parametrize("nodes", ["auto", 1, 9])
def test_effects_that_depend_on_each_other_are_named(nodes):
    ours = fit(simulated("binomial", 40, 10, SLOPE), nodes=nodes)
    assert ours.estimate.outcome is Outcome.CONVERGED
    assert ours.estimate.dependent == (("(Intercept)", "x1"),)
    assert ours.estimate.zero == ()
    assert len(ours.rounds) < 25


@pytest.mark.parametrize("nodes", [1, 3])
def test_a_variance_that_was_zero_on_the_way_grows_again(nodes):
    """Differences taken where it was zero are no metric where it is not."""
    ours = fit(simulated("binomial", 4, 6, [[0.4]], seed=2), nodes=nodes)
    assert ours.estimate.outcome is Outcome.CONVERGED
    assert ours.estimate.theta[0] > 0.8
    assert np.all(np.isfinite(ours.estimate.vcov))
    assert len(ours.rounds) < 30


# ---- what cannot be fitted


def refused(rows, **options) -> str:
    with pytest.raises(DataError) as caught:
        fit(rows, **options)
    return str(caught.value)


def test_what_the_counts_alone_refuse():
    binary, counts = simulated("binomial", 40, 10, SLOPE), simulated("poisson", 40, 10, SLOPE)
    poisson = {"family": "poisson", **LOG}
    assert "'g' has a single group" in refused(binary.of([0]))
    assert "every response is a success (1) in all 400 rows" in refused(replace(binary, y=np.ones(400)))
    assert "every response is 0 in all 400 rows" in refused(replace(counts, y=np.zeros(400)), **poisson)
    assert "all responses are alike" in refused(replace(binary, y=(binary.group % 2).astype(float)))
    few = refused(simulated("poisson", 200, 1, SLOPE), **poisson)
    assert few.startswith("(1 + x1 | g): each of the 200 groups of 'g' has fewer rows than the 2 effects")
    assert "column 'x1' is zero in every row" in refused(replace(counts, Z=counts.Z * [1.0, 0.0]), **poisson)
    assert "weights of the 400 rows are zero" in refused(replace(counts, size=np.zeros(400)), **poisson)
    assert "the offset reaches 5000" in refused(replace(counts, offset=np.full(400, 5000.0)), **poisson)


def test_collinear_and_separating_columns_are_named():
    rows = simulated("binomial", 40, 10, SLOPE)
    columns = (*rows.columns, "c")
    double = replace(rows, X=np.column_stack([rows.X, 2 * rows.X[:, 1] + 1]), columns=columns)
    assert "columns are collinear: c = 2 * x1" in refused(double)
    perfect = replace(rows, X=np.column_stack([rows.X, rows.y]), columns=columns)
    assert "column 'c' separates the responses" in refused(perfect)


def test_single_trials_and_counts_without_dispersion_are_refused():
    assert "each group of 'g' has a single trial" in refused(simulated("binomial", 200, 1, [[0.5]]))
    even = simulated("poisson", 60, 15, [[0.5]])
    assert "fit family 'poisson' instead" in refused(even, family="negbinomial", **LOG)
    flat = replace(simulated("gamma", 40, 10, [[0.5]]), y=np.ones(400))
    assert "the shape of the gamma grows without bound" in refused(flat, family="gamma", **LOG)


def test_options_are_checked():
    rows = simulated("poisson", 5, 4, SLOPE)
    with pytest.raises(UsageError, match="whole number from 1 to 61"):
        vector_model(rows, "poisson", "log", nodes=62)
    with pytest.raises(UsageError, match="4 effects for each group of 'g'"):
        VectorModel(rows.columns, "g", ("a", "b", "c", "d"), (4,), "poisson", "log")


def test_huge_offsets_on_either_side_are_taken_up_by_the_intercept():
    rows = simulated("poisson", 40, 10, SLOPE)
    here = fit(rows, family="poisson", **LOG).estimate
    for offset in (650.0, -650.0):
        there = fit(replace(rows, offset=np.full(400, offset)), family="poisson", **LOG).estimate
        assert there.loglik == pytest.approx(here.loglik, abs=1e-8)
        assert there.beta == pytest.approx(here.beta - [offset, 0, 0], abs=1e-6)
