"""The fit of a linear model as text, in the manner of R's summary, and as HTML for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sumwise.maths.conditioning import surviving
from sumwise.printing import align, digits_text, paragraph, table
from sumwise.results.summary import LEGEND, dropped, numbers, p_value, sites, stars

if TYPE_CHECKING:
    from sumwise.results.linear import LinearFit

Floats = NDArray[np.float64]


def text(fit: LinearFit) -> str:
    """The printed summary."""
    left_out = len(fit.terms) - fit.rank
    why = ", explained by other columns" if fit.rank else ""
    undefined = f" ({left_out} not defined{why})" if left_out else ""
    parts = [
        "Linear model, exact least squares",
        f"Formula: {fit.formula}",
        *([f"Weights: {fit.weights}"] if fit.weights else []),
        f"   Data: {_data(fit)}",
        "",
        f"Coefficients:{undefined}",
        *align(_coefficients(fit), left=(0, 5)),
        "---",
        LEGEND,
        "",
        *_measures(fit),
        "",
        paragraph(f"Verdict: {fit.verdict.text}"),
        paragraph(_digits_line(fit)),
        paragraph(_condition_line(fit)),
        f"Rounds: {_rounds(fit)}",
    ]
    return "\n".join(line.rstrip() for line in parts)


def html(fit: LinearFit) -> str:
    """The same as tables."""
    head, *body = _coefficients(fit)
    weights = f"<br>Weights: <code>{escape(fit.weights)}</code>" if fit.weights else ""
    strong_to = {1: _limits(fit).tolist()}
    measures = "<br>".join(map(escape, _measures(fit)))
    return (
        f"<div><p><b>Linear model</b>, exact least squares<br>"
        f"<code>{escape(fit.formula)}</code>{weights}<br>{escape(_data(fit))}</p>"
        f"{table(head, body, strong_to)}<p>{measures}</p>"
        f"<p>{escape(fit.verdict.text)}<br>{escape(_digits_line(fit))}<br>"
        f"{escape(_condition_line(fit))}<br>"
        f"<small>Rounds: {escape(_rounds(fit))}</small></p></div>"
    )


def _data(fit: LinearFit) -> str:
    ignored = f", {fit.ignored} more of weight zero" if fit.ignored else ""
    return f"{fit.nobs} rows{ignored}, {sites(fit)}{dropped(fit)}"


def _coefficients(fit: LinearFit) -> list[list[str]]:
    n = len(fit.terms)
    values = numbers(np.concatenate([fit.coef.to_numpy(), fit.se.to_numpy()]))
    tests = [
        ["NA" if np.isnan(t) else f"{t:.3f}", p_value(p), stars(p)] for t, p in zip(fit.t, fit.pvalues, strict=True)
    ]
    rows = zip(fit.terms, values[:n], values[n:], tests, strict=True)
    head = ["", "Estimate", "Std. Error", "t value", "Pr(>|t|)", ""]
    cells = [[term, estimate, se, *test] for term, estimate, se, test in rows]
    if fit.input_errors is None:
        return [head, *cells]
    return [[*head, "digits"], *([*row, digits_text(limit)] for row, limit in zip(cells, _limits(fit), strict=True))]


def _limits(fit: LinearFit) -> Floats:
    """(p,): digits that the inputs support."""
    return surviving(fit.input_bound, fit.coef.to_numpy())


def _digits_line(fit: LinearFit) -> str:
    if not fit.rank:
        return "Digits: none to count, for no coefficient is defined."
    if fit.input_errors is None:
        return "Digits: computed, all. What the inputs support is not known: a study does not ask how far they are off."
    errors = {name: error for name, error in fit.input_errors.columns.items() if error}
    in_full = fit.input_errors.in_full
    if not errors and not in_full:
        return "Digits: computed, all; no column has printed decimals that could limit them."
    listed = [f"{name} {error:.0e}".replace("e-0", "e-") for name, error in errors.items()]
    listed += [f"{name} 1 in 2^53" for name in in_full]
    off = ", ".join(listed[:4]) + (f" and {len(listed) - 4} more" if len(listed) > 4 else "")
    worst = digits_text(float(np.min(_limits(fit)[list(fit.kept)], initial=np.inf)))
    return (
        f"Digits: computed, all. The inputs support those in the last column, {worst} at worst, if each is only good "
        f"to half a unit of its last place ({off})."
    )


def _condition_line(fit: LinearFit) -> str:
    if not fit.rank:
        return "Condition: not defined, for no column is left."
    kappa, scaled = fit.condition.kappa, fit.condition.kappa_scaled
    found = f"Condition: {kappa:.3g} of the columns, {scaled:.3g} of the columns scaled to one length"
    lost = round(float(np.log10(scaled))) if np.isfinite(scaled) else 0
    return f"{found}; usual algorithms lose about {min(lost, 16)} of 16 digits to it." if lost >= 3 else f"{found}."


def _measures(fit: LinearFit) -> list[str]:
    """R's three lines; the last only where there is something to test."""
    degrees = f"{fit.df_resid} degree{'s' if fit.df_resid != 1 else ''} of freedom"
    lines = [f"Residual standard error: {_short(fit.sigma)} on {degrees}"]
    f = fit.fstat
    if f.df1:
        lines += [
            f"Multiple R-squared: {_short(fit.r2)}, Adjusted R-squared: {_short(fit.adjusted_r2)}",
            f"F-statistic: {_short(f.value)} on {f.df1} and {f.df2} DF, p-value: {p_value(f.p)}",
        ]
    return lines


def _short(value: float) -> str:
    return "NA" if np.isnan(value) else f"{value:.4g}"


def _rounds(fit: LinearFit) -> str:
    return f"{len(fit.round_records)}, one question to {sites(fit)} and one exact sum back"
