"""Studies of three sites over NVFLARE, by real processes: the bits of the fit to all rows in one table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("nvflare")

import sumwise
from sumwise.engines.folder import Mailbox, coordinate
from sumwise.engines.nvflare_federation import SERVER, Federation, provision, run_job
from sumwise.studies.centre import open_coordinator, published, replay
from tests.unit.studies.federation import dealt, federation
from tests.unit.studies.test_same_bits import CASES, same, table_of

# NVFLARE warns of what it does itself, in threads of its own
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

MASKED = {"cbpp": False, "contraception": True, "toenail": False, "Longley": True}
"""Plain and masked sums take turns: one of each model is enough here."""
OF_THREE = [(*case[:3], MASKED[case[0]]) for case in CASES if case[3] == 3 and case[0] in MASKED]
SITES = ("site-00", "site-01", "site-02")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    made = provision(tmp_path_factory.mktemp("network"), SITES)
    with made.up(SERVER, *SITES):
        yield made


@pytest.mark.parametrize(("name", "formula", "by", "masked"), OF_THREE, ids=lambda v: str(v)[:14])
def test_a_study_over_a_network_gives_the_bits_of_the_pooled_fit(
    network: Federation, name: str, formula: str, by: str | None, masked: bool, tmp_path: Path
) -> None:
    table, family = table_of(name), "binomial" if by else "gaussian"
    options = {"decimal": False} if masked and not by else {}
    study = federation(tmp_path, formula, dealt(table, 3, by), family=family, secure_sum=masked, **options)
    key = tmp_path / "coordinator.key"
    opens = "sumwise.studies.centre:open_coordinator"
    network.serves(SERVER, opens, study.study_path, key, folder=study.messages)
    for site in SITES:
        paths = (tmp_path / site / "site.toml", study.study_path, tmp_path / site / "messages")
        network.serves(site, "sumwise.studies.site:open_site", *paths)
    run_job(network, study.messages)
    state = coordinate(open_coordinator(study.study_path, key), Mailbox(study.messages), lambda _names: False)
    pooled = sumwise.fit(formula, table, family=family)
    assert same(published(study.study, state), pooled)
    assert same(replay(study.study_path, study.messages), pooled)
    assert same(replay(study.study_path, study.ledger("site-02")), pooled)
