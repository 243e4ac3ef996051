"""Which message moves whom where: one table, TRANSITIONS, that both machines look up and the documents draw.

A message that the table does not have for a state is refused with ProtocolError; nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from sumwise.errors import ProtocolError
from sumwise.protocol.wire.messages import Abort, Answer, Ask, Finish, Hello, Message, Refuse, SiteReady, Total


class Phase(Enum):
    """Where a machine stands."""

    GATHERING = "waits until every site is ready"
    ASKING = "waits for the answer of every site"
    READY = "waits for a question"
    ANSWERED = "has answered and waits for the total"
    FINISHED = "done, with a result"
    ABORTED = "ended without a result"


@dataclass(frozen=True, slots=True)
class Transition:
    """In `phase`, on hearing `message`, a machine ends in one of `then` and may say `says`."""

    machine: str
    phase: Phase
    message: type[Message]
    then: tuple[Phase, ...]
    says: tuple[type[Message], ...]


_SITE, _CENTRE = "site", "coordinator"

TRANSITIONS = (
    Transition(_CENTRE, Phase.GATHERING, SiteReady, (Phase.GATHERING, Phase.ASKING), (Ask,)),
    Transition(_CENTRE, Phase.GATHERING, Refuse, (Phase.ABORTED,), (Abort,)),
    Transition(_CENTRE, Phase.GATHERING, Abort, (Phase.ABORTED,), (Abort,)),
    Transition(
        _CENTRE, Phase.ASKING, Answer, (Phase.ASKING, Phase.FINISHED, Phase.ABORTED), (Total, Ask, Finish, Abort)
    ),
    Transition(_CENTRE, Phase.ASKING, Refuse, (Phase.ABORTED,), (Abort,)),
    Transition(_CENTRE, Phase.ASKING, Abort, (Phase.ABORTED,), (Abort,)),
    Transition(_SITE, Phase.READY, Hello, (Phase.READY, Phase.ABORTED), (SiteReady, Refuse)),
    Transition(_SITE, Phase.READY, Ask, (Phase.ANSWERED, Phase.ABORTED), (Answer, Refuse, Abort)),
    Transition(_SITE, Phase.READY, Finish, (Phase.FINISHED, Phase.ABORTED), (Abort,)),
    Transition(_SITE, Phase.READY, Abort, (Phase.ABORTED,), ()),
    Transition(_SITE, Phase.ANSWERED, Total, (Phase.READY, Phase.ABORTED), (Abort,)),
    Transition(_SITE, Phase.ANSWERED, Abort, (Phase.ABORTED,), ()),
)

_ROWS = {(row.machine, row.phase, row.message): row for row in TRANSITIONS}


def allowed(machine: str, phase: Phase, message: Message) -> Transition:
    """The row of the table.  Raises ProtocolError where there is none."""
    row = _ROWS.get((machine, phase, type(message)))
    if row is None:
        raise ProtocolError(
            f"a {type(message).__name__} from '{message.sender}' is out of turn: the {machine} {phase.value}"
        )
    return row


@dataclass(frozen=True, slots=True)
class Terms:
    """What both machines know of an approved study.

    study: digest of its file; sites: everybody who must answer every question; keys: public keys of the sites and of
    "coordinator"; most_rounds: after which the study ends without a result; software: the version of Sumwise; expires:
    the last day on which a site answers; masks: the sites' public keys for secure sums, None where sums are not masked.
    """

    study: bytes
    sites: tuple[str, ...]
    keys: Mapping[str, Ed25519PublicKey]
    most_rounds: int
    software: str
    expires: date
    masks: Mapping[str, X25519PublicKey] | None = None

    def check_software(self, who: str, version: str) -> None:
        """Raises ProtocolError where somebody runs another version than the study asks for."""
        if version != self.software:
            raise ProtocolError(
                f"{who} runs Sumwise {version}, the study asks for {self.software}: other versions may give other bits"
            )
