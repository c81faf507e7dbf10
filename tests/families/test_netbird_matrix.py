# ruff: noqa: E501  # A table.
"""Who may do what in NetBird, by hand: every caller against every act, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tests.support import personas
from tests.support.netbird import ROOT, TWO, NetBird, filled, token_header
from tests.support.service import Answer, Service
from tests.support.wavefront import token_of

# The columns, in the order in which they are asked; what deletes comes last. `own`: the caller's own tokens,
# `service`: those of a service user, `human`: those of another person.
ACTS: dict[str, tuple[str, str, object]] = {
    "accounts": ("GET", "/accounts", None),
    "put": ("PUT", "/accounts/{A}", {"settings": TWO}),
    "patch": ("PATCH", "/accounts/{A}", {"settings": {"dns_domain": "x.example"}}),
    "events": ("GET", "/events", None),
    "audit": ("GET", "/events/audit", None),
    "users": ("GET", "/users", None),
    "current": ("GET", "/users/current", None),
    "make": ("POST", "/users", {"role": "user", "is_service_user": True, "name": "x", "auto_groups": []}),
    "change": ("PUT", "/users/{uid:spare}", {"role": "auditor", "auto_groups": [], "is_blocked": False}),
    **{
        f"{whose}-{act}": (method, f"/users/{{uid:{name}}}/tokens{tail}", body)
        for whose, name in (("own", "caller"), ("service", "spare_service"), ("human", "spare"))
        for act, method, tail, body in (
            ("list", "GET", "", None),
            ("make", "POST", "", {"name": "x", "expires_in": 1}),
            ("get", "GET", f"/{{tid:{name}}}", None),
            ("delete", "DELETE", f"/{{tid:{name}}}", None),
        )
    },
    "remove": ("DELETE", "/users/{uid:spare}", None),
    "delete": ("DELETE", "/accounts/{A}", None),
}

# Of four, tokens: list, make, get, delete.
TABLE = """
caller         accounts put patch events audit users current make change own(list make get delete) service(list make get delete) human(list make get delete) remove delete
owner               200 200   200    200   200   200     200  200    200      200  200 200    200          200  200 200    200        403  403 403    403    200    200
admin               200 200   200    200   200   200     200  200    200      200  200 200    200          200  200 200    200        403  403 403    403    200    403
network_admin       200 403   403    200   200   200     200  403    403      200  200 200    200          403  403 403    403        403  403 403    403    403    403
auditor             200 403   403    200   200   200     200  403    403      200  403 200    403          403  403 403    403        403  403 403    403    403    403
user                403 403   403    403   403   200     200  403    403      403  403 403    403          403  403 403    403        403  403 403    403    403    403
billing_admin       403 403   403    403   403   200     200  403    403      403  403 403    403          403  403 403    403        403  403 403    403    403    403
svc_admin           200 200   200    200   200   200     403  200    200      200  200 200    200          200  200 200    200        403  403 403    403    200    403
svc_user            200 403   403    200   200   200     403  403    403      200  403 200    403          403  403 403    403        403  403 403    403    403    403
blocked             403 403   403    403   403   403     403  403    403      403  403 403    403          403  403 403    403        403  403 403    403    403    403
pending             403 403   403    403   403   403     403  403    403      403  403 403    403          403  403 403    403        403  403 403    403    403    403
b_owner             200 403   403    200   200   200     200  200    404      200  200 200    200          403  403 403    403        403  403 403    403    404    403
expired             401 401   401    401   401   401     401  401    401      401  401 401    401          401  401 401    401        401  401 401    401    401    401
nobody              401 401   401    401   401   401     401  401    401      401  401 401    401          401  401 401    401        401  401 401    401    401    401
wavefront           401 401   401    401   401   401     401  401    401      401  401 401    401          401  401 401    401        401  401 401    401    401    401
everything          403 200   200    403   403   403     403  403    200      404  404 404    404          200  200 200    200        403  403 403    403    200    200
nb_admin            403 200   200    403   403   403     403  403    200      404  404 404    404          200  200 200    200        403  403 403    403    200    403
nb_user             403 403   403    403   403   403     403  403    403      403  403 403    403          403  403 403    403        403  403 403    403    403    403
bound_admin         200 200   200    200   200   200     403  200    200      404  404 404    404          200  200 200    200        403  403 403    403    200    403
bound_everything    200 200   200    200   200   200     403  200    200      404  404 404    404          200  200 200    200        403  403 403    403    200    200
bound_user          403 403   403    403   403   200     403  403    403      403  403 403    403          403  403 403    403        403  403 403    403    403    403
bound_elsewhere     200 403   403    200   200   200     403  200    404      404  404 404    404          403  403 403    403        403  403 403    403    404    403
stranger            403 403   403    403   403   403     403  403    403      403  403 403    403          403  403 403    403        403  403 403    403    403    403
"""

# Who comes by a password: the role he is mapped to, and the account that his entry names.
_BASIC = {
    "everything": ("SGS_ALL_ACCESS", None),
    "nb_admin": ("NB_ADMIN", None),
    "nb_user": ("NB_USER", None),
    "bound_admin": ("NB_ADMIN", "{A}"),
    "bound_everything": ("SGS_ALL_ACCESS", "{A}"),
    "bound_user": ("NB_USER", "{A}"),
    "bound_elsewhere": ("NB_ADMIN", "{B}"),
    "stranger": (None, None),
}


def _rows() -> dict[str, dict[str, int]]:
    _, *rows = TABLE.strip().splitlines()
    return {
        caller: dict(zip(ACTS, map(int, statuses), strict=True)) for caller, *statuses in (row.split() for row in rows)
    }


ROWS = _rows()


def password_configuration(names: Mapping[str, str]) -> dict[str, object]:
    """Write the files in which those are known who come by a password."""
    users: dict[str, dict[str, object]] = {}
    mapping: dict[str, dict[str, list[str]]] = {}
    for name, (role, account) in _BASIC.items():
        users[name] = {"hash": personas.hash_of(name)}
        if account is not None:
            users[name]["attributes"] = {"netbird_account": filled(account, names)}
        if role is not None:
            mapping.setdefault(role, {"users": []})["users"].append(name)
    return {"sg_internal_users.yml": users, "sg_roles_mapping.yml": mapping}


@pytest.fixture
def netbird(service: Service) -> NetBird:
    netbird = NetBird(service)
    service.configure(password_configuration(netbird.names))
    netbird.join("spare")
    netbird.serve("spare_service")
    return netbird


def _way(netbird: NetBird, caller: str) -> Callable[[str, str, object], Answer]:
    names = netbird.names
    names["uid:caller"] = names.get(f"uid:{caller}", caller)
    names["tid:caller"] = netbird.token(caller) if f"uid:{caller}" in names else "none"
    headers = (
        personas.authorization(caller)
        if caller in _BASIC
        else {}
        if caller == "nobody"
        else {"Authorization": f"Bearer {token_of(netbird.service, 'admin@example.com', 'user_management')}"}
        if caller == "wavefront"
        else token_header(names[f"pat:{caller}"])
    )

    def ask(method: str, path: str, body: object) -> Answer:
        return netbird.service.ask(
            method, filled(ROOT + path, names), by=None, headers=headers, json=filled(body, names)
        )

    return ask


@pytest.mark.parametrize("caller", ROWS)
def test_every_caller_is_answered_as_the_table_says(netbird: NetBird, caller: str) -> None:
    ask = _way(netbird, caller)
    found = {act: ask(method, path, body).status_code for act, (method, path, body) in ACTS.items()}
    assert found == ROWS[caller]


@pytest.mark.parametrize("caller", [caller for caller, row in ROWS.items() if 403 in row.values()])
def test_a_refused_caller_changes_nothing_and_is_told_of_no_account(netbird: NetBird, caller: str) -> None:
    ask = _way(netbird, caller)
    before = netbird.account(), netbird.ok("GET", "/users"), netbird.events()
    for act, (method, path, body) in ACTS.items():
        if ROWS[caller][act] in (403, 404) and act != "current":
            told = ask(method, path, body)
            assert told.json.keys() == {"message", "code"}, act
            assert told.json["code"] == told.status_code
            assert told.json["message"] == told.json["message"].lower()
    assert (netbird.account(), netbird.ok("GET", "/users"), netbird.events()) == before


@pytest.mark.any_database
@pytest.mark.parametrize("caller", ("user", "network_admin", "b_owner", "blocked", "svc_user"))
@pytest.mark.parametrize("body", (b"", b"{", b'{"settings": 1}', b'{"settings": {"peer_login_expiration": 1}}'))
def test_who_may_not_is_told_nothing_about_his_body(netbird: NetBird, caller: str, body: bytes) -> None:
    for method, path in (("PUT", "/accounts/{A}"), ("PATCH", "/accounts/{A}")):
        answer = netbird.ask(method, path, by=caller, data=body, headers={"Content-Type": "text/plain"})
        assert answer.status_code == 403


def test_who_is_nobody_is_not_told_of_his_body_either(netbird: NetBird) -> None:
    assert netbird.refused(401, "PUT", "/accounts/{A}", by=None) == "no valid authentication provided"


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("caller", "method", "path", "message"),
    (
        ("user", "GET", "/accounts", "permission denied"),
        ("billing_admin", "GET", "/accounts", "permission denied"),
        ("auditor", "PUT", "/accounts/{A}", "permission denied"),
        (
            "admin",
            "DELETE",
            "/accounts/{A}",
            "user is not allowed to delete account. only account owner can delete account",
        ),
        ("blocked", "GET", "/accounts", "failed to validate user permissions: user is blocked"),
        ("pending", "GET", "/accounts", "failed to validate user permissions: user is pending approval"),
        ("blocked", "GET", "/users", "failed to validate user permissions: user is blocked"),
        ("blocked", "GET", "/users/current", "user is blocked"),
        ("pending", "GET", "/users/current", "user is pending approval"),
        ("svc_admin", "GET", "/users/current", "permission denied"),
        ("owner", "PUT", "/accounts/{B}", "failed to validate user permissions: user is not part of this account"),
        ("owner", "PATCH", "/accounts/{B}", "failed to validate user permissions: user is not part of this account"),
        ("owner", "DELETE", "/accounts/{B}", "failed to validate user permissions: user is not part of this account"),
        ("owner", "PUT", "/accounts/none", "failed to validate user permissions: user is not part of this account"),
        ("owner", "DELETE", "/accounts/none", "failed to validate user permissions: user is not part of this account"),
        ("user", "DELETE", "/accounts/{B}", "failed to validate user permissions: user is not part of this account"),
        ("auditor", "POST", "/users/{uid:auditor}/tokens", "permission denied"),
        ("owner", "GET", "/users/{uid:user}/tokens", "admin role required to perform this action"),
        ("network_admin", "GET", "/users/{uid:svc_user}/tokens", "admin role required to perform this action"),
    ),
)
def test_a_refusal_says_why(netbird: NetBird, caller: str, method: str, path: str, message: str) -> None:
    assert netbird.refused(403, method, path, by=caller) == message


@pytest.mark.parametrize("path", ("/accounts/{B}", "/accounts/none"))
def test_whether_another_account_is_there_is_not_told(netbird: NetBird, path: str) -> None:
    told = {(method, netbird.refused(403, method, path, by="admin")) for method in ("PUT", "PATCH", "DELETE")}
    assert {message for _, message in told} == {"failed to validate user permissions: user is not part of this account"}


def test_an_owner_by_the_engine_only_does_not_give_an_administrator_the_owners_rights(netbird: NetBird) -> None:
    giving = {"role": "owner", "auto_groups": [], "is_blocked": False}
    for caller, status in (("nb_admin", 403), ("bound_admin", 403), ("everything", 200)):
        answer = _way(netbird, caller)("PUT", "/users/{uid:spare}", giving)
        assert answer.status_code == status, caller
