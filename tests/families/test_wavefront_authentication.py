"""Who comes to Wavefront: with a token in one of four forms, or by a domain of sg_authc.yml."""

from __future__ import annotations

import http.client

import pytest

from accounts_service.access.snapshot import BadConfigurationError
from tests.support import personas
from tests.support.served import Served
from tests.support.service import Service
from tests.support.wavefront import (
    ADMIN,
    NOBODYS,
    PLAIN,
    ROOT,
    admin,
    admin_of,
    bearer,
    token_of,
    x_auth,
)
from tests.test_serve import on_every_worker

OWN = f"{ROOT}/apitoken"
ADMINISTRATORS = f"{ROOT}/account/user/admin"
ACCOUNTS = f"{ROOT}/account"


def status(service: Service, path: str, headers: dict[str, str], by: str | None = None) -> int:
    return service.get(path, by=by, headers=headers).status_code


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("header", "form"),
    (
        ("X-AUTH-TOKEN", "{}"),
        ("x-auth-token", "Bearer {}"),
        ("Authorization", "Bearer {}"),
        ("authorization", "bearer  {}"),
        ("Authorization", "{}"),
    ),
)
def test_a_token_comes_in_either_header_with_and_without_bearer(service: Service, header: str, form: str) -> None:
    token = token_of(service, PLAIN)
    assert status(service, OWN, {header: form.format(token)}) == 200
    assert status(service, OWN, {header: form.format(token.upper())}) == 200


def test_a_token_in_authorization_wins(service: Service) -> None:
    manager, plain = admin_of(service), token_of(service, PLAIN)
    assert status(service, ACCOUNTS, bearer(manager) | x_auth(plain)) == 200
    assert status(service, ACCOUNTS, bearer(plain) | x_auth(manager)) == 403
    assert status(service, ACCOUNTS, bearer(NOBODYS) | x_auth(manager)) == 401
    assert status(service, ACCOUNTS, bearer(manager) | x_auth(NOBODYS)) == 200


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("header", "form"),
    (
        ("X-AUTH-TOKEN", ""),
        ("X-AUTH-TOKEN", "nonsense"),
        ("X-AUTH-TOKEN", "{0},{0}"),
        ("X-AUTH-TOKEN", "{0}, {0}"),
        ("X-AUTH-TOKEN", "Basic {0}"),
        ("X-AUTH-TOKEN", "{0}0"),
        ("Authorization", "{0},{0}"),
        ("Authorization", "Bearer {0}, Bearer {0}"),
        ("Authorization", "Bearer {0} x"),
        ("Authorization", "Token {0}"),
        ("Authorization", "Bearer Bearer {0}"),
        ("Authorization", "Bearer"),
        ("Authorization", "Bearer " + NOBODYS),
    ),
)
def test_what_is_not_one_good_token_is_nobodys(service: Service, header: str, form: str) -> None:
    answer = service.get(OWN, by=None, headers={header: form.format(token_of(service, PLAIN))})
    assert answer.status_code == 401
    assert answer.json == {"status": {"result": "ERROR", "message": "Unauthorized", "code": 401}}
    assert answer.headers["WWW-Authenticate"]


def test_a_token_is_not_looked_for_in_the_query(service: Service) -> None:
    token = token_of(service, PLAIN)
    for name in ("token", "api_key", "X-AUTH-TOKEN"):
        assert status(service, f"{OWN}?{name}={token}", {}) == 401


def test_nobody_is_told_which_paths_there_are(service: Service) -> None:
    assert status(service, f"{ROOT}/nowhere", {}) == status(service, ACCOUNTS, {}) == 401


def test_repeated_headers_are_nobodys_on_the_wire_too(served: Served) -> None:
    token = token_of(served, PLAIN)
    for name, value in (("X-AUTH-TOKEN", token), ("Authorization", f"Bearer {token}")):
        assert served.ask("GET", OWN, by=None, headers=((name, value),)).status == 200
        assert served.ask("GET", OWN, by=None, headers=((name, value), (name, value))).status == 401


def test_what_was_revoked_or_deactivated_is_worthless_on_every_worker_at_once(served: Served) -> None:
    manager = bearer(admin_of(served))
    tokens = [token_of(served, "sa::first"), token_of(served, "sa::second"), token_of(served, PLAIN)]

    def statuses(token: str) -> set[int]:
        def ask(connection: http.client.HTTPConnection) -> int:
            connection.request("GET", ADMINISTRATORS, headers=bearer(token))
            response = connection.getresponse()
            response.read()
            return response.status

        return set(on_every_worker(served, ask).values())

    assert [statuses(token) for token in tokens] == [{200}, {200}, {200}]
    for method, path in (
        ("POST", "/account/serviceaccount/sa::first/deactivate"),
        ("DELETE", f"/apitoken/serviceaccount/sa::second/{tokens[1]}"),
        ("DELETE", f"/account/{PLAIN}"),
    ):
        assert served.ask(method, ROOT + path, by=None, headers=manager).status == 200
    assert [statuses(token) for token in tokens] == [{401}, {401}, {401}]
    assert (
        served.ask("POST", f"{ROOT}/account/serviceaccount/sa::first/activate", by=None, headers=manager).status == 200
    )
    assert statuses(tokens[0]) == {200}


# -- By a domain of sg_authc.yml ----------------------------------------------


