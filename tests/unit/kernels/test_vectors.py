"""The kernel for vectors of random effects against mpmath, and what may not change its bits."""

import numpy as np
import pytest
from mpmath import mp, mpf

from sumwise.kernels import vectors
from sumwise.kernels.aghq import evaluate as evaluate_intercepts
from sumwise.kernels.aghq import pack
from sumwise.maths import covariance
from sumwise.maths.exact import ExactSum
from sumwise.maths.quadrature import gauss_hermite
from tests.oracles import vectors as oracle
from tests.unit.kernels.levels import LEVELS, at_level
from tests.unit.kernels.vector_calls import evaluate, modes, pick, random_rows

NAMES = [" ".join(family) for family in vectors.FAMILIES]
SIZES = (1, 7, 8, 9, 16, 17, 255, 256, 257, 300)  # a group of more than 256 rows lies in another layout


def distance(ours, truth) -> float:
    """Largest difference, relative to the largest entry where that is above 1."""
    return float(np.max(np.abs(ours - truth)) / max(1.0, np.max(np.abs(truth))))


def twin(rows: dict) -> tuple:
    """Groups, beta, theta, aux, entries, family for the oracle."""
    p, q = rows["X"].shape[1], rows["Z"].shape[1]
    m = q * (q + 1) // 2
    phi = [mpf(float(v)) for v in rows["phi"]]
    aux = mp.exp(phi[-1]) if len(phi) > p + m else mpf(1)
    groups = oracle.split(*(rows[k] for k in ("X", "Z", "y", "group", "n", "offset")))
    return groups, phi[:p], phi[p : p + m], aux, covariance.entries((q,)), rows["family"]


# ---- agreement with mpmath


