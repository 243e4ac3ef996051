"""Values as bytes and back, canonically: a value has one spelling, and the reader accepts no other.

    u8, u32, u64    unsigned, little-endian                   flag     u8, 0 or 1
    i32             two's complement, little-endian           float64  IEEE 754, little-endian; no nan
    raw             so many bytes, as they are                blob     u32 length, then the bytes
    text            a blob of strict UTF-8                    items    u32 count, then the items
    integer         a blob: two's complement, little-endian, as few as hold it (none for 0)
    floats          u8 dimensions (at most 2), each as u32, then the float64 numbers in C order

Equal bits give equal bytes (0.0 and -0.0 differ).  What the reader takes into memory is never larger than a small
multiple of the bytes that are there: lengths and counts are compared with what is left before anything is made.
Whatever is wrong raises ProtocolError, when writing as when reading.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Iterable
from operator import index
from typing import NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import ProtocolError

Floats = NDArray[np.float64]
T = TypeVar("T")

HASH_BYTES = 32
"""Length of a digest."""

NO_HASH = bytes(HASH_BYTES)
"""Stands where there is nothing before: digest of nothing that exists."""

MOST_DIMENSIONS = 2

MOST_EMPTY = 1 << 16
"""The longest side of an array without numbers: it takes no bytes, but whoever runs along it takes time and memory."""


def digest(data: bytes) -> bytes:
    """SHA-256, so that `sha256sum` checks a file.  Every format of ours begins with its own four letters: bytes of one
    are never bytes of another.
    """
    return hashlib.sha256(data).digest()


class Writer:
    """Appends values; `done()` is all of them."""

    __slots__ = ("_out",)

    def __init__(self, magic: bytes = b"") -> None:
        self._out = bytearray(magic)

    def done(self) -> bytes:
        """The bytes so far."""
        return bytes(self._out)

    def _fail(self, reason: str) -> NoReturn:
        raise ProtocolError(f"cannot be written: {reason}", len(self._out))

    def _whole(self, value: int, size: int, *, signed: bool = False) -> None:
        try:
            self._out += index(value).to_bytes(size, "little", signed=signed)
        except (OverflowError, TypeError) as error:
            name = f"{'i' if signed else 'u'}{8 * size}"
            raise ProtocolError(f"cannot be written: {value!r:.60} is no {name}", len(self._out)) from error

    def u8(self, value: int) -> None:
        """0 to 2^8 - 1"""
        self._whole(value, 1)

    def u32(self, value: int) -> None:
        """0 to 2^32 - 1"""
        self._whole(value, 4)

    def u64(self, value: int) -> None:
        """0 to 2^64 - 1"""
        self._whole(value, 8)

    def i32(self, value: int) -> None:
        """-2^31 to 2^31 - 1"""
        self._whole(value, 4, signed=True)

    def flag(self, value: bool) -> None:
        """True or False."""
        self.u8(1 if value else 0)

    def float64(self, value: float, *, infinite: bool = False) -> None:
        """A number, finite unless infinite ones are asked for; never nan."""
        if math.isnan(value) or (math.isinf(value) and not infinite):
            self._fail(f"{value} where a {'' if infinite else 'finite '}number belongs")
        self._out += struct.pack("<d", value)

    def raw(self, value: bytes, size: int) -> None:
        """Exactly `size` bytes, without their length."""
        if len(value) != size:
            self._fail(f"{len(value)} bytes where {size} belong")
        self._out += value

    def blob(self, value: bytes) -> None:
        """Bytes of any length."""
        self.u32(len(value))
        self._out += value

    def text(self, value: str) -> None:
        """Unicode text."""
        try:
            self.blob(value.encode())
        except UnicodeEncodeError as error:
            raise ProtocolError(f"cannot be written: {value!r:.60} is no Unicode text", len(self._out)) from error

    def integer(self, value: int) -> None:
        """A whole number of any size."""
        value = index(value)
        size = (value if value >= 0 else ~value).bit_length() // 8 + 1 if value else 0
        self.blob(value.to_bytes(size, "little", signed=True))

    def floats(self, values: Floats) -> None:
        """An array of finite numbers."""
        if values.ndim > MOST_DIMENSIONS:
            self._fail(f"an array of {values.ndim} dimensions, at most {MOST_DIMENSIONS} are possible")
        if _is_vast(values.shape):
            self._fail(f"an array of {values.shape}, which holds nothing")
        if values.dtype != np.float64 or not np.isfinite(values).all():
            self._fail("an array that is not all finite float64 numbers")
        self.u8(values.ndim)
        for size in values.shape:
            self.u32(size)
        self._out += values.astype("<f8").tobytes()

    def items(self, values: Iterable[T], write: Callable[[Writer, T], None]) -> None:
        """Items, each written by `write`."""
        values = tuple(values)
        self.u32(len(values))
        for item in values:
            write(self, item)


def _is_vast(shape: tuple[int, ...]) -> bool:
    return 0 in shape and max(shape) > MOST_EMPTY


class Reader:
    """Reads in order what a Writer wrote.  offset: of the next byte."""

    __slots__ = ("_data", "offset")

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self._data = data
        self.offset = offset

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self.offset

    def end(self) -> None:
        """Nothing may follow."""
        if self.left:
            raise ProtocolError(f"{self.left} bytes follow where the end should be", self.offset)

    def fail(self, reason: str, offset: int | None = None) -> NoReturn:
        """Raises the error, at this place or another."""
        raise ProtocolError(reason, self.offset if offset is None else offset)

    def raw(self, size: int) -> bytes:
        """So many bytes."""
        if size > self.left:
            self.fail(f"{size} bytes should follow, {self.left} are left")
        self.offset += size
        return self._data[self.offset - size : self.offset]

    def magic(self, expected: bytes, name: str) -> None:
        """The letters that the format begins with."""
        if self._data[self.offset : self.offset + len(expected)] != expected:
            self.fail(f"this is no {name}: it does not begin with {expected.decode()}")
        self.offset += len(expected)

    def u8(self) -> int:
        """0 to 2^8 - 1"""
        return self.raw(1)[0]

    def u32(self) -> int:
        """0 to 2^32 - 1"""
        return int.from_bytes(self.raw(4), "little")

    def u64(self) -> int:
        """0 to 2^64 - 1"""
        return int.from_bytes(self.raw(8), "little")

    def i32(self) -> int:
        """-2^31 to 2^31 - 1"""
        return int.from_bytes(self.raw(4), "little", signed=True)

    def flag(self) -> bool:
        """True or False."""
        at, value = self.offset, self.u8()
        if value > 1:
            self.fail(f"{value} where 0 or 1 belongs", at)
        return value == 1

    def float64(self, *, infinite: bool = False) -> float:
        """A number, finite unless infinite ones are asked for; never nan."""
        at = self.offset
        value: float = struct.unpack("<d", self.raw(8))[0]
        if math.isnan(value) or (math.isinf(value) and not infinite):
            self.fail(f"{value} where a {'' if infinite else 'finite '}number belongs", at)
        return value

    def blob(self) -> bytes:
        """Bytes of any length."""
        return self.raw(self.u32())

    def text(self) -> str:
        """Unicode text."""
        at, data = self.offset, self.blob()
        try:
            return data.decode()
        except UnicodeDecodeError:
            self.fail("text that is no UTF-8", at)

    def integer(self) -> int:
        """A whole number of any size."""
        at, data = self.offset, self.blob()
        last, before = data[-1:], data[-2:-1] or b"\0"
        if (last == b"\0" and before < b"\x80") or (last == b"\xff" and len(data) > 1 and before >= b"\x80"):
            self.fail(f"an integer in {len(data)} bytes that needs fewer", at)
        return int.from_bytes(data, "little", signed=True)

    def floats(self) -> Floats:
        """An array of finite numbers; it cannot be written to."""
        at, dimensions = self.offset, self.u8()
        if dimensions > MOST_DIMENSIONS:
            self.fail(f"an array of {dimensions} dimensions, at most {MOST_DIMENSIONS} are possible", at)
        shape = tuple(self.u32() for _ in range(dimensions))
        if _is_vast(shape):
            self.fail(f"an array of {shape}, which holds nothing", at)
        values = np.frombuffer(self.raw(8 * math.prod(shape)), dtype="<f8").astype(np.float64).reshape(shape)
        if not np.isfinite(values).all():
            self.fail("an array that is not all finite numbers", at)
        values.flags.writeable = False
        return values

    def count(self, least: int) -> int:
        """How many items follow, each of at least so many bytes."""
        at, count = self.offset, self.u32()
        if count * least > self.left:
            self.fail(f"{count} items of at least {least} bytes should follow, {self.left} bytes are left", at)
        return count

    def items(self, read: Callable[[Reader], T], least: int) -> tuple[T, ...]:
        """Items, each read by `read`, of at least `least` >= 1 bytes."""
        return tuple(read(self) for _ in range(self.count(least)))
