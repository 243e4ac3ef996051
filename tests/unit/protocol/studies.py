"""A study in memory: a coordinator and its sites, and everything that was said."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sumwise.loop import Model
from sumwise.models.glmm import RandomIntercept
from sumwise.models.glmm_site import Site
from sumwise.protocol.coordinator import Coordinator, CoordinatorState
from sumwise.protocol.keys import SiteKeys
from sumwise.protocol.site import SiteAgent, SiteState
from sumwise.protocol.states import Terms
from sumwise.protocol.wire.messages import COORDINATOR
from tests.unit.models.fitting import Rows, shipped

STUDY = hashlib.sha256(b"a study of the tests").digest()


LAST_DAY = date(2027, 1, 31)


def site_keys(name: str) -> SiteKeys:
    return SiteKeys.from_seed(hashlib.sha256(b"signs for " + name.encode()).digest())


def key(name: str) -> Ed25519PrivateKey:
    return site_keys(name).signing


def terms(sites: tuple[str, ...], most_rounds: int = 30, *, secure_sum: bool = False) -> Terms:
    keys = {name: key(name).public_key() for name in (COORDINATOR, *sites)}
    masks = {name: site_keys(name).masking.public_key() for name in sites} if secure_sum else None
    return Terms(STUDY, sites, keys, most_rounds, "1.0", LAST_DAY, masks)


def on_the_last_day() -> date:
    return LAST_DAY


def no_objection(_round: int, _question: Any) -> None:
    return None


@dataclass
class Study:
    """coordinator, agents; state of each; heard: envelopes that the coordinator heard, in order; told: that it sent."""

    coordinator: Coordinator
    agents: Mapping[str, SiteAgent]
    state: CoordinatorState
    sites: dict[str, SiteState]
    heard: list[bytes] = field(default_factory=list)
    told: list[bytes] = field(default_factory=list)

    def tell(self, envelopes: tuple[bytes, ...]) -> None:
        """To every site, and what they say back to the coordinator, until all is said."""
        self.told += envelopes
        for envelope in envelopes:
            for name, agent in self.agents.items():
                self.sites[name], said = agent.hear(self.sites[name], envelope)
                for answer in said:
                    self.hear(answer)

    def hear(self, envelope: bytes) -> None:
        self.state, said = self.coordinator.hear(self.state, envelope)
        self.heard.append(envelope)
        self.tell(said)


def study(
    model: Model,
    rows: Mapping[str, Any],
    policy: Callable[[int, Any], Any] = no_objection,
    most_rounds: int = 30,
    *,
    secure_sum: bool = False,
    today: Callable[[], date] = on_the_last_day,
) -> tuple[Study, tuple[bytes, ...]]:
    """A study that has not begun, and the coordinator's greeting."""
    of = terms(tuple(rows), most_rounds, secure_sum=secure_sum)
    coordinator = Coordinator(of, model, key(COORDINATOR))
    agents = {name: SiteAgent(of, name, site_keys(name), model, site, policy, today) for name, site in rows.items()}
    state, greeting = coordinator.start()
    return Study(coordinator, agents, state, {name: agent.start() for name, agent in agents.items()}), greeting


def ended() -> Study:
    """The study of the herds in memory, at its end."""
    model, rows, _ = herds()
    found, greeting = study(model, rows)
    found.tell(greeting)
    return found


def herds(sites: int = 3) -> tuple[RandomIntercept, dict[str, Site], Rows]:
    """cbpp with its herds dealt over sites; the model; and the pooled rows."""
    pooled = shipped("cbpp")
    parts = [pooled.of(np.arange(len(pooled.groups))[k::sites].tolist()) for k in range(sites)]
    return RandomIntercept(pooled.columns, "herd"), {f"site {k}": Site(part) for k, part in enumerate(parts)}, pooled
