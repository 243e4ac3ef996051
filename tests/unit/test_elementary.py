"""Elementary functions against mpmath at 120 bits, drawn with a fixed seed."""

from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from sumwise.data.evaluate import FUNCTIONS
from sumwise.data.expression import ELEMENTARY
from sumwise.maths import elementary

DRAW = np.random.default_rng(7)
POSITIVE = np.concatenate([np.exp(DRAW.uniform(-700, 700, 400)), DRAW.uniform(0.5, 2, 400), [5e-324, 1e-310, 1.0]])


def worst_ulp(ours: Callable, truth: Callable, x: np.ndarray) -> float:
    """Largest error in units of the last place of the true value (of 2^-1074 where that is zero)."""
    with mpmath.workprec(120):
        exact = [truth(mpmath.mpf(float(v))) for v in x]
        spacing = [float(np.spacing(abs(float(e)))) for e in exact]
        return max(float(abs(mpmath.mpf(float(o)) - e)) / s for o, e, s in zip(ours(x), exact, spacing, strict=True))


def test_log10_and_log2_stay_below_three_ulp() -> None:
    assert worst_ulp(elementary.log10, mpmath.log10, POSITIVE) < 3
    assert worst_ulp(elementary.log2, lambda v: mpmath.log(v, 2), POSITIVE) < 3


def test_log1p_keeps_its_digits_near_zero() -> None:
    x = np.concatenate(
        [DRAW.normal(size=400) * 10.0 ** DRAW.uniform(-300, -1, 400), np.exp(DRAW.uniform(-5, 700, 400))]
    )
    assert worst_ulp(elementary.log1p, mpmath.log1p, x) < 3


def test_logarithms_are_exact_at_powers_of_their_base() -> None:
    assert elementary.log10([10.0**k for k in range(23)]).tolist() == list(range(23))
    assert elementary.log2([2.0**k for k in range(-1074, 1024)]).tolist() == list(range(-1074, 1024))


@pytest.mark.parametrize("name", ["log", "log2", "log10"])
def test_logarithms_at_the_edges(name: str) -> None:
    values = FUNCTIONS[name](np.array([0.0, -1.0, np.inf, np.nan, 1.0]))
    assert values[0] == -np.inf
    assert np.isnan(values[1])
    assert values[2] == np.inf
    assert np.isnan(values[3])
    assert values[4] == 0


def test_log1p_at_the_edges() -> None:
    assert elementary.log1p(np.array([0.0, -1.0, np.inf])).tolist() == [0.0, -np.inf, np.inf]
    assert np.isnan(elementary.log1p(np.array([-2.0, np.nan]))).all()


def test_every_function_that_formulas_know_has_a_value() -> None:
    assert set(FUNCTIONS) == set(ELEMENTARY)
