"""Service accounts and API tokens."""

from __future__ import annotations

import time
from typing import Any

import pytest

from accounts_service.families.wavefront.store.directory import Token
from accounts_service.faults import RefusedError, Unavailable
from tests.support.service import Service
from tests.support.wavefront import (
    NOBODYS,
    PLAIN,
    SERVICE,
    SERVICE_ACCOUNTS,
    Client,
    admin,
    bearer,
    token_of,
)

ROBOT = "sa::robot"
REVEAL = "cluster:admin:wavefront:token/reveal"
PATH = f"/account/serviceaccount/{ROBOT}"
TOKENS = f"/apitoken/serviceaccount/{ROBOT}"


@pytest.fixture
def client(service: Service) -> Client:
    client = admin(service)
    client.ok("POST", "/account/serviceaccount", {"identifier": ROBOT, "description": "d", "groups": ["ingestion"]})
    return client


# -- Service accounts ---------------------------------------------------------


def test_a_service_account_is_written_in_full(client: Client) -> None:
    account = client.ok("GET", PATH)
    assert account.keys() == {
        "identifier", "active", "description", "groups", "userGroups", "roles", "tokens", "unitedRoles",
        "unitedPermissions",
    }  # fmt: skip
    assert (account["identifier"], account["active"], account["description"]) == (ROBOT, True, "d")
    assert (account["groups"], account["unitedPermissions"], account["tokens"]) == (["ingestion"], ["ingestion"], [])
    assert [one["id"] for one in account["userGroups"]] == [SERVICE_ACCOUNTS]
    assert client.ok("GET", "/account/serviceaccount") == [account]


@pytest.mark.parametrize(
    ("sent", "kept"),
    (("Other", "sa::other"), ("SA::Other", "sa::other"), ("sa::a@b", "sa::a@b"), ("sa::sa::x", "sa::sa::x")),
)
def test_its_identifier_begins_with_sa_and_is_in_lower_case(client: Client, sent: str, kept: str) -> None:
    assert client.ok("POST", "/account/serviceaccount", {"identifier": sent})["identifier"] == kept
    told = client.refused("POST", "/account/serviceaccount", {"identifier": kept.upper()})
    assert told == f"{kept} is already created in our system."
    assert client.ok("GET", f"/account/serviceaccount/{kept.upper()}")["identifier"] == kept


@pytest.mark.any_database
@pytest.mark.parametrize("identifier", ("", "sa::", "a b", "a/b", "x" * 251, 7, "a\u0000b"))
def test_an_identifier_fits_into_a_path(client: Client, identifier: Any) -> None:
    told = client.refused("POST", "/account/serviceaccount", {"identifier": identifier})
    assert told in ("identifier must be an identifier", "Invalid JSON: a text holds a NUL character")


def test_a_user_is_no_service_account_and_the_reverse(client: Client) -> None:
    client.user(PLAIN)
    for method, path in (
        ("GET", f"/account/serviceaccount/{PLAIN}"),
        ("PUT", f"/account/serviceaccount/{PLAIN}"),
        ("POST", f"/account/serviceaccount/{PLAIN}/deactivate"),
        ("GET", f"/apitoken/serviceaccount/{PLAIN}"),
        ("POST", f"/apitoken/serviceaccount/{PLAIN}"),
        ("GET", f"/account/user/{ROBOT}"),
        ("GET", f"/user/{ROBOT}"),
        ("DELETE", f"/user/{ROBOT}"),
        ("GET", "/account/serviceaccount/sa::nobody"),
    ):
        client.refused(method, path, status=404)


def test_a_service_account_is_not_read_as_a_user_by_itself_either(client: Client) -> None:
    itself = Client(client.service, token_of(client.service, ROBOT))
    itself.ok("GET", f"/account/{ROBOT}")
    itself.refused("GET", f"/account/user/{ROBOT}", status=404)


