"""What server and sites of the NVFLARE tests serve: the study of the herds, as tests/unit/engines/part.py has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sumwise.engines.folder import LedgerFile, Mailbox
from sumwise.protocol.coordinator import Coordinator
from sumwise.protocol.site import SiteAgent
from tests.unit.engines import part
from tests.unit.protocol.studies import herds, study

SITES = ("site 0", "site 1", "site 2")


@dataclass(frozen=True)
class OpenSite:
    agent: SiteAgent
    book: LedgerFile
    mailbox: Mailbox


def open_coordinator(die: Path | None = None) -> Coordinator:
    """die: how many files until the process kills itself, as in part.py."""
    _dies(die)
    model, rows, _ = herds()
    return study(model, rows)[0].coordinator


def open_site(folder: Path, die: Path | None = None) -> OpenSite:
    """folder: of the site, named after it; die: as above."""
    _dies(die)
    model, rows, _ = herds()
    found, _ = study(model, rows)
    return OpenSite(found.agents[folder.name], LedgerFile(folder / "ledger"), Mailbox(folder / "messages"))


def _dies(die: Path | None) -> None:
    if die is not None:
        files = int(str(die))
        part._die(abs(files), before=files < 0)
