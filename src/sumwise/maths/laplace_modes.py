"""Conditional modes of the effects of a generalized linear mixed model with grouping factors of any pattern.

    f(u) = sum_j l_j(eta_j) - |u|^2 / 2,   eta_j = x_j'beta + o_j + z_j'Lambda u,   H = -f'' = I + Lambda'Z'WZ Lambda

u^ maximises f.  Newton's method has the form of penalised iteratively reweighted least squares [Bates et al. 2015]:
H u_new = Lambda'Z'(W Z Lambda u + l').  All families here are log-concave, so f is concave with H >= I, and a step that
is short enough always raises it.

Components (crossing.py) are searched each on its own: it is a component's own f that must rise, and its own Newton
decrement (u_new - u)'H (u_new - u) that ends its search; from then on it stays as it is.  Sums over rows are exact
before they are rounded.  So u^ has the same bits whatever the order of the rows, and whatever lies beside a component.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels import grouped, schur
from sumwise.kernels.families import terms
from sumwise.maths.crossing import Crossing
from sumwise.maths.elimination import PartProducts, solution
from sumwise.maths.small_matrices import product

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

DECREMENT = 1e-12
"""Squared Newton decrement at which the last step is taken: it leaves about as much of the distance itself."""

ROUGH = 1e-6
"""The same where a metric is all that depends on the modes."""

SAFE = 1e-8
"""Squared decrement below which a step is taken without asking whether f rises: rounding could hide it."""

MOST_STEPS = 100
MOST_HALVINGS = 40

NEGLIGIBLE = 2.0**-60
"""Numbers of rows below this count as zero: H is at least I, and sums of such different sizes are slow."""

WILD = 2.0**50
"""Numbers of rows beyond this count as infinite: a place so far out is not worth the search."""


@dataclass(frozen=True, slots=True)
class Rows:
    """n rows.  x: the p columns (n,); z: per factor its q columns (n,), None for ones; y (n,); size (n,): trials of a
    binomial row, else weights; offset (n,) or None; family: name and link, one of vectors.FAMILIES.
    """

    x: Sequence[Floats]
    z: Sequence[Sequence[Floats | None]]
    y: Floats
    size: Floats
    offset: Floats | None
    family: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Parameters.  beta (p,); Lambda: per factor (q, q) lower triangular; aux: the family's own, else 1."""

    beta: Floats
    Lambda: Sequence[Floats]
    aux: float


@dataclass(frozen=True, slots=True)
class Modes:
    """u^.  u: per factor (levels, q); terms (5, n): families.TERMS there; failed (components,): where f or a derivative
    is not finite, or no mode was found; what is said of the others does not depend on these.
    """

    u: list[Floats]
    terms: Floats
    failed: Bools


