"""The fit of a generalized linear model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.kernels.library import log
from sumwise.maths.student import two_sided
from sumwise.models.glm_links import DISPERSED
from sumwise.results import glm_rows, glm_summary, likelihood_ratio
from sumwise.results.fit import Fit, common_fields
from sumwise.results.inference import normal_quantile, t_quantile, two_sided_p
from sumwise.results.record import Verdict


@dataclass(frozen=True, eq=False, repr=False)
class GlmFit(Fit):
    """A fitted generalized linear model.

    missing, weights_as: as asked for; beta (p,): coefficients; unscaled (p, p): inverse of the expected information at
    dispersion one; deviance_value, null_deviance, pearson (chi^2); loglik_value: as R's logLik defines it; size,
    size_se: of the negative binomial, None elsewhere, size_se also where the size was given; ignored: rows of weight
    zero; verdict_record: how far to believe it.   nobs: rows of positive weight, or the sum of frequencies.
    """

    missing: str
    weights_as: str
    beta: NDArray[np.float64]
    unscaled: NDArray[np.float64]
    deviance_value: float
    null_deviance: float
    pearson: float
    loglik_value: float
    size: float | None
    size_se: float | None
    ignored: int
    verdict_record: Verdict

    model: ClassVar[str] = "glm"

    # -- estimates --

    @property
    def coef(self) -> pd.Series:
        """Coefficients, on the scale of the link, by term."""
        return self._by_term(self.beta, "estimate")

    @property
    def se(self) -> pd.Series:
        """Standard errors: dispersion times the inverse of the expected information, as R's glm."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._by_term(np.sqrt(self.dispersion * np.diag(self.unscaled)), "std_error")

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the coefficients."""
        names = list(self.terms)
        with np.errstate(over="ignore", invalid="ignore"):
            return pd.DataFrame(self.dispersion * self.unscaled, index=names, columns=names)

    @property
    def statistic(self) -> pd.Series:
        """coef / se by term: z, or t where the dispersion is estimated; infinite where a perfect fit has no error."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._by_term(self.beta / self.se.to_numpy(), "statistic")

    @property
    def pvalues(self) -> pd.Series:
        """Two-sided, by term: normal, or Student's t with df_residual where the dispersion is estimated."""
        z = self.statistic.to_numpy()
        return self._by_term(two_sided(z, self.df_residual) if self.dispersed else two_sided_p(z), "p_value")

    @property
    def dispersed(self) -> bool:
        """Whether the dispersion is estimated."""
        return self.family in DISPERSED

    @property
    def dispersion(self) -> float:
        """Pearson's chi^2 / df_residual for gamma and inverse gaussian, nan without degrees of freedom; 1 elsewhere."""
        if not self.dispersed:
            return 1.0
        return self.pearson / self.df_residual if self.df_residual > 0 else float("nan")

    @property
    def sigma(self) -> float:
        """Square root of the dispersion."""
        return float(np.sqrt(self.dispersion))

    # -- criteria --

    @property
    def loglik(self) -> float:
        """As R's logLik: constants included, for gamma and inverse gaussian at dispersion deviance / n."""
        return self.loglik_value

    @property
    def df(self) -> int:
        """Number of parameters: coefficients, and dispersion or size where estimated."""
        return len(self.terms) + (self.dispersed or self.size_se is not None)

    @property
    def df_residual(self) -> int:
        """nobs - p."""
        return self.nobs - len(self.terms)

    @property
    def df_null(self) -> int:
        """Degrees of freedom of the null deviance."""
        return self.nobs - ("(Intercept)" in self.terms)

    @property
    def deviance(self) -> float:
        """2 (log-likelihood of the saturated model - log-likelihood) at dispersion one."""
        return self.deviance_value

    @property
    def bic(self) -> float:
        """Schwarz's criterion: -2 log-likelihood + df log(nobs)."""
        return -2 * self.loglik + self.df * float(log(float(self.nobs)))

    @property
    def weights(self) -> str | None:
        """The weights as written in the call, None without."""
        text: str | None = self.contract["weights"]
        return text

    @property
    def verdict(self) -> Verdict:
        """How far to believe it."""
        return self.verdict_record

    # -- after the fit --

    def wald_intervals(self, level: float) -> pd.DataFrame:
        """Wald intervals of the coefficients, normal or t as `pvalues`: columns lower, upper."""
        quantile = t_quantile(level, self.df_residual) if self.dispersed else normal_quantile(level)
        half = quantile * self.se
        return pd.DataFrame({"lower": self.coef - half, "upper": self.coef + half})

    def predict(
        self, data: Any, *, kind: str = "response", se: bool = False, level: float = 0.95
    ) -> pd.Series | pd.DataFrame:
        """Predictions for the rows of `data` (any table that `fit` accepts).

        kind: "response", the mean (a probability for binomial), or "link".   se: a frame with estimate, std_error (by
        the delta method) and the Wald interval lower, upper, worked out on the scale of the link.
        """
        return glm_rows.predict(self, data, kind, se, level)

    def residuals(self, data: Any, *, kind: str = "deviance", seed: int = 0) -> pd.Series:
        """Residuals of the rows that were fitted: `data` is the table or the sites again.

        kind: "deviance", "pearson", "response" or "working", as R's residuals.glm; "quantile": normal if the model is
        right, for counts with a random part that `seed` sets.   nan for rows of weight zero.
        Raises DataError if this is not the table that was fitted.
        """
        return glm_rows.residuals(self, data, kind, seed)

    def anova(self, other: Fit) -> pd.DataFrame:
        """Test of the smaller of two nested fits to the same rows: parameters, loglik, aic, bic, statistic, df,
        p_value and null, which says what the statistic was compared with.

        Twice the gain in log-likelihood with chi2; where the dispersion is estimated F, the difference of the
        deviances per degree of freedom over the dispersion of the larger fit, as R's anova(test="F").
        Raises UsageError for fits that are not nested, or not of the same rows and response.
        """
        return likelihood_ratio.compare(self, other)

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """One row a term at full precision: term, estimate, std_error, statistic, p_value, lower, upper."""
        columns = {
            "estimate": self.coef,
            "std_error": self.se,
            "statistic": self.statistic,
            "p_value": self.pvalues,
        }
        frame = pd.concat([pd.DataFrame(columns), self.confint(level)], axis=1)
        return frame.rename_axis("term").reset_index()

    def glance(self) -> pd.DataFrame:
        """The fit in one row."""
        names = ("nobs", "df", "df_residual", "loglik", "deviance", "null_deviance", "df_null", "pearson", "dispersion")
        values: dict[str, Any] = {name: getattr(self, name) for name in (*names, "aic", "bic")}
        if self.size is not None:
            values |= {"size": self.size, "size_se": self.size_se}
        values |= {"sites": len(self.site_records), "rounds": len(self.round_records), "verdict": self.verdict.code}
        return pd.DataFrame([values])

    def summary(self) -> str:
        """The fit as text, in the manner of R's summary."""
        return glm_summary.text(self)

    def _repr_html_(self) -> str:
        return glm_summary.html(self)

    def _by_term(self, values: NDArray[np.float64], name: str) -> pd.Series:
        return pd.Series(values, index=list(self.terms), name=name)

    # -- keep and restore --

    def _values(self) -> dict[str, Any]:
        return asdict(self) | {"beta": self.beta.tolist(), "unscaled": self.unscaled.tolist()}

    @classmethod
    def _from_values(cls, values: dict[str, Any]) -> Self:
        names = (
            "missing",
            "weights_as",
            "deviance_value",
            "null_deviance",
            "pearson",
            "loglik_value",
            "size",
            "size_se",
            "ignored",
        )
        given: dict[str, Any] = {name: values[name] for name in names}
        given |= {name: np.array(values[name], dtype=np.float64) for name in ("beta", "unscaled")}
        return cls(**common_fields(values), **given, verdict_record=Verdict(**values["verdict_record"]))
