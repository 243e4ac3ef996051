"""Whole studies of the tests: files, keys, approvals, and every part in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sumwise.disclosure.policy import OPEN, Policy
from sumwise.engines.folder import LedgerFile, Mailbox, coordinate, serve
from sumwise.fitting.options import Options
from sumwise.protocol.coordinator import CoordinatorState
from sumwise.protocol.site import SiteState
from sumwise.protocol.study import Study, to_toml
from sumwise.results.fit import Fit
from sumwise.studies.approval import approve
from sumwise.studies.centre import open_coordinator, published
from sumwise.studies.draft import draft
from sumwise.studies.files import new_secret
from sumwise.studies.site import OpenSite, open_site
from sumwise.studies.site_file import new_site, read_site


@dataclass
class Federation:
    """where: the folder of it all; study; parts: rows by site; states: of the sites, once they have run."""

    where: Path
    study: Study
    parts: Mapping[str, pd.DataFrame]
    states: dict[str, SiteState] = field(default_factory=dict)

    @property
    def study_path(self) -> Path:
        return self.where / "study.toml"

    @property
    def messages(self) -> Path:
        return self.where / "messages"

    def ledger(self, site: str) -> Path:
        return self.where / site / f"{site}.ledger"

    def open(self, site: str) -> OpenSite:
        return open_site(self.where / site / "site.toml", self.study_path)

    def approve(self, site: str) -> None:
        approve(
            read_site(self.where / site / "site.toml"), self.study, to_toml(self.study), LedgerFile(self.ledger(site))
        )

    def run(self, seconds: float = 60.0) -> CoordinatorState:
        """Everybody at once, until the end."""
        until = time.monotonic() + seconds

        def wait(_names: tuple[str, ...]) -> bool:
            time.sleep(0.002)
            return time.monotonic() < until

        def answer(site: str) -> None:
            opened = self.open(site)
            self.states[site] = serve(opened.agent, opened.mailbox, opened.book, wait)

        with ThreadPoolExecutor(len(self.parts)) as pool:
            sites = [pool.submit(answer, site) for site in self.parts]
            state = coordinate(
                open_coordinator(self.study_path, self.where / "coordinator.key"), Mailbox(self.messages), wait
            )
            for site in sites:
                site.result()
        return state

    def fit(self) -> Fit:
        return published(self.study, self.run())


def federation(
    where: Path,
    formula: str,
    parts: Mapping[str, pd.DataFrame],
    *,
    policy: Policy = OPEN,
    secure_sum: bool = False,
    units: Mapping[str, str] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    groups: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> Federation:
    """A study that every site has approved."""
    public = {}
    for name, rows in parts.items():
        (where / name).mkdir(parents=True)
        rows.to_csv(where / name / "rows.csv", index=False)
        site, path = new_site(name, where / name, "../messages", {"csv": "rows.csv"})
        site.write_text(site.read_text().partition("\n[policy]")[0])  # the study's policy alone holds
        public[name] = bytes.fromhex(path.read_text())
    key = Ed25519PrivateKey.from_private_bytes(new_secret(where / "coordinator.key"))
    study = draft(
        formula,
        pd.concat(parts.values(), ignore_index=True),
        id="a-study",
        purpose="a test",
        options=Options(**options),
        sites=public,
        coordinator=key.public_key().public_bytes_raw(),
        expires=date.today() + timedelta(days=30),
        results_to=["the tests"],
        policy=policy,
        secure_sum=secure_sum,
        units=units,
        ranges=ranges,
        groups=groups,
    )
    (where / "study.toml").write_text(to_toml(study), encoding="utf-8")
    made = Federation(where, study, parts)
    for name in parts:
        made.approve(name)
    return made


def dealt(table: pd.DataFrame, sites: int, by: str | None = None) -> dict[str, pd.DataFrame]:
    """Rows, or whole groups of `by`, dealt over sites."""
    number = pd.Series(range(len(table)), index=table.index) if by is None else table.groupby(by).ngroup()
    return {f"site-{k:02d}": table[number % sites == k] for k in range(sites)}
