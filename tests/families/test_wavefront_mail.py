"""Users who are told by mail that they have an account: only those who are new, and only if it is so."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from accounts_service.storage.outbox import OUTBOX_MESSAGE
from tests.support.service import Service
from tests.support.wavefront import Client, admin

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
