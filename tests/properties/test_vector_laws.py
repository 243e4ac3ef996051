"""However groups with vectors of random effects are dealt to sites and threads, the fit is the same to the last bit."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sumwise.engines.local import LocalEngine
from sumwise.errors import DataError
from sumwise.kernels import vectors
from sumwise.maths import covariance
from sumwise.models.glmm_vectors_messages import VectorMomentsQuestion, VectorQuestion
from sumwise.models.glmm_vectors_site import Site
from tests.unit.models.vector_fitting import Rows, fit, make_rows

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def problems(draw) -> tuple[Rows, tuple[str, str], tuple[int, ...]]:
    """Rows, family and blocks: 2 to 9 groups of 1 to 12 rows (now and then one of 260 to 300), 1 to 3 effects."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    family = draw(st.sampled_from(vectors.FAMILIES))
    groups = draw(st.integers(2, 9))
    blocks = draw(st.sampled_from([(1,), (2,), (1, 1), (3,), (2, 1)]))
    sizes = rng.integers(1, 12, groups, endpoint=True)
    if draw(st.booleans()):
        sizes[0] = rng.integers(260, 300)
    label = np.repeat(np.arange(groups), sizes)
    n = len(label)
    X = np.column_stack([np.ones(n), rng.standard_normal((n, 2))])
    Z = X[:, : sum(blocks)]
    size = rng.integers(1, 5, n, endpoint=True) if family[0] == "binomial" else np.ones(n)
    if family[0] == "binomial":
        y = rng.binomial(size.astype(int), 0.5)
    else:
        y = rng.gamma(2.0, 1.0, n) if family[0] == "gamma" else rng.poisson(2.0, n)
    offset = 0.3 * rng.standard_normal(n) if draw(st.booleans()) else None
    return make_rows(X, Z, y, label, size=size, offset=offset), family, blocks


@st.composite
def dealt(draw, rows: Rows) -> list[Rows]:
    """The groups dealt to 1 ... 4 sites at random, empty ones left out, their rows in a random order."""
    homes = draw(st.lists(st.integers(0, 3), min_size=len(rows.groups), max_size=len(rows.groups)))
    seed = draw(st.integers(0, 2**32 - 1))
    parts = [np.flatnonzero(np.isin(rows.group, np.flatnonzero(np.array(homes) == site))) for site in set(homes)]
    return [rows.take(np.random.default_rng(seed).permutation(part)) for part in parts]


@given(data=st.data())
@SLOW
def test_any_split_and_order_gives_the_same_answer(data):
    """Every sum of every answer, at a random point, with and without information at nodes of its own."""
    rows, family, blocks = data.draw(problems())
    parts = data.draw(dealt(rows))
    rng = np.random.default_rng(data.draw(st.integers(0, 100)))
    P = 3 + covariance.size(blocks) + (family[0] in vectors.WITH_AUX)
    points = 0.4 * rng.standard_normal((2, P))
    centre = rng.standard_normal(3 + sum(blocks))
    orders = data.draw(st.sampled_from([(1,), (3, 5, 7)]))
    question = VectorQuestion(
        centre, points, orders, data.draw(st.sampled_from([1e-4, np.inf])), int(rng.integers(-1, 4))
    )
    whole = Site(rows, family, blocks)
    for asked in (VectorMomentsQuestion(), question):
        alone = whole.answer(asked)
        with LocalEngine({str(i): Site(part, family, blocks) for i, part in enumerate(parts)}, 2) as engine:
            assert engine.total(asked) == alone


@given(data=st.data())
@settings(SLOW, max_examples=10)
def test_any_split_and_order_gives_the_same_fit(data):
    rows, family, blocks = data.draw(problems())
    parts = data.draw(dealt(rows))
    nodes = data.draw(st.sampled_from(["auto", 1, 5]))
    answers = []
    for sites in ([rows], parts):
        try:
            ours = fit(*sites, family=family[0], link=family[1], blocks=blocks, nodes=nodes, threads=2).estimate
            bits = [v.tobytes() for v in (ours.beta, ours.theta, ours.vcov)]
            answers.append((bits, ours.loglik, ours.error, ours.outcome, ours.nodes, ours.zero, ours.dependent))
        except DataError as refusal:
            answers.append(str(refusal))
    assert answers[0] == answers[1]
