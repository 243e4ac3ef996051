"""Condition numbers and perturbations."""

import numpy as np
import pytest

import sumwise as sw
from tests.reference import load

A = np.array([(1.0, 1000.0), (2.0**-10 + 2.0**-11, 1.0)])
DA = np.array([(0.0, 0.0), (-(2.0**-11), 0.0)])

WEIGHT = [
    85.4,
    94.2,
    95.3,
    94.7,
    89.4,
    99.5,
    99.8,
    90.9,
    89.2,
    92.7,
    94.4,
    94.1,
    91.6,
    87.1,
    101.3,
    94.5,
    87,
    94.5,
    90.5,
    95.7,
]
BSA = [
    1.75,
    2.10,
    1.98,
    2.01,
    1.89,
    2.25,
    2.25,
    1.90,
    1.83,
    2.07,
    2.07,
    1.98,
    2.05,
    1.92,
    2.19,
    1.98,
    1.87,
    1.90,
    1.88,
    2.09,
]
"""Blood pressure data of the seed on perturbations (bloodpress.txt, Penn State STAT 501): columns Weight and BSA."""


def test_the_seeds_pair_of_matrices() -> None:
    """seed_examples.json, perturbation_2x2: condition numbers to 30 digits, solutions as fractions."""
    known = load("seed_examples")["perturbation_2x2"]
    found = sw.condition(A, [1, 1], DA)
    assert found.kappa == pytest.approx(float(known["kappa2_A"]), rel=1e-13)
    assert found.kappa_after == pytest.approx(float(known["kappa2_A_plus_dA"]), rel=1e-13)
    assert found.kappa_normal == pytest.approx(float(known["kappa2_A"]) ** 2, rel=1e-13)
    did = found.perturbation
    assert did is not None
    assert did.relative_matrix == pytest.approx(float(known["rel_dA_2"]), rel=1e-13)
    assert did.x.tolist() == [255744 / 119, -2045 / 952]
    assert did.x_changed.tolist() == [-42624, 341 / 8]
    assert did.actual <= did.bound == pytest.approx(float(known["kappa_times_rel_dA"]), rel=1e-13)
    assert did.actual == pytest.approx(np.linalg.norm(did.x - did.x_changed) / np.linalg.norm(did.x_changed), rel=1e-13)
    assert "no bound (kappa |dA|/|A| is 1 or more" in str(found)


def test_blood_pressure_squares_its_condition_in_the_normal_equations() -> None:
    """numpy.linalg.cond, and the seed's own bounds: at most 3e3 and 6e6 (rounded up)."""
    X = np.column_stack([np.ones(20), WEIGHT, BSA])
    found = sw.condition(X)
    assert found.kappa == pytest.approx(np.linalg.cond(X), rel=1e-9)
    assert 1 <= found.kappa <= 3e3
    assert found.kappa_normal == pytest.approx(found.kappa**2, rel=1e-12)
    assert found.kappa_normal <= 6e6
    lengths = np.linalg.norm(X, axis=0)
    assert found.kappa_scaled == pytest.approx(np.linalg.cond(X / lengths), rel=1e-9)
    assert found.number.distance == pytest.approx(np.linalg.svd(X)[1].min(), rel=1e-9)


def test_units_are_told_from_collinearity() -> None:
    units = sw.condition(np.array([[1, 1e9], [-1, 1e9], [1, 2e9]]))
    assert "most of kappa is the columns' units" in str(units)
    collinear = sw.condition(np.array([[1, 1], [1, 1 + 1e-6], [1, 1]]))
    assert "so it is collinearity, not the columns' units" in str(collinear)
    assert "columns depend on each other" in str(sw.condition([[1, 2], [2, 4]]))
    assert np.isinf(sw.condition([[1, 2], [2, 4]]).kappa)


def test_nearly_collinear_pairs_keep_their_condition() -> None:
    """seed_examples.json: 2.2e16, where numpy's singular values have no digit left."""
    known = load("seed_examples")["near_collinear_10x2_exact"]
    X = [[float.fromhex(v) for v in row] for row in known["A_hex"]]
    assert sw.condition(X).kappa == pytest.approx(float(known["kappa2"]), rel=1e-9)