@pytest.mark.parametrize(("q", "order"), [(1, 3), (2, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("family", vectors.FAMILIES, ids=NAMES)
def test_value_and_gradient_agree_with_mpmath(family, q, order):
    """The oracle at 30 digits; its gradient by differences good to 1e-19."""
    rows = random_rows(family, (3, 1, 4), q, seed=q)
    ours = evaluate(**rows, orders=(order,))
    with mp.workdps(30):
        groups, beta, theta, aux, entries, _ = twin(rows)
        value = oracle.loglik(groups, beta, oracle.lower_triangle(theta, entries, q), aux, family, order)
        gradient = oracle.gradient(
            groups, beta, theta, aux, entries, family, order, with_aux=family[0] in vectors.WITH_AUX
        )
    assert distance(ours.loglik, float(value)) < 1e-14
    assert distance(ours.gradient, np.array([float(g) for g in gradient])) < 1e-13


@pytest.mark.parametrize("size", SIZES)
def test_every_group_size_agrees_with_mpmath(size):
    """Both layouts at their edges; the oracle at 25 digits."""
    rows = random_rows(("poisson", "log"), (size, 2), 2, seed=size)
    with mp.workdps(25):
        groups, beta, theta, aux, entries, family = twin(rows)
        truth = float(oracle.loglik(groups, beta, oracle.lower_triangle(theta, entries, 2), aux, family, 1))
    assert distance(evaluate(**rows, orders=(1,)).loglik, truth) < 2e-14


@pytest.mark.parametrize("eta", [40.0, 300.0, 700.0])
@pytest.mark.parametrize("family", [("binomial", "logit"), ("poisson", "log"), ("gamma", "log")], ids=" ".join)
def test_the_mode_is_found_from_far_away(family, eta):
    """|eta| up to 700 on either side, strongly contradicted by the responses; the oracle at 40 digits."""
    rows = random_rows(family, (3, 4), 2, trials=1, seed=int(eta))
    rows["offset"] = np.where(rows["group"] == 0, eta, -eta)
    rows["phi"][2:5] = 3.0, -1.0, 2.0
    ours = evaluate(**rows, orders=(1,))
    assert ours.failed == 0
    mode, _ = modes(**rows)
    with mp.workdps(40):
        groups, beta, theta, aux, entries, _ = twin(rows)
        Lambda = oracle.lower_triangle(theta, entries, 2)
        truth = float(oracle.loglik(groups, beta, Lambda, aux, family, 1))
    assert distance(ours.loglik, truth) < 1e-13
    assert np.all(np.isfinite(mode))


def test_random_intercepts_of_a_logistic_model_agree_with_their_own_kernel():
    """aghq.hpp: the same value, gradient and, at many nodes, second derivative."""
    rows = random_rows(("binomial", "logit"), (5, 300, 20, 1), 1, seed=4)
    ours = evaluate(**rows, orders=(25,), information=0)
    data = pack(tuple(rows["X"].T), rows["y"], rows["n"], rows["offset"], rows["group"], 4, np.zeros(2))
    rule = gauss_hermite(25)
    phi = rows["phi"]
    other = evaluate_intercepts(data, phi[:2], float(phi[2]), ((rule.z, rule.scaled),), np.inf, 0, data.bundles)
    values = ExactSum(other.digits).round()
    lower = np.tril_indices(3)
    assert distance(ours.loglik, values[0]) < 1e-14
    assert distance(ours.gradient, values[1:4]) < 1e-13
    assert distance(-ours.information[lower], values[4:-1]) < 1e-9


# ---- derivatives


@pytest.mark.parametrize("family", vectors.FAMILIES, ids=NAMES)
def test_the_information_is_the_second_derivative_at_many_nodes(family):
    """Central differences of the kernel's gradient, h = 1e-5, leave about 1e-9; 25 nodes a dimension less.  Groups in
    both layouts.
    """
    rows = random_rows(family, (25, 300, 9), 2, seed=9)
    phi = rows.pop("phi")
    ours = evaluate(**rows, phi=phi, orders=(25,), information=0).information
    for j, step in enumerate(np.eye(len(phi)) * 1e-5):
        up, down = (evaluate(**rows, phi=phi + s * step, orders=(25,)).gradient for s in (1, -1))
        assert distance(ours[j], -(up - down) / 2e-5) < 1e-6 * max(1.0, np.max(np.abs(ours[j])))


@pytest.mark.parametrize("size", [8, 300])
def test_the_gradient_is_that_of_the_value(size):
    """At few nodes too.  Central differences of the kernel's value, h = 1e-5, leave about 1e-9."""
    rows = random_rows(("negbinomial", "log"), (size, 5, 11), 3, seed=size)
    phi = rows.pop("phi")
    here = evaluate(**rows, phi=phi, orders=(2,))
    for j, step in enumerate(np.eye(len(phi)) * 1e-5):
        up, down = (evaluate(**rows, phi=phi + s * step, orders=(2,)).loglik for s in (1, -1))
        assert (up - down) / 2e-5 == pytest.approx(here.gradient[j], rel=1e-7, abs=1e-6)


def test_information_at_nodes_of_its_own_leaves_value_and_gradient_alone():
    rows = random_rows(("poisson", "log"), (9, 12), 2, seed=1)
    alone, both = evaluate(**rows, orders=(1,)), evaluate(**rows, orders=(1,), information=7)
    assert alone.loglik == both.loglik
    assert np.array_equal(alone.gradient, both.gradient)
    assert np.array_equal(both.information, evaluate(**rows, orders=(7,), information=0).information)


def test_the_value_is_even_in_each_column_of_a_factor():
    rows = random_rows(("poisson", "log"), (9, 12), 2, seed=2)
    here = evaluate(**rows, orders=(4,))
    for flipped in ([2, 3], [4]):
        phi = rows["phi"].copy()
        phi[flipped] *= -1
        there = evaluate(**{**rows, "phi": phi}, orders=(4,))
        assert there.loglik == pytest.approx(here.loglik, rel=1e-14)
        expected = here.gradient * np.where(np.isin(np.arange(5), flipped), -1, 1)
        assert distance(there.gradient, expected) < 1e-12


def test_a_column_of_zeros_has_a_gradient_of_zero_and_the_value_of_the_smaller_model():
    rows = random_rows(("poisson", "log"), (9, 12), 2, seed=3)
    rows["phi"][[3, 4]] = 0.0
    smaller = {**rows, "Z": rows["Z"][:, :1], "phi": rows["phi"][:3]}
    here = evaluate(**rows, orders=(7,))
    assert here.loglik == pytest.approx(evaluate(**smaller, orders=(7,)).loglik, rel=1e-14)
    assert abs(here.gradient[4]) < 1e-12


# ---- the choice of a rule


def test_a_group_takes_the_second_of_two_rules_that_agree():
    rows = random_rows(("poisson", "log"), (9, 12, 30), 2, seed=5)
    orders = (3, 5, 7, 9, 11, 13, 15, 19, 23)
    chosen = evaluate(**rows, orders=orders, tolerance=1e-6)
    assert sum(chosen.used) == 3
    assert chosen.used[0] == 0
    total = 0.0
    for g in range(3):
        values = [evaluate(**pick(rows, [g]), orders=(order,)).loglik for order in orders]
        first = next(k for k in range(1, len(orders)) if abs(values[k] - values[k - 1]) <= 1e-6)
        total += values[first]
        assert evaluate(**pick(rows, [g]), orders=orders, tolerance=1e-6).used[first] == 1
    assert chosen.loglik == pytest.approx(total, abs=1e-13)
    assert chosen.error <= 3e-6


def test_with_an_infinite_tolerance_the_second_rule_measures_the_error_of_the_first():
    rows = random_rows(("poisson", "log"), (9, 12, 30), 2, seed=5)
    first, both = evaluate(**rows, orders=(3,)), evaluate(**rows, orders=(3, 9))
    assert np.array_equal(first.digits[:-1], both.digits[:-1])
    assert both.used == [3, 0]
    assert both.error == pytest.approx(abs(first.loglik - evaluate(**rows, orders=(9,)).loglik), rel=0.5)
    assert both.error > 0


# ---- what may not change a bit


@pytest.mark.parametrize("family", [("binomial", "logit"), ("negbinomial", "log")], ids=" ".join)
def test_a_group_has_the_same_bits_in_any_company_order_and_level(family):
    rows = random_rows(family, (3, 17, 8, 300, 8, 1, 16, 33, 2, 5), 2, seed=6)
    ways = {"orders": (3, 5, 7, 9), "tolerance": 1e-6, "information": 0}
    whole = evaluate(**rows, **ways)
    for groups in ([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], [4, 0, 3, 1, 9, 2, 8, 6, 7, 5]):
        assert np.array_equal(evaluate(**pick(rows, groups), **ways).digits, whole.digits)
    apart = [evaluate(**pick(rows, [g]), **ways).digits for g in range(10)]
    total = ExactSum(apart[0])
    for digits in apart[1:]:
        total = total + ExactSum(digits)
    assert total == ExactSum(whole.digits)
    assert np.array_equal(evaluate(**rows, **ways, cuts=(1,)).digits, whole.digits)
    for level in LEVELS:
        with at_level(level):
            assert np.array_equal(evaluate(**rows, **ways).digits, whole.digits), level


def test_the_order_of_rows_within_groups_changes_no_bit():
    rows = random_rows(("gamma", "log"), (3, 17, 300), 3, seed=7)
    order = np.random.default_rng(1).permutation(len(rows["y"]))
    shuffled = {**rows, **{k: rows[k][order] for k in ("X", "Z", "y", "n", "offset", "group")}}
    assert np.array_equal(evaluate(**rows).digits, evaluate(**shuffled).digits)


# ---- groups without a value


def test_a_group_whose_value_is_not_finite_is_counted_and_left_out():
    rows = random_rows(("poisson", "log"), (5, 6), 2, seed=8)
    rows["offset"] = np.where(rows["group"] == 0, 5000.0, 0.0)
    ours = evaluate(**rows)
    assert ours.failed == 1
    assert ours.loglik == evaluate(**pick(rows, [1])).loglik


def test_more_effects_than_the_kernel_takes_are_refused():
    rows = random_rows(("poisson", "log"), (5, 6), 3, seed=8)
    rows["Z"] = np.column_stack([rows["Z"], rows["Z"][:, 1] ** 2])
    rows["phi"] = np.concatenate([rows["phi"][:2], np.ones(10)])
    with pytest.raises(ValueError, match="4 effects per group: the kernel takes 1 to 3"):
        evaluate(**rows)
