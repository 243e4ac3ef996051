"""Degrees of freedom of contrasts: by hand, and what R's lmerTest says.

Those of single coefficients are held against 30 digits in tests/unit/models/test_lmm_references.py.
"""

import numpy as np
import pytest

from sumwise.maths.satterthwaite import degrees_of_freedom, eigen, joint_test
from tests.unit.models.test_lmm_references import fitted


def test_one_variance_known_with_n_degrees_of_freedom():
    """v = s^2 c with s^2 from n = 7 degrees of freedom: var s^2 = 2 s^4 / n, so 2 v^2 / (c^2 2 s^4 / n) = n."""
    s2, c, n = 3.0, 0.25, 7
    found = degrees_of_freedom(np.eye(1), np.array([[s2 * c]]), np.array([[[c]]]), np.array([[2 * s2**2 / n]]))
    assert found == pytest.approx([n], rel=1e-15)


def test_what_depends_on_no_parameter_has_endless_degrees_of_freedom():
    assert degrees_of_freedom(np.eye(1), np.eye(1), np.zeros((1, 1, 1)), np.eye(1)).tolist() == [np.inf]
    assert np.isnan(degrees_of_freedom(np.zeros((1, 1)), np.eye(1), np.eye(1)[None], np.eye(1))).all()


def test_eigenvalues_and_vectors_rebuild_the_matrix():
    rng = np.random.default_rng(1)
    for n in range(1, 9):
        half = rng.standard_normal((n, n)) * 10.0 ** rng.integers(-6, 7)
        A = half + half.T
        values, V = eigen(A)
        assert V @ np.diag(values) @ V.T == pytest.approx(A, abs=1e-13 * np.abs(A).max())
        assert np.abs(V.T @ V - np.eye(n)).max() < 1e-13
        assert sorted(values) == pytest.approx(np.linalg.eigvalsh(A), abs=1e-13 * np.abs(A).max())


def parts_of(name):
    ours = fitted(name, "REML").estimate
    return ours.beta, ours.vcov, ours.slopes, ours.parameters


@pytest.mark.parametrize(
    ("name", "chosen", "statistic", "numerator", "denominator"),
    [
        ("sleepstudy", (0, 1), 749.959608006, 2, 17.0000008118),
        ("cake", (1, 2), 0.309573548217, 2, 77.436824563),
        ("cake", (1, 2, 3, 8), 1.36141726524, 4, 142.099409898),
    ],
)
def test_joint_hypotheses_agree_with_lmertest(name, chosen, statistic, numerator, denominator):
    """contestMD of lmerTest 3.1.3 (lme4 1.1-31, R 4.2.2) with the tight control of tests/reference/lmm.R; it takes its
    derivatives from differences.
    """
    beta, *rest = parts_of(name)
    found = joint_test(np.eye(len(beta))[list(chosen)], beta, *rest)
    assert pytest.approx(statistic, rel=1e-6) == found.F
    assert found.numerator == numerator
    assert found.denominator == pytest.approx(denominator, rel=1e-5)


def test_a_single_contrast_is_the_square_of_t_with_its_degrees_of_freedom():
    beta, vcov, *rest = parts_of("sleepstudy")
    found = joint_test(np.array([[0.0, 1.0]]), beta, vcov, *rest)
    assert pytest.approx(beta[1] ** 2 / vcov[1, 1], rel=1e-13) == found.F
    assert found.denominator == pytest.approx(17, rel=1e-8)


def test_a_contrast_that_says_nothing_new_does_not_count():
    beta, *rest = parts_of("sleepstudy")
    two, three = (
        joint_test(np.array(L, dtype=float), beta, *rest) for L in ([[1, 0], [0, 1]], [[1, 0], [0, 1], [2, 3]])
    )
    assert three.numerator == two.numerator == 2
    assert pytest.approx(two.F, rel=1e-9) == three.F
