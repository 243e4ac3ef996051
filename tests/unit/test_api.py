"""fit() as a user calls it: kinds of data, sites, and bad input, each with its message."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sumwise as sw
from sumwise.datasets import load, write_sites
from sumwise.results.mixed import MixedFit
from tests import reference

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
PLAIN = "y ~ x + (1 | g)"


def fit_binomial(formula: Any, data: Any, **options: Any) -> MixedFit:
    fitted = sw.fit(formula, data, **{"family": "binomial"} | options)
    assert isinstance(fitted, MixedFit)
    return fitted


def simulated(groups: int = 30, size: int = 10) -> pd.DataFrame:
    """y ~ x with random intercepts of standard deviation 1; f a factor, z noise."""
    rng = np.random.default_rng(0)
    n = groups * size
    g = np.repeat(np.arange(groups), size)
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "f": rng.choice(list("abc"), n), "g": g})
    chance = 1 / (1 + np.exp(-(frame["x"] + rng.normal(size=groups)[g])))
    return frame.assign(y=(rng.random(n) < chance).astype(int))


DATA = simulated()


def bits(fit: MixedFit) -> bytes:
    return b"".join(
        np.asarray(part).tobytes()
        for part in (fit.beta, fit.theta, fit.loglik, fit.covariance, *(effects.mode for effects in fit.random))
    )


# ---- data in every shape --------------------------------------------------------------------------------------------


def test_every_kind_of_table_gives_the_same_bits(tmp_path: Path) -> None:
    frame = DATA.assign(f=DATA["f"].astype(object))
    formula = "y ~ x * f + (1 | g)"
    frame.to_csv(tmp_path / "a.csv", index=False)
    pq.write_table(pa.Table.from_pandas(frame.iloc[:200]), tmp_path / "p1.parquet")
    pq.write_table(pa.Table.from_pandas(frame.iloc[200:]), tmp_path / "p2.parquet")
    tables = [
        frame,
        frame.astype({"f": "category"}),
        pl.from_pandas(frame),
        pa.Table.from_pandas(frame),
        str(tmp_path / "a.csv"),
        tmp_path / "a.csv",
        str(tmp_path / "p*.parquet"),
        [tmp_path / "p1.parquet", tmp_path / "p2.parquet"],
        {"one": frame.iloc[:100], "two": pl.from_pandas(frame.iloc[100:200]), "three": tmp_path / "p2.parquet"},
    ]
    assert len({bits(fit_binomial(formula, table)) for table in tables}) == 1


def test_a_site_without_a_level_still_has_its_column() -> None:
    frame = load("cbpp")
    sites = {"early": frame[frame["herd"] <= 7], "late": frame[frame["herd"] > 7]}
    first = {name: rows.assign(period=rows["period"].astype(str)) for name, rows in sites.items()}
    first["early"] = first["early"][first["early"]["period"] != "4"]
    fit = fit_binomial(CBPP, first)
    assert fit.terms == ("(Intercept)", "period2", "period3", "period4")


def test_cbpp_over_15_files_matches_the_reference_and_the_pooled_bits(tmp_path: Path) -> None:
    """Reference: tests/reference/cbpp.json."""
    expected = reference.load("cbpp")
    frame = load("cbpp")
    pooled = fit_binomial(CBPP, frame)
    apart = fit_binomial(CBPP.replace("period", "factor(period)"), write_sites(frame, "herd", tmp_path))
    assert bits(apart) == bits(pooled)
    assert abs(pooled.loglik - expected["loglik"]) < 1e-9
    assert np.abs(pooled.beta - expected["beta"]).max() < 1e-8


def test_threads_and_order_of_sites_change_no_bit() -> None:
    frame = simulated(groups=400, size=60)  # large enough for threads
    sites = {str(k): rows for k, rows in frame.groupby(frame["g"] % 5)}
    backwards = dict(reversed(sites.items()))
    fits = [
        fit_binomial(PLAIN, sites, threads=1),
        fit_binomial(PLAIN, sites, threads=2),
        fit_binomial(PLAIN, backwards, threads=3),
    ]
    assert len({bits(fit) for fit in fits}) == 1


def test_center_and_scale_learn_from_all_sites() -> None:
    formula = "y ~ scale(x) + center(z) + (1 | g)"
    sites = {"a": DATA[DATA["g"] < 4], "b": DATA[DATA["g"] >= 4]}
    assert bits(fit_binomial(formula, sites)) == bits(fit_binomial(formula, DATA))


def test_an_offset_shifts_the_coefficient_it_duplicates() -> None:
    plain, shifted = fit_binomial(PLAIN, DATA), fit_binomial("y ~ x + offset(0.5 * x) + (1 | g)", DATA)
    assert abs(plain.coef["x"] - shifted.coef["x"] - 0.5) < 1e-9
    assert abs(plain.loglik - shifted.loglik) < 1e-9


def test_r_and_python_spellings_are_one() -> None:
    r = fit_binomial("y ~ I(x^2) + log(abs(z)) + (1 | g)", DATA)
    python = fit_binomial("y ~ I(x**2) + np.log(np.abs(z)) + (1 | g)", DATA)
    assert bits(r) == bits(python)


def test_missing_drop_equals_fitting_the_complete_rows() -> None:
    holes = DATA.assign(x=DATA["x"].where(DATA.index % 7 != 0))
    dropped = fit_binomial(PLAIN, holes, missing="drop")
    assert bits(dropped) == bits(fit_binomial(PLAIN, holes.dropna()))
    assert dropped.sites["dropped"].tolist() == [43]  # ceil(300 / 7)
    assert "43 rows with missing values dropped" in dropped.summary()


def test_progress_prints_a_line_a_round(capsys: pytest.CaptureFixture[str]) -> None:
    fit = fit_binomial(PLAIN, DATA, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(fit.rounds)
    assert "could move" in lines[-1]
    fit_binomial(PLAIN, DATA, progress=False)
    assert capsys.readouterr().err == ""


def test_a_csv_and_a_frame_with_categories_agree_under_factor(tmp_path: Path) -> None:
    """A CSV file cannot declare categories: its whole numbers are the frame's categories."""
    formula, frame = CBPP.replace("period", "factor(period)"), load("cbpp")
    frame[frame["herd"] <= 7].to_csv(tmp_path / "north.csv", index=False)
    mixed = fit_binomial(formula, {"north": tmp_path / "north.csv", "south": frame[frame["herd"] > 7]})
    pooled = fit_binomial(formula, frame)
    assert bits(mixed) == bits(pooled)
    frame.to_csv(tmp_path / "all.csv", index=False)
    expected = pooled.predict(frame).tolist()
    assert pooled.predict(tmp_path / "all.csv").tolist() == expected
    assert fit_binomial(formula, tmp_path / "all.csv").predict(frame).tolist() == expected


