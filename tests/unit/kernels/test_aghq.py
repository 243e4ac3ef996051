"""The quadrature kernel against mpmath, and what may not change its bits."""

import numpy as np
import pytest
from mpmath import mp

from sumwise.kernels import aghq as wrapper
from sumwise.maths.exact import ExactSum
from sumwise.maths.quadrature import ladder
from tests import reference
from tests.oracles import aghq
from tests.unit.kernels.calls import evaluate
from tests.unit.kernels.levels import LEVELS, at_level

POINTS = reference.aghq_points()
SIZES = (1, 7, 8, 9, 255, 256, 257, 300, 1000)  # a group of more than 256 rows lies in another layout


def distance(ours, truth) -> float:
    """Largest difference, relative to the largest entry where that is above 1."""
    return float(np.max(np.abs(ours - truth)) / max(1.0, np.max(np.abs(truth))))


def random_rows(sizes, *, columns=3, trials=0, offset=0.0, eta=1.0, seed=0) -> dict:
    """Arguments X, y, group, trials, offset, beta for `evaluate`; eta: standard deviation of the fixed part."""
    rng = np.random.default_rng([20261123, seed])
    n = sum(sizes)
    X = np.column_stack([np.ones(n), rng.standard_normal((n, columns - 1))])
    beta = rng.standard_normal(columns) * eta / np.sqrt(columns)
    size = rng.integers(1, trials, n, endpoint=True) if trials else np.ones(n, dtype=int)
    return {
        "X": X,
        "y": rng.binomial(size, rng.random(n)).astype(float),
        "group": np.repeat(np.arange(len(sizes)), sizes),
        "trials": size.astype(float),
        "offset": rng.standard_normal(n) * offset if offset else None,
        "beta": beta,
    }


def pick(rows: dict, groups) -> dict:
    """The rows of `groups`, in the order in which they stand there, numbered anew."""
    index = np.concatenate([np.flatnonzero(rows["group"] == g) for g in groups])
    number = np.concatenate([np.full(np.sum(rows["group"] == g), i) for i, g in enumerate(groups)])
    chosen = {k: None if rows[k] is None else rows[k][index] for k in ("X", "y", "trials", "offset")}
    return {**chosen, "group": number, "beta": rows["beta"]}


# ---- agreement with mpmath


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_value_gradient_and_hessian_agree_with_mpmath(point):
    """tests/reference/aghq_points.json: 100 digits, mode and scale moving with the parameters."""
    for nodes, truth in point.by_nodes.items():
        ours = evaluate(
            point.X,
            point.y,
            point.group,
            point.beta,
            point.theta,
            trials=point.trials,
            offset=point.offset,
            orders=(nodes,),
        )
        assert distance(ours.loglik, truth.loglik) < 2e-15
        assert distance(ours.gradient, truth.gradient) < 5e-15
        assert distance(ours.hessian, truth.hessian) < 1e-12
        assert distance(ours.mode, point.mode) < 5e-15
        assert np.abs(ours.scale / point.scale - 1).max() < 5e-15


@pytest.mark.parametrize("trials", [0, 5])
@pytest.mark.parametrize("spread", [250.0, 298.0, 301.0, 400.0])
def test_values_hold_across_the_threshold_of_the_product_form(trials, spread):
    """Beyond |eta| = 300 or |theta u| = 300, exp(eta + theta u) is taken whole.  Value: the oracle at 40 digits."""
    rows = random_rows((3, 5, 9, 2), columns=2, trials=trials, seed=int(spread))
    rows["beta"] = rows["beta"] * spread / np.abs(rows["X"] @ rows["beta"]).max()
    theta = 20.0
    ours = evaluate(**rows, theta=theta, orders=(9,))
    with mp.workdps(40):
        beta = [mp.mpf(float(b)) for b in rows["beta"]]
        groups = aghq.split(rows["X"], rows["y"], rows["group"], trials=rows["trials"])
        truth = float(aghq.loglik(groups, beta, mp.mpf(theta), 9))
    assert distance(ours.loglik, truth) < 5e-15


@pytest.mark.parametrize("size", SIZES)
def test_every_group_size_agrees_with_mpmath(size):
    """Both layouts at their edges; the oracle at 30 digits."""
    rows = random_rows((size, 2), columns=2, seed=size)
    with mp.workdps(30):
        beta = [mp.mpf(float(b)) for b in rows["beta"]]
        groups = aghq.split(rows["X"], rows["y"], rows["group"])
        modes = [aghq.mode(group, beta, mp.mpf("0.75")) for group in groups]
        truth = float(aghq.loglik(groups, beta, mp.mpf("0.75"), 3))
    ours = evaluate(**rows, theta=0.75, orders=(3,))
    assert distance(ours.loglik, truth) < 2e-15
    assert distance(ours.mode, np.array([float(u) for _, u, _ in modes])) < 5e-15


