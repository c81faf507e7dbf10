"""The command `accounts-service`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from alembic.util.exc import CommandError

from accounts_service import app, installation, logs
from accounts_service.access.authenticators.internal_users import hash_password
from accounts_service.access.privileges import InTenant, Open, Requirement, Scoped
from accounts_service.access.snapshot import BadConfigurationError, parse, read_directory
from accounts_service.bulkhead import Bulkhead
from accounts_service.config import BadSettingsError, Settings
from accounts_service.faults import RefusedError
from accounts_service.storage import migrations
from accounts_service.storage.database import Database, SqliteDatabase
from accounts_service.storage.sealed import BadKeysFileError, Vault, load_keyring
from accounts_service.web.family import GapError


def _settings() -> Settings:
    try:
        return Settings.from_environment(os.environ)
    except BadSettingsError as error:
        raise click.ClickException("\n".join(error.problems)) from None


def _database(settings: Settings) -> Database:
    try:
        vault = Vault(load_keyring(settings.keys_file))
    except BadKeysFileError as error:
        raise click.ClickException(str(error)) from None
    return app.make_database(settings, vault, Bulkhead(1))


@contextmanager
def _told() -> Iterator[None]:
    """Tell what a database command may raise as one line."""
    try:
        yield
    except RefusedError:
        raise click.ClickException("the database cannot be reached, or is busy") from None
    except (migrations.SchemaMismatchError, CommandError, OSError) as error:
        raise click.ClickException(str(error)) from None


@click.group()
@click.version_option(package_name="accounts-service")
def main() -> None:
    """Keep an organisation's accounts and answer four account APIs. Settings: docs/settings.md."""


@main.command()
def init() -> None:
    """Make keys, configuration files and a first administrator; never overwrites."""
    try:
        password = installation.make(_settings())
    except (installation.AlreadyThereError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo("The first administrator is 'admin'. This password is shown once:\n")
    click.echo(f"PASSWORD='{password}'\n")


@main.command()
def serve() -> None:
    """Serve requests. The database must have been migrated."""
    # Imported here, so that every other command does without a server.
    from accounts_service.server import Server  # noqa: PLC0415

    settings = _settings()
    try:
        # Once before any worker: what stops the start is told on one screen, not
        # by a worker that fails to boot over and over.
        logs.configure(settings.log_level)
        app.rehearse(settings)
    except (BadKeysFileError, migrations.SchemaMismatchError, GapError) as error:
        raise click.ClickException(str(error)) from None
    except BadConfigurationError as error:
        raise click.ClickException("\n".join(map(str, error.problems))) from None
    except KeyError as error:
        raise click.ClickException(f"ACCOUNTS_TRUSTED_SOCKET_USERS: {error.args[0]}") from None
    Server(settings).run()


@main.group()
def db() -> None:
    """Move the database's schema."""


@db.command()
def upgrade() -> None:
    """Bring the database to this release's schema."""
    settings = _settings()
    database = _database(settings)
    with _told():
        if isinstance(database, SqliteDatabase):
            SqliteDatabase.create(database.path)
        migrations.upgrade(database)
    click.echo(f"The database is at revision {migrations.head()}.")


@db.command()
@click.argument("revision")
def downgrade(revision: str) -> None:
    """Take the database back to REVISION; `base` empties it."""
    with _told():
        migrations.downgrade(_database(_settings()), revision)
    click.echo(f"The database is at revision {revision}.")


@db.command()
def check() -> None:
    """Tell whether this release can work with the database as it is."""
    with _told():
        migrations.require(_database(_settings()))
    click.echo(f"The database is at revision {migrations.head()}, as this release needs it.")


@main.command()
def routes() -> None:
    """Print every route: method, path, privilege."""
    for family in app.FAMILIES.values():
        for mount in family.mounts(_settings()):
            for route in family.routes:
                if route.rule.split("/")[1] in mount.segments:
                    for method in route.methods:
                        click.echo(f"{method:7} {mount.root + route.rule:40} {describe(route.requirement)}")


def describe(requirement: Requirement) -> str:
    """Write what a route asks for."""
    match requirement:
        case Open():
            return requirement.name
        case Scoped(own, every):
            return f"{every.action} or, for one's own, {own.action}"
        case InTenant(privilege, argument):
            return f"{privilege.action} in <{argument}>"
        case privilege:
            return privilege.action


@main.group()
def config() -> None:
    """Look at the configuration files."""


@config.command("check")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
def config_check(directory: Path) -> None:
    """Read the sg_*.yml files in DIRECTORY and name every problem."""
    try:
        configuration = parse(read_directory(directory), app.built_ins())
    except BadConfigurationError as error:
        for problem in error.problems:
            click.echo(str(problem))
        sys.exit(1)
    for left_out in configuration.left_out:
        click.echo(f"left out: {left_out}")
    click.echo("No problem found.")


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
