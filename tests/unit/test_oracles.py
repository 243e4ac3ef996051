"""The oracles agree with closed forms, with each other and with the reference answers."""

from fractions import Fraction

import numpy as np
import pytest
from mpmath import mp, mpf

from sumwise import datasets, simulate
from tests import reference
from tests.oracles import aghq, differences, hermite, sums

LARGEST = float.fromhex("0x1.fffffffffffffp+1023")


@pytest.fixture(autouse=True)
def digits():
    """Thirty digits, unless a test asks for more."""
    with mp.workdps(30):
        yield


def groups_of(name: str) -> list[aghq.Group]:
    """A shipped data set as Groups, in the columns of its reference answer."""
    frame = datasets.load(name)
    one = np.ones(len(frame))
    if name == "cbpp":
        X = np.column_stack([one, *(frame["period"] == level for level in (2, 3, 4))])
        return aghq.split(X, frame["incidence"], frame["herd"], trials=frame["size"])
    if name == "contraception":
        livch = [frame["livch"] == level for level in ("1", "2", "3plus")]
        X = np.column_stack([one, frame["age"], frame["age"] ** 2, frame["urban"] == "Y", *livch])
        return aghq.split(X, frame["use"], frame["district"])
    drug = frame["treatment"] == "terbinafine"
    X = np.column_stack([one, drug, frame["time"], drug * frame["time"]])
    return aghq.split(X, frame["outcome"], frame["patientID"])


# ---- sums


def test_exact_sum_keeps_what_float_addition_loses():
    assert sums.exact_sum([1e16, 1.0, -1e16]) == 1.0
    assert sums.exact_sum([0.1] * 10) == 1.0
    assert sums.exact_sum([5e-324, 5e-324]) == 1e-323
    assert sums.exact_sum([]) == 0.0


def test_exact_sum_rounds_ties_to_even():
    assert sums.exact_sum([1.0, 2.0**-53]) == 1.0
    assert sums.exact_sum([1.0 + 2.0**-52, 2.0**-53]) == 1.0 + 2.0**-51
    assert sums.exact_sum([1.0, 2.0**-53, 5e-324]) == 1.0 + 2.0**-52


def test_exact_sum_overflows_only_in_its_result():
    assert sums.exact_sum([LARGEST, LARGEST, -LARGEST]) == LARGEST
    # Half a unit in the last place of the largest float is where rounding leaves the range.
    assert sums.exact_sum([LARGEST, 2.0**969]) == LARGEST
    with pytest.raises(OverflowError):
        sums.exact_sum([LARGEST, 2.0**970])
    with pytest.raises(OverflowError):
        sums.exact_sum([1.0, float("inf")])
    with pytest.raises(ValueError, match="NaN"):
        sums.exact_sum([1.0, float("nan")])


def test_rational_sum_is_exact():
    assert sums.rational_sum([0.1, 2.0**-1074]) == Fraction(3602879701896397, 2**55) + Fraction(1, 2**1074)


# ---- Gauss-Hermite rules


def test_small_rules_have_their_closed_forms():
    """Orders 1, 2, 3 for N(0, 1): nodes 0; +-1; 0 and +-sqrt(3) with weights 2/3 and 1/6."""
    tiny = mpf(10) ** -29
    assert [abs(v) < tiny for v in hermite.rule(1)[0]] == [True]
    for order, nodes, weights in (
        (2, [-1, 1], [mpf(1) / 2] * 2),
        (3, [-mp.sqrt(3), 0, mp.sqrt(3)], [mpf(1) / 6, mpf(2) / 3, mpf(1) / 6]),
    ):
        z, w = hermite.rule(order)
        assert max(abs(a - b) for a, b in zip(z + w, nodes + weights, strict=True)) < tiny


@pytest.mark.parametrize("order", [1, 2, 9, 25, 101])
def test_rule_integrates_polynomials_up_to_its_degree(order):
    """E Z**(2m) = (2m - 1)!! up to 2m = 2 order - 2; the next is missed by exactly order!."""
    with mp.workdps(80):
        z, w = hermite.rule(order)
        for half in {0, 1, order // 2, order - 1} - {order}:
            moment = mp.fdot(w, [a ** (2 * half) for a in z])
            assert abs(moment / mp.fac2(2 * half - 1) - 1) < mpf(10) ** -75
        # The monic Hermite polynomial of this order vanishes at the nodes; E of its square is order!.
        missed = mp.fac2(2 * order - 1) - mp.fdot(w, [a ** (2 * order) for a in z])
        assert abs(missed / mp.factorial(order) - 1) < mpf(10) ** -40


# ---- differences


def test_differences_of_a_known_function():
    """g = exp(a) sin(b) + a b**2 at (1, 2), derivatives by hand."""

    def g(v):
        return mp.exp(v[0]) * mp.sin(v[1]) + v[0] * v[1] ** 2

    e, s, c = mp.e, mp.sin(2), mp.cos(2)
    assert max(abs(a - b) for a, b in zip(differences.gradient(g, [1, 2]), [e * s + 4, e * c + 4], strict=True)) < 1e-18
    found = [v for row in differences.hessian(g, [1, 2]) for v in row]
    expected = [e * s, e * c + 4, e * c + 4, -e * s + 2]
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) < 1e-13