@pytest.mark.parametrize("size", [8, 300])
def test_gradient_and_hessian_are_those_of_the_value(size):
    """Central differences of the kernel's own value: h = 1e-5 leaves about 1e-9 in the gradient; of its gradient,
    the same in the Hessian.
    """
    rows = random_rows((size, 5, 11), trials=4, offset=1.0, seed=size)
    point = np.append(rows.pop("beta"), 0.9)

    def at(phi):
        return evaluate(**rows, beta=phi[:-1], theta=float(phi[-1]), orders=(7,))

    here, h = at(point), 1e-5
    for j, step in enumerate(np.eye(len(point)) * h):
        up, down = at(point + step), at(point - step)
        assert (up.loglik - down.loglik) / (2 * h) == pytest.approx(here.gradient[j], rel=1e-7, abs=1e-7)
        assert (up.gradient - down.gradient) / (2 * h) == pytest.approx(here.hessian[j], rel=1e-7, abs=1e-7)


def test_centred_columns_with_a_shifted_intercept_give_the_same_value():
    rows = random_rows((4, 9, 20), seed=3)
    centre = np.array([0.0, 0.25, -1.5])
    shifted = rows["beta"] + np.array([rows["beta"] @ centre, 0, 0])
    plain = evaluate(**rows, theta=1.2)
    centred = evaluate(**{**rows, "beta": shifted}, theta=1.2, centre=centre)
    assert distance(centred.loglik, plain.loglik) < 1e-14
    assert centred.mode == pytest.approx(plain.mode, abs=1e-13)


def test_theta_and_minus_theta_mirror_each_other():
    rows = random_rows((4, 300, 20), trials=3, seed=4)
    plus, minus = evaluate(**rows, theta=1.3), evaluate(**rows, theta=-1.3)
    assert distance(plus.loglik, minus.loglik) < 1e-14
    assert distance(plus.gradient[:-1], minus.gradient[:-1]) < 1e-13
    assert plus.gradient[-1] == pytest.approx(-minus.gradient[-1], rel=1e-11)
    assert plus.mode == pytest.approx(-minus.mode, abs=1e-13)


def test_at_theta_zero_it_is_plain_logistic_regression():
    """log-likelihood sum y eta - n log(1 + exp eta), score X'(y - n p), information X'WX; nothing hangs on nodes."""
    rows = random_rows((5, 300, 17), trials=6, offset=0.5, seed=6)
    eta = rows["X"] @ rows["beta"] + rows["offset"]
    p = 1 / (1 + np.exp(-eta))
    W = rows["trials"] * p * (1 - p)
    for orders in ((1,), (9,)):
        ours = evaluate(**rows, theta=0.0, orders=orders)
        value = np.sum(rows["y"] * eta - rows["trials"] * np.log1p(np.exp(eta)))
        assert ours.loglik == pytest.approx(value, rel=1e-13)
        assert ours.gradient[:-1] == pytest.approx(rows["X"].T @ (rows["y"] - rows["trials"] * p), rel=1e-12, abs=1e-12)
        assert ours.gradient[-1] == pytest.approx(0, abs=1e-12)
        assert -ours.hessian[:-1, :-1] == pytest.approx((rows["X"].T * W) @ rows["X"], rel=1e-12, abs=1e-12)


# ---- the choice of the rule


def test_each_group_takes_the_first_rule_whose_error_is_small_enough():
    """Rules 1, 9, 25: alone, a group's error at rule k is the difference to rule k + 1."""
    rows, orders = random_rows((1, 6, 30, 400), eta=2.0, seed=9), (1, 9, 25)
    errors = []
    for g in range(4):
        alone = [evaluate(**pick(rows, [g]), theta=1.5, orders=(k,)).loglik for k in orders]
        errors.append(np.abs(np.diff(alone)))
    for tolerance in (1e-3, 1e-6):
        expected = [0, 0, 0]
        for error in errors:
            expected[next((k for k in range(2) if error[k] <= tolerance), 2)] += 1
        assert evaluate(**rows, theta=1.5, orders=orders, tolerance=tolerance).used == expected


