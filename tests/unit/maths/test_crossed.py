"""The crossed model at one Lambda against dense matrices, and its derivatives against differences."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from sumwise.maths.crossed import Crossed, products
from sumwise.maths.crossing import Factor, cells, cross
from sumwise.maths.effects import Place
from tests.oracles import crossed as twin
from tests.unit.kernels.levels import LEVELS, at_level

M = 3


class Case:
    """Random rows: levels of each factor, effects of each, weighted or not."""

    def __init__(self, n: int, levels: Sequence[int], effects: Sequence[int], *, weighted: bool, seed: int = 3) -> None:
        rng = np.random.default_rng(seed)
        drawn = [np.unique(rng.integers(0, count, n), return_inverse=True)[1] for count in levels]
        self.codes = [code.astype(np.int64) for code in drawn]
        self.levels = [int(code.max()) + 1 for code in self.codes]
        self.z = [[np.ones(n)] + [rng.normal(size=n) for _ in range(q - 1)] for q in effects]
        self.data = [rng.normal(size=n) for _ in range(M)]
        self.weights = rng.uniform(0.5, 2, n) if weighted else None
        self.Lambda = [np.tril(rng.normal(size=(q, q))) for q in effects]
        self.places: list[Place] = [(f, a, b) for f, q in enumerate(effects) for b in range(q) for a in range(b, q)]
        named = zip(self.codes, self.levels, effects, strict=True)
        self.factors = [Factor(str(f), code, count, (q,)) for f, (code, count, q) in enumerate(named)]

    def crossed(self) -> Crossed:
        crossing = cross(self.factors)
        return Crossed(crossing, products(crossing, self.z, self.data, self.weights))

    def dense(self) -> np.ndarray:
        """log det K and the lower triangle of C'C."""
        Z = twin.design(self.codes, self.z, self.levels)
        logdet, CC, _, _ = twin.sums(Z, np.column_stack(self.data), self.weights, self.Lambda, self.levels)
        return np.append(logdet, CC[np.tril_indices(M)])

    def moved(self, place: Place, by: float) -> list[np.ndarray]:
        Lambda = [block.copy() for block in self.Lambda]
        Lambda[place[0]][place[1:]] += by
        return Lambda