@pytest.mark.any_database
@pytest.mark.parametrize("tokens", (None, [], ["x"], [{"tokenID": "x"}]))
def test_tokens_in_a_body_are_not_looked_at(client: Client, tokens: Any) -> None:
    body = {"identifier": "other", "tokens": tokens}
    assert client.ok("POST", "/account/serviceaccount", body)["tokens"] == []
    assert client.ok("PUT", "/account/serviceaccount/sa::other", body)["tokens"] == []


def test_what_get_gave_can_be_put_back(client: Client) -> None:
    account = client.ok("GET", PATH)
    sent = {**account, "userGroups": [one["id"] for one in account["userGroups"]], "roles": []}
    assert client.ok("PUT", PATH, sent) == account


def test_unknown_ids_are_told_in_the_status(client: Client) -> None:
    answer = client.ask("PUT", PATH, {"roles": ["x"], "userGroups": ["y"]})
    message = "Invalid user groups found and ignored [y], Invalid roles found and ignored [x]"
    assert answer.json["status"] == {"result": "OK", "message": message, "code": 202}
    assert answer.status_code == 202


def test_it_never_holds_token_management(client: Client) -> None:
    told = "A service account cannot hold the permission: token_management"
    held = ["token_management"]
    assert client.refused("POST", f"/account/{ROBOT}/grant/token_management") == told
    assert client.refused("PUT", PATH, {"groups": held}) == told
    assert client.refused("POST", "/account/serviceaccount", {"identifier": "other", "groups": held}) == told
    client.user(PLAIN)
    assert client.refused("POST", "/account/grant/token_management", [PLAIN, ROBOT]) == told
    assert client.ok("GET", f"/account/{PLAIN}")["groups"] == []
    role = client.role("R", "token_management", "log_management")
    client.ok("POST", f"/account/{ROBOT}/addRoles", [role])
    account = client.ok("GET", PATH)
    assert (account["unitedRoles"], account["unitedPermissions"]) == ([role], ["ingestion", "log_management"])
    assert Client(client.service, token_of(client.service, ROBOT)).ask("POST", "/apitoken").status_code == 403


@pytest.mark.parametrize("way", ("directly", "by a role", "by a group"))
def test_its_user_management_leads_to_no_token(client: Client, way: str) -> None:
    """A service account neither makes tokens, for itself or others, nor reads those of others."""
    others = client.ok("POST", "/account/serviceaccount", {"identifier": "sa::other"})["identifier"]
    of_other = f"/apitoken/serviceaccount/{others}"
    first, second = (client.ok("POST", of_other)[-1]["tokenID"] for _ in range(2))
    if way == "directly":
        client.ok("POST", f"/account/{ROBOT}/grant/user_management")
    else:
        role = client.role("R", "user_management")
        holder = f"/account/{ROBOT}" if way == "by a role" else f"/usergroup/{SERVICE_ACCOUNTS}"
        client.ok("POST", f"{holder}/addRoles", [role])
    robot = Client(client.service, token_of(client.service, ROBOT))
    robot.ok("GET", "/account")
    for method, path, body in (
        ("POST", TOKENS, {"tokenName": "mine"}),
        ("POST", of_other, {}),
        ("POST", "/apitoken", None),
        ("GET", of_other, None),
        ("GET", TOKENS, None),
        ("GET", "/apitoken/customertokens", None),
        ("GET", f"/apitoken/customertokens/{first}", None),
        ("POST", "/search/token", {}),
        ("POST", "/search/token/facets", {"facets": ["name"]}),
    ):
        robot.refused(method, path, body, 403)
    shown = [
        robot.ok("GET", "/account/serviceaccount"),
        robot.ok("GET", f"/account/serviceaccount/{others}"),
        robot.ok("POST", f"/account/serviceaccount/{others}/activate"),
        robot.ok("POST", "/search/serviceaccount", {}),
        robot.ok("DELETE", f"{of_other}/{first}"),
    ]
    assert second not in str(shown)
    assert [one["tokenID"] for one in client.ok("GET", of_other)] == [second]


