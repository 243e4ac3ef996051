"""A whole NVFLARE federation on this machine: real certificates, a server and clients as processes of their own.

What is provisioned here for a demonstration is what the project's administrator provisions for a study: one kit for
each organisation, which keeps the private key.  Kits made here allow nothing but a study: no code comes with a job, and
no class but Sumwise's own is made from one.
"""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import tomli_w
from nvflare.fuel.flare_api.api_spec import NoConnection
from nvflare.fuel.flare_api.flare_api import Session, new_secure_session
from nvflare.lighter.entity import Project
from nvflare.lighter.impl.cert import CertBuilder
from nvflare.lighter.impl.signature import SignatureBuilder
from nvflare.lighter.impl.static_file import StaticFileBuilder
from nvflare.lighter.impl.workspace import WorkspaceBuilder
from nvflare.lighter.provisioner import Provisioner

from sumwise.engines.folder import Mailbox
from sumwise.engines.nvflare import LOCAL, TASK, TROUBLE, client_name
from sumwise.errors import SiteError, UsageError
from sumwise.protocol.wire.messages import COORDINATOR, Abort, Finish, Message, decode_signed

SERVER, ADMIN = "server", "coordinator@study.org"
"""Of whom a kit is, besides the sites."""

CLASSES = ("sumwise.engines.nvflare.SumwiseServer", "sumwise.engines.nvflare.SumwiseSite")
AFTERWARDS = 30.0
"""Seconds that a job may take to end after its study has."""

_EVERY_RIGHT = ("submit_job", "clone_job", "manage_job", "download_job", "view", "operate", "shell_commands", "byoc")

Tell = Callable[[Message, int], None]
"""Called with each message of a study and its bytes, for whoever watches."""


@dataclass
class Federation:
    """folder: of the kits; sites: names in the study; host: of the server; running: processes by participant."""

    folder: Path
    sites: tuple[str, ...]
    host: str = "localhost"
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def kit(self, who: str) -> Path:
        """Of a site, SERVER or ADMIN."""
        return self.folder / {SERVER: self.host, ADMIN: ADMIN}.get(who, client_name(who))

    def log(self, who: str) -> Path:
        """What a participant's processes print."""
        return self.kit(who) / "printed.txt"

    def serves(self, who: str, opens: str, *given: Path | str, folder: Path | None = None) -> None:
        """Write what a participant serves: see engines/nvflare.py."""
        values: dict[str, Any] = {"opens": opens, "with": [str(path) for path in given]}
        if folder is not None:
            values["folder"] = str(folder)
        (self.kit(who) / "local" / LOCAL).write_text(tomli_w.dumps(values), encoding="utf-8")

    def start(self, who: str) -> None:
        """Start a site, or SERVER, as its kit would."""
        part, more = ("server", []) if who == SERVER else ("client", [f"uid={client_name(who)}"])
        command = [sys.executable, "-m", f"nvflare.private.fed.app.{part}.{part}_train", "-m", str(self.kit(who))]
        command += ["-s", f"fed_{part}.json", "--set", "secure_train=true", *more, "org=study", "config_folder=config"]
        if who == SERVER:
            _restrict_resources(self.kit(who))  # again: a kit may have been moved
        else:
            _restrict(self.kit(who), at_server=False)  # again: a site's rules are its own, whoever made the kit
        (self.kit(who) / "transfer").mkdir(exist_ok=True)
        with open(self.log(who), "ab") as printed:
            self.running[who] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, start_new_session=True
            )

    def kill(self, who: str) -> None:
        """All processes of a participant end at once, without a word."""
        while living := family(self.kit(who)):
            for process in living:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.running[who].poll()
            psutil.wait_procs(living, timeout=5)
        self.running.pop(who).wait()

    @contextmanager
    def up(self, *who: str) -> Iterator[None]:
        """Start these, and end whoever runs."""
        try:
            for each in who:
                self.start(each)
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        """Everybody."""
        for who in [*self.running]:
            self.kill(who)


def family(kit: Path) -> list[Any]:
    """The processes that run on a kit (psutil.Process): a participant's own and those of its jobs."""
    return [process for process in psutil.process_iter(["cmdline"]) if str(kit) in (process.info["cmdline"] or ())]


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def provision(folder: Path, sites: tuple[str, ...], host: str = "localhost", port: int | None = None) -> Federation:
    """Keys, certificates and kits for a server, an administrator and the sites; nothing runs yet.

    host, port: where sites reach the server; without a port one that is free on this machine.
    Raises UsageError for a folder that has kits.
    """
    where = folder / "study" / "prod_00"
    if where.exists():
        raise UsageError(f"{where} holds kits already, and they are not overwritten; name another folder, or move it")
    project = Project(name="study", description="a study of Sumwise", props={"api_version": 3})
    project.set_server(host, "study", {"fed_learn_port": port or free_port()})
    for site in sites:
        project.add_client(client_name(site), "study", {})
    project.add_admin(ADMIN, "study", {"role": "lead"})
    builders = [
        WorkspaceBuilder(["master_template.yml"]),
        StaticFileBuilder(config_folder="config"),
        CertBuilder(),
        SignatureBuilder(),
    ]
    Provisioner(str(folder), builders).provision(project, logger=_Quiet())
    made = Federation(where, sites, host)
    for who in (SERVER, *sites):
        _restrict(made.kit(who), at_server=who == SERVER)
    return made


class _Quiet:
    """Where provisioning writes what nobody reads."""

    def info(self, message: str) -> None: ...

    debug = warning = error = info


