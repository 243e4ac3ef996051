"""Secure sums in a study: the fit of the plain one, answers that tell nothing, noise that nobody takes for a total."""

from dataclasses import replace

import numpy as np
import pytest

from sumwise.errors import DataError, ProtocolError, UsageError
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares
from sumwise.models.glmm_messages import MomentsQuestion, Summand
from sumwise.models.linear import LinearModel, LinearQuestion, LinearSummand
from sumwise.models.linear import Site as LinearSite
from sumwise.protocol.keys import SiteKeys
from sumwise.protocol.states import Phase
from sumwise.protocol.wire import masked, payloads
from sumwise.protocol.wire.codec import digest
from sumwise.protocol.wire.masking import MaskedSummand
from sumwise.protocol.wire.messages import COORDINATOR, Abort, Answer, Ask, Reason, decode_signed, sign
from tests.unit.models.test_linear import block
from tests.unit.protocol.studies import STUDY, Study, herds, key, site_keys, study

SITES = tuple(f"site {k}" for k in range(3))
MASKS = {name: site_keys(name).masking.public_key() for name in SITES}


def run(model, rows, *, secure_sum: bool) -> Study:
    found, greeting = study(model, rows, secure_sum=secure_sum)
    found.tell(greeting)
    return found


def parts_of(rows, sites: int):
    """Rows of a regression dealt over sites."""
    some = [slice(k, None, sites) for k in range(sites)]
    fields = {name: getattr(rows, name) for name in ("y", "offset", "weights") if getattr(rows, name, None) is not None}
    return {
        f"site {k}": LinearSite(
            replace(
                rows,
                x=tuple(x[s] for x in rows.x),
                exact=(None,) * len(rows.x),
                **{name: values[s] for name, values in fields.items()},
            )
        )
        for k, s in enumerate(some)
    }


def answers(found: Study) -> list[Answer]:
    return [m for m in map(decode_signed, found.heard) if isinstance(m, Answer)]


def estimate(total: LinearSummand, name: str):
    """Of a regression on the columns of `block`, the first of them constant."""
    value = getattr(LeastSquares(total.gram, (0, 1), (2,), 0), name)
    return value() if callable(value) else value


@pytest.mark.parametrize("sites", [3, 10])
def test_a_masked_study_of_a_mixed_model_has_the_totals_and_the_estimate_of_the_plain_one(sites: int) -> None:
    model, rows, _ = herds(sites)
    plain, secret = (run(model, rows, secure_sum=on) for on in (False, True))
    assert secret.state.phase is Phase.FINISHED
    assert secret.state.totals == plain.state.totals  # the very bytes
    one, two = (model.finish(found.state.model) for found in (plain, secret))
    assert (one.beta.tobytes(), one.theta, one.vcov.tobytes()) == (two.beta.tobytes(), two.theta, two.vcov.tobytes())
    assert all(isinstance(payloads.decode(a.summand), MaskedSummand) for a in answers(secret))


@pytest.mark.parametrize("sites", [3, 4, 10])
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("offset", [False, True])
def test_a_masked_study_of_a_linear_model_has_the_values_of_the_plain_one(
    sites: int, weights: bool, offset: bool
) -> None:
    rows = block(60, weights=weights)
    rows = replace(rows, offset=np.linspace(-3, 2, 60) if offset else None)
    plain, secret = (run(LinearModel(), parts_of(rows, sites), secure_sum=on).state for on in (False, True))
    assert secret.phase is Phase.FINISHED
    one, two = (LinearModel().finish(state.model) for state in (plain, secret))
    m = one.gram.columns
    pairs = [(i, j) for i in range(m) for j in range(m)]
    assert [one.gram.fraction(i, j) for i, j in pairs] == [two.gram.fraction(i, j) for i, j in pairs]
    assert (one.gram.rows, one.ignored, one.log_weights) == (two.gram.rows, two.ignored, two.log_weights)
    for name in ("coef", "se", "rss", "r2", "vcov"):
        theirs, ours = (np.asarray(estimate(total, name)) for total in (one, two))
        assert theirs.tobytes() == ours.tobytes()
    assert max(e.bit_length() for e in two.gram.entries) <= max(e.bit_length() for e in one.gram.entries) + 64


def test_the_length_of_an_answer_tells_nothing_of_the_rows() -> None:
    """Rows of other sizes, numbers and digits; of each question of the study."""
    tiny = LinearSite(replace(block(1), y=np.array([5e-324])))
    huge = LinearSite(replace(block(4000), y=np.full(4000, 1.7e308)))
    asked = LinearQuestion()
    sent = [masked.mask_summand(s.answer(asked), asked, 1, STUDY, *own("site 0")) for s in (tiny, huge)]
    assert len({len(payloads.encode(m)) for m in sent}) == 1
    model, rows, _ = herds()
    found = run(model, rows, secure_sum=True)
    for number in range(1, found.state.round + 1):
        assert len({len(sign(a, key(a.sender))) for a in answers(found) if a.round == number}) == 1


