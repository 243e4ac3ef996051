"""The kernel of generalized linear models against plain twins."""

import numpy as np
import pytest
from mpmath import mp, mpf

from sumwise.kernels import families, glm
from sumwise.maths.exact import ExactSum
from tests import reference
from tests.oracles import families as plain
from tests.unit.kernels.levels import LEVELS, at_level

RNG = np.random.default_rng(5)


@pytest.mark.parametrize(("family", "link"), families.NUMBER)
def test_rows_agree_with_their_plain_twin(family, link):
    positive = link in ("inverse", "1/mu^2")
    for _ in range(25):
        eta = float(RNG.uniform(0.05, 4) if positive else RNG.uniform(-6, 3))
        n, aux = float(RNG.integers(1, 9)), float(RNG.uniform(0.2, 5)) if family == "negbinomial" else 1.0
        y = float(RNG.integers(0, n + 1)) if family == "binomial" else float(RNG.integers(1, 30))
        exact = plain.fitted(family, link, eta, y, n, aux)
        found = glm.fitted_rows(family, link, [eta], y, n, aux)
        for name, value in exact.items():
            assert abs(mpf(float(found[name][0])) - value) < 2e-13 * abs(value) + 1e-15, (name, eta, y, n, aux)


def test_derivatives_in_the_size_agree_with_400_digit_arithmetic():
    """tests/reference/links.json, in units of 2^-53 of the terms that the derivatives are made of."""
    points = [p for p in reference.load("links")["points"] if p["family"] == "negative binomial"]
    assert len(points) > 100
    for p in points:
        eta, y, k = (float.fromhex(p[name]) for name in ("eta", "y", "size"))
        mu = np.exp(eta)
        terms = k * (abs(y - mu) / (mu + k) + np.log1p(y / k) + y / (y + k))
        found = glm.fitted_rows("negbinomial", "log", [eta], y, 1.0, k)
        for ours, theirs, size in (
            ("d1", "d_log_size", terms),
            ("d2", "d2_log_size", terms + y / (y + k)),  # k psi and k^2 psi' of a small k
            ("cross", "d_eta_log_size", 0.0),
        ):
            truth = mpf(p[theirs])
            error = abs(mpf(float(found[ours][0])) - truth)
            assert error <= 20 * mpf(2) ** -53 * (abs(truth) + size), (ours, eta, y, k)


@pytest.mark.parametrize("k", [1e-3, 0.7, 9.99, 10.0, 30.0, 1e6])
def test_share_of_the_size_is_what_deviance_and_counts_leave_of_the_log_likelihood(k):
    """log density = saturated Poisson + c - deviance / 2."""
    for y in (0.0, 1.0, 7.0, 400.0):
        found = glm.fitted_rows("negbinomial", "log", [1.3], y, 1.0, k)
        with mp.workdps(60):
            Y, K, mu = mpf(y), mpf(k), mp.exp(mpf(1.3))
            density = mp.loggamma(Y + K) - mp.loggamma(K) - mp.loggamma(Y + 1)
            density += K * mp.log(K / (mu + K)) + Y * mp.log(mu / (mu + K))
            counts = Y * mp.log(Y) - Y - mp.loggamma(Y + 1) if y else mpf(0)
            share = density - counts + plain.DEVIANCE["negbinomial"](mu, Y, mpf(1), K) / 2
        assert abs(mpf(float(found["c"][0])) - share) < 2e-13 * (abs(share) + abs(mp.log(K)) / 10), (y, k)


def rows(n=1500, p=3):
    X = np.column_stack([np.ones(n), RNG.standard_normal((n, p - 1))])
    return X, RNG.integers(0, 4, n).astype(float)


