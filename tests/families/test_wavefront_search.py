"""Searches, the former form of the API, and what is recorded of changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accounts_service.config import WAVEFRONT_PERMISSIONS
from tests.support.service import Service
from tests.support.wavefront import ADMIN, EVERYONE, ROOT, SERVICE_ACCOUNTS, Client, admin, bearer, token_of

ANN, BOB, ROBOT = "ann@example.com", "Bob_X@example.com", "sa::robot"
KINDS = ("user", "account", "serviceaccount", "usergroup", "role", "token")


@pytest.fixture
def client(service: Service) -> Client:
    client = admin(service)
    role = client.role("Night 100%", "ingestion")
    group = client.group("Night_shift", description="Who is woken\\", roleIDs=[role])
    client.user(ANN, groups=["alerts_management"], userGroups=[group])
    client.user(BOB, roles=[role])
    client.ok("POST", "/account/serviceaccount", {"identifier": ROBOT, "description": "Scrapes"})
    client.ok("POST", f"/apitoken/serviceaccount/{ROBOT}", {"tokenName": "Main"})
    return client


def found(client: Client, kind: str, *conditions: tuple[str, ...], **more: Any) -> list[str]:
    query = [dict(zip(("key", "value", "matchingMethod"), one, strict=False)) for one in conditions]
    page = client.ok("POST", f"/search/{kind}", {"query": query, **more})
    named = "name" if kind in ("usergroup", "role", "token") else "identifier"
    return [one.get(named, "") for one in page["items"]]


# -- What is found ------------------------------------------------------------


def test_without_conditions_all_are_found(client: Client, subtests: pytest.Subtests) -> None:
    for kind, number in zip(KINDS, (3, 4, 1, 3, 1, 2), strict=True):
        for body in (None, {}, {"query": None}, {"query": [], "limit": 100, "offset": 0}):
            with subtests.test(kind=kind, number=number, body=body):
                page = client.ok("POST", f"/search/{kind}", body)
                assert (len(page["items"]), page["totalItems"], page["moreItems"]) == (number, number, False)
                assert (page["offset"], page["limit"]) == (0, 100)
                assert page["sort"] == {"field": "default", "ascending": True, "default": True}


def test_a_user_is_found_in_the_form_of_a_search(client: Client) -> None:
    body = {"query": [{"key": "id", "value": BOB, "matchingMethod": "EXACT"}]}
    (user,) = client.ok("POST", "/search/user", body)["items"]
    assert (user["id"], user["identifier"], user["escapedIdentifier"]) == (BOB, BOB, "Bob_X%40example.com")
    assert (user["self"], user["userGroups"], user["unitedPermissions"]) == (False, [EVERYONE], ["ingestion"])
    (itself,) = client.ok("POST", "/search/user", {"query": [{"key": "id", "value": ADMIN}]})["items"]
    assert itself["self"] is True


def test_all_conditions_hold_together(client: Client) -> None:
    assert found(client, "user", ("id", "example"), ("groups", "alerts_management")) == [ANN]
    assert found(client, "user", ("id", "bob"), ("groups", "alerts_management")) == []


WAYS: tuple[tuple[str, str, list[str]], ...] = (
    ("EXACT", "ANN@example.com", [ANN]),
    ("EXACT", "ann", []),
    ("STARTSWITH", "bOB", [BOB]),
    ("STARTSWITH", "example", []),
    ("CONTAINS", "N@EX", [ADMIN, ANN]),
    ("TAGPATH", "an", [ANN]),
    ("CONTAINS", "", [ADMIN, ANN, BOB]),
    # Signs that mean something in SQL mean themselves.
    ("CONTAINS", "_", [BOB]),
    ("CONTAINS", "%", []),
    ("STARTSWITH", "%", []),
    ("EXACT", "ann@example_com", []),
    ("CONTAINS", "\\", []),
    ("CONTAINS", "' OR 1=1 --", []),
)


def test_each_method_compares_in_its_way(client: Client, subtests: pytest.Subtests) -> None:
    for method, value, who in WAYS:
        with subtests.test(method=method, value=value, who=who):
            assert found(client, "user", ("identifier", value, method)) == who


def test_contains_is_the_method_nobody_names(client: Client) -> None:
    assert found(client, "user", ("id", "nn@")) == [ANN]
    body = {"query": [{"key": "id", "value": "nn@", "matchingMethod": None}]}
    assert client.ok("POST", "/search/user", body)["totalItems"] == 1


KEYS = (
    ("user", "roles", "night 100%", 1),
    ("user", "userGroups", "NIGHT_SHIFT", 1),
    ("user", "userGroups", "nightXshift", 0),
    ("account", "groups", "alerts", 1),
    ("account", "id", ROBOT, 1),
    ("serviceaccount", "description", "scrapes", 1),
    ("serviceaccount", "identifier", ANN, 0),
    ("usergroup", "name", "night_", 1),
    ("usergroup", "description", "woken\\", 1),
    ("usergroup", "roles", "night", 1),
    ("usergroup", "users", "ANN@", 2),
    ("usergroup", "users", "robot", 1),
    ("usergroup", "id", EVERYONE, 1),
    ("role", "permissions", "ingestion", 1),
    ("role", "name", "100%", 1),
    ("role", "name", "1%0", 0),
    ("token", "name", "main", 1),
    ("token", "account", "admin", 1),
    ("token", "id", "x", 0),
)


def test_each_kind_has_its_keys(client: Client, subtests: pytest.Subtests) -> None:
    for kind, key, value, number in KEYS:
        with subtests.test(kind=kind, key=key, value=value, number=number):
            assert len(found(client, kind, (key, value))) == number


@pytest.mark.parametrize("kind", ("user", "account"))
def test_the_system_group_finds_who_is_in_it(client: Client, kind: str) -> None:
    assert found(client, kind, ("userGroups", "Everyone", "EXACT")) == [ADMIN, ANN, BOB]
    assert found(client, kind, ("userGroups", EVERYONE)) == [ADMIN, ANN, BOB]
    assert found(client, "account", ("userGroups", SERVICE_ACCOUNTS)) == [ROBOT]


def test_a_group_is_not_found_by_what_nobody_knows_of_its_members(client: Client) -> None:
    assert [found(client, "usergroup", ("users", digit)) for digit in "0123456789"] == [[]] * 10


def test_a_token_is_found_whole_or_not_at_all(client: Client) -> None:
    for key in ("id", "tokenID"):
        assert found(client, "token", (key, client.token.upper())) == ["test"]
        assert found(client, "token", (key, client.token[:-1], "STARTSWITH")) == []


def test_what_is_found_comes_in_parts_and_in_the_order_asked_for(client: Client) -> None:
    assert found(client, "user", limit=2) == [ADMIN, ANN]
    page = client.ok("POST", "/search/user", {"query": None, "limit": 2, "offset": 1})
    assert ([one["id"] for one in page["items"]], page["totalItems"], page["moreItems"]) == ([ANN, BOB], 3, False)
    backwards = {"field": "id", "ascending": False}
    page = client.ok("POST", "/search/user", {"sort": backwards})
    assert ([one["id"] for one in page["items"]], page["sort"]) == ([BOB, ANN, ADMIN], backwards)
    default = {"field": "default", "ascending": False, "default": True}
    page = client.ok("POST", "/search/user", {"sort": default})
    assert ([one["id"] for one in page["items"]], page["sort"]) == ([BOB, ANN, ADMIN], default)


def test_all_that_is_wrong_is_told_at_once(client: Client) -> None:
    keys = "id, identifier, description, groups, roles, userGroups"
    body: dict[str, Any] = {"query": [{"key": "a", "value": "x"}, {"key": "b", "value": "x"}]}
    body["sort"] = {"field": "zzz", "ascending": True}
    assert client.refused("POST", "/search/user", body) == (
        f"query.0.key must be one of {keys}; query.1.key must be one of {keys}; "
        "sort.field must be one of id, identifier, lastSuccessfulLogin, description"
    )
    body = {"query": [{"value": 1}, "x"], "limit": 1001, "offset": -1, "sort": {"field": "id"}}
    assert client.refused("POST", "/search/user", body) == (
        "query.0.key is required; query.0.value must be a string; query.1.body must be an object; "
        "offset must be between 0 and 2147483647; limit must be between 1 and 1000; sort.ascending is required"
    )
    too_many = [{"key": "id", "value": "x"}] * 9
    assert client.refused("POST", "/search/user", {"query": too_many}) == "query must have at most 8 elements"


# -- The former form ----------------------------------------------------------


def test_the_former_form_answers_with_the_user_twice(client: Client) -> None:
    answer = client.ask(
        "POST", "/user", {"emailAddress": "new@example.com", "groups": ["ingestion"], "userGroups": ["x"]}
    )
    assert answer.status_code == 202
    user = {name: value for name, value in answer.json.items() if name not in ("status", "response")}
    assert user == answer.json["response"]
    assert answer.json["status"]["message"] == "Invalid user groups found and ignored [x]"
    answer = client.ask("PUT", f"/user/{ANN}", {"groups": []})
    assert answer.json["groups"] == answer.json["response"]["groups"] == []
    assert client.ask("GET", f"/user/{ANN}").json.keys().isdisjoint({"status", "response"})


def test_the_former_post_leaves_who_is_there_as_he_is(client: Client) -> None:
    before = len(client.service.audited())
    answer = client.ask("POST", "/user", {"emailAddress": ANN.upper(), "groups": ["ingestion"], "roles": ["x"]})
    assert (answer.status_code, answer.json["groups"]) == (200, ["alerts_management"])
    assert len(client.service.audited()) == before


def test_the_former_list_is_bare_and_has_groups(client: Client) -> None:
    users = client.ask("GET", "/user?offset=0&limit=1").json
    assert [user["identifier"] for user in users] == [ADMIN, ANN, BOB]
    assert all(user["userGroups"] for user in users)
    assert users == client.ok("GET", "/account/user")


def test_a_user_is_deleted_without_a_word(client: Client) -> None:
    answer = client.ask("DELETE", f"/user/{ANN}", {})
    assert (answer.status_code, answer.data) == (204, b"")
    client.refused("DELETE", f"/user/{ANN}", status=404)


def test_what_a_user_can_do_stands_beside_him(client: Client) -> None:
    answer = client.ask("GET", f"/user/{ANN}/businessFunctions").json
    assert answer["identifier"] == ANN
    assert answer["response"] == client.ok("GET", f"/account/{ANN}/businessFunctions")


# -- Records ------------------------------------------------------------------


def changes(client: Client, method: str, path: str, body: Any = None) -> list[tuple[str, str, str, Any]]:
    """Send a request; gives what was recorded of it."""
    service = client.service
    before = len(service.audited())
    answer = client.ask(method, path, body)
    assert answer.status_code < 300, answer.text
    records = service.audited()[before:]
    assert {record.request_id for record in records} <= {answer.headers["X-Request-ID"]}
    assert {(record.family, record.realm) for record in records} <= {("wavefront", "wavefront")}
    return [
        (record.actor, record.act.rpartition(":")[2], record.object, json.loads(record.detail)) for record in records
    ]


def test_each_changed_object_has_one_record_that_says_from_what_to_what(client: Client) -> None:
    granted = changes(client, "POST", "/account/grant/alerts_management", [BOB, ANN, ROBOT])
    assert granted == [
        (ADMIN, "account/put", who, {"created": False, "permissions": {"from": [], "to": ["alerts_management"]}})
        for who in (BOB, ROBOT)
    ]
    made = changes(client, "POST", "/account/user", {"emailAddress": "new@example.com", "groups": ["ingestion"]})
    assert made == [
        (ADMIN, "account/put", "new@example.com", {"created": True, "permissions": {"from": [], "to": ["ingestion"]}})
    ]
    ((_, act, name, detail),) = changes(client, "DELETE", "/account/new@example.com")
    assert (act, name, detail["last"]["permissions"]) == ("account/delete", "new@example.com", ["ingestion"])


def test_a_request_that_changes_nothing_leaves_no_record(client: Client) -> None:
    group = client.group("G")
    role = client.role("R", "ingestion")
    for method, path, body in (
        ("POST", "/account/user", {"emailAddress": ANN}),
        ("POST", "/account/user", {"emailAddress": ANN, "groups": ["alerts_management"]}),
        ("POST", f"/account/{ANN}/grant/alerts_management", None),
        ("POST", f"/account/{ANN}/revoke/ingestion", None),
        ("POST", f"/account/{ANN}/removeUserGroups", [group, EVERYONE, "x"]),
        ("POST", f"/account/serviceaccount/{ROBOT}/activate", None),
        ("PUT", f"/usergroup/{group}", {"name": "G"}),
        ("POST", f"/usergroup/{group}/removeUsers", [ANN]),
        ("PUT", f"/role/{role}", {"name": "R", "permissions": ["ingestion"]}),
        ("POST", "/role/grant/ingestion", [role]),
        ("PUT", f"/apitoken/{client.token}", {"tokenName": "test"}),
        ("POST", "/account/deleteAccounts", ["x"]),
        ("POST", "/account/validateAccounts", [ANN]),
        ("POST", "/search/user", None),
    ):
        # Whose tokens are shown by the answer is on record, too.
        assert [one for one in changes(client, method, path, body) if one[1] != "token/reveal"] == [], path


def test_tokens_are_recorded_as_ones_own_or_as_anothers(client: Client) -> None:
    (made,) = changes(client, "POST", "/apitoken")
    assert (made[1], made[3]) == ("apitoken/_own/create", {"created": True, "name": None})
    token = client.ok("GET", "/apitoken")[-1]["tokenID"]
    assert changes(client, "PUT", f"/apitoken/{token}", {"tokenName": "n"})[0][1] == "apitoken/_own/put"
    assert changes(client, "DELETE", f"/apitoken/{token}")[0][1] == "apitoken/_own/delete"
    assert changes(client, "POST", f"/apitoken/serviceaccount/{ROBOT}")[0][1] == "apitoken/_all/create"


def test_a_refused_change_is_not_recorded(client: Client) -> None:
    before = len(client.service.audited())
    client.refused("POST", "/account/grant/ingestion", [ANN, "x"], 404)
    client.refused("POST", "/account/deleteAccounts", [ANN, ADMIN])
    assert len(client.service.audited()) == before


def test_a_record_names_who_came_with_a_password_in_his_own_realm(client: Client) -> None:
    client.service.ask("POST", f"{ROOT}/account/{ANN}/grant/ingestion", by="admin")
    record = client.service.audited()[-1]
    assert (record.realm, record.actor) == ("sg_authc", "admin")


def test_there_are_as_many_permissions_as_the_manual_names(client: Client) -> None:
    token = token_of(client.service, BOB, *WAVEFRONT_PERMISSIONS)
    answer = client.service.get(f"{ROOT}/account/{BOB}", by=None, headers=bearer(token))
    assert len(answer.json["response"]["unitedPermissions"]) == 17