def test_an_inactive_one_says_so_and_its_tokens_too(client: Client) -> None:
    token = token_of(client.service, ROBOT)
    assert client.ok("GET", TOKENS)[0]["accountType"] == "SERVICE_ACCOUNT"
    assert client.ok("POST", f"{PATH}/deactivate")["active"] is False
    assert client.ok("GET", TOKENS)[0]["accountType"] == "INACTIVE_SERVICE_ACCOUNT"
    assert client.service.get(f"{SERVICE}", by=None, headers=bearer(token)).status_code == 401
    assert client.ok("PUT", PATH, {"description": "still"})["active"] is False
    assert client.ok("PUT", PATH, {"active": True})["active"] is True
    assert client.ok("POST", "/account/serviceaccount", {"identifier": "other", "active": False})["active"] is False


def test_what_it_can_do_is_less_than_what_users_can(client: Client) -> None:
    client.user(PLAIN, groups=["token_management"])
    assert client.ok("GET", f"/account/{ROBOT}/businessFunctions") == ["GET_TOKENS", "REVOKE_TOKEN", "METRIC_INGESTION"]
    of_user = client.ok("GET", f"/account/{PLAIN}/businessFunctions")
    assert {"LOGIN", "CREATE_TOKEN", "VIEW_ALERTS"} <= set(of_user)
    assert "ADMINISTER_ALL_TOKENS" not in of_user


# -- Tokens -------------------------------------------------------------------


def test_a_new_token_is_the_last_of_all(client: Client) -> None:
    first = client.ok("POST", TOKENS, {"tokenName": "one"})
    second = client.ok("POST", TOKENS, {})
    assert second[0] == first[0]
    assert (second[0]["tokenName"], "tokenName" in second[1], len(second)) == ("one", False, 2)
    assert second[1].keys() == {"tokenID", "account", "accountType", "dateGenerated"}
    assert client.ok("GET", TOKENS) == client.ok("GET", PATH)["tokens"] == second
    third = client.ok("DELETE", f"{TOKENS}/{first[0]['tokenID']}")
    assert third == second[1:]
    assert client.ok("POST", TOKENS)[:-1] == third


def test_nobody_has_more_than_twenty_tokens(client: Client) -> None:
    listed = [client.ok("POST", TOKENS) for _ in range(20)][-1]
    told = "Cannot have more than 20 API tokens"
    assert client.refused("POST", TOKENS) == told
    assert [one["tokenID"] for one in client.ok("GET", TOKENS)] == [one["tokenID"] for one in listed]
    for _ in range(19):
        client.ok("POST", "/apitoken")
    assert client.refused("POST", "/apitoken") == told
    client.ok("DELETE", f"{TOKENS}/{listed[3]['tokenID']}")
    assert len(client.ok("POST", TOKENS)) == 20


def test_a_token_is_renamed_under_any_spelling(client: Client) -> None:
    token = client.ok("POST", TOKENS)[0]["tokenID"]
    for path in (f"{TOKENS}/{token}", f"{TOKENS}/{token.upper()}"):
        assert client.ok("PUT", path, {"tokenID": token, "tokenName": "new"})["tokenName"] == "new"
    assert client.ok("PUT", f"{TOKENS}/{token}")["tokenName"] == "new"
    assert client.ok("PUT", f"/apitoken/{client.token}", {"tokenName": "mine"})["tokenName"] == "mine"
    assert client.refused("PUT", f"{TOKENS}/{token}", {"tokenName": 7}) == "tokenName must be a string"


