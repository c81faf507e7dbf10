"""White space that was copied along with a host, a token or a key."""

from __future__ import annotations

import pytest

from accounts_service.families.signals import examples
from accounts_service.faults import Json
from tests.support.service import Service

pytestmark = pytest.mark.any_database

EXPECTED = "A string without white space at its ends and without line breaks"
BLANKS = ("x\n", "x ", " x", "\tx", "x\r\n", "x\u00a0", "x\ny", "x\u2028", "\n", " ")

PUBLIC = (("email", "host"), ("email", "proxy_host"), ("pagerduty", "url"))
SECRET = (("pagerduty", "integration_key"), ("jira", "auth_token"))


def put(service: Service, account_type: str, **attributes: Json) -> tuple[int, dict[str, Json]]:
    answer = service.put(f"/_signals/account/{account_type}/x", {**examples.GOOD[account_type], **attributes})
    return answer.status_code, answer.json.get("detail", {})


@pytest.mark.parametrize("value", BLANKS)
@pytest.mark.parametrize(("account_type", "attribute"), PUBLIC)
def test_blank_in_a_host_is_refused_with_its_place(
    service: Service, account_type: str, attribute: str, value: str
) -> None:
    status, detail = put(service, account_type, **{attribute: value})
    assert status == 400
    assert detail == {attribute: [{"error": "Invalid value", "value": value, "expected": EXPECTED}]}


@pytest.mark.parametrize("value", BLANKS)
@pytest.mark.parametrize(("account_type", "attribute"), SECRET)
def test_blank_in_a_key_is_refused_and_the_key_not_repeated(
    service: Service, account_type: str, attribute: str, value: str
) -> None:
    status, detail = put(service, account_type, **{attribute: value})
    assert status == 400
    assert detail == {attribute: [{"error": "Invalid value", "value": None, "expected": EXPECTED}]}


def test_blank_in_one_of_several_hosts_is_refused_with_its_index(service: Service) -> None:
    status, detail = put(service, "email", trusted_hosts=["a.example", "b.example\n", "*"], host="c.example ")
    assert status == 400
    assert set(detail) == {"host", "trusted_hosts"}


@pytest.mark.parametrize(
    ("account_type", "attribute", "value"),
    (
        ("slack", "url", "https://hooks.example/x\n"),
        ("jira", "url", "https://jira.example/ "),
        ("webhook", "url", "https://hook.example/\n"),
        ("webhook", "headers", {"Authorization": "Bearer x\n"}),
        ("webhook", "headers", {"Authorization": "Bearer x "}),
    ),
)
def test_blank_in_an_address_or_a_header_is_refused(
    service: Service, account_type: str, attribute: str, value: Json
) -> None:
    status, detail = put(service, account_type, **{attribute: value})
    assert (status, [name.partition(".")[0] for name in detail]) == (400, [attribute])


@pytest.mark.parametrize(
    ("account_type", "attribute", "value"),
    (
        ("email", "host", ""),
        ("email", "host", "mail one"),
        ("email", "trusted_hosts", "a.example b.example"),
        ("email", "host", 5),
        ("email", "host", True),
        ("pagerduty", "integration_key", ""),
    ),
)
def test_what_was_taken_without_blanks_still_is(
    service: Service, account_type: str, attribute: str, value: Json
) -> None:
    assert put(service, account_type, **{attribute: value})[0] == 201


def test_password_may_have_blanks(service: Service) -> None:
    assert put(service, "email", user="u", password=" secret \n")[0] == 201


def test_kept_key_is_taken_by_its_reference(service: Service) -> None:
    put(service, "jira")
    shown = service.get("/_signals/account/jira/x", by="reader").json["_source"]
    reference = shown["auth_token"]
    assert reference.startswith("secret:")
    assert put(service, "jira", auth_token=reference)[0] == 200
