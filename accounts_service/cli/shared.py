"""What several commands need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click
from alembic.util.exc import CommandError

from accounts_service.config import BadSettingsError, Settings
from accounts_service.faults import RefusedError
from accounts_service.storage import migrations
from accounts_service.storage.causes import cause_of
from accounts_service.storage.checkup import name_of
from accounts_service.storage.database import Database, ReadInterruptedError, UnopenedError, open_database
from accounts_service.storage.keys_file import open_vault
from accounts_service.storage.sealed import BadKeysFileError


def settings_of_environment() -> Settings:
    """Read the settings. Raises ClickException with every problem."""
    try:
        return Settings.from_environment(os.environ)
    except BadSettingsError as error:
        raise click.ClickException("\n".join(error.problems)) from None


@contextmanager
def opened_database() -> Iterator[Database]:
    """Open the database of the settings; tell what may go wrong with it as one line."""
    settings = settings_of_environment()
    try:
        # A command may wait, too, till what it knew of the keys is no longer so.
        database = open_database(settings.database_url, open_vault(settings.keys_file))
    except (BadKeysFileError, UnopenedError) as error:
        raise click.ClickException(str(error)) from None
    # What is wrong is told below, in one line.
    database.outage.keep_quiet()
    try:
        yield database
    except (RefusedError, ReadInterruptedError) as error:
        raise click.ClickException(f"{name_of(settings.database_url)} cannot be used: {cause_of(error)}") from None
    except (migrations.SchemaMismatchError, CommandError, OSError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        database.dispose()
