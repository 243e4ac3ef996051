"""Laplace's approximation against its plain twin (tests/oracles/laplace.py), and the search of the modes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from mpmath import mp, mpf
from numpy.typing import NDArray

from sumwise.kernels.schur import Spaces
from sumwise.maths.crossing import Factor, cross
from sumwise.maths.effects import Place as Entry
from sumwise.maths.laplace import Answer, Laplace
from sumwise.maths.laplace_modes import Modes, Place, Rows, Search
from tests.oracles import differences, laplace
from tests.oracles.crossed import design
from tests.oracles.vectors import LOGLIK

Floats = NDArray[np.float64]
FAMILIES = [*LOGLIK]


class Problem:
    """Few rows: (1 + x | a) + (1 | b), or another pattern."""

    def __init__(self, family: tuple[str, str], pattern: str, seed: int = 0) -> None:
        rng = np.random.default_rng([seed, len(pattern)])
        n = 24
        self.x = rng.normal(size=n)
        codes, self.q = {
            "crossed": ([rng.integers(0, 4, n), rng.integers(0, 3, n)], (2, 1)),
            "nested": ([np.arange(n) // 8, np.arange(n) // 3], (1, 1)),
            "three": ([rng.integers(0, 3, n), rng.integers(0, 2, n), np.arange(n) // 3], (1, 1, 1)),
            "alone": ([rng.integers(0, 2, n)], (4,)),
            "islands": ([np.arange(n) // 12 * 3 + rng.integers(0, 3, n), np.arange(n) // 6], (1, 2)),
        }[pattern]
        levels = [int(code.max()) + 1 for code in codes]
        self.codes = [code.astype(np.int64) for code in codes]
        self.levels = levels
        columns = [None, self.x, self.x**2, rng.normal(size=n)]
        self.z = [columns[:q] for q in self.q]
        eta = 0.4 + 0.3 * self.x + 0.7 * rng.normal(size=levels[0])[self.codes[0]]
        self.size = rng.integers(1, 4, n).astype(float)
        self.y = np.minimum(rng.poisson(np.exp(eta)), 9).astype(float)
        if family[0] == "binomial":
            self.y = np.minimum(self.y, self.size)
        if family[0] == "gamma":
            self.y += 0.5
        self.family = family
        factors = [
            Factor(str(f), c, m, (q,)) for f, (c, m, q) in enumerate(zip(self.codes, levels, self.q, strict=True))
        ]
        rows = Rows([np.ones(n), self.x], self.z, self.y, self.size, None, family)
        self.search = Search(cross(factors), rows)
        self.entries: list[Entry] = [
            (f, row, column) for f, q in enumerate(self.q) for column in range(q) for row in range(column, q)
        ]
        self.aux = 1.75 if family[0] in ("negbinomial", "gamma") else 1.0
        theta = [0.6 if row == column else -0.2 for _, row, column in self.entries]
        self.phi = np.array([0.2, 0.35, *theta])

    def place(self, phi: Floats) -> Place:
        Lambda = [np.zeros((q, q)) for q in self.q]
        for value, (f, row, column) in zip(phi[2:], self.entries, strict=True):
            Lambda[f][row, column] = value
        return Place(phi[:2], Lambda, self.aux)

    def spaces(self) -> list[Spaces]:
        return [Spaces() for _ in self.search.crossing.parts]

    def modes(self, phi: Floats, start: list[Floats] | None = None) -> Modes:
        return self.search.modes(self.place(phi), start, self.spaces())

    def answer(self, phi: Floats, modes: Modes) -> Answer:
        return Laplace(self.search).answer(self.place(phi), modes, self.entries, self.spaces(), metric=True)

    def dense(self) -> Floats:
        """Z (n, Q)."""
        z = [[np.ones(len(self.y)) if c is None else c for c in own] for own in self.z]
        return design(self.codes, z, self.levels)

    def value(self, phi: Sequence) -> mpf:
        """The twin's."""
        Z, at = self.dense(), 0
        Lambda = [[[mpf(0)] * q for _ in range(q)] for q in self.q]
        for value, (f, row, column) in zip(phi[2:], self.entries, strict=True):
            Lambda[f][row][column] = mpf(value)
        A = [[] for _ in self.y]
        for block, levels, q in zip(Lambda, self.levels, self.q, strict=True):
            for _ in range(levels):
                for column in range(q):
                    for own, z in zip(A, Z, strict=True):
                        own.append(mp.fsum(mpf(float(z[at + row])) * block[row][column] for row in range(q)))
                at += q
        fixed = [mpf(phi[0]) + mpf(float(x)) * mpf(phi[1]) for x in self.x]
        return laplace.value(fixed, A, self.y, self.size, mpf(self.aux), LOGLIK[self.family])


