"""Studies through files: real processes killed and started again, files that are lost, cut, changed or moved."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from sumwise.engines.folder import LedgerFile, Mailbox, coordinate, serve, write_whole
from sumwise.errors import ProtocolError, SiteError, UsageError
from sumwise.protocol.coordinator import CoordinatorState
from sumwise.protocol.states import Phase
from sumwise.protocol.wire.messages import COORDINATOR, MOST_BYTES, Total, decode_signed
from tests.unit.protocol.studies import Study, ended, herds, study

NAMES = (COORDINATOR, "site 0", "site 1", "site 2")


def never(_names: tuple[str, ...]) -> bool:
    return False


@pytest.fixture(scope="module")
def expected() -> CoordinatorState:
    """The same study in memory."""
    return ended().state


def fresh() -> Study:
    model, rows, _ = herds()
    found, _ = study(model, rows)
    return found


def step(where: Path, name: str) -> None:
    """One part does what it can, then stops because nothing more is there to read."""
    found, mailbox = fresh(), Mailbox(where / "shared")
    with suppress(SiteError):
        if name == COORDINATOR:
            coordinate(found.coordinator, mailbox, never)
        else:
            serve(found.agents[name], mailbox, LedgerFile(where / f"{name}.ledger"), never)


def go_on(where: Path) -> CoordinatorState:
    """All parts in turn, each started anew every time, until the study has ended."""
    for _ in range(40):
        for name in NAMES:
            step(where, name)
        found = fresh()
        try:
            return coordinate(found.coordinator, Mailbox(where / "shared"), never)
        except SiteError:
            continue
    raise AssertionError("the study did not end")


def test_parts_that_start_anew_at_every_message_reach_the_same_bits(tmp_path: Path, expected: CoordinatorState) -> None:
    state = go_on(tmp_path)
    assert state.phase is Phase.FINISHED
    assert state.totals == expected.totals


def start(where: Path, name: str, die: int = 0) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.unit.engines.part", str(where), name, *([str(die)] if die else [])]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


@pytest.mark.parametrize(
    ("name", "die"),
    [
        *(
            (COORDINATOR, die) for die in (1, -2, 3, -16, 16)
        ),  # it waits, asks, has a total, is about to finish, has finished
        *(
            ("site 1", die) for die in (1, -2, 2, -8)
        ),  # it is ready, about to answer, has answered, about to answer last
    ],
)
def test_a_process_killed_while_it_writes_is_started_again(
    name: str, die: int, tmp_path: Path, expected: CoordinatorState
) -> None:
    """Killed just before (negative) or just after its file number `die` is there: the same bits in the end."""
    running = [start(tmp_path, other, die if other == name else 0) for other in NAMES]
    killed = running[NAMES.index(name)]
    assert killed.wait(60) == -signal.SIGKILL
    again = start(tmp_path, name)
    for process in [*running, again]:
        if process is not killed:
            assert process.wait(60) == 0, process.stderr and process.stderr.read().decode()[-500:]
        assert process.stderr is not None
        process.stderr.close()
    assert (tmp_path / "result").read_bytes() == b"".join(expected.totals)


def ready(where: Path) -> None:
    """Every site has approved and answered round 1 but site 2."""
    for name in (COORDINATOR, "site 0", "site 1", "site 2", COORDINATOR, "site 0", "site 1"):
        step(where, name)


def test_a_missing_site_is_named_and_no_partial_sum_is_made(tmp_path: Path) -> None:
    ready(tmp_path)
    with pytest.raises(SiteError, match="round 1 is open: no answer from 'site 2'"):
        coordinate(fresh().coordinator, Mailbox(tmp_path / "shared"), never)
    assert Mailbox(tmp_path / "shared").read(COORDINATOR, 3) is None


@pytest.mark.parametrize("how", ["cut", "flipped", "of another site", "an older one"])
def test_a_file_that_cannot_be_trusted_is_named_and_can_be_sent_again(
    how: str, tmp_path: Path, expected: CoordinatorState
) -> None:
    ready(tmp_path)
    step(tmp_path, "site 2")
    path = Mailbox(tmp_path / "shared").path("site 2", 2)
    good = path.read_bytes()
    path.write_bytes(
        {
            "cut": good[:-10],
            "flipped": good[:100] + bytes([good[100] ^ 1]) + good[101:],
            "of another site": Mailbox(tmp_path / "shared").path("site 1", 2).read_bytes(),
            "an older one": Mailbox(tmp_path / "shared").path("site 2", 1).read_bytes(),
        }[how]
    )
    with pytest.raises(SiteError, match="Nothing of it was used, and the study stands; ask 'site 2' to send this file"):
        coordinate(fresh().coordinator, Mailbox(tmp_path / "shared"), never)
    path.write_bytes(good)
    assert go_on(tmp_path).totals == expected.totals


@pytest.mark.parametrize("what", ["a folder", "a pipe", "a socket", "a long file", "a link", "a link to itself"])
def test_what_no_message_can_be_is_named_and_not_read(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(tmp_path)
    path = Mailbox(tmp_path / "shared").path("site 2", 2)
    if what == "a folder":
        path.mkdir()
    elif what == "a pipe":
        os.mkfifo(path)  # whoever reads it waits for ever
    elif what == "a socket":
        with socket.socket(socket.AF_UNIX) as end:
            monkeypatch.chdir(path.parent)
            end.bind(path.name)
    elif what == "a link":  # to what would be a message
        path.symlink_to(Mailbox(tmp_path / "shared").path("site 2", 1))
    elif what == "a link to itself":
        path.symlink_to(path)
    else:
        path.touch()
        os.truncate(path, MOST_BYTES + 1)
    with pytest.raises(SiteError, match=r"site 2/000002.msg is no message"):
        coordinate(fresh().coordinator, Mailbox(tmp_path / "shared"), never)


def test_a_full_disk_under_the_messages_is_named_and_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: CoordinatorState
) -> None:
    ready(tmp_path)

    def full(_source: object, _target: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("sumwise.engines.folder.os.replace", full)
        with pytest.raises(SiteError, match=r"000002.msg cannot be written \(No space left on device\)"):
            serve(
                fresh().agents["site 2"],
                Mailbox(tmp_path / "shared"),
                LedgerFile(tmp_path / "site 2.ledger"),
                never,
            )
    assert go_on(tmp_path).totals == expected.totals


def test_a_folder_of_another_run_is_not_overwritten(tmp_path: Path) -> None:
    write_whole(Mailbox(tmp_path / "shared").path(COORDINATOR, 1), b"something else")
    with pytest.raises(SiteError, match=r"another run of this one.*Nothing was overwritten"):
        coordinate(fresh().coordinator, Mailbox(tmp_path / "shared"), never)


def test_a_link_in_the_way_of_a_message_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever shares the folder may lay links under the name that a file has before it is whole."""
    target, precious = tmp_path / "shared" / "000001.msg", tmp_path / "precious"
    precious.write_bytes(b"rows")
    target.parent.mkdir()
    target.with_name(f".{target.name}.{os.getpid()}").symlink_to(precious)
    write_whole(target, b"a message")
    assert (target.read_bytes(), target.is_symlink(), precious.read_bytes()) == (b"a message", False, b"rows")
    monkeypatch.setattr("sumwise.engines.folder.secrets.token_hex", lambda _size: "guessed")
    target.with_name(f".{target.name}.guessed").symlink_to(precious)
    with pytest.raises(FileExistsError):
        write_whole(target, b"another")
    assert (target.read_bytes(), precious.read_bytes()) == (b"a message", b"rows")


