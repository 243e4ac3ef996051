"""sumwise: fit and demo; study and site stand in files of their own."""

from __future__ import annotations

import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import click

import sumwise
from sumwise.cli.options import ENGINE, FOLDER, model_options
from sumwise.cli.output import json_option, show
from sumwise.errors import NothingNewError, SumwiseError, UsageError

_EXAMPLES = """\b
Examples:
  sumwise demo
      cattle disease in 15 herds that keep their own files; a simulation over two sites
  sumwise fit "y ~ x" data.csv
      linear regression, every digit exact; --decimal takes 0.1 in the file as 0.1
  sumwise fit "bp ~ log(dose) * sex + I(age^2)" a.parquet b.parquet --weights n --json fit.json
      factors, interactions, transforms and weights; two sites; the whole result kept as JSON
  sumwise fit "y ~ x + (1 | clinic)" visits.csv --family binomial
      logistic regression with a random intercept for each clinic
  sumwise fit "cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)" sumwise-demo/herds/*.csv \\
      --family binomial
      counts out of totals, in the files of the demo; each is a site, and only exact sums are added up
"""


class _Later(click.Group):
    """A group of commands from a module of its own, which is loaded when one of them is called for."""

    def __init__(self, name: str, help: str) -> None:  # noqa: A002  (its name in click)
        super().__init__(name, help=help)

    def _loaded(self) -> click.Group:
        found: click.Group = getattr(import_module(f"sumwise.cli.{self.name}"), str(self.name))
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        return self._loaded().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._loaded().get_command(ctx, cmd_name)


class _Command(click.Group):
    """Turns errors that Sumwise raises on purpose into one readable message and exit code 2; 3 where a study waits."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except NothingNewError as error:
            click.echo(f"Waiting: {error}", err=True)
            sys.exit(3)
        except SumwiseError as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            sys.exit(2)


@click.group(cls=_Command, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(sumwise.__version__, prog_name="sumwise")
def main() -> None:
    """Exact regression, wherever the rows live.

    Fits to rows in one file or at many sites give the same estimates, to the last bit."""


@main.command()
@click.argument("formula")
@click.argument("data", nargs=-1, required=True)
@model_options
@click.option("--pool", is_flag=True, help="Read all files as one table, instead of one site a file.")
@click.option("--threads", type=int, help="Threads at most; the result does not depend on it.")
@json_option("Write the whole fit to this file.")
def fit(
    formula: str,
    data: tuple[str, ...],
    pool: bool,
    threads: int | None,
    json_path: str | None,
    **model: Any,
) -> None:
    """Fit FORMULA to DATA: CSV, Parquet or text files.  Several files are several sites, each named after its
    file.
    """
    result = sumwise.fit(formula, list(data) if pool else _sites(data), threads=threads, **model)
    show(result, json_path)


def _sites(paths: tuple[str, ...]) -> str | dict[str, str]:
    if len(paths) == 1:
        return paths[0]
    names = [Path(path).stem for path in paths]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(
            f"two files are called '{twice[0]}': a site takes its name from its file; rename one, or use --pool"
        )
    return dict(zip(names, paths, strict=True))


@main.command()
@click.option(
    "--folder",
    type=FOLDER,
    default=Path("sumwise-demo"),
    show_default=True,
    help="Where to write its files.",
)
@click.option("--federated", is_flag=True, help="Three hospitals that keep their rows, instead.")
@ENGINE
def demo(folder: Path, federated: bool, engine: str) -> None:
    """The main job on real data: 15 herds with a file each, then a simulation over two sites.

    With --federated a study of three hospitals: keys, approvals, policies, one fit, and what left each of them."""
    if federated:
        from sumwise.demo import study

        study.run(folder, engine, click.echo)
    else:
        from sumwise.demo import local

        local.run(folder, click.echo)


main.add_command(_Later("study", "Write a study over several sites, run it, and replay it."))
main.add_command(_Later("site", "Answer studies with sums over rows that stay here, and look at what left."))
