"""What belongs where in a study, and the words for each thing that does not."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from sumwise.disclosure.policy import Policy
from sumwise.errors import UsageError, shown
from sumwise.models.glm_links import LINKS
from sumwise.models.glmm import MOST_NODES
from sumwise.models.glmm_vectors_site import FAMILIES as MIXED_FAMILIES
from sumwise.protocol import plain, study_groups
from sumwise.protocol.keys import KEY_BYTES
from sumwise.protocol.wire.fields import COUNT, NAME, TOKEN
from sumwise.protocol.wire.masking import LEAST_SITES
from sumwise.protocol.wire.messages import COORDINATOR

FAMILIES = ("gaussian", *LINKS)

LINEAR, LINEAR_MIXED, GENERALIZED, MIXED = "linear", "linear mixed", "generalized linear", "logistic mixed"
VECTORS = "generalized linear mixed"
"""Kinds of models that studies fit."""

OPTIONS = {
    LINEAR: ("missing", "weights", "decimal"),
    LINEAR_MIXED: ("missing", "weights", "method"),
    GENERALIZED: ("missing", "link", "weights", "weights_as", "size"),
    MIXED: ("missing", "nodes"),
    VECTORS: ("missing", "link", "nodes", "weights"),
}
"""Kind of model -> options that it knows."""

_NEEDED = {
    LINEAR: ("missing",),
    LINEAR_MIXED: ("missing", "method"),
    GENERALIZED: ("missing", "link"),
    MIXED: ("missing", "nodes"),
    VECTORS: ("missing", "link", "nodes"),
}


@dataclass(frozen=True, slots=True)
class Options:
    """As in fit(); None for one that is not given, or that the model does not know."""

    missing: str
    nodes: int | str | None = None
    weights: str | None = None
    decimal: bool | None = None
    link: str | None = None
    weights_as: str | None = None
    size: float | None = None
    method: str | None = None

    def __post_init__(self) -> None:
        if type(self.size) is int and abs(self.size) <= 2**53:  # 3 and 3.0 are one size, and one digest
            object.__setattr__(self, "size", float(self.size))

    def given(self) -> dict[str, Any]:
        """Those that are."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


def kind_of(family: str, options: Options, contract: Mapping[str, Any]) -> str:
    """Which kind of model is meant: random effects in the contract tell a mixed model from others, a link any other
    model from the logistic one with a random intercept.
    """
    mixed = bool(contract.get("random")) if isinstance(contract, Mapping) else False
    if family == "gaussian":
        return LINEAR_MIXED if mixed else LINEAR
    if family == "binomial" and options.link is None:
        return MIXED
    return VECTORS if mixed else GENERALIZED


def links_of(kind: str, family: str) -> tuple[str, ...]:
    """The links that a kind of model has for a family."""
    if kind == VECTORS:
        return tuple(link for name, link in MIXED_FAMILIES if name == family)
    return LINKS[family] if kind == GENERALIZED else ()


def _is_key(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) == KEY_BYTES and any(value)


def _are_keys(value: Any) -> bool:
    return isinstance(value, bytes) and _is_key(value[:KEY_BYTES]) and _is_key(value[KEY_BYTES:])


def _is_purpose(value: Any) -> bool:
    return isinstance(value, str) and plain.is_visible(value.replace("\n", " "), plain.MOST_TEXT)


def _is_formula(value: Any) -> bool:
    return plain.is_visible(value, plain.MOST_TEXT)