def _restrict(kit: Path, *, at_server: bool) -> None:
    """A participant's own rules: no code in jobs, no classes but ours, nothing stored outside the kit."""
    local = kit / "local"
    rights = {"submit_job": "any", "manage_job": "any"} | ({"view": "any", "operate": "any"} if at_server else {})
    permissions = {"lead": dict.fromkeys(_EVERY_RIGHT, "none") | rights}
    (local / "authorization.json").write_text(json.dumps({"format_version": "1.0", "permissions": permissions}))
    _restrict_resources(kit)


def _restrict_resources(kit: Path) -> None:
    local = kit / "local"
    resources = (local / "resources.json.default").read_text().replace('"/tmp/nvflare/', f'"{kit.resolve()}/')
    values = json.loads(resources) | {"class_allow_list": list(CLASSES), "allow_log_streaming": False}
    # NVFLARE sends a site's error logs to the server, with whatever a traceback has seen of the data
    values["components"] = [c for c in values["components"] if c["id"] not in ("site_log_streamer", "log_receiver")]
    (local / "resources.json").write_text(json.dumps(values, indent=1))


def write_job(folder: Path, sites: tuple[str, ...], **patience: float) -> Path:
    """A job: names of classes, sites and figures.  patience: of engines/nvflare.py SumwiseServer."""
    clients = [client_name(site) for site in sites]
    server, site = ({"path": path, "args": {}} for path in CLASSES)
    meta = {
        "name": "study",
        "resource_spec": {},
        "deploy_map": {"app": ["server", *clients]},
        "min_clients": len(clients),
        "mandatory_clients": clients,
    }
    config_server = {"format_version": 2, "workflows": [{"id": "study", **server, "args": patience}]}
    config_client = {"format_version": 2, "executors": [{"tasks": [TASK], "executor": site}]}
    config = folder / "app" / "config"
    config.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))
    (config / "config_fed_server.json").write_text(json.dumps(config_server, indent=1))
    (config / "config_fed_client.json").write_text(json.dumps(config_client, indent=1))
    return folder


@contextmanager
def session(federation: Federation, seconds: float = 60.0) -> Iterator[Session]:
    """The administrator's connection, as soon as the server lets it in."""
    try:
        with redirect_stdout(StringIO()):  # it says that it connects
            opened = new_secure_session(ADMIN, str(federation.kit(ADMIN)), timeout=seconds)
    except NoConnection as error:
        raise SiteError(f"the server did not start; {federation.log(SERVER)} says why") from error
    try:
        yield opened
    finally:
        opened.close()


def run_job(
    federation: Federation,
    messages: Path,
    tell: Tell = lambda _message, _size: None,
    seconds: float = 600.0,
    **patience: float,
) -> None:
    """Submit a job and follow it to its end.  messages: the folder that the server serves; patience: see `write_job`.

    tell is called with each message of the coordinator and of the sites, as it appears.  Raises SiteError, naming the
    site, for one that does not connect and for what ended the job before the study; running again goes on.
    """
    until = time.monotonic() + seconds
    logging.getLogger("nvflare").setLevel(logging.CRITICAL)  # it warns until the server is there
    with session(federation) as admin, tempfile.TemporaryDirectory() as place:
        _all_connected(federation, admin, until)
        job = admin.submit_job(str(write_job(Path(place) / "study", federation.sites, **patience)))
        mailbox, told = Mailbox(messages), dict.fromkeys((COORDINATOR, *federation.sites), 0)
        while True:
            status = str(admin.get_job_status(job))
            for _ in range(5):
                _tell_new(mailbox, told, tell)
                time.sleep(0.2)
            if "FINISHED" in status or "ABANDONED" in status:
                break
            if time.monotonic() > until:
                admin.abort_job(job)
                if _has_ended(mailbox, told[COORDINATOR]):
                    break
                raise SiteError(f"the job did not end within {seconds:g} seconds and was aborted; a new one goes on")
            if _has_ended(mailbox, told[COORDINATOR]):
                until = min(until, time.monotonic() + AFTERWARDS)
    if _has_ended(mailbox, told[COORDINATOR]):
        return  # whatever NVFLARE makes of the job
    trouble = messages / TROUBLE
    if trouble.exists():
        raise SiteError(trouble.read_text(encoding="utf-8").strip())
    if status != "FINISHED:COMPLETED":
        raise SiteError(f"the job ended as {status}; {federation.log(SERVER)} says why. Nothing is lost; run again.")


def _all_connected(federation: Federation, admin: Session, until: float) -> None:
    while True:
        there = {client.name for client in admin.get_connected_client_list()}
        away = [site for site in federation.sites if client_name(site) not in there]
        if not away:
            return
        if time.monotonic() > until:
            names = ", ".join(f"'{site}'" for site in away)
            raise SiteError(
                f"not connected to the server: {names}. Nothing was asked; see that they run, and run again"
            )
        time.sleep(0.2)


def _has_ended(mailbox: Mailbox, said: int) -> bool:
    """Whether the coordinator's last message is the study's end."""
    last = mailbox.read(COORDINATOR, said)
    return last is not None and isinstance(decode_signed(last), Finish | Abort)


def _tell_new(mailbox: Mailbox, told: dict[str, int], tell: Tell) -> None:
    for sender, known in told.items():
        for envelope in mailbox.since(sender, known):
            told[sender] += 1
            tell(decode_signed(envelope), len(envelope))
