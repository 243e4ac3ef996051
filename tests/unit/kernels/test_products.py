"""The kernels that multiply columns, at every instruction-set level, against rational arithmetic."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest

from sumwise.errors import DataError
from sumwise.kernels import products
from sumwise.maths.gram import Gram
from tests.oracles.products import combination, cross_products
from tests.unit.kernels.levels import LEVELS, at_level

RNG = np.random.default_rng(20261124)
SIZES = (1, 511, 512, 1025)  # below, at and beyond the 512 rows of a block


def sparse(n: int) -> np.ndarray:
    """Normal columns with zeros, one column of zeros, one tiny and one huge outlier."""
    X = RNG.standard_normal((n, 7))
    X[RNG.random(X.shape) < 0.3] = 0
    X[:, 2] = 0
    X[0, 3], X[n // 2, 4] = 1e-40, 1e200
    return X


TABLES = {
    "one limb": lambda n: RNG.integers(-1000, 1000, (n, 4)).astype(float),
    "two limbs": lambda n: RNG.integers(-(2**40), 2**40, (n, 3)).astype(float),
    "three limbs": lambda n: RNG.standard_normal((n, 5)),
    "decimals": lambda n: np.round(RNG.standard_normal((n, 2)), 4),
    "rests everywhere": lambda n: RNG.standard_normal((n, 4)) * 10.0 ** RNG.integers(-150, 150, (n, 4)),
    "scaled columns": lambda n: RNG.standard_normal((n, 4)) * 10.0 ** np.array([-300, 300, 0, -150.0]),
    "subnormal": lambda n: RNG.integers(1, 100, (n, 3)) * 5e-324,
    "near overflow": lambda n: RNG.uniform(-1, 1, (n, 3)) * 1.7e308,
    "powers of two": lambda n: 2.0 ** RNG.integers(-1074, 1000, (n, 3)),
    "largest limbs": lambda n: np.where(RNG.random((n, 4)) < 0.5, -1, 1) * (2.0**53 - 1),
    "ties between limbs": lambda n: np.full((n, 3), 2.0**26 + 0.5),
    "zeros and outliers": sparse,
}
WEIGHTS = {
    "none": lambda _: None,
    "random": lambda n: RNG.random(n),
    "counts": lambda n: RNG.integers(0, 4, n).astype(float),
    "1e-20 to 1e20": lambda n: 10.0 ** RNG.integers(-20, 21, n),
    "products leave the range of float64": lambda n: 10.0 ** RNG.integers(-320, 300, n),
}


@pytest.mark.parametrize("weighting", WEIGHTS)
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("level", LEVELS)
def test_cross_products_are_exact(level: str, table: str, weighting: str) -> None:
    for n in SIZES if weighting == "none" else (513,):
        X, w = TABLES[table](n), WEIGHTS[weighting](n)
        with at_level(level):
            found = products.gram(list(X.T), w)
        unit = Fraction(2) ** found.low
        assert [v * unit for v in found.integers()] == cross_products(X.T.tolist(), w)


@pytest.mark.parametrize("order", ["C", "F"])
def test_strides_do_not_matter(order: str) -> None:
    wide = np.asarray(RNG.standard_normal((700, 12)), order=order)
    apart = [np.ascontiguousarray(column) for column in wide[::2, 1:10:3].T]
    assert products.gram(list(wide[::2, 1:10:3].T)).integers() == products.gram(apart).integers()


def test_more_columns_than_a_panel_holds() -> None:
    """97 columns: three panels of 48, the last tile partly empty."""
    X = RNG.integers(-50, 50, (600, 97))
    lower = np.tril_indices(97)
    found = Gram.of(list(X.T.astype(float)))
    assert list(found.entries) == (X.T @ X)[lower].tolist()  # integers below 2^63: numpy's products are exact


@pytest.mark.parametrize("weighted", [False, True])
def test_pieces_and_threads_change_no_bit(weighted: bool) -> None:
    X = RNG.standard_normal((3 * products.PIECE, 3))
    w = RNG.random(len(X)) if weighted else None
    whole = Gram.of(list(X.T), w)
    with ThreadPoolExecutor(2) as threads:
        for pieces in (1, 2, 3):
            assert Gram.of(list(X.T), w, threads.map, pieces) == whole


def test_the_lowest_place_in_use_is_that_of_the_data() -> None:
    X = np.array([[3.0, 0.0, 0.75], [5.0, 0.0, 96.0]])
    assert Gram.of(list(X.T)).low == (0, products.NOTHING, -2)
    assert Gram.of(list(X.T), np.array([0.5, 8.0])).weight_low == -1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_by_column(value: float) -> None:
    X = np.ones((600, 3))
    X[555, 1] = value
    with pytest.raises(DataError, match="column 1"):
        products.gram(list(X.T))
    with pytest.raises(DataError, match="weights"):
        products.gram([X[:, 0]], X[:, 1])


@pytest.mark.parametrize("level", LEVELS)
def test_floats_are_read_as_the_decimals_they_print_as(level: str) -> None:
    """Python's repr is the shortest decimal that reads back, and Fraction takes its text exactly."""
    X = np.column_stack([np.round(RNG.standard_normal(700) * size, k) for size, k in ((1, 4), (1e3, 2), (1e-6, 12))])
    with at_level(level):
        found = Gram.of(list(X.T), decimals=(4, 2, 12))
    exact = [[Fraction(repr(v)) for v in column] for column in X.T.tolist()]
    for i in range(3):
        for j in range(i + 1):
            assert found.fraction(i, j) == sum(a * b for a, b in zip(exact[i], exact[j], strict=True))


