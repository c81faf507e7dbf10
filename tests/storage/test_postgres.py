"""PostgreSQL: time-outs, races and outages, and what they mean."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, exc, make_url, text

from accounts_service.families.signals.tables import ACCOUNT
from accounts_service.faults import Json, NotPermitted, Overloaded, RefusedError, Unavailable
from accounts_service.storage import migrations
from accounts_service.storage.database import (
    Database,
    PostgresDatabase,
    ReadInterruptedError,
    TransactionRefusedError,
)
from tests.storage.kit import CANARY, KEY, Bare, audited, opened, postgres, put, rows
from tests.support.installation import Installation
from tests.support.postgres import PostgresServer
from tests.support.service import Service


@pytest.fixture
def database(postgresql_url: str) -> Iterator[PostgresDatabase]:
    with opened(postgresql_url) as database:
        yield postgres(database)


@contextmanager
def refused(fault: object) -> Iterator[None]:
    with pytest.raises(RefusedError) as caught:
        yield
    assert caught.value.fault == fault


def shown(connection: Connection, name: str) -> str:
    return str(connection.execute(text(f"SHOW {name}")).scalar_one())


TIMEOUTS = {"statement_timeout": "5s", "lock_timeout": "3s", "idle_in_transaction_session_timeout": "10s"}


def test_every_connection_has_time_outs_and_a_commit_leaves_them_as_they_were(database: Database) -> None:
    for _ in range(2):
        with database.begin() as connection:
            assert {name: shown(connection, name) for name in TIMEOUTS} == TIMEOUTS
        with database.looking() as connection:
            assert {name: shown(connection, name) for name in TIMEOUTS} == TIMEOUTS


def test_a_reading_block_is_in_no_transaction(database: Database) -> None:
    with database.looking() as connection:
        moments = [connection.execute(text("SELECT now()")).scalar_one() for _ in range(2)]
    assert moments[0] < moments[1], "now() stands still in a transaction"


def test_a_statement_that_takes_too_long_is_overload(database: Database) -> None:
    put(database)
    with refused(Overloaded()), database.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = '20ms'"))
        connection.execute(text("SELECT pg_sleep(60)"))
    assert put(database).version == 2


def be_patient(connection: Connection, seconds: float) -> None:
    raw: Any = connection.connection.dbapi_connection
    assert raw.patience_s is not None, "no connection waits for ever"
    raw.patience_s = seconds


def test_a_server_that_keeps_the_connection_and_says_nothing_is_an_outage(database: Database) -> None:
    """Such as one behind a proxy that hangs. Its connection is not used again, and what it holds is free again."""

    def read() -> None:
        with database.reading(Bare) as store:
            be_patient(store.session.connection, 0.2)
            store.session.connection.execute(text("SELECT pg_sleep(1)"))

    def write() -> None:
        with database.begin() as connection:
            connection.execute(text("SELECT 1 FROM signals_account FOR UPDATE"))
            be_patient(connection, 0.2)
            connection.execute(text("SELECT pg_sleep(1)"))

    put(database)
    with refused(Unavailable()):
        write()
    with pytest.raises(ReadInterruptedError):
        read()
    assert put(database).version == 2


def test_a_lock_that_is_not_given_in_time_is_overload(database: Database) -> None:
    put(database)
    lock = text("SELECT 1 FROM signals_account FOR UPDATE")
    with database.begin() as holder:
        holder.execute(lock)
        with refused(Overloaded()), database.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '20ms'"))
            connection.execute(lock)
    assert put(database).version == 2


@pytest.fixture
def slow_commits(database: PostgresDatabase) -> Iterator[None]:
    """Give a table whose rows take longer to commit than the lowered time-out allows a statement."""
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE slow (id INTEGER)"))
        connection.execute(
            text(
                "CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN PERFORM pg_sleep(0.4); RETURN NULL; END'"
            )
        )
        connection.execute(
            text(
                "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED"
                " FOR EACH ROW EXECUTE FUNCTION take_time()"
            )
        )
    yield
    with database.begin() as connection:
        connection.execute(text("DROP TABLE slow"))
        connection.execute(text("DROP FUNCTION take_time"))


@pytest.mark.usefixtures("slow_commits")
def test_no_time_out_cuts_a_commit_short(database: PostgresDatabase) -> None:
    # More often than psycopg waits before it prepares a statement.
    for number in range(7):
        with database.begin() as connection:
            if number == 3:
                connection.execute(text("INSERT INTO slow VALUES (1)"))
            connection.execute(text("SET LOCAL statement_timeout = '50ms'"))
            be_patient(connection, 0.2)
    with database.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM slow")).scalar_one() == 1
    # What it would be without: the same work in a statement.
    with refused(Overloaded()), database.begin() as connection:
        connection.execute(text("INSERT INTO slow VALUES (2)"))
        connection.execute(text("SET LOCAL statement_timeout = '50ms'"))
        connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))


def test_a_transaction_that_cannot_be_put_in_an_order_is_refused(database: Database) -> None:
    put(database)

    def overtaken() -> None:
        with database.begin() as connection:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            connection.execute(text("SELECT * FROM signals_account"))
            put(database)
            connection.execute(text("UPDATE signals_account SET version = 99"))

    with pytest.raises(TransactionRefusedError):
        overtaken()
    assert [row.version for row in rows(database, ACCOUNT)] == [2]


def test_who_makes_the_same_account_at_the_same_moment_is_refused(database: Database) -> None:
    put(database)

    def again() -> None:
        with database.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO signals_account SELECT 'other', tenant, type, name, version, attributes, secrets"
                    " FROM signals_account"
                )
            )

    with pytest.raises(TransactionRefusedError):
        again()
    assert len(rows(database, ACCOUNT)) == 1


MEANINGS: dict[str, object] = {
    **dict.fromkeys(("40001", "40P01", "23505"), TransactionRefusedError),
    **dict.fromkeys(("55P03", "57014", "25P03", "25P04"), Overloaded()),
    **dict.fromkeys(
        (
            "08006",
            "25006",
            "28000",
            "28P01",
            "3D000",
            "53100",
            "53200",
            "53300",
            "57P01",
            "57P03",
            "58030",
            "XX001",
            "42P01",
            "42501",
        ),
        Unavailable(),
    ),
    **dict.fromkeys(("22P02", "23502", "P0001"), exc.DBAPIError),
}


@pytest.mark.parametrize(("state", "meaning"), MEANINGS.items())
def test_each_state_has_its_meaning(database: Database, state: str, meaning: object) -> None:
    raising = text(f"DO $$ BEGIN RAISE EXCEPTION '{CANARY}' USING ERRCODE = '{state}'; END $$")
    expected = meaning if isinstance(meaning, type) and issubclass(meaning, Exception) else RefusedError
    for block in (database.begin, database.looking):
        with pytest.raises(expected) as caught, block() as connection:
            connection.execute(raising)
        if isinstance(caught.value, RefusedError):
            assert caught.value.fault == meaning
        error = caught.value if isinstance(caught.value, exc.DBAPIError) else caught.value.__cause__
        assert isinstance(error, exc.DBAPIError)
        assert state in str(error)
        assert CANARY not in repr(error.orig)
    assert put(database).version == 1


# -- Connections that are lost ------------------------------------------------


def until(happened: Callable[[], bool]) -> None:
    """Wait for the server; fail when it never comes there."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def cut(database: Database, connection: Connection) -> None:
    """End the server's side of a connection."""
    pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with database.looking() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        alive = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
        until(lambda: other.execute(alive, {"pid": pid}).scalar_one() == 0)


