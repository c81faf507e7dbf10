"""`/readyz`: 503 where no write can succeed, and each part for callers who may know."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, make_url, text

from accounts_service.families.signals import examples
from accounts_service.faults import RefusedError
from accounts_service.storage import migrations
from accounts_service.storage.audit import Author
from accounts_service.storage.checkup import Workings
from accounts_service.storage.database import SqliteDatabase
from accounts_service.storage.outage import Access
from accounts_service.storage.rotation import JOBS, PROCESS, Process, Processes
from accounts_service.storage.seals import seal
from accounts_service.storage.writability import Writability, try_to_write
from tests.storage.kit import opened, rows
from tests.support.disks import fill, read_only, small_disk
from tests.support.installation import Installation
from tests.support.service import Answer, Service

EMAIL = "/_signals/account/email/default"


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def sqlite_service(tmp_path: Path, sqlite_url: str) -> Iterator[Service]:
    service = Service(Installation(tmp_path / "installation", sqlite_url))
    yield service
    service.close()


def forget(service: Service) -> None:
    """Forget when this process last wrote, and what came of the last try."""
    service.services.database.outage.wrote_at = float("-inf")
    service.services.writability.__init__(service.services.database)  # type: ignore[misc]  # as after a while


def parts(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = answer.json["parts"]
    return found


def unwell(answer: Answer) -> set[str]:
    return {name for name, part in parts(answer).items() if not part["ok"]}


def test_anonymous_callers_are_told_no_more_than_ok(service: Service) -> None:
    assert service.get("/readyz", by=None).json == {"status": "ok"}
    assert service.get("/readyz", by="manager").json == {"status": "ok"}
    wrong = service.get("/readyz", by=None, headers={"Authorization": "Basic YWRtaW46d3Jvbmc="})
    assert wrong.status_code == 401, "a guess is a guess here, too"


def test_callers_who_may_know_see_each_part(service: Service) -> None:
    answer = service.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (200, "ok")
    assert list(parts(answer)) == ["database", "writes", "configuration", "keys", "jobs", "seals"]
    assert unwell(answer) == {"jobs"}, "the process is not started by tests"
    assert all(part["detail"] and bool(part["todo"]) is not part["ok"] for part in parts(answer).values())


def test_parts_that_requests_do_without_leave_the_service_ready(service: Service) -> None:
    service.put(EMAIL, examples.GOOD["email"])
    database = service.services.database
    with database.transaction(Processes, Author("accounts", "test", "")) as processes:
        processes.report(Process("1", JOBS, "host", 1, (), ""))
    answer = service.get("/readyz")
    assert unwell(answer) == set()
    service.installation.write("sg_roles.yml", "[")
    service.services.access._clock = lambda: 2e9  # Quiet for long.
    service.installation.keys_file.unlink()
    database._clock = lambda: 2e9
    answer = service.get("/readyz")
    assert (answer.status_code, unwell(answer)) == (200, {"configuration", "keys", "jobs", "seals"})
    assert parts(answer)["keys"]["detail"].startswith("the keys are only in memory: ")


def test_age_of_the_oldest_unsealed_record_is_told_until_it_is_sealed(service: Service) -> None:
    database = service.services.database
    service.put(EMAIL, examples.GOOD["email"])
    now = database._clock
    database._clock = lambda: now() + 25
    with database.reading(Workings) as workings:
        assert 25 <= (workings.work().unsealed_s or 0) < 40
    assert [*seal(database, Author("accounts", "jobs", ""))]
    with database.reading(Workings) as workings:
        assert workings.work().unsealed_s is None


def test_try_to_write_leaves_nothing_behind(service: Service) -> None:
    before = rows(service.services.database, PROCESS)
    try_to_write(service.services.database)
    assert rows(service.services.database, PROCESS) == before
    assert service.audited() == []


def test_full_disk_makes_the_service_unready_until_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        SqliteDatabase.create(disk / "accounts.db")
        with opened(f"sqlite:///{disk}/accounts.db") as database:
            migrations.upgrade(database)
        service = Service(Installation(tmp_path / "installation", f"sqlite:///{disk}/accounts.db"))
        try:
            assert service.get("/readyz", by=None).status_code == 200
            fill(disk)
            forget(service)
            assert service.get("/readyz", by=None).json == {"status": "unavailable"}
            answer = service.get("/readyz")
            assert (answer.status_code, unwell(answer) - {"jobs"}) == (503, {"writes"})
            assert parts(answer)["writes"]["detail"] == "its disk is full (SQLITE_FULL)"
            assert service.put(EMAIL, examples.GOOD["email"]).status_code == 503
            assert service.get(EMAIL).status_code == 404, "reading goes on"
            (disk / "filling").unlink()
            assert service.put(EMAIL, examples.GOOD["email"]).status_code == 201
            assert service.get("/readyz", by=None).status_code == 200, "a write has shown it"
        finally:
            service.close()


def test_read_only_file_makes_the_service_unready(sqlite_service: Service) -> None:
    database = sqlite_service.services.database
    assert isinstance(database, SqliteDatabase)
    with read_only(database.path):
        answer = sqlite_service.get("/readyz")
        assert (answer.status_code, unwell(answer) - {"jobs"}) == (503, {"writes"})
        details = ("its disk is read-only (EROFS)", "a file of it may not be opened (EACCES)")
        assert parts(answer)["writes"]["detail"] in details
    forget(sqlite_service)
    assert sqlite_service.get("/readyz", by=None).status_code == 200


def test_a_probe_compiles_no_query_anew(service: Service) -> None:
    """What is compiled for each probe fills the worker's cache of compiled queries, at 8 kB a time."""
    outcomes: list[str] = []

    def note(*arguments: Any) -> None:
        outcomes.append(arguments[4].cache_hit.name)

    for by in (None, "admin"):
        service.get("/readyz", by=by)
        forget(service)
        event.listen(Engine, "before_cursor_execute", note)
        try:
            service.get("/readyz", by=by)
        finally:
            event.remove(Engine, "before_cursor_execute", note)
    assert outcomes
    assert "CACHE_MISS" not in outcomes


