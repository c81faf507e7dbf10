"""Counts of attempts: so many get through and no more, for all who serve, and what failed is told once."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event, text
from structlog.testing import capture_logs

from accounts_service.faults import Fault, Overloaded, RefusedError, TooManyAttempts, Unavailable
from accounts_service.storage.database import Capacity, Database, SqliteDatabase, open_database
from accounts_service.storage.limits import FailedAttempts, Failures, Limit, Limits, SqliteLimits, open_limits
from accounts_service.storage.sealed import Keyring, Vault
from tests.storage.kit import AUTHOR, VAULT, audited, sqlite

NOON = 1_700_000_000
THREE = Limit("test-three", 3, 60)


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.seconds = float(NOON)

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(database_url: str, clock: Clock) -> Iterator[Database]:
    database = open_database(database_url, VAULT, clock=clock)
    if not isinstance(database, SqliteDatabase):
        with database.begin() as connection:
            # No table of the accounts: nobody else empties it between two tests.
            connection.execute(text("DELETE FROM attempt"))
    yield database
    database.dispose()


@pytest.fixture
def limits(database: Database) -> Limits:
    return open_limits(database, VAULT)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Name the file in which SQLite's counts are."""
    return tmp_path / "accounts.db.limits"


@pytest.fixture
def counted(sqlite_url: str, clock: Clock) -> Iterator[SqliteLimits]:
    """Give counts in a file, for which nobody waits for long."""
    database = open_database(sqlite_url, VAULT, Capacity(wait_s=0.05), clock)
    yield SqliteLimits(sqlite(database), VAULT, places=16)
    database.dispose()


def refusal(limits: Limits, subject: str = "ann", limit: Limit = THREE) -> Fault | None:
    """Try; gives why not."""
    try:
        limits.take(limit, subject)
    except RefusedError as error:
        return error.fault
    return None


def let_through(limits: Limits, times: int, subject: str = "ann", limit: Limit = THREE) -> int:
    """Try so many times; gives how many were let through."""
    return [refusal(limits, subject, limit) for _ in range(times)].count(None)


# -- Counting -----------------------------------------------------------------


def test_so_many_are_let_through_and_the_rest_told_till_when(limits: Limits, clock: Clock) -> None:
    assert [refusal(limits) for _ in range(3)] == [None] * 3
    assert refusal(limits) == TooManyAttempts(NOON + 60, 60)
    clock.seconds += 59
    assert refusal(limits) == TooManyAttempts(NOON + 60, 1)
    clock.seconds += 0.999
    assert refusal(limits) == TooManyAttempts(NOON + 60, 1)


def test_after_the_window_all_may_come_again(limits: Limits, clock: Clock) -> None:
    for number in range(3):
        began = NOON + 60 * number
        assert let_through(limits, 1) == 1
        clock.seconds += 59
        assert let_through(limits, 5) == 2
        assert refusal(limits) == TooManyAttempts(began + 60, 1)
        clock.seconds += 1


def test_a_window_begins_with_who_comes_first(limits: Limits, clock: Clock) -> None:
    assert let_through(limits, 1) == 1
    clock.seconds += 1000
    assert let_through(limits, 4) == 3
    assert refusal(limits) == TooManyAttempts(NOON + 1060, 60)


def test_a_clock_that_was_wrong_holds_nobody_back(limits: Limits, clock: Clock) -> None:
    clock.seconds += 1_000_000
    assert let_through(limits, 4) == 3
    clock.seconds -= 1_000_000
    assert let_through(limits, 3) == 3
    assert refusal(limits) == TooManyAttempts(NOON + 60, 60)


def test_subjects_and_kinds_are_counted_apart(limits: Limits) -> None:
    assert let_through(limits, 4) == 3
    assert let_through(limits, 4, "bob") == 3
    assert let_through(limits, 4, "Ann") == 3
    assert let_through(limits, 4, limit=Limit("test-other", 3, 60)) == 3
    assert let_through(limits, 4, "-threeann", Limit("test", 3, 60)) == 3
    assert let_through(limits, 4, "") == 3


@pytest.mark.parametrize("subject", ("", "\0", "é\U0001f600", "x" * 100_000, "a b\n'\""))
def test_whatever_text_is_a_subject(limits: Limits, subject: str) -> None:
    assert let_through(limits, 4, subject) == 3
    limits.give_back(THREE, subject)
    limits.fail(THREE, subject)
    assert [failures.number for failures in limits.untold()] == [1]