def test_a_stated_size_gives_a_bound_and_small_changes_stay_within() -> None:
    rng = np.random.default_rng(8)
    X, b = rng.normal(size=(12, 3)), rng.normal(size=12)
    size = 1e-8
    found = sw.condition(X, b, relative=size)
    assert found.bound == pytest.approx(size * (found.number.x_to_matrix + found.number.x_to_rhs))
    assert sw.condition(X, relative=size).bound == pytest.approx(size * found.kappa)
    assert np.isnan(sw.condition(X).bound)
    for _ in range(20):
        dX, db = rng.normal(size=X.shape), rng.normal(size=12)
        dX *= size * np.linalg.norm(X, 2) / np.linalg.norm(dX, 2)
        db *= size * np.linalg.norm(b) / np.linalg.norm(db)
        did = sw.condition(X, b, dX, db).perturbation
        assert did is not None
        assert did.actual <= did.bound
        assert did.actual_to_x <= found.bound * (1 + 1e-6)


def test_a_fit_knows_its_condition() -> None:
    X = np.column_stack([np.ones(20), WEIGHT])
    fit = sw.lstsq(X, BSA)
    assert fit.condition.kappa == sw.condition(X, BSA).kappa
    assert fit.condition.number == sw.condition(X, BSA).number
    assert np.isnan(sw.lstsq(X, np.column_stack([BSA, BSA])).condition.number.theta)
    assert "20 x 2" in str(fit.condition)
    assert "<pre>" in fit.condition._repr_html_()
    assert fit.condition.digits_lost == pytest.approx(np.log10(fit.condition.kappa))


def test_bases_of_a_polynomial_side_by_side() -> None:
    """numpy.linalg.cond of numpy's own Vandermonde matrices, to its accuracy."""
    h = np.array([20, 25, 30, 35, 40, 45, 50])
    fit = sw.polyfit(h, [101, 115, 92, 64, 60, 50, 49], 3)
    table = fit.bases((0.5, 0.5))
    t = (h - 35) / 15
    assert table.loc["monomial", "kappa"] == pytest.approx(np.linalg.cond(np.vander(h, 4)), rel=1e-6)
    assert table.loc["chebyshev", "kappa"] == pytest.approx(
        np.linalg.cond(np.polynomial.chebyshev.chebvander(t, 3)), rel=1e-12
    )
    assert table.loc["legendre", "kappa"] == pytest.approx(
        np.linalg.cond(np.polynomial.legendre.legvander(t, 3)), rel=1e-12
    )
    assert table.loc["orthogonal", "kappa_scaled"] == pytest.approx(1, rel=1e-13)
    assert (table["data_limited"] < 2).all()
    assert table.loc["monomial", "data_limited"] == fit.digits((0.5, 0.5))["data_limited"].min()


def test_rows_in_chunks_have_digits_for_a_relative_error() -> None:
    """By norms, so at most as many as row by row."""
    X = np.column_stack([np.ones(20), WEIGHT])
    whole, chunked = sw.lstsq(X, BSA), sw.lstsq(iter([(X[:7], BSA[:7]), (X[7:], BSA[7:])]))
    by_rows, by_sums = (fit.digits(1e-6)["data_limited"] for fit in (whole, chunked))
    assert (by_sums <= by_rows).all()
    assert (by_sums > by_rows - 2).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sw.condition(A, dA=DA), "pass b with dA or db"),
        (lambda: sw.condition(A, [1, 2, 3]), r"A has shape \(2, 2\), b has shape \(3,\)"),
        (lambda: sw.condition(A, [1, 2], [[1]]), r"dA has shape \(1, 1\)"),
        (lambda: sw.condition(A, relative=2.0), "relative=2.0"),
        (lambda: sw.condition([[1, 2], [2, 4]], [1, 1], [[0, 0], [0, 1]]), "not independent"),
    ],
)
def test_calls_that_make_no_sense_are_refused(call: object, message: str) -> None:
    with pytest.raises((sw.UsageError, sw.DataError), match=message):
        call()  # type: ignore[operator]
