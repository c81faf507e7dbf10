"""NetBird's users over HTTP: who is listed, who is made, and what is never done to one."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import text, update

from accounts_service.families.netbird.privileges import MODULES, OPERATIONS
from accounts_service.families.netbird.tables import USER
from accounts_service.storage.database import Session
from accounts_service.storage.statements import Statement, Value
from tests.support.netbird import NetBird
from tests.support.service import Service

MAKING: dict[str, Any] = {"role": "user", "is_service_user": True, "name": "ci", "auto_groups": []}
PERMITTED: dict[str, Any] = {"role": "user", "auto_groups": [], "is_blocked": False}


@pytest.fixture
def netbird(service: Service) -> NetBird:
    return NetBird(service)


def _user(netbird: NetBird, name: str) -> Any:
    identifier = netbird.names[f"uid:{name}"]
    (found,) = (user for user in netbird.ok("GET", "/users", by="svc_user") if user["id"] == identifier)
    return found


# -- Lists --------------------------------------------------------------------


def test_a_user_is_shown_whole(netbird: NetBird) -> None:
    (found,) = (user for user in netbird.ok("GET", "/users") if user["id"] == "owner-id")
    assert found == {
        "id": "owner-id",
        "email": "owner@test.com",
        "name": "owner",
        "role": "owner",
        "status": "active",
        "auto_groups": [],
        "is_current": True,
        "is_service_user": False,
        "is_blocked": False,
        "pending_approval": False,
        "issued": "api",
        "last_login": "0001-01-01T00:00:00Z",
    }


def test_who_may_not_do_more_lists_himself(netbird: NetBird) -> None:
    for name in ("user", "billing_admin"):
        (found,) = netbird.ok("GET", "/users", by=name)
        assert (found["id"], found["is_current"]) == (netbird.names[f"uid:{name}"], True)


@pytest.mark.any_database
def test_a_user_finds_themselves_among_any_number(netbird: NetBird) -> None:
    """More than are listed at once, which only the list of all of them is too long for."""
    others = """
        WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 50000)
        INSERT INTO netbird_user (
            id, uid, account_id, role, name, email, service_user, auto_groups, blocked, pending, created_us, version
        )
        SELECT 'x' || n, 'x' || n, account_id, role, name, '', 0, '[]', 0, 0, 0, 1 FROM number, netbird_user
        WHERE id = :id
    """
    with netbird.service.services.database.begin() as connection:
        connection.execute(text(others), {"id": netbird.names["uid:auditor"]})
    (found,) = netbird.ok("GET", "/users", by="user")
    assert found["id"] == netbird.names["uid:user"]
    assert netbird.ok("GET", "/users?service_user=true", by="user") == []


def test_a_list_has_the_users_of_ones_own_account(netbird: NetBird) -> None:
    found = netbird.ok("GET", "/users", by="auditor")
    assert len(found) == 10
    assert [user["id"] for user in found if user["is_current"]] == ["auditor-id"]
    assert {user["id"] for user in netbird.ok("GET", "/users", by="b_owner")} == {
        netbird.names["uid:b_owner"],
        netbird.names["uid:b_svc"],
    }


def test_who_is_blocked_or_not_approved_is_shown_as_such(netbird: NetBird) -> None:
    blocked, pending = _user(netbird, "blocked"), _user(netbird, "pending")
    assert [blocked[name] for name in ("status", "is_blocked", "pending_approval")] == ["blocked", True, False]
    assert [pending[name] for name in ("status", "is_blocked", "pending_approval")] == ["blocked", True, True]


@pytest.mark.parametrize("value", ("1", "t", "T", "true", "TRUE", "True"))
def test_service_users_can_be_listed_alone(netbird: NetBird, value: str) -> None:
    found = netbird.ok("GET", f"/users?service_user={value}")
    assert {user["name"] for user in found} == {"svc_admin", "svc_user"}


@pytest.mark.parametrize("value", ("0", "f", "F", "false", "FALSE", "False"))
def test_people_can_be_listed_alone(netbird: NetBird, value: str) -> None:
    found = netbird.ok("GET", f"/users?service_user={value}")
    assert len(found) == 8
    assert not any(user["is_service_user"] for user in found)


def test_an_empty_parameter_lists_everybody(netbird: NetBird) -> None:
    assert len(netbird.ok("GET", "/users?service_user=")) == 10
    assert len(netbird.ok("GET", "/users?unknown=1")) == 10


@pytest.mark.any_database
@pytest.mark.parametrize("value", ("yes", "2", "tRUE", "%20", "true%20", "null"))
def test_any_other_value_is_refused(netbird: NetBird, value: str) -> None:
    assert netbird.refused(422, "GET", f"/users?service_user={value}") == "invalid service_user query parameter"


# -- Oneself ------------------------------------------------------------------


def _held(netbird: NetBird, name: str) -> dict[str, set[str]]:
    found = netbird.ok("GET", "/users/current", by=name)
    assert found["id"] == netbird.names[f"uid:{name}"]
    modules = found["permissions"]["modules"]
    assert modules.keys() == set(MODULES)
    assert all(held.keys() == set(OPERATIONS) for held in modules.values())
    return {module: {operation for operation in OPERATIONS if held[operation]} for module, held in modules.items()}


EVERY, NONE, READ = set(OPERATIONS), set[str](), {"read"}


def test_everybody_is_told_what_he_may_do_in_each_module(netbird: NetBird) -> None:
    assert _held(netbird, "owner") == dict.fromkeys(MODULES, EVERY)
    assert _held(netbird, "admin") == dict.fromkeys(MODULES, EVERY) | {"accounts": READ}
    assert _held(netbird, "auditor") == dict.fromkeys(MODULES, READ)
    assert _held(netbird, "user") == _held(netbird, "billing_admin") == dict.fromkeys(MODULES, NONE)
    read = ("accounts", "settings", "users", "events", "groups", "peers", "setup_keys")
    some = dict.fromkeys(read, READ) | {"pats": EVERY}
    assert _held(netbird, "network_admin") == dict.fromkeys(MODULES, NONE) | some


@pytest.mark.parametrize("blocked", (True, False))
def test_a_view_is_restricted_where_the_account_says_so(netbird: NetBird, *, blocked: bool) -> None:
    netbird.patch(regular_users_view_blocked=blocked)
    for name in ("owner", "admin", "network_admin", "auditor", "user", "billing_admin"):
        restricted = netbird.ok("GET", "/users/current", by=name)["permissions"]["is_restricted"]
        assert restricted is (blocked and name in ("user", "billing_admin"))


# -- Service users ------------------------------------------------------------


def test_a_service_user_is_nobodys(netbird: NetBird) -> None:
    found = netbird.ok("POST", "/users", MAKING | {"role": "Auditor", "email": "x@test.com"})
    assert str(uuid.UUID(found.pop("id"))).count("-") == 4
    assert found == {
        "email": "",
        "name": "ci",
        "role": "auditor",
        "status": "active",
        "auto_groups": [],
        "is_current": False,
        "is_service_user": True,
        "is_blocked": False,
        "pending_approval": False,
        "issued": "api",
        "last_login": "0001-01-01T00:00:00Z",
    }


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("body", "status", "message"),
    (
        (MAKING | {"role": "Root"}, 422, "unknown user role root"),
        ({"is_service_user": True}, 422, "unknown user role "),
        (MAKING | {"role": "owner"}, 422, "can't create a service user with owner role"),
        (MAKING | {"role": "OWNER"}, 422, "can't create a service user with owner role"),
        (MAKING | {"name": "x" * 256}, 422, "name has more than 255 characters"),
        (MAKING | {"name": "x\u2028y"}, 422, "name is no line of text"),
        (MAKING | {"auto_groups": ["x" * 256]}, 422, "auto_groups.0 has more than 255 characters"),
        (MAKING | {"name": "x" * 256, "role": "x"}, 422, "unknown user role x; name has more than 255 characters"),
        (MAKING | {"is_service_user": False}, 412, "idp manager must be enabled to send user invites"),
        ({"role": "user", "email": "x@test.com"}, 412, "idp manager must be enabled to send user invites"),
        (MAKING | {"role": 7}, 400, "couldn't parse JSON request"),
        ([], 400, "couldn't parse JSON request"),
    ),
)
def test_who_cannot_be_made_is_told(netbird: NetBird, body: Any, status: int, message: str) -> None:
    assert netbird.refused(status, "POST", "/users", body) == message
    assert len(netbird.ok("GET", "/users")) == 10


@pytest.mark.parametrize("more", ({"name": ""}, {"name": None}, {"auto_groups": None}, {"name": "x" * 255}))
def test_a_service_user_needs_no_more_than_a_role(netbird: NetBird, more: dict[str, Any]) -> None:
    netbird.ok("POST", "/users", MAKING | more)


def test_several_service_users_may_have_one_name(netbird: NetBird) -> None:
    assert netbird.ok("POST", "/users", MAKING)["id"] != netbird.ok("POST", "/users", MAKING)["id"]


# -- Changes ------------------------------------------------------------------


@pytest.mark.any_database
@pytest.mark.parametrize("role", ("admin", "network_admin", "auditor", "user", "billing_admin", "AUDITOR"))
@pytest.mark.parametrize("name", ("user", "svc_user"))
def test_a_role_is_given_in_any_case(netbird: NetBird, role: str, name: str) -> None:
    found = netbird.ok("PUT", f"/users/{{uid:{name}}}", PERMITTED | {"role": role})
    assert found["role"] == role.lower()
    assert _user(netbird, name) == found | {"is_current": name == "svc_user"}


def test_a_role_that_was_taken_away_is_worth_nothing_at_once(netbird: NetBird) -> None:
    netbird.account("auditor")
    netbird.ok("PUT", "/users/{uid:auditor}", PERMITTED)
    netbird.refused(403, "GET", "/accounts", by="auditor")


def test_who_is_blocked_is_let_in_again(netbird: NetBird) -> None:
    netbird.ok("PUT", "/users/{uid:auditor}", PERMITTED | {"role": "auditor", "is_blocked": True})
    netbird.refused(403, "GET", "/accounts", by="auditor")
    netbird.ok("PUT", "/users/{uid:auditor}", {"role": "auditor", "auto_groups": []})
    netbird.account("auditor")


def test_who_is_let_in_is_approved(netbird: NetBird) -> None:
    still = netbird.ok("PUT", "/users/{uid:pending}", PERMITTED | {"is_blocked": True, "role": "auditor"})
    assert (still["pending_approval"], still["is_blocked"]) == (True, True)
    found = netbird.ok("PUT", "/users/{uid:pending}", PERMITTED)
    assert (found["pending_approval"], found["is_blocked"], found["status"]) == (False, False, "active")
    blocked = netbird.ok("PUT", "/users/{uid:pending}", PERMITTED | {"is_blocked": True})
    assert (blocked["pending_approval"], blocked["is_blocked"]) == (False, True)


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("body", "status", "message"),
    (
        ({"role": "user"}, 400, "auto_groups field can't be absent"),
        ({"role": "user", "auto_groups": None}, 400, "auto_groups field can't be absent"),
        (PERMITTED | {"role": "root"}, 422, "invalid user role"),
        ({"auto_groups": []}, 422, "invalid user role"),
        ({}, 400, "auto_groups field can't be absent; invalid user role"),
        (PERMITTED | {"is_blocked": "x"}, 400, "couldn't parse JSON request"),
    ),
)
def test_what_a_user_cannot_become_is_told(netbird: NetBird, body: Any, status: int, message: str) -> None:
    assert netbird.refused(status, "PUT", "/users/{uid:user}", body) == message


OWNERS = "only owners can assign or remove the owner role, and not for service users"


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("by", "name", "body", "message"),
    (
        ("admin", "admin", {"role": "admin", "is_blocked": True}, "admins can't block or unblock themselves"),
        ("owner", "owner", {"role": "owner", "is_blocked": True}, "admins can't block or unblock themselves"),
        ("admin", "admin", {"role": "user"}, "admins can't change their role"),
        ("admin", "admin", {"role": "owner"}, "admins can't change their role"),
        ("owner", "owner", {"role": "admin"}, "admins can't change their role"),
        ("svc_admin", "svc_admin", {"role": "user"}, "admins can't change their role"),
        ("admin", "user", {"role": "owner"}, OWNERS),
        ("admin", "owner", {"role": "admin"}, OWNERS),
        ("svc_admin", "user", {"role": "owner"}, OWNERS),
        ("owner", "svc_user", {"role": "owner"}, OWNERS),
        ("admin", "owner", {"role": "owner", "is_blocked": True}, "unable to block owner user"),
        ("owner", "user", {"role": "owner", "is_blocked": True}, "unable to block owner user"),
    ),
)
def test_what_is_never_done_to_a_user(netbird: NetBird, by: str, name: str, body: dict[str, Any], message: str) -> None:
    before = netbird.ok("GET", "/users")
    told = netbird.refused(403, "PUT", f"/users/{{uid:{name}}}", {"auto_groups": [], **body}, by=by)
    assert told == f"failed to process update for user {netbird.names[f'uid:{name}']}: {message}"
    assert netbird.ok("GET", "/users") == before
    assert netbird.events() == []


def test_who_gives_the_ownership_away_becomes_an_administrator(netbird: NetBird) -> None:
    assert netbird.ok("PUT", "/users/{uid:user}", PERMITTED | {"role": "owner"})["role"] == "owner"
    roles = {user["id"]: user["role"] for user in netbird.ok("GET", "/users")}
    assert [identifier for identifier, role in roles.items() if role == "owner"] == ["user-id"]
    assert roles["owner-id"] == "admin"
    netbird.refused(403, "DELETE", "/accounts/{A}")
    netbird.refused(403, "PUT", "/users/{uid:owner}", PERMITTED | {"role": "owner"})
    netbird.ok("DELETE", "/accounts/{A}", by="user")


# -- Deletions ----------------------------------------------------------------


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("by", "name", "status", "message"),
    (
        ("owner", "owner", 422, "self deletion is not allowed"),
        ("svc_admin", "svc_admin", 422, "self deletion is not allowed"),
        ("admin", "owner", 403, "can't delete a user with the owner role"),
        ("owner", "b_owner", 404, "user: b_owner-id not found"),
        ("user", "user", 403, "permission denied"),
    ),
)
def test_who_is_never_deleted(netbird: NetBird, by: str, name: str, status: int, message: str) -> None:
    assert netbird.refused(status, "DELETE", f"/users/{{uid:{name}}}", by=by) == message
    netbird.account(name if name != "user" else "owner")


def test_the_tokens_of_a_deleted_user_die_with_him(netbird: NetBird) -> None:
    netbird.ok("DELETE", "/users/{uid:auditor}", by="admin")
    assert netbird.refused(401, "GET", "/accounts", by="auditor") == "token invalid"
    assert netbird.refused(404, "DELETE", "/users/{uid:auditor}") == "user: auditor-id not found"


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("method", "path", "body"),
    (
        ("PUT", "/users/{uid:b_owner}", PERMITTED),
        ("PUT", "/users/None", PERMITTED),
        ("DELETE", "/users/None", None),
        ("POST", "/users/{uid:b_owner}/approve", None),
        ("DELETE", "/users/{uid:b_owner}/reject", None),
        ("POST", "/users/None/approve", None),
        ("DELETE", "/users/None/reject", None),
        ("GET", "/users/None/tokens", None),
        ("POST", "/users/None/tokens", {"name": "x", "expires_in": 1}),
        ("GET", "/users/None/tokens/{tid:b_svc}", None),
        ("DELETE", "/users/None/tokens/{tid:b_svc}", None),
    ),
)
def test_another_accounts_user_is_not_there(netbird: NetBird, method: str, path: str, body: Any) -> None:
    identifier = {"b_owner": "b_owner-id", "None": "none"}[path.split("/")[2].strip("{}").removeprefix("uid:")]
    assert netbird.refused(404, method, path, body) == f"user: {identifier} not found"


def test_user_who_moved_to_another_account_is_not_changed(netbird: NetBird, monkeypatch: pytest.MonkeyPatch) -> None:
    user = netbird.names["uid:user"]
    real = Session.lock

    def moved_before(session: Session, statement: Statement, **values: Value) -> None:
        # As another transaction that was committed before the lock was free.
        session.connection.execute(update(USER).where(USER.c.id == user).values(account_id=netbird.names["B"]))
        real(session, statement, **values)

    monkeypatch.setattr(Session, "lock", moved_before)
    for method, body in (("PUT", {"role": "admin", "auto_groups": [], "is_blocked": False}), ("DELETE", None)):
        assert netbird.refused(404, method, f"/users/{user}", body) == f"user: {user} not found"
