"""Masks of a secure sum in plain Python: X25519 (RFC 7748, section 5), HKDF-SHA256 (RFC 5869), ChaCha20 (RFC 8439)."""

import hashlib
import hmac

PRIME = 2**255 - 19


def x25519(private: bytes, public: bytes) -> bytes:
    """The shared secret: RFC 7748's ladder, letter for letter."""
    k = int.from_bytes(private, "little")
    k = (k & ~7 & (2**254 - 1)) | 2**254
    x1 = int.from_bytes(public, "little") % 2**255
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % PRIME, x1 * (da - cb) ** 2 % PRIME
        x2, z2 = aa * bb % PRIME, e * (aa + 121665 * e) % PRIME
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, PRIME - 2, PRIME) % PRIME).to_bytes(32, "little")


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """32 bytes: extract, then one block of expand."""
    extracted = hmac.digest(salt, secret, hashlib.sha256)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)


def chacha20(key: bytes, length: int) -> bytes:
    """The keystream from block 0 with a nonce of zeros."""
    out = b""
    for counter in range(-(-length // 64)):
        words = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]
        words += [int.from_bytes(key[i : i + 4], "little") for i in range(0, 32, 4)] + [counter, 0, 0, 0]
        state = list(words)
        for _ in range(10):
            for i in range(4):
                _quarter(state, i, i + 4, i + 8, i + 12)
            for i in range(4):
                _quarter(state, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
        out += b"".join(((a + b) % 2**32).to_bytes(4, "little") for a, b in zip(state, words, strict=True))
    return out[:length]


def _quarter(s: list[int], a: int, b: int, c: int, d: int) -> None:
    for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) % 2**32
        s[z] ^= s[x]
        s[z] = (s[z] << n | s[z] >> (32 - n)) % 2**32


def masked(
    values: list[int], bits: int, study: bytes, round_: int, quantity: str, site: str, privates: dict[str, bytes]
) -> list[int]:
    """What `site` sends, from everybody's private keys."""
    base = (9).to_bytes(32, "little")
    out = list(values)
    for other in privates:
        if other == site:
            continue
        info = b"sumwise secure sum 1"
        for text in (min(site, other), max(site, other), quantity):
            info += len(text.encode()).to_bytes(4, "little") + text.encode()
        for number in (round_, bits, len(values)):
            info += number.to_bytes(4, "little")
        secret = x25519(privates[site], x25519(privates[other], base))
        stream = chacha20(hkdf(secret, study, info), len(values) * bits // 8)
        for place in range(len(values)):
            pad = int.from_bytes(stream[place * bits // 8 : (place + 1) * bits // 8], "little")
            out[place] += pad if site < other else -pad
    return [value % 2**bits for value in out]
