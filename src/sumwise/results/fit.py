"""What every fit answers, and how a fit is kept and restored."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.errors import UsageError
from sumwise.results import intervals, marginal, simulation, wald
from sumwise.results.record import RoundRecord, SiteRecord, Verdict

FORMAT = 3
"""Version of the JSON that `to_json` writes."""


@dataclass(frozen=True, eq=False, repr=False)
class Fit(ABC):
    """A fitted model.  Frozen; prints like R's summary; shows as HTML in a notebook.

    The fields hold plain values; the properties and methods hand them out labelled, as pandas objects.  What only some
    models have stands in MixedFit and LinearFit.

    formula, family, link: as fitted; contract: columns, types and levels that the sites agreed on, in JSON's types;
    terms: names of the p coefficients; nobs: rows; round_records, site_records: what was asked, and who answered.
    """

    formula: str
    family: str
    link: str
    contract: dict[str, Any]
    terms: tuple[str, ...]
    nobs: int
    round_records: tuple[RoundRecord, ...]
    site_records: tuple[SiteRecord, ...]

    model: ClassVar[str]
    """The kind of model, as `to_json` notes it."""

    # -- estimates --

    @property
    @abstractmethod
    def coef(self) -> pd.Series:
        """Coefficients by term, on the scale of the link."""

    @property
    @abstractmethod
    def se(self) -> pd.Series:
        """Standard errors of the coefficients."""

    @property
    @abstractmethod
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the coefficients."""

    @property
    @abstractmethod
    def sigma(self) -> float:
        """Residual standard deviation."""

    # -- criteria --

    @property
    @abstractmethod
    def loglik(self) -> float:
        """Maximised log-likelihood."""

    @property
    @abstractmethod
    def df(self) -> int:
        """Number of estimated parameters."""

    @property
    @abstractmethod
    def deviance(self) -> float:
        """R's deviance of this kind of model."""

    @property
    def aic(self) -> float:
        """Akaike's criterion: -2 log-likelihood + 2 df."""
        return -2 * self.loglik + 2 * self.df

    @property
    def bic(self) -> float:
        """Schwarz's criterion: -2 log-likelihood + df log(nobs), rows counted as R and lme4 count them."""
        return -2 * self.loglik + self.df * float(np.log(self.nobs))

    # -- what happened --

    @property
    @abstractmethod
    def verdict(self) -> Verdict:
        """How far to believe it."""

    @property
    def rounds(self) -> pd.DataFrame:
        """One row a round: what was asked, how many sums came back from each site, bytes, seconds, and where the model
        moves step by step the log-likelihood and the remaining move.
        """
        return pd.DataFrame([asdict(r) for r in self.round_records]).set_index("number").dropna(axis=1, how="all")

    @property
    def sites(self) -> pd.DataFrame:
        """Who is in the sum: rows, groups (where there are any) and dropped rows by site."""
        return pd.DataFrame([asdict(s) for s in self.site_records]).set_index("name").dropna(axis=1, how="all")

    # -- after the fit --

    def confint(
        self,
        level: float = 0.95,
        method: str = "wald",
        *,
        data: Any = None,
        samples: int = 1000,
        seed: int = 0,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> pd.DataFrame:
        """Confidence intervals: columns lower, upper.

        method: "wald", of the coefficients, from their standard errors.
        "profile", of all parameters (coefficients, "sd_x|g", "cor_x.(Intercept)|g", "sigma", size or shape): the values
        at which the log-likelihood, highest over the others, lies no more than half the chi-squared quantile below its
        maximum.  Of a REML fit those of its ML fit, as in lme4; where a dispersion is estimated, the rise of the
        deviance over it is compared with t^2.
        "bootstrap", of all parameters: quantiles over refits to `samples` responses drawn from the fit; `seed` decides
        the draws, whatever the threads.
        The last two add a column note, which says in words where a limit does not exist or lies at the end of a range,
        and how many samples could not be fitted.
        data: the table or the sites that were fitted, since a fit does not keep rows ("profile" of a linear model
        needs none).   threads, progress: as in fit().

        Raises UsageError for what is no level or method; DataError if this is not the table that was fitted.
        """
        return intervals.confint(self, level, method, data, samples, seed, threads, progress)

    @abstractmethod
    def wald_intervals(self, level: float) -> pd.DataFrame:
        """Of the coefficients: columns lower, upper."""

    def simulate(self, data: Any, samples: int = 1, *, seed: int = 0) -> pd.DataFrame:
        """Responses drawn from the fitted model, for the rows that were fitted: one column a sample.

        Raises DataError if this is not the table that was fitted, UsageError for weights that no draw has.
        """
        return simulation.simulate(self, data, samples, seed)

    def df_of(self, contrasts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Degrees of freedom of the t test of each contrast (k, p) of the coefficients: (k,), infinite where it is a
        normal test.
        """
        return np.full(len(contrasts), np.inf)

    def joint_test(self, contrasts: NDArray[np.float64]) -> tuple[float, float]:
        """(statistic, df2) of the test that all contrasts (k, p), linearly independent, are zero: chi2 with k degrees
        of freedom where df2 is infinite, else F with k and df2.
        """
        return wald.joint(self, contrasts)

    def contrast(self, weights: Any, level: float = 0.95, null: float = 0.0) -> pd.DataFrame:
        """Weighted sums of coefficients, one row each: estimate, std_error, df, statistic, p_value, lower, upper.

        weights: {"treatedB": 1, "treatedC": -1}, weights by term, zero for those not named; {name: weights} or a frame
        with a row each, for several; or one number a coefficient.   null: what the test compares with.
        Raises UsageError for names that are no coefficient, DataError where a coefficient is not defined.
        """
        return wald.contrasts(self, weights, level, null)

    def tests(self, kind: str = "II") -> pd.DataFrame:
        """Wald tests of the terms, one row each: df, statistic, df2, p_value.  F where a residual variance is
        estimated, else chi2 (df2 infinite).

        kind: "II": the term adds nothing to a model with all terms that do not contain it; "III": all its coefficients
        are zero in the model as it is, where main effects depend on the reference levels.   Raises UsageError.
        """
        return wald.term_tests(self, kind)

    def vif(self) -> pd.DataFrame:
        """How much other terms inflate the variance of each: gvif (the variance inflation factor, generalised to terms
        of several columns), df, gvif_root = gvif^(1 / (2 df)), comparable between terms.

        Raises UsageError for a formula with fewer than two terms, DataError where columns are collinear.
        """
        return wald.vif(self)

    def marginal(self, data: Any) -> Any:
        """A model that the functions of the package marginaleffects take: avg_slopes(fit.marginal(data)), predictions,
        comparisons, hypotheses.  data: the table that was fitted.  Random effects are zero there.

        Needs pip install 'sumwise[marginaleffects]'.  Raises UsageError without it, DataError where a coefficient is
        not defined.
        """
        return marginal.model(self, data)

    @abstractmethod
    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """One row a term, at full precision."""

    @abstractmethod
    def glance(self) -> pd.DataFrame:
        """The fit in one row."""

    @abstractmethod
    def summary(self) -> str:
        """The fit as text, in the manner of R's summary."""

    @abstractmethod
    def _repr_html_(self) -> str: ...

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__

    # -- keep and restore --

    def to_json(self, path: str | Path | None = None) -> str:
        """The whole fit as JSON, every number to its last bit; written to `path` if one is given.

        Raises UsageError where the path cannot be written.
        """
        text = json.dumps({"sumwise": FORMAT, "model": self.model, **self._values()}, indent=1)
        if path is not None:
            try:
                Path(path).write_text(text, encoding="utf-8")
            except OSError as error:
                raise UsageError(f"cannot write a fit to {str(path)!r}: {error}") from error
        return text

    @staticmethod
    def from_json(source: str | Path) -> Fit:
        """The fit that `to_json` wrote: its text, or the path of a file.

        Raises UsageError for a file that is not there, and for anything that `to_json` did not write.
        """
        from sumwise.results.kinds import KINDS  # which import this module

        values = _marked(_text(source))
        model = values.pop("model", None)
        if model not in KINDS:
            known = ", ".join(map(repr, KINDS))
            raise UsageError(f"this fit is of the model {model!r}; this version of Sumwise reads {known}")
        try:
            return KINDS[model]._from_values(values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"the field {error} is missing" if isinstance(error, KeyError) else f"{error}"
            raise UsageError(f"this is not a whole fit written by to_json: {what}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return Fit.from_json, (self.to_json(),)

    def _values(self) -> dict[str, Any]:
        """The fields in JSON's types."""
        return asdict(self)

    @classmethod
    @abstractmethod
    def _from_values(cls, values: dict[str, Any]) -> Self:
        """The fit whose `_values` these are, after a trip through JSON."""


def common_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of every fit, from JSON's types."""
    names = ("formula", "family", "link", "contract", "nobs")
    return {name: values[name] for name in names} | {
        "terms": tuple(values["terms"]),
        "round_records": tuple(RoundRecord(**r) for r in values["round_records"]),
        "site_records": tuple(SiteRecord(**s) for s in values["site_records"]),
    }


def _text(source: str | Path) -> str:
    """JSON text itself, or what the file holds."""
    text = str(source)
    if not isinstance(source, Path) and text.lstrip().startswith("{"):
        return text
    try:
        return Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read a fit from {str(source)[:200]!r}: {error}") from error


def _marked(text: str) -> dict[str, Any]:
    """The values of a fit in this version's format."""
    try:
        values: dict[str, Any] = json.loads(text)
        version = values.pop("sumwise")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UsageError("this is not a fit written by to_json: it lacks the mark 'sumwise'") from error
    if version != FORMAT:
        raise UsageError(f"this fit has format {version}; this version of Sumwise reads format {FORMAT}; fit again")
    return values
