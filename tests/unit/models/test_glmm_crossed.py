"""Crossed generalized models without formula or tables: one factor, the maximum, difficult rows."""

from __future__ import annotations

import numpy as np
import pytest

from sumwise.engines.local import LocalEngine
from sumwise.errors import UsageError
from sumwise.kernels.vectors import FAMILIES
from sumwise.loop import run
from sumwise.maths.ascent import Outcome
from sumwise.models.glmm_crossed import CrossedModel
from sumwise.models.glmm_crossed_messages import CrossedSummand
from sumwise.models.glmm_crossed_site import CrossedSite
from tests.unit.models import vector_fitting
from tests.unit.models.crossed_glmm_rows import Rows, fit, model_of, question, simulated, term


def one_factor(rows: vector_fitting.Rows, blocks: tuple[int, ...]) -> Rows:
    """The rows of a model with vectors of effects, as crossed rows."""
    terms, at = [], 0
    for size in blocks:
        z = dict(zip(rows.effects[at : at + size], rows.z[at : at + size], strict=True))
        terms.append(term("g", rows.group.tolist(), **z))
        at += size
    return Rows(rows.x, rows.columns, rows.y, terms, rows.offset, size=rows.size)


@pytest.mark.parametrize("blocks", [(2,), (1, 1)])
@pytest.mark.parametrize("family", FAMILIES, ids="-".join)
def test_with_one_factor_it_is_the_vector_model_with_one_node(family: tuple[str, str], blocks: tuple[int, ...]) -> None:
    rows = vector_fitting.simulated(family[0], 30, 10, [[0.7, 0], [0.2, 0.4]], trials=3, seed=7)
    one = fit(one_factor(rows, blocks), family=family)
    other = vector_fitting.fit(rows, family=family[0], link=family[1], blocks=blocks, nodes=1).estimate
    se = np.sqrt(np.diag(other.vcov))
    assert one.loglik == pytest.approx(other.loglik, abs=1e-9)
    known = np.isfinite(se)
    assert (np.isfinite(np.diag(one.vcov)) == known).all()
    found, expected = (np.concatenate([e.beta, e.theta, np.log([e.aux or 1.0])])[: len(se)] for e in (one, other))
    assert np.max(np.abs(found - expected)[known] / se[known]) < 5e-8  # each stops within 1e-8
    inside = np.ix_(known, known)
    assert np.max(np.abs(one.vcov - other.vcov)[inside] / np.outer(se, se)[inside]) < 1e-7
    assert one.outcome is other.outcome is Outcome.CONVERGED


@pytest.mark.parametrize("family", FAMILIES, ids="-".join)
def test_gradients_at_the_points_of_a_question_are_the_differences_of_values(family: tuple[str, str]) -> None:
    """All constants that hold a parameter included."""
    rows = simulated(family[0], 3, 2, slope=True, offset=True)
    model, site = model_of(rows, family), CrossedSite(rows, family)
    aux = [0.4] if family[0] in ("negbinomial", "gamma") else []
    point = np.array([0.2, 0.3, 0.5, 0.4, 0.6, *aux])
    steps = [k * h * unit for unit in np.eye(len(point)) for h in (1e-3,) for k in (1, -1, 2, -2)]
    centre = np.array([0.0, 0.1, 0.0, 0.0, 0.0])
    total = site.answer(question(centre, point + np.array([np.zeros(len(point)), *steps])))
    assert isinstance(total, CrossedSummand)
    values = total.values.round()
    four = values[1:, 0].reshape(len(point), 4)
    np.testing.assert_allclose(
        values[0, 1:], (8 * (four[:, 0] - four[:, 1]) - (four[:, 2] - four[:, 3])) / 12e-3, atol=1e-7
    )
    assert model.bar == "(1 | a) + (0 + x | b) + (1 | b)"


