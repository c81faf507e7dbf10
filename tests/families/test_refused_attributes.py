"""Attributes that are not known are refused, where the installation has it so: all that is wrong is told at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from accounts_service.faults import Json
from tests.support import wavefront
from tests.support.installation import Installation
from tests.support.mention import Mention
from tests.support.netbird import TWO, NetBird
from tests.support.service import Answer, Service

EMAIL = "/_signals/account/email/x"
PATCH = {"Content-Type": "application/merge-patch+json"}
TYPING_ERRORS: dict[str, Json] = {"enable_tsl": True, "pasword": "hunter2"}


def email(**more: Json) -> dict[str, Json]:
    return {"host": "mail.mycompany.example", "port": 587, **more}


def details(service: Service) -> list[Any]:
    return [json.loads(row.detail).get("ignored") for row in service.audited()]


# -- Signals -------------------------------------------------------------------


@contextmanager
def refusing(installation: Installation, family: str = "signals") -> Iterator[Service]:
    setting: dict[str, Any] = {f"ACCOUNTS_{family.upper()}_UNKNOWN_ATTRIBUTES": "refuse"}
    service = Service(installation, None, **setting)
    try:
        yield service
    finally:
        service.close()


def _put(path: str) -> Callable[[Service, dict[str, Json]], Answer]:
    return lambda service, body: service.put(path, body)


EVERY_PUT = {
    "current": _put(EMAIL),
    "of a tenant": _put("/_signals/account/_main/email/x"),
    "2019": lambda service, body: service.put("/_signals/account/x", {"type": "email", **body}),
}


@pytest.mark.parametrize("put", EVERY_PUT.values(), ids=EVERY_PUT)
def test_where_they_are_refused_all_that_is_wrong_is_told(
    installation: Installation, put: Callable[[Service, dict[str, Json]], Answer]
) -> None:
    with refusing(installation) as service:
        answer = put(service, {"port": 0, **TYPING_ERRORS, "nonsense": {}})
        assert answer.status_code == 400
        assert answer.json["error"] == "5 errors; see detail."
        assert list(answer.json["detail"]) == ["host", "port", "enable_tsl", "pasword", "nonsense"]
        told = {name: answer.json["detail"][name] for name in ("enable_tsl", "pasword", "nonsense")}
        assert told == {
            "enable_tsl": [{"error": "Unsupported attribute; did you mean enable_tls?", "value": None}],
            "pasword": [{"error": "Unsupported attribute; did you mean password?", "value": None}],
            "nonsense": [{"error": "Unsupported attribute", "value": None}],
        }
        assert "hunter2" not in answer.text
        assert put(service, email(type="email", _id="x", mime_layout="default")).status_code == 201
        assert details(service) == [None]


def test_where_they_are_refused_a_patch_is_too(installation: Installation) -> None:
    with refusing(installation) as service:
        service.put(EMAIL, email())
        for value in (True, None):
            answer = service.ask("PATCH", EMAIL, data=json.dumps({"enable_tsl": value, "port": 0}), headers=PATCH)
            assert (answer.status_code, list(answer.json["detail"])) == (400, ["port", "enable_tsl"])
        assert service.get(EMAIL).json["_version"] == 1
        answer = service.ask("PATCH", EMAIL, data='{"port": 26}', headers=PATCH)
        assert (answer.status_code, answer.json["result"]) == (200, "updated")


def test_a_refused_name_that_may_be_a_secret_is_not_told(installation: Installation) -> None:
    key = "0123456789abcdef0123456789abcdef"
    with refusing(installation) as service:
        answer = service.put("/_signals/account/pagerduty/x", {key: "integration_key", "https://x/T0": 1})
        assert list(answer.json["detail"]) == ["integration_key", "<swapped>", "<token>"]
        assert key not in answer.text


def test_a_body_full_of_unknown_names_is_answered_in_bounds(installation: Installation) -> None:
    with refusing(installation) as service:
        answer = service.put(EMAIL, email(**{f"{number:06}-{'x' * 60}": 0 for number in range(12_000)}))
        assert answer.status_code == 400
        assert len(answer.json["detail"]) == 1000


def test_a_reference_that_does_not_hold_is_told_with_them(installation: Installation) -> None:
    """What the store finds within its transaction is no less wrong with the body."""
    with refusing(installation) as service:
        stale = f"secret:{'A' * 22}"
        answer = service.put(EMAIL, email(user="u", password=stale, enable_tsl=True))
        assert (answer.status_code, list(answer.json["detail"])) == (400, ["password", "enable_tsl"])


@pytest.mark.parametrize("body", ({"a": 1}, [], 7))
def test_of_a_type_that_there_is_not_nothing_is_known(installation: Installation, body: Json) -> None:
    with refusing(installation) as service:
        answer = service.put("/_signals/account/fax/x", body)
        assert (answer.status_code, list(answer.json["detail"])) == (400, ["type"])


def test_a_refused_request_can_be_sent_again_with_its_key(installation: Installation) -> None:
    with refusing(installation) as service:
        key = {"Idempotency-Key": "once-and-again"}
        for _ in range(2):
            assert service.put(EMAIL, email(enable_tsl=True), headers=key).status_code == 400
        assert details(service) == []
        assert service.get(EMAIL).status_code == 404


# -- The other families --------------------------------------------------------


def test_wavefront_refuses_an_attribute_that_is_not_known(installation: Installation) -> None:
    with refusing(installation, "wavefront") as service:
        client = wavefront.admin(service)
        trail = len(service.audited())
        user: dict[str, Json] = {"emailAddress": "one@example.com"}
        words = "tpyo is not known; usergroups is not known; did you mean userGroups?"
        assert client.refused("POST", "/account/user", {**user, "tpyo": 1, "usergroups": []}) == words
        assert client.refused("POST", "/account/user", {"emailAddress": "@", "gruops": []}) == (
            "Invalid email address: @; gruops is not known; did you mean groups?"
        )
        assert client.refused("POST", "/account/user/invite", [{**user, "tpyo": 1}]) == "users.0.tpyo is not known"
        assert client.refused("POST", "/search/user", {"ofset": 1}) == "ofset is not known; did you mean offset?"
        assert len(service.audited()) == trail
        assert client.ask("GET", "/account/user/one@example.com").status_code == 404
        client.ok("POST", "/usergroup", {"name": "g", "Roles": None, "users": None, "userCount": 0, "properties": {}})


def test_netbird_refuses_an_attribute_that_is_not_known(installation: Installation) -> None:
    with refusing(installation, "netbird") as service:
        netbird = NetBird(service)
        before = netbird.account()
        wrong = {"settings": {**TWO, "dns_domian": "x.example"}, "tpyo": 1}
        for method in ("PUT", "PATCH"):
            assert netbird.refused(400, method, "/accounts/{A}", wrong) == (
                "settings.dns_domian is not known, did you mean dns_domain?; tpyo is not known"
            )
        wrong = {"settings": {"peer_login_expiration": "x"}, "tpyo": 1}
        assert netbird.refused(400, "PUT", "/accounts/{A}", wrong) == "couldn't parse JSON request; tpyo is not known"
        assert netbird.refused(400, "PUT", "/accounts/{A}", []) == "couldn't parse JSON request"
        assert netbird.account() == before
        netbird.ok("PUT", "/accounts/{A}", before)


def test_mention_refuses_an_attribute_that_is_not_known(installation: Installation) -> None:
    with refusing(installation, "mention") as service:
        mention = Mention(service)
        before = mention.ok("GET", "/accounts/me")
        told = mention.refused(400, "PUT", "/accounts/{JOHN}", {"name": "", "langauge_code": "fr", "tpyo": 1})
        form = told["form"]
        assert form["errors"] == [
            "There is no field langauge_code. Did you mean language_code?",
            "There is no field tpyo.",
        ]
        assert [name for name, child in form["children"].items() if child] == ["name"]
        mention.refused(400, "PUT", "/accounts/{JOHN}", {"name": "Changed", "tpyo": 1})
        assert mention.ok("GET", "/accounts/me") == before
        mention.ok("PUT", "/accounts/{JOHN}", before)
