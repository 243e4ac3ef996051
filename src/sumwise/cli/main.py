"""The command line: fit, demo."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

import sumwise
from sumwise.errors import SumwiseError, UsageError

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


class _Command(click.Group):
    """Turns errors that Sumwise raises on purpose into one readable message and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SumwiseError as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            sys.exit(2)


@click.group(cls=_Command, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(sumwise.__version__, prog_name="sumwise")
def main() -> None:
    """Exact regression, wherever the rows live.

    Fits to rows in one file or at many sites give the same estimates, to the last bit."""


def _nodes(_context: click.Context, _parameter: click.Parameter, value: str) -> int | str:
    if value == "auto":
        return value
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither 'auto' nor a whole number") from None


@main.command()
@click.argument("formula")
@click.argument("data", nargs=-1, required=True)
@click.option("--family", default="gaussian", show_default=True, help="Distribution of the response: or binomial.")
@click.option("--weights", help="Weights of the rows: a column, or an expression such as 1/v.")
@click.option(
    "--decimal/--no-decimal",
    default=None,
    help="Keep decimals exact, or take the nearest floating-point numbers.  [default: exact in .dat and .txt files]",
)
@click.option(
    "--nodes",
    default="auto",
    show_default=True,
    callback=_nodes,
    help="Quadrature nodes, with random effects: auto, or a number; 1 is Laplace.",
)
@click.option(
    "--missing",
    type=click.Choice(["error", "drop"]),
    default="error",
    show_default=True,
    help="What to do with missing values.",
)
@click.option("--pool", is_flag=True, help="Read all files as one table, instead of one site a file.")
@click.option("--threads", type=int, help="Threads at most; the result does not depend on it.")
@click.option("--json", "json_path", type=click.Path(), help="Write the whole fit to this file.")
def fit(
    formula: str,
    data: tuple[str, ...],
    family: str,
    weights: str | None,
    decimal: bool | None,
    nodes: int | str,
    missing: str,
    pool: bool,
    threads: int | None,
    json_path: str | None,
) -> None:
    """Fit FORMULA to DATA: CSV, Parquet or text files.  Several files are several sites, each named after its
    file.
    """
    if json_path is not None:
        _check_writable(json_path)
    result = sumwise.fit(
        formula,
        list(data) if pool else _sites(data),
        family=family,
        weights=weights,
        nodes=nodes,
        missing=missing,
        decimal=decimal,
        threads=threads,
    )
    click.echo(result.summary())
    if json_path is not None:
        result.to_json(json_path)
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
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("sumwise-demo"),
    show_default=True,
    help="Where to write its files.",
)
def demo(folder: Path) -> None:
    """The main job on real data: 15 herds with a file each, then a simulation over two sites."""
    from sumwise.demo import run

    run(folder, click.echo)