def _is_readers(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(map(NAME.holds, value)) and len(set(value)) == len(value)


_KEY = "an Ed25519 public key, 64 hex digits, not all zero"
_KEYS = "an Ed25519 and an X25519 public key, 128 hex digits, neither all zero"

BELONGS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "id": (TOKEN.meaning, TOKEN.holds),
    "purpose": (f"visible text of 1 to {plain.MOST_TEXT} characters", _is_purpose),
    "formula": (f"a formula in a line of visible text, at most {plain.MOST_TEXT} characters", _is_formula),
    "family": (" or ".join(f'"{name}"' for name in FAMILIES), lambda v: isinstance(v, str) and v in FAMILIES),
    "options": ("a table of options", lambda v: isinstance(v, Options)),
    "contract": ("a table, as `sumwise study init` writes it", lambda v: isinstance(v, Mapping)),
    "sites": ("a table of sites and their keys, at least one", lambda v: isinstance(v, Mapping) and bool(v)),
    "coordinator": (_KEY, _is_key),
    "policy": ("a table of thresholds", lambda v: isinstance(v, Policy)),
    "secure_sum": ("true or false", lambda v: isinstance(v, bool)),
    "most_rounds": (COUNT.meaning, COUNT.holds),
    "expires": ("a day such as 2027-01-31", lambda v: type(v) is date),
    "results_to": ("a list of names, each once, of at most 64 bytes; at least one", _is_readers),
    "software": (NAME.meaning, NAME.holds),
    # options
    "options.missing": ('"error" or "drop"', lambda v: v in ("error", "drop")),
    "options.nodes": (
        f'"auto" or a whole number from 1 to {MOST_NODES}',
        lambda v: v == "auto" or (type(v) is int and 1 <= v <= MOST_NODES),
    ),
    "options.weights": ("a column or an expression of columns, as text", _is_formula),
    "options.decimal": ("true or false", lambda v: isinstance(v, bool)),
    "options.link": (
        "a link of the family",
        lambda v: isinstance(v, str) and any(v in links for links in LINKS.values()),
    ),
    "options.weights_as": ('"precision" or "frequency"', lambda v: v in ("precision", "frequency")),
    "options.size": ("a number above zero", lambda v: isinstance(v, float) and 0 < v < math.inf),
    "options.method": ('"REML" or "ML"', lambda v: v in ("REML", "ML")),
}
"""Key -> (what belongs there, whether a value is one)."""


SITE_NAME = f"{NAME.meaning}, not '{COORDINATOR}',"
"""What belongs where a site is named."""


