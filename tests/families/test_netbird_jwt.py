"""NetBird's log-ins by JWT over HTTP: who founds an account, who joins one, and whose token is worth nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from accounts_service.families.netbird.store.accounts import Account, Person
from accounts_service.families.netbird.store.arrivals import Arrivals
from accounts_service.families.netbird.store.users import User
from accounts_service.families.netbird.tables import ACCOUNT, EVENT, PRIMARY, USER
from accounts_service.faults import Json
from accounts_service.storage.audit import AUDIT_RECORD
from tests.support import personas, tokens
from tests.support.installation import Installation
from tests.support.netbird import TWO, NetBird
from tests.support.service import Answer, Service

ISSUER, NAMESPACE = "https://idp.example", "https://netbird.example"
FILE, KEYS = "netbird_jwt.yml", "idp.jwks.json"
OLD, NEW = tokens.elliptic(), tokens.elliptic("P-384")

# A public domain, and a private one that has no account yet; that of the fixture's A is private, too.
PUBLIC = {"wt_account_domain": "mail.example", "wt_account_domain_category": "public"}
FRESH = {"wt_account_domain": "fresh.example", "wt_account_domain_category": "private"}
OF_A = {"wt_account_domain": "test.com", "wt_account_domain_category": "private"}

PENDING, BLOCKED = "user is pending approval", "user is blocked"
ME = "/users/current"


def key_set(**keys: Any) -> str:
    return json.dumps({"keys": [tokens.jwk(key, kid=name) for name, key in keys.items()]})


FILES: dict[str, object] = {
    KEYS: key_set(old=OLD),
    FILE: {
        "signing": {"jwks_file": KEYS},
        "required_issuer": ISSUER,
        "required_audience": "netbird",
        "claims_namespace": NAMESPACE,
    },
}


def said(user: object = "alice", **claims: object) -> dict[str, object]:
    """Give what a token of a user says, NetBird's own claims in their namespace; a claim of None is left out."""
    named = {f"{NAMESPACE}/{name}" if name.startswith(("wt_", "nb_")) else name: one for name, one in claims.items()}
    return tokens.claims(**{"sub": user, "iss": ISSUER, "aud": "netbird", **named})


def jwt(user: object = "alice", **claims: object) -> str:
    return tokens.token(OLD, "ES256", said(user, **claims), kid="old")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def netbird(service: Service) -> NetBird:
    """Give NetBird with a provider whose tokens it takes."""
    service.configure(FILES)
    return NetBird(service)


def ask(netbird: NetBird, token: str, path: str = ME, method: str = "GET", body: Any = None) -> Answer:
    return netbird.ask(method, path, body, by=None, headers=bearer(token))


def let_in(netbird: NetBird, token: str, path: str = ME) -> Any:
    """Read something with a token that must be let in."""
    return netbird.ok("GET", path, by=None, headers=bearer(token))


def kept_out(netbird: NetBird, token: str, status: int = 401, message: str = "token invalid", path: str = ME) -> None:
    """Be sure of what somebody is told with a token that must not be let in."""
    assert netbird.refused(status, "GET", path, by=None, headers=bearer(token)) == message


def account_of(netbird: NetBird, token: str) -> Any:
    (account,) = let_in(netbird, token, "/accounts")
    return account


def listed(netbird: NetBird, user: str) -> Any:
    """Read a user of A as its administrators see him."""
    (found,) = (one for one in netbird.ok("GET", "/users") if one["id"] == user)
    return found


def stored(netbird: NetBird) -> list[list[str]]:
    """Read everybody and everything that a log-in could make or change."""
    with netbird.service.services.database.looking() as connection:
        tables = (ACCOUNT, PRIMARY, USER, EVENT, AUDIT_RECORD)
        return [sorted(str(row) for row in connection.execute(select(table))) for table in tables]


# -- Founding -----------------------------------------------------------------


