"""What a clock has written that was a year ahead delays and blocks nothing once it is put right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from accounts_service.faults import RefusedError
from accounts_service.jobs.mail import MOST_ATTEMPTS, pause_after
from accounts_service.jobs.seal import Trail
from accounts_service.storage.database import Database, open_database
from accounts_service.storage.idempotency import IDEMPOTENCY, Answers
from accounts_service.storage.mail_limits import MailLimits
from accounts_service.storage.outbox import LONGEST_DELAY_SECONDS, OUTBOX_MESSAGE, Message, Outbox
from accounts_service.storage.rotation import PROCESS, SETTLED_SECONDS, WORKER, Process, Processes
from tests.storage.kit import AUTHOR, VAULT, put, rows

NOW = 1_700_000_000
YEAR = 366 * 86_400
DAY_US = 86_400 * 1_000_000


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(database_url: str, clock: Clock) -> Iterator[Database]:
    database = open_database(database_url, VAULT, clock=clock)
    yield database
    database.dispose()


def test_a_process_that_died_under_a_fast_clock_is_dead(database: Database, clock: Clock) -> None:
    dead, alive = (Process(uid, WORKER, "here", 1, ("k",), "k") for uid in ("dead", "alive"))
    clock.now += YEAR
    with database.transaction(Processes, AUTHOR) as processes:
        processes.report(dead)
        processes.report(alive)
    clock.now = NOW
    with database.transaction(Processes, AUTHOR) as processes:
        assert processes.live() == []
        processes.report(alive)
        assert processes.live() == [alive]
        # Its key may have become active just now, and not in a year.
        assert processes.settling() == SETTLED_SECONDS
    clock.now += SETTLED_SECONDS
    with database.transaction(Processes, AUTHOR) as processes:
        assert processes.settling() == 0
        processes.forget()
    assert [row.uid for row in rows(database, PROCESS)] == ["alive"]


@pytest.mark.parametrize("left", ("postponed", "claimed"))
def test_a_mail_of_a_fast_clock_is_tried(database: Database, clock: Clock, left: str) -> None:
    with database.transaction(Outbox, AUTHOR) as outbox:
        outbox.add(Message("ann@mycompany.example", "s", "t"))
    clock.now += YEAR
    with database.transaction(Outbox, AUTHOR) as outbox:
        claimed = outbox.claim()
        assert claimed is not None
        if left == "postponed":
            assert outbox.postponed(claimed.uid, claimed.lease, LONGEST_DELAY_SECONDS, "x")
    # Within a usual delay of now it waits like any other.
    clock.now -= 60
    with database.transaction(Outbox, AUTHOR) as outbox:
        assert outbox.claim() is None
    clock.now = NOW
    with database.transaction(Outbox, AUTHOR) as outbox:
        assert outbox.is_any_due()
        again = outbox.claim()
        assert again is not None
        assert outbox.given_up(again.uid, again.lease, "x")
    # One that failed in a year is forgotten as if it had failed now.
    with database.begin() as connection:
        connection.execute(OUTBOX_MESSAGE.update().values(failed_us=(NOW + YEAR) * 1_000_000))
    with database.transaction(Outbox, AUTHOR) as outbox:
        assert outbox.forget(60) == 0
    clock.now += 61
    with database.transaction(Outbox, AUTHOR) as outbox:
        assert outbox.forget(60) == 1


def test_a_mail_that_a_fast_clock_counted_limits_no_other(database: Database, clock: Clock) -> None:
    def write() -> list[str]:
        with database.transaction(MailLimits, AUTHOR) as limits:
            limits.take("kind", 1, 1)
            return [*limits.unwritten("kind", ["ann@mycompany.example"])]

    clock.now += YEAR
    write()
    clock.now = NOW
    assert write() == ["ann@mycompany.example"]
    with pytest.raises(RefusedError):
        write()


def test_no_mail_is_postponed_for_longer_than_the_bound() -> None:
    assert (
        max(pause_after(attempts) for attempts in range(1, MOST_ATTEMPTS) for _ in range(20)) <= LONGEST_DELAY_SECONDS
    )


def test_an_answer_of_a_fast_clock_is_kept_for_a_day(database: Database, clock: Clock) -> None:
    clock.now += YEAR
    with database.transaction(Answers, AUTHOR) as answers:
        assert answers.claim("digest", "body") is None
        answers.keep("digest", "answer")
    clock.now = NOW
    database.written(Answers, AUTHOR, lambda answers: answers.forget())
    assert [row.expires_us for row in rows(database, IDEMPOTENCY)] == [NOW * 1_000_000 + DAY_US]
    with database.transaction(Answers, AUTHOR) as answers:
        assert answers.claim("digest", "body") is not None, "done twice"
    clock.now += 86_400
    database.written(Answers, AUTHOR, lambda answers: answers.forget())
    assert rows(database, IDEMPOTENCY) == []


def test_a_late_seal_is_an_error_once_each_time(database: Database, clock: Clock) -> None:
    trail = Trail(database, None)
    with structlog.testing.capture_logs() as lines:
        for seconds in (10, 11, 0, 3600):
            put(database)
            clock.now += seconds
            trail.seal(lambda: False)
    late = [(line["log_level"], line["seconds"]) for line in lines if line["event"] == "audit.sealed_late"]
    assert late == [("error", 11), ("error", 3600)]
