"""The demonstration of three hospitals, as a newcomer runs it: real processes, through files and through NVFLARE."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from sumwise.demo import study
from sumwise.errors import UsageError

NVFLARE = pytest.param(
    "nvflare", marks=[pytest.mark.slow, pytest.mark.skipif(not find_spec("nvflare"), reason="nvflare is not installed")]
)


@pytest.mark.parametrize("engine", ["folder", NVFLARE])
def test_three_hospitals_reach_the_bits_of_the_pooled_fit(engine: str, tmp_path: Path) -> None:
    said: list[str] = []
    study.run(tmp_path, engine, said.append)
    text = "\n".join(said)
    assert "Same bits as pooled: all 73 numbers" in text
    assert text.count("entries, each with the hash of the one before it: unchanged") == 3
    assert "total of round 7 over 3 sites" in text
    assert "Bytes by round and sender" in text


def test_a_folder_that_the_demo_did_not_make_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "federated").mkdir()
    (tmp_path / "federated" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="was not made by this demo"):
        study.run(tmp_path, "folder", print)
    assert (tmp_path / "federated" / "thesis.txt").read_text() == "mine"
