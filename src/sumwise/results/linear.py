"""The fit of a linear model: everything R's lm answers, from exact cross-products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data import InputErrors
from sumwise.errors import DataError, UsageError
from sumwise.kernels.library import log
from sumwise.maths.conditioning import Condition, condition
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares
from sumwise.maths.student import two_sided
from sumwise.results import linear_digits, linear_rows, linear_summary
from sumwise.results.anova import compare, sequential
from sumwise.results.fit import Fit, common_fields
from sumwise.results.inference import FStatistic, f_test, t_quantile
from sumwise.results.linear_verdict import judge
from sumwise.results.record import Verdict

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class LinearFit(Fit):
    """A fitted linear model.  All numbers are computed from `gram` when asked for: the exact answer, rounded once.

    A column that earlier ones explain exactly is left out, as in R: its coefficient is nan, and predictions
    are unaffected while that relation holds.

    missing, decimal: as asked for; gram: cross-products of
    the p columns of X and the response less its offset, over rows of positive weight; ignored: rows of weight zero;
    log_weights: sum of log w, 0 without weights; input_errors: how far the inputs may be off if they are good to their
    last printed digit; None for the result of a study, which does not ask for that.
    """

    missing: str
    decimal: bool | None
    gram: Gram
    ignored: int
    log_weights: float
    input_errors: InputErrors | None

    model: ClassVar[str] = "linear"

    # -- the solution --

    @cached_property
    def everything(self) -> LeastSquares:
        """The least-squares problem with all p columns."""
        return self._of(range(len(self.terms)))

    @cached_property
    def solution(self) -> LeastSquares:
        """The same without the columns that earlier ones explain: its columns are `kept`."""
        return self.everything if self.everything.rank == len(self.terms) else self._of(self.kept)

    @property
    def kept(self) -> tuple[int, ...]:
        """Positions among the p columns of those that no earlier one explains."""
        return self.everything.independent

    @property
    def intercept(self) -> bool:
        """Whether the formula has one."""
        return "(Intercept)" in self.terms

    def _of(self, columns: Any) -> LeastSquares:
        constant = self.terms.index("(Intercept)") if self.intercept else None
        return LeastSquares(self.gram, tuple(columns), (len(self.terms),), constant)

    def _by_term(self, kept: Floats, name: str) -> pd.Series:
        """Values of the kept columns as a series over all terms."""
        values = np.full(len(self.terms), np.nan)
        values[list(self.kept)] = kept
        return pd.Series(values, index=list(self.terms), name=name)

    # -- estimates --

    @property
    def coef(self) -> pd.Series:
        """Coefficients by term; nan where earlier columns explain the column."""
        return self._by_term(self.solution.coef[:, 0], "estimate")

    @property
    def se(self) -> pd.Series:
        """Standard errors of the coefficients; nan without residual degrees of freedom."""
        return self._by_term(self.solution.se[:, 0], "std_error")

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the coefficients, sigma^2 (X'WX)^-1."""
        values = np.full((len(self.terms),) * 2, np.nan)
        values[np.ix_(self.kept, self.kept)] = self.solution.vcov()
        return pd.DataFrame(values, index=list(self.terms), columns=list(self.terms))

    @property
    def sigma(self) -> float:
        """Residual standard deviation sqrt(rss / df_resid), nan if df_resid = 0."""
        return float(self.solution.sigma[0])

    @property
    def t(self) -> pd.Series:
        """coef / se by term; in a perfect fit infinite, or nan for a coefficient of zero."""
        return self._by_term(self.solution.t[:, 0], "statistic")

    @property
    def pvalues(self) -> pd.Series:
        """P(|T| > |t|) for T ~ t(df_resid), by term."""
        return pd.Series(two_sided(self.t.to_numpy(), self.df_resid), index=list(self.terms), name="p_value")

    # -- criteria --

    @property
    def rank(self) -> int:
        """Number of columns kept."""
        return len(self.kept)

    @property
    def df_resid(self) -> int:
        """Residual degrees of freedom: nobs - rank."""
        return self.nobs - self.rank

    @property
    def rss(self) -> float:
        """Weighted residual sum of squares."""
        return float(self.solution.rss[0])

    @property
    def deviance(self) -> float:
        """The residual sum of squares, as R's deviance() of an lm."""
        return self.rss

    @property
    def r2(self) -> float:
        """1 - rss / tss; tss about the mean if the formula has an intercept, else about zero, as in R."""
        return float(self.solution.r2[0])

    @property
    def adjusted_r2(self) -> float:
        """1 - (rss / df_resid) / (tss / (nobs - 1)); nobs instead of nobs - 1 without intercept."""
        return float(self.solution.adjusted_r2[0])

    @property
    def fstat(self) -> FStatistic:
        """F test of all coefficients but the intercept's: value, df1, df2, p."""
        return f_test(float(self.solution.fstat[0]), self.rank - self.intercept, self.df_resid)

    @property
    def df(self) -> int:
        """Number of estimated parameters, as R counts: coefficients and sigma."""
        return self.rank + 1

    @property
    def loglik(self) -> float:
        """Maximised log-likelihood, (sum log w - n (log 2 pi + log(rss / n) + 1)) / 2; inf for a perfect fit."""
        n = self.nobs
        # by way of sigma, because rss leaves the range of float64 sooner
        mean_square = -np.inf if self.perfect else float(2 * log(self.sigma) + log(self.df_resid / n))
        return (self.log_weights - n * (float(log(2 * np.pi)) + 1 + mean_square)) / 2

    @property
    def perfect(self) -> bool:
        """Whether all residuals are zero."""
        return self.df_resid == 0 or self.sigma == 0

    # -- what happened --

    @property
    def weights(self) -> str | None:
        """The weights as written in the call, None without."""
        text: str | None = self.contract["weights"]
        return text

    @cached_property
    def verdict(self) -> Verdict:
        """How far to believe it."""
        return judge(self)

    @cached_property
    def condition(self) -> Condition:
        """How sensitive the coefficients are: condition numbers of the columns kept, with weights of W^1/2 X."""
        return condition(self.solution, 0)

    @cached_property
    def input_bound(self) -> Floats:
        """(p,): how far rounding of the inputs, in their last printed decimals, may have moved each coefficient, to
        first order; nan where it was left out, or where the errors are not known; infinite where it may make columns
        dependent.
        """
        if self.input_errors is None:
            return np.full(len(self.terms), np.nan)
        return linear_digits.first_order_bound(self, self.input_errors)

    # -- after the fit --

    def wald_intervals(self, level: float) -> pd.DataFrame:
        """Confidence intervals of the coefficients from the t distribution: columns lower, upper."""
        coef, half = self.coef, t_quantile(level, self.df_resid) * self.se
        return pd.DataFrame({"lower": coef - half, "upper": coef + half})

    def df_of(self, contrasts: Floats) -> Floats:
        """(k,) the residual degrees of freedom."""
        return np.full(len(contrasts), float(self.df_resid))

    def predict(self, data: Any, *, interval: str | None = None, level: float = 0.95) -> pd.Series | pd.DataFrame:
        """Predictions for the rows of `data` (any table that `fit` accepts).

        interval: None gives a series; "confidence" (of the mean) or "prediction" (of a new observation of weight 1) a
        frame: estimate, std_error (of the mean), lower, upper.   Raises DataError for rows in which a column that the
        fit left out is not what the other columns make it: no prediction is defined there.
        """
        return linear_rows.predict(self, data, interval, level)

    def residuals(self, data: Any, *, kind: str = "response") -> pd.Series:
        """Residuals of the rows that were fitted, which the fit does not keep: `data` is the table or the sites again.

        kind: "response" y - fitted; "pearson" sqrt(w) (y - fitted); "standardized", R's rstandard; "studentized", R's
        rstudent, with the row itself left out.   Raises DataError if this is not the table that was fitted.
        """
        return linear_rows.residuals(self, data, kind)

    def influence(self, data: Any) -> pd.DataFrame:
        """One row for each row of the table that was fitted: fitted, residual, leverage, standardized, studentized,
        cooks_distance, dffits, as in R's influence.measures.   Raises DataError as `residuals` does.
        """
        return linear_rows.influence(self, data)

    def anova(self, other: LinearFit | None = None) -> pd.DataFrame:
        """Without `other`: what each term explains beyond the terms before it (type I), as R's anova(fit).  With it:
        the F test of the smaller of two nested fits to the same rows, as R's anova(small, large).

        Raises UsageError if the two are not fits to the same rows, or cannot be shown to be nested.
        """
        if other is None:
            return sequential(self)
        if not isinstance(other, LinearFit):
            raise UsageError(f"anova compares with another linear fit, not with {other!r:.50}")
        return compare(self, other)

    def digits(
        self,
        data: Any = None,
        inputs: str | float | Mapping[str, float] = "printed",
        samples: int = 0,
        seed: int = 0,
    ) -> pd.DataFrame:
        """How many digits the inputs support, by term: estimate; computed, digits that are right for the inputs as they
        are (all 16 of a float64); data_limited, digits that survive the worst errors within `inputs`, to first order.

        inputs: "printed": each number is good to half a unit of the last decimal that its column shows, and whole
        numbers are exact; a number r: to relative error r; {column: e}: to the absolute error e, other columns as
        printed.  The last two need `data`, the table that was fitted.   samples: how many times to move every number
        uniformly within its error and to refit exactly; adds sampled_worst and sampled_95, digits that survive the
        worst and all but 5% of the refits, and needs `data` too.   seed: of the moves.

        Raises DataError if this is not the table that was fitted, UsageError for what is no error.
        """
        return linear_digits.digits(self, data, inputs, samples, seed)

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """One row a term at full precision: term, estimate, std_error, statistic, p_value, lower, upper."""
        columns = {"estimate": self.coef, "std_error": self.se, "statistic": self.t, "p_value": self.pvalues}
        frame = pd.concat([pd.DataFrame(columns), self.confint(level)], axis=1)
        return frame.rename_axis("term").reset_index()

    def glance(self) -> pd.DataFrame:
        """The fit in one row: nobs, sites, rank, df, df_resid, rss, sigma, r2, adjusted_r2, statistic and p_value of
        the F test, loglik, deviance, aic, bic, condition, rounds, verdict.   A sum beyond float64 is inf here.
        """
        names = (
            "nobs",
            "rank",
            "df",
            "df_resid",
            "rss",
            "sigma",
            "r2",
            "adjusted_r2",
            "loglik",
            "deviance",
            "aic",
            "bic",
        )
        values: dict[str, Any] = {name: _or_infinite(self, name) for name in names}
        values |= {"statistic": self.fstat.value, "p_value": self.fstat.p, "condition": self.condition.kappa}
        values |= {"sites": len(self.site_records), "rounds": len(self.round_records), "verdict": self.verdict.code}
        return pd.DataFrame([values])

    def summary(self) -> str:
        """The fit as text, in the manner of R's summary."""
        return linear_summary.text(self)

    def _repr_html_(self) -> str:
        return linear_summary.html(self)

    # -- keep and restore --

    def _values(self) -> dict[str, Any]:
        gram = asdict(self.gram) | {"entries": [format(entry, "x") for entry in self.gram.entries]}
        errors = self.input_errors
        if errors is None:
            return asdict(self) | {"gram": gram}
        x, y = ([v if np.isfinite(v) else None for v in values] for values in (errors.x.tolist(), [errors.y]))
        kept = {"x": x, "y": y[0], "columns": dict(errors.columns), "in_full": list(errors.in_full)}
        return asdict(self) | {"gram": gram, "input_errors": kept}

    @classmethod
    def _from_values(cls, values: dict[str, Any]) -> Self:
        gram = values["gram"]
        lists = {name: tuple(gram[name]) for name in ("low", "decimals")}
        lists["entries"] = tuple(int(entry, 16) for entry in gram["entries"])
        return cls(
            **common_fields(values),
            missing=values["missing"],
            decimal=values["decimal"],
            gram=Gram(**(gram | lists)),
            ignored=values["ignored"],
            log_weights=values["log_weights"],
            input_errors=_errors(values["input_errors"]),
        )


def _errors(values: dict[str, Any] | None) -> InputErrors | None:
    """From JSON's types."""
    if values is None:
        return None
    *x, y = (np.inf if value is None else value for value in [*values["x"], values["y"]])
    return InputErrors(np.array(x, dtype=np.float64), y, values["columns"], tuple(values["in_full"]))


def _or_infinite(fit: LinearFit, name: str) -> float:
    """A number of the fit, inf where it is larger than the largest float64."""
    try:
        value: float = getattr(fit, name)
    except DataError:
        return np.inf
    return value
