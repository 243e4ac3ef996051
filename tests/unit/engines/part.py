"""One part of a study in a process of its own: python -m tests.unit.engines.part FOLDER NAME [DIE_AFTER].

NAME is "coordinator" or a site; DIE_AFTER: the process kills itself, without a word, right after it has written so many
files (before the last one has its name, if the number is odd and negative).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from sumwise.engines import folder
from sumwise.protocol.wire.messages import COORDINATOR
from tests.unit.protocol.studies import herds, study


def main() -> None:
    where, name, die = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0
    if die:
        _die(abs(die), before=die < 0)
    model, rows, _ = herds()
    found, _ = study(model, rows)
    mailbox, until = folder.Mailbox(where / "shared"), time.monotonic() + 60

    def wait(_names: tuple[str, ...]) -> bool:
        time.sleep(0.01)
        return time.monotonic() < until

    if name == COORDINATOR:
        state = folder.coordinate(found.coordinator, mailbox, wait)
        (where / "result").write_bytes(b"".join(state.totals))
    else:
        folder.serve(found.agents[name], mailbox, folder.LedgerFile(where / f"{name}.ledger"), wait)


def _die(after: int, *, before: bool) -> None:
    """Files get their names through os.replace: the process ends just before or after the given one does."""
    real, left = os.replace, [after]

    def replace(source: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] == 0 and before:
            os.kill(os.getpid(), signal.SIGKILL)
        real(source, target)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace  # type: ignore[assignment]


if __name__ == "__main__":
    main()
