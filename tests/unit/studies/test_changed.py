"""Rows that change while a study runs: no sum of them joins those of the rows that answered before."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sumwise.engines.folder import Mailbox, coordinate, serve
from sumwise.errors import NothingNewError, SiteError
from sumwise.protocol.states import Phase
from sumwise.studies.centre import open_coordinator
from tests.unit.studies.federation import Federation, federation

FORMULA = "y ~ x + z + (1 | g)"


def made(where: Path) -> Federation:
    rng = np.random.default_rng(4)
    parts = {}
    for k, name in enumerate("ABC"):
        x, z, g = rng.normal(size=120), rng.normal(size=120), 100 * k + np.arange(120) % 12
        y = (rng.random(120) < 1 / (1 + np.exp(-x - rng.normal(size=12)[np.arange(120) % 12]))).astype(int)
        parts[name] = pd.DataFrame({"y": y, "x": x, "z": z, "g": g})
    return federation(where, FORMULA, parts, family="binomial")


def never(_names: tuple[str, ...]) -> bool:
    return False


def turn(of: Federation, sites: str = "ABC") -> None:
    """Everybody reads what is there, answers, and stops."""
    with suppress(NothingNewError):
        coordinate(open_coordinator(of.study_path, of.where / "coordinator.key"), Mailbox(of.messages), never)
    for site in sites:
        opened = of.open(site)
        with suppress(NothingNewError):
            of.states[site] = serve(opened.agent, opened.mailbox, opened.book, never)


def reverse(of: Federation, site: str, column: str) -> None:
    """Another order of one column: column sums and counts, all that round 1 asks for, stay as they are."""
    path = of.where / site / "rows.csv"
    rows = pd.read_csv(path)
    rows[column] = rows[column].to_numpy()[::-1]
    rows.to_csv(path, index=False)


def test_a_column_in_another_order_after_round_one_ends_the_study(tmp_path: Path) -> None:
    of = made(tmp_path)
    turn(of)  # greeting
    turn(of)  # round 1
    assert of.open("A").book.answers(of.study.digest()).keys() == {1}
    reverse(of, "A", "z")
    for _ in range(20):
        turn(of)
    state = of.states["A"]
    assert state.phase is Phase.ABORTED
    assert state.ended is not None
    assert state.ended[1].words == "the data changed between rounds"
    assert of.open("A").book.answers(of.study.digest()).keys() == {1}


def test_rows_put_back_as_they_were_go_on(tmp_path: Path) -> None:
    of = made(tmp_path)
    turn(of)
    turn(of)
    reverse(of, "A", "z")
    changed = of.open("A")
    assert changed.agent.changed
    reverse(of, "A", "z")
    assert not of.open("A").agent.changed
    for _ in range(20):
        turn(of)
    assert of.states["A"].phase is Phase.FINISHED


def test_rows_that_changed_before_any_answer_are_the_rows(tmp_path: Path) -> None:
    of = made(tmp_path)
    of.open("A")
    reverse(of, "A", "z")
    of.open("A")
    reverse(of, "A", "z")
    for _ in range(20):
        turn(of)
    assert of.states["A"].phase is Phase.FINISHED


def test_a_site_with_other_rows_shows_no_effects_of_its_groups(tmp_path: Path) -> None:
    of = made(tmp_path)
    for _ in range(20):
        turn(of)
    assert of.states["A"].phase is Phase.FINISHED
    reverse(of, "A", "z")
    opened = of.open("A")
    state = serve(opened.agent, opened.mailbox, opened.book, never)
    with pytest.raises(SiteError, match="no longer those that answered"):
        opened.result(state)
