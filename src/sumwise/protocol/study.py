"""The study file: what everybody approves before anything is asked.  People read TOML; machines sign the digest.

    digest = SHA-256 of: "SUMS" | u8 version | text id | text purpose | text formula | text family
           | options, contract (plain values, plain.py) | items of (text name, raw[32] key), the sites by name
           | raw[32] the coordinator's key | items of (text name, float64, perhaps infinite), the policy by name, true 1
           | u32 most_rounds | text expires, as 2027-01-31 | items of text, results_to | text software

So comments, order of keys and spelling of numbers in the file change nothing, and anything else changes the digest.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from types import MappingProxyType
from typing import Any

import tomli_w
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sumwise.errors import UsageError
from sumwise.models.glmm import MOST_NODES
from sumwise.protocol import plain
from sumwise.protocol.codec import HASH_BYTES, Writer, digest
from sumwise.protocol.fields import COUNT, NAME, TOKEN
from sumwise.protocol.messages import COORDINATOR
from sumwise.protocol.policy import Policy
from sumwise.protocol.states import Terms

MAGIC = b"SUMS"
VERSION = 1

MOST_CHARACTERS = 1 << 22
"""Longest file that is read."""

OPTIONS = {"gaussian": ("missing", "weights", "decimal"), "binomial": ("missing", "nodes")}
"""Family -> options that its model knows."""

_NEEDED = {"gaussian": ("missing",), "binomial": ("missing", "nodes")}


@dataclass(frozen=True, slots=True)
class Options:
    """As in fit(); None for one that is not given, or that the model does not know."""

    missing: str
    nodes: int | str | None = None
    weights: str | None = None
    decimal: bool | None = None

    def given(self) -> dict[str, Any]:
        """Those that are."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """id: a word; purpose, formula: text; family: "gaussian" (least squares) or "binomial" (a random intercept).

    contract: what data.Contract.to_dict gives, less what is None.  sites: name -> Ed25519 public key (32 bytes);
    coordinator: its key; policy: the least that every site's own policy asks for; most_rounds: after which the study
    ends; expires: the last day on which a site answers; results_to: who may see results; software: version of Sumwise.

    Raises UsageError that names every problem.  Two studies are equal if their digests are.
    """

    id: str
    purpose: str
    formula: str
    family: str
    options: Options
    contract: Mapping[str, Any]
    sites: Mapping[str, bytes]
    coordinator: bytes
    policy: Policy
    most_rounds: int
    expires: date
    results_to: tuple[str, ...]
    software: str

    def __post_init__(self) -> None:
        _raise(_problems({field.name: getattr(self, field.name) for field in fields(self)}))
        object.__setattr__(self, "contract", plain.held(self.contract))
        object.__setattr__(self, "sites", MappingProxyType(dict(sorted(self.sites.items()))))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Study) and self.encode() == other.encode()

    def __hash__(self) -> int:
        return hash(self.encode())

    def encode(self) -> bytes:
        """The bytes that the digest is of."""
        to = Writer(MAGIC)
        to.u8(VERSION)
        for text in (self.id, self.purpose, self.formula, self.family):
            to.text(text)
        plain.write(to, self.options.given())
        plain.write(to, self.contract)
        to.items(self.sites.items(), _write_site)
        to.raw(self.coordinator, HASH_BYTES)
        to.items(sorted(field.name for field in fields(Policy)), self._write_threshold)
        to.u32(self.most_rounds)
        to.text(self.expires.isoformat())
        to.items(self.results_to, Writer.text)
        to.text(self.software)
        return to.done()

    def _write_threshold(self, to: Writer, name: str) -> None:
        to.text(name)
        to.float64(float(getattr(self.policy, name)) + 0.0, infinite=True)  # -0.0 is 0.0

    def digest(self) -> bytes:
        """What sites approve, and every message names."""
        return digest(self.encode())

    def terms(self) -> Terms:
        """What both machines know of the study."""
        keys = {COORDINATOR: self.coordinator, **self.sites}
        public = {name: Ed25519PublicKey.from_public_bytes(key) for name, key in keys.items()}
        return Terms(self.digest(), tuple(self.sites), public, self.most_rounds, self.software)


def _write_site(to: Writer, site: tuple[str, bytes]) -> None:
    to.text(site[0])
    to.raw(site[1], HASH_BYTES)


# -- what belongs where --


def _is_key(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) == HASH_BYTES and any(value)


def _is_purpose(value: Any) -> bool:
    return isinstance(value, str) and plain.is_visible(value.replace("\n", " "), plain.MOST_TEXT)


def _is_formula(value: Any) -> bool:
    return plain.is_visible(value, plain.MOST_TEXT)


def _is_readers(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(map(NAME.holds, value)) and len(set(value)) == len(value)


_KEY = "an Ed25519 public key, 64 hex digits, not all zero"

# key -> (what belongs there, whether a value is one)
_BELONGS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "id": (TOKEN.meaning, TOKEN.holds),
    "purpose": (f"visible text of 1 to {plain.MOST_TEXT} characters", _is_purpose),
    "formula": (f"a formula in a line of visible text, at most {plain.MOST_TEXT} characters", _is_formula),
    "family": (" or ".join(f'"{name}"' for name in OPTIONS), lambda v: isinstance(v, str) and v in OPTIONS),
    "options": ("a table of options", lambda v: isinstance(v, Options)),
    "contract": ("a table, as `sumwise study init` writes it", lambda v: isinstance(v, Mapping)),
    "sites": ("a table of sites and their keys, at least one", lambda v: isinstance(v, Mapping) and bool(v)),
    "coordinator": (_KEY, _is_key),
    "policy": ("a table of thresholds", lambda v: isinstance(v, Policy)),
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
}


def _line(key: str, wrong: str, belongs: str) -> str:
    return f"{key}: {wrong}; {belongs} belongs there"


def _raise(problems: list[str]) -> None:
    if problems:
        raise UsageError("the study cannot be used:\n" + "\n".join(f"  {problem}" for problem in problems))


def _problems(values: Mapping[str, Any]) -> list[str]:
    """A line for each problem of the fields that are there."""
    found, right = [], {}
    for key, value in values.items():
        belongs, holds = _BELONGS[key]
        if holds(value):
            right[key] = value
        else:
            found.append(_line(key, f"it is {value!r:.60}", belongs))
    for key, check in _FURTHER.items():
        if key in right:
            found += check(right)
    return found


def _options_problems(right: Mapping[str, Any]) -> list[str]:
    given, family, found = right["options"].given(), right.get("family"), []
    for name, value in given.items():
        belongs, holds = _BELONGS[f"options.{name}"]
        if family and name not in OPTIONS[family]:
            known = ", ".join(OPTIONS[family])
            found.append(f"options.{name}: the model of family {family!r} does not know it; its options are {known}")
        elif not holds(value):
            found.append(_line(f"options.{name}", f"it is {value!r:.60}", belongs))
    missing = [name for name in _NEEDED.get(family or "", ()) if name not in given]
    return found + [_line(f"options.{name}", "it is missing", _BELONGS[f"options.{name}"][0]) for name in missing]


def _contract_problems(right: Mapping[str, Any]) -> list[str]:
    try:
        contract = plain.held(right["contract"])
    except UsageError as error:
        return [_line("contract", str(error), _BELONGS["contract"][0])]
    found = []
    names, columns = contract.get("names"), contract.get("columns")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        found.append(_line("contract.names", f"it is {names!r:.60}", "a list of the names of the columns of X"))
    if not isinstance(columns, list) or not all(
        isinstance(c, dict)
        and isinstance(c.get("name"), str)
        and isinstance(c.get("kind"), str)
        and isinstance(c.get("levels", []), list)
        for c in columns
    ):
        found.append(
            _line("contract.columns", f"it is {columns!r:.60}", "a list of tables, each with name, kind, levels")
        )
    if not isinstance(contract.get("learned", []), list):
        found.append(_line("contract.learned", f"it is {contract['learned']!r:.60}", "a list of constants"))
    weights = right["options"].weights if "options" in right else None
    if "options" in right and contract.get("weights") != weights:
        found.append(
            _line("contract.weights", f"it is {contract.get('weights')!r:.60}", f"options.weights, {weights!r},")
        )
    return found


def _site_problems(right: Mapping[str, Any]) -> list[str]:
    sites, found = right["sites"], []
    owners: dict[bytes, str] = {right["coordinator"]: COORDINATOR} if "coordinator" in right else {}
    for name, key in sites.items():
        if not NAME.holds(name) or name == COORDINATOR:
            found.append(_line(f"sites.{name!r:.60}", "this names no site", f"{NAME.meaning}, not '{COORDINATOR}',"))
        if not _is_key(key):
            found.append(_line(f"sites.{name!r:.60}", f"its key is {key!r:.60}", _KEY))
        elif key in owners:
            found.append(_line(f"sites.{name!r:.60}", f"its key is that of '{owners[key]}'", "a key of its own"))
        else:
            owners[key] = name
    return found


def _policy_problems(right: Mapping[str, Any]) -> list[str]:
    policy, found = right["policy"], []
    for field in fields(Policy):
        value = getattr(policy, field.name)
        if isinstance(value, int) and value > 2**53:
            found.append(_line(f"policy.{field.name}", f"it is {value!r:.40}", "a number up to 2^53, or inf"))
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
}


# -- TOML --

_HEAD = """\
# A study of Sumwise. Every site reads this file and approves its digest: whatever is changed here, but for comments,
# spelling and order, makes another study. `sumwise study check` says in plain words what leaves a site.

