"""site.toml: what a site says about itself.  It stays at the site."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import tomli_w

from sumwise.disclosure.policy import OPEN, Policy
from sumwise.engines.folder import file_name
from sumwise.errors import UsageError, shown
from sumwise.protocol.keys import SiteKeys
from sumwise.protocol.study_problems import SITE_NAME, is_site_name, threshold_belongs
from sumwise.studies.files import checked, new_secret, read_secret, read_text, write_new

_KNOWN = ("name", "key", "ledger", "folder", "columns", "data", "units", "policy")


@dataclass(frozen=True, slots=True)
class SiteFile:
    """name: of the site in studies; key, ledger, folder: paths of its secret key, its ledger, and the folder of
    messages; columns: that studies may use, None for all; data: where the rows are, as data.open_site_data takes it;
    units: of columns, by name; policy: the site's own, which a study's may only be stricter than.   where: the folder
    that paths are relative to.
    """

    name: str
    key: Path
    ledger: Path
    folder: Path
    columns: tuple[str, ...] | None
    data: Mapping[str, Any]
    units: Mapping[str, str]
    policy: Policy
    where: Path

    def keys(self) -> SiteKeys:
        """Raises UsageError for a key file that is missing, broken or readable by others."""
        return SiteKeys.from_seed(read_secret(self.key))


def read_site(path: Path) -> SiteFile:
    """Raises UsageError naming the file, the key, what is there and what belongs there."""
    written = read_text(path, "the site file")
    try:
        table = tomllib.loads(written)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    unknown = [key for key in table if key not in _KNOWN]
    if unknown:
        raise UsageError(f"{path}: {shown(unknown[0])} is unknown; known are {', '.join(_KNOWN)}")
    where = path.parent

    def text(key: str) -> str:
        found: str = checked(table, key, "a path, as text,", lambda v: isinstance(v, str) and bool(v), path)
        return found

    name = checked(table, "name", SITE_NAME, is_site_name, path)
    data = checked(table, "data", 'a table such as csv = "visits.csv"', lambda v: isinstance(v, dict), path)
    units = table.get("units", {})
    if not isinstance(units, dict) or not all(isinstance(unit, str) for unit in units.values()):
        raise UsageError(f'{path}: units is {shown(units)}; a table such as age = "years" belongs there')
    columns = table.get("columns")
    if columns is not None and not (isinstance(columns, list) and all(isinstance(name, str) for name in columns)):
        raise UsageError(f"{path}: columns is {shown(columns)}; a list of names belongs there")
    paths = {key: where / text(key) for key in ("key", "ledger", "folder")}
    columns = None if columns is None else tuple(columns)
    return SiteFile(
        name,
        **paths,
        columns=columns,
        data=data,
        units=units,
        policy=_policy(table.get("policy", {}), path),
        where=where,
    )


def _policy(table: Any, path: Path) -> Policy:
    """Thresholds that are not named refuse nothing: the study's own hold."""
    known = [field.name for field in fields(Policy)]
    if not isinstance(table, dict) or any(key not in known for key in table):
        raise UsageError(f"{path}: policy is {shown(table)}; a table of thresholds belongs there: {', '.join(known)}")
    for name, value in table.items():
        if belongs := threshold_belongs(name, value):
            raise UsageError(f"{path}: policy.{name} is {shown(value)}; {belongs} belongs there")
    return Policy(**{name: table.get(name, getattr(OPEN, name)) for name in known})


_HEAD = """\
# A site of Sumwise. This file, the key and the ledger stay here; others get the file {name}.pub alone.
# columns = ["age", "use"] above [data] lets studies use these columns alone; leave numbers of persons out.
# Below [data] stands one of: csv, parquet, text (a path or a pattern), duckdb, postgresql (a table with a query).
# Below [units] stand units of columns, such as age = "years".
# Below [policy] stands the least that this site asks for, here the defaults; where a study asks for more, that holds.
# Make it stricter for delicate data, such as min_rows = 100. A threshold that you take out is left to each study.

"""


def new_site(name: str, folder: Path, messages: str, data: Mapping[str, Any]) -> tuple[Path, Path]:
    """Writes site.toml, a new secret key and the public one to a folder; gives the paths of the first and the last.

    Raises UsageError for a name that is none, and for files that are there already.
    """
    if not is_site_name(name):
        raise UsageError(f"{shown(name)} names no site: {SITE_NAME} belongs there")
    stem = file_name(name)
    path, public = folder / "site.toml", folder / f"{stem}.pub"
    values = {"name": name, "key": f"{stem}.key", "ledger": f"{stem}.ledger", "folder": messages, "data": dict(data)}
    write_new(
        path,
        _HEAD.format(name=stem) + tomli_w.dumps({**values, "units": {}, "policy": asdict(Policy())}),
        "the site file",
    )
    seed = new_secret(folder / f"{stem}.key")
    write_new(public, SiteKeys.from_seed(seed).public.hex() + "\n", "the public key")
    return path, public
