"""Secure sums: masks cancel in the total, hide single summands, and are never used twice."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from sumwise.errors import SiteError, UsageError
from sumwise.kernels.library import DIGITS
from sumwise.maths.exact import ExactSum
from sumwise.maths.gram import Gram
from sumwise.protocol.wire import masking
from sumwise.protocol.wire.masking import Label, bits_for, mask, unmask_total
from tests.oracles import masks
from tests.unit.protocol.keys import STUDY, keys, mask_all, private

LABEL = Label(STUDY, 2, "gram")
VALUES = {"Aachen": [1, -2, 3], "Bern": [10, 20, -30], "Chur": [-100, 0, 7]}


def test_the_oracle_reproduces_the_vectors_of_the_rfcs():
    """RFC 7748 section 6.1; RFC 5869 test case 1, first 32 bytes; RFC 8439 appendix A.1, vectors 1 and 2 (key and nonce
    of zeros, blocks 0 and 1), first 16 bytes of each.
    """
    alice = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    bob = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert masks.x25519(alice, bob).hex() == shared
    derived = masks.hkdf(bytes([0x0B] * 22), bytes(range(13)), bytes(range(0xF0, 0xFA)))
    assert derived.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
    stream = masks.chacha20(bytes(32), 128)
    assert stream[:16].hex() == "76b8e0ada0f13d90405d6ae55386bd28"
    assert stream[64:80].hex() == "9f07e7be5551387a98ba977c732d080d"


@pytest.mark.parametrize("bits", [8, 64, 264])
def test_masks_are_those_of_the_plain_twin(bits):
    privates = {site: private(site) for site in [*VALUES, "Graubünden"]}
    values = {site: [bits % 7, -5, place] for place, site in enumerate(privates)}
    found = mask_all(values, bits, LABEL)
    for site, numbers in values.items():
        assert found[site] == masks.masked(numbers, bits, STUDY, 2, "gram", site, privates)


def test_the_total_is_the_plain_total_and_no_summand_is_seen():
    masked = mask_all(VALUES, 128, LABEL)
    assert unmask_total(masked, 128) == [-89, 18, -20]
    for site, values in VALUES.items():
        assert not {v % 2**128 for v in values} & set(masked[site])


def test_masks_differ_by_round_quantity_study_and_width():
    labels = [LABEL, Label(STUDY, 3, "gram"), Label(STUDY, 2, "gra"), Label(bytes(32), 2, "gram")]
    first = {tuple(mask_all(VALUES, bits, label)["Bern"]) for label in labels for bits in (64, 72)}
    assert len({number % 2**64 for numbers in first for number in numbers}) == 3 * len(labels) * 2


def test_names_that_join_to_the_same_text_have_other_masks():
    """ "a" with "bc", and "ab" with "c": the lengths in the derivation keep them apart."""
    own, public = keys(["x"])["x"], keys(["y"])["y"].public_key()
    pair = [masking._pair_key(own, a, public, b, LABEL, 64, 3) for a, b in (("a", "bc"), ("ab", "c"))]
    assert pair[0] != pair[1]


def test_without_one_site_the_total_is_noise():
    """So completeness has to be checked before: the numbers themselves do not show it."""
    four = {**VALUES, "Davos": [1, 1, 1]}
    masked = mask_all(four, 128, LABEL)
    del masked["Davos"]
    assert all(abs(total) > 2**64 for total in unmask_total(masked, 128))  # chance of failure: 3 in 2^63


def test_exact_sums_and_cross_products_keep_every_bit():
    """The entries of Grams, and exact sums of 68 digits of 32 bits, as the sites of a study have them."""
    rng = np.random.default_rng(1)
    tables = {site: [rng.normal(size=30) * 10.0 ** rng.integers(-20, 20, 30) for _ in range(3)] for site in VALUES}
    grams = {site: Gram.of(columns)._in_bits((-125,) * 3, 0) for site, columns in tables.items()}
    bits = bits_for(2**512, 3)
    total = unmask_total(mask_all({s: g.entries for s, g in grams.items()}, bits, LABEL), bits)
    assert tuple(total) == (grams["Aachen"] + grams["Bern"] + grams["Chur"]).entries
    sums = {site: ExactSum.of(np.column_stack(columns)) for site, columns in tables.items()}
    whole = {site: [int(f * 2**1074) for f in s.fractions()] for site, s in sums.items()}
    masked = mask_all(whole, 32 * DIGITS + 8, LABEL)
    plain = sums["Aachen"] + sums["Bern"] + sums["Chur"]
    assert unmask_total(masked, 32 * DIGITS + 8) == [int(f * 2**1074) for f in plain.fractions()]


def test_fewer_than_three_sites_are_refused():
    with pytest.raises(UsageError, match="2 sites hides nothing"):
        mask_all({"Aachen": [1], "Bern": [2]}, 64, LABEL)
    with pytest.raises(UsageError, match="3 sites or more, not 2"):
        unmask_total({"Aachen": [1], "Bern": [2]}, 64)


@pytest.mark.parametrize("value", [43, -43, 2**70])
def test_a_value_whose_total_might_not_fit_is_refused(value):
    """8 bits hold -128 to 127, so three sites may have up to 42 each."""
    assert unmask_total(mask_all({site: [42] for site in VALUES}, 8, LABEL), 8) == [126]
    with pytest.raises(UsageError, match="number 2 of 2 is too large: a total over 3 sites might need more than the 8"):
        mask_all({**VALUES, "Bern": [1, value]} | {s: [0, 0] for s in ("Aachen", "Chur")}, 8, LABEL)


def test_bits_for_is_the_least_width_that_masks_take():
    assert [bits_for(42, 3), bits_for(43, 3), bits_for(0, 3), bits_for(2**100, 50)] == [8, 16, 8, 112]


@pytest.mark.parametrize("bits", [0, 7, -8, 65])
def test_a_width_is_a_multiple_of_eight(bits):
    with pytest.raises(UsageError, match="multiple of 8"):
        mask_all(VALUES, bits, LABEL)


def test_numbers_of_other_shapes_name_their_site():
    masked = mask_all(VALUES, 64, LABEL)
    with pytest.raises(SiteError, match="'Bern' sent 2 masked numbers where another sent 3"):
        unmask_total({**masked, "Bern": masked["Bern"][:2]}, 64)
    for wrong in (-1, 2**64):
        with pytest.raises(SiteError, match="'Chur' sent a masked number"):
            unmask_total({**masked, "Chur": [wrong, 0, 0]}, 64)


def test_a_public_key_that_makes_no_secret_names_its_site():
    """u = 0 is a point of low order (RFC 7748, section 6.1: the all-zero check)."""
    own = keys(VALUES)
    others = {"Bern": own["Bern"].public_key(), "Chur": X25519PublicKey.from_public_bytes(bytes(32))}
    with pytest.raises(SiteError, match="'Chur' is no key"):
        mask([1], 64, LABEL, "Aachen", own["Aachen"], others)


def test_a_site_is_not_among_the_others():
    own = keys(VALUES)
    with pytest.raises(UsageError, match="'Bern' masks its own values"):
        mask([1], 64, LABEL, "Bern", own["Bern"], {site: key.public_key() for site, key in own.items()})


def test_a_label_names_a_study_by_its_hash():
    with pytest.raises(UsageError, match="has 32 bytes, not 3"):
        Label(b"abc", 1, "gram")
    with pytest.raises(UsageError, match="round -1"):
        Label(STUDY, -1, "gram")


def test_a_label_masked_twice_with_different_values_gives_their_difference():
    """Why a site never answers a round twice with different sums (test_masked.py)."""
    one = mask_all(VALUES, 64, LABEL)["Bern"]
    two = mask_all({**VALUES, "Bern": [11, 20, -30]}, 64, LABEL)["Bern"]
    assert [b - a for a, b in zip(one, two, strict=True)] == [1, 0, 0]
    assert mask_all(VALUES, 64, LABEL)["Bern"] == one
