"""Likelihood with vectors of random effects by adaptive Gauss-Hermite quadrature, in mpmath: the kernel's twin.

In a group, rows j with psi_j(u) = x_j'beta + o_j + z_j'Lambda u, u ~ N(0, I_q), Lambda lower triangular:

    f(u)  = sum_j l_j(psi_j(u)) - |u|^2 / 2,   u^ = argmax f,   H = -f''(u^),   S S' = H^-1, S lower triangular
    value = log det S + log sum_k w_k exp(f(u^ + S z_k) + |z_k|^2 / 2)

over all q-fold products of a rule for N(0, 1).  l is the log-likelihood of a row without what does not depend on eta.
Everything works at the caller's mp.dps.  Do not make this clever: it is here to be checked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from mpmath import mp, mpf

from tests.oracles import differences, hermite

Row = Callable[[mpf, mpf, mpf, mpf], mpf]


def _log_phi(t: mpf) -> mpf:
    return mp.log(mp.erfc(-t / mp.sqrt(2)) / 2)


def _log_one_plus_exp(t: mpf) -> mpf:
    return max(t, mpf(0)) + mp.log1p(mp.exp(-abs(t)))


def _cloglog(eta: mpf, y: mpf, n: mpf, _: mpf) -> mpf:
    rate = mp.exp(eta)
    return (y * mp.log(-mp.expm1(-rate)) if y else mpf(0)) - (n - y) * rate


LOGLIK: dict[tuple[str, str], Row] = {
    ("binomial", "logit"): lambda eta, y, n, _: y * eta - n * _log_one_plus_exp(eta),
    ("binomial", "probit"): lambda eta, y, n, _: y * _log_phi(eta) + (n - y) * _log_phi(-eta),
    ("binomial", "cloglog"): _cloglog,
    ("poisson", "log"): lambda eta, y, n, _: n * (y * eta - mp.exp(eta)),
    ("negbinomial", "log"): lambda eta, y, n, k: (
        n * (y * eta + k * mp.log(k) - (y + k) * (mp.log(k) + _log_one_plus_exp(eta - mp.log(k))))
    ),
    ("gamma", "log"): lambda eta, y, n, shape: -n * shape * (y * mp.exp(-eta) + eta),
}
"""(family, link) -> l(eta, y, n, aux)."""


@dataclass(frozen=True, slots=True)
class Group:
    """One group's rows: X (n, p), Z (n, q), y, trials or weights, offset (n,)."""

    X: list[list[mpf]]
    Z: list[list[mpf]]
    y: list[mpf]
    n: list[mpf]
    offset: list[mpf]


def split(X: Sequence, Z: Sequence, y: Sequence, labels: Sequence, n: Sequence, offset: Sequence) -> list[Group]:
    """The rows as Groups, by ascending label."""
    members = [[i for i, other in enumerate(labels) if other == label] for label in sorted(set(labels))]
    return [
        Group(
            [[mpf(float(x)) for x in X[i]] for i in rows],
            [[mpf(float(z)) for z in Z[i]] for i in rows],
            *([mpf(float(c[i])) for i in rows] for c in (y, n, offset)),
        )
        for rows in members
    ]


def lower_triangle(theta: Sequence[mpf], entries: Sequence, q: int) -> list[list[mpf]]:
    """Lambda (q, q) from theta; entries: row and column of each."""
    Lambda = [[mpf(0)] * q for _ in range(q)]
    for (i, j), value in zip(entries, theta, strict=True):
        Lambda[i][j] = mpf(value)
    return Lambda


def log_joint(group: Group, fixed: list[mpf], A: list[list[mpf]], row: Row, aux: mpf, u: Sequence[mpf]) -> mpf:
    """f(u).  fixed (n,): x_j'beta + o_j; A (n, q): rows z_j'Lambda."""
    total = -mp.fsum(v * v for v in u) / 2
    for e, a, y, n in zip(fixed, A, group.y, group.n, strict=True):
        total += row(e + mp.fdot(a, u), y, n, aux)
    return total