def test_a_factor_used_as_a_number_elsewhere_is_not_taken_for_one(tmp_path: Path) -> None:
    frame = load("cbpp")
    frame.to_csv(tmp_path / "numbers.csv", index=False)
    sites = {"a": tmp_path / "numbers.csv", "b": frame.assign(herd=frame["herd"] + 100)}
    with pytest.raises(sw.SiteError, match="period"):
        fit_binomial(CBPP, sites)


def test_laplace_good_to_a_hundredth_a_group_is_converged_and_says_what_it_is_off_by() -> None:
    fit = fit_binomial(CBPP, load("cbpp"), nodes=1)
    assert fit.verdict.code == "converged"
    assert "uncertain by 0.04" in fit.verdict.text  # tests/reference/cbpp.json: 1 node is off by 0.043 at the optimum


@pytest.mark.parametrize(("nodes", "code"), [(1, "quadrature_limited"), (151, "converged"), ("auto", "converged")])
def test_the_verdict_tells_a_rough_quadrature(nodes: int | str, code: str) -> None:
    """Toenail's groups need many nodes: Laplace's log-likelihood is off by units (tests/reference/toenail.json)."""
    fit = fit_binomial("outcome ~ treatment * time + (1 | patientID)", load("toenail"), nodes=nodes)
    assert fit.verdict.code == code
    assert ("uncertain by" in fit.verdict.text) == (fit.quadrature.error > 1e-6)


# ---- units ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1e-12, 1e-3, 1e6, 1e12])
def test_units_change_no_p_value(unit: float) -> None:
    plain, scaled = fit_binomial(PLAIN, DATA), fit_binomial(PLAIN, DATA.assign(x=DATA["x"] * unit))
    assert abs(scaled.loglik - plain.loglik) < 1e-9
    np.testing.assert_allclose(scaled.tidy()["p_value"][1], plain.tidy()["p_value"][1], rtol=1e-9)


@pytest.mark.parametrize("shift", [-1e6, 2000.0, 1e9])
def test_shifts_change_no_p_value_beyond_what_they_cost_the_data(shift: float) -> None:
    moved = DATA.assign(x=DATA["x"] + shift)
    kept = DATA.assign(x=moved["x"] - shift)  # what is left of x after the shift has rounded it
    a, b = fit_binomial(PLAIN, moved), fit_binomial(PLAIN, kept)
    np.testing.assert_allclose(a.tidy()["p_value"][1], b.tidy()["p_value"][1], rtol=1e-8)