def test_who_is_unknown_founds_an_account_and_owns_it(netbird: NetBird) -> None:
    me = let_in(netbird, jwt())
    assert [me[name] for name in ("id", "role", "status", "is_current")] == ["alice", "owner", "active", True]
    assert all(all(operations.values()) for operations in me["permissions"]["modules"].values())
    account = account_of(netbird, jwt())
    assert account["id"] not in {netbird.names["A"], netbird.names["B"]}
    assert account["created_by"] == "alice"
    assert account["onboarding"] == {"signup_form_pending": True, "onboarding_flow_pending": True}
    assert [user["id"] for user in let_in(netbird, jwt(), "/users")] == ["alice"]


def test_a_founded_account_begins_as_any_other(netbird: NetBird) -> None:
    founded, other = account_of(netbird, jwt())["settings"], netbird.settings("b_owner")
    drawn = dict.fromkeys(("network_range", "network_range_v6", "ipv6_enabled_groups"))
    assert founded | drawn == other | drawn


@pytest.mark.parametrize(
    ("claims", "domain", "category"),
    (
        ({}, "", ""),
        (PUBLIC, "mail.example", "public"),
        (FRESH | {"wt_account_domain": "Fresh.Example"}, "fresh.example", "private"),
    ),
)
def test_a_founded_account_has_the_domain_of_the_token(
    netbird: NetBird, claims: dict[str, object], domain: str, category: str
) -> None:
    account = account_of(netbird, jwt(**claims))
    assert (account["domain"], account["domain_category"]) == (domain, category)


def test_founding_is_told_as_done_by_the_founder(netbird: NetBird) -> None:
    token = jwt(name="Alice", email="alice@mail.example")
    account = account_of(netbird, token)["id"]
    joined, created = let_in(netbird, token, "/events/audit")
    assert [event["initiator_id"] for event in (joined, created)] == ["alice", "alice"]
    assert (created["activity_code"], created["target_id"]) == ("account.create", account)
    assert (joined["activity_code"], joined["target_id"]) == ("user.join", "alice")
    assert (joined["initiator_name"], joined["initiator_email"]) == ("Alice", "alice@mail.example")
    assert joined["meta"]["role"] == "owner"


def test_founding_is_recorded_as_the_founders(netbird: NetBird) -> None:
    before = len(netbird.service.audited())
    let_in(netbird, jwt())
    made = netbird.service.audited()[before:]
    assert [(row.realm, row.actor) for row in made] == [("netbird", "alice")] * 2


def test_the_next_log_in_makes_nothing(netbird: NetBird) -> None:
    let_in(netbird, jwt())
    before = stored(netbird)
    let_in(netbird, jwt())
    let_in(netbird, jwt(name="Another", email="another@mail.example", **FRESH))
    assert stored(netbird) == before


@pytest.mark.parametrize(
    "claims",
    (
        {},
        PUBLIC,
        {"wt_account_domain": "test.com"},
        OF_A | {"wt_account_domain_category": "public"},
        {"wt_account_domain": "mail.example", "wt_account_domain_category": "Private"},
        {"wt_account_domain_category": "private"},
    ),
    ids=str,
)
def test_without_a_private_domain_everybody_founds_his_own(netbird: NetBird, claims: dict[str, object]) -> None:
    accounts = {account_of(netbird, jwt(user, **claims))["id"] for user in ("alice", "bob", "carol")}
    assert len(accounts) == 3


@pytest.mark.parametrize("name", ("svc_admin", "b_svc"))
def test_a_service_user_is_nobody_who_logs_in_by_a_provider(netbird: NetBird, name: str) -> None:
    before = stored(netbird)
    kept_out(netbird, jwt(netbird.names[f"uid:{name}"]))
    kept_out(netbird, jwt(netbird.names[f"uid:{name}"], nb_last_login="2030-01-01T00:00:00Z"))
    assert stored(netbird) == before


