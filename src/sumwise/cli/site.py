"""sumwise site: for the steward of rows that stay where they are."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from sumwise.cli import nvflare
from sumwise.cli.options import ENGINE, FILE, FOLDER, WAIT, needed
from sumwise.cli.output import json_option, show
from sumwise.cli.watch import Watcher, described, interrupted
from sumwise.engines.folder import LedgerFile, read_ledger, serve
from sumwise.errors import DataError, PolicyRefusal, SiteError, UsageError
from sumwise.printing import align
from sumwise.protocol import ledger as chain
from sumwise.protocol.states import Phase
from sumwise.protocol.study_words import fingerprint, in_words
from sumwise.protocol.wire.messages import COORDINATOR, Answer, Message
from sumwise.studies import approval
from sumwise.studies.files import read_study
from sumwise.studies.site import foreseen, open_site, prepare
from sumwise.studies.site_file import new_site, read_site

SITE = click.option(
    "--site", "site_file", type=FILE, default=Path("site.toml"), show_default=True, help="What the site says of itself."
)


@click.group()
def site() -> None:
    """The group; main.py has its help."""


@site.command()
@click.argument("name")
@click.option("--csv", help="Path or pattern of CSV files with the rows.")
@click.option("--parquet", help="Path or pattern of Parquet files.")
@click.option("--duckdb", nargs=2, metavar="DATABASE QUERY", help="A DuckDB file and a query.")
@click.option("--postgresql", nargs=2, metavar="URI QUERY", help="A PostgreSQL server and a query; ${NAME} in the URI.")
@click.option("--messages", default="messages", show_default=True, help="Folder of the messages, shared or carried.")
@click.option("--folder", type=FOLDER, default=Path(), show_default=True, help="Where the site's own files go.")
def init(
    name: str,
    csv: str | None,
    parquet: str | None,
    duckdb: tuple[str, str] | None,
    postgresql: tuple[str, str] | None,
    messages: str,
    folder: Path,
) -> None:
    """Write site.toml, a secret key and NAME.pub, which goes to whoever writes the study."""
    data = {
        "csv": csv,
        "parquet": parquet,
        "duckdb": duckdb and {"database": duckdb[0], "query": duckdb[1]},
        "postgresql": postgresql and {"uri": postgresql[0], "query": postgresql[1]},
    }
    given = {kind: value for kind, value in data.items() if value}
    if len(given) != 1:
        raise UsageError("say where the rows are with one of --csv, --parquet, --duckdb, --postgresql")
    path, public = new_site(name, folder, messages, given)
    secret = public.with_suffix(".key")
    click.echo(f"Written: {path}, {secret} (secret), {public} (send this one to whoever writes the study).")
    click.echo(f"Fingerprint of the public keys: {fingerprint(read_site(path).keys().public)} (compare by telephone).")


@site.command()
@click.argument("study_file", type=FILE)
@SITE
def check(study_file: Path, site_file: Path) -> None:
    """Compare the rows here with the contract of a study, and with the disclosure policy; nothing leaves."""
    own, (study, _) = read_site(site_file), read_study(study_file, date.today())
    approval.check_belongs(own, own.keys(), study)
    ready = prepare(own, study, LedgerFile(own.ledger))
    rows = [[f.column, f.agreed, f.here, "DIFFERENT" if f.wrong else "ok"] for f in ready.findings]
    click.echo("\n".join(align([["column", "agreed", "here", ""], *rows], left=(0, 1, 2, 3), gap="  ")))
    if ready.fault:
        click.echo(f"\n{ready.fault}")
    refusals = foreseen(ready)
    for refusal in refusals:
        click.echo(f"\nThe policy would refuse: {refusal.rule}: {refusal.words}")
    if ready.block is None:
        raise DataError(
            f"the rows of '{own.name}' do not fit the contract: change the rows, or what {site_file} says of them "
            f"([units], columns), or ask for another study"
        )
    if refusals:
        raise PolicyRefusal(f"'{own.name}' would refuse this study before it answers: nothing would leave")
    dropped = f" ({ready.block.dropped} more have missing values and are left out)" if ready.block.dropped else ""
    click.echo(f"\n{len(ready.block.y)} rows fit the contract{dropped}, and the policy has no objection to them.")


@site.command()
@click.argument("study_file", type=FILE)
@SITE
@click.option("--yes", is_flag=True, help="Approve without being asked, after reading elsewhere.")
def approve(study_file: Path, site_file: Path, yes: bool) -> None:
    """Show what would leave, and sign the study if you say yes."""
    own, (study, text) = read_site(site_file), read_study(study_file, date.today())
    approval.check_belongs(own, own.keys(), study)
    click.echo(in_words(study))
    unasked = "nobody answered, so nothing was signed: approve at a terminal, or with --yes after reading elsewhere"
    if not yes and not _confirmed(f"\nDoes '{own.name}' approve this study?", unasked):
        raise UsageError("not approved: nothing was signed")
    approval.approve(own, study, text, LedgerFile(own.ledger))
    click.echo(f"\nApproved and signed by '{own.name}'. Next:   sumwise site run {study_file}")


@site.command()
@click.argument("study_file", type=FILE)
@SITE
@click.option("--folder", type=FOLDER, help="Of the messages.  [default: as site.toml says]")
@ENGINE
@click.option("--kit", type=FOLDER, help="NVFLARE: what the coordinator's `study provision` made for you.")
@click.option("--ask", is_flag=True, help="Ask a person before each message leaves.")
@WAIT
@json_option("Write the fit, with the effects of the groups here.")
def run(
    study_file: Path,
    site_file: Path,
    folder: Path | None,
    engine: str,
    kit: Path | None,
    ask: bool,
    wait: float | None,
    json_path: str | None,
) -> None:
    """Answer the questions of an approved study.  Run again, it goes on where folder and ledger stand.

    With --engine nvflare the client dials out to the coordinator's server, and nothing dials in."""

    def say(line: str) -> None:
        click.echo(line, err=True)

    opened = open_site(site_file, study_file, folder)
    watcher = Watcher(say, wait)
    confirm = _asked if ask else lambda _message, _size: True
    try:
        if engine == "folder":
            state = serve(opened.agent, opened.mailbox, opened.book, watcher.wait, watcher.watch, confirm)
        else:
            nvflare.check_installed()
            if ask:
                raise UsageError("--ask goes with --engine folder: over NVFLARE nobody sits between the messages")
            nvflare.run_site(needed(kit, "--kit"), opened, study_file, site_file, watcher)
            opened = open_site(site_file, study_file, folder)
            state = serve(opened.agent, opened.mailbox, opened.book, lambda _names: False)
    except KeyboardInterrupt:
        raise interrupted("the ledger") from None
    if state.phase is not Phase.FINISHED:
        if refusal := opened.refused():
            raise PolicyRefusal(
                f"'{opened.agent.name}' refused, and the study ended without a result. Why, for your eyes alone: "
                f"{refusal}"
            )
        who, why = state.ended or (COORDINATOR, None)
        raise SiteError(f"the study ended without a result ('{who}': {why.words if why else state.phase.value})")
    show(opened.result(state), json_path)
    click.echo("\n" + "\n".join(watcher.table()))


