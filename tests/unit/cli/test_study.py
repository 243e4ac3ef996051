"""A study as people type it: three hospitals with a file each, and a statistician."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import sumwise
from sumwise.cli import main
from sumwise.datasets import load
from tests.unit.studies.test_same_bits import CONTRACEPTION, same
from tests.unit.studies.test_same_bits_crossed import clinics

NAMES = ("middle", "north", "south")
WAITING, FAULT = 3, 2


class People:
    """Types commands; `where` holds the study, and a folder for each hospital."""

    def __init__(self, where: Path) -> None:
        self.where = where

    def types(self, *words: str, keys: str | None = None) -> tuple[int, str, str]:
        result = CliRunner().invoke(main, list(words), input=keys)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    def does(self, *words: str) -> str:
        code, out, err = self.types(*words)
        assert code == 0, err
        return out

    def at(self, name: str, command: str, *words: str, keys: str | None = None) -> tuple[int, str, str]:
        """A command that takes study and site."""
        study = (str(self.where / "study.toml"),) if command != "ledger" else ()
        return self.types("site", command, *study, "--site", str(self.where / name / "site.toml"), *words, keys=keys)

    def coordinates(self, *words: str) -> tuple[int, str, str]:
        files = (str(self.where / "study.toml"), "--key", str(self.where / "coordinator.key"))
        return self.types("study", "run", *files, "--folder", str(self.where / "messages"), "--wait", "0", *words)

    def goes_on(self, names: tuple[str, ...] = NAMES) -> tuple[int, str, str]:
        """Everybody in turn, again and again, until the coordinator is not waiting."""
        for _ in range(30):
            code, out, err = self.coordinates("--json", str(self.where / "fit.json"))
            if code != WAITING:
                return code, out, err
            for name in names:
                self.at(name, "run", "--wait", "0")
        raise AssertionError("the study did not end")


def written(where: Path, *more: str, table: pd.DataFrame | None = None) -> People:
    """A study that nobody has approved yet."""
    people, rows = People(where), load("contraception") if table is None else table
    for k, name in enumerate(NAMES):
        (where / name).mkdir(parents=True)
        rows[rows["district"] % 3 == k].to_csv(where / name / "visits.csv", index=False)
        files = ("--csv", "visits.csv", "--messages", "../messages", "--folder", str(where / name))
        people.does("site", "init", name, *files)
    rows.to_csv(where / "example.csv", index=False)
    sites = [word for name in NAMES for word in ("--site", f"{name}={where / name / name}.pub")]
    words = ("--family", "binomial", "--id", "contraception", "--purpose", "Who uses contraception", *sites)
    end = ("--expires", "2099-12-31", "--results-to", "the hospitals", "--key", str(where / "coordinator.key"))
    people.does(
        "study", "init", CONTRACEPTION, str(where / "example.csv"), *words, *end, "-o", str(where / "study.toml"), *more
    )
    return people


def approved(where: Path, *more: str, table: pd.DataFrame | None = None) -> People:
    people = written(where, *more, table=table)
    for name in NAMES:
        code, _, err = people.at(name, "approve", "--yes")
        assert code == 0, err
    return people


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> People:
    people = approved(tmp_path_factory.mktemp("finished"))
    code, _, err = people.goes_on()
    assert code == 0, err
    return people


@pytest.fixture
def copy(finished: People, tmp_path: Path) -> People:
    """Of the finished study, to be spoilt."""
    shutil.copytree(finished.where, tmp_path / "copy")
    return People(tmp_path / "copy")


def test_a_study_prints_the_pooled_fit_and_what_each_site_sent(finished: People) -> None:
    pooled = sumwise.fit(CONTRACEPTION, load("contraception"), family="binomial")
    kept = sumwise.Fit.from_json(finished.where / "fit.json")
    assert same(kept, pooled)
    code, out, _ = finished.coordinates()
    assert code == 0
    assert kept.summary() in out
    assert "Bytes by round and sender" in out
    names, *rounds = (line.split() for line in out.splitlines()[-8:])
    assert names == ["round", "coordinator", *NAMES]
    for number, line in enumerate(rounds, 1):
        answers = [finished.where / "messages" / name / f"{number + 1:06d}.msg" for name in NAMES]
        assert line[2:] == [str(answer.stat().st_size) for answer in answers]


def test_a_site_gets_the_effects_of_its_own_groups(finished: People) -> None:
    target = finished.where / "north.json"
    code, _, err = finished.at("north", "run", "--wait", "0", "--json", str(target))
    assert code == 0, err
    fit = sumwise.Fit.from_json(target)
    assert isinstance(fit, sumwise.MixedFit)
    districts = load("contraception")["district"]
    assert list(fit.ranef().index) == sorted(set(districts[districts % 3 == 1]))
    pooled = sumwise.fit(CONTRACEPTION, load("contraception"), family="binomial")
    assert isinstance(pooled, sumwise.MixedFit)
    assert fit.ranef().equals(pooled.ranef().loc[fit.ranef().index])
    with pytest.raises(sumwise.UsageError, match="of 60 groups stay at the sites"):
        fit.predict(load("contraception"))
    centre = sumwise.Fit.from_json(finished.where / "fit.json")
    assert isinstance(centre, sumwise.MixedFit)
    with pytest.raises(sumwise.UsageError, match="stay at the sites of the study"):
        centre.ranef()
    typical = centre.predict(load("contraception"), random=False)
    assert typical.equals(pooled.predict(load("contraception"), random=False))


@pytest.mark.parametrize("where", ["messages", "north/north.ledger"])
def test_a_replay_needs_no_data_and_no_key(where: str, copy: People) -> None:
    for name in NAMES:
        (copy.where / name / f"{name}.key").unlink()
        (copy.where / name / "visits.csv").unlink()
    (copy.where / "coordinator.key").unlink()
    target = copy.where / "again.json"
    copy.does("study", "replay", str(copy.where / "study.toml"), str(copy.where / where), "--json", str(target))
    assert same(sumwise.Fit.from_json(target), sumwise.Fit.from_json(copy.where / "fit.json"))


def test_the_coordinators_messages_alone_can_be_published(copy: People) -> None:
    for name in NAMES:
        shutil.rmtree(copy.where / "messages" / name)
    target = copy.where / "again.json"
    copy.does("study", "replay", str(copy.where / "study.toml"), str(copy.where / "messages"), "--json", str(target))
    assert same(sumwise.Fit.from_json(target), sumwise.Fit.from_json(copy.where / "fit.json"))


def test_a_record_that_was_changed_is_not_replayed(copy: People) -> None:
    folder = copy.where / "messages"
    (folder / "north" / "000004.msg").write_bytes((folder / "south" / "000004.msg").read_bytes())
    code, _, err = copy.types("study", "replay", str(copy.where / "study.toml"), str(folder))
    assert code == FAULT
    assert "000004.msg" in err
    shutil.rmtree(folder / "north")
    code, _, err = copy.types("study", "replay", str(copy.where / "study.toml"), str(folder))
    assert code == WAITING
    assert "no answer from 'north'" in err
    (folder / "coordinator" / "000016.msg").unlink()
    shutil.rmtree(folder / "middle")
    shutil.rmtree(folder / "south")
    code, _, err = copy.types("study", "replay", str(copy.where / "study.toml"), str(folder))
    assert code == FAULT
    assert "is not finished here: 7 rounds are closed" in err


def test_the_ledger_shows_what_left_and_that_nobody_changed_it(copy: People) -> None:
    code, out, _ = copy.at("north", "ledger")
    assert code == 0
    assert "answer of round 1, " in out
    assert "unchanged" in out
    path = copy.where / "north" / "north.ledger"
    good = path.read_bytes()
    at = good.index(b"answer of round 2")
    path.write_bytes(good[:at] + b"answer of round 3" + good[at + 17 :])
    code, _, err = copy.at("north", "ledger")
    assert code == FAULT
    assert "ledger entry 7 was changed" in err


def test_nothing_runs_before_a_steward_says_yes(tmp_path: Path) -> None:
    people = written(tmp_path)
    code, _, err = people.at("north", "run", "--wait", "0")
    assert code == FAULT
    assert "is not approved at 'north'" in err
    code, out, err = people.at("north", "approve", keys="n\n")
    assert code == FAULT
    assert "not approved: nothing was signed" in err
    assert "What leaves a site" in out
    assert people.at("north", "run", "--wait", "0")[0] == FAULT
    assert people.at("north", "approve", keys="y\n")[0] == 0
    code, _, err = people.at("north", "run", "--wait", "0")
    assert (code, "Waiting: the coordinator has said nothing new" in err) == (WAITING, True)
    text = (tmp_path / "study.toml").read_text()
    (tmp_path / "study.toml").write_text(text.replace("most_rounds = 30", "most_rounds = 29"))
    code, _, err = people.at("north", "run", "--wait", "0")
    assert code == FAULT
    assert "is not approved" in err


def test_a_missing_site_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    people = approved(tmp_path)
    for _ in range(3):
        code, _, err = people.coordinates()
        for name in ("north", "south"):
            people.at(name, "run", "--wait", "0")
    assert code == WAITING
    assert "no answer from 'middle'" in err
    assert people.goes_on()[0] == 0


def test_a_person_can_keep_an_answer_back(tmp_path: Path) -> None:
    people = approved(tmp_path)
    people.coordinates()
    code, _, err = people.at("north", "run", "--wait", "0", "--ask", keys="n\n")
    assert code == FAULT
    assert "not sent, as you said: nothing left" in err
    assert not (tmp_path / "messages" / "north").exists()
    code, _, err = people.at("north", "run", "--wait", "0", "--ask", keys="y\n")
    assert code == WAITING
    assert "has approved the study and is ready" in err
    assert people.goes_on()[0] == 0


def test_where_nobody_can_be_asked_nothing_is_signed_and_nothing_leaves(tmp_path: Path) -> None:
    people = written(tmp_path)
    code, _, err = people.at("north", "approve", keys="")
    assert code == FAULT
    assert "UsageError: nobody answered, so nothing was signed: approve at a terminal, or with --yes" in err
    assert not (tmp_path / "north" / "north.ledger").exists()
    for name in NAMES:
        people.at(name, "approve", "--yes")
    people.coordinates()
    code, _, err = people.at("north", "run", "--wait", "0", "--ask", keys="")
    assert code == FAULT
    assert "UsageError: nobody answered, so nothing was sent, and the study waits: --ask takes a terminal" in err
    assert not (tmp_path / "messages" / "north").exists()
    assert people.goes_on()[0] == 0


def test_the_fingerprint_of_a_sites_keys_is_what_stewards_read(tmp_path: Path) -> None:
    people = written(tmp_path / "study")
    told = people.does("site", "init", "north", "--csv", "x", "--folder", str(tmp_path / "other"))
    other = re.search("Fingerprint of the public keys: ([0-9a-f]{12}) ", told)
    assert other
    words = " ".join(people.does("study", "check", str(tmp_path / "study" / "study.toml")).split())
    for name in NAMES:
        keys = bytes.fromhex((tmp_path / "study" / name / f"{name}.pub").read_text())
        assert f"{name} ({hashlib.sha256(keys).hexdigest()[:12]})" in words
    keys = bytes.fromhex((tmp_path / "other" / "north.pub").read_text())
    assert hashlib.sha256(keys).hexdigest()[:12] == other[1]
    assert other[1] not in words


def test_a_refusal_tells_others_the_rule_and_its_steward_the_figure(tmp_path: Path) -> None:
    people = written(tmp_path)
    path = tmp_path / "north" / "site.toml"
    path.write_text(path.read_text().replace("\nmin_rows = 20", "\nmin_rows = 1000"))
    code, out, err = people.at("north", "check")
    assert code == FAULT
    assert "PolicyRefusal: 'north' would refuse this study before it answers: nothing would leave" in err
    assert "The policy would refuse: " in out
    assert "783" in out
    for name in NAMES:
        people.at(name, "approve", "--yes")
    code, _, err = people.goes_on()
    assert not list((tmp_path / "messages" / "south").glob("000002.msg"))  # it refuses before others have answered
    assert code == FAULT
    assert "ended without a result at 'north': minimum-rows: fewer than 1000 rows" in err
    assert "783" not in err
    code, _, err = people.at("north", "run", "--wait", "0")
    assert code == FAULT
    assert "PolicyRefusal: 'north' refused, and the study ended without a result. Why, for your eyes alone: " in err
    assert "minimum-rows: rows in the sum: 783; the policy asks for at least 1000" in err
    for file in (tmp_path / "messages").rglob("*.msg"):
        assert b"783" not in file.read_bytes()


def test_rows_that_break_the_contract_are_named_before_any_round(tmp_path: Path) -> None:
    people = approved(tmp_path, "--range", "age=-20:20")
    rows = pd.read_csv(tmp_path / "north" / "visits.csv")
    rows.loc[:4, "age"] = 99.0
    rows.to_csv(tmp_path / "north" / "visits.csv", index=False)
    code, out, err = people.at("north", "check")
    assert code == FAULT
    assert "5 of 783 values outside" in out
    assert "DIFFERENT" in out
    code, _, err = people.at("north", "run", "--wait", "0")
    assert code == FAULT
    assert "age: 5 of 783 values outside; agreed is from -20 to 20" in err


def test_data_that_change_between_rounds_end_the_study(tmp_path: Path) -> None:
    """A site that answers again, after a restart, would send other numbers than it did before."""
    people = approved(tmp_path)
    for _ in range(2):
        people.coordinates()
        for name in NAMES:
            people.at(name, "run", "--wait", "0")
    rows = pd.read_csv(tmp_path / "north" / "visits.csv")
    rows.loc[0, "age"] += 1
    rows.to_csv(tmp_path / "north" / "visits.csv", index=False)
    code, _, err = people.goes_on()
    assert code == FAULT
    assert "ended without a result at 'north': the data changed between rounds" in err


def test_another_version_of_the_software_is_refused_everywhere(tmp_path: Path) -> None:
    """It may give other bits."""
    people = written(tmp_path)
    text = (tmp_path / "study.toml").read_text()
    (tmp_path / "study.toml").write_text(text.replace(f'software = "{sumwise.__version__}"', 'software = "9.9"'))
    for code, _, err in (people.at("north", "check"), people.at("north", "approve", "--yes"), people.coordinates()):
        assert code == FAULT
        assert f"asks for Sumwise 9.9, and this is {sumwise.__version__}" in err


def test_an_unfinished_entry_at_the_end_of_a_ledger_is_told(copy: People) -> None:
    path = copy.where / "north" / "north.ledger"
    path.write_bytes(path.read_bytes()[:-9])
    code, out, _ = copy.at("north", "ledger")
    assert code == 0
    assert "bytes at the end are of an entry that a crash left unfinished, or that was cut off" in out


def test_the_key_of_somebody_else_is_refused(tmp_path: Path) -> None:
    people = written(tmp_path)
    shutil.copy(tmp_path / "south" / "south.key", tmp_path / "north" / "north.key")
    code, _, err = people.at("north", "approve", "--yes")
    assert code == FAULT
    assert "has another public key for 'north'" in err
    shutil.copy(tmp_path / "south" / "south.key", tmp_path / "coordinator.key")
    code, _, err = people.coordinates()
    assert code == FAULT
    assert "is not the key of the coordinator" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("site", "init", "x"), "say where the rows are with one of --csv"),
        (("site", "init", "x", "--csv", "a", "--parquet", "b"), "say where the rows are with one of"),
        (("study", "check", "nowhere.toml"), "the study nowhere.toml cannot be read"),
        (("study", "replay", "nowhere.toml", "x"), "the study nowhere.toml cannot be read"),
        (("site", "ledger", "--site", "nowhere.toml"), "the site file nowhere.toml cannot be read"),
    ],
)
def test_a_wrong_command_says_what_belongs_there(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    code, _, err = People(tmp_path).types(*words)
    assert code == FAULT
    assert message in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--site", "north"), "write --site NAME=VALUE"),
        (("--site", "a=nowhere.pub"), "cannot be read as a public key"),
        (("--site", "a=0123"), "is no public key: 128 hex digits"),
        (("--unit", "age"), "write --unit NAME=VALUE"),
        (("--range", "age=3"), "write two numbers, as in age=15:49"),
        (("--range", "age=a:b"), "write two numbers, as in age=15:49"),
        (("--policy", "min_row=3"), "there is no such threshold; there are min_rows"),
        (("--policy", "min_rows=few"), "a number belongs there"),
        (("--policy", "min_sites=4"), "policy.min_sites asks for at least 4"),
        (("--most-rounds", "31"), "policy.max_rounds asks for 30 or fewer"),
        (("--most-rounds", "0"), "most_rounds: it is 0"),
        (("--id", "Two Words"), "id: it is 'Two Words'"),
    ],
)
def test_a_study_that_cannot_be_written_names_the_option(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        written(tmp_path, *words)
    assert message in str(caught.value)
    assert not (tmp_path / "study.toml").exists()


def test_a_secure_sum_shows_the_coordinator_totals_alone(tmp_path: Path) -> None:
    people = approved(tmp_path, "--secure-sum")
    assert people.goes_on()[0] == 0
    pooled = sumwise.fit(CONTRACEPTION, load("contraception"), family="binomial")
    assert same(sumwise.Fit.from_json(tmp_path / "fit.json"), pooled)
    for number in range(2, 9):
        sizes = {(tmp_path / "messages" / name / f"{number:06d}.msg").stat().st_size - len(name) for name in NAMES}
        assert len(sizes) == 1


def test_a_model_of_crossed_factors_says_what_its_sites_need(tmp_path: Path) -> None:
    """With 5 components or more asked for, a site whose levels hang together does not answer."""
    rows = clinics(3, 200)
    people = People(tmp_path)
    for k, name in enumerate(NAMES):
        (tmp_path / name).mkdir()
        rows[rows["clinic"] == k].to_csv(tmp_path / name / "scores.csv", index=False)
        files = ("--csv", "scores.csv", "--messages", "../messages", "--folder", str(tmp_path / name))
        people.does("site", "init", name, *files)
        path = tmp_path / name / "site.toml"
        path.write_text(path.read_text().replace("\nmin_groups = 5", "\nmin_groups = 1"))
    rows.to_csv(tmp_path / "example.csv", index=False)
    sites = [word for name in NAMES for word in ("--site", f"{name}={tmp_path / name / name}.pub")]
    formula = "score ~ x + (1 | patient) + (1 | rater)"
    words = ("study", "init", formula, str(tmp_path / "example.csv"), "--id", "scores", "--purpose", "p", *sites)
    end = ("--expires", "2099-12-31", "--results-to", "us", "--key", str(tmp_path / "coordinator.key"))
    told = " ".join(people.does(*words, *end, "-o", str(tmp_path / "strict.toml")).split())
    assert "Sites answer only with 5 components or more: levels that a chain of rows joins" in told
    more = ("--policy", "min_groups=1", "-o", str(tmp_path / "study.toml"))
    assert "components" not in people.does(*words, *end, *more)
    for name in NAMES:
        code, _, err = people.at(name, "approve", "--yes")
        assert code == 0, err
    code, out, err = people.goes_on()
    assert code == 0, err
    pooled = sumwise.fit(formula, rows)
    assert f"{pooled.loglik:.2f}" in out