def test_who_is_known_comes_in_as_he_is(netbird: NetBird) -> None:
    for name in ("owner", "auditor", "user"):
        assert let_in(netbird, jwt(f"{name}-id", **FRESH))["role"] == name
    before = stored(netbird)
    for name in ("owner", "auditor", "user"):
        assert let_in(netbird, jwt(f"{name}-id", **FRESH))["last_login"] != "0001-01-01T00:00:00Z"
    assert account_of(netbird, jwt("owner-id"))["id"] == netbird.names["A"]
    assert stored(netbird) == before


# -- Joining ------------------------------------------------------------------


@pytest.mark.parametrize("domain", ("test.com", "TEST.com"))
def test_of_a_private_domain_the_next_joins_and_waits_for_approval(netbird: NetBird, domain: str) -> None:
    token = jwt(**OF_A | {"wt_account_domain": domain})
    for path, message in ((ME, PENDING), ("/accounts", f"failed to validate user permissions: {PENDING}")):
        kept_out(netbird, token, 403, message, path)
    found = listed(netbird, "alice")
    shown = ("role", "status", "is_blocked", "pending_approval")
    assert [found[name] for name in shown] == ["user", "blocked", True, True]
    (joined,) = netbird.events()
    assert [joined[name] for name in ("activity_code", "initiator_id", "target_id")] == ["user.join", "alice", "alice"]
    assert joined["meta"]["role"] == "user"


def test_others_join_who_has_founded(netbird: NetBird) -> None:
    first, second = jwt("alice", **FRESH), jwt("bob", **FRESH)
    let_in(netbird, first)
    kept_out(netbird, second, 403, PENDING)
    users = let_in(netbird, first, "/users")
    assert {user["id"]: user["role"] for user in users} == {"alice": "owner", "bob": "user"}


def test_where_nobody_has_to_be_approved_the_next_is_in_at_once(netbird: NetBird) -> None:
    netbird.patch(extra={"user_approval_required": False})
    found = let_in(netbird, jwt(**OF_A))
    shown = ("role", "status", "is_blocked", "pending_approval")
    assert [found[name] for name in shown] == ["user", "active", False, False]


def test_who_is_called_like_an_administrator_of_the_service_is_none(netbird: NetBird) -> None:
    netbird.patch(extra={"user_approval_required": False})
    token = jwt(personas.NAMES[0], **OF_A)
    kept_out(netbird, token, 403, "permission denied", "/accounts")
    assert [user["id"] for user in let_in(netbird, token, "/users")] == [personas.NAMES[0]]
    for account in ("{A}", "{B}"):
        assert ask(netbird, token, f"/accounts/{account}", "PUT", {"settings": TWO}).status_code == 403


@pytest.mark.parametrize("role", ("user", "auditor"))
def test_who_is_approved_is_let_in(netbird: NetBird, role: str) -> None:
    token = jwt(**OF_A)
    kept_out(netbird, token, 403, PENDING)
    approved = netbird.ok("PUT", "/users/alice", {"role": role, "auto_groups": [], "is_blocked": False}, by="admin")
    assert (approved["status"], approved["pending_approval"]) == ("active", False)
    assert let_in(netbird, token)["role"] == role
    assert netbird.codes()[:2] == ["user.approve", "user.unblock"]


@pytest.mark.parametrize(
    ("claims", "name", "email"),
    (
        ({}, "", ""),
        ({"name": "Alice", "preferred_username": "ali", "email": "alice@test.com"}, "Alice", "alice@test.com"),
        ({"preferred_username": "ali"}, "ali", ""),
        ({"name": 7, "preferred_username": "ali", "email": ["alice@test.com"]}, "ali", ""),
    ),
)
def test_people_are_called_what_their_first_token_calls_them(
    netbird: NetBird, claims: dict[str, object], name: str, email: str
) -> None:
    kept_out(netbird, jwt(**OF_A, **claims), 403, PENDING)
    kept_out(netbird, jwt(**OF_A, name="Later", email="later@test.com"), 403, PENDING)
    found = listed(netbird, "alice")
    assert (found["name"], found["email"]) == (name, email)


