"""The fit of a mixed model as text, in the manner of R's summary, and as HTML for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from sumwise.printing import align, paragraph, table
from sumwise.results.inference import two_sided_p
from sumwise.results.summary import LEGEND, decimals, dropped, p_value, sites, stars

if TYPE_CHECKING:
    from sumwise.results.mixed import MixedFit


def text(fit: MixedFit) -> str:
    """The printed summary."""
    parts = [
        "Generalized linear mixed model, maximum likelihood by adaptive Gauss-Hermite quadrature",
        f" Family: {fit.family} ({fit.link})",
        f"Formula: {fit.formula}",
        f"   Data: {_data(fit)}",
        "",
        *align([list(c) for c in zip(*_criteria(fit), strict=True)], left=()),
        "",
        "Random effects:",
        *align([["Groups", "Name", "Variance", "Std.Dev."], _variance(fit)], left=(0, 1), indent=" "),
        f"Number of obs: {fit.nobs}, groups:  {fit.effects.group}, {fit.groups}",
        "",
        "Fixed effects:",
        *align(_coefficients(fit), left=(0, 5)),
        "---",
        LEGEND,
        "",
        paragraph(f"Verdict: {fit.verdict.text}"),
        paragraph(f"Quadrature: {fit.quadrature}"),
        f"Rounds: {len(fit.round_records)}, each one question to {sites(fit)} and one exact sum back",
    ]
    return "\n".join(line.rstrip() for line in parts)


def html(fit: MixedFit) -> str:
    """The same as tables."""
    head, *body = _coefficients(fit)
    variance = table(["Groups", "Name", "Variance", "Std.Dev."], [_variance(fit)])
    names, numbers = zip(*_criteria(fit), strict=True)
    return (
        f"<div><p><b>Generalized linear mixed model</b>, {escape(fit.family)} ({escape(fit.link)}), "
        f"maximum likelihood<br>"
        f"<code>{escape(fit.formula)}</code><br>{escape(_data(fit))}</p>"
        f"{table(list(names), [list(numbers)])}<p>Random effects</p>{variance}"
        f"<p>Fixed effects</p>{table(head, body)}"
        f"<p>{escape(fit.verdict.text)}<br>"
        f"<small>{escape(str(fit.quadrature))}; {len(fit.round_records)} rounds</small></p></div>"
    )


def _data(fit: MixedFit) -> str:
    return f"{fit.nobs} rows, {fit.groups} groups, {sites(fit)}{dropped(fit)}"


def _criteria(fit: MixedFit) -> list[tuple[str, str]]:
    return [
        ("AIC", f"{fit.aic:.1f}"),
        ("BIC", f"{fit.bic:.1f}"),
        ("logLik", f"{fit.loglik:.4f}"),
        ("-2*log(L)", f"{fit.deviance:.1f}"),
        ("df.resid", f"{fit.nobs - fit.df}"),
    ]


def _variance(fit: MixedFit) -> list[str]:
    sd = fit.theta_value
    return [fit.effects.group, "(Intercept)", f"{sd * sd:.4g}", f"{sd:.4g}"]


def _coefficients(fit: MixedFit) -> list[list[str]]:
    z = fit.beta / fit.se.to_numpy()
    p = two_sided_p(z)
    head = ["", "Estimate", "Std. Error", "z value", "Pr(>|z|)", ""]
    digits = decimals(np.concatenate([fit.beta, fit.se.to_numpy()]))
    rows = zip(fit.terms, fit.beta, fit.se, z, p, strict=True)
    return [head] + [
        [term, f"{b:.{digits}f}", f"{s:.{digits}f}", f"{zi:.3f}", p_value(pi), stars(pi)] for term, b, s, zi, pi in rows
    ]
