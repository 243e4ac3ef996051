"""A study through files in a folder that everybody can reach, shared or carried by hand.

    folder / coordinator / 000001.msg, 000002.msg, ...        what the coordinator said, in order
    folder / <site> / 000001.msg, ...                         what each site said

A file is one signed envelope, named by its sequence number, and appears whole or not at all.  Nobody ever writes into
another's folder.  Whoever starts again reads everything from the first file on and stands where it stood: what the
machines say follows from what they heard.  A site writes its ledger before it sends.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from sumwise.errors import ProtocolError, SiteError
from sumwise.protocol import ledger
from sumwise.protocol.coordinator import Coordinator, CoordinatorState
from sumwise.protocol.messages import COORDINATOR, Answer, decode_signed
from sumwise.protocol.site import SiteAgent, SiteState
from sumwise.protocol.states import Phase

Wait = Callable[[tuple[str, ...]], bool]
"""Called with the names that are waited for when there is nothing to read; False gives up."""

_ENDED = (Phase.FINISHED, Phase.ABORTED)


class Mailbox:
    """The folder.  Raises SiteError for a file that is there and differs from what is to be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sender: str, number: int) -> Path:
        """Where a sender's envelope lies."""
        return self.folder / quote(sender, safe=" ") / f"{number:06d}.msg"

    def read(self, sender: str, number: int) -> bytes | None:
        """An envelope, None while it is not there."""
        try:
            return self.path(sender, number).read_bytes()
        except FileNotFoundError:
            return None

    def post(self, sender: str, number: int, envelope: bytes) -> None:
        """Write an envelope.  One that is there already must be the same: then a restart says what was said before."""
        path, before = self.path(sender, number), self.read(sender, number)
        if before == envelope:
            return
        if before is not None:
            raise SiteError(
                f"{path} holds another message than '{sender}' would send now: the folder belongs to another run of "
                f"the study, or somebody changed it. Nothing was overwritten; use an empty folder for a new run."
            )
        write_whole(path, envelope)


def write_whole(path: Path, data: bytes) -> None:
    """The file appears with all of its bytes, on the disk, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


class LedgerFile:
    """A site's ledger on disk: read and checked when opened, one frame longer at each entry.

    Raises ProtocolError for a ledger that was changed; a last frame that a crash left unfinished is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        found = ledger.parse(path.read_bytes() if path.exists() else b"")
        self.entries = found.entries
        if found.torn:
            with open(path, "r+b") as file:
                file.truncate(found.standing)

    def append(self, kind: str, payload: bytes, summary: str) -> None:
        """Returns when the entry is on the disk."""
        entries = ledger.append(self.entries, kind, payload, summary)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        before = self.path.stat().st_size if self.path.exists() else 0
        try:
            with open(self.path, "ab") as file:
                file.write(entries[-1].frame())
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            if self.path.exists():
                os.truncate(self.path, before)  # a full disk leaves a piece; what it would have said is not sent
            raise
        self.entries = entries

    def answers(self, study: bytes) -> dict[int, bytes]:
        """Envelopes that answered rounds of a study, by round."""
        found = {}
        for entry in self.entries:
            if entry.kind == "answer" and entry.payload is not None:
                message = decode_signed(entry.payload)
                if isinstance(message, Answer) and message.study == study:
                    found[message.round] = entry.payload
        return found


def coordinate(coordinator: Coordinator, mailbox: Mailbox, wait: Wait) -> CoordinatorState:
    """Run a study to its end, from wherever the folder says it stands.

    Raises SiteError, naming file and site, for a file that cannot be trusted, and when `wait` gives up: the study
    stands, and running again goes on.
    """
    state, said = coordinator.start()
    _post(mailbox, COORDINATOR, 0, said)
    while state.phase not in _ENDED:
        heard = False
        for site in coordinator.terms.sites:
            number = state.seen.get(site, 0) + 1
            envelope = mailbox.read(site, number)
            if envelope is None or state.phase in _ENDED:
                continue
            sent, heard = state.sent, True
            try:
                state, said = coordinator.hear(state, envelope)
            except ProtocolError as error:
                raise _untrusted(mailbox.path(site, number), site, error) from error
            _post(mailbox, COORDINATOR, sent, said)
        if not heard and not wait(coordinator.missing(state)):
            names = ", ".join(f"'{name}'" for name in coordinator.missing(state))
            raise SiteError(
                f"round {state.round} is open: no answer from {names}. Nothing is lost, and no sum was made without "
                f"them; run again when they have answered, or make a new study without them."
            )
    return state


def serve(agent: SiteAgent, mailbox: Mailbox, book: LedgerFile, wait: Wait) -> SiteState:
    """Answer a study's questions to its end, from wherever folder and ledger say it stands.  Raises as `coordinate`."""
    state = agent.start(book.answers(agent.terms.study))
    while state.phase not in _ENDED:
        number = state.seen + 1
        envelope = mailbox.read(COORDINATOR, number)
        if envelope is None:
            if not wait((COORDINATOR,)):
                raise SiteError("the coordinator has said nothing new; run again when it has")
            continue
        sent = state.sent
        try:
            after, said = agent.hear(state, envelope)
        except ProtocolError as error:
            raise _untrusted(mailbox.path(COORDINATOR, number), COORDINATOR, error) from error
        if after.round > state.round and after.round not in state.answers:
            book.append("answer", after.answers[after.round], f"answer of round {after.round}")
        state = after
        _post(mailbox, agent.name, sent, said)
    return state


def _post(mailbox: Mailbox, sender: str, sent: int, envelopes: tuple[bytes, ...]) -> None:
    for number, envelope in enumerate(envelopes, sent + 1):
        mailbox.post(sender, number, envelope)


def _untrusted(path: Path, sender: str, error: ProtocolError) -> SiteError:
    return SiteError(
        f"{path}: {error}. Nothing of it was used, and the study stands; ask '{sender}' to send this file again."
    )
