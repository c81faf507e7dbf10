"""User groups and roles: who is in them, what they give, and what the system groups do not take."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.service import Service
from tests.support.wavefront import ADMIN, EVERYONE, NOBODYS, SERVICE_ACCOUNTS, Client, admin

ANN, BOB, ROBOT = "ann@example.com", "bob@example.com", "sa::robot"


@pytest.fixture
def client(service: Service) -> Client:
    client = admin(service)
    client.user(ANN)
    client.user(BOB)
    client.ok("POST", "/account/serviceaccount", {"identifier": ROBOT})
    return client


# -- Groups -------------------------------------------------------------------


def test_a_group_is_made_read_changed_and_deleted(client: Client) -> None:
    role = client.role("R", "ingestion")
    # What clients send besides is passed over.
    body = {
        "name": "G",
        "description": "d",
        "roleIDs": [role],
        "Roles": None,
        "users": ["x"],
        "userCount": 0,
        "id": "x",
    }
    group = client.ok("POST", "/usergroup", body)
    path = f"/usergroup/{group['id']}"
    assert group.keys() == {
        "id", "name", "customer", "description", "properties", "users", "userCount", "roles", "roleCount",
        "createdEpochMillis",
    }  # fmt: skip
    assert (group["name"], group["description"], group["users"], group["userCount"]) == ("G", "d", [], 0)
    assert ([one["id"] for one in group["roles"]], group["roleCount"]) == ([role], 1)
    assert client.ok("GET", path) == group
    assert client.ok("PUT", path, {}) == group
    changed = client.ok("PUT", path, {"name": "H", "roleIDs": []})
    assert (changed["name"], changed["description"], changed["roles"]) == ("H", "d", [])
    assert client.ok("DELETE", path) == changed
    assert client.refused("GET", path, status=404) == f"{group['id']} does not exist"


def test_a_group_needs_a_name_and_no_other_one(client: Client) -> None:
    bodies: tuple[Any, ...] = ({}, {"name": ""}, {"name": None}, None)
    for body in bodies:
        assert client.refused("POST", "/usergroup", body) == "name is required"
    assert client.refused("POST", "/usergroup", []) == "body must be an object"
    assert client.group("Same") != client.group("Same")


def test_groups_are_listed_page_by_page_the_system_groups_first(client: Client) -> None:
    names = ["Service Accounts", "Everyone", "A", "B", "C"]
    for name in ("B", "C", "A"):
        client.group(name)
    seen: list[str] = []
    for offset in range(0, 6, 2):
        page = client.ok("GET", f"/usergroup?offset={offset}&limit=2")
        assert (page["offset"], page["limit"], page["totalItems"]) == (offset, 2, 5)
        assert page["moreItems"] == (offset + 2 < 5)
        seen += [group["name"] for group in page["items"]]
    assert sorted(seen[:2]) == sorted(names[:2])
    assert seen[2:] == names[2:]


def test_members_come_and_go(client: Client) -> None:
    group = client.group("G")
    answer = client.ask("POST", f"/usergroup/{group}/addUsers", [BOB.upper(), "x", ROBOT, ANN, BOB])
    assert answer.status_code == 202
    assert answer.json["status"]["message"] == "Invalid users found and ignored [x]"
    assert (answer.json["response"]["users"], answer.json["response"]["userCount"]) == ([ANN, BOB, ROBOT], 3)
    left = client.ok("POST", f"/usergroup/{group}/removeUsers", [ANN, "x", ADMIN])
    assert left["users"] == [BOB, ROBOT]
    client.ok("DELETE", f"/account/{BOB}")
    assert client.ok("GET", f"/usergroup/{group}")["users"] == [ROBOT]


def test_roles_are_given_to_a_group_and_taken(client: Client) -> None:
    group, role = client.group("G"), client.role("R")
    answer = client.ask("POST", f"/usergroup/{group}/addRoles", [role, "x", role])
    assert (answer.status_code, answer.json["response"]["roleCount"]) == (202, 1)
    assert answer.json["status"]["message"] == "Invalid roles found and ignored [x]"
    assert client.ok("POST", f"/usergroup/{group}/removeRoles", [role, "x"])["roles"] == []
    for act in ("addRoles", "removeRoles", "addUsers", "removeUsers"):
        client.refused("POST", f"/usergroup/{NOBODYS}/{act}", [], 404)


@pytest.mark.parametrize(("group", "who"), ((EVERYONE, [ADMIN, ANN, BOB]), (SERVICE_ACCOUNTS, [ROBOT])))
def test_who_is_in_a_system_group_is_decided_by_nobody(client: Client, group: str, who: list[str]) -> None:
    path = f"/usergroup/{group}"
    found = client.ok("GET", path)
    assert (found["users"], found["userCount"], found["createdEpochMillis"]) == (who, len(who), 0)
    for method, suffix, body in (
        ("PUT", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/addUsers", [ANN]),
        ("POST", "/removeUsers", [ANN]),
    ):
        told = client.refused(method, path + suffix, body)
        assert told.startswith("Cannot change the name or the members of a system group, or delete it: ")
    assert client.ok("GET", path) == found
    # Its roles and what is said of it may change.
    changed = client.ok("PUT", path, {"name": found["name"], "description": "all", "roleIDs": [client.role("R")]})
    assert (changed["description"], changed["roleCount"]) == ("all", 1)


def test_into_a_system_group_an_account_is_put_without_effect(client: Client) -> None:
    answer = client.ask("POST", f"/account/{ANN}/addUserGroups", [SERVICE_ACCOUNTS, EVERYONE])
    assert (answer.status_code, [one["id"] for one in answer.json["userGroups"]]) == (200, [EVERYONE])


def test_only_so_many_members_are_named(client: Client) -> None:
    users = [f"user{number:02}@example.com" for number in range(25)]
    for user in users:
        client.user(user)
    group, role = client.group("G"), client.role("R")
    client.ok("POST", f"/usergroup/{group}/addUsers", users)
    client.ok("POST", f"/role/{role}/addAssignees", users)
    found = client.ok("GET", f"/usergroup/{group}")
    assert found["userCount"] == 25
    assert len(set(found["users"]) & set(users)) == len(found["users"]) == 20
    found = client.ok("GET", f"/role/{role}")
    assert found["linkedAccountsCount"] == 25
    assert len(set(found["sampleLinkedAccounts"]) & set(users)) == len(found["sampleLinkedAccounts"]) == 20


# -- Roles --------------------------------------------------------------------


def test_a_role_is_made_read_changed_and_deleted(client: Client) -> None:
    body = {"id": "", "name": "R", "description": "d", "permissions": ["ingestion", "log_management", "ingestion"]}
    role = client.ok("POST", "/role", body)
    path = f"/role/{role['id']}"
    assert (role["name"], role["description"], role["permissions"]) == ("R", "d", ["ingestion", "log_management"])
    assert client.ok("GET", path) == role
    assert client.ok("PUT", path, {"id": "x", "description": "d"}) == role
    client.ok("POST", f"{path}/addAssignees", [ANN])
    changed = client.ok("PUT", path, {"name": "S", "permissions": ["log_management"], "description": "e"})
    assert (changed["name"], changed["permissions"], changed["description"]) == ("S", ["log_management"], "e")
    assert client.ok("DELETE", path) == changed
    assert client.ok("GET", f"/account/{ANN}")["unitedPermissions"] == []
    client.refused("GET", path, status=404)


@pytest.mark.parametrize("name", ("R", "ops@night"))
def test_no_two_roles_have_one_name(client: Client, name: str) -> None:
    client.role(name)
    other = client.role("other")
    told = f"Role {name} is already created in our system."
    assert client.refused("POST", "/role", {"name": name}) == told
    assert client.refused("PUT", f"/role/{other}", {"name": name}) == told
    assert client.refused("POST", "/role", {"permissions": ["x"]}) == "name is required; Invalid permission: x"


def test_a_role_is_given_to_accounts_and_groups_at_once(client: Client) -> None:
    role, group = client.role("R", "ingestion"), client.group("G")
    given = client.ok("POST", f"/role/{role}/addAssignees", [ANN.upper(), group, "x", ROBOT, EVERYONE])
    assert (given["linkedAccountsCount"], given["linkedGroupsCount"]) == (2, 2)
    assert given["sampleLinkedAccounts"] == [ANN, ROBOT]
    assert [one["name"] for one in given["sampleLinkedGroups"]] == ["Everyone", "G"]
    assert all("roles" not in one for one in given["sampleLinkedGroups"])
    assert client.ok("GET", f"/account/{BOB}")["unitedPermissions"] == ["ingestion"]
    taken = client.ok("POST", f"/role/{role}/removeAssignees", [ANN, EVERYONE, "x"])
    assert (taken["sampleLinkedAccounts"], taken["linkedGroupsCount"]) == ([ROBOT], 1)


@pytest.mark.parametrize("act", ("addAssignees", "removeAssignees"))
@pytest.mark.parametrize("body", (["x", NOBODYS], [], {}, None), ids=repr)
def test_a_role_is_given_to_somebody_at_least(client: Client, act: str, body: Any) -> None:
    role = client.role("R")
    told = client.refused("POST", f"/role/{role}/{act}", body)
    assert told == "No valid user or user group IDs were found"
    client.refused("POST", f"/role/{NOBODYS}/{act}", [ANN], 404)


def test_several_roles_permit_something_all_or_none(client: Client) -> None:
    one, two = client.role("1"), client.role("2")
    assert client.ok("POST", "/role/grant/ingestion", [one, two])["id"] == two
    assert client.ok("GET", f"/role/{one}")["permissions"] == ["ingestion"]
    assert client.refused("POST", "/role/grant/log_management", [one, "x"], 404) == "x does not exist"
    assert client.ok("GET", f"/role/{one}")["permissions"] == ["ingestion"]
    assert client.ok("POST", "/role/revoke/ingestion", [two, one])["permissions"] == []
    assert client.refused("POST", "/role/grant/ingestion", []) == "ids is required"


PARTS = (
    ("limit=0", "limit must be between 1 and 1000"),
    ("limit=1001", "limit must be between 1 and 1000"),
    ("offset=-1&limit=x", "offset must be between 0 and 2147483647; limit must be a number"),
    ("offset=2147483648", "offset must be between 0 and 2147483647"),
    ("limit=1.5", "limit must be a number"),
    ("offset=%D9%A1", "offset must be a number"),
    ("limit=99999999999999999999", "limit must be a number"),
    ("limit=", "limit must be a number"),
)


def test_a_part_has_limits(client: Client, subtests: pytest.Subtests) -> None:
    for query, told in PARTS:
        for path in ("/account", "/role", "/usergroup"):
            with subtests.test(query=query, told=told, path=path):
                assert client.refused("GET", f"{path}?{query}") == told


@pytest.mark.parametrize("path", ("/account", "/role", "/usergroup"))
def test_a_part_beyond_the_end_is_empty(client: Client, path: str) -> None:
    page = client.ok("GET", f"{path}?offset=2147483647&limit=1000&foo=bar")
    assert (page["items"], page["moreItems"]) == ([], False)
