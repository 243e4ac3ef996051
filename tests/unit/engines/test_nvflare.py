"""Studies over NVFLARE: real certificates and processes, killed and started again, and everybody who must stay out.

One federation serves all of these tests; each has a study of its own in it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("nvflare")

from sumwise.engines.folder import LedgerFile, Mailbox, coordinate
from sumwise.engines.nvflare import client_name
from sumwise.engines.nvflare_federation import (
    SERVER,
    Federation,
    family,
    provision,
    run_job,
    session,
    write_job,
)
from sumwise.errors import SiteError
from sumwise.protocol.coordinator import CoordinatorState
from sumwise.protocol.wire.messages import COORDINATOR, Message, Total
from tests.unit.engines.nvflare_parts import SITES, open_coordinator
from tests.unit.protocol.studies import ended

# NVFLARE warns of what it does itself, in threads of its own
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
PARTS = "tests.unit.engines.nvflare_parts"


@pytest.fixture(scope="module")
def expected() -> tuple[CoordinatorState, list[bytes]]:
    """The same study in memory: its end, and all that the coordinator said."""
    found = ended()
    return found.state, found.told


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """The server lets code pass, so that it is the sites that refuse it."""
    made = provision(tmp_path_factory.mktemp("federation"), SITES)
    path = made.kit(SERVER) / "local" / "authorization.json"
    path.write_text(path.read_text().replace('"byoc": "none"', '"byoc": "any"'))
    with made.up(SERVER, *SITES):
        yield made
    assert not [process for who in (SERVER, *SITES) for process in family(made.kit(who))]


def serve(federation: Federation, where: Path, die: dict[str, int] | None = None) -> Path:
    """Everybody serves the study of the herds under `where`; returns the folder of messages.  die: as in part.py."""
    dies = {who: (str(files),) for who, files in (die or {}).items()}
    federation.serves(SERVER, f"{PARTS}:open_coordinator", *dies.get(SERVER, ()), folder=where / "messages")
    for site in SITES:
        (where / site).mkdir(exist_ok=True)
        federation.serves(site, f"{PARTS}:open_site", where / site, *dies.get(site, ()))
    return where / "messages"


def check_same(messages: Path, where: Path, expected: tuple[CoordinatorState, list[bytes]]) -> None:
    """Every byte that the coordinator said, its totals, and every site's end and ledger."""
    state, told = expected
    found = coordinate(open_coordinator(), Mailbox(messages), lambda _names: False)
    assert found.totals == state.totals
    assert [Mailbox(messages).read(COORDINATOR, k + 1) for k in range(len(told))] == told
    for site in SITES:
        at_site = Mailbox(where / site / "messages")
        assert [at_site.read(COORDINATOR, k + 1) for k in range(len(told))] == told
        answers = LedgerFile(where / site / "ledger").answers(open_coordinator().terms.study)
        assert sorted(answers) == list(range(1, state.round + 1))


def test_a_study_over_mutual_tls_gives_the_bytes_of_the_study_in_memory(
    federation: Federation, tmp_path: Path, expected: tuple[CoordinatorState, list[bytes]]
) -> None:
    messages = serve(federation, tmp_path)
    seen: list[Message] = []
    run_job(federation, messages, lambda message, _size: seen.append(message))
    check_same(messages, tmp_path, expected)
    assert [message.round for message in seen if isinstance(message, Total)] == list(range(1, expected[0].round + 1))
    said = json.loads((federation.kit(SERVER) / "startup" / "fed_server.json").read_text())
    assert said["servers"][0]["connection_security"] == "mtls"


def test_a_site_killed_in_a_round_is_named_and_the_next_job_ends_with_the_same_bytes(
    federation: Federation, tmp_path: Path, expected: tuple[CoordinatorState, list[bytes]]
) -> None:
    messages = serve(federation, tmp_path, {"site 1": -6})
    with pytest.raises(SiteError, match=r"waiting for 'site 1'\. .*no sum was made without them"):
        run_job(federation, messages)
    assert 0 < len([*(messages / COORDINATOR).iterdir()]) < len(expected[1])
    federation.kill("site 1")
    serve(federation, tmp_path)
    federation.start("site 1")
    run_job(federation, messages)
    check_same(messages, tmp_path, expected)


