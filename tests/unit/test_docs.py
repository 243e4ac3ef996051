"""The documents say what the program does."""

import contextlib
import glob
import io
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import sumwise as sw
from sumwise.cli import main
from sumwise.data import parse

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_what_its_examples_print() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = [block.replace("print(fit)", "") for block in blocks if "print(fit)" in block]
    shown = re.findall(r"```text\n(.*?)\n```", README, re.DOTALL)
    assert len(code) == len(shown) == 2
    names: dict[str, sw.Fit] = {}
    # how far the last step could still go is rounding noise, which may differ between versions of numpy
    noise = re.compile(r"at most \S+ standard")
    for example, expected in zip(code, shown, strict=True):
        exec(example, names)
        assert noise.sub("", str(names["fit"])) == noise.sub("", expected)


def test_a_literal_reader_of_the_readme_succeeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of Python and all calls of the command, in order, in one folder."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for kind, code in re.findall(r"```(python|sh)\n(.*?)```", README, re.DOTALL):
        if kind == "python":
            exec(code, names)
            continue
        for line in (line for line in code.splitlines() if line.startswith("sumwise ")):
            words = [found for word in shlex.split(line)[1:] for found in (sorted(glob.glob(word)) or [word])]
            assert CliRunner().invoke(main, words).exit_code == 0, line


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "tutorials").glob("*.md")), ids=lambda page: page.stem)
def test_tutorials_print_what_they_show(page: Path) -> None:
    """Each ```python block runs, in order, and prints the ```text block below it; ```py blocks are only shown."""
    names: dict[str, object] = {}
    blocks = re.findall(
        r"```python\n(.*?)```\n(?:\n```text\n(.*?)\n```\n)?", page.read_text(encoding="utf-8"), re.DOTALL
    )
    assert len(blocks) > 5
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        assert "\n".join(line.rstrip() for line in printed.getvalue().splitlines()) == expected, code


def test_links_between_documents_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "bench" / "README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


SPELLINGS = """
factor(k) | C(k) | as.factor(k) | x + f | x:f | x * f | f / x | (x + f)^2 | x * f - x | 0 + x | x - 1 | I(x^2) |
I(x**2) | I(x + z) | log(z) | np.log(z) | center(x) | scale(x) | x + offset(log(z)) | `body mass`
"""


@pytest.mark.parametrize("terms", [terms.strip() for terms in SPELLINGS.split("|")])
def test_every_spelling_of_the_formula_page_is_understood(terms: str) -> None:
    frame = pd.DataFrame({"x": [1.0, 2, 3, 5] * 6, "z": [2.0, 1, 4, 3, 7, 5] * 4, "k": [1, 2, 3] * 8})
    frame = frame.assign(f=list("aabb") * 6, region=["n", "s"] * 12, clinic=[1, 1, 2, 2, 3, 3] * 4)
    frame["body mass"] = frame["x"] * frame["z"]
    frame["y"] = [0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0]
    assert parse(f"y ~ {terms} + (1 | region:clinic)").bars[0].group == "region:clinic"
    assert len(sw.fit(f"y ~ {terms} + (1 | region:clinic)", frame, family="binomial").coef) >= 1