# -- When he was there last ---------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "shown"),
    (
        ("2024-10-02T16:01:38.5Z", "2024-10-02T16:01:38.5Z"),
        ("2024-10-02T18:01:38.123456789+02:00", "2024-10-02T16:01:38.123456Z"),
        ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("0002-01-01T00:00:00Z", "0002-01-01T00:00:00Z"),
    ),
)
def test_when_somebody_has_logged_in_says_his_token(netbird: NetBird, claim: str, shown: str) -> None:
    assert let_in(netbird, jwt(nb_last_login=claim))["last_login"] == shown


def test_the_last_log_in_only_ever_moves_forward(netbird: NetBird) -> None:
    def shown(*, after: str | None) -> Any:
        return let_in(netbird, jwt(nb_last_login=after))["last_login"]

    assert shown(after="2024-10-02T16:01:38Z") == "2024-10-02T16:01:38Z"
    assert shown(after="2024-10-02T16:01:38.000001Z") == "2024-10-02T16:01:38.000001Z"
    for older in ("2024-10-02T16:01:38Z", "2024-10-02T16:01:38+05:00", "1900-01-01T00:00:00Z", "yesterday", None):
        assert shown(after=older) == "2024-10-02T16:01:38.000001Z"
    assert shown(after="2025-01-01T00:00:00Z") == "2025-01-01T00:00:00Z"


@pytest.mark.parametrize("claim", (None, "0001-01-01T00:00:00Z", "yesterday"))
def test_a_first_log_in_is_noted_where_the_token_says_nothing_of_it(netbird: NetBird, claim: str | None) -> None:
    token = jwt(nb_last_login=claim)
    noted = let_in(netbird, token)["last_login"]
    assert noted == account_of(netbird, token)["created_at"]
    assert let_in(netbird, token)["last_login"] == noted


def test_who_was_made_by_others_is_noted_as_well(netbird: NetBird) -> None:
    moment = "2024-10-02T16:01:38Z"
    assert let_in(netbird, jwt("user-id", nb_last_login=moment))["last_login"] == moment
    assert listed(netbird, "user-id")["last_login"] == moment
    assert netbird.events() == []


# -- To which account a token belongs -----------------------------------------


@pytest.mark.parametrize("user", ("owner-id", "user-id"))
def test_of_a_private_domain_a_token_is_for_the_account_that_it_names(netbird: NetBird, user: str) -> None:
    for account in (netbird.names["A"], "", None):
        let_in(netbird, jwt(user, wt_account_id=account))
    for account in (netbird.names["B"], netbird.names["A"].upper(), "nobodys"):
        kept_out(netbird, jwt(user, wt_account_id=account))


def test_who_joins_joins_the_account_that_his_token_names_or_none(netbird: NetBird) -> None:
    before = stored(netbird)
    kept_out(netbird, jwt(**OF_A, wt_account_id=netbird.names["B"]))
    kept_out(netbird, jwt(**FRESH, wt_account_id=netbird.names["A"]))
    assert stored(netbird) == before
    kept_out(netbird, jwt(**OF_A, wt_account_id=netbird.names["A"]), 403, PENDING)


@pytest.mark.parametrize("claims", ({}, PUBLIC))
def test_without_a_private_domain_the_account_that_a_token_names_matters_nothing(
    netbird: NetBird, claims: dict[str, object]
) -> None:
    token = jwt(**claims, wt_account_id=netbird.names["B"])
    account = account_of(netbird, token)["id"]
    assert account not in {netbird.names["A"], netbird.names["B"]}
    assert account_of(netbird, jwt(**claims))["id"] == account


# -- Groups -------------------------------------------------------------------


def allow(netbird: NetBird, *groups: str, enabled: bool = True) -> None:
    netbird.patch(jwt_groups_enabled=enabled, jwt_groups_claim_name="groups", jwt_allow_groups=[*groups])


def test_where_groups_are_asked_for_a_token_needs_one_of_them(netbird: NetBird) -> None:
    allow(netbird, "a", "b")
    enough: tuple[Json, ...] = ("a", ["a"], ["x", "b", 7, None])
    for claim in enough:
        let_in(netbird, jwt("user-id", groups=claim))
    not_enough: tuple[Json, ...] = (None, "", "x", "A", "a,b", [], ["x", "y"], [["a"]], {"a": "a"}, True)
    for claim in not_enough:
        kept_out(netbird, jwt("user-id", groups=claim))
    kept_out(netbird, jwt("user-id", roles="a"))


