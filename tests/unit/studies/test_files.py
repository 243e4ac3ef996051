"""Files of people: secrets stay secret, nothing is overwritten, and what is wrong is named."""

from __future__ import annotations

import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from sumwise.disclosure.policy import Policy, stricter
from sumwise.engines.folder import Mailbox
from sumwise.errors import UsageError
from sumwise.protocol.keys import SiteKeys
from sumwise.studies.files import new_secret, read_secret, read_study, write_new
from sumwise.studies.site_file import new_site, read_site


def test_a_secret_is_32_random_bytes_that_its_owner_alone_can_read(tmp_path: Path) -> None:
    one, other = new_secret(tmp_path / "one.key"), new_secret(tmp_path / "other.key")
    assert len(one) == 32
    assert one != other
    assert (tmp_path / "one.key").stat().st_mode & 0o777 == 0o600
    assert read_secret(tmp_path / "one.key") == one


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    new_secret(tmp_path / "one.key")
    (tmp_path / "one.key").chmod(0o640)
    with pytest.raises(UsageError, match="can be read or written by others than its owner; run chmod 600"):
        read_secret(tmp_path / "one.key")


@pytest.mark.parametrize("text", ["", "abc", "00" * 31, "00" * 33, "zz" * 32])
def test_what_is_no_secret_is_named(text: str, tmp_path: Path) -> None:
    write_new(tmp_path / "k", text, "the key", private=True)
    with pytest.raises(UsageError, match="is no secret key: 64 hex digits"):
        read_secret(tmp_path / "k")


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    new_secret(tmp_path / "k")
    before = (tmp_path / "k").read_bytes()
    with pytest.raises(UsageError, match="is there already, and is not overwritten"):
        new_secret(tmp_path / "k")
    assert (tmp_path / "k").read_bytes() == before


def test_a_study_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_study(tmp_path / "study.toml")
    (tmp_path / "study.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="no UTF-8 text"):
        read_study(tmp_path / "study.toml")


def test_a_new_site_reads_back(tmp_path: Path) -> None:
    path, public = new_site("north", tmp_path, "../messages", {"csv": "rows.csv"})
    site = read_site(path)
    assert (site.name, site.data, site.columns, site.units) == ("north", {"csv": "rows.csv"}, None, {})
    assert site.policy == Policy()
    thresholds = tomllib.loads(path.read_text())["policy"]
    assert thresholds == asdict(Policy())  # written out, so that a steward sees them
    assert site.folder == tmp_path / "../messages"
    assert site.keys().public.hex() == public.read_text().strip()
    assert site.keys().public == SiteKeys.from_seed(read_secret(tmp_path / "north.key")).public


@pytest.mark.parametrize("name", ["...", "a/b", "../up", ".hidden", "Süd 1"])
def test_names_of_files_are_no_paths(name: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    path, public = new_site(name, home, "messages", {"csv": "rows.csv"})
    assert read_site(path).name == name
    assert {file.parent for file in home.rglob("*")} == {home}
    assert public.parent == home
    assert Mailbox(home).path(name, 1).parent.parent == home
    assert not [file for file in tmp_path.iterdir() if file != home]


@pytest.mark.parametrize(
    "name", ["", "coordinator", "Coordinator", "COORDINATOR", " north", "x" * 65, "no\nrth", ".", "..", "north\u3164"]
)
def test_what_can_name_no_site_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no site"):
        new_site(name, tmp_path, "messages", {"csv": "rows.csv"})
    assert list(tmp_path.iterdir()) == []


GOOD = 'name = "n"\nkey = "k"\nledger = "l"\nfolder = "f"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "is no TOML"),
        (GOOD.replace('name = "n"', "name = 3") + '[data]\ncsv = "x"', "name is 3"),
        (GOOD.replace('key = "k"\n', "") + '[data]\ncsv = "x"', "key is missing; a path"),
        (GOOD, "data is missing; a table such as"),
        (GOOD + 'nmae = "x"\n[data]\ncsv = "x"', "'nmae' is unknown; known are name, key"),
        (GOOD + '[data]\ncsv = "x"\n[units]\nage = 3', "units is"),
        (GOOD + 'columns = "age"\n[data]\ncsv = "x"', "columns is 'age'; a list of names"),
        (GOOD + '[data]\ncsv = "x"\n[policy]\nmin_row = 3', "policy is {'min_row': 3}; a table of thresholds"),
        (GOOD + '[data]\ncsv = "x"\n[policy]\nmin_rows = -3', "policy.min_rows is -3; a number, zero or more, belongs"),
        (GOOD + '[data]\ncsv = "x"\n[policy]\nmax_rounds = 2.5', "policy.max_rounds is 2.5; a whole number, or inf"),
        (GOOD + f'[data]\ncsv = "x"\n[policy]\nmin_rows = 0x{"f" * 5000}', "policy.min_rows is too large to show"),
        (GOOD.replace('"n"', f"0x{'f' * 5000}") + '[data]\ncsv = "x"', "name is too large to show, of type int"),
        (GOOD + f"big = {'9' * 5000}", "is no TOML"),
        (GOOD + f"deep = {'[' * 5000}{']' * 5000}", "is no TOML"),
        (GOOD + '"\\u001b[31mred" = 3\n[data]\ncsv = "x"', r"'\x1b[31mred' is unknown"),
    ],
)
def test_a_wrong_site_file_is_named_with_key_and_remedy(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        read_site(tmp_path / "site.toml")
    assert "site.toml" in str(caught.value)
    assert message in str(caught.value)


def test_a_sites_own_policy_makes_a_studys_stricter_and_never_laxer(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(GOOD + '[data]\ncsv = "x"\n[policy]\nmin_rows = 100\nmax_leverage = 0.9')
    found = stricter(read_site(tmp_path / "site.toml").policy, Policy(min_cell=7))
    assert (found.min_rows, found.max_leverage, found.min_cell, found.only_expected) == (100, 0.5, 7, True)
