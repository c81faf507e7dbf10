"""What NetBird keeps nobody waiting for, and what it gives nobody by mistake."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from accounts_service.access.privileges import Grant
from accounts_service.families.netbird.schemas.users import UserWish
from accounts_service.families.netbird.store import tokens, users
from accounts_service.families.netbird.store.accounts import Accounts
from tests.support import personas
from tests.support.netbird import ROOT, TWO, NetBird, filled, token_header
from tests.support.service import Answer, Service

ACCOUNT = "/accounts/{A}"
NOWHERE = "failed to validate user permissions: user is not part of this account"
SERVICE: dict[str, Any] = {"role": "user", "auto_groups": [], "is_service_user": True}


@pytest.fixture
def netbird(service: Service) -> NetBird:
    return NetBird(service)


def _bound(netbird: NetBird, name: str, role: str, account: str = "{A}") -> None:
    """Make somebody who comes by a password, with a role, in an account."""
    attributes = {"netbird_account": filled(account, netbird.names)}
    files: dict[str, object] = {
        "sg_internal_users.yml": {name: {"hash": personas.hash_of(name), "attributes": attributes}},
        "sg_roles_mapping.yml": {role: {"users": [name]}},
    }
    netbird.service.configure(files)


def _by(netbird: NetBird, name: str, method: str, path: str, **options: Any) -> Answer:
    return netbird.service.ask(
        method, filled(ROOT + path, netbird.names), by=None, headers=personas.authorization(name), **options
    )


# -- Who is called like somebody else ------------------------------------------


@pytest.mark.parametrize("name", ("owner-id", "b_owner-id"))
def test_who_is_called_like_a_user_is_not_he(netbird: NetBird, name: str) -> None:
    _bound(netbird, name, "NB_ADMIN")
    assert _by(netbird, name, "GET", "/users/current").status_code == 403
    assert not any(user["is_current"] for user in _by(netbird, name, "GET", "/users").json)
    assert _by(netbird, name, "PUT", ACCOUNT, json={"settings": TWO}).status_code == 200
    assert {(event["initiator_id"], event["initiator_name"]) for event in netbird.events()} == {("", name)}
    made = _by(netbird, name, "POST", "/users/{uid:svc_user}/tokens", json={"name": "x", "expires_in": 1})
    assert made.json["personal_access_token"]["created_by"] == ""
    assert _by(netbird, name, "GET", "/users/{uid:owner}/tokens").status_code == 403


def test_who_is_called_like_a_user_without_more_sees_nobody(netbird: NetBird) -> None:
    _bound(netbird, "owner-id", "NB_USER")
    assert _by(netbird, "owner-id", "GET", "/users").json == []
    assert _by(netbird, "owner-id", "GET", "/users/current").status_code == 403


# -- What is gone ----------------------------------------------------------------


def test_of_an_account_that_is_gone_nothing_is_told(netbird: NetBird) -> None:
    _bound(netbird, "carol", "NB_OWNER")
    netbird.ok("DELETE", ACCOUNT)
    for method, path, body in (
        ("GET", "/accounts", None),
        ("GET", "/events", None),
        ("GET", "/events/audit", None),
        ("GET", "/users", None),
        ("GET", "/groups", None),
        ("GET", "/groups/x", None),
        ("GET", "/peers", None),
        ("GET", "/peers/x", None),
        ("GET", "/setup-keys", None),
        ("GET", "/setup-keys/x", None),
        ("POST", "/users", SERVICE),
        ("PUT", ACCOUNT, {"settings": TWO}),
        ("DELETE", ACCOUNT, None),
    ):
        answer = _by(netbird, "carol", method, path, json=body)
        assert (answer.status_code, answer.json["message"]) == (403, NOWHERE), (method, path)


def test_a_condition_holds_for_the_end_of_an_account_too(netbird: NetBird) -> None:
    tag = netbird.ask("GET", "/accounts").headers["ETag"]
    netbird.patch(dns_domain="x.example")
    for headers in ({"If-Match": tag}, {"If-Match": '"999"'}, {"If-None-Match": "*"}):
        assert netbird.refused(412, "DELETE", ACCOUNT, headers=headers)
    tag = netbird.ask("GET", "/accounts").headers["ETag"]
    assert netbird.ok("DELETE", ACCOUNT, headers={"If-Match": tag}) == {}
    assert netbird.ask("GET", "/accounts").status_code == 401


def test_who_has_given_an_account_away_while_he_ends_it_does_not(
    netbird: NetBird, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = Accounts.delete

    def late(accounts: Accounts, grant: Grant, *arguments: Any) -> None:
        # As if it had happened between the gate and the transaction.
        owner = users.Caller("owner-id", administrator=True, owner=True)
        users.Users(accounts._session).change(
            grant, "user-id", UserWish("owner", (), blocked=False), owner, *arguments[1:]
        )
        delete(accounts, grant, *arguments)

    monkeypatch.setattr(Accounts, "delete", late)
    assert netbird.refused(403, "DELETE", ACCOUNT).startswith("user is not allowed to delete account")
    assert netbird.ok("GET", "/users/current")["role"] == "owner"


# -- Who may not is told nothing of the body --------------------------------------


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("method", "body"), (("PUT", b"[1]"), ("PUT", b""), ("PATCH", b"{}"), ("PATCH", b'{"settings": 7}'))
)
def test_of_no_account_nothing_is_told_about_the_body(netbird: NetBird, method: str, body: bytes) -> None:
    path = f"{ROOT}/accounts/nonesuch"
    answer = netbird.service.ask(method, path, by="admin", data=body, headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json["message"]) == (403, NOWHERE)


@pytest.mark.any_database
@pytest.mark.parametrize("body", (b"[1]", b"", b"{}", b'{"name": "", "expires_in": 0}'))
def test_whose_token_it_would_be_is_asked_before_what_it_would_be(netbird: NetBird, body: bytes) -> None:
    def told(user: str) -> int:
        return netbird.ask("POST", f"/users/{user}/tokens", data=body).status_code

    assert (told("{uid:user}"), told("nonesuch"), told("{uid:b_svc}")) == (403, 404, 403)
    assert netbird.ask("PUT", "/users/nonesuch", data=body).status_code == 404
    assert netbird.ask("PUT", "/users/{uid:b_svc}", data=body).status_code == 404


# -- How much there may be ---------------------------------------------------------


def test_a_user_has_so_many_tokens_at_most(netbird: NetBird, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_TOKENS", 3)
    path, order = "/users/{uid:owner}/tokens", {"name": "x", "expires_in": 1}
    there = len(netbird.ok("GET", path))
    made = [netbird.ask("POST", path, order).status_code for _ in range(4 - there)]
    assert made == [200] * (3 - there) + [422]
    assert netbird.refused(422, "POST", path, order) == "a user has at most 3 tokens"
    assert netbird.ok("POST", "/users/{uid:svc_user}/tokens", order)
    netbird.ok("DELETE", path + "/" + netbird.ok("GET", path)[-1]["id"])
    netbird.ok("POST", path, order)


def test_an_account_has_so_many_service_users_at_most(netbird: NetBird, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "MOST_SERVICE_USERS", 3)
    netbird.ok("POST", "/users", SERVICE)
    assert netbird.refused(422, "POST", "/users", SERVICE) == "an account has at most 3 service users"
    netbird.ok("DELETE", "/users/{uid:svc_user}")
    netbird.ok("POST", "/users", SERVICE)


# -- Tokens where none belong -------------------------------------------------------


def test_a_token_in_the_place_of_its_id_is_neither_logged_nor_given_back(netbird: NetBird) -> None:
    token = netbird.names["pat:owner"]
    with capture_logs() as logs:
        answers = [
            netbird.ask("DELETE", f"/users/{{uid:owner}}/tokens/{token}"),
            netbird.ask("GET", f"/users/{{uid:owner}}/tokens/{token}"),
            netbird.ask("PUT", f"/users/{token}", {"role": "user", "auto_groups": []}),
            netbird.ask("GET", f"/accounts/{token}"),
            netbird.service.ask("GET", f"/nowhere/{token}", by=None, headers=token_header(token)),
        ]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 405, 404]
    told = repr(logs) + "".join(answer.text for answer in answers)
    assert "<token>" in told
    assert token.lower() not in told.lower()


# -- Keys in several cases -----------------------------------------------------------


def test_of_a_key_in_several_cases_the_exact_one_counts_and_else_the_last(netbird: NetBird) -> None:
    def put(**more: Any) -> Any:
        return netbird.ok("PUT", ACCOUNT, more)["settings"]["peer_login_expiration"]

    first, last = {"peer_login_expiration": 3600}, {"peer_login_expiration": 7200}
    assert put(Settings=first, SETTINGS=last) == 7200
    assert put(settings=first, SETTINGS=last) == 3600
    assert put(SETTINGS=first, settings=last) == 7200
