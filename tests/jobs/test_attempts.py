"""What comes to nothing is recorded: many in one record, none twice, and none lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from sqlalchemy import insert, text

from accounts_service import app
from accounts_service.faults import Overloaded, RefusedError
from accounts_service.jobs.attempts import Attempts
from accounts_service.storage.database import Database, SqliteDatabase, open_database
from accounts_service.storage.limits import TALLY, Failures, Limit, Limits, open_limits
from tests.storage.kit import VAULT, audited
from tests.support.installation import Installation
from tests.support.mention import JOHN, JOHNS_PASSWORD, Mention
from tests.support.mention_page import Browser, Clock, cheaply
from tests.support.service import Service

LIMIT = Limit("mention-password", 1000, 900)
ANN, CANARY = "7_abc", "canary-of-an-address@example.com"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(database_url: str, clock: Clock) -> Iterator[Database]:
    database = open_database(database_url, VAULT, clock=clock)
    emptied(database)
    yield database
    database.dispose()


def emptied(database: Database) -> None:
    # On PostgreSQL the counts of all tests are in one table, which is none of the accounts'.
    if not isinstance(database, SqliteDatabase):
        with database.begin() as connection:
            connection.execute(text("DELETE FROM attempt; DELETE FROM tally"))


@pytest.fixture
def limits(database: Database) -> Limits:
    return open_limits(database, VAULT)


def fail(limits: Limits, times: int, subject: str = "ann@example.com", whose: str = ANN) -> None:
    """Let so many attempts come to nothing."""
    for _ in range(times):
        limits.take(LIMIT, subject, whose)
        limits.fail(LIMIT, subject)


def record(database: Database, limits: Limits, most: int = 1000) -> None:
    """Do the job once; it is told to stop after so many looks."""
    looks = iter([False] * most)
    Attempts(database, limits).record(lambda: next(looks, True))


def recorded(database: Database) -> list[tuple[str, str, str]]:
    """Read what is on record: whose account, its id, how many."""
    return [(row.object, row.uid, row.detail) for row in audited(database)]


def test_seven_failures_are_one_record_that_names_the_account(database: Database, limits: Limits) -> None:
    fail(limits, 7)
    record(database, limits)
    (row,) = audited(database)
    assert (row.family, row.tenant, row.realm, row.actor) == ("mention", "", "accounts", "jobs")
    assert (row.act, row.object, row.uid) == ("cluster:admin:mention:log-in/failed", f"account {ANN}", ANN)
    assert row.detail == '{"failed": 7}'
    assert "ann@" not in str(row)


def test_who_is_not_known_is_not_named(database: Database, limits: Limits) -> None:
    fail(limits, 3, CANARY, "")
    fail(limits, 2, f"another-{CANARY}", "")
    record(database, limits)
    assert recorded(database) == [("no account", "", '{"failed": 5}')]
    assert "canary" not in str(audited(database))


def test_each_account_has_a_record_of_its_own(database: Database, limits: Limits) -> None:
    for number in range(1, 4):
        fail(limits, number, f"{number}@example.com", f"{number}_x")
    record(database, limits)
    assert sorted(recorded(database)) == [
        (f"account {number}_x", f"{number}_x", f'{{"failed": {number}}}') for number in range(1, 4)
    ]


def test_the_next_time_only_what_is_new_is_recorded(database: Database, limits: Limits) -> None:
    fail(limits, 7)
    record(database, limits)
    record(database, limits)
    fail(limits, 2)
    record(database, limits)
    record(database, limits)
    assert recorded(database) == [(f"account {ANN}", ANN, f'{{"failed": {number}}}') for number in (7, 2)]


def test_a_count_that_nobody_of_us_has_made_is_logged_and_keeps_none_from_being_recorded(
    database: Database, limits: Limits
) -> None:
    refusals = [
        "x",
        "[" * 50_000,
        "{}",
        '["r", "a"]',
        '["r", 1, "act"]',
        '["r", "\\u0000", "act"]',
        '["r", "\\ud800", "act"]',
    ]
    planted = [("a refusals", subject, 60) for subject in refusals] + [("a log-ins", "x", 10**15)]
    genuine = [("b log-ins", "192.0.2.1", 60), ("b refusals", '["r", "ann", "act"]', 60)]
    with limits.begin() as connection:
        for kind, subject, since_s in planted + genuine:
            connection.execute(insert(TALLY).values(kind=kind, subject=subject, since_s=since_s, number=3))
    with structlog.testing.capture_logs() as lines:
        record(database, limits)
        record(database, limits)
    assert [line["event"] for line in lines] == ["attempts.unreadable"] * len(planted)
    assert [about for about, _, _ in recorded(database)] == ["from 192.0.2.1", "3 calls"]


def test_what_came_to_something_is_no_failure(database: Database, limits: Limits) -> None:
    limits.take(LIMIT, "ann@example.com", ANN)
    limits.give_back(LIMIT, "ann@example.com")
    record(database, limits)
    assert recorded(database) == []


def test_who_dies_after_recording_leaves_it_to_be_recorded_again(
    database: Database, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Limits, __: Failures) -> None:
        raise RefusedError(Overloaded())

    fail(limits, 7)
    with monkeypatch.context() as patched:
        patched.setattr(type(limits), "tell", away)
        with pytest.raises(RefusedError):
            record(database, limits)
    fail(limits, 1)
    record(database, limits)
    record(database, limits)
    assert [detail for _, _, detail in recorded(database)] == ['{"failed": 7}', '{"failed": 8}']


def test_who_dies_before_recording_has_lost_nothing(
    database: Database, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise RefusedError(Overloaded())

    fail(limits, 7)
    with monkeypatch.context() as patched:
        patched.setattr(database, "written", away)
        with pytest.raises(RefusedError):
            record(database, limits)
    assert recorded(database) == []
    record(database, limits)
    assert recorded(database) == [(f"account {ANN}", ANN, '{"failed": 7}')]


def test_who_is_told_to_stop_leaves_the_rest_for_the_next_time(database: Database, limits: Limits) -> None:
    for number in range(3):
        fail(limits, 1, str(number), f"{number}_x")
    record(database, limits, most=0)
    assert recorded(database) == []
    record(database, limits, most=2)
    assert len(recorded(database)) == 2
    record(database, limits)
    assert sorted(whose for _, whose, _ in recorded(database)) == ["0_x", "1_x", "2_x"]


def test_what_holds_nobody_back_is_forgotten_once_it_is_recorded(
    database: Database, limits: Limits, clock: Clock
) -> None:
    attempts = Attempts(database, limits)
    fail(limits, 1)
    clock.seconds += 901
    attempts.forget(lambda: False)
    record(database, limits)
    assert len(recorded(database)) == 1
    attempts.forget(lambda: False)
    fail(limits, 1)
    record(database, limits)
    assert [detail for _, _, detail in recorded(database)] == ['{"failed": 1}'] * 2


def test_wrong_passwords_of_the_service_come_to_the_record_by_its_jobs(installation: Installation) -> None:
    service = Service(installation, change=cheaply)
    mention, services = Mention(service), service.services
    emptied(services.database)
    before = len(service.audited())
    browser = Browser(service)
    browser.open()
    for _ in range(3):
        assert browser.sign_in("j.smith@nasa.com", "wrong").status_code == 400
    for _ in range(2):
        assert browser.sign_in(CANARY, "wrong").status_code == 400
    change = {"old_password": "wrong", "new_password": "Mypass2"}
    assert mention.ask("PUT", "/accounts/{JOHN}", change).status_code == 400
    browser.signed_in("j.smith@nasa.com", JOHNS_PASSWORD)
    assert len(service.audited()) == before
    jobs = {job.name: job.run for job in app.make_jobs(services.settings, services.database, services.limits)}
    for _ in range(2):
        jobs["attempts"](lambda: False)
        jobs["attempts-forgotten"](lambda: False)
    rows = service.audited()[before:]
    assert sorted((row.object, row.detail) for row in rows) == [
        (f"account {JOHN}", '{"failed": 4}'),
        ("no account", '{"failed": 2}'),
    ]
    assert "canary" not in str(rows)
    service.close()
