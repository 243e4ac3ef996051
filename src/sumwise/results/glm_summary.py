"""The fit of a generalized linear model as text, in the manner of R's summary, and as HTML for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from sumwise.printing import align, paragraph, table
from sumwise.results.summary import LEGEND, dropped, numbers, p_value, sites, stars

if TYPE_CHECKING:
    from sumwise.results.glm import GlmFit


def text(fit: GlmFit) -> str:
    """The printed summary."""
    parts = [
        "Generalized linear model, maximum likelihood",
        f" Family: {fit.family} ({fit.link})",
        f"Formula: {fit.formula}",
        *([f"Weights: {fit.weights} ({fit.weights_as})"] if fit.weights else []),
        f"   Data: {_data(fit)}",
        "",
        "Coefficients:",
        *align(_coefficients(fit), left=(0, 5)),
        "---",
        LEGEND,
        "",
        *_measures(fit),
        "",
        paragraph(f"Verdict: {fit.verdict.text}"),
        f"Rounds: {len(fit.round_records)}, each one question to {sites(fit)} and one exact sum back",
    ]
    return "\n".join(line.rstrip() for line in parts)


def html(fit: GlmFit) -> str:
    """The same as tables."""
    head, *body = _coefficients(fit)
    weights = f"<br>Weights: <code>{escape(fit.weights)}</code> ({fit.weights_as})" if fit.weights else ""
    return (
        f"<div><p><b>Generalized linear model</b>, {escape(fit.family)} ({escape(fit.link)})<br>"
        f"<code>{escape(fit.formula)}</code>{weights}<br>{escape(_data(fit))}</p>"
        f"{table(head, body)}<p>{'<br>'.join(map(escape, _measures(fit)))}</p>"
        f"<p>{escape(fit.verdict.text)}<br><small>{len(fit.round_records)} rounds</small></p></div>"
    )


def _data(fit: GlmFit) -> str:
    ignored = f", {fit.ignored} more of weight zero" if fit.ignored else ""
    return f"{fit.nobs} rows{ignored}, {sites(fit)}{dropped(fit)}"


def _measures(fit: GlmFit) -> list[str]:
    taken = f"{fit.dispersion:.6g}, Pearson's chi^2 / df" if fit.dispersed else "1"
    lines = [
        f"Dispersion: {taken}",
        f"    Null deviance: {fit.null_deviance:.6g} on {fit.df_null} degrees of freedom",
        f"Residual deviance: {fit.deviance:.6g} on {fit.df_residual} degrees of freedom",
        f"logLik: {fit.loglik:.6g}, AIC: {fit.aic:.6g}, BIC: {fit.bic:.6g}",
    ]
    if fit.size is not None:
        how = "given" if fit.size_se is None else f"std. error {fit.size_se:.4g}"
        lines.append(f"Size: {fit.size:.6g} ({how}); variance mu + mu^2 / size")
    return lines


def _coefficients(fit: GlmFit) -> list[list[str]]:
    n, letter = len(fit.terms), "t" if fit.dispersed else "z"
    values = numbers(np.concatenate([fit.beta, fit.se.to_numpy()]))
    rows = zip(fit.terms, values[:n], values[n:], fit.statistic, fit.pvalues, strict=True)
    head = ["", "Estimate", "Std. Error", f"{letter} value", f"Pr(>|{letter}|)", ""]
    return [head] + [
        [term, estimate, se, "NA" if np.isnan(t) else f"{t:.3f}", p_value(p), stars(p)]
        for term, estimate, se, t, p in rows
    ]
