"""Polynomial fits."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy import stats

import sumwise as sw
from tests.oracles.least_squares import rounded, rounded_root, solve
from tests.reference import load

H = [20, 25, 30, 35, 40, 45, 50]
DEATHS = [101, 115, 92, 64, 60, 50, 49]
BASES = ["monomial", "chebyshev", "legendre", "orthogonal"]


@pytest.mark.parametrize(
    ("degree", "domain", "name"),
    [
        (1, None, "hormone_line"),
        (6, None, "hormone_deg6_interpolation"),
        (8, None, "hormone_deg8_min_norm"),
        (8, (30, 40), "hormone_deg8_min_norm_centred"),  # t = (x - 35) / 5
    ],
)
def test_the_hormone_examples_are_exact(degree: int, domain: Any, name: str) -> None:
    """seed_examples.json: coefficients as fractions."""
    known = load("seed_examples")[name]
    fit = sw.polyfit(H, DEATHS, degree, domain=domain)
    assert fit.exact() == [Fraction(v) for v in known["x_fraction"]]
    assert fit.coef.tolist() == [rounded(v) for v in fit.exact()]
    assert fit.rank == known["rank"]
    assert fit.rss == rounded(Fraction(4167, 7)) if degree == 1 else fit.rss == 0  # 595.2857...


@pytest.mark.parametrize("name", [n for n, raw in load("nist_strd").items() if raw["model"].startswith("poly")])
def test_nist_sets_have_every_digit_that_is_printed(name: str) -> None:
    """nist_strd.json: certified to 15 digits, and `exact` to 40 from the decimal data."""
    raw = load("nist_strd")[name]
    fit = sw.polyfit(raw["x"][0], raw["y"], int(raw["model"].removeprefix("poly")))
    exact, certified = raw["exact"]["decimal"], raw["certified"]
    assert fit.coef.tolist() == [float(v) for v in exact["coef"]]
    assert fit.se.tolist() == [float(v) for v in exact["se"]]
    assert (fit.sigma, fit.r2) == (float(exact["resid_sd"]), float(exact["r2"]))
    assert [float(f"{v:.14e}") for v in fit.coef] == [float(v) for v in certified["coef"]]


@pytest.mark.parametrize("m", [100, 101])
def test_trefethen_and_bau_with_exact_powers(m: int) -> None:
    """seed_examples.json: x_exact_of_float64_t_and_b_exact_powers."""
    known = load("seed_examples")[f"trefethen_bau_{m}x15"]
    y = [float.fromhex(v) for v in known["b_float64_hex"]]
    fit = sw.polyfit([i / (m - 1) for i in range(m)], y, 14)
    assert fit.coef.tolist() == [float(v) for v in known["x_exact_of_float64_t_and_b_exact_powers"]]


@pytest.mark.parametrize("weights", [None, [1, 2, "0.5", 0, 3, 1, 1]], ids=["plain", "weighted"])
@pytest.mark.parametrize("basis", BASES)
def test_the_polynomial_is_one_function_whatever_the_basis(basis: str, weights: Any) -> None:
    """Coefficients in powers of x from the oracle on the Vandermonde matrix."""
    fit = sw.polyfit(H, DEATHS, 3, basis=basis, weights=weights)
    w = None if weights is None else [Fraction(v) for v in weights]
    known = solve([[h**j for j in range(4)] for h in H], DEATHS, w)  # type: ignore[arg-type]
    assert list(fit.polynomial.coefficients) == known.coef
    assert fit.rss == rounded(known.rss)
    assert fit.df_resid == (3 if weights is None else 2)
    assert fit.sigma == rounded_root(known.rss / fit.df_resid)


@pytest.mark.parametrize("kind", [np.polynomial.Chebyshev, np.polynomial.Legendre])
def test_coefficients_are_those_of_numpys_bases(kind: Any) -> None:
    """numpy.polynomial's fit over the same domain, to its accuracy."""
    fit = sw.polyfit(H, DEATHS, 4, basis=kind.__name__.lower())
    np.testing.assert_allclose(fit.coef, kind.fit(H, DEATHS, 4).coef, rtol=1e-11)