# ---- adaptive quadrature


def test_mode_is_a_root_and_scale_its_curvature():
    """f' at the mode by mp.diff of f itself; f'' likewise."""
    case = next(p for p in reference.aghq_points() if p.name == "trials and offset, theta -0.8")
    group = aghq.split(case.X, case.y, case.group, case.trials, case.offset)[2]
    fixed, u, s = aghq.mode(group, case.beta, case.theta)
    assert abs(mp.diff(lambda v: aghq.log_joint(group, fixed, case.theta, v), u)) < mpf(10) ** -12
    assert abs(mp.diff(lambda v: aghq.log_joint(group, fixed, case.theta, v), u, 2) * s**2 + 1) < mpf(10) ** -8


def test_without_variance_the_likelihood_is_that_of_independent_rows():
    """theta = 0: every rule gives sum log p(y), here of one group with eta = log(3): p = 3/4."""
    group = aghq.split([[1.0]] * 3, [1, 1, 0], [0, 0, 0])
    for value in (aghq.loglik(group, [mp.log(3)], 0, nodes) for nodes in (1, 2, 9)):
        assert abs(value - mp.log(mpf(9) / 64)) < mpf(10) ** -28
    assert abs(aghq.exact_loglik(group, [mp.log(3)], 0) - mp.log(mpf(9) / 64)) < mpf(10) ** -20


def test_one_row_at_even_odds_has_probability_one_half():
    """By symmetry E expit(theta u) = 1/2 for any theta; the approximation tends to it as nodes are added."""
    group = aghq.split([[1.0]], [1], [0])
    for theta in (0.5, 1.7, -0.8):
        assert abs(aghq.exact_loglik(group, [0.0], theta) + mp.log(2)) < mpf(10) ** -20
        errors = [abs(aghq.loglik(group, [0.0], theta, nodes) + mp.log(2)) for nodes in (1, 5, 25)]
        assert errors[0] > errors[1] > errors[2]
        assert errors[2] < 1e-5


def test_the_sign_of_theta_does_not_matter():
    case = next(p for p in reference.aghq_points() if p.name == "0/1 response, theta 1.7")
    groups = aghq.split(case.X, case.y, case.group)
    assert abs(aghq.loglik(groups, case.beta, 1.7, 9) - aghq.loglik(groups, case.beta, -1.7, 9)) < mpf(10) ** -26


def test_too_little_precision_is_refused():
    with mp.workdps(15), pytest.raises(ValueError, match="at least 30 digits"):
        aghq.loglik(aghq.split([[1.0]], [1], [0]), [0.0], 1.0, 1)


# ---- reference answers


def test_cbpp_reference_is_the_true_loglik_with_binomial_coefficients():
    """tests/reference/cbpp.json against the integral itself, 15 herds by mp.quad."""
    expected, groups = reference.load("cbpp"), groups_of("cbpp")
    value = aghq.exact_loglik(groups, expected["beta"], expected["sigma"])
    assert mp.nstr(value, 21) == "-277.459028721469983642"  # tests/reference/README.md
    assert mp.nstr(aghq.log_choose(groups), 21) == "185.475659684159459642"
    assert float(value + aghq.log_choose(groups)) == pytest.approx(expected["loglik"], abs=1e-12)


@pytest.mark.parametrize("name", ["cbpp", "contraception", "toenail"])
@pytest.mark.parametrize("nodes", [1, 9])
def test_reference_logliks_by_nodes(name, nodes):
    """`loglik_at_optimum_by_nodes` in tests/reference; with the binomial coefficients."""
    expected, groups = reference.load(name), groups_of(name)
    value = aghq.loglik(groups, expected["beta"], expected["sigma"], nodes) + aghq.log_choose(groups)
    assert float(value) == pytest.approx(expected["loglik_at_optimum_by_nodes"][str(nodes)], abs=1e-11)


@pytest.mark.parametrize("name", ["cbpp", "contraception", "toenail"])
def test_reference_modes(name):
    """conditional_mode = sigma u_hat and mode_sd_laplace = sigma s, at the maximum likelihood estimates."""
    expected, groups = reference.load(name), groups_of(name)
    modes = [aghq.mode(group, expected["beta"], expected["sigma"])[1:] for group in groups]
    for j, key in enumerate(["conditional_mode", "mode_sd_laplace"]):
        found = [float(expected["sigma"] * mode[j]) for mode in modes]
        assert found == pytest.approx(list(expected[key].values()), abs=1e-11)


