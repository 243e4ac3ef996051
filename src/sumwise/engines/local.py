"""All sites in this process, their groups shared out over threads."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol

from sumwise.threads import processors


class Site(Protocol):
    """Anything that answers questions with summands."""

    def answer(self, question: Any, threads: Executor | None, workers: int) -> Any: ...


class LocalEngine:
    """sites: {name: site}; threads: how many at most (default: the processors that this process may use).
    The sum is exact, so neither the number of threads nor the order of the sites changes a bit of it.  Use
    as a context manager: leaving it ends the threads.
    """

    def __init__(self, sites: Mapping[str, Site], threads: int | None = None) -> None:
        self.sites = tuple(sites)
        self._answering = tuple(sites.values())
        self.threads = threads or processors()
        self._pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None

    def total(self, question: Any) -> Any:
        """Every site is asked once; the exact sum of the answers."""
        answers = (site.answer(question, self._pool, self.threads) for site in self._answering)
        total = next(answers)
        for answer in answers:
            total = total + answer
        return total

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()
