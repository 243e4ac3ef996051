"""Attacks on the sums of models with several grouping factors: each recovers something of one component, or of a level,
where nothing is refused, and is refused by the default policy, by the rule that names it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sumwise.disclosure.policy import OPEN, Policy
from sumwise.models.lmm_crossed import CrossedMoments
from sumwise.protocol.wire import payloads
from sumwise.studies.plan import plan
from tests.unit.studies.hospitals import Hospital, Run, run, study

NAMES = ("A", "B", "C")
FORMULA = "y ~ x + (1 | patient) + (1 | rater)"
ODD = ((2, 1), (3, 4))
"""Rows of patient by rater in the ward that is attacked; in all others they are 2."""


def wards(odd: bool = True, often: int = 2, spread: float = 0.8) -> dict[str, pd.DataFrame]:
    """Sites of 12 wards, each with two patients whom both of its raters see so often; at A the last ward is like no
    other.   spread: of the levels' effects.
    """
    out = {}
    for k, name in enumerate(NAMES):
        rng = np.random.default_rng(k)
        cells = [((often, often), (often, often))] * 12
        if odd and name == "A":
            cells[-1] = ODD
        rows = [
            (1000 * k + ward, 10000 * k + 10 * ward + i, 10000 * k + 10 * ward + j)
            for ward, counts in enumerate(cells)
            for i in range(2)
            for j in range(2)
            for _ in range(counts[i][j])
        ]
        frame = pd.DataFrame(rows, columns=["ward", "patient", "rater"])
        x, n = rng.normal(size=len(frame)), len(frame)
        u, v = spread * rng.normal(size=130), spread * rng.normal(size=130)
        own = frame - [1000 * k, 10000 * k, 10000 * k]
        frame["x"], frame["y"] = x, x + u[own.patient] + v[own.rater] + rng.normal(size=n)
        out[name] = frame
    return out


def attacked(frames: dict[str, pd.DataFrame], policy: Policy) -> Run:
    of = study(FORMULA, list(frames.values()), NAMES)
    return run(of, {name: Hospital(name, frame, policy) for name, frame in frames.items()})


def questions(found: Run, frames: dict[str, pd.DataFrame]) -> list:
    """Of all rounds: whoever knows the totals knows them."""
    model = plan(study(FORMULA, list(frames.values()), NAMES)).model
    state, asked = model.start(), []
    for total in found.state.totals:
        asked.append(model.ask(state))
        state = model.step(state, payloads.decode(total))
    return asked


def test_the_sums_of_each_level_of_a_ward_that_is_like_no_other() -> None:
    """From an honest fit.  A ward adds B'(A + S^-1)^-1 B, S = diag(theta^2), to each sum, B = Z'[1 x y].  Of wards that
    are alike the symmetry of A leaves their total; of the odd one each level's sum counts by its own number.  So the
    products of the intercept with a column are equations for four levels and a total, and so are their derivatives in
    theta: sums of y of each patient and each rater follow.
    """
    frames = wards()
    found = attacked(frames, OPEN)
    assert found.refused == {}
    moments = found.summands["A"][0]
    assert isinstance(moments, CrossedMoments)
    alike, odd = structure(((2, 2), (2, 2))), structure(ODD)
    equations, sides = [], []
    for question, summand in zip(questions(found, frames)[1:], found.summands["A"][1:], strict=True):
        theta = question.points[0]
        values = summand.values.round()[0, :3, 1:]  # value, and derivatives in both thetas; lower triangle of (1, x, y)
        for kernel_alike, kernel_odd, of in zip(kernels(alike, theta), kernels(odd, theta), values, strict=True):
            # every patient and every rater of an alike ward has 4 rows; the total is counted by patients and by raters
            per_total = (4 * np.ones(4) @ kernel_alike)[[0, 2]].sum()
            equations.append([*(odd.sum(axis=1) / 2 @ kernel_odd), per_total])  # odd.sum / 2: rows of each level
            sides.append(-of[[1, 3]])  # of (x, 1) and (y, 1)
    solution = np.linalg.lstsq(np.array(equations), np.array(sides), rcond=1e-14)[0]
    frame, centre = frames["A"], questions(found, frames)[1].centre
    ward = frame[frame.ward == 11]
    levels = [ward.patient == 110, ward.patient == 111, ward.rater == 110, ward.rater == 111]
    for k, name in enumerate(("x", "y")):
        truth = [float((ward[name][level] - centre[1 + k]).sum()) for level in levels]
        assert solution[:4, k] == pytest.approx(truth, abs=1e-6)


def structure(counts: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
    """Z'Z of a ward: two patients, then two raters."""
    N = np.array(counts, dtype=float)
    return np.block([[np.diag(N.sum(axis=1)), N], [N.T, np.diag(N.sum(axis=0))]])


def kernels(A: np.ndarray, theta: np.ndarray) -> list[np.ndarray]:
    """K = (A + S^-1)^-1 and its derivatives in each theta, K S^-1 dS S^-1 K."""
    s = np.repeat(theta, 2)
    K = np.linalg.inv(A + np.diag(s**-2.0))
    return [K, *(K @ np.diag(np.repeat(np.eye(2)[f], 2) * 2 / s**3) @ K for f in range(2))]


def test_it_is_refused_by_the_site_that_has_it_alone() -> None:
    found = attacked(wards(), Policy())
    assert found.refused == {"A": "group-leverage"}
    assert "A" not in found.summands
    assert attacked(wards(odd=False), Policy()).refused == {}


def test_where_groups_may_be_told_it_passes_and_small_levels_do_not() -> None:
    told = replace(Policy(), min_groups=1)
    assert attacked(wards(), told).refused == {}
    assert attacked(wards(), replace(told, min_group_rows=4)).refused == {"A": "minimum-group-size"}


def test_the_level_that_outweighs_all_others() -> None:
    """The moments' sums over levels, of (sum y)^2 / rows, are nearly its own: its mean, but for the sign."""
    frames = wards(odd=False, often=25, spread=0.0)
    assert attacked(frames, Policy()).refused == {}
    frames["A"] = frames["A"].assign(y=lambda rows: rows.y + 40 * (rows.patient == 30))
    found = attacked(frames, OPEN)
    patient = frames["A"][frames["A"].patient == 30]
    between = found.summands["A"][0].between.round()[0, 0]
    assert np.sqrt(between / len(patient)) == pytest.approx(patient.y.mean(), rel=1e-3)
    assert attacked(frames, Policy()).refused == {"A": "group-leverage"}
