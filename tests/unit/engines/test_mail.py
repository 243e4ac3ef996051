"""Studies through a network that only carries mail: requests and replies that are lost, forged, late or foreign."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sumwise.engines.folder import Mailbox
from sumwise.engines.mail import Centre, Desk, Patience, Reply, Request, Status, alone, claim
from sumwise.errors import ProtocolError, SiteError
from sumwise.protocol.coordinator import Coordinator, CoordinatorState
from sumwise.protocol.states import Phase
from sumwise.protocol.wire.messages import COORDINATOR
from tests.unit.engines.nvflare_parts import SITES, open_coordinator, open_site
from tests.unit.protocol.studies import STUDY, ended, herds, key

QUICK = Patience(hold=5.0, grace=0.0, silence=0.3, pause=0.01)


@pytest.fixture(scope="module")
def expected() -> CoordinatorState:
    """The same study in memory."""
    return ended().state


class Network:
    """Desks of three sites in this process.  lose: asked for each request and each reply; True loses it."""

    def __init__(self, where: Path, lose: Callable[[], bool] = lambda: False) -> None:
        self.where, self.lose = where, lose
        self.desks = {site: self.desk(site) for site in SITES}

    def desk(self, site: str) -> Desk:
        (self.where / site).mkdir(exist_ok=True)
        return Desk(lambda: open_site(self.where / site), self.where / site / "lock")

    def __call__(self, requests: Mapping[str, Request], _seconds: float) -> dict[str, Reply]:
        heard = {site: request for site, request in requests.items() if not self.lose()}
        replies = {site: self.desks[site].exchange(request) for site, request in heard.items()}
        return {site: reply for site, reply in replies.items() if not self.lose()}


def run(
    where: Path,
    carry: Callable[[Mapping[str, Request], float], Mapping[str, Reply]],
    patience: Patience = QUICK,
    coordinator: Coordinator | None = None,
) -> CoordinatorState:
    return Centre(coordinator or open_coordinator(), Mailbox(where / "centre"), carry, patience).run()


def test_mail_gives_the_bits_of_the_study_in_memory(tmp_path: Path, expected: CoordinatorState) -> None:
    network = Network(tmp_path)
    assert run(tmp_path, network).totals == expected.totals
    asked = [network.desks[site].exchange(_request(site)) for site in SITES]
    assert {reply.status for reply in asked} == {Status.ENDED}


def test_every_round_costs_one_exchange(tmp_path: Path, expected: CoordinatorState) -> None:
    """And one more each for the greeting and the end."""
    network, exchanges = Network(tmp_path), []

    def carry(requests: Mapping[str, Request], seconds: float) -> dict[str, Reply]:
        exchanges.append(requests)
        return network(requests, seconds)

    run(tmp_path, carry)
    assert len(exchanges) == expected.round + 2


@settings(max_examples=8, deadline=None)
@given(lost=st.lists(st.booleans(), max_size=60))
def test_whatever_is_lost_on_the_way_the_bits_are_the_same(lost: list[bool], expected: CoordinatorState) -> None:
    left = [*lost]
    with TemporaryDirectory() as place:
        network = Network(Path(place), lambda: bool(left) and left.pop())
        patient = replace(QUICK, silence=30.0, pause=0.0)
        assert run(Path(place), network, patient).totals == expected.totals


@pytest.mark.parametrize("stop", [1, 2, 5, 8])
def test_centre_and_sites_that_start_again_go_on(stop: int, tmp_path: Path, expected: CoordinatorState) -> None:
    """After so many exchanges everybody forgets all that is not on the disk."""
    network, left = Network(tmp_path), [stop]

    def carry(requests: Mapping[str, Request], seconds: float) -> dict[str, Reply]:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return network(requests, seconds)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, carry)
    for desk in network.desks.values():
        desk.forget = 0.0
        desk.exchange(_request(desk.reopen().agent.name))
    assert run(tmp_path, Network(tmp_path), replace(QUICK, silence=10.0)).totals == expected.totals


def test_a_site_that_does_not_reply_is_named_and_nothing_is_summed(tmp_path: Path) -> None:
    network = Network(tmp_path)

    def carry(requests: Mapping[str, Request], seconds: float) -> dict[str, Reply]:
        return network({site: request for site, request in requests.items() if site != "site 1"}, seconds)

    with pytest.raises(SiteError, match=r"no sign of 'site 1' for 0\.3 seconds.*no sum was made without them"):
        run(tmp_path, carry)
    assert Mailbox(tmp_path / "centre").read(COORDINATOR, 2) is None


def test_a_site_that_is_busy_with_the_answer_is_waited_for(tmp_path: Path, expected: CoordinatorState) -> None:
    """It needs longer than anybody waits for a silent one."""
    network = Network(tmp_path)
    slow = network.desks["site 0"]
    reopen = slow.reopen

    def late() -> object:
        time.sleep(3 * QUICK.silence)
        return reopen()

    slow.reopen = late  # type: ignore[assignment]
    assert run(tmp_path, network, replace(QUICK, hold=0.05)).totals == expected.totals


def test_a_failing_site_is_named_and_its_words_stay_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = Network(tmp_path)

    def broken() -> object:
        raise OSError("patients.csv: row 17 is unreadable")

    network.desks["site 2"].reopen = broken  # type: ignore[assignment]
    with pytest.raises(SiteError, match="'site 2' could not do its part; its own log says why") as caught:
        run(tmp_path, network)
    assert "row 17" not in str(caught.value)
    assert "row 17" in caplog.text


def test_only_one_process_of_a_site_serves_and_a_dead_one_lets_go(tmp_path: Path, expected: CoordinatorState) -> None:
    network = Network(tmp_path)
    ready, lock = multiprocessing.get_context("spawn").Event(), tmp_path / "site 0" / "lock"
    other = multiprocessing.get_context("spawn").Process(target=_hold, args=(lock, ready))
    other.start()
    try:
        assert ready.wait(30)
        assert network.desks["site 0"].exchange(_request("site 0")).status is Status.BUSY
        with pytest.raises(SiteError, match="no sign of 'site 0'"):
            run(tmp_path, network)
    finally:
        other.kill()
        other.join()
    assert run(tmp_path, network).totals == expected.totals


def _hold(lock: Path, ready: object) -> None:
    with alone(lock):
        ready.set()  # type: ignore[attr-defined]
        time.sleep(60)


def _request(site: str, proof: bytes | None = None) -> Request:
    return Request(0, (), 0, 5.0, key(COORDINATOR).sign(claim(STUDY, site)) if proof is None else proof)


@pytest.mark.parametrize("forged", ["nothing", "another site's", "signed by a site"])
def test_a_site_gives_its_mail_to_nobody_but_the_coordinator(forged: str, tmp_path: Path) -> None:
    network = Network(tmp_path)
    with suppress(SiteError):
        run(tmp_path, network)
    proof = {
        "nothing": b"",
        "another site's": key(COORDINATOR).sign(claim(STUDY, "site 1")),
        "signed by a site": key("site 1").sign(claim(STUDY, "site 0")),
    }[forged]
    assert network.desks["site 0"].exchange(_request("site 0")).envelopes
    with pytest.raises(ProtocolError, match="a request for mail that the coordinator did not sign"):
        network.desks["site 0"].exchange(_request("site 0", proof))


def test_a_reply_of_a_stranger_is_refused(tmp_path: Path) -> None:
    network = Network(tmp_path)

    def carry(requests: Mapping[str, Request], seconds: float) -> dict[str, Reply]:
        return {**network(requests, seconds), "site 9": Reply(Status.WAITING, 0, ())}

    with pytest.raises(SiteError, match="a reply from 'site 9', who is no site of this study"):
        run(tmp_path, carry)


@pytest.mark.parametrize("how", ["another site's", "cut", "an older one", "not his own"])
def test_an_envelope_that_cannot_be_trusted_never_becomes_a_file(
    how: str, tmp_path: Path, expected: CoordinatorState
) -> None:
    network = Network(tmp_path)

    def carry(requests: Mapping[str, Request], seconds: float) -> dict[str, Reply]:
        replies = network(requests, seconds)
        reply, first = replies["site 0"], Mailbox(tmp_path / "centre").read("site 0", 1)
        if requests["site 0"].have == 1 and reply.envelopes and first is not None:
            wrong = {
                "another site's": replies["site 1"].envelopes,
                "cut": (reply.envelopes[0][:-1],),
                "an older one": (first,),
                "not his own": requests["site 0"].envelopes[:1],
            }[how]
            return {**replies, "site 0": replace(reply, envelopes=wrong)}
        return replies

    with pytest.raises(SiteError, match=r"'site 0' sent what cannot be trusted: .*Nothing of it was used"):
        run(tmp_path, carry)
    assert Mailbox(tmp_path / "centre").read("site 0", 2) is None
    assert run(tmp_path, network).totals == expected.totals


def test_a_site_keeps_nothing_that_the_coordinator_did_not_say(tmp_path: Path) -> None:
    desk = Network(tmp_path).desk("site 0")
    request = replace(_request("site 0"), envelopes=(b"SUMM" + bytes(200),))
    assert desk.exchange(request).status is Status.FAILED
    assert Mailbox(tmp_path / "site 0" / "messages").read(COORDINATOR, 1) is None


def test_a_study_that_a_site_refuses_ends_for_all(tmp_path: Path) -> None:
    """The coordinator of another model asks what no site expects."""
    model, _, _ = herds()
    other = replace(open_coordinator(), model=type(model)(model.columns, model.group, nodes=3))
    state = run(tmp_path, Network(tmp_path), coordinator=other)
    assert state.phase is Phase.ABORTED
    assert state.ended is not None
    assert state.ended[0] in SITES
