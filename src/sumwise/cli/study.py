"""sumwise study: for whoever writes a study and collects its sums."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sumwise.cli import nvflare
from sumwise.cli.options import ENGINE, FILE, FOLDER, WAIT, labels, model_options, needed, pairs, ranges, thresholds
from sumwise.cli.output import json_option, show
from sumwise.cli.watch import Watcher, interrupted
from sumwise.disclosure.policy import Policy
from sumwise.engines.folder import Mailbox, coordinate
from sumwise.errors import UsageError
from sumwise.fitting.options import Options
from sumwise.protocol.keys import KEY_BYTES
from sumwise.protocol.study import to_toml
from sumwise.protocol.study_leaves import by_components
from sumwise.protocol.study_words import in_words
from sumwise.studies.centre import open_coordinator, published
from sumwise.studies.centre import replay as replay_of
from sumwise.studies.draft import draft
from sumwise.studies.files import hex_bytes, new_secret, read_secret, read_study, write_new
from sumwise.studies.plan import plan


@click.group()
def study() -> None:
    """The group; main.py has its help."""


@study.command()
@click.argument("formula")
@click.argument("example", type=FILE)
@click.option("--id", "name", required=True, help="A word that names the study.")
@click.option("--purpose", required=True, help="What the study is for, in a sentence that every steward reads.")
@click.option("--site", "sites", multiple=True, required=True, help="NAME=KEY or NAME=FILE.pub, for each site.")
@click.option("--expires", required=True, type=click.DateTime(["%Y-%m-%d"]), help="Last day on which sites answer.")
@click.option("--results-to", multiple=True, required=True, help="Who may see the results; several times for several.")
@model_options
@click.option("--unit", "units", multiple=True, help="COLUMN=UNIT, which sites must state too.")
@click.option("--range", "limits", multiple=True, help="COLUMN=LOW:HIGH, within which all numbers must lie.")
@click.option("--groups", multiple=True, help="COLUMN:SITE=PREFIX or =LOW..HIGH: labels that only this site can have.")
@click.option("--policy", "policies", multiple=True, help="THRESHOLD=NUMBER, instead of the default.")
@click.option("--most-rounds", type=int, help="Rounds at most.  [default: 1 of a linear model, else 30]")
@click.option("--secure-sum", is_flag=True, help="Mask every answer: the total alone can be read (experimental).")
@click.option("--key", type=FILE, default=Path("coordinator.key"), show_default=True, help="Made if it is not there.")
@click.option("-o", "--output", type=FILE, default=Path("study.toml"), show_default=True)
def init(
    formula: str,
    example: Path,
    name: str,
    purpose: str,
    sites: tuple[str, ...],
    expires: datetime,
    results_to: tuple[str, ...],
    units: tuple[str, ...],
    limits: tuple[str, ...],
    groups: tuple[str, ...],
    policies: tuple[str, ...],
    most_rounds: int | None,
    secure_sum: bool,
    key: Path,
    output: Path,
    **model: Any,
) -> None:
    """Write a study file for FORMULA from EXAMPLE, a table with the sites' columns and levels; made-up rows will do.

    Every site makes its key with `sumwise site init` and sends you the .pub file.
    """
    if model["decimal"] is None and model["family"] == "gaussian" and secure_sum:
        model["decimal"] = False
    private = Ed25519PrivateKey.from_private_bytes(read_secret(key) if key.exists() else new_secret(key))
    written = draft(
        formula,
        str(example),
        id=name,
        purpose=purpose,
        options=Options(**model),
        sites={site: _public(text) for site, text in pairs(sites, "--site").items()},
        coordinator=private.public_key().public_bytes_raw(),
        expires=expires.date(),
        results_to=results_to,
        policy=Policy(**thresholds(policies, asdict(Policy()))),  # type: ignore[arg-type]
        secure_sum=secure_sum,
        most_rounds=most_rounds,
        units=pairs(units, "--unit"),
        ranges=ranges(limits),
        groups=labels(groups),
    )
    write_new(output, to_toml(written), "the study")
    click.echo(f"Written to {output}. Your key is {key}: keep it secret.\n")
    if by_components(written) and written.policy.min_groups > 1:
        click.echo(
            f"Sites answer only with {written.policy.min_groups:g} components or more: levels that a chain of rows "
            f"joins. Where\npatients and raters of a site are crossed it has a single one; --policy min_groups=1 lets "
            f"their sums be told.\n"
        )
    click.echo(f"Next: read it with   sumwise study check {output}")
    click.echo(f"      send it to every site, whose steward runs   sumwise site approve {output}")


def _public(text: str) -> bytes:
    """A site's public keys, as hex digits or in a file."""
    path = Path(text)
    if text.endswith(".pub") or path.is_file():
        try:
            text = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--site: {path} cannot be read as a public key: {error}") from error
    found = hex_bytes(text, 2 * KEY_BYTES)
    if found is None:
        raise UsageError(
            f"--site: {text!r:.60} is no public key: {4 * KEY_BYTES} hex digits, or a .pub file, belong there"
        )
    return found