def test_the_value_is_that_of_the_rule_taken_and_the_error_is_the_sum_of_differences():
    rows = random_rows((3, 6, 30), eta=2.0, seed=10)
    first, second = (evaluate(**rows, theta=1.5, orders=(k,)) for k in (5, 11))
    both = evaluate(**rows, theta=1.5, orders=(5, 11))
    assert both.used == [3, 0]
    assert np.array_equal(both.digits[:-1], first.digits[:-1])
    alone = [
        evaluate(**pick(rows, [g]), theta=1.5, orders=(11,)).loglik
        - evaluate(**pick(rows, [g]), theta=1.5, orders=(5,)).loglik
        for g in range(3)
    ]
    assert both.error == pytest.approx(np.sum(np.abs(alone)), rel=1e-6)
    strict = evaluate(**rows, theta=1.5, orders=(5, 11), tolerance=1e-300)
    assert strict.used == [0, 3]
    assert np.array_equal(strict.digits[:-1], second.digits[:-1])


# ---- what changes no bit


@pytest.mark.parametrize("trials", [0, 7])
@pytest.mark.parametrize("orders", [(1,), (9,), (1, 3, 9, 25)])
def test_a_group_gives_the_same_bits_in_any_company(trials, orders):
    """Each group alone, all together, and every other one: lanes, bundles and padding differ."""
    rows = random_rows((1, 2, 3, 5, 7, 8, 9, 31, 200, 256, 257, 400, 4, 4, 4), trials=trials, eta=3.0, seed=11)
    count = 15
    rows["X"][rows["group"] == 3] *= 200  # |eta| beyond 300 in the neighbourhood
    call = {"theta": 2.5, "orders": orders, "tolerance": 1e-9}

    alone = [evaluate(**pick(rows, [g]), **call) for g in range(count)]
    for company in (range(count), range(0, count, 2), list(range(count))[::-1]):
        together = evaluate(**pick(rows, list(company)), **call)
        total = ExactSum.zeros(together.digits.shape[:1])
        for g in company:
            total = total + ExactSum(alone[g].digits)
        assert np.array_equal(total.digits, together.digits)
        assert [alone[g].mode[0] for g in company] == together.mode.tolist()
        assert [alone[g].scale[0] for g in company] == together.scale.tolist()
        assert together.used == np.sum([alone[g].used for g in company], axis=0).tolist()


def test_where_a_call_begins_and_ends_changes_no_bit():
    rows = random_rows([1, 2, 3, 4, 5, 6, 7, 300] * 5, seed=12)
    whole = evaluate(**rows, theta=0.7)
    bundles = 5 + 5  # 35 narrow groups eight to a bundle, 5 wide ones
    for cuts in ([1], [5], [9], [3, 3, 7], list(range(1, bundles))):
        pieces = evaluate(**rows, theta=0.7, cuts=cuts)
        assert np.array_equal(pieces.digits, whole.digits)
        assert pieces.used == whole.used
        assert np.array_equal(pieces.mode, whole.mode)


@pytest.mark.parametrize("trials", [0, 7])
def test_every_level_gives_the_same_bits(trials):
    rows = random_rows((1, 2, 5, 17, 256, 257, 300, 3, 3), columns=7, trials=trials, offset=2.0, eta=4.0, seed=13)
    rows["X"][rows["group"] == 2] *= 150
    answers = []
    for name in LEVELS:
        with at_level(name):
            answers.append(evaluate(**rows, theta=1.7, orders=(1, 5, 13, 39), tolerance=1e-10))
    for answer in answers[1:]:
        assert np.array_equal(answer.digits, answers[0].digits)
        assert np.array_equal(answer.mode, answers[0].mode)
        assert np.array_equal(answer.scale, answers[0].scale)
        assert answer.used == answers[0].used


def test_groups_may_lie_scattered_among_the_rows():
    """Only the order of rows within a group counts."""
    rows = random_rows((3, 9, 300, 40), seed=14)
    whole = evaluate(**rows, theta=0.7)
    rng = np.random.default_rng(14)
    scattered = np.argsort(rng.random(len(rows["y"])))
    order = np.empty_like(scattered)
    for g in range(4):  # places of the group, ascending, get its rows in their old order
        places = np.flatnonzero(rows["group"][scattered] == g)
        order[places] = np.flatnonzero(rows["group"] == g)
    mixed = {k: rows[k][order] for k in ("X", "y", "trials", "group")}
    assert np.array_equal(evaluate(**mixed, beta=rows["beta"], theta=0.7).digits, whole.digits)


def test_column_and_row_major_matrices_are_the_same_to_it():
    rows = random_rows((3, 9, 300), seed=15)
    other = {**rows, "X": np.asfortranarray(rows["X"])}
    strided = {**rows, "X": np.repeat(rows["X"], 2, axis=1)[:, ::2]}
    whole = evaluate(**rows, theta=0.7)
    assert np.array_equal(evaluate(**other, theta=0.7).digits, whole.digits)
    assert np.array_equal(evaluate(**strided, theta=0.7).digits, whole.digits)


