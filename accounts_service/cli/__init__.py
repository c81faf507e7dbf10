"""The command `accounts-service`."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from pathlib import Path

import click
from sqlalchemy.exc import ArgumentError, DBAPIError

from accounts_service import app, installation, logs
from accounts_service.access.authenticators.internal_users import hash_password
from accounts_service.access.privileges import describe
from accounts_service.access.snapshot import (
    BadConfigurationError,
    UnknownUserError,
    parse,
    read_directory,
)
from accounts_service.cli.apps import apps
from accounts_service.cli.audit import audit
from accounts_service.cli.doctor import doctor
from accounts_service.cli.explain import explain
from accounts_service.cli.jobs import jobs
from accounts_service.cli.keys import keys
from accounts_service.cli.shared import opened_database, settings_of_environment
from accounts_service.cli.token import token
from accounts_service.doctor import Status, judge_configuration
from accounts_service.faults import RefusedError
from accounts_service.storage import downgrades, migrations
from accounts_service.storage.database import SqliteDatabase, UnopenedError
from accounts_service.storage.sealed import BadKeysFileError
from accounts_service.web.family import GapError


class _Main(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except OSError as error:
            try:
                print(flush=True)  # noqa: T201  # whether that is what fails: an error names no file
            except OSError:
                reason = error.strerror or type(error).__name__
                text = (
                    f"standard output cannot be written ({reason}): what was to be printed is lost, not what was done"
                )
                raise click.ClickException(text) from None
            raise


@click.group(cls=_Main)
@click.version_option(package_name="accounts-service")
def main() -> None:
    """Keep an organisation's accounts and answer established account APIs. Settings: docs/settings.md."""
    # On standard error, so that what a command prints stands alone.
    logs.configure("warning")


@main.command()
def init() -> None:
    """Make keys, configuration files and a first administrator; never overwrites."""
    settings = settings_of_environment()
    try:
        installation.require_empty_database(settings)
    except installation.AlreadyThereError as error:
        raise click.ClickException(str(error)) from None
    except (RefusedError, ModuleNotFoundError, DBAPIError, ArgumentError):
        # It need not be there yet. Should it hold rows after all, no other command takes the new keys.
        click.echo("Warning: the database cannot be reached, so it was not checked whether it holds rows.", err=True)
    try:
        password = installation.make(settings)
    except (installation.AlreadyThereError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo("The first administrator is 'admin'. This password is shown once:\n")
    click.echo(f"PASSWORD='{password}'\n")


@main.command()
def serve() -> None:
    """Serve requests. The database must have been migrated."""
    # Imported here, so that every other command does without a server.
    from accounts_service.server import Server  # noqa: PLC0415  # the reason above

    settings = settings_of_environment()
    logs.never_wait()
    try:
        # Once before any worker: what stops the start is told on one screen, not
        # by a worker that fails to boot over and over.
        logs.configure(settings.log_level)
        settings, memory = app.rehearse(settings)
    except (BadKeysFileError, UnknownUserError, UnopenedError, migrations.SchemaMismatchError, GapError) as error:
        raise click.ClickException(str(error)) from None
    except BadConfigurationError as error:
        raise click.ClickException("\n".join(map(str, error.problems))) from None
    Server(settings, memory).run()


@main.group()
def db() -> None:
    """Move the database's schema."""


@db.command()
def upgrade() -> None:
    """Bring the database to this release's schema."""
    with opened_database() as database:
        if isinstance(database, SqliteDatabase):
            SqliteDatabase.create(database.path)
        migrations.upgrade(database)
        database.check_keys()
    click.echo(f"The database is at revision {migrations.head()}.")


@db.command()
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Do not ask.")
def downgrade(revision: str, yes: bool) -> None:  # noqa: FBT001  # click's
    """Take the database back to REVISION; `base` empties it. Refused while a process of the service lives."""
    with opened_database() as database:
        try:
            plan = downgrades.plan(database, revision, app.STORED)
            target = plan.revision or "base"
            click.echo(f"From revision {plan.before} back to {target} this is lost:", err=True)
            for loss in plan.losses or ("nothing",):
                click.echo(f"  {loss}", err=True)
            if not yes and not sys.stdin.isatty():
                raise click.ClickException("nothing was changed. To go on without a terminal, add --yes")
            if not yes:
                click.confirm("Go on?", abort=True, err=True)
            downgrades.carry_out(database, plan)
        except downgrades.DowngradeRefusedError as error:
            raise click.ClickException(str(error)) from None
    click.echo(f"The database is at revision {target}.")


@db.command()
def check() -> None:
    """Tell whether this release can work with the database as it is."""
    with opened_database() as database:
        migrations.require(database)
    click.echo(f"The database is at revision {migrations.head()}, as this release needs it.")


@main.command()
def routes() -> None:
    """Print every route: method, path, what it asks for; a path of certain hosts with the first of them before it."""
    settings = settings_of_environment()
    for family in app.FAMILIES.values():
        for route in family.routes:
            for (mount, path), method in itertools.product(family.places(route, settings), route.methods):
                place = min(mount.hosts, default="") + path
                click.echo(f"{method:7} {place:40} {describe(route.requirement)}")


@main.group()
def config() -> None:
    """Look at the configuration files."""


@config.command("check")
@click.argument("directory", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
def config_check(directory: Path | None) -> None:
    """Read the configuration files in DIRECTORY, by default that of the settings, and name all that is wrong.

    Exit status 1 for files that `serve` refuses, and for what `doctor` calls FAIL.
    """
    if directory is None:
        directory = settings_of_environment().config_dir
        if not directory.is_dir():
            raise click.ClickException(f"ACCOUNTS_CONFIG_DIR: there is no directory {directory}; correct the setting")
    built_ins = app.built_ins()
    try:
        configuration = parse(read_directory(directory), built_ins)
    except BadConfigurationError as error:
        for problem in error.problems:
            click.echo(str(problem))
        sys.exit(1)
    counts = Counter[Status]()
    for finding in judge_configuration(configuration, directory, built_ins):
        if finding.check == "left-out":
            click.echo(f"left out: {finding.text}")
        elif finding.status is not Status.OK:
            counts[finding.status] += 1
            kind, todo = ("warning", "") if finding.check == "no-effect" else (_KINDS[finding.status], finding.todo)
            click.echo(f"{kind}: {finding.text}" + (f" -> {todo}" if todo else ""))
    problems, warnings = counts[Status.FAIL], counts[Status.WARN]
    click.echo(
        (f"{problems} problem(s) found" if problems else "No problem found")
        + (f", {warnings} warning(s)." if warnings else ".")
    )
    sys.exit(1 if problems else 0)


_KINDS = {Status.WARN: "warning", Status.FAIL: "problem"}


@main.command("hash-password")
def hash_password_command() -> None:
    """Read a password and print its hash for sg_internal_users.yml."""
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    try:
        click.echo(hash_password(password))
    except ValueError as error:
        raise click.ClickException(str(error)) from None


main.add_command(explain)
main.add_command(doctor)
main.add_command(jobs)
main.add_command(token)
main.add_command(apps)
main.add_command(keys)
main.add_command(audit)
