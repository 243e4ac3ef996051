"""The two-site simulation is the notebook's, and simulated logistic data follows the model it claims."""

import numpy as np
import pytest

from sumwise import simulate
from sumwise.errors import UsageError
from tests import reference


def test_two_sites_are_those_of_the_notebook():
    """Rows in hexadecimal, counts of y and true coefficients: tests/reference/two_sites.json."""
    expected = reference.load("two_sites")
    study = simulate.two_sites()
    assert [x.hex() for x in study.X1[0].tolist()] == expected["checks"]["X1_first_row"]
    assert [x.hex() for x in study.X2[-1].tolist()] == expected["checks"]["X2_last_row"]
    assert [study.y1.sum(), study.y2.sum()] == expected["sum_y"]
    assert study.true_beta.tolist() == expected["true_beta"]


def test_two_sites_follow_the_notebook_draw_by_draw():
    """The notebook's own lines; its np.random.seed(7) starts the stream of RandomState(7)."""
    rng = np.random.RandomState(7)
    true_beta = (rng.rand(10, 1) - rng.rand(10, 1)) * 10
    true_sigma = rng.rand(2)
    X1 = (rng.rand(1000, 10) - rng.rand(1000, 10)) * 10
    p1 = 1 / (1 + np.exp(-(X1 @ true_beta + rng.normal(0, true_sigma[0], 1000).reshape(1000, 1))))
    y1 = rng.binomial(1, p1)
    X2 = (rng.rand(1000, 10) - rng.rand(1000, 10)) * 10
    p2 = 1 / (1 + np.exp(-(X2 @ true_beta + rng.normal(0, true_sigma[1], 1000).reshape(1000, 1))))
    y2 = rng.binomial(1, p2)
    study = simulate.two_sites(seed=7)
    assert study.true_beta.tolist() == true_beta[:, 0].tolist()
    assert study.true_sigma.tolist() == true_sigma.tolist()
    assert (study.X1.tolist(), study.X2.tolist()) == (X1.tolist(), X2.tolist())
    assert (study.y1.tolist(), study.y2.tolist()) == (y1[:, 0].tolist(), y2[:, 0].tolist())


def test_table_holds_both_sites():
    study = simulate.two_sites()
    table = study.table()
    assert list(table.columns) == ["y", *(f"V{j}" for j in range(1, 11)), "site"]
    second = table[table["site"] == "site2"]
    assert second["y"].tolist() == study.y2.tolist()
    assert second[[f"V{j}" for j in range(1, 11)]].to_numpy().tolist() == study.X2.tolist()
    assert table["site"].value_counts().to_dict() == {"site1": 1000, "site2": 1000}


def test_csv_files_are_those_of_the_notebook(tmp_path):
    """np.savetxt(name, array, delimiter=",") of the notebook's arrays; its responses are (1000, 1)."""
    study = simulate.two_sites()
    paths = simulate.write_csv(study, tmp_path / "csv")
    assert [path.name for path in paths] == ["X1.csv", "y1.csv", "X2.csv", "y2.csv"]
    arrays = (study.X1, study.y1.reshape(-1, 1), study.X2, study.y2.reshape(-1, 1))
    for path, array in zip(paths, arrays, strict=True):
        np.savetxt(tmp_path / "expected.csv", array, delimiter=",")
        assert path.read_bytes() == (tmp_path / "expected.csv").read_bytes()
    assert paths[1].read_text().splitlines()[0] in ("0.000000000000000000e+00", "1.000000000000000000e+00")


def test_logistic_has_the_columns_and_groups_asked_for():
    frame = simulate.logistic(1003, 3, 10, seed=5)
    assert frame.dtypes.astype(str).to_dict() == {
        "y": "int8",
        "x1": "float64",
        "x2": "float64",
        "x3": "float64",
        "g": "int64",
    }
    assert set(frame["y"]) == {0, 1}
    assert frame["g"].tolist() == [i // 10 for i in range(1003)]
    assert frame.equals(simulate.logistic(1003, 3, 10, seed=5))
    assert not frame.equals(simulate.logistic(1003, 3, 10, seed=6))


def test_logistic_follows_its_model():
    """200 000 rows without a random intercept: the score X'(y - p) at the true beta is within 4.5 sd of zero.

    var(X'y) = X'WX, W = p (1 - p); another sign or scale of one slope puts the score off by hundreds of sd.
    """
    beta = [-1.0, 0.8, -0.3]
    frame = simulate.logistic(200_000, 2, 50, seed=11, beta=beta, sigma=0.0)
    X = np.column_stack([np.ones(len(frame)), frame["x1"], frame["x2"]])
    p = 1 / (1 + np.exp(-X @ beta))
    score = X.T @ (frame["y"].to_numpy() - p)
    assert np.all(np.abs(score) < 4.5 * np.sqrt(np.einsum("ij,i,ij->j", X, p * (1 - p), X)))


def test_logistic_intercepts_vary_by_sigma():
    """No covariates, intercept 0: the share of ones is expit(sigma u) in 2000 groups of 500 rows.

    Its variance over groups is var(expit(2 Z)) = 0.08650 (trapezoid rule on 20 001 points) plus the binomial
    part E[p (1 - p)] / 500 = (1/4 - 0.08650) / 500.  A sample of 2000 shares has it to about 2 %.
    """
    z = np.linspace(-10, 10, 20_001)
    p = 1 / (1 + np.exp(-2 * z))
    between = np.sum((p - 0.5) ** 2 * np.exp(-(z**2) / 2)) / np.sum(np.exp(-(z**2) / 2))
    frame = simulate.logistic(1_000_000, 0, 500, seed=3, beta=[0.0], sigma=2.0)
    shares = frame.groupby("g")["y"].mean()
    assert shares.var() == pytest.approx(between + (0.25 - between) / 500, rel=0.08)


def test_logistic_refuses_impossible_sizes():
    with pytest.raises(UsageError, match="n = 0"):
        simulate.logistic(0, 1, 1, seed=1)
    with pytest.raises(UsageError, match=r"sigma = -1"):
        simulate.logistic(10, 1, 1, seed=1, sigma=-1.0)
    with pytest.raises(UsageError, match=r"2 values; 3 covariates and an intercept need 4"):
        simulate.logistic(10, 3, 5, seed=1, beta=[1.0, 2.0])
