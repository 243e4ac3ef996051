"""Laws of secure sums."""

from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.errors import ProtocolError
from sumwise.maths.exact import ExactSum
from sumwise.maths.gram import Gram
from sumwise.models.glmm_messages import Moments, MomentsQuestion
from sumwise.models.linear import LinearQuestion, LinearSummand
from sumwise.protocol.wire import masked, payloads, sums
from sumwise.protocol.wire.masking import Label, bits_for, unmask_total
from tests.unit.protocol.keys import STUDY, keys, mask_all

labels = st.builds(Label, st.just(STUDY), st.integers(0, 2**32 - 1), st.text(st.characters(codec="utf-8"), max_size=8))
names = st.lists(st.text(st.characters(codec="utf-8"), max_size=6), min_size=3, max_size=10, unique=True)


@st.composite
def summands(draw) -> tuple[dict[str, list[int]], int]:
    """Values of 3 to 10 sites, up to the largest that the width holds, and the width."""
    sites, count = draw(names), draw(st.integers(0, 5))
    largest = 2 ** draw(st.integers(0, 300))
    numbers = st.lists(
        st.one_of(st.integers(-largest, largest), st.sampled_from([largest, -largest, 0])),
        min_size=count,
        max_size=count,
    )
    return {site: draw(numbers) for site in sites}, bits_for(largest, len(sites))


@given(summands(), labels, st.data())
@settings(max_examples=60, deadline=None)
def test_the_decoded_total_is_the_plain_total_in_any_order_of_the_sites(drawn, label, data):
    values, bits = drawn
    masked = mask_all(values, bits, label)
    order = data.draw(st.permutations(sorted(masked)))
    assert unmask_total({site: masked[site] for site in order}, bits) == [
        sum(v) for v in zip(*values.values(), strict=True)
    ]


@given(summands(), labels)
@settings(max_examples=30, deadline=None)
def test_masking_is_a_function_of_keys_label_and_values(drawn, label):
    values, bits = drawn
    backwards = dict(reversed(values.items()))
    assert mask_all(values, bits, label) == mask_all(backwards, bits, label)


@given(summands(), labels, st.data())
@settings(max_examples=30, deadline=None)
def test_sites_of_equal_values_send_different_numbers(drawn, label, data):
    """Each number of a width of 128 bits: a chance of 2^-128 to be equal."""
    values, _ = drawn
    one = data.draw(st.lists(st.integers(-(2**100), 2**100), min_size=1, max_size=3))
    masked = mask_all(dict.fromkeys(values, one), 128, label)
    for place in range(len(one)):
        assert len({numbers[place] for numbers in masked.values()}) == len(values)


# -- summands --

finite = st.floats(allow_nan=False, allow_infinity=False)


def send(parts, question, wrong: str | None = None):
    """Masked answers of all sites; `wrong` has another private key than it says."""
    own = keys(parts)
    public = {site: key.public_key() for site, key in own.items()}
    if wrong is not None:
        own[wrong] = keys(["nobody"])["nobody"]
    return {s: masked.mask_summand(p, question, 1, STUDY, s, own[s], public) for s, p in parts.items()}


@st.composite
def regressions(draw):
    """Summands of 3 to 5 sites over columns of any floats, weighted or not; some sites have no rows."""
    m, weighted = draw(st.integers(1, 3)), draw(st.booleans())

    def site():
        n = draw(st.integers(0, 3))
        table = [np.array(draw(st.lists(finite, min_size=n, max_size=n)), dtype=float) for _ in range(m)]
        positive = st.floats(5e-324, allow_infinity=False)
        weights = np.array(draw(st.lists(positive, min_size=n, max_size=n)), dtype=float) if weighted else None
        logs = ExactSum.of(np.array(draw(st.lists(finite, max_size=2)), dtype=float)) if weighted else None
        return LinearSummand(Gram.of(table, weights), draw(st.integers(0, 9)), logs)

    return {name: site() for name in "abcde"[: draw(st.integers(3, 5))]}


@given(regressions())
@settings(max_examples=60, deadline=None)
def test_a_masked_regression_has_the_value_of_the_plain_total(parts):
    plain, found = reduce(add, parts.values()), masked.total(send(parts, LinearQuestion()), LinearQuestion())
    m = plain.gram.columns
    assert all(found.gram.fraction(i, j) == plain.gram.fraction(i, j) for i in range(m) for j in range(m))
    assert (found.gram.rows, found.ignored, found.log_weights) == (plain.gram.rows, plain.ignored, plain.log_weights)
    assert payloads.decode(payloads.encode(found)) == found
    for one in (found.gram.low, found.gram.decimals):
        assert all(low >= sums.LOWEST for low in one)


counts = st.integers(0, 2**40)
moments = st.builds(
    lambda rows, groups, alike, columns: Moments(
        rows, groups, alike, ExactSum.of(np.array([columns[:2]])), ExactSum.of(np.array([columns[2:]]))
    ),
    counts,
    counts,
    counts,
    st.lists(finite, min_size=8, max_size=8),
)
three = st.lists(moments, min_size=3, max_size=5).map(lambda found: dict(zip("abcde", found, strict=False)))


@given(three, st.data())
@settings(max_examples=60, deadline=None)
def test_masked_moments_are_the_plain_total_and_without_a_site_or_with_a_wrong_key_noise(parts, data):
    question = MomentsQuestion()
    sent = send(parts, question)
    assert payloads.encode(masked.total(sent, question)) == payloads.encode(reduce(add, parts.values()))
    assert len({len(payloads.encode(one)) for one in sent.values()}) == 1
    site = data.draw(st.sampled_from(sorted(parts)))
    with pytest.raises(ProtocolError, match="do not cancel"):
        masked.total(send(parts, question, wrong=site), question)
    if len(parts) > 3:
        with pytest.raises(ProtocolError, match="do not cancel"):
            masked.total({name: one for name, one in sent.items() if name != site}, question)
