"""Users who are told by mail that they have an account: only those who are new, and only if it is so."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from accounts_service import app
from accounts_service.jobs.mail import Mail
from accounts_service.storage.mail_limits import MAIL_LIMIT
from accounts_service.storage.outbox import OUTBOX_MESSAGE
from tests.storage.kit import rows
from tests.support.service import Service
from tests.support.wavefront import Client, admin, token_of

ANN, BOB = "ann@example.com", "bob@example.com"
POST, INVITE = "/account/user", "/account/user/invite"


def mails(service: Service) -> int:
    with service.services.database.looking() as connection:
        return int(connection.execute(select(func.count()).select_from(OUTBOX_MESSAGE)).scalar_one())


@pytest.mark.parametrize(
    ("query", "mailed"),
    (
        ("", 0),
        ("?sendEmail=", 0),
        ("?sendEmail=false", 0),
        ("?sendEmail=False", 0),
        ("?sendEmail=true", 1),
        ("?sendEmail=True", 1),
    ),
)
@pytest.mark.parametrize("path", (POST, "/user"))
def test_who_is_new_is_mailed_if_that_is_asked_for(service: Service, path: str, query: str, mailed: int) -> None:
    client = admin(service)
    client.ok("POST", path + query, {"emailAddress": ANN})
    assert mails(service) == mailed
    client.ok("POST", f"{path}?sendEmail=true", {"emailAddress": ANN, "groups": ["ingestion"]})
    assert mails(service) == mailed


@pytest.mark.any_database
@pytest.mark.parametrize("value", ("maybe", "1", "yes", "true,true"))
def test_whether_to_mail_is_true_or_false(service: Service, value: str) -> None:
    client = admin(service)
    told = client.refused("POST", f"{POST}?sendEmail={value}", {"emailAddress": ANN})
    assert told == "sendEmail must be one of true, false"
    client.refused("GET", f"{POST}/{ANN}", status=404)


def test_who_is_refused_is_not_mailed(service: Service) -> None:
    client = admin(service)
    client.refused("POST", f"{POST}?sendEmail=true", {"emailAddress": ANN, "groups": ["nonsense"]})
    assert mails(service) == 0


@pytest.mark.parametrize("path", (INVITE, "/user/invite"))
def test_whoever_is_invited_is_mailed_and_the_last_one_is_the_answer(service: Service, path: str) -> None:
    client = admin(service)
    body = [{"emailAddress": ANN}, {"emailAddress": BOB, "groups": ["ingestion"], "roles": ["x"]}]
    answer = client.ask("POST", path, body)
    assert (answer.status_code, answer.json["identifier"], answer.json["groups"]) == (202, BOB, ["ingestion"])
    assert mails(service) == 2


BAD: tuple[tuple[Any, str], ...] = (
    ([{"emailAddress": ANN}, {"emailAddress": "old@example.com"}], "User with id <old@example.com> is already created"),
    ([{"emailAddress": ANN}, {"emailAddress": ANN}], f"User with id <{ANN}> is already created in our system."),
    ([{"emailAddress": ANN}, {"emailAddress": "x"}], "Invalid email address: x"),
    ([{"groups": ["a"]}, {"emailAddress": "x"}], "users.0.emailAddress is required; Invalid permission: a; Invalid"),
    ([], "users is required"),
    (None, "users is required"),
    ({"emailAddress": ANN}, "users must be an array"),
    ([{"emailAddress": ANN}] * 1001, "users must have at most 1000 elements"),
)


@pytest.mark.parametrize(("body", "told"), BAD, ids=[f"{number}-{told}" for number, (_, told) in enumerate(BAD)])
def test_all_are_invited_or_none(service: Service, body: Any, told: str) -> None:
    client = admin(service)
    client.user("old@example.com")
    assert client.refused("POST", INVITE, body).startswith(told)
    assert mails(service) == 0
    client.refused("GET", f"{POST}/{ANN}", status=404)


def test_no_log_line_and_no_record_holds_the_mail(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    client: Client = admin(service)
    client.ok("POST", f"{POST}?sendEmail=true", {"emailAddress": ANN})
    assert "has created an account" not in capsys.readouterr().out
    assert not any("has created an account" in record.detail for record in service.audited())


# -- Limits -------------------------------------------------------------------


@pytest.fixture
def clock(service: Service) -> list[float]:
    """Return the clock of the database, to be put forward."""
    clock = [time.time()]
    service.services.database._clock = lambda: clock[0]
    return clock


def strangers(first: int, last: int) -> list[dict[str, str]]:
    return [{"emailAddress": f"u{number}@example.com"} for number in range(first, last)]


@pytest.mark.parametrize("path", (INVITE, "/user/invite"))
def test_a_flood_of_invitations_ends_at_the_limit(service: Service, clock: list[float], path: str) -> None:
    client, other = admin(service), Client(service, token_of(service, "other@example.com", "user_management"))
    assert client.ask("POST", path, strangers(0, 60)).status_code == 200
    answer = client.ask("POST", path, strangers(60, 120))
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3600")
    client.refused("GET", f"{POST}/u60@example.com", status=404)
    # What needs no mail is not counted, and another principal has an own count.
    client.ok("POST", POST, {"emailAddress": "u60@example.com"})
    assert other.ask("POST", path, strangers(200, 201)).status_code == 200
    assert client.ask("POST", path, strangers(70, 110)).status_code == 200
    clock[0] += 600
    for former in (POST, "/user"):
        answer = client.ask("POST", f"{former}?sendEmail=true", {"emailAddress": "last@example.com"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3000")
    assert mails(service) == 101
    clock[0] += 3000
    client.ok("POST", f"{POST}?sendEmail=true", {"emailAddress": "last@example.com"})
    assert mails(service) == 102


def test_more_invitations_than_the_limit_allows_are_a_bad_request(service: Service) -> None:
    client = admin(service)
    assert client.refused("POST", INVITE, strangers(0, 101)) == "users must have at most 100 elements"
    assert mails(service) == 0
    client.refused("GET", f"{POST}/u0@example.com", status=404)


def test_invitations_to_one_address_are_one_mail_a_day(service: Service, clock: list[float]) -> None:
    client, other = admin(service), Client(service, token_of(service, "other@example.com", "user_management"))
    for by, address in ((client, ANN), (client, "ANN@Example.com"), (other, ANN)):
        by.ok("POST", f"{POST}?sendEmail=true", {"emailAddress": address})
        assert by.ask("DELETE", f"/user/{address}").status_code == 204
        clock[0] += 3600
    assert mails(service) == 1
    # An invitation that is refused as a whole has written to nobody.
    client.refused("POST", INVITE, [{"emailAddress": BOB}, {"emailAddress": "x"}])
    client.ok("POST", INVITE, [{"emailAddress": BOB}, {"emailAddress": ANN}])
    assert mails(service) == 2
    client.ask("DELETE", f"/user/{ANN}")
    clock[0] += 86_400
    client.ok("POST", f"{POST}?sendEmail=true", {"emailAddress": ANN})
    assert mails(service) == 3


def test_callers_at_once_share_the_limit(service: Service) -> None:
    client = admin(service)
    client.ask("POST", INVITE, strangers(0, 96))

    def invite(number: int) -> int:
        return client.ask("POST", INVITE, strangers(number, number + 1)).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(invite, range(100, 108)))
    assert statuses == [200] * 4 + [429] * 4
    assert mails(service) == 100


def test_counts_that_limit_nothing_are_forgotten(service: Service, clock: list[float]) -> None:
    client, database = admin(service), service.services.database
    client.ask("POST", INVITE, strangers(0, 2))
    mail = Mail(database, app.MAIL_SERVERS, None)
    clock[0] += 86_399
    mail.forget(lambda: False)
    assert len(rows(database, MAIL_LIMIT)) == 3
    clock[0] += 1
    mail.forget(lambda: False)
    assert rows(database, MAIL_LIMIT) == []
