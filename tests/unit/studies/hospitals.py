"""Hospitals of the tests: each with a table, a policy and a ledger, behind the agent and the guard that sites run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sumwise.data import Source, open_sites, version_and_places
from sumwise.disclosure.policy import OPEN, Policy
from sumwise.fitting.options import Options
from sumwise.loop import Model
from sumwise.protocol import ledger, requests
from sumwise.protocol.coordinator import Coordinator, CoordinatorState
from sumwise.protocol.ledger import Entry
from sumwise.protocol.site import SiteAgent
from sumwise.protocol.study import Study, to_toml
from sumwise.protocol.wire import payloads
from sumwise.protocol.wire.messages import COORDINATOR, Answer, Refuse, decode_signed
from sumwise.studies.draft import draft
from sumwise.studies.guard import Guard, guard_for
from sumwise.studies.plan import plan
from tests.unit.protocol.studies import LAST_DAY, key, on_the_last_day, site_keys


def study(
    formula: str,
    example: pd.DataFrame | Sequence[pd.DataFrame],
    sites: Sequence[str] = ("A", "B", "C"),
    *,
    policy: Policy = OPEN,
    units: Mapping[str, str] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    groups: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> Study:
    """A study of the sites.  example: tables that have all levels; policy: the least that sites ask for."""
    tables = [example] if isinstance(example, pd.DataFrame) else example
    return draft(
        formula,
        pd.concat(tables),
        id="a-study-of-the-tests",
        purpose="a test",
        options=Options(**options),
        sites={name: site_keys(name).public for name in sites},
        coordinator=key(COORDINATOR).public_key().public_bytes_raw(),
        expires=LAST_DAY,
        results_to=["the tests"],
        policy=policy,
        units=units,
        ranges=ranges,
        groups=groups,
    )


@dataclass
class Hospital:
    """name; table; policy: its own; entries: its ledger."""

    name: str
    table: pd.DataFrame
    policy: Policy
    entries: tuple[Entry, ...] = ()

    def note(self, kind: str, payload: bytes) -> None:
        self.entries = ledger.append(self.entries, kind, payload, kind)

    def guard(self, study: Study) -> tuple[Guard, Any]:
        """And who answers."""
        source = open_sites({self.name: self.table}, study.options.decimal)[self.name]
        ready = plan(study)
        block = ready.block(source)
        site = ready.method.site(ready.options, block)
        alike = open_sites({self.name: self.table}, decimal=False)[self.name]
        version, places = version_and_places(alike)

        def reopen(decimal: bool | None) -> Source:
            return open_sites({self.name: self.table}, decimal)[self.name]

        return guard_for(study, self.policy, source, block, site, self.entries, version, places, reopen), site

    def agent(self, study: Study, expects: Model | None = None) -> SiteAgent:
        """Who answers an approved study.  expects: in place of the study's own model."""
        guard, site = self.guard(study)
        self.note("study", to_toml(study).encode())
        self.note("request", requests.encode(guard.request))
        model = expects or plan(study).model
        return SiteAgent(study.terms(), self.name, site_keys(self.name), model, site, guard, on_the_last_day)


@dataclass
class Run:
    """What the coordinator, and whoever reads over its shoulder, got: summands by site, round after round; the sites
    that refused, with the rule; the words that stayed there.
    """

    state: CoordinatorState
    summands: dict[str, list[Any]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> Any:
        """Of the first round."""
        return payloads.decode(self.state.totals[0])


def run(
    study: Study, hospitals: Mapping[str, Hospital], asks: Model | None = None, expects: Model | None = None
) -> Run:
    """A study to its end.  asks, expects: in place of the study's own model at the coordinator, and at the sites."""
    coordinator = Coordinator(study.terms(), asks or plan(study).model, key(COORDINATOR))
    agents = {name: hospitals[name].agent(study, expects) for name in study.sites}
    states = {name: agent.start() for name, agent in agents.items()}
    state, said = coordinator.start()
    found = Run(state)
    while said:
        replies = []
        for envelope in said:
            for name, agent in agents.items():
                if states[name].ended is not None:
                    continue
                states[name], out = agent.hear(states[name], envelope)
                for reply in out:
                    match decode_signed(reply):
                        case Answer() as answer:
                            hospitals[name].note("answer", reply)
                            found.summands.setdefault(name, []).append(payloads.decode(answer.summand))
                        case Refuse() as refuse:
                            found.refused[name] = refuse.rule
                            found.words[name] = agent.policy.refused.words if agent.policy.refused else ""
                replies += out
        said = ()
        for reply in replies:
            if found.state.ended is None:
                found.state, more = coordinator.hear(found.state, reply)
                said = (*said, *more)
    return found


TARGET = 417
"""id of the row that is attacked; it lies at A."""


def tables(names: Sequence[str] = ("A", "B", "C"), n: int = 1000) -> dict[str, pd.DataFrame]:
    """n rows each: id, counted over all sites; x1 to x5 normal; age in years; y normal, event 0/1; clinic, ten a site;
    spoilt: normal, and missing in the target row.
    """
    out = {}
    for k, name in enumerate(names):
        rng = np.random.default_rng(k)
        x = {f"x{c}": rng.normal(size=n) for c in range(1, 6)}
        y = 0.3 * x["x1"] + rng.normal(size=n)
        event = (rng.random(n) < 1 / (1 + np.exp(-0.5 * x["x1"]))).astype(int)
        ids, age = np.arange(k * n, (k + 1) * n), rng.integers(18, 99, n)
        spoilt = np.where(ids == TARGET, np.nan, rng.normal(size=n))
        clinic = 10 * k + np.arange(n) % 10
        out[name] = pd.DataFrame(
            {"id": ids, **x, "age": age, "y": y, "event": event, "clinic": clinic, "spoilt": spoilt}
        )
    return out


def hospitals(policy: Policy, names: Sequence[str] = ("A", "B", "C")) -> dict[str, Hospital]:
    """With new ledgers."""
    return {name: Hospital(name, table, policy) for name, table in tables(names).items()}


@dataclass(frozen=True)
class Asking:
    """A model with one question, whatever the totals: of a coordinator who chooses what to ask."""

    question: Any

    def start(self) -> bool:
        return True

    def ask(self, open_: bool) -> Any:
        return self.question if open_ else None

    def step(self, _open: bool, _total: Any) -> bool:
        return False