def test_a_token_is_found_only_where_it_belongs(client: Client) -> None:
    token = client.ok("POST", TOKENS)[0]["tokenID"]
    client.ok("POST", "/account/serviceaccount", {"identifier": "other"})
    for path in (f"/apitoken/{token}", f"/apitoken/serviceaccount/sa::other/{token}", f"{TOKENS}/{NOBODYS}"):
        for method in ("PUT", "DELETE"):
            assert client.refused(method, path, {}, 404) == "API token does not exist"
    assert client.refused("GET", f"/apitoken/customertokens/{NOBODYS}", status=404) == "API token does not exist"
    assert client.ok("GET", TOKENS)[0]["tokenID"] == token


def test_everybodys_tokens_are_listed_read_and_revoked(client: Client) -> None:
    mine = token_of(client.service, PLAIN)
    client.ok("POST", TOKENS)
    listed = client.ok("GET", "/apitoken/customertokens")
    assert [one["account"] for one in listed] == ["admin@example.com", PLAIN, ROBOT]
    (found,) = [one for one in listed if one["id"] == mine]
    assert (found["accountType"], found["customer"], found["name"]) == ("USER_ACCOUNT", "accounts", "test")
    assert found["createdEpochMillis"] == found["dateGenerated"]
    assert client.ok("GET", f"/apitoken/customertokens/{mine}") == found
    revoked = client.ok("PUT", "/apitoken/customertokens/revoke", {"tokenID": mine})
    assert (revoked["tokenID"], revoked["account"]) == (mine, PLAIN)
    assert client.refused("PUT", "/apitoken/customertokens/revoke", {"tokenID": mine}, 404)
    assert client.refused("PUT", "/apitoken/customertokens/revoke", {}) == "tokenID is required"
    assert client.service.get(f"{SERVICE}", by=None, headers=bearer(mine)).status_code == 401


# -- When a token was last used -----------------------------------------------


@pytest.fixture
def clock(client: Client) -> list[float]:
    """Give the clock of the database, to be put forward."""
    clock = [time.time()]
    client.service.services.database._clock = lambda: clock[0]
    return clock


def test_its_use_is_noted_after_the_answer_and_once_a_minute(client: Client, clock: list[float]) -> None:
    itself = Client(client.service, token_of(client.service, PLAIN))

    def used(*, by: Client) -> int | None:
        # Buffered: the answer is closed, as a server does when it was sent.
        answer = by.ask("GET", "/apitoken/customertokens" if by is client else "/apitoken", buffered=True)
        (found,) = [one for one in answer.json["response"] if one["account"] == PLAIN]
        last: int | None = found.get("lastUsed")
        return last

    start = int(clock[0] * 1000)
    assert used(by=client) is None
    assert used(by=itself) is None  # The answer was written before.
    assert used(by=client) == start
    clock[0] += 59
    assert used(by=itself) == start
    assert used(by=client) == start
    clock[0] += 1
    assert used(by=itself) == start
    assert used(by=client) == start + 60_000


def test_the_use_of_any_of_its_tokens_is_that_of_a_service_account(client: Client, clock: list[float]) -> None:
    tokens = [token_of(client.service, ROBOT) for _ in range(2)]
    assert "lastUsed" not in client.ok("GET", PATH)
    for token in tokens:
        clock[0] += 100
        Client(client.service, token).ask("GET", f"/account/{ROBOT}", buffered=True)
    assert client.ok("GET", PATH)["lastUsed"] == int(clock[0] * 1000)


def test_that_a_use_was_noted_is_no_change_that_is_recorded(client: Client, clock: list[float]) -> None:
    token = token_of(client.service, PLAIN)
    before = len(client.service.audited())
    clock[0] += 1000
    Client(client.service, token).ask("GET", "/apitoken", buffered=True)
    assert len(client.service.audited()) == before


# -- A token is a secret ------------------------------------------------------