@pytest.mark.any_database
def test_schema_of_two_revisions_makes_the_service_unready(service: Service) -> None:
    with service.services.database.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS alembic_version (version_num TEXT)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('0001'), ('0002')"))
    answer = service.get("/readyz", by=None)
    assert (answer.status_code, parts(service.get("/readyz", by="admin"))["database"]["ok"]) == (503, False)


def test_missing_file_is_not_told_as_another_schema(sqlite_service: Service) -> None:
    """An upgrade would make an empty database in the place where the disk of the right one is not mounted."""
    database = sqlite_service.services.database
    assert isinstance(database, SqliteDatabase)
    database.path.rename(database.path.with_suffix(".elsewhere"))
    forget(sqlite_service)
    database_part = parts(sqlite_service.get("/readyz"))["database"]
    assert database_part["detail"] == "there is no file"
    assert database_part["todo"].startswith("see that its disk is mounted")


@pytest.mark.parametrize(
    ("change", "detail"),
    (
        ("ALTER ROLE {role} SET default_transaction_read_only = on", "it is read-only (SQLSTATE 25006)"),
        (
            "REVOKE INSERT ON ALL TABLES IN SCHEMA public FROM {role}",
            "it refuses the role what the service asks (SQLSTATE 42501)",
        ),
    ),
)
def test_role_that_cannot_write_makes_the_service_unready(
    tmp_path: Path, postgresql_url: str, change: str, detail: str
) -> None:
    role = "unready_role"
    engine = create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    url = make_url(postgresql_url).set(username=role).render_as_string(hide_password=False)
    service = Service(Installation(tmp_path / "installation", url))
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE ROLE {role} LOGIN"))
            connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"))
            assert service.get("/readyz", by=None).status_code == 200
            connection.execute(text(change.format(role=role)))
        service.services.database.dispose()
        forget(service)
        answer = service.get("/readyz")
        assert (answer.status_code, parts(answer)["writes"]["detail"]) == (503, detail)
        assert parts(answer)["database"]["ok"]
    finally:
        service.close()
        with engine.connect() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))
        engine.dispose()


# -- How often it is tried ----------------------------------------------------


def test_one_thread_tries_and_the_others_are_told_what_is_known(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, trying, going_on = Clock(), threading.Event(), threading.Event()
    tries: list[int] = []

    def slow(*_: object) -> None:
        tries.append(1)
        trying.set()
        going_on.wait(60)

    monkeypatch.setattr("accounts_service.storage.writability.try_to_write", slow)
    writability = Writability(sqlite_service.services.database, clock)
    thread = threading.Thread(target=writability.why_not)
    thread.start()
    trying.wait(60)
    assert writability.why_not() is None, "nothing else is known yet"
    clock.now += 4
    found = writability.why_not()
    assert found is not None
    assert (found.name, len(tries)) == ("unresponsive", 1)
    going_on.set()
    thread.join()
    assert writability.why_not() is None
    assert len(tries) == 1, "what was found out holds for a while"
    clock.now += 600
    assert writability.why_not() is None
    assert len(tries) == 2
    sqlite_service.services.database.outage.wrote_at = clock.now + 8
    clock.now += 8
    assert writability.why_not() is None
    assert len(tries) == 2, "a write of this process is enough"


def test_write_that_fails_has_another_one_tried(sqlite_service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    outage = sqlite_service.services.database.outage
    writability = Writability(sqlite_service.services.database, Clock())
    assert writability.why_not() is None

    def fail(*_: object) -> None:
        full = OSError(errno.ENOSPC, "full")
        raise outage.failed(Access.WRITE, full) from full

    monkeypatch.setattr("accounts_service.storage.writability.try_to_write", fail)
    assert writability.why_not() is None, "what was found out holds for a while"
    with pytest.raises(RefusedError):
        fail()
    found = writability.why_not()
    assert found is not None
    assert found.name == "disk_full"
    outage.passed(Access.WRITE)
    outage.wrote_at = 1000.0
    assert writability.why_not() is None


def test_busy_writer_counts_as_well_unless_this_process_starves(sqlite_service: Service) -> None:
    database = sqlite_service.services.database
    assert isinstance(database, SqliteDatabase)
    clock = Clock()
    database._turnstile._timeout = 0.02
    writability = Writability(database, clock)
    with database._turnstile.turn():
        database.outage.wrote_at = clock.now - 20
        assert writability.why_not() is None
        clock.now += 20
        found = writability.why_not()
        assert found is not None
        assert found.name == "unresponsive"
    clock.now += 2
    with pytest.raises(RefusedError), database._turnstile.turn():
        try_to_write(database)
    assert writability.why_not() is None