@pytest.mark.parametrize(("enabled", "groups"), ((False, ("a",)), (True, ()), (False, ())))
def test_groups_are_not_asked_for_where_none_are_wanted(
    netbird: NetBird, groups: tuple[str, ...], *, enabled: bool
) -> None:
    allow(netbird, *groups, enabled=enabled)
    assert let_in(netbird, jwt("user-id", groups="x"))["id"] == "user-id"


def test_groups_that_are_in_no_claim_are_nobodys(netbird: NetBird) -> None:
    netbird.patch(jwt_groups_enabled=True, jwt_groups_claim_name="", jwt_allow_groups=["a"])
    kept_out(netbird, jwt("user-id", groups="a"))


def test_groups_are_asked_for_again_at_each_request_and_of_the_owner_too(netbird: NetBird) -> None:
    token = jwt("owner-id", groups="a")
    let_in(netbird, token)
    allow(netbird, "b")
    kept_out(netbird, token)
    allow(netbird, "a")
    let_in(netbird, token)


def test_groups_of_one_account_are_not_asked_for_in_another(netbird: NetBird) -> None:
    allow(netbird, "a")
    let_in(netbird, jwt("b_owner-id"))


def test_personal_access_tokens_need_no_group(netbird: NetBird) -> None:
    allow(netbird, "a")
    for name in ("owner", "user"):
        kept_out(netbird, jwt(f"{name}-id"))
        assert netbird.ok("GET", ME, by=name)["id"] == f"{name}-id"
        as_bearer = bearer(netbird.names[f"pat:{name}"])
        assert netbird.ok("GET", ME, by=None, headers=as_bearer)["id"] == f"{name}-id"


def test_who_joins_needs_a_group_as_well(netbird: NetBird) -> None:
    allow(netbird, "a")
    before = stored(netbird)
    kept_out(netbird, jwt(**OF_A))
    kept_out(netbird, jwt(**OF_A, groups="x"))
    assert stored(netbird) == before
    kept_out(netbird, jwt(**OF_A, groups="a"), 403, PENDING)


def test_a_log_in_that_is_refused_is_not_noted(netbird: NetBird) -> None:
    allow(netbird, "a")
    before = stored(netbird)
    kept_out(netbird, jwt("user-id", nb_last_login="2024-10-02T16:01:38Z"))
    assert stored(netbird) == before


# -- Who is kept out ----------------------------------------------------------


def test_who_is_blocked_is_told_so(netbird: NetBird) -> None:
    let_in(netbird, jwt("user-id"))
    netbird.ok("PUT", "/users/user-id", {"role": "user", "auto_groups": [], "is_blocked": True})
    for user in ("user-id", "blocked-id"):
        for path, message in ((ME, BLOCKED), ("/accounts", f"failed to validate user permissions: {BLOCKED}")):
            kept_out(netbird, jwt(user), 403, message, path)
    netbird.ok("PUT", "/users/user-id", {"role": "user", "auto_groups": [], "is_blocked": False})
    let_in(netbird, jwt("user-id"))


def test_who_was_deleted_comes_again_as_if_he_were_new(netbird: NetBird) -> None:
    token = jwt("admin-id", **OF_A)
    assert let_in(netbird, token)["role"] == "admin"
    netbird.ok("DELETE", "/users/admin-id")
    kept_out(netbird, token, 403, PENDING)
    assert listed(netbird, "admin-id")["role"] == "user"
    netbird.ok("DELETE", "/users/admin-id")
    assert let_in(netbird, jwt("admin-id"))["role"] == "owner"
    assert account_of(netbird, jwt("admin-id"))["id"] != netbird.names["A"]


