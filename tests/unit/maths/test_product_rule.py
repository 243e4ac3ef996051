"""Products of Gauss-Hermite rules."""

from itertools import product

import numpy as np
import pytest

from sumwise.maths.quadrature import gauss_hermite, product_ladder, product_rule


@pytest.mark.parametrize("q", [1, 2, 3])
def test_moments_of_a_normal_vector_are_exact(q):
    """E z_1^a z_2^b ... for degrees up to 2 K - 1 in each: products of 1, 0, 1, 0, 3, 0, 15."""
    rule, moments = product_rule(4, q), (1, 0, 1, 0, 3, 0, 15, 0)
    weights = rule.scaled * np.exp(-np.sum(rule.z**2, axis=1) / 2)
    for powers in product(range(8), repeat=q):
        found = float(np.sum(weights * np.prod(rule.z ** np.array(powers), axis=1)))
        assert found == pytest.approx(np.prod([moments[k] for k in powers]), abs=1e-10)


@pytest.mark.parametrize(("order", "q", "kept"), [(9, 2, 81), (27, 2, 581), (19, 3, 5743)])
def test_nodes_that_weigh_next_to_nothing_are_left_out(order, q, kept):
    """Those kept have all but 1e-15 of the weight.  Numbers: counted here, from the rule for one dimension."""
    rule, one = product_rule(order, q), gauss_hermite(order)
    weights = [np.prod(w) for w in product(one.w / one.w.max(), repeat=q)]
    assert len(rule.scaled) == kept == sum(w >= 1e-18 for w in weights)
    assert np.sum(rule.scaled * np.exp(-np.sum(rule.z**2, axis=1) / 2)) == pytest.approx(1.0, abs=1e-14)


def test_the_ladder_begins_at_three_and_ends_where_products_grow_too_large():
    assert [product_ladder(q)[0] for q in (1, 2, 3)] == [3, 3, 3]
    assert [product_ladder(q)[-1] for q in (1, 2, 3)] == [161, 79, 19]
