"""What leaves a site, in plain words: counts of numbers by kind of model, and who sees them."""

from __future__ import annotations

from math import comb
from typing import Any

from sumwise.kernels.vectors import WITH_AUX
from sumwise.models import lmm_messages
from sumwise.models.glm_messages import GlmMomentsQuestion
from sumwise.models.glmm_crossed import needs_laplace
from sumwise.models.glmm_messages import MomentsQuestion
from sumwise.models.glmm_vectors_messages import VectorMomentsQuestion
from sumwise.models.linear import LinearQuestion
from sumwise.protocol import plain
from sumwise.protocol.study import Study
from sumwise.protocol.study_problems import GENERALIZED, LINEAR, LINEAR_MIXED, VECTORS
from sumwise.protocol.wire import masked

_ENVELOPE = (
    "With each message: the site's name, a running number, its signature, digests of the study and the question; once "
    "its version of Sumwise.",
    "Where it refuses or ends: the name of the rule and its threshold, or one of a few fixed reasons.",
)


def _seen(study: Study, question: Any) -> list[str]:
    """Who sees the numbers.  question: one of the model's; all of them have answers of one width."""
    if not study.secure_sum:
        return [
            *_ENVELOPE,
            "The coordinator sees the sums of each site; the other sites are sent the total over all sites. Messages "
            "are signed, not encrypted: whoever can read them on their way, as in a shared folder, sees them too.",
        ]
    width: object = masked.bits(question, len(study.sites), weighted=study.options.weights is not None)
    if study.kind == LINEAR_MIXED:
        width = f"{width} (in later rounds {masked.bits(None, len(study.sites), weighted=False)})"
    return [
        f"All these numbers leave masked, as whole numbers of {width} bits each, whatever the rows are: one by one "
        f"they look like random numbers, and the masks cancel in the sum over all sites alone. So the coordinator, and "
        f"whoever reads messages on their way, learns the total over all sites and no site's own sums.",
        "What masks do not do: sites that put together what they know, all but one of them (two of three), can take "
        "their own sums from the total and are left with those of the last. What the total itself tells, it tells.",
        "The masks are EXPERIMENTAL until they have been reviewed by others. They take at least three sites.",
        *_ENVELOPE,
    ]


def leaves(study: Study) -> list[str]:
    """The items of the paragraph."""
    p = len(study.contract["names"])
    names = f"The p = {p} columns of the model are: {plain.listed(study.contract['names'])}."
    weighted = study.options.weights is not None
    if study.kind == GENERALIZED:
        return [names, *_leaves_generalized(study, p), *_seen(study, GlmMomentsQuestion(study.family))]
    if study.kind == LINEAR_MIXED:
        question = lmm_messages.MomentsQuestion(p + 1, (), weighted)
        return [names, *_leaves_linear_mixed(study, p), *_seen(study, question)]
    if study.kind == VECTORS:
        own = _leaves_laplace if by_components(study) else _leaves_vectors
        return [names, *own(study, p), *_seen(study, VectorMomentsQuestion(p))]
    if study.kind == LINEAR:
        units = (
            f"{2 * (p + 2)} numbers that say in which units the {p + 1} columns and the weights count: the place of "
            f"their last binary and decimal digit."
        )
        return [
            names,
            f"In the only round: {(p + 1) * (p + 2) // 2} sums over rows, the products of each two of the {p + 1} "
            f"columns (those of the model and the response, less its offset if there is one)"
            f"{', weighted' if weighted else ''}.",
            "2 counts: rows in the sums, and rows left out because their weight is zero.",
            *([] if study.secure_sum else [units]),
            *(["1 sum: of the logarithms of the weights."] if weighted else []),
            "All sums are exact, to the last digit of the data.",
            *_seen(study, LinearQuestion()),
        ]
    q = p + 1
    return [
        names,
        f"In round 1: 3 counts (rows, groups, groups that are all successes or all failures) and {p + 6} sums over "
        f"rows and groups (each column of the model; the successes Y and trials N of the groups, their squares and "
        f"product; the logarithms of the binomial coefficients).",
        f"In each later round: {2 + q + q * (q + 1) // 2} sums over groups, at the parameters asked for: 1 "
        f"log-likelihood, {q} first and {q * (q + 1) // 2} second derivatives, 1 measured error of the quadrature.",
        "With them a count of groups for each number of quadrature nodes that was tried, and 1 count of groups for "
        "which there was no finite number.",
        _rounds(study),
        *_seen(study, MomentsQuestion()),
    ]


def _leaves_generalized(study: Study, p: int) -> list[str]:
    counts, square = study.family == "negbinomial", p * (p + 1) // 2
    later = 2 + p + square + (3 + p if counts else 0)
    parts = f"the deviance, Pearson's chi^2, {p} first and {square} second derivatives"
    more = f", and {3 + p} more for the size of the negative binomial" if counts else ""
    of_response = {
        "binomial": "the log-likelihood that the observed shares would have",
        "poisson": "the log-likelihood that the counts themselves would have as means",
        "negbinomial": "the log-likelihood that the counts themselves would have as means",
    }.get(study.family, "its logarithm")
    return [
        f"In round 1: 3 counts (rows in the sums, rows of no weight, rows with an offset that is not zero) and {p + 6} "
        f"sums over rows (each column of the model; weights, trials, the response and its square, {of_response}; one "
        f"that the family does not need is zero).",
        f"In each later round: {later} sums over rows, at the parameters asked for: {parts}{more}; and 1 count of rows "
        f"for which there was no finite number.",
        f"{_rounds(study)} The first parameters asked about give all rows one mean: their sums are of the response "
        f"alone.",
    ]