def test_a_message_has_the_rights_that_the_folder_is_shared_with(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "000001.msg", b"a message")
    finally:
        os.umask(before)
    assert (tmp_path / "000001.msg").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("mode", [0o640, 0o602, 0o660, 0o604])
def test_a_ledger_is_its_owners_alone(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "l"
    LedgerFile(path).append("note", b"", "the first entry")
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(mode)
    with pytest.raises(UsageError, match=f"can be read or written by others than its owner; run chmod 600 {path}"):
        LedgerFile(path)
    path.chmod(0o600)
    assert len(LedgerFile(path).entries) == 1


def test_the_ledger_holds_every_answer_that_left(tmp_path: Path, expected: CoordinatorState) -> None:
    go_on(tmp_path)
    book, mailbox = LedgerFile(tmp_path / "site 1.ledger"), Mailbox(tmp_path / "shared")
    left = [entry.payload for entry in book.entries if entry.kind in ("site-ready", "answer")]
    assert left == [mailbox.read("site 1", number) for number in range(1, expected.round + 2)]
    heard = [entry.payload for entry in book.entries if entry.kind == "total"]
    envelopes = [e for number in range(1, 2 * expected.round + 3) if (e := mailbox.read(COORDINATOR, number))]
    told = [e for e in envelopes if isinstance(decode_signed(e), Total)]
    assert len(told) == expected.round
    assert heard == told[: len(heard)]
    assert len(heard) >= expected.round - 1  # the others may have ended before this site read the last one


def test_a_ledger_that_was_changed_is_refused_and_one_torn_by_a_crash_goes_on(
    tmp_path: Path, expected: CoordinatorState
) -> None:
    ready(tmp_path)
    path = tmp_path / "site 1.ledger"
    good = path.read_bytes()
    path.write_bytes(good[:60] + bytes([good[60] ^ 1]) + good[61:])
    with pytest.raises(ProtocolError, match="ledger entry 1"):
        LedgerFile(path)
    path.write_bytes(good + good[:25])
    assert go_on(tmp_path).totals == expected.totals


def test_a_full_disk_under_the_ledger_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry cannot be written: no answer is in the folder, and the study goes on when there is room again."""
    for name in (COORDINATOR, "site 0", "site 1", "site 2", COORDINATOR):
        step(tmp_path, name)
    book, before = LedgerFile(tmp_path / "site 0.ledger"), (tmp_path / "site 0.ledger").read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("sumwise.engines.folder.os.fsync", full)
        with pytest.raises(SiteError, match=r"site 0.ledger cannot be written \(No space left on device\)"):
            serve(fresh().agents["site 0"], Mailbox(tmp_path / "shared"), book, never)
    assert Mailbox(tmp_path / "shared").read("site 0", 2) is None
    assert (tmp_path / "site 0.ledger").read_bytes() == before
    assert go_on(tmp_path).phase is Phase.FINISHED
