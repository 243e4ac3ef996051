"""The command line as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import sumwise
from sumwise.cli import main
from sumwise.datasets import load, path, write_sites

CBPP = "cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)"


BINOMIAL = ("--family", "binomial")


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_help_teaches_by_example() -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert 'sumwise fit "y ~ x + (1 | clinic)" visits.csv --family binomial' in out


def test_fit_prints_the_summary_and_writes_json(tmp_path: Path) -> None:
    target = tmp_path / "fit.json"
    code, out, _ = run("fit", *BINOMIAL, CBPP, path("cbpp"), "--json", target)
    assert code == 0
    assert "factor(period)2" in out
    kept = sumwise.Fit.from_json(target)
    assert kept.summary() in out
    assert json.loads(target.read_text())["sumwise"] == 3


def test_several_files_are_several_sites_with_the_bits_of_one_table(tmp_path: Path) -> None:
    files = write_sites(load("cbpp"), "herd", tmp_path)
    target = tmp_path / "fit.json"
    code, _, _ = run("fit", *BINOMIAL, CBPP, *files.values(), "--json", target)
    assert code == 0
    kept, pooled = sumwise.Fit.from_json(target), sumwise.fit(CBPP, load("cbpp"), family="binomial")
    assert len(kept.sites) == 15
    assert kept.beta.tobytes() == pooled.beta.tobytes()


def test_pool_reads_files_as_one_table(tmp_path: Path) -> None:
    table = load("cbpp")
    table.iloc[:30].to_csv(tmp_path / "a.csv", index=False)  # herd 8 has rows in both files
    table.iloc[30:].to_csv(tmp_path / "b.csv", index=False)
    code, _, err = run("fit", *BINOMIAL, CBPP, tmp_path / "a.csv", tmp_path / "b.csv")
    assert code == 2
    assert "must lie within one site" in err
    code, out, _ = run("fit", *BINOMIAL, CBPP, tmp_path / "a.csv", tmp_path / "b.csv", "--pool")
    assert code == 0
    assert "56 rows, 15 groups, 1 site" in out


def test_least_squares_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,n\n0.1,1.1,2\n0.2,1.9,1\n0.3,3.2,4\n")
    (tmp_path / "b.csv").write_text("x,y,n\n0.4,3.9,1\n0.5,5.1,2\n")
    files = (tmp_path / "a.csv", tmp_path / "b.csv")
    code, out, _ = run("fit", "y ~ x", *files)
    assert code == 0
    assert "Linear model, exact least squares" in out
    assert "5 rows, 2 sites" in out
    code, out, _ = run("fit", "y ~ x", *files, "--weights", "1/n", "--json", tmp_path / "fit.json")
    assert code == 0
    assert "Weights: 1/n" in out
    assert sumwise.Fit.from_json(tmp_path / "fit.json").summary() in out


def test_decimals_of_a_file_may_be_kept_exact(tmp_path: Path) -> None:
    """y = 3 x exactly in decimals, and only nearly so in floats: 3 * 0.1 is not 0.3."""
    path = tmp_path / "line.csv"
    path.write_text("x,y\n0.1,0.3\n0.2,0.6\n0.7,2.1\n")
    assert "Perfect fit" in run("fit", "y ~ x", path, "--decimal")[1]
    assert "Perfect fit" not in run("fit", "y ~ x", path, "--no-decimal")[1]
    path.rename(tmp_path / "line.dat")
    (tmp_path / "line.dat").write_text("x y\n0.1 0.3\n0.2 0.6\n0.7 2.1\n")
    assert "Perfect fit" in run("fit", "y ~ x", tmp_path / "line.dat")[1]


def test_nodes_is_passed_on() -> None:
    _, out, _ = run("fit", *BINOMIAL, CBPP, path("cbpp"), "--nodes", "1")
    assert "Laplace's approximation (1 node)" in out
    code, _, err = run("fit", *BINOMIAL, CBPP, path("cbpp"), "--nodes", "many")
    assert code == 2
    assert "'many' is neither 'auto' nor a whole number" in err


def test_an_error_is_one_readable_message_and_exit_code_2() -> None:
    code, out, err = run("fit", "y ~ x + (1 | herd)", path("cbpp"))
    assert (code, out) == (2, "")
    assert err.startswith("UsageError: ")
    assert "Traceback" not in err


def test_a_path_that_cannot_be_written_is_refused_before_the_fit(tmp_path: Path) -> None:
    code, out, err = run("fit", *BINOMIAL, CBPP, path("cbpp"), "--json", tmp_path / "no" / "fit.json")
    assert (code, out) == (2, "")
    assert "there is no folder" in err


@pytest.mark.parametrize(
    ("target", "words"), [(".", "is a folder"), ("", "names no file"), ("/proc/a.json", "cannot be written")]
)
def test_what_is_no_file_to_write_is_refused_before_the_fit(target: str, words: str) -> None:
    code, out, err = run("fit", *BINOMIAL, CBPP, path("cbpp"), "--json", target)
    assert (code, out) == (2, "")
    assert words in err


def test_the_check_of_a_path_leaves_no_file_behind_a_failed_fit(tmp_path: Path) -> None:
    target, kept = tmp_path / "new.json", tmp_path / "kept.json"
    kept.write_text("mine")
    for file in (target, kept):
        assert run("fit", "incidence ~ nothing", path("cbpp"), "--json", file)[0] == 2
    assert not target.exists()
    assert kept.read_text() == "mine"


def test_help_does_not_wait_for_numerics() -> None:
    heavy = "{'numpy', 'pandas', 'pyarrow', 'scipy', 'flint', 'formulaic'}"
    code = f"import sys, sumwise.cli; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for folder in (tmp_path, tmp_path / "b"):
        load("cbpp").to_csv(folder / "same.csv", index=False)
    code, _, err = run("fit", *BINOMIAL, CBPP, tmp_path / "same.csv", tmp_path / "b" / "same.csv")
    assert code == 2
    assert "'same'" in err


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("demo")
    code, out, _ = run("demo", "--folder", folder)
    assert code == 0
    return folder, out


def test_demo_shows_the_same_bits_from_15_sites_and_one_table(demonstration: tuple[Path, str]) -> None:
    folder, out = demonstration
    assert "Same bits from 15 sites and from one pooled table" in out
    assert len(list((folder / "herds").glob("herd-*.csv"))) == 15


def test_demo_shows_the_same_bits_of_least_squares(demonstration: tuple[Path, str]) -> None:
    _, out = demonstration
    assert "Same bits from four sites and from one pooled table" in out
    assert "Rounds: 1, one question to 4 sites" in out


def test_demo_reaches_what_the_notebook_never_reached(demonstration: tuple[Path, str]) -> None:
    folder, out = demonstration
    assert "The variance between the two sites is zero at the optimum" in out
    assert "logLik -70.3737042735" in out  # tests/reference/two_sites.json: -70.373704273470632807
    assert sorted(p.name for p in (folder / "two-sites").iterdir()) == ["X1.csv", "X2.csv", "y1.csv", "y2.csv"]
