"""Likelihood-ratio tests: what is compared, with which distribution, and what is refused."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest

import sumwise as sw
from sumwise.datasets import load
from sumwise.results.likelihood_ratio import compare
from sumwise.results.mixed import MixedFit
from sumwise.results.random import RandomEffects

LARGE = "use ~ age + urban + livch + (1 | district)"


def fitted(formula: str) -> MixedFit:
    return sw.fit(formula, load("contraception"), family="binomial")


@pytest.fixture(scope="module")
def large() -> MixedFit:
    return fitted(LARGE)


def chi2_tail(df: int, x: float) -> float:
    """mpmath, 30 digits."""
    with mpmath.workdps(30):
        return float(mpmath.gammainc(mpmath.mpf(df) / 2, mpmath.mpf(x) / 2, regularized=True))


def effects(columns: str, *blocks: int, group: str = "g") -> RandomEffects:
    names = tuple(columns.split())
    theta = np.ones(sum(b * (b + 1) // 2 for b in blocks))
    q = len(names)
    return RandomEffects(group, names, blocks, theta, 9, (), np.zeros((0, q)), np.zeros((0, q, q)))


def variant(fit: MixedFit, *random: RandomEffects, gain: float = 0.0, method: str = "ML") -> MixedFit:
    """The same fit with other random effects, and a log-likelihood that is higher by `gain`."""
    return replace(fit, random=random, loglik_value=fit.loglik + gain, method=method)


def test_coefficients_are_compared_with_chi2(large: MixedFit) -> None:
    small = fitted("use ~ age + urban + (1 | district)")
    found = large.anova(small)
    assert found.index.tolist() == [small.formula, large.formula]
    row = found.iloc[1]
    assert row["statistic"] == 2 * (large.loglik - small.loglik)
    assert (row["df"], row["null"]) == (3, "chi2(3)")
    assert row["p_value"] == pytest.approx(chi2_tail(3, row["statistic"]), rel=1e-12)
    assert small.anova(large).equals(found)


@pytest.mark.parametrize(
    ("small", "more", "low"),
    [
        ([effects("a", 1)], [effects("a b", 2)], 1),
        ([effects("a b", 2)], [effects("a b c", 3)], 2),
        ([effects("a", 1)], [effects("a b", 1, 1)], 0),
        ([effects("a", 1)], [effects("a", 1), effects("a", 1, group="h")], 0),
    ],
)
def test_a_variance_more_is_compared_with_a_mixture(
    large: MixedFit, small: list[RandomEffects], more: list[RandomEffects], low: int
) -> None:
    found = compare(variant(large, *small), variant(large, *more, gain=1.7)).iloc[1]
    below = chi2_tail(low, 3.4) if low else 0.0
    assert found["p_value"] == pytest.approx((below + chi2_tail(low + 1, 3.4)) / 2, rel=1e-9)
    assert found["null"].startswith(f"chi2({low}) and chi2({low + 1}) in equal parts")


def test_no_gain_has_a_p_value_of_one(large: MixedFit) -> None:
    one, two = variant(large, effects("a", 1)), variant(large, effects("a b", 1, 1), gain=-1e-12)
    assert compare(one, two).iloc[1]["p_value"] == 1


def test_fits_that_cannot_be_compared_say_why(large: MixedFit) -> None:
    one = variant(large, effects("a", 1))
    with pytest.raises(sw.UsageError, match="several variances more"):
        compare(one, variant(large, effects("a b c", 1, 1, 1)))
    with pytest.raises(sw.UsageError, match="correlations of effects of 'g'"):
        compare(variant(large, effects("a b", 1, 1)), variant(large, effects("a b", 2)))
    with pytest.raises(sw.UsageError, match=r"not nested: .* has effects of 'h'"):
        compare(variant(large, effects("a", 1, group="h")), variant(large, effects("a b", 2)))
    with pytest.raises(sw.UsageError, match="one fit is by REML"):
        compare(one, variant(large, effects("a b", 2), method="REML"))
    with pytest.raises(sw.UsageError, match="different fixed effects"):
        compare(
            variant(fitted("use ~ age + urban + (1 | district)"), effects("a", 1), method="REML"),
            variant(large, effects("a", 1), method="REML"),
        )
    with pytest.raises(sw.UsageError, match=r"not nested by name: 'I\(age\^2\)'"):
        large.anova(fitted("use ~ age + I(age^2) + (1 | district)"))
    with pytest.raises(sw.UsageError, match="not nested by their terms"):
        large.anova(large)
    with pytest.raises(sw.UsageError, match="differ in nobs"):
        large.anova(replace(large, nobs=7))
    with pytest.raises(sw.UsageError, match="different responses"):
        large.anova(replace(large, formula="other ~ age"))
