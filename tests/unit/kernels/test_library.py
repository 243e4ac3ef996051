"""exp and log of the kernels against mpmath at 150 bits, and the choice of the instruction-set level."""

from collections.abc import Callable

import numpy as np
import pytest
from mpmath import mp, mpf

from sumwise.kernels import library
from tests.unit.kernels.levels import LEVELS, at_level

RNG = np.random.default_rng(20261123)
# log of the largest float64 and of half the smallest one: outside, exp is inf or 0.   [IEEE 754]
EXP_TOP, EXP_BOTTOM = 709.782712893384, -745.1332191019411
EXP_ARGUMENTS = np.concatenate(
    [
        RNG.uniform(EXP_BOTTOM, EXP_TOP, 3000),
        RNG.uniform(EXP_BOTTOM, -708.0, 500),  # subnormal results
        RNG.standard_normal(500),
        RNG.standard_normal(300) * 10.0 ** RNG.uniform(-300, 0, 300),
        np.log(2) * (np.arange(-1074, 1024)[::7] + 0.5),  # halfway between two reductions
        [EXP_TOP, np.nextafter(EXP_TOP, 0), -708.4, -708.3, EXP_BOTTOM, 0.0, 1.0, -1.0, 5e-324],
    ]
)
LOG_ARGUMENTS = np.concatenate(
    [
        np.ldexp(RNG.uniform(0.5, 1, 3000), RNG.integers(-1073, 1025, 3000)),
        RNG.uniform(0.6, 1.5, 2000),  # where log changes sign
        1 + RNG.standard_normal(300) * 10.0 ** RNG.uniform(-16, -1, 300),
        [5e-324, 2.0**-1022, np.nextafter(2.0**-1022, 0), np.finfo(float).max, np.sqrt(0.5), np.sqrt(2)],
        [np.nextafter(1, 0), np.nextafter(1, 2)],
    ]
)


def largest_error_in_ulps(function: Callable, truth: Callable, x: np.ndarray) -> float:
    """Error of function(x) in units of the last place of the true value, 2^-1074 at the least."""
    with mp.workprec(150):
        exact = [truth(mpf(float(v))) for v in x]
        ulp = [mpf(float(np.spacing(abs(float(e))))) for e in exact]
        return max(float(abs(mpf(float(f)) - e) / u) for f, e, u in zip(function(x), exact, ulp, strict=True))


def test_exp_errs_by_less_than_one_ulp_over_its_whole_range():
    assert largest_error_in_ulps(library.exp, mp.exp, EXP_ARGUMENTS) < 1


def test_log_errs_by_less_than_one_ulp_over_its_whole_range():
    assert largest_error_in_ulps(library.log, mp.log, LOG_ARGUMENTS) < 1


def test_exp_has_the_special_values_of_ieee_754():
    assert library.exp([0.0, -0.0]).tolist() == [1.0, 1.0]
    assert library.exp([np.inf, 709.79, 710.0, 1e300]).tolist() == [np.inf] * 4
    assert library.exp([-np.inf, -745.2, -746.0, -1e300]).tolist() == [0.0] * 4
    assert library.exp([np.nextafter(EXP_TOP, 1e3)]).tolist() == [np.inf]
    assert library.exp([EXP_BOTTOM]).tolist() == [5e-324]
    assert np.isnan(library.exp([np.nan])).all()


def test_log_has_the_special_values_of_ieee_754():
    assert library.log([1.0]).tolist() == [0.0]
    assert library.log([0.0, -0.0]).tolist() == [-np.inf, -np.inf]
    assert library.log([np.inf]).tolist() == [np.inf]
    assert np.isnan(library.log([np.nan, -1.0, -5e-324, -np.inf])).all()


@pytest.mark.parametrize("function", [library.exp, library.log], ids=["exp", "log"])
def test_elementary_functions_have_the_same_bits_at_every_level(function):
    x = np.concatenate([EXP_ARGUMENTS, LOG_ARGUMENTS, -LOG_ARGUMENTS, [np.inf, -np.inf, np.nan]])
    answers = []
    for name in LEVELS:
        with at_level(name):
            answers.append(function(x).view(np.int64))
    assert all(np.array_equal(answer, answers[0]) for answer in answers)


def test_a_value_does_not_depend_on_its_place_or_its_company():
    x = RNG.uniform(-50, 50, 37)
    whole = library.exp(x)
    assert all(library.exp(x[i:])[0] == whole[i] for i in range(len(x)))


@pytest.mark.parametrize("function", [library.exp, library.log], ids=["exp", "log"])
def test_shape_and_strides_are_kept(function):
    x = RNG.uniform(0.1, 9, (6, 10))
    flat = function(x.ravel())
    assert np.array_equal(function(x), flat.reshape(6, 10))
    assert np.array_equal(function(x.T), flat.reshape(6, 10).T)
    assert np.array_equal(function(x[::-2, ::3]), flat.reshape(6, 10)[::-2, ::3])
    assert function(np.empty(0)).shape == (0,)
    assert function(2.0).shape == ()


def test_levels_are_listed_slowest_first_and_an_unknown_one_is_refused():
    assert library.LEVELS[: len(LEVELS)] == LEVELS
    assert library.level() in LEVELS
    for name in LEVELS:
        with at_level(name):
            assert library.level() == name
    for name in ("v9", *library.LEVELS[len(LEVELS) :]):
        with pytest.raises(ValueError, match=f"'{name}' does not run here; available: base"):
            library.set_level(name)
