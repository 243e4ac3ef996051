"""fit(): checks the arguments, chooses the model, and hands the work to what fits it."""

from __future__ import annotations

from typing import Any

from sumwise.data import parse
from sumwise.errors import UsageError
from sumwise.fitting.mixed import fit_mixed
from sumwise.fitting.options import Options
from sumwise.results.fit import Fit


def fit(
    formula: str,
    data: Any,
    *,
    family: str = "binomial",
    nodes: int | str = "auto",
    missing: str = "error",
    threads: int | None = None,
    progress: bool | None = None,
) -> Fit:
    """Fit a model to rows in one table or at many sites.

    formula: "y ~ x + (1 | g)" with y in 0/1, or "cbind(successes, failures) ~ x + (1 | g)"; one random
    intercept.
    data: a pandas, polars or Arrow table; the path or glob of CSV or Parquet files; or {site name: any of
    these}.
    family: "binomial" (logit link).
    nodes: "auto" chooses for each group the smallest order whose measured error keeps the total
        log-likelihood within 1e-10; 1 is Laplace's approximation; k takes k nodes everywhere.
    missing: "error" refuses rows with missing values, "drop" leaves them out and counts them.
    threads: how many at most; the bits do not depend on it.
    progress: show each round on standard error; None shows them when the fit takes long and a person is
    watching.

    Raises UsageError (the call), DataError (the rows), SiteError (one site).
    """
    if not isinstance(formula, str):
        raise UsageError(f"the formula comes first, as text; this is a {type(formula).__name__}: fit(formula, data)")
    options = Options(family=family, nodes=nodes, missing=missing, threads=threads, progress=progress)
    return fit_mixed(parse(formula), data, options)
