"""The files of people in a study: secrets, public keys, the study."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from sumwise.engines.folder import check_private
from sumwise.errors import UsageError, shown
from sumwise.protocol.keys import SEED_BYTES
from sumwise.protocol.study import Study, from_toml


def read_text(path: Path, what: str) -> str:
    """A file of text.  Raises UsageError, saying what it should have been."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{what} {path} cannot be read: {_reason(error)}") from error


def write_new(path: Path, text: str, what: str, *, private: bool = False) -> None:
    """A file that was not there.  private: readable by its owner alone.

    Raises UsageError for one that is there already: it is never overwritten.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{what} {path} is there already, and is not overwritten; move it, or name another") from error
    except OSError as error:
        raise UsageError(f"{what} {path} cannot be written: {_reason(error)}") from error


def new_secret(path: Path) -> bytes:
    """32 random bytes, kept in a file that its owner alone can read."""
    seed = secrets.token_bytes(SEED_BYTES)
    write_new(path, seed.hex() + "\n", "the secret key", private=True)
    return seed


def read_secret(path: Path) -> bytes:
    """What `new_secret` wrote.  Raises UsageError for another file, and for one that others can read."""
    text = read_text(path, "the secret key").strip()
    check_private(path, "the secret key")
    seed = hex_bytes(text, SEED_BYTES)
    if seed is None:
        raise UsageError(f"{path} is no secret key: {2 * SEED_BYTES} hex digits belong there")
    return seed


def hex_bytes(text: str, size: int) -> bytes | None:
    """So many bytes, of hex digits; None for any other text."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return None
    return found if len(found) == size else None


def read_study(path: Path, today: date | None = None) -> tuple[Study, str]:
    """A study file and its text.  Raises UsageError as protocol.study.from_toml."""
    text = read_text(path, "the study")
    return from_toml(text, today), text


def checked(table: dict[str, Any], key: str, belongs: str, holds: Callable[[Any], bool], where: Path) -> Any:
    """A value of a TOML table.  Raises UsageError naming the key, what is there and what belongs there."""
    value = table.get(key)
    if not holds(value):
        found = "is missing" if key not in table else f"is {shown(value)}"
        raise UsageError(f"{where}: {key} {found}; {belongs} belongs there")
    return value


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error.strerror)
