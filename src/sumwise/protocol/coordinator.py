"""The coordinator of a study as a pure state machine: envelopes in, envelopes out.

It adds up the answers of all sites, never of some; a round closes when every site of the study has answered.  Where
they are masked it learns their total alone.  What it says depends on what it heard alone, and signatures are
deterministic: hearing the same envelopes in the same order again it says the same bytes.  So the log of what it heard
is all that a restart needs.  And so it has no clock: when the last day of a study is over, the first site that is asked
says so, and the coordinator ends the study with that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sumwise.disclosure.policy import meaning
from sumwise.errors import ProtocolError
from sumwise.loop import Model
from sumwise.protocol.states import Phase, Terms, allowed
from sumwise.protocol.wire import masked, payloads
from sumwise.protocol.wire.codec import NO_HASH, digest
from sumwise.protocol.wire.masking import MaskedSummand
from sumwise.protocol.wire.messages import (
    COORDINATOR,
    Abort,
    Answer,
    Ask,
    Finish,
    Hello,
    Message,
    Reason,
    Refuse,
    SiteReady,
    Total,
    decode_signed,
    open_envelope,
    sign,
)

UNFIT = (ValueError, ArithmeticError, LookupError)
"""What a model's step raises for totals: DataError, or another of these for totals that no rows have."""


