"""A study in plain words: what each site is asked, what leaves it, what never does.  For the steward who approves."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from sumwise.disclosure.policy import Policy
from sumwise.protocol import plain
from sumwise.protocol.study import Study
from sumwise.protocol.study_groups import groups_in_words
from sumwise.protocol.study_leaves import by_components, leaves
from sumwise.protocol.study_problems import GENERALIZED, LINEAR, LINEAR_MIXED, MIXED, VECTORS
from sumwise.protocol.wire.codec import digest

WIDTH = 100


def in_words(study: Study) -> str:
    """Paragraphs of lines of at most 100 characters."""
    parts = (
        (f"Study '{study.id}'", _what(study)),
        ("What each site is asked", _asked(study)),
        ("What leaves a site", leaves(study)),
        ("What never leaves a site", _stays(study)),
        ("What this file itself tells", _told(study)),
        ("When a site must refuse", _refuses(study.policy)),
    )
    return "\n\n".join(
        "\n".join([title, *(line for item in items for line in _wrapped(item))]) for title, items in parts
    )


def _wrapped(item: str) -> list[str]:
    return textwrap.wrap(item, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)


def fingerprint(keys: bytes) -> str:
    """A site's public keys (64 bytes) in short, for the telephone: the first 12 hex digits of their SHA-256 digest."""
    return digest(keys).hex()[:12]


def _what(study: Study) -> list[str]:
    sites = (f"{name} ({fingerprint(keys)})" for name, keys in study.sites.items())
    return [
        f"Purpose: {study.purpose}",
        f"Sites ({len(study.sites)}), with fingerprints of their keys: {plain.listed(sites, 100)}. All of them, or "
        f"there is no result.",
        f"Results go to: {', '.join(study.results_to)}.",
        f"Last day on which a site answers: {study.expires.isoformat()}.",
        f"Software: Sumwise {study.software}, the same version everywhere.",
        f"Digest of the study: {study.digest().hex()}",
    ]


def _agreed(column: Mapping[str, Any]) -> str:
    """Kind, unit and range of a column."""
    unit = f", in {plain.visible(str(column['unit']))}" if "unit" in column else ""
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
        return f"a linear mixed model with effects of each {_factors(study)}, by {options.method}"
    if study.kind == GENERALIZED:
        return f"a generalized linear model of {_FAMILIES[study.family]}, with the link {options.link}"
    if study.kind == VECTORS:
        return (
            f"a generalized linear mixed model of {_FAMILIES[study.family]}, with the link {options.link} and effects "
            f"of each {_factors(study)}"
        )
    return "a logistic model with a random intercept for each group"


def _factors(study: Study) -> str:
    """Such as: 'plate' and of each 'sample'."""
    names = dict.fromkeys(str(term["group"]) for term in study.contract["random"])
    return " and of each ".join(f"'{plain.visible(name)}'" for name in names)


def _asked(study: Study) -> list[str]:
    columns = (f"{column['name']} ({_agreed(column)})" for column in study.contract["columns"])
    rows = {
        "error": "Rows with missing values are not accepted: the site stops.",
        "drop": "Rows with missing values in these columns are left out.",
    }
    said = [
        f"The model: {study.formula}, {_kind(study)}.",
        f"Columns of the site's data that are read: {plain.listed(columns)}.",
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
    if by_components(study):
        said.append("The effects are integrated by Laplace's approximation.")
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
        said.append(f"Names of the levels of {plain.listed(shown)}: look at them under [contract].")
    if learned:
        said.append(
            f"{2 * len(learned)} constants, a mean and a standard deviation over all sites for each centred or "
            f"scaled term."
        )
    more = [name for name in study.contract if name not in _KNOWN]
    if more:
        said.append(f"More, which Sumwise does not know: look at {plain.listed(more)} under [contract].")
    return said or ["Names of columns, and nothing of what is in them."]


# threshold -> what must hold; {} is the threshold
_RULES = {
    "min_rows": "Fewer than {} rows.",
    "min_groups": "Fewer than {} groups, where the model has groups; components, where it has several grouping "
    "factors.",
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