# ---- bad input ------------------------------------------------------------------------------------------------------

SEPARATES = DATA.assign(s=DATA["y"] * 2.0 + DATA["z"] / 10, r=((DATA["y"] == 1) & (DATA["x"] > 0.5)).astype(float))

REFUSED = [
    # name, error, words that must stand in the message, formula, data, options
    (
        "response outside 0/1",
        sw.DataError,
        ["'y'", f"{DATA['y'].sum()} of 300", "0 or 1"],
        PLAIN,
        DATA.assign(y=2 * DATA["y"]),
        {},
    ),
    ("successes > size", sw.DataError, ["more successes than trials"], "cbind(y, 1 - 2 * y) ~ x + (1 | g)", DATA, {}),
    ("missing", sw.DataError, ["x 4", 'missing="drop"'], PLAIN, DATA.assign(x=DATA["x"].where(DATA.index > 3)), {}),
    ("infinite", sw.DataError, ["'x'", "inf"], PLAIN, DATA.assign(x=np.where(DATA.index == 5, np.inf, DATA["x"])), {}),
    ("log of negative", sw.DataError, ["log(z)"], "y ~ log(z) + (1 | g)", DATA, {}),
    ("one group", sw.DataError, ["single group", "'g'"], PLAIN, DATA.assign(g=1), {}),
    ("constant column", sw.DataError, ["'k' is constant"], "y ~ x + k + (1 | g)", DATA.assign(k=3.0), {}),
    ("zero column", sw.DataError, ["'k' is zero"], "y ~ 0 + x + k + (1 | g)", DATA.assign(k=0.0), {}),
    (
        "collinear columns",
        sw.DataError,
        ["w = 2 * x - 3 * z + a constant"],
        "y ~ x + z + w + (1 | g)",
        DATA.assign(w=2 * DATA["x"] - 3 * DATA["z"] + 5),
        {},
    ),
    ("complete separation", sw.SeparationError, ["'s' separates"], "y ~ x + s + (1 | g)", SEPARATES, {}),
    ("quasi separation", sw.SeparationError, ["'r' separates"], "y ~ x + r + (1 | g)", SEPARATES, {}),
    ("separation by group", sw.DataError, ["all responses are alike"], PLAIN, DATA.assign(y=DATA["g"] % 2), {}),
    ("single trials", sw.DataError, ["'i' has a single trial"], "y ~ x + (1 | i)", DATA.assign(i=DATA.index), {}),
    ("single trials, flat", sw.DataError, ["'i' has a single trial"], "y ~ 1 + (1 | i)", DATA.assign(i=DATA.index), {}),
    ("only successes", sw.DataError, ["every response is a success"], PLAIN, DATA.assign(y=1), {}),
    ("huge values", sw.DataError, ["'x'", "unit"], PLAIN, DATA.assign(x=DATA["x"] * 1e200), {}),
    ("tiny values", sw.DataError, ["'x'", "unit"], PLAIN, DATA.assign(x=DATA["x"] * 1e-200), {}),
    ("unknown column", sw.UsageError, ["'xx'", "Did you mean 'x'?", "^"], "y ~ xx + (1 | g)", DATA, {}),
    ("unknown family", sw.UsageError, ["'poison'", "'binomial'", "'gaussian'"], PLAIN, DATA, {"family": "poison"}),
    ("malformed formula", sw.UsageError, ["never closed", "^"], "y ~ x + (1 | g", DATA, {}),
    ("weights with a bar", sw.UsageError, ["weights='z'", "cbind"], PLAIN, DATA, {"weights": "z"}),
    ("decimals with a bar", sw.UsageError, ["decimal=True"], PLAIN, DATA, {"decimal": True}),
    ("decimals of a wrong type", sw.UsageError, ["decimal='yes'"], PLAIN, DATA, {"decimal": "yes"}),
    ("two factors", sw.UsageError, ["nodes=5", "several"], "y ~ x + (1 | g) + (1 | f)", DATA, {"nodes": 5}),
    ("transform that learns", sw.UsageError, ["poly()", "one site"], "y ~ poly(x, 2) + (1 | g)", DATA, {}),
    ("no nodes", sw.UsageError, ["nodes=0"], PLAIN, DATA, {"nodes": 0}),
    ("nodes of a wrong type", sw.UsageError, ["nodes=2.5"], PLAIN, DATA, {"nodes": 2.5}),
    ("nodes True", sw.UsageError, ["nodes=True"], PLAIN, DATA, {"nodes": True}),
    ("no threads", sw.UsageError, ["threads=0"], PLAIN, DATA, {"threads": 0}),
    ("not a table", sw.UsageError, ["int is not a table"], PLAIN, 3, {}),
    ("no such file", sw.UsageError, ["nowhere.csv"], PLAIN, "nowhere.csv", {}),
    (
        "numbers with dots for missing values",
        sw.DataError,
        ["'x' is text", "except '.'", "factor(x)"],
        PLAIN,
        DATA.assign(x=DATA["x"].round(1).astype(str).where(DATA.index > 3, ".")),
        {},
    ),
    (
        "no complete row",
        sw.DataError,
        ["No row is complete", "x"],
        "y ~ x + f + (1 | g)",
        DATA.assign(x=np.nan),
        {"missing": "drop"},
    ),
    ("a column for a table", sw.UsageError, ["Series is not a table"], PLAIN, DATA["x"], {}),
    ("arguments in the wrong order", sw.UsageError, ["formula comes first"], DATA, PLAIN, {}),
    ("float labels too large", sw.DataError, ["'g'", "texts"], PLAIN, DATA.assign(g=1e20 * (1 + DATA["g"])), {}),
    ("empty table of texts", sw.SiteError, ["no rows"], "y ~ f + (1 | g)", DATA.iloc[:0], {}),
    ("grouping by a call", sw.UsageError, ["(1 | factor(g))", "a column"], "y ~ x + (1 | factor(g))", DATA, {}),
    ("empty table", sw.SiteError, ["no rows"], PLAIN, DATA.iloc[:0], {}),
    ("empty site", sw.SiteError, ["'b' has no rows"], PLAIN, {"a": DATA, "b": DATA.iloc[:0]}, {}),
    (
        "site without a column",
        sw.SiteError,
        ["'x' is missing at site 'b'"],
        PLAIN,
        {"a": DATA[DATA["g"] < 9], "b": DATA[DATA["g"] >= 9].drop(columns="x")},
        {},
    ),
    (
        "sites with different types",
        sw.SiteError,
        ["'x'", "site 'a'", "site 'b'"],
        PLAIN,
        {"a": DATA[DATA["g"] < 9], "b": DATA[DATA["g"] >= 9].assign(x="much")},
        {},
    ),
    (
        "group at two sites",
        sw.DataError,
        ["'15'", "within one site"],
        PLAIN,
        {"a": DATA.iloc[:155], "b": DATA.iloc[155:]},
        {},
    ),
]


