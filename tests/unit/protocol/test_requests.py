"""Requests as the ledger keeps them: one spelling each, and no other is read."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sumwise.disclosure.facts import Request, row_set
from sumwise.disclosure.policy import OPEN, Policy
from sumwise.errors import ProtocolError
from sumwise.protocol.requests import decode, encode, model_digest, request_of
from sumwise.protocol.wire.fields import is_name
from tests.unit.protocol.test_study import LINEAR, MIXED

hashes = st.binary(min_size=32, max_size=32)
names = st.text(min_size=1, max_size=12).filter(is_name)
requests = st.builds(
    Request,
    study=hashes,
    data=hashes,
    rows=st.integers(0, 2**300),
    sites=st.frozensets(names, min_size=1, max_size=5),
    model=hashes,
)
ONE = Request(b"s" * 32, b"d" * 32, row_set(np.array([0, 2, 700])), frozenset({"north", "Århus"}), b"m" * 32)


@given(requests)
def test_a_request_comes_back_from_its_bytes(request):
    assert decode(encode(request)) == request


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_the_one_spelling_of_a_request_or_refused(data, headed):
    data = b"SUMQ\x01" * headed + data
    try:
        request = decode(data)
    except ProtocolError:
        return
    assert encode(request) == data


@given(st.data())
def test_a_changed_request_is_another_one_or_refused(data):
    good = bytearray(encode(ONE))
    good[data.draw(st.integers(0, len(good) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        request = decode(bytes(good))
    except ProtocolError:
        return
    assert request != ONE
    assert encode(request) == good


@pytest.mark.parametrize("cut", range(len(encode(ONE))))
def test_a_request_cut_off_is_refused(cut):
    with pytest.raises(ProtocolError):
        decode(encode(ONE)[:cut])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"study": b"short"}, "5 bytes where 32 belong"),
        ({"rows": -1}, "rows is negative"),
        ({"sites": frozenset()}, "they should be names, each once"),
        ({"sites": frozenset({" north"})}, "they should be names, each once"),
    ],
)
def test_what_is_no_request_is_not_written(changes, reason):
    with pytest.raises(ProtocolError, match=reason):
        encode(replace(ONE, **changes))


def test_sites_out_of_order_are_refused_and_so_are_negative_rows_and_other_versions():
    good = encode(replace(ONE, sites=frozenset("AB")))
    swapped = good.replace(b"\x01\0\0\0A\x01\0\0\0B", b"\x01\0\0\0B\x01\0\0\0A")
    assert swapped != good
    with pytest.raises(ProtocolError, match="in the order of their bytes"):
        decode(swapped)
    negative = encode(replace(ONE, rows=1)).replace(b"\x01\0\0\0\x01\x02", b"\x01\0\0\0\xff\x02")
    with pytest.raises(ProtocolError, match="rows is negative"):
        decode(negative)
    with pytest.raises(ProtocolError, match="in version 2; this version of Sumwise reads 1"):
        decode(good.replace(b"SUMQ\x01", b"SUMQ\x02"))
    with pytest.raises(ProtocolError, match="this is no request of a study"):
        decode(b"SUMM" + good[4:])


def test_a_study_asks_for_its_sites_its_rows_and_its_model():
    found = request_of(MIXED, b"d" * 32, 0b101)
    assert found == Request(MIXED.digest(), b"d" * 32, 0b101, frozenset(MIXED.sites), model_digest(MIXED))


def test_models_are_alike_if_formula_family_options_and_contract_are():
    """Purpose, sites, policy and dates make another study of the same model."""
    other = replace(MIXED, purpose="another", sites=dict(list(MIXED.sites.items())[:2]), policy=OPEN, most_rounds=9)
    assert other.digest() != MIXED.digest()
    assert model_digest(other) == model_digest(MIXED)
    changed = [
        replace(LINEAR, policy=Policy()),
        replace(LINEAR, formula="y ~ x + 1"),
        replace(LINEAR, options=replace(LINEAR.options, decimal=False)),
        replace(LINEAR, contract={**LINEAR.contract, "learned": []}),
        MIXED,
    ]
    assert len({model_digest(study) for study in changed}) == len(changed)
