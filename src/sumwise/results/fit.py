"""The result of a fit: estimates labelled by term, and everything a reader needs to judge them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.errors import UsageError
from sumwise.results import summary
from sumwise.results.inference import normal_interval, two_sided_p
from sumwise.results.predict import predict
from sumwise.results.record import Quadrature, RandomEffects, RoundRecord, SiteRecord, Verdict

FORMAT = 1
"""Version of the JSON that `to_json` writes."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A fitted model.  Frozen; prints like R's summary; shows as HTML in a notebook.

    The fields hold plain values; the properties and methods below hand them out labelled, as pandas objects.

    formula, family, link, nodes: as fitted; contract: columns, types and levels that the sites agreed on, in JSON's
    types; terms: names of the p coefficients; beta (p,): fixed effects; theta_value: standard deviation of the random
    intercept; covariance: of (beta, theta), (p + 1, p + 1), of beta alone, (p, p), where theta is zero; loglik:
    maximised log-likelihood, binomial coefficients included; nobs: rows; effects: conditional modes; verdict,
    quadrature: how far to believe it; round_records, site_records: what was asked, and who answered.
    """

    formula: str
    family: str
    link: str
    nodes: int | str
    contract: dict[str, Any]
    terms: tuple[str, ...]
    beta: NDArray[np.float64]
    theta_value: float
    covariance: NDArray[np.float64]
    loglik: float
    nobs: int
    effects: RandomEffects
    verdict: Verdict
    quadrature: Quadrature
    round_records: tuple[RoundRecord, ...]
    site_records: tuple[SiteRecord, ...]

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
        return pd.Series([len(self.effects.levels)], index=[self.effects.group], name="groups")

    # -- criteria --

    @property
    def df(self) -> int:
        """Number of estimated parameters: fixed effects and theta."""
        return len(self.terms) + 1

    @property
    def deviance(self) -> float:
        """-2 log-likelihood."""
        return -2 * self.loglik

    @property
    def aic(self) -> float:
        """Akaike's criterion: deviance + 2 df."""
        return self.deviance + 2 * self.df

    @property
    def bic(self) -> float:
        """Schwarz's criterion: deviance + df log(nobs), rows counted as lme4 counts them."""
        return self.deviance + self.df * float(np.log(self.nobs))

    # -- what happened --

    @property
    def rounds(self) -> pd.DataFrame:
        """One row a round: what was asked, how many sums came back from each site, bytes, seconds,
        log-likelihood, remaining move.
        """
        return pd.DataFrame([asdict(r) for r in self.round_records]).set_index("number")

    @property
    def sites(self) -> pd.DataFrame:
        """Who is in the sum: rows, groups and dropped rows by site."""
        return pd.DataFrame([asdict(s) for s in self.site_records]).set_index("name")

    # -- after the fit --

    def ranef(self) -> pd.DataFrame:
        """Conditional modes of the random intercepts and their conditional standard deviations, by group."""
        index = pd.Index(self.effects.levels, name=self.effects.group)
        return pd.DataFrame({"(Intercept)": self.effects.mode, "sd": self.effects.sd}, index=index)

    def predict(self, data: Any, *, random: bool = True, kind: str = "response", new_groups: str = "zero") -> pd.Series:
        """Predictions for the rows of `data` (any table that `fit` accepts).

        random: add the conditional mode of the row's group; without it the prediction is for a typical
        group (random effect zero), which is not the average over groups.  kind: "response" (probability) or
        "link" (log odds).  new_groups: "zero" gives groups that were not in the fit a random effect of
        zero, "error" refuses them.  Raises UsageError and DataError; rows with a missing value are
        refused.
        """
        fitted = (self.formula, self.contract, self.beta, self.effects)
        return predict(*fitted, data, random=random, kind=kind, new_groups=new_groups)

    def confint(self, level: float = 0.95, method: str = "wald") -> pd.DataFrame:
        """Confidence intervals of the fixed effects: columns lower, upper.  method: "wald"."""
        if method != "wald":
            raise UsageError(f"method={method!r}: the interval available is 'wald'")
        lower, upper = normal_interval(self.beta, self.se.to_numpy(), level)
        return pd.DataFrame({"lower": lower, "upper": upper}, index=list(self.terms))

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
                    "groups": len(self.effects.levels),
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
        return summary.text(self)

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return summary.html(self)

    # -- keep and restore --

    def to_json(self, path: str | Path | None = None) -> str:
        """The whole fit as JSON, every number to its last bit; written to `path` if one is given."""
        values = asdict(self)
        values["beta"], values["covariance"] = self.beta.tolist(), self.covariance.tolist()
        text = json.dumps({"sumwise": FORMAT, **values}, indent=1)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    @classmethod
    def from_json(cls, source: str | Path) -> Fit:
        """The fit that `to_json` wrote: its text, or the path of a file.

        Raises UsageError for a file that is not there, and for anything that `to_json` did not write.
        """
        text = str(source)
        if isinstance(source, Path) or not text.lstrip().startswith("{"):
            try:
                text = Path(source).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"cannot read a fit from {str(source)[:200]!r}: {error}") from error
        try:
            values = json.loads(text)
            version = values.pop("sumwise")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise UsageError("this is not a fit written by to_json: it lacks the mark 'sumwise'") from error
        if version != FORMAT:
            raise UsageError(f"this fit has format {version}; this version of Sumwise reads format {FORMAT}")
        values["terms"] = tuple(values["terms"])
        values["beta"], values["covariance"] = np.array(values["beta"]), np.array(values["covariance"])
        effects = values["effects"]
        columns = (tuple(effects[name]) for name in ("levels", "mode", "sd"))
        values["effects"] = RandomEffects(effects["group"], *columns)
        values["verdict"] = Verdict(**values["verdict"])
        quadrature = values["quadrature"]
        quadrature["nodes"] = {int(k): n for k, n in quadrature["nodes"].items()}
        values["quadrature"] = Quadrature(**quadrature)
        values["round_records"] = tuple(RoundRecord(**r) for r in values["round_records"])
        values["site_records"] = tuple(SiteRecord(**s) for s in values["site_records"])
        return cls(**values)
