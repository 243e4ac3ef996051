"""The conversation, with a model and an engine made of integers, and the engine in this process."""

from concurrent.futures import Executor

import pytest

from sumwise.engines.local import LocalEngine
from sumwise.loop import run


class Halving:
    """Asks for the total of numbers, halved each time, until it is below 2."""

    def start(self):
        return 1

    def ask(self, state):
        return state

    def step(self, state, total):
        return None if total < 2 else 2 * state


class Numbers:
    """A site that holds one number and answers with number // question."""

    def __init__(self, number: int, heard: list) -> None:
        self.number, self.heard = number, heard

    def answer(self, question, threads: Executor | None, workers: int):
        self.heard.append((self.number, question, threads is not None, workers))
        return self.number // question


def test_it_asks_until_there_is_no_question_left_and_keeps_every_round():
    with LocalEngine({"a": Numbers(16, []), "b": Numbers(8, [])}, 1) as engine:
        state, rounds = run(Halving(), engine)
    assert state is None
    assert [(r.number, r.question, r.total) for r in rounds] == [
        (1, 1, 24),
        (2, 2, 12),
        (3, 4, 6),
        (4, 8, 3),
        (5, 16, 1),
    ]
    assert all(r.seconds >= 0 for r in rounds)


def test_each_site_is_asked_once_a_round_in_order():
    heard: list = []
    with LocalEngine({"b": Numbers(3, heard), "a": Numbers(5, heard)}, 1) as engine:
        assert engine.sites == ("b", "a")
        run(Halving(), engine)
    assert [(number, question) for number, question, _, _ in heard] == [(n, q) for q in (1, 2, 4) for n in (3, 5)]


def test_who_watches_sees_every_round_with_the_state_after_it():
    seen = []
    with LocalEngine({"a": Numbers(4, [])}, 1) as engine:
        run(Halving(), engine, lambda round_, state: seen.append((round_.number, round_.total, state)))
    assert seen == [(1, 4, 2), (2, 2, 4), (3, 1, None)]


def test_a_model_without_questions_asks_nothing():
    class Silent(Halving):
        def start(self):
            return None

    heard: list = []
    with LocalEngine({"a": Numbers(4, heard)}, 1) as engine:
        assert run(Silent(), engine) == (None, ())
    assert heard == []


def test_an_error_at_a_site_reaches_the_caller():
    class Broken(Numbers):
        def answer(self, question, threads, workers):  # noqa: ARG002
            raise ArithmeticError(f"cannot answer {question}")

    with LocalEngine({"a": Numbers(4, []), "b": Broken(1, [])}, 1) as engine, pytest.raises(ArithmeticError, match="1"):
        run(Halving(), engine)


@pytest.mark.parametrize(("threads", "shared"), [(1, False), (2, True)])
def test_threads_are_lent_to_the_sites_only_where_there_are_several(threads, shared):
    heard: list = []
    with LocalEngine({"a": Numbers(1, heard)}, threads) as engine:
        engine.total(1)
    assert heard == [(1, 1, shared, threads)]


def test_by_default_every_processor_that_may_be_used_is():
    with LocalEngine({"a": Numbers(1, [])}) as engine:
        assert engine.threads >= 1
