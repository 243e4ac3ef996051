"""The sums over groups of linear mixed models against the dense covariance matrix, in mpmath."""

from itertools import pairwise

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

from sumwise.errors import DataError
from sumwise.kernels import lmm
from sumwise.maths import covariance
from sumwise.maths.exact import ExactSum
from sumwise.models.lmm_messages import MomentsQuestion, Question
from sumwise.models.lmm_site import Site
from tests.oracles import lmm as oracle
from tests.unit.kernels.levels import LEVELS, at_level
from tests.unit.models.lmm_fitting import Rows, make_rows

CASES = [((1,), 1), ((2,), 2), ((1, 1), 3), ((3,), 4), ((2, 1), 5)]


def problem(blocks, seed, *, weights=False) -> Rows:
    """Groups of 1 to 6 rows (fewer than effects in some), two columns beside the intercept, the response far off."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(6), [1, 2, 6, 4, 3, 5])
    n, q = len(label), sum(blocks)
    X = np.column_stack([np.ones(n), rng.standard_normal((n, 2))])
    Z = np.column_stack([np.ones(n), rng.standard_normal((n, q - 1))])
    y = 100 + rng.standard_normal(n)
    return make_rows(X, y, label, Z, weights=rng.uniform(0.5, 2, n) if weights else None)


def theta_of(blocks, seed):
    return np.random.default_rng(seed + 100).uniform(0.2, 1.5, covariance.size(blocks))


def unpacked(values: np.ndarray, c: int) -> tuple[float, np.ndarray]:
    """log det and matrix (c, c) of one row of a summand."""
    out = np.zeros((c, c))
    out[np.tril_indices(c)] = values[1:]
    return values[0], np.tril(out) + np.tril(out, -1).T


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize(("blocks", "seed"), CASES)
def test_values_and_derivatives_agree_with_the_dense_matrix(blocks, seed, weights):
    """log det V W and [X y]'V^-1[X y], first derivatives (1e-15 of differences' error), second (1e-9)."""
    rows, theta = problem(blocks, seed, weights=weights), theta_of(blocks, seed)
    m, centre = len(theta), np.zeros(4)
    total = Site(rows, blocks).answer(Question(centre, (theta,), True, True))
    found = total.values.round()[0]
    assert total.failed == 0
    columns = np.column_stack([rows.X, rows.y])
    with mp.workdps(40):
        W = np.ones(len(rows.y)) if rows.weights is None else rows.weights
        T = oracle.numbers(columns).T * mpmath.diag([mpf(float(w)) for w in W]) * oracle.numbers(columns)

        def dense(t):
            V = oracle.covariance(rows.Z, rows.group, oracle.lower(t, blocks), rows.weights)
            return oracle.log_det(V) + mp.fsum(mp.log(mpf(float(w))) for w in W), oracle.quadratic(columns, V)

        h = mpf(10) ** -10
        shift = [[h if i == j else mpf(0) for j in range(m)] for i in range(m)]

        def moved(*steps):
            return dense([mpf(float(t)) + mp.fsum(s[k] for s in steps) for k, t in enumerate(theta)])

        explained = unpacked(np.append(0.0, total.explained.round()), 4)[1]
        at = dense([mpf(float(t)) for t in theta])
        log_det, cross = unpacked(found[0], 4)
        assert log_det == pytest.approx(float(at[0]), rel=1e-14)
        ours = np.array((T + at[1] * 0).tolist(), dtype=float) - explained + cross
        size = np.sqrt(np.multiply.outer(np.diag(ours), np.diag(ours)))
        assert np.abs(ours - np.array(at[1].tolist(), dtype=float)).max() <= 1e-9 * size.max()
        down = [[-v for v in row] for row in shift]
        for i in range(m):
            one, other = moved(shift[i]), moved(down[i])
            log_slope, slope = unpacked(found[1 + i], 4)
            assert log_slope == pytest.approx(float((one[0] - other[0]) / (2 * h)), rel=1e-12, abs=1e-12)
            expected = np.array(((one[1] - other[1]) / (2 * h)).tolist(), dtype=float)
            assert np.abs(slope - expected).max() <= 1e-12 * max(np.abs(expected).max(), 1)
        k = 1 + m
        for i in range(m):
            for j in range(i + 1):
                four = [moved(a, b) for a in (shift[i], down[i]) for b in (shift[j], down[j])]
                log_curve, curve = unpacked(found[k], 4)
                k += 1
                bent = (four[0][0] - four[1][0] - four[2][0] + four[3][0]) / (4 * h * h)
                assert log_curve == pytest.approx(float(bent), rel=1e-9, abs=1e-9)
                expected = (four[0][1] - four[1][1] - four[2][1] + four[3][1]) / (4 * h * h)
                expected = np.array(expected.tolist(), dtype=float)
                assert np.abs(curve - expected).max() <= 1e-9 * max(np.abs(expected).max(), 1)


@pytest.mark.parametrize(("blocks", "seed"), CASES)
def test_centring_changes_the_columns_and_nothing_else(blocks, seed):
    """Centred by the kernel or beforehand by whole numbers: what is explained agrees to rounding."""
    rows, centre = problem(blocks, seed), np.array([0.0, 2.0, -3.0, 100.0])
    question = Question(centre, (theta_of(blocks, seed),), True, True)
    kernel = Site(rows, blocks).answer(question)
    moved = make_rows(rows.X - centre[:3], rows.y - 100, rows.group, rows.Z)
    before = Site(moved, blocks).answer(Question(np.zeros(4), question.points, True, True))
    assert kernel.values.round() == pytest.approx(before.values.round(), rel=1e-9, abs=1e-9)
    assert kernel.explained.round() == pytest.approx(before.explained.round(), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_and_any_pieces_give_the_same_bits(level):
    rng = np.random.default_rng(3)
    label = rng.integers(0, 300, 3000)
    X = np.column_stack([np.ones(3000), rng.standard_normal((3000, 2))])
    rows = make_rows(X, rng.standard_normal(3000), label, X[:, :2])
    question = Question(np.array([0.0, 0.1, -0.2, 0.3]), (np.array([0.7, 0.1, 0.4]), np.zeros(3)), True, True)
    with at_level(LEVELS[0]):
        expected = Site(rows, (2,)).answer(question)
    with at_level(level):
        site = Site(rows, (2,))
        assert site.answer(question) == expected
        assert site.answer(MomentsQuestion()) == Site(rows, (2,)).answer(MomentsQuestion())
        data = site._squeezed[1]
        factors = [covariance.factor(t, (2,)) for t in question.points]
        digits, failed = lmm.shrink(data, factors, covariance.entries((2,)), second=True, pieces=4)
        assert ExactSum(digits) == expected.values
        assert failed == 0


def test_a_group_of_eight_lanes_does_not_feel_its_neighbours():
    """Groups one by one add up to all of them, bit by bit."""
    rows = problem((2,), 2)
    question = Question(np.zeros(4), (theta_of((2,), 2),), True, True)
    whole = Site(rows, (2,)).answer(question)
    alone = [Site(rows.at(np.flatnonzero(rows.group == g)), (2,)).answer(question) for g in range(6)]
    total = alone[0]
    for _, more in pairwise(alone):
        total = total + more
    assert total == whole


def test_groups_that_are_not_finite_are_left_out_and_counted():
    """1e200 squared is no float64."""
    rows = problem((1,), 1)
    huge = Site(make_rows(rows.X * 1e200, rows.y, rows.group, rows.Z * 1e200), (1,))
    with pytest.raises(DataError, match="larger than the largest"):
        huge.answer(Question(np.zeros(4), (np.ones(1),), True, True))
    far = make_rows(rows.X * 1e155, rows.y, rows.group, rows.Z)
    total = Site(far, (1,)).answer(Question(np.zeros(4), (np.ones(1),), True, True))
    assert total.failed > 0