def test_a_server_killed_is_followed_by_a_new_job_over_the_same_folder(
    federation: Federation, tmp_path: Path, expected: tuple[CoordinatorState, list[bytes]]
) -> None:
    messages = serve(federation, tmp_path, {SERVER: 12})
    with session(federation) as admin:
        admin.submit_job(str(write_job(tmp_path / "job", SITES)))
        _until(lambda: len([*messages.glob("*/0*.msg")]) >= 12)
    before = {path: path.read_bytes() for path in messages.glob("*/0*.msg")}
    federation.kill(SERVER)
    serve(federation, tmp_path)
    federation.start(SERVER)
    run_job(federation, messages)
    check_same(messages, tmp_path, expected)
    assert all(path.read_bytes() == content for path, content in before.items())


def _until(holds: object, seconds: float = 60.0) -> None:
    assert callable(holds)
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.parametrize("how", ["code", "class"])
def test_a_job_with_code_or_another_class_is_refused(federation: Federation, tmp_path: Path, how: str) -> None:
    """The code would leave a file behind; so would the class, which the standard library has."""
    messages = serve(federation, tmp_path)
    job = write_job(tmp_path / "job", SITES)
    config = job / "app" / "config" / "config_fed_client.json"
    if how == "code":
        (job / "app" / "custom").mkdir()
        (job / "app" / "custom" / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
        path, args = "theirs.Theirs", {}
    else:
        path, args = "pathlib.Path.touch", {"self": str(tmp_path / "ran")}
    said = json.loads(config.read_text())
    said["components"] = [{"id": "theirs", "path": path, "args": args}]
    config.write_text(json.dumps(said))
    with session(federation) as admin:
        number = admin.submit_job(str(job))
        _until(lambda: "FINISHED" in admin.get_job_status(number))
        status = admin.get_job_status(number)
    assert status != "FINISHED:COMPLETED"
    assert not (tmp_path / "ran").exists()
    assert not [*messages.glob("site*/*.msg")]
    who, words = {
        "code": (SERVER, f"{client_name('site 0')}: NVFLARE_ERROR: BYOC not permitted"),
        "class": ("site 0", "'pathlib.Path.touch' at config path 'components.#1' is not in allow_list"),
    }[how]
    assert words in federation.log(who).read_text(encoding="utf-8", errors="replace")


@pytest.mark.parametrize("who", ["certificate of another project", "name of another site"])
def test_a_client_that_is_not_who_it_says_cannot_take_part(federation: Federation, tmp_path: Path, who: str) -> None:
    """A stranger calls itself 'site 0'; then 'site 2' does."""
    port = json.loads((federation.kit("site 0") / "startup" / "fed_client.json").read_text())["servers"][0]["service"]
    if who == "name of another site":
        kit = tmp_path / client_name("site 0")
        shutil.copytree(federation.kit("site 2"), kit, ignore=shutil.ignore_patterns("*.txt", "*-*-*"))
        stranger = Federation(tmp_path, SITES)
        log, refused = federation.log(SERVER), "authenticated as 'site_202' but claimed endpoint 'site_200'"
    else:
        stranger = provision(tmp_path, SITES)
        path = stranger.kit("site 0") / "startup" / "fed_client.json"
        said = json.loads(path.read_text())
        said["servers"][0]["service"] = port
        path.write_text(json.dumps(said))
        log, refused = stranger.log("site 0"), "CERTIFICATE_VERIFY_FAILED"
    federation.kill("site 0")
    try:
        with session(federation) as admin:
            if "site_200" in {client.name for client in admin.get_connected_client_list()}:
                admin.remove_client("site_200")
            stranger.start("site 0")
            _until(lambda: refused in log.read_text(encoding="utf-8", errors="replace"))
            assert "site_200" not in {client.name for client in admin.get_connected_client_list()}
    finally:
        stranger.stop()
        federation.start("site 0")
