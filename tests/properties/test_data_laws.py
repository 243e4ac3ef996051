"""Laws of the data room: how rows are dealt to sites changes no bit of the design."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.data import agree, build, check_groups_disjoint, open_sites, parse

FORMULA = parse(
    "cbind(s, 9 - s) ~ scale(x)*f + I(x^3) + center(log(k)) + exp(z) + C(k):b + sqrt(k) + offset(log1p(k)) + (1 | g)"
)


@st.composite
def dealt_tables(draw):
    """(a table of whole groups, for each group the number of the site it is dealt to)."""
    n_groups = draw(st.integers(1, 12))
    sizes = draw(st.lists(st.integers(1, 9), min_size=n_groups, max_size=n_groups))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = sum(sizes) + 4
    table = pd.DataFrame(
        {
            "s": rng.integers(0, 10, n),
            "x": rng.normal(size=n) * 10.0 ** rng.integers(-8, 9, n),
            "z": rng.normal(size=n),
            "f": rng.choice(["u", "v", "w"], n),
            "k": rng.integers(1, 4, n),
            "b": rng.random(n) < 0.5,
            # the last group holds two levels of each factor: with fewer there is no factor
            "g": np.repeat(np.arange(n_groups + 1), [*sizes, 4]),
        }
    )
    table.loc[n - 4 :, "f"] = ["u", "v", "u", "v"]
    table.loc[n - 4 :, "k"] = [1, 2, 1, 2]
    sites = draw(st.lists(st.integers(0, 4), min_size=n_groups + 1, max_size=n_groups + 1))
    return table, np.array(sites)


@settings(max_examples=60, deadline=None)
@given(dealt_tables())
def test_any_dealing_of_groups_to_sites_gives_the_same_rows_bit_for_bit(dealt):
    table, site_of = dealt
    pooled_sources = open_sites(table)
    pooled_contract = agree(FORMULA, pooled_sources)
    pooled = build(FORMULA, pooled_contract, pooled_sources["data"])

    site = site_of[table["g"]]
    places = {f"site {i}": np.flatnonzero(site == i) for i in np.unique(site)}
    sources = open_sites({name: table.iloc[place] for name, place in places.items()})
    contract = agree(FORMULA, sources)
    blocks = {name: build(FORMULA, contract, source) for name, source in sources.items()}
    check_groups_disjoint(blocks)

    assert contract == pooled_contract
    for name, place in places.items():
        block = blocks[name]
        assert block.columns == pooled.columns
        assert block.X.tobytes("F") == np.asfortranarray(pooled.X[place]).tobytes("F")
        assert block.y.tobytes() == pooled.y[place].tobytes()
        assert block.size.tobytes() == pooled.size[place].tobytes()
        assert block.offset.tobytes() == pooled.offset[place].tobytes()
        assert [block.groups[code] for code in block.group] == table["g"].iloc[place].tolist()


@settings(max_examples=60, deadline=None)
@given(dealt_tables(), st.data())
def test_missing_values_drop_the_same_rows_wherever_they_lie(dealt, data):
    table, site_of = dealt
    gaps = data.draw(st.sets(st.tuples(st.integers(0, len(table) - 5), st.sampled_from("sxzfk")), max_size=8))
    table = table.astype({"s": float, "k": float})
    for row, column in gaps:
        table.loc[row, column] = None
    complete = table.notna().all(axis=1).to_numpy()

    formula = parse("cbind(s, 9 - s) ~ x + z + f + C(k) + (1 | g)")
    pooled_sources = open_sites(table)
    pooled_contract = agree(formula, pooled_sources)
    pooled = build(formula, pooled_contract, pooled_sources["data"], missing="drop")
    assert pooled.dropped == int((~complete).sum())

    site = site_of[table["g"]]
    whole = {i: np.flatnonzero(site == i) for i in np.unique(site) if complete[site == i].any()}
    sources = open_sites({str(i): table.iloc[place] for i, place in whole.items()})
    contract = agree(formula, sources)
    assert contract == pooled_contract
    numbered = np.cumsum(complete) - 1
    for i, place in whole.items():
        block = build(formula, contract, sources[str(i)], missing="drop")
        rows = numbered[place[complete[place]]]
        assert block.X.tobytes("F") == np.asfortranarray(pooled.X[rows]).tobytes("F")
