"""First and second derivatives by central differences at high precision."""

from collections.abc import Callable, Sequence
from itertools import combinations

from mpmath import mp, mpf

Function = Callable[[list[mpf]], mpf]


def gradient(function: Function, point: Sequence) -> list[mpf]:
    """First derivatives (m,) at point (m,).

    h = 10**(-mp.dps / 3): truncation and rounding are both of the order 10**(-2 mp.dps / 3).
    """
    h = mpf(10) ** (-mp.dps // 3)
    at = _shifted(function, point)
    return [(at({j: h}) - at({j: -h})) / (2 * h) for j in range(len(point))]


def hessian(function: Function, point: Sequence) -> list[list[mpf]]:
    """Second derivatives (m, m) at point (m,).

    h = 10**(-mp.dps / 4): truncation and rounding are both of the order 10**(-mp.dps / 2).
    """
    h, size = mpf(10) ** (-mp.dps // 4), len(point)
    at = _shifted(function, point)
    centre = at({})
    bends = [at({j: h}) + at({j: -h}) - 2 * centre for j in range(size)]
    result = [[bends[i] / h**2 if i == j else mpf(0) for j in range(size)] for i in range(size)]
    for i, j in combinations(range(size), 2):
        both = at({i: h, j: h}) + at({i: -h, j: -h}) - 2 * centre
        result[i][j] = result[j][i] = (both - bends[i] - bends[j]) / (2 * h**2)
    return result


def _shifted(function: Function, point: Sequence) -> Callable[[dict[int, mpf]], mpf]:
    """The function of {index: shift from the point}."""
    return lambda shifts: function([mpf(v) + shifts.get(j, 0) for j, v in enumerate(point)])
