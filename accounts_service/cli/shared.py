"""What several commands need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click
from alembic.util.exc import CommandError

from accounts_service.bulkhead import Bulkhead
from accounts_service.config import BadSettingsError, Settings
from accounts_service.faults import RefusedError
from accounts_service.storage import migrations
from accounts_service.storage.database import Database, ReadInterruptedError, open_database
from accounts_service.storage.sealed import BadKeysFileError, Vault, load_keyring


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
        database = open_database(settings.database_url, Vault(load_keyring(settings.keys_file)), Bulkhead(1), 1)
    except BadKeysFileError as error:
        raise click.ClickException(str(error)) from None
    try:
        yield database
    except (RefusedError, ReadInterruptedError):
        raise click.ClickException("the database cannot be reached, or is busy") from None
    except (migrations.SchemaMismatchError, CommandError, OSError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        database.dispose()
