"""A study through any network that can put a request to a site and bring back its reply.

The network carries mail between two folders and understands none of it: the coordinator's Mailbox at the centre, and
one at each site, beside its ledger.  One exchange brings a site what the coordinator said since, and brings back what
the site said since.  State machines, files, ledger and restart are those of engines/folder.py; a lost request or reply
costs a repetition, a crash the same, and a part that was started twice is told from one that is alone by a lock.

An envelope is opened before it becomes a file, so a folder never holds one that cannot be trusted.  A site gives its
mail to nobody but the coordinator: a request carries a signature that only the coordinator can make, and that only this
site ever sees.
"""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Condition, Thread
from typing import Protocol

from cryptography.exceptions import InvalidSignature

from sumwise.engines.folder import LedgerFile, Mailbox, coordinate, serve
from sumwise.errors import NothingNewError, ProtocolError, SiteError
from sumwise.protocol.coordinator import Coordinator, CoordinatorState
from sumwise.protocol.site import SiteAgent
from sumwise.protocol.states import Terms
from sumwise.protocol.wire.messages import COORDINATOR, open_envelope

log = logging.getLogger(__name__)


class Status(StrEnum):
    """How a site stands when it replies."""

    WORKING = "working"  # on an answer
    WAITING = "waiting"  # for the coordinator
    ENDED = "ended"
    BUSY = "busy"  # another process of the site has the study
    FAILED = "failed"  # the site's own log says why; words do not leave it


@dataclass(frozen=True, slots=True)
class Request:
    """after: how many of the coordinator's envelopes the site is known to have; envelopes: those that follow; have: how
    many of the site's own the coordinator has; hold: seconds for which the site may think before it replies; proof: the
    coordinator's signature of `claim`.
    """

    after: int
    envelopes: tuple[bytes, ...]
    have: int
    hold: float
    proof: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """told: how many of the coordinator's envelopes the site has; envelopes: its own, from `have` on."""

    status: Status
    told: int
    envelopes: tuple[bytes, ...]


Carry = Callable[[Mapping[str, Request], float], Mapping[str, Reply]]
"""Puts a request to each site and waits at most so many seconds; who did not reply is missing in the result."""


class OpenSite(Protocol):
    """What a site needs to serve a study."""

    @property
    def agent(self) -> SiteAgent: ...
    @property
    def book(self) -> LedgerFile: ...
    @property
    def mailbox(self) -> Mailbox: ...


def claim(study: bytes, site: str) -> bytes:
    """What the coordinator signs in a request to a site; no message of a study begins like this."""
    return b"mail of a study" + study + site.encode()


def count(mailbox: Mailbox, sender: str, known: int = 0) -> int:
    """How many envelopes of a sender are there without a gap.  known: so many are, for certain."""
    while mailbox.path(sender, known + 1).exists():
        known += 1
    return known


def _keep(mailbox: Mailbox, terms: Terms, sender: str, after: int, envelopes: tuple[bytes, ...]) -> None:
    """Post what came.  Raises ProtocolError for an envelope that is not this sender's next one."""
    for number, envelope in enumerate(envelopes, after + 1):
        message = open_envelope(envelope, terms.keys, terms.study)
        if message.sender != sender or message.sequence != number:
            raise ProtocolError(
                f"message {message.sequence} of '{message.sender}' came where message {number} of '{sender}' belongs"
            )
        mailbox.post(sender, number, envelope)


def _check_proof(agent: SiteAgent, proof: bytes) -> None:
    try:
        agent.terms.keys[COORDINATOR].verify(proof, claim(agent.terms.study, agent.name))
    except InvalidSignature:
        raise ProtocolError("a request for mail that the coordinator did not sign; nothing was given") from None


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a file's lock.  Raises BlockingIOError while another process does; a process that dies lets go."""
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


