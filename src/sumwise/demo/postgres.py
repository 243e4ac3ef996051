"""A PostgreSQL server of one's own, for as long as it is needed: for the demonstration and the tests."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sumwise.errors import SiteError

_SECONDS = 60
"""How long a server may take to start or to stop."""


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, of the newest version that Debian has; else where initdb is found."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda path: float(path.parts[-3]), default=None)
    found = newest or shutil.which("initdb")
    return Path(found).parent if found else None


def available() -> bool:
    """Whether a server can be started here: its programs are there, and whoever runs this is not root without a user
    postgres, as PostgreSQL refuses root.
    """
    return programs() is not None and (os.geteuid() != 0 or _postgres_user() is not None)


@contextmanager
def private_server(folder: Path) -> Iterator[str]:
    """The uri of an empty database "postgres" on a server that ends with the block, and its data with it.

    No other machine and no other user reaches it: it listens on a socket in a folder of its own under the system's
    temporary folder, and wants a password that is made up for it.   folder: takes its log, postgresql.log.
    Raises SiteError, naming the log, if it does not start.
    """
    bin_, log = programs(), folder / "postgresql.log"
    if bin_ is None or not available():
        raise SiteError("PostgreSQL is not installed here, or there is no user postgres for it: apt install postgresql")
    account = _postgres_user() if os.geteuid() == 0 else None
    password = secrets.token_urlsafe(24)
    # not in `folder`: it may be closed to the user postgres, and the path of a socket has at most 107 letters
    with tempfile.TemporaryDirectory(prefix="sumwise-pg-") as home, open(log, "ab") as output:
        as_user: dict[str, Any] = {"cwd": home, "stdout": output, "stderr": output, "stdin": subprocess.DEVNULL}
        if account is not None:
            as_user |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            os.chown(home, account.pw_uid, account.pw_gid)
        secret = Path(home, "password")
        secret.write_text(password, encoding="utf-8")
        if account is not None:
            os.chown(secret, account.pw_uid, account.pw_gid)
        data = str(Path(home, "data"))
        options = ["--username=sumwise", f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        made = subprocess.run([bin_ / "initdb", f"--pgdata={data}", "--no-sync", *options], check=False, **as_user)
        secret.unlink()
        if made.returncode:
            raise SiteError(f"PostgreSQL's initdb failed: see {log}")
        only_here = ["-k", home, "-c", "listen_addresses=", "-c", "fsync=off"]
        server = subprocess.Popen([bin_ / "postgres", "-D", data, *only_here], **as_user)
        try:
            _wait(server, [bin_ / "pg_isready", "--quiet", f"--host={home}"], log)
            yield f"postgresql://sumwise:{password}@/postgres?host={home}"
        finally:
            _stop(server)


def _postgres_user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


def _wait(server: subprocess.Popen[bytes], is_ready: list[str | Path], log: Path) -> None:
    until = time.monotonic() + _SECONDS
    while subprocess.run(is_ready, check=False, stdout=subprocess.DEVNULL).returncode:
        if server.poll() is not None or time.monotonic() > until:
            raise SiteError(f"PostgreSQL did not start: see {log}")
        time.sleep(0.05)


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Ends it without waiting for whoever is connected."""
    server.send_signal(signal.SIGINT)
    try:
        server.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
