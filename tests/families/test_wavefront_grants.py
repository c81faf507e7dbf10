"""Changes of accounts that are there: PUT, permissions, groups and roles, and how their bodies may come."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.support.service import Service
from tests.support.wavefront import ADMIN, EVERYONE, NOBODYS, ROOT, SERVICE_ACCOUNTS, Client, admin, bearer

ANN, BOB, ROBOT = "ann@example.com", "bob@example.com", "sa::robot"


@pytest.fixture
def client(service: Service) -> Client:
    client = admin(service)
    client.user(ANN)
    client.user(BOB)
    client.ok("POST", "/account/serviceaccount", {"identifier": ROBOT})
    return client


def sent(client: Client, path: str, data: bytes | None, content_type: str | None) -> Any:
    headers = bearer(client.token)
    return client.service.ask("POST", ROOT + path, by=None, headers=headers, data=data, content_type=content_type)


# -- PUT ----------------------------------------------------------------------


def test_a_put_replaces_what_it_names_and_leaves_the_rest(client: Client) -> None:
    group = client.group("G")
    first = {"groups": ["agent_management", "alerts_management"], "userGroups": [group], "ssoId": "s"}
    assert client.ok("PUT", f"/account/user/{ANN}", first)["ssoId"] == "s"
    user = client.ok("PUT", f"/account/user/{ANN}", {"groups": ["agent_management", "events_management"]})
    assert user["groups"] == ["agent_management", "events_management"]
    assert ([one["id"] for one in user["userGroups"]], user["ssoId"]) == ([EVERYONE, group], "s")
    assert client.ok("PUT", f"/account/user/{ANN}", {}) == user
    assert client.ok("PUT", f"/account/user/{ANN}") == user


def test_who_it_is_stands_in_the_path(client: Client) -> None:
    body = {"identifier": BOB, "customer": "other", "credential": "secret", "groups": ["ingestion"]}
    user = client.ok("PUT", f"/account/user/{ANN}", body)
    assert (user["identifier"], user["customer"], user["groups"]) == (ANN, "accounts", ["ingestion"])
    assert client.ok("GET", f"/account/user/{BOB}")["groups"] == []


@pytest.mark.parametrize("identifier", ("nobody@example.com", ROBOT))
def test_a_put_makes_nobody_and_means_users(client: Client, identifier: str) -> None:
    told = client.refused("PUT", f"/account/user/{identifier}", {"groups": []}, 404)
    assert told == f"{identifier} does not exist"


# -- Permissions --------------------------------------------------------------


def test_a_permission_is_granted_and_revoked_once_or_again(client: Client) -> None:
    for _ in range(2):
        assert client.ok("POST", f"/account/{ANN}/grant/ingestion")["groups"] == ["ingestion"]
    for _ in range(2):
        assert client.ok("POST", f"/account/{ANN}/revoke/ingestion")["groups"] == []


def test_a_service_account_is_granted_one_in_the_form_of_a_user(client: Client) -> None:
    account = client.ok("POST", f"/account/{ROBOT}/grant/ingestion")
    assert (account["identifier"], account["customer"], account["groups"]) == (ROBOT, "accounts", ["ingestion"])
    assert [one["id"] for one in account["userGroups"]] == [SERVICE_ACCOUNTS]


def test_several_are_granted_one_and_the_last_is_the_answer(client: Client) -> None:
    account = client.ok("POST", "/account/grant/user_management", [ANN, ROBOT, BOB, ANN.upper()])
    assert account["identifier"] == ANN
    assert client.ok("GET", "/account/user/admin") == [ADMIN, ANN, BOB]
    assert client.ok("POST", "/account/revoke/user_management", [ANN, BOB])["identifier"] == BOB
    assert client.ok("GET", "/account/user/admin") == [ADMIN]


@pytest.mark.parametrize("path", ("/account/grant/ingestion", "/user/grant/ingestion"))
def test_all_are_granted_one_or_none(client: Client, path: str) -> None:
    missing = "x@example.com, y@example.com"
    assert client.refused("POST", path, [ANN, *missing.split(", ")], 404) == f"{missing} does not exist"
    assert client.ok("GET", f"/account/user/{ANN}")["groups"] == []
    assert client.refused("POST", path, []) == "ids is required"
    assert client.refused("POST", path, "x") == "ids must be an array"
    assert client.refused("POST", path, [ANN, 7, None]) == "ids.1 must be a string; ids.2 must be a string"


@pytest.mark.parametrize("act", ("grant", "revoke"))
def test_only_a_permission_that_there_is_can_be_granted(client: Client, act: str) -> None:
    for path in (f"/account/{ANN}/{act}/Ingestion", f"/account/{act}/Ingestion", f"/role/{act}/Ingestion"):
        assert client.refused("POST", path, [ANN]) == "Invalid permission: Ingestion"


def test_the_permission_comes_before_the_account(client: Client) -> None:
    assert client.refused("POST", "/account/nobody/grant/x") == "Invalid permission: x"
    assert client.refused("POST", "/account/nobody/grant/ingestion", status=404) == "nobody does not exist"


@pytest.mark.parametrize("content_type", ("application/x-www-form-urlencoded", "application/json", None))
def test_the_former_form_takes_the_fields_of_a_form(client: Client, content_type: str | None) -> None:
    granted = sent(client, f"/user/{ANN}/grant", b"group=ingestion", content_type)
    assert (granted.status_code, granted.json["groups"]) == (200, ["ingestion"])
    revoked = sent(client, f"/user/{ANN}/revoke", b"x=y&group=ingestion", content_type)
    assert (revoked.status_code, revoked.json["groups"]) == (200, [])


@pytest.mark.any_database
@pytest.mark.parametrize("data", (b"", b"group=", b"group=nonsense", b"Group=ingestion", b"group", b"{}"))
def test_a_form_without_a_permission_is_refused(client: Client, data: bytes) -> None:
    answer = sent(client, f"/user/{ANN}/grant", data, "application/x-www-form-urlencoded")
    assert answer.status_code == 400
    assert answer.json["status"]["message"].startswith("Invalid permission: ")


@pytest.mark.parametrize("data", (b"group=\xff", b"group=%ff", b"&".join([b"a=b"] * 101)))
def test_a_form_that_is_none_is_refused(client: Client, data: bytes) -> None:
    answer = sent(client, f"/user/{ANN}/grant", data, "application/x-www-form-urlencoded")
    assert answer.json["status"]["message"] == "Invalid JSON: not the fields of a form"


# -- Bodies where none is needed ----------------------------------------------

NONE_NEEDED = (
    f"/account/{ANN}/grant/ingestion",
    f"/account/serviceaccount/{ROBOT}/activate",
    f"/account/{ANN}/addRoles",
    f"/account/{ANN}/addUserGroups",
    "/account/deleteAccounts",
    "/account/validateAccounts",
    f"/apitoken/serviceaccount/{ROBOT}",
    "/apitoken",
    "/search/user",
)
NOTHING = (
    (None, None),
    (None, "application/json"),
    (b"", "text/plain"),
    (b"null", "text/plain"),
    (b" null\n", "application/json"),
    (b"null", "application/x-www-form-urlencoded"),
    (b"{}", "application/json"),
    (b"{}", "application/json; charset=UTF-8"),
    (b"{}", "application/x-www-form-urlencoded"),
)


@pytest.mark.any_database
@pytest.mark.parametrize("path", NONE_NEEDED)
def test_nothing_comes_in_many_forms_and_under_any_media_type(client: Client, path: str) -> None:
    for data, content_type in NOTHING:
        answer = sent(client, path, data, content_type)
        assert answer.status_code == 200, (data, content_type)


@pytest.mark.any_database
@pytest.mark.parametrize("content_type", ("text/plain", "application/xml", None, "application/json; charset=latin-1"))
def test_what_is_not_announced_as_json_is_415_in_the_words_of_the_server_around(
    client: Client, content_type: str | None
) -> None:
    answer = sent(client, "/account/user", b'{"emailAddress": "x@example.com"}', content_type)
    assert answer.status_code == 415
    assert answer.json == {
        "error": "HTTP 415 Unsupported Media Type",
        "trackingId": answer.headers["X-Request-ID"],
    }


def test_what_is_no_json_is_told_where_it_breaks(client: Client) -> None:
    answer = sent(client, "/account/user", b'{"emailAddress":', "application/json")
    assert answer.json["status"]["message"].endswith("\n at [Source: body; line: 1, column: 17]")
    answer = sent(client, "/account/user", b'{"a": "\x80"}', "application/json")
    assert answer.json["status"]["message"] == "Invalid JSON: not UTF-8"


# -- Groups and roles of an account -------------------------------------------


def test_an_account_is_put_into_groups_and_taken_out(client: Client) -> None:
    one, two = client.group("1"), client.group("2")
    for prefix, who in itertools.product(("/account", "/user"), (ANN,)):
        user = client.ok("POST", f"{prefix}/{who}/addUserGroups", [two, one, two])
        assert [group["id"] for group in user["userGroups"]] == [EVERYONE, two, one]
        user = client.ok("POST", f"{prefix}/{who}/removeUserGroups", [two, NOBODYS, EVERYONE, one])
        assert [group["id"] for group in user["userGroups"]] == [EVERYONE]
    answer = client.ask("POST", f"/account/{ANN}/addUserGroups", [one, "x"])
    assert (answer.status_code, len(answer.json["userGroups"])) == (202, 2)
    assert answer.headers["X-Status-Message"] == "Invalid user groups found and ignored [x]"


def test_an_account_is_given_roles_which_are_taken_again(client: Client) -> None:
    one, two = client.role("1", "ingestion"), client.role("2", "ingestion", "log_management")
    user = client.ok("POST", f"/account/{ANN}/addRoles", [two, one])
    assert [role["id"] for role in user["roles"]] == [two, one]
    assert "unitedPermissions" not in user
    account = client.ok("GET", f"/account/{ANN}")
    assert account == {
        "identifier": ANN,
        "groups": [],
        "userGroups": [EVERYONE],
        "roles": [two, one],
        "unitedRoles": [two, one],
        "unitedPermissions": ["ingestion", "log_management"],
    }
    answer = client.ask("POST", f"/account/{ANN}/addRoles", ["y"])
    assert (answer.status_code, answer.headers["X-Status-Message"]) == (202, "Invalid roles found and ignored [y]")
    assert client.ok("POST", f"/account/{ANN}/removeRoles", [two, "y"])["roles"][0]["id"] == one


def test_what_an_account_may_do_unites_its_own_its_roles_and_its_groups(client: Client) -> None:
    own, of_group, of_all = (
        client.role("own", "ingestion"),
        client.role("g", "log_management"),
        client.role("all", "ingestion"),
    )
    group = client.group("G", roleIDs=[of_group, own])
    client.ok("POST", f"/usergroup/{EVERYONE}/addRoles", [of_all])
    client.user(ANN, groups=["embedded_charts"], roles=[own], userGroups=[group])
    account = client.ok("GET", f"/account/{ANN}")
    assert account["roles"] == [own]
    assert account["unitedRoles"] == [own, of_all, of_group]
    assert account["unitedPermissions"] == ["embedded_charts", "ingestion", "log_management"]


# -- Deleting and validating --------------------------------------------------


def test_nobody_deletes_himself(client: Client) -> None:
    told = f"Cannot delete your own account: {ADMIN}"
    assert client.refused("DELETE", f"/account/{ADMIN}") == told
    assert client.refused("DELETE", f"/user/{ADMIN.upper()}") == told
    assert client.refused("POST", "/account/deleteAccounts", [ANN, ADMIN]) == told
    client.ok("GET", f"/account/{ANN}")


def test_unknown_ids_are_not_among_the_deleted(client: Client) -> None:
    assert client.ok("POST", "/account/deleteAccounts", [BOB, "x", ROBOT, BOB.upper()]) == [BOB, ROBOT]
    assert client.ok("POST", "/user/deleteUsers", [BOB, ANN]) == [ANN]
    assert client.refused("DELETE", f"/account/{ANN}", status=404) == f"{ANN} does not exist"


def test_what_is_deleted_is_the_answer(client: Client) -> None:
    assert client.ok("DELETE", f"/account/{ROBOT}")["identifier"] == ROBOT


def test_who_is_there_is_told_from_who_is_not(client: Client) -> None:
    client.user(ANN, groups=["ingestion"])
    for path in ("/account/validateAccounts", "/user/validateUsers"):
        found = client.ok("POST", path, ["x", ANN.upper(), "y", BOB, ANN])
        assert [one["identifier"] for one in found["validUsers"]] == [ANN, BOB]
        assert found["invalidIdentifiers"] == ["x", "y"]
        assert found["validUsers"][0]["groups"] == ["ingestion"]


def test_what_others_may_do_is_shown_only_to_who_may_read_it(client: Client) -> None:
    client.ok("POST", "/apitoken/serviceaccount/sa::robot")
    (token,) = client.ok("GET", "/apitoken/serviceaccount/sa::robot")
    robot = Client(client.service, token["tokenID"])
    found = robot.ok("POST", "/account/validateAccounts", [ANN, "x"])
    assert found == {"validUsers": [{"identifier": ANN, "customer": "accounts"}], "invalidIdentifiers": ["x"]}


# -- Nowhere ------------------------------------------------------------------


@pytest.mark.any_database
@pytest.mark.parametrize("path", ("/nowhere", "/account/", "/account/user/", "/", "/account//x", "/usergroup/a/b/c"))
def test_an_unknown_path_is_told_in_text(client: Client, path: str) -> None:
    answer = client.ask("GET", path)
    assert (answer.status_code, answer.mimetype) == (404, "text/plain")
    assert answer.text.splitlines() == [
        "error='not_found'",
        "message='resource cannot be found'",
        f"trackingId={answer.headers['X-Request-ID']}",
    ]


def test_a_wrong_method_is_told_the_right_ones(client: Client) -> None:
    answer = client.ask("POST", "/account?sendEmail=true", {"emailAddress": "x@example.com"})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    assert answer.json["status"]["code"] == 405