def test_orthogonal_coefficients_do_not_move_with_the_degree() -> None:
    """They are <y, Q_j> / <Q_j, Q_j>, and uncorrelated."""
    low, high = (sw.polyfit(H, DEATHS, degree, basis="orthogonal") for degree in (2, 5))
    assert low.exact() == high.exact()[:3]
    off = high.vcov - np.diag(np.diag(high.vcov))
    assert (off == 0).all()
    np.testing.assert_allclose(np.sqrt(np.diag(low.vcov)), low.se, rtol=1e-15)


@pytest.mark.parametrize("basis", BASES[:3])
def test_standard_errors_are_those_of_a_regression_on_the_basis(basis: str) -> None:
    """sw.lstsq on the basis polynomials' values at the points, in decimals of t = x / 8 (domain -8, 8)."""
    t = [Fraction(h, 8) for h in H]
    fit = sw.polyfit(H, DEATHS, 2, basis=basis, domain=(-8, 8))
    second = {"monomial": (0, 0, 1), "chebyshev": (-1, 0, 2), "legendre": (Fraction(-1, 2), 0, Fraction(3, 2))}
    a, b, c = second[basis]
    design = [[Fraction(1), v, a + b * v + c * v * v] for v in t]
    other = sw.lstsq(design, DEATHS)
    assert fit.coef.tolist() == other.coef.tolist()
    assert fit.se.tolist() == other.se.tolist()
    assert fit.t.tolist() == other.t.tolist()
    assert fit.pvalues.tolist() == other.pvalues.tolist()


def test_values_are_correctly_rounded() -> None:
    fit = sw.polyfit([0.1, 0.2, 0.7, 0.8, 1.3], [1, 3, 2, 5, 4], 3)
    x = np.random.default_rng(4).normal(size=200)
    exact = [sum(c * Fraction(v) ** j for j, c in enumerate(fit.polynomial.coefficients)) for v in x.tolist()]
    assert fit(x).tolist() == [rounded(v) for v in exact]
    assert fit(0.5) == fit([0.5])[0]
    slope = [sum(j * c * Fraction(v) ** (j - 1) for j, c in enumerate(fit.polynomial.coefficients) if j) for v in x[:5]]
    assert fit.derivative()(x[:5]).tolist() == [rounded(v) for v in slope]
    assert fit.derivative(4)(2.0) == 0
    assert len(fit.derivative().coef) == 3


def test_residuals_are_subtracted_before_rounding() -> None:
    fit = sw.polyfit(H, DEATHS, 1)
    exact = [y - Fraction(2175, 14) + h * Fraction(159, 70) for h, y in zip(H, DEATHS, strict=True)]
    assert fit.residuals().tolist() == [rounded(v) for v in exact]
    assert sw.polyfit(H, DEATHS, 6).residuals().tolist() == [0] * 7


def test_predictions_have_intervals_and_say_where_they_extrapolate() -> None:
    """Intervals by the textbook: se = sigma sqrt(v'(X'X)^-1 v), quantiles of scipy.stats.t."""
    fit = sw.polyfit(H, DEATHS, 1)
    frame = fit.predict([22, 60, 5], interval="confidence")
    assert frame["extrapolated"].tolist() == [False, True, True]
    assert frame["outside"].tolist() == [0, 10 / 30, 0.5]
    assert frame["estimate"].iloc[0] == rounded(Fraction(2175, 14) - 22 * Fraction(159, 70))
    v = np.array([1, 22])
    X = np.column_stack([np.ones(7), H])
    shape = v @ np.linalg.inv(X.T @ X) @ v
    half = stats.t.ppf(0.975, 5) * fit.sigma * np.sqrt(shape)
    assert frame["lower"].iloc[0] == pytest.approx(frame["estimate"].iloc[0] - half, rel=1e-12)
    wide = fit.predict([22], interval="prediction", level=0.9)
    half = stats.t.ppf(0.95, 5) * fit.sigma * np.sqrt(1 + shape)
    assert wide["upper"].iloc[0] == pytest.approx(wide["estimate"].iloc[0] + half, rel=1e-12)
    assert sw.polyfit(H, DEATHS, 6).predict([22], interval="confidence")["lower"].isna().all()


