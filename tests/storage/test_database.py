"""Reading and writing blocks on both databases, and what their failures mean."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from sqlalchemy import Insert, Select, exc, insert, literal, select, text

from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_VERSION
from accounts_service.faults import Overloaded, PreconditionFailed, RefusedError
from accounts_service.storage import database as module
from accounts_service.storage.audit import AUDIT_RECORD, Change
from accounts_service.storage.database import (
    TRIES,
    Capacity,
    Database,
    PostgresDatabase,
    RecordedStatement,
    TransactionRefusedError,
)
from tests.storage.kit import AUTHOR, CANARY, Bare, audited, opened, put, rows, sqlite

TABLES = (ACCOUNT, ACCOUNT_VERSION, ACCOUNT_BIN, AUDIT_RECORD)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened(database_url) as database:
        yield database


def account(uid: str | None = "u1", name: str = "n1", attributes: str = "{}") -> Insert:
    return insert(ACCOUNT).values(
        uid=uid, tenant="", type="email", name=name, version=1, attributes=attributes, secrets="{}"
    )


def change(version: Any = 1) -> Change:
    return Change("signals", "", "act", "email/n1", "u1", version, {})


def assert_empty(database: Database) -> None:
    for table in TABLES:
        assert rows(database, table) == []


def test_what_a_block_wrote_is_there_when_it_has_ended(database: Database) -> None:
    with database.transaction(Bare, AUTHOR) as store:
        store.session.write(change(), RecordedStatement(account("u1", "n1"), account("u2", "n2")))
    assert [row.uid for row in rows(database, ACCOUNT)] == ["u1", "u2"]
    assert len(audited(database)) == 1


class Leaving(BaseException):
    """No Exception, as KeyboardInterrupt and SystemExit are none."""


@pytest.mark.parametrize("reason", (ZeroDivisionError(), RefusedError(PreconditionFailed()), Leaving()))
def test_what_a_block_wrote_is_undone_when_it_raises(database: Database, reason: BaseException) -> None:
    def write() -> None:
        with database.transaction(Bare, AUTHOR) as store:
            store.session.write(change(), RecordedStatement(account()))
            raise reason

    with pytest.raises(type(reason)) as caught:
        write()
    assert caught.value is reason
    assert_empty(database)
    put(database)
    assert len(rows(database, ACCOUNT)) == 1


@pytest.mark.parametrize("failing", range(4))
def test_nothing_is_written_when_any_statement_of_a_write_fails(database: Database, failing: int) -> None:
    statements = [account("u1", "n1"), account("u2", "n2"), account("u3", "n3")]
    if failing < 3:
        statements[failing] = account(None, "broken")
    with pytest.raises(exc.IntegrityError), database.transaction(Bare, AUTHOR) as store:
        store.session.write(change(None if failing == 3 else 1), RecordedStatement(*statements))
    assert_empty(database)
    put(database)
    assert len(audited(database)) == 1


def test_an_error_that_the_block_swallowed_does_not_commit_half_a_write_on_postgresql(postgresql_url: str) -> None:
    def write(database: Database) -> None:
        with database.transaction(Bare, AUTHOR) as store:
            store.session.write(change(), RecordedStatement(account("u1", "n1")))
            with suppress(exc.IntegrityError):
                store.session.write(change(), RecordedStatement(account(None)))

    with opened(postgresql_url) as database:
        with pytest.raises(exc.DBAPIError):
            write(database)
        assert_empty(database)


def test_a_reading_block_cannot_write(database: Database) -> None:
    with pytest.raises(RuntimeError, match="cannot write"), database.reading(Bare) as store:
        store.session.write(change(), RecordedStatement(account()))
    assert_empty(database)


def test_a_block_sees_one_time(database: Database) -> None:
    with database.transaction(Bare, AUTHOR) as store:
        moment = store.session.now_us
        store.session.write(change(), RecordedStatement(account()))
    assert audited(database)[0].at_us == moment


@pytest.mark.parametrize(
    "failing",
    (
        account(None, attributes=CANARY),
        account("taken", CANARY),
        account("other", "taken", attributes=CANARY),
        insert(ACCOUNT).values(uid="u1", version=CANARY),
    ),
)
def test_a_failing_statement_tells_no_value(database: Database, failing: Insert) -> None:
    with database.transaction(Bare, AUTHOR) as store:
        store.session.write(change(), RecordedStatement(account("taken", "taken")))
    with (
        pytest.raises((exc.DBAPIError, TransactionRefusedError)) as caught,
        database.transaction(Bare, AUTHOR) as store,
    ):
        store.session.write(change(), RecordedStatement(failing))
    error = caught.value if isinstance(caught.value, exc.DBAPIError) else caught.value.__cause__
    assert isinstance(error, exc.DBAPIError)
    told = "".join(traceback.format_exception(caught.value)) + repr(error) + str(error) + repr(error.orig)
    assert CANARY not in told
    assert "signals_account" in told, "it says where"


def test_a_pool_without_a_free_connection_is_overload(database_url: str) -> None:
    with opened(database_url, Capacity(connections=1)) as database:
        engine = database._engine if isinstance(database, PostgresDatabase) else sqlite(database)._reader
        engine.pool._timeout = 0.01  # type: ignore[attr-defined]  # a QueuePool
        with database.looking(), pytest.raises(RefusedError) as caught:
            database.ping()
        assert caught.value.fault == Overloaded()
        database.ping()


def test_full_line_refuses_a_writer_on_sqlite(sqlite_url: str) -> None:
    # Waiting would be for ever: it is this thread that has the only turn.
    with opened(sqlite_url, Capacity(writers=1, wait_s=1_000_000)) as database:
        with database.begin(), pytest.raises(RefusedError) as caught, database.begin():
            pass
        assert isinstance(caught.value.fault, Overloaded)
        put(database)


def test_writers_leave_connections_to_readers_on_postgresql(postgresql_url: str) -> None:
    with opened(postgresql_url, Capacity(connections=4, writers=2, wait_s=1)) as database, ExitStack() as writing:
        for _ in range(2):
            writing.enter_context(database.begin())
        with pytest.raises(RefusedError), database.begin():
            pass
        database.ping()


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    put(database)
    with database.transaction(Bare, AUTHOR) as store:
        store.session.write(change(), RecordedStatement(account("other", "other")))
        assert len(rows(database, ACCOUNT)) == 1
    assert len(rows(database, ACCOUNT)) == 2


def test_a_disposed_database_is_opened_again(database: Database) -> None:
    put(database)
    database.dispose()
    put(database)
    assert len(audited(database)) == 2


def test_a_failed_commit_is_undone_and_the_connection_is_as_good_as_new(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        connection.execute(text("CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)"))
    try:
        with pytest.raises(exc.IntegrityError), database.begin() as connection:
            connection.execute(text("INSERT INTO child VALUES (1)"))
        with database.begin() as connection:
            assert connection.execute(text("SELECT count(*) FROM child")).scalar_one() == 0
            connection.execute(text("INSERT INTO parent VALUES (1)"))
            connection.execute(text("INSERT INTO child VALUES (1)"))
    finally:
        with database.begin() as connection:
            connection.execute(text("DROP TABLE child"))
            connection.execute(text("DROP TABLE parent"))


# -- Done again ---------------------------------------------------------------


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note after which tries there is a pause, and make none."""
    noted: list[int] = []

    def pause(attempt: int) -> float:
        noted.append(attempt)
        return 0.0

    monkeypatch.setattr(module, "pause_after", pause)
    return noted


