"""Laplace's approximation for grouping factors of any pattern: value, exact gradient, and a metric.

    L = sum_j l_j(eta_j) - |u^|^2 / 2 - log det H / 2     at the mode u^ (laplace_modes.py)

With N = H^-1, V = Lambda N Lambda', h_j = z_j'V z_j and w' = -l''' the gradient is that of docs/method-vectors.md with
one node, a component taking the place of a group:

    s_j = -w'_j h_j / 2,   lambda = N Lambda'Z's,   r_j = s_j - w_j z_j'Lambda lambda
    dL/dbeta   = X'(l' + r)
    dL/dLambda = Z'(l' + r) u' + (Z'l') lambda' - Z'WZ Lambda N,           added over the levels of a factor
    dL/dkappa  = sum_j [ dl_j/dkappa - (dw_j/dkappa) h_j / 2 + (dl'_j/dkappa) z_j'Lambda lambda ],   kappa = log aux

h needs N at pairs of levels that meet in a row only, which is what elimination.py gives.  The metric of beta is
X'WX - X'WZ Lambda N Lambda'Z'WX, minus the second derivative of the penalised log-likelihood, its mode moving along.

Every number belongs to a row, a level, or a pair of levels, and these are added as exact integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.kernels import schur
from sumwise.kernels.glm import fitted_rows
from sumwise.kernels.vectors import WITH_AUX
from sumwise.maths.effects import Effects, rotated
from sumwise.maths.effects import Place as Entry
from sumwise.maths.elementary import exp, log, log1p
from sumwise.maths.elimination import Elimination, PartProducts, eliminate
from sumwise.maths.exact import ExactSum
from sumwise.maths.laplace_modes import NEGLIGIBLE, Modes, Place, Search, lifted, mapping
from sumwise.maths.small_matrices import product, transposed

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answer:
    """Sums.  values (1 + P,): L without what does not depend on eta, and its gradient in (beta, theta, log aux);
    metric (p (p + 1) / 2,): lower triangle by rows, zeros where it was not asked for; failed: components with a number
    that is not finite; all sums are then zero.
    """

    values: ExactSum
    metric: ExactSum
    failed: int


@dataclass(frozen=True, slots=True)
class _Inverse:
    """What N says of rows and levels.  found: by part; V: per factor Lambda N Lambda' (levels, q, q); h (n,)."""

    found: list[Elimination]
    V: list[Floats]
    h: Floats