class Desk:
    """A site's end: `serve` in a thread of its own, which stays between the rounds, and the mail that it waits for.

    reopen: gives agent, ledger and folder as they stand on the disk; lock: a file that all processes of the site share;
    forget: seconds without a request after which the study is let go, for another process to take up.
    """

    def __init__(self, reopen: Callable[[], OpenSite], lock: Path, forget: float = 20.0) -> None:
        self.reopen, self.lock, self.forget = reopen, lock, forget
        self._turn = Condition()
        self._opened: OpenSite | None = None
        self._status: Status | None = None  # None: the thread does not run
        self._fresh = False

    def exchange(self, request: Request) -> Reply:
        """What the site has to say, as soon as it waits for more, and after `hold` seconds at the latest.

        Raises ProtocolError for a request that is not the coordinator's.
        """
        until = time.monotonic() + request.hold
        with self._turn:
            if self._status in (None, Status.BUSY):
                self._status = Status.WORKING
                Thread(target=self._work, daemon=True).start()
            self._turn.wait_for(lambda: self._opened is not None or self._status is not Status.WORKING, request.hold)
            if self._opened is None or self._status not in (Status.WORKING, Status.WAITING, Status.ENDED):
                return Reply(self._status or Status.BUSY, 0, ())
            agent, mailbox = self._opened.agent, self._opened.mailbox
            _check_proof(agent, request.proof)
            try:
                if request.after <= count(mailbox, COORDINATOR):
                    _keep(mailbox, agent.terms, COORDINATOR, request.after, request.envelopes)
            except (ProtocolError, SiteError, OSError):
                log.exception("what the coordinator sent cannot be kept")
                return Reply(Status.FAILED, count(mailbox, COORDINATOR), ())
            if self._status is not Status.ENDED:
                self._status, self._fresh = Status.WORKING, True
                self._turn.notify_all()
                self._turn.wait_for(lambda: self._status is not Status.WORKING, max(until - time.monotonic(), 0))
            status = self._status or Status.BUSY
            return Reply(status, count(mailbox, COORDINATOR), mailbox.since(agent.name, request.have))

    def _work(self) -> None:
        status: Status | None = Status.FAILED
        try:
            with alone(self.lock):
                here = self.reopen()
                with self._turn:
                    self._opened = here
                    self._turn.notify_all()
                serve(here.agent, here.mailbox, here.book, self._wait)
            status = Status.ENDED
        except BlockingIOError:
            status = Status.BUSY
        except NothingNewError:  # nobody has asked for a while
            status = None
        except Exception:
            log.exception("the site's part in the study failed")
        with self._turn:
            self._status = status
            if status is not Status.ENDED:
                self._opened = None
            self._turn.notify_all()

    def _wait(self, _names: tuple[str, ...]) -> bool:
        with self._turn:
            if not self._fresh:
                self._status = Status.WAITING
                self._turn.notify_all()
                if not self._turn.wait_for(lambda: self._fresh, self.forget):
                    return False
            self._fresh = False
        return True


@dataclass(frozen=True, slots=True)
class Patience:
    """hold: seconds for which a site may think over one request; grace: for the way there and back; silence: after so
    many seconds without a sign of life or of work a site is named; pause: between exchanges that brought nothing.
    """

    hold: float = 5.0
    grace: float = 5.0
    silence: float = 60.0
    pause: float = 0.25


class Centre:
    """The coordinator's end: `coordinate`, whose waiting is an exchange with every site."""

    def __init__(self, coordinator: Coordinator, mailbox: Mailbox, carry: Carry, patience: Patience) -> None:
        self.coordinator, self.mailbox, self.carry, self.patience = coordinator, mailbox, carry, patience
        self.sites, study = coordinator.terms.sites, coordinator.terms.study
        self.proofs = {site: coordinator.key.sign(claim(study, site)) for site in self.sites}
        self.told = dict.fromkeys(self.sites, 0)
        self.have = {site: count(mailbox, site) for site in self.sites}
        self.heard = dict.fromkeys(self.sites, time.monotonic())

    def run(self) -> CoordinatorState:
        """To the study's end.  Raises SiteError, naming the sites, as `coordinate` does, and for sites that are silent,
        fail or send what cannot be trusted: the study stands, and running again goes on.
        """
        state = coordinate(self.coordinator, self.mailbox, self._wait)
        said = count(self.mailbox, COORDINATOR)
        while late := tuple(site for site in self.sites if self.told[site] < said):
            self._wait(late)
        return state

    def _wait(self, missing: tuple[str, ...]) -> bool:
        requests = {site: self._request(site) for site in self.sites}
        replies = self.carry(requests, self.patience.hold + self.patience.grace)
        if strangers := sorted(set(replies) - set(self.sites)):
            raise SiteError(f"a reply from '{strangers[0]}', who is no site of this study; nothing of it was used")
        moved = [self._take(site, reply) for site, reply in replies.items()]
        now = time.monotonic()
        silent = [site for site in missing if now - self.heard[site] > self.patience.silence]
        if silent:
            raise SiteError(
                f"no sign of {', '.join(map(repr, silent))} for {self.patience.silence:g} seconds. Nothing is lost, "
                f"and no sum was made without them; see that they run, and run again."
            )
        if not any(moved):
            time.sleep(self.patience.pause)
        return True

    def _request(self, site: str) -> Request:
        told, have = self.told[site], self.have[site]
        return Request(told, self.mailbox.since(COORDINATOR, told), have, self.patience.hold, self.proofs[site])

    def _take(self, site: str, reply: Reply) -> bool:
        """Whether the reply brought something on."""
        if reply.status is Status.FAILED:
            raise SiteError(
                f"'{site}' could not do its part; its own log says why. The study stands; run again when it can."
            )
        try:
            _keep(self.mailbox, self.coordinator.terms, site, self.have[site], reply.envelopes)
        except ProtocolError as error:
            raise SiteError(f"'{site}' sent what cannot be trusted: {error}. Nothing of it was used.") from error
        self.have[site] += len(reply.envelopes)
        before, self.told[site] = self.told[site], min(reply.told, count(self.mailbox, COORDINATOR))
        moved = bool(reply.envelopes) or self.told[site] > before
        if moved or reply.status is Status.WORKING:
            self.heard[site] = time.monotonic()
        return moved