@pytest.mark.parametrize("claims", ({}, OF_A))
def test_whose_account_was_deleted_founds_a_new_one(netbird: NetBird, claims: dict[str, object]) -> None:
    token = jwt("owner-id", **claims)
    old = account_of(netbird, token)["id"]
    assert ask(netbird, token, f"/accounts/{old}", "DELETE").status_code == 200
    new = account_of(netbird, token)
    assert (new["id"] != old, new["created_by"]) == (True, "owner-id")
    assert [user["id"] for user in let_in(netbird, token, "/users")] == ["owner-id"]
    assert [event["activity_code"] for event in let_in(netbird, token, "/events")] == ["user.join", "account.create"]


GOOD = jwt()
BAD: dict[str, str] = {
    "alone": "Bearer",
    "empty": "Bearer ",
    "three parts": f"Bearer {GOOD} x",
    "two spaces": f"Bearer  {GOOD}",
    "twice": f"Bearer {GOOD}, Bearer {GOOD}",
    "after Token": f"Token {GOOD}",
    "no token": "Bearer a.b.c",
    "cut short": f"bearer {GOOD[:-6]}",
    "another signature": f"Bearer {GOOD[:-8]}AAAAAAAA",
    "another key": f"Bearer {tokens.token(NEW, 'ES384', said(), kid='old')}",
    "a key of another name": f"Bearer {tokens.token(OLD, 'ES256', said(), kid='new')}",
    "not signed": f"Bearer {tokens.encoded({'alg': 'none', 'kid': 'old'})}.{tokens.encoded(said())}.",
    "signed with what is public": (
        f"Bearer {tokens.forged({'alg': 'HS256', 'kid': 'old'}, said(), tokens.public_pem(OLD).encode())}"
    ),
    "another issuer": f"Bearer {jwt(iss='https://them.example')}",
    "no issuer": f"Bearer {jwt(iss=None)}",
    "another audience": f"Bearer {jwt(aud='them')}",
    "no audience": f"Bearer {jwt(aud=None)}",
    "expired": f"Bearer {jwt(exp=1)}",
    "not yet": f"Bearer {jwt(nbf=4_000_000_000)}",
    "issued later": f"Bearer {jwt(iat=4_000_000_000)}",
    "nobody": f"Bearer {jwt(None)}",
    "nobody in particular": f"Bearer {jwt('')}",
    "a number": f"Bearer {jwt(7)}",
    "a path": f"Bearer {jwt('a/b')}",
    "no account": f"Bearer {jwt(wt_account_id=7)}",
    "no domain": f"Bearer {jwt(wt_account_domain=['test.com'])}",
    "no category": f"Bearer {jwt(wt_account_domain_category=True)}",
}


