"""How often somebody may try: counts that hold for all workers, and outlast a restart.

They are no part of the accounts and lie outside their database: on SQLite in a
file of their own beside it, so that who guesses passwords does not keep others
from writing, on PostgreSQL in an unlogged table. What is lost with them is a
quarter of an hour of counting.
"""

from __future__ import annotations

import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    case,
    create_engine,
    delete,
    event,
    exc,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it the same way
from sqlalchemy.pool import QueuePool, StaticPool

from accounts_service.faults import Json, Overloaded, RefusedError, TooManyAttempts
from accounts_service.folders import give_to_owner_of
from accounts_service.lines import Line
from accounts_service.storage.audit import Change
from accounts_service.storage.database import Database, RecordedStatement, SqliteDatabase, Store, give_up_sqlite
from accounts_service.storage.log_in_tables import SQLITE as _LOG_IN_TABLES
from accounts_service.storage.outage import Access
from accounts_service.storage.sealed import Vault
from accounts_service.storage.statements import Statement, Value, given

log = structlog.get_logger(__name__)

_METADATA = MetaData()

# `key` is a MAC: whose attempts they are cannot be read here. `taken` counts those of the window that began at
# `since_s`, `failed` those that came to nothing since the row was made, and `told` those of them that are recorded.
ATTEMPT = Table(
    "attempt",
    _METADATA,
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("window_s", BigInteger, nullable=False),
    Column("since_s", BigInteger, nullable=False),
    Column("taken", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("told", BigInteger, nullable=False),
    prefixes=["UNLOGGED"],
)

# How often a thing of a kind has happened in a minute, and nobody has recorded yet. `subject` can be read.
TALLY = Table(
    "tally",
    _METADATA,
    Column("kind", Text, nullable=False),
    Column("since_s", BigInteger, nullable=False),
    Column("subject", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    PrimaryKeyConstraint("kind", "since_s", "subject"),
    prefixes=["UNLOGGED"],
)


@dataclass(frozen=True, slots=True)
class Limit:
    """So many attempts of a kind in so many seconds."""

    kind: str
    most: int
    window_s: int


@dataclass(frozen=True, slots=True)
class Failures:
    """So many attempts have failed that nobody has recorded yet. `subject`: whose account was tried, or empty."""

    kind: str
    subject: str
    number: int
    # Which counts they are, and how many of each.
    parts: tuple[tuple[str, int], ...]


_ATTEMPT_VALUES = {name: given(name) for name in ("key", "kind", "subject", "window_s")} | {"since_s": given("now_s")}
_OF_ATTEMPT = upsert(ATTEMPT).values(**_ATTEMPT_VALUES, taken=1, failed=0, told=0)
# One that is to begin yet is over, too: the clock was wrong then.
_IS_OVER = or_(ATTEMPT.c.since_s <= given("now_s") - given("window_s"), ATTEMPT.c.since_s > given("now_s"))
_TAKE = Statement(
    _OF_ATTEMPT.on_conflict_do_update(
        index_elements=[ATTEMPT.c.key],
        set_={
            "taken": case((_IS_OVER, 1), else_=ATTEMPT.c.taken + 1),
            "since_s": case((_IS_OVER, given("now_s")), else_=ATTEMPT.c.since_s),
            "window_s": given("window_s"),
            "subject": given("subject"),
        },
        # Who is refused takes no place.
        where=or_(_IS_OVER, ATTEMPT.c.taken < given("most")),
    ).returning(ATTEMPT.c.taken, ATTEMPT.c.since_s)
)
_THIS = ATTEMPT.c.key == given("key")
_BEGAN = Statement(select(ATTEMPT.c.since_s).where(_THIS))
_GIVE_BACK = Statement(update(ATTEMPT).where(_THIS, ATTEMPT.c.taken > 0).values(taken=ATTEMPT.c.taken - 1))
_FAIL = Statement(update(ATTEMPT).where(_THIS).values(failed=ATTEMPT.c.failed + 1))
_NOTE = Statement(
    upsert(ATTEMPT)
    .values(**_ATTEMPT_VALUES, taken=0, failed=1, told=0)
    .on_conflict_do_update(
        index_elements=[ATTEMPT.c.key], set_={"failed": ATTEMPT.c.failed + 1, "since_s": given("now_s")}
    )
)
_UNTOLD = Statement(select(ATTEMPT).where(ATTEMPT.c.failed > ATTEMPT.c.told).order_by(ATTEMPT.c.key).limit(1000))
_TELL = Statement(update(ATTEMPT).where(_THIS).values(told=ATTEMPT.c.told + given("number")))
_ENDED = or_(ATTEMPT.c.since_s + ATTEMPT.c.window_s < given("now_s"), ATTEMPT.c.since_s > given("now_s"))
_FORGET = Statement(delete(ATTEMPT).where(ATTEMPT.c.failed == ATTEMPT.c.told, _ENDED))
_ROWS = Statement(select(func.count()).select_from(ATTEMPT))
# What is made up has been taken once; failures that are not on record yet stay.
_FEWEST = (
    select(ATTEMPT.c.key)
    .where(ATTEMPT.c.failed == ATTEMPT.c.told)
    .order_by(ATTEMPT.c.taken, ATTEMPT.c.since_s)
    .limit(given("number"))
)
_DROP = Statement(delete(ATTEMPT).where(ATTEMPT.c.key.in_(_FEWEST)))


class Limits(ABC):
    """Counts of attempts. Each method raises RefusedError(Overloaded or Unavailable) where they cannot be reached."""

    def __init__(self, vault: Vault, line: Line) -> None:
        self._vault = vault
        # Each thing that is counted waits for its turn as a principal of its own.
        self._line = line
        # However many subjects are made up.
        self.most_rows = 100_000
        self.counts_per_trim = 500
        self._takes = 0

    def take(self, limit: Limit, subject: str, whose: str = "") -> None:
        """Count an attempt before it is made; `subject` names who tries or what, `whose` the account that is tried.

        Raises RefusedError(TooManyAttempts) when there were enough.
        """
        now_s = self.now_us() // 1_000_000
        self._takes += 1
        with self.begin(subject) as connection:
            if self._takes % self.counts_per_trim == 0:
                self._trim(connection, now_s)
            values: dict[str, Value] = {
                "kind": limit.kind,
                "subject": whose,
                "window_s": limit.window_s,
                "now_s": now_s,
            }
            values |= {"key": self._key(limit, subject), "most": limit.most}
            if _TAKE.run(connection, values).one_or_none() is not None:
                return
            began = _BEGAN.run(connection, values).one_or_none()
        reset_s = (now_s if began is None else int(began.since_s)) + limit.window_s
        raise RefusedError(TooManyAttempts(reset_s, max(1, reset_s - now_s)))

    def give_back(self, limit: Limit, subject: str) -> None:
        """Take back an attempt that came to something."""
        with self.begin(subject) as connection:
            _GIVE_BACK.run(connection, {"key": self._key(limit, subject)})

    def fail(self, limit: Limit, subject: str) -> None:
        """Note that an attempt came to nothing, for the record."""
        with self.begin(subject) as connection:
            _FAIL.run(connection, {"key": self._key(limit, subject)})

    def note_failure(self, kind: str, whose: str) -> None:
        """Count a failure for the record only; `whose` is the account that was tried, or empty."""
        now_s = self.now_us() // 1_000_000
        with self.begin(whose) as connection:
            values: dict[str, Value] = {"key": self._vault.mac("failure", kind, whose).hex(), "kind": kind}
            _NOTE.run(connection, {**values, "subject": whose, "window_s": 0, "now_s": now_s})

    def untold(self) -> list[Failures]:
        """Read what has failed since it was recorded last; what was tried of no account is one."""
        with self.begin() as connection:
            rows = _UNTOLD.run(connection, {}).all()
        found: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for row in rows:
            found.setdefault((row.kind, row.subject), []).append((row.key, row.failed - row.told))
        return [Failures(*whose, sum(number for _, number in parts), tuple(parts)) for whose, parts in found.items()]

    def tell(self, failures: Failures) -> None:
        """Note that these are recorded."""
        with self.begin() as connection:
            for key, number in failures.parts:
                _TELL.run(connection, {"key": key, "number": number})

    def forget(self) -> None:
        """Delete counts that hold nobody back any more."""
        with self.begin() as connection:
            self._trim(connection, self.now_us() // 1_000_000)

    def _trim(self, connection: Connection, now_s: int) -> None:
        _FORGET.run(connection, {"now_s": now_s})
        found = _ROWS.run(connection, {}).scalar_one()
        if found > self.most_rows:
            # Some more, so that this is not done again at once.
            _DROP.run(connection, {"number": found - self.most_rows * 9 // 10})

    @abstractmethod
    def begin(self, subject: Hashable = None) -> AbstractContextManager[Connection]:
        """Begin a transaction when it is the turn of `subject`; commit at the end of the block."""

    @abstractmethod
    def now_us(self) -> int:
        """Give the time, in microseconds since the epoch."""

    def _key(self, limit: Limit, subject: str) -> str:
        return self._vault.mac("attempt", limit.kind, subject).hex()


class PostgresLimits(Limits):
    """In an unlogged table of the accounts' database; a migration makes it."""

    def __init__(self, database: Database, vault: Vault, places: int) -> None:
        super().__init__(vault, Line(1, places, database.capacity.wait_s))
        self._database = database

    def begin(self, subject: Hashable = None) -> AbstractContextManager[Connection]:
        """Begin one of the database's own."""
        return self._database.begin(self._line, subject)

    def now_us(self) -> int:
        """Give the database's time."""
        return self._database.now_us()


class SqliteLimits(Limits):
    """In a file of their own, which is made when it is first used."""

    def __init__(self, database: SqliteDatabase, vault: Vault, places: int) -> None:
        # Between processes SQLite's own lock is enough, since a write is short.
        super().__init__(vault, Line(1, places, database.capacity.wait_s))
        self._database = database
        self.path = Path(f"{database.path}.limits")
        self._engine = create_engine(
            URL.create("sqlite", database=str(self.path)),
            # Opening the file takes ten times as long as a count. One connection is kept, and used in turn.
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            connect_args={"timeout": database.capacity.wait_s, "check_same_thread": False},
            paramstyle="named",
            isolation_level="AUTOCOMMIT",
        )
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "handle_error", give_up_sqlite)
        # The process that has opened the file, and which file that was.
        self._opened_as: tuple[int, int, int] | None = None
        database.goes_with(self._engine.dispose)

    @contextmanager
    def begin(self, subject: Hashable = None) -> Iterator[Connection]:
        """Begin one in the file."""
        with self._line.turn(subject), self._telling(), self._connected() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.exec_driver_sql("COMMIT")

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except exc.OperationalError as error:
            code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
            if code in _BUSY and not error.connection_invalidated:
                raise RefusedError(Overloaded()) from error
            # A full or read-only disk is an outage: it does not pass as a busy file does.
            raise self._database.outage.failed(Access.COUNT, error) from error
        except (exc.DatabaseError, OSError) as error:
            if getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) in _BROKEN:
                self._remove()
            raise self._database.outage.failed(Access.COUNT, error) from error
        else:
            self._database.outage.passed(Access.COUNT)

    def _connected(self) -> Connection:
        """Connect to the file; make it where it is not there, and anew where it is none."""
        try:
            return self._opened()
        except exc.OperationalError:
            raise
        except exc.DatabaseError:
            self._remove()
            return self._opened()

    def _remove(self) -> None:
        # Of what a crash of the machine may leave nothing is lost but counts.
        log.warning("limits.made_anew")
        self._engine.dispose()
        for name in (self.path, Path(f"{self.path}-wal"), Path(f"{self.path}-shm")):
            name.unlink(missing_ok=True)

    def _opened(self) -> Connection:
        # For its owner alone from the first moment.
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            give_to_owner_of(self._database.path, descriptor)
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        self._stay_with((os.getpid(), status.st_dev, status.st_ino))
        return self._engine.connect()

    def _stay_with(self, opened_as: tuple[int, int, int]) -> None:
        # A connection goes on with the file it has opened, also after another was put in its place; and one that came
        # along from a parent is still the parent's, and not to be closed
        # (https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
        if opened_as != self._opened_as:
            self._engine.dispose(close=self._opened_as is not None and self._opened_as[0] == opened_as[0])
            self._opened_as = opened_as

    def now_us(self) -> int:
        """Give the database's time."""
        return self._database.now_us()


class MemoryLimits(Limits):
    """In the memory of this process, with the clock of the counts that they stand in for."""

    def __init__(self, instead_of: Limits, vault: Vault) -> None:
        super().__init__(vault, Line(1, 1024, 30.0))
        self._instead_of = instead_of
        # Made at the first use, and so after a fork.
        self._engine = create_engine(
            "sqlite://",
            poolclass=StaticPool,
            connect_args={"check_same_thread": False},
            paramstyle="named",
            isolation_level="AUTOCOMMIT",
        )
        event.listen(self._engine, "connect", _prepare)

    @contextmanager
    def begin(self, subject: Hashable = None) -> Iterator[Connection]:
        """Begin one in memory."""
        with self._line.turn(subject), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection
            connection.exec_driver_sql("COMMIT")

    def now_us(self) -> int:
        """Return the time of the other counts."""
        return self._instead_of.now_us()


_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_TABLES = (
    *_LOG_IN_TABLES,
    """CREATE TABLE IF NOT EXISTS attempt (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, window_s INTEGER NOT NULL,
    since_s INTEGER NOT NULL, taken INTEGER NOT NULL, failed INTEGER NOT NULL, told INTEGER NOT NULL
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS tally (
    kind TEXT NOT NULL, since_s INTEGER NOT NULL, subject TEXT NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (kind, since_s, subject)
) WITHOUT ROWID""",
)


def _prepare(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # sqlite3's, which SQLAlchemy has no type for
    cursor.execute("PRAGMA journal_mode=WAL")
    # In WAL mode a crash of the machine loses the last counts, and breaks nothing.
    cursor.execute("PRAGMA synchronous=NORMAL")
    for table in _TABLES:
        cursor.execute(table)
    cursor.close()


_RECORD = RecordedStatement()


class FailedAttempts(Store):
    """What is on record of attempts that came to nothing: how many, and against whose account."""

    def record(self, failures: Failures) -> None:
        """Record some, in one record."""
        family = failures.kind.partition("-")[0]
        act = f"cluster:admin:{family}:log-in/failed"
        whose = f"account {failures.subject}" if failures.subject else "no account"
        detail: dict[str, Json] = {"failed": failures.number}
        self._session.write(Change(family, "", act, whose, failures.subject, 0, detail), _RECORD)


def open_limits(database: Database, vault: Vault, places: int = 16) -> Limits:
    """Open the counts that go with a database. Nothing is made or asked before they are used.

    `places`: how many threads of this process count or wait to count at once.
    """
    if isinstance(database, SqliteDatabase):
        return SqliteLimits(database, vault, places)
    return PostgresLimits(database, vault, places)
