"""Three hospitals on this machine: a CSV file, Parquet files and a database; keys, approvals, policies, and one fit.

Everything goes through the commands that people type, each in a process of its own; the hospitals meet in a folder of
messages, or through NVFLARE, alone.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from sumwise.api import fit
from sumwise.datasets import load
from sumwise.demo import postgres
from sumwise.demo.local import numbers
from sumwise.errors import SiteError, UsageError
from sumwise.results.fit import Fit
from sumwise.results.mixed import MixedFit

FORMULA = "use ~ age + I(age^2) + urban + livch + (1 | district)"
HOSPITALS = ("north", "middle", "south")
_OURS = "made-by-the-demo"
_QUERY = "select * from visits"

Say = Callable[[str], None]


class _Person:
    """Types commands in a folder."""

    def __init__(self, where: Path, say: Say) -> None:
        self.where, self._say = where, say

    def types(self, *words: str, shown: int = 0) -> None:
        """Shows a command, runs it, and shows so many of the last lines that it prints."""
        self._say(f"   {self.where.name}$ sumwise {' '.join(_quoted(word) for word in words)}")
        done = subprocess.run(_command(*words), cwd=self.where, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SiteError(f"in {self.where}, sumwise {' '.join(words[:2])} failed: {done.stderr.strip()[-500:]}")
        for line in done.stdout.splitlines()[-shown:] if shown else ():
            self._say(f"      {line}")

    def begins(self, *words: str) -> subprocess.Popen[bytes]:
        """Shows a command and starts it; what it prints goes to printed.txt."""
        self._say(f"   {self.where.name}$ sumwise {' '.join(_quoted(word) for word in words)} &")
        with open(self.where / "printed.txt", "wb") as printed:
            return subprocess.Popen(_command(*words), cwd=self.where, stdout=printed, stderr=subprocess.STDOUT)


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "sumwise", *words]


def _quoted(word: str) -> str:
    return shlex.quote(re.sub("(://[^:@]+:)[^@]+@", r"\1...@", word))


def run(folder: Path, engine: str, say: Say) -> None:
    """The whole story, told through `say`.   engine: "folder" or "nvflare".

    Raises UsageError for a folder that holds something else, SiteError where a part fails.
    """
    where = _fresh(folder / "federated").resolve()
    table = load("contraception")
    rows = {name: table[table["district"] % 3 == k].reset_index(drop=True) for k, name in enumerate(HOSPITALS)}
    people = {name: _Person(where / name, say) for name in (*HOSPITALS, "statistician")}
    for person in people.values():
        person.where.mkdir()
    say(f"Three hospitals ask 1934 women in 60 districts about contraception; their rows are in {where}.\n")
    with _database(where, say) as (kind, database):
        say("1. Each hospital says where its rows are, and makes a key.")
        _north(people["north"], rows["north"])
        _middle(people["middle"], rows["middle"])
        _south(people["south"], rows["south"], kind, database)
        say("\n2. The statistician writes the study, with a table of made-up rows for columns and levels.")
        _study(people["statistician"], table)
        say("\n3. Each hospital compares its rows with the contract, reads what would leave, and signs.")
        for name in HOSPITALS:
            people[name].types("site", "check", "../study.toml", shown=1)
            people[name].types("site", "approve", "../study.toml", "--yes", shown=1)
        say("\n4. The study runs. Each hospital answers from a process of its own.")
        _run(people, engine, say)
    fitted = Fit.from_json(where / "statistician" / "fit.json")
    assert isinstance(fitted, MixedFit)
    say("\n" + "\n".join("   " + line for line in fitted.summary().splitlines()))
    say(f"\n   {_same_bits(fitted, table)}")
    say("\n5. What left each hospital, from its ledger, which nobody changed.")
    for name in HOSPITALS:
        people[name].types("site", "ledger", shown=2)
    say("\n6. Anybody can work out the result again from the messages, without any data.")
    people["statistician"].types("study", "replay", "../study.toml", "../messages", shown=1)


def _fresh(folder: Path) -> Path:
    """The folder, empty.  One that an earlier run made is made anew; anything else is left alone."""
    if folder.exists():
        if not (folder / _OURS).exists():
            raise UsageError(f"{folder} is there and was not made by this demo; name another folder, or move it away")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / _OURS).touch()
    return folder


@contextmanager
def _database(where: Path, say: Say) -> Iterator[tuple[str, str]]:
    """Kind and place of the southern hospital's database: a PostgreSQL server where there can be one, else DuckDB."""
    if postgres.available() and find_spec("adbc_driver_postgresql"):
        with postgres.private_server(where) as uri:
            yield "postgresql", uri
        return
    lacking = "PostgreSQL's server" if find_spec("adbc_driver_postgresql") else "adbc-driver-postgresql"
    if find_spec("duckdb"):
        say(f"({lacking} is not installed here: the southern hospital keeps its rows in DuckDB.)\n")
        yield "duckdb", "south.duckdb"
        return
    say(f"({lacking} and DuckDB are not installed here: the southern hospital keeps its rows in a CSV file.)\n")
    yield "csv", "visits.csv"


