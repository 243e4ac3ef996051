"""A site that somebody starts twice at once: one process goes on, and the other says why it does not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

import sumwise
from sumwise.engines.folder import Mailbox, coordinate, read_ledger, serve
from sumwise.errors import SiteError
from sumwise.protocol.coordinator import CoordinatorState
from sumwise.protocol.states import Phase
from sumwise.studies.centre import open_coordinator, published
from tests.unit.studies.federation import Federation, dealt, federation
from tests.unit.studies.hospitals import tables
from tests.unit.studies.test_same_bits import same

FORMULA = "event ~ x1 + (1 | clinic)"
TWICE, OTHERS = "site-00", ("site-01", "site-02")


def table() -> pd.DataFrame:
    return pd.concat(tables(n=60).values(), ignore_index=True)


@pytest.fixture(scope="module")
def pooled() -> sumwise.Fit:
    return sumwise.fit(FORMULA, table(), family="binomial")


def made(where: Path, *, masked: bool = False) -> Federation:
    return federation(where, FORMULA, dealt(table(), 3, "clinic"), family="binomial", secure_sum=masked)


def rounds_answered(study: Federation) -> Counter[str]:
    """How often the ledger holds each thing that left; it is read and checked anew."""
    return Counter(entry.summary for entry in read_ledger(study.ledger(TWICE)).entries if entry.kind == "answer")


def started(study: Federation, name: str) -> subprocess.Popen[str]:
    words = ("site", "run", str(study.study_path), "--site", str(study.where / name / "site.toml"), "--wait", "60")
    return subprocess.Popen(
        [sys.executable, "-m", "sumwise", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("masked", [False, True])
def test_two_processes_at_once_end_with_one_of_them_or_say_the_same(
    masked: bool, tmp_path: Path, pooled: sumwise.Fit
) -> None:
    study = made(tmp_path, masked=masked)
    running = [started(study, name) for name in (TWICE, TWICE, *OTHERS)]
    try:
        with ThreadPoolExecutor(1) as pool:
            centre = pool.submit(study_of_the_centre, study)
            said = [process.communicate(timeout=120) for process in running]
            state = centre.result()
    finally:
        for process in running:
            process.kill()
    codes = [process.returncode for process in running]
    assert codes[2:] == [0, 0]
    assert sorted(codes[:2]) in ([0, 0], [0, 2])
    for code, (_, err) in zip(codes[:2], said[:2], strict=True):
        assert "Traceback" not in err
        if code:
            assert "SiteError: another process has written to the ledger" in " ".join(err.split())
    assert same(published(study.study, state), pooled)
    answered = rounds_answered(study)
    assert len(answered) == len(pooled.rounds)
    assert set(answered.values()) == {1}


def study_of_the_centre(study: Federation) -> CoordinatorState:
    until = time.monotonic() + 60

    def wait(_names: tuple[str, ...]) -> bool:
        time.sleep(0.01)
        return time.monotonic() < until

    return coordinate(
        open_coordinator(study.study_path, study.where / "coordinator.key"), Mailbox(study.messages), wait
    )


def test_the_process_that_comes_second_to_the_ledger_sends_nothing(tmp_path: Path, pooled: sumwise.Fit) -> None:
    """Both have opened the ledger; one answers, and the other would answer the same question."""
    study = made(tmp_path)
    coordinator = open_coordinator(study.study_path, tmp_path / "coordinator.key")
    mailbox = Mailbox(study.messages)

    def goes_on(*names: str) -> None:
        for name in names:
            opened = study.open(name)
            with pytest.raises(sumwise.SumwiseError):
                serve(opened.agent, opened.mailbox, opened.book, lambda _names: False)

    def asks() -> None:
        with pytest.raises(sumwise.SumwiseError):
            coordinate(coordinator, mailbox, lambda _names: False)

    asks()
    goes_on(*OTHERS, TWICE)  # all are ready
    asks()
    slow = study.open(TWICE)
    goes_on(*OTHERS, TWICE)  # all have answered round 1
    before = {path: path.read_bytes() for path in sorted(study.messages.rglob("*.msg"))}
    ledger = study.ledger(TWICE).read_bytes()
    with pytest.raises(SiteError, match=r"another process has written .* let one process of the site run"):
        serve(slow.agent, slow.mailbox, slow.book, lambda _names: False)
    assert {path: path.read_bytes() for path in sorted(study.messages.rglob("*.msg"))} == before
    assert study.ledger(TWICE).read_bytes() == ledger
    state = study.run()
    assert state.phase is Phase.FINISHED
    assert same(published(study.study, state), pooled)