SHAPES = [
    (60, (7, 4), (1, 1), False),
    (80, (6, 5), (2, 1), True),
    (90, (5, 6), (1, 2), False),
    (100, (4, 9, 3), (2, 1, 1), True),
    (100, (9, 6, 4), (1, 2, 2), False),
    (50, (8,), (2,), True),
    (30, (25, 20), (1, 2), True),  # several components
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_slopes_agree_with_dense_matrices(shape: tuple[int, Sequence[int], Sequence[int], bool]) -> None:
    case = Case(*shape[:3], weighted=shape[3])
    found = case.crossed().sums(case.Lambda, case.places).values.round()
    assert found[0] == pytest.approx(case.dense(), rel=1e-12, abs=1e-12)
    kept = case.Lambda
    for row, place in zip(found[1:], case.places, strict=True):
        values = []
        for by in (1e-5, -1e-5):
            case.Lambda = case.moved(place, by)
            values.append(case.dense())
            case.Lambda = kept
        assert row == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("shape", [*SHAPES, (900, (300, 280), (1, 1), True)], ids=str)
def test_curvatures_agree_with_differences_of_the_slopes(
    shape: tuple[int, Sequence[int], Sequence[int], bool],
) -> None:
    case = Case(*shape[:3], weighted=shape[3])
    crossed, k = case.crossed(), len(case.places)
    found = crossed.sums(case.Lambda, case.places, second=True, exact=True).values.round()
    at = 1 + k
    for i, place in enumerate(case.places):
        up, down = (crossed.sums(case.moved(place, by), case.places).values.round() for by in (1e-5, -1e-5))
        for j in range(i + 1):
            want = (up[1 + j] - down[1 + j]) / 2e-5
            assert found[at] == pytest.approx(want, rel=1e-6, abs=1e-6 * (1 + np.abs(want).max()))
            at += 1


def test_curvatures_of_large_components_are_good_estimates() -> None:
    case = Case(900, (300, 280), (1, 1), weighted=False)
    case.Lambda = [np.full((1, 1), 0.5), np.full((1, 1), 0.7)]
    crossed = case.crossed()
    exact = crossed.sums(case.Lambda, case.places, second=True, exact=True).values.round()[3:]
    near = crossed.sums(case.Lambda, case.places, second=True).values.round()[3:]
    assert np.array_equal(near[:, 1:], exact[:, 1:])
    assert not np.array_equal(near[:, 0], exact[:, 0])
    assert near[:, 0] == pytest.approx(exact[:, 0], abs=0.1 * np.abs(exact[:, 0]).max())


def test_traces_of_factors_with_few_levels_are_exact_also_in_large_components() -> None:
    case = Case(1500, (300, 280, 9, 7), (1, 1, 2, 1), weighted=True)
    crossed = case.crossed()
    assert max(part.size for part in crossed.crossing.parts) > 512
    exact = crossed.sums(case.Lambda, case.places, second=True, exact=True).values.round()[7:, 0]
    near = crossed.sums(case.Lambda, case.places, second=True).values.round()[7:, 0]
    few = np.array([i > 1 for i in range(6) for _ in range(i + 1)])  # all but the pairs of the first two factors
    assert near[few] == pytest.approx(exact[few], rel=1e-9, abs=1e-9 * np.abs(exact).max())
    assert not np.array_equal(near[~few], exact[~few])


def test_threads_and_levels_change_no_bit() -> None:
    case = Case(900, (300, 280, 4), (1, 1, 1), weighted=True)
    expected = case.crossed().sums(case.Lambda, case.places, second=True).values
    with ThreadPoolExecutor(2) as threads:
        assert case.crossed().sums(case.Lambda, case.places, threads, 2, second=True).values == expected
    with at_level(LEVELS[-1]):
        assert case.crossed().sums(case.Lambda, case.places, second=True).values == expected
    small = Case(100, (9, 6, 4), (1, 2, 2), weighted=True)
    expected = small.crossed().sums(small.Lambda, small.places, second=True).values
    for level in LEVELS:
        with at_level(level):
            assert small.crossed().sums(small.Lambda, small.places, second=True).values == expected


def test_modes_agree_with_dense_matrices() -> None:
    case = Case(80, (6, 5), (2, 1), weighted=True)
    beta = np.array([0.3, -0.7])
    mode, spread = case.crossed().modes(case.Lambda, beta)
    Z = twin.design(case.codes, case.z, case.levels)
    _, _, U, inverse = twin.sums(Z, np.column_stack(case.data), case.weights, case.Lambda, case.levels)
    u = U @ np.array([*-beta, 1.0])
    cuts = [0, 12, 17]
    for f, (first, last) in enumerate(pairwise(cuts)):
        q, L = len(case.Lambda[f]), case.Lambda[f]
        assert mode[f] == pytest.approx(u[first:last].reshape(-1, q) @ L.T, rel=1e-11, abs=1e-13)
        for level in range(case.levels[f]):
            at = slice(first + level * q, first + (level + 1) * q)
            assert spread[f][level] == pytest.approx(L @ inverse[at, at] @ L.T, rel=1e-11, abs=1e-13)


def test_huge_variances_fail_by_count_not_by_nan() -> None:
    case = Case(60, (7, 4), (1, 1), weighted=False)
    found = case.crossed().sums([np.full((1, 1), 1e200)] * 2, case.places)
    assert found.failed == 1
    assert (found.values.round() == 0).all()


# -- crossing --


def test_cells_are_the_pairs_that_occur_by_table_and_by_sorting() -> None:
    rng = np.random.default_rng(1)
    a = Factor("a", rng.integers(0, 40, 200), 40, (1,))
    for levels in (30, 100_000):
        b = Factor("b", rng.integers(0, levels, 200), levels, (1,))
        found = cells(a, b)
        assert sorted(set(zip(a.code.tolist(), b.code.tolist(), strict=True))) == list(
            zip(found.first.tolist(), found.second.tolist(), strict=True)
        )
        assert np.array_equal(found.first[found.cell], a.code)
        assert np.array_equal(found.second[found.cell], b.code)


def test_nested_factors_fall_into_components_that_leave_one_effect_each() -> None:
    school = np.repeat(np.arange(5), 12)
    pupil = np.arange(60) // 3
    crossing = cross([Factor("school", school, 5, (1,)), Factor("pupil", pupil, 20, (1,))])
    (part,) = crossing.parts
    assert part.eliminated == 1
    assert np.diff(part.pattern.component).tolist() == [1] * 5
    assert part.size == 5


def test_each_component_eliminates_its_own_largest_factor() -> None:
    a = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    b = np.array([0, 1, 0, 1, 0, 1, 2, 3, 4, 2])  # a is larger in the first component, b in the second
    crossing = cross([Factor("a", a, 5, (1,)), Factor("b", b, 5, (1,))])
    assert [part.eliminated for part in crossing.parts] == [0, 1]
    assert [part.levels[0].tolist() for part in crossing.parts] == [[0, 1, 2], [3, 4]]


def test_levels_without_rows_belong_nowhere() -> None:
    crossing = cross([Factor("a", np.array([0, 2]), 3, (1,)), Factor("b", np.array([1, 1]), 2, (1,))])
    assert crossing.component[0].tolist() == [0, -1, 0]
    assert crossing.component[1].tolist() == [-1, 0]
