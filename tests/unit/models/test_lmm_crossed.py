"""Linear mixed models with crossed and nested factors against references in 30 digits, and in words where they fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sumwise.errors import DataError
from sumwise.maths.newton import Outcome
from tests.unit.models.crossed_rows import RandomTerm, Rows, fit, term

REFERENCE = Path(__file__).parents[2] / "reference" / "lmm.json"
CASES = {case["name"]: case for case in json.loads(REFERENCE.read_text(encoding="utf-8"))["cases"]}
"""mpmath at 90 digits: tests/reference/README.md."""


def rows_of(case: dict[str, Any]) -> Rows:
    data, random = case["data"], []
    response, fixed = (side.strip() for side in case["formula"].split("~"))
    for bar in case["random"]:
        labels = data[bar["group"]]
        z = {name: np.asarray(data[name], dtype=np.float64) for name in bar["terms"] if name != "(Intercept)"}
        random.append(term(bar["group"], labels, **({} if "(Intercept)" in bar["terms"] else {"intercept": 0}), **z))
    y = np.asarray(data[response], dtype=np.float64)
    days = {"Days": np.asarray(data["Days"], dtype=np.float64)} if "Days" in fixed.split("(")[0] else {}
    weights = None if case["weights"] is None else np.asarray(data[case["weights"]], dtype=np.float64)
    return Rows([np.ones(len(y)), *days.values()], ("(Intercept)", *days), y, random, None, weights)


def numbers(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("name", [name for name in CASES if name != "cake"])
def test_references_to_eight_digits(name: str, method: str) -> None:
    case = CASES[name]
    expected = case[method]
    estimate, sites = fit(rows_of(case), method=method)
    assert estimate.outcome is Outcome.CONVERGED
    assert estimate.loglik == pytest.approx(float(expected["loglik"]), abs=1e-9)
    assert estimate.theta == pytest.approx(numbers(expected["theta"]), rel=1e-8, abs=1e-9)
    assert estimate.sigma == pytest.approx(float(expected["sigma"]), rel=1e-8)
    assert estimate.beta == pytest.approx(numbers(expected["beta"]), rel=1e-8)
    assert np.sqrt(np.diag(estimate.vcov)) == pytest.approx(numbers(expected["se"]), rel=1e-8)
    mode, spread = sites[0].modes(estimate.question, estimate.centred)
    for t, bar in enumerate(case["random"]):
        first = sum(len(r["terms"]) for r in case["random"][:t] if r["group"] == bar["group"])
        effects = slice(first, first + len(bar["terms"]))
        for place, label in enumerate(sites[0].rows.random[t].groups):
            sd = estimate.sigma * np.sqrt(np.diag(spread[t][place]))
            want, want_sd = (numbers(expected[key][bar["group"]][str(label)]) for key in ("ranef", "ranef_sd"))
            assert mode[t][place] == pytest.approx(want[effects], rel=1e-7, abs=1e-7)
            assert sd == pytest.approx(want_sd[effects], rel=1e-7, abs=1e-9)


# -- what cannot be fitted --


def simulated(n: int = 200, seed: int = 5, a_levels: int = 12, b_levels: int = 7, spread: float = 0.6) -> Rows:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, a_levels, n), rng.integers(0, b_levels, n)
    x = rng.normal(size=n)
    y = 1 + 0.5 * x + rng.normal(size=n) + spread * rng.normal(size=a_levels)[a] + spread * rng.normal(size=b_levels)[b]
    return Rows([np.ones(n), x], ("(Intercept)", "x"), y, [term("a", a), term("b", b)])


def refused(rows: Rows) -> str:
    with pytest.raises(DataError) as caught:
        fit(rows)
    return str(caught.value)


def test_the_same_grouping_under_two_names_is_refused() -> None:
    rows = simulated()
    renamed = RandomTerm(rows.random[0].z, 11 - rows.random[0].group, tuple("abcdefghijkl"), ("(Intercept)",), "c")
    said = refused(replace(rows, random=[*rows.random, renamed]))
    assert "'a' and 'c' are the same grouping under two names: each of the 12 levels" in said


def test_an_effect_that_varies_twice_by_the_same_factor_is_refused() -> None:
    rows = simulated()
    said = refused(replace(rows, random=[rows.random[0], rows.random[0], rows.random[1]]))
    assert "'(Intercept)' varies by 'a' in (1 | a) and again in (1 | a)" in said


def test_a_factor_of_one_level_is_refused() -> None:
    rows = simulated()
    said = refused(replace(rows, random=[rows.random[0], term("c", ["only"] * 200)]))
    assert "'c' has a single group" in said


def test_levels_of_single_rows_are_refused() -> None:
    rows = simulated()
    said = refused(replace(rows, random=[rows.random[0], term("row", np.arange(200))]))
    assert "each of the 200 groups of 'row' is a single row" in said


def test_more_effects_than_rows_are_refused() -> None:
    rows = simulated()
    pairs = np.arange(200) // 2
    z = np.random.default_rng(1).normal(size=200)
    said = refused(replace(rows, random=[rows.random[0], term("pair", pairs, z=z)]))
    assert "2 effects in each of 100 groups, 200 in all, for 200 rows" in said


def test_a_dense_system_that_is_too_large_is_refused_by_name_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sumwise.models.crossed_terms.LARGEST_DENSE", 5)
    assert "7 effects of 'b' are crossed with 'a'" in refused(simulated())


def test_numbers_that_are_not_finite_are_refused() -> None:
    rows = simulated()
    bad = rows.y.copy()
    bad[3] = np.nan
    assert "nan" in refused(replace(rows, y=bad))


def test_a_variance_that_is_zero_is_zero_and_named() -> None:
    rows = simulated(seed=8, spread=0.0)
    estimate = fit(rows)[0]
    assert estimate.outcome is Outcome.CONVERGED
    assert estimate.singular
    assert all(estimate.theta[t] == 0 for t in estimate.singular)


def test_rows_of_weight_zero_do_not_count() -> None:
    rows = simulated()
    keep = np.arange(200) % 5 != 0
    weights = np.where(keep, 1.5, 0.0)
    one = fit(replace(rows, weights=weights))[0]
    other = fit(replace(rows.some(np.flatnonzero(keep)), weights=weights[keep]))[0]
    assert np.array_equal(one.theta, other.theta)
    assert np.array_equal(one.beta, other.beta)
    assert one.loglik == other.loglik


def test_differences_and_second_derivatives_lead_to_the_same_fit() -> None:
    rows = simulated()
    one, other = fit(rows)[0], fit(rows, second=False)[0]
    assert other.theta == pytest.approx(one.theta, rel=1e-8)
    assert other.parameters == pytest.approx(one.parameters, rel=1e-5)


def test_a_large_component_converges_to_where_exact_curvatures_lead() -> None:
    rows = simulated(n=2500, a_levels=400, b_levels=300)
    near, exact = fit(rows)[0], fit(rows, exact=True)[0]
    assert near.outcome is exact.outcome is Outcome.CONVERGED
    assert near.theta == pytest.approx(exact.theta, rel=1e-8)
    assert near.loglik == pytest.approx(exact.loglik, abs=1e-9)
    assert near.parameters == pytest.approx(exact.parameters, rel=0.1)


def test_a_response_far_from_zero_keeps_its_digits() -> None:
    rows = simulated()
    far = replace(rows, y=np.round(rows.y, 6) + 1e6)
    near = replace(rows, y=np.round(rows.y, 6))
    one, other = fit(near)[0], fit(far)[0]
    assert other.theta == pytest.approx(one.theta, rel=1e-7)
    assert other.sigma == pytest.approx(one.sigma, rel=1e-9)


def test_a_slope_far_from_its_origin_is_fitted_like_one_near_it() -> None:
    """(1 + t | a) + (1 | b) with t in years: the likelihood is the same, the effects are turned."""
    rows = simulated(n=400)
    t = np.random.default_rng(2).integers(0, 11, 400).astype(np.float64)
    y = rows.y + 0.2 * t * np.random.default_rng(3).normal(size=12)[rows.random[0].group]
    estimates = []
    for origin in (0.0, 2010.0):
        a = RandomTerm(
            [np.ones(400), t + origin], rows.random[0].group, rows.random[0].groups, ("(Intercept)", "t"), "a"
        )
        estimates.append(fit(Rows([np.ones(400), t + origin], ("(Intercept)", "t"), y, [a, rows.random[1]]))[0])
    near, far = estimates
    assert near.outcome is far.outcome is Outcome.CONVERGED
    assert far.loglik == pytest.approx(near.loglik, abs=1e-7)
    assert far.sigma == pytest.approx(near.sigma, rel=1e-6)
    assert far.beta[1] == pytest.approx(near.beta[1], rel=1e-6)
