"""Coordinator and sites against each other, and between them somebody who drops, doubles, reorders, cuts, flips,
splices, forges and replays what they say, and ends and restarts them from what they kept.

Whatever happens: no total lacks a site's current answer, nobody accepts what was not said, no round is answered with
two different sums, and when the messages arrive after all the study has the totals of an undisturbed one, bit for bit.
A question that is not the study's, or a site whose rows changed, ends it by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sumwise.errors import ProtocolError
from sumwise.models.glmm_messages import Question
from sumwise.protocol.site import SiteAgent, SiteState
from sumwise.protocol.states import Phase
from sumwise.protocol.wire import payloads
from sumwise.protocol.wire.messages import COORDINATOR, Answer, Ask, Message, Reason, Refuse, decode_signed, sign
from tests.unit.protocol.studies import Study, herds, key, study

SITES = ("site 0", "site 1", "site 2")
ENDED = (Phase.FINISHED, Phase.ABORTED)


@cache
def undisturbed(secure_sum: bool) -> Study:
    model, rows, _ = herds()
    found, greeting = study(model, rows, secure_sum=secure_sum)
    found.tell(greeting)
    assert found.state.phase is Phase.FINISHED
    return found


class Adversary(RuleBasedStateMachine):
    """told: what the coordinator said, in order; said: what each site said, by number; heard: the coordinator's log;
    ledgers: each site's answers, kept before they are sent; evil: whether a wrong question or changed rows were there.
    """

    @initialize(secure_sum=st.booleans())
    def begin(self, secure_sum: bool) -> None:
        self.right = undisturbed(secure_sum)
        self.coordinator = self.right.coordinator
        self.agents: dict[str, SiteAgent] = dict(self.right.agents)
        self.state, told = self.coordinator.start()
        self.told = list(told)
        self.heard: list[bytes] = []
        self.sites: dict[str, SiteState] = {name: agent.start() for name, agent in self.agents.items()}
        self.said: dict[str, dict[int, bytes]] = {name: {} for name in SITES}
        self.ledgers: dict[str, dict[int, bytes]] = {name: {} for name in SITES}
        self.answered: dict[tuple[str, int], set[bytes]] = {}
        self.evil = False

    # -- what machines do with an envelope --

    def at_coordinator(self, envelope: bytes) -> None:
        self.state, told = self.coordinator.hear(self.state, envelope)
        self.heard.append(envelope)
        self.told += told

    def at_site(self, name: str, envelope: bytes) -> None:
        before = self.sites[name]
        after, out = self.agents[name].hear(before, envelope)
        self.ledgers[name] |= after.answers
        self.sites[name] = after
        for number, reply in enumerate(out, before.sent + 1):
            known, message = self.said[name].get(number), decode_signed(reply)
            assert message.sequence == number
            assert self.evil or known in (None, reply)  # a restart says again what was said
            self.said[name][number] = reply
            if isinstance(message, Answer):
                self.answered.setdefault((name, message.round), set()).add(message.summand)
                assert message.question == asked(self.right, message.round)

    def everything(self) -> list[bytes]:
        return [*self.told, *(e for said in self.said.values() for e in said.values())]

    # -- honest delivery --

    def forward_coordinator(self) -> bool:
        """The next envelope of some site, if there is one."""
        for name in SITES:
            envelope = self.said[name].get(self.state.seen.get(name, 0) + 1)
            if envelope is not None and self.state.phase not in ENDED:
                self.at_coordinator(envelope)
                return True
        return False

    def forward_site(self, name: str) -> bool:
        """The next envelope of the coordinator, if there is one."""
        state = self.sites[name]
        if state.phase in ENDED or state.seen >= len(self.told):
            return False
        self.at_site(name, self.told[state.seen])
        return True

    @rule(times=st.integers(1, 4))
    def deliver_to_the_coordinator(self, times: int) -> None:
        for _ in range(times):
            self.forward_coordinator()

    @rule(name=st.sampled_from(SITES), times=st.integers(1, 4))
    def deliver_to_a_site(self, name: str, times: int) -> None:
        for _ in range(times):
            self.forward_site(name)

    @rule(times=st.integers(1, 12))
    def deliver_to_everybody(self, times: int) -> None:
        for _ in range(times):
            self.forward_coordinator()
            for name in SITES:
                self.forward_site(name)

    # -- the adversary --

    @rule(data=st.data())
    def replay_or_reorder(self, data: st.DataObject) -> None:
        """Any envelope that was ever said, to anybody: the next one is taken, every other refused."""
        envelope = data.draw(st.sampled_from(self.everything()))
        to = data.draw(st.sampled_from((COORDINATOR, *SITES)))
        message = decode_signed(envelope)
        state = self.state if to == COORDINATOR else self.sites[to]
        last = self.state.seen.get(message.sender, 0) if to == COORDINATOR else self.sites[to].seen
        in_turn = (message.sender == COORDINATOR) == (to != COORDINATOR) and message.sequence == last + 1
        if in_turn and state.phase not in ENDED:
            self.hand(to, envelope)
        else:
            with pytest.raises(ProtocolError):
                self.hand(to, envelope)

    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        """Cut off, one bit flipped, or the beginning of one and the end of another."""
        one, two = (data.draw(st.sampled_from(self.everything())) for _ in range(2))
        at = data.draw(st.integers(0, len(one) - 1))
        how = data.draw(st.sampled_from(["cut", "flip", "splice", "lengthen"]))
        bit = bytes([one[at] ^ 1 << data.draw(st.integers(0, 7))])
        damaged = {
            "cut": one[:at],
            "flip": one[:at] + bit + one[at + 1 :],
            "splice": one[:at] + two[at:],
            "lengthen": one + two[at:],
        }[how]
        if damaged not in (one, two):
            self.refused_by_all(damaged)

    @rule(data=st.data(), who=st.sampled_from((COORDINATOR, *SITES, "stranger")))
    def forge(self, data: st.DataObject, who: str) -> None:
        """The next message, as somebody else would sign it."""
        message = decode_signed(data.draw(st.sampled_from(self.everything())))
        if message.sender != who:
            self.refused_by_all(sign(message, key(who)))

    @rule()
    def end_and_restart_the_coordinator(self) -> None:
        """From its log."""
        self.state, told = self.coordinator.start()
        for envelope in self.heard:
            self.state, more = self.coordinator.hear(self.state, envelope)
            told += more
        assert list(told) == self.told

    @rule(name=st.sampled_from(SITES))
    def end_and_restart_a_site(self, name: str) -> None:
        """From its ledger; what the coordinator said is read again from the first message on."""
        self.sites[name] = self.agents[name].start(self.ledgers[name])

    @precondition(lambda self: any(self.ledgers.values()) and not self.evil)
    @rule(data=st.data())
    def change_the_rows_of_a_site(self, data: st.DataObject) -> None:
        """While it is down."""
        name = data.draw(st.sampled_from([site for site in SITES if self.ledgers[site]]))
        others = self.right.agents[SITES[(SITES.index(name) + 1) % 3]]
        self.agents[name] = replace(self.right.agents[name], rows=others.rows)
        self.sites[name], self.evil = self.agents[name].start(self.ledgers[name]), True

    @precondition(lambda self: not self.evil)
    @rule(name=st.sampled_from(SITES), steps=st.integers(-3, 3).filter(bool))
    def ask_for_one_row(self, name: str, steps: int) -> None:
        """The coordinator itself signs a question that is off by a few bits; the site answers no such thing."""
        state = self.sites[name]
        last = next((m for m in reversed(self.messages()) if isinstance(m, Ask)), None)
        question = payloads.decode(last.question) if last is not None else None
        if state.phase is not Phase.READY or not isinstance(question, Question) or last.round != state.round + 1:
            return
        beta = question.beta.copy()
        for _ in range(abs(steps)):
            beta[0] = np.nextafter(beta[0], np.inf * steps)
        wrong = replace(last, sequence=state.seen + 1, question=payloads.encode(replace(question, beta=beta)))
        self.evil = True
        self.at_site(name, sign(wrong, key(COORDINATOR)))
        assert isinstance(decode_signed(self.said[name][self.sites[name].sent]), Refuse)
        assert self.sites[name].ended == (name, Reason.REFUSED)

    def messages(self) -> Sequence[Message]:
        return [decode_signed(envelope) for envelope in self.told]

    def hand(self, to: str, envelope: bytes) -> None:
        if to == COORDINATOR:
            self.at_coordinator(envelope)
        else:
            self.at_site(to, envelope)

    def refused_by_all(self, envelope: bytes) -> None:
        for to in (COORDINATOR, *SITES):
            with pytest.raises(ProtocolError):
                self.hand(to, envelope)

    # -- what holds at every moment --

    @invariant()
    def totals_are_those_of_all_sites(self) -> None:
        """Of the undisturbed study, whose sites all answered; and everybody heard the same."""
        for state in (self.state, *self.sites.values()):
            assert state.totals == self.right.state.totals[: len(state.totals)]

    @invariant()
    def no_round_is_answered_twice_with_different_sums(self) -> None:
        assert all(len(sums) == 1 for sums in self.answered.values())

    @invariant()
    def nobody_is_done_before_everybody_has_answered_everything(self) -> None:
        if self.state.phase is Phase.FINISHED:
            assert self.state.totals == self.right.state.totals
            assert {site for site, _ in self.answered} == set(SITES)

    def teardown(self) -> None:
        """The adversary goes, and everything that was said arrives."""
        if not hasattr(self, "right"):
            return
        moved = True
        while moved:
            moved = False
            for forward in (self.forward_coordinator, *(partial(self.forward_site, name) for name in SITES)):
                try:
                    moved = forward() or moved
                except ProtocolError:
                    assert self.evil
        self.totals_are_those_of_all_sites()
        self.no_round_is_answered_twice_with_different_sums()
        if self.state.phase is Phase.FINISHED:
            assert self.state.totals == self.right.state.totals
        elif self.state.phase is Phase.ABORTED:
            assert self.evil
            assert self.state.ended is not None
            assert self.state.ended[1] in (Reason.REFUSED, Reason.CHANGED, Reason.UNTRUSTED)
        else:
            assert self.evil  # a site that was asked a wrong question has ended; the coordinator waits for it by name
            assert self.coordinator.missing(self.state)


def asked(right: Study, number: int) -> bytes:
    """Digest of the question of a round."""
    return next(m.question for m in map(decode_signed, right.heard) if isinstance(m, Answer) and m.round == number)


TestAdversary = Adversary.TestCase
TestAdversary.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
