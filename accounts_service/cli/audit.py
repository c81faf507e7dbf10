"""The audit trail at the command line."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from typing import IO

import click

from accounts_service import app, logs
from accounts_service.cli.shared import author, opened_database
from accounts_service.cli.token import on_one_line, text
from accounts_service.storage import migrations
from accounts_service.storage.audit import ACTOR, OBJECT
from accounts_service.storage.chain import Head
from accounts_service.storage.names import Names
from accounts_service.storage.verification import verify as verified

_SEALED = "audit.sealed"


def _heads(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> list[Head]:
    try:
        return [Head.parse(value) for value in values]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _logged(log: IO[str]) -> Iterator[Head]:
    """Read the heads of a log, whatever other lines it has. Raises ClickException for one that is not whole."""
    for number, line in enumerate(log, 1):
        if _SEALED not in line:
            continue
        try:
            # What a shipper has put before the object does no harm.
            said = json.loads(line[line.index("{") :])
            if said.get("event") == _SEALED:
                yield Head.parse(said["head"])
        except (ValueError, LookupError, TypeError, AttributeError):
            raise click.ClickException(f"line {number} of {log.name} is no line of the log") from None


@click.group()
def audit() -> None:
    """Look after the audit trail."""


@audit.command()
@click.option(
    "--head",
    "heads",
    multiple=True,
    callback=_heads,
    help="A head that the log has named, NUMBER:LINK or NUMBER:LINK@TENANT; may be repeated.",
)
@click.option(
    "--heads-from",
    "logs_of_heads",
    multiple=True,
    type=click.File(errors="replace"),
    help="A log whose heads must all be in the chains, or - for standard input; may be repeated.",
)
def verify(heads: list[Head], logs_of_heads: tuple[IO[str], ...]) -> None:
    """Hold the whole trail against its keys, and what is stored against it. Exit status 1 when something is wrong."""
    # Whoever seals says so as the log does: on standard error, so that what is asked for stands alone.
    logs.configure("info")
    with opened_database() as database:
        migrations.require(database)
        report = verified(database, app.STORED, itertools.chain(heads, *map(_logged, logs_of_heads)))
    for finding in report.findings:
        click.echo(on_one_line(str(finding)))
    if report.more:
        click.echo(f"and {report.more} more")
    for head in report.heads:
        click.echo(on_one_line(f"head {head}"))
    if report.uncompared:
        click.echo(f"{report.uncompared} of the heads given are of records that are gone: not comparable.")
    click.echo(f"{report.records} records, " + ("nothing is wrong." if report.ok else "something is wrong."))
    sys.exit(0 if report.ok else 1)


@audit.command()
@click.argument("name", callback=text)
@click.option("--kind", type=click.Choice((ACTOR, OBJECT)), help="Only as the one who acted, or what was acted on.")
def erase(name: str, kind: str | None) -> None:
    """Forget NAME in the audit trail. The records stay, and stay verifiable; they name nobody any more."""
    kinds = (ACTOR, OBJECT) if kind is None else (kind,)
    with opened_database() as database:
        migrations.require(database)
        number = database.written(Names, author(), lambda names: names.erase(name, kinds))
        with database.reading(Names) as names:
            inline = names.inline(name)
    click.echo(f"Names erased: {number}.")
    if inline:
        click.echo(f"Records of an earlier release that hold the name themselves, until they expire: {inline}.")
