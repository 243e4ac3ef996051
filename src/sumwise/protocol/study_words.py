"""A study in plain words: what each site is asked, what leaves it, what never does.  For the steward who approves."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from sumwise.disclosure.policy import Policy
from sumwise.models import lmm_messages
from sumwise.models.glm_messages import GlmMomentsQuestion
from sumwise.models.glmm_messages import MomentsQuestion
from sumwise.models.glmm_vectors_messages import VectorMomentsQuestion
from sumwise.models.linear import LinearQuestion
from sumwise.protocol import plain
from sumwise.protocol.study import Study
from sumwise.protocol.study_groups import groups_in_words
from sumwise.protocol.study_problems import GENERALIZED, LINEAR, LINEAR_MIXED, MIXED, VECTORS
from sumwise.protocol.wire import masked
from sumwise.protocol.wire.codec import digest

WIDTH = 100


def in_words(study: Study) -> str:
    """Paragraphs of lines of at most 100 characters."""
    parts = (
        (f"Study '{study.id}'", _what(study)),
        ("What each site is asked", _asked(study)),
        ("What leaves a site", _leaves(study)),
        ("What never leaves a site", _stays(study)),
        ("What this file itself tells", _told(study)),
        ("When a site must refuse", _refuses(study.policy)),
    )
    return "\n\n".join(
        "\n".join([title, *(line for item in items for line in _wrapped(item))]) for title, items in parts
    )


def _wrapped(item: str) -> list[str]:
    return textwrap.wrap(item, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)


def _shown(text: str) -> str:
    """Text of the contract, in which a character that cannot be seen is shown as its number."""
    return "".join(c if plain.is_visible(c, 1) or c == " " else ascii(c)[1:-1] for c in text)


def _listed(names: Iterable[str], most: int = 20) -> str:
    found = [_shown(name) for name in names]
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def fingerprint(keys: bytes) -> str:
    """A site's public keys (64 bytes) in short, for the telephone: the first 12 hex digits of their SHA-256 digest."""
    return digest(keys).hex()[:12]


def _what(study: Study) -> list[str]:
    sites = (f"{name} ({fingerprint(keys)})" for name, keys in study.sites.items())
    return [
        f"Purpose: {study.purpose}",
        f"Sites ({len(study.sites)}), with fingerprints of their keys: {_listed(sites, 100)}. All of them, or there is "
        f"no result.",
        f"Results go to: {', '.join(study.results_to)}.",
        f"Last day on which a site answers: {study.expires.isoformat()}.",
        f"Software: Sumwise {study.software}, the same version everywhere.",
        f"Digest of the study: {study.digest().hex()}",
    ]


def _agreed(column: Mapping[str, Any]) -> str:
    """Kind, unit and range of a column."""
    unit = f", in {_shown(str(column['unit']))}" if "unit" in column else ""
    ends = [f"{word} {column[end]:g}" for word, end in (("from", "low"), ("to", "high")) if end in column]
    return f"{column['kind']}{unit}{', ' if ends else ''}{' '.join(ends)}"


_FAMILIES = {
    "binomial": "successes in trials",
    "poisson": "Poisson counts",
    "gamma": "positive numbers of a gamma distribution",
    "inverse.gaussian": "positive numbers of an inverse Gaussian distribution",
    "negbinomial": "negative binomial counts",
}


def _kind(study: Study) -> str:
    options = study.options
    if study.kind == LINEAR:
        return "a linear model by least squares"
    if study.kind == LINEAR_MIXED:
        return f"a linear mixed model with effects of each '{_factor(study)}', by {options.method}"
    if study.kind == GENERALIZED:
        return f"a generalized linear model of {_FAMILIES[study.family]}, with the link {options.link}"
    if study.kind == VECTORS:
        return (
            f"a generalized linear mixed model of {_FAMILIES[study.family]}, with the link {options.link} and effects "
            f"of each '{_factor(study)}'"
        )
    return "a logistic model with a random intercept for each group"


def _factor(study: Study) -> str:
    return _shown(str(study.contract["random"][0]["group"]))


