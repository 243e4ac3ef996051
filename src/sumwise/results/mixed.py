"""The fit of a mixed model: fixed effects, the covariance of the random effects, and the groups' own effects."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.errors import UsageError
from sumwise.maths import satterthwaite
from sumwise.maths.satterthwaite import degrees_of_freedom
from sumwise.results import likelihood_ratio, mixed_rows, mixed_summary, simulation, variance_explained
from sumwise.results.fit import Fit, common_fields
from sumwise.results.random import Component, RandomEffects
from sumwise.results.record import Quadrature, Verdict
from sumwise.results.wald import quantile, tail


@dataclass(frozen=True, eq=False, repr=False)
class MixedFit(Fit):
    """A fitted mixed model.

    method: "ML" or "REML"; nodes: as asked for, None where nothing is integrated by quadrature; beta (p,): fixed
    effects; random: the effects of each grouping factor; scale: residual standard deviation (gaussian), size (negative
    binomial) or shape (Gamma), None for families that have none.
    covariance: of beta, the thetas without those in `fixed`, and log scale if there is one; fixed: places of thetas
    without a standard error, such as those on the boundary; slopes (r, p, p): of a linear mixed model, derivatives of
    the covariance of beta in the r other parameters.
    loglik_value: maximised (restricted) log-likelihood, constants included; quadrature: nodes and measured error, None
    without; verdict_record: how far to believe it.
    """

    method: str
    nodes: int | str | None
    beta: NDArray[np.float64]
    random: tuple[RandomEffects, ...]
    scale: float | None
    covariance: NDArray[np.float64]
    fixed: tuple[int, ...]
    slopes: NDArray[np.float64] | None
    loglik_value: float
    quadrature: Quadrature | None
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
        """Relative Cholesky factors of the random effects, lower triangles column by column, as lme4's getME(fit,
        "theta"): times sigma, those of their covariance.  Of a single intercept it is the standard deviation, relative
        to sigma.
        """
        names = [name for effects in self.random for name in effects.names()]
        return pd.Series(np.concatenate([effects.theta for effects in self.random]), index=names, name="theta")

    @property
    def theta_se(self) -> pd.Series:
        """Standard errors of theta; nan on the boundary, where it has none."""
        theta, p = self.theta, len(self.terms)
        free = [k for k in range(len(theta)) if k not in self.fixed]
        se = np.full(len(theta), np.nan)
        se[free] = np.sqrt(np.diag(self.covariance)[p : p + len(free)])
        return pd.Series(se, index=theta.index, name="std_error")

    @property
    def sigma(self) -> float:
        """Residual standard deviation of a gaussian response, 1 / sqrt(shape) of a Gamma one; 1 for families without a
        scale of their own.
        """
        if self.scale is None or self.family not in ("gaussian", "gamma"):
            return 1.0
        return self.scale if self.family == "gaussian" else float(1 / np.sqrt(self.scale))

    @property
    def varcomp(self) -> pd.DataFrame:
        """Variance components: one row an effect, with group, term, variance and sd of the random effects (not of their
        estimates); one row a pair of effects that may correlate, term and other, with corr (nan where a variance is
        zero); for a gaussian response the residual last.
        """
        return pd.DataFrame(self.components(), columns=list(Component._fields))

    def components(self) -> list[Component]:
        """The rows of `varcomp`."""
        relative = self.sigma if self.family == "gaussian" else 1.0
        rows = [row for effects in self.random for row in effects.components(relative)]
        if self.family == "gaussian":
            rows.append(Component("Residual", "", "", self.sigma**2, self.sigma, float("nan")))
        return rows

    @property
    def ngroups(self) -> pd.Series:
        """Number of groups, by grouping factor."""
        found = {effects.group: effects.groups for effects in self.random}
        return pd.Series(list(found.values()), index=list(found), name="groups")

    # -- criteria --

    @property
    def loglik(self) -> float:
        """Maximised log-likelihood, all constants included (binomial coefficients among them); the restricted one after
        REML.
        """
        return self.loglik_value

    @property
    def df(self) -> int:
        """Number of estimated parameters: fixed effects, thetas and scale."""
        return len(self.terms) + len(self.theta) + (self.scale is not None)

    @property
    def deviance(self) -> float:
        """-2 log-likelihood."""
        return -2 * self.loglik

    @property
    def verdict(self) -> Verdict:
        """How far to believe it."""
        return self.verdict_record

    # -- after the fit --

    def ranef(self, group: str | None = None) -> pd.DataFrame:
        """Conditional modes of the random effects and their conditional standard deviations ("sd ..."), by group.

        group: the grouping factor, where there are several.
        Raises UsageError for one that is none, and for the result of a study: its sites keep the effects of their
        groups to themselves.
        """
        return pd.concat([effects.ranef() for effects in self._effects(group)], axis=1)

    def ranef_cov(self, group: str | None = None) -> NDArray[np.float64]:
        """Conditional covariances of the effects, (groups, q, q), in the order of `ranef`.  Raises as `ranef`."""
        (effects,) = self._effects(group)
        return effects.covariance

    def _effects(self, group: str | None) -> list[RandomEffects]:
        """Those of one factor; several where the model has terms of it that were fitted apart."""
        known = list(self.ngroups.index)
        if len(known) > 1 if group is None else group not in known:
            raise UsageError(f"group={group!r}: the grouping factors are {', '.join(map(repr, known))}; name one")
        found = [effects for effects in self.random if group in (None, effects.group)]
        if not found[0].levels:
            raise UsageError(
                f"the effects of the groups of '{found[0].group}' stay at the sites of the study; each site has "
                f"those of its own groups: sumwise site run --json FILE"
            )
        return found

    def predict(
        self,
        data: Any,
        *,
        random: bool | str = True,
        kind: str = "response",
        new_groups: str = "zero",
        se: bool = False,
        level: float = 0.95,
    ) -> pd.Series | pd.DataFrame:
        """Predictions for the rows of `data` (any table that `fit` accepts).

        random: True adds the conditional modes of the row's groups.  False predicts for typical groups (effects of
        zero), which is not the average over groups; "average" is that: the mean response over the distribution of the
        effects, what a marginal model predicts.
        kind: "response" (means; probabilities) or "link" (the linear predictor).
        new_groups: "zero" gives groups that were not in the fit effects of zero, "error" refuses them.
        se: gives a frame with estimate, std_error, lower, upper instead of a series.  The error is that of the fixed
        effects and, with random=True, the conditional one of the groups' effects (of a new group, their variance),
        taken as independent; intervals are symmetric on the scale of the link.

        Raises UsageError and DataError; rows with a missing value are refused.   The result of a study cannot tell new
        groups from those of other sites: there say which you want.
        """
        for effects in self.random if random is True and new_groups == "zero" else ():
            away = effects.groups - len(effects.levels)
            if away:
                raise UsageError(
                    f"the effects of {away} of {effects.groups} groups stay at the sites of the study: predict with "
                    f"random=False, or with new_groups='error' for groups that are known here"
                )
        return mixed_rows.predict(self, data, random, kind, new_groups, se, level)

    def residuals(self, data: Any, *, kind: str = "pearson", seed: int = 0) -> pd.Series:
        """Residuals of the rows that were fitted, which the fit does not keep: `data` is the table or the sites again.

        kind: "response" (per trial), "pearson", "deviance", "working", or "quantile": normal if the model is
        right, for counts with a random part that `seed` sets.  Fitted values have the conditional modes of the groups.
        Raises DataError if this is not the table that was fitted.
        """
        return mixed_rows.residuals(self, data, kind, seed)

    def simulate(self, data: Any, samples: int = 1, *, seed: int = 0, random: str = "new") -> pd.DataFrame:
        """Responses drawn from the fitted model, for the rows that were fitted: one column a sample.

        random: "new" draws new effects of the groups, "conditional" keeps their conditional modes.
        Raises DataError if this is not the table that was fitted.
        """
        return simulation.simulate(self, data, samples, seed, random)

    def wald_intervals(self, level: float) -> pd.DataFrame:
        """Of the fixed effects, with the degrees of freedom of `df_of`: columns lower, upper."""
        half = np.array([quantile(level, df) for df in self.df_of(np.eye(len(self.terms)))]) * self.se.to_numpy()
        return pd.DataFrame({"lower": self.beta - half, "upper": self.beta + half}, index=list(self.terms))

    def icc(
        self,
        data: Any,
        *,
        level: float = 0.95,
        samples: int = 0,
        seed: int = 0,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> pd.DataFrame:
        """Intraclass correlation: the share of the groups in the variance, rows adjusted (of what the fixed effects
        leave) and unadjusted (of all); column estimate.   `data` is the table or the sites that were fitted.

        samples: of a parametric bootstrap, which adds lower, upper and note; the other arguments as in confint.
        Raises DataError if this is not the table that was fitted.
        """
        how: dict[str, Any] = {"level": level, "samples": samples, "seed": seed}
        return variance_explained.icc(self, data, **how, threads=threads, progress=progress)

    def r2(
        self,
        data: Any,
        *,
        level: float = 0.95,
        samples: int = 0,
        seed: int = 0,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> pd.DataFrame:
        """Nakagawa's R2: rows marginal (the share of the fixed effects in the variance) and conditional (of fixed
        effects and groups together).   Arguments and columns as in `icc`.
        """
        how: dict[str, Any] = {"level": level, "samples": samples, "seed": seed}
        return variance_explained.r2(self, data, **how, threads=threads, progress=progress)

    def df_of(self, contrasts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Degrees of freedom of the t test of each contrast (k, p): (k,), Satterthwaite's for a gaussian response, else
        infinite: a normal test.
        """
        if self.slopes is None:
            return super().df_of(contrasts)
        p = len(self.terms)
        return degrees_of_freedom(contrasts, self.covariance[:p, :p], self.slopes, self.covariance[p:, p:])

    def joint_test(self, contrasts: NDArray[np.float64]) -> tuple[float, float]:
        """As Fit.joint_test; of a gaussian response with the degrees of freedom of Fai and Cornelius."""
        if self.slopes is None:
            return super().joint_test(contrasts)
        p = len(self.terms)
        V, A = self.covariance[:p, :p], self.covariance[p:, p:]
        found = satterthwaite.joint_test(contrasts, self.beta, V, self.slopes, A)
        return found.F, found.denominator

    def anova(self, other: Fit) -> pd.DataFrame:
        """Likelihood-ratio test of the smaller of two nested fits to the same rows: parameters, loglik, aic, bic,
        statistic, df, p_value and null, which says what the statistic was compared with: where a variance is zero in
        the smaller model it is a mixture of chi2 distributions.

        Raises UsageError for fits that are not nested, or not of the same rows, response and method.
        """
        return likelihood_ratio.compare(self, other)

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """One row a term at full precision: effect ("fixed" or "random"), group, term, estimate, std_error,
        statistic, df, p_value, lower, upper. Random rows are standard deviations and correlations; they have no
        p-value, since zero lies on the boundary.
        """
        statistic, df = self.beta / self.se.to_numpy(), self.df_of(np.eye(len(self.terms)))
        fixed = pd.DataFrame(
            {
                "effect": "fixed",
                "group": None,
                "term": self.terms,
                "estimate": self.beta,
                "std_error": self.se.to_numpy(),
            }
        )
        fixed["statistic"], fixed["df"] = statistic, df
        fixed["p_value"] = [tail(t, d) for t, d in zip(statistic, df, strict=True)]
        interval = self.confint(level)
        fixed["lower"], fixed["upper"] = interval["lower"].to_numpy(), interval["upper"].to_numpy()
        nothing = dict.fromkeys(("std_error", "statistic", "df", "p_value", "lower", "upper"), float("nan"))
        return pd.DataFrame([*fixed.to_dict("records"), *({**row, **nothing} for row in self._random_rows())])

    def _random_rows(self) -> list[dict[str, Any]]:
        """Of tidy: standard deviations and correlations."""
        return [
            {
                "effect": "random",
                "group": row.group,
                "term": f"corr {row.term}, {row.other}" if row.other else f"sd {row.term}".strip(),
                "estimate": row.corr if row.other else row.sd,
            }
            for row in self.components()
        ]

    def glance(self) -> pd.DataFrame:
        """The fit in one row: nobs, groups, sites, df, loglik, deviance, aic, bic, rounds, verdict,
        quadrature_error.
        """
        return pd.DataFrame(
            [
                {
                    "nobs": self.nobs,
                    "groups": int(self.ngroups.iloc[0]) if len(self.ngroups) == 1 else self.ngroups.to_dict(),
                    "sites": len(self.site_records),
                    "df": self.df,
                    "loglik": self.loglik,
                    "deviance": self.deviance,
                    "aic": self.aic,
                    "bic": self.bic,
                    "rounds": len(self.round_records),
                    "verdict": self.verdict.code,
                    "quadrature_error": self.quadrature.error if self.quadrature else np.nan,
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
        plain = {name: value for name, value in vars(self).items() if name != "random"}
        return (
            plain
            | {name: [asdict(record) for record in plain[name]] for name in ("round_records", "site_records")}
            | {"verdict_record": asdict(self.verdict_record)}
            | {"quadrature": asdict(self.quadrature) if self.quadrature else None}
            | {"beta": self.beta.tolist(), "covariance": self.covariance.tolist()}
            | {"slopes": None if self.slopes is None else self.slopes.tolist()}
            | {"random": [effects.values() for effects in self.random]}
        )

    @classmethod
    def _from_values(cls, values: dict[str, Any]) -> Self:
        quadrature = values["quadrature"]
        if quadrature is not None:
            nodes = {int(k): n for k, n in quadrature["nodes"].items()}
            quadrature = Quadrature(nodes, quadrature["error"], quadrature["bound"])
        plain = ("method", "nodes", "scale", "loglik_value")
        return cls(
            **common_fields(values),
            **{name: values[name] for name in plain},
            beta=np.array(values["beta"]),
            covariance=np.array(values["covariance"]),
            fixed=tuple(values["fixed"]),
            slopes=None if values["slopes"] is None else np.array(values["slopes"]),
            random=tuple(RandomEffects.from_values(effects) for effects in values["random"]),
            quadrature=quadrature,
            verdict_record=Verdict(**values["verdict_record"]),
        )
