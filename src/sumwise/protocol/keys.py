"""A site's keys in a study: one signs what it says, one makes the masks of secure sums; both from one secret."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sumwise.errors import UsageError

SEED_BYTES = 32

KEY_BYTES = 32
"""Of one public key; a site has two."""

PURPOSE = b"sumwise masking key 1"
"""Keeps the masking key apart from all else that is made of the seed."""


@dataclass(frozen=True, slots=True)
class SiteKeys:
    """signing: of its messages; masking: agrees on masks with every other site."""

    signing: Ed25519PrivateKey
    masking: X25519PrivateKey

    @classmethod
    def from_seed(cls, seed: bytes) -> SiteKeys:
        """Both keys of 32 secret random bytes.  Raises UsageError for another number of them."""
        if len(seed) != SEED_BYTES:
            raise UsageError(f"the secret of a site has {SEED_BYTES} bytes, not {len(seed)}")
        masking = HKDF(SHA256(), 32, salt=None, info=PURPOSE).derive(seed)
        return cls(Ed25519PrivateKey.from_private_bytes(seed), X25519PrivateKey.from_private_bytes(masking))

    @property
    def public(self) -> bytes:
        """64 bytes for the study: the Ed25519 public key, then the X25519 public key."""
        return self.signing.public_key().public_bytes_raw() + self.masking.public_key().public_bytes_raw()
