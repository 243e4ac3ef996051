"""Keys for tests: the same at each run, and nobody's."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from sumwise.protocol.wire.masking import Label, mask

STUDY = hashlib.sha256(b"a study of the tests").digest()


def private(site: str) -> bytes:
    return hashlib.sha256(b"key of " + site.encode()).digest()


def keys(sites: Iterable[str]) -> dict[str, X25519PrivateKey]:
    return {site: X25519PrivateKey.from_private_bytes(private(site)) for site in sites}


def mask_all(values: Mapping[str, Sequence[int]], bits: int, label: Label) -> dict[str, list[int]]:
    """What every site sends."""
    own = keys(values)
    public = {site: key.public_key() for site, key in own.items()}
    return {
        site: mask(numbers, bits, label, site, own[site], {o: k for o, k in public.items() if o != site})
        for site, numbers in values.items()
    }
