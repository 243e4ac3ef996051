"""A site's keys: two of one secret."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sumwise.errors import UsageError
from sumwise.protocol.keys import SiteKeys
from tests.oracles import masks

SEED = hashlib.sha256(b"a secret of the tests").digest()


def test_the_signing_key_is_the_seed_and_the_masking_key_derived_from_it():
    """By the plain twins of HKDF and X25519; the base point is 9 (RFC 7748, section 6.1)."""
    keys = SiteKeys.from_seed(SEED)
    signing = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    masking = masks.hkdf(SEED, bytes(32), b"sumwise masking key 1")
    assert keys.public == signing + masks.x25519(masking, (9).to_bytes(32, "little"))


def test_other_seeds_make_other_keys_and_the_same_seed_the_same():
    one, two, three = (SiteKeys.from_seed(s).public for s in (SEED, SEED, bytes(32)))
    assert one == two
    assert one[:32] != three[:32]
    assert one[32:] != three[32:]


def test_a_seed_has_32_bytes():
    with pytest.raises(UsageError, match="has 32 bytes, not 31"):
        SiteKeys.from_seed(SEED[:31])