def _configure(service: Service, roles: dict[str, list[str]], more: dict[str, object] | None = None) -> None:
    service.configure(
        {
            "sg_roles.yml": {name: {"cluster_permissions": held} for name, held in roles.items()},
            "sg_roles_mapping.yml": {name: {"users": [name], "backend_roles": [f"{name}s"]} for name in roles},
            **(more or {}),
        }
    )


def test_a_role_that_holds_the_action_group_of_a_permission_administers(service: Service) -> None:
    _configure(service, {"manager": ["WF_USER_MANAGEMENT"], "reader": ["WF_ALERTS_MANAGEMENT"]})
    assert status(service, ACCOUNTS, {}, by="manager") == 200
    assert service.ask("POST", f"{ROOT}/usergroup", json={"name": "g"}, by="manager").status_code == 200
    assert status(service, ACCOUNTS, {}, by="reader") == 403
    assert status(service, ACCOUNTS, {}, by="stranger") == 403


def test_a_proxy_may_say_who_administers(service: Service) -> None:
    authc = {
        "auth_domains": [
            {
                "type": "trusted_origin",
                "user_mapping.user_name.from": "request.headers.x-proxy-user",
                "user_mapping.roles.from_comma_separated_string": "request.headers.x-proxy-roles",
            }
        ],
        "network": {"trusted_proxies": "127.0.0.0/8"},
    }
    _configure(service, {"manager": ["WF_USER_MANAGEMENT"]}, {"sg_authc.yml": authc})
    assert status(service, ACCOUNTS, {"X-Proxy-User": "ann", "X-Proxy-Roles": "managers"}) == 200
    assert status(service, ACCOUNTS, {"X-Proxy-User": "ann", "X-Proxy-Roles": "others"}) == 403


def test_who_has_no_account_has_no_tokens_of_his_own(service: Service) -> None:
    for method, path in (
        ("GET", OWN),
        ("POST", OWN),
        ("PUT", f"{OWN}/{NOBODYS}"),
        ("DELETE", f"{OWN}/{NOBODYS}"),
    ):
        assert service.ask(method, path, by="admin").status_code == 403


# -- Realms do not mix --------------------------------------------------------


def test_a_native_token_is_worth_nothing_elsewhere(service: Service) -> None:
    token = admin_of(service)
    for headers in (bearer(token), x_auth(token)):
        for path in (
            "/_signals/account/email/default",
            "/_accounts/references/signals/email/x",
            "/_searchguard/authinfo",
        ):
            assert status(service, path, headers) == 401


def test_the_mappings_of_roles_do_not_mean_native_accounts(service: Service) -> None:
    token = token_of(service, PLAIN)
    service.configure({"sg_roles_mapping.yml": {"SGS_ALL_ACCESS": {"users": [PLAIN, "*"]}}})
    assert status(service, ACCOUNTS, bearer(token)) == 403


def test_a_role_of_the_configuration_does_not_take_the_name_of_a_permission(service: Service) -> None:
    token = token_of(service, PLAIN)
    names = ("WF_ACCOUNT", "WF_ALERTS_MANAGEMENT")
    with pytest.raises(BadConfigurationError):
        service.configure({"sg_roles.yml": {name: {"cluster_permissions": ["*"]} for name in names}})
    assert status(service, ACCOUNTS, bearer(token)) == 403


# -- At once ------------------------------------------------------------------


def test_what_is_permitted_by_a_role_or_a_group_counts_from_the_next_request_on(service: Service) -> None:
    manager, token = admin(service), token_of(service, PLAIN)
    role = manager.role("Managing", "user_management")
    group = manager.group("Managers")

    def may() -> bool:
        return status(service, ACCOUNTS, bearer(token)) == 200

    seen = [may()]
    for path, body in (
        (f"/account/{PLAIN}/addRoles", [role]),
        (f"/account/{PLAIN}/removeRoles", [role]),
        (f"/usergroup/{group}/addRoles", [role]),
        (f"/account/{PLAIN}/addUserGroups", [group]),
        ("/role/revoke/user_management", [role]),
        ("/role/grant/user_management", [role]),
        (f"/role/{role}/removeAssignees", [group]),
        (f"/role/{role}/addAssignees", [PLAIN]),
    ):
        manager.ok("POST", path, body)
        seen.append(may())
    manager.ok("DELETE", f"/role/{role}")
    seen.append(may())
    assert seen == [False, True, False, False, True, False, True, False, True, False]


def test_what_everyone_is_permitted_counts_for_every_user_and_no_service_account(service: Service) -> None:
    manager, user, service_account = admin(service), token_of(service, PLAIN), token_of(service, "sa::robot")
    role = manager.role("Managing", "user_management")
    manager.ok("POST", f"/usergroup/{manager.user(ADMIN)['userGroups'][0]['id']}/addRoles", [role])
    assert status(service, ACCOUNTS, bearer(user)) == 200
    assert status(service, ACCOUNTS, bearer(service_account)) == 403
    everybody = service.get(ADMINISTRATORS, by=None, headers=bearer(user)).json["response"]
    assert everybody == [ADMIN, PLAIN]


def test_personas_with_passwords_are_still_known(service: Service) -> None:
    assert status(service, ADMINISTRATORS, personas.authorization("admin")) == 200
    assert status(service, ADMINISTRATORS, personas.authorization("stranger")) == 403