@pytest.mark.parametrize(("value", "places"), [(0.12345, 4), (1 / 3, 15), (1e15, 0 + 1), (0.1 + 0.2, 1)])
def test_what_is_no_decimal_of_so_few_places_is_told(value: float, places: int) -> None:
    X = np.ones((600, 2))
    X[577, 1] = value
    with pytest.raises(products.NotDecimalError) as caught:
        products.gram(list(X.T), decimals=(0, places))
    assert caught.value.column == 1
    X[3, 1] = np.nan
    with pytest.raises(DataError, match="column 1"):
        products.gram(list(X.T), decimals=(0, places))


@pytest.mark.parametrize("level", LEVELS)
def test_combinations_lose_nothing_to_cancellation(level: str) -> None:
    """Coefficients of 106 bits, terms that cancel to about 1e-18 of their size: correct to an ulp or two still."""
    X = RNG.standard_normal((37, 5))
    exact = [
        [Fraction(float(v)) + Fraction(float(v)) * Fraction(2) ** -60 for v in column]
        for column in RNG.normal(size=(2, 4))
    ]
    high = np.array([[float(c) for c in column] for column in exact])
    low = np.array([[float(c - Fraction(float(c))) for c in column] for column in exact])
    X[:, 4] = [-float(combination(row[:4], exact[0])) for row in X]
    high, low = np.column_stack([high, [1.0, 0.0]]), np.column_stack([low, [0.0, 0.0]])
    with at_level(level):
        found = products.combine(list(X.T), high.T, low.T)
    for q, column in enumerate(exact):
        truth = [float(combination(row, [*column, Fraction(int(q == 0))])) for row in X]
        np.testing.assert_allclose(found[:, q], truth, rtol=4e-16 if q else 1e-12, atol=0)


def test_all_levels_combine_to_the_same_bits() -> None:
    X, B = RNG.standard_normal((101, 6)), RNG.standard_normal((6, 3))
    answers = []
    for level in LEVELS:
        with at_level(level):
            answers.append(products.combine(list(X.T), B, B * 2.0**-55).tobytes())
    assert len(set(answers)) == 1