def test_a_token_that_is_not_good_makes_nobody_and_is_not_logged(
    netbird: NetBird, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = stored(netbird)
    for name, header in BAD.items():
        with capture_logs() as logged:
            answer = netbird.ask("GET", ME, by=None, headers={"Authorization": header})
        assert (answer.status_code, answer.json) == (401, {"message": "token invalid", "code": 401}), name
        assert_not_shown(header, f"{answer.text}{answer.headers}{logged}{caplog.text}")
    assert stored(netbird) == before


def test_a_token_that_is_good_is_not_logged_either(netbird: NetBird, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for token in (GOOD, jwt("bob", **OF_A), jwt("blocked-id"), jwt("user-id", wt_account_id="another")):
        with capture_logs() as logged:
            answers = [ask(netbird, token), ask(netbird, token, "/events"), ask(netbird, token, "/nowhere")]
        told = "".join(f"{answer.text}{answer.headers}" for answer in answers)
        assert_not_shown(token, f"{told}{logged}{caplog.text}")
    assert_not_shown(GOOD, str(stored(netbird)))


def assert_not_shown(token: str, text: str) -> None:
    parts = [part for words in token.split() for part in words.split(".")]
    assert not [part for part in parts if len(part) > 10 and part in text]


@pytest.mark.parametrize("scheme", ("bearer", "BEARER"))
def test_the_scheme_is_written_in_any_case(netbird: NetBird, scheme: str) -> None:
    assert netbird.ok("GET", ME, by=None, headers={"Authorization": f"{scheme} {GOOD}"})["id"] == "alice"


def test_who_brings_no_token_is_told_so(netbird: NetBird) -> None:
    for headers in ({}, {"Authorization": "Basic x"}, {"Authorization": f"JWT {GOOD}"}, {"Authorization": GOOD}):
        told = netbird.refused(401, "GET", ME, by=None, headers=headers)
        assert told == "no valid authentication provided"


# -- Whose tokens are taken ---------------------------------------------------

DOMAIN = {
    "type": "jwt",
    "jwt": {"signing": {"jwks_file": KEYS}},
    "user_mapping": {"roles": {"static": "auditors"}, "attrs": {"from": {"netbird_account": "jwt.account"}}},
}


def test_without_the_file_a_token_is_for_the_domains(service: Service) -> None:
    netbird = NetBird(service)
    kept_out(netbird, GOOD)
    service.configure(
        {
            KEYS: FILES[KEYS],
            "sg_authc.yml": {"auth_domains": [DOMAIN]},
            "sg_roles_mapping.yml": {"NB_AUDITOR": {"backend_roles": ["auditors"]}},
        }
    )
    token = jwt(account=netbird.names["B"])
    before = stored(netbird)
    assert account_of(netbird, token)["id"] == netbird.names["B"]
    kept_out(netbird, jwt(exp=1))
    assert stored(netbird) == before
    # What is good for both is asked after by one alone.
    service.configure(FILES)
    assert account_of(netbird, token)["id"] not in {netbird.names["A"], netbird.names["B"]}
    kept_out(netbird, jwt(account=netbird.names["B"], iss="https://them.example"))


def test_when_the_file_goes_so_do_those_who_come_by_it(netbird: NetBird) -> None:
    let_in(netbird, GOOD)
    (netbird.service.installation.config_dir / FILE).unlink()
    netbird.service.configure({})
    kept_out(netbird, GOOD)
    netbird.ok("GET", ME)
    netbird.service.configure(FILES)
    let_in(netbird, GOOD)


def test_domains_and_personal_access_tokens_go_on_beside_the_file(netbird: NetBird) -> None:
    netbird.ok("GET", ME)
    answer = netbird.service.put(f"/api/accounts/{netbird.names['A']}", {"settings": TWO}, by="admin")
    assert answer.status_code == 200


def test_a_token_is_worth_nothing_in_other_families(netbird: NetBird) -> None:
    let_in(netbird, GOOD)
    before = stored(netbird)
    for path in ("/_signals/account/email/x", "/_searchguard/authinfo", "/api/v2/account", "/api/v2/apitoken"):
        for headers in (bearer(GOOD), {"X-AUTH-TOKEN": GOOD}):
            assert netbird.service.get(path, by=None, headers=headers).status_code == 401, path
    assert stored(netbird) == before


def test_keys_are_rotated_by_changing_their_file(netbird: NetBird) -> None:
    old, new = GOOD, tokens.token(NEW, "ES384", said(), kid="new")

    def statuses() -> list[int]:
        return [ask(netbird, token).status_code for token in (old, new)]

    assert statuses() == [200, 401]
    netbird.service.configure({KEYS: key_set(old=OLD, new=NEW)})
    assert statuses() == [200, 200]
    netbird.service.configure({KEYS: key_set(new=NEW)})
    assert statuses() == [401, 200]


def test_a_page_of_another_origin_may_change_with_a_token(netbird: NetBird) -> None:
    headers = bearer(jwt("owner-id")) | {"Origin": "https://dashboard.example", "Sec-Fetch-Site": "cross-site"}
    netbird.ok("PUT", "/accounts/{A}", {"settings": TWO}, by=None, headers=headers)


# -- Two at once --------------------------------------------------------------

Overtaken = Callable[[str], None]


def meanwhile(act: Callable[..., Any], *arguments: Any) -> None:
    """Do something in the middle of a request, and in another thread, for a thread has one request at a time."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(act, *arguments).result()


@pytest.fixture
def on_postgresql(tmp_path: Path, postgresql_url: str) -> Iterator[NetBird]:
    """Give NetBird on PostgreSQL; with SQLite one waits for the other before he looks."""
    service = Service(Installation(tmp_path / "installation", postgresql_url))
    service.configure(FILES)
    yield NetBird(service)
    service.close()


@pytest.fixture
def overtaken(on_postgresql: NetBird, monkeypatch: pytest.MonkeyPatch) -> Overtaken:
    """Give what lets somebody log in with a token while the next to log in has seen that he is new."""
    make = Arrivals.make
    rivals: list[str] = []

    def late(arrivals: Arrivals, domain: str, category: str, founder: Person) -> Account:
        if rivals:
            meanwhile(let_in, on_postgresql, rivals.pop())
        return make(arrivals, domain, category, founder)

    monkeypatch.setattr(Arrivals, "make", late)
    return rivals.append


def test_of_two_who_would_found_at_once_one_joins_the_other(on_postgresql: NetBird, overtaken: Overtaken) -> None:
    first, second = jwt("alice", **FRESH), jwt("bob", **FRESH)
    overtaken(first)
    kept_out(on_postgresql, second, 403, PENDING)
    users = let_in(on_postgresql, first, "/users")
    assert {user["id"]: user["role"] for user in users} == {"alice": "owner", "bob": "user"}


@pytest.mark.parametrize("claims", ({}, FRESH))
def test_who_comes_twice_at_once_is_made_once(
    on_postgresql: NetBird, overtaken: Overtaken, claims: dict[str, object]
) -> None:
    token = jwt(**claims)
    overtaken(token)
    assert let_in(on_postgresql, token)["role"] == "owner"
    events = let_in(on_postgresql, token, "/events")
    assert [event["activity_code"] for event in events] == ["user.join", "account.create"]
    with on_postgresql.service.services.database.looking() as connection:
        assert len(connection.execute(select(ACCOUNT)).all()) == 3


def when_looked_for(monkeypatch: pytest.MonkeyPatch, times: int, act: Callable[..., Any], *arguments: Any) -> None:
    """Do something when somebody who logs in has been looked for so often, before it is known what was found."""
    find, looks = Arrivals.find, iter(range(1, 10))

    def late(arrivals: Arrivals, user_id: str) -> User | None:
        user = find(arrivals, user_id)
        if next(looks) == times:
            meanwhile(act, *arguments)
        return user

    monkeypatch.setattr(Arrivals, "find", late)


def test_whose_account_is_deleted_as_he_comes_founds_a_new_one(
    netbird: NetBird, monkeypatch: pytest.MonkeyPatch
) -> None:
    when_looked_for(monkeypatch, 1, netbird.ok, "DELETE", "/accounts/{A}")
    found = account_of(netbird, jwt("admin-id"))
    assert (found["created_by"], found["id"] != netbird.names["A"]) == ("admin-id", True)


def test_whose_account_is_deleted_as_his_log_in_is_noted_founds_a_new_one(
    on_postgresql: NetBird, monkeypatch: pytest.MonkeyPatch
) -> None:
    when_looked_for(monkeypatch, 2, on_postgresql.ok, "DELETE", "/accounts/{A}")
    found = account_of(on_postgresql, jwt("admin-id", nb_last_login="2024-10-02T16:01:38Z"))
    assert (found["created_by"], found["id"] != on_postgresql.names["A"]) == ("admin-id", True)


def test_of_two_log_ins_at_once_the_later_one_is_the_last(netbird: NetBird, monkeypatch: pytest.MonkeyPatch) -> None:
    later = jwt("user-id", nb_last_login="2025-01-01T00:00:00Z")
    when_looked_for(monkeypatch, 1, let_in, netbird, later)
    assert let_in(netbird, jwt("user-id", nb_last_login="2024-10-02T16:01:38Z"))["last_login"] == "2025-01-01T00:00:00Z"
