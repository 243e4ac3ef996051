"""How many threads make sense here, and which numbers of them a caller may ask for."""

from __future__ import annotations

import os
from numbers import Integral
from typing import Any

from sumwise.errors import UsageError

WORTHWHILE = 50_000
"""Rows that are worth a thread."""


def processors() -> int:
    """How many this process may use; where the system does not tell, how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads: Any) -> None:
    """Raises UsageError unless it is None or a whole number from 1."""
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, Integral) or int(threads) < 1):
        raise UsageError(f"threads={threads!r}: a whole number from 1")