def test_a_degree_beyond_the_data_says_what_that_means() -> None:
    fit = sw.polyfit(H, DEATHS, 8)
    assert fit.verdict.code == "underdetermined"
    assert "9 coefficients, but 7 distinct x determine only 7 of them: rank 7" in str(fit.verdict)
    assert "Infinitely many polynomials of this degree pass through every point" in str(fit.verdict)
    assert "Infinitely many polynomials" in " ".join(str(fit).split())
    other = sw.polyfit(H, DEATHS, 8, basis="chebyshev")
    assert fit(H).tolist() == other(H).tolist() == DEATHS
    assert fit(47) != other(47)
    assert sw.polyfit(H, DEATHS, 6).verdict.code == "interpolates"
    assert sw.polyfit(H, DEATHS, 3).verdict.code == "determined"


def test_repeated_points_reduce_the_rank() -> None:
    fit = sw.polyfit([1, 1, 2, 2], [1, 3, 5, 7], 2)
    assert (fit.rank, fit.verdict.code) == (2, "underdetermined")
    assert fit([1, 2]).tolist() == [2, 6]
    assert "fit equally well" in str(fit.verdict)
    assert "(4 points, 2 distinct x)" in str(fit.verdict)
    line = sw.polyfit([1, 1, 2, 2], [1, 3, 5, 7], 1)
    assert line.verdict.text == "4 points (2 distinct x) determine 2 coefficients; 2 degrees of freedom are left."
    flat = sw.polyfit([3, 3], [1, 2], 1, basis="legendre")
    assert flat(3) == 1.5
    assert flat.predict([3, 4])["outside"].tolist() == [0, np.inf]


def test_digits_are_the_change_under_the_worst_errors() -> None:
    """Exact refits with the errors' worst signs found by trying all, one x and one y moved."""
    fit = sw.polyfit(H, DEATHS, 2, basis="chebyshev", domain=(20, 50))
    eps = 1e-7
    dx, dy = np.zeros(7), np.zeros(7)
    dx[1], dy[5] = eps, eps
    moves = []
    for a in (-1, 1):
        for b in (-1, 1):
            moved = sw.polyfit(H + a * dx, DEATHS + b * dy, 2, basis="chebyshev", domain=(20, 50))
            moves.append(np.abs(moved.coef - fit.coef))
    worst = -np.log10(np.max(moves, axis=0) / np.abs(fit.coef))
    np.testing.assert_allclose(fit.digits((dx, dy))["data_limited"], worst, atol=1e-5)
    assert fit.digits().index.tolist() == ["T0(t)", "T1(t)", "T2(t)"]
    assert sw.polyfit(H, DEATHS, 8).digits()["data_limited"].isna().all()


def test_the_printed_fit() -> None:
    text = str(sw.polyfit(H, DEATHS, 2, basis="legendre"))
    assert text.startswith("Exact least-squares polynomial of degree 2, legendre basis: 7 points, rank 3")
    assert "t = (2x - a - b) / (b - a) with a = 20, b = 50." in text
    assert "<b>" in sw.polyfit(H, DEATHS, 1)._repr_html_()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sw.polyfit(H, DEATHS, -1), "degree=-1"),
        (lambda: sw.polyfit(H, DEATHS, 2.0), "degree=2.0"),  # type: ignore[arg-type]
        (lambda: sw.polyfit(H, DEATHS, 10_000), "sums of powers up to x"),
        (lambda: sw.polyfit(H, DEATHS, 1, basis="fourier"), "known are monomial, chebyshev"),
        (lambda: sw.polyfit(H, DEATHS, 1, domain=(2, 1)), "a pair"),
        (lambda: sw.polyfit(H, [1, 2], 1), r"x has shape \(7,\), y has shape \(2,\)"),
        (lambda: sw.polyfit(np.ones((7, 2)), DEATHS, 1), "one value a row"),
        (lambda: sw.polyfit(H, DEATHS, 1).predict([1], interval="credible"), "interval is"),
        (lambda: sw.polyfit(H, DEATHS, 1).predict([1], interval="confidence", level=95), "level=95"),
        (lambda: sw.polyfit(H, DEATHS, 1).derivative(-1), "order=-1"),
        (lambda: sw.polyfit(H, DEATHS, 1).digits("x"), "inputs is"),
    ],
)
def test_calls_that_make_no_sense_are_refused(call: Any, message: str) -> None:
    with pytest.raises((sw.UsageError, sw.DataError), match=message):
        call()
