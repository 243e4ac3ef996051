"""Simulated data: the two-site study that Sumwise grew from, and logistic data of any size."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from sumwise.errors import UsageError


@dataclass(frozen=True, slots=True, eq=False)
class TwoSites:
    """Two sites of 1000 rows.  X1, X2 (1000, 10) float64; y1, y2 (1000,) int64, 0 or 1.

    true_beta (10,): coefficients; the linear predictor has no intercept.
    true_sigma (2,): standard deviation of the noise that each row's linear predictor got, by site.
    """

    X1: NDArray[np.float64]
    y1: NDArray[np.int64]
    X2: NDArray[np.float64]
    y2: NDArray[np.int64]
    true_beta: NDArray[np.float64]
    true_sigma: NDArray[np.float64]

    def table(self) -> pd.DataFrame:
        """All 2000 rows: columns y, V1 ... V10, site ("site1" or "site2")."""
        frame = pd.DataFrame(np.vstack([self.X1, self.X2]), columns=[f"V{j}" for j in range(1, 11)])
        frame.insert(0, "y", np.concatenate([self.y1, self.y2]))
        frame["site"] = np.repeat(["site1", "site2"], [len(self.y1), len(self.y2)])
        return frame


def two_sites(seed: int = 1) -> TwoSites:
    """The two-site simulation, in the order of draws of the notebook that it comes from.

    X, true_beta and true_sigma have the same bits on every machine: uniform draws of numpy's RandomState,
    whose stream is frozen, and single operations of float64.  The probability p of y == 1 is not so: its last
    digits hang on the processor's exp, log and matrix product.  y compares p with a uniform draw, so it could
    differ only where the two nearly coincide.  With seed 1 a linear predictor would have to move by 0.06 to
    flip any y, so y too is the same everywhere.  With other seeds the chance of a flip is below 1e-9.
    """
    rng = np.random.RandomState(seed)
    beta = (rng.rand(10, 1) - rng.rand(10, 1)) * 10
    sigma = rng.rand(2)
    X1, y1 = _one_site(rng, beta, sigma[0])
    X2, y2 = _one_site(rng, beta, sigma[1])
    return TwoSites(X1, y1, X2, y2, true_beta=beta[:, 0], true_sigma=sigma)


def _one_site(
    rng: np.random.RandomState, beta: NDArray[np.float64], noise: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """X (1000, 10) and y (1000,), in the notebook's own expressions; beta (10, 1)."""
    X = (rng.rand(1000, 10) - rng.rand(1000, 10)) * 10
    p = 1 / (1 + np.exp(-(X @ beta + rng.normal(0, noise, 1000).reshape(1000, 1))))
    return X, rng.binomial(1, p)[:, 0].astype(np.int64)


def write_csv(simulation: TwoSites, folder: Path | str) -> list[Path]:
    """Write X1.csv, y1.csv, X2.csv and y2.csv, byte for byte as the notebook did for R: no header, "%.18e".

    Returns the four paths.  Creates the folder where needed.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = []
    for name in ("X1", "y1", "X2", "y2"):
        paths.append(Path(folder) / f"{name}.csv")
        np.savetxt(paths[-1], getattr(simulation, name), delimiter=",")
    return paths


def logistic(
    n: int,
    covariates: int,
    group_size: int,
    seed: int,
    *,
    beta: Sequence[float] | None = None,
    sigma: float = 1.0,
) -> pd.DataFrame:
    """n rows of a logistic random-intercept model: columns y (int8, 0 or 1), x1 ... (float64), g (int64).

    Covariates are independent standard normal.  Group g = 0, 1, ... holds `group_size` consecutive rows (the
    last may hold fewer) and has a normal intercept of standard deviation sigma.  beta (covariates + 1,), with
    the intercept first, is by default -0.5 and slopes of covariates**-0.5 with alternating signs: the fixed
    part has variance 1 however many there are.
    Raises UsageError for a size below 1 (covariates below 0), a negative sigma, or a beta of another length.
    """
    if n < 1 or group_size < 1 or covariates < 0 or not sigma >= 0:
        raise UsageError(
            f"n = {n} and group_size = {group_size} must be at least 1, "
            f"covariates = {covariates} and sigma = {sigma} at least 0."
        )
    if beta is None:
        beta = [-0.5, *((-1) ** j * covariates**-0.5 for j in range(covariates))]
    if len(beta) != covariates + 1:
        raise UsageError(
            f"beta has {len(beta)} values; {covariates} covariates and an intercept need {covariates + 1}."
        )
    rng = np.random.default_rng(seed)
    g = np.arange(n) // group_size
    eta = beta[0] + sigma * rng.standard_normal(g[-1] + 1)[g]
    columns = {}
    for j in range(1, covariates + 1):
        columns[f"x{j}"] = rng.standard_normal(n)
        eta += beta[j] * columns[f"x{j}"]
    y = (rng.random(n) < expit(eta)).astype(np.int8)
    return pd.DataFrame({"y": y, **columns, "g": g}, copy=False)
