"""The two databases behind one face: a reading and a writing block, and what their failures mean.

Connections are in autocommit; a transaction is begun and ended here, in words
one can see. What a failure means to the caller is decided here too: an outage
or overload becomes a fault, a lost race `TransactionRefusedError` (the view is
run again), and everything else is a bug and stays one.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import structlog
from sqlalchemy import (
    CompoundSelect,
    Connection,
    CursorResult,
    Delete,
    Insert,
    Row,
    Select,
    Update,
    create_engine,
    event,
    exc,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import CoreExecuteOptionsParameter, DBAPIConnection, ExceptionContext
from sqlalchemy.pool import ConnectionPoolEntry

from accounts_service.faults import Overloaded, RefusedError, Unavailable
from accounts_service.folders import make_private
from accounts_service.lines import Line, NoLine
from accounts_service.storage import audit
from accounts_service.storage.sealed import Vault
from accounts_service.storage.statements import Statement, Value
from accounts_service.storage.turnstile import QueueBrokenError, QueueTimeoutError, Turnstile
from accounts_service.storage.usage import Charges, Quotas

log = structlog.get_logger(__name__)

_STATEMENT_SECONDS = 5
_STEPS = 100_000
LOCK_SECONDS = 3
# Characters of a statement made for one request after which its connection is not used again.
_LONGEST_KEPT = 4096
# Compiled statements that a connection of SQLite keeps: those of the stores, and some of callers.
_STATEMENTS_KEPT = 64
_CONNECT_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much of a database one process uses.

    `connections` are pooled; on PostgreSQL at most half of them write at once,
    so that reads find one. `writers` threads are inside the writers' line at
    once, waiting ones included, each for at most `wait_s` seconds.
    """

    connections: int = 4
    writers: int = 16
    wait_s: float = 2.0


# Of a command or a job, which works with one thread.
SINGLE = Capacity()


class TransactionRefusedError(Exception):
    """Somebody else was first; nothing was written, and the same act may succeed if it is done again."""


class ReadInterruptedError(Exception):
    """The connection was lost while reading; reading again is harmless."""


class ForeignKeyError(Exception):
    """Something else refers to a row that was to go, or what a row refers to is gone."""


class Session:
    """What a store works with: one connection inside a reading or writing block."""

    def __init__(
        self,
        connection: Connection,
        vault: Vault,
        author: audit.Author | None,
        now_us: int,
        charges: Charges | None = None,
    ) -> None:
        self.connection = connection
        self.vault = vault
        self.now_us = now_us
        # Counted when the transaction ends.
        self.charges = charges or Charges()
        self._author = author
        self._actor: str | None = None

    def by(self, author: audit.Author) -> Session:
        """Return a session in the same transaction whose changes are recorded as another author's."""
        return Session(self.connection, self.vault, author, self.now_us, self.charges)

    @property
    def author(self) -> audit.Author:
        """Who makes the changes; there only where some can be made."""
        if self._author is None:
            raise RuntimeError("a reading block has no author")
        return self._author

    @property
    def actor(self) -> str:
        """The author's reference in the audit trail."""
        if self._actor is None:
            self._actor = audit.reference(self.vault, audit.ACTOR, self.author.realm, self.author.name)
        return self._actor

    def read(self, statement: Statement, **values: Value) -> CursorResult[Any]:
        """Run a query with `values` by name."""
        return statement.run(self.connection, values)

    def select(self, query: Select[Any] | CompoundSelect[Any], *, again: bool = False) -> Sequence[Row[Any]]:
        """Run a query that is made for this request alone; its compiled form is of no use to another.

        One that takes too long is ended, and the caller told to come again. With
        `again` the same query comes with other values, and its compiled form is kept.
        """
        with _bounded(self.connection):
            options: CoreExecuteOptionsParameter = {} if again else {"compiled_cache": None}
            result = self.connection.execute(query, execution_options=options)
            rows = result.all()
        if not again and len(result.context.statement or "") > _LONGEST_KEPT:
            # The drivers remember the last statements of a connection, a hundred or more, however long they are
            # (sqlite3 `cached_statements`, psycopg `prepared_max`). There is no way to leave one out, so this
            # connection is closed after use.
            self.connection.detach()
        return rows

    def lock(self, statement: Statement, **values: Value) -> None:
        """Take hold of a row till the transaction ends. Changes nothing that anybody could see."""
        if self._author is None:
            raise RuntimeError("a reading block cannot lock")
        statement.run(self.connection, values)

    def note(self, statement: Statement, **values: Value) -> CursorResult[Any]:
        """Run a change that is not recorded: what goes with a recorded one, or what nobody has to answer for.

        Raises ForeignKeyError; the transaction is of no use after that.
        """
        if self._author is None:
            raise RuntimeError("a reading block cannot write")
        try:
            return statement.run(self.connection, values)
        except exc.IntegrityError as error:
            if _is_about_a_foreign_key(error):
                raise ForeignKeyError from error
            raise

    def write(self, change: audit.Change, statement: RecordedStatement, **values: Value) -> None:
        """Run a change with `values` by name, and record it: all or nothing.

        Raises ForeignKeyError; the transaction is of no use after that.
        """
        if self._author is None:
            raise RuntimeError("a reading block cannot write")
        self.note(statement, **values, **audit.record(self.vault, self._author, change, self.now_us, self.actor))


