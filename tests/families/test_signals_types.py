"""The types of accounts beyond e-mail and Slack, and the two ways to write faults and to show secrets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from accounts_service.families.signals import examples
from accounts_service.faults import Json
from accounts_service.storage.sealed import REFERENCE
from tests.support.installation import Installation
from tests.support.service import Service

WEBHOOK = "/_signals/account/webhook/x"
GOOD = examples.GOOD["webhook"]


@pytest.mark.parametrize("account_type", examples.GOOD)
def test_what_is_stored_is_shown_to_who_may_see_it(service: Service, account_type: str) -> None:
    path = f"/_signals/account/{account_type}/x"
    service.put(path, examples.GOOD[account_type])
    shown = service.get(path).json["_source"]
    for name, value in examples.GOOD[account_type].items():
        assert shown[name] in (value, [value])


def test_a_webhook_posts_unless_told_otherwise(service: Service) -> None:
    service.put(WEBHOOK, {"url": "https://hook.example"})
    assert service.get(WEBHOOK).json["_source"] == {
        "type": "webhook",
        "_name": "x",
        "url": "https://hook.example",
        "method": "POST",
    }
    service.put(WEBHOOK, {"url": "https://hook.example", "method": "put"})
    assert service.get(WEBHOOK).json["_source"]["method"] == "PUT"


@pytest.mark.any_database
@pytest.mark.parametrize(
    "url",
    (
        "ftp://hook.example",
        "hook.example",
        "//hook.example",
        "/hook",
        "http://",
        "http:///path",
        "https://user:word@hook.example",
        "https://hook.example@evil.example",
        "https://hook example",
        "http://[::1",
        "javascript:alert(1)",
        "",
        7,
    ),
)
def test_a_webhook_goes_to_a_web_address(service: Service, url: Json) -> None:
    answer = service.put(WEBHOOK, {"url": url})
    assert answer.status_code == 400
    (error,) = answer.json["detail"]["url"]
    assert error["expected"] == "An http or https URI without user information"
    assert "word" not in answer.text


@pytest.mark.any_database
@pytest.mark.parametrize("url", ("http://h", "HTTPS://h:8443/a?b=c#d", "https://[::1]:9/x", "http://10.0.0.1?q=a@b"))
def test_web_addresses(service: Service, url: str) -> None:
    assert service.put(WEBHOOK, {"url": url}).status_code == 201


def test_every_header_is_a_secret_of_its_own(service: Service) -> None:
    headers: Json = {"Authorization": "Bearer a", "X-Key": "b"}
    service.put(WEBHOOK, {**GOOD, "headers": headers})
    assert service.get(WEBHOOK).json["_source"]["headers"] == headers
    shown = service.get(WEBHOOK, by="manager").json["_source"]
    assert shown["headers"].keys() == {"Authorization", "X-Key"}
    assert all(REFERENCE.fullmatch(value) for value in shown["headers"].values())
    kept = {**shown, "headers": {"Authorization": shown["headers"]["Authorization"], "X-Key": "c"}}
    # Who may not see the other may not choose a header of which it is not known what it does.
    assert set(service.put(WEBHOOK, kept, by="manager").json["detail"]) == {"headers", "password"}
    assert service.put(WEBHOOK, kept, by="revealer").status_code == 200
    assert service.get(WEBHOOK).json["_source"]["headers"] == {"Authorization": "Bearer a", "X-Key": "c"}
    del kept["headers"]["X-Key"]
    assert service.put(WEBHOOK, kept, by="manager").status_code == 200
    assert service.get(WEBHOOK).json["_source"]["headers"] == {"Authorization": "Bearer a"}


@pytest.mark.parametrize("change", ({"method": "GET"}, {"headers": {"X-Route": "elsewhere"}}))
def test_a_kept_secret_stays_where_nothing_may_lead_the_request_elsewhere(
    service: Service, change: dict[str, Json]
) -> None:
    service.put(WEBHOOK, GOOD)
    shown = service.get(WEBHOOK, by="manager").json["_source"]
    changed = {**shown, **change}
    if "headers" in change:
        changed["headers"] = {**shown["headers"], "X-Route": "elsewhere"}
    assert "password" in service.put(WEBHOOK, changed, by="manager").json["detail"]
    assert service.put(WEBHOOK, {**changed, "password": "new", "headers": {}}, by="manager").status_code == 200


@pytest.mark.any_database
@pytest.mark.parametrize(
    "name", ("Host", "host", "Transfer-Encoding", "Content-Length", "X-Forwarded-Host", "Connection")
)
def test_a_header_that_decides_where_a_request_goes_cannot_be_chosen(service: Service, name: str) -> None:
    answer = service.put(WEBHOOK, {**GOOD, "headers": {name: "evil.example"}})
    assert answer.json["error"] == "'headers': Invalid value"


def test_a_kept_header_goes_nowhere_else(service: Service) -> None:
    service.put(WEBHOOK, GOOD)
    shown = service.get(WEBHOOK, by="manager").json["_source"]
    answer = service.put(WEBHOOK, {**shown, "url": "https://evil.example"}, by="manager")
    assert answer.status_code == 400
    assert set(answer.json["detail"]) == {"headers", "password"}
    swapped = {**shown, "headers": {"X-Other": shown["headers"]["Authorization"]}}
    assert "headers" in service.put(WEBHOOK, swapped).json["detail"]


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("headers", "value", "expected"),
    (
        ("X-Key: a", None, "An object"),
        ([], None, "An object"),
        ({"X Key": "a"}, None, "The name of a header, once"),
        ({"": "a"}, None, "The name of a header, once"),
        ({"X-Key\r\nX-Evil": "a"}, None, "The name of a header, once"),
        ({"x-key": "a", "X-Key": "b"}, None, "The name of a header, once"),
        ({"X-Key": "a\r\nX-Evil: b"}, None, "The value of a header"),
        ({"X-Key": "canary\n"}, None, "The value of a header"),
        ({"X-Key": 7}, None, "The value of a header"),
        ({"X-Key": None}, None, "The value of a header"),
        ({"X-Key": "☃"}, None, "The value of a header"),
    ),
)
def test_headers_are_headers_and_their_values_are_not_repeated(
    service: Service, headers: Json, value: Json, expected: str
) -> None:
    answer = service.put(WEBHOOK, {**GOOD, "headers": headers})
    assert answer.json["detail"] == {"headers": [{"error": "Invalid value", "value": value, "expected": expected}]}


def test_too_many_headers_are_not_looked_at(service: Service) -> None:
    answer = service.put(WEBHOOK, {**GOOD, "headers": {f"X-{number}": "a" for number in range(1001)}})
    assert answer.json["detail"]["headers"][0]["expected"] == "At most 1000 elements"


@pytest.mark.parametrize(("account_type", "attribute"), (("jira", "user_name"), ("jira", "url"), ("pagerduty", "url")))
def test_where_a_kept_secret_goes_cannot_be_changed(service: Service, account_type: str, attribute: str) -> None:
    path = f"/_signals/account/{account_type}/x"
    service.put(path, examples.GOOD[account_type])
    shown = service.get(path, by="manager").json["_source"]
    assert service.put(path, {**shown, attribute: "https://evil.example"}, by="manager").status_code == 400
    assert service.put(path, shown, by="manager").status_code == 200


def test_a_webhooks_password_needs_a_user(service: Service) -> None:
    answer = service.put(WEBHOOK, {"url": "https://hook.example", "password": "p"})
    assert answer.json["error"] == "'user': A user must be specified if a password is specified"


# -- the settings --------------------------------------------------------------


@pytest.fixture
def flx(installation: Installation) -> Iterator[Service]:
    service = Service(installation, ACCOUNTS_SIGNALS_ERRORS="flx")
    yield service
    service.close()


def test_flx_names_the_element_and_not_what_was_expected_of_an_address(flx: Service) -> None:
    body: Json = {"host": "h", "default_from": "@", "default_to": ["a@b.example", "@", "x"], "trusted_hosts": [{}]}
    assert flx.put("/_signals/account/email/x", body).json == {
        "status": 400,
        "error": "5 errors; see detail.",
        "detail": {
            "port": [{"error": "Required attribute is missing"}],
            "trusted_hosts.0": [{"error": "Invalid value", "value": {}, "expected": "A string"}],
            "default_from": [{"error": "Invalid value", "value": "@"}],
            "default_to.1": [{"error": "Invalid value", "value": "@"}],
            "default_to.2": [{"error": "Invalid value", "value": "x"}],
        },
    }


def test_flx_names_the_header_that_is_wrong(flx: Service) -> None:
    answer = flx.put(WEBHOOK, {**GOOD, "headers": {"X-Key": 1}})
    assert answer.json["error"] == "'headers.X-Key': Invalid value"


@pytest.fixture
def clear(installation: Installation) -> Iterator[Service]:
    service = Service(installation, ACCOUNTS_SIGNALS_SECRETS_IN_READS="clear")
    yield service
    service.close()


@pytest.mark.parametrize("account_type", examples.GOOD)
def test_secrets_can_be_shown_to_every_reader_as_search_guard_does(clear: Service, account_type: str) -> None:
    path = f"/_signals/account/{account_type}/x"
    clear.put(path, examples.GOOD[account_type])
    assert clear.get(path, by="reader").json == clear.get(path, by="admin").json
    assert "secret:" not in clear.get(path, by="reader").text


def test_that_changes_nothing_about_who_may_read(clear: Service) -> None:
    clear.put(WEBHOOK, GOOD)
    assert clear.get(WEBHOOK, by="stranger").status_code == 403
