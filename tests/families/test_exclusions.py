"""An exclusion wins on every route of every family, and only the listed routes ask for no privilege."""

from __future__ import annotations

import re

import pytest

from accounts_service import app
from accounts_service.access.privileges import Open
from accounts_service.web.family import Body, Family, Route
from tests.support.personas import ROLES, configuration
from tests.support.service import Service
from tests.support.wavefront import PLAIN, Client, admin, token_of

# The routes that are open to every identity, each with the reason why it needs no privilege. What is public, without
# any identity, is listed in test_every_family.py.
OPEN_TO_EVERY_IDENTITY = {
    ("admin", "/_accounts/explain"): "explains the caller's own request; other callers need explain/get",
    ("mention", "/app/data"): "constant lists of words that accounts may use",
    ("netbird", "/instance/version"): "the version of this service",
    ("netbird", "/users/<user:user_id>/password"): "refuses everyone alike and looks nothing up",
    ("signals", "/_searchguard/authinfo"): "the caller's own name, roles and tenants",
    ("signals", "/_searchguard/permission"): "the caller's own permissions",
}
EVERYTHING_EXCLUDED = {"cluster_permissions": ["*"], "exclude_cluster_permissions": ["*"]}
ANONYMOUS = {
    "auth_domains": [
        {"type": "basic/internal_users_db"},
        {"type": "anonymous", "user_mapping.user_name.static": "anon"},
    ]
}

_ARGUMENTS = {
    "uid": "0123456789abcdef0123456789abcdef",
    "version": "1",
    "account_type": "slack",
    "file": "x",
    "family": "signals",
}


def path_of(family: Family, route: Route, service: Service) -> str:
    """Return the first path of a route, with values for its arguments."""
    rule = family.paths(route, service.services.settings)[0]
    return re.sub(r"<(?:[^<>:]*:)?([^<>]+)>", lambda match: _ARGUMENTS.get(match[1], "x"), rule)


def answers_without_privilege(service: Service, by: str | None) -> dict[tuple[str, str, str], int]:
    """Ask every route that states a privilege, and return the statuses that are neither 401 nor 403."""
    found: dict[tuple[str, str, str], int] = {}
    service.is_described = False  # One request per route, each refused before its view.
    for family in app.FAMILIES.values():
        for route in family.routes:
            if isinstance(route.requirement, Open):
                continue
            for method in route.methods:
                body: dict[str, str] | None = None if route.body in (Body.NONE, Body.FORM) else {}
                status = service.ask(method, path_of(family, route, service), by=by, json=body).status_code
                if status not in (401, 403):
                    found[family.name, method, route.rule] = status
    return found


def test_only_listed_routes_are_open_to_every_identity() -> None:
    open_routes = {
        (family.name, route.rule)
        for family in app.FAMILIES.values()
        for route in family.routes
        if route.requirement is Open.ANY_IDENTITY
    }
    assert open_routes == OPEN_TO_EVERY_IDENTITY.keys()


@pytest.mark.any_database
def test_an_exclusion_of_everything_wins_on_every_route(service: Service) -> None:
    files = configuration()
    service.configure(
        {
            "sg_roles.yml": {**ROLES, "excluded": EVERYTHING_EXCLUDED},
            # Every other role of the caller allows something, so only the exclusion refuses.
            "sg_roles_mapping.yml": {
                **files["sg_roles_mapping.yml"],  # type: ignore[dict-item]
                "manager": {"users": ["excluded"]},
            },
        }
    )
    assert answers_without_privilege(service, "excluded") == {}


@pytest.mark.any_database
def test_an_anonymous_caller_gets_past_no_privilege(service: Service) -> None:
    service.configure({"sg_authc.yml": ANONYMOUS})
    assert service.get("/_searchguard/permission?permissions=x", by=None).status_code == 200
    assert answers_without_privilege(service, None) == {}


def test_administrators_are_listed_for_wavefront_accounts_only(service: Service) -> None:
    """Neither an anonymous nor an excluded caller enumerates users; accounts and granted roles do."""
    admin(service)
    service.configure(
        {
            "sg_authc.yml": ANONYMOUS,
            "sg_roles.yml": {
                **ROLES,
                "excluded": EVERYTHING_EXCLUDED,
                "reader": {"cluster_permissions": ["WF_ACCOUNT"]},
            },
        }
    )
    asked = (
        ("GET", "/account/user/admin", None),
        ("POST", "/account/validateAccounts", [PLAIN]),
        ("POST", "/user/validateUsers", [PLAIN]),
    )
    account = Client(service, token_of(service, PLAIN))
    for method, path, body in asked:
        for who in (None, "excluded", "stranger"):
            assert service.ask(method, f"/api/v2{path}", by=who, json=body).status_code == 403, (path, who)
        assert service.ask(method, f"/api/v2{path}", by="reader", json=body).status_code == 200, path
        account.ok(method, path, body)
