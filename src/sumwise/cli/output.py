"""What a fit leaves on the terminal and on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sumwise.errors import UsageError

if TYPE_CHECKING:
    from sumwise.results.fit import Fit

F = TypeVar("F", bound=Callable[..., Any])


def json_option(help: str) -> Callable[[F], F]:  # noqa: A002  (its name in click)
    """--json FILE, refused before anything else is done where it cannot be written."""
    return click.option("--json", "json_path", type=click.Path(), callback=_writable, help=help)


def _writable(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        _check_writable(value)
    return value


def show(fit: Fit, json_path: str | None) -> None:
    """The summary, and where the fit was written."""
    click.echo(fit.summary())
    if json_path is not None:
        fit.to_json(json_path)
        click.echo(f"\nWritten to {json_path}; read it back with sumwise.Fit.from_json({json_path!r}).")


def _check_writable(name: str) -> None:
    """Raises UsageError for a path that cannot be written, so that no fit is lost to it."""
    path = Path(name)
    if not name or path.is_dir():
        raise UsageError(f"--json {name!r}: {'is a folder' if name else 'names no file'}; name a file to write")
    if not path.parent.is_dir():
        raise UsageError(f"--json {name}: there is no folder {path.parent}; make it first")
    there = path.exists()
    try:
        path.open("a").close()
        if not there:
            path.unlink()
    except OSError as error:
        raise UsageError(f"--json {name}: cannot be written: {error.strerror}") from error
