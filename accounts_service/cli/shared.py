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
from accounts_service.storage.checkup import state_of
from accounts_service.storage.database import NOT_PERMITTED, Database, ReadInterruptedError, open_database
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
    except BadKeysFileError as error:
        raise click.ClickException(str(error)) from None
    try:
        database.check_keys()
        yield database
    except (RefusedError, ReadInterruptedError) as error:
        # To who asks over HTTP both are an outage; who is here may mend this one.
        if state_of(error) == NOT_PERMITTED:
            raise click.ClickException("the database does not let the role of ACCOUNTS_DATABASE_URL do this") from None
        raise click.ClickException("the database cannot be reached, or is busy") from None
    except (migrations.SchemaMismatchError, BadKeysFileError, CommandError, OSError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        database.dispose()