def _asked(study: Study) -> list[str]:
    columns = (f"{column['name']} ({_agreed(column)})" for column in study.contract["columns"])
    rows = {
        "error": "Rows with missing values are not accepted: the site stops.",
        "drop": "Rows with missing values in these columns are left out.",
    }
    said = [
        f"The model: {study.formula}, {_kind(study)}.",
        f"Columns of the site's data that are read: {_listed(columns)}.",
        rows[study.options.missing],
    ]
    if study.options.weights is not None:
        means = {"precision": ", their precision", "frequency": ", how many rows each stands for"}
        said.append(f"Rows are weighted by {study.options.weights}{means.get(study.options.weights_as or '', '')}.")
    later = (
        "The first question asks for counts and column sums. Each later one gives values for the model's parameters "
        "and asks for sums at these values."
    )
    if study.kind == LINEAR:
        numbers = {
            None: "Numbers of .dat and .txt files are taken as the exact decimals that stand there, others as the "
            "nearest binary numbers of 64 bits.",
            True: "Numbers are taken as the exact decimals they are written in.",
            False: "Numbers are taken as the nearest binary numbers of 64 bits.",
        }
        return [*said, numbers[study.options.decimal], "There is one question, and it is always the same."]
    if study.kind == GENERALIZED:
        size = study.options.size
        return [*said, *([f"The size of the negative binomial is fixed at {size:g}."] if size else []), later]
    if study.kind == LINEAR_MIXED:
        return [*said, *groups_in_words(study.contract), later]
    nodes = study.options.nodes
    how = "as many as its accuracy needs" if nodes == "auto" else f"fixed at {nodes}"
    effects = "the effects" if study.kind == VECTORS else "the random intercept"
    return [
        *said,
        f"Quadrature nodes for {effects} of each group: {how}.",
        *groups_in_words(study.contract),
        later,
    ]


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


def _leaves(study: Study) -> list[str]:
    p = len(study.contract["names"])
    names = f"The p = {p} columns of the model are: {_listed(study.contract['names'])}."
    weighted = study.options.weights is not None
    if study.kind == GENERALIZED:
        return [names, *_leaves_generalized(study, p), *_seen(study, GlmMomentsQuestion(study.family))]
    if study.kind == LINEAR_MIXED:
        question = lmm_messages.MomentsQuestion(p + 1, (), weighted)
        return [names, *_leaves_linear_mixed(study, p), *_seen(study, question)]
    if study.kind == VECTORS:
        return [names, *_leaves_vectors(study, p), *_seen(study, VectorMomentsQuestion(p))]
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