@contextmanager
def _bounded(connection: Connection) -> Iterator[None]:
    if connection.dialect.name != "sqlite":
        # PostgreSQL has statement_timeout, SQLite asks us every so many steps.
        yield
        return
    raw = cast(sqlite3.Connection, connection.connection.dbapi_connection)
    deadline = time.monotonic() + _STATEMENT_SECONDS
    raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)


def _is_about_a_foreign_key(error: exc.IntegrityError) -> bool:
    # SQLite carries RESTRICT out as a trigger of its own.
    return getattr(error.orig, "sqlstate", None) == "23503" or getattr(error.orig, "sqlite_errorcode", 0) in (
        sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY,
        sqlite3.SQLITE_CONSTRAINT_TRIGGER,
    )


class RecordedStatement(Statement):
    """Changes that belong together, and their audit record."""

    def __init__(self, *parts: Insert | Update | Delete) -> None:
        super().__init__(audit.RECORDING, audit.NAMING, *parts)


class Store:
    """Base of every family's store: all its queries, each method one act, each taking the caller's scope."""

    def __init__(self, session: Session) -> None:
        self._session = session


S = TypeVar("S", bound=Store)
T = TypeVar("T")

# What lost a race is done so often, as many times as a handful of writers of one
# object need; between two tries there is a pause of random length, so that they
# do not meet again.
TRIES = 5
_LONGEST_FIRST_PAUSE_SECONDS = 0.02


def pause_after(attempt: int) -> float:
    """Give the seconds to wait before another try; `attempt` is the number of those before it."""
    return random.random() * _LONGEST_FIRST_PAUSE_SECONDS * 2.0**attempt  # noqa: S311  # no secret