@dataclass(frozen=True, slots=True)
class CoordinatorState:
    """Where the coordinator stands.

    phase; round: the open one, 0 before the first; model: the model's own state; question: payload of the open one;
    ready: sites that approved; answers: envelopes of this round, by site; totals: payloads of the closed rounds; seen,
    sent: sequence numbers of the others and of its own; ended: why there is no result, and whose part failed; fault:
    the model's own words for it, which stay here.
    """

    phase: Phase
    model: Any
    round: int = 0
    question: bytes = b""
    ready: frozenset[str] = frozenset()
    answers: Mapping[str, bytes] = field(default_factory=dict)
    totals: tuple[bytes, ...] = ()
    seen: Mapping[str, int] = field(default_factory=dict)
    sent: int = 0
    ended: tuple[str, Reason] | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Coordinator:
    """terms: of the study; model: whose questions are put (loop.Model); key: the coordinator's."""

    terms: Terms
    model: Model
    key: Ed25519PrivateKey

    def start(self) -> tuple[CoordinatorState, tuple[bytes, ...]]:
        """The first state, and the greeting."""
        return self._say(CoordinatorState(Phase.GATHERING, self.model.start()), Hello, self.terms.software)

    def missing(self, state: CoordinatorState) -> tuple[str, ...]:
        """The sites that are waited for."""
        there = state.ready if state.phase is Phase.GATHERING else state.answers
        waiting = state.phase in (Phase.GATHERING, Phase.ASKING)
        return tuple(site for site in self.terms.sites if waiting and site not in there)

    def hear(self, state: CoordinatorState, envelope: bytes) -> tuple[CoordinatorState, tuple[bytes, ...]]:
        """The state after an envelope, and what to send.

        Raises ProtocolError, naming the sender where there is one, for an envelope that cannot be trusted, comes twice,
        too late or out of turn; the state before it stands.
        """
        message = open_envelope(envelope, self.terms.keys, self.terms.study, state.seen)
        if message.sender not in self.terms.sites:
            raise ProtocolError(f"a message from '{message.sender}', who is no site of this study")
        allowed(COORDINATOR, state.phase, message)
        match message:
            case SiteReady():
                after, out = self._site_is_ready(state, message)
            case Answer():
                after, out = self._answered(state, message, envelope)
            case Refuse():
                after, out = self.abort(state, message.sender, Reason.REFUSED, meaning(message.rule, message.threshold))
            case Abort():
                after, out = self.abort(state, message.who, message.why)
            case _:
                raise AssertionError(f"the table lets {type(message).__name__} through")
        return replace(after, seen={**state.seen, message.sender: message.sequence}), out

    def abort(
        self, state: CoordinatorState, who: str, why: Reason, fault: str = ""
    ) -> tuple[CoordinatorState, tuple[bytes, ...]]:
        """The study ends here: who failed, and why."""
        ended = replace(state, phase=Phase.ABORTED, ended=(who, why), fault=fault)
        return self._say(ended, Abort, who, why)

    def _site_is_ready(self, state: CoordinatorState, message: SiteReady) -> tuple[CoordinatorState, tuple[bytes, ...]]:
        self.terms.check_software(f"'{message.sender}'", message.software)
        state = replace(state, ready=state.ready | {message.sender})
        return self._ask(state) if len(state.ready) == len(self.terms.sites) else (state, ())

    def _ask(self, state: CoordinatorState) -> tuple[CoordinatorState, tuple[bytes, ...]]:
        """The next question, or the end."""
        question = self.model.ask(state.model)
        if question is None:
            return self._say(replace(state, phase=Phase.FINISHED), Finish, result_digest(state.totals))
        if state.round == self.terms.most_rounds:
            return self.abort(state, COORDINATOR, Reason.ROUNDS)
        payload = payloads.encode(question)
        previous = digest(state.totals[-1]) if state.totals else NO_HASH
        state = replace(state, phase=Phase.ASKING, round=state.round + 1, question=payload, answers={})
        return self._say(state, Ask, state.round, payload, previous)

    def _answered(
        self, state: CoordinatorState, message: Answer, envelope: bytes
    ) -> tuple[CoordinatorState, tuple[bytes, ...]]:
        site = message.sender
        if message.round != state.round or message.question != digest(state.question):
            raise ProtocolError(f"'{site}' answers round {message.round}; the open one is round {state.round}")
        if site in state.answers:
            raise ProtocolError(f"'{site}' has answered round {state.round} already")
        self._check_fits(site, state, message.summand)
        state = replace(state, answers={**state.answers, site: envelope})
        return self._close(state) if not self.missing(state) else (state, ())

    def _close(self, state: CoordinatorState) -> tuple[CoordinatorState, tuple[bytes, ...]]:
        """All sites have answered: the exact total, and the model's next step."""
        summands: dict[str, Any] = {s: payloads.decode(_summand(state.answers[s])) for s in self.terms.sites}
        try:
            payload = payloads.encode(self._added(summands, payloads.decode(state.question)))
        except (ProtocolError, OverflowError) as error:  # masks that do not cancel, sums beyond any data; whose is open
            return self.abort(state, COORDINATOR, Reason.UNTRUSTED, str(error))
        answers = tuple((site, digest(state.answers[site])) for site in self.terms.sites)
        state, said = self._say(replace(state, totals=(*state.totals, payload)), Total, state.round, payload, answers)
        try:
            state = replace(state, model=self.model.step(state.model, payloads.decode(payload)))
        except UNFIT as error:
            state, more = self.abort(state, COORDINATOR, Reason.UNFIT, str(error))
        else:
            state, more = self._ask(state)
        return state, (*said, *more)

    def _added(self, summands: Mapping[str, Any], question: Any) -> Any:
        return reduce(add, summands.values()) if self.terms.masks is None else masked.total(summands, question)

    def _check_fits(self, site: str, state: CoordinatorState, summand: bytes) -> None:
        """Raises ProtocolError for a summand that is no answer to the question, or does not add to the others': they
        add up, and one of them speaks for all.
        """
        found: Any = payloads.decode(summand)
        others = ((name, payloads.decode(_summand(envelope))) for name, envelope in [*state.answers.items()][:1])
        if self.terms.masks is None:
            asked, answered = payloads.kind_of(state.question), payloads.kind_of(summand)
            if asked.answer is not answered.holds:
                raise ProtocolError(f"'{site}' answers a {asked.name} with a {answered.name}")
            if not payloads.answers(found, payloads.decode(state.question)):
                raise ProtocolError(f"'{site}' answers a {asked.name} with a {answered.name} of another shape")
        else:
            try:
                masked.check(found, payloads.decode(state.question), len(self.terms.sites))
            except ProtocolError as error:
                raise ProtocolError(f"'{site}' sends {error}") from error
        for other, known in others:
            if not _adds(found, known):
                raise ProtocolError(
                    f"the answers of '{site}' and '{other}' do not add up: they have different columns, or are larger "
                    f"than any data"
                )

    def _say(
        self, state: CoordinatorState, kind: type[Message], *fields: Any
    ) -> tuple[CoordinatorState, tuple[bytes, ...]]:
        message = kind(self.terms.study, COORDINATOR, state.sent + 1, *fields)
        return replace(state, sent=state.sent + 1), (sign(message, self.key),)


def result_digest(totals: tuple[bytes, ...]) -> bytes:
    """What the result of a study follows from: the totals of its rounds, in order."""
    return digest(b"".join(digest(total) for total in totals))


def _summand(envelope: bytes) -> bytes:
    """Of an answer whose envelope was opened when it came."""
    answer = decode_signed(envelope)
    assert isinstance(answer, Answer)
    return answer.summand


def _adds(one: Any, two: Any) -> bool:
    if isinstance(one, MaskedSummand):
        return (one.bits, len(one.numbers)) == (two.bits, len(two.numbers))
    try:
        one + two
    except (ValueError, OverflowError):
        return False
    return True