def test_a_limit_that_was_changed_holds_at_once(limits: Limits, clock: Clock) -> None:
    assert let_through(limits, 3) == 3
    assert let_through(limits, 9, limit=Limit(THREE.kind, 5, 60)) == 2
    clock.seconds += 30
    assert let_through(limits, 9, limit=Limit(THREE.kind, 3, 30)) == 3


def test_who_gives_back_lets_another_one_through(limits: Limits) -> None:
    assert let_through(limits, 3) == 3
    for _ in range(2):
        limits.give_back(THREE, "ann")
    assert let_through(limits, 5) == 2


def test_nobody_gives_back_what_he_has_not_taken(limits: Limits) -> None:
    limits.give_back(THREE, "ann")
    assert let_through(limits, 1) == 1
    for _ in range(5):
        limits.give_back(THREE, "ann")
    assert let_through(limits, 5) == 3


def test_who_was_refused_takes_nobodys_place(limits: Limits) -> None:
    assert let_through(limits, 10) == 3
    limits.give_back(THREE, "ann")
    assert let_through(limits, 10) == 1


def test_counts_outlast_who_counts(limits: Limits, database: Database, database_url: str, clock: Clock) -> None:
    assert let_through(limits, 2) == 2
    database.dispose()
    again = open_database(database_url, VAULT, clock=clock)
    assert let_through(open_limits(again, VAULT), 5) == 1
    again.dispose()


def test_of_many_at_once_so_many_get_through(database: Database, database_url: str, clock: Clock) -> None:
    # As two processes.
    other = open_database(database_url, VAULT, clock=clock)
    counting = (open_limits(database, VAULT), open_limits(other, VAULT))
    ten, barrier = Limit("test-ten", 10, 60), threading.Barrier(200)

    def run(number: int) -> Fault | None:
        barrier.wait()
        return refusal(counting[number % 2], "ann", ten)

    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(run, range(200)))
    other.dispose()
    assert answers.count(None) == 10
    # Who would have to wait for too long is told to come again.
    assert {type(answer) for answer in answers if answer is not None} <= {TooManyAttempts, Overloaded}
    assert let_through(counting[0], 1, "ann", ten) == 0


def test_of_many_who_give_back_at_once_none_is_lost(database_url: str, clock: Clock) -> None:
    # However slow the machine is.
    database = open_database(database_url, VAULT, Capacity(wait_s=60), clock)
    limits = open_limits(database, VAULT)
    many, barrier = Limit("test-many", 1000, 60), threading.Barrier(8)

    def run() -> None:
        barrier.wait()
        for _ in range(5):
            limits.take(many, "ann")
            limits.give_back(many, "ann")
        limits.take(many, "ann")
        limits.fail(many, "ann")

    with ThreadPoolExecutor(8) as pool:
        for one in [pool.submit(run) for _ in range(8)]:
            one.result()
    assert let_through(limits, 5, "ann", Limit("test-many", 10, 60)) == 2
    assert [failures.number for failures in limits.untold()] == [8]
    database.dispose()


# -- What failed ----------------------------------------------------------------


def test_what_failed_is_told_once_with_whose_it_was(limits: Limits) -> None:
    tried = (("ann@example.com", "7_abc", 3), ("nobody@example.com", "", 2), ("bob", "8_b", 0), ("noone", "", 1))
    for subject, whose, times in tried:
        limits.take(THREE, subject, whose)
        for _ in range(times):
            limits.fail(THREE, subject)
    told = limits.untold()
    # Those of no account are told together.
    assert sorted((one.kind, one.subject, one.number) for one in told) == [
        (THREE.kind, "", 3),
        (THREE.kind, "7_abc", 3),
    ]
    assert limits.untold() == told
    for one in told:
        limits.tell(one)
    assert limits.untold() == []


def test_what_failed_of_one_account_in_several_ways_is_told_together_and_by_kind(limits: Limits) -> None:
    other = Limit("test-other", 3, 60)
    for limit, subject in ((THREE, "ann"), (THREE, "ann@example.com"), (other, "ann")):
        limits.take(limit, subject, "7_abc")
        limits.fail(limit, subject)
    assert sorted((one.kind, one.number, len(one.parts)) for one in limits.untold()) == [
        ("test-other", 1, 1),
        (THREE.kind, 2, 2),
    ]


def test_what_failed_meanwhile_is_told_the_next_time(limits: Limits) -> None:
    limits.take(THREE, "ann", "7_abc")
    limits.fail(THREE, "ann")
    (first,) = limits.untold()
    limits.fail(THREE, "ann")
    limits.tell(first)
    (second,) = limits.untold()
    assert (first.number, second.number) == (1, 1)


