"""Laws of secure sums."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.protocol.masking import Label, bits_for, unmask_total
from tests.unit.protocol.keys import STUDY, mask_all

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
