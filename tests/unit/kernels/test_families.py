"""Log-likelihood terms of one row against reference values and a plain twin, far out on both sides."""

import numpy as np
import pytest
from mpmath import mpf

from sumwise.kernels import families
from tests import reference
from tests.oracles import families as plain
from tests.unit.kernels.levels import LEVELS, at_level

NAMES = {"Gamma": "gamma", "inverse gaussian": "inverse.gaussian", "negative binomial": "negbinomial"}
UNIT, TINY = mpf(2) ** -53, mpf(2) ** -1000
# largest error of l, d1, w, d3, d4 in units of 2^-53 of the absolute values of their terms; d3 and d4 of the probit are
# what is left of cumulants, and d3 and d4 of the binomial links change sign
BOUND = {("binomial", "probit"): (8, 8, 10, 60, 600), ("binomial", "cloglog"): (4, 4, 5, 20, 60)}
OTHER = (4, 4, 5, 8, 15)
POINTS = [
    (
        NAMES.get(p["family"], p["family"]),
        p["link"],
        *(float.fromhex(p.get(k, "0x1p0")) for k in ("eta", "y", "trials", "size")),
        p,
    )
    for p in reference.load("links")["points"]
]
RNG = np.random.default_rng(20261124)


def spread(eta: float, link: str) -> float:
    """By how much an ulp of exp(eta) moves exp(-exp(eta)), in ulps of it: only cloglog has it."""
    return min(np.exp(min(eta, 6.6)), 708.0) if link == "cloglog" else 0.0


@pytest.mark.parametrize(("family", "link"), families.NUMBER)
def test_terms_agree_with_400_digit_arithmetic_over_the_whole_range(family, link):
    """tests/reference/links.json."""
    points = [p for p in POINTS if p[:2] == (family, link)]
    assert len(points) > 30
    for _, _, eta, y, n, aux, p in points:
        found = families.terms(family, link, eta, y, n, aux)[:, 0]
        for k, (got, text, size) in enumerate(zip(found, p["derivatives"], p["magnitude"], strict=True)):
            truth = mpf(text) * (1 if k < 2 else -1)
            if abs(truth) > np.finfo(float).max:
                assert got == np.sign(truth) * np.inf
                continue
            bound = BOUND.get((family, link), OTHER)[k] + 2 * spread(eta, link)
            assert abs(mpf(float(got)) - truth) <= bound * UNIT * mpf(size) + TINY, (eta, y, n, aux, k)


@pytest.mark.parametrize(("family", "link"), families.NUMBER)
def test_terms_agree_with_their_plain_twin(family, link):
    positive = link in ("inverse", "1/mu^2")
    for _ in range(25):
        eta = float(RNG.uniform(0.01, 4) if positive else RNG.uniform(-6, 6))
        n, aux = float(RNG.integers(1, 9)), float(RNG.uniform(0.2, 5))
        y = float(RNG.integers(0, n + 1)) if family == "binomial" else float(RNG.integers(1, 30))
        exact = plain.terms(family, link, eta, y, n, aux)
        found = families.terms(family, link, eta, y, n, aux)[:, 0]
        scale = [max(abs(e), mpf(n) / 100) for e in exact]
        assert max(abs(mpf(float(f)) - e) / s for f, e, s in zip(found, exact, scale, strict=True)) < 1e-12


@pytest.mark.parametrize(("family", "link"), families.NUMBER)
def test_no_finite_predictor_gives_nan(family, link):
    eta = np.array([0.0, -0.0, 1e-320, 30.0, 300.0, 709.5, 800.0, 1e20, 1e160, 1e300])
    eta = np.concatenate([eta, -eta])
    for y in (0.0, 1.0, 3.0) if family not in ("gamma", "inverse.gaussian") else (0.5, 3.0):
        assert not np.isnan(families.terms(family, link, eta, y, 3.0, 0.7)).any()


@pytest.mark.parametrize(("family", "link"), [("gamma", "inverse"), ("inverse.gaussian", "1/mu^2")])
def test_a_predictor_without_a_mean_is_infinitely_unlikely(family, link):
    assert families.terms(family, link, [-3.0, -1e-300, 0.0], 2.0)[0].tolist() == [-np.inf] * 3


@pytest.mark.parametrize(("family", "link"), families.NUMBER)
def test_terms_have_the_same_bits_at_every_level(family, link):
    eta, y = RNG.uniform(-45, 45, 999), RNG.integers(1, 4, 999).astype(float)
    answers = []
    for name in LEVELS:
        with at_level(name):
            answers.append(families.terms(family, link, eta, y, 3.0, 0.7).view(np.int64))
    assert all(np.array_equal(answer, answers[0]) for answer in answers)
