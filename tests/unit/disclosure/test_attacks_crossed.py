"""Attacks on the sums of models with several grouping factors: each recovers something of one component, or of a level,
where nothing is refused, and is refused by the default policy, by the rule that names it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sumwise.data import open_sites
from sumwise.disclosure.facts_crossed import ByComponent, effects_of_components
from sumwise.disclosure.policy import OPEN, Policy
from sumwise.models.glmm_crossed_messages import CrossedQuestion
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


def attacked(frames: dict[str, pd.DataFrame], policy: Policy, formula: str = FORMULA) -> Run:
    of = study(formula, list(frames.values()), NAMES)
    return run(of, {name: Hospital(name, frame, policy) for name, frame in frames.items()})


def questions(found: Run, frames: dict[str, pd.DataFrame], formula: str = FORMULA) -> list:
    """Of all rounds: whoever knows the totals knows them."""
    model = plan(study(formula, list(frames.values()), NAMES)).model
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


def second_derivatives(A: np.ndarray, theta: np.ndarray) -> list[np.ndarray]:
    """Of K, by both thetas, lower triangle."""
    s, of = np.repeat(theta, 2), np.repeat(np.eye(2), 2, axis=1)
    K, found = kernels(A, theta)[0], []
    for i, j in ((0, 0), (1, 0), (1, 1)):
        one, other = np.diag(of[i] * 2 / s**3), np.diag(of[j] * 2 / s**3)
        found.append(K @ one @ K @ other @ K + K @ other @ K @ one @ K - K @ np.diag(6 * of[i] * of[j] / s**4) @ K)
    return found


def test_it_is_refused_by_the_site_that_has_it_alone() -> None:
    found = attacked(wards(), Policy())
    assert found.refused == {"A": "group-leverage"}
    assert "A" not in found.summands
    assert attacked(wards(odd=False), Policy()).refused == {}


def test_where_groups_may_be_told_it_passes_and_small_levels_do_not() -> None:
    told = replace(Policy(), min_groups=1)
    assert attacked(wards(), told).refused == {}
    assert attacked(wards(), replace(told, min_group_rows=4)).refused == {"A": "minimum-group-size"}


def test_an_effect_of_one_row_of_each_level_counts_that_row() -> None:
    """Where levels may be told, so are the sums of y times their effects."""
    told, formula = replace(Policy(), min_groups=1, min_group_rows=4), "y ~ x + (0 + first | patient) + (1 | rater)"
    frames = {name: frame.assign(first=1.0 - frame.duplicated("patient")) for name, frame in wards(odd=False).items()}
    assert set(attacked(frames, told, formula).refused.values()) == {"minimum-group-size"}


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


def test_wards_that_differ_in_small_numbers_by_all_the_questions_of_a_fit() -> None:
    """No ward is like another, and an honest fit asks about a few covariances only: what its answers tell of (1, y)
    is more than half one ward's all the same.
    """
    rng, frames = np.random.default_rng(1), wards(odd=False)
    counts = [tuple(map(tuple, rng.integers(1, 4, (2, 2)).tolist())) for _ in range(30)]
    rows = [
        (ward, 2 * ward + i, 2 * ward + j)
        for ward, of in enumerate(counts)
        for i in (0, 1)
        for j in (0, 1)
        for _ in range(of[i][j])
    ]
    table = pd.DataFrame(rows, columns=["ward", "patient", "rater"])
    effects = 0.8 * rng.normal(size=(2, 60))
    table["x"] = rng.normal(size=len(rows))
    table["y"] = table.x + effects[0][table.patient] + effects[1][table.rater] + rng.normal(size=len(rows))
    frames["A"] = table
    found = attacked(frames, OPEN)
    roots, equations, sides = [], [], []
    for of in counts:
        values, vectors = np.linalg.eigh(structure(of))
        roots.append(vectors[:, 1:] * np.sqrt(values[1:]))  # patients' sums add up to the raters'
    for question, summand in zip(questions(found, frames)[1:], found.summands["A"][1:], strict=True):
        theta = question.points[0]
        each = [[*kernels(structure(of), theta), *second_derivatives(structure(of), theta)] for of in counts]
        for k, of in enumerate(summand.values.round()[0, :, 1:]):
            line = [
                structure(of).sum(axis=1) / 2 @ K[k] @ root for of, K, root in zip(counts, each, roots, strict=True)
            ]
            equations.append(np.concatenate(line) / np.linalg.norm(np.concatenate(line)))
            sides.append(-of[3] / np.linalg.norm(np.concatenate(line)))
    U, values, V = np.linalg.svd(np.array(equations), full_matrices=False)
    kept = values > 1e-13 * values[0]
    shares = [np.linalg.svd(part)[1][0] ** 2 for part in np.split(V[kept], 30, axis=1)]
    assert max(shares) > 0.5
    told = V[kept].T @ ((U[:, kept].T @ np.array(sides)) / values[kept])
    centre = questions(found, frames)[1].centre
    truth = [
        np.linalg.pinv(root)
        @ [(table.y[table[name] == 2 * ward + i] - centre[2]).sum() for name in ("patient", "rater") for i in (0, 1)]
        for ward, root in enumerate(roots)
    ]
    assert told == pytest.approx(V[kept].T @ V[kept] @ np.concatenate(truth), abs=0.05)
    assert attacked(frames, Policy()).refused == {"A": "group-leverage"}


# -- columns of X --


def balanced() -> dict[str, pd.DataFrame]:
    """Wards that are alike, and at each time 1 or -1 of a patient and a rater; row: its number over all sites."""
    frames = wards(odd=False)
    for k, frame in enumerate(frames.values()):
        frame["time"], frame["row"] = np.arange(len(frame)) % 2 * 2.0 - 1, 10000 * k + np.arange(len(frame))
        frame["of_patient"] = np.random.default_rng(4).normal(size=30000)[frame.patient]
        frame["of_rater"] = np.random.default_rng(5).normal(size=30000)[frame.rater]
    return frames


@pytest.mark.parametrize("size", [0.4, 2.0**-20])
def test_the_ward_in_whose_levels_alone_a_column_has_a_sum(size: float) -> None:
    """Times cancel in all levels, so of x in B there is but one ward's, and from one question its sum of y follows.  No
    ward stands out in the column itself.
    """
    frames, formula = balanced(), f"y ~ I(time + {size} * (ward == 11)) + (1 | patient) + (1 | rater)"
    found = attacked(frames, OPEN, formula)
    question, values = questions(found, frames, formula)[1], found.summands["A"][1].values.round()[0, 0, 1:]
    kernel = kernels(structure(((2, 2), (2, 2))), question.points[0])[0]
    line = -(values[4] + question.centre[1] * values[3])  # of (y, x), x as it was
    ward = frames["A"][frames["A"].ward == 11]
    told = line / (4 * size * kernel.sum(axis=0)[[0, 2]].sum())
    assert told == pytest.approx((ward.y - question.centre[2]).sum(), rel=1e-6)
    assert attacked(frames, Policy(), formula).refused == {"A": "group-leverage"}
    assert attacked(frames, Policy(), formula.replace("ward == 11", "patient < 100000")).refused == {}


@pytest.mark.parametrize("size", [2.0**-26, 2.0**-36])
def test_the_row_in_which_a_column_is_no_sum_of_its_levels(size: float) -> None:
    """By how little does not matter: products of x and y split into those of wards, of patients and of raters in wards,
    and what is within; the questions weigh them in ever other ways.
    """
    added = f"of_patient + of_rater + {size} * (row == 77)"
    frames, formula = balanced(), f"y ~ I({added}) + (1 | patient) + (1 | rater)"
    found = attacked(frames, OPEN, formula)
    asked = questions(found, frames, formula)
    gram, centre, alike = found.summands["A"][0].gram, asked[1].centre, structure(((2, 2), (2, 2)))
    x, y = (np.longdouble(float(c)) for c in centre[1:])
    one, of_x, of_y, both = (np.longdouble(float(gram.fraction(*at))) for at in ((0, 0), (1, 0), (2, 0), (2, 1)))
    equations, sides = [[1.0, 1.0, 1.0, 1.0]], [float(both - x * of_y - y * of_x + x * y * one)]
    for question, summand in zip(asked[1:], found.summands["A"][1:], strict=True):
        values = summand.values.round()[0, :3, 1:]
        for kernel, of in zip(kernels(alike, question.points[0]), values, strict=True):
            patterns = np.sqrt(2) * np.array([[1, 1, 1, 1], [1, -1, 0, 0], [0, 0, 1, -1]])
            equations.append([0.0, *np.einsum("ki,ij,kj->k", patterns, kernel, patterns)])
            sides.append(-of[4])
    scale = np.abs(equations).max(axis=1)
    solution = np.linalg.lstsq(np.array(equations) / scale[:, None], np.array(sides) / scale, rcond=1e-15)[0]
    y = frames["A"].y
    means = [y.groupby(frames["A"][name]).transform("mean") for name in ("ward", "patient", "rater")]
    assert solution[0] / size == pytest.approx((y + means[0] - means[1] - means[2])[77], abs=0.01)
    assert attacked(frames, Policy(), formula).refused == {"A": "leverage"}


@pytest.mark.parametrize("size", [0.4, 2.0**-20])
def test_the_same_of_one_grouping_factor(size: float) -> None:
    """`explained` holds B'A^-1 B itself: of x and y one ward's, and what is left of x'y one row's."""
    frames = balanced()
    formula = f"y ~ I(time + {size} * (ward == 11)) + (1 | ward)"
    found = attacked(frames, OPEN, formula)
    centre, explained = questions(found, frames, formula)[1].centre, found.summands["A"][1].explained.round()
    ward = frames["A"][frames["A"].ward == 11]
    told = (explained[4] + centre[1] * explained[3]) / size
    assert told == pytest.approx((ward.y - centre[2]).sum(), rel=1e-6)
    assert attacked(frames, Policy(), formula).refused == {"A": "group-leverage"}
    row = f"y ~ I(of_patient + {size / 2**20} * (row == 77)) + (1 | patient)"
    assert attacked(frames, Policy(), row).refused == {"A": "leverage"}
    assert attacked(frames, Policy(), "y ~ of_patient + time + (1 | patient)").refused == {}


def test_rows_of_no_weight_take_nothing_from_a_component() -> None:
    """Weights are part of a study.  Rows of weight zero that have a patient of one ward and raters of all others join
    nothing, and leave the wards their shares in the information.
    """
    frame = wards(odd=False)["A"].assign(y=lambda rows: np.rint(np.exp(rows.y / 2)), weight=1.0)
    others = frame[frame.ward > 0]
    more = pd.concat([frame, others.assign(patient=0, weight=0.0)], ignore_index=True)
    shares = []
    for table in (frame, more):
        of = study(FORMULA, table, NAMES, family="poisson", weights="weight")
        block = plan(of).block(open_sites({"A": table})["A"])
        point = np.array([[0.2, 0.4, 0.7, 0.7]])
        question = CrossedQuestion(
            np.zeros(4), point, (1,), np.inf, -1, columns=2, near=np.zeros((0, 4)), metric=True, rough=False
        )
        by = ByComponent.of(block, block.weights)
        effects = effects_of_components(by, question, plan(of).method.site(plan(of).options, block))
        shares.append(effects.share(block.weights * np.exp(effects.eta)))
    assert shares[1] == pytest.approx(shares[0], rel=1e-6)


def test_what_effects_move_in_one_ward_alone() -> None:
    """The first questions of a generalized model are about points that differ in theta alone.  Scores of a level move
    together, so their sums with a column that cancels in all levels but a ward's are that ward's as they move.
    """
    frames, formula = balanced(), "count ~ I(time + 0.4 * (ward == 11)) + (1 | patient) + (1 | rater)"
    for name, frame in frames.items():
        frames[name] = frame.assign(count=np.rint(np.exp(0.5 + 0.4 * frame.y)))
    of = study(formula, list(frames.values()), NAMES, family="poisson")
    ready, found = plan(of), run(of, {name: Hospital(name, frame, OPEN) for name, frame in frames.items()})
    question = ready.model.ask(ready.model.step(ready.model.start(), found.total))
    values = found.summands["A"][1].values.round()
    line = values[:, 2] + question.centre[1] * values[:, 1]
    ward = frames["A"][frames["A"].ward == 11]
    alone = ready.method.site(ready.options, ready.block(open_sites({"A": ward})["A"])).answer(question).values.round()
    assert line[1:] - line[0] == pytest.approx(0.4 * (alone[1:, 1] - alone[0, 1]), rel=1e-4)
    refused = run(of, {name: Hospital(name, frame, Policy()) for name, frame in frames.items()}).refused
    assert refused == {"A": "group-leverage"}
