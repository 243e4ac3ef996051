"""Coordinator and sites against each other, with no network: the bits of the pooled fit, and nothing accepted that is
not the study's.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pytest

from sumwise.errors import ProtocolError
from sumwise.models.glmm_messages import MomentsQuestion, Question
from sumwise.models.linear import LinearModel
from sumwise.models.linear import Site as LinearSite
from sumwise.protocol.coordinator import result_digest
from sumwise.protocol.states import TRANSITIONS, Phase
from sumwise.protocol.wire import payloads
from sumwise.protocol.wire.codec import digest
from sumwise.protocol.wire.messages import (
    COORDINATOR,
    Abort,
    Answer,
    Ask,
    Reason,
    Refuse,
    SiteReady,
    Total,
    decode,
    open_envelope,
    sign,
)
from tests.unit.models.fitting import fit
from tests.unit.models.test_linear import block
from tests.unit.protocol.studies import LAST_DAY, STUDY, Study, herds, key, study


def said(envelope: bytes):
    return decode(envelope[:-64])


@pytest.fixture(scope="module")
def finished() -> Study:
    model, rows, _ = herds()
    found, greeting = study(model, rows)
    found.tell(greeting)
    return found


@pytest.mark.parametrize("sites", [1, 2, 3, 10])
def test_a_study_has_the_bits_and_the_rounds_of_the_pooled_fit(sites: int) -> None:
    model, rows, pooled = herds(sites)
    found, greeting = study(model, rows)
    found.tell(greeting)
    assert found.state.phase is Phase.FINISHED
    assert {state.phase for state in found.sites.values()} == {Phase.FINISHED}
    theirs, ours = fit(pooled), model.finish(found.state.model)
    assert ours.beta.tobytes() == theirs.estimate.beta.tobytes()
    assert ours.vcov.tobytes() == theirs.estimate.vcov.tobytes()
    assert (ours.theta, ours.loglik) == (theirs.estimate.theta, theirs.estimate.loglik)
    assert found.state.round == len(theirs.rounds)


def test_least_squares_takes_one_round() -> None:
    rows = block(60)
    parts = {f"site {k}": replace_rows(rows, slice(k, None, 3)) for k in range(3)}
    found, greeting = study(LinearModel(), {name: LinearSite(part) for name, part in parts.items()})
    found.tell(greeting)
    assert found.state.round == 1
    assert found.state.model.total.gram == LinearSite(rows).answer(None).gram


def replace_rows(rows, some: slice):
    return replace(rows, x=tuple(x[some] for x in rows.x), y=rows.y[some], exact=(None,) * len(rows.x))


def test_a_coordinator_that_hears_its_log_again_says_the_same_bytes(finished: Study) -> None:
    """Killed after any envelope: the rest of the study goes on with the same bits."""
    for cut in range(len(finished.heard) + 1):
        state, told = finished.coordinator.start()
        for envelope in finished.heard[:cut]:
            state, more = finished.coordinator.hear(state, envelope)
            told += more
        for envelope in finished.heard[cut:]:
            state, more = finished.coordinator.hear(state, envelope)
            told += more
        assert list(told) == finished.told
        assert state.totals == finished.state.totals


def test_a_site_that_starts_again_answers_with_the_same_bytes(finished: Study) -> None:
    agent = finished.agents["site 1"]
    kept = finished.sites["site 1"].answers
    for cut in range(len(finished.told) + 1):
        state = agent.start({number: envelope for number, envelope in kept.items() if number <= cut})
        answers = []
        for envelope in finished.told:
            state, out = agent.hear(state, envelope)
            answers += [e for e in out if isinstance(said(e), Answer)]
        assert answers == list(kept.values())
        assert state.phase is Phase.FINISHED


def test_a_site_whose_data_changed_between_rounds_ends_the_study(finished: Study) -> None:
    """What has left is said again, as it was; instead of a new answer it says that the data changed."""
    model, rows, _ = herds()
    changed, _ = study(model, {**rows, "site 1": rows["site 2"]})
    agent, kept = changed.agents["site 1"], finished.sites["site 1"].answers
    state, answers = agent.start({number: kept[number] for number in (1, 2)}), []
    for envelope in finished.told[:6]:
        state, out = agent.hear(state, envelope)
        answers += [e for e in out if isinstance(said(e), Answer)]
    assert answers == [kept[1], kept[2]]
    assert state.ended == ("site 1", Reason.CHANGED)
    assert isinstance(said(out[0]), Abort)


def opened(finished: Study, at: int):
    """The coordinator after the first `at` envelopes, the next one, and the names that are waited for."""
    state, _ = finished.coordinator.start()
    for envelope in finished.heard[:at]:
        state, _ = finished.coordinator.hear(state, envelope)
    return state, finished.heard[at]


def test_who_is_waited_for_is_named_and_the_round_stays_open(finished: Study) -> None:
    state, _ = opened(finished, 1)
    assert finished.coordinator.missing(state) == ("site 1", "site 2")
    state, _ = opened(finished, 5)
    assert finished.coordinator.missing(state) == ("site 2",)
    assert state.phase is Phase.ASKING


def test_a_reply_that_comes_twice_late_or_cut_off_changes_nothing(finished: Study) -> None:
    state, following = opened(finished, 5)
    coordinator = finished.coordinator
    with pytest.raises(ProtocolError, match="again"):
        coordinator.hear(state, finished.heard[4])
    with pytest.raises(ProtocolError, match=r"signature|cut off"):
        coordinator.hear(state, following[:-1])
    for place in range(0, len(following), 97):
        flipped = bytearray(following)
        flipped[place] ^= 4
        with pytest.raises(ProtocolError):
            coordinator.hear(state, bytes(flipped))
    late = Answer(
        STUDY,
        "site 2",
        said(following).sequence,
        9,
        payloads.encode(payloads.decode(said(following).summand)),
        digest(b""),
    )
    with pytest.raises(ProtocolError, match="'site 2' answers round 9; the open one is round 1"):
        coordinator.hear(state, sign(late, key("site 2")))


def test_a_stranger_and_a_wrong_key_are_named(finished: Study) -> None:
    state, following = opened(finished, 5)
    message = said(following)
    with pytest.raises(ProtocolError, match="signature of 'site 2' is wrong"):
        finished.coordinator.hear(state, sign(message, key("site 1")))
    with pytest.raises(ProtocolError, match="'nobody', who is not in the study"):
        finished.coordinator.hear(state, sign(replace(message, sender="nobody"), key("nobody")))
    with pytest.raises(ProtocolError, match=r"a message of the study"):
        finished.coordinator.hear(state, sign(replace(message, study=digest(b"other")), key("site 2")))


def test_a_summand_of_another_kind_or_shape_does_not_enter_the_sum(finished: Study) -> None:
    state, following = opened(finished, 5)
    message = said(following)
    moments = payloads.decode(message.summand)
    fewer = replace(moments, columns=type(moments.columns)(moments.columns.digits[:-1]))
    with pytest.raises(ProtocolError, match="'site 2' and 'site 0' do not add up: they have different columns"):
        finished.coordinator.hear(state, sign(replace(message, summand=payloads.encode(fewer)), key("site 2")))
    linear = payloads.encode(LinearSite(block(9)).answer(None))
    with pytest.raises(ProtocolError, match="answers a moments question with a linear summand"):
        finished.coordinator.hear(state, sign(replace(message, summand=linear), key("site 2")))


def asked(finished: Study, number: int):
    """Site 0 before it is asked in round `number`, and the question."""
    agent, state = finished.agents["site 0"], finished.agents["site 0"].start()
    for envelope in finished.told:
        if isinstance(said(envelope), Ask) and said(envelope).round == number:
            return agent, state, said(envelope)
        state, _ = agent.hear(state, envelope)
    raise AssertionError(number)


def test_a_question_chosen_to_single_out_a_row_gets_no_answer(finished: Study) -> None:
    """The coordinator itself signs it; one bit of one parameter is off."""
    agent, state, message = asked(finished, 3)
    question = payloads.decode(message.question)
    assert isinstance(question, Question)
    beta = question.beta.copy()
    beta[0] = np.nextafter(beta[0], np.inf)
    for other in (replace(question, beta=beta), replace(question, tolerance=np.inf)):
        evil = sign(replace(message, question=payloads.encode(other)), key(COORDINATOR))
        after, (reply,) = agent.hear(state, evil)
        assert isinstance(said(reply), Refuse)
        assert said(reply).rule == "expected-question"
        assert after.phase is Phase.ABORTED


def test_a_total_without_the_own_answer_or_without_a_site_is_refused(finished: Study) -> None:
    agent, state, message = asked(finished, 2)
    state, _ = agent.hear(state, sign(message, key(COORDINATOR)))
    total = next(said(e) for e in finished.told if isinstance(said(e), Total) and said(e).round == 2)
    others = tuple((site, digest(b"x") if site == "site 0" else of) for site, of in total.answers)
    for answers in (others, total.answers[:2], total.answers[1:]):
        after, (reply,) = agent.hear(state, sign(replace(total, answers=answers), key(COORDINATOR)))
        assert after.ended == (COORDINATOR, Reason.UNTRUSTED)
        assert isinstance(said(reply), Abort)


def test_a_site_listens_to_the_coordinator_alone_and_in_order(finished: Study) -> None:
    agent = finished.agents["site 0"]
    with pytest.raises(ProtocolError, match="listens to the coordinator alone"):
        agent.hear(agent.start(), finished.heard[0])
    with pytest.raises(ProtocolError, match="Total from 'coordinator' is out of turn"):
        agent.hear(agent.start(), sign(replace(said(finished.told[2]), sequence=1), key(COORDINATOR)))
    with pytest.raises(ProtocolError, match="asks round 2; the next one is round 1"):
        agent.hear(agent.start(), sign(replace(said(finished.told[3]), sequence=1), key(COORDINATOR)))
    with pytest.raises(ProtocolError, match="message 2 of 'coordinator' comes too early: 1 is missing"):
        agent.hear(agent.start(), finished.told[1])


@dataclass(frozen=True)
class No:
    rule: str = "minimum-rows"
    threshold: float = 20.0


def test_a_refusal_ends_the_study_by_name() -> None:
    model, rows, _ = herds()
    found, greeting = study(model, rows, policy=lambda number, _question: No() if number == 2 else None)
    with pytest.raises(ProtocolError, match="out of turn"):  # the second refusal finds the study ended
        found.tell(greeting)
    assert found.state.ended == ("site 0", Reason.REFUSED)
    assert found.state.phase is Phase.ABORTED


def test_the_approved_number_of_rounds_is_a_limit() -> None:
    model, rows, _ = herds()
    found, greeting = study(model, rows, most_rounds=3)
    found.tell(greeting)
    assert found.state.ended == (COORDINATOR, Reason.ROUNDS)
    assert {state.phase for state in found.sites.values()} == {Phase.ABORTED}


def test_after_the_last_day_a_site_answers_no_new_question_and_ends_the_study(finished: Study) -> None:
    model, rows, _ = herds()
    late, _ = study(model, rows, today=lambda: LAST_DAY + timedelta(days=1))
    agent = late.agents["site 1"]
    for known in range(4):
        state = agent.start({r: e for r, e in finished.sites["site 1"].answers.items() if r <= known})
        answered = 0
        for envelope in finished.told:
            state, out = agent.hear(state, envelope)
            if state.phase is Phase.ABORTED:
                break
            answered += sum(isinstance(said(e), Answer) for e in out)
        assert state.ended == ("site 1", Reason.EXPIRED)
        assert [(said(e).who, said(e).why) for e in out] == [("site 1", Reason.EXPIRED)]
        assert answered == known


def test_a_coordinator_ends_with_the_day_of_its_sites_and_says_the_same_when_it_starts_again() -> None:
    """The second round is asked after the last day."""
    model, rows, _ = herds()
    days = iter([LAST_DAY] * 3)
    found, greeting = study(model, rows, today=lambda: next(days, LAST_DAY + timedelta(days=1)))
    with pytest.raises(ProtocolError, match="out of turn"):  # the second site says it, too
        found.tell(greeting)
    assert found.state.ended == ("site 0", Reason.EXPIRED)
    assert len(found.state.totals) == 1
    state, told = found.coordinator.start()
    for envelope in found.heard:
        state, more = found.coordinator.hear(state, envelope)
        told += more
    assert list(told) == found.told
    assert state.ended == ("site 0", Reason.EXPIRED)


def test_rows_that_do_not_fit_the_model_end_the_study_in_its_own_words() -> None:
    """A column of zeros at every site: what the model says of it stays with the coordinator."""
    model, rows, pooled = herds(1)
    zero = replace(pooled, X=np.where(np.arange(pooled.X.shape[1]) == 2, 0.0, pooled.X))
    found, greeting = study(model, {"site 0": type(rows["site 0"])(zero)})
    found.tell(greeting)
    assert found.state.ended == (COORDINATOR, Reason.UNFIT)
    assert "constant" in found.state.fault


@pytest.mark.parametrize("what", ["no groups", "no columns", "huge"])
def test_a_summand_that_no_rows_have_ends_the_study_by_name(what: str) -> None:
    """From the only site of a study, so nothing to compare it with."""
    model, rows, _ = herds(1)
    moments = rows["site 0"].answer(MomentsQuestion())
    lies = {
        "no groups": replace(moments, groups=0),
        "no columns": replace(moments, columns=type(moments.columns)(moments.columns.digits[:0])),
        "huge": replace(moments, totals=payloads.exact_sum([2**2174] * 6, (6,))),
    }
    found, greeting = study(model, {"site 0": Liar(lies[what])})
    found.tell(greeting)
    assert found.state.ended == (COORDINATOR, Reason.UNFIT)
    assert found.sites["site 0"].ended == (COORDINATOR, Reason.UNFIT)


def test_sums_and_counts_beyond_any_data_are_no_total() -> None:
    model, rows, _ = herds(2)
    moments = rows["site 0"].answer(MomentsQuestion())
    big = replace(moments, totals=payloads.exact_sum([2**2175 - 1] * 6, (6,)))
    found, greeting = study(model, dict.fromkeys(rows, Liar(big)))
    with pytest.raises(ProtocolError, match=r"do not add up.*larger than any data"):
        found.tell(greeting)
    found, greeting = study(model, dict.fromkeys(rows, Liar(replace(moments, rows=2**64 - 1))))
    found.tell(greeting)
    assert found.state.ended == (COORDINATOR, Reason.UNTRUSTED)


@dataclass(frozen=True)
class Liar:
    """Answers any question with this."""

    summand: object

    def answer(self, _question):
        return self.summand


def test_a_total_of_another_kind_is_refused(finished: Study) -> None:
    agent, state, message = asked(finished, 2)
    state, _ = agent.hear(state, sign(message, key(COORDINATOR)))
    totals = [said(e) for e in finished.told if isinstance(said(e), Total)]
    moments = sign(replace(totals[1], total=totals[0].total), key(COORDINATOR))
    after, (reply,) = agent.hear(state, moments)
    assert after.ended == (COORDINATOR, Reason.UNTRUSTED)
    assert isinstance(said(reply), Abort)
    with pytest.raises(ProtocolError, match="no question or summand"):
        agent.hear(state, sign(replace(totals[1], total=b"x"), key(COORDINATOR)))


def test_other_versions_of_the_software_are_refused(finished: Study) -> None:
    state, _ = finished.coordinator.start()
    ready = SiteReady(STUDY, "site 0", 1, "0.9")
    with pytest.raises(ProtocolError, match=r"'site 0' runs Sumwise 0\.9, the study asks for 1\.0"):
        finished.coordinator.hear(state, sign(ready, key("site 0")))


def test_the_result_is_named_by_its_totals(finished: Study) -> None:
    last = open_envelope(finished.told[-1], finished.coordinator.terms.keys, STUDY)
    assert last.result == result_digest(finished.state.totals)


def test_the_table_says_what_each_message_does() -> None:
    """No row twice, and every row's messages are said by the right machine."""
    rows = [(row.machine, row.phase, row.message) for row in TRANSITIONS]
    assert len(rows) == len(set(rows))
    ends = {Phase.FINISHED, Phase.ABORTED}
    assert not {row.phase for row in TRANSITIONS} & ends
