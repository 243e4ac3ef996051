"""A study from a formula and an example table."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pandas as pd
import pytest

from sumwise.errors import DataError, UsageError
from sumwise.protocol.study import from_toml, to_toml
from sumwise.studies.plan import plan, planned_before
from tests.unit.studies.hospitals import study

ROWS = pd.DataFrame({"y": [1.0, 2, 4, 3], "x": [0.5, 1, 2, 3], "g": ["a", "b"] * 2, "k": [0, 1, 1, 0]})


def test_a_study_reads_back_and_fits_what_was_asked() -> None:
    made = study("y ~ x + g", ROWS)
    again = from_toml(to_toml(made))
    assert again.digest() == made.digest()
    assert plan(again).contract.names == ("(Intercept)", "x", "gb")
    assert (again.most_rounds, again.family) == (1, "gaussian")


def test_nothing_of_the_example_but_names_and_levels_enters_the_study() -> None:
    other = ROWS.assign(y=[9.0, 8, 7, 6], x=[-1.5, 7, 1e9, 4])
    assert study("y ~ x + g", ROWS).digest() == study("y ~ x + g", other).digest()


def test_what_makes_another_study_changes_the_digest() -> None:
    digests = {
        study("y ~ x + g", ROWS).digest(),
        study("y ~ x", ROWS).digest(),
        study("y ~ x + g", ROWS, units={"x": "mmHg"}).digest(),
        study("y ~ x + g", ROWS, ranges={"x": (0, 5)}).digest(),
        study("y ~ x + g", ROWS, ranges={"x": (0, 6)}).digest(),
        study("y ~ x + g", ROWS, missing="drop").digest(),
        study("y ~ x + g", ROWS, sites=("A", "B")).digest(),
        study("y ~ x + g", ROWS, weights="k").digest(),
        study("y ~ x + g", ROWS.assign(g=["a", "b", "c", "a"])).digest(),
    }
    assert len(digests) == 9


@pytest.mark.parametrize(
    ("formula", "options", "message"),
    [
        ("y ~ scale(x)", {}, r"Write numbers that every site knows"),
        ("y ~ center(x) + g", {}, r"Write numbers that every site knows"),
        ("y ~ x", {"units": {"z": "m"}}, "a unit for 'z', which the formula does not use"),
        ("y ~ x", {"ranges": {"z": (0, 1)}}, "a range for 'z'"),
        ("y ~ x + g", {"ranges": {"g": (0, 1)}}, "no text lies from 0 to 1"),
        ("y ~ x", {"ranges": {"x": (2, 1)}}, "no number lies from 2 to 1"),
        ("k ~ x + (1 | g) + (1 | y)", {"family": "binomial", "nodes": 5}, "with several grouping factors Laplace's"),
        ("k ~ x + (x + y + I(x^2) | g)", {"family": "binomial", "nodes": 5}, "with 4 effects a group Laplace's"),
        ("y ~ x", {"nodes": 3}, "belongs to models with random effects"),
    ],
)
def test_what_a_study_cannot_fit_is_refused(formula: str, options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        study(formula, ROWS, **options)


def test_an_example_without_levels_is_refused() -> None:
    with pytest.raises(DataError, match="only the level 'a'"):
        study("y ~ g", ROWS.assign(g="a"))


def test_a_last_day_that_is_past_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.studies.hospitals.LAST_DAY", date(2020, 2, 29))
    with pytest.raises(UsageError, match="expires: 2020-02-29 is past"):
        study("y ~ x", ROWS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"products": []}, "its contract other ones"),
        ({"names": ["(Intercept)", "gb", "x"]}, "its contract other ones"),
        (
            {"products": [[], [{"atom": 0, "reduced": False}], [{"atom": 0, "reduced": False}]]},
            "its contract other ones",
        ),
        ({"columns": [{"name": "y", "kind": "number"}, {"name": "x", "kind": "number"}]}, "its contract lists"),
        ({"learned": [{"centre": 0.0}]}, "cannot be used"),
        ({"learned": [{"\x1b[31mred": 0.0}]}, r"cannot be used: .*\\x1b\[31mred"),
        ({"products": [[{"atom": 9, "reduced": False}]]}, "its contract other ones"),
    ],
)
def test_a_contract_that_does_not_follow_from_the_formula_is_refused(change: dict, message: str) -> None:
    """Otherwise a site would be asked about other columns than the names say that its steward has read."""
    made = study("y ~ x + g", ROWS)
    with pytest.raises(UsageError, match=message):
        plan(replace(made, contract={**made.contract, **change}))


def test_what_was_asked_before_is_what_the_contract_says() -> None:
    """A later version may read a formula otherwise; the ledger's studies are compared by what was asked."""
    made = study("y ~ x + g", ROWS)
    names = ["(Intercept)", "gb", "x"]
    assert planned_before(replace(made, contract={**made.contract, "names": names})).contract.names == tuple(names)
