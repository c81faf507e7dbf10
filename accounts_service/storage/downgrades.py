"""Taking a database back to an earlier schema: what is lost by it, and when it is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alembic import command
from alembic.runtime.migration import MigrationContext
from alembic.util.exc import CommandError
from sqlalchemy import Connection, column, create_engine, exists, func, inspect, select, table, text

from accounts_service.storage import migrations
from accounts_service.storage.audit import AUDIT_RECORD
from accounts_service.storage.database import Database, wait_for_ever
from accounts_service.storage.rotation import PROCESS, Processes
from accounts_service.storage.stored import Stored


class DowngradeRefusedError(Exception):
    """The database stays as it is; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A table, or a column of a table that stays, and how many rows have something there."""

    table: str
    column: str
    rows: int

    def __str__(self) -> str:
        """Format it as a line."""
        what = f"column {self.table}.{self.column}" if self.column else f"table {self.table}"
        return f"{what}: {self.rows} row{'' if self.rows == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A way back, with what is lost by it. `revision` is None for an empty database."""

    before: str
    revision: str | None
    losses: tuple[Loss, ...]


def plan(database: Database, revision: str, stored: Sequence[Stored]) -> Plan:
    """Find what is lost by taking the database back to `revision`, as Alembic names it.

    Raises DowngradeRefusedError, also for a revision that does not exist, and RefusedError.
    """
    before = migrations.current(database)
    if before is None:
        raise DowngradeRefusedError("the database has no schema yet, so there is nothing to take back")
    migrations.require_known(before)
    if not revision:
        raise DowngradeRefusedError("nothing was changed: name the revision to go back to, or base")
    try:
        after, gone = _difference(before, revision)
    except CommandError as error:
        raise DowngradeRefusedError(f"nothing was changed: {error}. docs/upgrading.md lists the revisions") from None
    with database.looking() as connection:
        if connection.dialect.name == "postgresql":
            # Counting takes as long as it takes. The connection is closed with the command.
            wait_for_ever(connection)
            connection.execute(text("SET statement_timeout = 0"))
        losses = tuple(loss for name, columns in gone.items() for loss in _counted(connection, name, columns))
        _require_sound_trail(connection, after, [name for name, columns in gone.items() if not columns], stored)
    _require_no_process(database)
    return Plan(before, after, tuple(loss for loss in losses if loss.rows))


def carry_out(database: Database, agreed: Plan) -> None:
    """Take the database back. Raises DowngradeRefusedError and RefusedError; then nothing was changed."""

    def require(connection: Connection) -> None:
        if not inspect(connection).has_table(PROCESS.name):
            return
        if connection.dialect.name == "postgresql":
            # A process that starts now reports, and serves, after this or not at all. SQLite has one writer anyway.
            connection.execute(text(f"LOCK TABLE {PROCESS.name} IN SHARE ROW EXCLUSIVE MODE"))
        _require_no_process(database)

    migrations.downgrade(database, agreed.revision or "base", require)


def _difference(before: str, revision: str) -> tuple[str | None, dict[str, list[str]]]:
    """Go the same way in an empty database in memory.

    Returns the revision at its end, and by table the columns that go; none for a table that goes as a whole.
    """
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            config = migrations.alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, before)
            there = _columns(connection)
            command.downgrade(config, revision)
            left = _columns(connection)
            after = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    gone = {
        name: [] if name not in left else sorted(columns - left[name])
        for name, columns in there.items()
        if columns - left.get(name, set())
    }
    return after, gone


def _columns(connection: Connection) -> dict[str, set[str]]:
    inspector = inspect(connection)
    return {
        name: {one["name"] for one in inspector.get_columns(name)}
        for name in inspector.get_table_names()
        if name != "alembic_version"
    }


def _counted(connection: Connection, name: str, columns: Sequence[str]) -> Iterator[Loss]:
    of = table(name, *map(column, columns))
    counts = [func.count(of.c[one]) for one in columns] or [func.count()]
    rows = connection.execute(select(*counts).select_from(of)).one()
    for one, number in zip(columns or [""], rows, strict=True):
        yield Loss(name, one, number)


def _require_sound_trail(
    connection: Connection, after: str | None, gone: Sequence[str], stored: Sequence[Stored]
) -> None:
    # An empty database has no trail either.
    if after is None:
        return
    broken = []
    for one in stored:
        if one.table.name in gone:
            recorded = exists().where(AUDIT_RECORD.c.uid == one.uid)
            number = connection.execute(select(func.count()).select_from(one.table).where(recorded)).scalar_one()
            broken += [f"{number} of {one.table.name}"] if number else []
    if broken:
        raise DowngradeRefusedError(
            f"nothing was changed: at revision {after} the audit trail is kept and these rows are not: "
            f"{', '.join(broken)}. 'audit verify' would report each as removed without a record. Delete them first, so"
            " that this is on record, or restore a backup from before the upgrade"
        )


def _require_no_process(database: Database) -> None:
    with database.looking() as connection:
        if not inspect(connection).has_table(PROCESS.name):
            return
    with database.reading(Processes) as processes:
        live = processes.live()
    if live:
        raise DowngradeRefusedError(
            f"nothing was changed: these processes use the database: {', '.join(map(str, live))}. Stop them, and run"
            " this again. A process that was killed is forgotten after 30 s"
        )
