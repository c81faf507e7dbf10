"""SQLite: how its file is opened, and what its failures mean."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, event, exc, func, insert, literal, select, text

from accounts_service.cli import main
from accounts_service.doctor.files import judge_files
from accounts_service.doctor.findings import Status
from accounts_service.families.signals.store.accounts import Key
from accounts_service.families.signals.tables import ACCOUNT
from accounts_service.faults import Overloaded, RefusedError, Unavailable
from accounts_service.storage import database as module
from accounts_service.storage import migrations
from accounts_service.storage.causes import cause_of
from accounts_service.storage.database import Capacity, Database, SqliteDatabase
from accounts_service.storage.limits import open_limits
from tests.storage.kit import CANARY, VAULT, Bare, audited, document, opened, put, rows, sqlite
from tests.support.disks import fill, read_only, small_disk

IMPATIENT = Capacity(wait_s=0.05)


@pytest.fixture
def database(sqlite_url: str) -> Iterator[SqliteDatabase]:
    """Give a database that does not wait for long."""
    with opened(sqlite_url, IMPATIENT) as database:
        yield sqlite(database)


@contextmanager
def refused(fault: object) -> Iterator[None]:
    with pytest.raises(RefusedError) as caught:
        yield
    assert caught.value.fault == fault


@contextmanager
def each_writer_with(database: SqliteDatabase, pragma: str) -> Iterator[None]:
    """Set something on each connection that writes and is opened within the block."""

    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA {pragma}")

    database._writer.dispose()
    event.listen(database._writer, "connect", prepare)
    yield
    event.remove(database._writer, "connect", prepare)
    database._writer.dispose()


def test_the_writer_loses_no_commit_when_the_power_fails_and_checks_foreign_keys(database: SqliteDatabase) -> None:
    with database.begin() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_reading_connection_cannot_write(database: SqliteDatabase) -> None:
    values = {"uid": "u", "tenant": "", "type": "t", "name": "n", "version": 1, "attributes": "{}", "secrets": "{}"}
    with database.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA query_only").scalar_one() == 1
        with pytest.raises(exc.OperationalError, match="readonly"):
            connection.execute(insert(ACCOUNT).values(values))
    assert rows(database, ACCOUNT) == []


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "accounts.db"
    SqliteDatabase.create(path)
    with opened(f"sqlite:///{path}") as database:
        migrations.upgrade(database)
        put(database)
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(
        ("accounts.db", "accounts.db-wal", "accounts.db-shm", "accounts.db-turn", "accounts.db-writer"), 0o600
    )
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_making_a_database_that_is_there_changes_nothing(database: SqliteDatabase) -> None:
    put(database)
    SqliteDatabase.create(database.path)
    assert len(rows(database, ACCOUNT)) == 1


def test_a_missing_file_is_an_outage_and_is_not_made_by_using_it(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with opened(f"sqlite:///{path}") as database:
        assert database.is_missing()
        with refused(Unavailable()):
            database.ping()
        with refused(Unavailable()):
            put(database)
        with refused(Unavailable()):
            migrations.upgrade(database)
        assert not path.exists()


def test_a_missing_folder_is_an_outage(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'none' / 'accounts.db'}") as database:
        with refused(Unavailable()):
            database.ping()
        with refused(Unavailable()):
            put(database)


@pytest.mark.parametrize("name", ("a b.db", "50%25.db", "what?mode=memory.db", "a#b.db", "é&x=1.db"))
def test_the_files_name_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    SqliteDatabase.create(path)
    database = SqliteDatabase(path, VAULT)
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE here (id INTEGER)"))
    database.dispose()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("here",)]
    assert {file.name for file in tmp_path.iterdir()} <= {
        name,
        f"{name}-turn",
        f"{name}-writer",
        f"{name}-wal",
        f"{name}-shm",
    }


def test_a_relative_path_stays_where_it_was_when_the_process_moves(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    monkeypatch.chdir(path.parent)
    with opened(f"sqlite:///{path.name}") as database:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        put(database)
        assert len(audited(database)) == 1


def test_another_writer_that_stands_in_no_line_is_overload(database: SqliteDatabase) -> None:
    put(database)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with refused(Overloaded()):
            put(database)
        assert len(rows(database, ACCOUNT)) == 1, "reading goes on"
        other.execute("ROLLBACK")
    assert put(database).version == 2


def test_a_file_that_is_locked_when_it_is_first_opened_is_overload(tmp_path: Path) -> None:
    path = tmp_path / "accounts.db"
    SqliteDatabase.create(path)
    with (
        opened(f"sqlite:///{path}", IMPATIENT) as database,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN EXCLUSIVE")
        with refused(Overloaded()):
            put(database)
        other.execute("ROLLBACK")
        migrations.upgrade(database)
        put(database)


def test_a_queue_that_does_not_move_is_overload(database: SqliteDatabase) -> None:
    database._turnstile._timeout = 0.02
    with database._turnstile.turn():
        with refused(Overloaded()):
            put(database)
        assert rows(database, ACCOUNT) == []
    database._turnstile._timeout = 60
    assert put(database).version == 1


def test_a_queue_that_cannot_be_made_is_an_outage(database: SqliteDatabase) -> None:
    queue = database.path.with_name(database.path.name + "-turn")
    queue.mkdir()
    with refused(Unavailable()):
        put(database)
    queue.rmdir()
    put(database)


def test_a_writer_in_trouble_leaves_its_place_to_the_next(sqlite_url: str) -> None:
    with opened(sqlite_url, Capacity(wait_s=60)) as database:
        _fail_at_once(database)
        for _ in range(8):
            put(database)
        assert len(audited(database)) == 8


def _fail_at_once(database: Database) -> None:
    def fail() -> None:
        with pytest.raises(ZeroDivisionError), database.begin():
            raise ZeroDivisionError

    threads = [threading.Thread(target=fail) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_full_disk_is_an_outage_that_loses_nothing_and_passes(database: SqliteDatabase) -> None:
    put(database)
    with database.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    with each_writer_with(database, f"max_page_count = {pages + 8}"):
        acknowledged = ["default"]
        with refused(Unavailable()):
            for number in range(100):
                put(database, Key("email", f"a{number}"), document(filling="x" * 4000))
                acknowledged.append(f"a{number}")
        assert 1 < len(acknowledged) < 100
        for _ in range(3):
            with refused(Unavailable()):
                put(database, Key("email", "more"), document(filling="x" * 40_000))
        assert sorted(row.name for row in rows(database, ACCOUNT)) == sorted(acknowledged)
        assert len(audited(database)) == len(acknowledged)
        with database.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
    put(database, Key("email", "more"), document(filling="x" * 40_000))
    assert len(audited(database)) == len(acknowledged) + 1


def test_read_only_file_is_told_and_the_first_write_after_it_works(database: SqliteDatabase) -> None:
    put(database)
    with read_only(database.path):
        for _ in range(2):
            with refused(Unavailable()):
                put(database)
        assert len(rows(database, ACCOUNT)) == 1
        cause = database.outage.cause
        assert cause is not None
        assert (cause.name, cause.text) in (
            ("read_only", "its disk is read-only (EROFS)"),
            ("cannot_open", "a file of it may not be opened (EACCES)"),
        )
    assert put(database).version == 2
    assert database.outage.cause is None


def test_connection_opened_on_a_read_only_file_does_not_stay_in_the_pool(database: SqliteDatabase) -> None:
    put(database)
    database.dispose()
    with read_only(database.path), database._writer.connect() as connection:
        connection.exec_driver_sql("SELECT 1 FROM signals_account")
    with refused(Unavailable()):
        put(database)
    assert put(database).version == 2


def test_full_disk_is_told_and_the_first_write_after_it_works(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, opened(f"sqlite:///{disk}/accounts.db", IMPATIENT) as database:
        SqliteDatabase.create(disk / "accounts.db")
        migrations.upgrade(database)
        put(database)
        fill(disk)
        for _ in range(2):
            with refused(Unavailable()):
                put(database, body=document(filling="x" * 200_000))
        cause = database.outage.cause
        assert cause is not None
        assert (cause.name, cause.text) == ("disk_full", "its disk is full (SQLITE_FULL)")
        (disk / "filling").unlink()
        assert put(database).version == 2
        assert database.outage.cause is None


def test_log_that_a_long_reader_made_long_is_cut_when_the_reader_is_gone(
    database: SqliteDatabase,
) -> None:
    """Otherwise it keeps the disk for as long as the service runs. Meanwhile `doctor` names it."""
    log = database.path.with_name(database.path.name + "-wal")
    put(database)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM signals_account").fetchall()
        with database.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE filling (x)")
            connection.exec_driver_sql("INSERT INTO filling VALUES (zeroblob(70000000))")
        put(database)
        assert log.stat().st_size > 70_000_000
        assert [one.status for one in judge_files(database.path) if one.check == "journal"] == [Status.WARN]
    for _ in range(2):
        put(database)
    assert log.stat().st_size <= 16 * 1024 * 1024
    assert [one for one in judge_files(database.path) if one.check == "journal"] == []


def test_a_file_that_is_no_database_is_an_outage(tmp_path: Path) -> None:
    path = tmp_path / "accounts.db"
    path.write_bytes(b"no database, but long enough to be taken for one" * 100)
    with opened(f"sqlite:///{path}") as database:
        with refused(Unavailable()), database.looking() as connection:
            connection.execute(text("SELECT * FROM sqlite_master"))
        with refused(Unavailable()):
            put(database)


def bits_of(error: sqlite3.Error, code: int) -> exc.DBAPIError:
    error.sqlite_errorcode = code
    return exc.OperationalError("statement", {}, error)


@pytest.mark.parametrize(
    ("code", "fault"),
    (
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Overloaded()),
        (sqlite3.SQLITE_PROTOCOL, Overloaded()),
        (sqlite3.SQLITE_LOCKED_SHAREDCACHE, Overloaded()),
        (sqlite3.SQLITE_IOERR_FSYNC, Unavailable()),
        (sqlite3.SQLITE_READONLY_DBMOVED, Unavailable()),
        (sqlite3.SQLITE_CORRUPT_INDEX, Unavailable()),
    ),
)
def test_an_extended_code_means_what_its_kind_means(database: Database, code: int, fault: object) -> None:
    with refused(fault), database.looking():
        raise bits_of(sqlite3.OperationalError(CANARY), code)


def test_any_other_error_is_a_bug_and_stays_one(database: Database) -> None:
    with pytest.raises(exc.OperationalError), database.looking() as connection:
        connection.execute(text("SELECT nothing("))
    with pytest.raises(exc.OperationalError), database.begin() as connection:
        connection.execute(text("SELECT nothing("))


@pytest.mark.parametrize("query", ("SELECT * FROM nowhere", "SELECT absent FROM sqlite_master"))
def test_a_schema_that_is_not_there_is_an_outage(database: Database, query: str) -> None:
    with pytest.raises(RefusedError) as caught, database.looking() as connection:
        connection.execute(text(query))
    assert caught.value.fault == Unavailable()


class Undoable(sqlite3.Connection):
    """A connection whose disk fails in the worst moment."""

    def rollback(self) -> None:
        """Fail."""
        raise sqlite3.OperationalError("disk I/O error")


def delete_and_fail(connection: Connection) -> None:
    connection.execute(text("DELETE FROM signals_account"))
    raise ZeroDivisionError


def test_a_connection_that_cannot_undo_is_thrown_away_and_hides_no_reason(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database)
    database._writer.dispose()
    connect = sqlite3.connect
    with monkeypatch.context() as patched:
        patched.setattr(
            database._writer.dialect.loaded_dbapi,
            "connect",
            lambda *arguments, **options: connect(*arguments, **options, factory=Undoable),
        )
        with pytest.raises(ZeroDivisionError), database.begin() as connection:
            delete_and_fail(connection)
    assert len(rows(database, ACCOUNT)) == 1
    assert put(database).version == 2


def test_a_file_put_in_the_databases_place_is_used_at_once_and_nothing_is_written_into_the_old_one(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    put(database)
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute(f"VACUUM INTO '{tmp_path / 'backup.db'}'")
    put(database)
    for suffix in ("-wal", "-shm"):
        database.path.with_name(database.path.name + suffix).unlink(missing_ok=True)
    (tmp_path / "backup.db").replace(database.path)
    assert [row.version for row in rows(database, ACCOUNT)] == [1]
    assert put(database).version == 2
    with closing(sqlite3.connect(database.path)) as connection:
        assert connection.execute("SELECT version FROM signals_account").fetchall() == [(2,)]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_files_that_a_command_of_root_makes_belong_to_the_owner_of_the_database(sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    for beside in path.parent.glob(f"{path.name}?*"):
        beside.unlink()
    os.chown(path, 65534, 65534)
    with opened(sqlite_url, IMPATIENT) as database:
        put(database)
        open_limits(database, VAULT).note_failure("kind", "whose")
        made = {one.name.removeprefix(path.name): one.stat().st_uid for one in path.parent.glob(f"{path.name}?*")}
    assert made.keys() == {"-turn", "-writer", "-wal", "-shm", ".limits", ".limits-wal", ".limits-shm"}
    assert {*made.values()} == {65534}


@pytest.mark.parametrize("removed", (("-wal",), ("-shm",), ("-wal", "-shm")))
def test_nothing_is_confirmed_once_a_file_beside_the_database_was_removed(
    database: SqliteDatabase, sqlite_url: str, removed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database)
    for suffix in removed:
        database.path.with_name(database.path.name + suffix).unlink()
    for act in (lambda: put(database), database.ping):
        with pytest.raises(RefusedError) as caught:
            act()
        assert cause_of(caught.value).name == "files_removed"
    monkeypatch.setenv("ACCOUNTS_DATABASE_URL", sqlite_url)
    monkeypatch.setattr("accounts_service.cli.shared.open_vault", lambda _: VAULT)
    command = CliRunner().invoke(main, ["db", "upgrade"])
    assert command.exit_code == 1
    assert (
        f"cannot be used: its -wal or -shm was removed or replaced while it was in use by processes {os.getpid()}: "
        in (command.stderr)
    )


def test_another_file_is_not_used_with_the_wal_of_the_one_before(database: SqliteDatabase, tmp_path: Path) -> None:
    put(database)
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute(f"VACUUM INTO '{tmp_path / 'backup.db'}'")
    put(database)
    (tmp_path / "backup.db").replace(database.path)
    for act in (lambda: put(database), database.ping):
        with pytest.raises(RefusedError) as caught:
            act()
        assert cause_of(caught.value).name == "files_left"
    for suffix in ("-wal", "-shm"):
        database.path.with_name(database.path.name + suffix).unlink()
    assert [row.version for row in rows(database, ACCOUNT)] == [1]
    assert put(database).version == 2


def test_files_that_came_and_went_by_themselves_are_no_reason_to_refuse(
    database: SqliteDatabase, sqlite_url: str
) -> None:
    put(database)
    database.dispose()
    assert not database.path.with_name(f"{database.path.name}-wal").exists()
    with opened(sqlite_url, IMPATIENT) as other:
        put(sqlite(other))
    assert put(database).version == 3


def test_a_file_that_is_gone_is_an_outage_and_not_made_anew(database: SqliteDatabase, tmp_path: Path) -> None:
    put(database)
    database.path.rename(tmp_path / "away.db")
    with refused(Unavailable()):
        put(database)
    with refused(Unavailable()):
        database.ping()
    assert not database.path.exists()
    (tmp_path / "away.db").rename(database.path)
    assert put(database).version == 2


def test_a_query_that_takes_too_long_is_ended_and_the_next_is_not(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = select(literal(1).label("number")).cte(recursive=True)
    numbers = numbers.union_all(select(numbers.c.number + 1).where(numbers.c.number < 10**9))
    endless = select(func.count()).select_from(numbers)
    monkeypatch.setattr(module, "_STATEMENT_SECONDS", 0.05)
    with opened(sqlite_url) as database:
        with refused(Overloaded()), database.reading(Bare) as bare:
            bare.session.select(endless)
        with database.reading(Bare) as bare:
            assert bare.session.select(select(literal(1))) == [(1,)]