@pytest.mark.parametrize("information", [glm.NONE, glm.EXPECTED, glm.OBSERVED])
def test_sums_are_those_of_the_rows(information):
    X, y = rows()
    centre, beta, k = np.array([0.0, 0.3, -0.1]), np.array([0.2, 0.5, -0.3]), 1.7
    w = RNG.uniform(0, 2, len(y))
    w[::7] = 0
    data = glm.Data(tuple(X.T), y, w, np.ones(len(y)) * 0.1)
    query = glm.Query("negbinomial", "log", centre, beta, k, information, True)
    digits, failed = glm.evaluate(data, query, 0, len(y))
    assert failed == 0
    Z = X - centre
    keep = w > 0
    at = glm.fitted_rows("negbinomial", "log", Z @ beta + 0.1, y, np.where(keep, w, 1), k)
    at = {name: np.where(keep, value, 0.0) for name, value in at.items()}
    weight = at["observed"] if information == glm.OBSERVED else at["weight"]
    with np.errstate(invalid="ignore"):
        expected = [at["deviance"].sum(), np.where(keep, at["score"] ** 2 / at["weight"], 0).sum()]
    if information:
        expected += [*(at["score"] @ Z), *((Z.T * weight) @ Z)[np.tril_indices(3)]]
    expected += [at[name].sum() for name in ("c", "d1", "d2")]
    if information:
        expected += [*(at["cross"] @ Z)]
    assert ExactSum(digits).round() == pytest.approx(np.array(expected), rel=1e-11)


def test_any_cut_of_the_rows_and_any_level_gives_the_same_bits():
    X, y = rows()
    query = glm.Query("poisson", "log", np.zeros(3), np.array([0.2, 0.5, -0.3]), 1.0, glm.EXPECTED, False)
    whole, _ = glm.evaluate(glm.Data(tuple(X.T), y, None, None), query, 0, len(y))
    for name in LEVELS:
        with at_level(name):
            order = RNG.permutation(len(y))
            table = np.ascontiguousarray(X[order])  # row by row
            pieces = [
                ExactSum(glm.evaluate(glm.Data(tuple(table.T), y[order], None, None), query, *bounds)[0])
                for bounds in ((0, 1), (1, 700), (700, len(y)))
            ]
            assert np.array_equal((pieces[0] + pieces[1] + pieces[2]).digits, whole)


def test_rows_without_a_mean_are_counted_and_left_out():
    eta = np.array([1.0, -1.0, 2.0])
    data = glm.Data((eta,), np.ones(3), None, None)
    query = glm.Query("gamma", "inverse", np.zeros(1), np.ones(1), 1.0, glm.NONE, False)
    digits, failed = glm.evaluate(data, query, 0, 3)
    assert failed == 1
    assert ExactSum(digits).round()[0] == pytest.approx(2 * ((1 - 1) - 0 + (2 - 1) - np.log(2)))


@pytest.mark.parametrize("link", ["log", "inverse"])
@pytest.mark.parametrize("a", [1e-3, 0.7, 9.99, 10.0, 300.0])
def test_derivatives_in_the_shape_are_those_of_the_gamma_density(link, a):
    for eta, y in ((0.3, 0.7), (1.2, 3.0), (2.0, 0.4)):
        found = glm.fitted_rows("gamma", link, [eta], y, 2.0, a)
        with mp.workdps(60):

            def density(log_a, t, y=y):
                A, mu = mp.exp(log_a), plain.MEAN[link](t)
                return 2 * (A * mp.log(A / mu) - mp.loggamma(A) + (A - 1) * mp.log(y) - A * y / mu)

            at = mp.log(mpf(a)), mpf(eta)
            exact = {
                "d1": mp.diff(density, at, (1, 0)),
                "d2": mp.diff(density, at, (2, 0)),
                "cross": mp.diff(density, at, (1, 1)),
                "dw": -mp.diff(density, at, (1, 2)),
            }
            share = density(*at) - mpf(float(families.terms("gamma", link, [eta], y, 2.0, a)[0, 0]))
        for name, value in (exact | {"c": share}).items():
            assert abs(mpf(float(found[name][0])) - value) < 1e-12 * (abs(value) + 1e-2 + a), (name, eta, y)


def test_what_the_size_does_to_the_information_is_its_derivative():
    for k in (0.3, 2.0, 40.0):
        for eta, y in ((0.3, 0.0), (1.2, 3.0), (-2.0, 7.0)):
            found = glm.fitted_rows("negbinomial", "log", [eta], y, 2.0, k)
            with mp.workdps(60):

                def term(log_k, t, y=y):
                    return plain.KERNEL["negbinomial"](mp.exp(t), mpf(y), mpf(2), mp.exp(log_k))

                exact = -mp.diff(term, (mp.log(mpf(k)), mpf(eta)), (1, 2))
            assert float(found["dw"][0]) == pytest.approx(float(exact), rel=1e-12, abs=1e-14)