def test_what_was_not_begun_has_not_failed(limits: Limits) -> None:
    limits.fail(THREE, "ann")
    assert limits.untold() == []


def test_failures_are_kept_for_the_record_beyond_their_window(limits: Limits, clock: Clock) -> None:
    limits.take(THREE, "ann", "7_abc")
    limits.fail(THREE, "ann")
    clock.seconds += 1000
    limits.take(THREE, "ann", "7_abc")
    limits.fail(THREE, "ann")
    limits.forget()
    assert [failures.number for failures in limits.untold()] == [2]


def test_what_holds_nobody_back_is_forgotten(limits: Limits, database: Database, clock: Clock, file: Path) -> None:
    def kept() -> int:
        if isinstance(database, SqliteDatabase):
            with sqlite3.connect(file) as connection:
                number = connection.execute("SELECT count(*) FROM attempt").fetchone()[0]
            connection.close()
        else:
            with database.looking() as looking:
                number = looking.execute(text("SELECT count(*) FROM attempt")).scalar_one()
        return int(number)

    let_through(limits, 4)
    limits.take(THREE, "bob", "8_b")
    limits.fail(THREE, "bob")
    limits.take(Limit("test-long", 1, 3600), "ann")
    clock.seconds += 60
    limits.forget()
    assert kept() == 3
    clock.seconds += 1
    limits.forget()
    assert kept() == 2
    for failures in limits.untold():
        limits.tell(failures)
    limits.forget()
    assert kept() == 1
    assert let_through(limits, 1, limit=Limit("test-long", 1, 3600)) == 0
    assert let_through(limits, 4) == 3


def test_who_tries_cannot_be_read_of_the_counts(limits: Limits, database: Database, file: Path) -> None:
    limits.take(THREE, "ann@example.com", "7_abc")
    limits.fail(THREE, "ann@example.com")
    (failures,) = limits.untold()
    if isinstance(database, SqliteDatabase):
        everything = b"".join(one.read_bytes() for one in file.parent.glob(f"{file.name}*"))
    else:
        with database.looking() as looking:
            everything = str(looking.execute(text("SELECT * FROM attempt")).all()).encode()
    assert b"7_abc" in everything
    assert b"ann@" not in everything
    ((key, number),) = failures.parts
    assert number == 1
    assert key.encode() in everything


def test_under_other_keys_others_are_counted(limits: Limits, database: Database) -> None:
    assert let_through(limits, 4) == 3
    assert let_through(open_limits(database, Vault(Keyring.generate())), 4) == 3


@pytest.mark.parametrize(
    ("failures", "whose"),
    ((Failures("mention-password", "7_abc", 7, ()), "account 7_abc"), (Failures("x-y", "", 1, ()), "no account")),
)
def test_failures_are_one_record(database: Database, failures: Failures, whose: str) -> None:
    with database.transaction(FailedAttempts, AUTHOR) as store:
        store.record(failures)
    (record,) = audited(database)
    family = failures.kind.partition("-")[0]
    assert (record.family, record.act) == (family, f"cluster:admin:{family}:log-in/failed")
    assert (record.object, record.uid, record.version) == (whose, failures.subject, 0)
    assert record.detail == f'{{"failed": {failures.number}}}'


# -- A file of their own ----------------------------------------------------------


def test_the_file_is_made_when_it_is_first_used_for_its_owner_alone(counted: SqliteLimits, file: Path) -> None:
    assert not file.exists()
    before = os.umask(0)
    try:
        with counted.begin():
            found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.glob("*.limits*")}
        assert found["accounts.db.limits"] == 0o600
        assert let_through(counted, 1) == 1
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_every_file_beside_it_is_for_its_owner_alone(counted: SqliteLimits, file: Path) -> None:
    before = os.umask(0)
    try:
        for _ in range(2):
            with counted.begin():
                assert {stat.S_IMODE(path.stat().st_mode) for path in file.parent.glob("*.limits*")} == {0o600}
    finally:
        os.umask(before)


def test_who_writes_accounts_keeps_nobody_from_trying(counted: SqliteLimits) -> None:
    with counted._database.begin():
        assert let_through(counted, 4) == 3
    with counted.begin(), counted._database.begin():
        pass


def test_nothing_of_the_counts_is_in_the_database_of_the_accounts(counted: SqliteLimits) -> None:
    counted.take(THREE, "ann", "7_abc")
    with counted._database.looking() as connection:
        names = connection.execute(text("SELECT name FROM sqlite_master")).scalars().all()
    assert "attempt" not in names