def test_a_write_whose_connection_is_lost_is_an_outage_and_undone(database: Database) -> None:
    def lose() -> None:
        with database.begin() as connection:
            connection.execute(text("DELETE FROM signals_account"))
            cut(database, connection)
            connection.execute(text("SELECT 1"))

    put(database)
    with refused(Unavailable()):
        lose()
    assert put(database).version == 2


def test_a_commit_whose_connection_is_lost_is_an_outage(database: Database) -> None:
    put(database)
    with refused(Unavailable()), database.begin() as connection:
        connection.execute(text("DELETE FROM signals_account"))
        cut(database, connection)
    assert put(database).version == 2


def test_a_block_that_is_left_for_a_reason_of_its_own_tells_that_reason_when_its_connection_is_lost(
    database: Database,
) -> None:
    def leave() -> None:
        with database.begin() as connection:
            connection.execute(text("DELETE FROM signals_account"))
            cut(database, connection)
            raise RefusedError(NotPermitted())

    put(database)
    with refused(NotPermitted()):
        leave()
    assert put(database).version == 2


def test_a_read_whose_connection_is_lost_may_be_done_again(database: Database) -> None:
    def lose() -> None:
        with database.reading(Bare) as store:
            cut(database, store.session.connection)
            store.session.connection.execute(text("SELECT 1"))

    with pytest.raises(ReadInterruptedError):
        lose()
    with database.reading(Bare) as store:
        store.session.connection.execute(text("SELECT 1"))


