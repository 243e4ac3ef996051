"""Numbers at the edge of floating point: a generalized linear fit ends in a verdict or in an error of Sumwise's own.

What came out before: ValueError (math domain error) from the standard error of a size where the log-likelihood curves
upward; OverflowError from sums beyond the largest float64; ZeroDivisionError from the square of a mean;
warnings about overflow, and a standard error of nan in a fit that was called converged.
"""

import numpy as np
import pandas as pd
import pytest

import sumwise
from sumwise.errors import DataError, SumwiseError
from sumwise.models.glm_links import LINKS
from sumwise.results.fit import Fit

PAIRS = [(family, link) for family, links in LINKS.items() for link in links]


def test_a_size_without_a_maximum_has_no_standard_error() -> None:
    rng = np.random.default_rng(70)
    rows = int(rng.choice([3, 5, 20]))
    y = np.floor(np.exp(rng.normal(size=rows) * rng.choice([0.5, 2, 8])))
    x, o = rng.normal(size=rows), rng.normal(size=rows) * rng.choice([30, 100, 300])
    fit = sumwise.fit("y ~ 0 + x + offset(o)", pd.DataFrame({"y": y, "x": x, "o": o}), family="negbinomial")
    assert fit.verdict.code == "not_converged"
    assert fit.df == 2  # the size is estimated, if not well
    assert np.isnan(fit.size_se)
    assert "std. error nan" in str(fit.summary())
    assert np.isnan(Fit.from_json(fit.to_json()).size_se)


@pytest.mark.parametrize("weight", [1e150, 1e300])
@pytest.mark.parametrize("family", ["binomial", "poisson", "gamma"])
def test_weights_whose_products_are_no_numbers_are_refused(family: str, weight: float) -> None:
    rows = pd.DataFrame({"y": [1.0, 0.0, 1.0] if family == "binomial" else [1.0, 2.0, 4.0], "w": [1.0, weight, 2.0]})
    with pytest.raises(DataError, match=r"weights reach 1e\+[0-9]+: products"):
        sumwise.fit("y ~ 1", rows, family=family, weights="w")


@pytest.mark.parametrize("family", ["poisson", "negbinomial", "gamma", "inverse.gaussian"])
def test_responses_whose_squares_are_no_numbers_are_refused(family: str) -> None:
    with pytest.raises(DataError, match=r"responses reach 1e\+200: products"):
        sumwise.fit("y ~ 1", pd.DataFrame({"y": [1.0, 1e200, 2.0]}), family=family)


@pytest.mark.parametrize("formula", ["y ~ 1", "y ~ 0 + x"])
def test_a_mean_whose_square_is_no_number_is_refused(formula: str) -> None:
    rows = pd.DataFrame({"y": [1e-200, 3e-200, 2e-200], "x": [1.0, 2.0, 1.5]})
    with pytest.raises(DataError, match="the mean response is 2e-200: its square"):
        sumwise.fit(formula, rows, family="inverse.gaussian")


def test_a_fit_without_error_has_infinite_statistics() -> None:
    fit = sumwise.fit("y ~ 1", pd.DataFrame({"y": [2.0, 2.0, 2.0]}), family="gamma", link="log")
    assert fit.se.iloc[0] == 0
    assert np.isposinf(fit.statistic.iloc[0])
    assert fit.pvalues.iloc[0] == 0


def extreme(rng: np.random.Generator, family: str) -> tuple[str, pd.DataFrame, dict[str, object]]:
    """A formula, rows for it and options: everything finite, much of it absurd."""

    def one(*of):
        return of[rng.integers(len(of))]

    n = int(one(2, 3, 5, 20))
    scale = 10.0 ** one(0, 0, 3, -3, 50, -50, 99, -99, 150)
    rows = pd.DataFrame({"x": rng.normal(size=n) * scale + one(0, 0, 30, 1e8), "z": 10.0 ** rng.uniform(-150, 150, n)})
    left = "y"
    if family == "binomial":
        trials = np.floor(10.0 ** rng.uniform(0, one(0.1, 2, 9), n))
        rows["s"] = np.floor(trials * rng.random(n) + one(0, 0.5, 1)).clip(0, trials)
        rows["f"], left = trials - rows["s"], "cbind(s, f)"
    elif family in ("poisson", "negbinomial"):
        rows["y"] = np.floor(np.exp(rng.normal(size=n) * one(0.5, 2, 8) + one(-1, 1, 10, 15)))
    else:
        rows["y"] = np.exp((rng.normal(size=n) * one(0.01, 1, 30, 200) + one(0, 8, -100, 300)).clip(-690, 690))
    right = one("1", "x", "z", "x + z", "0 + x", "0 + z", "0 + x + z")
    if one(True, False):
        rows["o"] = rng.normal(size=n) * one(1e-300, 0.1, 3, 300, 1e5, 1e150) + one(0, 0, 5, 700, -700, 1e10)
        right += " + offset(o)"
    options: dict[str, object] = {}
    if one(True, False):
        rows["w"] = one(
            10.0 ** rng.uniform(-300, 300, n),
            10.0 ** rng.uniform(-49, 49, n),
            np.full(n, 1e-300),
            rng.integers(0, 3, n),
        )
        options["weights"] = "w"
    if family == "negbinomial" and one(True, False):
        options["size"] = 10.0 ** one(-100, -10, 0, 8, 100)
    return f"{left} ~ {right}", rows, options


@pytest.mark.parametrize(("family", "link"), PAIRS)
def test_absurd_rows_end_in_a_verdict_or_in_an_error_that_says_why(family: str, link: str) -> None:
    rng, verdicts = np.random.default_rng(11), set()
    for _ in range(150):
        formula, rows, options = extreme(rng, family)
        try:
            fit = sumwise.fit(formula, rows, family=family, link=link, **options)
        except SumwiseError:
            continue
        assert str(fit.summary())
        verdicts.add(fit.verdict.code)
        if fit.verdict.code == "converged":
            assert np.isfinite(fit.coef).all()
            assert np.isfinite(np.diag(fit.unscaled)).all()
    assert "converged" in verdicts
