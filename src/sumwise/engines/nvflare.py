"""A study over NVIDIA FLARE, which carries the mail of engines/mail.py and nothing else.

A job names the two classes below and no code: they come from the package that each organisation installed itself.  What
is served is not the job's to say either: a file of the installation does, `local/sumwise.toml`, of the server

    opens = "sumwise.studies.centre:open_coordinator"      # gives the coordinator
    with = ["/srv/study.toml", "/srv/coordinator.key"]     # what it is called with
    folder = "/srv/messages"                               # where the messages are kept

and of a site, whose function gives what engines/mail.py calls an OpenSite:

    opens = "sumwise.studies.site:open_site"
    with = ["/srv/site.toml", "/srv/study.toml"]

Sites dial out; the server puts its requests through the connection that stands.  A job that was killed is followed by a
new one over the same folders.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal

from sumwise.engines.folder import Mailbox
from sumwise.engines.mail import Centre, Desk, Patience, Reply, Request, Status, alone
from sumwise.errors import SiteError, SumwiseError, UsageError

TOPIC = "sumwise.mail"
TASK = "sumwise"
LOCAL = "sumwise.toml"
MOST_HOLD = 60.0
"""Seconds for which a site keeps a request open at most, whatever the server asks."""
TROUBLE = "trouble.txt"
"""In the folder of the messages: why the last job ended before the study did."""


def client_name(site: str) -> str:
    """A site's name as NVFLARE, which knows letters, digits and hyphens, can have it: other bytes as _20."""
    return "".join(c if c.isascii() and (c.isalnum() or c == "-") else _hexed(c) for c in site)


def _hexed(character: str) -> str:
    return "".join(f"_{byte:02X}" for byte in character.encode())


class SumwiseServer(Controller):  # type: ignore[misc]
    """The workflow of a job: the coordinator.  hold, grace, silence, pause: seconds, as in engines/mail.py Patience."""

    def __init__(self, hold: float = 5.0, grace: float = 5.0, silence: float = 60.0, pause: float = 0.1) -> None:
        super().__init__()
        self.patience = Patience(hold, grace, silence, pause)

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Nothing to do."""

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Nothing to do."""

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Run the study to its end; what is raised ends the job and is kept beside the messages."""
        path = _local(fl_ctx)
        folder = Path(_read(path, "folder"))
        trouble = folder / TROUBLE

        def carry(requests: Mapping[str, Request], seconds: float) -> Mapping[str, Reply]:
            replies = _carry(requests, seconds, fl_ctx.get_engine())
            if abort_signal.triggered:  # by a person, or by NVFLARE when the processes of a site have ended
                away = ", ".join(f"'{site}'" for site in requests if site not in replies) or "nobody"
                raise SiteError(
                    f"the job was aborted; it was waiting for {away}. Nothing is lost, and no sum was made without "
                    f"them; see that they run, and start a new job."
                )
            return replies

        folder.mkdir(parents=True, exist_ok=True)
        try:
            with alone(path):
                trouble.unlink(missing_ok=True)
                Centre(_opened(path), Mailbox(folder), carry, self.patience).run()
        except BlockingIOError:
            raise SiteError("another job serves this study; abort it, or wait for its end") from None
        except SumwiseError as error:
            trouble.write_text(f"{error}\n", encoding="utf-8")
            raise


class SumwiseSite(Executor):  # type: ignore[misc]
    """The part of a site in a job.  It takes no arguments: nothing here is the job's to say."""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Open the desk when the job starts."""
        if event_type == EventType.START_RUN:
            path = _local(fl_ctx)
            desk = Desk(lambda: _opened(path), path)

            def answer(topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:  # noqa: ARG001
                reply = desk.exchange(_request(request))
                return _shareable(status=str(reply.status), told=reply.told, envelopes=list(reply.envelopes))

            fl_ctx.get_engine().register_aux_message_handler(TOPIC, answer)

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:  # noqa: ARG002
        """There are no tasks: mail comes and goes at once, tasks are polled for."""
        return make_reply(ReturnCode.TASK_UNKNOWN)


def _local(fl_ctx: FLContext) -> Path:
    return Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_site_config_dir()) / LOCAL


def _read(path: Path, key: str) -> Any:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{path}: {error!r}; the file should say opens, with and, at the server, folder") from error


def _opened(path: Path) -> Any:
    module, _, name = _read(path, "opens").partition(":")
    return getattr(import_module(module), name)(*map(Path, _read(path, "with")))


# -- mail as NVFLARE carries it --


def _shareable(**values: Any) -> Shareable:
    made = Shareable()
    made.update(values)
    return made


def _carry(requests: Mapping[str, Request], seconds: float, engine: Any) -> dict[str, Reply]:
    """One request to each site, all at once.  (multicast_aux_requests would do that; in NVFLARE 2.9.0 it fails.)"""

    def put(site: str) -> Reply | None:
        name = client_name(site)
        with engine.new_context() as fl_ctx:
            replies = engine.send_aux_request([name], TOPIC, _posted(requests[site]), seconds, fl_ctx, optional=True)
        given = (replies or {}).get(name)
        return None if given is None or given.get_return_code() != ReturnCode.OK else _reply(site, given)

    with ThreadPoolExecutor(len(requests)) as pool:
        replies = dict(zip(requests, pool.map(put, requests), strict=True))
    return {site: reply for site, reply in replies.items() if reply is not None}


def _posted(request: Request) -> Shareable:
    return _shareable(
        after=request.after,
        envelopes=list(request.envelopes),
        have=request.have,
        hold=request.hold,
        proof=request.proof,
    )


def _envelopes(given: Mapping[str, Any]) -> tuple[bytes, ...]:
    found = given.get("envelopes")
    if not isinstance(found, list) or not all(isinstance(envelope, bytes) for envelope in found):
        raise ValueError("no list of envelopes")
    return tuple(found)


def _number(given: Mapping[str, Any], key: str) -> int:
    if type(given.get(key)) is not int or given[key] < 0:
        raise ValueError(f"no number '{key}'")
    return int(given[key])


def _request(given: Mapping[str, Any]) -> Request:
    hold = min(float(given["hold"]), MOST_HOLD)
    return Request(_number(given, "after"), _envelopes(given), _number(given, "have"), hold, bytes(given["proof"]))


def _reply(site: str, given: Mapping[str, Any]) -> Reply:
    try:
        return Reply(Status(str(given.get("status"))), _number(given, "told"), _envelopes(given))
    except ValueError as error:
        raise SiteError(f"the reply of '{site}' is no mail of a study: {error}; nothing was used") from error
