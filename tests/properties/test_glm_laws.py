"""However rows are dealt to sites, threads and processors, a generalized linear model is the same to the last bit."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sumwise.engines.local import LocalEngine
from sumwise.errors import DataError
from sumwise.loop import run
from sumwise.models.glm import GeneralizedLinearModel
from sumwise.models.glm_links import LINKS
from sumwise.models.glm_site import Site
from tests.unit.kernels.levels import LEVELS, at_level

PAIRS = [(family, link) for family, links in LINKS.items() for link in links]
SLOW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Rows:
    """n rows: X (n, p), y, size (n,), offset, weights (n,) or None."""

    def __init__(self, X, y, size, offset, weights) -> None:
        self.X, self.y, self.size, self.offset, self.weights = X, y, size, offset, weights

    @property
    def x(self) -> tuple[np.ndarray, ...]:
        """The columns, as a table that lies row by row has them."""
        return tuple(self.X.T)

    def of(self, chosen: np.ndarray) -> "Rows":
        """Some of the rows, in this order."""
        cut = [None if a is None else a[chosen] for a in (self.offset, self.weights)]
        return Rows(np.ascontiguousarray(self.X[chosen]), self.y[chosen], self.size[chosen], *cut)


@st.composite
def problems(draw) -> tuple[str, str, Rows]:
    """20 to 700 rows, 2 or 3 columns of any scale; weights and an offset now and then."""
    family, link = draw(st.sampled_from(PAIRS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, p = draw(st.integers(20, 700)), draw(st.integers(2, 3))
    X = np.column_stack([np.ones(n), rng.standard_normal((n, p - 1)) * 10.0 ** draw(st.integers(-3, 4))])
    size = rng.integers(1, draw(st.sampled_from([1, 8])), n, endpoint=True).astype(float)
    y = {
        "binomial": lambda: rng.binomial(size.astype(int), 0.4),
        "poisson": lambda: rng.poisson(2.0, n),
        "negbinomial": lambda: rng.negative_binomial(1, 0.3, n),
    }.get(family, lambda: rng.gamma(4, 0.3, n))()
    offset = rng.uniform(0, 0.1, n) if draw(st.booleans()) else None
    weights = rng.uniform(0.1, 2, n) if draw(st.booleans()) else None
    return family, link, Rows(X, y.astype(float), size if family == "binomial" else np.ones(n), offset, weights)


def bits_of(family: str, link: str, sites: list[Rows], threads: int) -> list:
    """Digits of all totals, and every number of the estimate; or the refusal."""
    names = ("(Intercept)", "x1", "x2")[: sites[0].X.shape[1]]
    model = GeneralizedLinearModel(names, family, link)
    try:
        with LocalEngine({str(i): Site(rows) for i, rows in enumerate(sites)}, threads) as engine:
            state, rounds = run(model, engine)
    except DataError as error:
        return [str(error)]
    ours = model.finish(state)
    numbers = [*ours.beta, *ours.unscaled.ravel(), ours.deviance, ours.null_deviance, ours.loglik, ours.size, ours.move]
    totals = [r.total.totals if hasattr(r.total, "totals") else r.total.values for r in rounds]
    return [[t.digits.tolist() for t in totals], [float(v).hex() for v in numbers]]


@SLOW
@given(data=st.data(), problem=problems())
def test_any_split_of_rows_over_sites_gives_the_same_bits(data, problem) -> None:
    family, link, rows = problem
    n = len(rows.y)
    order = np.array(data.draw(st.permutations(range(n)))) if n < 60 else np.random.default_rng(n).permutation(n)
    cuts = sorted(data.draw(st.sets(st.integers(1, n - 1), max_size=4)))
    sites = [rows.of(part) for part in np.split(order, cuts)]
    assert bits_of(family, link, sites, data.draw(st.integers(1, 3))) == bits_of(family, link, [rows], 1)


@SLOW
@given(problem=problems())
def test_every_instruction_set_gives_the_same_bits(problem) -> None:
    family, link, rows = problem
    found = []
    for name in LEVELS:
        with at_level(name):
            found.append(bits_of(family, link, [rows], 1))
    assert all(bits == found[0] for bits in found)
