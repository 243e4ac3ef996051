"""Options that several commands have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from sumwise.errors import UsageError
from sumwise.fitting.options import FAMILIES, WEIGHTS_AS

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)

WAIT = click.option("--wait", type=float, help="Seconds to wait for news before stopping.  [default: for ever]")
ENGINE = click.option(
    "--engine",
    type=click.Choice(["folder", "nvflare"]),
    default="folder",
    show_default=True,
    help="What carries the messages.",
)


def needed(path: Path | None, option: str) -> Path:
    """Raises UsageError for an option that the engine cannot do without."""
    if path is None:
        raise UsageError(f"--engine nvflare needs {option} as well")
    return path


def nodes(_context: click.Context, _parameter: click.Parameter, value: str) -> int | str:
    """auto, or a whole number."""
    if value == "auto":
        return value
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither 'auto' nor a whole number") from None


def model_options(command: F) -> F:
    """What fit() knows of models, under its names: they come as keywords."""
    for option in reversed(
        (
            click.option(
                "--family",
                default="gaussian",
                show_default=True,
                help=f"Of the response: {', '.join(FAMILIES)}.",
            ),
            click.option("--link", help="Of mean and linear predictor.  [default: the one that R has]"),
            click.option("--size", type=float, help="Of the negative binomial, where it is not to be estimated."),
            click.option("--weights", help="Weights of the rows: a column, or an expression such as 1/v."),
            click.option(
                "--weights-as",
                type=click.Choice(WEIGHTS_AS),
                default="precision",
                show_default=True,
                help="What weights mean: a row's precision, or how many equal rows it stands for.",
            ),
            click.option("--method", help="Of linear mixed models: REML or ML.  [default: REML]"),
            click.option(
                "--decimal/--no-decimal",
                default=None,
                help="Keep decimals exact, or take the nearest floating-point numbers.  "
                "[default: exact in .dat and .txt files]",
            ),
            click.option(
                "--nodes",
                default="auto",
                show_default=True,
                callback=nodes,
                help="Quadrature nodes, with random effects: auto, or a number; 1 is Laplace.",
            ),
            click.option(
                "--missing",
                type=click.Choice(["error", "drop"]),
                default="error",
                show_default=True,
                help="What to do with missing values.",
            ),
        )
    ):
        command = option(command)
    return command


def pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    """name=value of an option that may stand several times.  Raises UsageError for anything else."""
    found: dict[str, str] = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals or not name or not rest:
            raise UsageError(f"{option} {value!r}: write {option} NAME=VALUE")
        if name in found:
            raise UsageError(f"{option}: '{name}' stands there twice")
        found[name] = rest
    return found


def labels(values: tuple[str, ...]) -> dict[str, dict[str, str | list[int]]]:
    """subject:north=N- or subject:north=1..199 by column and site.  Raises UsageError for anything else."""
    found: dict[str, dict[str, str | list[int]]] = {}
    for name, text in pairs(values, "--groups").items():
        column, colon, site = name.partition(":")
        if not colon or not column or not site:
            raise UsageError(f"--groups {name}={text}: write COLUMN:SITE=LABELS, as in subject:north=N-")
        ends = re.fullmatch(r"(-?[0-9]{1,15})\.\.(-?[0-9]{1,15})", text)
        found.setdefault(column, {})[site] = text if ends is None else [int(ends[1]), int(ends[2])]
    return found


def ranges(values: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """age=15:49 as numbers."""
    found = {}
    for name, text in pairs(values, "--range").items():
        low, _, high = text.partition(":")
        try:
            found[name] = (float(low), float(high))
        except ValueError:
            raise UsageError(f"--range {name}={text}: write two numbers, as in {name}=15:49") from None
    return found


def thresholds(values: tuple[str, ...], defaults: Mapping[str, float | bool]) -> dict[str, float | bool]:
    """--policy min_rows=30 over the defaults.  Raises UsageError for a threshold that there is not."""
    found = dict(defaults)
    for name, text in pairs(values, "--policy").items():
        if name not in found:
            raise UsageError(f"--policy {name}: there is no such threshold; there are {', '.join(found)}")
        try:
            found[name] = {"true": True, "false": False}[text] if name == "only_expected" else float(text)
        except (KeyError, ValueError):
            raise UsageError(f"--policy {name}={text}: a number belongs there, or inf") from None
    return found
