"""The documents say what the program does."""

import contextlib
import glob
import io
import re
import runpy
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path

import click
import pandas as pd
import pytest
from click.testing import CliRunner

import sumwise as sw
from sumwise.cli import main
from sumwise.data import open_site_data, parse
from sumwise.disclosure.policy import Policy
from sumwise.errors import SumwiseError
from sumwise.studies.site_file import read_site

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "docs" / "studies").glob("*.md"))
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


# -- studies --


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def typed(page: Path) -> list[list[str]]:
    """Words of each call in the page's blocks of commands; a line that ends in a backslash goes on in the next."""
    lines = (line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines())
    return [shlex.split(line)[1:] for line in lines if line.startswith("sumwise ")]


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command, and the words that are left for it.  Raises AssertionError for one that there is not."""
    found: click.Command = main
    while isinstance(found, click.Group) and words and re.fullmatch("[a-z]+", words[0]):
        command = found.get_command(click.Context(found), words[0])
        assert command is not None, f"there is no command {words[0]}"
        found, words = command, words[1:]
    return found, words


@pytest.mark.parametrize("page", STUDIES, ids=lambda page: page.stem)
def test_commands_of_the_pages_on_studies_exist(page: Path) -> None:
    """Those in blocks parse as they stand; those in a sentence may leave out what is needed."""
    for words in typed(page):
        command, rest = command_of(words)
        command.make_context("sumwise", list(rest))  # raises for what is unknown, missing, or of another type
    for inline in re.findall(r"`sumwise ([a-z][^`]*)`", page.read_text(encoding="utf-8")):
        command, rest = command_of(inline.split())
        assert not isinstance(command, click.Group), f"sumwise {inline}: which command?"
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        assert {word for word in rest if word.startswith("-")} <= known, f"sumwise {inline}"


def test_pages_on_studies_name_thresholds_that_there_are() -> None:
    known = {field.name for field in fields(Policy)}
    for page in STUDIES:
        found = re.findall(r"`((?:min|max)_[a-z_]+)|--policy ([a-z_]+)=", page.read_text(encoding="utf-8"))
        assert {name for pair in found for name in pair if name} <= known, page.stem


def test_site_files_of_the_pages_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is understood as far as the rows, which are not there; together they show every kind of source."""
    monkeypatch.setenv("PGPASSWORD", "p@ss")
    kinds = set()
    for text in (text for page in STUDIES for text in blocks(page, "toml")):
        path = tmp_path / "site.toml"
        path.write_text(text.replace("db.hospital.example:5432", "127.0.0.1:1"), encoding="utf-8")
        site = read_site(path)
        with pytest.raises(SumwiseError, match=r"no file|no such file|', DuckDB: IO Error|', PostgreSQL: "):
            open_site_data(site.name, site.data, site.where, None)
        kinds |= set(site.data)
    assert kinds == {"csv", "parquet", "text", "duckdb", "postgresql"}
    documented = {key for page in STUDIES for text in blocks(page, "toml") for key in tomllib.loads(text)}
    assert documented == {"name", "key", "ledger", "folder", "columns", "data", "units", "policy"}


HOSPITALS = ("north", "middle", "south")


def in_folder(place: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, answer: str = "") -> tuple[int, str]:
    """Exit code and all that is printed."""
    monkeypatch.chdir(place)
    result = CliRunner().invoke(main, words, input=answer)
    return result.exit_code, result.output


def test_a_literal_reader_of_the_statisticians_page_gets_its_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands of the page, each where it belongs, with a step of every party in turn where the study runs.  Every
    line of output that the page shows is one that was printed.
    """
    page = ROOT / "docs" / "studies" / "statistician.md"
    table, (example,) = sw.datasets.load("contraception"), blocks(page, "csv")
    desk = tmp_path / "statistician"
    for place in (desk, *(tmp_path / name for name in HOSPITALS)):
        place.mkdir()
    (desk / "example.csv").write_text(example, encoding="utf-8")
    for k, name in enumerate(HOSPITALS):
        table[table["district"] % 3 == k].to_csv(tmp_path / name / "visits.csv", index=False)
    printed = ""

    def at_sites(words: list[str], expected: set[int], answer: str = "") -> None:
        nonlocal printed
        for name in HOSPITALS:
            mine = [{"north": name, "study.toml": "../statistician/study.toml"}.get(word, word) for word in words]
            code, output = in_folder(tmp_path / name, mine, monkeypatch, answer)
            assert code in expected, output
            printed += output

    for words in ([word.replace("2027-01-31", "2099-01-31") for word in words] for words in typed(page)):
        if words[:2] == ["study", "run"]:
            code = 3
            while code == 3:
                code, output = in_folder(desk, [*words, "--wait", "0"], monkeypatch)
                printed += output
                at_sites(["site", "run", "study.toml", "--wait", "0"], {0, 3} if code == 3 else {0})
        elif words[0] == "study":
            code, output = in_folder(desk, words, monkeypatch)
            printed += output
        else:
            code = 0
            at_sites(words, {0}, "y\n")
        assert code == 0, output
        if words[:2] == ["site", "init"]:
            for name in HOSPITALS:
                (desk / f"{name}.pub").write_bytes((tmp_path / name / f"{name}.pub").read_bytes())
                site = tmp_path / name / "site.toml"
                site.write_text(site.read_text().replace("\n[units]", '\n[units]\nage = "years"'))
    time = re.compile(r"^ *\d+\.\d\d s  ")
    there = {time.sub("", line).rstrip() for line in printed.splitlines()}
    shown = [time.sub("", line).rstrip() for block in blocks(page, "text") for line in block.splitlines()]
    assert len(shown) > 20
    assert [line for line in shown if line not in there] == []


def test_the_protocols_page_is_what_its_script_writes() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "protocol.py"))
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert script["written"](page) == page, "run python docs/protocol.py"
