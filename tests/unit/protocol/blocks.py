"""Rows for tests of the policy: what both kinds of models read of a design block."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from sumwise.disclosure.facts import (
    Facts,
    Request,
    StudyFacts,
    linear_design,
    linear_question,
    mixed_design,
    mixed_question,
    row_set,
)
from sumwise.models.glmm_messages import Question

QUIET = StudyFacts(
    round=1,
    received=b"question",
    expected=b"question",
    request=Request(b"study", b"v1", row_set(np.arange(1000)), frozenset("ABC"), b"model"),
    earlier=(),
    joint_leverage=0.01,
)
"""A study whose questions are as they should be."""


@dataclass(frozen=True)
class Block:
    """x (p arrays (n,)), named; y, size, offset, weights (n,); group (n,), ten groups unless given."""

    x: tuple[np.ndarray, ...]
    y: np.ndarray
    names: tuple[str, ...] = ()
    offset: np.ndarray | None = None
    weights: np.ndarray | None = None
    trials: np.ndarray | None = None
    label: np.ndarray | None = field(default=None)

    @property
    def columns(self):
        return self.names or tuple(f"x{c}" for c in range(len(self.x)))

    @property
    def size(self):
        return np.ones(len(self.y)) if self.trials is None else self.trials

    @property
    def group(self):
        return np.arange(len(self.y)) % 10 if self.label is None else self.label

    @property
    def groups(self):
        return tuple(range(int(self.group.max()) + 1))

    @property
    def exact(self):
        return (None,) * len(self.x)

    y_exact = offset_exact = weights_exact = None

    def rows(self, places) -> Block:
        return replace(self, x=tuple(x[places] for x in self.x), y=self.y[places])

    def also(self, column) -> Block:
        return replace(self, x=(*self.x, np.asarray(column, dtype=float)), names=())


def block(n: int = 1000, p: int = 6, seed: int = 5, binary: bool = False) -> Block:
    """An intercept and p - 1 normal columns; y depends on them a little."""
    rng = np.random.default_rng(seed)
    x = (np.ones(n), *(rng.normal(size=n) for _ in range(p - 1)))
    eta = 0.3 * x[1]
    y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float) if binary else eta + rng.normal(size=n)
    return Block(x, y)


def linear_facts(rows: Block, study: StudyFacts = QUIET) -> Facts:
    return Facts(linear_design(rows), linear_question(rows), study)


def mixed_facts(rows: Block, question, study: StudyFacts = QUIET) -> Facts:
    return Facts(mixed_design(rows), mixed_question(rows, question), study)


def point(beta, theta: float = 0.0) -> Question:
    """A question at beta, theta, in columns that are not centred."""
    beta = np.asarray(beta, dtype=float)
    return Question(np.zeros(len(beta)), beta, theta, (1,), np.inf)
