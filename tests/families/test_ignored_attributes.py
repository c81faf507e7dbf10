"""Every route that takes a body names the attributes that it ignores, or refuses them by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accounts_service import app
from accounts_service.config import Settings
from accounts_service.families.mention.views import FAMILY as MENTION
from accounts_service.families.netbird.views import FAMILY as NETBIRD
from accounts_service.families.signals.views import FAMILY as SIGNALS
from accounts_service.families.wavefront.views import FAMILY as WAVEFRONT
from accounts_service.faults import Json
from accounts_service.web.description import HEADERS
from accounts_service.web.family import Body, Family
from accounts_service.web.ignored import IGNORED
from accounts_service.web.openapi import document
from tests.support import wavefront
from tests.support.described import referred
from tests.support.mention import Mention
from tests.support.netbird import TWO, NetBird
from tests.support.service import Service
from tests.support.wavefront_things import Things

pytestmark = pytest.mark.any_database

# Their bodies are lists of ids, which have no attributes; an object is refused.
LISTS_OF_IDS = (
    *("delete_accounts", "validate_accounts", "grant_to_accounts", "revoke_from_accounts", "add_groups_to_account"),
    *("remove_groups_from_account", "add_roles_to_account", "remove_roles_from_account", "delete_users_formerly"),
    *(
        "validate_users_formerly",
        "grant_to_users_formerly",
        "revoke_from_users_formerly",
        "add_groups_to_user_formerly",
    ),
    *("remove_groups_from_user_formerly", "add_users_to_group", "remove_users_from_group", "add_roles_to_group"),
    *("remove_roles_from_group", "add_assignees", "remove_assignees", "grant_to_roles", "revoke_from_roles"),
)
# They refuse what they do not know.
STRICT = ("search_accounts", "search_accounts_of_tenant", "scroll", "end_scroll")
# RFC 6749 section 3.2 has a server ignore parameters that it does not know; the other is a page's own form.
BY_STANDARD = ("create_token", "change_apps", "decide")
# They need an identity provider that is not there, so they do nothing with any attribute.
DOING_NOTHING = ("create_invite", "regenerate_invite", "accept_invite", "change_password")

TELLING = {
    family.name: {route.endpoint for route in family.routes if route.takes is not None and route.takes.ignores}
    for family in app.FAMILIES.values()
}


def test_every_route_with_a_body_says_what_it_ignores() -> None:
    silent = {
        (family.name, route.endpoint)
        for family in app.FAMILIES.values()
        for route in family.routes
        if route.body is not Body.NONE and route.endpoint not in TELLING[family.name]
    }
    assert silent == {
        *(("wavefront", endpoint) for endpoint in LISTS_OF_IDS),
        *(("signals", endpoint) for endpoint in STRICT),
        *(("mention", endpoint) for endpoint in BY_STANDARD),
        *(("netbird", endpoint) for endpoint in DOING_NOTHING),
    }


@pytest.mark.parametrize("family", (SIGNALS, WAVEFRONT, NETBIRD, MENTION), ids=lambda family: family.name)
def test_the_header_is_described_where_it_can_come(family: Family) -> None:
    made: Any = document([family], Settings())
    described = {
        operation["operationId"].split(".")[1]
        for item in made["paths"].values()
        for operation in item.values()
        for status, response in operation["responses"].items()
        if status.startswith("2") and IGNORED in referred(made, response)["headers"]
    }
    assert described == TELLING[family.name]
    assert IGNORED in HEADERS


# -- Wavefront -----------------------------------------------------------------

_TELLING_OF_WAVEFRONT = [
    (route.endpoint, route.methods[0], route.rule)
    for route in WAVEFRONT.routes
    if route.endpoint in TELLING["wavefront"]
]


@pytest.mark.parametrize(("endpoint", "method", "rule"), _TELLING_OF_WAVEFRONT)
def test_every_route_of_wavefront_names_an_unknown_attribute(
    service: Service, endpoint: str, method: str, rule: str
) -> None:
    things = Things(service)
    things.renew()
    path = f"{wavefront.ROOT}{rule}"
    mine = wavefront.admin_of(service) if endpoint == "rename_own_token" else None
    headers = wavefront.bearer(mine or wavefront.admin_of(service))
    before = len(service.audited())
    answer = things.ask(method, path, mine=mine, by=None, headers=headers, more={"tpyo": "s3cret-value"})
    assert answer.status_code in (200, 202), answer.text
    in_list = endpoint in ("invite_users", "invite_users_formerly")
    assert answer.headers[IGNORED] == ("users.0.tpyo" if in_list else "tpyo")
    # That tokens were shown is no change.
    for row in (row for row in service.audited()[before:] if not row.act.endswith("/reveal")):
        assert json.loads(row.detail)["ignored"] == ["users.0.tpyo" if in_list else "tpyo"]
        assert "s3cret-value" not in row.detail


@pytest.mark.parametrize("endpoint", LISTS_OF_IDS)
def test_a_list_of_ids_refuses_an_object(service: Service, endpoint: str) -> None:
    (route,) = (route for route in WAVEFRONT.routes if route.endpoint == endpoint)
    client = wavefront.admin(service)
    path = route.rule.replace("<permission>", "ingestion")
    path = path.replace("<id>", client.group("g")).replace("<named:id>", client.role("r"))
    path = path.replace("<account:id>", wavefront.ADMIN).replace("<user:id>", wavefront.ADMIN)
    assert "ids must be an array" in client.refused(route.methods[0], path, {"tpyo": 1})


def test_a_search_of_wavefront_names_what_it_ignored_at_every_level(service: Service) -> None:
    client = wavefront.admin(service)
    condition = {"key": "id", "value": "a", "matchingMehtod": "EXACT"}
    order = {"field": "default", "ascending": True, "default": True, "direction": "up"}
    answer = client.ask("POST", "/search/user", {"query": [condition], "sort": order, "limit": 1, "ofset": 2})
    assert answer.status_code == 200
    assert answer.headers[IGNORED] == "ofset, sort.direction, query.0.matchingMehtod"


def test_a_wavefront_object_that_is_sent_back_is_not_called_ignored(service: Service) -> None:
    client = wavefront.admin(service)
    user = client.user("one@example.com")
    group, role = client.group("g"), client.role("r")
    client.ok("POST", "/account/serviceaccount", {"identifier": "sa::x", "description": "d"})
    for read, write in (
        ("/account/user/one@example.com", "/account/user/one@example.com"),
        ("/account/one@example.com", "/account/user/one@example.com"),
        ("/account/serviceaccount/sa::x", "/account/serviceaccount/sa::x"),
        (f"/usergroup/{group}", f"/usergroup/{group}"),
        (f"/role/{role}", f"/role/{role}"),
    ):
        fetched = client.ok("GET", read)
        # Lists of objects are answered, and ids taken.
        for name in {"userGroups", "roles"} & fetched.keys() - ({"roles"} if "usergroup" in read else set()):
            fetched[name] = [one if isinstance(one, str) else one["id"] for one in fetched[name]]
        answer = client.ask("PUT", write, fetched)
        assert (answer.status_code, answer.headers.get(IGNORED)) == (200, None), read
    assert user["identifier"] == "one@example.com"


def test_what_the_go_client_always_sends_is_not_called_ignored(service: Service) -> None:
    client = wavefront.admin(service)
    sent: dict[str, Json] = {"name": "g", "Roles": None, "users": None, "userCount": 0, "properties": {}}
    answer = client.ask("POST", "/usergroup", sent)
    assert (answer.status_code, answer.headers.get(IGNORED)) == (200, None)


# -- NetBird -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    (
        ("PUT", "/accounts/{A}", {"settings": {**TWO, "dns_domian": "x"}, "tpyo": 1},
         "settings.dns_domian, tpyo"),
        ("PUT", "/accounts/{A}", {"settings": TWO | {"extra": {"peer_aproval_enabled": True}}},
         "settings.extra.peer_aproval_enabled"),
        ("PUT", "/accounts/{A}", {"settings": {**TWO, "extra_settings": {}}}, "settings.extra_settings"),
        ("PUT", "/accounts/{A}", {"settings": TWO, "Settings": {}}, "Settings"),
        ("PUT", "/accounts/{A}", {"SETTINGS": TWO}, None),
        ("PATCH", "/accounts/{A}", {"settings": {"dns_domian": None}, "onboarding": {"x": True}},
         "settings.dns_domian, onboarding.x"),
        ("POST", "/users", {"role": "user", "auto_groups": [], "is_service_user": True, "nmae": "x"},
         "nmae"),
        ("POST", "/users",
         {"role": "user", "auto_groups": [], "is_service_user": True, "name": "x", "email": "a@b.example"}, "email"),
        ("POST", "/users",
         {"role": "user", "auto_groups": [], "is_service_user": True, "name": "x", "email": ""}, None),
        ("PUT", "/users/{uid:user}", {"role": "user", "auto_groups": [], "is_blokced": True},
         "is_blokced"),
        ("POST", "/users/{uid:owner}/tokens", {"name": "t", "expires_in": 1, "expire": 2}, "expire"),
    ),
)  # fmt: skip
def test_every_route_of_netbird_names_what_it_ignored(
    service: Service, method: str, path: str, body: Any, named: str | None
) -> None:
    netbird = NetBird(service)
    before = len(service.audited())
    answer = netbird.ask(method, path, body, headers={"Origin": "https://dashboard.example"})
    assert (answer.status_code, answer.headers.get(IGNORED)) == (200, named), answer.text
    # A page of another origin may read it, too.
    assert IGNORED in answer.headers["Access-Control-Expose-Headers"]
    for row in service.audited()[before:]:
        assert json.loads(row.detail).get("ignored") == (named.split(", ") if named else None)


def test_a_netbird_object_that_is_sent_back_is_not_called_ignored(service: Service) -> None:
    netbird = NetBird(service)
    answer = netbird.ask("PUT", "/accounts/{A}", netbird.account())
    assert (answer.status_code, answer.headers.get(IGNORED)) == (200, None)
    for user in netbird.ok("GET", "/users"):
        if user["role"] != "owner" and user["status"] == "active":
            answer = netbird.ask("PUT", f"/users/{user['id']}", user)
            assert (answer.status_code, answer.headers.get(IGNORED)) == (200, None), answer.text


# -- Mention -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    (
        ("POST", "/accounts",
         {"name": "N", "email": "n@example.com", "password": "Mypass1", "language_code": "en", "pohne": "1"}, "pohne"),
        ("PUT", "/accounts/{JOHN}", {"name": "N", "langauge_code": "fr"}, "langauge_code"),
        ("PUT", "/accounts/{JOHN}", {"name": "N", "client": "x", "password": "Mypass1"}, "client, password"),
        ("PUT", "/accounts/{JOHN}", {"name": "N", "old_password": "Mypass1"}, "old_password"),
        ("PUT", "/accounts/{JOHN}", {"default_notification_phone": {"number": "+33123456789", "country": "fr"}},
         "default_notification_phone.country"),
    ),
)  # fmt: skip
def test_every_route_of_mention_names_what_it_ignored(
    service: Service, method: str, path: str, body: Any, named: str
) -> None:
    mention = Mention(service)
    before = len(service.audited())
    answer = mention.ask(method, path, body)
    assert (answer.status_code, answer.headers.get(IGNORED)) == (200, named), answer.text
    assert [json.loads(row.detail)["ignored"] for row in service.audited()[before:]] == [named.split(", ")]
    assert "Mypass1" not in str([row.detail for row in service.audited()])


def test_a_mention_account_that_is_sent_back_is_not_called_ignored(service: Service) -> None:
    mention = Mention(service)
    fetched = mention.ok("GET", "/accounts/me")
    answer = mention.ask("PUT", "/accounts/{JOHN}", fetched)
    assert (answer.status_code, answer.headers.get(IGNORED)) == (200, None)
    # In its envelope it is no account.
    answer = mention.ask("PUT", "/accounts/{JOHN}", {"account": fetched})
    assert (answer.status_code, answer.headers.get(IGNORED)) == (200, "account")


# -- What refuses --------------------------------------------------------------


@pytest.mark.parametrize("path", ("/_signals/account/_search", "/_signals/account/_main/_search"))
def test_a_search_of_signals_refuses_an_unknown_attribute_by_name(service: Service, path: str) -> None:
    answer = service.ask("POST", path, json={"qurey": {"match_all": {}}})
    assert (answer.status_code, "qurey" in answer.text) == (400, True)


@pytest.mark.parametrize("method", ("POST", "DELETE"))
def test_a_scroll_of_signals_refuses_an_unknown_attribute_by_name(service: Service, method: str) -> None:
    answer = service.ask(method, "/_search/scroll", json={"scrol_id": "x"})
    assert (answer.status_code, "scrol_id" in answer.text) == (400, True)
