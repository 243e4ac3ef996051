"""Regression and classification as scikit-learn wants them.   Needs pip install 'sumwise[sklearn]'.

    from sumwise.sklearn import SumwiseRegressor
    SumwiseRegressor(family="poisson").fit(X, y).predict(X)

fit(X, y, groups=labels) adds a random intercept for each group; predict(X, groups=labels) then adds that of the row's
group, zero for a group that is new.  `result_` is the fit itself, with standard errors, tests and summary.
"""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.api import fit as fit_model
from sumwise.errors import SeparationError, UsageError
from sumwise.results.fit import Fit
from sumwise.results.responses import mean

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise UsageError(f"scikit-learn cannot be loaded ({error}): pip install 'sumwise[sklearn]'") from error

__all__ = ["SumwiseClassifier", "SumwiseRegressor"]

Floats = NDArray[np.float64]

GROUP = "group"


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """family: as in fit(); link: as there, None for its default; fit_intercept: whether there is one."""

    result_: Fit
    coef_: Floats
    intercept_: float | Floats
    groups_: bool

    def _fit(self, X: Floats, y: Floats, groups: Any) -> Self:
        """X (n, p), y (n,): checked.  groups (n,): labels, or None."""
        names = [f"x{k + 1}" for k in range(X.shape[1])]
        table = pd.DataFrame(X, columns=names)
        table["y"] = y
        intercept = bool(self.fit_intercept)
        terms = [*names] if intercept else ["0", *names]
        if groups is not None:
            table[GROUP] = _labels(groups, len(table))
            terms.append(f"(1 | {GROUP})")
        self.result_ = self._result(f"y ~ {' + '.join(terms)}", table)
        self.groups_ = groups is not None
        # a column that others explain has no coefficient, and takes no part in predictions
        found = np.nan_to_num(self.result_.coef.to_numpy(), nan=0.0)
        self.intercept_ = float(found[0]) if intercept else 0.0
        self.coef_ = found[1:] if intercept else found
        return self

    def _result(self, formula: str, table: pd.DataFrame) -> Fit:
        return fit_model(formula, table, family=self.family, link=self.link)

    def _mean(self, X: Any, groups: Any) -> Floats:
        """(n,) means of new rows."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        if groups is not None and not self.groups_:
            raise UsageError("groups=: the estimator was fitted without groups")
        eta = np.full(len(X), float(np.ravel(self.intercept_)[0]))
        for coefficient, column in zip(np.ravel(self.coef_), X.T, strict=True):
            eta += coefficient * column
        if groups is not None:
            effects = self.result_.ranef().iloc[:, 0]  # type: ignore[attr-defined]
            eta += effects.reindex(_labels(groups, len(X))).fillna(0.0).to_numpy()
        return mean(self.result_.link, eta)


class SumwiseRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """Least squares, or a generalized linear model with another family; mixed with groups.

    family: "gaussian", "poisson", "gamma", "inverse.gaussian" or "negbinomial"; link, fit_intercept: as above.
    coef_ (p,), intercept_: on the scale of the link, zero for a column that others explain; result_: the fit.
    """

    def __init__(self, family: str = "gaussian", link: str | None = None, fit_intercept: bool = True) -> None:
        self.family = family
        self.link = link
        self.fit_intercept = fit_intercept

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """X (n, p), y (n,): numbers; groups (n,): labels.   Raises as sumwise.fit and scikit-learn's checks do."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        return self._fit(X, np.asarray(y, dtype=np.float64), groups)

    def predict(self, X: Any, groups: Any = None) -> Floats:
        """(n,) mean responses; with groups those of the rows' groups, else of a typical group."""
        return self._mean(X, groups)


class SumwiseClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """Binomial regression of two classes; mixed with groups.

    link: None for "logit", or "probit", "cloglog"; fit_intercept: as above.
    separation: where columns separate the classes no coefficient is finite.  "shrink" says so with a warning, and fits
    again with p / n of an observation more at each row, shared out as the classes are [Clogg et al. 1991]: predictions
    are sound, standard errors of `result_` are not.  "error" raises SeparationError, as sumwise.fit does; so do mixed
    models either way.
    classes_ (2,): the second is the one whose probability is modelled; coef_ (1, p), intercept_ (1,), as scikit-learn's
    logistic regression has them; result_: the fit.
    """

    family = "binomial"

    def __init__(self, link: str | None = None, fit_intercept: bool = True, separation: str = "shrink") -> None:
        self.link = link
        self.fit_intercept = fit_intercept
        self.separation = separation

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """X (n, p): numbers; y (n,): labels of two classes; groups (n,): labels.   Raises as sumwise.fit does, and as
        scikit-learn's checks.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, places = np.unique(y, return_inverse=True)
        if len(self.classes_) != 2:
            found = f"{len(self.classes_)} class" + ("" if len(self.classes_) == 1 else "es")
            raise ValueError(f"Only binary classification is supported: the labels have {found}")
        self._fit(X, places.astype(np.float64), groups)
        self.coef_, self.intercept_ = self.coef_[None], np.array([self.intercept_])
        return self

    def _result(self, formula: str, table: pd.DataFrame) -> Fit:
        if self.separation not in ("shrink", "error"):
            raise UsageError(f"separation={self.separation!r}: 'shrink' or 'error'")
        try:
            return super()._result(formula, table)
        except SeparationError as error:
            if self.separation == "error" or "|" in formula:  # shares of successes have no groups
                raise
            warnings.warn(f"{error}; coefficients are shrunk", ConvergenceWarning, stacklevel=3)
        more, mean_y = (table.shape[1] - 1) / len(table), float(table["y"].mean())
        both = pd.concat([table.assign(y=1.0), table.assign(y=0.0)], ignore_index=True)
        share = np.concatenate([table["y"] + more * mean_y, 1 - table["y"] + more * (1 - mean_y)])
        return fit_model(formula, both.assign(w=share), family="binomial", link=self.link, weights="w")

    def predict_proba(self, X: Any, groups: Any = None) -> Floats:
        """(n, 2) probabilities of the classes; with groups those of the rows' groups, else of a typical group."""
        p = self._mean(X, groups)
        return np.column_stack([1 - p, p])

    def predict(self, X: Any, groups: Any = None) -> NDArray[Any]:
        """(n,) the more probable class."""
        places = (self.predict_proba(X, groups)[:, 1] > 0.5).astype(np.int64)
        labels: NDArray[Any] = self.classes_[places]
        return labels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


def _labels(groups: Any, n: int) -> list[str]:
    found = [str(label) for label in np.asarray(groups).ravel().tolist()]
    if len(found) != n:
        raise UsageError(f"groups= has {len(found)} labels for {n} rows")
    return found
