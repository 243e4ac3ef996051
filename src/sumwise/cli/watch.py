"""What a person sees of a study while it runs, and afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from sumwise.disclosure.policy import meaning
from sumwise.printing import align
from sumwise.protocol.wire.messages import (
    COORDINATOR,
    Abort,
    Answer,
    Ask,
    Finish,
    Hello,
    Message,
    Refuse,
    SiteReady,
    Total,
)

SHORTEST_PAUSE, LONGEST_PAUSE = 0.005, 1.0
"""Seconds between two looks into the folder: short after news, longer and longer without."""

TELL_AFTER = 2.0
"""Seconds after which a person reads who is waited for."""


class Watcher:
    """Prints each message, counts its bytes by round and sender, and waits for the next.

    say: prints a line; patience: seconds without news after which `wait` gives up, None for never.
    """

    def __init__(self, say: Callable[[str], None], patience: float | None = None) -> None:
        self._say, self.patience = say, patience
        self._bytes: dict[tuple[int, str], int] = {}
        self._began = self._news = time.monotonic()
        self._pause = SHORTEST_PAUSE
        self._told: tuple[str, ...] = ()

    def watch(self, message: Message, size: int, said: bool) -> None:
        """For engines.folder: a message that was heard or said."""
        self._news, self._pause, self._told = time.monotonic(), SHORTEST_PAUSE, ()
        if isinstance(message, Ask | Answer | Total):
            key = (message.round, message.sender)
            self._bytes[key] = self._bytes.get(key, 0) + size
        arrow = "sent" if said else "heard"
        self._say(f"{self._news - self._began:7.2f} s  {arrow:5}  {described(message)}, {size} bytes")

    def wait(self, names: tuple[str, ...]) -> bool:
        """For engines.folder: nothing new from these; False gives up."""
        quiet = time.monotonic() - self._news
        if self.patience is not None and quiet >= self.patience:
            return False
        if quiet > TELL_AFTER and names != self._told:
            self._told = names
            self._say(f"           waiting for {', '.join(names)}")
        time.sleep(self._pause)
        self._pause = min(1.5 * self._pause, LONGEST_PAUSE)
        return True

    def table(self) -> list[str]:
        """Bytes by round and sender, as lines; empty where nothing was asked."""
        if not self._bytes:
            return []
        rounds = sorted({number for number, _ in self._bytes})
        names = sorted({name for _, name in self._bytes}, key=lambda name: (name != COORDINATOR, name))
        rows = [[str(number), *(str(self._bytes.get((number, name), 0)) for name in names)] for number in rounds]
        return [
            "Bytes by round and sender (coordinator: question and total)",
            *align([["round", *names], *rows]),
        ]


def described(message: Message) -> str:
    """A message in a few words."""
    match message:
        case Hello():
            return "greeting of the coordinator"
        case SiteReady():
            return f"'{message.sender}' has approved the study and is ready"
        case Ask():
            return f"question of round {message.round}"
        case Answer():
            return f"answer of '{message.sender}' in round {message.round}"
        case Total():
            return f"total of round {message.round} over {len(message.answers)} sites"
        case Refuse():
            return f"'{message.sender}' refuses round {message.round}: {meaning(message.rule, message.threshold)}"
        case Finish():
            return "the study is done"
        case Abort():
            return f"the study ends without a result ('{message.who}': {message.why.words})"
        case _:
            return type(message).__name__


def interrupted(where: str) -> click.ClickException:
    """What a person reads who stopped it."""
    return click.ClickException(f"stopped. Nothing is lost: the same command goes on where {where} stands")
