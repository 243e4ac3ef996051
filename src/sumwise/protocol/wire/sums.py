"""Exact sums and cross-products as bytes and back: what summands are made of.

An exact sum is a whole multiple of 2^-1074; it is written as its window of digits in base 2^32 (maths/exact.py):

    window:  u8 first (the lowest digit in use, 0 for a sum of zero) | integer (the sum in units of 2^(32 first - 1074))

Equal sums give equal bytes, and come back with equal digits.
"""

from __future__ import annotations

import numpy as np

from sumwise.errors import ProtocolError
from sumwise.kernels.library import DIGITS
from sumwise.kernels.products import NOTHING
from sumwise.maths.exact import ExactSum
from sumwise.maths.gram import Gram
from sumwise.protocol.wire.codec import Reader, Writer

LOWEST = -1074
"""Place of the lowest bit of a float64."""

MOST_DECIMALS = 10_000
"""Decimals of a column beyond any data: sums with more would cost memory that no message announced."""

_BYTES = 4 * DIGITS
_LIMIT = 1 << (8 * _BYTES - 1)
WINDOW = 5
"""Bytes of the shortest window."""


def integers(sums: ExactSum) -> list[int]:
    """The sums as multiples of 2^-1074, in C order.  Raises ProtocolError for digits that are not in normal form."""
    digits = sums.digits
    low, high = digits[..., :-1], digits[..., -1]
    if ((low < 0) | (low >> 32 != 0)).any() or (high != high.astype(np.int32)).any():
        raise ProtocolError("an exact sum whose digits are not in normal form cannot be sent")
    data = (digits & 0xFFFFFFFF).astype("<u4").tobytes()
    return [int.from_bytes(data[k : k + _BYTES], "little", signed=True) for k in range(0, len(data), _BYTES)]


def exact_sum(values: list[int], shape: tuple[int, ...]) -> ExactSum:
    """The sums of these multiples of 2^-1074, in C order.  Raises ProtocolError beyond the range of the digits."""
    if any(not -_LIMIT <= value < _LIMIT for value in values):
        raise ProtocolError("an exact sum is larger than its digits can hold")
    data = b"".join(value.to_bytes(_BYTES, "little", signed=True) for value in values)
    digits = np.frombuffer(data, dtype="<u4").astype(np.int64).reshape(*shape, DIGITS)
    digits[..., -1] = digits[..., -1].astype(np.int32)
    return ExactSum(digits)


def write_windows(to: Writer, sums: ExactSum) -> None:
    """A window for each of the sums, in C order."""
    for value in integers(sums):
        first = ((value & -value).bit_length() - 1) // 32 if value else 0
        to.u8(first)
        to.integer(value >> (32 * first))


def read_windows(of: Reader, count: int) -> list[int]:
    """So many sums, as multiples of 2^-1074."""
    return [read_window(of) for _ in range(count)]


def read_window(of: Reader) -> int:
    """One sum, as a multiple of 2^-1074."""
    at, first, value = of.offset, of.u8(), of.integer()
    if not value & 0xFFFFFFFF if value else first:
        of.fail("an exact sum that does not begin at its lowest digit", at)
    if 32 * first + value.bit_length() > 8 * _BYTES:  # also keeps the shift small
        of.fail("an exact sum larger than its digits can hold", at)
    value <<= 32 * first
    if not -_LIMIT <= value < _LIMIT:
        of.fail("an exact sum larger than its digits can hold", at)
    return value


def write_list(to: Writer, sums: ExactSum) -> None:
    """u32 count, then the windows."""
    shaped(sums, "(n,)", len(sums.shape) == 1)
    to.u32(sums.shape[0])
    write_windows(to, sums)


def read_list(of: Reader) -> ExactSum:
    """What `write_list` wrote."""
    count = of.count(WINDOW)
    return exact_sum(read_windows(of, count), (count,))


def shaped(sums: ExactSum, wanted: str, right: bool) -> None:
    """Raises ProtocolError for sums of another shape than the one that is wanted."""
    if not right:
        raise ProtocolError(f"exact sums of shape {sums.shape} cannot be sent where {wanted} is expected")


def write_gram(to: Writer, gram: Gram) -> None:
    """u64 rows | u32 m | (i32 low, u32 decimals) of the m columns and of the weights | m (m + 1) / 2 integers."""
    m = gram.columns
    if (len(gram.decimals), len(gram.entries)) != (m, m * (m + 1) // 2):
        raise ProtocolError(f"a Gram of {m} columns with {len(gram.entries)} entries cannot be sent")
    to.u64(gram.rows)
    to.u32(m)
    units = [*zip(gram.low, gram.decimals, strict=True), (gram.weight_low, gram.weight_decimals)]
    for low, decimals in units:
        if not _possible(low, decimals):
            raise ProtocolError(f"a column in units of 2^{low} 10^-{decimals} cannot be sent")
        to.i32(low)
        to.u32(decimals)
    for entry in gram.entries:
        to.integer(entry)


def read_gram(of: Reader) -> Gram:
    """What `write_gram` wrote."""
    rows, m = of.u64(), of.count(8)
    units = [_read_unit(of) for _ in range(m + 1)]
    *low, weight_low = (unit[0] for unit in units)
    *decimals, weight_decimals = (unit[1] for unit in units)
    many = m * (m + 1) // 2
    if 4 * many > of.left:
        of.fail(f"{many} entries should follow, {of.left} bytes are left")
    entries = tuple(of.integer() for _ in range(many))
    return Gram(rows, tuple(low), entries, tuple(decimals), weight_low, weight_decimals)


def _read_unit(of: Reader) -> tuple[int, int]:
    at, low, decimals = of.offset, of.i32(), of.u32()
    if not _possible(low, decimals):
        of.fail(f"units of 2^{low} 10^-{decimals} are beyond any data", at)
    return low, decimals


def _possible(low: int, decimals: int) -> bool:
    """Whether a column can count in 2^low 10^-decimals.  Others would make adding as costly as the sender likes."""
    return LOWEST <= low <= NOTHING and 0 <= decimals <= MOST_DECIMALS
