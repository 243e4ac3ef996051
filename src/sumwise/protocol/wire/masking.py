"""Secure sum: every site adds masks that cancel in the total, so whoever collects the numbers learns the total alone.

Experimental until it has been reviewed outside.

    masked_i = value_i + sum_{j > i} mask_ij - sum_{j < i} mask_ij   (mod 2^bits),   sites i, j in order of names

    mask_ij = ChaCha20 keystream, key = HKDF-SHA256(X25519(i, j); salt: study; info: names, round, label, shape)

Values are integers (entries of a Gram, exact sums), so the masks cancel to the last bit, and the decoded total is the
plain one.  All sites must agree beforehand on the number of bits, and on what each integer counts in: a unit that a
site chose by its own rows would travel unmasked.

What it protects against: a coordinator, an engine or an eavesdropper that keeps to the protocol, or only listens, and
up to n - 2 of n sites that pool what they know with it.  They learn the total, and by subtraction the sum over all
honest sites: single summands stay hidden as long as two sites are honest and X25519, HKDF and ChaCha20 hold.

What it does not protect against:
- n - 1 sites together, or two of three: the total less their own summands is what is left;
- wrong keys: whoever hands out false public keys reads everything, so they must come with the study that every site
  approved, signed by their owners;
- wrong values: a site may send any number, and nobody can tell;
- missing sites: without all of them the total is noise, not a partial sum.  `unmask_total` cannot see that; the rule
  that a round closes only with every site of the study comes before it;
- what totals tell, alone or by differences between studies: that is for the policy (policy.py);
- stolen keys: masks of past rounds can be made again from a site's private key, so make new keys for each study;
- side channels: Python integers take time that depends on their values; sizes and times of messages are in the open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sumwise.errors import SiteError, UsageError

LEAST_SITES = 3
"""With two sites each takes the other's summand from the total."""

PURPOSE = b"sumwise secure sum 1"
"""Keeps these keys apart from all others made of the same secret; its number changes with the layout below."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a mask is for.  study: hash of the study, 32 bytes; round: from 1; quantity: name of what is summed."""

    study: bytes
    round: int
    quantity: str

    def __post_init__(self) -> None:
        if len(self.study) != 32:
            raise UsageError(f"the hash of a study has 32 bytes, not {len(self.study)}")
        if not 0 <= self.round < 1 << 32:
            raise UsageError(f"round {self.round}: rounds are numbered from 0 to 2^32 - 1")

    def __str__(self) -> str:
        return f"'{self.quantity}' in round {self.round} of study {self.study.hex()[:12]}"


def mask(
    values: Sequence[int],
    bits: int,
    label: Label,
    site: str,
    key: X25519PrivateKey,
    others: Mapping[str, X25519PublicKey],
) -> list[int]:
    """The values of `site`, masked: as many integers in [0, 2^bits).

    bits: a multiple of 8, the same at every site, that holds the total: every value must lie within 2^(bits - 1)
    divided by the number of sites.   key: this site's; others: public keys of all other sites of the study by name.
    A label is for one set of values: two under one label give away their difference.  The site's machine sees to that
    (site.py): its answers are kept before they are sent, and a round is not answered again with other bytes.
    Raises UsageError for a value out of range, and for fewer than three sites; SiteError for a key that is none.
    """
    if site in others:
        raise UsageError(f"'{site}' masks its own values: its key is not among those of the others")
    if len(others) + 1 < LEAST_SITES:
        raise UsageError(
            f"a secure sum over {len(others) + 1} sites hides nothing from them: it takes {LEAST_SITES} or more"
        )
    _check_bits(bits)
    _check_range(values, bits, len(others) + 1)
    masked, modulus = list(values), 1 << bits
    for other, public in others.items():
        pad = _pad(_pair_key(key, site, public, other, label, bits, len(values)), bits, len(values))
        sign = 1 if site < other else -1
        masked = [value + sign * p for value, p in zip(masked, pad, strict=True)]
    return [value % modulus for value in masked]


def unmask_total(masked: Mapping[str, Sequence[int]], bits: int) -> list[int]:
    """The totals of the values that every site masked, each in [-2^(bits - 1), 2^(bits - 1)).

    masked: by site, all sites of the study.  If one is missing the result is noise, which nothing here can tell: check
    first that all are there.
    Raises UsageError for fewer than three sites, SiteError for a site whose numbers are out of range or too few.
    """
    if len(masked) < LEAST_SITES:
        raise UsageError(f"a secure sum has {LEAST_SITES} sites or more, not {len(masked)}")
    _check_bits(bits)
    modulus, half = 1 << bits, 1 << (bits - 1)
    length = len(next(iter(masked.values())))
    for site, numbers in masked.items():
        if len(numbers) != length:
            raise SiteError(f"site '{site}' sent {len(numbers)} masked numbers where another sent {length}")
        if not all(0 <= number < modulus for number in numbers):
            raise SiteError(f"site '{site}' sent a masked number that is negative or has more than {bits} bits")
    return [(sum(numbers) + half) % modulus - half for numbers in zip(*masked.values(), strict=True)]


def bits_for(largest: int, sites: int) -> int:
    """The least width that holds a total over so many sites of values up to `largest` in size."""
    needed = (largest * sites).bit_length() + 1
    return -(-needed // 8) * 8


@dataclass(frozen=True, slots=True)
class MaskedSummand:
    """What a site sends.  bits: width; numbers: each in [0, 2^bits)."""

    bits: int
    numbers: tuple[int, ...]


def _check_bits(bits: int) -> None:
    if bits < 8 or bits % 8:
        raise UsageError(f"bits={bits}: the width of masked numbers is a multiple of 8")


def _check_range(values: Sequence[int], bits: int, sites: int) -> None:
    """So that no total leaves [-2^(bits - 1), 2^(bits - 1))."""
    limit = ((1 << (bits - 1)) - 1) // sites
    for place, value in enumerate(values, start=1):
        if not -limit <= value <= limit:
            raise UsageError(
                f"number {place} of {len(values)} is too large: a total over {sites} sites might need more than the "
                f"{bits} bits that the study sets; let it set more"
            )


def _pair_key(
    key: X25519PrivateKey, site: str, public: X25519PublicKey, other: str, label: Label, bits: int, count: int
) -> bytes:
    """32 bytes that only the two sites know, for one label and shape.

    info: purpose, then the lower name, the higher name and the quantity, each as its length (4 bytes) and UTF-8, then
    round, bits and count (4 bytes each); integers little-endian.
    """
    try:
        secret = key.exchange(public)
    except ValueError as error:  # a point of low order: the secret would be zero, whoever holds the other key
        raise SiteError(f"the public key of site '{other}' is no key: it makes no secret") from error
    texts = [text.encode() for text in (*sorted((site, other)), label.quantity)]
    named = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    shape = b"".join(number.to_bytes(4, "little") for number in (label.round, bits, count))
    return HKDF(SHA256(), 32, salt=label.study, info=PURPOSE + named + shape).derive(secret)


def _pad(key: bytes, bits: int, count: int) -> list[int]:
    """`count` numbers of `bits` bits, little-endian from the keystream.  The nonce is zero: each key is used once."""
    size = bits // 8
    if size * count > 1 << 37:  # the 32-bit counter of 64-byte blocks, with room to spare
        raise UsageError(f"{count} numbers of {bits} bits are more than one mask covers (2^37 bytes)")
    stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(size * count))
    return [int.from_bytes(stream[i : i + size], "little") for i in range(0, size * count, size)]