@pytest.mark.parametrize("case", REFUSED, ids=[case[0] for case in REFUSED])
def test_refused_with_a_message_that_says(case) -> None:
    _, error, words, formula, data, options = case
    with pytest.raises(error) as caught:
        fit_binomial(formula, data, **options)
    message = str(caught.value)
    assert [word for word in words if word not in message] == []


def test_an_unseen_level_is_named_in_predictions() -> None:
    fit = fit_binomial("y ~ f + (1 | g)", DATA)
    with pytest.raises(sw.DataError, match="'q'"):
        fit.predict(DATA.assign(f="q"))


@pytest.mark.parametrize("spread", [0.0, 1.5])
def test_a_model_without_fixed_effects_has_a_variance_all_the_same(spread: float) -> None:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(40), 8)
    chance = 1 / (1 + np.exp(-spread * rng.normal(size=40)[g]))
    fit = fit_binomial("y ~ 0 + (1 | g)", pd.DataFrame({"g": g, "y": (rng.random(320) < chance).astype(int)}))
    assert fit.verdict.code in ("converged", "boundary")
    assert len(fit.coef) == 0
    assert abs(fit.theta.iloc[0] - spread) < 0.6
    assert "Std.Dev." in fit.summary()


def test_groups_of_a_single_row_among_others_are_fine() -> None:
    frame = DATA.assign(g=np.where(DATA.index < 20, 1000 + DATA.index, DATA["g"]))
    fit = fit_binomial(PLAIN, frame)
    assert fit.verdict.code == "converged"
    assert fit.ngroups["g"] == 48  # groups 0 and 1 fell apart into 20


def test_overflowing_offsets_end_in_words_not_in_a_crash() -> None:
    """Offsets of thousands put most rows beyond float64: nothing can be fitted, and the verdict says so."""
    fit = fit_binomial("y ~ z + offset(1000 * x) + (1 | g)", DATA)
    assert fit.verdict.code in ("not_converged", "quadrature_limited")
    assert "uncertain by" in fit.verdict.text
