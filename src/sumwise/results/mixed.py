"""The fit of a mixed model: fixed effects, the variance between groups, and the groups' own effects."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.errors import UsageError
from sumwise.results import mixed_summary
from sumwise.results.fit import Fit, common_fields
from sumwise.results.inference import normal_quantile, two_sided_p
from sumwise.results.predict import predict
from sumwise.results.record import Quadrature, RandomEffects, Verdict


@dataclass(frozen=True, eq=False, repr=False)
class MixedFit(Fit):
    """A fitted mixed model.

    nodes: as asked for; beta (p,): fixed effects; theta_value: standard deviation of the random intercept; covariance:
    of (beta, theta), (p + 1, p + 1), of beta alone, (p, p), where theta is zero; loglik_value: maximised
    log-likelihood, binomial coefficients included; groups: how many; effects: conditional modes of those groups whose
    rows are here; quadrature: its nodes and measured error; verdict_record: how far to believe it.
    """

    nodes: int | str
    beta: NDArray[np.float64]
    theta_value: float
    covariance: NDArray[np.float64]
    loglik_value: float
    groups: int
    effects: RandomEffects
    quadrature: Quadrature
    verdict_record: Verdict

    model: ClassVar[str] = "mixed"

    # -- estimates --

    @property
    def coef(self) -> pd.Series:
        """Fixed effects, on the scale of the link, by term."""
        return pd.Series(self.beta, index=list(self.terms), name="estimate")

    @property
    def se(self) -> pd.Series:
        """Standard errors of the fixed effects, from the inverse of the observed information of the
        maximised function.
        """
        return pd.Series(np.sqrt(np.diag(self.covariance))[: len(self.terms)], index=list(self.terms), name="std_error")

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the fixed effects."""
        p = len(self.terms)
        return pd.DataFrame(self.covariance[:p, :p], index=list(self.terms), columns=list(self.terms))

    @property
    def theta(self) -> pd.Series:
        """Relative Cholesky factor of the random effects: here the standard deviation of the intercepts."""
        return pd.Series([self.theta_value], index=[f"{self.effects.group}.(Intercept)"], name="theta")

    @property
    def theta_se(self) -> float:
        """Standard error of theta; nan where theta is zero: on the boundary it has none."""
        p = len(self.terms)
        return float(np.sqrt(self.covariance[p, p])) if len(self.covariance) > p else float("nan")

    @property
    def sigma(self) -> float:
        """Residual standard deviation: 1, since the binomial family has no scale of its own."""
        return 1.0

    @property
    def varcomp(self) -> pd.DataFrame:
        """Variance components: group, term, variance and sd of the random effects (not of their estimates),
        corr between effects.
        """
        row = (self.effects.group, "(Intercept)", self.theta_value**2, self.theta_value, float("nan"))
        return pd.DataFrame([row], columns=["group", "term", "variance", "sd", "corr"])

    @property
    def ngroups(self) -> pd.Series:
        """Number of groups, by grouping factor."""
        return pd.Series([self.groups], index=[self.effects.group], name="groups")

    # -- criteria --

    @property
    def loglik(self) -> float:
        """Maximised log-likelihood, binomial coefficients included."""
        return self.loglik_value

    @property
    def df(self) -> int:
        """Number of estimated parameters: fixed effects and theta."""
        return len(self.terms) + 1

    @property
    def deviance(self) -> float:
        """-2 log-likelihood."""
        return -2 * self.loglik

    @property
    def verdict(self) -> Verdict:
        """How far to believe it."""
        return self.verdict_record

    # -- after the fit --

    def ranef(self) -> pd.DataFrame:
        """Conditional modes of the random intercepts and their conditional standard deviations, by group.

        Raises UsageError for the result of a study: its sites keep the modes of their groups to themselves.
        """
        if not self.effects.levels:
            raise UsageError(
                f"the effects of the groups of '{self.effects.group}' stay at the sites of the study; each site has "
                f"those of its own groups: sumwise site run --json FILE"
            )
        index = pd.Index(self.effects.levels, name=self.effects.group)
        return pd.DataFrame({"(Intercept)": self.effects.mode, "sd": self.effects.sd}, index=index)

    def predict(self, data: Any, *, random: bool = True, kind: str = "response", new_groups: str = "zero") -> pd.Series:
        """Predictions for the rows of `data` (any table that `fit` accepts).

        random: add the conditional mode of the row's group; without it the prediction is for a typical
        group (random effect zero), which is not the average over groups.  kind: "response" (probability) or
        "link" (log odds).  new_groups: "zero" gives groups that were not in the fit a random effect of
        zero, "error" refuses them.  Raises UsageError and DataError; rows with a missing value are
        refused.   The result of a study cannot tell new groups from those of other sites: there say which you want.
        """
        if random and new_groups == "zero" and len(self.effects.levels) < self.groups:
            raise UsageError(
                f"the effects of {self.groups - len(self.effects.levels)} of {self.groups} groups stay at the sites of "
                f"the study: predict with random=False, or with new_groups='error' for groups that are known here"
            )
        fitted = (self.formula, self.contract, self.beta, self.effects)
        return predict(*fitted, data, random=random, kind=kind, new_groups=new_groups)

    def confint(self, level: float = 0.95, method: str = "wald") -> pd.DataFrame:
        """Confidence intervals of the fixed effects: columns lower, upper.  method: "wald"."""
        if method != "wald":
            raise UsageError(f"method={method!r}: the interval available is 'wald'")
        half = normal_quantile(level) * self.se.to_numpy()
        return pd.DataFrame({"lower": self.beta - half, "upper": self.beta + half}, index=list(self.terms))

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """One row a term at full precision: effect ("fixed" or "random"), group, term, estimate, std_error,
        statistic, p_value, lower, upper. The random row is a standard deviation; it has no p-value, since
        zero lies on the boundary.
        """
        z = self.beta / self.se.to_numpy()
        fixed = pd.DataFrame(
            {
                "effect": "fixed",
                "group": None,
                "term": self.terms,
                "estimate": self.beta,
                "std_error": self.se.to_numpy(),
            }
        )
        fixed["statistic"], fixed["p_value"] = z, two_sided_p(z)
        interval = self.confint(level)
        fixed["lower"], fixed["upper"] = interval["lower"].to_numpy(), interval["upper"].to_numpy()
        random = {
            "effect": "random",
            "group": self.effects.group,
            "term": "sd (Intercept)",
            "estimate": self.theta_value,
            "std_error": self.theta_se,
        }
        nothing = dict.fromkeys(("statistic", "p_value", "lower", "upper"), float("nan"))
        return pd.DataFrame([*fixed.to_dict("records"), random | nothing])

    def glance(self) -> pd.DataFrame:
        """The fit in one row: nobs, groups, sites, df, loglik, deviance, aic, bic, rounds, verdict,
        quadrature_error.
        """
        return pd.DataFrame(
            [
                {
                    "nobs": self.nobs,
                    "groups": self.groups,
                    "sites": len(self.site_records),
                    "df": self.df,
                    "loglik": self.loglik,
                    "deviance": self.deviance,
                    "aic": self.aic,
                    "bic": self.bic,
                    "rounds": len(self.round_records),
                    "verdict": self.verdict.code,
                    "quadrature_error": self.quadrature.error,
                }
            ]
        )

    def summary(self) -> str:
        """The fit as text, in the manner of R's summary."""
        return mixed_summary.text(self)

    def _repr_html_(self) -> str:
        return mixed_summary.html(self)

    # -- keep and restore --

    def _values(self) -> dict[str, Any]:
        return asdict(self) | {"beta": self.beta.tolist(), "covariance": self.covariance.tolist()}

    @classmethod
    def _from_values(cls, values: dict[str, Any]) -> Self:
        effects, quadrature = values["effects"], values["quadrature"]
        columns = (tuple(effects[name]) for name in ("levels", "mode", "sd"))
        nodes = {int(k): n for k, n in quadrature["nodes"].items()}
        return cls(
            **common_fields(values),
            nodes=values["nodes"],
            beta=np.array(values["beta"]),
            theta_value=values["theta_value"],
            covariance=np.array(values["covariance"]),
            loglik_value=values["loglik_value"],
            groups=values["groups"],
            effects=RandomEffects(effects["group"], *columns),
            quadrature=Quadrature(nodes, quadrature["error"], quadrature["bound"]),
            verdict_record=Verdict(**values["verdict_record"]),
        )