@pytest.mark.parametrize("name", ["cbpp", "contraception", "toenail"])
def test_laplace_references_are_maxima(name):
    """tests/reference/laplace_*.json: value, and no slope along a random direction, steps in standard errors.

    A gradient that is not zero is orthogonal to a random direction with probability zero.
    """
    expected, groups = reference.load(f"laplace_{name}"), groups_of(name)
    point = np.array([*expected["beta"], expected["sigma"]])
    step = np.array([*expected["se"], expected["sigma_se"]])
    step *= np.random.default_rng(1).standard_normal(len(point))

    def along(t: list[mpf]) -> mpf:
        moved = [mpf(a) + t[0] * mpf(b) for a, b in zip(point.tolist(), step.tolist(), strict=True)]
        return aghq.loglik(groups, moved[:-1], moved[-1], 1)

    assert float(along([mpf(0)]) + aghq.log_choose(groups)) == pytest.approx(expected["loglik"], abs=1e-11)
    assert abs(differences.gradient(along, [0])[0]) < 1e-11


def test_laplace_gradient_vanishes_in_every_parameter():
    """tests/reference/laplace_cbpp.json, gradient in standard-error units."""
    expected = reference.load("laplace_cbpp")
    slope = aghq.gradient(groups_of("cbpp"), expected["beta"], expected["sigma"], 1)
    se = [*expected["se"], expected["sigma_se"]]
    assert max(abs(g * scale) for g, scale in zip(slope, se, strict=True)) < 1e-14


def test_cbpp_standard_errors_come_from_the_joint_hessian():
    """Inverse of the negative Hessian in (beta, sigma), at the maxima with 1 and 9 nodes.

    These stored standard errors are good to 1e-8 (tests/reference/README.md).  Were sigma not among the
    parameters, that of the intercept would be 1.4 % smaller.
    """
    groups, exact = groups_of("cbpp"), reference.load("cbpp")
    for nodes, expected in ((1, reference.load("laplace_cbpp")), (9, exact["optimum_by_nodes"]["9"])):
        information = -mp.matrix(aghq.hessian(groups, expected["beta"], expected["sigma"], nodes))
        vcov = information**-1
        found = [float(mp.sqrt(vcov[j, j])) for j in range(5)]
        assert found == pytest.approx([*expected["se"], expected["sigma_se"]], rel=1e-8)


def test_two_sites_reference_is_the_maximum_and_lies_at_zero_variance():
    """Score, value and standard errors at tests/reference/two_sites.json, theta = 0; curvature in theta.

    At theta = 0 the second derivative in theta is sum over sites of (sum_i r_i)**2 - sum_i w_i, r = y - p,
    w = p (1 - p); it is negative, so zero variance is a maximum along theta.
    """
    expected, table = reference.load("two_sites"), simulate.two_sites().table()
    X, y, beta = table.filter(like="V").to_numpy(), table["y"].to_numpy(), [mpf(b) for b in expected["beta"]]
    groups = aghq.split(X, y, table["site"])
    assert abs(aghq.loglik(groups, beta, 0, 1) - mpf(expected["loglik"])) < mpf(10) ** -16
    score, information, curvature = mp.zeros(10, 1), np.zeros((10, 10)), mpf(0)
    for group in groups:
        p = [1 / (1 + mp.exp(-mp.fdot(x, beta))) for x in group.X]
        r = [a - b for a, b in zip(group.y, p, strict=True)]
        w = [a * (1 - a) for a in p]
        score += mp.matrix([mp.fdot([x[j] for x in group.X], r) for j in range(10)])
        rows = np.array(group.X, dtype=float)
        information += rows.T @ (np.array(w, dtype=float)[:, None] * rows)
        curvature += mp.fsum(r) ** 2 - mp.fsum(w)
    assert max(abs(g) for g in score) < mpf(10) ** -15
    assert curvature < 0
    se = np.sqrt(np.diag(np.linalg.inv(information)))
    assert se == pytest.approx([float(v) for v in expected["se"]], rel=1e-11)


@pytest.mark.parametrize(
    "name", ["trials and offset, theta 0", "eta up to 710, theta 6", "all failures, all successes, theta 6"]
)
def test_stored_points_can_be_made_again(name):
    """Three cases of tests/reference/aghq_points.json, two nodes, at 50 digits instead of 100 and 120."""
    case = next(p for p in reference.aghq_points() if p.name == name)
    expected = case.by_nodes[2]
    with mp.workdps(50):
        groups = aghq.split(case.X, case.y, case.group, case.trials, case.offset)
        at = (groups, case.beta, case.theta, 2)
        assert float(aghq.loglik(*at)) == expected.loglik
        assert [float(g) for g in aghq.gradient(*at)] == pytest.approx(expected.gradient.tolist(), abs=1e-14, rel=1e-14)
        found = [float(h) for row in aghq.hessian(*at) for h in row]
        assert found == pytest.approx(expected.hessian.ravel().tolist(), abs=1e-13, rel=1e-13)
        assert float(aghq.log_choose(groups)) == case.log_choose