"""


def to_toml(study: Study) -> str:
    """The study as a file for people."""
    values: dict[str, Any] = {"format": VERSION}
    for field in fields(Study):
        values[field.name] = getattr(study, field.name)
    values |= {
        "options": study.options.given(),
        "sites": {name: key.hex() for name, key in study.sites.items()},
        "coordinator": study.coordinator.hex(),
        "policy": {field.name: getattr(study.policy, field.name) for field in fields(Policy)},
        "results_to": list(study.results_to),
    }
    return _HEAD + tomli_w.dumps(values)


def from_toml(text: str, today: date | None = None) -> Study:
    """The study in a file.  today: for whether it has expired; None does not ask.

    Raises UsageError that names every problem: the key, what is wrong, what belongs there.
    """
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"a study file of {len(text)} characters is too long; at most {MOST_CHARACTERS} are possible")
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        twice = " A name that stands there twice?" if "overwrite" in str(error) or "twice" in str(error) else ""
        raise UsageError(f"the study file is no TOML: {error}.{twice}") from error
    known = ("format", *(field.name for field in fields(Study)))
    problems = _keys("", raw, known, known)
    if type(raw.get("format", VERSION)) is not int or raw.get("format", VERSION) != VERSION:
        problems.append(_line("format", f"it is {raw['format']!r:.40}", f"{VERSION}, which this version reads,"))
    values: dict[str, Any] = {}
    for key in known[1:]:
        if key in raw:
            values[key] = _READ[key](raw[key], problems) if key in _READ else raw[key]
    values = {key: value for key, value in values.items() if value is not None}
    problems += _problems(values)
    if today is not None and type(values.get("expires")) is date and values["expires"] < today:
        problems.append(_line("expires", f"{values['expires']} is past, today is {today}", "a day to come"))
    _raise(problems)
    return Study(**values)


def _keys(table: str, found: Mapping[str, Any], known: tuple[str, ...], needed: tuple[str, ...]) -> list[str]:
    prefix = f"{table}." if table else ""
    unknown = [f"{prefix}{key}: unknown; known are {', '.join(known)}" for key in found if key not in known]
    missing = [key for key in needed if key not in found]
    return unknown + [
        _line(f"{prefix}{key}", "it is missing", _BELONGS.get(f"{prefix}{key}", ("a number",))[0]) for key in missing
    ]


# each reads a raw value of the file; None for one that is a problem already named


def _read_key(value: Any, _problems: list[str]) -> Any:
    """Bytes of hex digits; anything else as it is, for `_problems` to name."""
    hexed = isinstance(value, str) and re.fullmatch("[0-9a-fA-F]{64}", value)
    return bytes.fromhex(value) if hexed else value


def _read_sites(value: Any, problems: list[str]) -> Any:
    return {name: _read_key(key, problems) for name, key in value.items()} if isinstance(value, dict) else value


def _read_options(value: Any, problems: list[str]) -> Any:
    if not isinstance(value, dict):
        return value
    known = tuple(field.name for field in fields(Options))
    problems += _keys("options", value, known, ())
    return Options(**{"missing": None, **{key: v for key, v in value.items() if key in known}})


def _read_policy(value: Any, problems: list[str]) -> Any:
    if not isinstance(value, dict):
        return value
    known = tuple(field.name for field in fields(Policy))
    problems += _keys("policy", value, known, known)
    right: dict[str, Any] = {}
    for key in known:
        try:
            right |= {key: value[key]} if Policy(**{key: value[key]}) else {}
        except KeyError:
            continue
        except UsageError:
            belongs = "true or false" if key == "only_expected" else "a number, zero or more,"
            problems.append(_line(f"policy.{key}", f"it is {value[key]!r:.60}", belongs))
    return Policy(**right) if len(right) == len(known) else None


def _read_day(value: Any, _problems: list[str]) -> Any:
    try:
        dashed = isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)
        return date.fromisoformat(value) if dashed else value
    except ValueError:
        return value


def _read_list(value: Any, _problems: list[str]) -> Any:
    return tuple(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else value


_READ: dict[str, Callable[[Any, list[str]], Any]] = {
    "options": _read_options,
    "sites": _read_sites,
    "coordinator": _read_key,
    "policy": _read_policy,
    "expires": _read_day,
    "results_to": _read_list,
}