def alike(name: str) -> str:
    """The same for names that people, or file systems, take for each other: in capitals, or in other code points."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def is_site_name(value: Any) -> bool:
    """Whether this can name a site of a study."""
    return NAME.holds(value) and alike(value) != COORDINATOR


_WHOLE = (
    "min_rows",
    "min_groups",
    "min_group_rows",
    "min_sites",
    "min_row_difference",
    "min_site_difference",
    "max_rounds",
)
"""Thresholds of what is counted one by one."""


def threshold_belongs(name: str, value: Any) -> str:
    """What belongs there in words, where `value` can be no such threshold of a policy; empty where it can."""
    if name == "only_expected":
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        return "a number, zero or more,"
    if isinstance(value, int) and value > 2**53:
        return "a number up to 2^53, or inf,"
    if name in _WHOLE and not math.isinf(value) and value != int(value):
        return "a whole number, or inf,"
    return ""


def line(key: str, wrong: str, belongs: str) -> str:
    """A problem in words."""
    return f"{key}: {wrong}; {belongs} belongs there"


def refuse(problems: list[str]) -> None:
    """Raises UsageError that names them, if there are any."""
    if problems:
        raise UsageError("the study cannot be used:\n" + "\n".join(f"  {problem}" for problem in problems))


def problems_of(values: Mapping[str, Any]) -> list[str]:
    """A line for each problem of the fields that are there."""
    found, right = [], {}
    for key, value in values.items():
        belongs, holds = BELONGS[key]
        if holds(value):
            right[key] = value
        else:
            found.append(line(key, f"it is {shown(value)}", belongs))
    for key, check in _FURTHER.items():
        if key in right:
            found += check(right)
    return found


def _options_problems(right: Mapping[str, Any]) -> list[str]:
    given, family, found = right["options"].given(), right.get("family", ""), []
    contract = right.get("contract", {})
    kind = kind_of(family, right["options"], contract) if family else ""
    for name, value in given.items():
        belongs, holds = BELONGS[f"options.{name}"]
        if kind and name not in OPTIONS[kind]:
            known = ", ".join(OPTIONS[kind])
            found.append(
                f"options.{name}: the {kind} model of family {family!r} does not know it; its options are {known}"
            )
        elif not holds(value):
            found.append(line(f"options.{name}", f"it is {shown(value)}", belongs))
    links = links_of(kind, family)
    if kind == VECTORS and not links:
        found.append(f"family: {shown(family)} is not available with random effects")
    elif links and isinstance(given.get("link"), str) and given["link"] not in links:
        found.append(line("options.link", f"it is {shown(given['link'])}", f"one of {', '.join(links)}"))
    if kind == VECTORS and family == "binomial" and "weights" in given:
        found.append("options.weights: a binomial response with random effects takes none")
    if kind == GENERALIZED and "size" in given and family != "negbinomial":
        found.append(f"options.size: only the negative binomial has a size, and the family is {family!r}")
    missing = [name for name in _NEEDED.get(kind, ()) if name not in given]
    if kind == GENERALIZED and ("weights" in given) != ("weights_as" in given):
        missing.append("weights_as" if "weights" in given else "weights")
    return found + [line(f"options.{name}", "it is missing", BELONGS[f"options.{name}"][0]) for name in missing]


def _is_column(value: Any) -> bool:
    """Name, kind, levels; where they are there unit, and the ends of its range."""
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in ("name", "kind")):
        return False
    ends = [value[end] for end in ("low", "high") if end in value]
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends)
    levels = value.get("levels", [])
    singles = isinstance(levels, list) and all(isinstance(level, str | int | float) for level in levels)
    return numbers and singles and isinstance(value.get("unit", ""), str)


def _contract_problems(right: Mapping[str, Any]) -> list[str]:
    try:
        contract = plain.held(right["contract"])
    except UsageError as error:
        return [line("contract", str(error), BELONGS["contract"][0])]
    found = []
    names, columns = contract.get("names"), contract.get("columns")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        found.append(line("contract.names", f"it is {shown(names)}", "a list of the names of the columns of X"))
    if not isinstance(columns, list) or not all(map(_is_column, columns)):
        belongs = "a list of tables, each with name, kind, levels (texts or numbers), and perhaps unit, low, high"
        found.append(line("contract.columns", f"it is {shown(columns)}", belongs))
    if not isinstance(contract.get("learned", []), list):
        found.append(line("contract.learned", f"it is {shown(contract['learned'])}", "a list of constants"))
    if "groups" in contract:
        columns_of = [] if found else [column["name"] for column in contract["columns"]]
        wrong_groups = study_groups.problems(contract["groups"], right.get("sites"), columns_of)
        found += [line(where, wrong, study_groups.BELONGS) for where, wrong in wrong_groups]
    weights = right["options"].weights if "options" in right else None
    if "options" in right and contract.get("weights") != weights:
        wrong = f"it is {shown(contract.get('weights'))}"
        found.append(line("contract.weights", wrong, f"options.weights, {shown(weights)},"))
    return found


def _site_problems(right: Mapping[str, Any]) -> list[str]:
    sites, found = right["sites"], []
    owners: dict[bytes, str] = {right["coordinator"]: COORDINATOR} if "coordinator" in right else {}
    namesakes: dict[str, str] = {}
    for name, key in sites.items():
        where = f"sites.{shown(name)}"
        if not is_site_name(name):
            found.append(line(where, "this names no site", SITE_NAME))
        elif (other := namesakes.setdefault(alike(name), name)) != name:
            found.append(line(where, f"it is {shown(other)} in other letters", "a name that nobody takes for another"))
        if not _are_keys(key):
            found.append(line(where, f"its key is {shown(key.hex() if isinstance(key, bytes) else key)}", _KEYS))
            continue
        halves = (key[:KEY_BYTES], key[KEY_BYTES:])
        others = {owners[half]: None for half in halves if half in owners}
        found += [line(where, f"its key is that of {shown(o)}", "a key of its own") for o in others]
        owners |= dict.fromkeys(halves, name)
    return found


def _secure_sum_problems(right: Mapping[str, Any]) -> list[str]:
    found = []
    if right["secure_sum"] and "sites" in right and len(right["sites"]) < LEAST_SITES:
        found.append(f"secure_sum: sites are {len(right['sites'])}; with fewer than {LEAST_SITES} a sum hides nothing")
    linear = (
        "options" in right and kind_of(right.get("family", ""), right["options"], right.get("contract", {})) == LINEAR
    )
    if right["secure_sum"] and linear and right["options"].decimal is not False:
        found.append(
            "secure_sum: numbers must be taken as binary numbers of 64 bits: set options.decimal = false (units of "
            "decimals would travel unmasked)"
        )
    return found


def _policy_problems(right: Mapping[str, Any]) -> list[str]:
    policy, found = right["policy"], []
    for field in fields(Policy):
        value = getattr(policy, field.name)
        if belongs := threshold_belongs(field.name, value):
            found.append(line(f"policy.{field.name}", f"it is {shown(value)}", belongs))
    if found:
        return found
    if "sites" in right and len(right["sites"]) < policy.min_sites:
        found.append(f"sites: they are {len(right['sites'])}; policy.min_sites asks for at least {policy.min_sites:g}")
    if "most_rounds" in right and right["most_rounds"] > policy.max_rounds:
        found.append(
            f"most_rounds: it is {right['most_rounds']}; policy.max_rounds asks for {policy.max_rounds:g} or fewer"
        )
    return found


_FURTHER = {
    "options": _options_problems,
    "contract": _contract_problems,
    "sites": _site_problems,
    "policy": _policy_problems,
    "secure_sum": _secure_sum_problems,
}
