"""Which float64 a number is nearest to: by balls of rising precision, and by rationals where balls cannot say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from sumwise.maths.rounding import precision

FIRST_BITS = 192
"""Bits of the first attempt: enough for a condition number of 1e16 and 53 bits of result."""
ENOUGH = 100
"""Balls good to so many bits that have not settled hold a zero or a tie, and are left to rationals."""

Place = tuple[int, ...]


class Solution(Protocol):
    """Numbers in balls of `bits` bits, which came out good to `accuracy` bits."""

    @property
    def bits(self) -> int: ...
    @property
    def accuracy(self) -> int: ...


S = TypeVar("S", bound=Solution)


class Ladder(Generic[S]):
    """Solutions of rising precision, each computed once.

    at(bits) computes one; it raises ZeroDivisionError if the bits are too few to divide by.
    """

    def __init__(self, at: Callable[[int], S]) -> None:
        self._at = at
        self._steps: dict[int, S | None] = {}

    def up_to(self, enough: float) -> Iterator[S]:
        """Solutions up to the first that is good to `enough` bits."""
        bits = FIRST_BITS
        while True:
            if bits not in self._steps:
                try:
                    self._steps[bits] = self._at(bits)
                except ZeroDivisionError:  # singular, as far as these bits can tell
                    self._steps[bits] = None
            solution = self._steps[bits]
            if solution is not None:
                yield solution
                if solution.accuracy >= enough:
                    return
            bits *= 2


def decide(
    ladder: Ladder[S],
    places: Sequence[Place],
    settle: Callable[[S, Place], Any],
    exact: Callable[[Place], Any],
    enough: int = ENOUGH,
) -> dict[Place, Any]:
    """The rounded number at each place: settle(solution, place), or exact(place) where that stays None.

    Beyond the largest float64 it is inf.
    """
    out: dict[Place, Any] = {}
    left = list(places)
    for solution in ladder.up_to(enough) if left else ():
        with precision(solution.bits):
            found = {at: settle(solution, at) for at in left}
        out |= {at: value for at, value in found.items() if value is not None}
        left = [at for at in left if at not in out]
        if not left:
            break
    for at in left:
        try:
            out[at] = exact(at)
        except OverflowError:
            out[at] = math.inf
    return out
