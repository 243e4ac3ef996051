"""Laws of linear fits: any split of the rows, any order, any number of threads give the same bits."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

import sumwise as sw
from sumwise.results.linear import LinearFit
from tests.oracles.least_squares import rounded, rounded_root, solve

FORMULAS = ("y ~ x + z", "y ~ x * f + offset(o)", "y ~ 0 + f + I(x^2)", "y ~ x + I(2 * x) + z", "y ~ scale(x)")
NUMBERS = st.floats(-1e12, 1e12).map(lambda v: v if abs(v) > 1e-12 else 0.0)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(6, 20))
    columns = {name: draw(st.lists(NUMBERS, min_size=n, max_size=n)) for name in ("x", "z", "y", "o")}
    weights = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.25]), min_size=n, max_size=n))
    frame = pd.DataFrame(columns).assign(w=weights, f=np.resize(["a", "b"], n))
    return frame.assign(x=frame["x"] + np.arange(n), w=np.where(np.arange(n) < 2, 1.0, frame["w"]))


def bits(fit: sw.Fit) -> tuple:
    assert isinstance(fit, LinearFit)
    series = (fit.coef, fit.se, fit.t, fit.digits()["data_limited"] if fit.weights is None else fit.coef)
    numbers = np.array([fit.sigma, fit.rss, fit.r2, fit.adjusted_r2, fit.loglik, *fit.fstat])
    return (fit.gram, fit.verdict, numbers.tobytes(), *(values.to_numpy().tobytes() for values in series))


@settings(max_examples=25, deadline=None)
@given(table=tables(), data=st.data())
def test_any_split_and_order_of_rows_gives_the_same_bits(table: pd.DataFrame, data: st.DataObject) -> None:
    formula = data.draw(st.sampled_from(FORMULAS))
    options = {"weights": data.draw(st.sampled_from([None, "w"])), "decimal": data.draw(st.booleans())}
    whole = bits(sw.fit(formula, table, **options))
    shuffled = table.iloc[data.draw(st.permutations(range(len(table))))]
    site = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(table), max_size=len(table))))
    sites = {str(k): shuffled[site == k] for k in dict.fromkeys(site.tolist())}
    assert bits(sw.fit(formula, sites, threads=data.draw(st.integers(1, 2)), **options)) == whole


@settings(max_examples=25, deadline=None)
@given(table=tables(), weights=st.sampled_from([None, "w"]))
def test_estimates_are_the_exact_ones_rounded_once(table: pd.DataFrame, weights: str | None) -> None:
    fit = sw.fit("y ~ x + z", table, weights=weights)
    kept = table if weights is None else table[table["w"] > 0]
    X = np.column_stack([np.ones(len(kept)), kept["x"], kept["z"]])
    exact = solve(X.tolist(), kept["y"].tolist(), None if weights is None else kept["w"].tolist())
    independent = list(exact.independent)
    if len(independent) < 3:
        exact = solve(X[:, independent].tolist(), kept["y"].tolist(), None if weights is None else kept["w"].tolist())
    assert fit.coef.iloc[independent].tolist() == [rounded(b) for b in exact.coef]
    df = len(kept) - len(independent)
    if df:
        variances = [exact.inverse[j][j] * exact.rss / df for j in range(len(independent))]
        assert fit.se.iloc[independent].tolist() == [rounded_root(v) for v in variances]


@settings(max_examples=25, deadline=None)
@given(table=tables(), weights=st.sampled_from([None, "w"]))
def test_json_gives_the_same_bits(table: pd.DataFrame, weights: str | None) -> None:
    fit = sw.fit("y ~ x + z", table, weights=weights)
    assert bits(sw.Fit.from_json(fit.to_json())) == bits(fit)
