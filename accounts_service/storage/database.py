"""The two databases behind one face: a reading and a writing block, and what their failures mean.

Connections are in autocommit; a transaction is begun and ended here, in words
one can see. What a failure means to the caller is decided here too: an outage
or overload becomes a fault, a lost race `TransactionRefusedError` (the view is
run again), and everything else is a bug and stays one.
"""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import structlog
from sqlalchemy import (
    CompoundSelect,
    Connection,
    CursorResult,
    Delete,
    Dialect,
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
from accounts_service.storage import audit, key_checks
from accounts_service.storage.causes import LEFT, REMOVED, CausedError, state_of
from accounts_service.storage.outage import Access, Outage
from accounts_service.storage.sealed import BadKeysFileError, Keyring, Vault
from accounts_service.storage.statements import Statement, Value
from accounts_service.storage.turnstile import QueueBrokenError, QueueTimeoutError, Turnstile
from accounts_service.storage.usage import COUNTING, Charges, Quotas

if TYPE_CHECKING:
    from accounts_service.storage.patience import PatientConnection

log = structlog.get_logger(__name__)

_STATEMENT_SECONDS = 5
_STEPS = 100_000
LOCK_SECONDS = 3
# Characters of a statement made for one request after which its connection is not used again.
_LONGEST_KEPT = 4096
# Compiled statements that a connection of SQLite keeps: those of the stores, and some of callers.
_STATEMENTS_KEPT = 64
# The write-ahead log gets longer while somebody reads for long, and is cut to this when it begins anew.
_LARGEST_WAL = 16 * 1024 * 1024
_CONNECT_SECONDS = 3
# A server that has not answered by then, though it ends statements itself, does not answer any more.
_ANSWER_SECONDS = _STATEMENT_SECONDS + 3.0
# A commit may wait for a standby; one whose connection is silent must not hold a writer's place for good.
_COMMIT_SECONDS = 300.0
_GIVEN_UP_APART_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much of a database one process uses.

    `connections` are pooled; on PostgreSQL at most half of them write at once,
    so that reads find one. `writers` threads are inside the writers' line at
    once, waiting ones included, each for at most `wait_s` seconds; `readers` in
    that of who reads for a caller.
    """

    connections: int = 4
    writers: int = 16
    readers: int = 16
    wait_s: float = 2.0


# Of a command or a job, which works with one thread.
SINGLE = Capacity()


class TransactionRefusedError(Exception):
    """Somebody else was first; nothing was written, and the same act may succeed if it is done again."""


class ReadInterruptedError(Exception):
    """The connection was lost while reading; reading again is harmless."""


class ForeignKeyError(Exception):
    """Something else refers to a row that was to go, or what a row refers to is gone."""


class UnopenedError(Exception):
    """A database cannot be opened by what the settings say; the message says why, and what to do."""


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
        self.charges = Charges() if charges is None else charges
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

    def write(
        self,
        change: audit.Change,
        statement: RecordedStatement,
        charges: Charges | None = None,
        /,
        **values: Value,
    ) -> None:
        """Run a change with `values` by name, record it, and count what it stores: all or nothing.

        Raises ForeignKeyError, or RefusedError(QuotaExceeded); the transaction is of no use after that.
        """
        if self._author is None:
            raise RuntimeError("a reading block cannot write")
        values |= audit.record(self.vault, self._author, change, self.now_us, self.actor)
        if charges is None or self.charges:
            self.charges.extend(charges or Charges())
            self.note(statement, **values)
        else:
            charges.check(self.note(statement.counting, **values, charges=charges.listed), self.charges.quotas)


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
        with suppress(sqlite3.ProgrammingError):  # It failed, and is closed.
            raw.set_progress_handler(None, 0)


def _is_about_a_foreign_key(error: exc.IntegrityError) -> bool:
    # SQLite carries RESTRICT out as a trigger of its own.
    return getattr(error.orig, "sqlstate", None) == "23503" or getattr(error.orig, "sqlite_errorcode", 0) in (
        sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY,
        sqlite3.SQLITE_CONSTRAINT_TRIGGER,
    )


class RecordedStatement(Statement):
    """Changes that belong together, and their audit record; `counting` adds `charges` to the counts as well."""

    def __init__(self, *parts: Insert | Update | Delete) -> None:
        super().__init__(audit.RECORDING, audit.NAMING, *parts)
        self.counting = Statement(COUNTING, audit.RECORDING, audit.NAMING, *parts)


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


class Meaning(Enum):
    """What a driver's error means to the caller."""

    RACE = "race"
    OVERLOAD = "overload"
    OUTAGE = "outage"


class Database(ABC):
    """A database and how to use it well. One per process, made after the fork."""

    def __init__(self, vault: Vault, clock: Callable[[], float], capacity: Capacity, writing_at_once: int) -> None:
        self.capacity = capacity
        # Of a process that answers callers; the others count without a limit.
        self.quotas = Quotas()
        self._vault = vault
        self._clock = clock
        self.writers = Line(writing_at_once, max(capacity.writers, writing_at_once), capacity.wait_s)
        # As many as there are connections left when all writers have theirs. A caller whose queries are slow has half.
        at_once = max(1, capacity.connections // 2)
        places = max(capacity.readers, at_once)
        self.readers = Line(at_once, places, capacity.wait_s, each=max(1, at_once // 2))
        # At most one thread of a process writes or waits to write a note, which may be left out.
        self._notes = Line(1, 1, capacity.wait_s)
        self._beside: list[Callable[[], None]] = []
        self.outage = Outage()
        self._checking = threading.Lock()
        self._keys_are_checked = False
        self._keys_were_refused = False
        self._keys_were_not_recorded = False

    @contextmanager
    def reading(self, store: type[S]) -> Iterator[S]:
        """Give a store for one read.

        Raises ReadInterruptedError, or RefusedError with Overloaded or Unavailable.
        """
        with self._telling(Access.READ), self.connect() as connection:
            is_worth_again = self._is_worth_again(connection)
            try:
                yield store(Session(connection, self._vault, None, self.now_us()))
            except exc.DBAPIError as error:
                # With this connection all others of the pool are given up, so the next one is new.
                if error.connection_invalidated and is_worth_again:
                    raise ReadInterruptedError from error
                raise

    @contextmanager
    def snapshot(self, store: type[S], *, is_long: bool = False) -> Iterator[S]:
        """Give a store whose reads all see one and the same moment, however many there are.

        `is_long`: a read may take ten minutes, as one of everything that is stored; for a job, which has no caller.

        Raises RefusedError with Overloaded or Unavailable.
        """
        words = self._long_snapshot if is_long else self._snapshot
        with self._telling(Access.READ), _begun(self.connect, words) as connection:
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
            session = Session(connection, self._vault, author, self.now_us(), Charges(self.quotas))
            yield store(session)
            session.charges.settle(connection)

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
        if not self._keys_are_checked:
            self._refuse_foreign_keys()
        with (line or self.writers).turn(principal), self._telling(Access.WRITE), self._begin() as connection:
            yield connection

    def check_keys(self) -> None:
        """Compare the keys with the check values in the database, and add those that it lacks.

        Done before the first write at the latest. Raises ForeignKeysFileError, or RefusedError with Overloaded or
        Unavailable.
        """
        with self._checking:
            if self._keys_are_checked or self.is_missing():
                return
            with self.looking() as connection:
                lacking = key_checks.absent(connection, self._vault)
            if lacking is not None:
                self._keys_are_checked = not lacking or self._record_keys()

    def judge_keys(self, keyring: Keyring, held: Keyring | None = None) -> None:
        """Raise BadKeysFileError if these keys must not take the place of those that are held.

        They are another database's, or lack a key that was not removed by a command: its last copy may be in memory.
        """
        lacking = frozenset() if held is None else held.wrapping.keys() - keyring.wrapping.keys()
        try:
            with self.looking() as connection:
                vault = Vault(keyring)
                vault.source = self._vault.source
                key_checks.absent(connection, vault)
                lacking &= key_checks.names(connection)
        except RefusedError:
            # Looked at again until the database is back.
            log.info("keys.checked_later")
        if lacking:
            names = ", ".join(sorted(lacking))
            raise BadKeysFileError(f"{self._vault.source} lacks {names}, which 'keys remove' has not removed")

    def recorded_keys(self) -> frozenset[str]:
        """Return the ids of the keys with check values, which `keys remove` takes away. Raises as `looking` does."""
        with self.looking() as connection:
            return frozenset(name for name in key_checks.names(connection) if not name.startswith(":"))

    def record_keys(self) -> None:
        """Add the check values of keys that have come since. Raises as `check_keys` does."""
        with self._checking:
            self._keys_are_checked = False
        self.check_keys()

    def forget_key(self, name: str) -> None:
        """Remove the check value of a key. Raises RefusedError as `begin` does."""
        with self.begin() as connection:
            key_checks.forget(connection, name)

    def _record_keys(self) -> bool:
        for _ in range(TRIES):
            # Another process with the same keys was first, or one with others: looked at anew.
            with suppress(TransactionRefusedError):
                try:
                    with self._telling(Access.WRITE), self._begin() as connection:
                        key_checks.record(connection, self._vault)
                except RefusedError as error:
                    # Reads go on with a database that takes no writes. The next write tries again.
                    if not self._keys_were_not_recorded:
                        log.warning("keys.not_recorded", reason=type(error.fault).__name__)
                    self._keys_were_not_recorded = True
                    return False
                self._keys_were_not_recorded = False
                return True
        return False

    def _refuse_foreign_keys(self) -> None:
        try:
            self.check_keys()
        except key_checks.ForeignKeysFileError as error:
            if not self._keys_were_refused:
                log.error("keys.foreign", reason=str(error))
            self._keys_were_refused = True
            raise RefusedError(Unavailable()) from error

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """Give a bare connection for reading. Raises RefusedError with Overloaded or Unavailable."""
        with self._telling(Access.READ), self.connect() as connection:
            yield connection

    def ping(self) -> None:
        """Ask for a sign of life. Raises RefusedError with Overloaded or Unavailable."""
        with self.looking() as connection:
            connection.execute(text("SELECT 1"))

    def is_missing(self) -> bool:
        """Tell whether there is nothing yet that one could connect to."""
        return False

    @property
    def _snapshot(self) -> str:
        """The words that begin a transaction which sees one moment."""
        return "BEGIN"

    @property
    def _long_snapshot(self) -> str:
        """The same words for a transaction in which a statement may take ten minutes."""
        return self._snapshot

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

    def _is_worth_again(self, connection: Connection) -> bool:  # noqa: ARG002  # for who overrides it
        """Return whether a read that loses `connection` may go better on a new one."""
        return True

    @abstractmethod
    def _begin(self) -> AbstractContextManager[Connection]:
        """Begin a transaction; commit at the end of the block, roll back when it raises."""

    @abstractmethod
    def _meaning(self, error: exc.DBAPIError) -> Meaning | None:
        """Return what a driver's error means; None when it is a bug."""

    def now_us(self) -> int:
        """Give the time, in microseconds since the epoch."""
        return int(self._clock() * 1_000_000)

    @contextmanager
    def _telling(self, access: Access) -> Iterator[None]:
        try:
            yield
        except (exc.TimeoutError, QueueTimeoutError):
            raise RefusedError(Overloaded()) from None
        except QueueBrokenError as error:
            raise self.outage.failed(access, error) from error
        except exc.DBAPIError as error:
            meaning = self._meaning(error)
            if meaning is None and error.connection_invalidated:
                meaning = Meaning.OUTAGE
            if meaning is None:
                raise
            if meaning is Meaning.RACE:
                raise TransactionRefusedError(state_of(error)) from error
            if meaning is Meaning.OVERLOAD:
                raise RefusedError(Overloaded()) from error
            raise self.outage.failed(access, error) from error
        else:
            self.outage.passed(access)


# In `info` of a connection that was used before and has lain in the pool since.
_USED = "used"


def _note_use(_: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
    entry.info[_USED] = True


def _was_used(connection: Connection) -> bool:
    return _USED in connection.info


def _begun(connect: Callable[[], Connection], begin: str) -> Connection:
    """Open a connection and begin a transaction on it.

    Once more on a new one where an old one turns out to be lost: nothing was done on it yet.
    """
    for again in (True, False):
        connection = connect()
        was_used = _was_used(connection)
        try:
            _say(connection, begin)
        except BaseException as error:
            connection.close()
            if again and was_used and isinstance(error, exc.DBAPIError) and error.connection_invalidated:
                continue
            raise
        return connection
    raise AssertionError("the second try returns or raises")


def wait_for_ever(connection: Connection) -> None:
    """Wait for each answer on this connection to PostgreSQL as long as it takes; for a command that closes it after."""
    _patient(connection).patience_s = None


def _say(connection: Connection, words: str) -> None:
    # In words, on a connection in autocommit. The driver's rollback() does
    # nothing when the database has already rolled back by itself, as SQLite
    # does when the disk is full.
    connection.exec_driver_sql(words, execution_options={"no_parameters": True})


@contextmanager
def _committed(
    connect: Callable[[], Connection], begin: str, commit: str, say: Callable[[Connection, str], None] = _say
) -> Iterator[Connection]:
    with _begun(connect, begin) as connection:
        try:
            yield connection
            say(connection, commit)
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
        self._name = str(path)
        self._file: tuple[int, int] | None = None
        self._beside_paths = _beside(path)
        self._opening = threading.Lock()
        self._opened = set[int]()
        # The -wal and -shm of the connections that are open. Nothing but the last of all to close takes them away.
        self._used: _Pair = ()
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
        for engine in (self._reader, self._writer):
            event.listen(engine, "connect", self._note_opened)
            event.listen(engine, "close", self._note_closed)
            event.listen(engine, "close_detached", self._note_closed)
            event.listen(engine, "checkin", _note_use)
            event.listen(engine, "handle_error", give_up_sqlite)

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
        self._stay_with_the_file(Access.READ)
        return self._reader.connect()

    def _connect_to_write(self) -> Connection:
        self._stay_with_the_file(Access.WRITE)
        # SQLite opens what it may not write for reading, and a transaction begins on that connection all the same.
        if not os.access(self.path, os.W_OK):
            number = errno.EROFS if os.statvfs(self.path).f_flag & os.ST_RDONLY else errno.EACCES
            error = OSError(number, "not writable")
            raise self.outage.failed(Access.WRITE, error) from error
        return self._writer.connect()

    def _stay_with_the_file(self, access: Access) -> None:
        # A connection goes on with the file it has opened, also after another
        # was put in its place, as one does to restore a backup: what it writes
        # then is acknowledged and lost. So it is with -wal and -shm, and here
        # closing may write the removed -wal into a backup: nothing is touched
        # (https://www.sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use).
        # Each access does this: os.stat of a text costs half of what Path.stat does.
        try:
            status = os.stat(self._name)  # noqa: PTH116
        except OSError as error:
            raise self.outage.failed(access, error) from error
        file = (status.st_dev, status.st_ino)
        if file == self._file:
            if self._used and _pair(self._beside_paths) != self._used:
                problem = CausedError(REMOVED)
                raise self.outage.failed(access, problem) from problem
        else:
            self._beside_paths = _beside(self.path)
            if self._used and not set(self._used).isdisjoint(_pair(self._beside_paths)):
                problem = CausedError(LEFT)
                raise self.outage.failed(access, problem) from problem
            self._reader.dispose()
            self._writer.dispose()
            self._file = file

    def require_paired(self) -> None:
        """Raise CausedError if a process, of those we may look into, uses a removed -wal or -shm (proc(5)).

        What a process that starts now would write, that one does not see, and the other way round.
        """
        removed = {Path(f"{name} (deleted)") for name in _beside(self.path)}
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # It has ended, or is another user's.
                if any(file.readlink() in removed for file in (process / "fd").iterdir()):
                    found.append(int(process.name))
        if found:
            raise CausedError(
                replace(REMOVED, text=f"{REMOVED.text} by processes {', '.join(map(str, sorted(found)))}")
            )

    def _note_opened(self, connection: DBAPIConnection, _: object) -> None:
        # Reads, so that -wal and -shm are opened, where the file has them.
        _pragmas(connection, "schema_version")
        with self._opening:
            self._opened.add(id(connection))
            if not self._used and len(found := _pair(self._beside_paths)) == len(self._beside_paths):
                self._used = found

    def _note_closed(self, connection: DBAPIConnection, *_: object) -> None:
        with self._opening:
            self._opened.discard(id(connection))
            if not self._opened:
                self._used = ()

    def dispose(self) -> None:
        """Close all connections, and what lies beside the database."""
        super().dispose()
        self._reader.dispose()
        self._writer.dispose()
        self._turnstile.close()

    def _is_worth_again(self, connection: Connection) -> bool:
        """Return whether a read that loses `connection` may go better on a new one: what is new meets the same disk."""
        return _was_used(connection)

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        with (
            self._turnstile.turn(),
            _committed(self._connect_to_write, "BEGIN IMMEDIATE", "COMMIT") as connection,
        ):
            yield connection

    def _meaning(self, error: exc.DBAPIError) -> Meaning | None:
        code = _sqlite_code(error.orig)
        if code in _SQLITE_BUSY:
            return Meaning.OVERLOAD
        if code in _SQLITE_OUTAGES or str(error.orig).startswith(_SQLITE_NOT_MIGRATED):
            return Meaning.OUTAGE
        return None


# The device and number of -wal and of -shm, of those that are there.
_Pair: TypeAlias = tuple[tuple[int, int], ...]


def _beside(path: Path) -> tuple[str, str]:
    # SQLite follows a link, and has its files beside what the link leads to.
    real = path.resolve()
    return (f"{real}-wal", f"{real}-shm")


def _pair(names: tuple[str, str]) -> _Pair:
    found = []
    for name in names:
        try:
            status = os.stat(name)  # noqa: PTH116  # as above
        except OSError:
            continue
        found.append((status.st_dev, status.st_ino))
    return tuple(found)


def _sqlite_code(error: BaseException | None) -> int:
    # Without what an extended code adds.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def give_up_sqlite(context: ExceptionContext) -> None:
    """Have a connection replaced that has met an outage, and with it all others of its pool.

    One that was opened while the disk was read-only stays read-only after that. One that has met a full disk is as
    good as before, and the last of all must not be closed: -shm goes with it, and there is no room for another, so
    that reading fails as well.
    """
    if _sqlite_code(context.original_exception) in _SQLITE_OUTAGES - {sqlite3.SQLITE_FULL}:
        context.is_disconnect = True


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
    limit = f"journal_size_limit = {_LARGEST_WAL}"
    _pragmas(connection, "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", limit)


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
        event.listen(self._engine, "do_connect", _connect_patiently)
        event.listen(self._engine, "checkin", _note_use)
        event.listen(self._engine, "handle_error", _without_words)
        event.listen(self._engine, "handle_error", self._give_up)
        self._gave_up = float("-inf")

    def _give_up(self, context: ExceptionContext) -> None:
        """Have a connection replaced that leads to a server which cannot write any more, as after a failover.

        All others of the pool lead there, too. They are given up at most once a second: a role that may not write
        must not have every reader connect anew.
        """
        if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
            context.is_disconnect = True
            now = time.monotonic()
            context.invalidate_pool_on_disconnect = now - self._gave_up >= _GIVEN_UP_APART_SECONDS
            if context.invalidate_pool_on_disconnect:
                self._gave_up = now

    def connect(self) -> Connection:
        """Open a connection in autocommit: a read is one round trip."""
        return self._engine.connect()

    def dispose(self) -> None:
        """Close all connections, and what lies beside the database."""
        super().dispose()
        self._engine.dispose()

    @property
    def _snapshot(self) -> str:
        """The words that begin a transaction which sees one moment."""
        return "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

    @property
    def _long_snapshot(self) -> str:
        return f"{self._snapshot}; SET LOCAL statement_timeout = '10min'"

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        # A commit that waits for a standby and is cancelled has happened here
        # and not there (https://github.com/patroni/patroni/issues/1412), so no
        # time-out may cut it short. Each statement of one message has its own
        # (https://www.postgresql.org/docs/15/runtime-config-client.html).
        commit = "SET LOCAL statement_timeout = 0; COMMIT"
        with _committed(self.connect, "BEGIN", commit, _say_patiently) as connection:
            yield connection

    def _meaning(self, error: exc.DBAPIError) -> Meaning | None:
        state = getattr(error.orig, "sqlstate", None)
        if state is None:
            # The driver itself failed to reach or understand the server, or what the address of it says.
            return Meaning.OUTAGE if isinstance(error, exc.OperationalError) or error.statement is None else None
        if state in _RACES:
            return Meaning.RACE
        if state in _WAITED_TOO_LONG:
            return Meaning.OVERLOAD
        return Meaning.OUTAGE if state.startswith(_OUTAGES) else None


def _connect_patiently(_: Dialect, __: ConnectionPoolEntry, words: list[Any], options: dict[str, Any]) -> Any:  # noqa: ANN401
    from accounts_service.storage.patience import PatientConnection  # noqa: PLC0415  # only where its driver is

    connection = PatientConnection.connect(*words, **options)
    connection.patience_s = _ANSWER_SECONDS
    return connection


def _say_patiently(connection: Connection, words: str) -> None:
    raw = _patient(connection)
    raw.patience_s = _COMMIT_SECONDS
    try:
        _say(connection, words)
    finally:
        raw.patience_s = _ANSWER_SECONDS


def _patient(connection: Connection) -> PatientConnection:
    return cast("PatientConnection", connection.connection.dbapi_connection)


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
READ_ONLY = "25006"
_OUTAGES = ("08", "53", "57P", "58", "XX", READ_ONLY, "28", "3D", "42P01", "42703", NOT_PERMITTED)


def open_database(
    url: str, vault: Vault, capacity: Capacity = SINGLE, clock: Callable[[], float] = time.time
) -> Database:
    """Make the database that `url` names; connects at the first use. Raises UnopenedError."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return SqliteDatabase(Path(parsed.database or ""), vault, capacity, clock)
        return PostgresDatabase(parsed, vault, capacity, clock)
    except ImportError:
        raise UnopenedError(
            "the driver of PostgreSQL is not installed: pip install 'accounts-service[postgresql]'"
        ) from None
    except (exc.ArgumentError, ValueError):
        raise UnopenedError(
            "ACCOUNTS_DATABASE_URL is not the address of a database: the password in it must be percent-encoded"
        ) from None