def overloaded(limits: Limits) -> None:
    """Be sure that nothing can be counted, whatever is to be."""
    for act in (
        lambda: limits.take(THREE, "ann"),
        lambda: limits.give_back(THREE, "ann"),
        lambda: limits.fail(THREE, "ann"),
        limits.untold,
        limits.forget,
    ):
        with pytest.raises(RefusedError) as refused:
            act()
        assert isinstance(refused.value.fault, Overloaded | Unavailable)


def test_where_no_file_can_be_made_nobody_gets_through(counted: SqliteLimits, file: Path) -> None:
    file.mkdir()
    overloaded(counted)
    file.rmdir()
    assert let_through(counted, 4) == 3


@pytest.mark.parametrize(
    "content", (b"not a database\n" * 100, b"SQLite format 3\0" + b"\xff" * 4096), ids=("text", "torn")
)
def test_a_file_that_is_no_database_is_made_anew(counted: SqliteLimits, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    for rest in ("-wal", "-shm"):
        file.with_name(file.name + rest).write_bytes(content)
    with capture_logs() as logged:
        assert let_through(counted, 4) == 3
    assert [line["event"] for line in logged] == ["limits.made_anew"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert let_through(counted, 1) == 0


@pytest.mark.parametrize("begin", (100, 4096), ids=("in its head", "further on"))
def test_a_file_that_is_damaged_is_made_anew(counted: SqliteLimits, file: Path, begin: int) -> None:
    assert let_through(counted, 4) == 3
    counted._database.dispose()
    whole = file.read_bytes()
    assert len(whole) > 4096
    file.write_bytes(whole[:begin] + b"\xff" * (len(whole) - begin))
    with capture_logs():
        # Who meets the damage may be told to come again.
        assert let_through(counted, 5) in {2, 3}
    assert let_through(counted, 1) == 0


def test_a_file_that_is_gone_is_made_anew(counted: SqliteLimits, file: Path) -> None:
    assert let_through(counted, 4) == 3
    file.unlink()
    assert let_through(counted, 4) == 3


def test_who_holds_the_file_for_too_long_keeps_the_others_from_waiting(counted: SqliteLimits, file: Path) -> None:
    assert let_through(counted, 1) == 1
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert refusal(counted) == Overloaded()
    other.execute("ROLLBACK")
    other.close()
    assert let_through(counted, 4) == 2


def test_who_waits_for_his_turn_for_too_long_is_told_to_come_again(counted: SqliteLimits) -> None:
    with counted.begin(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(refusal, counted).result() == Overloaded()
    assert let_through(counted, 4) == 3


def test_what_goes_wrong_in_a_turn_ends_it_and_is_undone(counted: SqliteLimits) -> None:
    def fail() -> None:
        with counted.begin() as connection:
            connection.exec_driver_sql("DELETE FROM attempt")
            raise ZeroDivisionError

    assert let_through(counted, 4) == 3
    with pytest.raises(ZeroDivisionError):
        fail()
    assert let_through(counted, 1) == 0


def test_on_postgresql_counts_that_cannot_be_reached_let_nobody_through() -> None:
    database = open_database("postgresql+psycopg://nobody@127.0.0.1:1/none", VAULT)
    overloaded(open_limits(database, VAULT))
    database.dispose()


def test_on_postgresql_the_counts_cost_no_write_ahead(postgresql_url: str) -> None:
    database = open_database(postgresql_url, VAULT)
    with database.looking() as connection:
        kind = connection.execute(text("SELECT relpersistence FROM pg_class WHERE relname = 'attempt'")).scalar_one()
    assert kind == "u"
    database.dispose()


# -- A connection that is kept ------------------------------------------------------


def test_the_file_is_opened_once_and_anew_when_another_is_in_its_place(counted: SqliteLimits, file: Path) -> None:
    opened: list[object] = []
    event.listen(counted._engine, "connect", lambda connection, _: opened.append(connection))
    assert let_through(counted, 2) == 2
    assert len(opened) == 1
    file.unlink()
    assert let_through(counted, 4) == 3
    assert len(opened) == 2


def test_a_child_does_not_use_what_its_parent_has_opened(counted: SqliteLimits) -> None:
    assert let_through(counted, 1) == 1
    child = os.fork()
    if child == 0:  # pragma: no cover  # in the child, which coverage does not see
        os._exit(0 if let_through(counted, 1) == 1 and counted._opened_as[0] == os.getpid() else 1)  # type: ignore[index]  # opened
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert let_through(counted, 4) == 1
