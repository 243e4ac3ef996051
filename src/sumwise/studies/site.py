"""A site at work: its rows, its keys, its ledger and its policy behind one agent that answers an approved study."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sumwise.data import DesignBlock, open_site_data, version_and_places
from sumwise.data.source import Source
from sumwise.disclosure.policy import Refusal
from sumwise.engines.folder import LedgerFile, Mailbox
from sumwise.engines.local import LocalEngine
from sumwise.errors import DataError, SiteError, SumwiseError, UsageError
from sumwise.fitting.method import Here
from sumwise.protocol import requests
from sumwise.protocol.site import SiteAgent, SiteState
from sumwise.protocol.states import Phase
from sumwise.protocol.study import Study
from sumwise.results.fit import Fit
from sumwise.studies.approval import check_belongs, is_approved
from sumwise.studies.check import Finding, compare
from sumwise.studies.files import read_study
from sumwise.studies.guard import Guard, answered_as, guard_for
from sumwise.studies.plan import Plan, check_software, plan
from sumwise.studies.result import result
from sumwise.studies.site_file import SiteFile, read_site


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A site's rows for one study.  findings: against the contract; block: None where they do not allow one, and fault
    says why.
    """

    site: SiteFile
    study: Study
    plan: Plan
    findings: list[Finding]
    block: DesignBlock | None
    fault: str
    guard: Guard | None
    answering: Any


@dataclass(frozen=True, slots=True, eq=False)
class OpenSite:
    """An agent with its ledger and its folder of messages; the rest is for the result at the site."""

    agent: SiteAgent
    book: LedgerFile
    mailbox: Mailbox
    prepared: Prepared

    def refused(self) -> Refusal | None:
        """What the policy refused last, with its figure: for the steward's eyes alone."""
        return None if self.prepared.guard is None else self.prepared.guard.refused

    def result(self, state: SiteState) -> Fit:
        """The fit, with the effects of the groups of this site.  Raises SiteError for a study without a result."""
        if state.phase is not Phase.FINISHED:
            raise SiteError(f"study '{self.prepared.study.id}' {state.phase.value}")
        name, ready = self.agent.name, self.prepared
        if state.changed:
            raise SiteError(
                f"study '{ready.study.id}' finished, but the rows of '{name}' are no longer those that answered it: "
                f"there is no result to show here. Bring the data back as they were and run again, or ask whoever "
                f"coordinates for the result"
            )
        assert ready.block is not None
        here = Here(blocks={name: ready.block}, sites={name: ready.answering})
        return result(ready.study, ready.plan, state.totals, here)


class _Answering:
    """The rows, answering on all processors."""

    def __init__(self, name: str, site: Any) -> None:
        self._engine = LocalEngine({name: site})

    def answer(self, question: Any) -> Any:
        """The summand."""
        return self._engine.total(question)


def prepare(site: SiteFile, study: Study, book: LedgerFile) -> Prepared:
    """Reads the rows and compares them with the contract; nothing leaves.

    Raises UsageError, SiteError and DataError for data that cannot be read at all.
    """
    check_software(study)
    planned = plan(study)

    def opened(decimal: bool | None) -> Source:
        return open_site_data(site.name, site.data, site.where, decimal)

    source = opened(planned.options.decimal)
    findings, fault = compare(study, source, site.units, site.columns), ""
    block = guard = answering = None
    if not any(finding.wrong for finding in findings):
        try:
            block = planned.block(source)
        except SumwiseError as error:
            fault = str(error)
        else:
            answering = planned.method.site(planned.options, block)
            known = version_and_places(source)
            guard = guard_for(study, site.policy, source, block, answering, book.entries, *known, opened)
    return Prepared(site, study, planned, findings, block, fault, guard, answering)


def open_site(site_path: Path, study_path: Path, folder: Path | None = None) -> OpenSite:
    """folder: of the messages, if not the one that the site file names.

    Raises UsageError for a study that is not approved here, or not of this site; DataError for rows that break the
    contract; and what `prepare` raises.
    """
    site = read_site(site_path)
    study, _ = read_study(study_path)
    keys, book = site.keys(), LedgerFile(site.ledger)
    check_belongs(site, keys, study)
    if not is_approved(study, keys, book):
        raise UsageError(
            f"study '{study.id}' ({study.digest().hex()[:12]}) is not approved at '{site.name}': read what leaves with "
            f"sumwise site approve {study_path}, and say yes there"
        )
    ready = prepare(site, study, book)
    wrong = [finding for finding in ready.findings if finding.wrong]
    if wrong or ready.guard is None:
        first = f"{wrong[0].column}: {wrong[0].here}; agreed is {wrong[0].agreed}" if wrong else ready.fault
        raise DataError(
            f"the rows of '{site.name}' do not fit the contract of study '{study.id}': {first}. All differences: "
            f"sumwise site check {study_path}"
        )
    request = ready.guard.request
    asked = [entry.payload for entry in book.entries if entry.kind == "request" and entry.payload is not None]
    if requests.encode(request) not in [p for p in asked if requests.decode(p).study == request.study][-1:]:
        version = request.data.hex()[:12]
        book.append("request", requests.encode(request), f"study '{study.id}' asks about data version {version}")
    agent = SiteAgent(
        study.terms(),
        site.name,
        keys,
        ready.plan.model,
        _Answering(site.name, ready.answering),
        ready.guard,
        date.today,
        changed=bool(answered_as(book.entries, study.digest()) - {request}),
    )
    return OpenSite(agent, book, Mailbox(folder or site.folder), ready)


def foreseen(ready: Prepared) -> tuple[Refusal, ...]:
    """The refusals that the rows themselves would bring, whatever the question."""
    return () if ready.guard is None else ready.guard.before(1)