class Database(ABC):
    """A database and how to use it well. One per process, made after the fork."""

    def __init__(self, vault: Vault, clock: Callable[[], float], capacity: Capacity, writing_at_once: int) -> None:
        self.capacity = capacity
        # Of a process that answers callers; the others count without a limit.
        self.quotas = Quotas()
        self._vault = vault
        self._clock = clock
        self.writers = Line(writing_at_once, max(capacity.writers, writing_at_once), capacity.wait_s)
        # At most one thread of a process writes or waits to write a note, which may be left out.
        self._notes = Line(1, 1, capacity.wait_s)
        self._beside: list[Callable[[], None]] = []

    @contextmanager
    def reading(self, store: type[S]) -> Iterator[S]:
        """Give a store for one read.

        Raises ReadInterruptedError, or RefusedError with Overloaded or Unavailable.
        """
        with self._telling(interrupted=ReadInterruptedError), self.connect() as connection:
            yield store(Session(connection, self._vault, None, self.now_us()))

    @contextmanager
    def snapshot(self, store: type[S]) -> Iterator[S]:
        """Give a store whose reads all see one and the same moment, however many there are.

        Raises RefusedError with Overloaded or Unavailable.
        """
        with self._telling(), self.connect() as connection:
            how = " ISOLATION LEVEL REPEATABLE READ, READ ONLY" if connection.dialect.name == "postgresql" else ""
            connection.exec_driver_sql(f"BEGIN{how}")
            try:
                yield store(Session(connection, self._vault, None, self.now_us()))
            finally:
                _undo(connection)

    @contextmanager
    def transaction(self, store: type[S], author: audit.Author, line: Line | NoLine | None = None) -> Iterator[S]:
        """Give a store for one transaction, committed when the block ends and undone when it raises.

        The author waits for a turn in `line`, by default that of the writers.

        Raises TransactionRefusedError, or RefusedError with Overloaded (nothing
        was done) or Unavailable (nothing was done, unless the commit itself
        failed: then the outcome is unknown), or with QuotaExceeded.
        """
        with self.begin(line, (author.realm, author.name)) as connection:
            session = Session(connection, self._vault, author, self.now_us())
            yield store(session)
            session.charges.settle(connection, self.quotas)

    def written(
        self, store: type[S], author: audit.Author, act: Callable[[S], T], line: Line | NoLine | None = None
    ) -> T:
        """Do something in one transaction, and again when it lost a race; for what no view does.

        `line` as in `transaction`. Raises RefusedError with Overloaded or Unavailable.
        """
        for attempt in range(TRIES):
            if attempt:
                time.sleep(pause_after(attempt - 1))
            with suppress(TransactionRefusedError), self.transaction(store, author, line) as opened:
                return act(opened)
        raise RefusedError(Overloaded())

    def note(self, store: type[S], author: audit.Author, act: Callable[[S], None]) -> None:
        """Do in one transaction what is no great loss when it cannot be done; that is logged, and raises nothing."""
        try:
            # In a line of its own: a note must not keep a change from being made.
            with self.transaction(store, author, self._notes) as opened:
                act(opened)
        except (RefusedError, TransactionRefusedError) as error:
            log.warning("storage.not_noted", request_id=author.request_id, reason=type(error).__name__)

    @contextmanager
    def begin(self, line: Line | NoLine | None = None, principal: Hashable = None) -> Iterator[Connection]:
        """Give a bare connection in a transaction; for migrations. Raises as `transaction` does.

        `principal` waits for a turn in `line`, by default that of the writers.
        """
        with (line or self.writers).turn(principal), self._telling(), self._begin() as connection:
            yield connection

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """Give a bare connection for reading. Raises RefusedError with Overloaded or Unavailable."""
        with self._telling(), self.connect() as connection:
            yield connection

    def ping(self) -> None:
        """Ask for a sign of life. Raises RefusedError with Overloaded or Unavailable."""
        with self.looking() as connection:
            connection.execute(text("SELECT 1"))

    def is_missing(self) -> bool:
        """Tell whether there is nothing yet that one could connect to."""
        return False

    @abstractmethod
    def connect(self) -> Connection:
        """Open a connection in autocommit, for reading, as a `with` block."""

    def dispose(self) -> None:
        """Close all connections, and what lies beside the database."""
        for close in self._beside:
            close()

    def goes_with(self, close: Callable[[], None]) -> None:
        """Have what lies beside the database closed with it."""
        self._beside.append(close)

    @abstractmethod
    def _begin(self) -> AbstractContextManager[Connection]:
        """Begin a transaction; commit at the end of the block, roll back when it raises."""

    @abstractmethod
    def _meaning(self, error: exc.DBAPIError) -> Exception:
        """Tell what a driver's error means; the error itself when it is a bug."""

    def now_us(self) -> int:
        """Give the time, in microseconds since the epoch."""
        return int(self._clock() * 1_000_000)

    @contextmanager
    def _telling(self, interrupted: type[Exception] | None = None) -> Iterator[None]:
        try:
            yield
        except (exc.TimeoutError, QueueTimeoutError):
            raise RefusedError(Overloaded()) from None
        except QueueBrokenError as error:
            raise RefusedError(Unavailable()) from error
        except exc.DBAPIError as error:
            if error.connection_invalidated and interrupted is not None:
                raise interrupted from error
            meaning = self._meaning(error)
            if meaning is error and error.connection_invalidated:
                meaning = RefusedError(Unavailable())
            if meaning is error:
                raise
            raise meaning from error


@contextmanager
def _committed(connection: Connection, begin: str, commit: str) -> Iterator[Connection]:
    # In words, on a connection in autocommit. The driver's rollback() does
    # nothing when the database has already rolled back by itself, as SQLite
    # does when the disk is full.
    connection.exec_driver_sql(begin, execution_options={"no_parameters": True})
    try:
        yield connection
        connection.exec_driver_sql(commit, execution_options={"no_parameters": True})
    except BaseException:
        _undo(connection)
        raise


