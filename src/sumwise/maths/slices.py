"""What is left of a log-likelihood when one quantity is held at a value: phi = phi(v, z), z free.

    l(v, z) = l(phi(v, z)),   gradient J'g,   information J'A J - sum_i g_i d2 phi_i

phi = (free parameters, theta) as in ascent.py, the lower triangles of theta's blocks column by column.  A quantity of a
covariance is held with its effects first in their block, where the factor L says it in one entry or two:

    standard deviation   L_11 = v                       correlation   L_21 = r sin v,  L_22 = r cos v

A relative factor is multiplied by sigma, whose logarithm is then among the free parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from math import asin, cos, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import exp, log
from sumwise.maths import covariance
from sumwise.maths.cholesky import times
from sumwise.maths.newton import Point

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_RADIUS = 1e-8
"""Logarithms of standard deviations start from no less than this."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What the chain rule needs at (v, z (k,)).  gradient (n,): in phi; J (n, 1 + k): of phi; second (1 + k, 1 + k):
    sum of g_i d2 phi_i.
    """

    v: float
    z: Floats
    gradient: Floats
    J: Floats
    second: Floats


@dataclass(frozen=True)
class Slice(ABC):
    """n: parameters of the log-likelihood.  places (k,): where each free parameter stands among them; blocks: sizes of
    the blocks whose theta the last of these are; low, high: what the quantity ranges over, the ends among it.
    """

    n: int
    places: Ints
    blocks: tuple[int, ...]
    low: float = -np.inf
    high: float = np.inf

    @abstractmethod
    def begin(self, phi: Floats) -> tuple[float, Floats]:
        """(v, z) at phi."""

    @abstractmethod
    def phi(self, v: float, z: Floats) -> Floats:
        """(n,) at v and z (k,)."""

    @abstractmethod
    def bend(self, chain: Chain) -> None:
        """Writes what is not one into its J, and what is not zero into `second`."""

    def end(self, _v: float) -> Slice:
        """The slice at an end of the range, where parameters may lose their meaning."""
        return self

    def point(self, v: float, z: Floats, at: Point) -> Point:
        """at: the log-likelihood at phi(v, z).  The point in (v, z)."""
        k = len(z)
        J, second = np.zeros((self.n, 1 + k)), np.zeros((1 + k, 1 + k))
        J[self.places, np.arange(1, 1 + k)] = 1.0
        self.bend(Chain(v, z, at.gradient, J, second))
        A = times(J.T, times(at.information, J)) - second
        return Point(np.append(v, z), at.value, times(J.T, at.gradient), (A + A.T) / 2)


@dataclass(frozen=True)
class Coordinate(Slice):
    """One of the parameters themselves, at place `at`."""

    at: int = 0

    def begin(self, phi: Floats) -> tuple[float, Floats]:
        return float(phi[self.at]), phi[self.places]

    def phi(self, v: float, z: Floats) -> Floats:
        out = np.zeros(self.n)
        out[self.places], out[self.at] = z, v
        return out

    def bend(self, chain: Chain) -> None:
        chain.J[self.at, 0] = 1.0


@dataclass(frozen=True)
class Intercept(Coordinate):
    """The intercept of the user's columns, where phi has that of the centred ones: phi = v - shift + centre'beta.

    centre (p,): means of the columns, zero for the intercept; shift: of the response.
    """

    centre: Floats = field(default_factory=lambda: np.zeros(0))
    shift: float = 0.0

    def begin(self, phi: Floats) -> tuple[float, Floats]:
        added = sum(c * b for c, b in zip(self.centre.tolist(), phi.tolist(), strict=False))
        return float(phi[self.at]) + self.shift - added, phi[self.places]

    def phi(self, v: float, z: Floats) -> Floats:
        out = Coordinate.phi(self, v, z)
        added = sum(c * b for c, b in zip(self.centre.tolist(), out.tolist(), strict=False))
        out[self.at] = v - self.shift + added
        return out

    def bend(self, chain: Chain) -> None:
        chain.J[self.at, 0] = 1.0
        for k, place in enumerate(self.places.tolist()):
            if place < len(self.centre):
                chain.J[self.at, 1 + k] = self.centre[place]


@dataclass(frozen=True)
class Deviation(Slice):
    """Standard deviation of the first effect of a block, whose diagonal entry stands at `at`.

    sigma: place of log sigma, None where the factor is not relative.  None of the column below is free at zero.
    """

    at: int = 0
    size: int = 1
    sigma: int | None = None

    def begin(self, phi: Floats) -> tuple[float, Floats]:
        found = phi.copy()
        if phi[self.at] == 0 and self.size > 1:  # its column is that of another effect
            theta = phi[self.at : self.at + self.size * (self.size + 1) // 2]
            rest = covariance.triangular(covariance.factor(theta, (self.size,))[1:, :-1])
            found[self.at : self.at + len(theta)] = np.concatenate([np.zeros(self.size), rest])
        return float(phi[self.at]) * self._sigma(phi), found[self.places]

    def _sigma(self, phi: Floats) -> float:
        return 1.0 if self.sigma is None else float(exp(phi[self.sigma]))

    def phi(self, v: float, z: Floats) -> Floats:
        out = np.zeros(self.n)
        out[self.places] = z
        out[self.at] = v / self._sigma(out)
        return out

    def bend(self, chain: Chain) -> None:
        if self.sigma is None:
            chain.J[self.at, 0] = 1.0
            return
        v, z, J, second = chain.v, chain.z, chain.J, chain.second
        s = 1 + int(np.flatnonzero(self.places == self.sigma)[0])
        inverse = float(exp(-z[s - 1]))
        J[self.at, 0], J[self.at, s] = inverse, -v * inverse
        g = float(chain.gradient[self.at])
        second[0, s] = second[s, 0] = -g * inverse
        second[s, s] = g * v * inverse

    def end(self, _v: float) -> Slice:
        below = (self.places > self.at) & (self.places < self.at + self.size)
        return Deviation(self.n, self.places[~below], self.blocks, self.low, self.high, self.at, 1, self.sigma)


@dataclass(frozen=True)
class Correlation(Slice):
    """Correlation of the first two effects of a block, as the angle whose sine it is.

    at, below, second: places of L_11, L_21, L_22; those of L_11 and L_22 hold the logarithms of L_11 and r among z.
    """

    at: int = 0
    low: float = -pi / 2
    high: float = pi / 2
    second: int = 0

    def begin(self, phi: Floats) -> tuple[float, Floats]:
        a, b, c = (float(phi[k]) for k in (self.at, self.at + 1, self.second))
        r = sqrt(b * b + c * c)
        z = phi.copy()
        z[self.at], z[self.second] = (float(log(max(value, LEAST_RADIUS))) for value in (a, r))
        return (asin(min(max(b / r, -1.0), 1.0)) if a and r else 0.0), z[self.places]

    def phi(self, v: float, z: Floats) -> Floats:
        out = np.zeros(self.n)
        out[self.places] = z
        r = float(exp(out[self.second]))
        out[self.at] = float(exp(out[self.at]))
        out[self.at + 1], out[self.second] = r * sin(v), r * cos(v) if self.low < v < self.high else 0.0
        return out

    def bend(self, chain: Chain) -> None:
        v, z, gradient, J, second = chain.v, chain.z, chain.gradient, chain.J, chain.second
        i, k = (1 + int(np.flatnonzero(self.places == place)[0]) for place in (self.at, self.second))
        a, r = float(exp(z[i - 1])), float(exp(z[k - 1]))
        b, c = r * sin(v), r * cos(v)
        J[self.at, i] = a
        J[self.at + 1, 0], J[self.at + 1, k] = c, b
        J[self.second, 0], J[self.second, k] = -b, c
        g, h = float(gradient[self.at + 1]), float(gradient[self.second])
        second[i, i] = float(gradient[self.at]) * a
        second[0, 0] = -g * b - h * c
        second[0, k] = second[k, 0] = g * c - h * b
        second[k, k] = g * b + h * c


def coordinate(n: int, blocks: tuple[int, ...], at: int) -> Slice:
    """Of a parameter before theta."""
    return Coordinate(n, _without(n, at), blocks, at=at)


def intercept(n: int, blocks: tuple[int, ...], at: int, centre: Floats, shift: float) -> Slice:
    """As Intercept says."""
    return Intercept(n, _without(n, at), blocks, at=at, centre=centre, shift=shift)


def deviation(n: int, blocks: tuple[int, ...], block: int, sigma: int | None) -> Slice:
    """Of the first effect of a block."""
    first, size = n - covariance.size(blocks), blocks[block]
    head, *rest = covariance.columns(blocks, first)[block]
    before = [*range(first), *range(head.start + 1, head.stop)]
    places = _theta_last(n, first, before, head.start, rest[-1].stop if rest else head.stop, rest)
    left = tuple(s - (t == block) for t, s in enumerate(blocks) if t != block or s > 1)
    return Deviation(n, places, left, low=0.0, at=head.start, size=size, sigma=sigma)


def correlation(n: int, blocks: tuple[int, ...], block: int) -> Slice:
    """Of the first two effects of a block."""
    first = n - covariance.size(blocks)
    head, two, *rest = covariance.columns(blocks, first)[block]
    before = [*range(first), head.start, *range(head.start + 2, head.stop), *range(two.start, two.stop)]
    places = _theta_last(n, first, before, head.start, rest[-1].stop if rest else two.stop, rest)
    left = tuple(s - 2 * (t == block) for t, s in enumerate(blocks) if t != block or s > 2)
    return Correlation(n, places, left, at=head.start, second=two.start)


def _without(n: int, at: int) -> Ints:
    return np.array([k for k in range(n) if k != at], dtype=np.int64)


def _theta_last(n: int, first: int, before: list[int], start: int, stop: int, rest: list[slice]) -> Ints:
    """`before`, then the thetas of all blocks, of the one from `start` to `stop` its later columns `rest`."""
    own = [k for column in rest for k in range(column.start, column.stop)]
    return np.array([*before, *range(first, start), *own, *range(stop, n)], dtype=np.int64)
