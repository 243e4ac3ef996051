"""All parameters of a fit under one name each: coefficients, then what variances and correlations there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from sumwise.results.random import Component

if TYPE_CHECKING:
    from sumwise.results.fit import Fit

SCALES = {"gaussian": "sigma", "negbinomial": "size", "gamma": "shape"}
"""What the scale of a family is called."""


def name_of(component: Component) -> str:
    """As lme4 names it: "sd_x|g", or "cor_x.(Intercept)|g" of a correlation."""
    if component.other:
        return f"cor_{component.other}.{component.term}|{component.group}"
    return f"sd_{component.term}|{component.group}"


def parameters(fit: Fit) -> pd.Series:
    """Estimates by name: coefficients, standard deviations and correlations of the effects, sigma, size or shape."""
    from sumwise.results.glm import GlmFit  # which import this module's callers
    from sumwise.results.linear import LinearFit
    from sumwise.results.mixed import MixedFit

    found = dict(zip(fit.terms, fit.coef.to_numpy().tolist(), strict=True))
    match fit:
        case MixedFit():
            rows = [row for row in fit.components() if row.group != "Residual"]
            found |= {name_of(row): row.corr if row.other else row.sd for row in rows}
            if fit.scale is not None:
                found[SCALES[fit.family]] = fit.scale
        case LinearFit():
            found["sigma"] = fit.sigma
        case GlmFit() if fit.size_se is not None and fit.size is not None:
            found["size"] = fit.size
        case _:
            pass
    return pd.Series(found, name="estimate", dtype="float64")
