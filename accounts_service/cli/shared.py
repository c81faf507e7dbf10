"""What several commands need."""

from __future__ import annotations

import os
import pwd
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from alembic.util.exc import CommandError

from accounts_service.config import BadSettingsError, Settings
from accounts_service.faults import RefusedError
from accounts_service.storage import migrations
from accounts_service.storage.audit import Author
from accounts_service.storage.causes import CausedError, cause_of
from accounts_service.storage.checkup import name_of
from accounts_service.storage.database import (
    Database,
    ReadInterruptedError,
    SqliteDatabase,
    UnopenedError,
    open_database,
)
from accounts_service.storage.keys_file import open_vault
from accounts_service.storage.sealed import BadKeysFileError

# The realm of those who run commands.
REALM = "command"

_LOGIN_UID = Path("/proc/self/loginuid")
# What the kernel says where nobody has logged in, as in a container: (uid_t) -1.
_UNSET = 2**32 - 1


def author() -> Author:
    """Return who runs this command, for the audit trail.

    The actor is the user of the process, whatever LOGNAME and USER say. After
    su or sudo that is often root, so the record also has the uid of the log-in,
    which the kernel keeps (proc_pid_loginuid(5)), and sudo's word for who called
    it. Numbers alone: a name in a record could not be erased.
    """
    uids = {"login_uid": _login_uid(), "sudo_uid": _uid(os.environ.get("SUDO_UID", ""))}
    known = tuple((name, uid) for name, uid in uids.items() if uid is not None)
    return Author(REALM, _user(os.getuid()), f"command-{uuid.uuid4().hex[:16]}", uids=known)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _login_uid() -> int | None:
    try:
        return _uid(_LOGIN_UID.read_text(encoding="ascii").strip())
    except (OSError, ValueError):  # A kernel without auditing.
        return None


def _uid(text: str) -> int | None:
    uid = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_UNSET)) else _UNSET
    return uid if uid < _UNSET else None


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
        if isinstance(database, SqliteDatabase):
            database.require_paired()
        database.check_keys()
        yield database
    except (RefusedError, ReadInterruptedError, CausedError) as error:
        raise click.ClickException(f"{name_of(settings.database_url)} cannot be used: {cause_of(error)}") from None
    except (migrations.SchemaMismatchError, BadKeysFileError, CommandError, OSError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        database.dispose()