@study.command()
@click.argument("study_file", type=FILE)
def check(study_file: Path) -> None:
    """Say in plain words what each site is asked, and what leaves it."""
    found = read_study(study_file, date.today())[0]
    plan(found)  # a contract that does not follow from the formula would make the words untrue
    click.echo(in_words(found))


@study.command()
@click.argument("study_file", type=FILE)
@click.option("--key", type=FILE, default=Path("coordinator.key"), show_default=True)
@click.option("--folder", type=FOLDER, required=True, help="Of the messages: shared with the sites, or your own copy.")
@ENGINE
@click.option("--kits", type=FOLDER, help="NVFLARE: what `study provision` made, of server and administrator.")
@WAIT
@json_option("Write the whole fit to this file.")
def run(
    study_file: Path,
    key: Path,
    folder: Path,
    engine: str,
    kits: Path | None,
    wait: float | None,
    json_path: str | None,
) -> None:
    """Ask the sites, add up their answers, and print the fit.  Run again, it goes on where the folder stands.

    With --engine nvflare the server runs as long as the study does, and sites dial in."""
    watcher = Watcher(lambda line: click.echo(line, err=True), wait)
    written, coordinator, mailbox = read_study(study_file)[0], open_coordinator(study_file, key), Mailbox(folder)
    try:
        if engine == "folder":
            state = coordinate(coordinator, mailbox, watcher.wait, watcher.watch)
        else:
            nvflare.check_installed()
            nvflare.run_server(needed(kits, "--kits"), written, study_file, key, folder, watcher)
            state = coordinate(coordinator, mailbox, lambda _names: False)
    except KeyboardInterrupt:
        raise interrupted("the folder") from None
    show(published(written, state), json_path)
    click.echo("\n" + "\n".join(watcher.table()))


@study.command()
@click.argument("study_file", type=FILE)
@click.option("--host", default="localhost", show_default=True, help="Name under which sites reach your machine.")
@click.option("--port", type=int, help="Of the server, the only one that is open.  [default: one that is free]")
@click.option("-o", "--output", type=FOLDER, default=Path("kits"), show_default=True)
def provision(study_file: Path, host: str, port: int | None, output: Path) -> None:
    """Make certificates and kits for a study over NVFLARE: one for your server, one for each site.

    The kits allow nothing but studies: no code, and no class but Sumwise's own."""
    nvflare.check_installed()
    from sumwise.engines import nvflare_federation

    made = nvflare_federation.provision(output, tuple(read_study(study_file)[0].sites), host, port)
    for site in made.sites:
        click.echo(f"{made.kit(site)}   goes to '{site}', over a channel that you trust")
    click.echo(f"{made.folder}   stays with you: sumwise study run {study_file} --engine nvflare --kits {made.folder}")


@study.command()
@click.argument("study_file", type=FILE)
@click.argument("where", type=click.Path(path_type=Path))
@json_option("Write the whole fit to this file.")
def replay(study_file: Path, where: Path, json_path: str | None) -> None:
    """Work out the result again, without any data, from WHERE: the folder of messages, or a site's ledger."""
    show(replay_of(study_file, where), json_path)
