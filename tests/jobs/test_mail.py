"""Sending the mails of the outbox through the account that the settings name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog

from accounts_service import app
from accounts_service.families.signals.store.accounts import Document, Key
from accounts_service.families.signals.store.mail import AccountMailServers
from accounts_service.faults import Overloaded, RefusedError, SecretUnreadable
from accounts_service.jobs import mail as jobs_mail
from accounts_service.jobs.breaker import Breaker
from accounts_service.jobs.mail import MOST_ATTEMPTS, Mail, Waiting, pause_after, server_of
from accounts_service.storage.database import Database, open_database
from accounts_service.storage.limits import open_limits
from accounts_service.storage.outbox import LEASE_SECONDS, OUTBOX_MESSAGE, Message, Outbox
from accounts_service.storage.sealed import Keyring, Vault
from accounts_service.web.services import MailServer as Described
from tests.storage.kit import AUTHOR, VAULT, WITHOUT_KEYS, delete, opened, put, rows
from tests.support.mail_server import PASSWORD, MailServer, dead_port, dripping

ACCOUNT = Key("email", "default")
CANARY = "canary-91aa-of-a-mail"
ADDRESS = "ann@mycompany.example"


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_mail, "_JITTER", 0.0)


@pytest.fixture
def clock() -> list[float]:
    """Give a clock to be put forward: its only element."""
    return [1_700_000_000.0]


@pytest.fixture
def database(database_url: str, clock: list[float]) -> Iterator[Database]:
    database = open_database(database_url, VAULT, clock=lambda: clock[0])
    yield database
    database.dispose()


def describe(database: Database, port: int, secrets: dict[str, str] | None = None, **attributes: object) -> None:
    """Write the account."""
    described: dict[str, object] = {"host": "127.0.0.1", "port": port, "default_from": "accounts@mycompany.example"}
    described |= attributes
    present = {name: value for name, value in described.items() if value is not None}
    put(database, ACCOUNT, Document(present, secrets or {}, frozenset(present)))


def add(database: Database, to: str = ADDRESS, subject: str = f"Subject {CANARY}") -> str:
    with database.transaction(Outbox, AUTHOR) as outbox:
        return outbox.add(Message(to, subject, f"Text {CANARY}"))


def send(database: Database, account: str | None = "email/default", mail: Mail | None = None) -> list[Any]:
    """Do the job once; gives what it logged."""
    with structlog.testing.capture_logs() as lines:
        (mail or Mail(database, AccountMailServers, account)).send(lambda: False)
    assert CANARY not in str(lines)
    assert PASSWORD not in str(lines)
    assert ADDRESS not in str(lines)
    return lines


def events(lines: list[Any]) -> list[str]:
    return [line["event"] for line in lines]


@contextmanager
def postbox(database: Database, **options: Any) -> Iterator[MailServer]:
    with MailServer(**options) as server:
        describe(database, server.port)
        yield server


def test_mails_are_delivered_once_and_gone_from_the_database(database: Database) -> None:
    uids = [add(database) for _ in range(3)]
    with postbox(database) as server:
        lines = send(database)
        assert send(database) == []
    assert [mail["Message-ID"] for mail in server.mails] == [f"<{uid}@accounts-service.invalid>" for uid in uids]
    assert rows(database, OUTBOX_MESSAGE) == []
    assert lines == [
        {
            "event": "mail.delivered",
            "log_level": "info",
            "uid": uid,
            "message_id": f"<{uid}@accounts-service.invalid>",
            "attempts": 1,
            "simulated": False,
        }
        for uid in uids
    ]


def test_a_server_that_is_away_costs_no_mail_its_time(database: Database, clock: list[float]) -> None:
    for _ in range(3):
        add(database)
    before = [(row.uid, row.due_us, row.attempts) for row in rows(database, OUTBOX_MESSAGE)]
    mail = Mail(database, AccountMailServers, "email/default", breaker=Breaker(lambda: clock[0]))
    with dead_port() as port:
        describe(database, port)
        pauses = []
        for failures in range(1, 10):
            (line,) = send(database, mail=mail)
            assert (line["event"], line["error"], line["failures"]) == (
                "mail.server_failed",
                "ConnectionRefusedError",
                failures,
            )
            pauses.append(line["seconds"])
            clock[0] += pauses[-1] - 0.5
            assert send(database, mail=mail) == []
            clock[0] += 0.5
        assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
        send(database, mail=mail)
    assert [(row.uid, row.due_us, row.attempts) for row in rows(database, OUTBOX_MESSAGE)] == before
    # A corrected account is another server, and is not made to wait for the other's pause.
    with postbox(database) as server:
        lines = send(database, mail=mail)
    assert events(lines) == ["mail.server_back", *["mail.delivered"] * 3]
    assert len(server.taken) == 3


def test_a_mail_that_breaks_the_connection_lets_the_others_pass(database: Database, clock: list[float]) -> None:
    poison = add(database, "poison@mycompany.example")
    add(database)
    mail = Mail(database, AccountMailServers, "email/default", breaker=Breaker(lambda: clock[0]))
    with postbox(database, answers={"RCPT poison@mycompany.example": "421 closing"}) as server:
        assert events(send(database, mail=mail)) == ["mail.server_failed", "mail.postponed"]
        clock[0] += 1
        assert events(send(database, mail=mail)) == ["mail.server_back", "mail.delivered"]
    assert len(server.taken) == 1
    assert [(row.uid, row.attempts) for row in rows(database, OUTBOX_MESSAGE)] == [(poison, 1)]


def test_a_turn_ends_when_its_time_is_over(database: Database) -> None:
    add(database)
    with postbox(database) as server:
        assert send(database, mail=Mail(database, AccountMailServers, "email/default", seconds=0)) == []
    assert server.taken == []


def test_mails_that_are_refused_wait_ever_longer(database: Database, clock: list[float]) -> None:
    add(database)
    with postbox(database, answers={"RCPT": "450 busy"}):
        pauses = []
        for attempt in range(8):
            (line,) = send(database)
            assert (line["event"], line["attempts"], line["error"]) == (
                "mail.postponed",
                attempt + 1,
                "SMTPRecipientsRefused 450",
            )
            assert send(database) == []
            (row,) = rows(database, OUTBOX_MESSAGE)
            pauses.append(row.due_us / 1e6 - clock[0])
            clock[0] += pauses[-1]
        assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    with postbox(database) as server:
        assert events(send(database)) == ["mail.delivered"]
    assert len(server.taken) == 1


def test_pauses_differ_from_one_another_and_are_about_five_days_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 4.5 * 86400 < sum(pause_after(attempt) for attempt in range(1, MOST_ATTEMPTS)) < 5.5 * 86400
    monkeypatch.setattr(jobs_mail, "_JITTER", 0.2)
    pauses = {pause_after(1) for _ in range(100)}
    assert len(pauses) > 50
    assert all(48 <= pause <= 72 for pause in pauses)


def test_after_the_last_try_a_mail_is_given_up_and_kept(database: Database) -> None:
    add(database)
    with database.begin() as connection:
        connection.execute(OUTBOX_MESSAGE.update().values(attempts=MOST_ATTEMPTS - 1))
    with postbox(database, answers={"RCPT": "450 busy"}):
        assert events(send(database)) == ["mail.given_up"]
        assert send(database) == []
    (row,) = rows(database, OUTBOX_MESSAGE)
    assert (row.failed_us, row.last_error) == (1_700_000_000_000_000, "SMTPRecipientsRefused 450")


def test_a_refusal_for_good_gives_up_one_mail_and_the_next_is_delivered(database: Database) -> None:
    refused = add(database, "gone@mycompany.example")
    add(database)
    words = f"550 no {CANARY} here"
    with postbox(database, answers={"RCPT gone@mycompany.example": words}) as server:
        lines = send(database)
    assert [(line["event"], line.get("error")) for line in lines] == [
        ("mail.given_up", "SMTPRecipientsRefused 550"),
        ("mail.delivered", None),
    ]
    assert len(server.taken) == 1
    (row,) = rows(database, OUTBOX_MESSAGE)
    assert (row.uid, row.last_error) == (refused, "SMTPRecipientsRefused 550")


def test_a_refusal_for_now_postpones(database: Database) -> None:
    add(database)
    with postbox(database, answers={"DATA": f"451 {CANARY}"}):
        (line,) = send(database)
    assert (line["event"], line["error"], line["seconds"]) == ("mail.postponed", "SMTPDataError 451", 60)


def test_a_dripping_server_holds_a_mail_for_no_longer_than_the_deadline(database: Database) -> None:
    add(database)
    with dripping(b"220-x\r\n", 0.02) as port:
        describe(database, port)
        (line,) = send(database, mail=Mail(database, AccountMailServers, "email/default", deadline=0.3))
    assert (line["event"], line["error"]) == ("mail.server_failed", "TimeoutError")
    (row,) = rows(database, OUTBOX_MESSAGE)
    assert (row.lease, row.attempts, row.last_error) == (None, 0, "TimeoutError")


def test_mails_wait_without_being_tried_until_there_is_a_server(database: Database, clock: list[float]) -> None:
    add(database)

    def waits(account: str | None, reason: Waiting) -> None:
        mail = Mail(database, AccountMailServers, account)
        with structlog.testing.capture_logs() as lines:
            mail.send(lambda: False)
            mail.send(lambda: False)
        # Said once, and not with every look.
        assert lines == [{"event": "mail.waiting", "log_level": "warning", "reason": reason.value}]
        (row,) = rows(database, OUTBOX_MESSAGE)
        assert (row.attempts, row.lease) == (0, None)

    waits(None, Waiting.UNSET)
    waits("email/default", Waiting.MISSING)
    describe(database, 25, proxy_host="proxy.mycompany.example")
    waits("email/default", Waiting.PROXY)
    describe(database, 25, default_from=None, user="accounts")
    waits("email/default", Waiting.NO_SENDER)
    describe(database, 25, default_from=None)
    waits("email/default", Waiting.NO_SENDER)
    waits("slack/default", Waiting.MISSING)
    clock[0] += 1_000_000
    with postbox(database) as server:
        assert events(send(database)) == ["mail.delivered"]
    assert len(server.taken) == 1


def test_what_is_mended_while_the_job_runs_holds_for_the_next_mail(database: Database) -> None:
    mail = Mail(database, AccountMailServers, "email/default")
    add(database)
    assert events(send(database, mail=mail)) == ["mail.waiting"]
    with postbox(database):
        assert events(send(database, mail=mail)) == ["mail.delivered"]
    delete(database, ACCOUNT)
    add(database)
    assert events(send(database, mail=mail)) == ["mail.waiting"]


def test_simulated_mails_count_as_sent(database: Database) -> None:
    add(database)
    with dead_port() as port:
        describe(database, port, simulate=True)
        (line,) = send(database)
    assert (line["event"], line["simulated"]) == ("mail.delivered", True)
    assert rows(database, OUTBOX_MESSAGE) == []


def test_the_account_says_all_there_is_to_know(database: Database) -> None:
    describe(
        database,
        465,
        {"password": PASSWORD, "proxy_password": "x"},
        user="accounts@mycompany.example",
        enable_tls=True,
        enable_start_tls=True,
        trust_all=True,
        trusted_hosts=["a", "b"],
        default_from=None,
    )
    assert server_of(database, AccountMailServers, "email/default") == Described(
        host="127.0.0.1",
        port=465,
        user="accounts@mycompany.example",
        password=PASSWORD,
        tls=True,
        start_tls=True,
        trust_all=True,
        trusted_hosts=("a", "b"),
        sender="accounts@mycompany.example",
    )


def test_an_account_of_a_tenant_is_none(database: Database) -> None:
    put(database, Key("email", "default", "blue"))
    assert server_of(database, AccountMailServers, "email/default") is Waiting.MISSING


def test_under_other_keys_mails_wait(database: Database, database_url: str, clock: list[float]) -> None:
    describe(database, 25, {"password": PASSWORD})
    uid = add(database)
    with opened(database_url, vault=WITHOUT_KEYS) as other:
        assert server_of(other, AccountMailServers, "email/default") == SecretUnreadable(VAULT.active)
        # Without a password the account is read all the same, but no mail is.
        describe(database, 25)
        (line,) = send(other)
        assert (line["event"], line["uid"], line["error"]) == (
            "mail.postponed",
            uid,
            f"UnreadableSecretError {VAULT.active}",
        )
    clock[0] = time.time() + 3600
    with postbox(database) as server:
        assert events(send(database)) == ["mail.delivered"]
    assert len(server.taken) == 1


def test_who_is_told_to_stop_ends_the_mail_that_he_has_begun(database: Database) -> None:
    for _ in range(3):
        add(database)
    with postbox(database) as server, structlog.testing.capture_logs():
        Mail(database, AccountMailServers, "email/default").send(lambda: bool(server.taken))
    assert len(server.taken) == 1
    assert len(rows(database, OUTBOX_MESSAGE)) == 2


def test_what_was_delivered_is_written_down_when_the_database_is_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database)
    failures = [RefusedError(Overloaded())] * 2
    delivered = Outbox.delivered

    def busy(outbox: Outbox, uid: str, lease: str) -> bool:
        if failures:
            raise failures.pop()
        return delivered(outbox, uid, lease)

    monkeypatch.setattr(Outbox, "delivered", busy)
    monkeypatch.setattr(jobs_mail.time, "sleep", lambda _: None)  # type: ignore[attr-defined]  # not its own name
    with postbox(database) as server:
        assert events(send(database)) == ["mail.delivered"]
    assert (len(server.taken), rows(database, OUTBOX_MESSAGE)) == (1, [])


def test_what_could_not_be_written_down_is_sent_again_under_the_same_message_id(
    database: Database, monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    add(database)

    def away(*_: object) -> bool:
        raise RefusedError(Overloaded())

    told: list[bool] = []
    with postbox(database) as server:
        with monkeypatch.context() as patched:
            patched.setattr(Outbox, "delivered", away)
            with pytest.raises(RefusedError), structlog.testing.capture_logs():
                # Told to stop while it tries to write it down.
                Mail(database, AccountMailServers, "email/default").send(lambda: bool(server.taken) or bool(told))
        assert send(database) == []
        clock[0] += LEASE_SECONDS
        assert events(send(database)) == ["mail.delivered"]
    first, second = (mail["Message-ID"] for mail in server.mails)
    assert first == second


def test_a_mail_that_somebody_else_was_faster_to_claim_is_his(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database)
    with postbox(database) as server:
        monkeypatch.setattr(Outbox, "claim", lambda _: None)
        assert send(database) == []
    assert server.taken == []


def test_what_was_given_up_is_forgotten_after_a_month(database: Database, clock: list[float]) -> None:
    add(database, "nobody")
    describe(database, 25)
    assert events(send(database)) == ["mail.given_up"]
    mail = Mail(database, AccountMailServers, "email/default")
    for days, left in ((29, 1), (2, 0)):
        clock[0] += days * 86400
        mail.forget(lambda: False)
        assert len(rows(database, OUTBOX_MESSAGE)) == left


def test_every_job_has_a_name_of_its_own(database: Database, sqlite_url: str) -> None:
    from accounts_service.config import Settings

    limits = open_limits(database, Vault(Keyring.generate()))
    jobs = app.make_jobs(Settings.from_environment({"ACCOUNTS_DATABASE_URL": sqlite_url}), database, limits)
    assert len({job.name for job in jobs}) == len(jobs)
