"""The scikit-learn face: scikit-learn's own checks, and what its estimators add."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import sumwise as sw
from sumwise.errors import SeparationError, UsageError

pytest.importorskip("sklearn")

from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from sumwise.sklearn import SumwiseClassifier, SumwiseRegressor


@parametrize_with_checks([SumwiseRegressor(), SumwiseClassifier()])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_checks_pass(estimator, check) -> None:
    check(estimator)


def rows(n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X (n, 2), linear predictors and groups (n,)."""
    rng = np.random.default_rng(12)
    X, groups = rng.normal(size=(n, 2)), np.array(["a", "b", "c", "d", "e", "f"])[rng.integers(0, 6, size=n)]
    effects = dict(zip("abcdef", rng.normal(size=6), strict=True))
    return X, 0.3 + X @ [0.5, -0.4] + np.array([effects[g] for g in groups]), groups


def test_least_squares_is_that_of_scikit_learn() -> None:
    X, eta, _ = rows()
    for fit_intercept in (True, False):
        ours = SumwiseRegressor(fit_intercept=fit_intercept).fit(X, eta)
        theirs = LinearRegression(fit_intercept=fit_intercept).fit(X, eta)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-10)
        assert ours.intercept_ == pytest.approx(theirs.intercept_, rel=1e-10)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9)


def test_a_classifier_is_logistic_regression_without_penalty() -> None:
    X, eta, _ = rows()
    y = np.where(np.random.default_rng(1).random(120) < 1 / (1 + np.exp(-eta)), "yes", "no")
    ours, theirs = SumwiseClassifier().fit(X, y), LogisticRegression(C=np.inf, tol=1e-10).fit(X, y)
    assert ours.classes_.tolist() == ["no", "yes"]
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-5)
    assert (ours.predict(X) == theirs.predict(X)).all()
    assert isinstance(ours.result_, sw.GlmFit)
    assert 0.3 < cross_val_score(SumwiseClassifier(link="probit"), X, y).mean() <= 1


def test_families_and_links_are_those_of_fit() -> None:
    X, eta, _ = rows()
    y = np.random.default_rng(2).poisson(np.exp(eta))
    found = SumwiseRegressor(family="poisson").fit(X, y)
    np.testing.assert_allclose(found.predict(X), found.result_.predict(_table(X)), rtol=1e-12)
    assert found.get_params() == {"family": "poisson", "fit_intercept": True, "link": None}
    with pytest.raises(UsageError, match="not available"):
        SumwiseRegressor(family="normal").fit(X, y)


def _table(X: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(X, columns=["x1", "x2"])


def test_groups_bring_a_random_intercept_each() -> None:
    X, eta, groups = rows()
    rng = np.random.default_rng(3)
    y = eta + 0.3 * rng.normal(size=120)
    found = SumwiseRegressor().fit(X, y, groups=groups)
    expected = sw.fit("y ~ x1 + x2 + (1 | g)", _table(X).assign(y=y, g=groups))
    np.testing.assert_array_equal(found.coef_, expected.coef.to_numpy()[1:])
    np.testing.assert_allclose(
        found.predict(X, groups=groups), expected.predict(_table(X).assign(g=groups)), rtol=1e-12
    )
    typical = expected.predict(_table(X), random=False)
    np.testing.assert_allclose(found.predict(X), typical, rtol=1e-12)
    np.testing.assert_allclose(found.predict(X, groups=["new"] * 120), typical, rtol=1e-12)
    classes = SumwiseClassifier().fit(X, (y > 0).astype(int), groups=groups)
    assert isinstance(classes.result_, sw.MixedFit)
    assert classes.predict_proba(X, groups=groups).sum(axis=1) == pytest.approx(np.ones(120))
    with pytest.raises(UsageError, match="119 labels for 120 rows"):
        SumwiseRegressor().fit(X, y, groups=groups[:-1])
    with pytest.raises(UsageError, match="fitted without groups"):
        SumwiseRegressor().fit(X, y).predict(X, groups=groups)


def test_separated_classes_are_shrunk_with_a_warning_or_refused() -> None:
    X = np.array([[0.0], [1], [2], [3], [4], [5]])
    y = np.array([0, 0, 0, 1, 1, 1])
    with pytest.raises(SeparationError):
        SumwiseClassifier(separation="error").fit(X, y)
    with pytest.warns(ConvergenceWarning, match="separates the responses"):
        found = SumwiseClassifier().fit(X, y)
    assert (found.predict(X) == y).all()
    assert found.predict_proba([[2.5]])[0, 1] == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(UsageError, match="separation='no'"):
        SumwiseClassifier(separation="no").fit(X, y)


def test_classes_that_overlap_are_fitted_as_they_are() -> None:
    X, eta, _ = rows()
    y = (eta + np.random.default_rng(4).logistic(size=120) > 0).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = SumwiseClassifier().fit(X, y)
    expected = sw.fit("y ~ x1 + x2", _table(X).assign(y=y), family="binomial")
    np.testing.assert_array_equal(found.coef_[0], expected.coef.to_numpy()[1:])


def test_sumwise_alone_does_not_load_scikit_learn() -> None:
    code = "import sys, sumwise; sumwise.fit, sumwise.inference; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