class Losing:
    """Writes an account at each try, and loses the first of them."""

    def __init__(self, times: int, error: BaseException | None = None) -> None:
        self.tries = 0
        self._times = times
        self._error = error or TransactionRefusedError()

    def __call__(self, store: Bare) -> str:
        self.tries += 1
        store.session.write(change(), RecordedStatement(account(f"u{self.tries}")))
        if self.tries <= self._times:
            raise self._error
        return f"after {self.tries}"


def test_what_is_written_at_once_is_written_once(database: Database, pauses: list[int]) -> None:
    assert database.written(Bare, AUTHOR, Losing(0)) == "after 1"
    assert [row.uid for row in rows(database, ACCOUNT)] == ["u1"]
    assert [row.actor for row in audited(database)] == ["somebody"]
    assert pauses == []


@pytest.mark.parametrize("lost", (1, TRIES - 1))
def test_what_lost_a_race_is_done_again_as_a_whole(database: Database, pauses: list[int], lost: int) -> None:
    assert database.written(Bare, AUTHOR, Losing(lost)) == f"after {lost + 1}"
    assert [row.uid for row in rows(database, ACCOUNT)] == [f"u{lost + 1}"], "nothing stays of what lost"
    assert len(audited(database)) == 1
    assert pauses == [*range(lost)], "between two tries"


@pytest.mark.usefixtures("pauses")
def test_what_always_loses_is_given_up_as_overload(database: Database) -> None:
    losing = Losing(TRIES)
    with pytest.raises(RefusedError) as caught:
        database.written(Bare, AUTHOR, losing)
    assert (caught.value.fault, losing.tries) == (Overloaded(), TRIES)
    assert_empty(database)


@pytest.mark.parametrize("error", (RefusedError(PreconditionFailed()), ZeroDivisionError(), Leaving()))
def test_what_is_no_race_is_not_done_again(database: Database, pauses: list[int], error: BaseException) -> None:
    losing = Losing(TRIES, error)
    with pytest.raises(type(error)) as caught:
        database.written(Bare, AUTHOR, losing)
    assert caught.value is error
    assert (losing.tries, pauses) == (1, [])
    assert_empty(database)


def test_who_takes_a_unique_key_first_wins_and_the_other_looks_again_on_postgresql(
    postgresql_url: str, pauses: list[int]
) -> None:
    with opened(postgresql_url) as database:

        def act(store: Bare) -> str:
            found = [row.uid for row in store.session.connection.execute(select(ACCOUNT))]
            if found:
                return f"found {found}"
            database.written(Bare, AUTHOR, Losing(0))
            store.session.write(change(), RecordedStatement(account("u1", "other")))
            return "wrote"

        assert database.written(Bare, AUTHOR, act) == "found ['u1']"
        assert len(audited(database)) == 1
    assert pauses == [0]


def _raw(database: Database, query: Select[Any]) -> object:
    with database.reading(Bare) as bare:
        raw = bare.session.connection.connection.dbapi_connection
        assert bare.session.select(query)
        return raw


def test_a_connection_that_ran_a_long_statement_is_not_used_again(database: Database) -> None:
    """Drivers keep the last statements of a connection, whatever their length."""
    first = _raw(database, select(literal(1)))
    assert _raw(database, select(literal(2))) is first
    columns: list[Any] = [literal(number) for number in range(500)]
    assert _raw(database, select(*columns)) is first
    assert _raw(database, select(literal(1))) is not first