class Search:
    """Searches for the modes of one set of rows."""

    def __init__(self, crossing: Crossing, rows: Rows) -> None:
        self.crossing, self.rows = crossing, rows
        factors = crossing.factors
        self.component = np.ascontiguousarray(crossing.component[0][factors[0].code])
        self.components = 1 + max(int(label.max()) for label in crossing.component)
        labels = (np.repeat(label, f.effects) for label, f in zip(crossing.component, factors, strict=True))
        # levels without rows have effects of zero, which add nothing
        self._of_effect = np.maximum(np.concatenate(list(labels)), 0)
        n = len(rows.y)
        self._single = [bool(np.all(np.bincount(f.code, minlength=f.levels) <= 1)) for f in factors]
        self._single_cell = {pair: len(cells) == n for pair, cells in crossing.pairs.items()}

    def modes(
        self,
        at: Place,
        start: list[Floats] | None,
        spaces: Sequence[schur.Spaces],
        threads: Executor | None = None,
        workers: int = 1,
        *,
        decrement: float = DECREMENT,
    ) -> Modes:
        """start: per factor (levels, q), zeros if left out; spaces: one for each part; decrement: the squared one at
        which a component's last step is taken.  Threads change no bit.
        """
        fixed = self.fixed(at)
        u = [np.zeros((f.levels, f.effects)) for f in self.crossing.factors] if start is None else list(start)
        now = self._terms(fixed, at, u)
        bad = self._bad(now)
        if start is not None and bad.any():  # these begin at zero
            u = [
                np.where(bad[np.maximum(label, 0)][:, None], 0.0, a)
                for label, a in zip(self.crossing.component, u, strict=True)
            ]
            now = self._terms(fixed, at, u)
            bad = self._bad(now)
        failed, moving = bad, ~bad
        value, slack = self._value(now, u, failed), 1e-13 * (1 + self._by_component(np.abs(now[0]), failed))
        for _ in range(MOST_STEPS):
            if not moving.any():
                break
            step, length = self._step(at, u, now, failed, spaces, threads, workers)
            broken = moving & ~np.isfinite(length)
            failed, moving = failed | broken, moving & ~broken
            share, halvings = np.where(moving, 1.0, 0.0), 0
            while True:
                trial = self._moved(u, step, share)
                then = self._terms(fixed, at, trial)
                bad = self._bad(then)
                found = self._value(then, trial, failed | bad)
                worse = moving & (bad | ((found < value - slack) & (length > SAFE)))
                if not worse.any():
                    break
                halvings += 1
                if halvings > MOST_HALVINGS:
                    failed, moving = failed | worse, moving & ~worse
                    share[worse] = 0.0
                share[worse] /= 2
            u, now, value = trial, then, found
            moving &= length > decrement
        return Modes(u, now, failed | moving)

    # -- rows --

    def fixed(self, at: Place) -> Floats:
        """(n,) x_j'beta + o_j, columns in their order."""
        out = np.zeros(len(self.rows.y)) if self.rows.offset is None else self.rows.offset.copy()
        for value, column in zip(at.beta.tolist(), self.rows.x, strict=True):
            out += value * column
        return out

    def spread(self, effects: Sequence[Floats]) -> Floats:
        """(n,) z_j'b, b the effects: per factor (levels, q)."""
        out = np.zeros(len(self.rows.y))
        for factor, z, b in zip(self.crossing.factors, self.rows.z, effects, strict=True):
            for a, column in enumerate(z):
                own = b[:, a][factor.code]
                out += own if column is None else column * own
        return out

    def gathered(self, values: Sequence[Floats], each: Callable[..., Iterable[Any]] = map) -> list[Floats]:
        """Z'v for each v (n,): per factor (levels, q, pitch), the columns in their order, zeros up to the pitch."""
        pitch = -(-max(len(values), 1) // schur.LANES) * schur.LANES
        out = [np.zeros((f.levels, f.effects, pitch)) for f in self.crossing.factors]
        tasks = [
            (out[f][:, a, c], column, v, factor.code, self._single[f])
            for f, factor in enumerate(self.crossing.factors)
            for a, column in enumerate(self.rows.z[f])
            for c, v in enumerate(values)
        ]
        list(each(_add, tasks))
        return out

    def products(
        self, weight: Floats, right: Sequence[Floats], each: Callable[..., Iterable[Any]] = map
    ) -> list[PartProducts]:
        """Z'WZ and Z'v for each of `right`, by parts."""
        factors, z = self.crossing.factors, self.rows.z
        weighted = [[weight if column is None else weight * column for column in own] for own in z]
        own = [np.zeros((f.levels, f.effects, f.effects)) for f in factors]
        pairs = {
            (f, g): np.zeros((len(cells), factors[f].effects, factors[g].effects))
            for (f, g), cells in self.crossing.pairs.items()
        }
        tasks: list[Any] = []
        for f, factor in enumerate(factors):
            tasks += [
                (own[f][:, a, b], z[f][b], weighted[f][a], factor.code, self._single[f])
                for a in range(factor.effects)
                for b in range(a + 1)
            ]
        for (f, g), cells in self.crossing.pairs.items():
            tasks += [
                (pairs[f, g][:, a, b], z[g][b], weighted[f][a], cells.cell, self._single_cell[f, g])
                for a in range(factors[f].effects)
                for b in range(factors[g].effects)
            ]
        list(each(_add, tasks))
        for A in own:
            for a in range(A.shape[1]):
                A[:, :a, a] = A[:, a, :a]
        rhs = self.gathered(right, each)
        return [PartProducts.of(part, factors, own, pairs, rhs) for part in self.crossing.parts]

    def whole(self, found: Sequence[Sequence[Floats]]) -> list[Floats]:
        """Per factor (levels, ...), from the levels of each part; zeros for levels without rows."""
        out = []
        for f, factor in enumerate(self.crossing.factors):
            whole = np.zeros((factor.levels, *found[0][f].shape[1:]))
            for part, effects in zip(self.crossing.parts, found, strict=True):
                whole[part.levels[f]] = effects[f]
            out.append(whole)
        return out

    def _terms(self, fixed: Floats, at: Place, u: Sequence[Floats]) -> Floats:
        eta = fixed + self.spread(lifted(at.Lambda, u))
        rows = self.rows
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = terms(*rows.family, eta, rows.y, rows.size, at.aux)
            size = np.abs(found)
            return np.where(size < NEGLIGIBLE, 0.0, np.where(size > WILD, np.inf, found))

    def bad_components(self, *values: Floats) -> Bools:
        """(components,): where a value of a row is not finite."""
        out = np.zeros(self.components, dtype=np.bool_)
        for v in values:
            finite = np.isfinite(v)
            if not finite.all():
                out[self.component[~finite]] = True
        return out

    def _bad(self, found: Floats) -> Bools:
        return self.bad_components(*found[:4])

    def _by_component(self, values: Floats, failed: Bools) -> Floats:
        """(components,): sums over rows, each exact and rounded once; zero where failed."""
        if failed.any():
            values = np.where(failed[self.component], 0.0, values)
        return np.asarray(grouped.sums(None, values, self.component, self.components)[0])

    def _effects_by_component(self, effects: Sequence[Floats], failed: Bools) -> Floats:
        values = np.concatenate([e.reshape(-1) for e in effects])
        if failed.any():
            values = np.where(failed[self._of_effect], 0.0, values)
        values = np.where(np.abs(values) < NEGLIGIBLE, 0.0, values)
        return np.asarray(grouped.sums(values, values, self._of_effect, self.components)[0])

    def _value(self, found: Floats, u: Sequence[Floats], failed: Bools) -> Floats:
        """(components,): f."""
        return self._by_component(found[0], failed) - 0.5 * self._effects_by_component(u, failed)

    def _step(
        self,
        at: Place,
        u: Sequence[Floats],
        now: Floats,
        failed: Bools,
        spaces: Sequence[schur.Spaces],
        threads: Executor | None,
        workers: int,
    ) -> tuple[list[Floats], Floats]:
        """u_new - u per factor (levels, q), and its squared decrement (components,)."""
        slope, weight = now[1], now[2]
        if failed.any():
            out = failed[self.component]
            slope, weight = np.where(out, 0.0, slope), np.where(out, 0.0, weight)
        right = slope + weight * self.spread(lifted(at.Lambda, u))
        values = self.products(weight, [right], mapping(threads, workers, len(right)))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = [solution(v, at.Lambda, own, threads, workers) for v, own in zip(values, spaces, strict=True)]
        new = self.whole([[effects[:, :, 0] for effects in by_factor] for by_factor in found])
        step = [a - b for a, b in zip(new, u, strict=True)]
        along = self.spread(lifted(at.Lambda, step))
        bent = weight * (along * along)
        nowhere = self.bad_components(bent)
        for label, s in zip(self.crossing.component, step, strict=True):
            finite = np.isfinite(s).all(axis=1)
            nowhere[label[~finite]] = True
        decrement = self._by_component(bent, failed | nowhere) + self._effects_by_component(step, failed | nowhere)
        return step, np.where(nowhere, np.nan, decrement)

    def _moved(self, u: Sequence[Floats], step: Sequence[Floats], share: Floats) -> list[Floats]:
        """u + share * step, by component; what has no share stays, bit for bit."""
        out = []
        for label, a, s in zip(self.crossing.component, u, step, strict=True):
            by_level = share[np.maximum(label, 0)][:, None]
            out.append(np.where(by_level > 0, a + by_level * s, a))
        return out


def lifted(Lambda: Sequence[Floats], u: Sequence[Floats]) -> list[Floats]:
    """Lambda u: per factor (levels, q)."""
    return [product(block[None], a[:, :, None])[:, :, 0] for block, a in zip(Lambda, u, strict=True)]


def mapping(threads: Executor | None, workers: int, rows: int) -> Callable[..., Iterable[Any]]:
    """The map to use for sums over so many rows: threads where they save more than they cost."""
    return map if threads is None or workers == 1 or rows < 50_000 else threads.map


def _add(task: tuple[Floats, Floats | None, Floats, Ints, bool]) -> None:
    """out = sums of column * v by code; single: no two rows share a code, so each sum is a product, rounded once."""
    out, column, v, code, single = task
    if single:
        out[code] = (v if column is None else column * v) + 0.0  # no negative zeros
    else:
        out[:] = grouped.sums(column, v, code, len(out))[0]
