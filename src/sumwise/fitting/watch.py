"""Keeps a record of each round, and shows the rounds of a long fit to whoever waits for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from sumwise.loop import Round
from sumwise.results.record import RoundRecord

PROGRESS_AFTER = 2.0
"""Seconds after which a fit starts to show its rounds."""


def watcher(
    records: list[RoundRecord], record: Callable[[Round, Any], RoundRecord], progress: bool | None
) -> Callable[[Round, Any], None]:
    """What `run` calls after each round: adds record(round, state) to `records`, and shows it on standard error if
    `progress` says so, or, where it is None, if the fit takes long and a person is watching.
    """
    began = time.perf_counter()

    def watch(round_: Round, state: Any) -> None:
        records.append(record(round_, state))
        watched = sys.stderr.isatty() and time.perf_counter() - began > PROGRESS_AFTER
        if progress or (progress is None and watched):
            print(_line(records[-1]), file=sys.stderr, flush=True)

    return watch


def _line(record: RoundRecord) -> str:
    what = "" if record.loglik is None else f"  loglik {record.loglik:.6f}  could move {record.move:.1e} SE"
    return f"round {record.number}: {record.seconds:.2f} s{what}"
