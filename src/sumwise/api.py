"""fit(): checks the arguments, chooses the model, and hands the work to what fits it."""

from __future__ import annotations

from typing import Any

from sumwise.data import parse
from sumwise.errors import UsageError
from sumwise.fitting.choose import choose
from sumwise.fitting.method import fit_by
from sumwise.fitting.options import Options
from sumwise.results.fit import Fit


def fit(
    formula: str,
    data: Any,
    *,
    family: str = "gaussian",
    weights: str | None = None,
    nodes: int | str = "auto",
    method: str | None = None,
    missing: str = "error",
    decimal: bool | None = None,
    threads: int | None = None,
    progress: bool | None = None,
    link: str | None = None,
    weights_as: str = "precision",
    size: float | None = None,
) -> Fit:
    """Fit a model to rows in one table or at many sites.

    formula: "y ~ x" is a linear model, or a generalized linear one with another family; "y ~ x + (1 + x | g)" has a
        random intercept and a random slope for each group.  A binomial y is 0/1, or cbind(successes, failures).
    data: a pandas, polars or Arrow table; the path or glob of CSV, Parquet or text files; or {site name: any of these}.
    family: "gaussian" (least squares), "binomial", "poisson", "gamma", "inverse.gaussian" or "negbinomial".
    weights: of the rows, as text: a column of the data or an expression of columns, such as "1 / sd^2"; without random
        effects only.
    nodes: of the quadrature, with random effects only.  "auto" chooses for each group the smallest order whose
        measured error keeps the total log-likelihood within 1e-10; 1 is Laplace's approximation; k takes k nodes.
    method: of linear mixed models: "REML" (the default) or "ML", which comparisons of fixed effects need.
    missing: "error" refuses rows with missing values, "drop" leaves them out and counts them.
    decimal: True keeps numbers as the exact decimals they are written in, False takes the nearest floats; None keeps
        those of text files (.dat, .txt) exact; gaussian only.
    threads: how many at most; the bits do not depend on it.
    progress: show each round on standard error; None shows them when the fit takes long and a person is watching.
    link: None for R's default: binomial "logit" (or "probit", "cloglog"), poisson and negbinomial "log", gamma
        "inverse" (or "log"), inverse.gaussian "1/mu^2" (or "log").
    weights_as: "precision": a row of weight w has variance phi V(mu) / w, as in R; "frequency": it stands for w equal
        rows, whole numbers.  Generalized linear models only.
    size: of the negative binomial, where it is known: variance mu + mu^2 / size; None estimates it.

    Gives a LinearFit, a GlmFit or a MixedFit.
    Raises UsageError (the call), DataError (the rows), SiteError (one site).
    """
    if not isinstance(formula, str):
        raise UsageError(
            f"the formula comes first, as text; this is of type {type(formula).__name__}: fit(formula, data)"
        )
    options = Options(family, weights, nodes, missing, decimal, method, threads, progress, link, weights_as, size)
    parsed = parse(formula)
    return fit_by(choose(parsed, options.family, options.link), parsed, data, options)