def test_a_transaction_that_the_server_gave_up_because_we_were_too_slow_is_overload(database: Database) -> None:
    def dawdle() -> None:
        with database.begin() as connection:
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '20ms'"))
            with database.looking() as other:
                alive = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
                until(lambda: other.execute(alive, {"pid": pid}).scalar_one() == 0)
            connection.execute(text("DELETE FROM signals_account"))

    put(database)
    with refused(Overloaded()):
        dawdle()
    assert put(database).version == 2


def test_any_error_with_which_a_connection_is_lost_is_an_outage(database: Database) -> None:
    def lose() -> None:
        raise exc.InternalError("statement", {}, Exception(CANARY), connection_invalidated=True)

    with refused(Unavailable()), database.begin():
        lose()
    with pytest.raises(ReadInterruptedError), database.reading(Bare):
        lose()


def test_a_server_that_is_not_there_is_an_outage() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Nobody listens.
        url = f"postgresql+psycopg://somebody:{CANARY}@127.0.0.1:{taken.getsockname()[1]}/none"
        with opened(url) as database:
            for act in (database.ping, lambda: put(database), lambda: migrations.require(database)):
                with refused(Unavailable()):
                    act()
            with refused(Unavailable()), database.reading(Bare):
                pass
            assert CANARY not in repr(database) + repr(postgres(database)._engine)


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """Give a server that can be stopped."""
    server = PostgresServer(durable=True)
    yield server
    server.stop()


def test_cause_of_a_refused_connection_is_told(own_server: PostgresServer) -> None:
    with opened(own_server.url) as database, database.begin() as connection:
        connection.execute(text(f"ALTER ROLE accounts PASSWORD '{CANARY}'"))
        connection.execute(text("CREATE ROLE crowd LOGIN CONNECTION LIMIT 0"))
        connection.execute(text("CREATE ROLE reader LOGIN"))
        connection.execute(text("ALTER ROLE reader SET default_transaction_read_only = on"))
    own_server.authenticate(
        "host all crowd,reader 127.0.0.1/32 trust", "host none,postgres accounts 127.0.0.1/32 scram-sha-256"
    )
    good = make_url(own_server.url).set(password=CANARY)
    told = {}
    for name, url in {
        "password": good.set(password=f"{CANARY}-wrong"),
        "database": good.set(database="none"),
        "role": good.set(username="stranger"),
        "limit": good.set(username="crowd"),
        "reader": good.set(username="reader"),
        "tls": good.set(query={"sslmode": "require"}),
        "host": good.set(host="accounts.invalid"),
        "port": good.set(port=1),
    }.items():
        with opened(url.render_as_string(hide_password=False)) as database:
            with pytest.raises(RefusedError), database.begin() as connection:
                connection.execute(text("CREATE TABLE x (y int)"))
            cause = database.outage.cause
            assert cause is not None
            assert CANARY not in str(cause)
            told[name] = cause.text
    assert told == {
        "password": "it refuses the role's password (SQLSTATE 28P01)",
        "database": "the database does not exist (SQLSTATE 3D000)",
        "role": "it refuses the role (SQLSTATE 28000)",
        "limit": "it has no connection left (SQLSTATE 53300)",
        "reader": "it is read-only (SQLSTATE 25006)",
        "tls": "no TLS connection was agreed on",
        "host": "its host name is not known (EAI_NONAME)",
        "port": "nothing listens at its address (ECONNREFUSED)",
    }


