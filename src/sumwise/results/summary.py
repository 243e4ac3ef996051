"""A fit as text, in the manner of R's summary, and as HTML for notebooks."""

from __future__ import annotations

from html import escape
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from sumwise.results.inference import two_sided_p

if TYPE_CHECKING:
    from sumwise.results.fit import Fit

_STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."))
_LEGEND = "Signif. codes:  0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1"


def text(fit: Fit) -> str:
    """The printed summary."""
    parts = [
        "Generalized linear mixed model, maximum likelihood by adaptive Gauss-Hermite quadrature",
        f" Family: {fit.family} ({fit.link})",
        f"Formula: {fit.formula}",
        f"   Data: {_data(fit)}",
        "",
        *_align([list(c) for c in zip(*_criteria(fit), strict=True)], left=()),
        "",
        "Random effects:",
        *_align([["Groups", "Name", "Variance", "Std.Dev."], _variance(fit)], left=(0, 1), indent=" "),
        f"Number of obs: {fit.nobs}, groups:  {fit.effects.group}, {len(fit.effects.levels)}",
        "",
        "Fixed effects:",
        *_align(_coefficients(fit), left=(0, 5)),
        "---",
        _LEGEND,
        "",
        _paragraph(f"Verdict: {fit.verdict.text}"),
        _paragraph(f"Quadrature: {fit.quadrature}"),
        f"Rounds: {len(fit.round_records)}, each one question to {_sites(fit)} and one exact sum back",
    ]
    return "\n".join(line.rstrip() for line in parts)


def _paragraph(text: str) -> str:
    return fill(text, width=100, subsequent_indent="  ", break_on_hyphens=False)


def html(fit: Fit) -> str:
    """The same as tables."""
    head, *body = _coefficients(fit)
    variance = _table(["Groups", "Name", "Variance", "Std.Dev."], [_variance(fit)])
    names, numbers = zip(*_criteria(fit), strict=True)
    return (
        f"<div><p><b>Generalized linear mixed model</b>, {escape(fit.family)} ({escape(fit.link)}), "
        f"maximum likelihood<br>"
        f"<code>{escape(fit.formula)}</code><br>{escape(_data(fit))}</p>"
        f"{_table(list(names), [list(numbers)])}<p>Random effects</p>{variance}"
        f"<p>Fixed effects</p>{_table(head, body)}"
        f"<p>{escape(fit.verdict.text)}<br>"
        f"<small>{escape(str(fit.quadrature))}; {len(fit.round_records)} rounds</small></p></div>"
    )


def _sites(fit: Fit) -> str:
    n = len(fit.site_records)
    return f"{n} sites" if n > 1 else "1 site"


def _data(fit: Fit) -> str:
    dropped = sum(site.dropped for site in fit.site_records)
    missing = f", {dropped} row{'s' if dropped > 1 else ''} with missing values dropped" if dropped else ""
    return f"{fit.nobs} rows, {len(fit.effects.levels)} groups, {_sites(fit)}{missing}"


def _criteria(fit: Fit) -> list[tuple[str, str]]:
    return [
        ("AIC", f"{fit.aic:.1f}"),
        ("BIC", f"{fit.bic:.1f}"),
        ("logLik", f"{fit.loglik:.4f}"),
        ("-2*log(L)", f"{fit.deviance:.1f}"),
        ("df.resid", f"{fit.nobs - fit.df}"),
    ]


def _variance(fit: Fit) -> list[str]:
    sd = fit.theta_value
    return [fit.effects.group, "(Intercept)", f"{sd * sd:.4g}", f"{sd:.4g}"]


def _coefficients(fit: Fit) -> list[list[str]]:
    z = fit.beta / fit.se.to_numpy()
    p = two_sided_p(z)
    head = ["", "Estimate", "Std. Error", "z value", "Pr(>|z|)", ""]
    digits = _decimals(np.concatenate([fit.beta, fit.se.to_numpy()]))
    rows = zip(fit.terms, fit.beta, fit.se, z, p, strict=True)
    return [head] + [
        [term, f"{b:.{digits}f}", f"{s:.{digits}f}", f"{zi:.3f}", _p_value(pi), _stars(pi)]
        for term, b, s, zi, pi in rows
    ]


def _decimals(values: np.ndarray) -> int:
    """Decimals that give the smallest number of the column four significant digits, at least 4 and at most
    10.
    """
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    return int(np.clip(3 - np.floor(np.log10(sizes.min())), 4, 10)) if len(sizes) else 4


def _p_value(p: float) -> str:
    if np.isnan(p):
        return "NA"
    return "<2e-16" if p < 2e-16 else f"{p:.3g}" if p < 1e-4 else f"{p:.5f}"


def _stars(p: float) -> str:
    return next((stars for limit, stars in _STARS if p <= limit), "")


def _align(rows: list[list[str]], left: tuple[int, ...], indent: str = "") -> list[str]:
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    return [
        indent
        + " ".join(
            cell.ljust(w) if c in left else cell.rjust(w) for c, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
