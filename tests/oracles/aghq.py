"""Logistic random-intercept likelihood by adaptive Gauss-Hermite quadrature, in mpmath: the kernel's twin.

In a group, y_i successes out of n_i trials with log-odds e_i(u) = x_i'beta + offset_i + theta u, u ~ N(0, 1):

    f(u)  = sum_i [y_i e_i - n_i log(1 + exp(e_i))] - u**2 / 2,   u_hat = argmax f,   s = (-f''(u_hat))**-1/2
    value = log(s sum_k w_k exp(f(u_hat + s z_k) + z_k**2 / 2))

with z, w the rule for N(0, 1), sum(w) == 1; one node is Laplace's method.   [Liu & Pierce 1994]
Binomial coefficients are left out everywhere but in `log_choose`.  theta may be zero or negative.
Everything works at the caller's mp.dps, at least 30.  Do not make this clever: it is here to be checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mpmath import mp, mpf

from tests.oracles import differences, hermite


@dataclass(frozen=True, slots=True)
class Group:
    """One group's rows: X (n, p), successes y (n,), trials (n,), offset (n,).  Floats are taken exactly."""

    X: list[list[mpf]]
    y: list[mpf]
    trials: list[mpf]
    offset: list[mpf]


def split(X: Sequence, y: Sequence, labels: Sequence, trials: Sequence = (), offset: Sequence = ()) -> list[Group]:
    """The rows as Groups, by ascending label.  Empty trials mean 1 for each row, an empty offset 0."""
    columns = (y, trials if len(trials) else [1] * len(y), offset if len(offset) else [0] * len(y))
    members = [[i for i, other in enumerate(labels) if other == label] for label in sorted(set(labels))]
    return [
        Group(
            [[mpf(float(x)) for x in X[i]] for i in rows],
            *([mpf(float(c[i])) for i in rows] for c in columns),
        )
        for rows in members
    ]


def log_joint(group: Group, fixed: list[mpf], theta: mpf, u: mpf) -> mpf:
    """f(u).  fixed (n,): x_i'beta + offset_i.   log(1 + exp(e)) = max(e, 0) + log1p(exp(-|e|))."""
    total = -(u**2) / 2
    for y, n, e in zip(group.y, group.trials, [e + theta * u for e in fixed], strict=True):
        total += y * e - n * (max(e, 0) + mp.log1p(mp.exp(-abs(e))))
    return total


def slopes(group: Group, fixed: list[mpf], theta: mpf, u: mpf) -> tuple[mpf, mpf]:
    """f'(u) and f''(u).   mpf(theta), for a Python float would be squared in double precision."""
    first, second = -u, mpf(-1)
    for y, n, e in zip(group.y, group.trials, fixed, strict=True):
        p = 1 / (1 + mp.exp(-e - theta * u))
        first += theta * (y - n * p)
        second -= mpf(theta) ** 2 * n * p * (1 - p)
    return first, second


def mode(group: Group, beta: Sequence, theta: float) -> tuple[list[mpf], mpf, mpf]:
    """x_i'beta + offset_i (n,), u_hat and s.

    f' falls and |u_hat| <= |theta| sum(n): Newton's method, halving the bracket where a step leaves it.
    """
    if mp.dps < 30:
        raise ValueError(f"mp.dps is {mp.dps}: this oracle needs at least 30 digits")
    enough = mpf(10) ** -mp.dps
    with mp.workdps(mp.dps + 10):
        fixed = [mp.fdot(x, beta) + o for x, o in zip(group.X, group.offset, strict=True)]
        u, high = mpf(0), abs(theta) * sum(group.trials) + 1
        low = -high
        for _ in range(1000):
            first, second = slopes(group, fixed, theta, u)
            low, high = (u, high) if first > 0 else (low, u)
            step = -first / second
            if abs(step) <= enough * (1 + abs(u)):
                return fixed, u, 1 / mp.sqrt(-second)
            u = u + step if low < u + step < high else (low + high) / 2
    raise ArithmeticError("no conditional mode after 1000 steps")


def group_loglik(group: Group, beta: Sequence, theta: float, nodes: int) -> mpf:
    """The approximation to one group's log-likelihood: `value` above."""
    fixed, u, s = mode(group, beta, theta)
    rule = zip(*hermite.rule(nodes), strict=True)
    terms = [mp.log(w) + log_joint(group, fixed, theta, u + s * z) + z**2 / 2 for z, w in rule]
    top = max(terms)
    return mp.log(s) + top + mp.log(mp.fsum(mp.exp(term - top) for term in terms))


def exact_group_loglik(group: Group, beta: Sequence, theta: float) -> mpf:
    """log of the integral of exp(f(u)) / sqrt(2 pi) du, by Gauss-Legendre on panels around the mode.

    f'' <= -1, so f(u) <= f(u_hat) - (u - u_hat)**2 / 2: beyond `reach` nothing is left in mp.dps digits.
    """
    fixed, mid, s = mode(group, beta, theta)
    top, reach = log_joint(group, fixed, theta, mid), mp.sqrt(2 * mp.dps * mp.log(10))
    ends = [min(c * s, reach) for c in (0, 1, 2, 4, 8, 16, 32, 64)] + [reach]
    panels = sorted({mid + sign * end for end in ends for sign in (-1, 1)})
    area = mp.quad(lambda u: mp.exp(log_joint(group, fixed, theta, u) - top), panels, method="gauss-legendre")
    return top + mp.log(area / mp.sqrt(2 * mp.pi))


def loglik(groups: Sequence[Group], beta: Sequence, theta: float, nodes: int) -> mpf:
    """The approximation to the data set's log-likelihood."""
    return mp.fsum(group_loglik(group, beta, theta, nodes) for group in groups)


def exact_loglik(groups: Sequence[Group], beta: Sequence, theta: float) -> mpf:
    """The true log-likelihood of the data set."""
    return mp.fsum(exact_group_loglik(group, beta, theta) for group in groups)


def gradient(groups: Sequence[Group], beta: Sequence, theta: float, nodes: int) -> list[mpf]:
    """Derivatives of `loglik` in (beta, theta), (p + 1,): mode and scale move, as they do in the value."""
    return differences.gradient(lambda v: loglik(groups, v[:-1], v[-1], nodes), [*beta, theta])


def hessian(groups: Sequence[Group], beta: Sequence, theta: float, nodes: int) -> list[list[mpf]]:
    """Second derivatives of `loglik` in (beta, theta), (p + 1, p + 1)."""
    return differences.hessian(lambda v: loglik(groups, v[:-1], v[-1], nodes), [*beta, theta])


def log_choose(groups: Sequence[Group]) -> mpf:
    """sum_i log(n_i over y_i): add it for the log-likelihood of the binomial counts."""
    pairs = [pair for group in groups for pair in zip(group.trials, group.y, strict=True)]
    return mp.fsum(mp.log(mp.binomial(n, y)) for n, y in pairs)