def _north(person: _Person, rows: pd.DataFrame) -> None:
    rows.to_csv(person.where / "visits.csv", index=False)
    person.types("site", "init", "north", "--csv", "visits.csv", "--messages", "../messages")


def _middle(person: _Person, rows: pd.DataFrame) -> None:
    for year, part in (("2023", rows.iloc[::2]), ("2024", rows.iloc[1::2])):
        part.to_parquet(person.where / f"visits-{year}.parquet", index=False)
    person.types("site", "init", "middle", "--parquet", "visits-*.parquet", "--messages", "../messages")


def _south(person: _Person, rows: pd.DataFrame, kind: str, database: str) -> None:
    if kind == "csv":
        rows.to_csv(person.where / database, index=False)
        person.types("site", "init", "south", "--csv", database, "--messages", "../messages")
        return
    if kind == "duckdb":
        import duckdb  # one of the extras

        with duckdb.connect(str(person.where / database)) as connection:
            connection.register("given", _plain(rows))
            connection.execute("create table visits as select * from given")
    else:
        import adbc_driver_postgresql.dbapi as postgresql
        import pyarrow as pa

        with postgresql.connect(database) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest("visits", pa.Table.from_pandas(_plain(rows), preserve_index=False))
            connection.commit()
    person.types("site", "init", "south", f"--{kind}", database, _QUERY, "--messages", "../messages")


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Categories as texts, which databases keep."""
    return rows.astype({"urban": str, "livch": str})


def _study(person: _Person, table: pd.DataFrame) -> None:
    levels = [table[name].cat.categories for name in ("urban", "livch")]
    made_up = pd.MultiIndex.from_product(levels, names=["urban", "livch"]).to_frame(index=False)
    made_up.assign(use=[0, 1] * 4, district=1, age=[*range(-4, 4)]).to_csv(person.where / "example.csv", index=False)
    expires = (date.today() + timedelta(days=30)).isoformat()
    sites = [word for name in HOSPITALS for word in ("--site", f"{name}=../{name}/{name}.pub")]
    words = ["--family", "binomial", "--id", "contraception", "--purpose", "Who uses contraception", *sites]
    words += ["--expires", expires, "--results-to", "the three hospitals", "--range", "age=-40:40"]
    person.types("study", "init", FORMULA, "example.csv", *words, "-o", "../study.toml")


def _run(people: dict[str, _Person], engine: str, say: Say) -> None:
    of_site: dict[str, tuple[str, ...]] = dict.fromkeys(HOSPITALS, ())
    of_centre: tuple[str, ...] = ()
    if engine == "nvflare":
        people["statistician"].types("study", "provision", "../study.toml", shown=4)
        kits = "../statistician/kits/study/prod_00"
        of_centre = ("--engine", "nvflare", "--kits", kits)
        of_site = {
            name: ("--engine", "nvflare", "--kit", f"{kits}/{name}", "--folder", "messages") for name in HOSPITALS
        }
    sites = {name: people[name].begins("site", "run", "../study.toml", *of_site[name]) for name in HOSPITALS}
    try:
        words = ("study", "run", "../study.toml", "--folder", "../messages", *of_centre, "--json", "fit.json")
        say(f"   statistician$ sumwise {' '.join(words)}")
        _follow(people["statistician"].where, words, say)
        for name, process in sites.items():
            if process.wait(60):
                raise SiteError(f"'{name}' failed: {(people[name].where / 'printed.txt').read_text()[-500:]}")
    finally:
        for process in sites.values():
            process.kill()
            process.wait()


def _follow(where: Path, words: Sequence[str], say: Say) -> None:
    """Runs a command and passes on its progress; what it prints at the end is told later."""
    with subprocess.Popen(
        _command(*words), cwd=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        assert running.stdout is not None
        last = ""
        for line in running.stderr:
            last = line.strip()
            say(f"      {last}")
        printed = running.stdout.read().rstrip().splitlines()
    if running.returncode:
        raise SiteError(f"the study did not end: {last}")
    start = next((k for k, line in enumerate(printed) if line.startswith("Bytes by round")), len(printed))
    say("")
    for line in printed[start:]:
        say(f"      {line}")


def _same_bits(fitted: MixedFit, table: pd.DataFrame) -> str:
    pooled = fit(FORMULA, table, family="binomial")
    assert isinstance(pooled, MixedFit)
    one, other = numbers(fitted), numbers(pooled)
    if one.tobytes() != other.tobytes():
        return "DIFFERENT BITS from three hospitals and from one pooled table."
    return f"Same bits as pooled: all {len(one)} numbers (logLik {fitted.loglik.hex()} in both)."