def by_components(study: Study) -> bool:
    """Whether the sums are over components, levels that a chain of rows joins, and not over groups."""
    random = study.contract.get("random") or []
    groups, effects = {term["group"] for term in random}, sum(len(term["names"]) for term in random)
    return len(groups) > 1 or (study.kind == VECTORS and needs_laplace(groups, effects))


def _shape(study: Study) -> tuple[list[int], int, int, list[str]]:
    """Effects of each term, of all of them, how many parameters they have, and the grouping factors."""
    random = study.contract["random"]
    blocks = [len(term["names"]) for term in random]
    return blocks, sum(blocks), sum(b * (b + 1) // 2 for b in blocks), [*dict.fromkeys(t["group"] for t in random)]


_COMPONENTS = "A component is what a chain of rows joins: levels of the grouping factors that meet, and their rows."


def _leaves_linear_mixed(study: Study, p: int) -> list[str]:
    (blocks, q, m, factors), P = _shape(study), (p + 1) * (p + 2) // 2
    derivatives, several = 1 + m + m * (m + 1) // 2, len(factors) > 1
    units = f"{2 * (p + 2)} numbers that say in which units the {p + 1} columns and the weights count."
    logs = ", 1 sum of the logarithms of the weights" if study.options.weights is not None else ""
    pairs, unit = comb(len(factors), 2), "component" if several else "group"
    explained = "which are zero" if several else "of what the groups' own effects explain"
    more = (
        f"{pairs} count{'s' if pairs > 1 else ''} more, of each two grouping factors how many pairs of their levels "
        f"have rows; and {2 * len(blocks)} sums over levels, of squares of their responses' sums and of their numbers "
        f"of rows."
    )
    return [
        f"In round 1: {P} sums over rows, exact to the last digit, of the products of each two of the {p + 1} columns "
        f"(those of the model and the response){logs}; {m} sums of products of the {q} columns whose effects vary by "
        f"group; {2 + 2 * len(blocks)} counts (rows in the sums, rows of no weight, and for each term in brackets "
        f"groups, and groups of a single row).",
        *([more] if several else []),
        *([] if study.secure_sum else [units]),
        f"In each later round: {derivatives * (1 + P)} sums over {unit}s, {derivatives} times {1 + P}: functions of "
        f"each {unit}'s products of columns, effects and response, with their first and second derivatives in {m} "
        f"parameters; once {P} more, {explained}; and 1 count of {unit}s for which there was no finite number.",
        *([_COMPONENTS] if several else []),
        f"These sums weigh {unit}s by their sizes and effects, each round in other ways: a {unit} that is like no "
        f"other can be told from the rest{', and its levels' if several else ''}. Where min_groups is 1, that may "
        f"happen.",
        _rounds(study),
    ]


def _of_moments(p: int, q: int) -> str:
    return (
        f"In round 1: 5 counts (rows, groups, groups with as many rows as effects, groups that are all successes or "
        f"all failures, groups of a single trial) and {p + 2 * q + 4} sums over rows (each column of the model; each "
        f"column whose effects vary by group, and its square; the response, the trials or weights, these times the "
        f"exponential of the offset, and the log-likelihood's part without parameters)."
    )


def _leaves_vectors(study: Study, p: int) -> list[str]:
    _, q, m, _ = _shape(study)
    aux, auto = study.family in WITH_AUX, study.options.nodes == "auto"
    P = p + m + aux
    of_rows = " and 3 sums over rows, of functions of the response at the family's own parameter" if aux else ""
    return [
        _of_moments(p, q),
        f"In each later round{'' if auto else ' up to'}: {2 + P + P * (P + 1) // 2} sums over groups, at the "
        f"parameters asked for: 1 log-likelihood, {P} first and {P * (P + 1) // 2} second derivatives, 1 measured "
        f"error of the quadrature{of_rows}.",
        *(
            []
            if auto
            else [
                f"In one or two rounds instead {2 + P} sums over groups at each of {2 * P} points around the maximum."
            ]
        ),
        "With them a count of groups for each number of quadrature nodes that was tried, and 1 count of groups for "
        "which there was no finite number.",
        _rounds(study),
    ]


def _leaves_laplace(study: Study, p: int) -> list[str]:
    _, q, m, factors = _shape(study)
    P, f = p + m + (study.family in WITH_AUX), len(factors)
    meeting = f", and for each two of them how many pairs of levels have rows ({comb(f, 2)})" if f > 1 else ""
    return [
        _of_moments(p, q),
        f"With them for each grouping factor ({f}) 4 counts, as those of groups{meeting}.",
        f"In each later round: {1 + P} sums over components, 1 log-likelihood and {P} first derivatives, at the "
        f"parameters asked for, and at up to {P - p} points near by, around the maximum {2 * P}; {p * (p + 1) // 2} "
        f"sums of second derivatives at the first of these points; and for each point 1 count of components for which "
        f"there was no finite number.",
        _COMPONENTS,
        _rounds(study),
    ]


def _rounds(study: Study) -> str:
    most = study.most_rounds
    return f"At most {most} round{'s' if most > 1 else ''} in all; the site answers each of them once."