def _undo(connection: Connection) -> None:
    if connection.invalidated:
        return
    try:
        connection.connection.rollback()
    except connection.dialect.loaded_dbapi.Error as error:
        # The connection is of no use any more, which undoes as well. What is
        # told is why the block was left.
        connection.invalidate(error)


class SqliteDatabase(Database):
    """SQLite in WAL mode on a local disk: many readers, one writer in turn."""

    def __init__(
        self, path: Path, vault: Vault, capacity: Capacity = SINGLE, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(vault, clock, capacity, writing_at_once=1)
        path = path.absolute()
        self.path = path
        self._file: tuple[int, int] | None = None
        self._turnstile = Turnstile(path, capacity.wait_s)
        # mode=rw: a file that is missing is not made, empty, by who only wants to
        # read; `create` makes it (https://www.sqlite.org/uri.html).
        url = URL.create("sqlite", database=path.as_uri(), query={"mode": "rw", "uri": "true"})
        options: dict[str, Any] = {
            "pool_size": capacity.connections,
            "max_overflow": 0,
            "pool_timeout": capacity.wait_s,
            "hide_parameters": True,
            "paramstyle": "named",  # As with PostgreSQL's driver: values by name.
        }
        connect = {
            "timeout": capacity.wait_s,
            "check_same_thread": False,
            "cached_statements": _STATEMENTS_KEPT,
        }
        self._reader = create_engine(url, connect_args=connect, **options)
        self._writer = create_engine(url, connect_args=connect, **(options | {"pool_size": 1}))
        event.listen(self._reader, "connect", _prepare_reader)
        event.listen(self._writer, "connect", _prepare_writer)

    @classmethod
    def create(cls, path: Path) -> None:
        """Make an empty database file that only its owner can read, if there is none."""
        make_private(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))

    def is_missing(self) -> bool:
        """Tell whether there is no file."""
        return not self.path.exists()

    def connect(self) -> Connection:
        """Open a connection that cannot write. Raises RefusedError(Unavailable) when the file is gone."""
        self._stay_with_the_file()
        return self._reader.connect()

    def _stay_with_the_file(self) -> None:
        # A connection goes on with the file it has opened, also after another
        # was put in its place, as one does to restore a backup: what it writes
        # then is acknowledged and lost.
        try:
            status = self.path.stat()
        except OSError:
            raise RefusedError(Unavailable()) from None
        file = (status.st_dev, status.st_ino)
        if file != self._file:
            self._reader.dispose()
            self._writer.dispose()
            self._file = file

    def dispose(self) -> None:
        """Close all connections, and what lies beside the database."""
        super().dispose()
        self._reader.dispose()
        self._writer.dispose()
        self._turnstile.close()

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        with self._turnstile.turn():
            self._stay_with_the_file()
            with self._writer.connect() as connection, _committed(connection, "BEGIN IMMEDIATE", "COMMIT"):
                yield connection

    def _meaning(self, error: exc.DBAPIError) -> Exception:
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        if code in _SQLITE_BUSY:
            return RefusedError(Overloaded())
        if code in _SQLITE_OUTAGES or str(error.orig).startswith(_SQLITE_NOT_MIGRATED):
            return RefusedError(Unavailable())
        return error


# PROTOCOL is what opening the write-ahead log gives up with when others open it again and again.
# INTERRUPT is what a query ends with that took too long.
_SQLITE_BUSY = frozenset(
    (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT)
)

# The schema is not there yet, or was taken back under us; SQLite says so in words only.
_SQLITE_NOT_MIGRATED = ("no such table", "no such column")

# A full, failing, read-only or vanished disk.
_SQLITE_OUTAGES = frozenset(
    (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )
)


def _pragmas(connection: DBAPIConnection, *pragmas: str) -> None:
    # No implicit BEGIN by Python's driver: transactions are begun in words.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_reader(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    _pragmas(connection, "query_only = ON")


