"""Apps that ask for tokens of Mention's accounts, for who sets an installation up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from accounts_service.cli.shared import author, opened_database
from accounts_service.cli.token import text
from accounts_service.families.mention.store.apps import Apps
from accounts_service.families.mention.views.grants import is_callback
from accounts_service.storage import migrations

T = TypeVar("T")


@click.group("app")
def apps() -> None:
    """Register apps that ask for tokens of Mention's accounts."""


def _callback(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not is_callback(value):
            raise click.BadParameter(f"{value} is no http or https address without user, query and fragment")
    return values


def _name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("a name")
    text(context, parameter, value)
    return value


@apps.command()
@click.option("--name", required=True, callback=_name, help="What people are asked to allow.")
@click.option(
    "--callback",
    "callbacks",
    multiple=True,
    required=True,
    callback=_callback,
    help="Where the browser goes with a code: this address, or what is below it; may be repeated.",
)
def create(name: str, callbacks: tuple[str, ...]) -> None:
    """Register an app and print its client_id and client_secret, a line each. The secret is shown once."""
    client_id, secret = _changed(lambda store: store.register(name, callbacks))
    click.echo(f"client_id={client_id}")
    click.echo(f"client_secret={secret}")


@apps.command("list")
def list_() -> None:
    """List apps: client_id, name, callbacks."""
    with opened_database() as database:
        migrations.require(database)
        with database.reading(Apps) as store:
            found = store.apps()
    for one in found:
        click.echo("  ".join((one.client_id, one.name, *one.callbacks)))


@apps.command()
@click.argument("client_id")
def delete(client_id: str) -> None:
    """Delete the app CLIENT_ID; its tokens are worthless at once."""
    if not _changed(lambda store: store.remove(client_id)):
        raise click.ClickException(f"there is no app {client_id}")
    click.echo(f"The app {client_id} is deleted.")


def _changed(act: Callable[[Apps], T]) -> T:
    with opened_database() as database:
        migrations.require(database)
        return database.written(Apps, author(), act)
