"""The NVFLARE side of `study run` and `site run`: the kit's process as long as the study takes."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sumwise.cli.watch import Watcher
from sumwise.engines.folder import read_ledger
from sumwise.errors import NothingNewError, SiteError, UsageError
from sumwise.protocol.study import Study
from sumwise.protocol.wire.messages import COORDINATOR, Abort, Finish, Message, Refuse, decode_signed
from sumwise.studies.site import OpenSite

if TYPE_CHECKING:
    from sumwise.engines.nvflare_federation import Federation

LAST_WORDS = 30.0
"""Seconds that a site stays after the study's end, for the server to hear that its job is done."""


def check_installed() -> None:
    """Raises UsageError without the extra."""
    if find_spec("nvflare") is None:
        raise UsageError("NVFLARE is not installed here: pip install 'sumwise[nvflare]'")


def run_server(kits: Path, study: Study, study_file: Path, key: Path, folder: Path, watcher: Watcher) -> None:
    """Start the server, wait for the sites, and follow the study to its end.  kits: what `study provision` made."""
    from sumwise.engines.nvflare_federation import SERVER, run_job

    federation = _federation(kits, tuple(study.sites))
    place = folder.resolve()
    opens = "sumwise.studies.centre:open_coordinator"
    federation.serves(SERVER, opens, study_file.resolve(), key.resolve(), folder=place)
    seconds = watcher.patience or float("inf")

    def tell(message: Message, size: int) -> None:
        watcher.watch(message, size, message.sender == COORDINATOR)

    with federation.up(SERVER):
        run_job(federation, place, tell, seconds)


def run_site(kit: Path, opened: OpenSite, study_file: Path, site_file: Path, watcher: Watcher) -> None:
    """Start the site's client, which dials out, and stay until the study has ended.  Its ledger tells what it says."""
    from sumwise.engines.nvflare import client_name
    from sumwise.engines.nvflare_federation import Federation

    name, study = opened.agent.name, opened.agent.terms.study
    if kit.resolve().name != client_name(name):
        raise UsageError(f"--kit {kit}: the kit of '{name}' is a folder called {client_name(name)}")
    federation = Federation(kit.resolve().parent, (name,))
    paths = (site_file.resolve(), study_file.resolve(), opened.mailbox.folder.resolve())
    federation.serves(name, "sumwise.studies.site:open_site", *paths)
    known = 0
    with federation.up(name):
        while True:
            entries = read_ledger(opened.book.path).entries
            for entry in entries[known:]:
                if entry.kind in ("study", "approval", "request") or entry.payload is None:
                    continue
                message = decode_signed(entry.payload)
                if message.study != study:
                    continue
                watcher.watch(message, len(entry.payload), message.sender == name)
                if isinstance(message, Finish | Abort | Refuse):
                    _wait_for_the_job(federation.kit(name))
                    return
            known = len(entries)
            if federation.running[name].poll() is not None:
                raise SiteError(
                    f"the client of '{name}' ended; {federation.log(name)} says why. Nothing is lost; run again"
                )
            if not watcher.wait((COORDINATOR,)):
                raise NothingNewError("the coordinator has said nothing new; run again when it has")


def _federation(kits: Path, sites: tuple[str, ...]) -> Federation:
    from sumwise.engines.nvflare_federation import ADMIN, Federation

    hosts = [path.parent.parent.name for path in kits.glob("*/startup/fed_server.json")]
    if len(hosts) != 1 or not (kits / ADMIN).is_dir():
        raise UsageError(f"--kits {kits}: a folder with the kits of the server and the administrator belongs there")
    return Federation(kits.resolve(), sites, hosts[0])


def _wait_for_the_job(kit: Path) -> None:
    """Until no process of a job is left, besides the client's own."""
    from sumwise.engines.nvflare_federation import family

    until = time.monotonic() + LAST_WORDS
    while len(family(kit)) > 1 and time.monotonic() < until:
        time.sleep(0.2)
