"""Primitives as bytes: their layout, and the spellings that are refused."""

import struct
from collections.abc import Callable

import numpy as np
import pytest

from sumwise.errors import ProtocolError, SumwiseError
from sumwise.protocol.wire.codec import Reader, Writer, digest


def written(name: str, *values: object, **options: object) -> bytes:
    to = Writer()
    getattr(to, name)(*values, **options)
    return to.done()


def test_the_layout_is_little_endian() -> None:
    assert written("u8", 200) == b"\xc8"
    assert written("u32", 1) == b"\1\0\0\0"
    assert written("u64", 2**63) == bytes(7) + b"\x80"
    assert written("i32", -2) == b"\xfe\xff\xff\xff"
    assert written("float64", 1.0) == struct.pack("<d", 1.0)
    assert written("text", "é") == b"\2\0\0\0\xc3\xa9"
    assert written("items", (1, 2), Writer.u8) == b"\2\0\0\0\1\2"
    assert written("floats", np.array([[1.0], [2.0]])) == b"\2\2\0\0\0\1\0\0\0" + struct.pack("<dd", 1.0, 2.0)


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, b""), (1, b"\1"), (-1, b"\xff"), (127, b"\x7f"), (128, b"\x80\0"), (-128, b"\x80"), (-129, b"\x7f\xff")],
)
def test_integers_take_as_few_bytes_as_hold_them(value: int, data: bytes) -> None:
    """Two's complement, worked out by hand."""
    spelled = written("blob", data)
    assert written("integer", value) == spelled
    assert Reader(spelled).integer() == value


@pytest.mark.parametrize("data", [b"\0", b"\1\0", b"\xff\xff", b"\x7f\0", b"\x80\xff", b"\0\0"])
def test_longer_spellings_of_an_integer_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="needs fewer"):
        Reader(written("blob", data)).integer()


def test_numbers_that_are_no_finite_numbers_are_refused_unless_asked_for() -> None:
    for value in (np.inf, -np.inf):
        with pytest.raises(ProtocolError, match="finite"):
            written("float64", value)
        with pytest.raises(ProtocolError, match="finite"):
            Reader(struct.pack("<d", value)).float64()
        assert Reader(written("float64", value, infinite=True)).float64(infinite=True) == value
    with pytest.raises(ProtocolError, match="nan"):
        written("float64", np.nan, infinite=True)
    with pytest.raises(ProtocolError, match="nan"):
        Reader(struct.pack("<d", np.nan)).float64(infinite=True)
    with pytest.raises(ProtocolError, match="not all finite"):
        written("floats", np.array([1.0, np.nan]))
    with pytest.raises(ProtocolError, match="holds nothing"):
        written("floats", np.zeros((0, 70_000)))
    with pytest.raises(ProtocolError, match="not all finite"):
        Reader(b"\1\1\0\0\0" + struct.pack("<d", np.inf)).floats()


@pytest.mark.parametrize(
    ("read", "data", "reason"),
    [
        (Reader.u32, b"\1\0\0", "at byte 0: 4 bytes should follow, 3 are left"),
        (Reader.flag, b"\2", "at byte 0: 2 where 0 or 1 belongs"),
        (Reader.text, b"\1\0\0\0\xff", "at byte 0: text that is no UTF-8"),
        (Reader.text, b"\3\0\0\0\xed\xa0\x80", "no UTF-8"),  # half of a surrogate pair
        (Reader.text, b"\2\0\0\0\xc0\x80", "no UTF-8"),  # 0 in two bytes
        (Reader.blob, b"\xff\xff\xff\xff", "4294967295 bytes should follow, 0 are left"),
        (Reader.floats, b"\3" + bytes(12), "an array of 3 dimensions"),
        (Reader.floats, b"\2" + b"\xff" * 8, "are left"),
        (Reader.floats, b"\2" + b"\xff" * 4 + bytes(4), r"array of \(4294967295, 0\), which holds nothing"),
        (Reader.floats, b"\2" + bytes(4) + b"\1\0\1\0", r"array of \(0, 65537\), which holds nothing"),
    ],
)
def test_what_no_writer_wrote_is_named(read: Callable[[Reader], object], data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        read(Reader(data))


def test_a_count_of_items_that_are_not_there_is_refused_before_anything_is_made() -> None:
    with pytest.raises(ProtocolError, match="4294967295 items of at least 4 bytes should follow, 8 bytes are left"):
        Reader(b"\xff\xff\xff\xff" + bytes(8)).items(Reader.u32, 4)


@pytest.mark.parametrize(
    ("name", "value"),
    [("u8", 256), ("u32", -1), ("u64", 2**64), ("i32", 2**31), ("u8", 1.0), ("u8", "1"), ("text", "\ud800")],
)
def test_values_without_a_place_are_not_written(name: str, value: object) -> None:
    with pytest.raises(ProtocolError, match="cannot be written"):
        written(name, value)


def test_arrays_come_back_with_their_shape_and_are_not_written_to() -> None:
    for shape in ((), (0,), (3,), (0, 4), (2, 3)):
        values = np.arange(np.prod(shape), dtype=float).reshape(shape)
        found = Reader(written("floats", values)).floats()
        assert found.shape == shape
        assert np.array_equal(found, values)
        assert not found.flags.writeable
    transposed = np.arange(6.0).reshape(2, 3).T
    assert np.array_equal(Reader(written("floats", transposed)).floats(), transposed)


def test_bytes_after_the_end_are_refused() -> None:
    of = Reader(b"\1\2")
    of.u8()
    with pytest.raises(ProtocolError, match="at byte 1: 1 bytes follow") as caught:
        of.end()
    assert (caught.value.offset, isinstance(caught.value, SumwiseError)) == (1, True)
    assert caught.value.reason.startswith("1 bytes follow")


def test_digests_are_sha256() -> None:
    """SHA-256 of "abc": FIPS 180-4, example B.1."""
    assert digest(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