def test_the_covariance_is_the_inverse_of_the_second_derivative() -> None:
    """By differences of gradients of fourth order, ten times as far apart as the model's own."""
    rows = simulated("poisson", 5, 3)
    estimate = fit(rows, family=("poisson", "log"))
    site, phi = CrossedSite(rows, ("poisson", "log")), np.concatenate([estimate.beta, estimate.theta])
    se = np.sqrt(np.diag(estimate.vcov))
    points = [phi + k * 5e-3 * se[i] * unit for i, unit in enumerate(np.eye(len(phi))) for k in (1, -1, 2, -2)]
    answer = site.answer(question(np.zeros(4), np.array([phi, *points])))
    assert isinstance(answer, CrossedSummand)
    gradients = answer.values.round()[:, 1:]
    assert np.max(np.abs(gradients[0]) * se) < 1e-7
    four = gradients[1:].reshape(len(phi), 4, -1)
    H = -(8 * (four[:, 0] - four[:, 1]) - (four[:, 2] - four[:, 3])) / (12 * 5e-3 * se[:, None])
    np.testing.assert_allclose(np.linalg.inv(H), estimate.vcov, atol=2e-7 * np.max(np.outer(se, se)))


@pytest.mark.parametrize("power", [-40, 40])
def test_a_column_in_other_units_or_shifted_changes_no_z_value(power: int) -> None:
    rows, unit = simulated("binomial", 8, 3, slope=True), 2.0**power
    x = rows.x[1] * unit

    def of(column: np.ndarray) -> Rows:
        random = [
            term(t.factor, t.group.tolist(), **({"x": x} if t.columns == ("x",) else {"(Intercept)": rows.x[0]}))
            for t in rows.random
        ]
        return Rows([rows.x[0], column], rows.columns, rows.y, random, size=rows.size)

    family = ("binomial", "logit")
    base = fit(rows, family=family)
    z = base.beta / np.sqrt(np.diag(base.vcov))[:2]
    for other in (of(x), of(x + 2.0 * unit)):
        found = fit(other, family=family)
        assert (found.beta / np.sqrt(np.diag(found.vcov))[:2])[1] == pytest.approx(z[1], rel=1e-7)
        assert found.loglik == pytest.approx(base.loglik, abs=1e-9)


def test_a_fit_that_may_not_ask_enough_says_that_it_has_not_converged() -> None:
    estimate = fit(simulated("poisson", 1, 2), family=("poisson", "log"), max_evaluations=2)
    assert estimate.outcome is Outcome.RUNNING


def test_a_point_whose_neighbour_fails_counts_as_too_low() -> None:
    """The ascent comes nearer instead of stepping by a derivative that nobody has."""
    rows, family = simulated("poisson", 1, 2), ("poisson", "log")
    model = model_of(rows, family)
    with LocalEngine({"site": CrossedSite(rows, family)}, 1) as engine:
        state = model.start()
        for _ in range(2):
            state = model.step(state, engine.total(model.ask(state)))
        before = state.ascent
        total = engine.total(model.ask(state))
        broken = CrossedSummand(total.values, total.metric, (0, *(1 for _ in total.failed[1:])))
        state = model.step(state, broken)
    assert before is not None
    assert state.ascent is not None
    assert before.best is not None
    assert state.ascent.best is not None
    assert state.ascent.best.value == before.best.value
    assert state.ascent.rejected == before.rejected + 1


def test_arguments_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="2 effects and 1 factors"):
        CrossedModel(("(Intercept)",), "a", ("x", "z"), (1, 1), "poisson", "log", groups=("a",))
    with pytest.raises(UsageError, match="4 effects a group"):
        CrossedModel(("(Intercept)",), "a", ("x", "z", "v", "w"), (4,), "poisson", "log", 3, groups=("a",))
    rows = simulated("poisson", 1, 2)
    repeated = Rows(rows.x, rows.columns, rows.y, [*rows.random, rows.random[0]], size=rows.size)
    with pytest.raises(Exception, match=r"varies by 'a' in .* and again in"):
        fit(repeated, family=("poisson", "log"))


def test_a_conversation_is_reproduced_from_its_totals() -> None:
    rows, family = simulated("negbinomial", 4, 2), ("negbinomial", "log")
    model = model_of(rows, family)
    with LocalEngine({"site": CrossedSite(rows, family)}, 1) as engine:
        state, rounds = run(model, engine)
    again = model.start()
    for round_ in rounds:
        again = model.step(again, round_.total)
    assert np.array_equal(model.finish(again).vcov, model.finish(state).vcov, equal_nan=True)
