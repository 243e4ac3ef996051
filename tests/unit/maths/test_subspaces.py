"""The pseudo-inverse and the subspaces at the edges, and by hand."""

from fractions import Fraction

import numpy as np
import pytest

from sumwise.errors import DataError
from sumwise.maths import subspaces
from tests.reference import load
from tests.unit.maths.lsq_sets import example, nearest_float


def test_a_pseudo_inverse_by_hand():
    """A = [[1, 2], [2, 4]] = u u' with u = (1, 2): A+ = A / 25, A A+ = A / 5."""
    A = np.array([[1.0, 2], [2, 4]])
    assert subspaces.pinv(A).tolist() == [[1 / 25, 2 / 25], [2 / 25, 4 / 25]]
    assert subspaces.column_projection(A).tolist() == [[1 / 5, 2 / 5], [2 / 5, 4 / 5]]
    four = subspaces.Subspaces(A)
    assert four.rank == 1
    assert np.array_equal(four.column_space[:, 0], np.sqrt([1 / 5, 4 / 5]))
    assert np.array_equal(four.null_space[:, 0], np.sqrt([4 / 5, 1 / 5]) * [-1, 1])


def test_the_inverse_of_the_perturbed_pair_is_the_exact_one_rounded():
    """tests/reference/seed_examples.json, perturbation_2x2: inv_A, inv_A_plus_dA as fractions."""
    raw = load("seed_examples")["perturbation_2x2"]
    for matrix, change, inverse in ((0, 0, "inv_A"), (0, 1, "inv_A_plus_dA")):
        A = np.array([[nearest_float(v) for v in row] for row in raw["A"]])
        dA = np.array([[nearest_float(v) for v in row] for row in raw["dA"]])
        expected = [[nearest_float(v) for v in row] for row in raw[inverse]]
        assert subspaces.pinv(A + change * dA + matrix).tolist() == expected


@pytest.mark.parametrize("name", ["housing_4x5_min_norm", "housing_5x5", "hormone_deg8_min_norm"])
def test_the_pseudo_inverse_solves_the_examples(name):
    """seed_examples.json, x_fraction; A+ b in exact arithmetic on the rounded A+ is off by its rounding only."""
    A, b = example(name)
    x = [float(Fraction(v)) for v in load("seed_examples")[name]["x_fraction"]]
    plus = subspaces.pinv(A)
    assert np.all(np.abs(plus @ b - x) <= 1e-15 * (np.abs(plus) @ np.abs(b)))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_empty_matrices_have_empty_inverses(shape):
    A = np.zeros(shape)
    assert subspaces.pinv(A).shape == shape[::-1]
    assert subspaces.rank(A) == 0
    assert subspaces.column_projection(A).tolist() == np.zeros((shape[0], shape[0])).tolist()
    assert subspaces.row_projection(A).shape == (shape[1], shape[1])
    four = subspaces.Subspaces(A)
    assert four.column_space.shape == (shape[0], 0)
    assert np.array_equal(four.left_null_space, np.eye(shape[0]))
    assert np.array_equal(four.null_space, np.eye(shape[1]))


def test_a_matrix_of_zeros_has_rank_zero():
    A = np.zeros((2, 3))
    assert subspaces.rank(A) == 0
    assert np.array_equal(subspaces.pinv(A), np.zeros((3, 2)))
    assert not subspaces.column_projection(A).any()
    assert not subspaces.row_projection(A).any()
    assert np.array_equal(subspaces.Subspaces(A).null_space, np.eye(3))


def test_one_number():
    assert subspaces.pinv(np.array([[4.0]])).tolist() == [[0.25]]
    assert subspaces.pinv(np.array([[-3.0]])).tolist() == [[-1 / 3]]
    assert subspaces.pinv(np.array([[0.0]])).tolist() == [[0.0]]
    assert subspaces.Subspaces(np.array([[-3.0]])).column_space.tolist() == [[-1.0]]


def test_an_entry_beyond_float64_is_refused():
    with pytest.raises(DataError, match=r"entry \(0, 0\) of the pseudo-inverse is larger than the largest float64"):
        subspaces.pinv(np.array([[5e-324]]))