def _prepare_writer(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # FULL: in WAL mode NORMAL may lose acknowledged commits when the power
    # fails (https://www.sqlite.org/pragma.html#pragma_synchronous).
    _pragmas(connection, "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")


class PostgresDatabase(Database):
    """PostgreSQL 13 or newer through psycopg 3, with one pool of connections."""

    def __init__(
        self, url: URL, vault: Vault, capacity: Capacity = SINGLE, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(vault, clock, capacity, writing_at_once=max(1, capacity.connections // 2))
        self._engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_size=capacity.connections,
            max_overflow=0,
            pool_timeout=capacity.wait_s,
            hide_parameters=True,
            connect_args={
                "connect_timeout": _CONNECT_SECONDS,
                "tcp_user_timeout": _STATEMENT_SECONDS * 1000,
                # A server that vanishes while we wait for its answer is missed
                # within seconds; the kernel's own way takes two hours.
                "keepalives_idle": _STATEMENT_SECONDS,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "application_name": "accounts-service",
                "options": (
                    f"-c statement_timeout={_STATEMENT_SECONDS}s -c lock_timeout={LOCK_SECONDS}s"
                    " -c idle_in_transaction_session_timeout=10s"
                ),
            },
        )
        event.listen(self._engine, "handle_error", _without_words)

    def connect(self) -> Connection:
        """Open a connection in autocommit: a read is one round trip."""
        return self._engine.connect()

    def dispose(self) -> None:
        """Close all connections, and what lies beside the database."""
        super().dispose()
        self._engine.dispose()

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        # A commit that waits for a standby and is cancelled has happened here
        # and not there (https://github.com/patroni/patroni/issues/1412), so no
        # time-out may cut it short. Each statement of one message has its own
        # (https://www.postgresql.org/docs/15/runtime-config-client.html).
        with (
            self._engine.connect() as connection,
            _committed(connection, "BEGIN", "SET LOCAL statement_timeout = 0; COMMIT"),
        ):
            yield connection

    def _meaning(self, error: exc.DBAPIError) -> Exception:
        state = getattr(error.orig, "sqlstate", None)
        if state is None:
            # The driver itself failed to reach or understand the server.
            return RefusedError(Unavailable()) if isinstance(error, exc.OperationalError) else error
        if state in _RACES:
            return TransactionRefusedError(state)
        if state in _WAITED_TOO_LONG:
            return RefusedError(Overloaded())
        if state.startswith(_OUTAGES):
            return RefusedError(Unavailable())
        return error


def _without_words(context: ExceptionContext) -> None:
    """Take the server's words out of an error: they quote values, and whole rows as DETAIL.

    The state and the names that come with it say what happened; hide_parameters
    is about the driver's side only.
    """
    error = context.original_exception
    state = getattr(error, "sqlstate", None)
    if state is None or context.sqlalchemy_exception is None:
        return
    diagnostics = error.diag  # type: ignore[attr-defined]  # psycopg's own, as sqlstate is
    names = (diagnostics.table_name, diagnostics.column_name, diagnostics.constraint_name)
    words = " ".join(("SQLSTATE", state, *filter(None, names)))
    error.args = (words,)
    context.sqlalchemy_exception.args = (f"({type(error).__name__}) {words}",)


# https://www.postgresql.org/docs/current/errcodes-appendix.html
# A unique key taken while we looked is a race like the others: the next try
# finds the row and takes the other way.
_RACES = frozenset(("40001", "40P01", "23505"))
# 25P03 and 25P04: we were too slow, and the server ended the transaction.
_WAITED_TOO_LONG = frozenset(("55P03", "57014", "25P03", "25P04"))
# Connection, resources, operator, system, the server's own bugs and damaged files, read-only server after a
# failover, wrong or missing log-in.
# 42P01 and 42703: the schema is not there yet; the server came up after we did, and nobody has migrated it.
# A role that may not do it, as one that may only read; who grants it more need not start us anew.
NOT_PERMITTED = "42501"
_OUTAGES = ("08", "53", "57P", "58", "XX", "25006", "28", "3D", "42P01", "42703", NOT_PERMITTED)


def open_database(
    url: str, vault: Vault, capacity: Capacity = SINGLE, clock: Callable[[], float] = time.time
) -> Database:
    """Make the database that `url` names; connects at the first use."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return SqliteDatabase(Path(parsed.database or ""), vault, capacity, clock)
    return PostgresDatabase(parsed, vault, capacity, clock)
