"""The conversation between a model and the places that hold rows; the same for one machine, a cluster and a
federation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class Engine(Protocol):
    """Whoever adds.  `total` puts the question to every site once and returns the exact sum of their
    answers, or raises SiteError.
    """

    sites: tuple[str, ...]

    def total(self, question: Any) -> Any: ...


class Model(Protocol):
    """Whoever asks.  Pure: `step` sees totals only."""

    def start(self) -> Any: ...
    def ask(self, state: Any) -> Any: ...
    def step(self, state: Any, total: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Round:
    """One question and its total.  number from 1; question, total: as they went out and came back; seconds:
    until the total was there.
    """

    number: int
    question: Any
    total: Any
    seconds: float


def run(
    model: Model, engine: Engine, watch: Callable[[Round, Any], None] | None = None
) -> tuple[Any, tuple[Round, ...]]:
    """Ask until there is no question left.  Returns the last state and the rounds.  watch(round, state) is
    called after each round.
    """
    rounds: list[Round] = []
    state = model.start()
    while (question := model.ask(state)) is not None:
        began = time.perf_counter()
        total = engine.total(question)
        rounds.append(Round(len(rounds) + 1, question, total, time.perf_counter() - began))
        state = model.step(state, total)
        if watch is not None:
            watch(rounds[-1], state)
    return state, tuple(rounds)
