"""Clients that leave empty values out: what each call means by it, with the bytes that these clients send.

Go, and so Terraform and Pulumi, marshal structs with `omitempty`: an empty list is not there, a nil one is null. The
Ruby SDK sends the keys that it updates, as it has read them. Each test is a row of docs/wavefront.md.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.service import Answer, Service
from tests.support.wavefront import ADMIN, EVERYONE, ROOT, SERVICE_ACCOUNTS, Client, admin, bearer, token_of

ANN, ROBOT = "ann+1@example.com", "sa::robot"
FORMER = f"/user/{ANN}"
SERVICE = f"/account/serviceaccount/{ROBOT}"


def send(client: Client, method: str, path: str, body: str) -> Answer:
    """Send a body as the bytes that a client writes."""
    headers = bearer(client.token) | {"Content-Type": "application/json", "Accept": "application/json"}
    return client.service.ask(method, ROOT + path, by=None, headers=headers, data=body.encode())


def ok(client: Client, method: str, path: str, body: str) -> Any:
    answer = send(client, method, path, body)
    assert answer.status_code == 200, answer.text
    return answer.json["response"]


def searched(client: Client, identifier: str) -> Any:
    """Find a user as the Terraform provider does before and after every change."""
    query = f'{{"query":[{{"key":"id","value":"{identifier}","matchingMethod":"EXACT"}}],"limit":100,"offset":0}}'
    (found,) = ok(client, "POST", "/search/user", query)["items"]
    return found


@pytest.fixture
def client(service: Service) -> Client:
    """An administrator, and a user and a service account who have something of everything."""
    client = admin(service)
    role = client.role("R", "ingestion")
    lists = {"groups": ["user_management", "ingestion"], "userGroups": [client.group("G")], "roles": [role]}
    client.user(ANN, **lists)
    client.ok("POST", "/account/serviceaccount", {"identifier": ROBOT, "description": "d", "active": False, **lists})
    client.ok("POST", f"/apitoken/serviceaccount/{ROBOT}", {})
    return client


# -- PUT /user/{id} -----------------------------------------------------------


GO_USER = f'{{"identifier":"{ANN}","customer":"accounts","lastSuccessfulLogin":1764000000000,"userGroups":null}}'


@pytest.mark.parametrize(
    "body",
    (
        GO_USER,
        f'{{"identifier":"{ANN}","groups":null,"userGroups":null}}',
        f'{{"identifier":"{ANN}"}}',
        f'{{"identifier":"{ANN}","groups":[],"userGroups":[]}}',
        '{"userGroups":null}',
    ),
)
def test_a_former_put_empties_what_it_leaves_out(client: Client, body: str) -> None:
    answer = send(client, "PUT", FORMER, body)
    assert (answer.status_code, "Accounts-Ignored" in answer.headers) == (200, False)
    user = answer.json["response"]
    assert (user["groups"], [group["id"] for group in user["userGroups"]]) == ([], [EVERYONE])
    assert [role["name"] for role in user["roles"]] == ["R"]
    assert client.ok("GET", f"/account/{ANN}")["groups"] == []
    assert (searched(client, ANN)["groups"], searched(client, ANN)["userGroups"]) == ([], [EVERYONE])


def test_a_former_put_keeps_what_it_names(client: Client) -> None:
    group = client.group("H")
    body = f'{{"identifier":"{ANN}","customer":"accounts","groups":["events_management"],"userGroups":["{group}"]}}'
    user = ok(client, "PUT", FORMER, body)
    assert (user["groups"], [one["name"] for one in user["userGroups"]]) == (["events_management"], ["Everyone", "H"])


def test_a_former_put_takes_groups_as_they_were_read(client: Client) -> None:
    # The Ruby SDK reads the user and sends identifier, groups and userGroups.
    read = client.ask("GET", FORMER).json
    echo = {key: read[key] for key in ("identifier", "groups", "userGroups")} | {"groups": ["events_management"]}
    user = ok(client, "PUT", FORMER, json.dumps(echo))
    assert (user["groups"], [one["name"] for one in user["userGroups"]]) == (["events_management"], ["Everyone", "G"])
    bad = send(client, "PUT", FORMER, '{"userGroups":[{"name":"G"},7]}')
    message = "userGroups.0 must be a string; userGroups.1 must be a string"
    assert (bad.status_code, bad.json["status"]["message"]) == (400, message)


@pytest.mark.parametrize("body", ("", "null", "{}"))
@pytest.mark.parametrize("path", (FORMER, SERVICE))
def test_a_put_that_says_nothing_changes_nothing(client: Client, path: str, body: str) -> None:
    before = client.ask("GET", path)
    assert send(client, "PUT", path, body).status_code == 200
    assert client.ask("GET", path).headers["ETag"] == before.headers["ETag"]


def test_a_put_of_the_same_state_is_no_change(client: Client) -> None:
    bodies = {FORMER: GO_USER, SERVICE: f'{{"identifier":"{ROBOT}","active":true,"tokens":[]}}'}
    for path, body in bodies.items():
        first = send(client, "PUT", path, body).headers["ETag"]
        before = len(client.service.audited())
        assert send(client, "PUT", path, body).headers["ETag"] == first
        assert len(client.service.audited()) == before


def test_a_plan_of_terraform_becomes_empty(client: Client) -> None:
    """Create, read, update to nothing, read: what is read is what was asked for."""
    bob = "test+tftesting@example.com"
    body = f'{{"emailAddress":"{bob}","groups":["agent_management","user_management"],"userGroups":null}}'
    made = ok(client, "POST", "/user?sendEmail=true", body)
    assert made["identifier"] == bob
    found = searched(client, bob)
    assert set(found["groups"]) == {"agent_management", "user_management"}
    # The provider puts the state into the user that it has found.
    update = {"identifier": bob, "customer": found["customer"], "userGroups": found["userGroups"]}
    ok(client, "PUT", f"/user/{bob}", json.dumps(update, separators=(",", ":")))
    found = searched(client, bob)
    assert (found["groups"], found["unitedPermissions"], found["userGroups"]) == ([], [], [EVERYONE])
    assert client.ask("DELETE", f"/user/{bob}").status_code == 204
    query = f'{{"query":[{{"key":"id","value":"{bob}","matchingMethod":"EXACT"}}],"limit":100,"offset":0}}'
    assert ok(client, "POST", "/search/user", query)["items"] == []


# -- One's own account --------------------------------------------------------

KEPT = "Cannot take user_management from your own account by leaving groups or userGroups out, send both lists: "


def test_nobody_gives_up_managing_accounts_by_leaving_a_list_out(client: Client) -> None:
    own = f"/user/{ADMIN}"
    refused = send(client, "PUT", own, f'{{"identifier":"{ADMIN}","userGroups":null}}')
    assert (refused.status_code, refused.json["status"]["message"]) == (400, KEPT + ADMIN)
    refused = send(client, "PUT", own, f'{{"identifier":"{ADMIN}","groups":["ingestion"],"userGroups":null}}')
    assert refused.status_code == 400
    assert client.ok("GET", f"/account/{ADMIN}")["groups"] == ["user_management", "token_management"]
    kept = ok(client, "PUT", own, f'{{"identifier":"{ADMIN}","groups":["user_management"],"userGroups":null}}')
    assert kept["groups"] == ["user_management"]
    assert ok(client, "PUT", own, f'{{"identifier":"{ADMIN}","groups":[],"userGroups":[]}}')["groups"] == []


def test_a_manager_by_a_group_does_not_leave_it_by_leaving_it_out(client: Client) -> None:
    group = client.group("Managers", roleIDs=[client.role("Managing", "user_management")])
    token = token_of(client.service, ANN)
    itself = Client(client.service, token)
    client.user(ANN, groups=[], userGroups=[group])
    refused = send(itself, "PUT", FORMER, GO_USER)
    assert (refused.status_code, refused.json["status"]["message"]) == (400, KEPT + ANN)
    assert itself.ask("GET", "/account").status_code == 200


def test_a_service_account_does_not_give_up_managing_by_leaving_a_list_out(client: Client) -> None:
    itself = Client(client.service, token_of(client.service, ROBOT))
    client.ok("POST", f"{SERVICE}/activate")
    body = f'{{"identifier":"{ROBOT}","active":true,"tokens":[],"description":"new"}}'
    refused = send(itself, "PUT", SERVICE, body)
    assert (refused.status_code, refused.json["status"]["message"]) == (400, KEPT + ROBOT)
    assert client.ok("GET", SERVICE)["description"] == "d"
    assert ok(client, "PUT", SERVICE, body)["groups"] == []


# -- PUT /account/serviceaccount/{id} -----------------------------------------


@pytest.mark.parametrize(
    "body",
    (
        f'{{"identifier":"{ROBOT}","active":true,"tokens":[]}}',
        f'{{"identifier":"{ROBOT}","active":true,"tokens":null,"description":null,"groups":null,"userGroups":null}}',
        f'{{"identifier":"{ROBOT}","active":true,"tokens":[],"description":"","groups":[],"userGroups":[]}}',
    ),
)
def test_a_put_of_a_service_account_empties_what_it_leaves_out(client: Client, body: str) -> None:
    ok(client, "PUT", SERVICE, body)
    found = client.ok("GET", SERVICE)
    assert (found["groups"], [group["id"] for group in found["userGroups"]]) == ([], [SERVICE_ACCOUNTS])
    assert "description" not in found
    assert ([role["name"] for role in found["roles"]], found["active"], len(found["tokens"])) == (["R"], True, 1)


def test_a_service_account_that_does_not_say_whether_it_is_active_stays_so(client: Client) -> None:
    assert ok(client, "PUT", SERVICE, f'{{"identifier":"{ROBOT}","description":"e"}}')["active"] is False


def test_a_service_account_is_taken_as_it_was_read(client: Client) -> None:
    # The Ruby SDK sends these keys as it has read them, with groups and tokens as objects.
    read = client.ok("GET", SERVICE)
    keys = ("description", "tokens", "groups", "userGroups", "active", "identifier")
    echo = {key: read[key] for key in keys} | {"description": "new"}
    ok(client, "PUT", SERVICE, json.dumps(echo))
    assert client.ok("GET", SERVICE) == {**read, "description": "new"}


# -- PUT /role/{id} and PUT /usergroup/{id} -----------------------------------


@pytest.mark.parametrize("rest", ("", ',"description":null', ',"description":""'))
def test_a_put_of_a_role_empties_its_description_alone(client: Client, rest: str) -> None:
    role = client.ok("POST", "/role", {"name": "S", "description": "d", "permissions": ["ingestion"]})["id"]
    # Go sends what it has read as well: the numbers and the permissions, unless there are none.
    ok(client, "PUT", f"/role/{role}", f'{{"id":"{role}","linkedGroupsCount":1,"customer":"c","name":"T"{rest}}}')
    found = client.ok("GET", f"/role/{role}")
    assert (found["name"], found["permissions"], "description" in found) == ("T", ["ingestion"], False)
    assert ok(client, "PUT", f"/role/{role}", f'{{"id":"{role}","name":"T","permissions":[]}}')["permissions"] == []


def test_a_put_of_a_role_that_says_nothing_changes_nothing(client: Client) -> None:
    role = client.ok("POST", "/role", {"name": "S", "description": "d", "permissions": ["ingestion"]})["id"]
    before = client.ok("GET", f"/role/{role}")
    for body in ("", "null", "{}"):
        ok(client, "PUT", f"/role/{role}", body)
    assert client.ok("GET", f"/role/{role}") == before


GO_GROUP = (
    '{{"id":"{0}","name":"H","Roles":null,"properties":{{"nameEditable":false,"permissionsEditable":false,'
    '"usersEditable":false,"rolesEditable":false}}}}'
)


@pytest.mark.parametrize("body", (GO_GROUP, '{{"id":"{0}","name":"H"}}', '{{"name":"H","description":null}}'))
def test_a_put_of_a_user_group_keeps_what_it_leaves_out(client: Client, body: str) -> None:
    role = client.role("S", "ingestion")
    group = client.group("G", description="d", roleIDs=[role])
    client.ok("POST", f"/usergroup/{group}/addUsers", [ANN])
    ok(client, "PUT", f"/usergroup/{group}", body.format(group))
    found = client.ok("GET", f"/usergroup/{group}")
    assert (found["name"], found["description"], found["users"]) == ("H", "d", [ANN])
    assert [one["id"] for one in found["roles"]] == [role]


# -- What goes on to merge ----------------------------------------------------


def test_the_current_form_goes_on_to_keep_what_is_left_out(client: Client) -> None:
    full = client.ok("GET", f"/account/user/{ANN}")["groups"]
    for method, path, body in (
        ("POST", "/account/user", f'{{"emailAddress":"{ANN}"}}'),
        ("POST", "/account/user", f'{{"emailAddress":"{ANN}","groups":null,"userGroups":null}}'),
        ("PUT", f"/account/user/{ANN}", f'{{"identifier":"{ANN}","userGroups":null}}'),
    ):
        answer = send(client, method, path, body)
        assert (answer.status_code, answer.json["groups"]) == (200, full), answer.text
        assert [group["name"] for group in answer.json["userGroups"]] == ["Everyone", "G"]
    answer = send(client, "POST", "/account/user", f'{{"emailAddress":"{ANN}","groups":[]}}')
    assert answer.json["groups"] == []