# ---- extremes


def test_a_group_of_a_hundred_thousand_rows_does_not_underflow():
    """The plain product of probabilities would be about 2^-100000.  Laplace's method in numpy, by its formula."""
    n, theta = 100_000, 0.8
    rng = np.random.default_rng(16)
    X, y = np.ones((n, 1)), (rng.random(n) < 0.3).astype(float)
    ours = evaluate(X, y, np.zeros(n, dtype=int), np.array([0.1]), theta, orders=(1,))
    Y, u = y.sum(), 0.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-(0.1 + theta * u)))
        h = 1 + theta**2 * n * p * (1 - p)
        u += (theta * (Y - n * p) - u) / h
    eta = 0.1 + theta * u
    value = Y * eta - n * np.log1p(np.exp(eta)) - u**2 / 2 - np.log(h) / 2
    assert ours.loglik == pytest.approx(value, rel=1e-14)
    assert ours.mode[0] == pytest.approx(u, abs=1e-12)


def test_five_hundred_nodes_and_a_hundred_columns_fit_in():
    rows = random_rows((5, 300), columns=120, seed=17)
    small, large = evaluate(**rows, theta=1.0, orders=(25,)), evaluate(**rows, theta=1.0, orders=(501,))
    assert large.loglik == pytest.approx(small.loglik, rel=1e-12)
    assert large.hessian == pytest.approx(large.hessian.T)


def test_no_columns_at_all_is_a_model_too():
    """With a single group of one row and theta = 0: log(1/2), and gradient zero."""
    ours = evaluate(np.empty((1, 0)), np.ones(1), np.zeros(1, dtype=int), np.empty(0), 0.0)
    assert ours.loglik == pytest.approx(np.log(0.5), rel=1e-15)
    assert ours.gradient.tolist() == [0.0]


def test_value_count_is_value_gradient_hessian_and_error():
    assert [wrapper.value_count(p) for p in (0, 1, 4)] == [4, 7, 22]


@pytest.mark.parametrize("theta", [0.1, 1.0, 4.0, 8.0])
def test_the_measured_error_is_that_of_the_integral(theta):
    """Within a factor of 3 for two rules that are both coarse, a bound where the ladder is climbed to the end.

    The integral by the trapezoid rule, which for a smooth integrand that fades at both ends errs less than any
    power of the step: 0.1 / theta is far inside the poles at pi / theta.
    """
    rows = random_rows((1, 2, 3, 7, 20, 60), columns=2, seed=int(10 * theta))
    eta, u = rows["X"] @ rows["beta"], np.arange(-13, 13, min(0.02, 0.1 / theta))
    truth = 0.0
    for g in range(6):
        e, y = eta[rows["group"] == g, None] + theta * u, rows["y"][rows["group"] == g, None]
        f = np.sum(y * e - np.logaddexp(0, e), axis=0) - u**2 / 2
        truth += f.max() + np.log(np.sum(np.exp(f - f.max())) * (u[1] - u[0]) / np.sqrt(2 * np.pi))
    for orders in ((1, 3), (3, 7), (9, 19)):
        ours = evaluate(**rows, theta=theta, orders=orders)
        assert abs(ours.loglik - truth) <= 3 * ours.error + 1e-13 * abs(truth)
    best = evaluate(**rows, theta=theta, orders=ladder(theta), tolerance=1e-12)
    assert abs(best.loglik - truth) <= best.error + 1e-13 * abs(truth)
    assert best.error < 1e-10


def test_the_mode_is_found_where_every_row_is_certain_and_wrong():
    """At u = 0 and at u = -40 the curvature vanishes, and a Newton step leads from each to the other: only a bracket
    that shrinks ends that.  theta = 20, eta = (151.9, 195), both failures; mode by the oracle at 40 digits.
    """
    X, y, group = np.array([[151.9], [195.0]]), np.zeros(2), np.zeros(2, dtype=int)
    ours = evaluate(X, y, group, np.ones(1), 20.0, orders=(9,))
    with mp.workdps(40):
        (only,) = aghq.split(X, y, group)
        _, u, s = aghq.mode(only, [mp.mpf(1)], mp.mpf(20))
        truth = aghq.group_loglik(only, [mp.mpf(1)], mp.mpf(20), 9)
    assert ours.mode[0] == pytest.approx(float(u), rel=1e-13)  # -9.75...
    assert ours.scale[0] == pytest.approx(float(s), rel=1e-12)
    assert ours.loglik == pytest.approx(float(truth), rel=1e-14)