def _leaves_linear_mixed(study: Study, p: int) -> list[str]:
    blocks = [len(term["names"]) for term in study.contract["random"]]
    q, m, P = sum(blocks), sum(b * (b + 1) // 2 for b in blocks), (p + 1) * (p + 2) // 2
    derivatives = 1 + m + m * (m + 1) // 2
    units = f"{2 * (p + 2)} numbers that say in which units the {p + 1} columns and the weights count."
    logs = ", 1 sum of the logarithms of the weights" if study.options.weights is not None else ""
    return [
        f"In round 1: {P} sums over rows, exact to the last digit, of the products of each two of the {p + 1} columns "
        f"(those of the model and the response){logs}; {m} sums of products of the {q} columns whose effects vary by "
        f"group; {2 + 2 * len(blocks)} counts (rows in the sums, rows of no weight, and for each term in brackets "
        f"groups, and groups of a single row).",
        *([] if study.secure_sum else [units]),
        f"In each later round: {derivatives * (1 + P)} sums over groups, {derivatives} times {1 + P}: functions of "
        f"each group's products of columns, effects and response, with their first and second derivatives in {m} "
        f"parameters; once {P} more, of what the groups' own effects explain; and 1 count of groups for which there "
        f"was no finite number.",
        "These sums weigh groups by their sizes and effects, each round in other ways: a group that is like no other "
        "can be told from the rest. Where min_groups is 1, that may happen.",
        _rounds(study),
    ]


def _leaves_vectors(study: Study, p: int) -> list[str]:
    blocks = [len(term["names"]) for term in study.contract["random"]]
    q, aux = sum(blocks), study.family in ("negbinomial", "gamma")
    P = p + sum(b * (b + 1) // 2 for b in blocks) + aux
    auto = study.options.nodes == "auto"
    of_rows = " and 3 sums over rows, of functions of the response at the family's own parameter" if aux else ""
    return [
        f"In round 1: 5 counts (rows, groups, groups with as many rows as effects, groups that are all successes or "
        f"all failures, groups of a single trial) and {p + 2 * q + 4} sums over rows (each column of the model; each "
        f"column whose effects vary by group, and its square; the response, the trials or weights, these times the "
        f"exponential of the offset, and the log-likelihood's part without parameters).",
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


def _rounds(study: Study) -> str:
    most = study.most_rounds
    return f"At most {most} round{'s' if most > 1 else ''} in all; the site answers each of them once."


def _stays(study: Study) -> list[str]:
    mixed = study.kind in (MIXED, LINEAR_MIXED, VECTORS)
    return [
        "Rows as such, and names, texts or dates in them; files, and where they lie: no message has room for them.",
        *(["Names of groups; numbers of one group, unless a site has no other."] if mixed else []),
        "Sums are not anonymous by themselves: whoever knows all rows but one can work out that one. The rules below "
        "are there for this.",
    ]


_KNOWN = ("columns", "learned", "products", "names", "weights", "random", "groups")


def _told(study: Study) -> list[str]:
    levels = [c for c in study.contract["columns"] if c.get("levels")]
    learned = study.contract.get("learned") or []
    said = []
    if levels:
        shown = (f"{c['name']} ({len(c['levels'])})" for c in levels)
        said.append(f"Names of the levels of {_listed(shown)}: look at them under [contract].")
    if learned:
        said.append(
            f"{2 * len(learned)} constants, a mean and a standard deviation over all sites for each centred or "
            f"scaled term."
        )
    more = [name for name in study.contract if name not in _KNOWN]
    if more:
        said.append(f"More, which Sumwise does not know: look at {_listed(more)} under [contract].")
    return said or ["Names of columns, and nothing of what is in them."]


# threshold -> what must hold; {} is the threshold
_RULES = {
    "min_rows": "Fewer than {} rows.",
    "min_groups": "Fewer than {} groups, where the model has groups.",
    "min_group_rows": "A group with fewer rows than {}.",
    "max_parameters_per_row": "More than {} parameters a row.",
    "min_effective": "A column that rests on fewer than {} rows, effectively.",
    "min_cell": "Fewer than {} rows in a cell of two columns of two values.",
    "max_leverage": "A row, or with min_groups above 1 a group, with more than {} of the sum of squares of some "
    "combination of columns.",
    "max_digit_gap": "Digits in a few rows, of columns or of what is summed, that are finer by more than {} bits than "
    "those of the others.",
    "min_effective_rows": "Weights of a question that rest on fewer than {} rows, effectively.",
    "min_effective_share": "Weights of a question that rest on less than {} of the rows, effectively.",
    "max_eta_range": "A question under which the linear predictor, or the logarithm of the mean where the response is "
    "no outcome of trials, ranges over more than {}.",
    "min_sites": "Fewer than {} sites in the sum.",
    "min_row_difference": "Rows that differ from those of an earlier request in some, but fewer than {}.",
    "min_site_difference": "Sites that differ from those of an earlier request in some, but fewer than {}.",
    "max_rounds": "More than {} questions.",
}


# threshold -> from where on it refuses nothing, or nothing that matters.  What is counted is at least 1; a model has
# no more columns than a contract has values; shares are those of fewer than 10^9 rows; digits of float64 lie at most
# 2097 bits apart; where predictors range over 1500, weights are zero as it is
_IDLE = {name: 1.0 for name in _RULES if name.startswith("min_")} | {
    "max_parameters_per_row": float(plain.MOST_VALUES),
    "max_leverage": 1.0,
    "max_digit_gap": 2097.0,
    "min_effective_share": 1e-9,
    "max_eta_range": 1500.0,
    "max_rounds": 2.0**32 - 1,
}


def _is_laxer(name: str, threshold: float, than: float) -> bool:
    return threshold > than if name.startswith("max_") else threshold < than


def _refuses(policy: Policy) -> list[str]:
    """The rules that can refuse, laxer ones marked; those switched off by name."""
    said: list[str] = []
    off: list[str] = []
    for name, text in _RULES.items():
        threshold, default = getattr(policy, name), getattr(Policy(), name)
        # looks at the digits of fewer rows than min_effective
        blind = name == "max_digit_gap" and policy.min_effective <= 1
        idle = blind or not _is_laxer(name, _IDLE[name], threshold)
        laxer = _is_laxer(name, threshold, default)
        if idle and (laxer or blind):
            off.append(name)
        else:
            never = " (never, and so by default)" if idle else ""
            said.append(
                f"{text.format(_figure(threshold))}{f' (LAXER than the default, {default:g})' if laxer else never}"
            )
    said.append("A question that does not follow from the earlier totals, bit for bit, as the site works it out.")
    if not policy.only_expected:
        said.append("only_expected = false in this study changes nothing: sites compare every question all the same.")
    last = [f"SWITCHED OFF in this study: {', '.join(off)}."] if off else []
    return [*said, *last, "A site's own policy may be stricter; it is never laxer."]


def _figure(threshold: float) -> str:
    """In few digits where they are all of them."""
    return f"{threshold:g}" if float(f"{threshold:g}") == threshold else repr(threshold)
