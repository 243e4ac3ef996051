"""A study through files in a folder that everybody can reach, shared or carried by hand.

    folder / coordinator / 000001.msg, 000002.msg, ...        what the coordinator said, in order
    folder / <site> / 000001.msg, ...                         what each site said

A file is one signed envelope, named by its sequence number, and appears whole or not at all.  Nobody ever writes into
another's folder.  Whoever starts again reads everything from the first file on and stands where it stood: what the
machines say follows from what they heard.  A site writes its ledger before it sends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from sumwise.errors import NothingNewError, ProtocolError, SiteError, UsageError
from sumwise.protocol import ledger
from sumwise.protocol.coordinator import Coordinator, CoordinatorState
from sumwise.protocol.site import SiteAgent, SiteState
from sumwise.protocol.states import Phase
from sumwise.protocol.wire.codec import digest
from sumwise.protocol.wire.messages import (
    COORDINATOR,
    MOST_BYTES,
    Abort,
    Answer,
    Finish,
    Message,
    Total,
    decode_signed,
    kind_of,
)

Wait = Callable[[tuple[str, ...]], bool]
"""Called with the names that are waited for when there is nothing to read; False gives up."""

Watch = Callable[[Message, int, bool], None]
"""Called with each message that is heard or said, its bytes, and whether it is said: for whoever watches."""

Confirm = Callable[[Message, int], bool]
"""Called with a message and its bytes before it leaves for the first time; False keeps it here."""

ENDED = (Phase.FINISHED, Phase.ABORTED)


def unwatched(_message: Message, _size: int, _said: bool) -> None:
    """Nobody watches."""


def file_name(name: str) -> str:
    """A name as that of a file: never a path, nor a hidden file."""
    return quote(name, safe=" ").replace(".", "%2E")


class Mailbox:
    """The folder.  Raises SiteError for a file that is there and differs from what is to be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sender: str, number: int) -> Path:
        """Where a sender's envelope lies."""
        return self.folder / file_name(sender) / f"{number:06d}.msg"

    def read(self, sender: str, number: int) -> bytes | None:
        """An envelope, None while it is not there.  Raises SiteError for what no message can be, before it is read."""
        path = self.path(sender, number)
        try:
            return _read_plain(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SiteError(f"{path} cannot be read: {error.strerror}") from error

    def since(self, sender: str, have: int = 0) -> tuple[bytes, ...]:
        """A sender's envelopes after the first `have`, up to the first that is not there.  Raises as `read`."""
        found: list[bytes] = []
        while (envelope := self.read(sender, have + len(found) + 1)) is not None:
            found.append(envelope)
        return tuple(found)

    def post(self, sender: str, number: int, envelope: bytes) -> None:
        """Write an envelope.  One that is there already must be the same: then a restart says what was said before."""
        path, before = self.path(sender, number), self.read(sender, number)
        if before == envelope:
            return
        if before is not None:
            raise SiteError(
                f"{path} holds another message than '{sender}' would send now: the folder belongs to another "
                f"study or another run of this one, or somebody changed it. Nothing was overwritten; use an empty "
                f"folder for a new run."
            )
        try:
            write_whole(path, envelope)
        except OSError as error:
            raise SiteError(
                f"{path} cannot be written ({error.strerror}); nothing is lost: make room or rights, and run again"
            ) from error


def _read_plain(path: Path) -> bytes:
    """A file that others may have laid there: no link is followed, no pipe waited for, and no more is read than a
    message can have.
    """
    wrong = SiteError(f"{path} is no message: it is no file, or longer than {MOST_BYTES} bytes; remove it")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise wrong from error
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
        os.close(descriptor)
        raise wrong
    with open(descriptor, "rb") as file:
        return file.read(found.st_size)


def write_whole(path: Path, data: bytes) -> None:
    """The file appears with all of its bytes, on the disk, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # others may write to the folder: whatever lies there under a name that they guessed is not written through
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def check_private(path: Path, what: str) -> None:
    """Raises UsageError for a file that others than its owner can read or write."""
    if path.stat().st_mode & 0o077:
        raise UsageError(
            f"{what} {path} can be read or written by others than its owner; run chmod 600 {path}, and find out who "
            f"had access"
        )


def read_ledger(path: Path) -> ledger.Ledger:
    """A ledger as it stands on the disk; empty where there is none.  Raises ProtocolError for one that was changed."""
    try:
        return ledger.parse(path.read_bytes() if path.exists() else b"")
    except ProtocolError as error:
        raise ProtocolError(f"{path}: {error}; it is no ledger, or was changed: restore it from a copy") from error


class LedgerFile:
    """A site's ledger on disk: read and checked when opened, one frame longer at each entry, its owner's alone.

    Raises ProtocolError for a ledger that was changed, UsageError for one that others can read or write; a last frame
    that a crash left unfinished is cut off before the next is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists():
            check_private(path, "the ledger")
        found = read_ledger(path)
        self.entries = found.entries
        self._held = {entry.payload_hash for entry in found.entries}
        self._standing, self._torn = found.standing, found.torn

    def append(self, kind: str, payload: bytes, summary: str) -> None:
        """Returns when the entry is on the disk.

        Raises SiteError where it cannot be, and where another process has written to the ledger since it was opened.
        """
        entries = ledger.append(self.entries, kind, payload, summary)
        frame = entries[-1].frame()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                self._write(file, frame)
        except OSError as error:
            raise SiteError(
                f"the ledger {self.path} cannot be written ({error.strerror}), so nothing was sent; nothing is lost: "
                f"make room or rights, and run again"
            ) from error
        self.entries, self._standing, self._torn = entries, self._standing + len(frame), 0
        self._held.add(entries[-1].payload_hash)

    def _write(self, file: BinaryIO, frame: bytes) -> None:
        if file.seek(0, os.SEEK_END) != self._standing + self._torn:
            raise SiteError(
                f"another process has written to the ledger {self.path} meanwhile, so nothing was sent: let one "
                f"process of the site run at a time, and run again"
            )
        file.truncate(self._standing)
        try:
            file.write(frame)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            file.truncate(self._standing)  # a full disk leaves a piece
            raise

    def holds(self, payload: bytes) -> bool:
        """Whether an entry has this payload."""
        return digest(payload) in self._held

    def note(self, envelope: bytes, *, said: bool) -> None:
        """An entry for a message of a study, unless it is there already: what is said again was said before."""
        if self.holds(envelope):
            return
        message = decode_signed(envelope)
        name = kind_of(message).name
        round_ = f" of round {number}" if (number := getattr(message, "round", None)) else ""
        how = "left" if said else f"came from '{message.sender}'"
        self.append(name.replace(" ", "-"), envelope, f"{name}{round_}, {len(envelope)} bytes, {how}")

    def answers(self, study: bytes) -> dict[int, bytes]:
        """Envelopes that answered rounds of a study, by round."""
        found = {}
        for entry in self.entries:
            if entry.kind == "answer" and entry.payload is not None:
                message = decode_signed(entry.payload)
                if isinstance(message, Answer) and message.study == study:
                    found[message.round] = entry.payload
        return found


def coordinate(coordinator: Coordinator, mailbox: Mailbox, wait: Wait, watch: Watch = unwatched) -> CoordinatorState:
    """Run a study to its end, from wherever the folder says it stands.

    Raises SiteError, naming file and site, for a file that cannot be trusted; NothingNewError when `wait` gives up: the
    study stands, and running again goes on.
    """
    state, said = coordinator.start()
    _post(mailbox, COORDINATOR, 0, said, watch)
    while state.phase not in ENDED:
        heard = False
        for site in coordinator.terms.sites:
            number = state.seen.get(site, 0) + 1
            if site not in coordinator.missing(state):
                continue  # whatever else it has said belongs to a later round
            envelope = mailbox.read(site, number)
            if envelope is None:
                continue
            sent, heard = state.sent, True
            try:
                state, said = coordinator.hear(state, envelope)
                if state.seen.get(site) != number:
                    raise ProtocolError(f"a message of '{decode_signed(envelope).sender}' lies there")
            except ProtocolError as error:
                raise _untrusted(mailbox.path(site, number), site, error) from error
            watch(decode_signed(envelope), len(envelope), False)
            _post(mailbox, COORDINATOR, sent, said, watch)
        if not heard and not wait(coordinator.missing(state)):
            names = ", ".join(f"'{name}'" for name in coordinator.missing(state))
            raise NothingNewError(
                f"round {state.round} is open: no answer from {names}. Nothing is lost, and no sum was made without "
                f"them; run again when they have answered, or make a new study without them."
            )
    return state


def serve(
    agent: SiteAgent,
    mailbox: Mailbox,
    book: LedgerFile,
    wait: Wait,
    watch: Watch = unwatched,
    confirm: Confirm = lambda _message, _size: True,
) -> SiteState:
    """Answer a study's questions to its end, from wherever folder and ledger say it stands.

    Raises as `coordinate`, and SiteError where `confirm` says no or the ledger cannot be written: nothing is sent then.
    """
    state = agent.start(book.answers(agent.terms.study))
    while state.phase not in ENDED:
        number = state.seen + 1
        envelope = mailbox.read(COORDINATOR, number)
        if envelope is None:
            if not wait((COORDINATOR,)):
                raise NothingNewError("the coordinator has said nothing new; run again when it has")
            continue
        sent = state.sent
        try:
            state, said = agent.hear(state, envelope)
        except ProtocolError as error:
            raise _untrusted(mailbox.path(COORDINATOR, number), COORDINATOR, error) from error
        message = decode_signed(envelope)
        watch(message, len(envelope), False)
        if isinstance(message, Total | Finish | Abort):
            book.note(envelope, said=False)
        for leaving in said:
            if not book.holds(leaving) and not confirm(decode_signed(leaving), len(leaving)):
                raise SiteError("not sent, as you said: nothing left, and the study waits; run again to be asked again")
            book.note(leaving, said=True)
        _post(mailbox, agent.name, sent, said, watch)
    return state


def _post(mailbox: Mailbox, sender: str, sent: int, envelopes: tuple[bytes, ...], watch: Watch) -> None:
    for number, envelope in enumerate(envelopes, sent + 1):
        mailbox.post(sender, number, envelope)
        watch(decode_signed(envelope), len(envelope), True)


def _untrusted(path: Path, sender: str, error: ProtocolError) -> SiteError:
    return SiteError(
        f"{path}: {error}. Nothing of it was used, and the study stands; ask '{sender}' to send this file again."
    )