CASES = [(family, "crossed") for family in FAMILIES]
CASES += [(("poisson", "log"), pattern) for pattern in ("nested", "three", "alone", "islands")]


@pytest.mark.parametrize(("family", "pattern"), CASES, ids=lambda v: v if isinstance(v, str) else "-".join(v))
def test_value_and_gradient_are_the_twins(family: tuple[str, str], pattern: str) -> None:
    problem = Problem(family, pattern)
    found = problem.answer(problem.phi, problem.modes(problem.phi)).values.round()
    with mp.workdps(30):
        expected = problem.value(problem.phi)
        slopes = differences.gradient(problem.value, problem.phi)
    assert found[0] == pytest.approx(float(expected), abs=1e-11)
    np.testing.assert_allclose(found[1 : 1 + len(slopes)], [float(s) for s in slopes], atol=2e-10)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f[0] in ("negbinomial", "gamma")], ids=lambda f: f[0])
def test_the_gradient_in_log_aux_is_the_differences(family: tuple[str, str]) -> None:
    problem, values = Problem(family, "crossed"), []
    for shift in (1e-3, -1e-3, 2e-3, -2e-3):
        problem.aux = 1.75 * np.exp(shift)
        values.append(problem.answer(problem.phi, problem.modes(problem.phi)).values.round()[0])
    problem.aux = 1.75
    found = problem.answer(problem.phi, problem.modes(problem.phi)).values.round()[-1]
    assert found == pytest.approx((8 * (values[0] - values[1]) - (values[2] - values[3])) / 12e-3, abs=1e-8)


def test_the_metric_is_that_of_the_penalised_log_likelihood() -> None:
    problem = Problem(("poisson", "log"), "crossed")
    modes = problem.modes(problem.phi)
    found = problem.answer(problem.phi, modes).metric.round()
    place, w = problem.place(problem.phi), modes.terms[2]
    X, Z = np.column_stack([np.ones(len(w)), problem.x]), problem.dense()
    blocks = [np.kron(np.eye(m), block) for m, block in zip(problem.levels, place.Lambda, strict=True)]
    Lambda = np.zeros((Z.shape[1], Z.shape[1]))
    at = 0
    for block in blocks:
        Lambda[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    A = Z @ Lambda
    H = np.eye(len(Lambda)) + (A.T * w) @ A
    expected = (X.T * w) @ X - (X.T * w) @ A @ np.linalg.solve(H, (A.T * w) @ X)
    np.testing.assert_allclose(found, expected[np.tril_indices(2)], rtol=1e-12)


@pytest.mark.parametrize("pattern", ["crossed", "nested", "three", "alone", "islands"])
def test_where_the_search_begins_changes_the_last_digits_at_most(pattern: str) -> None:
    problem = Problem(("binomial", "cloglog"), pattern)
    one = problem.modes(problem.phi)
    far = [u + 3.0 for u in one.u]
    other = problem.modes(problem.phi, far)
    assert not one.failed.any()
    for a, b in zip(one.u, other.u, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)


def test_a_start_without_a_finite_value_is_replaced_by_zero() -> None:
    problem = Problem(("poisson", "log"), "islands")
    one = problem.modes(problem.phi)
    wild = [u.copy() for u in one.u]
    wild[0][0] = 1e5  # one island only
    found = problem.modes(problem.phi, wild)
    assert not found.failed.any()
    for a, b in zip(one.u, found.u, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)


def test_long_first_steps_are_halved_until_the_component_rises() -> None:
    """From zero, one large count asks for a step of about its size."""
    problem = Problem(("poisson", "log"), "alone")
    problem.y[:] = 0.0
    problem.y[0] = 5e4
    phi = problem.phi.copy()
    phi[:2] = 0.0
    phi[2:] *= 5
    modes = problem.modes(phi)
    assert not modes.failed.any()
    place = problem.place(phi)
    Z = problem.dense()
    A = Z @ np.kron(np.eye(problem.levels[0]), place.Lambda[0])
    slope = A.T @ modes.terms[1] - modes.u[0].ravel()
    assert np.max(np.abs(slope)) < 1e-7 * np.max(np.abs(modes.u[0]))


def test_a_value_that_is_not_finite_counts_its_component_as_failed() -> None:
    problem = Problem(("poisson", "log"), "islands")
    problem.y[:12] += 0.0
    problem.search.rows.x[0][:12] = 1e6
    modes = problem.modes(problem.phi)
    assert modes.failed.tolist() == [True, False]
    answer = problem.answer(problem.phi, modes)
    assert answer.failed == 1
    assert not answer.values.digits.any()
