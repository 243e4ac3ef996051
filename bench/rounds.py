"""python -m bench.rounds [--studies N]: what a round of a study costs beside its sums, by engine.

A study of cbpp over three sites is run N times by each engine.  A round is the time from one question of the
coordinator to the next.  In memory, the same machines take turns and nothing is written or sent: that is what no engine
can save, and what is above its median is the engine's own.  All is on this machine: nothing is measured of a network.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import click
from tests.unit.engines.nvflare_parts import SITES, OpenSite, open_coordinator, open_site
from tests.unit.protocol.studies import herds, study

from bench import report
from sumwise.engines.folder import Mailbox, coordinate, serve
from sumwise.engines.mail import Centre, Desk, Patience, Reply, Request
from sumwise.protocol.wire.messages import COORDINATOR, Ask, decode_signed

TARGETS = {"files, a process each": 50.0, "NVFLARE on loopback": 300.0}
"""Milliseconds that a round may cost at the median."""


def _gaps(times: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]


def _rounds(messages: Path) -> list[float]:
    """Seconds from each question to the next, by the times of the coordinator's files."""
    mailbox, times, number = Mailbox(messages), [], 1
    while (envelope := mailbox.read(COORDINATOR, number)) is not None:
        if isinstance(decode_signed(envelope), Ask):
            times.append(mailbox.path(COORDINATOR, number).stat().st_mtime)
        number += 1
    return _gaps(times)


def in_memory(_where: Path) -> list[float]:
    """The sums, the steps and the signatures alone."""
    model, rows, _ = herds()
    found, greeting = study(model, rows)
    queue, times = [*greeting], []
    while queue:
        envelope = queue.pop(0)
        if isinstance(decode_signed(envelope), Ask):
            times.append(time.perf_counter())
        for name, agent in found.agents.items():
            found.sites[name], answers = agent.hear(found.sites[name], envelope)
            for answer in answers:
                found.state, said = found.coordinator.hear(found.state, answer)
                queue += said
    return _gaps(times)


def _site(where: Path, name: str) -> OpenSite:
    (where / name).mkdir(exist_ok=True)
    return open_site(where / name)


def files_one_process(where: Path) -> list[float]:
    """Coordinator and sites are threads that look for files every millisecond."""
    mailbox = Mailbox(where / "messages")

    def wait(_names: tuple[str, ...]) -> bool:
        time.sleep(0.001)
        return True

    sites = [_site(where, name) for name in SITES]
    threads = [threading.Thread(target=serve, args=(site.agent, mailbox, site.book, wait)) for site in sites]
    for thread in threads:
        thread.start()
    coordinate(open_coordinator(), mailbox, wait)
    for thread in threads:
        thread.join()
    return _rounds(mailbox.folder)


def files_processes(where: Path) -> list[float]:
    """Processes that look for files every ten milliseconds."""
    command = [sys.executable, "-m", "tests.unit.engines.part", str(where)]
    running = [subprocess.Popen([*command, name]) for name in (COORDINATOR, *SITES)]
    if any(process.wait(60) for process in running):
        raise click.ClickException("a part of the study through files failed")
    return _rounds(where / "shared")


def mail_one_process(where: Path) -> list[float]:
    """What NVFLARE carries, handed over in this process."""
    sites = {name: _site(where, name) for name in SITES}
    desks = {name: Desk(lambda site=site: site, where / name / "lock") for name, site in sites.items()}  # type: ignore[misc]

    def carry(requests: Mapping[str, Request], _seconds: float) -> dict[str, Reply]:
        with ThreadPoolExecutor(len(requests)) as pool:
            return dict(
                zip(requests, pool.map(lambda name: desks[name].exchange(requests[name]), requests), strict=True)
            )

    Centre(open_coordinator(), Mailbox(where / "messages"), carry, Patience()).run()
    return _rounds(where / "messages")


def nvflare_rounds(studies: int, where: Path) -> list[float]:
    """One federation of real processes with mutual TLS, a job for each study."""
    from sumwise.engines.nvflare_federation import SERVER, provision, run_job

    federation, found = provision(where, SITES), []
    parts = "tests.unit.engines.nvflare_parts"
    try:
        for who in (SERVER, *SITES):
            federation.start(who)
        for k in range(studies):
            place = where / f"study {k}"
            federation.serves(SERVER, f"{parts}:open_coordinator", folder=place / "messages")
            for name in SITES:
                (place / name).mkdir(parents=True)
                federation.serves(name, f"{parts}:open_site", place / name)
            run_job(federation, place / "messages")
            found += _rounds(place / "messages")
    finally:
        federation.stop()
    return found


ENGINES: dict[str, Callable[[Path], list[float]]] = {
    "files, one process": files_one_process,
    "files, a process each": files_processes,
    "mail, one process": mail_one_process,
}


def _repeated(engine: Callable[[Path], list[float]], studies: int) -> list[float]:
    found = []
    for _ in range(studies):
        with tempfile.TemporaryDirectory() as place:
            found += engine(Path(place))
    return found


def table(found: Mapping[str, list[float]]) -> str:
    """Milliseconds above the median in memory: median, p95, target."""
    least = statistics.median(found["in memory"])
    lines = ["| engine | rounds | median, ms | p95, ms | target, ms | |", "|---|---|---|---|---|---|"]
    for name, seconds in found.items():
        own = sorted(1000 * (s - (least if name != "in memory" else 0.0)) for s in seconds)
        median, p95 = statistics.median(own), own[min(len(own) - 1, int(0.95 * len(own)))]
        target = TARGETS.get(name)
        verdict = "" if target is None else "met" if median <= target else "missed"
        lines.append(f"| {name} | {len(own)} | {median:.1f} | {p95:.1f} | {target or '':.4} | {verdict} |")
    return "\n".join(lines)


@click.command()
@click.option("--studies", default=5, show_default=True, help="Studies of 7 rounds that each engine runs.")
@click.option(
    "--nvflare/--no-nvflare", "with_nvflare", default=True, help="NVFLARE takes a quarter of a minute a study."
)
def main(studies: int, with_nvflare: bool) -> None:
    """Prints a round's own cost by engine; the first line is the cost of the sums themselves."""
    found = {"in memory": _repeated(in_memory, studies)}
    for name, engine in ENGINES.items():
        found[name] = _repeated(engine, studies)
    if with_nvflare:
        try:
            with tempfile.TemporaryDirectory() as place:
                found["NVFLARE on loopback"] = nvflare_rounds(studies, Path(place))
        except ModuleNotFoundError:
            click.echo("NVFLARE: skipped: not installed", err=True)
    machine = report.machine()
    click.echo(f"{machine['date']}. {machine['processor']}. {machine['system']}.\n")
    click.echo(table(found))


if __name__ == "__main__":
    main()
