"""The schema's history and how to move along it. Never run by `serve`.

Migrations only expand; what they replace is dropped a release later, so the
release before can go on running beside the new one. A worker starts on its own
head or on a revision listed in `COMPATIBLE`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, column, inspect, select, table, text

from accounts_service.storage.causes import MISSING
from accounts_service.storage.database import LOCK_SECONDS, Database, wait_for_ever

# Alembic's, with one row.
_VERSION = table("alembic_version", column("version_num"))
_REVISION = select(_VERSION.c.version_num)

# Revisions other than the head that this release can work with.
COMPATIBLE: frozenset[str] = frozenset()


class SchemaMismatchError(Exception):
    """The database is at a revision this release cannot work with; the message says what to do."""


def alembic_config() -> Config:
    """Make the configuration Alembic works with; there is no alembic.ini."""
    config = Config()
    # ConfigParser takes a single % for the start of a name.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def head() -> str:
    """Name the newest revision of this release. There is always exactly one."""
    revision = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if revision is None:
        raise RuntimeError("no migrations")
    return revision


def current(database: Database) -> str | None:
    """Name the revision the database is at, or None for an empty or missing one. Raises RefusedError."""
    if database.is_missing():
        return None
    with database.looking() as connection:
        return _revision(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION.name):
        return None
    # Alembic's own query is another one with each call, so that /readyz would fill the cache of compiled queries.
    revisions = sorted(connection.execute(_REVISION).scalars())
    if len(revisions) > 1:
        raise SchemaMismatchError(
            f"the table alembic_version names {len(revisions)} revisions ({', '.join(revisions)}), and there is"
            " always one; nothing was changed. Restore a backup, or remove the row that is not the database's"
        )
    return next(iter(revisions), None)


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the database to `revision`, all or nothing. Raises RefusedError."""
    _move(database, command.upgrade, revision)


def downgrade(database: Database, revision: str, require: Callable[[Connection], None] | None = None) -> None:
    """Take the database back to `revision` (`base` for empty), all or nothing. Raises RefusedError.

    `require` is called within the transaction, and raises where the way back is refused. See storage/downgrades.py.
    """
    _move(database, command.downgrade, revision, require)


def require(database: Database) -> None:
    """Raise SchemaMismatchError unless this release can work with the database as it is.

    No connection is left open: `serve` asks before it forks. Raises RefusedError.
    """
    try:
        found = current(database)
    finally:
        database.dispose()
    if database.is_missing():
        raise SchemaMismatchError(f"the database: {MISSING}")
    if not _fits(found):
        raise SchemaMismatchError(
            f"the database is at revision {found or 'none'}, this release needs {head()}: {todo_about(found)}"
        )


def fits(database: Database) -> bool:
    """Tell whether this release can work with the database as it is. Raises RefusedError."""
    try:
        return _fits(current(database))
    except SchemaMismatchError:
        return False


def todo_about(revision: str | None) -> str:
    """Return what to do about a database at `revision`, which this release cannot work with."""
    if _is_known(revision):
        return "run 'accounts-service db upgrade'"
    return (
        "install the release that made this revision, which is not known here, or take the database back with its"
        " 'accounts-service db downgrade'; if no release did, ACCOUNTS_DATABASE_URL names another program's database"
    )


def _is_known(revision: str | None) -> bool:
    known = {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}
    return revision is None or revision in known


def require_known(revision: str | None) -> None:
    """Raise SchemaMismatchError if this release has no way from `revision` to any other."""
    if not _is_known(revision):
        raise SchemaMismatchError(
            f"the database is at revision {revision}, nothing was changed: {todo_about(revision)}"
        )


def _fits(revision: str | None) -> bool:
    return revision == head() or revision in COMPATIBLE


def _move(
    database: Database,
    step: Callable[[Config, str], None],
    revision: str,
    require: Callable[[Connection], None] | None = None,
) -> None:
    with database.begin() as connection:
        if connection.dialect.name == "postgresql":
            # Two machines may run the same deployment at once; the second waits
            # for as long as the first takes. The tables' own locks are asked for
            # with the usual time-out: who waits for one holds up all others.
            wait_for_ever(connection)
            connection.execute(text("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(4202026111)"))
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
        require_known(_revision(connection))
        if require is not None:
            require(connection)
        config = alembic_config()
        config.attributes["connection"] = connection
        step(config, revision)