def own(name: str):
    return name, site_keys(name).masking, MASKS


def test_numbers_of_a_masked_answer_spread_over_the_whole_width() -> None:
    """The leading byte of each of 155 numbers of a site whose own numbers are all small or close to 0 (mod 2^bits)."""
    rows = block(40)
    rows = replace(rows, x=rows.x * 8, exact=rows.exact * 8)
    answer = masked.mask_summand(LinearSite(rows).answer(LinearQuestion()), LinearQuestion(), 1, STUDY, *own("site 0"))
    leading = {number >> answer.bits - 8 for number in answer.numbers}
    assert len(answer.numbers) == 155
    assert len(leading) > 80  # chance of failure below 1e-9


def test_a_wrong_masking_key_makes_noise_that_ends_the_study(finished: Study) -> None:
    agents = dict(finished.agents)
    stranger = SiteKeys(site_keys("site 1").signing, site_keys("nobody").masking)
    agents["site 1"] = replace(agents["site 1"], keys=stranger)
    state, greeting = finished.coordinator.start()
    fooled = Study(finished.coordinator, agents, state, {name: agent.start() for name, agent in agents.items()})
    fooled.tell(greeting)
    assert fooled.state.ended == (COORDINATOR, Reason.UNTRUSTED)
    assert "the masks of site 0, site 1, site 2 do not cancel" in fooled.state.fault
    assert fooled.state.totals == ()
    assert {s.ended for s in fooled.sites.values()} == {(COORDINATOR, Reason.UNTRUSTED)}


@pytest.fixture(scope="module")
def finished() -> Study:
    model, rows, _ = herds()
    return run(model, rows, secure_sum=True)


def test_a_site_that_starts_again_masks_the_same_values_or_ends_the_study(finished: Study) -> None:
    """Its kept answers are the log of what was masked: under one label there is one set of values."""
    agent, kept = finished.agents["site 1"], finished.sites["site 1"].answers
    other = replace(agent, rows=finished.agents["site 2"].rows)
    for last in range(1, len(kept) + 1):
        state = agent.start({r: e for r, e in kept.items() if r <= last})
        for envelope in finished.told:
            state, out = agent.hear(state, envelope)
            assert [e for e in out if isinstance(decode_signed(e), Answer)] in ([], [kept.get(state.round)])
        assert state.phase is Phase.FINISHED
    state, out = other.start({1: kept[1]}), ()
    for envelope in finished.told[:4]:
        state, out = other.hear(state, envelope)
        assert [e for e in out if isinstance(decode_signed(e), Answer)] in ([], [kept[1]])
    assert state.ended == ("site 1", Reason.CHANGED)
    assert [type(decode_signed(e)) for e in out] == [Abort]


def test_other_totals_of_earlier_rounds_get_no_second_masking(finished: Study) -> None:
    """A coordinator that lets a site start again, and tells it another total: another question, under an old label."""
    agent, kept = finished.agents["site 0"], finished.sites["site 0"].answers
    told = [decode_signed(e) for e in finished.told]
    state = agent.start(kept)
    for message in told[:2]:
        state, _ = agent.hear(state, sign(message, key(COORDINATOR)))
    moments = payloads.decode(told[2].total)
    lie = replace(told[2], total=payloads.encode(replace(moments, groups=moments.groups + 1)))
    state, _ = agent.hear(state, sign(lie, key(COORDINATOR)))
    question = agent.model.ask(state.model)
    asked = Ask(STUDY, COORDINATOR, 4, 2, payloads.encode(question), digest(lie.total))
    assert asked.question != told[3].question
    state, out = agent.hear(state, sign(asked, key(COORDINATOR)))
    assert state.ended == (COORDINATOR, Reason.UNTRUSTED)
    assert [type(decode_signed(e)) for e in out] == [Abort]


def waiting(finished: Study, before: str):
    """The coordinator in round 1, after everybody before `before` has answered, and that one's answer."""
    state, _ = finished.coordinator.start()
    for envelope in finished.heard:
        message = decode_signed(envelope)
        if isinstance(message, Answer) and message.sender == before:
            return state, message
        state, _ = finished.coordinator.hear(state, envelope)
    raise AssertionError(before)


