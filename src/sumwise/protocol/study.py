"""The study file: what everybody approves before anything is asked.  People read TOML; machines sign the digest.

    digest = SHA-256 of: "SUMS" | u8 version | text id | text purpose | text formula | text family
           | options, contract (plain values, plain.py) | items of (text name, raw[64] keys), the sites by name
           | raw[32] the coordinator's key | items of (text name, float64, perhaps infinite), the policy by name, true 1
           | flag secure_sum | u32 most_rounds | text expires, as 2027-01-31 | items of text, results_to | text software

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
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from sumwise.disclosure.policy import Policy
from sumwise.errors import UsageError, shown, shown_key
from sumwise.protocol import plain
from sumwise.protocol.keys import KEY_BYTES
from sumwise.protocol.states import Terms
from sumwise.protocol.study_problems import BELONGS, kind_of, line, problems_of, refuse, threshold_belongs
from sumwise.protocol.study_problems import Options as Options
from sumwise.protocol.wire.codec import Writer, digest
from sumwise.protocol.wire.messages import COORDINATOR

MAGIC = b"SUMS"
VERSION = 1

MOST_CHARACTERS = 1 << 22
"""Longest file that is read."""


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """id: a word; purpose, formula: text; family: of the response; what `kind` of model it is follows.

    contract: what data.Contract.to_dict gives, less what is None.  sites: name -> public keys (64 bytes, keys.py);
    coordinator: its Ed25519 public key (32 bytes); policy: the least that every site's own policy asks for; secure_sum:
    answers are masked, and the coordinator learns their total alone; most_rounds: after which the study ends; expires:
    the last day on which a site answers; results_to: who may see results; software: version of Sumwise.

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
    secure_sum: bool
    most_rounds: int
    expires: date
    results_to: tuple[str, ...]
    software: str

    def __post_init__(self) -> None:
        refuse(problems_of({field.name: getattr(self, field.name) for field in fields(self)}))
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
        to.raw(self.coordinator, KEY_BYTES)
        to.items(sorted(field.name for field in fields(Policy)), self._write_threshold)
        to.flag(self.secure_sum)
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

    @property
    def kind(self) -> str:
        """Which of OPTIONS the model is."""
        return kind_of(self.family, self.options, self.contract)

    def terms(self) -> Terms:
        """What both machines know of the study."""
        keys = {COORDINATOR: self.coordinator, **{name: key[:KEY_BYTES] for name, key in self.sites.items()}}
        public = {name: Ed25519PublicKey.from_public_bytes(key) for name, key in keys.items()}
        masks = {name: X25519PublicKey.from_public_bytes(key[KEY_BYTES:]) for name, key in self.sites.items()}
        return Terms(
            self.digest(),
            tuple(self.sites),
            public,
            self.most_rounds,
            self.software,
            self.expires,
            masks if self.secure_sum else None,
        )


def _write_site(to: Writer, site: tuple[str, bytes]) -> None:
    to.text(site[0])
    to.raw(site[1], 2 * KEY_BYTES)


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
        problems.append(line("format", f"it is {shown(raw['format'])}", f"{VERSION}, which this version reads,"))
    values: dict[str, Any] = {}
    for key in known[1:]:
        if key in raw:
            values[key] = _READ[key](raw[key], problems) if key in _READ else raw[key]
    values = {key: value for key, value in values.items() if value is not None}
    problems += problems_of(values)
    if today is not None and type(values.get("expires")) is date and values["expires"] < today:
        problems.append(line("expires", f"{values['expires']} is past, today is {today}", "a day to come"))
    refuse(problems)
    return Study(**values)


def _keys(table: str, found: Mapping[str, Any], known: tuple[str, ...], needed: tuple[str, ...]) -> list[str]:
    prefix = f"{table}." if table else ""
    unknown = [f"{prefix}{shown_key(key)}: unknown; known are {', '.join(known)}" for key in found if key not in known]
    missing = [key for key in needed if key not in found]
    return unknown + [
        line(f"{prefix}{key}", "it is missing", BELONGS.get(f"{prefix}{key}", ("a number",))[0]) for key in missing
    ]


# each reads a raw value of the file; None for one that is a problem already named


def _read_key(value: Any, _problems: list[str]) -> Any:
    """Bytes of hex digits; anything else as it is, for `problems_of` to name."""
    hexed = isinstance(value, str) and re.fullmatch("([0-9a-fA-F]{64}){1,2}", value)
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
    there = [key for key in known if key in value]
    wrong = {key: belongs for key in there if (belongs := threshold_belongs(key, value[key]))}
    problems += [line(f"policy.{key}", f"it is {shown(value[key])}", belongs) for key, belongs in wrong.items()]
    return Policy(**{key: value[key] for key in known}) if len(there) == len(known) and not wrong else None


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