def _asked(message: Message, size: int) -> bool:
    what = f" ({len(message.summand)} bytes of sums)" if isinstance(message, Answer) else ""
    unasked = "nobody answered, so nothing was sent, and the study waits: --ask takes a terminal"
    return _confirmed(f"Send: {described(message)}, {size} bytes{what}?", unasked, err=True)


def _confirmed(question: str, unasked: str, *, err: bool = False) -> bool:
    """Yes or no.  Raises UsageError, which says `unasked`, where there is nobody to ask: no terminal, no input."""
    try:
        return click.confirm(question, err=err)
    except click.Abort as error:
        if isinstance(error.__context__, EOFError):
            raise UsageError(unasked) from None
        raise


@site.command()
@SITE
def ledger(site_file: Path) -> None:
    """Show everything that ever left or came in, after checking that nobody changed it."""
    own = read_site(site_file)
    found = read_ledger(own.ledger)
    entries = found.entries
    rows = [[str(e.index), e.kind, e.summary, e.payload_hash.hex()[:16]] for e in entries]
    click.echo("\n".join(align([["", "kind", "what", "SHA-256"], *rows], left=(1, 2, 3), gap="  ")))
    click.echo(f"\n{len(entries)} entries, each with the hash of the one before it: unchanged.")
    if found.torn:
        click.echo(f"{found.torn} bytes at the end are of an entry that a crash left unfinished, or that was cut off.")
    click.echo(f"Head: {chain.head(entries).hex()} (keep it elsewhere: a ledger written anew has another).")