def test_answers_of_another_width_count_or_kind_are_named(finished: Study) -> None:
    state, message = waiting(finished, "site 2")
    right = payloads.decode(message.summand)
    _, rows, _ = herds()
    for wrong, reason in (
        (rows["site 2"].answer(MomentsQuestion()), r"'site 2' sends a Moments that is not masked"),
        (MaskedSummand(64, (1, 2)), r"'site 2' sends masked numbers of 64 bits, where 2184 belong"),
        (MaskedSummand(right.bits, right.numbers[:8]), r"'site 2' sends 8 masked numbers are no answer"),
        (MaskedSummand(right.bits, right.numbers[:-1]), r"answers of 'site 2' and 'site 0' do not add up"),
    ):
        evil = sign(replace(message, summand=payloads.encode(wrong)), key("site 2"))
        with pytest.raises(ProtocolError, match=reason):
            finished.coordinator.hear(state, evil)


def test_a_plain_study_takes_no_masked_answer() -> None:
    model, rows, _ = herds()
    found = run(model, rows, secure_sum=False)
    state, message = waiting(found, "site 2")
    evil = replace(message, summand=payloads.encode(MaskedSummand(2184, (1,) * 13)))
    with pytest.raises(ProtocolError, match="answers a moments question with a masked summand"):
        found.coordinator.hear(state, sign(evil, key("site 2")))


def test_fewer_than_three_sites_are_refused() -> None:
    model, rows, _ = herds(2)
    found, greeting = study(model, rows, secure_sum=True)
    with pytest.raises(UsageError, match="2 sites hides nothing"):
        found.tell(greeting)


def test_units_of_decimals_are_refused() -> None:
    gram = Gram(3, (0,), (5,), (2,))
    with pytest.raises(DataError, match=r"set options\.decimal = false"):
        masked.mask_summand(LinearSummand(gram, 0, None), LinearQuestion(), 1, STUDY, *own("site 0"))


@pytest.mark.parametrize(
    ("numbers", "said"), [((-1, 0), "negative"), ((2**63, 0), "of 64 bits"), ((0, -5), "negative")]
)
def test_counts_that_are_none_are_no_total(numbers: tuple[int, int], said: str) -> None:
    width = masked.bits(LinearQuestion(), 3, weighted=False)
    flat = (*numbers, 7)
    sent = {s: MaskedSummand(width, tuple(n % 2**width for n in flat) if s == "site 0" else (0,) * 3) for s in SITES}
    with pytest.raises(ProtocolError, match=f"do not cancel.*a count in it is {said}"):
        masked.total(sent, LinearQuestion())


def test_sums_beyond_their_digits_are_no_total() -> None:
    model, rows, _ = herds()
    question = model.ask(model.step(model.start(), rows["site 0"].answer(MomentsQuestion())))
    width = masked.bits(question, 3, weighted=False)
    size = rows["site 0"].answer(question).values.shape[0]
    numbers = (2**2175, *[0] * (size + len(question.orders)))
    with pytest.raises(ProtocolError, match="larger than its digits can hold"):
        masked.total(
            {s: MaskedSummand(width, numbers if s == "site 0" else (0,) * len(numbers)) for s in SITES}, question
        )


def test_columns_of_zeros_and_both_ends_of_the_range_come_back() -> None:
    ends = np.array([5e-324, -1.7976931348623157e308, 0.0, 1.0])
    columns = [ends, np.zeros(4), np.ones(4), ends[::-1].copy()]
    for weights in (None, np.array([5e-324, 1.0, 1.7976931348623157e308, 3.0])):
        gram = Gram.of(columns, weights)
        logs = None if weights is None else payloads.exact_sum([12345], ())
        one = LinearSummand(gram, 0, logs)
        sent = {s: masked.mask_summand(one, LinearQuestion(), 1, STUDY, *own(s)) for s in SITES}
        found = masked.total(sent, LinearQuestion())
        assert found.gram.rows == 12
        for i in range(4):
            for j in range(4):
                assert found.gram.fraction(i, j) == 3 * gram.fraction(i, j)
        assert payloads.decode(payloads.encode(found)) == found


def test_a_question_says_how_long_its_masked_answer_is() -> None:
    model, rows, _ = herds()
    question = model.ask(model.step(model.start(), rows["site 0"].answer(MomentsQuestion())))
    summand = rows["site 0"].answer(question)
    assert isinstance(summand, Summand)
    sent = masked.mask_summand(summand, question, 2, STUDY, *own("site 0"))
    masked.check(sent, question, 3)
    for count in (len(sent.numbers) - 1, len(sent.numbers) + 1):
        with pytest.raises(ProtocolError, match=f"{count} masked numbers"):
            masked.check(MaskedSummand(sent.bits, (0,) * count), question, 3)
    for count in (2, 4, 6, 7):  # two counts and 1, 3, 6 ... entries
        with pytest.raises(ProtocolError, match=f"{count} masked numbers"):
            masked.check(
                MaskedSummand(masked.bits(LinearQuestion(), 3, weighted=False), (0,) * count), LinearQuestion(), 3
            )
