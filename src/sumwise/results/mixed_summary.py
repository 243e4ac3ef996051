"""The fit of a mixed model as text, in the manner of R's summary, and as HTML for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from sumwise.printing import align, paragraph, table
from sumwise.results.summary import LEGEND, decimals, dropped, p_value, sites, stars
from sumwise.results.wald import tail

if TYPE_CHECKING:
    from sumwise.results.mixed import MixedFit


def text(fit: MixedFit) -> str:
    """The printed summary."""
    head, *rows = _components(fit)
    groups = "; ".join(f"{name}, {n}" for name, n in fit.ngroups.items())
    parts = [
        _title(fit),
        f" Family: {fit.family} ({fit.link})",
        f"Formula: {fit.formula}",
        f"   Data: {_data(fit)}",
        "",
        *align([list(c) for c in zip(*_criteria(fit), strict=True)], left=()),
        "",
        "Random effects:",
        *align([head, *rows], left=(0, 1), indent=" "),
        f"Number of obs: {fit.nobs}, groups:  {groups}",
        *_scale(fit),
        "",
        "Fixed effects:",
        *align(_coefficients(fit), left=(0, 5 if fit.family != "gaussian" else 6)),
        "---",
        LEGEND,
        "",
        paragraph(f"Verdict: {fit.verdict.text}"),
        *([paragraph(f"Quadrature: {fit.quadrature}")] if fit.quadrature else []),
        f"Rounds: {len(fit.round_records)}, each one question to {sites(fit)} and one exact sum back",
    ]
    return "\n".join(line.rstrip() for line in parts)


def html(fit: MixedFit) -> str:
    """The same as tables."""
    head, *body = _coefficients(fit)
    names, numbers = zip(*_criteria(fit), strict=True)
    components, *rows = _components(fit)
    measured = f"{escape(str(fit.quadrature))}; " if fit.quadrature else ""
    return (
        f"<div><p><b>{escape(_title(fit))}</b>, {escape(fit.family)} ({escape(fit.link)})<br>"
        f"<code>{escape(fit.formula)}</code><br>{escape(_data(fit))}</p>"
        f"{table(list(names), [list(numbers)])}<p>Random effects</p>{table(components, rows)}"
        f"<p>Fixed effects</p>{table(head, body)}"
        f"<p>{escape(fit.verdict.text)}<br>"
        f"<small>{measured}{len(fit.round_records)} rounds</small></p></div>"
    )


def _title(fit: MixedFit) -> str:
    if fit.family == "gaussian":
        return f"Linear mixed model, {'restricted ' if fit.method == 'REML' else ''}maximum likelihood"
    how = "adaptive Gauss-Hermite quadrature" if fit.quadrature else "Laplace's approximation"
    return f"Generalized linear mixed model, maximum likelihood by {how}"


def _data(fit: MixedFit) -> str:
    groups = ", ".join(f"{n} groups" if len(fit.ngroups) == 1 else f"{n} {name}" for name, n in fit.ngroups.items())
    return f"{fit.nobs} rows, {groups}, {sites(fit)}{dropped(fit)}"


def _criteria(fit: MixedFit) -> list[tuple[str, str]]:
    return [
        ("AIC", f"{fit.aic:.1f}"),
        ("BIC", f"{fit.bic:.1f}"),
        ("logLik", f"{fit.loglik:.4f}"),
        ("REML crit." if fit.method == "REML" else "-2*log(L)", f"{fit.deviance:.1f}"),
        ("df.resid", f"{fit.nobs - fit.df}"),
    ]


def _scale(fit: MixedFit) -> list[str]:
    name = {"negbinomial": "Size", "gamma": "Shape"}.get(fit.family)
    return [f"{name} of the {fit.family} family: {fit.scale:.5g}"] if name and fit.scale is not None else []


def _components(fit: MixedFit) -> list[list[str]]:
    """The head and the rows: variance, standard deviation, correlations with the effects before."""
    found = fit.components()
    pairs = {(row.group, row.term, row.other): row.corr for row in found if row.other}
    rows: list[list[str]] = []
    seen: dict[str, list[str]] = {}
    for row in found:
        if row.other:
            continue
        before = seen.setdefault(row.group, [])
        corr = [pairs.get((row.group, other, row.term)) for other in before]
        shown = ["" if value is None else f"{value:.3f}" if np.isfinite(value) else "NA" for value in corr]
        rows.append(["" if before else row.group, row.term, f"{row.variance:.4g}", f"{row.sd:.4g}", *shown])
        before.append(row.term)
    width = max(map(len, rows)) if pairs else 4
    head = ["Groups", "Name", "Variance", "Std.Dev.", "Corr"]
    return [(row + [""] * width)[:width] for row in [head, *rows]]


def _coefficients(fit: MixedFit) -> list[list[str]]:
    statistic, df = fit.beta / fit.se.to_numpy(), fit.df_of(np.eye(len(fit.terms)))
    p = [tail(t, d) for t, d in zip(statistic, df, strict=True)]
    digits = decimals(np.concatenate([fit.beta, fit.se.to_numpy()]))
    normal = fit.family != "gaussian"
    head = ["Estimate", "Std. Error", *(["z value", "Pr(>|z|)"] if normal else ["df", "t value", "Pr(>|t|)"])]
    rows = zip(fit.terms, fit.beta, fit.se, df, statistic, p, strict=True)
    return [["", *head, ""]] + [
        [
            *(term, f"{b:.{digits}f}", f"{s:.{digits}f}"),
            *([] if normal else [f"{d:.1f}"]),
            *(f"{t:.3f}", p_value(pi), stars(pi)),
        ]
        for term, b, s, d, t, pi in rows
    ]