class Laplace:
    """Answers for one set of rows."""

    def __init__(self, search: Search) -> None:
        self.search = search

    def answer(
        self,
        at: Place,
        modes: Modes,
        entries: Sequence[Entry],
        spaces: Sequence[schur.Spaces],
        threads: Executor | None = None,
        workers: int = 1,
        *,
        metric: bool,
    ) -> Answer:
        """At the modes.  entries: factor, row and column in its Lambda of each theta.  Threads change no bit."""
        rows, p, k = self.search.rows, len(at.beta), len(entries)
        size = 1 + p + k + (1 if rows.family[0] in WITH_AUX else 0)
        nothing = Answer(ExactSum.zeros(size), ExactSum.zeros(p * (p + 1) // 2), int(np.count_nonzero(modes.failed)))
        if nothing.failed:
            return nothing
        each = mapping(threads, workers, len(rows.y))
        loglik, slope, weight, bend = modes.terms[:4]
        columns = [weight * x for x in rows.x] if metric else []
        values = self.search.products(weight, columns, each)
        with np.errstate(over="ignore", invalid="ignore"):
            inverse = self._inverse(values, at, spaces, threads, workers)
            s = _kept(-0.5 * bend * inverse.h)
            failed = self.search.bad_components(s)
            if failed.any() or any(e.failed for e in inverse.found):
                return Answer(nothing.values, nothing.metric, max(int(np.count_nonzero(failed)), 1))
            adjoint = self._solved(rotated(at.Lambda, self.search.gathered([s], each)), inverse.found)
            along = self.search.spread(lifted(at.Lambda, adjoint))
            r = _kept(s - weight * along)
            failed = self.search.bad_components(r)
        if failed.any():
            return Answer(nothing.values, nothing.metric, int(np.count_nonzero(failed)))
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                total = [self._value(loglik, modes, inverse.found)]
                total += [ExactSum.of(x * (slope + r)) for x in rows.x]
                gathered = self.search.gathered([slope, r], each)
                total += self._of_factors(values, at, modes, inverse.found, adjoint, gathered, entries)
                if size > 1 + p + k:
                    total.append(self._of_aux(at, modes, inverse.h, along))
                squares = self._metric(columns, inverse.found) if metric else nothing.metric
        except DataError:  # a term beyond the largest double: columns times what is finite, as of centres far away
            every = 1 + max(int(label.max(initial=-1)) for label in self.search.crossing.component)
            return Answer(nothing.values, nothing.metric, every)
        return Answer(ExactSum(np.stack([one.digits for one in total])), squares, 0)

    def effects(
        self, at: Place, modes: Modes, spaces: Sequence[schur.Spaces], threads: Executor | None = None, workers: int = 1
    ) -> tuple[list[Floats], list[Floats]]:
        """Per factor the modes Lambda u^ (levels, q) and their conditional covariance Lambda N Lambda' (levels, q, q);
        of levels without rows zero, and Lambda Lambda'.
        """
        each = mapping(threads, workers, len(self.search.rows.y))
        values = self.search.products(modes.terms[2], [], each)
        V = self._inverse(values, at, spaces, threads, workers).V
        for label, block, own in zip(self.search.crossing.component, at.Lambda, V, strict=True):
            own[label < 0] = product(block[None], transposed(block[None]))[0]
        return lifted(at.Lambda, modes.u), V

    def _inverse(
        self,
        values: Sequence[PartProducts],
        at: Place,
        spaces: Sequence[schur.Spaces],
        threads: Executor | None,
        workers: int,
    ) -> _Inverse:
        crossing, z = self.search.crossing, self.search.rows.z
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = [
                eliminate(v, at.Lambda, own, threads, workers, residuals=False)
                for v, own in zip(values, spaces, strict=True)
            ]

        def turned(N: Floats, f: int, g: int) -> Floats:
            return product(product(at.Lambda[f][None], N), transposed(at.Lambda[g][None]))

        V = self.search.whole([[turned(N, f, f) for f, N in enumerate(e.own)] for e in found])
        h = np.zeros(len(self.search.rows.y))
        for f, factor in enumerate(crossing.factors):
            _add_form(h, V[f], factor.code, z[f], z[f], 1.0)
        for (f, g), cells in crossing.pairs.items():
            N = np.zeros((len(cells), crossing.factors[f].effects, crossing.factors[g].effects))
            for part, e in zip(crossing.parts, found, strict=True):
                N[part.pairs[f, g]] = e.pairs[f, g]
            _add_form(h, turned(N, f, g), cells.cell, z[f], z[g], 2.0)
        return _Inverse(found, V, h)

    def _solved(self, right: Effects, found: Sequence[Elimination]) -> list[Floats]:
        """N times the first column of `right`: per factor (levels, q)."""
        parts = self.search.crossing.parts
        by_part = [
            e.solve([np.ascontiguousarray(a[levels]) for a, levels in zip(right, part.levels, strict=True)])
            for part, e in zip(parts, found, strict=True)
        ]
        return self.search.whole([[u[:, :, 0] for u in solved] for solved in by_part])

    def _value(self, loglik: Floats, modes: Modes, found: Sequence[Elimination]) -> ExactSum:
        sums = [ExactSum.of(loglik), *(ExactSum.of((-0.5 * u * u).reshape(-1)) for u in modes.u)]
        sums += [ExactSum.of(-0.5 * log(pivots.reshape(-1))) for e in found for pivots in e.pivots]
        return reduce(add, sums)

    def _of_factors(
        self,
        values: Sequence[PartProducts],
        at: Place,
        modes: Modes,
        found: Sequence[Elimination],
        adjoint: Sequence[Floats],
        gathered: Sequence[Floats],
        entries: Sequence[Entry],
    ) -> list[ExactSum]:
        """dL/dLambda at the entries.  gathered: Z'l' and Z'r."""
        terms: list[list[Floats]] = [[] for _ in modes.u]
        for v, e in zip(values, found, strict=True):
            for f, (own, N) in enumerate(zip(v.own, e.own, strict=True)):
                terms[f].append(product(product(own, at.Lambda[f][None]), N))
            for (f, g), N in e.pairs.items():
                A = v.of_pair(f, g)
                terms[f].append(product(product(A, at.Lambda[g][None]), transposed(N)))
                terms[g].append(product(product(transposed(A), at.Lambda[f][None]), N))
        out = []
        for f, a, b in entries:
            slope, r = gathered[f][:, a, 0], gathered[f][:, a, 1]
            total = ExactSum.of((slope + r) * modes.u[f][:, b]) + ExactSum.of(slope * adjoint[f][:, b])
            out.append(reduce(add, (ExactSum.of(-X[:, a, b]) for X in terms[f]), total))
        return out

    def _of_aux(self, at: Place, modes: Modes, h: Floats, along: Floats) -> ExactSum:
        rows, aux = self.search.rows, at.aux
        eta = self.search.fixed(at) + self.search.spread(lifted(at.Lambda, modes.u))
        row = fitted_rows(*rows.family, eta, rows.y, rows.size, aux)
        slope = modes.terms[0]  # the gamma's l is proportional to its shape
        if rows.family[0] == "negbinomial":
            mu = exp(eta)
            slope = rows.size * (aux * ((mu - rows.y) / (mu + aux) - log1p(mu / aux)))
        return ExactSum.of(slope) + ExactSum.of(-0.5 * row["dw"] * h) + ExactSum.of(row["cross"] * along)

    def _metric(self, columns: Sequence[Floats], found: Sequence[Elimination]) -> ExactSum:
        total = [ExactSum.of(wx * x) for i, wx in enumerate(columns) for x in self.search.rows.x[: i + 1]]
        sums = ExactSum(np.stack([one.digits for one in total])) if total else ExactSum.zeros(0)
        for C in (C for e in found for C in e.C):
            less = [ExactSum.of(-C[:, i, None] * C[:, : i + 1]).digits for i in range(len(columns))]
            sums += ExactSum(np.concatenate(less)) if less else ExactSum.zeros(0)
        return sums


def _kept(values: Floats) -> Floats:
    """Numbers that are not negligible."""
    return np.where(np.abs(values) < NEGLIGIBLE, 0.0, values)


def _add_form(
    out: Floats,
    V: Floats,
    code: NDArray[np.int64],
    left: Sequence[Floats | None],
    right: Sequence[Floats | None],
    times: float,
) -> None:
    """out (n,) += times z_left'V z_right of each row; V (codes, q, r)."""
    for a, one in enumerate(left):
        for b, other in enumerate(right):
            v = times * V[:, a, b][code]
            for column in (one, other):
                v = v if column is None else v * column
            out += v
