"""A site of a study as a pure state machine: envelopes in, envelopes out.

The site trusts nobody's question.  It runs the same model on the same totals as the coordinator, so it knows what must
be asked next, bit for bit, and refuses anything else: a question chosen to single out a row never gets an answer.
Before it answers, its policy is asked; before it accepts a total, it looks for its own answer in it and for every other
site.  A round is never answered with two different sums: under masks, their difference would be in the open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Protocol

from sumwise.errors import ProtocolError
from sumwise.loop import Model
from sumwise.protocol.coordinator import UNFIT, result_digest
from sumwise.protocol.keys import SiteKeys
from sumwise.protocol.states import Phase, Terms, allowed
from sumwise.protocol.wire import masked, payloads
from sumwise.protocol.wire.codec import NO_HASH, digest
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


class Rows(Protocol):
    """Whoever holds the rows: answers a question with a summand."""

    def answer(self, question: Any) -> Any: ...


class Refusal(Protocol):
    """Why a policy says no: its rule and the threshold that was missed."""

    @property
    def rule(self) -> str: ...
    @property
    def threshold(self) -> float: ...


@dataclass(frozen=True, slots=True)
class SiteState:
    """Where a site stands.

    phase; model: the model's own state, stepped by the totals; round: the last one answered; answers: its envelopes by
    round, which a restart must have: a round is never answered twice with different sums; totals: payloads; seen: the
    coordinator's last sequence number; sent: its own; changed: the rows give another answer to an earlier question than
    the one that left; ended: why there is no result, and whose part failed.
    """

    phase: Phase
    model: Any
    round: int = 0
    answers: Mapping[int, bytes] = field(default_factory=dict)
    totals: tuple[bytes, ...] = ()
    seen: int = 0
    sent: int = 0
    changed: bool = False
    ended: tuple[str, Reason] | None = None


@dataclass(frozen=True, slots=True)
class SiteAgent:
    """terms: of the study that this site has approved; name, keys: its own; model: the study's (loop.Model); rows: its
    data; policy: what it refuses, asked before each answer; today: the day it is, asked before each answer; changed:
    the rows are known to be others than those that answered earlier rounds.
    """

    terms: Terms
    name: str
    keys: SiteKeys
    model: Model
    rows: Rows
    policy: Callable[[int, Any], Refusal | None]
    today: Callable[[], date]
    changed: bool = False

    def start(self, answers: Mapping[int, bytes] | None = None) -> SiteState:
        """The first state.  answers: envelopes that this site sent before a restart, by round."""
        return SiteState(Phase.READY, self.model.start(), answers=dict(answers or {}), changed=self.changed)

    def hear(self, state: SiteState, envelope: bytes) -> tuple[SiteState, tuple[bytes, ...]]:
        """The state after an envelope, and what to send; an answer must be kept before it is sent.

        Raises ProtocolError for an envelope that cannot be trusted, comes twice or out of turn, and what `rows` raises;
        the state stands.
        """
        message = open_envelope(envelope, self.terms.keys, self.terms.study, {COORDINATOR: state.seen})
        if message.sender != COORDINATOR:
            raise ProtocolError(f"a message from '{message.sender}': a site listens to the coordinator alone")
        allowed("site", state.phase, message)
        match message:
            case Hello():
                after, out = self._greeted(state, message)
            case Ask():
                after, out = self._asked(state, message)
            case Total():
                after, out = self._told(state, message)
            case Finish():
                after, out = self._finished(state, message)
            case Abort():
                after, out = replace(state, phase=Phase.ABORTED, ended=(message.who, message.why)), ()
            case _:
                raise AssertionError(f"the table lets {type(message).__name__} through")
        return replace(after, seen=message.sequence), out

    def _greeted(self, state: SiteState, message: Hello) -> tuple[SiteState, tuple[bytes, ...]]:
        self.terms.check_software("the coordinator", message.software)
        if not state.answers:  # what the rows alone would make it refuse, it refuses before others have answered
            refusal = self.policy(1, self.model.ask(state.model))
            if refusal is not None:
                return self._refuse(state, refusal.rule, refusal.threshold)
        return self._say(state, SiteReady, self.terms.software)

    def _asked(self, state: SiteState, message: Ask) -> tuple[SiteState, tuple[bytes, ...]]:
        if message.round != state.round + 1:
            raise ProtocolError(f"the coordinator asks round {message.round}; the next one is round {state.round + 1}")
        expected = self.model.ask(state.model)
        previous = digest(state.totals[-1]) if state.totals else NO_HASH
        if expected is None or message.question != payloads.encode(expected) or message.previous != previous:
            return self._refuse(state, "expected-question", 0.0)
        if message.round > self.terms.most_rounds:
            return self._refuse(state, "round-limit", float(self.terms.most_rounds))
        if message.round in state.answers:  # it has left: a restart says it again, whatever holds today
            return self._answer(state, message, expected)
        if state.changed:
            return self._abort(state, self.name, Reason.CHANGED)
        if self.today() > self.terms.expires:
            return self._abort(state, self.name, Reason.EXPIRED)
        refusal = self.policy(message.round, expected)
        if refusal is not None:
            return self._refuse(state, refusal.rule, refusal.threshold)
        return self._answer(state, message, expected)

    def _answer(self, state: SiteState, message: Ask, question: Any) -> tuple[SiteState, tuple[bytes, ...]]:
        summand = self.rows.answer(question)
        if self.terms.masks is not None:
            summand = masked.mask_summand(
                summand, question, message.round, self.terms.study, self.name, self.keys.masking, self.terms.masks
            )
        payload = payloads.encode(summand)
        after, (envelope,) = self._say(state, Answer, message.round, payload, digest(message.question))
        before = state.answers.get(message.round, envelope)
        if _question(before) != digest(message.question):  # after other totals than it was told before
            return self._abort(state, COORDINATOR, Reason.UNTRUSTED)
        changed = state.changed or before != envelope  # signatures are deterministic: other bytes are other sums
        answers = {**state.answers, message.round: before}
        return replace(after, phase=Phase.ANSWERED, round=message.round, answers=answers, changed=changed), (before,)

    def _told(self, state: SiteState, message: Total) -> tuple[SiteState, tuple[bytes, ...]]:
        own, total = (self.name, digest(state.answers[state.round])), payloads.decode(message.total)
        right = payloads.answers(total, self.model.ask(state.model))
        if not right or message.round != state.round or message.sites != self.terms.sites or own not in message.answers:
            return self._abort(state, COORDINATOR, Reason.UNTRUSTED)
        try:
            model = self.model.step(state.model, total)
        except UNFIT:  # the coordinator finds the same and says so
            return replace(state, phase=Phase.READY, totals=(*state.totals, message.total)), ()
        return replace(state, phase=Phase.READY, model=model, totals=(*state.totals, message.total)), ()

    def _finished(self, state: SiteState, message: Finish) -> tuple[SiteState, tuple[bytes, ...]]:
        if message.result != result_digest(state.totals) or self.model.ask(state.model) is not None:
            return self._abort(state, COORDINATOR, Reason.UNTRUSTED)
        return replace(state, phase=Phase.FINISHED), ()

    def _refuse(self, state: SiteState, rule: str, threshold: float) -> tuple[SiteState, tuple[bytes, ...]]:
        ended = replace(state, phase=Phase.ABORTED, ended=(self.name, Reason.REFUSED))
        return self._say(ended, Refuse, state.round + 1, rule, threshold)

    def _abort(self, state: SiteState, who: str, why: Reason) -> tuple[SiteState, tuple[bytes, ...]]:
        return self._say(replace(state, phase=Phase.ABORTED, ended=(who, why)), Abort, who, why)

    def _say(self, state: SiteState, kind: type[Message], *fields: Any) -> tuple[SiteState, tuple[bytes, ...]]:
        message = kind(self.terms.study, self.name, state.sent + 1, *fields)
        return replace(state, sent=state.sent + 1), (sign(message, self.keys.signing),)


def _question(envelope: bytes) -> bytes:
    """Digest of what an answer of one's own answers."""
    answer = decode_signed(envelope)
    assert isinstance(answer, Answer)
    return answer.question