def test_a_token_is_in_no_log_no_record_no_refusal_and_no_repr(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    token = client.ok("POST", TOKENS, {"tokenName": "n"})[0]["tokenID"]
    client.ok("PUT", f"{TOKENS}/{token}", {"tokenName": "new"})
    client.ok("GET", f"/apitoken/customertokens/{token}")
    refusals = [
        client.refused("PUT", f"/apitoken/{token}", {}, 404),
        client.refused("DELETE", f"{TOKENS}x/{token}", status=404),
        client.ask("GET", f"/apitoken/nowhere/{token}").text,
        client.ask("PATCH", f"/apitoken/{token}").text,
        client.ask("GET", f"/%61pitoken/nowhere/{token.upper()}").text,
    ]
    client.ok("PUT", "/apitoken/customertokens/revoke", {"tokenID": token})
    client.refused("PUT", "/apitoken/customertokens/revoke", {"tokenID": token}, 404)
    written = capsys.readouterr()
    records = [f"{record.object} {record.detail} {record.uid}" for record in client.service.audited()]
    for text in (*refusals, written.out, written.err, *records):
        assert token not in text.lower()
    made = Token(
        "uid", token, "n", ROBOT, "account", "service", active=True, created_us=0, last_used_us=None, version=1
    )
    assert token not in repr(made)


# -- Tokens of others on record -------------------------------------------------


def reveals(service: Service) -> list[tuple[str, str]]:
    return [(row.object.partition(" ")[2], row.detail) for row in service.audited() if row.act == REVEAL]


def test_tokens_of_others_are_shown_once_that_is_on_record(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = client.ok("POST", TOKENS, {"tokenName": "n"})[0]["tokenID"]
    client.ok("GET", "/apitoken")
    assert reveals(service) == [], "who makes a token, or has it, is known"
    for method, path, body in (
        ("GET", TOKENS, None),
        ("GET", PATH, None),
        ("POST", "/search/token", {}),
        ("GET", "/apitoken/customertokens", None),
        ("POST", f"{PATH}/activate", None),
    ):
        assert token in str(client.ok(method, path, body))
    (uid,) = {row.uid for row in service.audited() if row.object.endswith(f" of {ROBOT}") and row.act != REVEAL}
    assert reveals(service) == [(f"{uid} of {ROBOT}", "{}")]
    # A change of an Idempotency-Key's is one transaction with its answer.
    client.ok("PUT", f"{TOKENS}/{token}", {"tokenName": "m"})
    headers = {**bearer(client.token), "Idempotency-Key": "a-key-of-this-test"}
    made = service.ask("POST", f"/api/v2{TOKENS}", by=None, headers=headers, json={})
    assert [one["tokenID"] == token for one in made.json["response"]] == [True, False]
    assert len(reveals(service)) == 2
    with monkeypatch.context() as patched:

        def lost(*_: object) -> None:
            raise RefusedError(Unavailable())

        patched.setattr(type(service.services.witness), "shown", lost)
        for path in (TOKENS, "/apitoken/customertokens", PATH):
            answer = service.ask("GET", f"/api/v2{path}", by=None, headers=bearer(client.token))
            assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
            assert token not in answer.text
    assert token not in str(service.audited())


def test_an_answer_that_is_given_again_shows_its_tokens_again_and_that_is_on_record(service: Service) -> None:
    client = admin(service)
    client.ok("POST", "/account/serviceaccount", {"identifier": "sa::robot"})
    token = client.ok("POST", "/apitoken/serviceaccount/sa::robot", {})[0]["tokenID"]

    def activate() -> str:
        headers = {**bearer(client.token), "Idempotency-Key": "k1"}
        return service.ask("POST", f"{SERVICE}/sa::robot/activate", by=None, headers=headers).text

    def reveals() -> int:
        return sum(row.act == REVEAL for row in service.audited())

    assert token in activate()
    assert (token in activate(), reveals()) == (True, 1)
    now = time.time() + 20 * 3600
    service.services.database._clock = lambda: now
    assert (token in activate(), reveals()) == (True, 2)
