"""Pseudo-inverse, projections, subspaces and rank of arrays."""

import numpy as np
import pandas as pd
import pytest

import sumwise as sw
from tests.oracles.least_squares import pinv, rounded

A = [[1, 2, 3], [4, 5, 6], [2, 4, 6]]
"""The singular matrix of the seed on normal equations: row 3 is twice row 1."""


@pytest.mark.parametrize("values", [A, [[1, 2]], [[1], [2]], [[0.1, 0.2], [0.3, 0.7], [1e150, 3]]])
def test_the_pseudo_inverse_is_the_oracles(values: list[list[float]]) -> None:
    assert sw.pinv(values).tolist() == [[rounded(v) for v in row] for row in pinv(values)]


def test_frames_and_texts_are_taken_as_float64() -> None:
    assert sw.pinv(pd.DataFrame({"a": [1, 2]})).tolist() == [[0.2, 0.4]]
    assert sw.pinv([["0.1"], ["0.2"]]).tolist() == sw.pinv([[0.1], [0.2]]).tolist()
    with pytest.raises(sw.DataError, match="A, column 1: numbers of more than 53 bits"):
        sw.pinv([[2**60 + 1]])
    with pytest.raises(sw.DataError, match="A, column 2 of 2: 1 of 1 values is NaN"):
        sw.pinv(np.array([[1, np.nan]]))


def test_a_left_inverse_needs_independent_columns() -> None:
    assert sw.left_inverse([[1], [2]]).tolist() == [[0.2, 0.4]]
    with pytest.raises(sw.DataError, match=r"shape \(3, 3\) and rank 2.*column 3 = -column 1 \+ 2 \* column 2"):
        sw.left_inverse(A)
    with pytest.raises(sw.DataError, match="column 1 is zero in every row"):
        sw.left_inverse([[0, 1], [0, 2], [0, 3]])
    with pytest.raises(sw.DataError, match=r"rank 2.*column 3 = 2 \* column 1 \+ column 2"):
        sw.left_inverse([[1, 2, 4], [0, 1, 1], [1, 0, 2]])
    with pytest.raises(sw.DataError, match=r"shape \(2, 3\) and rank 2"):
        sw.left_inverse([[1, 2, 4], [0, 1, 1]])
    with pytest.raises(sw.DataError, match="column 1 is zero in every row"):
        sw.left_inverse([[0.0], [0.0]])
    assert np.array_equal(sw.left_inverse([[1, 2], [0, 1], [1, 0]]), sw.pinv([[1, 2], [0, 1], [1, 0]]))


def test_rank_is_exact() -> None:
    assert sw.rank(A) == 2
    assert sw.rank([[1.0, 1.0], [1.0, 1 + 2.0**-52]]) == 2
    assert sw.rank([[0.1, 0.3], [0.2, 0.6]]) == 1  # 0.2 and 0.6 are twice 0.1 and 0.3 in binary too
    assert sw.rank([["0.1", "0.3"], ["0.7", "2.1"]]) == 1
    assert sw.rank([[0.1, 0.3], [0.7, 2.1]]) == 2  # float64: 3 * 0.1 is not 0.3
    assert sw.rank([[2**60, 2**60 + 1], [1, 1]]) == 2


def test_projections_and_subspaces_print_what_they_mean() -> None:
    both = sw.projections(A)
    assert both.rank == 2
    assert both.onto_columns.tolist() == [[0.2, 0, 0.4], [0, 1, 0], [0.4, 0, 0.8]]
    assert "least-squares solutions are not unique" in str(both)
    assert "<pre>" in both._repr_html_()
    four = sw.subspaces(A)
    np.testing.assert_allclose(four.null_space[:, 0] * 6**0.5, [1, -2, 1], atol=1e-15)
    np.testing.assert_allclose(np.array(A) @ four.null_space, 0, atol=1e-14)
    assert [s.shape[1] for s in (four.column_space, four.left_null_space, four.row_space, four.null_space)] == [
        2,
        1,
        2,
        1,
    ]
    assert "null_space: dimension 1, all x with A x = 0, in R^3" in str(four)