def mode(group: Group, fixed: list[mpf], A: list[list[mpf]], row: Row, aux: mpf) -> tuple[list[mpf], mp.matrix]:
    """u^ and H, by Newton's method with halved steps; derivatives of l in eta by differences of high order."""
    q = len(A[0])
    u = [mpf(0)] * q
    with mp.workdps(mp.dps + 15):

        def slopes(at: Sequence[mpf]) -> tuple[mp.matrix, mp.matrix]:
            g, H = -mp.matrix(list(at)), mp.eye(q)
            for e, a, y, n in zip(fixed, A, group.y, group.n, strict=True):
                first, second = derivatives(lambda t, y=y, n=n: row(t, y, n, aux), e + mp.fdot(a, at))
                for i in range(q):
                    g[i] += a[i] * first
                    for j in range(q):
                        H[i, j] -= a[i] * a[j] * second
            return g, H

        for _ in range(2000):
            g, H = slopes(u)
            step, damping = mp.lu_solve(H, g), mpf(1)
            here = log_joint(group, fixed, A, row, aux, u)
            while (
                mp.norm(step) > mpf("1e-6")
                and log_joint(group, fixed, A, row, aux, [a + damping * s for a, s in zip(u, step, strict=True)]) < here
            ):
                damping /= 2
                if damping < mpf(10) ** -mp.dps:
                    break
            u = [a + damping * s for a, s in zip(u, step, strict=True)]
            if mp.norm(step) <= mpf(10) ** (8 - mp.dps) * (1 + max(abs(v) for v in u)):
                return u, slopes(u)[1]
    raise ArithmeticError("no conditional mode after 2000 steps")


def derivatives(f: Callable[[mpf], mpf], at: mpf) -> tuple[mpf, mpf]:
    """f' and f'' from a Taylor expansion by differences at twice the working precision."""
    with mp.workdps(2 * mp.dps + 20):
        h = mpf(10) ** (-(mp.dps // 4))
        up, mid, down = f(at + h), f(at), f(at - h)
        up2, down2 = f(at + 2 * h), f(at - 2 * h)
        first = (8 * (up - down) - (up2 - down2)) / (12 * h)
        second = (16 * (up + down) - (up2 + down2) - 30 * mid) / (12 * h * h)
    return +first, +second


def group_loglik(group: Group, beta: Sequence, Lambda: list[list[mpf]], aux: mpf, row: Row, nodes: int) -> mpf:
    """The approximation to one group's log-likelihood: `value` above."""
    q = len(Lambda)
    fixed = [mp.fdot(x, beta) + o for x, o in zip(group.X, group.offset, strict=True)]
    A = [[mp.fsum(z[i] * Lambda[i][b] for i in range(q)) for b in range(q)] for z in group.Z]
    u, H = mode(group, fixed, A, row, aux)
    S = mp.cholesky(mp.inverse(H))
    terms = []
    for combination in product(list(zip(*hermite.rule(nodes), strict=True)), repeat=q):
        z = mp.matrix([c[0] for c in combination])
        at = mp.matrix(u) + S * z
        terms.append(
            mp.fsum(mp.log(c[1]) for c in combination)
            + log_joint(group, fixed, A, row, aux, list(at))
            + mp.fsum(v * v for v in z) / 2
        )
    top = max(terms)
    return mp.fsum(mp.log(S[i, i]) for i in range(q)) + top + mp.log(mp.fsum(mp.exp(t - top) for t in terms))


def loglik(groups: Sequence[Group], beta: Sequence, Lambda: list[list[mpf]], aux: mpf, family, nodes: int) -> mpf:
    """The approximation to the data set's log-likelihood."""
    return mp.fsum(group_loglik(g, beta, Lambda, mpf(aux), LOGLIK[family], nodes) for g in groups)


def gradient(groups, beta, theta, aux, entries, family, nodes: int, *, with_aux: bool) -> list[mpf]:
    """Derivatives of `loglik` in (beta, theta) and, with_aux, in log aux."""
    p, m, q = len(beta), len(theta), len(groups[0].Z[0])

    def value(v: list[mpf]) -> mpf:
        size = mp.exp(v[-1]) if with_aux else mpf(aux)
        return loglik(groups, v[:p], lower_triangle(v[p : p + m], entries, q), size, family, nodes)

    return differences.gradient(value, [*beta, *theta, *([mp.log(mpf(aux))] if with_aux else [])])
