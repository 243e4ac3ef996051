"""The guard of models with several grouping factors: components are judged as groups are, and levels with them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from sumwise.data import open_sites
from sumwise.disclosure import facts_crossed, facts_lmm, facts_vectors
from sumwise.disclosure.policy import OPEN, Policy
from sumwise.models.glmm_crossed_messages import CrossedQuestion
from sumwise.models.glmm_crossed_site import CrossedSite
from sumwise.models.glmm_vectors_messages import VectorQuestion
from sumwise.models.glmm_vectors_site import Site
from sumwise.protocol.states import Phase
from sumwise.studies.plan import plan
from tests.unit.studies.hospitals import Run, study
from tests.unit.studies.test_guard_vectors import asked
from tests.unit.studies.test_same_bits_crossed import CROSSED, clinics

TOLD = replace(Policy(), min_groups=1)


@lru_cache
def wards(count: int = 30, patients: int = 4, raters: int = 3, times: int = 2) -> pd.DataFrame:
    """Each patient of a ward is seen by each of its raters, several times: all wards are alike."""
    rng = np.random.default_rng(5)
    places = np.meshgrid(np.arange(count), np.arange(patients), np.arange(raters), np.arange(times), indexing="ij")
    ward, patient, rater, _ = (place.ravel() for place in places)
    n, patient, rater = len(ward), 100 * ward + patient, 100 * ward + rater
    x, sex = rng.normal(size=n), rng.integers(0, 2, 100 * count)[patient]
    u, v = 0.5 * rng.normal(size=100 * count), 0.4 * rng.normal(size=100 * count)
    eta = 0.3 + 0.4 * x + u[patient] + v[rater]
    return pd.DataFrame(
        {
            "ward": ward,
            "patient": patient,
            "rater": rater,
            "x": x,
            "sex": sex,
            "score": eta + rng.normal(size=n),
            "event": (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int),
            "visits": rng.poisson(np.exp(eta)),
        }
    )


def seen(formula: str, table: pd.DataFrame, policy: Policy = Policy(), **options) -> Run:  # noqa: B008
    return asked(formula, table, "ward" if "ward" in table else "clinic", policy, **options)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        (f"score ~ x + sex + {CROSSED}", {}),
        ("score ~ x + sex + (1 | ward/patient)", {"method": "ML"}),
        (f"event ~ x + sex + {CROSSED}", {"family": "binomial"}),
        ("visits ~ x + sex + (1 | ward/patient)", {"family": "poisson"}),
    ],
)
def test_components_that_are_alike_pass_the_default_policy_in_every_round(formula: str, options: dict) -> None:
    found = seen(formula, wards(), **options)
    assert found.words == {}
    assert found.state.phase is Phase.FINISHED


def test_components_of_a_linear_model_that_are_like_no_other_may_be_told_or_are_refused() -> None:
    """Clinics in which patients and raters met at random."""
    formula, table = f"score ~ x + {CROSSED}", clinics(36, 20)
    assert set(seen(formula, table).refused.values()) == {"group-leverage"}
    told = seen(formula, table, TOLD)
    assert told.refused == {}
    assert told.state.phase is Phase.FINISHED


@pytest.mark.parametrize(
    ("formula", "options"), [(f"score ~ x + {CROSSED}", {}), (f"event ~ x + {CROSSED}", {"family": "binomial"})]
)
def test_a_site_that_is_one_component_passes_only_where_groups_may_be_told(formula: str, options: dict) -> None:
    """Five patients and four raters of a site: minimum-groups counts components, not levels."""
    table = clinics(3, 200)
    found = seen(formula, table, **options)
    assert set(found.refused.values()) == {"minimum-groups"}
    assert found.words["site-00"] == (
        "groups in the sum (of several grouping factors: sets of levels that meet): 1; the policy asks for at least 5"
    )
    assert seen(formula, table, TOLD, **options).state.phase is Phase.FINISHED


@pytest.mark.parametrize(
    ("formula", "options"), [(f"score ~ x + {CROSSED}", {}), (f"event ~ x + {CROSSED}", {"family": "binomial"})]
)
def test_the_smallest_group_is_the_level_of_any_factor_with_the_fewest_rows(formula: str, options: dict) -> None:
    table = clinics(3, 200)
    least = min(table.groupby(name).size().min() for name in ("patient", "rater"))
    passes = seen(formula, table, replace(TOLD, min_group_rows=int(least)), **options)
    assert passes.refused == {}
    found = seen(formula, table, replace(TOLD, min_group_rows=int(least) + 1), **options)
    assert set(found.refused.values()) == {"minimum-group-size"}
    assert f"rows in the smallest group: {least};" in " ".join(found.words.values())


@pytest.mark.parametrize("options", [{}, {"family": "poisson"}])
def test_a_component_that_a_column_names_is_refused(options: dict) -> None:
    found = seen(f"visits ~ I(ward == 4) + {CROSSED}", wards(times=10), **options)
    assert found.refused == {"site-01": "group-leverage"}


@pytest.mark.parametrize("options", [{}, {"family": "poisson"}])
def test_one_factor_gives_the_figures_of_its_own_rules(options: dict) -> None:
    """Facts by components, of models whose components are groups, against facts by groups."""
    of = study("visits ~ x + sex + (1 | patient)", wards(), **options)
    ready, source = plan(of), open_sites({"A": wards()})["A"]
    block = ready.block(source)
    if not options:
        ours = facts_crossed.crossed_lmm_design(block, ("(Intercept)",), 5)
        other = facts_lmm.lmm_design(block, ("(Intercept)",), 5)
    else:
        by = facts_crossed.ByComponent.of(block, np.ones(len(block.y)))
        ours = facts_crossed.crossed_vector_design(by, "poisson", ("(Intercept)",), 4)
        other = facts_vectors.vector_design(block, "poisson", ("(Intercept)",), 4)
    assert ours.groups == other.groups == 120
    assert ours.smallest_group == other.smallest_group == 6
    assert ours.group_leverage == pytest.approx(other.group_leverage, rel=1e-6)
    assert ours.leverage == pytest.approx(other.leverage, rel=1e-6)
    assert (ours.rows, ours.parameters, ours.effective, ours.cells) == (
        other.rows,
        other.parameters,
        other.effective,
        other.cells,
    )


def test_effects_of_components_are_those_of_groups_where_components_are_groups() -> None:
    """Predictors at Laplace's modes, and shares of the information, by two ways of working them out."""
    of = study("visits ~ x + (1 + x | ward)", wards(8), family="poisson")
    block = plan(of).block(open_sites({"A": wards(8)})["A"])
    family, point = ("poisson", "log"), np.array([[0.2, 0.4, 0.5, 0.1, 0.3]])
    one = VectorQuestion(np.zeros(4), point, (1,), np.inf, -1)
    several = CrossedQuestion(
        np.zeros(4), point, (1,), np.inf, -1, columns=2, near=np.zeros((0, 5)), metric=True, rough=False
    )
    by = facts_crossed.ByComponent.of(block, np.ones(len(block.y)))
    ours = facts_crossed.effects_of_components(by, several, CrossedSite(block, family))
    other = facts_vectors.effects_of_groups(block, one, Site(block, family, (2,)))
    np.testing.assert_allclose(ours.eta, other.eta, atol=1e-9)
    w = np.exp(ours.eta)
    assert ours.share(w) == pytest.approx(other.share(w), rel=1e-9)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        (f"score ~ x + {CROSSED}", {}),
        ("score ~ x + (1 | clinic)", {}),
        (f"visits ~ x + {CROSSED}", {"family": "poisson"}),
        ("visits ~ x + (1 | clinic)", {"family": "poisson"}),
    ],
)
def test_a_site_whose_rows_have_no_weight_is_judged_too(formula: str, options: dict) -> None:
    table = clinics(12, 40)
    table = table.assign(w=np.where(table["clinic"] % 3 == 1, 0.0, 1.0))
    assert seen(formula, table, OPEN, weights="w", **options).state.phase is Phase.FINISHED
    assert "site-01" in seen(formula, table, weights="w", **options).refused