BODY: dict[str, Json] = {"host": "mail.example", "port": 25}
PATH = f"/_signals/account/{KEY.type}/{KEY.name}"


def test_an_outage_is_503_and_everything_works_after_it_without_a_new_start(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    with opened(own_server.url) as database:
        migrations.upgrade(database)
    service = Service(Installation(tmp_path / "installation", own_server.url))
    try:
        assert service.put(PATH, BODY).status_code == 201
        assert service.get(PATH).status_code == 200

        # Every connection in the pool is lost, and a read does not show it.
        own_server.control("-m", "fast", "restart")
        assert service.get(PATH).status_code == 200
        assert service.put(PATH, BODY).status_code == 200

        own_server.control("-m", "immediate", "stop")
        for method, body in (("PUT", BODY), ("GET", None), ("DELETE", None)):
            for _ in range(2):
                answer = service.ask(method, PATH, json=body)
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
                assert "psycopg" not in answer.text

        own_server.control("restart")
        assert service.get(PATH).json["_version"] == 2
        assert service.put(PATH, BODY).json["_version"] == 3

        # A write that begins on a lost connection begins once more, on a new one: nothing was done yet.
        own_server.control("-m", "fast", "restart")
        assert service.put(PATH, BODY).json["_version"] == 4
        own_server.control("-m", "fast", "restart")
        with service.services.database.snapshot(Bare) as store:
            assert store.session.connection.execute(text("SELECT 1")).scalar_one() == 1
        own_server.control("-m", "fast", "restart")
        assert service.get("/readyz", by=None).status_code == 200
        assert len(audited(service.services.database)) == 4
    finally:
        service.close()


def test_long_reads_of_jobs_are_not_ended_as_those_of_callers_are(postgresql_url: str) -> None:
    """A count of everything that is stored takes longer than a caller waits, and would fail each time."""
    limit = text("SELECT current_setting('statement_timeout')")
    with opened(postgresql_url) as database:
        with database.snapshot(Bare, is_long=True) as store:
            assert store.session.connection.execute(limit).scalar_one() == "10min"
        with database.snapshot(Bare) as store, database.looking() as connection:
            assert [one.execute(limit).scalar_one() for one in (store.session.connection, connection)] == ["5s", "5s"]


def test_two_who_make_an_account_at_once_are_told_created_and_updated(postgresql_url: str, tmp_path: Path) -> None:
    service = Service(Installation(tmp_path / "installation", postgresql_url))
    together = threading.Barrier(4)
    statuses: dict[str, list[int]] = {}

    def create() -> None:
        for number in range(10):
            path = f"/_signals/account/email/a{number}"
            together.wait(60)
            statuses.setdefault(path, []).append(service.put(path, BODY).status_code)

    try:
        service.get(PATH)  # The caller's password is checked, once.
        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [sorted(found) for found in statuses.values()] == [[200, 200, 200, 201]] * 10
        versions = [row.version for row in rows(service.services.database, ACCOUNT)]
        assert versions == [4] * 10
    finally:
        service.close()
