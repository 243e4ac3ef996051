"""A study again, without any data: from what was said, every total and so every digit of the result follows.

Whoever has the messages can do it.  The folder of a study holds all of them, a site's ledger the totals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sumwise.engines.folder import Mailbox, coordinate
from sumwise.errors import ProtocolError, SiteError
from sumwise.protocol.coordinator import Coordinator, result_digest
from sumwise.protocol.ledger import Entry
from sumwise.protocol.states import Terms
from sumwise.protocol.wire import payloads
from sumwise.protocol.wire.messages import COORDINATOR, Abort, Finish, Message, Total, open_envelope


class ReplayEngine:
    """Answers every question with the total of its round.  Raises SiteError for a question too many."""

    def __init__(self, sites: tuple[str, ...], totals: Sequence[bytes]) -> None:
        self.sites = sites
        self._left = iter(totals)

    def total(self, _question: Any) -> Any:
        """The next total."""
        payload = next(self._left, None)
        if payload is None:
            raise SiteError("the record ends before the fit does: rounds are missing")
        return payloads.decode(payload)


class _Reading(Mailbox):
    """Nothing is written: what the coordinator would say is compared with what it said by its totals."""

    def post(self, sender: str, number: int, envelope: bytes) -> None:
        pass


def totals_in_folder(coordinator: Coordinator, mailbox: Mailbox) -> tuple[bytes, ...]:
    """Payloads of the totals of a finished study, added up again from the answers in its folder.

    coordinator: its key is not used.   Raises SiteError for a study that is not finished, a message that cannot be
    trusted, and totals that are not the sums of the answers.
    """
    anybody = replace(coordinator, key=Ed25519PrivateKey.generate())
    state = coordinate(anybody, _Reading(mailbox.folder), lambda _names: False)
    if _published(coordinator.terms, mailbox.since(COORDINATOR)) != state.totals:
        raise SiteError(f"the totals in {mailbox.folder} are not the sums of the answers there")
    return state.totals


def totals_published(terms: Terms, mailbox: Mailbox) -> tuple[bytes, ...]:
    """Payloads of the totals of a finished study from the messages of its coordinator alone, which may be published.

    Raises SiteError and ProtocolError as `totals_in_folder`, but nobody can tell from these whether the totals are the
    sums of the answers.
    """
    return _published(terms, mailbox.since(COORDINATOR))


def totals_in_ledger(terms: Terms, entries: Sequence[Entry]) -> tuple[bytes, ...]:
    """Payloads of the totals of a finished study, as its coordinator signed them and a site noted them.

    Raises SiteError for a study that is not there or not finished, and for totals that do not make its result.
    """
    heard = [e.payload for e in entries if e.kind in ("total", "finish", "abort") and e.payload is not None]
    return _published(terms, [envelope for envelope in heard if _is_of(terms, envelope)])


def _is_of(terms: Terms, envelope: bytes) -> bool:
    """Whether a message is of this study, and of its coordinator.  A ledger holds other studies too."""
    try:
        return open_envelope(envelope, terms.keys, terms.study).sender == COORDINATOR
    except ProtocolError:
        return False


def _published(terms: Terms, envelopes: Sequence[bytes]) -> tuple[bytes, ...]:
    """Payloads of the totals among the coordinator's messages, which its last word confirms."""
    messages: list[Message] = []
    for envelope in envelopes:
        messages.append(open_envelope(envelope, terms.keys, terms.study))
        if messages[-1].sender != COORDINATOR:
            raise SiteError(f"a message of '{messages[-1].sender}' lies among those of the coordinator")
    totals = [message for message in messages if isinstance(message, Total)]
    if not messages or not isinstance(messages[-1], Finish):
        how = "ended without a result" if messages and isinstance(messages[-1], Abort) else "is not finished"
        raise SiteError(f"study {terms.study.hex()[:12]} {how} here: {len(totals)} rounds are closed")
    payload = tuple(total.total for total in totals)
    rounds = [total.round for total in totals]
    if rounds != list(range(1, len(totals) + 1)) or messages[-1].result != result_digest(payload):
        raise SiteError(f"the totals of rounds {rounds} are not those that the result was made of")
    return payload
